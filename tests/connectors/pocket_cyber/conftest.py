"""One deciding hub for all of these tests."""

import secrets
from collections.abc import AsyncIterator

import aiohttp
import pytest

from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.store.pool import Store
from streams.settings import StreamSettings
from streams.worker import running
from tests.conftest import KafkaServer, PostgresServer, dsn_of, execute
from tests.connectors.pocket_cyber.world import RULES, Backdrop


@pytest.fixture(scope="package")
async def idle(kafka: KafkaServer, postgres: PostgresServer, template_database: str) -> AsyncIterator[Backdrop]:
    """Kafka and PostgreSQL, with nothing that decides until a test asks for :func:`backdrop`."""
    cluster = Kafka(kafka.bootstrap, prefix=f"pocket{secrets.token_hex(3)}.")
    await create_topics(cluster)
    name = f"pocket_{secrets.token_hex(6)}"
    await execute(postgres.dsn, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    store = Store(dsn_of(postgres.dsn, name), size=8)
    await store.open()
    producer = Producer(cluster)
    await producer.start()
    async with aiohttp.ClientSession() as session:
        yield Backdrop(cluster, store, producer, session)
    await producer.stop()
    await store.close()
    await execute(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="package")
async def backdrop(idle: Backdrop) -> AsyncIterator[Backdrop]:
    """The same, deciding."""
    settings = StreamSettings(kafka=idle.kafka, rules=RULES, report_seconds=0.5)
    async with running(settings, idle.store, idle.producer):
        yield idle
