"""Nothing acknowledged is lost or decided twice, whatever is killed, and wherever."""

import asyncio
import logging
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.bus.rewinding import rewind
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.runtime.embedded.kafka import EmbeddedKafka
from hub.runtime.embedded.postgres import EmbeddedPostgres
from hub.store.migrate import migrate
from hub.store.pool import Store
from schemas import topics
from tests.chaos.harness import (
    commands,
    dump,
    feed,
    fill,
    hold_to_account,
    read_topic,
    until_decided,
    until_ended_at,
    until_published,
    worker,
)
from tests.chaos.worker import POINTS
from tests.conftest import JARS, dsn_of, execute

logger = logging.getLogger(__name__)

COMMANDS = 2_000
KILLS = [(point, spared) for spared in (1, 3) for point in POINTS]


@pytest.fixture(scope="module")
async def broker(server_directory: Path) -> AsyncIterator[tuple[EmbeddedKafka, str]]:
    """A Kafka these tests may kill, with its address."""
    process = EmbeddedKafka(server_directory / "chaos-kafka", jars=JARS, report=print)
    bootstrap = await process.start()
    yield process, bootstrap
    await process.stop()


@pytest.fixture(scope="module")
async def database_server(server_directory: Path) -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    """A PostgreSQL these tests may kill, with its DSN."""
    process = EmbeddedPostgres(server_directory / "chaos-postgres", report=print)
    dsn = await process.start()
    yield process, dsn
    await process.stop()


@pytest.fixture
async def kafka_settings(broker: tuple[EmbeddedKafka, str]) -> Kafka:
    settings = Kafka(broker[1], prefix=f"c{secrets.token_hex(4)}.")
    await create_topics(settings)
    return settings


@pytest.fixture
async def dsn(database_server: tuple[EmbeddedPostgres, str]) -> AsyncIterator[str]:
    """A database of this test's own, with the small company in it."""
    _, server = database_server
    name = f"chaos_{secrets.token_hex(4)}"
    await execute(server, f"CREATE DATABASE {name}")
    made = dsn_of(server, name)
    await migrate(made)
    store = Store(made)
    await store.open()
    await fill(store)
    await store.close()
    yield made
    await execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """The run's seed, printed in the header."""
    return int(pytestconfig.getoption("--hypothesis-seed"))


async def test_a_worker_killed_at_every_point_loses_nothing_and_a_replay_changes_nothing(
    kafka_settings: Kafka, dsn: str, seed: int
) -> None:
    sent = commands(COMMANDS, seed)
    await feed(kafka_settings, sent)
    for point, spared in KILLS:
        async with worker(kafka_settings, dsn, point, spared) as doomed:
            assert await doomed.died() == -signal.SIGKILL
    async with worker(kafka_settings, dsn):
        await until_published(kafka_settings, len(sent))
    counted = await hold_to_account(kafka_settings, dsn, sent)
    logger.info("killed %s times: %s", len(KILLS), counted)

    before = await dump(dsn)
    published = await read_topic(kafka_settings, topics.EVENTS)
    await rewind(kafka_settings, f"{kafka_settings.prefix}streams", [topics.COMMANDS], None)
    async with worker(kafka_settings, dsn):
        await until_ended_at(kafka_settings, topics.EVENTS, len(published) + len(sent))
    assert await dump(dsn) == before
    assert {value for _, _, value in await read_topic(kafka_settings, topics.EVENTS)} == {
        value for _, _, value in published
    }
    await hold_to_account(kafka_settings, dsn, sent)


async def test_a_broker_killed_under_load_loses_nothing(
    broker: tuple[EmbeddedKafka, str], kafka_settings: Kafka, dsn: str, seed: int
) -> None:
    process, _ = broker
    sent = commands(COMMANDS, seed + 1)
    async with worker(kafka_settings, dsn):
        await feed(kafka_settings, sent[: COMMANDS // 2])
        await until_decided(dsn, 1)
        process.kill()
        feeding = asyncio.create_task(feed(kafka_settings, sent[COMMANDS // 2 :]))
        await process.start()
        await feeding
        await until_published(kafka_settings, len(sent))
    logger.info("broker killed: %s", await hold_to_account(kafka_settings, dsn, sent))


async def test_a_database_killed_under_load_loses_nothing(
    database_server: tuple[EmbeddedPostgres, str], kafka_settings: Kafka, dsn: str, seed: int
) -> None:
    process, _ = database_server
    sent = commands(COMMANDS, seed + 2)
    async with worker(kafka_settings, dsn):
        await feed(kafka_settings, sent[: COMMANDS // 2])
        await until_decided(dsn, 1)
        process.kill()
        feeding = asyncio.create_task(feed(kafka_settings, sent[COMMANDS // 2 :]))
        await process.start()
        await feeding
        await until_published(kafka_settings, len(sent))
    logger.info("database killed: %s", await hold_to_account(kafka_settings, dsn, sent))
