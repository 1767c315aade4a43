"""The client against a simulated shop, over a real socket: logins, lists, changes, and every error made ours."""

import asyncio
import json
import logging
import ssl
import subprocess
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from aiohttp import web

from connectors.base import ConnectorError, Rejected, Retryable, Unauthorised, UnknownPayload
from connectors.woocommerce.client import PER_PAGE, Broken, Busy, Client, Refused, oauth_signature
from connectors.woocommerce.payloads import MetaChange, Order, OrderChange, Product, SoldChange, Variation, decode
from connectors.woocommerce.simulator import Fault, FaultKind, Key, Permissions, WooCommerceSimulator
from connectors.woocommerce.simulator.shop import Basket
from schemas.secret import Secret
from tests.connectors.woocommerce.conftest import KEY, SECRET, Clock, client_of

BASKET = Basket([("10000800101", 2)])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    file = tmp_path_factory.mktemp("tls") / "loopback.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(file.with_suffix(".crt"))]
    subprocess.run(["openssl", *words.split(), *names], check=True, capture_output=True)
    file.write_text(file.read_text() + file.with_suffix(".crt").read_text())
    return file


@asynccontextmanager
async def encrypted(certificate: Path, clock: Clock, **more: object) -> AsyncIterator[WooCommerceSimulator]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with WooCommerceSimulator(clock=clock, tls=tls, **more) as simulator:  # type: ignore[arg-type]
        yield simulator


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Something else than a shop, at an address."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# --- logins


async def test_over_plain_http_each_request_is_signed(shop: WooCommerceSimulator, client: Client) -> None:
    assert await client.currency() == "IRT"
    assert await client.currency() == "IRT"
    assert all(SECRET not in asked.path for asked in shop.ledger.asked)


@pytest.mark.parametrize("sku", ["کالا ۱", "a+b", "a b&c=d", "50%", "~x*y'(z)", "é,ü"])
async def test_a_signature_holds_whatever_is_asked_for(client: Client, sku: str) -> None:
    assert [page.items async for page in client.products(skus=[sku])] == [()]


def test_a_signature_is_made_as_the_rfc_says() -> None:
    # The base string is RFC 5849 §3.4.1's own, without a token; the digest was made by openssl.
    parameters = {"oauth_consumer_key": "ck", "oauth_nonce": "n", "status": "any", "name": "a b"}
    base = "GET&http%3A%2F%2Fshop.ir%2Forders&name%3Da%2520b%26oauth_consumer_key%3Dck%26oauth_nonce%3Dn%26status%3Dany"
    made = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", "cs&", "-binary"], input=base.encode(), capture_output=True, check=True
    )
    encoded = subprocess.run(["openssl", "base64"], input=made.stdout, capture_output=True, check=True)
    signature = oauth_signature("get", "http://shop.ir/orders", parameters, Secret("cs"))
    assert signature == encoded.stdout.decode().strip()


async def test_a_shop_whose_clock_is_wrong_refuses_signatures(shop: WooCommerceSimulator, clock: Clock) -> None:
    late = Clock()
    late.passes(minutes=16)
    async with client_of(shop, late) as client:
        with pytest.raises(Unauthorised, match="Invalid timestamp"):
            await client.currency()


async def test_over_https_the_key_is_in_the_header(certificate: Path, clock: Clock) -> None:
    async with (
        encrypted(certificate, clock) as shop,
        client_of(shop, clock, tls=trusting(certificate)) as client,
    ):
        assert await client.currency() == "IRT"


async def test_at_hosts_that_strip_the_header_the_key_is_in_the_query(certificate: Path, clock: Clock) -> None:
    async with encrypted(certificate, clock, strips_authorization=True) as shop:
        async with client_of(shop, clock, tls=trusting(certificate)) as client:
            with pytest.raises(Unauthorised, match="woocommerce_rest_cannot_view"):
                await client.currency()
        async with client_of(shop, clock, tls=trusting(certificate), keys_in_query=True) as client:
            assert await client.currency() == "IRT"
            shop.faults.append(Fault(FaultKind.PAGE, status=403))
            with pytest.raises(Unauthorised) as told:
                await client.currency()
    assert_tells_no_secret(told.value)


async def test_a_certificate_nobody_vouches_for_is_not_accepted(certificate: Path, clock: Clock) -> None:
    async with encrypted(certificate, clock) as shop, client_of(shop, clock) as client:
        with pytest.raises(Retryable, match="certificate"):
            await client.currency()


@pytest.mark.parametrize(
    ("key", "secret", "words"),
    [("ck_x", SECRET, "Consumer key is invalid"), (KEY, "cs_x", "provided signature does not match")],
)
async def test_a_wrong_login_is_unauthorised(
    shop: WooCommerceSimulator, clock: Clock, key: str, secret: str, words: str
) -> None:
    async with Client(shop.url, Secret(key), Secret(secret), clock=clock) as client:
        with pytest.raises(Unauthorised, match=words):
            await client.currency()


async def test_a_key_that_may_only_read_changes_nothing(clock: Clock) -> None:
    keys = [Key(KEY, SECRET, Permissions.READ)]
    async with WooCommerceSimulator(clock=clock, keys=keys) as shop, client_of(shop, clock) as client:
        number = shop.shop.place(BASKET)
        await client.order(number)
        with pytest.raises(Unauthorised, match="does not have write permissions"):
            await client.change_order(number, OrderChange(status="completed"))
        assert shop.shop.find("order", number)["status"] == "processing"


# --- lists


async def test_a_list_is_read_to_its_end(shop: WooCommerceSimulator, client: Client) -> None:
    placed = [shop.shop.place_random() for _ in range(205)]
    pages = [page async for page in client.orders()]
    assert [(page.number, len(page.items), page.total, page.pages) for page in pages] == [
        (1, 100, 205, 3),
        (2, 100, 205, 3),
        (3, 5, 205, 3),
    ]
    assert [decode(item, Order).id for page in pages for item in page.items] == placed
    assert pages[0].at is not None


async def test_what_leaves_a_list_while_it_is_read_hides_nothing(shop: WooCommerceSimulator, client: Client) -> None:
    placed = [shop.shop.place(BASKET) for _ in range(PER_PAGE + 1)]
    seen: set[int] = set()
    async for page in client.orders():
        if not seen:
            shop.shop.trash(placed[0])
            shop.shop.trash(placed[1])
        seen |= {decode(item, Order).id for item in page.items}
    assert seen == set(placed)


async def test_asking_whether_a_key_may_write_changes_nothing(shop: WooCommerceSimulator, client: Client) -> None:
    before = repr(shop.shop.tables)
    await client.try_writing()
    assert (repr(shop.shop.tables), shop.ledger.written, shop.ledger.pushed) == (before, [], [])


async def test_an_empty_list_is_one_page(client: Client) -> None:
    assert [page.items async for page in client.orders()] == [()]


async def test_only_what_was_modified_after_a_moment(shop: WooCommerceSimulator, client: Client, clock: Clock) -> None:
    shop.shop.place(BASKET)
    clock.passes(hours=1)
    since = clock().astimezone(UTC)
    clock.passes(seconds=1)
    later = shop.shop.place(BASKET)
    pages = [page async for page in client.orders(modified_after=since)]
    assert [decode(item, Order).id for page in pages for item in page.items] == [later]
    before = [page async for page in client.orders(modified_before=since)]
    assert sum(len(page.items) for page in before) == 1


async def test_the_trash_is_a_list_of_its_own(shop: WooCommerceSimulator, client: Client) -> None:
    kept, thrown = shop.shop.place(BASKET), shop.shop.place(BASKET)
    shop.shop.trash(thrown)

    async def listed(status: str) -> list[int]:
        return [decode(item, Order).id async for page in client.orders(status=status) for item in page.items]

    assert (await listed("any"), await listed("trash")) == ([kept], [thrown])
    assert (await client.order(thrown)).status == "trash"


async def test_orders_by_their_numbers(shop: WooCommerceSimulator, client: Client) -> None:
    first, _, third = (shop.shop.place(BASKET) for _ in range(3))
    pages = [page async for page in client.orders(include=[third, first])]
    assert [decode(item, Order).id for item in pages[0].items] == [first, third]


async def test_a_bad_item_spoils_no_other(shop: WooCommerceSimulator, client: Client) -> None:
    shop.shop.place(BASKET, total=12.5)
    good = shop.shop.place(BASKET)
    (page,) = [page async for page in client.orders()]
    bad, other = page.items
    with pytest.raises(UnknownPayload, match="total"):
        decode(bad, Order)
    assert decode(other, Order).id == good


async def test_what_is_sold(shop: WooCommerceSimulator, client: Client) -> None:
    products = [decode(item, Product) async for page in client.products() for item in page.items]
    variable = [product for product in products if product.type == "variable"]
    skus = {product.sku for product in products if product.type == "simple"}
    for product in variable:
        pages = [page async for page in client.variations(product.id)]
        sold = [decode(item, Variation) for page in pages for item in page.items]
        assert [each.id for each in sold] == list(product.variations)
        skus |= {each.sku for each in sold}
    assert skus == set(shop.shop.skus())
    assert len(variable) == 2
    one = [decode(item, Product) async for page in client.products(skus=["10000800101"]) for item in page.items]
    assert [product.sku for product in one] == ["10000800101"]
    assert await client.product(one[0].id) == one[0]


# --- changes


async def test_a_batch_says_what_became_of_each(shop: WooCommerceSimulator, client: Client) -> None:
    _, sold = shop.shop.by_sku("10000800101")
    changes = [
        SoldChange(id=sold["id"], manage_stock=True, stock_quantity=Decimal("7.00000"), regular_price="500000"),
        SoldChange(id=999_999, stock_quantity=Decimal(1)),
    ]
    done, failed = await client.change_products(changes)
    assert (done.id, done.error) == (sold["id"], None)
    assert failed.error is not None
    assert failed.error.code == "woocommerce_rest_product_invalid_id"
    assert (sold["stock_quantity"], sold["regular_price"], sold["stock_status"]) == ("7", "500000", "instock")
    assert shop.ledger.stock() == {"10000800101": Decimal(7)}
    assert await client.change_products([]) == ()


async def test_variations_are_changed_at_their_product(shop: WooCommerceSimulator, client: Client) -> None:
    _, sold = shop.shop.by_sku("10000600102")
    (done,) = await client.change_variations(sold["parent_id"], [SoldChange(id=sold["id"], stock_quantity=Decimal(0))])
    assert done.error is None
    assert (sold["stock_quantity"], sold["stock_status"]) == ("0", "outofstock")
    assert shop.ledger.pushed[0].variation == sold["id"]


async def test_more_than_a_hundred_at_once_are_refused(shop: WooCommerceSimulator, client: Client) -> None:
    with pytest.raises(Refused) as told:
        await client.change_products([SoldChange(id=1)] * 101)
    assert (told.value.status, told.value.code) == (413, "woocommerce_rest_request_entity_too_large")
    assert shop.ledger.pushed == []


async def test_an_order_is_written_to(shop: WooCommerceSimulator, client: Client) -> None:
    number = shop.shop.place(BASKET)
    for voucher in ("1405/11", "1405/12"):
        change = OrderChange(status="completed", meta_data=(MetaChange(key="_peyvand_number", value=voucher),))
        order = await client.change_order(number, change)
    assert (order.status, [meta.text for meta in order.meta_data]) == ("completed", ["1405/12"])
    assert shop.ledger.numbers("_peyvand_number") == {number: "1405/12"}


async def test_refunds_with_their_lines(shop: WooCommerceSimulator, client: Client) -> None:
    number = shop.shop.place(Basket([("10000800101", 3), ("10001200101", 1)]))
    line = shop.shop.find("order", number)["line_items"][0]
    shop.shop.refund(number, {line["id"]: 1})
    (refund,) = await client.refunds(number)
    assert (refund.amount, refund.line_items[0].quantity) == ("572000", -1)
    order = await client.order(number)
    assert [each.total for each in order.refunds] == ["-572000"]


async def test_webhooks_are_made_changed_and_listed(shop: WooCommerceSimulator, client: Client) -> None:
    made = await client.create_webhook(
        name="Peyvand", topic="order.updated", delivery_url="http://127.0.0.1:1/x", secret=Secret("s-1405")
    )
    assert (made.status, made.resource, made.event) == ("active", "order", "updated")
    changed = await client.change_webhook(made.id, status="paused", secret=Secret("s-1406"))
    assert changed.status == "paused"
    assert await client.webhooks() == (changed,)
    assert shop.shop.find("webhook", made.id)["_secret"] == "s-1406"


async def test_the_shops_clock(client: Client) -> None:
    told = await client.server_time()
    assert told is not None
    assert abs(told - datetime.now(UTC)) < timedelta(minutes=1)


# --- errors

TREE = [
    (400, Refused),
    (401, Unauthorised),
    (403, Unauthorised),
    (404, Refused),
    (408, Busy),
    (409, Refused),
    (410, Refused),
    (422, Refused),
    (429, Busy),
    (500, Broken),
    (501, Refused),
    (502, Busy),
    (503, Busy),
    (504, Busy),
    (520, Busy),
]


@pytest.mark.parametrize(("status", "error"), TREE)
@pytest.mark.parametrize("kind", [FaultKind.STATUS, FaultKind.PAGE])
async def test_every_status_is_an_error_of_ours(
    shop: WooCommerceSimulator, client: Client, status: int, error: type[ConnectorError], kind: FaultKind
) -> None:
    shop.faults.append(Fault(kind, status=status))
    with pytest.raises(error) as told:
        await client.order(1)
    assert type(told.value) is error
    assert str(status) in str(told.value)
    assert str(status) in told.value.fa
    assert_tells_no_secret(told.value)
    if isinstance(told.value, Refused):
        assert told.value.status == status
        assert told.value.code == ("simulated_error" if kind is FaultKind.STATUS else "")
    assert await client.currency() == "IRT"


def assert_tells_no_secret(error: BaseException) -> None:
    told = "".join(traceback.format_exception(error)) + repr(error) + str(getattr(error, "fa", ""))
    assert KEY not in told
    assert SECRET not in told
    assert "consumer_" not in told
    assert "oauth_signature=" not in told


async def test_a_page_of_html_where_json_should_be(shop: WooCommerceSimulator, client: Client) -> None:
    shop.faults.append(Fault(FaultKind.PAGE, status=200))
    with pytest.raises(UnknownPayload, match="page of HTML") as told:
        await client.currency()
    assert_tells_no_secret(told.value)


async def test_json_that_breaks_off(shop: WooCommerceSimulator, client: Client) -> None:
    shop.faults.append(Fault(FaultKind.GARBAGE))
    with pytest.raises(UnknownPayload):
        await client.order(1)


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.DROP_AFTER])
async def test_a_connection_that_breaks(shop: WooCommerceSimulator, client: Client, kind: FaultKind) -> None:
    _, sold = shop.shop.by_sku("10000800101")
    shop.faults.append(Fault(kind, on="POST"))
    with pytest.raises(Retryable, match="broke"):
        await client.change_products([SoldChange(id=sold["id"], stock_quantity=Decimal(3))])
    assert sold["stock_quantity"] == ("3" if kind is FaultKind.DROP_AFTER else "50")


async def test_a_signed_request_is_not_sent_again_by_itself(shop: WooCommerceSimulator, client: Client) -> None:
    shop.faults.append(Fault(FaultKind.DROP_AFTER))
    with pytest.raises(Retryable):
        await client.currency()
    assert len(shop.ledger.asked) == 1


async def test_a_shop_that_does_not_answer(shop: WooCommerceSimulator, clock: Clock) -> None:
    shop.faults.append(Fault(FaultKind.SLOW, seconds=30.0))
    async with client_of(shop, clock, timeout=timedelta(milliseconds=200)) as client:
        with pytest.raises(Retryable, match=r"within 0\.2 seconds"):
            await client.currency()


async def test_a_shop_that_goes_away_and_comes_back(shop: WooCommerceSimulator, client: Client) -> None:
    number, port = shop.shop.place(BASKET), shop.port
    await shop.stop()
    with pytest.raises(Retryable, match="can't be reached") as told:
        await client.order(number)
    assert_tells_no_secret(told.value)
    await shop.start()
    assert shop.port == port
    assert (await client.order(number)).id == number


async def test_a_name_that_is_not_known() -> None:
    async with Client("http://shop.invalid", Secret(KEY), Secret(SECRET), timeout=timedelta(seconds=5)) as client:
        with pytest.raises(Retryable, match=r"shop\.invalid"):
            await client.currency()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("999999999999", 600.0), ("Thu, 21 Mar 2024 08:30:09 GMT", 9.0), ("soon", None)],
)
async def test_how_long_a_busy_shop_asks_to_be_left_alone(
    shop: WooCommerceSimulator, client: Client, header: str, seconds: float | None
) -> None:
    shop.faults.append(Fault(FaultKind.STATUS, status=429, retry_after=header))
    with pytest.raises(Busy) as told:
        await client.currency()
    assert told.value.seconds == seconds


async def test_a_busy_shop_is_left_alone_for_as_long(shop: WooCommerceSimulator, client: Client) -> None:
    shop.faults.append(Fault(FaultKind.STATUS, status=503, retry_after="300"))
    with pytest.raises(Busy):
        await client.currency()
    asked = len(shop.ledger.asked)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.currency()
    assert len(shop.ledger.asked) == asked


async def test_more_than_can_be_is_not_read(shop: WooCommerceSimulator, clock: Clock) -> None:
    for _ in range(20):
        shop.shop.place(BASKET)
    async with client_of(shop, clock, max_bytes=20_000) as client:
        with pytest.raises(UnknownPayload, match="20,000 bytes"):
            await anext(client.orders())


async def test_an_address_the_shop_does_not_go_by(clock: Clock) -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently(f"https://www.shop.ir{request.path_qs}")

    async with answering(elsewhere) as url, Client(url, Secret(KEY), Secret(SECRET), clock=clock) as client:
        with pytest.raises(Rejected, match=r"to https://www\.shop\.ir/wp-json") as told:
            await client.currency()
    assert_tells_no_secret(told.value)


async def test_words_of_the_shop_that_repeat_the_key_are_masked(clock: Clock) -> None:
    async def telling(request: web.Request) -> web.StreamResponse:
        said = {"code": "x", "message": f"no {KEY} at {SECRET}\n" + "y" * 5_000, "data": {"status": 400}}
        return web.Response(status=400, body=json.dumps(said).encode())

    async with answering(telling) as url, Client(url, Secret(KEY), Secret(SECRET), clock=clock) as client:
        with pytest.raises(Refused) as told:
            await client.currency()
    assert_tells_no_secret(told.value)
    assert "no *** at ***" in str(told.value)
    assert len(str(told.value)) < 1_000


@pytest.mark.parametrize("header", ["", "-1", "many", "9" * 20])
async def test_a_list_without_its_length_is_not_understood(clock: Clock, header: str) -> None:
    async def listing(request: web.Request) -> web.StreamResponse:
        headers = {"X-WP-TotalPages": header, "X-WP-Total": "1"} if header else {}
        return web.Response(body=b"[]", headers=headers, content_type="application/json")

    async with answering(listing) as url, Client(url, Secret(KEY), Secret(SECRET), clock=clock) as client:
        with pytest.raises(UnknownPayload, match="x-wp-totalpages"):
            await anext(client.orders())


async def test_a_batch_answered_in_part_is_not_understood(clock: Clock) -> None:
    async def batch(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"update": [{"id": 1}]}', content_type="application/json")

    async with answering(batch) as url, Client(url, Secret(KEY), Secret(SECRET), clock=clock) as client:
        with pytest.raises(UnknownPayload, match="1 of the 2 changes"):
            await client.change_products([SoldChange(id=1), SoldChange(id=2)])


async def test_nothing_of_the_login_is_logged(
    shop: WooCommerceSimulator, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await client.currency()
    shop.faults += [Fault(FaultKind.DROP), Fault(FaultKind.STATUS, status=500)]
    for _ in range(2):
        with pytest.raises(Retryable):
            await client.currency()
    assert not [record for record in caplog.records if KEY in record.getMessage() or SECRET in record.getMessage()]
