"""What the connector remembers of a shop, in the database: orders, exceptions, SKUs, what it was told of stock."""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Final

import msgspec

from connectors.base import Context, Outage
from schemas.dates import Moment
from schemas.documents import DocumentRequest

ORDERS: Final = "orders"
EXCEPTIONS: Final = "exceptions"
SKUS: Final = "skus"
WISHES: Final = "wishes"
"""What a person asked for at the API: exception → retry or dismiss."""
SOLD: Final = "sold"
UNTOLD: Final = "untold"
"""Orders that couldn't be told how they stand: their ids → their documents'."""
BAD: Final = "bad"
"""Digests of what couldn't be read, so that each is told once."""

RETRY: Final = b"retry"
DISMISS: Final = b"dismiss"


def wish(what: bytes, now: datetime) -> bytes:
    """A wish as it is kept: no two are equal, so one that is made while another is seen to isn't forgotten with it."""
    return what + b" " + now.isoformat().encode()


def is_wish(kept: bytes, what: bytes) -> bool:
    """Whether a kept wish is for that."""
    return kept.split(b" ")[0] == what


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """One order as it was last taken in. ``content`` is the fingerprint of its document; ``modified`` the shop's date.

    ``generation`` counts its lives: a cancelled document is final, so an order that comes back begins another.
    """

    modified: Moment | None = None
    content: str = ""
    revision: int = 0
    generation: int = 1
    gone: bool = False
    settled: bool = False
    """Posted, or come to nothing: no longer compared every night."""
    refunds: tuple[int, ...] = ()
    pending: DocumentRequest | None = None
    """What is about to be told, written before it is."""
    dismissed: Moment | None = None
    """The order as it was modified then is nobody's business any more."""
    products: dict[int, str] = {}
    """The product of each of its lines by the line's id: a product that is deleted in the shop loses its SKU there."""
    customer: str = ""
    """The phone and e-mail its account was found by; with them it keeps that ``account``."""
    account: str = ""
    given_back: bool = False
    """Wholly refunded, and all of that seen to: whatever becomes of it in the shop, there is nothing to withdraw."""
    told: str = ""
    """The state the shop was last told."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing a person has to see to."""

    id: str
    en: str
    fa: str
    since: Moment
    order: int | None = None
    number: str = ""
    sku: str | None = None


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a SKU is in the shop, and what the shop has of it as far as we know."""

    id: int
    parent: int = 0
    stock: str | None = None
    price: str | None = None


class Memory:
    """One instance's records, waited for while the database is away."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._outage = Outage("the database of records", context.logger)

    async def order(self, number: int) -> Kept | None:
        """What was kept of an order."""
        found = await self.get(ORDERS, str(number))
        return msgspec.json.decode(found, type=Kept) if found else None

    async def keep(self, number: int, kept: Kept) -> None:
        """Keep an order; after what it stands for was published."""
        await self.put(ORDERS, str(number), msgspec.json.encode(kept))

    async def complain(self, problem: Problem) -> bool:
        """Put something on the exception list; whether it is new there."""
        before = await self.get(EXCEPTIONS, problem.id)
        if before is not None:
            old = msgspec.json.decode(before, type=Problem)
            problem = msgspec.structs.replace(problem, since=old.since)
            if old == problem:
                return False
        await self.put(EXCEPTIONS, problem.id, msgspec.json.encode(problem))
        return True

    async def settle(self, problem: str) -> None:
        """Take something off the exception list."""
        if await self.get(EXCEPTIONS, problem) is not None:
            await self.put(EXCEPTIONS, problem, None)

    async def problems(self) -> list[Problem]:
        """The exception list."""
        return [msgspec.json.decode(value, type=Problem) for _, value in await self.all(EXCEPTIONS)]

    async def mapped(self, skus: set[str]) -> dict[str, str]:
        """The codes people gave to SKUs."""
        found = await self._outage.waited_out(lambda: self._context.records.get(SKUS, skus))
        return {sku: code.decode() for sku, code in found.items()}

    async def items(self, codes: set[str]) -> dict[str, Item]:
        """What the shop has, by SKU."""
        found = await self._outage.waited_out(lambda: self._context.records.get(SOLD, codes))
        return {code: msgspec.json.decode(value, type=Item) for code, value in found.items()}

    async def put_items(self, items: dict[str, Item]) -> None:
        """Keep what the shop has."""
        values: dict[str, bytes | None] = {code: msgspec.json.encode(item) for code, item in items.items()}
        await self._outage.waited_out(lambda: self._context.records.put(SOLD, values))

    async def each(self, bucket: str) -> AsyncIterator[tuple[str, bytes]]:
        """Everything in a bucket, read page by page."""
        after = ""
        while page := await self._outage.waited_out(partial(self._context.records.page, bucket, after)):
            for entry in page:
                yield entry
            after = page[-1][0]

    async def all(self, bucket: str) -> list[tuple[str, bytes]]:
        """Everything in a bucket."""
        return [entry async for entry in self.each(bucket)]

    async def page(self, bucket: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        """What follows a key in a bucket."""
        return await self._outage.waited_out(lambda: self._context.records.page(bucket, after, limit))

    async def granted(self, problem: str, wished: bytes) -> None:
        """Forget a wish that was seen to, unless there is another by now."""
        await self._outage.waited_out(lambda: self._context.records.replace(WISHES, problem, wished, None))

    async def put(self, bucket: str, key: str, value: bytes | None) -> None:
        """Set one record, or forget it."""
        await self._outage.waited_out(lambda: self._context.records.put(bucket, {key: value}))

    async def get(self, bucket: str, key: str) -> bytes | None:
        """One record."""
        found = await self._outage.waited_out(lambda: self._context.records.get(bucket, [key]))
        return found.get(key)

    async def cursor(self, name: str) -> str | None:
        """Where something was left."""
        return await self._outage.waited_out(lambda: self._context.cursors.get(name))

    async def set_cursor(self, name: str, value: str) -> None:
        """Leave it there."""
        await self._outage.waited_out(lambda: self._context.cursors.set(name, value))


def order_problem(order: int) -> str:
    """The id under which an order is on the exception list."""
    return f"order-{order}"
