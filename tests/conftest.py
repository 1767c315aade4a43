"""A real Kafka and a real PostgreSQL for the tests, started once per session on free ports.

Set PEYVAND_TEST_KAFKA (bootstrap servers) or PEYVAND_TEST_POSTGRES (a DSN whose user may create databases) to use
servers that run already. PEYVAND_CACHE is the directory of Kafka's jars (default: var/kafka/jars of this checkout).
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from hypothesis import settings

from hub.bus.admin import wait_until_ready
from hub.runtime.embedded.kafka import EmbeddedKafka
from hub.runtime.embedded.ports import free_port
from hub.runtime.embedded.postgres import EmbeddedPostgres
from hub.store.migrate import migrate
from tests.properties import PROPERTY

__all__ = ["JARS", "KafkaServer", "PostgresServer", "dsn_of", "execute", "free_port"]

JARS = Path(os.environ.get("PEYVAND_CACHE") or Path(__file__).parents[1] / "var" / "kafka" / "jars")


@dataclass(frozen=True, slots=True)
class KafkaServer:
    """`process` is None when the server isn't ours (PEYVAND_TEST_KAFKA)."""

    bootstrap: str
    process: EmbeddedKafka | None


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """`process` is None when the server isn't ours (PEYVAND_TEST_POSTGRES)."""

    dsn: str
    process: EmbeddedPostgres | None


def pytest_configure(config: pytest.Config) -> None:
    """Draw the seed of this run's random choices, unless --hypothesis-seed names it; let all properties run alike."""
    settings.register_profile("peyvand", PROPERTY)
    settings.load_profile("peyvand")
    if config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = secrets.randbits(32)
        from hypothesis import core

        core.global_force_seed = config.option.hypothesis_seed


def pytest_report_header(config: pytest.Config) -> str:
    return f"random seed: {config.option.hypothesis_seed} (repeat with --hypothesis-seed)"


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """Where this session's servers keep their data.

    Not pytest's own temporary directory: PostgreSQL's user must be able to pass through when the tests run as root.
    """
    directory = Path(tempfile.mkdtemp(prefix="peyvand-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
async def kafka(server_directory: Path) -> AsyncIterator[KafkaServer]:
    """A Kafka for the whole session; use `topic_prefix` for topics of your own."""
    given = os.environ.get("PEYVAND_TEST_KAFKA")
    if given:
        await wait_until_ready(given, 30)
        yield KafkaServer(given, None)
        return
    process = EmbeddedKafka(server_directory / "kafka", jars=JARS, report=print)
    try:
        yield KafkaServer(await process.start(), process)
    finally:
        await process.stop()


@pytest.fixture(scope="session")
async def postgres(server_directory: Path) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL for the whole session; use `database` for tables of your own."""
    given = os.environ.get("PEYVAND_TEST_POSTGRES")
    if given:
        yield PostgresServer(given, None)
        return
    process = EmbeddedPostgres(server_directory / "postgres", report=print)
    try:
        yield PostgresServer(await process.start(), process)
    finally:
        await process.stop()


@pytest.fixture
async def topic_prefix(kafka: KafkaServer) -> AsyncIterator[str]:
    """A prefix no other test has ("t1a2b3c4."); topics that begin with it are deleted afterwards."""
    prefix = f"t{secrets.token_hex(4)}."
    yield prefix
    await topics_gone(kafka, prefix)


async def topics_gone(kafka: KafkaServer, prefix: str) -> None:
    """Delete the topics that begin with a prefix."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        if topics:
            await admin.delete_topics(topics)
    finally:
        await admin.close()


@pytest.fixture(scope="session")
async def template_database(postgres: PostgresServer) -> AsyncIterator[str]:
    """The name of a migrated, empty database, of which `database` makes copies."""
    name = f"template_{secrets.token_hex(4)}"
    await execute(postgres.dsn, f"CREATE DATABASE {name}")
    try:
        await migrate(dsn_of(postgres.dsn, name))
        yield name
    finally:
        await execute(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(postgres: PostgresServer, template_database: str) -> AsyncIterator[str]:
    """The DSN of a migrated database of this test's own."""
    name = f"test_{secrets.token_hex(6)}"
    await execute(postgres.dsn, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    try:
        yield dsn_of(postgres.dsn, name)
    finally:
        await execute(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)")


def dsn_of(server: str, database: str) -> str:
    """The DSN of another database on the same server."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{database}"))


async def execute(dsn: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
