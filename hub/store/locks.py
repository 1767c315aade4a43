"""Every row lock of the hub, in one order: documents, then accounts, then stock, each by its key.

Webhook deliveries are locked by their senders alone, who pass over what another has.

Whoever takes locks in this order can't deadlock with another who does. Nothing outside this module says FOR UPDATE.
Accounts are ordered as Python orders texts, in whatever locale the database was made: their master data is written row
by row in that order.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from hub.store import texts
from schemas.ledger import AccountLedger, StockKey, StockLevel

_DOCUMENTS = """
select d.id
from documents d join (
    select unnest($1::uuid[]) as id
    union
    select x.original_id from documents x
    where x.id = any($1::uuid[]) and x.original_id is not null and x.kind = 'sales_invoice'
) k using (id)
order by d.id for update of d
"""

_ACCOUNTS = """
select code, name, vat_exempt, active, direct, documentary, balance, uncleared_cheques, returned_cheques, held, as_of
from accounts where code = any(string_to_array($1, $2)) and defined order by code collate "C" {lock}
"""

_STOCK = """
select s.product, s.warehouse, s.attribute, s.in_books, s.incoming, s.reserved, s.as_of
from unnest(string_to_array($1, $4), string_to_array($2, $4), string_to_array($3, $4))
    as k (product, warehouse, attribute)
join stock s using (product, warehouse, attribute)
order by s.product, s.warehouse, s.attribute {lock}
"""

_FINANCE = """
select code, held, as_of from accounts where code = any($1::text[]) order by code collate "C" for update
"""

_DELIVERIES = """
select due.id
from (
    select w.id, $1 - coalesce(b.count, 0) as room
    from webhooks w left join unnest($3::uuid[], $4::integer[]) as b (id, count) using (id)
    where w.active and (w.paused_until is null or w.paused_until <= now())
    order by b.count nulls first
) w cross join lateral (
    select d.id from webhook_deliveries d
    where d.webhook_id = w.id and d.status = 'pending' and d.due_at <= now() and d.id = (
        select first.id from webhook_deliveries first
        where first.webhook_id = d.webhook_id and first.document_id = d.document_id and first.status = 'pending'
        order by first.id limit 1
    )
    order by d.due_at, d.id limit greatest(w.room, 0) for update of d skip locked
) due
limit $2
"""


async def documents(connection: Any, ids: Collection[UUID]) -> set[UUID]:
    """Lock the documents that exist among ``ids``, and the orders that invoices among them are made from; answers the
    ids of all of them."""
    return {row[0] for row in await connection.fetch(_DOCUMENTS, sorted(ids))}


async def accounts(connection: Any, codes: Collection[str], *, lock: bool = True) -> dict[str, AccountLedger]:
    """The accounts with these codes, locked unless only looked at."""
    if not codes:
        return {}
    query = _ACCOUNTS.format(lock="for update" if lock else "")
    return {
        row[0]: AccountLedger(*row)
        for row in await connection.fetch(query, texts.joined(sorted(codes)), texts.SEPARATOR)
    }


async def finance(connection: Any, codes: Collection[str]) -> list[Any]:
    """Lock accounts, defined or not, for a refresh of their standing: rows of code, held, as_of."""
    return list(await connection.fetch(_FINANCE, sorted(codes)))


async def stock(connection: Any, keys: Iterable[StockKey], *, lock: bool = True) -> dict[StockKey, StockLevel]:
    """The stock rows of these keys that exist, locked unless only looked at."""
    ordered = sorted(keys)
    if not ordered:
        return {}
    query = _STOCK.format(lock="for update of s" if lock else "")
    levels = {}
    for row in await connection.fetch(query, *texts.columns(ordered), texts.SEPARATOR):
        key = StockKey(row[0], row[1], row[2])
        levels[key] = StockLevel(key, row[3], row[4], row[5], row[6])
    return levels


async def deliveries(connection: Any, each: int, room: int, busy: Mapping[UUID, int]) -> list[int]:
    """Lock deliveries that are due, the first of each document for each webhook, at most ``room`` and ``each`` for one
    webhook with those ``busy`` for it; what another session has locked is passed over."""
    return [row[0] for row in await connection.fetch(_DELIVERIES, each, room, list(busy), list(busy.values()))]
