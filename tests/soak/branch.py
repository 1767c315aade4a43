"""A branch's own Hesabgar, at which people enter sales; the line to it comes and goes."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from connectors.hesabgar.simulator import HesabgarSimulator
from connectors.hesabgar.spec import Role
from hub.runtime.connect import Instance
from schemas.deadletters import DeadLetter
from tests.connectors.conftest import instance
from tests.connectors.hesabgar.world import spec_of
from tests.soak.plan import Order
from tests.soak.site import Site
from tests.soak.source import PRICE, Source, payable
from tests.soak.world import CUSTOMER, WAREHOUSE, today


class Branch(Source):
    """Its books hold each sale once, whatever the connector reads twice: duplicates are rows written again."""

    name = "soak-branch"

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._around = site.around
        self._entered: dict[str, int] = {}

    async def open(self, stack: AsyncExitStack) -> Sequence[Instance]:
        self._sim = stack.enter_context(HesabgarSimulator(products=20, customers=20, database="soak1405"))
        await asyncio.to_thread(self._sim.run, "UPDATE dbo.STK_Mojoodi SET Meghdar = 10000000")
        spec = spec_of(self._sim, role=Role.BRANCH, source=self.name, poll=dt.timedelta(milliseconds=200))
        return [instance(spec, "soak", "hesabgar")]

    async def send(self, orders: Sequence[Order]) -> None:
        for order in orders:
            await asyncio.to_thread(self._enter, order)

    def _enter(self, order: Order) -> None:
        net = order.quantity * PRICE
        vat, duty, total = net * 6 // 100, net * 4 // 100, payable(order.quantity)
        line = (
            f'<lines><line number="1" product="{order.product}" quantity="{order.quantity}" unit_price="{PRICE}" '
            f'net="{net}" vat="{vat}" duty="{duty}" payable="{total}"/></lines>'
        )
        key = f"B{order.number}"
        [[row], *_] = self._sim.run(
            f"EXEC hub.post_document @external_id = N'{key}', @kind = 'sales_invoice', @date = '{today()}', "
            f"@account = N'{CUSTOMER}', @warehouse = N'{WAREHOUSE}', @payment = 'cash', @net = {net}, "
            f"@payable = {total}, @vat = {vat}, @duty = {duty}, @vat_account = N'230101', "
            f"@duty_account = N'230201', @lines = N'{line}'"
        )
        more = ", Tasvieh = 'barter'" if order.malformed else ""
        self._sim.run(f"UPDATE dbo.STK_Doc SET HubRef = NULL{more} WHERE HubRef = N'{key}'")
        own_id = f"{row[3]}/sales_invoice/{row[4]}"
        if order.malformed:
            self.malformed += 1
        else:
            self._entered[own_id] = total
        if order.twice:
            self._sim.run(f"UPDATE dbo.STK_Doc SET HubRef = NULL WHERE DocNo = {row[4]} AND Kind = 'sales_invoice'")

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self._sim.away)
        try:
            yield
        finally:
            await asyncio.to_thread(self._sim.back)

    async def ledger(self) -> Mapping[str, int]:
        return self._entered

    async def told_malformed(self) -> int:
        letters: list[DeadLetter] = await self._around.dead_letters()
        return len({letter.id for letter in letters if "barter" in letter.reason})
