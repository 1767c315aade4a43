"""The main path: an order of the shop comes in, is decided, and the shop hears of it."""

import datetime as dt
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from connectors.woocommerce.simulator import WooCommerceSimulator
from connectors.woocommerce.simulator.shop import Basket
from connectors.woocommerce.spec import ShopCurrency, Spec
from hub.bus.producer import Producer
from hub.rules.settings import RuleSettings
from hub.store import lookup, master
from schemas import ids
from schemas.dates import utc_now
from schemas.documents import Document, State
from schemas.master import Master, Product, Stock, Warehouse
from schemas.secret import Secret
from streams.settings import StreamSettings
from streams.worker import running
from tests.connectors.conftest import Running, Surroundings, instance, until

SKU = "10000300101"


@pytest.fixture
async def sim() -> AsyncIterator[WooCommerceSimulator]:
    async with WooCommerceSimulator() as simulator:
        yield simulator


@pytest.fixture
async def deciding(around: Surroundings) -> AsyncIterator[None]:
    producer = Producer(around.kafka)
    await producer.start()
    try:
        async with running(StreamSettings(kafka=around.kafka, rules=RuleSettings()), around.store, producer):
            yield
    finally:
        await producer.stop()


def spec(sim: WooCommerceSimulator, **changes: Any) -> Spec:
    given: dict[str, Any] = {
        "url": sim.url,
        "key": Secret("ck_simulated"),
        "secret": Secret("cs_simulated"),
        "currency": ShopCurrency(sim.shop.customs.currency),
        "warehouse": "101",
        "poll": dt.timedelta(milliseconds=200),
        "look": dt.timedelta(milliseconds=100),
        "shipping_product": "SHIP",
    }
    return Spec(**(given | changes))


async def stocked(around: Surroundings, sim: WooCommerceSimulator) -> None:
    goods: list[Master] = [Product(sku, sku, price=1_000_000) for sku in sim.shop.skus()]
    goods += [Product("SHIP", "ارسال", stocked=False), Warehouse("101", "مرکزی")]
    goods += [Stock(sku, "101", Decimal(50), utc_now()) for sku in sim.shop.skus()]
    await master.apply(around.store, goods)


async def comes_to(around: Surroundings, own_id: str, state: State) -> Document:
    identity = ids.document_id("main", own_id)
    found: list[Document] = []

    async def there() -> bool:
        found[:] = (await lookup.documents(around.store, [identity])).values()
        return bool(found) and found[0].state is state

    try:
        await until(there)
    except TimeoutError:
        raise AssertionError(f"{own_id} is {found}") from None
    return found[0]


async def test_walk(around: Surroundings, sim: WooCommerceSimulator, deciding: None) -> None:
    await stocked(around, sim)
    number = sim.shop.place(Basket([(SKU, 2)], shipping=850_000, coupon=("NOROOZ", 10)))
    async with Running(around.connectors(instance(spec(sim), "main", "woocommerce"))) as running_one:
        document = await comes_to(around, str(number), State.CLEARED)
        assert (document.account or "").startswith("WC")
        order = sim.shop.find("order", number)
        assert document.totals.payable == int(Decimal(order["total"])) * 10
        await until(lambda: sim.ledger.stock().get(SKU) == 48)
        sim.shop.refund(number, {order["line_items"][0]["id"]: 1})
        [made] = sim.shop.refunds(number)
        await comes_to(around, f"{number}/R{made['id']}", State.CLEARED)
        other = sim.shop.place(Basket([(SKU, 1)]))
        await comes_to(around, str(other), State.CLEARED)
        sim.shop.set_status(other, "cancelled")
        await comes_to(around, str(other), State.CANCELLED)
        sim.shop.set_status(other, "processing")
        await comes_to(around, f"{other}/2", State.CLEARED)
        sim.shop.edit(other, {sim.shop.find("order", other)["line_items"][0]["id"]: 3})

        async def three() -> bool:
            return (await comes_to(around, f"{other}/2", State.CLEARED)).lines[0].quantity == 3

        await until(three)
        assert running_one.connectors.counters()["woocommerce.main_exceptions"] == 0
