"""The streams' surroundings: topics and a database of the test's own, with the small company in it."""

from collections.abc import AsyncIterator

import pytest

from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.store.pool import Store
from tests.conftest import KafkaServer
from tests.store.company import fill
from tests.streams.hub import Hub


@pytest.fixture
async def hub(kafka: KafkaServer, topic_prefix: str, database: str) -> AsyncIterator[Hub]:
    """Topics made, database filled; nobody is at work yet."""
    settings = Kafka(kafka.bootstrap, prefix=topic_prefix)
    await create_topics(settings)
    store, producer = Store(database), Producer(settings)
    await store.open()
    await producer.start()
    await fill(store)
    yield Hub(settings, database, store, producer)
    await producer.stop()
    await store.close()
