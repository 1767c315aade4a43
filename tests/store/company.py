"""The small company of the rules' tests, kept in a real PostgreSQL, and what can be asked of it by SQL."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hub.rules.settings import Policy, RuleSettings
from hub.store import master
from hub.store.deciding import Decided
from hub.store.pool import Store
from schemas import codec, ids
from schemas.commands import Amend, AnyCommand, Command, Submit
from schemas.dates import utc_now
from schemas.documents import Kind
from schemas.events import DocumentEvent
from schemas.master import Account, Finance, Master, Stock
from streams.deciding import decide_batch
from tests.rules.world import ACCOUNTS, PRODUCTS, SOURCE, START, WAREHOUSES, request

BEFORE = START - timedelta(days=1)
"""When the books' figures of the small company were taken."""


def master_records(on_hand: Decimal | int = 1_000) -> list[Master]:
    """Products, warehouses, accounts with their standing, ``on_hand`` of each stocked product in both warehouses."""
    records: list[Master] = [*PRODUCTS, *WAREHOUSES]
    for code, fields in ACCOUNTS:
        known = {name: fields[name] for name in ("vat_exempt", "active") if name in fields}
        records.append(Account(code, f"حساب {code}", **known))
        records.append(Finance(code, BEFORE, direct=fields["direct"]))  # type: ignore[arg-type]
    records += [
        Stock(product.code, warehouse, Decimal(on_hand), BEFORE)
        for product in PRODUCTS
        if product.stocked
        for warehouse in ("MAIN", "SHOP")
    ]
    return records


async def fill(store: Store, on_hand: Decimal | int = 1_000) -> None:
    """Store the small company's master data."""
    await master.apply(store, master_records(on_hand))


def on_hand(product: str, quantity: Decimal | int | str, as_of: datetime = BEFORE, **fields: Any) -> Stock:
    """What the books say of a product in the main warehouse, unless told otherwise."""
    return Stock(product, fields.pop("warehouse", "MAIN"), Decimal(quantity), as_of, **fields)


def submit(source_id: str = "A", kind: Kind = Kind.SALES_INVOICE, *, at: datetime = START, **fields: Any) -> Submit:
    """A document that clears in the small company unless ``fields`` say otherwise."""
    return Submit.of(request(source_id, kind, **fields), source=SOURCE, actor="tester", now=at)


def amend(source_id: str, revision: int, kind: Kind = Kind.SALES_INVOICE, **fields: Any) -> Amend:
    """New content for a document."""
    return Amend.of(request(source_id, kind, revision=revision, **fields), source=SOURCE, actor="tester", now=START)


def command(kind: type[Command], source_id: str = "A", *, nth: object = 0, revision: int = 1, **fields: Any) -> Any:
    """A command on a document; another ``nth`` makes it another command."""
    document = ids.document_id(SOURCE, source_id)
    return kind(
        command_id=ids.command_id(document, kind.__name__, str(nth)),
        document_id=document,
        source=SOURCE,
        source_id=source_id,
        revision=revision,
        occurred_at=START,
        recorded_at=START,
        actor="tester",
        **fields,
    )


async def decide(store: Store, *commands: AnyCommand, settings: RuleSettings | None = None) -> list[DocumentEvent]:
    """Decide the commands as one batch; their events."""
    return [codec.decode_event(each.event) for each in await decided(store, commands, settings)]


async def decided(store: Store, commands: Sequence[AnyCommand], settings: RuleSettings | None = None) -> list[Decided]:
    """Decide the commands as one batch; what is published for them."""
    return await decide_batch(store, commands, settings or RuleSettings(), utc_now)


def policy(**fields: Any) -> RuleSettings:
    """Settings in which every source has this policy."""
    return RuleSettings(default=Policy(**fields))


async def rows(store: Store, query: str, *values: object) -> list[Any]:
    """What a query answers, as tuples."""
    async with store.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query, *values)]


async def value(store: Store, query: str, *values: object) -> Any:
    """The one value a query answers."""
    async with store.connection() as connection:
        return await connection.fetchval(query, *values)


async def execute(store: Store, statement: str, *values: object) -> None:
    """Run one statement."""
    async with store.connection() as connection:
        await connection.execute(statement, *values)


async def stock_of(store: Store, product: str, warehouse: str = "MAIN") -> Any:
    """In the books, incoming, reserved."""
    (found,) = await rows(
        store,
        "select in_books, incoming, reserved from stock where product = $1 and warehouse = $2 and attribute = ''",
        product,
        warehouse,
    )
    return found


async def held(store: Store, account: str = "ALI") -> int:
    """What the account's holds add up to, as its row says."""
    return int(await value(store, "select held from accounts where code = $1", account))


_DISAGREEMENTS = {
    "a stock row's sums are not those of the movements": """
        with moved as (
            select product, warehouse, attribute,
                   sum(quantity) filter (where outgoing) as reserved,
                   sum(quantity) filter (where not outgoing) as incoming
            from movements group by 1, 2, 3
        )
        select * from stock s full join moved m using (product, warehouse, attribute)
        where coalesce(s.reserved, 0) <> coalesce(m.reserved, 0)
           or coalesce(s.incoming, 0) <> coalesce(m.incoming, 0)
           or s.product is null
    """,
    "reserved or incoming is below zero": "select * from stock where not (reserved >= 0 and incoming >= 0)",
    "an account's held is not the sum of its holds": """
        with sums as (select account as code, sum(amount) as amount from credit_holds group by 1)
        select * from accounts a full join sums s using (code)
        where coalesce(a.held, 0) <> coalesce(s.amount, 0) or a.code is null
    """,
    "a document has not exactly one decision at its step": """
        select x.id, count(d.command_id) from documents x
        left join decisions d on d.document_id = x.id and d.step = x.step and not d.refused
        group by x.id having count(d.command_id) <> 1
    """,
    "a document's steps are not 1, 2, 3 ...": """
        select document_id from decisions where not refused
        group by document_id having min(step) <> 1 or max(step) <> count(*) or count(distinct step) <> count(*)
    """,
    "a document is not as its latest decision says": """
        select x.id from documents x join decisions d on d.document_id = x.id and d.step = x.step and not d.refused
        where d.event ->> 'type' <> 'document.' || x.state
           or d.event -> 'document' ->> 'state' <> x.state
           or (d.event ->> 'revision')::integer <> x.revision
           or (d.event -> 'document' -> 'totals' ->> 'payable')::bigint <> x.payable
    """,
    "a decision has no document, or changed one that isn't there": """
        select d.document_id from decisions d left join documents x on x.id = d.document_id
        where not d.refused and x.id is null
    """,
    "an event id was given twice": """
        select event ->> 'event_id' from decisions group by 1 having count(*) > 1
    """,
    "lines, movements or a hold belong to no document": """
        select document_id from (
            select document_id from document_lines union select document_id from movements
            union select document_id from credit_holds
        ) as found where document_id not in (select id from documents)
    """,
    "a document that came to nothing still holds something": """
        select x.id from documents x
        where x.state in ('rejected', 'cancelled', 'expired')
          and (exists (select from movements m where m.document_id = x.id)
               or exists (select from credit_holds h where h.document_id = x.id))
    """,
    "more was returned of a sale than was sold": """
        select r.original_id, l.product, l.attribute
        from documents r join document_lines l on l.document_id = r.id
        where r.kind = 'sales_return' and r.original_id is not null
          and r.state not in ('rejected', 'cancelled', 'expired')
        group by 1, 2, 3
        having sum(l.quantity) > (
            select coalesce(sum(sold.quantity), 0) from document_lines sold
            where (sold.document_id, sold.product, sold.attribute) = (r.original_id, l.product, l.attribute))
    """,
    "a sale of which goods were returned came to nothing": """
        select x.id from documents x join documents r on r.original_id = x.id
        where x.state in ('rejected', 'cancelled', 'expired') and r.state not in ('rejected', 'cancelled', 'expired')
          and r.kind = 'sales_return'
    """,
    "a posted document holds something as if it were not, or the reverse": """
        select x.id from documents x join (
            select document_id, posted_at from movements union all select document_id, posted_at from credit_holds
        ) as held on held.document_id = x.id
        where (x.state = 'posted' and x.kind <> 'sales_order') <> (held.posted_at is not null)
    """,
    "an order holds more than its invoices left of it": """
        with ordered as (
            select document_id, product, attribute, sum(quantity) as quantity from document_lines group by 1, 2, 3
        ), invoiced as (
            select i.original_id as document_id, l.product, l.attribute, sum(l.quantity) as quantity
            from documents i join document_lines l on l.document_id = i.id
            where i.kind = 'sales_invoice' and i.state not in ('rejected', 'cancelled', 'expired') group by 1, 2, 3
        ), kept as (
            select document_id, product, attribute, sum(quantity) as quantity
            from movements where outgoing group by 1, 2, 3
        )
        select o.document_id, product, attribute, k.quantity
        from ordered o
        join documents x on x.id = o.document_id and x.kind = 'sales_order'
        join kept k using (document_id, product, attribute)
        left join invoiced i using (document_id, product, attribute)
        where k.quantity > greatest(o.quantity - coalesce(i.quantity, 0), 0)
    """,
}
"""What must never be found, with the query that finds it."""


async def disagreements(store: Store) -> list[str]:
    """Every invariant of the tables that doesn't hold, with the first rows that break it."""
    found = []
    async with store.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        for what, query in _DISAGREEMENTS.items():
            if wrong := await connection.fetch(query):
                found.append(f"{what}: {[dict(row) for row in wrong[:3]]}")
    return found


TABLES = (
    "documents", "document_lines", "movements", "credit_holds", "decisions", "stock", "accounts", "products",
    "warehouses",
)  # fmt: skip
"""Everything a decision reads or writes."""


async def dump(store: Store, tables: Iterable[str] = TABLES) -> dict[str, list[str]]:
    """Every row of these tables as text, in an order that depends on nothing else; not by which transaction it came."""
    query = "select (to_jsonb(t) - 'changed')::text from {table} as t order by 1"
    return {table: [row[0] for row in await rows(store, query.format(table=table))] for table in tables}


def document(source_id: str = "A") -> UUID:
    """The id of the small company's document."""
    return ids.document_id(SOURCE, source_id)
