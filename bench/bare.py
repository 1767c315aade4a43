"""The mark: the least a loop can do that reads, decides something, remembers it and publishes, in batches.

No Faust and none of our rules: a price times a quantity, stock and credit compared. It is KAFKA.md's bare loop: known
commands looked up, account and stock rows locked, documents, lines, reservations and decisions by COPY, stock and
credit updated, all in one transaction; then the events produced by an idempotent producer and acknowledged. Nothing
of it is tuned: arrays as parameters, CPython's own thresholds of the garbage collector, one batch after the other.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from aiokafka import AIOKafkaProducer

from bench import company
from hub.bus.settings import Kafka
from schemas import topics

SCHEMA = """
create table accounts (code text primary key, credit bigint not null, held bigint not null default 0);
create table stock (
    product text, warehouse text, on_hand numeric(20, 5) not null, reserved numeric(20, 5) not null default 0,
    primary key (product, warehouse)
);
create table documents (
    id uuid primary key, account text not null, warehouse text not null, state text not null, total bigint not null
);
create table lines (
    document_id uuid, number integer, product text not null, quantity numeric(20, 5) not null, price bigint not null,
    amount bigint not null, primary key (document_id, number)
);
create table reservations (
    document_id uuid, number integer, product text not null, warehouse text not null, quantity numeric(20, 5) not null,
    primary key (document_id, number)
);
create table decisions (command_id uuid primary key, document_id uuid not null, event bytea not null);
"""

_KNOWN = "select command_id from decisions where command_id = any($1::uuid[])"
_ACCOUNTS = "select code, credit, held from accounts where code = any($1::text[]) order by code for update"
_STOCK = """
select product, warehouse, on_hand, reserved
from unnest($1::text[], $2::text[]) as k (product, warehouse) join stock s using (product, warehouse)
order by product, warehouse for update of s
"""
_UPDATE_ACCOUNTS = """
update accounts a set held = v.held from unnest($1::text[], $2::bigint[]) as v (code, held) where a.code = v.code
"""
_UPDATE_STOCK = """
update stock s set reserved = v.reserved
from unnest($1::text[], $2::text[], $3::numeric[]) as v (product, warehouse, reserved)
where s.product = v.product and s.warehouse = v.warehouse
"""


class _Line(msgspec.Struct):
    product: str
    quantity: Decimal
    unit_price: int


class _Order(msgspec.Struct):
    account: str
    warehouse: str
    lines: list[_Line]


class _Command(msgspec.Struct):
    command_id: UUID
    document_id: UUID
    document: _Order


class _Event(msgspec.Struct):
    command_id: UUID
    document_id: UUID
    state: str
    total: int


_decode = msgspec.json.Decoder(_Command).decode
_encode = msgspec.json.Encoder().encode


async def load(dsn: str) -> None:
    """Put the schema and the company into an empty database."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(SCHEMA)
        await connection.copy_records_to_table(
            "accounts", records=[(code, company.CREDIT) for code in company.ACCOUNTS], columns=("code", "credit")
        )
        await connection.copy_records_to_table(
            "stock",
            records=[(p, w, Decimal(company.ON_HAND)) for p in company.PRODUCTS for w in company.WAREHOUSES],
            columns=("product", "warehouse", "on_hand"),
        )
    finally:
        await connection.close()


class BareLoop:
    """What is done with each batch; made by :func:`started`."""

    def __init__(self, connection: Any, producer: Any, events_topic: str) -> None:
        self._connection = connection
        self._producer = producer
        self._events_topic = events_topic

    async def handle(self, records: Sequence[Any]) -> None:
        """Decide a batch and return when its events are acknowledged."""
        commands = [_decode(record.value) for record in records]
        async with self._connection.transaction():
            known = {row[0] for row in await self._connection.fetch(_KNOWN, [c.command_id for c in commands])}
            events = await self._decide([command for command in commands if command.command_id not in known])
        deliveries = [await self._producer.send(self._events_topic, event, key=key) for key, event in events]
        for delivery in deliveries:
            await delivery

    async def _decide(self, commands: Sequence[_Command]) -> list[tuple[bytes, bytes]]:
        accounts = await self._accounts({c.document.account for c in commands})
        stock = await self._stock({(i.product, c.document.warehouse) for c in commands for i in c.document.lines})
        events, documents, lines, reservations, decisions = [], [], [], [], []
        for command in commands:
            order, id_ = command.document, command.document_id
            total = sum(int(line.quantity * line.unit_price) for line in order.lines)
            levels = [stock[line.product, order.warehouse] for line in order.lines]
            account = accounts[order.account]
            enough = all(lv[0] - lv[1] >= line.quantity for lv, line in zip(levels, order.lines, strict=True))
            state = "cleared" if enough and account[0] - account[1] >= total else "rejected"
            if state == "cleared":
                account[1] += total
                for number, (level, line) in enumerate(zip(levels, order.lines, strict=True), 1):
                    level[1] += line.quantity
                    reservations.append((id_, number, line.product, order.warehouse, line.quantity))
            documents.append((id_, order.account, order.warehouse, state, total))
            for number, line in enumerate(order.lines, 1):
                amount = int(line.quantity * line.unit_price)
                lines.append((id_, number, line.product, line.quantity, line.unit_price, amount))
            event = _encode(_Event(command.command_id, id_, state, total))
            decisions.append((command.command_id, id_, event))
            events.append((str(id_).encode(), event))
        copy = self._connection.copy_records_to_table
        await copy("documents", records=documents)
        await copy("lines", records=lines)
        await copy("reservations", records=reservations)
        await copy("decisions", records=decisions)
        await self._connection.execute(
            _UPDATE_STOCK, [k[0] for k in stock], [k[1] for k in stock], [level[1] for level in stock.values()]
        )
        await self._connection.execute(_UPDATE_ACCOUNTS, list(accounts), [row[1] for row in accounts.values()])
        return events

    async def _accounts(self, codes: set[str]) -> dict[str, list[int]]:
        rows = await self._connection.fetch(_ACCOUNTS, sorted(codes))
        return {code: [credit, held] for code, credit, held in rows}

    async def _stock(self, keys: set[tuple[str, str]]) -> dict[tuple[str, str], list[Decimal]]:
        ordered = sorted(keys)
        rows = await self._connection.fetch(_STOCK, [key[0] for key in ordered], [key[1] for key in ordered])
        return {(product, warehouse): [on_hand, reserved] for product, warehouse, on_hand, reserved in rows}


async def started(kafka: Kafka, dsn: str) -> BareLoop:
    """The loop with its connection and its producer, which live as long as the process."""
    producer = AIOKafkaProducer(
        **kafka.client_options(), acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=256 * 1024
    )
    await producer.start()
    return BareLoop(await asyncpg.connect(dsn), producer, kafka.topic(topics.EVENTS))
