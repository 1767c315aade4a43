"""The simulated shop's webhook sender keeps to WooCommerce's rules."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from connectors.woocommerce.client import Client, Refused
from connectors.woocommerce.payloads import ApiError, Deleted, Order, Product, SoldChange, decode
from connectors.woocommerce.simulator import WooCommerceSimulator
from connectors.woocommerce.simulator.sender import is_safe, signature
from connectors.woocommerce.simulator.shop import Basket
from schemas.secret import Secret
from tests.connectors.woocommerce.conftest import FIXTURES, Clock

BASKET = Basket([("10000800101", 2)])
SECRET = "webhook-secret"


class Call(NamedTuple):
    """What arrived."""

    body: bytes
    headers: Mapping[str, str]
    version: tuple[int, int]


class Hub:
    """Who is told; answers ``status``."""

    def __init__(self) -> None:
        self.status = 200
        self.calls: list[Call] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(
            Call(
                await request.read(),
                {name.lower(): value for name, value in request.headers.items()},
                (request.version.major, request.version.minor),
            )
        )
        headers = {"Location": f"{self.url}/elsewhere"} if self.status in (301, 302, 307) else None
        return web.Response(status=self.status, headers=headers)


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    receiver = Hub()
    app = web.Application()
    app.router.add_post("/{rest:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield receiver
    await runner.cleanup()


async def subscribe(client: Client, hub: Hub, *topics: str) -> list[int]:
    made = [
        await client.create_webhook(
            name="Peyvand", topic=topic, delivery_url=f"{hub.url}/webhooks/woocommerce/main", secret=Secret(SECRET)
        )
        for topic in topics
    ]
    hub.calls.clear()
    return [each.id for each in made]


async def test_a_ping_is_a_form_without_a_signature(client: Client, hub: Hub) -> None:
    made = await client.create_webhook(name="x", topic="order.updated", delivery_url=hub.url, secret=Secret(SECRET))
    (ping,) = hub.calls
    assert ping.body == f"webhook_id={made.id}".encode()
    assert ping.headers["content-type"] == "application/x-www-form-urlencoded"
    assert not [name for name in ping.headers if name.startswith("x-wc-")]
    await client.change_webhook(made.id, status="paused")
    await client.change_webhook(made.id, status="active")
    assert len(hub.calls) == 1
    await client.change_webhook(made.id, delivery_url=f"{hub.url}/elsewhere")
    assert len(hub.calls) == 2


async def test_a_ping_that_was_not_answered_comes_again(shop: WooCommerceSimulator, client: Client, hub: Hub) -> None:
    hub.status = 204
    made = await client.create_webhook(name="x", topic="order.created", delivery_url=hub.url, secret=Secret(SECRET))
    assert made.status == "active"
    hub.status = 200
    for _ in range(2):
        shop.shop.place(BASKET)
        await shop.sender.pump()
    assert ["x-wc-webhook-topic" in call.headers for call in hub.calls] == [False, True, False, True]


async def test_a_delivery_is_the_object_signed_over_its_raw_bytes(
    shop: WooCommerceSimulator, client: Client, hub: Hub
) -> None:
    (webhook,) = await subscribe(client, hub, "order.created")
    number = shop.shop.place(BASKET)
    assert hub.calls == []
    assert await shop.sender.pump() == 1
    (call,) = hub.calls
    assert decode(call.body, Order) == await client.order(number)
    assert b"\\u0641" in call.body
    assert b"\\/" in call.body
    digest = hmac.new(SECRET.encode(), call.body, hashlib.sha256).digest()
    assert call.headers["x-wc-webhook-signature"] == base64.b64encode(digest).decode()
    assert {name: call.headers[f"x-wc-webhook-{name}"] for name in ("topic", "resource", "event", "id", "source")} == {
        "topic": "order.created",
        "resource": "order",
        "event": "created",
        "id": str(webhook),
        "source": f"{shop.url}/",
    }
    assert call.headers["content-type"] == "application/json"
    assert call.version == (1, 0)
    assert [sent.resource for sent in shop.ledger.delivered("order.created")] == [number]


async def test_whatever_is_saved_after_its_creation_is_told_as_updated(
    shop: WooCommerceSimulator, client: Client, hub: Hub
) -> None:
    await subscribe(client, hub, "order.created", "order.updated")
    number = shop.shop.place(BASKET)
    shop.shop.set_status(number, "completed")
    await shop.sender.pump()
    assert [call.headers["x-wc-webhook-topic"] for call in hub.calls] == ["order.created", "order.updated"]
    assert [decode(call.body, Order).status for call in hub.calls] == ["completed", "completed"]


async def test_a_product_saved_on_its_page_soon_after_its_creation_is_told_as_created_again(
    shop: WooCommerceSimulator, client: Client, hub: Hub, clock: Clock
) -> None:
    await subscribe(client, hub, "product.created", "product.updated")
    _, sold = shop.shop.by_sku("10000800101")
    for seconds in (10, 1):
        clock.passes(seconds=seconds)
        shop.shop.save_page(sold["id"])
        await shop.sender.pump()
    assert [call.headers["x-wc-webhook-topic"] for call in hub.calls] == [
        "product.created",
        "product.updated",
        "product.updated",
    ]


async def test_what_is_sent_late_is_the_object_as_it_is_then_and_once(
    shop: WooCommerceSimulator, client: Client, hub: Hub, clock: Clock
) -> None:
    await subscribe(client, hub, "order.updated")
    number = shop.shop.place(BASKET)
    clock.passes(minutes=1)
    shop.shop.set_status(number, "on-hold")
    shop.shop.set_status(number, "completed")
    assert shop.sender.waiting == 1
    await shop.sender.pump()
    assert [decode(call.body, Order).status for call in hub.calls] == ["completed"]


async def test_of_what_was_deleted_only_the_id_is_told(shop: WooCommerceSimulator, client: Client, hub: Hub) -> None:
    await subscribe(client, hub, "order.deleted", "order.restored")
    number = shop.shop.place(BASKET)
    shop.shop.trash(number)
    shop.shop.restore(number)
    await shop.sender.pump()
    deleted, restored = hub.calls
    assert deleted.body == f'{{"id":{number}}}'.encode()
    assert decode(deleted.body, Deleted).id == number
    assert decode(restored.body, Order).status == "processing"


async def test_a_refund_is_told_as_an_update_of_its_order(
    shop: WooCommerceSimulator, client: Client, hub: Hub, clock: Clock
) -> None:
    await subscribe(client, hub, "order.updated")
    number = shop.shop.place(BASKET)
    clock.passes(minutes=1)
    refund = shop.shop.refund(number)
    await shop.sender.pump()
    shop.shop.unrefund(number, refund)
    await shop.sender.pump()
    assert [len(decode(call.body, Order).refunds) for call in hub.calls] == [1, 0]


async def test_what_is_gone_before_it_is_sent_is_told_as_an_error(
    shop: WooCommerceSimulator, client: Client, hub: Hub
) -> None:
    await subscribe(client, hub, "order.created")
    shop.shop.remove("order", shop.shop.place(BASKET))
    await shop.sender.pump()
    assert decode(hub.calls[0].body, ApiError).code == "woocommerce_rest_shop_order_invalid_id"


async def test_a_variation_is_told_as_a_product(shop: WooCommerceSimulator, client: Client, hub: Hub) -> None:
    await subscribe(client, hub, "product.updated")
    _, ssd = shop.shop.by_sku("10000600101")
    await client.change_variations(ssd["parent_id"], [SoldChange(id=ssd["id"], stock_quantity=Decimal(4))])
    await shop.sender.pump()
    product = decode(hub.calls[0].body, Product)
    assert (product.id, product.type, product.parent_id) == (ssd["id"], "variation", ssd["parent_id"])
    assert product.stock_quantity == 4


async def test_what_is_deleted_for_good_is_told_of_customers_alone(
    shop: WooCommerceSimulator, client: Client, hub: Hub
) -> None:
    await subscribe(client, hub, "order.deleted", "product.deleted", "customer.deleted")
    shop.shop.remove("order", shop.shop.place(BASKET))
    shop.shop.remove("product", shop.shop.by_sku("10000800101")[1]["id"])
    shop.shop.remove("customer", 1)
    await shop.sender.pump()
    assert [call.headers["x-wc-webhook-topic"] for call in hub.calls] == ["customer.deleted"]


@pytest.mark.parametrize(("status", "well"), [(200, True), (204, True), (301, True), (302, True), (307, False)])
async def test_which_answers_are_well(
    shop: WooCommerceSimulator, client: Client, hub: Hub, status: int, well: bool
) -> None:
    (webhook,) = await subscribe(client, hub, "order.created")
    hub.status = status
    shop.shop.place(BASKET)
    await shop.sender.pump()
    assert shop.shop.find("webhook", webhook)["_failures"] == (0 if well else 1)
    assert len(hub.calls) == 1  # a redirection isn't followed


async def test_a_webhook_is_disabled_by_the_failure_after_the_sixth(
    shop: WooCommerceSimulator, client: Client, hub: Hub
) -> None:
    (webhook,) = await subscribe(client, hub, "order.created")
    hub.status = 500
    for failures in range(1, 7):
        shop.shop.place(BASKET)
        await shop.sender.pump()
        assert shop.shop.find("webhook", webhook)["_failures"] == failures
    assert (await client.webhooks())[0].status == "active"
    shop.shop.place(BASKET)
    await shop.sender.pump()
    assert (await client.webhooks())[0].status == "disabled"
    hub.calls.clear()
    hub.status = 200
    shop.shop.place(BASKET)
    assert await shop.sender.pump() == 0
    again = await client.change_webhook(webhook, status="active")
    assert again.status == "active"
    hub.status = 500
    shop.shop.place(BASKET)
    assert await shop.sender.pump() == 1
    assert (await client.webhooks())[0].status == "disabled"
    await client.change_webhook(webhook, status="active")
    hub.status = 200
    shop.shop.place(BASKET)
    await shop.sender.pump()
    assert shop.shop.find("webhook", webhook)["_failures"] == 0


async def test_a_delivery_that_is_well_ends_the_count(shop: WooCommerceSimulator, client: Client, hub: Hub) -> None:
    (webhook,) = await subscribe(client, hub, "order.created")
    for status in (500, 404, 200, 500):
        hub.status = status
        shop.shop.place(BASKET)
        await shop.sender.pump()
    assert shop.shop.find("webhook", webhook)["_failures"] == 1


async def test_nobody_is_reached(shop: WooCommerceSimulator, client: Client, hub: Hub) -> None:
    (webhook,) = await subscribe(client, hub, "order.created")
    shop.shop.find("webhook", webhook)["delivery_url"] = "http://127.0.0.1:1/"
    shop.shop.place(BASKET)
    await shop.sender.pump()
    assert shop.shop.find("webhook", webhook)["_failures"] == 1
    assert shop.ledger.sent[-1].status == 0


async def test_private_addresses_can_be_refused(shop: WooCommerceSimulator, client: Client, hub: Hub) -> None:
    shop.sender.refuses_private = True
    (webhook,) = await subscribe(client, hub, "order.created")
    shop.shop.place(BASKET)
    await shop.sender.pump()
    assert hub.calls == []
    assert shop.shop.find("webhook", webhook)["_failures"] == 1


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://hub.example.ir/x", True),
        ("http://hub.example.ir:8080/x", True),
        ("https://hub.example.ir:8443/x", False),
        ("http://127.0.0.1/x", False),
        ("http://192.168.1.4/x", False),
        ("http://10.0.0.4/x", False),
        ("http://localhost/x", False),
        ("http://8.8.8.8/x", True),
    ],
)
def test_what_wordpress_calls_safe(url: str, safe: bool) -> None:
    assert is_safe(url) is safe


async def test_deliveries_may_come_in_any_order(shop: WooCommerceSimulator, client: Client, hub: Hub) -> None:
    await subscribe(client, hub, "order.created")
    placed = [shop.shop.place(BASKET) for _ in range(12)]
    await shop.sender.pump(shuffled=True)
    arrived = [decode(call.body, Order).id for call in hub.calls]
    assert sorted(arrived) == placed
    assert arrived != placed


@pytest.mark.parametrize(
    ("topic", "url", "code"),
    [
        ("order.changed", "http://x.ir", "woocommerce_rest_shop_webhook_invalid_topic"),
        ("order", "http://x.ir", "woocommerce_rest_shop_webhook_invalid_topic"),
        ("order.updated", "ftp://x.ir", "woocommerce_rest_shop_webhook_invalid_delivery_url"),
    ],
)
async def test_webhooks_that_can_not_be(client: Client, topic: str, url: str, code: str) -> None:
    with pytest.raises(Refused) as told:
        await client.create_webhook(name="x", topic=topic, delivery_url=url, secret=Secret(SECRET))
    assert told.value.code == code


def test_the_recorded_deliveries_are_signed() -> None:
    signed = 0
    for path in sorted((FIXTURES / "webhooks").glob("*.json")):
        if path.name.endswith(".expected.json"):
            continue
        headers = json.loads((FIXTURES / "headers" / path.name).read_bytes())
        assert headers["X-WC-Webhook-Signature"] == signature(path.read_bytes(), SECRET)
        assert path.stem.startswith(headers["X-WC-Webhook-Topic"])
        assert urlsplit(headers["X-WC-Webhook-Source"]).hostname == "shop.example.ir"
        signed += 1
    assert signed == 10
