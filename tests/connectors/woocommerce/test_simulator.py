"""The simulated shop keeps to WooCommerce's rules: sums, stock, statuses, the trash, refunds, lists and their traps."""

import csv
import random
import secrets
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.woocommerce.client import oauth_signature
from connectors.woocommerce.payloads import Order, Product, Variation, amount, decode
from connectors.woocommerce.simulator import Customs, WooCommerceSimulator, goods, pricing, sample
from connectors.woocommerce.simulator.answers import SHOWN, encoded
from connectors.woocommerce.simulator.pricing import Purse
from connectors.woocommerce.simulator.shop import Basket, Shop
from schemas.secret import Secret
from tests.connectors.woocommerce.conftest import Clock, client_of

SAMPLE = Path(__file__).parents[3] / "hub" / "runtime" / "sample" / "products.csv"
BASKET = Basket([("10000800101", 2)])


def shown(shop: Shop, number: int) -> Order:
    return decode(encoded(SHOWN["order"](shop, shop.find("order", number))), Order)


def total_of(order: Order) -> Decimal:
    """Summed anew, of goods, shipping, fees and their taxes."""
    return sum(
        (
            amount(each.total) + amount(each.total_tax)
            for lines in (order.line_items, order.shipping_lines, order.fee_lines)
            for each in lines
        ),
        Decimal(0),
    )


# --- what is sold


def test_it_sells_the_sample_companys_goods() -> None:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        company = {row["کد کالا"]: row for row in csv.DictReader(file)}
    for good in sample():
        row = company[good.sku]
        assert (good.name, good.price) == (row["نام کالا"], int(row["قیمت"]))
        assert good.taxable == (row["معاف از مالیات"] == "خیر")
    stocked = {code for code, row in company.items() if row["موجودی دارد"] == "بله"}
    assert {good.sku for good in sample()} == stocked


def test_goods_can_be_somebody_elses() -> None:
    listed = goods.read('[{"sku": "A", "name": "الف", "price": 1000}]')
    assert WooCommerceSimulator(stocked=listed).shop.skus() == ["A"]


def test_a_family_is_a_variable_product_with_variations() -> None:
    shop = WooCommerceSimulator().shop
    kind, ssd = shop.by_sku("10000600102")
    product = decode(encoded(SHOWN["product"](shop, shop.find("product", ssd["parent_id"]))), Product)
    assert (kind, product.type, product.sku) == ("variation", "variable", "")
    assert ssd["id"] in product.variations
    assert (product.price, product.attributes[0].options[1]) == ("2150000", "۵۱۲ گیگابایت")
    variation = decode(encoded(SHOWN["variation"](shop, ssd)), Variation)
    assert (variation.price, variation.stock_quantity) == ("3480000", 50)


@pytest.mark.parametrize(
    ("currency", "decimals", "price"),
    [("IRR", 0, "5200000"), ("IRT", 0, "520000"), ("IRHR", 0, "5200"), ("IRHT", 2, "520.00"), ("USD", 0, "5200000")],
)
def test_prices_are_in_the_shops_currency(currency: str, decimals: int, price: str) -> None:
    shop = WooCommerceSimulator(customs=Customs(currency=currency, decimals=decimals)).shop
    _, sold = shop.by_sku("10000800101")
    assert sold["regular_price"] == price
    assert shown(shop, shop.place(BASKET)).currency == currency


# --- sums


@given(seed=st.integers(0, 10_000), include=st.booleans(), currency=st.sampled_from(["IRT", "IRR", "IRHT"]))
def test_an_orders_total_is_the_sum_of_its_parts(seed: int, include: bool, currency: str) -> None:
    customs = Customs(currency=currency, decimals=2 if currency == "IRHT" else 0, prices_include_tax=include)
    shop = WooCommerceSimulator(seed=seed, customs=customs).shop
    order = shown(shop, shop.place_random())
    assert total_of(order) == amount(order.total)
    taxes = sum((amount(line.total_tax) for line in (*order.line_items, *order.fee_lines)), Decimal(0))
    assert amount(order.cart_tax) == taxes
    assert amount(order.total_tax) == amount(order.cart_tax) + amount(order.shipping_tax)
    assert amount(order.discount_total) == sum(
        (amount(line.subtotal) - amount(line.total) for line in order.line_items), Decimal(0)
    )
    assert (order.tax_lines == ()) == (not amount(order.total_tax))


def test_prices_with_tax_in_them() -> None:
    shop = WooCommerceSimulator(customs=Customs(currency="IRR", prices_include_tax=True)).shop
    order = shown(shop, shop.place(BASKET))
    (line,) = order.line_items
    assert (line.total, line.total_tax) == ("9454545", "945455")
    assert order.total == "10400000"


def test_a_coupon_is_in_the_goods_totals_to_the_last_unit() -> None:
    shop = WooCommerceSimulator().shop
    lines = [("10000800101", 1), ("10000800103", 3), ("10001000105", 7)]
    order = shown(shop, shop.place(Basket(lines, coupon=("NOROOZ", 7))))
    assert order.discount_total == order.coupon_lines[0].discount
    assert total_of(order) == amount(order.total)


@given(
    total=st.integers(0, 10**12),
    parts=st.lists(st.integers(0, 10**9), min_size=1, max_size=6).filter(any),
    decimals=st.sampled_from([0, 2]),
)
def test_shares_leave_nothing_over(total: int, parts: list[int], decimals: int) -> None:
    purse = Purse("IRT", decimals)
    shared = pricing.shares(Decimal(total), [Decimal(part) for part in parts], purse)
    assert sum(shared) == total
    assert all(share == purse.rounded(share) for share in shared)


@pytest.mark.parametrize(
    ("total", "quantity", "price"),
    [("10000", "3", "3333.3333333333335"), ("10", "100", "0.1"), ("1935000", "1", "1935000"), ("0", "0", "0")],
)
def test_a_lines_price_is_phps_float(total: str, quantity: str, price: str) -> None:
    assert f"{pricing.unit_price(Decimal(total), Decimal(quantity)):f}" == price


# --- statuses, stock, trash


def test_stock_is_taken_when_it_is_bought_and_given_back_when_it_is_not() -> None:
    shop = WooCommerceSimulator().shop
    _, sold = shop.by_sku("10000800101")
    number = shop.place(Basket([("10000800101", 3)], status="pending"))
    assert sold["stock_quantity"] == "50"
    for status, stock in (("processing", "47"), ("completed", "47"), ("cancelled", "50"), ("on-hold", "47")):
        shop.set_status(number, status)
        assert sold["stock_quantity"] == stock
    shop.set_status(number, "processing")
    order = shop.find("order", number)
    assert order["date_paid_gmt"]
    assert order["date_completed_gmt"]
    shop.stock(sold, Decimal(0))
    assert sold["stock_status"] == "outofstock"


def test_only_known_statuses() -> None:
    shop = WooCommerceSimulator(customs=Customs(statuses=("packed",))).shop
    number = shop.place(BASKET)
    shop.set_status(number, "packed")
    with pytest.raises(ValueError, match="shipped"):
        shop.set_status(number, "shipped")


def test_what_is_in_the_trash_comes_back_as_it_was(clock: Clock) -> None:
    shop = WooCommerceSimulator(clock=clock).shop
    told: list[tuple[str, str, int]] = []
    number = shop.place(BASKET)
    before = shown(shop, number)
    shop.tell = lambda *what: told.append(what)
    shop.trash(number)
    with pytest.raises(ValueError, match="trash"):
        shop.set_status(number, "completed")
    with pytest.raises(ValueError, match="trash"):
        shop.trash(number)
    shop.restore(number)
    shop.remove("order", number)
    with pytest.raises(LookupError):
        shop.find("order", number)
    assert before.status == "processing"
    assert told == [("order", "deleted", number), ("order", "restored", number)]


def test_numbers_are_never_given_twice() -> None:
    shop = WooCommerceSimulator().shop
    first = shop.place(BASKET)
    shop.remove("order", first)
    assert shop.place(BASKET) > first


# --- refunds


def test_refunds_take_back_lines_or_money_or_everything() -> None:
    shop = WooCommerceSimulator().shop
    _, sold = shop.by_sku("10000800101")
    number = shop.place(Basket([("10000800101", 4)], shipping=850_000))
    line = shop.find("order", number)["line_items"][0]["id"]
    shop.refund(number, {line: 1})
    assert sold["stock_quantity"] == "47"
    shop.refund(number, amount=Decimal(10_000), reason="دیرکرد")
    assert shown(shop, number).status == "processing"
    shop.refund(number)
    order = shown(shop, number)
    assert order.status == "refunded"
    assert -sum(amount(each.total) for each in order.refunds) == amount(order.total)
    assert sold["stock_quantity"] == "50"
    with pytest.raises(ValueError, match="Invalid refund amount"):
        shop.refund(number, amount=Decimal(1))


def test_a_refund_can_be_taken_back() -> None:
    shop = WooCommerceSimulator().shop
    number = shop.place(BASKET)
    refund = shop.refund(number, amount=Decimal(1_000))
    shop.unrefund(number, refund)
    assert shown(shop, number).refunds == ()
    with pytest.raises(LookupError):
        shop.unrefund(number, refund)


# --- when it was modified


async def test_viewing_an_order_can_make_it_modified(clock: Clock) -> None:
    customs = Customs(viewing_bumps_modified=True)
    async with WooCommerceSimulator(clock=clock, customs=customs) as sim, client_of(sim, clock) as client:
        number = sim.shop.place(BASKET)
        before = (await client.order(number)).date_modified_gmt
        clock.passes(minutes=5)
        assert (await client.order(number)).date_modified_gmt != before


async def test_changing_items_can_leave_it_unmodified(clock: Clock) -> None:
    customs = Customs(editing_bumps_modified=False)
    sim = WooCommerceSimulator(clock=clock, customs=customs)
    number = sim.shop.place(Basket([("10000800101", 2), ("10000800103", 1)]))
    before = shown(sim.shop, number)
    clock.passes(minutes=5)
    first, second = before.line_items
    sim.shop.edit(number, {first.id: 5, second.id: 0})
    after = shown(sim.shop, number)
    assert after.date_modified_gmt == before.date_modified_gmt
    assert [line.quantity for line in after.line_items] == [5]
    assert total_of(after) == amount(after.total) == Decimal("2860000")


async def test_times_are_the_shops_own_unless_gmt_is_asked_for(shop: WooCommerceSimulator, clock: Clock) -> None:
    number = shop.shop.place(BASKET)
    order = shown(shop.shop, number)
    assert str(order.date_created_gmt) == "2024-03-21 08:30:00"
    assert str(order.date_created) == "2024-03-21 12:00:00"

    async def found(**query: str) -> int:
        return len(await get(shop, "/orders", query))

    assert await found(modified_after="2024-03-21T11:59:59") == 1
    assert await found(modified_after="2024-03-21T12:00:00") == 0
    assert await found(modified_after="2024-03-21T08:30:00") == 1
    assert await found(modified_after="2024-03-21T08:30:00", dates_are_gmt="true") == 0
    assert await found(modified_after="2024-03-21T08:29:59", dates_are_gmt="true") == 1
    assert await found(before="2024-03-21T08:30:01", dates_are_gmt="true") == 1


# --- the API beyond what the client asks


def signed(shop: WooCommerceSimulator, method: str, address: str, query: Mapping[str, str]) -> dict[str, str]:
    """The query with what signs it."""
    login = shop.keys[0]
    parameters = {
        **query,
        "oauth_consumer_key": login.key,
        "oauth_nonce": secrets.token_hex(8),
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": str(int(shop.shop.clock().timestamp())),
    }
    return parameters | {"oauth_signature": oauth_signature(method, address, parameters, Secret(login.secret))}


async def ask(
    shop: WooCommerceSimulator, method: str, path: str, query: Mapping[str, str] | None = None, body: object = None
) -> tuple[int, Any]:
    """A signed request: the answer's status and JSON."""
    address = f"{shop.url}/wp-json/wc/v3{path}"
    parameters = signed(shop, method, address, query or {})
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, address, params=parameters, json=body) as response,
    ):
        return response.status, await response.json()


async def get(shop: WooCommerceSimulator, path: str, query: Mapping[str, str] | None = None) -> Any:
    status, answer = await ask(shop, "GET", path, query)
    assert status == 200, answer
    return answer


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"per_page": "101"}, "per_page"),
        ({"per_page": "0"}, "per_page"),
        ({"page": "x"}, "page"),
        ({"orderby": "colour"}, "orderby"),
        ({"order": "up"}, "order"),
        ({"status": "shipped"}, "status"),
        ({"modified_after": "yesterday"}, "modified_after"),
    ],
)
async def test_parameters_that_are_wrong(shop: WooCommerceSimulator, query: dict[str, str], name: str) -> None:
    shop.shop.place(BASKET)
    status, answer = await ask(shop, "GET", "/orders", query)
    assert (status, answer["code"]) == (400, "rest_invalid_param")
    assert list(answer["data"]["params"]) == [name]


async def test_lists_begin_with_the_newest_ten_and_give_only_the_fields_that_are_asked_for(
    shop: WooCommerceSimulator,
) -> None:
    placed = [shop.shop.place(BASKET) for _ in range(12)]
    assert [each["id"] for each in await get(shop, "/orders")] == placed[:1:-1]
    assert await get(shop, "/orders", {"_fields": "id,status", "per_page": "1"}) == [
        {"id": placed[-1], "status": "processing"}
    ]
    some = await get(shop, "/orders", {"exclude": str(placed[-1]), "offset": "1", "per_page": "2"})
    assert [each["id"] for each in some] == [placed[-3], placed[-4]]


async def test_any_status_leaves_out_the_trash_even_if_it_stands_beside(shop: WooCommerceSimulator) -> None:
    kept, thrown = shop.shop.place(BASKET), shop.shop.place(BASKET)
    shop.shop.trash(thrown)
    assert [each["id"] for each in await get(shop, "/orders", {"status": "any,trash"})] == [kept]
    assert [each["id"] for each in await get(shop, "/orders", {"status": "trash,pending"})] == [thrown]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/orders/999", 404, "woocommerce_rest_shop_order_invalid_id"),
        ("PUT", "/orders/999", 400, "woocommerce_rest_shop_order_invalid_id"),
        ("DELETE", "/orders/999", 404, "woocommerce_rest_shop_order_invalid_id"),
        ("GET", "/products/999", 404, "woocommerce_rest_product_invalid_id"),
        ("GET", "/products/999/variations", 404, "woocommerce_rest_product_invalid_id"),
        ("GET", "/webhooks/999", 404, "woocommerce_rest_shop_webhook_invalid_id"),
        ("GET", "/customers/999", 404, "woocommerce_rest_customer_invalid_id"),
        ("GET", "/weather", 404, "rest_no_route"),
        ("DELETE", "/customers/1", 501, "woocommerce_rest_trash_not_supported"),
    ],
)
async def test_what_is_not_there(shop: WooCommerceSimulator, method: str, path: str, status: int, code: str) -> None:
    answered, answer = await ask(shop, method, path)
    assert (answered, answer["code"], answer["data"]["status"]) == (status, code, status)


async def test_an_order_is_thrown_away_twice(shop: WooCommerceSimulator) -> None:
    number = shop.shop.place(BASKET)
    status, answer = await ask(shop, "DELETE", f"/orders/{number}")
    assert (status, answer["status"]) == (200, "processing")
    status, answer = await ask(shop, "DELETE", f"/orders/{number}")
    assert (status, answer["code"]) == (410, "woocommerce_rest_already_trashed")
    assert (await ask(shop, "DELETE", f"/orders/{number}", {"force": "true"}))[0] == 200
    assert (await ask(shop, "GET", f"/orders/{number}"))[0] == 404


async def test_orders_refunds_and_customers_are_made_through_the_api(shop: WooCommerceSimulator) -> None:
    _, sold = shop.shop.by_sku("10000800101")
    lines = {"line_items": [{"product_id": sold["id"], "quantity": 2}], "status": "processing"}
    status, order = await ask(shop, "POST", "/orders", body=lines)
    assert (status, order["total"]) == (201, "1144000")
    line = {"id": order["line_items"][0]["id"], "quantity": 1}
    status, refund = await ask(shop, "POST", f"/orders/{order['id']}/refunds", body={"line_items": [line]})
    assert (status, refund["amount"]) == (201, "572000")
    status, answer = await ask(shop, "POST", f"/orders/{order['id']}/refunds", body={"amount": "9999999"})
    assert (status, answer["message"]) == (500, "Invalid refund amount.")
    path = f"/orders/{order['id']}/refunds/{refund['id']}"
    assert (await get(shop, path))["id"] == refund["id"]
    assert (await ask(shop, "DELETE", path))[0] == 501
    assert (await ask(shop, "DELETE", path, {"force": "true"}))[0] == 200
    assert (await get(shop, f"/orders/{order['id']}"))["refunds"] == []
    status, customer = await ask(shop, "POST", "/customers", body={"email": "x@example.ir"})
    assert (status, customer["username"]) == (201, "x@example.ir")
    status, answer = await ask(shop, "PUT", f"/customers/{customer['id']}", body={"first_name": "نو"})
    assert (status, answer["first_name"]) == (200, "نو")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"stock_quantity": 2.5}, "stock_quantity"),
        ({"stock_quantity": "many"}, "stock_quantity"),
        ({"stock_quantity": True}, "stock_quantity"),
        ({"regular_price": 5}, "regular_price"),
        ({"stock_status": "some"}, "stock_status"),
        ({"backorders": "perhaps"}, "backorders"),
    ],
)
async def test_a_product_is_not_changed_to_what_is_wrong(
    shop: WooCommerceSimulator, given: dict[str, object], name: str
) -> None:
    _, sold = shop.shop.by_sku("10000800101")
    status, answer = await ask(shop, "PUT", f"/products/{sold['id']}", body=given)
    assert (status, list(answer["data"]["params"])) == (400, [name])
    assert shop.ledger.pushed == []


async def test_a_sku_is_there_once(shop: WooCommerceSimulator) -> None:
    status, answer = await ask(shop, "POST", "/products", body={"name": "x", "sku": "10000800101"})
    assert (status, answer["code"]) == (400, "product_invalid_sku")
    status, made = await ask(shop, "POST", "/products", body={"name": "x", "sku": "new", "regular_price": "5"})
    assert (status, made["manage_stock"], made["stock_quantity"]) == (201, False, None)
    status, changed = await ask(shop, "PUT", f"/products/{made['id']}", body={"stock_quantity": 5})
    assert (status, changed["stock_quantity"]) == (200, None)


async def test_a_batch_creates_changes_and_deletes(shop: WooCommerceSimulator) -> None:
    _, sold = shop.shop.by_sku("10000800101")
    asked = {
        "create": [{"name": "x", "sku": "new"}],
        "update": [{"id": sold["id"], "stock_quantity": 3}],
        "delete": [sold["id"] + 1, 999],
    }
    status, answer = await ask(shop, "POST", "/products/batch", body=asked)
    assert status == 200
    assert answer["create"][0]["sku"] == "new"
    assert answer["update"][0]["stock_quantity"] == 3
    assert [each.get("error", {}).get("code") for each in answer["delete"]] == [
        None,
        "woocommerce_rest_product_invalid_id",
    ]


async def test_a_variation_is_made_and_is_its_products_alone(shop: WooCommerceSimulator) -> None:
    _, ssd = shop.shop.by_sku("10000600101")
    _, other = shop.shop.by_sku("10000700101")
    path = f"/products/{ssd['parent_id']}/variations"
    status, made = await ask(shop, "POST", path, body={"sku": "new-ssd", "regular_price": "9"})
    assert (status, made["parent_id"]) == (201, ssd["parent_id"])
    assert made["id"] in shop.shop.find("product", ssd["parent_id"])["variations"]
    assert (await ask(shop, "GET", f"{path}/{other['id']}"))[0] == 404
    status, answer = await ask(shop, "POST", f"{path}/batch", body={"update": [{"id": other["id"]}]})
    assert answer["update"][0]["error"]["code"] == "woocommerce_rest_product_variation_invalid_id"


async def test_a_body_that_is_no_json(shop: WooCommerceSimulator) -> None:
    status, answer = await ask(shop, "PUT", f"/orders/{shop.shop.place(BASKET)}", body=[1])
    assert (status, answer["code"]) == (400, "rest_invalid_json")


async def test_the_shop_tells_who_it_is_without_a_key(shop: WooCommerceSimulator) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{shop.url}/wp-json/") as response:
        told = await response.json()
    assert (told["url"], told["gmt_offset"], "wc/v3" in told["namespaces"]) == (shop.url, "3.5", True)
    assert (await get(shop, "/settings/general/woocommerce_currency"))["value"] == "IRT"


# --- who may ask (what the client never does)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "woocommerce_rest_cannot_view"),
        ({"consumer_key": "ck_simulated", "consumer_secret": "cs_simulated"}, "woocommerce_rest_cannot_view"),
        ({"oauth_consumer_key": "ck_simulated"}, "woocommerce_rest_authentication_missing_parameter"),
    ],
)
async def test_plain_http_takes_signatures_alone(shop: WooCommerceSimulator, query: dict[str, str], code: str) -> None:
    url = f"{shop.url}/wp-json/wc/v3/orders"
    login = {"Authorization": aiohttp.encode_basic_auth("ck_simulated", "cs_simulated")}
    async with aiohttp.ClientSession() as session, session.get(url, params=query, headers=login) as response:
        assert (response.status, (await response.json())["code"]) == (401, code)


async def test_a_signature_holds_once_and_for_what_was_signed(shop: WooCommerceSimulator) -> None:
    address = f"{shop.url}/wp-json/wc/v3/orders"
    parameters = signed(shop, "GET", address, {})
    async with aiohttp.ClientSession() as session:

        async def answered(method: str, **query: str) -> str:
            async with session.request(method, address, params=parameters | query) as response:
                answer = await response.json()
                return answer["message"] if isinstance(answer, dict) else "OK"

        assert await answered("GET", page="2") == "Invalid signature - provided signature does not match."
        assert await answered("POST") == "Invalid signature - provided signature does not match."
        assert (
            await answered("GET", oauth_signature_method="PLAIN") == "Invalid signature - signature method is invalid."
        )
        assert await answered("GET") == "OK"
        assert await answered("GET") == "Invalid nonce - nonce has already been used."


# --- what is kept


async def test_a_shop_with_a_file_goes_on_where_it_was(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "shop.sqlite3"
    async with WooCommerceSimulator(file=file, clock=clock) as sim:
        placed = [sim.shop.place_random() for _ in range(5)]
        sim.shop.refund(placed[0])
        sim.shop.remove("order", placed[1])
        before = encoded([SHOWN["order"](sim.shop, doc) for doc in sim.shop.tables["order"].values()])
    async with WooCommerceSimulator(file=file, clock=clock) as sim:
        again = encoded([SHOWN["order"](sim.shop, doc) for doc in sim.shop.tables["order"].values()])
        assert again == before
        assert sim.shop.place(BASKET) > max(placed)


def test_the_same_seed_places_the_same_orders(clock: Clock) -> None:
    def placed(seed: int) -> bytes:
        shop = WooCommerceSimulator(seed=seed, clock=clock).shop
        return encoded([SHOWN["order"](shop, shop.find("order", shop.place_random())) for _ in range(20)])

    assert placed(7) == placed(7)
    assert placed(7) != placed(8)


@given(
    steps=st.lists(
        st.sampled_from(["place", "status", "trash", "restore", "refund", "edit", "push"]), min_size=1, max_size=30
    ),
    seed=st.integers(0, 1_000),
)
def test_whatever_happens_orders_stay_sound(steps: list[str], seed: int) -> None:
    draw = random.Random(seed)
    shop = WooCommerceSimulator(seed=seed).shop
    number = shop.place_random()
    for step in steps:
        try:
            match step:
                case "place":
                    number = shop.place_random()
                case "status":
                    shop.set_status(number, draw.choice(["pending", "processing", "completed", "cancelled"]))
                case "trash":
                    shop.trash(number)
                case "restore":
                    shop.restore(number)
                case "refund":
                    shop.refund(number)
                case "edit":
                    lines = shop.find("order", number)["line_items"]
                    shop.edit(number, {lines[0]["id"]: draw.randint(1, 5)} if lines else {})
                case "push":
                    _, sold = shop.by_sku(draw.choice(shop.skus()))
                    shop.stock(sold, Decimal(draw.randint(0, 90)))
        except (ValueError, KeyError):
            continue
    for kept in list(shop.tables["order"]):
        order = shown(shop, kept)
        assert total_of(order) == amount(order.total)
