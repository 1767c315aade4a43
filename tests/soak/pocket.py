"""A visitor's handheld that sells offline and pushes when it can, over connections that break; it dies by being off."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from connectors.pocket_cyber.simulator import Fleet, Handheld
from connectors.pocket_cyber.simulator.fleet import patiently
from connectors.pocket_cyber.spec import Limits, PriceChanged, Spec
from hub.runtime.connect import Instance
from tests.connectors.conftest import instance, until
from tests.soak.plan import Order
from tests.soak.site import Site
from tests.soak.source import PRICE, Source, payable
from tests.soak.world import CUSTOMER, PRODUCTS, WAREHOUSE

HOLDER = "v1"
INSTANCE = "soak"


class Pocket(Source):
    """``alive`` is cleared while it is off: then it goes on selling, and pushes nothing."""

    name = "soak-pocket"

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site
        self._handheld: Handheld | None = None
        self._sold: dict[str, Order] = {}
        self._alive = asyncio.Event()
        self._alive.set()

    async def open(self, stack: AsyncExitStack) -> Sequence[Instance]:
        self._key = (await self._site.key(f"{self.name}-operator", "admin")).token or ""
        # What the others sell at, whatever the catalogue's price is.
        spec = Spec(source=self.name, holders={HOLDER: Limits()}, price_changed=PriceChanged.ACCEPT)
        return [instance(spec, INSTANCE, "pocket_cyber")]

    async def send(self, orders: Sequence[Order]) -> None:
        await self._alive.wait()
        await self._push_all(await self._ready(), orders)

    async def send_while_away(self, orders: Sequence[Order]) -> None:
        handheld = await self._ready()
        self._make(handheld, orders)
        await self._alive.wait()
        await self._push_all(handheld, ())

    async def _ready(self) -> Handheld:
        """The handheld, enrolled, once the hub has told it of the goods and the customer."""
        if self._handheld is None:
            address = f"{self._site.address}/connectors/pocket_cyber/{INSTANCE}"
            fleet = Fleet(self._site.session, address, self._key, [HOLDER])
            await fleet.enrol()
            self._handheld = fleet.handhelds[HOLDER]
            await until(self._knows)
        return self._handheld

    async def _knows(self) -> bool:
        assert self._handheld is not None
        await self._handheld.pull("products", "customers")
        copies = self._handheld.copies
        return CUSTOMER in copies["customers"] and copies["products"].keys() >= set(PRODUCTS)

    def _make(self, handheld: Handheld, orders: Sequence[Order]) -> None:
        for order in orders:
            quantity = "three" if order.malformed else str(order.quantity)
            line = {"product": order.product, "quantity": quantity, "unit_price": PRICE}
            id_ = handheld.sell(account=CUSTOMER, warehouse=WAREHOUSE, payment="cash", lines=[line])
            self._sold[id_] = order
            self.malformed += order.malformed

    async def _push_all(self, handheld: Handheld, orders: Sequence[Order]) -> None:
        self._make(handheld, orders)
        twice = sum(order.twice for order in orders) / max(len(self._sold), 1)
        if handheld.dice.random() < 0.5:
            await patiently(handheld.push_and_break)
        await patiently(lambda: handheld.push(again=twice))

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self._alive.clear()
        try:
            yield
        finally:
            self._alive.set()

    async def ledger(self) -> Mapping[str, int]:
        entries = self._handheld.ledger if self._handheld is not None else {}
        return {f"{HOLDER}/{id_}": payable(self._sold[id_].quantity) for id_, entry in entries.items() if entry.taken}

    async def told_malformed(self) -> int:
        entries = self._handheld.ledger.values() if self._handheld is not None else ()
        return sum("refused" in entry.results for entry in entries)
