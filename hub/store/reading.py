"""What people and systems ask to see. Nothing here locks or changes anything."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from hub.store import deciding
from hub.store.pool import Store
from schemas import codec, waits
from schemas.documents import Document, State
from schemas.events import DocumentEvent
from schemas.ledger import Needs, Snapshot
from schemas.master import CodeList, ListEntry
from schemas.waits import Wait

_DOCUMENTS = f"""
select d.event, r.value
from documents x
join decisions d on d.document_id = x.id and d.step = x.step and not d.refused
left join connector_records r on x.state = '{State.POSTING}' and r.instance = d.event ->> 'actor'
    and r.bucket = '{waits.BUCKET}' and r.key = '{waits.KEY}'
where {{where}}
order by x.received_at desc, x.id desc
limit {{limit}}
"""

_STOCK = """
select s.product, p.name as product_name, s.warehouse, s.attribute, coalesce(own.name, every.name) as attribute_name,
       s.in_books, s.incoming, s.reserved, s.as_of
from stock s left join products p on p.code = s.product
left join list_entries own on (own.list, own.code, own.product) = ('attribute', s.attribute, s.product)
left join list_entries every on (every.list, every.code, every.product) = ('attribute', s.attribute, '')
where {where}
order by s.product, s.warehouse, s.attribute
limit {limit}
"""


class DocumentFilter(NamedTuple):
    """Which documents to list; None means any. Dates are of the document, both ends included."""

    source: str | None = None
    source_id: str | None = None
    kind: str | None = None
    state: str | None = None
    account: str | None = None
    since: date | None = None
    until: date | None = None
    after: tuple[datetime, UUID] | None = None
    """The last row of the page before: (received at, id)."""


class StockFilter(NamedTuple):
    """Which stock rows to list; ``after`` is the key of the last row of the page before."""

    product: str | None = None
    warehouse: str | None = None
    after: tuple[str, str, str] | None = None


class StockRow(NamedTuple):
    """One row of stock as people see it."""

    product: str
    product_name: str | None
    warehouse: str
    attribute: str
    attribute_name: str | None
    in_books: Decimal
    incoming: Decimal
    reserved: Decimal
    as_of: datetime | None

    @property
    def on_hand(self) -> Decimal:
        return self.in_books + self.incoming

    @property
    def sellable(self) -> Decimal:
        return max(self.in_books + self.incoming - self.reserved, Decimal(0))


async def document(store: Store, document_id: UUID) -> Document | None:
    """A document as it now is."""
    async with store.connection() as connection:
        row = await connection.fetchrow(_DOCUMENTS.format(where="x.id = $1", limit=1), document_id)
    return _document(row) if row else None


def _document(row: Any) -> Document | None:
    """A document as it now is; if it waits to be posted, with what it waits for."""
    document = codec.decode_event(row[0].encode()).document
    if document is None or row[1] is None:
        return document
    return msgspec.json.decode(row[1], type=Wait).shown_on(document)


async def find_document(store: Store, source: str | None, source_id: str) -> list[UUID]:
    """The ids of documents with a source's own id."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            "select id from documents where source_id = $1 and ($2::text is null or source = $2) order by id",
            source_id,
            source,
        )
    return [row[0] for row in rows]


async def history(store: Store, document_id: UUID) -> list[DocumentEvent]:
    """Everything decided about a document, refused commands too, in order."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            "select event from decisions where document_id = $1 order by step, refused, recorded_at, command_id",
            document_id,
        )
    return [codec.decode_event(row[0].encode()) for row in rows]


async def decision(store: Store, command_id: UUID) -> DocumentEvent | None:
    """What was decided about a command; None if it wasn't yet."""
    async with store.connection() as connection:
        event = await connection.fetchval("select event from decisions where command_id = $1", command_id)
    return codec.decode_event(event.encode()) if event else None


async def decisions(store: Store, command_ids: Sequence[UUID]) -> dict[UUID, DocumentEvent]:
    """What was decided about each of these commands; those not decided yet aren't in the answer."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            "select command_id, event from decisions where command_id = any($1::uuid[])", list(command_ids)
        )
    return {row[0]: codec.decode_event(row[1].encode()) for row in rows}


async def present(store: Store, document_ids: Collection[UUID]) -> set[UUID]:
    """Those of these documents that are there, whatever became of them."""
    async with store.connection() as connection:
        rows = await connection.fetch("select id from documents where id = any($1::uuid[])", list(document_ids))
    return {row[0] for row in rows}


async def documents(store: Store, wanted: DocumentFilter, limit: int) -> list[Document]:
    """Documents, the newest first."""
    conditions: list[str] = ["true"]
    values: list[Any] = []

    def where(condition: str, *given: Any) -> None:
        places = (f"${len(values) + 1 + offset}" for offset in range(len(given)))
        conditions.append(condition.format(*places))
        values.extend(given)

    for column in ("source", "source_id", "kind", "state", "account"):
        value = getattr(wanted, column)
        if value is not None:
            where(f"x.{column} = {{}}", value)
    if wanted.since:
        where("x.document_date >= {}", wanted.since)
    if wanted.until:
        where("x.document_date <= {}", wanted.until)
    if wanted.after:
        where("(x.received_at, x.id) < ({}, {})", *wanted.after)
    query = _DOCUMENTS.format(where=" and ".join(conditions), limit=int(limit))
    async with store.connection() as connection:
        rows = await connection.fetch(query, *values)
    return [document for row in rows if (document := _document(row)) is not None]


async def stock(store: Store, wanted: StockFilter, limit: int) -> list[StockRow]:
    """Stock rows by product, warehouse and attribute."""
    conditions = ["true"]
    values: list[Any] = []
    if wanted.product is not None:
        values.append(wanted.product)
        conditions.append(f"s.product = ${len(values)}")
    if wanted.warehouse is not None:
        values.append(wanted.warehouse)
        conditions.append(f"s.warehouse = ${len(values)}")
    if wanted.after is not None:
        values.extend(wanted.after)
        n = len(values)
        conditions.append(f"(s.product, s.warehouse, s.attribute) > (${n - 2}, ${n - 1}, ${n})")
    query = _STOCK.format(where=" and ".join(conditions), limit=int(limit))
    async with store.connection() as connection:
        return [StockRow(*row) for row in await connection.fetch(query, *values)]


async def entries(store: Store, of: CodeList | None, after: tuple[str, str, str] | None, limit: int) -> list[ListEntry]:
    """The entries of a list, or of all, by list, code and product, from behind ``after`` on."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            "select list, code, name, product, parent, active from list_entries "
            "where ($1::text is null or list = $1) and (list, code, product) > ($2, $3, $4) "
            "order by list, code, product limit $5",
            of,
            *(after or ("", "", "")),
            limit,
        )
    return [ListEntry(CodeList(row[0]), *row[1:]) for row in rows]


async def snapshot(store: Store, needs: Needs) -> Snapshot:
    """What the rules need, read without locks: for a preview, and for an account's credit."""
    async with store.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        return await deciding.read(connection, needs, store.products, lock=False)


async def counts(store: Store, source: str | None = None) -> dict[str, int]:
    """How many documents, of one source or of all, stand in each state."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            "select state, count(*) from documents where $1::text is null or source = $1 group by state", source
        )
    return {row[0]: row[1] for row in rows}


async def names(store: Store, table: str, codes: Sequence[str]) -> dict[str, str]:
    """The names of products, warehouses or accounts by code."""
    if table not in ("products", "warehouses", "accounts"):
        raise ValueError(f"no names are kept in {table!r}")
    async with store.connection() as connection:
        rows = await connection.fetch(f"select code, name from {table} where code = any($1::text[])", list(codes))
    return {row[0]: row[1] for row in rows}
