"""Worker processes, started and stopped, and what they have decided so far."""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError

from bench.servers import Site
from bench.worker import Job, Loop, group
from hub.bus.topics import admin
from schemas import topics

STOP_SECONDS = 30.0
STUCK_SECONDS = 60.0
"""A scenario that makes no progress for so long has failed."""

POLL_SECONDS = 0.05


class Failed(Exception):
    """A scenario can't be measured; the text says why."""


class _Worker(NamedTuple):
    process: subprocess.Popen[bytes]
    log: Any

    def said(self) -> str:
        self.log.seek(0)
        return str(self.log.read().decode(errors="replace"))[-2_000:]


class Workers:
    """The workers of one measurement; from :func:`started`."""

    def __init__(self, workers: list[_Worker]) -> None:
        self._workers = workers

    def check(self) -> None:
        """Raise Failed if one of them has ended."""
        for worker in self._workers:
            if (code := worker.process.poll()) is not None:
                raise Failed(f"a worker ended with exit code {code}: {worker.said()}")

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(worker.process.pid) for worker in self._workers]


@contextlib.asynccontextmanager
async def started(loop: Loop, site: Site, count: int = 1) -> AsyncIterator[Workers]:
    """So many workers running one loop; stopped in good order on leaving."""
    job = msgspec.json.encode(Job(loop, site.kafka, site.dsn)) + b"\n"
    workers = [_start(job) for _ in range(count)]
    try:
        yield Workers(workers)
    finally:
        for worker in workers:
            if worker.process.stdin is not None:
                worker.process.stdin.close()
        for worker in workers:
            await _end(worker)


def _start(job: bytes) -> _Worker:
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the worker has ended
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.worker"], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
    )
    if process.stdin is not None:
        process.stdin.write(job)
        process.stdin.flush()
    return _Worker(process, log)


async def _end(worker: _Worker) -> None:
    try:
        await asyncio.to_thread(worker.process.wait, STOP_SECONDS)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        worker.process.wait()
    worker.log.close()


class Decided:
    """How many decisions are on ``documents.events``; from :func:`watching`."""

    def __init__(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions

    async def count(self) -> int:
        return sum((await self._consumer.end_offsets(self._partitions)).values())

    async def reaches(self, wanted: int, workers: Workers) -> int:
        """Wait until at least so many are decided; how many there are then. Raises Failed."""
        before, since = -1, time.monotonic()
        while (now := await self.count()) < wanted:
            workers.check()
            if now > before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > STUCK_SECONDS:
                raise Failed(f"{now} of {wanted} documents were decided, and no more for {STUCK_SECONDS:.0f} s")
            await asyncio.sleep(POLL_SECONDS)
        return now


@contextlib.asynccontextmanager
async def watching(site: Site) -> AsyncIterator[Decided]:
    """Watch what is decided, by the ends of the partitions: it costs the broker next to nothing."""
    consumer = AIOKafkaConsumer(**site.kafka.client_options())
    await consumer.start()
    try:
        yield Decided(
            consumer, [TopicPartition(site.kafka.topic(topics.EVENTS), n) for n in range(topics.EVENTS.partitions)]
        )
    finally:
        await consumer.stop()


async def joined(site: Site, members: int, workers: Workers) -> None:
    """Return when so many workers share the partitions between them. Raises Failed."""
    deadline = time.monotonic() + STUCK_SECONDS
    async with admin(site.kafka) as client:
        while (state := await _group_state(client, group(site.kafka))) != ("Stable", members):
            workers.check()
            if time.monotonic() > deadline:
                raise Failed(f"the group of {members} workers has not formed: it is {state[0]!r} with {state[1]}")
            await asyncio.sleep(POLL_SECONDS)


async def _group_state(client: Any, name: str) -> tuple[str, int]:
    """The state of a consumer group and how many members it has."""
    try:
        answer = await client.describe_consumer_groups([name])
    except GroupCoordinatorNotAvailableError:  # a new cluster's first group has Kafka make the topic of offsets
        return "", 0
    _, _, state, _, _, members, *_ = answer[0].groups[0]
    return str(state), len(members)
