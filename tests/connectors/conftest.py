"""The real bus and store a connector lives on, and what became of what it published."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from connectors import base
from connectors.base import ConnectorSpec
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.runtime.connect import Connectors, Instance
from hub.store.pool import Store
from schemas import codec, topics
from schemas.commands import AnyCommand
from schemas.deadletters import DeadLetter
from schemas.master import Master
from schemas.topics import Topic
from tests.conftest import KafkaServer

PATIENCE = 60.0

_T = TypeVar("_T")


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Return when it holds; TimeoutError after a generous time."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)


class Surroundings(NamedTuple):
    """What a connector works with."""

    kafka: Kafka
    dsn: str
    store: Store
    data: Path

    def connectors(self, *instances: Instance, kafka: Kafka | None = None) -> Connectors:
        return Connectors(instances, kafka or self.kafka, self.store, self.data)

    async def commands(self) -> list[AnyCommand]:
        """Every command published so far."""
        return [codec.decode_command(value) for value in await values(self.kafka, topics.COMMANDS)]

    async def master(self) -> list[Master]:
        """Every master record published so far."""
        return [
            codec.decode_as(value, struct)
            for struct, topic in topics.MASTER.items()
            for value in await values(self.kafka, topic)
        ]

    async def dead_letters(self) -> list[DeadLetter]:
        """Every dead letter published so far."""
        return [codec.decode_as(value, DeadLetter) for value in await values(self.kafka, topics.DEAD_LETTERS)]


def instance(spec: ConnectorSpec, name: str = "main", kind: str = "files") -> Instance:
    return Instance(base.discover()[kind], name, spec)


async def values(kafka: Kafka, topic: Topic) -> list[bytes]:
    """Every record's value on a topic, from its beginning to its present end."""
    consumer: Any = AIOKafkaConsumer(
        **kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(kafka.topic(topic), number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while any([await consumer.position(part) < ends[part] for part in partitions]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [record.value for record in records]
        return found
    finally:
        await consumer.stop()


@pytest.fixture
async def around(kafka: KafkaServer, topic_prefix: str, database: str, tmp_path: Path) -> AsyncIterator[Surroundings]:
    cluster = Kafka(kafka.bootstrap, prefix=topic_prefix)
    await create_topics(cluster)
    store = Store(database)
    await store.open()
    try:
        yield Surroundings(cluster, database, store, tmp_path / "data")
    finally:
        await store.close()


class Running:
    """Connectors at work in this process, between entering and leaving."""

    def __init__(self, connectors: Connectors) -> None:
        self.connectors = connectors
        self.stop = asyncio.Event()

    async def __aenter__(self) -> "Running":
        self.task = asyncio.create_task(self.connectors.run(self.stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, PATIENCE)


def distinct(found: Iterable[_T], by: Callable[[_T], object]) -> int:
    return len({by(each) for each in found})
