"""What the crash tests feed, start, kill and hold to account."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError

from hub.bus.errors import Unavailable
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from hub.bus.topics import admin
from hub.store import master
from hub.store.pool import Store
from schemas import codec, ids, topics
from schemas.commands import Amend, AnyCommand, Approve, Cancel, Content, Submit
from schemas.documents import DocumentRequest, Kind, LineRequest, Method, Payment
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.master import Account, Finance, Product, Stock, Warehouse
from tests.store.company import disagreements

WORKER = Path(__file__).parent / "worker.py"
ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
SOURCE = "chaos"
PATIENCE = 120.0

KINDS = (
    *(Kind.SALES_INVOICE, Kind.SALES_ORDER, Kind.TRANSFER, Kind.SALES_INVOICE, Kind.GOODS_RECEIPT, Kind.SALES_RETURN),
    *(Kind.SALES_INVOICE, Kind.RECEIPT, Kind.GOODS_ISSUE, Kind.PURCHASE_INVOICE, Kind.QUOTE),
)
"""A document's kind goes by its number, so that its amendments have the same."""
WITHOUT_ACCOUNT = (Kind.TRANSFER, Kind.GOODS_RECEIPT, Kind.GOODS_ISSUE)

TABLES = ("accounts", "stock", "documents", "document_lines", "movements", "credit_holds", "decisions")


async def fill(store: Store) -> None:
    """A company small enough that documents meet: 40 products in 2 warehouses, 15 accounts, little stock and credit."""
    yesterday = NOW - timedelta(days=1)
    await master.apply(store, [Warehouse("W1", "یک"), Warehouse("W2", "دو")])
    await master.apply(store, [Product(f"P{n}", f"کالا {n}", price=10_000) for n in range(40)])
    await master.apply(store, [Account(f"A{n}", f"حساب {n}") for n in range(15)])
    await master.apply(store, [Finance(f"A{n}", yesterday, direct=20_000_000) for n in range(15)])
    await master.apply(
        store, [Stock(f"P{n}", warehouse, Decimal(400), yesterday) for n in range(40) for warehouse in ("W1", "W2")]
    )


def commands(documents: int, seed: int) -> list[AnyCommand]:
    """So many documents on shared products and accounts, and what is asked of them in between: a third as many commands
    again, in an order a source might send them."""
    return Source(seed).commands(documents)


class Source:
    """Somebody who sends documents, and remembers which of them were sales."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._revisions: dict[str, int] = {}
        self._sales: list[tuple[str, str, str]] = []

    def commands(self, documents: int) -> list[AnyCommand]:
        made: list[AnyCommand] = []
        while len(self._revisions) < documents:
            if self._revisions and self._draw.random() < 0.25:
                source_id = self._draw.choice(list(self._revisions))
                made.append(_on_document(self._draw, source_id, len(made), self._revisions, self._content))
            else:
                source_id = f"D{len(self._revisions)}"
                self._revisions[source_id] = 1
                made.append(self._content(Submit, source_id, 1))
        return made

    def _content(self, command: type[Submit | Amend], source_id: str, revision: int) -> Content:
        draw = self._draw
        kind = KINDS[int(source_id[1:]) % len(KINDS)]
        receipt = kind is Kind.RECEIPT
        account = None if kind in WITHOUT_ACCOUNT else f"A{draw.randrange(15)}"
        products = [f"P{product}" for product in draw.sample(range(40), draw.randrange(1, 4))]
        original = None
        if kind is Kind.SALES_RETURN and self._sales:
            original, account, product = draw.choice(self._sales)
            products = [product]
        elif kind in (Kind.SALES_INVOICE, Kind.SALES_ORDER):
            self._sales.append((source_id, account or "", products[0]))
        request = DocumentRequest(
            source_id=source_id,
            kind=kind,
            date=date(2026, 11, 1),
            account=account,
            payment=draw.choice(list(Payment)),
            warehouse=None if receipt else "W1",
            to_warehouse="W2" if kind is Kind.TRANSFER else None,
            original=original,
            original_date=date(2026, 10, 1) if kind is Kind.SALES_RETURN and original is None else None,
            amount=draw.randrange(1, 2_000_000) if receipt else None,
            method=draw.choice(list(Method)) if receipt else None,
            revision=revision,
            lines=()
            if receipt
            else tuple(
                LineRequest(product, Decimal(draw.randrange(1, 4_000)) / 100, draw.randrange(1, 90_000))
                for product in products
            ),
        )
        return command.of(request, source=SOURCE, actor="chaos", now=NOW)


def _on_document(
    draw: random.Random,
    source_id: str,
    nth: int,
    revisions: dict[str, int],
    content: Callable[[type[Amend], str, int], Content],
) -> AnyCommand:
    kind = draw.choice([Amend, Approve, Cancel])
    if kind is Amend:
        revisions[source_id] += 1
        return content(Amend, source_id, revisions[source_id])
    document = ids.document_id(SOURCE, source_id)
    return kind(
        command_id=ids.command_id(document, kind.__name__, nth),
        document_id=document,
        source=SOURCE,
        source_id=source_id,
        revision=revisions[source_id],
        occurred_at=NOW,
        recorded_at=NOW,
        actor="chaos",
    )


async def feed(kafka: Kafka, sent: Sequence[AnyCommand]) -> None:
    """Publish the commands in their order, each acknowledged; what wasn't is sent again, as a source would."""
    producer = Producer(kafka)
    try:
        for start in range(0, len(sent), 50):
            records = [
                Outgoing(topics.COMMANDS, str(command.document_id).encode(), codec.encode(command))
                for command in sent[start : start + 50]
            ]
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        await producer.publish(records)
                        break
                    except Unavailable:
                        await asyncio.sleep(0.05)
    finally:
        await producer.stop()


class Worker:
    """The worker's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def died(self) -> int:
        """Wait for it to end; minus the signal that ended it, or its exit code."""
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def worker(kafka: Kafka, dsn: str, point: str = "none", spared: int = 0) -> AsyncIterator[Worker]:
    """A worker at work; told to stop on leaving, if it is still there, and killed if it doesn't."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(WORKER), kafka.bootstrap, kafka.prefix, dsn, point, str(spared),
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        yield Worker(process)
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until_decided(dsn: str, count: int) -> None:
    """Wait until so many commands are decided, however often the database goes away meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while await _decided(dsn) < count:
            await asyncio.sleep(0.005)


async def _decided(dsn: str) -> int:
    try:
        return int(await _fetchval(dsn, "select count(*) from decisions"))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return -1


async def _fetchval(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def until_shared(kafka: Kafka, members: int) -> None:
    """Wait until so many workers share the partitions among them."""
    async with asyncio.timeout(PATIENCE), admin(kafka) as client:
        while True:
            with contextlib.suppress(GroupCoordinatorNotAvailableError):  # a new cluster's first group
                (answer,) = await client.describe_consumer_groups([f"{kafka.prefix}streams"])
                ((_, _, state, _, _, found, *_),) = answer.groups
                if state == "Stable" and len(found) == members:
                    return
            await asyncio.sleep(0.05)


async def until_someone_waits(dsn: str) -> None:
    """Wait until a connection of this database waits for a lock."""
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(PATIENCE):
        while not await _fetchval(dsn, waiting):
            await asyncio.sleep(0.02)


async def until_published(kafka: Kafka, count: int) -> None:
    """Wait until so many different events are on their topic."""
    async with asyncio.timeout(PATIENCE):
        while len({value for _, _, value in await read_topic(kafka, topics.EVENTS)}) < count:
            await asyncio.sleep(0.1)


async def until_ended_at(kafka: Kafka, topic: topics.Topic, records: int) -> None:
    """Wait until a topic has so many records."""
    async with asyncio.timeout(PATIENCE):
        while len(await read_topic(kafka, topic)) < records:
            await asyncio.sleep(0.1)


async def dump(dsn: str) -> dict[str, str]:
    """A digest of each table's rows."""
    digests = {}
    for table in TABLES:
        query = f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {table} t"
        digests[table] = str(await _fetchval(dsn, query))
    return digests


async def read_topic(kafka: Kafka, topic: topics.Topic) -> list[tuple[int, bytes, bytes]]:
    """Everything on a topic: partition, key, value."""
    consumer = AIOKafkaConsumer(**kafka.client_options(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(kafka.topic(topic), number) for number in range(topic.partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                found += [(place.partition, record.key, record.value) for record in records]
        return found
    finally:
        await consumer.stop()


async def hold_to_account(kafka: Kafka, dsn: str, sent: Sequence[AnyCommand]) -> dict[str, int]:
    """Every promise of DESIGN.md "Decided once", after all has been decided; answers what was counted."""
    connection = await asyncpg.connect(dsn)
    try:
        decided = [row[0] for row in await connection.fetch("select command_id from decisions")]
        assert sorted(decided) == sorted({command.command_id for command in sent})
        stored = {row[0]: row[1] for row in await connection.fetch("select id, step from documents")}
    finally:
        await connection.close()
    await _sums(dsn)

    events: dict[UUID, bytes] = {}
    repeats = 0
    steps: dict[tuple[UUID, int], UUID] = {}
    last_step: defaultdict[UUID, int] = defaultdict(int)
    for _, _, value in await read_topic(kafka, topics.EVENTS):
        event = codec.decode_event(value)
        if event.event_id in events:
            repeats += 1
            assert events[event.event_id] == value, "the same id came with other content"
            continue
        events[event.event_id] = value
        if event.type != COMMAND_REFUSED:
            assert steps.setdefault((event.document_id, event.step), event.event_id) == event.event_id
            assert event.step == last_step[event.document_id] + 1, "a document's events came out of order"
            last_step[event.document_id] = event.step
    assert len(events) == len(decided)
    assert dict(last_step) == stored

    latest = {UUID(key.decode()): value for _, key, value in await read_topic(kafka, topics.LATEST)}
    now = {event.document_id: event.document for event in map(_event, events.values()) if _is_now(event, stored)}
    assert latest.keys() == now.keys()
    assert all(codec.decode_document(value) == now[document_id] for document_id, value in latest.items())
    return {
        "documents": len(stored),
        "commands": len(sent),
        "decisions": len(decided),
        "events": len(events),
        "repeated": repeats,
    }


def _event(value: bytes) -> DocumentEvent:
    return codec.decode_event(value)


def _is_now(event: DocumentEvent, stored: dict[UUID, int]) -> bool:
    return event.type != COMMAND_REFUSED and event.step == stored[event.document_id]


async def _sums(dsn: str) -> None:
    """Stock and credit add up, and nobody was promised what isn't there."""
    store = Store(dsn)
    await store.open()
    try:
        assert await disagreements(store) == []
    finally:
        await store.close()
    assert not await _fetchval(dsn, "select count(*) from stock where reserved > in_books + incoming")
    overdrawn = """
        select count(*) from accounts a
        where a.direct + a.documentary - a.balance - a.uncleared_cheques - a.held < 0 and not exists (
            select from documents d join decisions e on e.document_id = d.id
            where d.account = a.code and e.event ->> 'command' = 'approve' and not e.refused)
    """
    assert not await _fetchval(dsn, overdrawn)
