"""Master data as it comes in. A refresh of stock or finance retires what the books show by now, in the same transaction
and under the same row locks, so that goods and money are never counted twice (DESIGN.md "Reservation").

A figure of the very moment of a posting may or may not show it: what was taken is counted on, what was given isn't.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from hub.store import locks
from hub.store.errors import Unacceptable
from hub.store.pool import Store
from schemas.ledger import StockKey
from schemas.master import Account, Finance, ListEntry, Master, Product, Stock, Warehouse

_ACCOUNTS = """
insert into accounts (code, defined, name, vat_exempt, active, phones, city, cost_centre, account_group, emails,
                      ledger, detail_group)
values ($1, true, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (code) do update set
    defined = true, name = excluded.name, vat_exempt = excluded.vat_exempt, active = excluded.active,
    phones = excluded.phones, city = excluded.city, cost_centre = excluded.cost_centre,
    account_group = excluded.account_group, emails = excluded.emails, ledger = excluded.ledger,
    detail_group = excluded.detail_group
"""

_PRODUCTS = """
insert into products (code, name, unit, price, vat_exempt, vat_percent, duty_percent, stocked, active, product_group,
                      second_unit, barcode)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (code) do update set
    name = excluded.name, unit = excluded.unit, price = excluded.price, vat_exempt = excluded.vat_exempt,
    vat_percent = excluded.vat_percent, duty_percent = excluded.duty_percent, stocked = excluded.stocked,
    active = excluded.active, product_group = excluded.product_group, second_unit = excluded.second_unit,
    barcode = excluded.barcode
"""

_WAREHOUSES = """
insert into warehouses (code, name, active) values ($1, $2, $3)
on conflict (code) do update set name = excluded.name, active = excluded.active
"""

_LISTS = """
insert into list_entries (list, code, product, name, parent, active) values ($1, $2, $3, $4, $5, $6)
on conflict (list, code, product) do update set
    name = excluded.name, parent = excluded.parent, active = excluded.active
"""

_ENSURE_STOCK = """
insert into stock (product, warehouse, attribute)
select * from unnest($1::text[], $2::text[], $3::text[]) as k (product, warehouse, attribute)
order by 1, 2, 3
on conflict do nothing
"""

_RETIRE_MOVEMENTS = """
with retired as (
    delete from movements m
    using unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as k (product, warehouse, attribute, as_of)
    where m.product = k.product and m.warehouse = k.warehouse and m.attribute = k.attribute
      and (m.posted_at < k.as_of or m.posted_at = k.as_of and not m.outgoing)
    returning m.product, m.warehouse, m.attribute, m.outgoing, m.quantity
)
select product, warehouse, attribute,
       coalesce(sum(quantity) filter (where not outgoing), 0) as incoming,
       coalesce(sum(quantity) filter (where outgoing), 0) as outgoing
from retired group by 1, 2, 3
"""

_REFRESH_STOCK = """
update stock s set in_books = v.in_books, as_of = v.as_of, incoming = s.incoming - v.incoming,
                   reserved = s.reserved - v.outgoing
from unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::timestamptz[], $6::numeric[], $7::numeric[])
    as v (product, warehouse, attribute, in_books, as_of, incoming, outgoing)
where s.product = v.product and s.warehouse = v.warehouse and s.attribute = v.attribute
"""

_ENSURE_ACCOUNTS = """
insert into accounts (code) select code from unnest($1::text[]) as k (code) order by code collate "C"
on conflict do nothing
"""

_RETIRE_HOLDS = """
with retired as (
    delete from credit_holds h
    using unnest($1::text[], $2::timestamptz[]) as k (account, as_of)
    where h.account = k.account and (h.posted_at < k.as_of or h.posted_at = k.as_of and h.amount < 0)
    returning h.account, h.amount
)
select account, sum(amount)::bigint as amount from retired group by 1
"""

_REFRESH_FINANCE = """
update accounts set direct = $2, documentary = $3, balance = $4, uncleared_cheques = $5, returned_cheques = $6,
                    as_of = $7, held = held - $8
where code = $1
"""


async def apply(store: Store, records: Sequence[Master]) -> None:
    """Store master records, all of one kind or mixed; the last of a key wins, an older ``as_of`` never overwrites.

    Raises :exc:`~hub.store.errors.StoreError`; Unacceptable for figures no rule can count with.
    """
    stock: dict[StockKey, Stock] = {}
    finance: dict[str, Finance] = {}
    accounts: dict[str, tuple[Any, ...]] = {}
    products: dict[str, tuple[Any, ...]] = {}
    warehouses: dict[str, tuple[Any, ...]] = {}
    entries: dict[tuple[str, str, str], tuple[Any, ...]] = {}
    for record in records:
        _require_sense(record)
        match record:
            case Stock():
                key = StockKey(record.product, record.warehouse, record.attribute)
                if key not in stock or stock[key].as_of <= record.as_of:
                    stock[key] = record
            case Finance():
                if record.account not in finance or finance[record.account].as_of <= record.as_of:
                    finance[record.account] = record
            case Account():
                accounts[record.code] = (
                    record.code, record.name, record.vat_exempt, record.active, list(record.phones), record.city,
                    record.cost_centre, record.group, list(record.emails), record.ledger, record.detail_group,
                )  # fmt: skip
            case Product():
                products[record.code] = (
                    record.code, record.name, record.unit, record.price, record.vat_exempt, record.vat_percent,
                    record.duty_percent, record.stocked, record.active, record.group, record.second_unit,
                    record.barcode,
                )  # fmt: skip
            case Warehouse():
                warehouses[record.code] = (record.code, record.name, record.active)
            case ListEntry():
                place = (str(record.list), record.code, record.product)
                entries[place] = (*place, record.name, record.parent, record.active)
    async with store.connection() as connection:
        for statement, rows in (
            (_ACCOUNTS, [accounts[code] for code in sorted(accounts)]),
            (_WAREHOUSES, [warehouses[code] for code in sorted(warehouses)]),
            (_LISTS, [entries[key] for key in sorted(entries)]),
        ):
            if rows:
                await connection.executemany(statement, rows)
        if products:
            async with connection.transaction():
                await connection.executemany(_PRODUCTS, [products[code] for code in sorted(products)])
                await connection.execute("update product_version set version = version + 1")
        if stock:
            await _refresh_stock(connection, stock)
        if finance:
            await _refresh_finance(connection, finance)


def _require_sense(record: Master) -> None:
    """PostgreSQL would keep these, and every document that touches them could no longer be decided."""
    match record:
        case Stock() if not record.on_hand.is_finite():
            raise Unacceptable(f"on_hand of product {record.product!r} is no number: {record.on_hand}")
        case Product() if record.price is not None and record.price < 0:
            raise Unacceptable(f"price of product {record.code!r} is below zero: {record.price}")
        case Product():
            for name in ("vat_percent", "duty_percent"):
                percent = getattr(record, name)
                if percent is not None and not (percent.is_finite() and 0 <= percent <= 100):
                    raise Unacceptable(f"{name} of product {record.code!r} is no percentage: {percent}")


async def _refresh_stock(connection: Any, refreshed: dict[StockKey, Stock]) -> None:
    await connection.execute(_ENSURE_STOCK, *_columns(sorted(refreshed)))
    async with connection.transaction():
        levels = await locks.stock(connection, refreshed)
        fresh = [key for key, level in levels.items() if _is_news(level.as_of, refreshed[key].as_of)]
        if not fresh:
            return
        moments = [refreshed[key].as_of for key in fresh]
        columns = _columns(fresh)
        retired: dict[StockKey, tuple[Decimal, Decimal]] = {
            StockKey(row["product"], row["warehouse"], row["attribute"]): (row["incoming"], row["outgoing"])
            for row in await connection.fetch(_RETIRE_MOVEMENTS, *columns, moments)
        }
        zero = Decimal(0)
        await connection.execute(
            _REFRESH_STOCK,
            *columns,
            [refreshed[key].on_hand for key in fresh],
            moments,
            [retired.get(key, (zero, zero))[0] for key in fresh],
            [retired.get(key, (zero, zero))[1] for key in fresh],
        )


def _columns(keys: Sequence[StockKey]) -> list[list[str]]:
    return [list(column) for column in zip(*keys, strict=True)]


async def _refresh_finance(connection: Any, refreshed: dict[str, Finance]) -> None:
    await connection.execute(_ENSURE_ACCOUNTS, sorted(refreshed))
    async with connection.transaction():
        rows = await locks.finance(connection, refreshed)
        fresh = [refreshed[row["code"]] for row in rows if _is_news(row["as_of"], refreshed[row["code"]].as_of)]
        if not fresh:
            return
        retired = dict(await connection.fetch(_RETIRE_HOLDS, [f.account for f in fresh], [f.as_of for f in fresh]))
        await connection.executemany(
            _REFRESH_FINANCE,
            [
                (
                    f.account, f.direct, f.documentary, f.balance, f.uncleared_cheques, f.returned_cheques, f.as_of,
                    retired.get(f.account, 0),
                )
                for f in fresh
            ],
        )  # fmt: skip


def _is_news(known: datetime | None, as_of: datetime) -> bool:
    return known is None or as_of >= known
