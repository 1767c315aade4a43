"""Subscriptions by API: who may, what is refused, the secret told once; a document's changes reach the receiver."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.api.app import Served
from hub.api.parameters import cursor_text
from hub.webhooks.worker import Worker
from schemas.secret import Secret
from tests.api.world import Client, Hub, Shop, open_shop
from tests.webhooks.world import HERE, Receiver, is_signed, receiving, settings, until

URL = "https://shop.example.com/hook"


@pytest.fixture
async def trusting(idle_hub: Hub) -> AsyncIterator[Served]:
    """A server that lets webhooks be on this machine."""
    async with idle_hub.api(trusted_hosts=HERE) as served:
        yield served


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def made(client: Client, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/webhooks", {"url": URL, **fields})
    assert answer.status == 201, answer.data
    body: dict[str, Any] = answer.body
    assert answer.headers["Location"] == f"/v1/webhooks/{body['id']}"
    return body


async def test_a_document_sent_through_the_api_is_told_of_with_every_change(
    hub: Hub, trusting: Served, receiver: Receiver
) -> None:
    shop = await open_shop(hub, trusting.address)
    webhook = await made(shop.client, url=receiver.url)
    stop = asyncio.Event()
    worker = asyncio.create_task(Worker(hub.kafka, hub.store, settings()).run(stop))
    try:
        sent = await shop.send("A")
        cancelled = await shop.client.post(f"/v1/documents/{sent['document_id']}/cancel?wait=decision&timeout=30")
        assert cancelled.status == 200
        await until(lambda: len(receiver.got) >= 2)
        ping = await shop.client.post(f"/v1/webhooks/{webhook['id']}/test")
        assert ping.status == 202
        await until(lambda: len(receiver.got) >= 3)

        async def log() -> Any:
            page = (await shop.client.get(f"/v1/webhooks/{webhook['id']}/deliveries?status=delivered")).body
            return page["items"] if len(page["items"]) == 3 else None

        newest, *rest = await until(log)
        assert (newest["type"], newest["document_id"]) == ("webhook.ping", None)
        assert [each["type"] for each in rest] == ["document.cancelled", "document.cleared"]
        assert newest["tries"][0]["status"] == 204

        again = await shop.client.post(f"/v1/webhooks/{webhook['id']}/deliveries/{rest[1]['id']}/redeliver")
        assert again.status == 202
        await until(lambda: len(receiver.got) >= 4)
    finally:
        stop.set()
        await worker
    history = (await shop.client.get(f"/v1/documents/{sent['document_id']}/history")).body["items"]
    assert [got.event for got in receiver.got[:2]] == history
    assert [got.event["type"] for got in receiver.got] == [
        "document.cleared",
        "document.cancelled",
        "webhook.ping",
        "document.cleared",
    ]
    assert receiver.got[3].headers["webhook-id"] == receiver.got[0].headers["webhook-id"]
    assert all(is_signed(got, Secret(webhook["secret"])) for got in receiver.got)
    found = (await shop.client.get(f"/v1/webhooks/{webhook['id']}")).body
    assert (found["status"], found["notice"]) == ("well", None)


async def test_the_secret_is_told_once_and_reaches_no_log(idle_shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        webhook = await made(idle_shop.client)
        path = f"/v1/webhooks/{webhook['id']}"
        changed = (await idle_shop.client.post(f"{path}/secret", {"overlap_hours": 1})).body
        later = [await idle_shop.client.get(path), await idle_shop.client.get("/v1/webhooks")]
        later.append(await idle_shop.client.ask("PATCH", path, json={"description": "فروشگاه"}))
        wrong = "whsec_" + "x" * 33
        refused = await idle_shop.client.post("/v1/webhooks", {"url": URL, "secret": wrong})
    told = [webhook["secret"], changed["secret"]]
    assert len(set(told)) == 2
    assert all(each.startswith("whsec_") for each in told)
    assert changed["old_secret_until"] is not None
    assert [answer.status for answer in later] == [200, 200, 200]
    assert later[0].body["secret"] is None
    for answer in later:
        assert not any(secret.encode() in answer.data for secret in told)
    assert refused.status == 422
    assert refused.fields() == {"secret"}
    assert wrong.encode() not in refused.data
    assert not any(secret in caplog.text for secret in (*told, wrong))


async def test_a_given_secret_is_used(idle_shop: Shop) -> None:
    given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert (await made(idle_shop.client, secret=given))["secret"] == given


async def test_one_source_sees_nothing_of_anothers(idle_hub: Hub, api: Served, idle_shop: Shop) -> None:
    webhook = await made(idle_shop.client)
    other = await open_shop(idle_hub, api.address)
    path = f"/v1/webhooks/{webhook['id']}"
    for method, where in (
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}/secret"),
        ("POST", f"{path}/test"),
        ("GET", f"{path}/deliveries"),
        ("POST", f"{path}/deliveries/1/redeliver"),
    ):
        body = {"json": {}} if method == "PATCH" else {}
        assert (await other.client.ask(method, where, **body)).status == 404
    assert (await other.client.get("/v1/webhooks")).body == {"items": []}
    refused = await other.client.post("/v1/webhooks", {"url": URL, "source": idle_shop.source})
    assert (refused.status, refused.codes()) == (422, {"not_your_source"})
    admin = await idle_hub.key(api.address, "admin")
    assert (await made(admin, source=idle_shop.source))["source"] == idle_shop.source
    assert (await admin.get(path)).status == 200


async def test_a_key_without_the_scope_may_not(idle_hub: Hub, api: Served) -> None:
    client = await idle_hub.key(api.address, "documents:read")
    assert (await client.get("/v1/webhooks")).status == 403


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "http://shop.example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://localhost/"}, "url"),
        ({"url": "gopher://x"}, "url"),
        ({"url": 7}, "url"),
        ({"types": ["document.sold"]}, "types[0]"),
        ({"kinds": ["banana"]}, "kinds[0]"),
        ({"description": "x" * 501}, "description"),
        ({"secret": "whsec_short"}, "secret"),
        ({"source": ""}, "source"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(idle_shop: Shop, fields: dict[str, Any], field: str) -> None:
    refused = await idle_shop.client.post("/v1/webhooks", {"url": URL, **fields})
    assert (refused.status, refused.fields()) == (422, {field})
    assert refused.body["detail_fa"]


async def test_an_unknown_field_is_refused(idle_shop: Shop) -> None:
    refused = await idle_shop.client.post("/v1/webhooks", {"url": URL, "colour": "red"})
    assert refused.status == 422
    assert "colour" in refused.body["detail"]


async def test_it_is_changed_set_inactive_and_deleted(idle_shop: Shop) -> None:
    client = idle_shop.client
    webhook = await made(client, types=["document.posted", "document.posted"], kinds=["sales_invoice"])
    assert (webhook["types"], webhook["kinds"]) == (["document.posted"], ["sales_invoice"])
    path = f"/v1/webhooks/{webhook['id']}"
    changed = await client.ask("PATCH", path, json={"active": False, "types": [], "url": f"{URL}/2"})
    assert changed.status == 200
    assert (changed.body["status"], changed.body["types"], changed.body["url"]) == ("inactive", [], f"{URL}/2")
    assert (await client.ask("PATCH", path, json={"url": "https://10.0.0.1/"})).status == 422
    for refused in (await client.post(f"{path}/test"), await client.post(f"{path}/deliveries/1/redeliver")):
        assert refused.status in (404, 409)
    assert (await client.ask("DELETE", path)).status == 204
    assert (await client.get(path)).status == 404


async def test_deliveries_are_read_page_by_page(idle_shop: Shop) -> None:
    client = idle_shop.client
    webhook = await made(client)
    path = f"/v1/webhooks/{webhook['id']}"
    ids = [(await client.post(f"{path}/test")).body["id"] for _ in range(5)]
    found, cursor = [], ""
    while True:
        page = (await client.get(f"{path}/deliveries?limit=2{cursor}")).body
        found += [item["id"] for item in page["items"]]
        assert all(item["status"] == "pending" for item in page["items"])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == ids[::-1]
    waiting = await client.post(f"{path}/deliveries/{ids[0]}/redeliver")
    assert (waiting.status, waiting.body["type"]) == (409, "urn:peyvand:problem:not-redelivered")
    assert (await client.get(f"{path}/deliveries?status=banana")).status == 422
    assert (await client.get(f"{path}/deliveries?cursor={cursor_text(2**63)}")).status == 422


async def test_a_source_has_twenty_at_most(idle_shop: Shop) -> None:
    for _ in range(20):
        await made(idle_shop.client)
    refused = await idle_shop.client.post("/v1/webhooks", {"url": URL})
    assert (refused.status, refused.body["type"]) == (409, "urn:peyvand:problem:too-many-webhooks")


async def test_what_subscribers_are_sent_is_in_the_openapi_document(anyone: Client) -> None:
    document = (await anyone.get("/openapi.json")).body
    told = document["webhooks"]["documentEvent"]["post"]
    assert {each["name"] for each in told["parameters"]} == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert "DocumentEvent" in json.dumps(told["requestBody"])
