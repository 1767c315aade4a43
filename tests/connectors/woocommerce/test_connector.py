"""The connector between a simulated shop and a whole hub: what happens in the shop becomes of documents here."""

import asyncio
import datetime as dt
from decimal import Decimal

import msgspec
import pytest

from connectors.base import Rejected, Unauthorised
from connectors.woocommerce import mapper
from connectors.woocommerce.connector import Connector
from connectors.woocommerce.kept import Kept
from connectors.woocommerce.mapper import cancel_id
from connectors.woocommerce.orders import WITHDRAWN
from connectors.woocommerce.simulator import WooCommerceSimulator
from connectors.woocommerce.simulator.faults import Fault, FaultKind
from connectors.woocommerce.simulator.keys import Key, Permissions
from connectors.woocommerce.simulator.sender import signature
from connectors.woocommerce.simulator.shop import Basket, Customs
from connectors.woocommerce.spec import ShopCurrency
from hub.runtime import connect
from hub.runtime.connect import StoreCursors, StoreRecords
from hub.store import lookup, reading
from schemas.commands import Amend, Cancel, Submit
from schemas.dates import utc_now
from schemas.documents import DocumentRequest, Kind, LineRequest, State
from schemas.ids import document_id
from schemas.master import Account, Product, Stock
from schemas.secret import Secret
from tests.connectors.conftest import instance, until
from tests.connectors.woocommerce.conformance import FEE, HOOK_SECRET, SHIPPING, SKU, spec_of
from tests.connectors.woocommerce.world import ON_HAND, WAREHOUSE, World

HOUR = dt.timedelta(hours=1)
RAM, SSD, OTHER_SSD = "10000300101", "10000600101", "10000600102"
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


async def test_a_change_the_shop_dates_before_the_last_question_is_found_within_the_overlap(world: World) -> None:
    shop = world.shop.shop
    async with world.connector(overlap=HOUR):
        number = world.order()
        await world.clears(number)
        late = world.order()
        order = shop.find("order", late)
        moment = dt.datetime.fromisoformat(order["date_modified_gmt"]) - HOUR / 2
        order["date_modified_gmt"] = moment.strftime("%Y-%m-%dT%H:%M:%S")
        await world.clears(late)


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


async def test_a_refund_comes_to_what_the_shop_gave_back_or_is_held_and_says_so(world: World) -> None:
    """Whatever the order's status by then, and though its product was deleted in the shop."""
    shop, some = world.shop.shop, world.order(quantity=2)
    everything = shop.place(Basket([(SKU, 2)], 2, shipping=850_000, fee=("بسته‌بندی", 300_000)))
    async with world.connector(take=("processing",)):
        sale = await world.clears(everything)
        assert (await world.clears(f"{everything}/R{shop.refund(everything)}")).totals == sale.totals
        await world.clears(some)
        shop.set_status(some, "completed")
        line = shop.find("order", some)["line_items"][0]
        line["sku"] = None
        refund = shop.refund(some, {line["id"]: 1}, amount=Decimal(400_000))
        returned = await world.comes_to(f"{some}/R{refund}", lambda it: it.state is State.HELD)
    assert returned.lines[0].product == SKU
    assert "gave 4,000,000 rials back, and what it took back comes to 3,190,000" in returned.reasons[0].en
    assert await world.exceptions() == {}


async def test_what_a_person_lets_through_is_told_to_the_shop_and_its_refund_goes_on(world: World) -> None:
    """The shop isn't asked again meanwhile: what waits for the hub's decision goes on by it."""
    number, shop, told = world.order(quantity=2), world.shop.shop, world.shop.ledger
    order = shop.find("order", number)
    for name in ("total", "total_tax", "cart_tax"):  # another tax than the hub's: it will be held
        order[name] = str(int(order[name]) + 50)
    refund = shop.refund(number, {order["line_items"][0]["id"]: 1})
    async with world.connector(poll=HOUR):
        await until(lambda: told.numbers("_peyvand_state").get(number) == "held")
        await world.complains(f"order-{number}")
        await world.is_approved(number)
        await world.clears(f"{number}/R{refund}")
        await world.settles(f"order-{number}")
        await until(lambda: told.numbers("_peyvand_state").get(number) == "cleared")


async def test_what_was_never_sold_here_is_nothing_to_take_back_or_withdraw(world: World) -> None:
    refunded, cancelled = (world.order(quantity=ON_HAND + 1) for _ in range(2))
    told = world.shop.ledger
    async with world.connector():
        for number in (refunded, cancelled):
            await world.comes_to(number, lambda it: it.state is State.REJECTED)
        world.shop.shop.refund(refunded)
        world.shop.shop.set_status(cancelled, "cancelled")
        withdrawn = cancel_id(document_id("shop", str(cancelled)), WITHDRAWN)

        async def refused() -> bool:
            return withdrawn in await reading.decisions(world.around.store, [withdrawn])

        await until(refused)
        await world.clears(world.order())
        # What is told of the same document later shows that its refusal was seen by then.
        [asked] = [it for it in await world.commands(cancelled) if isinstance(it, Submit)]
        fewer = tuple(msgspec.structs.replace(line, quantity=Decimal(1)) for line in asked.document.lines)
        changed = msgspec.structs.replace(asked.document, revision=2, lines=fewer, tax=None)
        await world.asks(Amend.of(changed, source="shop", actor="person", now=utc_now()))
        await until(lambda: told.numbers("_peyvand_state").get(cancelled) == "cleared")
        assert await world.exceptions() == {}


async def test_what_was_made_before_the_beginning_isnt_asked_for_until_the_beginning_is_put_back(world: World) -> None:
    now, shop, asked = utc_now(), world.shop.shop, world.shop.ledger.asked
    day = (now - dt.timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%S")
    old, unreadable = (world.order(status="completed") for _ in range(2))
    for number in (old, unreadable):
        shop.find("order", number).update(date_created_gmt=day, date_modified_gmt=day)
    shop.find("order", unreadable)["version"] = ["many"]
    forgotten = msgspec.json.encode(Kept(modified=now - dt.timedelta(days=100), revision=1))
    await StoreRecords(world.around.store, "woocommerce.shop").put("orders", {"999": forgotten})
    async with world.connector(compare=dt.timedelta(milliseconds=20)):
        await world.clears(world.order(status="completed"))
        await _asked_again(world)
        assert await StoreCursors(world.around.store, "woocommerce.shop").get("begin") is not None
        assert await world.around.dead_letters() == []
    assert not [it.path for it in asked if it.path.rpartition("/")[2].isdecimal()], "those open here: all at once"
    assert await world.commands(old) == []
    async with world.connector(begin=mapper.day(now) - dt.timedelta(days=4)):
        await world.clears(old)


async def test_only_the_shops_own_404_says_that_an_order_is_gone(world: World) -> None:
    async with world.api() as api, world.connector():
        number = world.order()
        await world.clears(number)
        path = f"/wp-json/wc/v3/orders/{number}"
        away = Fault(FaultKind.PAGE, on=f"GET {path}", times=1, status=404)
        world.shop.faults.append(away)
        for body in (b'{"id": %d}' % number, b'{"id": %d }' % number):
            headers = {"X-WC-Webhook-Topic": "order.deleted", "X-WC-Webhook-Signature": signature(body, HOOK_SECRET)}
            headers["Content-Type"] = "application/json"
            assert (await api.post("/webhooks/woocommerce/shop", body, headers=headers)).status == 200
        await until(lambda: any((it.path, it.status) == (path, 200) for it in world.shop.ledger.asked))
        assert [type(it) for it in await world.commands(number)] == [Submit]
        world.shop.shop.by_sku(SSD)[1]["sku"] = "77"
        unknown = world.order("77")
        await world.complains(f"order-{unknown}")
        await until(lambda: StoreCursors(world.around.store, "woocommerce.shop").get("compared"))
        world.shop.shop.remove("order", unknown)
        assert (await api.post(f"/webhooks/woocommerce/shop/exceptions/order-{unknown}/dismiss")).status == 200
        await world.settles(f"order-{unknown}")
        await world.clears(world.order(RAM))


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
        await world.knows(Account("WC9155554433", "مریم احمدی"))  # the books lost the phone
        again = world.order()
        world.shop.shop.find("order", again)["billing"] |= {"phone": "09155554433", "email": ""}
        assert (await world.clears(again)).account == "WC9155554433"
    assert sum(isinstance(it, Account) for it in await world.around.master()) == 1


async def test_a_customer_is_known_by_the_e_mail_alone(world: World) -> None:
    number = world.order()
    billing = world.shop.shop.find("order", number)["billing"]
    assert billing["email"]
    billing |= {"phone": "", "email": billing["email"].upper()}
    async with world.connector():
        assert (await world.clears(number)).account == "212010003"


async def test_a_shop_in_another_currency_than_is_configured_is_left_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with WooCommerceSimulator(customs=Customs(currency="IRR")) as shop:
        world.shop = shop
        world.order()
        async with world.connector(currency=ShopCurrency.TOMAN, push_price=True):
            await until(lambda: "sells in IRR" in caplog.text)
    assert not [asked.path for asked in shop.ledger.asked if "/orders" in asked.path or "/products" in asked.path]
    assert shop.ledger.pushed == []


async def test_a_customer_several_accounts_claim_waits_for_a_person(world: World) -> None:
    await world.knows(Account("212019999", "مریم دوم", phones=("+98 912 123 4567",)))
    number = world.order()
    async with world.connector():
        problem = await world.complains(f"order-{number}")
        assert "212010003, 212019999" in problem["en"]
        await world.knows(Account("212019999", "مریم دوم", phones=("+98 912 123 4567",), active=False))
        assert (await world.clears(number)).account == "212010003"
        await world.settles(f"order-{number}")
        await world.knows(Account("212019999", "مریم دوم", phones=("+98 912 123 4567",)))
        world.shop.shop.set_status(number, "completed")
        await world.clears(world.order(customer=3))
    assert await world.exceptions() == {}, "what is taken in already has its account"


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
        paid = world.order(RAM)
        await world.clears(paid)
        money = f"refund-{paid}-{world.shop.shop.refund(paid, amount=Decimal(1_000))}"
        await world.complains(money)
        right = await api.ask("PUT", "/webhooks/woocommerce/shop/products/MOUSE-1", json={"code": SKU})
        assert right.status == 200
        assert (await world.clears(number)).lines[0].product == SKU
        await world.settles(f"order-{number}")
        again = await api.post(f"/webhooks/woocommerce/shop/exceptions/{money}/retry")
        assert (again.status, "then dismiss it" in again.body["detail"]) == (422, True)
        assert list(await world.exceptions()) == [money], "what is to be done by hand isn't done by trying again"
        assert (await api.post(f"/webhooks/woocommerce/shop/exceptions/{money}/dismiss")).status == 200
        await world.settles(money)


async def test_what_a_person_mends_in_the_books_lets_orders_go_on(world: World) -> None:
    """A product that appears by itself, a customer when the order is tried again."""
    known = (await lookup.accounts(world.around.store, ["212010004"]))["212010004"]
    await world.knows(msgspec.structs.replace(known, active=False))
    world.shop.shop.by_sku(SKU)[1]["sku"] = "77"
    number, other, stranger = world.order("77"), world.order(RAM, customer=3), world.order("77")
    world.shop.shop.find("order", stranger)["billing"] |= {"phone": "09155554433", "email": ""}
    async with world.api() as api, world.connector(poll=HOUR):
        await world.complains(f"order-{stranger}")
        assert not any(isinstance(it, Account) for it in await world.around.master()), "none for what isn't taken in"
        await world.knows(Account("WC9155554433", "مریم احمدی"))
        await world.knows(Product("77", "ماوس"), Stock("77", WAREHOUSE, Decimal(5), utc_now()))
        await world.clears(number)
        await world.settles(f"order-{number}")
        await world.knows(known)
        assert (await api.post(f"/webhooks/woocommerce/shop/exceptions/order-{other}/retry")).status == 200
        await world.clears(other)


async def test_a_dismissed_order_stays_away_until_it_changes(world: World) -> None:
    world.shop.shop.by_sku(SKU)[1]["sku"] = "77"
    number = world.order("77")
    async with world.api() as api, world.connector():
        await world.complains(f"order-{number}")
        assert (await api.post(f"/webhooks/woocommerce/shop/exceptions/order-{number}/dismiss")).status == 200
        await world.settles(f"order-{number}")
        other = world.order("77")
        await world.complains(f"order-{other}")
        world.shop.shop.set_status(other, "on-hold")  # it waits in the shop again: nobody has to see to it
        await world.settles(f"order-{other}")
        await world.clears(world.order(RAM))
        assert await world.exceptions() == {}


async def test_a_sku_mapped_while_all_are_tried_again_is_tried_again_too(world: World) -> None:
    for sku, other in ((SKU, "MOUSE-1"), (RAM, "RAM-1")):
        world.shop.shop.by_sku(sku)[1]["sku"] = other
    first, second = world.order("MOUSE-1"), world.order("RAM-1")
    path = "/webhooks/woocommerce/shop"
    async with world.api() as api, world.connector(poll=HOUR, push_stock=False):
        await world.complains(f"order-{second}")
        away = Fault(FaultKind.STATUS, on=f"GET /wp-json/wc/v3/orders/{second}", times=None, status=503)
        world.shop.faults.append(away)
        assert (await api.post(f"{path}/exceptions/all/retry")).status == 200
        await until(lambda: away.struck > 0)
        assert (await api.ask("PUT", f"{path}/products/MOUSE-1", json={"code": SKU})).status == 200
        world.shop.faults.clear()
        await world.clears(first)


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
            await until(published.is_set)
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
        await world.knows(Product("NEW", "تازه"), Stock("NEW", WAREHOUSE, Decimal(9), utc_now()))
        kind, other = world.shop.shop.by_sku(SKU)
        other["sku"] = "NEW"
        world.shop.shop.saved(kind, other["id"])
        await until(lambda: world.shop.ledger.stock().get("NEW") == 7)


async def test_of_what_no_warehouse_ever_had_nothing_is_told(world: World) -> None:
    async with world.connector(warehouse="02"):
        await until(lambda: any("/products" in asked.path for asked in world.shop.ledger.asked))
        await until(lambda: sum(asked.path.endswith("/orders") for asked in world.shop.ledger.asked) > 4)
    assert world.shop.ledger.pushed == []


async def test_what_the_shop_sells_by_one_sku_no_more_or_with_tax(world: World) -> None:
    async with WooCommerceSimulator(customs=Customs(prices_include_tax=True)) as sim:
        world.shop, shop = sim, sim.shop
        await world.knows(Product(SKU, "ماوس", price=3_000_000))
        deleted, other = shop.by_sku(SKU)[1]["id"], shop.by_sku(RAM)[1]
        other["sku"] = SSD
        records = StoreRecords(world.around.store, "woocommerce.shop")
        async with world.connector(push_price=True, stock_reserve=Decimal(1)):
            await until(lambda: sim.ledger.stock().get(SKU) == ON_HAND - 1)
            assert "include tax" in (await world.complains("prices-with-tax"))["en"]
            assert str(other["id"]) in (await world.complains(f"double-{SSD}"))["en"]
            shop.remove("product", deleted)
            await world.knows(Stock(SKU, WAREHOUSE, Decimal(7), utc_now()))

            async def forgotten() -> bool:
                return not await records.get("sold", [SKU])

            await until(forgotten)
            assert set(await world.exceptions()) == {"prices-with-tax", f"double-{SSD}"}
        assert not [push for push in sim.ledger.pushed if push.regular_price]
        other["sku"] = RAM
        async with world.connector(compare=dt.timedelta(milliseconds=20)):
            await world.settles("prices-with-tax")
            await world.settles(f"double-{SSD}")


async def test_prices_are_told_in_the_shops_currency(world: World) -> None:
    async with world.connector(push_price=True, push_stock=False):
        await world.knows(Product(SKU, "ماوس", price=3_000_000))
        await until(lambda: any(push.regular_price == "300000" for push in world.shop.ledger.pushed))


async def test_a_shop_that_asks_for_a_pause_gets_it_and_is_told_what_is_sellable_then(world: World) -> None:
    pause = Fault(FaultKind.STATUS, on="/batch", times=None, status=429)
    world.shop.faults += [pause, Fault(FaultKind.STATUS, on="/variations", status=503)]
    async with world.connector(stock_reserve=Decimal(1), poll=HOUR):
        await until(lambda: pause.struck > 0)
        await world.knows(Stock(SKU, WAREHOUSE, Decimal(8), utc_now()))
        before = pause.struck
        await until(lambda: pause.struck > before)  # what is asked from here on was made up after that
        world.shop.faults.clear()
        await until(lambda: world.shop.ledger.stock().get(RAM) == ON_HAND - 1)
        assert [push.quantity for push in world.shop.ledger.pushed if push.sku == SKU] == [7]
    lists = [it for it in world.shop.ledger.asked if it.path.endswith("/products")]
    assert len(lists) <= 2, "one list that fails isn't a reason to begin with all of them again"


async def test_a_product_the_shop_fails_at_keeps_no_other_from_being_told_and_is_told_later(world: World) -> None:
    broken = world.shop.shop.by_sku(SSD)[1]
    broken["_broken"] = True
    async with world.connector(stock_reserve=Decimal(1)):
        await world.complains(f"stock-{SSD}")
        await until(lambda: world.shop.ledger.stock().get(OTHER_SSD) == ON_HAND - 1)
        del broken["_broken"]
        await until(lambda: world.shop.ledger.stock().get(SSD) == ON_HAND - 1)
        await world.settles(f"stock-{SSD}")


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


async def test_an_order_the_shop_fails_at_keeps_no_other_waiting_and_one_given_back_keeps_its_status(
    world: World,
) -> None:
    broken, number, told = world.order(), world.order(), world.shop.ledger
    fault = Fault(FaultKind.STATUS, on=f"PUT /wp-json/wc/v3/orders/{broken}", times=None, status=500)
    world.shop.faults.append(fault)
    async with world.connector(posted_status="completed"):
        await world.clears(broken)
        await world.is_posted(broken, "1405-82")
        await until(lambda: fault.struck > 0)
        await world.clears(number)
        await world.clears(f"{number}/R{world.shop.shop.refund(number)}")
        await world.is_posted(number, "1405-83")
        await until(lambda: told.numbers("_peyvand_number").get(number) == "1405-83")
        world.shop.faults.clear()
        await until(lambda: told.numbers("_peyvand_number").get(broken) == "1405-82")
        assert world.shop.shop.find("order", number)["status"] == "refunded"
        world.shop.shop.trash(number)  # nothing is left of it to be withdrawn
        await _asked_again(world)
    assert not [it for it in await world.commands(number) if isinstance(it, Cancel)]
    assert [world.shop.shop.find("order", each)["status"] for each in (broken, number)] == ["completed", "trash"]


async def test_a_cancellation_that_comes_too_late_waits_for_a_person(world: World) -> None:
    number, taken = world.order(), world.order()
    line = LineRequest(RAM, Decimal(1), 1_000)
    other = DocumentRequest(str(taken), Kind.SALES_INVOICE, utc_now().date(), "212010003", (line,), warehouse=WAREHOUSE)
    await world.asks(Submit.of(other, source="shop", actor="another shop", now=utc_now()))
    await world.comes_to(taken, lambda it: it.lines[0].product == RAM)
    async with world.connector():
        assert "didn't take it in" in (await world.complains(f"refused-{taken}"))["en"]
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
            await until(lambda: sum((it.method, it.status) == ("PUT", 401) for it in shop.ledger.asked) > 1)
            await world.clears(world.order())
    assert caplog.text.count("telling the shop of stock and prices is away") == 1
    assert caplog.text.count("looking after the shop's webhooks is away") == 1
    assert caplog.text.count("telling the shop how its orders stand is away") == 1


# --- check


async def test_check_says_what_is_wrong(world: World) -> None:
    async def check(**changes: object) -> None:
        await Connector(spec_of(world.shop, **changes), _by_hand(world)).check()

    with pytest.raises(Unauthorised, match="let us in"):
        await check(secret=Secret("cs_another"))
    with pytest.raises(Rejected, match="doesn't know one of the statuses procesing,completed"):
        await check(take=("procesing",), posted_status="completed")
    async with WooCommerceSimulator(customs=Customs(currency="IRR", prices_include_tax=True)) as shop:
        with pytest.raises(Rejected, match="sells in IRR, and the configuration says IRT"):
            await check(url=shop.url)
        with pytest.raises(Rejected, match="include tax"):
            await check(url=shop.url, currency=ShopCurrency.RIAL, push_price=True)
    async with WooCommerceSimulator(keys=[Key("ck_reads", "cs_reads", Permissions.READ)]) as world.shop:
        with pytest.raises(Unauthorised, match="may not write"):
            await check()
        await check(push_stock=False)


def _by_hand(world: World) -> connect.Context:
    mine = instance(spec_of(world.shop), "shop", "woocommerce")
    return connect.context(
        mine, connect.KafkaPublisher(world.producer), world.around.kafka, world.around.store, world.around.data
    )


async def _asked_again(world: World) -> None:
    """Return once the shop was asked for its orders anew, some times."""
    asked = world.shop.ledger.asked
    before = len(asked)
    await until(lambda: sum(it.path.endswith("/orders") for it in asked[before:]) > 10)


def _hook(address: str) -> str:
    return f"{address}/webhooks/woocommerce/shop"


async def _hooks_there(world: World) -> None:
    await until(lambda: len(world.shop.shop.tables["webhook"]) == 4)
