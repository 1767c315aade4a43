"""What one instance works with: in memory, or on the real Kafka and PostgreSQL; everything it does is seen."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from connectors.base import (
    Changes,
    ConnectorKind,
    ConnectorSpec,
    Credit,
    Cursors,
    Events,
    Lookup,
    Publisher,
    Reader,
    Records,
    Sellable,
)
from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.runtime.connect import KafkaEvents, KafkaPublisher, StoreCursors, StoreLookup, StoreRecords
from hub.store import master
from hub.store.pool import Store
from schemas import codec, text, topics
from schemas.commands import AnyCommand
from schemas.dates import utc_now
from schemas.deadletters import DeadLetter
from schemas.documents import Document
from schemas.events import DocumentEvent
from schemas.master import Account, Finance, Master, Product, Stock
from schemas.pushes import Push
from schemas.visits import Visit

Published = AnyCommand | Master | Visit | DeadLetter | Push


class Killed(BaseException):
    """The process ended here: nothing of it has any effect from now on."""


@dataclass(slots=True)
class Watch:
    """What one life of an instance does, as it does it; ``before`` and ``after`` may hold it, refuse it or kill it."""

    published: list[Published] = field(default_factory=list)
    """Whatever was acknowledged, in order."""
    writes: list[str] = field(default_factory=list)
    """Everything it wrote or tried to write, by name."""
    before: Callable[[Sequence[Published]], Awaitable[None]] | None = None
    """Called with what is about to be published."""
    after: Callable[[Sequence[Published]], Awaitable[None]] | None = None
    """Called when it is acknowledged, before the connector hears of it."""
    refuse_writes: Exception | None = None
    """What every change of cursors and records raises."""
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    def kill(self) -> None:
        """End the process. Raises :exc:`Killed`, and so does whatever it does afterwards."""
        self.dead.set()
        raise Killed

    def note(self, what: str) -> None:
        """Something is to be changed."""
        self._alive()
        self.writes.append(what)
        if self.refuse_writes is not None and not what.startswith("publish"):
            raise self.refuse_writes

    def _alive(self) -> None:
        if self.dead.is_set():
            raise Killed

    async def publish(self, messages: Sequence[Published], really: Callable[[], Awaitable[None]]) -> None:
        """Publish what is on its way."""
        self.note("publish")
        if self.before is not None:
            await self.before(messages)
        await really()
        self.published += messages
        if self.after is not None:
            await self.after(messages)
        self._alive()


class WatchedPublisher:
    """A publisher whose every call is seen."""

    def __init__(self, inner: Publisher, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    async def documents(self, commands: Sequence[AnyCommand]) -> None:
        await self._watch.publish(list(commands), lambda: self._inner.documents(commands))

    async def master(self, records: Sequence[Master]) -> None:
        await self._watch.publish(list(records), lambda: self._inner.master(records))

    async def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        await self._watch.publish(list(letters), lambda: self._inner.dead_letters(letters))

    async def pushes(self, pushes: Sequence[Push]) -> None:
        await self._watch.publish(list(pushes), lambda: self._inner.pushes(pushes))

    async def visits(self, visits: Sequence[Visit]) -> None:
        await self._watch.publish(list(visits), lambda: self._inner.visits(visits))


class WatchedCursors:
    """Cursors whose every change is seen."""

    def __init__(self, inner: Cursors, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    async def get(self, name: str) -> str | None:
        return await self._inner.get(name)

    async def set(self, name: str, value: str) -> None:
        self._watch.note(f"cursor {name}")
        await self._inner.set(name, value)


class WatchedRecords:
    """Records whose every change is seen."""

    def __init__(self, inner: Records, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    async def get(self, bucket: str, keys: Collection[str]) -> dict[str, bytes]:
        return await self._inner.get(bucket, keys)

    async def put(self, bucket: str, values: Mapping[str, bytes | None]) -> None:
        self._watch.note(f"record {bucket}")
        await self._inner.put(bucket, values)

    async def put_new(self, bucket: str, key: str, value: bytes) -> bool:
        self._watch.note(f"record {bucket}")
        return await self._inner.put_new(bucket, key, value)

    async def replace(self, bucket: str, key: str, old: bytes, new: bytes | None) -> bool:
        self._watch.note(f"record {bucket}")
        return await self._inner.replace(bucket, key, old, new)

    async def page(self, bucket: str, after: str = "", limit: int = 1_000) -> list[tuple[str, bytes]]:
        return await self._inner.page(bucket, after, limit)


class WatchedEvents:
    """Events whose every acknowledgement is seen."""

    def __init__(self, inner: Events, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    @asynccontextmanager
    async def documents(self, purpose: str, wanted: Any, *, window: int = 1_000) -> AsyncIterator[Reader[Any]]:
        async with self._inner.documents(purpose, wanted, window=window) as reader:
            yield _WatchedReader(reader, self._watch, purpose)

    @asynccontextmanager
    async def master(self, purpose: str, kinds: Any, *, window: int = 1_000) -> AsyncIterator[Reader[Any]]:
        async with self._inner.master(purpose, kinds, window=window) as reader:
            yield _WatchedReader(reader, self._watch, purpose)

    @asynccontextmanager
    async def pushes(self, purpose: str, *, window: int = 1_000) -> AsyncIterator[Reader[Any]]:
        async with self._inner.pushes(purpose, window=window) as reader:
            yield _WatchedReader(reader, self._watch, purpose)


class _WatchedReader:
    def __init__(self, inner: Reader[Any], watch: Watch, purpose: str) -> None:
        self._inner = inner
        self._watch = watch
        self._purpose = purpose

    async def read(self, seconds: float) -> Sequence[Any]:
        return await self._inner.read(seconds)

    async def ack(self, messages: Sequence[Any]) -> None:
        if messages:
            self._watch.note(f"ack {self._purpose}")
        await self._inner.ack(messages)

    def lag(self) -> int:
        return self._inner.lag()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a context is made of."""

    publisher: Publisher
    cursors: Cursors
    records: Records
    lookup: Lookup
    events: Events


class Surroundings(ABC):
    """Where instances live; what each remembers lasts as long as this."""

    @abstractmethod
    def parts(self, kind: ConnectorKind, name: str, spec: ConnectorSpec) -> Parts:
        """What one instance works with; the same name remembers what it did before."""

    @abstractmethod
    async def learn(self, records: Sequence[Master]) -> None:
        """Let the hub know these."""

    @abstractmethod
    async def begin(self) -> None:
        """What was published until now is of no interest any more."""

    @abstractmethod
    async def published(self) -> list[Published]:
        """What is on the bus since :meth:`begin`, pushes apart."""


# --- in memory


class Memory(Surroundings):
    """Everything in dictionaries, by the protocols of ``connectors/base.py``."""

    def __init__(self) -> None:
        self._bus: list[Published] = []
        self._cursors: dict[str, dict[str, str]] = {}
        self._records: dict[str, dict[tuple[str, str], bytes]] = {}
        self._pushes: dict[str, list[Push]] = {}
        self._places: dict[tuple[str, str], int] = {}
        self._known: list[Master] = []

    def parts(self, kind: ConnectorKind, name: str, spec: ConnectorSpec) -> Parts:
        full = f"{kind.name}.{name}"
        return Parts(
            _MemoryPublisher(self._bus, self._pushes.setdefault(full, [])),
            _MemoryCursors(self._cursors.setdefault(full, {})),
            _MemoryRecords(self._records.setdefault(full, {})),
            _MemoryLookup(self._known),
            _MemoryEvents(self._pushes.setdefault(full, []), self._places, full),
        )

    async def learn(self, records: Sequence[Master]) -> None:
        self._known += records

    async def begin(self) -> None:
        self._bus.clear()

    async def published(self) -> list[Published]:
        return list(self._bus)


class _MemoryPublisher:
    def __init__(self, bus: list[Published], pushes: list[Push]) -> None:
        self._bus = bus
        self._pushes = pushes

    async def documents(self, commands: Sequence[AnyCommand]) -> None:
        self._bus += commands

    async def master(self, records: Sequence[Master]) -> None:
        self._bus += records

    async def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self._bus += letters

    async def pushes(self, pushes: Sequence[Push]) -> None:
        self._pushes += pushes

    async def visits(self, visits: Sequence[Visit]) -> None:
        self._bus += visits


class _MemoryCursors:
    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    async def get(self, name: str) -> str | None:
        return self._values.get(name)

    async def set(self, name: str, value: str) -> None:
        self._values[name] = value


class _MemoryRecords:
    def __init__(self, values: dict[tuple[str, str], bytes]) -> None:
        self._values = values

    async def get(self, bucket: str, keys: Collection[str]) -> dict[str, bytes]:
        return {key: self._values[bucket, key] for key in keys if (bucket, key) in self._values}

    async def put(self, bucket: str, values: Mapping[str, bytes | None]) -> None:
        for key, value in values.items():
            self._put(bucket, key, value)

    async def put_new(self, bucket: str, key: str, value: bytes) -> bool:
        return self._values.setdefault((bucket, key), value) is value

    async def replace(self, bucket: str, key: str, old: bytes, new: bytes | None) -> bool:
        if self._values.get((bucket, key)) != old:
            return False
        self._put(bucket, key, new)
        return True

    def _put(self, bucket: str, key: str, value: bytes | None) -> None:
        if value is None:
            self._values.pop((bucket, key), None)
        else:
            self._values[bucket, key] = value

    async def page(self, bucket: str, after: str = "", limit: int = 1_000) -> list[tuple[str, bytes]]:
        found = [(key, value) for (of, key), value in self._values.items() if of == bucket and key > after]
        return sorted(found, key=lambda each: each[0].encode())[:limit]


class _MemoryLookup:
    """Nothing is decided here: no documents, nothing reserved, no holds."""

    def __init__(self, known: list[Master]) -> None:
        self._known = known

    async def products(self, codes: Collection[str]) -> dict[str, Product]:
        return {it.code: it for it in self._known if isinstance(it, Product) and it.code in codes}

    async def accounts(self, codes: Collection[str]) -> dict[str, Account]:
        return {it.code: it for it in self._known if isinstance(it, Account) and it.code in codes}

    async def accounts_of(self, *, phones: Collection[str] = (), emails: Collection[str] = ()) -> list[Account]:
        numbers = {_last_ten(phone) for phone in phones}
        addresses = {email.casefold() for email in emails}
        return [
            it
            for it in sorted((it for it in self._known if isinstance(it, Account)), key=lambda it: it.code)
            if numbers & {_last_ten(phone) for phone in it.phones}
            or addresses & {email.casefold() for email in it.emails}
        ]

    async def sellable(self, products: Collection[str], warehouses: Collection[str] = ()) -> list[Sellable]:
        return [
            row
            for row in self._sellable()
            if row.product in products and (not warehouses or row.warehouse in warehouses)
        ]

    def _sellable(self) -> list[Sellable]:
        return [
            Sellable(it.product, it.warehouse, it.attribute, max(it.on_hand, Decimal(0)))
            for it in self._known
            if isinstance(it, Stock)
        ]

    def _credit(self) -> list[Credit]:
        return [
            Credit(it.account, it.direct + it.documentary - it.balance - it.uncleared_cheques, it.balance)
            for it in self._known
            if isinstance(it, Finance)
        ]

    async def credit(self, accounts: Collection[str]) -> dict[str, Credit]:
        return {row.account: row for row in self._credit() if row.account in accounts}

    async def documents(self, ids: Collection[UUID]) -> dict[UUID, Document]:
        return {}

    async def decisions(self, command_ids: Collection[UUID]) -> dict[UUID, DocumentEvent]:
        return {}

    async def changes(self, kind: type[Any], cursor: str = "", limit: int = 1_000) -> Changes[Any]:
        every: list[Any] = [*self._sellable(), *self._credit(), *self._known]
        rows = [row for row in every if isinstance(row, kind)]
        place = int(cursor or 0)
        part = rows[place : place + limit]
        return Changes(tuple(part), str(place + len(part)), place + len(part) < len(rows), reset=False)


def _last_ten(phone: str) -> str:
    return "".join(letter for letter in text.code(phone) if letter.isdigit())[-10:]


class _MemoryEvents:
    def __init__(self, pushes: list[Push], places: dict[tuple[str, str], int], instance: str) -> None:
        self._pushes = pushes
        self._places = places
        self._instance = instance

    @asynccontextmanager
    async def documents(self, purpose: str, wanted: Any, *, window: int = 1_000) -> AsyncIterator[Reader[Any]]:
        yield _MemoryReader([], self._places, (self._instance, purpose))

    @asynccontextmanager
    async def master(self, purpose: str, kinds: Any, *, window: int = 1_000) -> AsyncIterator[Reader[Any]]:
        yield _MemoryReader([], self._places, (self._instance, purpose))

    @asynccontextmanager
    async def pushes(self, purpose: str, *, window: int = 1_000) -> AsyncIterator[Reader[Push]]:
        yield _MemoryReader(self._pushes, self._places, (self._instance, purpose))


class _MemoryReader:
    def __init__(self, source: list[Any], places: dict[tuple[str, str], int], name: tuple[str, str]) -> None:
        self._source = source
        self._places = places
        self._name = name
        self._at = places.get(name, 0)

    async def read(self, seconds: float) -> Sequence[Any]:
        async def news() -> None:
            while len(self._source) <= self._at:
                await asyncio.sleep(0.005)

        try:
            await asyncio.wait_for(news(), seconds)
        except TimeoutError:
            return []
        found = self._source[self._at :]
        self._at = len(self._source)
        return found

    async def ack(self, messages: Sequence[Any]) -> None:
        self._places[self._name] = self._places.get(self._name, 0) + len(messages)

    def lag(self) -> int:
        return len(self._source) - self._at


# --- the real ones


class Real(Surroundings):
    """Kafka and PostgreSQL, shared by every instance of a run."""

    TOPICS: Mapping[topics.Topic, type[Any] | None] = {
        topics.COMMANDS: None,
        topics.DEAD_LETTERS: DeadLetter,
        topics.VISITS: Visit,
        **{topic: struct for struct, topic in topics.MASTER.items()},
    }

    def __init__(self, kafka: Kafka, store: Store, producer: Producer, consumer: Any) -> None:
        self._kafka = kafka
        self._store = store
        self._producer = producer
        self._consumer = consumer
        self._found: list[Published] = []
        self._structs = {kafka.topic(topic): struct for topic, struct in self.TOPICS.items()}

    @classmethod
    @asynccontextmanager
    async def on(cls, kafka: Kafka, dsn: str) -> AsyncIterator["Real"]:
        """The topics made, a producer and a reader of them at hand."""
        await create_topics(kafka)
        store = Store(dsn)
        await store.open()
        producer = Producer(kafka)
        consumer: Any = AIOKafkaConsumer(
            **kafka.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # Kafka answers a connection's requests in turn: where its ends lie is told after what is being waited for.
            fetch_max_wait_ms=10,
        )
        try:
            await _groups_work(kafka, producer)
            await consumer.start()
            consumer.assign(
                [
                    TopicPartition(kafka.topic(topic), number)
                    for topic in cls.TOPICS
                    for number in range(topic.partitions)
                ]
            )
            yield cls(kafka, store, producer, consumer)
        finally:
            await consumer.stop()
            await producer.stop()
            await store.close()

    def parts(self, kind: ConnectorKind, name: str, spec: ConnectorSpec) -> Parts:
        full = f"{kind.name}.{name}"
        return Parts(
            KafkaPublisher(self._producer),
            StoreCursors(self._store, full),
            StoreRecords(self._store, full),
            StoreLookup(self._store),
            KafkaEvents(self._kafka, full),
        )

    async def learn(self, records: Sequence[Master]) -> None:
        await master.apply(self._store, records)

    async def begin(self) -> None:
        await self.published()
        self._found.clear()

    async def published(self) -> list[Published]:
        partitions = list(self._consumer.assignment())
        ends = await self._consumer.end_offsets(partitions)
        while any([await self._consumer.position(part) < ends[part] for part in partitions]):
            for part, records in (await self._consumer.getmany(timeout_ms=100)).items():
                struct = self._structs[part.topic]
                self._found += [_decoded(record.value, struct) for record in records]
        return list(self._found)


async def _groups_work(kafka: Kafka, producer: Producer) -> None:
    """Return when consumer groups work: a new cluster first has to make a topic of its own for them."""
    nobody = "conformance.nobody"
    await KafkaPublisher(producer).pushes([Push("0", nobody, "", utc_now(), b"")])
    async with asyncio.timeout(120), KafkaEvents(kafka, nobody).pushes("ready") as reader:
        while not await reader.read(0.2):
            pass


def _decoded(value: bytes, struct: type[msgspec.Struct] | None) -> Any:
    return codec.decode_as(value, struct) if struct else codec.decode_command(value)


def directory_of(root: Path, kind: ConnectorKind, name: str) -> Path:
    """An instance's own directory, made."""
    directory = root / f"{kind.name}.{name}"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
