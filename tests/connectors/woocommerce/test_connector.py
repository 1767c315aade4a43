"""The connector between a simulated shop and a whole hub: what happens in the shop becomes of documents here."""

import asyncio
import datetime as dt
from decimal import Decimal

import msgspec
import pytest

from connectors.base import Rejected, Unauthorised
from connectors.woocommerce.connector import Connector
from connectors.woocommerce.simulator import WooCommerceSimulator
from connectors.woocommerce.simulator.faults import Fault, FaultKind
from connectors.woocommerce.simulator.keys import Key, Permissions
from connectors.woocommerce.simulator.shop import Basket, Customs
from hub.runtime import connect
from hub.runtime.connect import StoreRecords
from hub.store import lookup
from schemas.commands import Amend, Cancel, Submit
from schemas.dates import utc_now
from schemas.documents import Kind, State
from schemas.master import Account, Product, Stock
from schemas.secret import Secret
from tests.connectors.conftest import instance, until
from tests.connectors.woocommerce.conformance import FEE, SHIPPING, SKU, spec_of
from tests.connectors.woocommerce.world import ON_HAND, WAREHOUSE, World

HOUR = dt.timedelta(hours=1)
RAM, SSD = "10000300101", "10000600101"
MOUSE_RIALS = 2_900_000


# --- orders, asked for


async def test_an_order_clears_in_rials_with_its_tax(world: World) -> None:
    number = world.order(quantity=3)
    async with world.connector():
        document = await world.clears(number)
    assert (document.kind, document.account, document.warehouse) == (Kind.SALES_INVOICE, "212010003", WAREHOUSE)
    [line] = document.lines
    assert (line.product, line.quantity, line.unit_price) == (SKU, Decimal(3), MOUSE_RIALS)
    assert document.totals.payable == MOUSE_RIALS * 3 * 110 // 100
    assert not document.reasons


async def test_a_variation_a_coupon_shipping_and_a_fee(world: World) -> None:
    basket = Basket([(SSD, 2)], 2, coupon=("NOROOZ", 10), shipping=850_000, fee=("بسته‌بندی", 300_000))
    number = world.shop.shop.place(basket)
    async with world.connector():
        document = await world.clears(number)
    lines = [(line.product, line.unit_price, line.discount) for line in document.lines]
    assert lines == [(SSD, 21_500_000, 4_300_000), (SHIPPING, 850_000, 0), (FEE, 300_000, 0)]


async def test_a_change_is_the_next_revision_and_what_says_nothing_new_is_none(world: World) -> None:
    number = world.order()
    shop = world.shop.shop
    async with world.connector():
        await world.clears(number)
        shop.edit(number, {shop.find("order", number)["line_items"][0]["id"]: 4})
        assert (await world.clears(number, 2)).lines[0].quantity == 4
        shop.set_status(number, "completed")
        await world.clears(world.order())
    assert [type(it) for it in await world.commands(number)] == [Submit, Amend]


@pytest.mark.parametrize("how", ["cancelled", "failed", "trash", "deleted"])
async def test_what_comes_to_nothing_is_cancelled(world: World, how: str) -> None:
    number = world.order()
    async with world.connector(compare=dt.timedelta(milliseconds=50)):
        await world.clears(number)
        match how:
            case "trash":
                world.shop.shop.trash(number)
            case "deleted":
                world.shop.shop.remove("order", number)
            case status:
                world.shop.shop.set_status(number, status)
        await world.ends(number)


async def test_what_comes_back_is_a_new_document_which_has_a_life_of_its_own(world: World) -> None:
    number = world.order()
    async with world.connector():
        await world.clears(number)
        world.shop.shop.trash(number)
        await world.ends(number)
        world.shop.shop.restore(number)
        assert (await world.clears(f"{number}/2")).lines[0].product == SKU
        world.shop.shop.set_status(number, "cancelled")
        await world.ends(f"{number}/2")


async def test_a_refund_of_some_goods_is_a_return_and_is_cancelled_when_it_is_taken_back(world: World) -> None:
    number = world.order(quantity=3)
    shop = world.shop.shop
    async with world.connector():
        sale = await world.clears(number)
        refund = shop.refund(number, {shop.find("order", number)["line_items"][0]["id"]: 1}, reason="خرابی")
        returned = await world.clears(f"{number}/R{refund}")
        assert (returned.kind, returned.original_id) == (Kind.SALES_RETURN, sale.id)
        assert [(line.product, line.quantity, line.unit_price) for line in returned.lines] == [
            (SKU, Decimal(1), MOUSE_RIALS)
        ]
        shop.unrefund(number, refund)
        await world.ends(f"{number}/R{refund}")


async def test_an_order_first_seen_refunded_is_sold_and_taken_back(world: World) -> None:
    number = world.order(quantity=2)
    refund = world.shop.shop.refund(number)
    async with world.connector():
        assert (await world.clears(f"{number}/R{refund}")).lines[0].quantity == 2
        await world.settles(f"order-{number}")


async def test_a_refund_of_money_alone_waits_for_a_person(world: World) -> None:
    number = world.order()
    async with world.connector():
        await world.clears(number)
        refund = world.shop.shop.refund(number, amount=Decimal(1_000))
        problem = await world.complains(f"refund-{number}-{refund}")
    assert "no goods" in problem["en"]
    assert "کالا" in problem["fa"]


# --- money and customers


@pytest.mark.parametrize(("currency", "decimals"), [("IRR", 0), ("IRT", 0), ("IRHR", 2), ("IRHT", 2)])
async def test_whatever_the_shops_currency_the_amounts_are_the_same_rials(
    world: World, currency: str, decimals: int
) -> None:
    async with WooCommerceSimulator(customs=Customs(currency=currency, decimals=decimals)) as shop:
        world.shop = shop
        number = world.order(quantity=2)
        async with world.connector():
            document = await world.clears(number)
    assert (document.lines[0].unit_price, document.totals.payable) == (MOUSE_RIALS, MOUSE_RIALS * 2 * 110 // 100)


async def test_prices_with_tax_in_them(world: World) -> None:
    async with WooCommerceSimulator(customs=Customs(currency="IRR", prices_include_tax=True)) as shop:
        world.shop = shop
        number = world.order(quantity=3)
        async with world.connector():
            document = await world.clears(number)
    assert abs(document.totals.payable - MOUSE_RIALS * 3) <= 3


async def test_an_order_in_another_currency_waits_and_the_rest_goes_on(world: World) -> None:
    foreign = world.shop.shop.place(Basket([(SKU, 1)], 2), currency="USD")
    number = world.order()
    async with world.connector():
        await world.clears(number)
        assert "USD" in (await world.complains(f"order-{foreign}"))["en"]
    assert await world.commands(foreign) == []


async def test_a_customer_nobody_knows_gets_an_account_before_the_order(world: World) -> None:
    number = world.order()
    order = world.shop.shop.find("order", number)
    order["billing"] |= {"phone": "۰۹۱۵ ۵۵۵ ۴۴ ۳۳", "email": "new@example.ir"}
    async with world.connector():

        async def told() -> bool:
            return any(isinstance(it, Account) and it.code == "WC9155554433" for it in await world.around.master())

        await until(told)
        await world.knows(Account("WC9155554433", "مریم احمدی", phones=("09155554433",)))
        assert (await world.clears(number)).account == "WC9155554433"


async def test_a_customer_several_accounts_claim_waits_for_a_person(world: World) -> None:
    await world.knows(Account("212019999", "مریم دوم", phones=("+98 912 123 4567",)))
    number = world.order()
    async with world.connector():
        problem = await world.complains(f"order-{number}")
        assert "212010003, 212019999" in problem["en"]
        await world.knows(Account("212019999", "مریم دوم", phones=("+98 912 123 4567",), active=False))
        assert (await world.clears(number)).account == "212010003"


async def test_an_inactive_customer_waits_for_a_person_and_is_not_made_anew(world: World) -> None:
    known = (await lookup.accounts(world.around.store, ["212010003"]))["212010003"]
    await world.knows(msgspec.structs.replace(known, active=False))
    number = world.order()
    async with world.connector():
        assert "212010003 is inactive" in (await world.complains(f"order-{number}"))["en"]
        await world.knows(known)
        assert (await world.clears(number)).account == "212010003"


# --- webhooks


async def test_a_push_is_taken_in_without_being_asked_for_and_twice_is_once(world: World) -> None:
    async with world.api() as api, world.connector(webhook_url=_hook(api.address)):
        await _hooks_there(world)
        world.shop.faults.append(Fault(FaultKind.STATUS, on="GET /wp-json/wc/v3/orders", times=None, status=503))
        number = world.order()
        await world.shop.sender.pump()
        sent = world.shop.ledger.delivered()
        await world.clears(number)
        headers = {**sent[0].headers}
        for _ in range(3):
            assert (await api.post("/webhooks/woocommerce/shop", sent[0].body, headers=headers)).status == 200
        after = world.order()
        await world.shop.sender.pump()
        await world.clears(after)
    assert [type(it) for it in await world.commands(number)] == [Submit]


async def test_a_push_that_is_late_changes_nothing(world: World) -> None:
    async with world.api() as api, world.connector(webhook_url=_hook(api.address)):
        await _hooks_there(world)
        number = world.order()
        await world.shop.sender.pump()
        old = world.shop.ledger.delivered("order.created")[0]
        await world.clears(number)
        order = world.shop.shop.find("order", number)
        later = dt.datetime.fromisoformat(order["date_modified_gmt"]) + dt.timedelta(seconds=5)
        world.shop.shop.edit(number, {order["line_items"][0]["id"]: 4})
        order["date_modified_gmt"] = later.strftime("%Y-%m-%dT%H:%M:%S")
        await world.shop.sender.pump()
        await world.clears(number, 2)
        assert (await api.post("/webhooks/woocommerce/shop", old.body, headers=old.headers)).status == 200
        after = world.order()
        await world.shop.sender.pump()
        await world.clears(after)
    assert [type(it) for it in await world.commands(number)] == [Submit, Amend]


async def test_a_disabled_webhook_loses_nothing_and_is_enabled_again(world: World) -> None:
    async with world.connector(webhook_url="http://127.0.0.1:9/webhooks/woocommerce/shop", poll=HOUR / 18_000):
        await _hooks_there(world)
        hook = next(it for it in world.shop.shop.tables["webhook"].values() if it["topic"] == "order.created")
        hook["status"] = "disabled"
        await world.clears(world.order())
        await until(lambda: hook["status"] == "active")


async def test_a_forged_push_is_refused_and_a_ping_is_answered(world: World) -> None:
    async with world.api() as api:
        path = "/webhooks/woocommerce/shop"
        headers = {"X-WC-Webhook-Topic": "order.created", "Content-Type": "application/json"}
        assert (await api.post(path, b'{"id": 1}', headers=headers)).status == 401
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await api.post(path, b"webhook_id=4", headers=form)).status == 200


# --- the exception list


async def test_an_unknown_sku_is_mapped_by_a_person_and_the_order_is_taken_in(world: World) -> None:
    world.shop.shop.by_sku(SKU)[1]["sku"] = "MOUSE-1"
    number = world.order("MOUSE-1")
    async with world.api() as api, world.connector():
        await world.complains(f"order-{number}")
        page = (await api.get("/webhooks/woocommerce/shop/exceptions")).body
        assert [(it["id"], it["order"], it["sku"]) for it in page["items"]] == [(f"order-{number}", number, "MOUSE-1")]
        wrong = await api.ask("PUT", "/webhooks/woocommerce/shop/products/MOUSE-1", json={"code": "nothing"})
        assert (wrong.status, wrong.body["detail"]) == (422, "There is no product nothing.")
        right = await api.ask("PUT", "/webhooks/woocommerce/shop/products/MOUSE-1", json={"code": SKU})
        assert right.status == 200
        assert (await world.clears(number)).lines[0].product == SKU
        await world.settles(f"order-{number}")


async def test_a_product_that_appears_is_found_on_retry(world: World) -> None:
    world.shop.shop.by_sku(SKU)[1]["sku"] = "77"
    number = world.order("77")
    async with world.api() as api, world.connector(poll=HOUR):
        await world.complains(f"order-{number}")
        await world.knows(Product("77", "ماوس"), Stock("77", WAREHOUSE, Decimal(5), utc_now()))
        assert (await api.post(f"/webhooks/woocommerce/shop/exceptions/order-{number}/retry")).status == 200
        await world.clears(number)
        await world.settles(f"order-{number}")


async def test_a_dismissed_order_stays_away_until_it_changes(world: World) -> None:
    world.shop.shop.by_sku(SKU)[1]["sku"] = "77"
    number = world.order("77")
    async with world.api() as api, world.connector():
        await world.complains(f"order-{number}")
        assert (await api.post(f"/webhooks/woocommerce/shop/exceptions/order-{number}/dismiss")).status == 200
        await world.settles(f"order-{number}")
        await world.clears(world.order(RAM))
        assert await world.exceptions() == {}


# --- killed


@pytest.mark.parametrize("spared", [0, 1])
async def test_killed_between_kafka_and_the_records_no_change_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch, spared: int
) -> None:
    """Ended after a revision was published and before that was remembered, with the order changed again meanwhile."""
    number, shop, left = world.order(), world.shop.shop, [spared]
    line = shop.find("order", number)["line_items"][0]["id"]
    published, put = asyncio.Event(), StoreRecords.put
    original = connect.KafkaPublisher.documents

    async def documents(self: object, commands: object) -> None:
        await original(self, commands)  # type: ignore[arg-type]
        if not left[0]:
            published.set()
        left[0] -= 1

    async def never(self: object, bucket: str, values: object) -> None:
        if published.is_set() and bucket == "orders":
            await asyncio.Event().wait()
        await put(self, bucket, values)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(connect.KafkaPublisher, "documents", documents)
        patched.setattr(StoreRecords, "put", never)
        async with world.connector():
            if spared:
                await world.clears(number)
                shop.edit(number, {line: 2})
            await published.wait()
            await world.clears(number, spared + 1)
    shop.edit(number, {line: 5})
    async with world.connector():
        assert (await world.clears(number, spared + 2)).lines[0].quantity == 5


# --- stock, prices and answers


async def test_what_can_be_sold_is_told_to_the_shop_by_what_is_reserved(world: World) -> None:
    async with world.connector(stock_reserve=Decimal(2)):
        await until(lambda: world.shop.ledger.stock().get(SKU) == ON_HAND - 2)
        number = world.order(quantity=3)
        await world.clears(number)
        await until(lambda: world.shop.ledger.stock().get(SKU) == ON_HAND - 5)
        assert world.shop.ledger.stock()[SSD] == ON_HAND - 2
        told = len(world.shop.ledger.pushed)
        await world.clears(world.order(RAM))
        await until(lambda: world.shop.ledger.stock().get(RAM) == ON_HAND - 3)
        assert {push.sku for push in world.shop.ledger.pushed[told:]} == {RAM}


async def test_of_what_no_warehouse_ever_had_nothing_is_told(world: World) -> None:
    async with world.connector(warehouse="02"):
        await until(lambda: any("/products" in asked.path for asked in world.shop.ledger.asked))
        await until(lambda: sum(asked.path.endswith("/orders") for asked in world.shop.ledger.asked) > 4)
    assert world.shop.ledger.pushed == []


async def test_prices_are_told_in_the_shops_currency(world: World) -> None:
    async with world.connector(push_price=True, push_stock=False):
        await world.knows(Product(SKU, "ماوس", price=3_000_000))
        await until(lambda: any(push.regular_price == "300000" for push in world.shop.ledger.pushed))


async def test_a_shop_that_asks_for_a_pause_gets_it_and_is_told_all_the_same(world: World) -> None:
    world.shop.faults.append(Fault(FaultKind.STATUS, on="/batch", times=3, status=429))
    async with world.connector(stock_reserve=Decimal(1)):
        await until(lambda: world.shop.ledger.stock().get(SKU) == ON_HAND - 1)


async def test_the_number_in_the_books_goes_back_and_is_no_change(world: World) -> None:
    number = world.order()
    async with world.connector(posted_status="completed"):
        await world.clears(number)
        await world.is_posted(number, "1405-77")
        await until(lambda: world.shop.ledger.numbers("_peyvand_number").get(number) == "1405-77")
        assert world.shop.shop.find("order", number)["status"] == "completed"
        await world.clears(world.order())
    commands = [it for it in await world.commands(number) if isinstance(it, Submit | Amend | Cancel)]
    assert [type(it) for it in commands] == [Submit]


async def test_a_cancellation_that_comes_too_late_waits_for_a_person(world: World) -> None:
    number = world.order()
    async with world.connector():
        await world.clears(number)
        await world.is_posted(number, "1405-78")
        await world.comes_to(number, lambda it: it.state is State.POSTED)
        world.shop.shop.set_status(number, "cancelled")
        assert "by hand" in (await world.complains(f"refused-{number}"))["en"]
        world.shop.shop.set_status(number, "processing")
        await world.clears(world.order())
        assert await world.commands(f"{number}/2") == []


async def test_a_key_that_may_only_read_lets_orders_in_and_is_told_of_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with WooCommerceSimulator(keys=[Key("ck_reads", "cs_reads", Permissions.READ)]) as shop:
        world.shop = shop
        async with world.connector(stock_reserve=Decimal(1), webhook_url="http://127.0.0.1:9/x"):
            number = world.order()
            await world.clears(number)
            await world.is_posted(number, "1405-79")
            await world.comes_to(number, lambda it: it.state is State.POSTED)
            await until(lambda: sum(it.status == 401 and "batch" in it.path for it in shop.ledger.asked) > 2)
            await world.clears(world.order())
    assert caplog.text.count("telling the shop of stock and prices is away") == 1
    assert caplog.text.count("looking after the shop's webhooks is away") == 1


# --- check


async def test_check_names_a_currency_that_differs(world: World) -> None:
    async with WooCommerceSimulator(customs=Customs(currency="IRR")) as shop:
        context = _by_hand(world)
        connector = Connector(spec_of(world.shop, url=shop.url), context)
        with pytest.raises(Rejected, match="sells in IRR, and the configuration says IRT"):
            await connector.check()


async def test_check_names_a_wrong_key(world: World) -> None:
    with pytest.raises(Unauthorised):
        await Connector(spec_of(world.shop, secret=Secret("cs_another")), _by_hand(world)).check()


def _by_hand(world: World) -> connect.Context:
    mine = instance(spec_of(world.shop), "shop", "woocommerce")
    return connect.context(
        mine, connect.KafkaPublisher(world.producer), world.around.kafka, world.around.store, world.around.data
    )


def _hook(address: str) -> str:
    return f"{address}/webhooks/woocommerce/shop"


async def _hooks_there(world: World) -> None:
    await until(lambda: len(world.shop.shop.tables["webhook"]) == 4)
