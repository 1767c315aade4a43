"""Accounts and products other systems made are sent to the books, if ``send_new`` says so (MODULES.md D3).

The books lead: whatever they have, they have told, and nothing of it is ever sent back. So a record on
``master.accounts`` or ``master.products`` is a newcomer when the books have no such code; it is made there once,
under its code, and not while the build waits to be accepted.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, TypeVar

from connectors.base import Context, Outage, Rejected
from connectors.hesabgar import contract, mapper
from connectors.hesabgar.build import Gate
from connectors.hesabgar.client import Client
from connectors.hesabgar.reading import Reading
from connectors.hesabgar.spec import Spec
from schemas import text
from schemas.documents import Document
from schemas.master import Account, Master, Product

READ_SECONDS: Final = 0.5

_Kind = TypeVar("_Kind", Account, Product)
_LookUp = Callable[[Collection[str]], Awaitable[dict[str, _Kind]]]

_THERE: Final[dict[type[Account | Product], str]] = {
    Account: "SELECT 1 FROM hub.accounts WHERE code = %s",
    Product: "SELECT 1 FROM hub.products WHERE code = %s",
}


class Newcomers:
    """One instance's."""

    def __init__(
        self, spec: Spec, context: Context, client: Client, reading: Reading, books: Outage, bus: Outage, gate: Gate
    ) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._reading = reading
        self._books = books
        self._bus = bus
        self._gate = gate
        self._store = Outage("the hub's database", context.logger)
        self._cities = Cities(client, context.logger)
        self._there: set[tuple[type[Account | Product], str]] = set()
        """Accounts and products the books are known to have."""

    async def run(self) -> None:
        """Until cancelled."""
        async with self._context.events.master("new", [Account, Product]) as reader:
            while True:
                records = await self._bus.waited_out(lambda: reader.read(READ_SECONDS))
                for record in records:
                    await self._see(record)
                await reader.ack(records)

    async def bring(self, document: Document) -> None:
        """See that the books have a document's account and goods before it is posted: their own news may come later.

        Raises ConnectorError.
        """
        lookup = self._context.lookup
        if document.account:
            await self._bring(Account, [document.account], lookup.accounts)
        await self._bring(Product, sorted({line.product for line in document.lines}), lookup.products)

    async def _bring(self, kind: type[_Kind], codes: Sequence[str], look_up: _LookUp[_Kind]) -> None:
        unsure = [code for code in codes if (kind, code) not in self._there]
        if not unsure:
            return
        known = await self._store.waited_out(lambda: look_up(unsure))
        for code in unsure:
            record = known.get(code)
            if record is not None and not await self._have(record):
                await self._client.query(*await batch_of(record, self._spec, self._cities))
                self._context.logger.info("%s was made in the books", code)
            self._there.add((kind, code))

    async def _have(self, record: Account | Product) -> bool:
        """Whether the books have it: told of it, in whatever spelling, or have its code by now."""
        if await self._reading.told(record):
            return True
        return bool(await self._client.query(_THERE[type(record)], (record.code,)))

    async def _see(self, record: Master) -> None:
        if not isinstance(record, Account | Product) or not record.active:
            return
        if await self._books.waited_out(lambda: self._have(record)):
            return
        await self._gate.opened(self._books)
        try:
            batch = await self._books.waited_out(lambda: batch_of(record, self._spec, self._cities))
            await self._books.waited_out(lambda: self._client.query(*batch))
        except Rejected as refused:
            self._context.logger.error("%s isn't made in the books: %s", record.code, refused)
        else:
            self._context.logger.info("%s was made in the books", record.code)


class Cities:
    """The cities one Hesabgar has, as far as they were asked for."""

    def __init__(self, client: Client, logger: logging.Logger) -> None:
        self._client = client
        self._logger = logger
        self._codes: dict[str, str] = {}

    async def code_of(self, city: str) -> str | None:
        """The code of a city, by its name or code; None if it isn't in the list, or the list can't be read: an account
        without its city is better than none. Raises Retryable or Unauthorised."""
        if self._known(city) is None:
            try:
                self._codes = mapper.city_codes(await self._client.query(contract.CITY_NAMES))
            except Rejected as refused:
                self._logger.warning("hub.cities can't be read, an account is made without its city: %s", refused)
        return self._known(city)

    def _known(self, city: str) -> str | None:
        return self._codes.get(text.normalise(city)) or self._codes.get(text.code(city))


async def batch_of(
    record: Account | Product, spec: Spec, cities: Cities, revision: int = 1
) -> tuple[str, tuple[object, ...]]:
    """The batch that makes a record in these books. A city they don't know is left out. Raises ConnectorError."""
    if isinstance(record, Product):
        return mapper.send_product(record, revision)
    city = await cities.code_of(record.city) if record.city else None
    return mapper.send_account(record, spec, city, revision)
