"""Master data, stock and credit by code, by contact, and by what changed since a reader last looked.

A reader's place is the transaction of the last row it saw, and that row's key. Only rows of transactions older than
every running one are told: nothing can be committed behind such a place any more.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from hub.store.pool import Store
from schemas import codec
from schemas.documents import Document
from schemas.ledger import AccountLedger
from schemas.master import Account, Product

_PLACE: Final = re.compile(r"([0-9a-f-]{36})/(\d+)/(.*)", re.DOTALL)

_ACCOUNT: Final = (
    "code, name, vat_exempt, active, phones, city, cost_centre, account_group, emails, ledger, detail_group"
)
_PRODUCT: Final = (
    "code, name, unit, price, vat_exempt, vat_percent, duty_percent, stocked, active, product_group, second_unit, "
    "barcode"
)
_SELLABLE: Final = "product, warehouse, attribute, greatest(in_books + incoming - reserved, 0)"
_CREDIT: Final = "code, direct, documentary, balance, uncleared_cheques, held, as_of"
_STOCK_KEY: Final = 'jsonb_build_array(product, warehouse, attribute)::text collate "C"'

_CHANGES: Final = """
with place as (select pg_snapshot_xmin(pg_current_snapshot()) as settled)
select {columns}, changed::text as transaction, {key}
from {table}, place
where {condition} and changed < settled and (changed > $1::text::xid8 or changed = $1::text::xid8 and {key} > $2)
order by changed, {key}
limit $3
"""


class SellableRow(NamedTuple):
    """What can be sold of one stock row; never below 0."""

    product: str
    warehouse: str
    attribute: str
    quantity: Any


class Changed(NamedTuple):
    """Rows as they now are, and the place behind the last of them. ``reset``: the place asked for meant nothing."""

    rows: list[Any]
    place: str
    more: bool
    reset: bool


def _account(row: Any) -> Account:
    return Account(
        row[0], row[1], row[2], row[3], tuple(row[4]), row[5], row[6], row[7], tuple(row[8]), row[9], row[10]
    )


def _product(row: Any) -> Product:
    return Product(*row[:12])


def _credit(row: Any) -> AccountLedger:
    code, direct, documentary, balance, uncleared, held, as_of = row[:7]
    return AccountLedger(
        code,
        direct=direct,
        documentary=documentary,
        balance=balance,
        uncleared_cheques=uncleared,
        held=held,
        as_of=as_of,
    )


async def products(store: Store, codes: Collection[str]) -> dict[str, Product]:
    """By code; unknown ones aren't in the answer."""
    async with store.connection() as connection:
        rows = await connection.fetch(f"select {_PRODUCT} from products where code = any($1::text[])", list(codes))
    return {row[0]: _product(row) for row in rows}


async def accounts(store: Store, codes: Collection[str]) -> dict[str, Account]:
    """By code; unknown ones aren't in the answer."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            f"select {_ACCOUNT} from accounts where defined and code = any($1::text[])", list(codes)
        )
    return {row[0]: _account(row) for row in rows}


async def accounts_of(store: Store, phones: Collection[str], emails: Collection[str]) -> list[Account]:
    """Those with one of these phones (the last ten digits count) or e-mails (whatever their case), by code."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            f"select {_ACCOUNT} from accounts where defined and "
            "(phone_keys(phones) && array_remove(phone_keys($1::text[]), '') "
            "or email_keys(emails) && array_remove(email_keys($2::text[]), '')) order by code",
            list(phones),
            list(emails),
        )
    return [_account(row) for row in rows]


async def sellable(store: Store, products: Collection[str], warehouses: Collection[str]) -> list[SellableRow]:
    """The stock rows of these products, in these warehouses or, if there are none, in all."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            f"select {_SELLABLE} from stock where product = any($1::text[]) "
            "and (cardinality($2::text[]) = 0 or warehouse = any($2::text[])) order by product, warehouse, attribute",
            list(products),
            list(warehouses),
        )
    return [SellableRow(*row) for row in rows]


async def credit(store: Store, codes: Collection[str]) -> dict[str, AccountLedger]:
    """By account code; those whose standing the books never told aren't in the answer."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            f"select {_CREDIT} from accounts where as_of is not null and code = any($1::text[])", list(codes)
        )
    return {row[0]: _credit(row) for row in rows}


async def documents(store: Store, ids: Collection[UUID]) -> dict[UUID, Document]:
    """As they now are; those not decided yet aren't in the answer."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            "select d.event from documents x join decisions d "
            "on d.document_id = x.id and d.step = x.step and not d.refused where x.id = any($1::uuid[])",
            list(ids),
        )
    found = (codec.decode_event(row[0].encode()).document for row in rows)
    return {document.id: document for document in found if document is not None}


_KINDS: Final[dict[str, tuple[str, str, str, str, Any]]] = {
    "products": ("products", _PRODUCT, 'code collate "C"', "true", _product),
    "accounts": ("accounts", _ACCOUNT, 'code collate "C"', "defined", _account),
    "sellable": ("stock", _SELLABLE, _STOCK_KEY, "true", lambda row: SellableRow(*row[:4])),
    "credit": ("accounts", _CREDIT, 'code collate "C"', "as_of is not null", _credit),
}


async def changes(store: Store, kind: str, place: str, limit: int) -> Changed:
    """What changed since ``place`` ("" for everything) of ``products``, ``accounts``, ``sellable`` or ``credit``.

    A place is of one count of transactions (``change_epoch``); another's, or one that is no place, begins anew and says
    so.
    """
    table, columns, key, condition, made = _KINDS[kind]
    query = _CHANGES.format(columns=columns, key=key, table=table, condition=condition)
    async with store.connection() as connection:
        epoch = str(await connection.fetchval("select id from change_epoch"))
        since, last, known = _read(place, epoch)
        rows: Sequence[Any] = await connection.fetch(query, since, last, limit)
    if rows:
        since, last = rows[-1][-2], rows[-1][-1]
    return Changed(
        [made(row) for row in rows], f"{epoch}/{since}/{last}", len(rows) == limit, bool(place) and not known
    )


def _read(place: str, epoch: str) -> tuple[str, str, bool]:
    found = _PLACE.fullmatch(place)
    if found is None or found[1] != epoch or int(found[2]) >= 2**63 or "\0" in found[3]:
        return "0", "", False
    return found[2], found[3], True
