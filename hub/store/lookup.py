"""Master data, stock and credit by code, by contact, and by what changed since a reader last looked.

A reader's place is the transaction of the last row it saw, and that row's key. Only rows of transactions older than
every running one are told: nothing can be committed behind such a place any more. Who has no place yet goes through all
rows by their key, for which there is an index, and then on from the oldest transaction that ran when that began.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from hub.store.pool import Store
from schemas import codec
from schemas.documents import Document
from schemas.ledger import AccountLedger
from schemas.master import Account, CodeList, ListEntry, Product

_PLACE: Final = re.compile(r"([0-9a-f-]{36})/([0-9]+)(/|!)(.*)", re.DOTALL)
"""The epoch, a transaction, how the reader reads, and the key of its last row."""

_ACCOUNT: Final = (
    "code, name, vat_exempt, active, phones, city, cost_centre, account_group, emails, ledger, detail_group"
)
_PRODUCT: Final = (
    "code, name, unit, price, vat_exempt, vat_percent, duty_percent, stocked, active, product_group, second_unit, "
    "barcode"
)
_ENTRY: Final = "list, code, product, name, parent, active"
_SELLABLE: Final = "product, warehouse, attribute, greatest(in_books + incoming - reserved, 0)"
_CREDIT: Final = "code, direct, documentary, balance, uncleared_cheques, held, as_of"
_CODE_KEY: Final = 'code collate "C"'
_ENTRY_KEY: Final = 'jsonb_build_array(list, code, product)::text collate "C"'
_STOCK_KEY: Final = 'jsonb_build_array(product, warehouse, attribute)::text collate "C"'

_SETTLED: Final = "pg_snapshot_xmin(pg_current_snapshot())"

_CHANGES: Final = f"""
select {{columns}}, changed::text as transaction, {{key}}
from {{table}}
where {{condition}} and changed < (select {_SETTLED})
    and (changed > $1::text::xid8 or changed = $1::text::xid8 and {{key}} > $2)
order by changed, {{key}}
limit $3
"""

_EVERYTHING: Final = f"""
select {{columns}}
from {{table}}
where {{condition}} and changed < (select {_SETTLED}) and ({{by}}) > ({{last}})
order by {{by}}
limit $2
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


def _entry(row: Any) -> ListEntry:
    of, code, product, name, parent, active = row[:6]
    return ListEntry(CodeList(of), code, name, product, parent, active)


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


class _Kind(NamedTuple):
    """Where rows of a kind are. Their columns begin with those of the primary key; ``key`` is that as one text, in the
    order of its bytes."""

    table: str
    columns: str
    by: tuple[str, ...]
    key: str
    condition: str
    made: Callable[[Any], Any]


_KINDS: Final = {
    "products": _Kind("products", _PRODUCT, ("code",), _CODE_KEY, "true", _product),
    "accounts": _Kind("accounts", _ACCOUNT, ("code",), _CODE_KEY, "defined", _account),
    "sellable": _Kind(
        "stock", _SELLABLE, ("product", "warehouse", "attribute"), _STOCK_KEY, "true", lambda row: SellableRow(*row[:4])
    ),
    "credit": _Kind("accounts", _CREDIT, ("code",), _CODE_KEY, "as_of is not null", _credit),
    "lists": _Kind("list_entries", _ENTRY, ("list", "code", "product"), _ENTRY_KEY, "true", _entry),
}


class _Place(NamedTuple):
    """``through``: the reader is still going through everything; ``key`` is JSON then, and ``transaction`` that from
    which on it is to be told of changes."""

    transaction: str
    through: bool
    key: str

    def text(self, epoch: str) -> str:
        return f"{epoch}/{self.transaction}{'!' if self.through else '/'}{self.key}"


async def changes(store: Store, kind: str, place: str, limit: int) -> Changed:
    """What changed since ``place`` ("" for everything) of one of :data:`_KINDS`.

    A place is of one count of transactions (``change_epoch``); another's, or one that is no place, begins anew and says
    so.
    """
    of = _KINDS[kind]
    async with store.connection() as connection:
        epoch = str(await connection.fetchval("select id from change_epoch"))
        at = before = _read(place, epoch, len(of.by))
        if at is None:
            at = _Place(await connection.fetchval(f"select {_SETTLED}::text"), True, _json([""] * len(of.by)))
        rows: list[Any] = []
        if at.through:
            rows += await _everything(connection, of, at, limit)
            whole = len(rows) < limit
            at = _Place(at.transaction, False, "") if whole else at._replace(key=_json(rows[-1][: len(of.by)]))
        if not at.through:
            changed = await _changes(connection, of, at, limit - len(rows))
            at = at._replace(transaction=changed[-1][-2], key=changed[-1][-1]) if changed else at
            rows += changed
    return Changed([of.made(row) for row in rows], at.text(epoch), len(rows) == limit, bool(place) and before is None)


async def _everything(connection: Any, of: _Kind, at: _Place, limit: int) -> Sequence[Any]:
    last = ", ".join(f"($1::text[])[{number}]" for number in range(1, len(of.by) + 1))
    query = _EVERYTHING.format(
        columns=of.columns, table=of.table, condition=of.condition, by=", ".join(of.by), last=last
    )
    rows: Sequence[Any] = await connection.fetch(query, msgspec.json.decode(at.key), limit)
    return rows


async def _changes(connection: Any, of: _Kind, at: _Place, limit: int) -> Sequence[Any]:
    query = _CHANGES.format(columns=of.columns, table=of.table, condition=of.condition, key=of.key)
    rows: Sequence[Any] = await connection.fetch(query, at.transaction, at.key, limit)
    return rows


def _read(place: str, epoch: str, columns: int) -> _Place | None:
    found = _PLACE.fullmatch(place)
    if found is None or found[1] != epoch or int(found[2]) >= 2**63 or "\0" in found[4]:
        return None
    at = _Place(found[2], found[3] == "!", found[4])
    return at if not at.through or _is_key(at.key, columns) else None


def _json(key: Sequence[str]) -> str:
    return msgspec.json.encode(key).decode()


def _is_key(text: str, columns: int) -> bool:
    try:
        key = msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        return False
    return len(key) == columns and not any("\0" in part for part in key)
