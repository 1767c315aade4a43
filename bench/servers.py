"""The servers every scenario runs on, and a fresh corner of them (topics, database) for each measurement."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil

from bench import bare, company
from hub.bus.settings import Kafka
from hub.bus.topics import admin, create_topics
from hub.runtime.embedded.kafka import EmbeddedKafka
from hub.runtime.embedded.postgres import EmbeddedPostgres
from hub.store.migrate import migrate


class Site(NamedTuple):
    """Topics and a database of one measurement's own."""

    kafka: Kafka
    dsn: str


class Servers:
    """A Kafka and a PostgreSQL; the process ids are None where the servers aren't ours to look into."""

    def __init__(
        self, bootstrap: str, dsn: str, *, kafka_pid: int | None = None, postgres_pid: int | None = None
    ) -> None:
        self.bootstrap = bootstrap
        self.dsn = dsn
        self._pids = {"kafka": kafka_pid, "postgres": postgres_pid}
        self._templates: dict[bool, str] = {}

    def processes(self) -> dict[str, psutil.Process]:
        """The servers' main processes, by name."""
        return {name: psutil.Process(pid) for name, pid in self._pids.items() if pid is not None}

    async def version(self) -> str:
        """PostgreSQL's version."""
        return str(await self._execute("show server_version"))

    @contextlib.asynccontextmanager
    async def site(self, *, minimal: bool = False) -> AsyncIterator[Site]:
        """A fresh corner with the company loaded, in our schema or the bare loop's (``minimal``); gone afterwards.

        The checkpoint gives every measurement the same start: none pays for another's dirty pages.
        """
        template = await self._template(minimal=minimal)
        name = f"bench_{secrets.token_hex(4)}"
        kafka = Kafka(self.bootstrap, prefix=f"{name}.")
        await self._execute(f"create database {name} template {template}")
        try:
            await create_topics(kafka)
            await self._execute("checkpoint")
            yield Site(kafka, self._database(name))
        finally:
            await self._execute(f"drop database {name} with (force)")
            await _delete_topics(kafka)

    async def close(self) -> None:
        """Remove what sites were copied from."""
        for template in self._templates.values():
            await self._execute(f"drop database {template} with (force)")
        self._templates.clear()

    async def _template(self, *, minimal: bool) -> str:
        if minimal not in self._templates:
            name = f"bench_template_{secrets.token_hex(4)}"
            await self._execute(f"create database {name}")
            self._templates[minimal] = name
            dsn = self._database(name)
            if minimal:
                await bare.load(dsn)
            else:
                await migrate(dsn)
                await company.load(dsn)
        return self._templates[minimal]

    def _database(self, name: str) -> str:
        return urlunsplit(urlsplit(self.dsn)._replace(path=f"/{name}"))

    async def _execute(self, statement: str) -> object:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def embedded(directory: Path, jars: Path, report: Callable[[str], None]) -> AsyncIterator[Servers]:
    """The embedded servers exactly as ``hub dev`` starts them, on free ports, with their data in ``directory``."""
    kafka = EmbeddedKafka(directory / "kafka", jars=jars, report=report)
    postgres = EmbeddedPostgres(directory / "postgres", report=report)
    try:
        bootstrap = await kafka.start()
        dsn = await postgres.start()
        yield Servers(bootstrap, dsn, kafka_pid=kafka.pid, postgres_pid=postgres.pid)
    finally:
        await kafka.stop()
        await postgres.stop()


async def _delete_topics(kafka: Kafka) -> None:
    async with admin(kafka) as client:
        ours = [name for name in await client.list_topics() if name.startswith(kafka.prefix)]
        if ours:
            await client.delete_topics(ours)
