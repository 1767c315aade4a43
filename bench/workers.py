"""Deciding processes, and what they have decided so far."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError

from bench import loops
from bench.programs import HUB, Failed, Program, role_environment, running
from bench.servers import Site
from hub.bus.topics import admin
from schemas import topics

STUCK_SECONDS = 60.0
"""A scenario that makes no progress for so long has failed."""

POLL_SECONDS = 0.05


class Loop(StrEnum):
    """What a worker runs."""

    BARE = "bare"
    CHAIN = "chain"
    FAUST = "faust"


@contextlib.asynccontextmanager
async def started(loop: Loop, site: Site, count: int = 1) -> AsyncIterator[list[Program]]:
    """So many workers sharing the partitions between them: ``hub streams`` as it is, or a loop of the benchmark.

    Raises Failed.
    """
    if loop is Loop.FAUST:
        words, environment = [*HUB, "streams"], role_environment(site)
    else:
        words, environment = ["-m", loops.__name__, loop], {loops.JOB: msgspec.json.encode(site).decode()}
    async with contextlib.AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(running(words, environment)) for _ in range(count)]
        await _joined(site, workers)
        yield workers


async def _joined(site: Site, workers: Sequence[Program]) -> None:
    deadline = time.monotonic() + STUCK_SECONDS
    async with admin(site.kafka) as client:
        while (state := await _group_state(client, loops.group(site.kafka))) != ("Stable", len(workers)):
            check(workers)
            if time.monotonic() > deadline:
                raise Failed(f"the group of {len(workers)} workers has not formed: it is {state[0]!r} with {state[1]}")
            await asyncio.sleep(POLL_SECONDS)


async def _group_state(client: Any, name: str) -> tuple[str, int]:
    """The state of a consumer group and how many members it has."""
    try:
        answer = await client.describe_consumer_groups([name])
    except GroupCoordinatorNotAvailableError:  # a new cluster's first group has Kafka make the topic of offsets
        return "", 0
    _, _, state, _, _, members, *_ = answer[0].groups[0]
    return str(state), len(members)


def check(workers: Sequence[Program]) -> None:
    """Raise Failed if one of them has ended."""
    for worker in workers:
        worker.check()


class Decided:
    """How many decisions are on ``documents.events``; from :func:`watching`."""

    def __init__(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions

    async def reaches(self, wanted: int, workers: Sequence[Program]) -> int:
        """Wait until at least so many are decided; how many there are then. Raises Failed."""
        before, since = -1, time.monotonic()
        while (now := await self._count()) < wanted:
            check(workers)
            if now > before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > STUCK_SECONDS:
                raise Failed(f"{now} of {wanted} documents were decided, and no more for {STUCK_SECONDS:.0f} s")
            await asyncio.sleep(POLL_SECONDS)
        return now

    async def _count(self) -> int:
        return sum((await self._consumer.end_offsets(self._partitions)).values())


@contextlib.asynccontextmanager
async def watching(site: Site) -> AsyncIterator[Decided]:
    """Watch what is decided, by the ends of the partitions: it costs the broker next to nothing."""
    consumer = AIOKafkaConsumer(**site.kafka.client_options())
    await consumer.start()
    try:
        yield Decided(consumer, event_partitions(site))
    finally:
        await consumer.stop()


def event_partitions(site: Site) -> list[TopicPartition]:
    """The partitions of the site's ``documents.events``."""
    return [TopicPartition(site.kafka.topic(topics.EVENTS), number) for number in range(topics.EVENTS.partitions)]
