"""A corner of the session's Kafka with the declared topics in it, and a producer."""

from collections.abc import AsyncIterator

import pytest

from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from tests.conftest import KafkaServer


@pytest.fixture
async def bare(kafka: KafkaServer, topic_prefix: str) -> Kafka:
    """A prefix under which there is nothing yet."""
    return Kafka(kafka.bootstrap, prefix=topic_prefix)


@pytest.fixture
async def bus(bare: Kafka) -> Kafka:
    """The declared topics, empty."""
    await create_topics(bare)
    return bare


@pytest.fixture
async def sender(bus: Kafka) -> AsyncIterator[Producer]:
    """A started producer."""
    made = Producer(bus)
    await made.start()
    yield made
    await made.stop()
