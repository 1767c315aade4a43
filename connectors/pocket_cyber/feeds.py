"""What a handheld pulls: products, customers, stock and credit within its holder's limits, as changes since a cursor.

A page is made of keys that any of the feed's streams says changed, each told as it is *now*: within the limits it is an
item, otherwise it is gone. So a customer who moves onto the route brings his credit along, though that didn't change.
A cursor is good for the limits it was made under; with others, or when the hub knows it no more, the feed begins anew.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from connectors.base import Changes, Credit, Lookup, Sellable
from connectors.pocket_cyber.exchange import (
    CreditChanges,
    CustomerChanges,
    ListChanges,
    ProductChanges,
    PulledCredit,
    PulledCustomer,
    PulledEntry,
    PulledProduct,
    PulledStock,
    StockChanges,
    StockRow,
)
from connectors.pocket_cyber.limits import Rights
from schemas.master import Account, CodeList, ListEntry, Product
from schemas.topics import master_key

Page = ProductChanges | CustomerChanges | StockChanges | CreditChanges | ListChanges

MAX_ROWS: Final = 1_000
ROWS: Final = 500
"""Rows read of each stream for a page; a page has at most as many keys as its streams together."""

_MAX_CURSOR = 4_096


_SHOWN_LISTS: Final = frozenset({CodeList.ATTRIBUTE, CodeList.PRODUCT_GROUP, CodeList.ACCOUNT_GROUP, CodeList.CITY})
"""Those whose codes stand in the other feeds' items, and cities, of which routes are made."""


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    feed: str
    limits: str
    places: dict[str, str]


class _Told(NamedTuple):
    """Items by their key; keys that were asked for and aren't there are gone."""

    items: Mapping[str, Any]
    may_be_gone: Callable[[str], bool]


_Present = Callable[[Lookup, Rights, Mapping[str, Any]], Awaitable[_Told]]
"""Of rows that changed, by their key."""


class _Feed(NamedTuple):
    streams: Mapping[type[Any], Callable[[Any], str]]
    present: _Present
    page: Callable[..., Page]


async def page(lookup: Lookup, holder: Rights, feed: str, cursor: str, rows: int) -> Page:
    """The next page of a feed (a key of :data:`FEEDS`). Raises :exc:`~connectors.base.Retryable`."""
    kept = _read(cursor)
    fits = kept is not None and kept.feed == feed and kept.limits == holder.fingerprint
    places = dict(kept.places) if kept is not None and fits else {}
    read = await _changes(lookup, FEEDS[feed], places, rows)
    reset = not places
    if any(changes.reset for changes in read.values()):
        reset = True
        read = await _changes(lookup, FEEDS[feed], {}, rows)
    streams = FEEDS[feed].streams
    rows_by_key = {streams[kind](row): row for kind, changes in read.items() for row in changes.rows}
    keys = sorted(rows_by_key)
    told = await FEEDS[feed].present(lookup, holder, rows_by_key)
    ahead = {kind.__name__: changes.cursor for kind, changes in read.items()}
    return FEEDS[feed].page(
        items=tuple(told.items[key] for key in keys if key in told.items),
        gone=tuple(key for key in keys if key not in told.items and told.may_be_gone(key)),
        cursor=_written(_Cursor(feed, holder.fingerprint, ahead)),
        more=any(changes.more for changes in read.values()),
        reset=reset,
    )


async def _changes(lookup: Lookup, feed: _Feed, places: Mapping[str, str], rows: int) -> dict[type[Any], Changes[Any]]:
    return {kind: await lookup.changes(kind, places.get(kind.__name__, ""), rows) for kind in feed.streams}


def _written(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _read(cursor: str) -> _Cursor | None:
    if not cursor or len(cursor) > _MAX_CURSOR:
        return None
    try:
        raw = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=_Cursor)
    except (binascii.Error, UnicodeError, msgspec.DecodeError):
        return None


def _everything(_: str) -> bool:
    return True


async def _products(lookup: Lookup, holder: Rights, codes: Collection[str]) -> _Told:
    found = await lookup.products(codes)
    return _Told({code: _product(each) for code, each in found.items() if holder.has_product(each)}, _everything)


def _product(product: Product) -> PulledProduct:
    return PulledProduct(
        code=product.code,
        name=product.name,
        unit=product.unit,
        price=product.price,
        group=product.group,
        second_unit=product.second_unit,
        barcode=product.barcode,
        vat_exempt=product.vat_exempt,
        vat_percent=product.vat_percent,
        duty_percent=product.duty_percent,
        stocked=product.stocked,
    )


async def _on_route(lookup: Lookup, holder: Rights, codes: Collection[str]) -> dict[str, Account]:
    wanted = [code for code in codes if _listed(holder)(code)]
    found = await lookup.accounts(wanted) if wanted else {}
    return {code: account for code, account in found.items() if holder.has_account(account)}


def _listed(holder: Rights) -> Callable[[str], bool]:
    """Whether an account can ever have been on the route. Of others a handheld isn't told, not even that they are."""
    return holder.accounts.__contains__ if holder.route_is_listed else _everything


async def _customers(lookup: Lookup, holder: Rights, codes: Collection[str]) -> _Told:
    found = await _on_route(lookup, holder, codes)
    return _Told({code: _customer(account) for code, account in found.items()}, _listed(holder))


def _customer(account: Account) -> PulledCustomer:
    return PulledCustomer(
        code=account.code,
        name=account.name,
        phones=account.phones,
        city=account.city,
        group=account.group,
        vat_exempt=account.vat_exempt,
    )


async def _stock(lookup: Lookup, holder: Rights, codes: Collection[str]) -> _Told:
    found = await lookup.products(codes)
    sold = [code for code, product in found.items() if product.stocked and holder.has_product(product)]
    rows: dict[str, list[StockRow]] = {code: [] for code in sold}
    for row in await lookup.sellable(sold, holder.warehouses) if sold else ():
        rows[row.product].append(StockRow(warehouse=row.warehouse, quantity=row.quantity, attribute=row.attribute))
    return _Told({code: PulledStock(product=code, stock=tuple(found)) for code, found in rows.items()}, _everything)


async def _credit(lookup: Lookup, holder: Rights, codes: Collection[str]) -> _Told:
    found = await _on_route(lookup, holder, codes)
    standing = await lookup.credit(found) if found else {}
    items = {
        code: PulledCredit(account=code, instant=credit.instant, balance=credit.balance)
        for code, credit in standing.items()
    }
    return _Told(items, _listed(holder))


async def _entries(_lookup: Lookup, _holder: Rights, entries: Mapping[str, ListEntry]) -> _Told:
    return _Told(
        {key: _entry(key, each) for key, each in entries.items() if each.active and each.list in _SHOWN_LISTS},
        lambda key: entries[key].list in _SHOWN_LISTS,
    )


def _entry(key: str, entry: ListEntry) -> PulledEntry:
    return PulledEntry(
        key=key, list=entry.list, code=entry.code, name=entry.name, product=entry.product, parent=entry.parent
    )


def _entry_key(row: ListEntry) -> str:
    return master_key(row).decode()


def _code(row: Product | Account) -> str:
    return row.code


FEEDS: Final[Mapping[str, _Feed]] = {
    "products": _Feed({Product: _code}, _products, ProductChanges),
    "customers": _Feed({Account: _code}, _customers, CustomerChanges),
    "stock": _Feed({Sellable: lambda row: row.product, Product: _code}, _stock, StockChanges),
    "credit": _Feed({Credit: lambda row: row.account, Account: _code}, _credit, CreditChanges),
    "lists": _Feed({ListEntry: _entry_key}, _entries, ListChanges),
}
"""What can be pulled."""
