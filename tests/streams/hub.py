"""A hub's streams at work on topics and a database of the test's own, and what can be seen of them from outside."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from hub.bus import letters
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from hub.rules.settings import RuleSettings
from hub.store.pool import Store
from schemas import codec, topics
from schemas.commands import AnyCommand
from schemas.deadletters import DeadLetter
from schemas.documents import Document
from schemas.events import DocumentEvent
from schemas.master import Master
from schemas.topics import Topic, master_key
from streams.app import Streams
from streams.settings import StreamSettings
from streams.worker import running

SECONDS = 180.0
"""Longer than anything here takes; what isn't so by then isn't going to be."""


class Record(NamedTuple):
    """One record as it stands in Kafka."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


async def until(condition: Callable[[], Awaitable[Any]], *, seconds: float = SECONDS) -> Any:
    """Ask again and again until the answer is true; answers it."""
    async with asyncio.timeout(seconds):
        while not (answer := await condition()):
            await asyncio.sleep(0.02)
        return answer


class Hub:
    """The streams' surroundings; :meth:`worker` puts a worker to work in them."""

    def __init__(self, kafka: Kafka, dsn: str, store: Store, producer: Producer) -> None:
        self.kafka, self.dsn, self.store, self.producer = kafka, dsn, store, producer

    @property
    def group(self) -> str:
        return f"{self.kafka.prefix}streams"

    def settings(self, rules: RuleSettings | None = None, **fields: Any) -> StreamSettings:
        # A session longer than any stall of a loaded machine: a worker that lost its partitions handles twice.
        usual: dict[str, Any] = {"sweep_seconds": 0.1, "report_seconds": 0.1, "session_seconds": 30.0}
        return StreamSettings(self.kafka, rules or RuleSettings(), **{**usual, **fields})

    @asynccontextmanager
    async def worker(self, rules: RuleSettings | None = None, **fields: Any) -> AsyncIterator[Streams]:
        """A worker with a pool and a producer of its own, at work."""
        store = Store(self.dsn)
        producer = Producer(self.kafka)
        await store.open()
        await producer.start()
        try:
            async with running(self.settings(rules, **fields), store, producer) as streams:
                yield streams
        finally:
            await producer.stop()
            await store.close()

    async def send(self, *commands: AnyCommand) -> None:
        """Publish commands as the API does."""
        await self.producer.publish(
            [
                Outgoing(topics.COMMANDS, str(command.document_id).encode(), codec.encode(command))
                for command in commands
            ]
        )

    async def send_master(self, *records: Master) -> None:
        """Publish master records as a connector does."""
        await self.producer.publish(
            [Outgoing(topics.MASTER[type(record)], master_key(record), codec.encode(record)) for record in records]
        )

    async def read(self, topic: Topic) -> list[Record]:
        """Everything on a topic now, each partition in its order."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            places = [TopicPartition(self.kafka.topic(topic), number) for number in range(topic.partitions)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found = []
            while [place for place in places if await consumer.position(place) < ends[place]]:
                for place, records in (await consumer.getmany(timeout_ms=500)).items():
                    found += [
                        Record(place.partition, each.offset, each.key, each.value, tuple(each.headers))
                        for each in records
                    ]
            return found
        finally:
            await consumer.stop()

    async def events(self) -> list[DocumentEvent]:
        """What was published on ``documents.events``, each document's in its order."""
        return [codec.decode_event(record.value or b"") for record in await self.read(topics.EVENTS)]

    async def latest(self) -> dict[UUID, Document]:
        """What ``documents.latest`` ends with for each document."""
        found = {record.key: record.value for record in await self.read(topics.LATEST)}
        return {UUID((key or b"").decode()): codec.decode_document(value or b"") for key, value in found.items()}

    async def letters(self) -> list[DeadLetter]:
        return (await letters.read(self.kafka)).letters

    async def decided(self, commands: Sequence[AnyCommand]) -> list[DocumentEvent]:
        """Wait until each of these commands has its event; the events, in the order of the commands."""
        wanted = {command.command_id for command in commands}

        async def all_there() -> dict[UUID, DocumentEvent] | None:
            found = {event.command_id: event for event in await self.events()}
            return found if wanted <= found.keys() else None

        found = await until(all_there)
        return [found[command.command_id] for command in commands]

    async def dead(self, count: int) -> list[DeadLetter]:
        """Wait until there are so many dead letters; all of them."""

        async def enough() -> list[DeadLetter] | None:
            found = await self.letters()
            return found if len(found) >= count else None

        return list(await until(enough))

    @staticmethod
    async def joined(streams: Streams) -> None:
        """Wait until a worker has partitions."""

        async def assigned() -> bool:
            return bool(streams.app.consumer.assignment())

        await until(assigned)

    @staticmethod
    async def handled(streams: Streams, *, at_least: int) -> int:
        """Wait until a worker has handled, published and acked so many commands; how many they are."""

        async def enough() -> int:
            handled = streams.counters()["decide_handled"]
            return handled if handled >= at_least else 0

        return int(await until(enough))

    async def committed(self, topic: Topic) -> dict[int, int]:
        """Up to where the streams' group has handled each partition."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap, group_id=self.group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            places = [TopicPartition(self.kafka.topic(topic), number) for number in range(topic.partitions)]
            return {place.partition: await consumer.committed(place) or 0 for place in places}
        finally:
            await consumer.stop()

    async def ends(self, topic: Topic) -> dict[int, int]:
        """Where each partition ends."""
        ends: defaultdict[int, int] = defaultdict(int, dict.fromkeys(range(topic.partitions), 0))
        for record in await self.read(topic):
            ends[record.partition] = record.offset + 1
        return dict(ends)
