"""The one transaction a decision is made in: what was decided before, what the rules need, what they changed."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from hub.store import locks, texts
from hub.store.errors import Unacceptable, Unavailable
from hub.store.products import ProductCache
from schemas import codec, topics
from schemas.documents import Document, Kind
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.ledger import (
    AccountLedger,
    CreditHold,
    Movement,
    Needs,
    Original,
    Snapshot,
    Standing,
    StockKey,
    StockLevel,
    Taken,
)
from schemas.master import Warehouse

_KNOWN = """
select d.command_id, d.event, now.event as latest
from decisions d
left join documents x on x.id = d.document_id and not d.refused
left join decisions now on now.document_id = x.id and now.step = x.step and not now.refused
where d.command_id = any($1::uuid[])
"""

_STANDING = """
select x.id, x.content_id, d.event
from documents x
join decisions d on d.document_id = x.id and d.step = x.step and not d.refused
where x.id = any($1::uuid[])
"""

_MOVEMENTS = """
select document_id, line, product, warehouse, attribute, quantity, outgoing, posted_at
from movements where document_id = any($1::uuid[])
"""

_HOLDS = """
select document_id, account, amount, posted_at from credit_holds where document_id = any($1::uuid[])
"""

_TAKEN_OF = """
select r.original_id, r.kind, l.product, l.attribute, sum(l.quantity),
       coalesce(sum(l.quantity) filter (where r.state not in ('held', 'backordered')), 0)
from documents r join document_lines l on l.document_id = r.id
where r.original_id = any($1::uuid[]) and r.state not in ('rejected', 'cancelled', 'expired')
group by 1, 2, 3, 4
"""

_RETURNED_OF_INVOICES = """
select i.original_id, l.product, l.attribute, sum(l.quantity)
from documents i join documents r on r.original_id = i.id join document_lines l on l.document_id = r.id
where i.original_id = any($1::uuid[]) and i.kind = 'sales_invoice'
    and r.kind = 'sales_return' and r.state not in ('rejected', 'cancelled', 'expired')
group by 1, 2, 3
"""

_WAREHOUSES = "select code, name, active from warehouses where code = any($1::text[])"

_ENSURE_STOCK = """
insert into stock (product, warehouse, attribute)
select k.product, k.warehouse, k.attribute
from unnest($1::text[], $2::text[], $3::text[]) as k (product, warehouse, attribute)
join products p on p.code = k.product
join warehouses w on w.code = k.warehouse
order by 1, 2, 3
on conflict do nothing
"""

_UPDATE_STOCK = """
update stock s set incoming = v.incoming::numeric, reserved = v.reserved::numeric
from unnest(string_to_array($1, $6), string_to_array($2, $6), string_to_array($3, $6),
            string_to_array($4, $6), string_to_array($5, $6)) as v (product, warehouse, attribute, incoming, reserved)
where s.product = v.product and s.warehouse = v.warehouse and s.attribute = v.attribute
"""

_UPDATE_ACCOUNTS = """
update accounts a set held = v.held
from unnest($1::text[], $2::bigint[]) as v (code, held)
where a.code = v.code
"""

_UPDATE_DOCUMENTS = """
update documents set state = $2, revision = $3, step = $4, document_date = $5, account = $6, payable = $7,
                     content_id = $8, original_id = $9, posting_number = $10, expires_at = $11, changed_at = $12
where id = $1
"""

_FORGET = (
    "delete from document_lines where document_id = any($1::uuid[])",
    "delete from movements where document_id = any($1::uuid[])",
    "delete from credit_holds where document_id = any($1::uuid[])",
)

_DOCUMENT_COLUMNS = (
    "id", "source", "source_id", "kind", "state", "revision", "step", "document_date", "account", "payable",
    "content_id", "original_id", "posting_number", "expires_at", "received_at", "changed_at",
)  # fmt: skip
_LINE_COLUMNS = (
    "document_id", "number", "product", "warehouse", "attribute", "quantity", "short", "unit_price", "discount",
    "net", "vat", "duty",
)  # fmt: skip
_MOVEMENT_COLUMNS = (
    "document_id", "line", "outgoing", "product", "warehouse", "attribute", "quantity", "posted_at",
)  # fmt: skip
_HOLD_COLUMNS = ("document_id", "account", "amount", "posted_at")
_DECISION_COLUMNS = ("command_id", "document_id", "step", "refused", "recorded_at", "event")

MAX_EVENT_BYTES = topics.EVENTS.max_bytes - 64 * 1024
"""What fits the topic of the events together with its key and Kafka's own bytes: a decision that can't be told mustn't
be made."""

_Row = tuple[Any, ...]


class Decided(NamedTuple):
    """What is published for one decided command: its event, and its document as it now is (None after a refusal)."""

    document_id: UUID
    event: bytes
    latest: bytes | None


async def ensure_stock(connection: Any, keys: Iterable[StockKey]) -> None:
    """Make stock rows that are missing, of known products and warehouses.

    Outside the deciding transaction: a row made inside it would be locked out of key order.
    """
    ordered = sorted(keys)
    if ordered:
        await connection.execute(_ENSURE_STOCK, *map(list, zip(*ordered, strict=True)))


async def known(connection: Any, command_ids: Collection[UUID]) -> dict[UUID, Decided]:
    """What was decided before about these commands, as it was published, with the documents as they now are."""
    found = {}
    for row in await connection.fetch(_KNOWN, list(command_ids)):
        event = codec.decode_event(row["event"].encode())
        latest = codec.decode_event(row["latest"].encode()).document if row["latest"] else None
        found[row["command_id"]] = Decided(
            event.document_id, row["event"].encode(), codec.encode(latest) if latest else None
        )
    return found


async def read(connection: Any, needs: Needs, products: ProductCache, *, lock: bool = True) -> Snapshot:
    """Everything the rules need, under lock for a decision or without for a preview."""
    wanted = needs.documents | needs.originals
    existing = await locks.documents(connection, wanted) if lock else wanted
    # One that came into being since is as good as not there: nobody holds its lock.
    absent = wanted - existing
    documents: dict[UUID, Standing] = {}
    if here := list(needs.documents & existing | existing - wanted):
        documents = await _standings(connection, here)
        for standing in documents.values():
            needs.add_document(standing.document)
        if lock:
            await _require_orders(connection, documents)
    originals = await _originals(connection, list(needs.originals - absent)) if needs.originals - absent else {}
    return Snapshot(
        documents=documents,
        originals=originals,
        products=await products.get(connection, needs.products),
        warehouses=await _warehouses(connection, needs.warehouses),
        accounts=await locks.accounts(connection, needs.accounts, lock=lock),
        stock=await locks.stock(connection, needs.stock, lock=lock),
    )


async def _require_orders(connection: Any, locked: Mapping[UUID, Standing]) -> None:
    """The order of an invoice is locked with it, unless another transaction only now said which it is (or the hub
    never saw it). Raises Unavailable: read again, it is."""
    documents = [standing.document for standing in locked.values()]
    orders = {each.original_id for each in documents if each.kind is Kind.SALES_INVOICE and each.original_id}
    missing = list(orders - locked.keys())
    if missing and await connection.fetchval("select exists (select from documents where id = any($1))", missing):
        raise Unavailable("an invoice was given its order in this very moment")


async def _standings(connection: Any, ids: list[UUID]) -> dict[UUID, Standing]:
    movements: dict[UUID, list[Movement]] = {}
    for row in await connection.fetch(_MOVEMENTS, ids):
        key = StockKey(row["product"], row["warehouse"], row["attribute"])
        movement = Movement(row["document_id"], row["line"], key, row["quantity"], row["outgoing"], row["posted_at"])
        movements.setdefault(movement.document_id, []).append(movement)
    holds = {row["document_id"]: CreditHold(*row) for row in await connection.fetch(_HOLDS, ids)}
    found = {}
    for row in await connection.fetch(_STANDING, ids):
        document = codec.decode_event(row["event"].encode()).document
        if document is not None:
            found[document.id] = Standing(
                document, row["content_id"], tuple(movements.get(document.id, ())), holds.get(document.id)
            )
    return found


async def _originals(connection: Any, ids: list[UUID]) -> dict[UUID, Original]:
    taken: defaultdict[UUID, Taken] = defaultdict(Taken)
    for original_id, kind, product, attribute, quantity, taking_credit in await connection.fetch(_TAKEN_OF, ids):
        of_it = taken[original_id]
        if kind == Kind.SALES_INVOICE:
            of_it.invoiced[product, attribute] = quantity
            of_it.charged[product, attribute] = taking_credit
        else:
            of_it.returned[product, attribute] = quantity
    for original_id, product, attribute, quantity in await connection.fetch(_RETURNED_OF_INVOICES, ids):
        taken[original_id].brought_back[product, attribute] = quantity
    found = {}
    for row in await connection.fetch(_STANDING, ids):
        document = codec.decode_event(row["event"].encode()).document
        if document is not None:
            found[document.id] = Original.of(document, taken[document.id])
    return found


async def _warehouses(connection: Any, codes: Collection[str]) -> dict[str, Warehouse]:
    if not codes:
        return {}
    return {row[0]: Warehouse(*row) for row in await connection.fetch(_WAREHOUSES, list(codes))}


async def write(
    connection: Any,
    events: Sequence[DocumentEvent],
    before: Mapping[UUID, Standing],
    snapshot: Snapshot,
) -> list[Decided]:
    """Store decisions and what they changed; answers what to publish, in the order of ``events``.

    ``before`` holds the documents as they were read; ``snapshot`` what the rules made of it. Raises Unacceptable if an
    event is too large to be published.
    """
    decided = []
    rows: list[_Row] = []
    for event in events:
        encoded, latest = codec.encode_event(event)
        if len(encoded) > MAX_EVENT_BYTES:
            raise Unacceptable(f"the decision's event would have {len(encoded):,} bytes, too many for its topic")
        refused = event.type == COMMAND_REFUSED
        decided.append(Decided(event.document_id, encoded, None if refused else latest))
        rows.append((event.command_id, event.document_id, event.step, refused, event.recorded_at, encoded.decode()))
    changed = [
        standing for document_id, standing in snapshot.documents.items() if before.get(document_id) is not standing
    ]
    await _write_documents(connection, changed, before)
    await _write_holdings(connection, changed)
    await _copy(connection, "decisions", _DECISION_COLUMNS, rows)
    await _update_stock(connection, [level for level in snapshot.stock.values() if level.changed])
    await _update_accounts(connection, [account for account in snapshot.accounts.values() if account.changed])
    return decided


async def _write_documents(connection: Any, standings: Sequence[Standing], before: Mapping[UUID, Standing]) -> None:
    """New rows for new documents; those that were there are updated in place, for a row that is deleted and written
    anew leaves whoever waits for its lock with nothing locked and nothing found."""
    await _copy(
        connection,
        "documents",
        _DOCUMENT_COLUMNS,
        [_document_row(s.document, s.content_id) for s in standings if s.document.id not in before],
    )
    if updated := [s for s in standings if s.document.id in before]:
        await connection.executemany(_UPDATE_DOCUMENTS, [_update_row(s.document, s.content_id) for s in updated])
        for statement in _FORGET:
            await connection.execute(statement, [s.document.id for s in updated])


async def _write_holdings(connection: Any, standings: Sequence[Standing]) -> None:
    lines: list[_Row] = []
    movements: list[_Row] = []
    holds: list[_Row] = []
    for standing in standings:
        document = standing.document
        lines.extend(
            (
                document.id, line.number, line.product, line.warehouse, line.attribute, line.quantity,
                line.short or None, line.unit_price, line.discount, line.net, line.vat, line.duty,
            )
            for line in document.lines
        )  # fmt: skip
        movements.extend(
            (
                document.id, movement.line, movement.outgoing, *movement.key, movement.quantity, movement.posted_at,
            )
            for movement in standing.movements
        )  # fmt: skip
        hold = standing.hold
        if hold is not None:
            holds.append((hold.document_id, hold.account, hold.amount, hold.posted_at))
    await _copy(connection, "document_lines", _LINE_COLUMNS, lines)
    await _copy(connection, "movements", _MOVEMENT_COLUMNS, movements)
    await _copy(connection, "credit_holds", _HOLD_COLUMNS, holds)


def _document_row(document: Document, content_id: UUID) -> _Row:
    return (
        document.id, document.source, document.source_id, document.kind, document.state, document.revision,
        document.step, document.date, document.account, document.totals.payable, content_id, document.original_id,
        document.posting.number if document.posting else None, document.expires_at, document.received_at,
        document.changed_at,
    )  # fmt: skip


def _update_row(document: Document, content_id: UUID) -> _Row:
    return (
        document.id, document.state, document.revision, document.step, document.date, document.account,
        document.totals.payable, content_id, document.original_id,
        document.posting.number if document.posting else None, document.expires_at, document.changed_at,
    )  # fmt: skip


async def _copy(connection: Any, table: str, columns: tuple[str, ...], rows: list[_Row]) -> None:
    if rows:
        await connection.copy_records_to_table(table, records=rows, columns=columns)


async def _update_stock(connection: Any, levels: Sequence[StockLevel]) -> None:
    if levels:
        done = await connection.execute(
            _UPDATE_STOCK,
            *texts.columns([level.key for level in levels]),
            texts.joined([str(level.incoming) for level in levels]),
            texts.joined([str(level.reserved) for level in levels]),
            texts.SEPARATOR,
        )
        _expect(done, len(levels))


async def _update_accounts(connection: Any, accounts: Sequence[AccountLedger]) -> None:
    if accounts:
        done = await connection.execute(
            _UPDATE_ACCOUNTS, [account.code for account in accounts], [account.held for account in accounts]
        )
        _expect(done, len(accounts))


def _expect(done: str, rows: int) -> None:
    """A sum that has no row to be kept in must not be lost quietly."""
    if done != f"UPDATE {rows}":
        raise Unacceptable(f"expected to update {rows} rows, PostgreSQL says {done!r}")
