"""A WooCommerce shop that sells while its line comes and goes; its webhooks tell some orders twice, some never."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from connectors.woocommerce.kept import EXCEPTIONS, Problem
from connectors.woocommerce.simulator import WooCommerceSimulator
from connectors.woocommerce.simulator.goods import Good
from connectors.woocommerce.simulator.shop import Basket, Customs
from connectors.woocommerce.spec import ShopCurrency, Spec
from hub.runtime.connect import Instance, StoreRecords
from schemas.secret import Secret
from tests.connectors.conftest import instance
from tests.soak.plan import Order
from tests.soak.site import Site
from tests.soak.source import PRICE, Source, payable
from tests.soak.world import CUSTOMER, PRODUCTS, WAREHOUSE

INSTANCE = "soak"


class Shop(Source):
    """Malformed orders are in a currency nobody knows: they wait on the exception list."""

    name = "soak-shop"

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site
        self._sold: dict[str, int] = {}

    async def open(self, stack: AsyncExitStack) -> Sequence[Instance]:
        goods = [Good(code, code, PRICE, stock=10_000_000) for code in PRODUCTS]
        self._sim = await stack.enter_async_context(
            WooCommerceSimulator(stocked=goods, customs=Customs(currency="IRT"), sends_every=0.2)
        )
        spec = Spec(
            url=self._sim.url,
            key=Secret("ck_simulated"),
            secret=Secret("cs_simulated"),
            currency=ShopCurrency.TOMAN,
            warehouse=WAREHOUSE,
            source=self.name,
            new_accounts="",
            guest_account=CUSTOMER,
            webhook_url=f"{self._site.address}/webhooks/woocommerce/{INSTANCE}",
            webhook_secret=Secret("whs_soak"),
            poll=dt.timedelta(milliseconds=500),
            look=dt.timedelta(milliseconds=500),
        )
        return [instance(spec, INSTANCE, "woocommerce")]

    async def send(self, orders: Sequence[Order]) -> None:
        shop = self._sim.shop
        for order in orders:
            basket = Basket([(order.product, order.quantity)], customer=order.number % 3)
            if order.malformed:
                shop.place(basket, currency="XXX")
                self.malformed += 1
                continue
            number = shop.place(basket)
            self._sold[str(number)] = payable(order.quantity)
            if order.twice:
                shop.saved("order", number)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        await self._sim.stop()
        try:
            yield
        finally:
            await self._sim.start()

    async def ledger(self) -> Mapping[str, int]:
        return self._sold

    async def told_malformed(self) -> int:
        records = StoreRecords(self._site.around.store, f"woocommerce.{INSTANCE}")
        found = [msgspec.json.decode(value, type=Problem) for _, value in await records.page(EXCEPTIONS, limit=10_000)]
        return sum("XXX" in problem.en for problem in found)
