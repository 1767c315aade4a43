"""Connectors composed: each configured instance gets Kafka, its cursors and a place of its own, and is kept running.

Any number of processes may run the same instances: each works in one of them at a time (:mod:`hub.store.leases`), and
another takes over when that one ends.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from connectors import base
from connectors.base import (
    STOP_SECONDS,
    Changes,
    Connector,
    ConnectorError,
    ConnectorSpec,
    Context,
    Credit,
    Outage,
    Reader,
    Rejected,
    Retryable,
    Sellable,
    Wanted,
)
from hub.bus.consumer import Consumer, Received
from hub.bus.errors import TooLarge
from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.feed import Glance
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from hub.rules.credit import instant_credit
from hub.runtime.config import Config, connector_specs
from hub.runtime.failures import Failure
from hub.runtime.redaction import redact
from hub.store import cursors, leases, lookup, reading, records
from hub.store.errors import StoreError
from hub.store.errors import Unavailable as StoreUnavailable
from hub.store.pool import Store
from schemas import codec, topics
from schemas.commands import AnyCommand
from schemas.dates import utc_now
from schemas.deadletters import DeadLetter
from schemas.documents import Document
from schemas.events import DocumentEvent
from schemas.ledger import AccountLedger
from schemas.master import Account, ListEntry, Master, Product
from schemas.pushes import Push
from schemas.topics import Topic
from schemas.visits import Visit

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 60.0
"""What ran this long before it failed starts its back-off anew."""

LEASE_SECONDS = 2.0
"""How often the leases are looked after: what another process gave up is taken over within this time."""

logger = logging.getLogger(__name__)

_Message = TypeVar("_Message")
_glance = msgspec.json.Decoder(Glance)


class KafkaPublisher:
    """:class:`connectors.base.Publisher` on the hub's producer; ``counts`` is what was acknowledged."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self.counts: Counter[str] = Counter(documents=0, master=0, dead_letters=0)

    async def documents(self, commands: Sequence[AnyCommand]) -> None:
        """See the protocol."""
        records = [
            Outgoing(topics.COMMANDS, str(command.document_id).encode(), codec.encode(command)) for command in commands
        ]
        await self._publish("documents", records)

    async def master(self, records: Sequence[Master]) -> None:
        """See the protocol."""
        published = [
            Outgoing(topics.MASTER[type(record)], topics.master_key(record), codec.encode(record)) for record in records
        ]
        await self._publish("master", published)

    async def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """See the protocol."""
        records = [Outgoing(topics.DEAD_LETTERS, letter.key, codec.encode(letter)) for letter in letters]
        await self._publish("dead_letters", records)

    async def pushes(self, pushes: Sequence[Push]) -> None:
        """See the protocol."""
        records = [
            Outgoing(topics.PUSHES, f"{push.connector}/{push.resource}".encode(), codec.encode(push)) for push in pushes
        ]
        await self._publish("pushes", records)

    async def visits(self, visits: Sequence[Visit]) -> None:
        """See the protocol."""
        records = [Outgoing(topics.VISITS, visit.visitor.encode(), codec.encode(visit)) for visit in visits]
        await self._publish("visits", records)

    async def _publish(self, what: str, records: Sequence[Outgoing]) -> None:
        try:
            await self._producer.publish(records)
        except BusUnavailable as error:
            raise Retryable(str(error)) from error
        except TooLarge as error:
            raise Rejected(str(error)) from error
        self.counts[what] += len(records)


class StoreCursors:
    """:class:`connectors.base.Cursors` in PostgreSQL, under the instance's name."""

    def __init__(self, store: Store, instance: str) -> None:
        self._store = store
        self._instance = instance

    async def get(self, name: str) -> str | None:
        """See the protocol."""
        with _store_errors():
            return await cursors.get(self._store, self._name(name))

    async def set(self, name: str, value: str) -> None:
        """See the protocol."""
        with _store_errors():
            await cursors.put(self._store, self._name(name), value)

    def _name(self, name: str) -> str:
        return f"{self._instance}/{name}"


class StoreRecords:
    """:class:`connectors.base.Records` in PostgreSQL, under the instance's name."""

    def __init__(self, store: Store, instance: str) -> None:
        self._store = store
        self._instance = instance

    async def get(self, bucket: str, keys: Collection[str]) -> dict[str, bytes]:
        """See the protocol."""
        with _store_errors():
            return await records.get(self._store, self._instance, bucket, keys)

    async def put(self, bucket: str, values: Mapping[str, bytes | None]) -> None:
        """See the protocol."""
        with _store_errors():
            await records.put(self._store, self._instance, bucket, values)

    async def put_new(self, bucket: str, key: str, value: bytes) -> bool:
        """See the protocol."""
        with _store_errors():
            return await records.put_new(self._store, self._instance, bucket, key, value)

    async def replace(self, bucket: str, key: str, old: bytes, new: bytes | None) -> bool:
        """See the protocol."""
        with _store_errors():
            return await records.replace(self._store, self._instance, bucket, key, old, new)

    async def page(self, bucket: str, after: str = "", limit: int = 1_000) -> list[tuple[str, bytes]]:
        """See the protocol."""
        with _store_errors():
            return await records.page(self._store, self._instance, bucket, after, limit)


_CHANGED: Mapping[type, str] = {
    Account: "accounts",
    Product: "products",
    Sellable: "sellable",
    Credit: "credit",
    ListEntry: "lists",
}


class StoreLookup:
    """:class:`connectors.base.Lookup` in PostgreSQL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def products(self, codes: Collection[str]) -> dict[str, Product]:
        """See the protocol."""
        with _store_errors():
            return await lookup.products(self._store, codes)

    async def accounts(self, codes: Collection[str]) -> dict[str, Account]:
        """See the protocol."""
        with _store_errors():
            return await lookup.accounts(self._store, codes)

    async def accounts_of(self, *, phones: Collection[str] = (), emails: Collection[str] = ()) -> list[Account]:
        """See the protocol."""
        with _store_errors():
            return await lookup.accounts_of(self._store, phones, emails)

    async def sellable(self, products: Collection[str], warehouses: Collection[str] = ()) -> list[Sellable]:
        """See the protocol."""
        with _store_errors():
            return [Sellable(*row) for row in await lookup.sellable(self._store, products, warehouses)]

    async def credit(self, accounts: Collection[str]) -> dict[str, Credit]:
        """See the protocol."""
        with _store_errors():
            found = await lookup.credit(self._store, accounts)
        return {code: _credit(ledger) for code, ledger in found.items()}

    async def documents(self, ids: Collection[UUID]) -> dict[UUID, Document]:
        """See the protocol."""
        with _store_errors():
            return await lookup.documents(self._store, ids)

    async def decisions(self, command_ids: Collection[UUID]) -> dict[UUID, DocumentEvent]:
        """See the protocol."""
        with _store_errors():
            return await reading.decisions(self._store, list(command_ids))

    async def changes(self, kind: type[Any], cursor: str = "", limit: int = 1_000) -> Changes[Any]:
        """See the protocol."""
        with _store_errors():
            found = await lookup.changes(self._store, _CHANGED[kind], cursor, limit)
        match found.rows:
            case [AccountLedger(), *_] if kind is Credit:
                rows: list[Any] = [_credit(row) for row in found.rows]
            case [lookup.SellableRow(), *_]:
                rows = [Sellable(*row) for row in found.rows]
            case _:
                rows = found.rows
        return Changes(tuple(rows), found.place, found.more, found.reset)


def _credit(ledger: AccountLedger) -> Credit:
    return Credit(ledger.code, instant_credit(ledger), ledger.balance)


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as error:
        raise Retryable(str(error)) from error
    except StoreError as error:
        raise Rejected(str(error)) from error


class KafkaEvents:
    """:class:`connectors.base.Events`: each purpose is a consumer group ``connector.<kind>.<instance>.<purpose>``."""

    def __init__(self, kafka: Kafka, instance: str) -> None:
        self._kafka = kafka
        self._instance = instance

    @asynccontextmanager
    async def documents(
        self, purpose: str, wanted: Wanted, *, window: int = 1_000
    ) -> AsyncIterator[Reader[DocumentEvent]]:
        """See the protocol."""

        def decode(received: Received) -> DocumentEvent | None:
            value = received.value or b""
            glance = _glance.decode(value)
            kind = glance.document.kind if glance.document else ""
            return codec.decode_event(value) if wanted(glance.type, glance.source, kind) else None

        async with self._consumer(purpose, [topics.EVENTS], window) as consumer:
            yield _Decoding(consumer, decode)

    @asynccontextmanager
    async def master(
        self, purpose: str, kinds: Sequence[type[Master]], *, window: int = 1_000
    ) -> AsyncIterator[Reader[Master]]:
        """See the protocol."""
        structs: dict[str, type[Any]] = {self._kafka.topic(topics.MASTER[kind]): kind for kind in kinds}

        def decode(received: Received) -> Master | None:
            record: Master = codec.decode_as(received.value or b"", structs[received.topic])
            return record

        async with self._consumer(purpose, [topics.MASTER[kind] for kind in kinds], window) as consumer:
            yield _Decoding[Master](consumer, decode)

    @asynccontextmanager
    async def pushes(self, purpose: str, *, window: int = 1_000) -> AsyncIterator[Reader[Push]]:
        """See the protocol."""

        def decode(received: Received) -> Push | None:
            push = codec.decode_as(received.value or b"", Push)
            return push if push.connector == self._instance else None

        async with self._consumer(purpose, [topics.PUSHES], window) as consumer:
            yield _Decoding(consumer, decode)

    @asynccontextmanager
    async def _consumer(self, purpose: str, read: Sequence[Topic], window: int) -> AsyncIterator[Consumer]:
        consumer = Consumer(self._kafka, f"connector.{self._instance}.{purpose}", read, window=window)
        try:
            yield consumer
        finally:
            await consumer.close()


class _Decoding(Generic[_Message]):
    """:class:`connectors.base.Reader` on a consumer; what isn't wanted, or is no message of ours, is done at once."""

    def __init__(self, consumer: Consumer, decode: Callable[[Received], _Message | None]) -> None:
        self._consumer = consumer
        self._decode = decode
        self._open: dict[int, tuple[_Message, Received]] = {}

    async def read(self, seconds: float) -> list[_Message]:
        """See the protocol."""
        try:
            records = await self._consumer.read(seconds)
        except BusUnavailable as error:
            self._open.clear()
            raise Retryable(str(error)) from error
        messages, passed = [], []
        for record in records:
            message = self._decoded(record)
            if message is None:
                passed.append(record)
                continue
            self._open[id(message)] = message, record
            messages.append(message)
        if passed:
            await self._consumer.ack(passed)
        return messages

    def _decoded(self, record: Received) -> _Message | None:
        try:
            return self._decode(record)
        except (codec.Undecodable, msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.warning("%s %s/%s is no message of ours: %s", record.topic, record.partition, record.offset, error)
            return None

    async def ack(self, messages: Sequence[_Message]) -> None:
        """See the protocol."""
        known = [self._open.pop(id(message), None) for message in messages]
        await self._consumer.ack([each[1] for each in known if each is not None])

    def lag(self) -> int:
        """See the protocol."""
        return self._consumer.lag()


@dataclass(frozen=True, slots=True)
class Instance:
    """One ``[connectors.<kind>.<name>]`` table, read and found good."""

    kind: base.ConnectorKind
    name: str
    spec: ConnectorSpec

    @property
    def full_name(self) -> str:
        """``files.main``"""
        return f"{self.kind.name}.{self.name}"


def configured(config: Config, names: Collection[str] = ()) -> list[Instance]:
    """The configured instances; with ``names`` only those, each as ``files.main`` or, for all of a kind, ``files``.

    Raises:
        ConfigError: a table is wrong.
        Failure: a name is none of those configured, or two connections can't go together.
    """
    kinds = base.discover()
    specs = connector_specs(config, {name: kind.spec for name, kind in kinds.items()})
    found = [
        Instance(kinds[kind], name, spec) for (kind, name), spec in specs.items() if isinstance(spec, ConnectorSpec)
    ]
    for one, other in combinations(found, 2):
        if one.kind is other.kind and (why := one.spec.clash(other.spec)):
            raise Failure(f"{one.full_name} and {other.full_name} {why}.", code=2)
    for name in names:
        if not any(name in (instance.full_name, instance.kind.name) for instance in found):
            known = ", ".join(instance.full_name for instance in found) or "none"
            raise Failure(f"There is no connector {name} in the configuration.", f"Configured are: {known}.", code=2)
    return [i for i in found if not names or i.full_name in names or i.kind.name in names]


def directory(instance: Instance, data: Path) -> Path:
    """An instance's own directory."""
    return data / "connectors" / instance.full_name


def context(instance: Instance, publisher: KafkaPublisher, kafka: Kafka, store: Store, data: Path) -> Context:
    """What an instance works with; ``data`` is the directory below which it has one of its own."""
    return Context(
        kind=instance.kind.name,
        instance=instance.name,
        publisher=publisher,
        cursors=StoreCursors(store, instance.full_name),
        records=StoreRecords(store, instance.full_name),
        lookup=StoreLookup(store),
        events=KafkaEvents(kafka, instance.full_name),
        clock=utc_now,
        data=directory(instance, data),
        logger=logging.getLogger(f"connectors.{instance.full_name}"),
    )


_OF_EVERY_INSTANCE = "_dead_letters"
"""What each instance counts, whatever it connects."""


def by_instance(counters: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """What :meth:`Connectors.counters` tells, apart by instance."""
    names = [key.removesuffix(_OF_EVERY_INSTANCE) for key in counters if key.endswith(_OF_EVERY_INSTANCE)]
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    for key, count in counters.items():
        name = max((name for name in names if key.startswith(f"{name}_")), key=len)
        found[name][key.removeprefix(f"{name}_")] = count
    return found


class Connectors:
    """The given instances, in this process. ``data`` is the directory below which each gets one of its own."""

    def __init__(self, instances: Sequence[Instance], kafka: Kafka, store: Store, data: Path) -> None:
        self._store = store
        self._producer = Producer(kafka)
        self._seats = [_Seat(instance, self._producer, kafka, store, data) for instance in instances]

    def counters(self) -> dict[str, int]:
        """What Kafka has acknowledged since the start, and how each instance gets on, by instance and sort."""
        return {
            f"{seat.name}_{what}": count
            for seat in self._seats
            for what, count in (*seat.publisher.counts.items(), *seat.vitals().items())
        }

    async def check(self, seconds: float) -> dict[str, str | None]:
        """For each instance what is wrong with its connection, None if nothing; nothing is written anywhere."""
        return {seat.name: await seat.check(seconds) for seat in self._seats}

    async def run(self, stop: asyncio.Event) -> None:
        """Keep every instance running until ``stop`` is set, then end them all within a few seconds."""
        tasks = [asyncio.create_task(seat.run(), name=seat.name) for seat in self._seats]
        tasks.append(asyncio.create_task(self._keep_leases(), name="leases"))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopped, *tasks):
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await self._producer.stop()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _keep_leases(self) -> None:
        """Let each instance run while this process holds its name. A database that is away stops nobody."""
        outage = Outage("the database of leases", logger)
        while True:
            try:
                async with leases.session(self._store) as session:
                    outage.up()
                    while True:
                        for seat in self._seats:
                            seat.allow(await session.take(seat.name))
                        await session.check()
                        await asyncio.sleep(LEASE_SECONDS)
            except StoreError as error:
                outage.down(error)
            await asyncio.sleep(LEASE_SECONDS)


async def run_connectors(
    config: Config, kafka: Kafka, store: Store, stop: asyncio.Event, *, data: Path, names: Collection[str] = ()
) -> None:
    """Run the configured instances (:func:`configured`) until ``stop`` is set."""
    await Connectors(configured(config, names), kafka, store, data).run(stop)


@dataclass(slots=True)
class _Seat:
    """One instance in this process: waits for its lease, runs, and is started again when it fails."""

    instance: Instance
    producer: Producer
    kafka: Kafka
    store: Store
    data: Path
    publisher: KafkaPublisher = field(init=False)
    _allowed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _revoked: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _waited: bool = field(default=False, init=False)
    _running: Connector[Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.publisher = KafkaPublisher(self.producer)

    @property
    def name(self) -> str:
        return self.instance.full_name

    def allow(self, allowed: bool) -> None:
        """Whether this process is the one that runs the instance."""
        if allowed:
            self._allowed.set()
            self._revoked.clear()
            return
        if not self._waited:
            logger.info("%s is run by another process; this one takes over when that ends", self.name)
        self._waited = True
        self._allowed.clear()
        self._revoked.set()

    def vitals(self) -> Mapping[str, int]:
        """How the instance gets on; nothing while it isn't at work here."""
        return self._running.vitals() if self._running is not None else {}

    async def check(self, seconds: float) -> str | None:
        try:
            async with asyncio.timeout(seconds):
                await self._connector().check()
        except ConnectorError as error:
            return redact(str(error))
        except TimeoutError:
            return f"no answer within {seconds:g} seconds"
        return None

    async def run(self) -> None:
        """Until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            await self._allowed.wait()
            began = time.monotonic()
            failure = await self._run_once()
            if failure is None:
                continue
            if time.monotonic() - began >= STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            unexpected = None if isinstance(failure, ConnectorError) else failure
            logger.error(
                "%s failed and is started again in %g s: %s", self.name, pause, _words(failure), exc_info=unexpected
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _run_once(self) -> Exception | None:
        """What ended the connector; None if another process runs it now."""
        running = asyncio.create_task(self._work(), name=f"{self.name} at work")
        revoked = asyncio.create_task(self._revoked.wait())
        try:
            await asyncio.wait([running, revoked], return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                logger.warning("%s is run by another process now", self.name)
                return None
            failure = running.exception()
            return failure if isinstance(failure, Exception) else Rejected("it ended by itself")
        finally:
            revoked.cancel()
            await self._ended(running)

    async def _work(self) -> None:
        await asyncio.to_thread(directory(self.instance, self.data).mkdir, parents=True, exist_ok=True)
        logger.info("%s is at work", self.name)
        self._running = self._connector()
        try:
            await self._running.run()
        finally:
            self._running = None

    async def _ended(self, running: "asyncio.Task[None]") -> None:
        running.cancel()
        _, pending = await asyncio.wait([running], timeout=STOP_SECONDS)
        if pending:
            logger.error("%s did not end within %g s and is left behind", self.name, STOP_SECONDS)

    def _connector(self) -> Connector[Any]:
        around = context(self.instance, self.publisher, self.kafka, self.store, self.data)
        return self.instance.kind.connector(self.instance.spec, around)


def _words(failure: Exception) -> str:
    return redact(str(failure) or type(failure).__name__)
