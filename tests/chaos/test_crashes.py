"""Nothing acknowledged is lost or decided twice, whatever is killed, and wherever."""

import asyncio
import logging
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
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
    until_shared,
    until_someone_waits,
    worker,
)
from tests.chaos.worker import POINTS, STUCK
from tests.conftest import JARS, dsn_of, execute

logger = logging.getLogger(__name__)

DOCUMENTS = 2_000
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
    sent = commands(DOCUMENTS, seed)
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
    sent = commands(DOCUMENTS, seed + 1)
    async with worker(kafka_settings, dsn):
        await feed(kafka_settings, sent[: len(sent) // 2])
        await until_decided(dsn, 1)
        process.kill()
        feeding = asyncio.create_task(feed(kafka_settings, sent[len(sent) // 2 :]))
        await process.start()
        await feeding
        await until_published(kafka_settings, len(sent))
    logger.info("broker killed: %s", await hold_to_account(kafka_settings, dsn, sent))


async def test_a_database_killed_under_load_loses_nothing(
    database_server: tuple[EmbeddedPostgres, str], kafka_settings: Kafka, dsn: str, seed: int
) -> None:
    process, _ = database_server
    sent = commands(DOCUMENTS, seed + 2)
    async with worker(kafka_settings, dsn):
        await feed(kafka_settings, sent[: len(sent) // 2])
        await until_decided(dsn, 1)
        process.kill()
        feeding = asyncio.create_task(feed(kafka_settings, sent[len(sent) // 2 :]))
        await process.start()
        await feeding
        await until_published(kafka_settings, len(sent))
    logger.info("database killed: %s", await hold_to_account(kafka_settings, dsn, sent))


async def test_one_of_two_workers_killed_at_every_point_leaves_its_share_to_the_other(
    kafka_settings: Kafka, dsn: str, seed: int
) -> None:
    sent = commands(DOCUMENTS // 2, seed + 3)
    rest = iter(range(0, len(sent), 50))
    async with worker(kafka_settings, dsn):
        for point in POINTS:
            async with worker(kafka_settings, dsn, point) as doomed:
                await until_shared(kafka_settings, 2)
                while doomed.process.returncode is None:
                    start = next(rest)
                    await feed(kafka_settings, sent[start : start + 50])
                    await until_decided(dsn, start) if doomed.process.returncode is None else None
                assert await doomed.died() == -signal.SIGKILL
            # While the dead one still counts, the next to come can't be told from it.
            await until_shared(kafka_settings, 1)
        for start in rest:
            await feed(kafka_settings, sent[start : start + 50])
        await until_published(kafka_settings, len(sent))
    logger.info("one of two killed %s times: %s", len(POINTS), await hold_to_account(kafka_settings, dsn, sent))


async def test_a_worker_that_can_not_stop_in_time_leaves_what_it_held_to_the_next(
    kafka_settings: Kafka, dsn: str, seed: int
) -> None:
    sent = commands(200, seed + 4)
    blocking = await asyncpg.connect(dsn)
    async with worker(kafka_settings, dsn, STUCK) as stuck, blocking.transaction():
        # Every command writes its decision, whatever its kind touches, and nobody else writes one: only batches wait.
        await blocking.execute("lock table decisions in share mode")
        await feed(kafka_settings, sent)
        await until_someone_waits(dsn)
        stuck.process.send_signal(signal.SIGTERM)
        assert await stuck.died() > 0
    assert await blocking.fetchval("select count(*) from decisions") == 0
    await blocking.close()
    async with worker(kafka_settings, dsn):
        await until_published(kafka_settings, len(sent))
    await hold_to_account(kafka_settings, dsn, sent)
