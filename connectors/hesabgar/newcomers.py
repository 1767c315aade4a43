"""Accounts and products other systems made are sent to the books, if ``send_new`` says so (MODULES.md D3).

The books lead: whatever they have, they have told, and nothing of it is ever sent back. So a record on
``master.accounts`` or ``master.products`` is a newcomer when the books have no such code; it is made there once,
under its code.
"""

from typing import Final

from connectors.base import Context, Outage, Rejected
from connectors.hesabgar import mapper
from connectors.hesabgar.client import Client
from connectors.hesabgar.reading import Reading
from connectors.hesabgar.spec import Spec
from schemas.master import Account, Master, Product

READ_SECONDS: Final = 0.5

_THERE: Final = {
    Account: "SELECT 1 FROM hub.accounts WHERE code = %s",
    Product: "SELECT 1 FROM hub.products WHERE code = %s",
}


class Newcomers:
    """One instance's."""

    def __init__(
        self, spec: Spec, context: Context, client: Client, reading: Reading, books: Outage, bus: Outage
    ) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._reading = reading
        self._books = books
        self._bus = bus
        self._there: set[str] = set()
        """Accounts the books are known to have."""

    async def run(self) -> None:
        """Until cancelled."""
        async with self._context.events.master("new", [Account, Product]) as reader:
            while True:
                records = await self._bus.waited_out(lambda: reader.read(READ_SECONDS))
                for record in records:
                    await self._see(record)
                await reader.ack(records)

    async def bring(self, account: str) -> None:
        """See that the books have an account before a document of it is posted: its own news may come later.

        Raises ConnectorError.
        """
        if account in self._there:
            return
        record = (await self._context.lookup.accounts([account])).get(account)
        if record is not None and not await self._client.query(_THERE[Account], (account,)):
            await self._client.query(*_sent(record, self._spec))
            self._context.logger.info("%s was made in the books", account)
        self._there.add(account)

    async def _see(self, record: Master) -> None:
        if not isinstance(record, Account | Product) or not record.active or await self._reading.told(record):
            return
        there = await self._books.waited_out(lambda: self._client.query(_THERE[type(record)], (record.code,)))
        if there:
            return
        batch = _sent(record, self._spec)
        try:
            await self._books.waited_out(lambda: self._client.query(*batch))
        except Rejected as refused:
            self._context.logger.error("%s isn't made in the books: %s", record.code, refused)
        else:
            self._context.logger.info("%s was made in the books", record.code)


def _sent(record: Account | Product, spec: Spec) -> tuple[str, tuple[object, ...]]:
    return mapper.send_account(record, spec) if isinstance(record, Account) else mapper.send_product(record)
