"""One hub for all API tests, with its deciding worker; a shop of its own for each test."""

import dataclasses
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from hub.api.app import Served
from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.rules.settings import CreditPolicy, Policy, RuleSettings, StockPolicy
from hub.store.pool import Store
from schemas.documents import PostingPolicy
from streams.settings import StreamSettings
from streams.worker import running
from tests.api.world import Client, Hub, Shop, open_shop
from tests.conftest import KafkaServer, PostgresServer, dsn_of, execute

RULES = RuleSettings(
    by_source={
        "timed": Policy(reservation=timedelta(days=1)),
        "backordering": Policy(stock=StockPolicy.BACKORDER),
        "strict": Policy(credit=CreditPolicy.REJECT),
        "partly": Policy(stock=StockPolicy.PARTIAL),
        "released by hand": Policy(posting=PostingPolicy.MANUAL, reservation=timedelta(days=1), tax_tolerance=10),
    }
)


@pytest.fixture(scope="package")
async def cluster(kafka: KafkaServer) -> AsyncIterator[Kafka]:
    """Topics under a prefix of the API tests' own."""
    settings = Kafka(kafka.bootstrap, prefix=f"api{secrets.token_hex(3)}.")
    await create_topics(settings)
    yield settings
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([t for t in await admin.list_topics() if t.startswith(settings.prefix)])
    finally:
        await admin.close()


@pytest.fixture(scope="package")
async def opened_store(postgres: PostgresServer, template_database: str) -> AsyncIterator[Store]:
    """A store on a database of the API tests' own."""
    name = f"api_{secrets.token_hex(6)}"
    await execute(postgres.dsn, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    store = Store(dsn_of(postgres.dsn, name), size=8)
    await store.open()
    yield store
    await store.close()
    await execute(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="package")
async def idle_hub(cluster: Kafka, opened_store: Store) -> AsyncIterator[Hub]:
    """The hub without anything that decides, until a test asks for :func:`hub`."""
    producer = Producer(cluster)
    await producer.start()
    async with aiohttp.ClientSession() as session:
        yield Hub(cluster, opened_store, producer, RULES, session)
    await producer.stop()


@pytest.fixture(scope="package")
async def hub(idle_hub: Hub) -> AsyncIterator[Hub]:
    """The hub, deciding."""
    settings = StreamSettings(kafka=idle_hub.kafka, rules=RULES, report_seconds=0.5)
    async with running(settings, idle_hub.store, idle_hub.producer):
        yield idle_hub


@pytest.fixture(scope="package")
async def api(idle_hub: Hub) -> AsyncIterator[Served]:
    """An API server with the settings as shipped, but for the bounds a loaded machine may miss."""
    async with idle_hub.api() as served:
        yield served


@pytest.fixture
async def anyone(idle_hub: Hub, api: Served) -> Client:
    """A client without a key."""
    return Client(idle_hub.session, api.address)


@pytest.fixture
async def shop(hub: Hub, api: Served) -> Shop:
    """A shop whose documents are decided."""
    return await open_shop(hub, api.address)


@pytest.fixture
async def idle_shop(idle_hub: Hub, api: Served) -> Shop:
    """A shop whose documents needn't be decided."""
    return await open_shop(idle_hub, api.address)


@pytest.fixture
async def undecided(idle_hub: Hub, topic_prefix: str) -> AsyncIterator[Shop]:
    """A shop at a server whose commands nobody decides: its topics are its own."""
    kafka = msgspec.structs.replace(idle_hub.kafka, prefix=topic_prefix)
    await create_topics(kafka)
    producer = Producer(kafka)
    alone = dataclasses.replace(idle_hub, kafka=kafka, producer=producer)
    async with alone.api() as served:
        yield await open_shop(alone, served.address)
    await producer.stop()
