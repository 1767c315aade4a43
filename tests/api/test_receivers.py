"""What the API does for connectors the other side calls: bounds, keys, limits, problems; what to answer is theirs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, ClassVar

import msgspec
import pytest
from msgspec import Meta

from connectors.base import (
    ConnectorKind,
    ConnectorSpec,
    Receiver,
    Rejected,
    Retryable,
    Unauthorised,
    UnknownPayload,
)
from hub.api.receivers import Served as ServedConnector
from hub.runtime.connect import Instance, KafkaEvents
from hub.runtime.receiving import receivers
from schemas.exchange import Endpoint, Request, Response
from tests.api.world import Client, Hub

ERRORS = {"later": Retryable, "never": Rejected, "stranger": Unauthorised, "gibberish": UnknownPayload}


class Spec(ConnectorSpec, frozen=True, kw_only=True):
    """A shop that calls us."""

    greeting: Annotated[str, Meta(description="What it is told.")] = "hello"


class Told(msgspec.Struct):
    """What a request was."""

    greeting: str
    item: str = ""
    word: str = ""
    key: str = ""
    source: str = ""
    size: int = 0
    remote: str = ""


class Shop(Receiver[Spec]):
    mount: ClassVar[str] = "webhooks"
    endpoints: ClassVar[tuple[Endpoint, ...]] = (
        Endpoint("push", "POST", "", "Push.", takes="application/json", gives=Told, max_bytes=1_000),
        Endpoint("fail", "GET", "/fail/{item}", "Fail."),
        Endpoint("greet", "GET", "/greeting", "Greet.", gives=Told),
        Endpoint("item", "GET", "/items/{item}", "One.", scope="stock:read", gives=Told, query={"word": "A word."}),
    )

    async def receive(self, request: Request) -> Response:
        item = request.segments.get("item", "")
        if request.endpoint == "fail":
            raise ERRORS[item]("it can't be done", fa="شدنی نیست")
        if request.endpoint == "push":
            await self.context.publisher.pushes([self.context.push("order/1", request.body)])
            await self.context.records.put("seen", {"1": request.body})
        told = Told(
            self.spec.greeting,
            item,
            request.query.get("word", ""),
            request.key,
            request.source,
            len(request.body),
            request.remote,
        )
        return Response(body=msgspec.json.encode(told), headers={"X-Shop": request.headers.get("x-shop", "")})


@pytest.fixture
async def served(idle_hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ServedConnector]:
    kind = ConnectorKind("shop", Spec, SimpleNamespace, Path("README.md"), Shop)  # type: ignore[arg-type]
    monkeypatch.setattr("hub.runtime.receiving.discover", lambda: {"shop": kind})
    instance = Instance(kind, "main", Spec())
    return receivers([instance], idle_hub.producer, idle_hub.kafka, idle_hub.store, tmp_path)


@pytest.mark.parametrize(
    ("trusted", "forwarded", "counted"),
    [
        ((), "192.0.2.1", "127.0.0.1"),
        (("127.0.0.1",), "192.0.2.1", "192.0.2.1"),
        (("127.0.0.1",), "10.9.9.9, 192.0.2.1", "192.0.2.1"),
        (("127.0.0.1", "10.0.0.2"), "192.0.2.1, 2001:db8::1 ,10.0.0.2", "2001:db8::1"),
        (("127.0.0.1",), "", "127.0.0.1"),
        (("127.0.0.1",), "192.0.2.1, unknown", "127.0.0.1"),
        (("127.0.0.1", "10.0.0.2"), "10.0.0.2", "10.0.0.2"),
        (("10.0.0.2",), "192.0.2.1", "127.0.0.1"),
    ],
)
async def test_a_caller_is_counted_by_the_address_a_trusted_proxy_forwards(
    idle_hub: Hub, served: list[ServedConnector], trusted: tuple[str, ...], forwarded: str, counted: str
) -> None:
    async with idle_hub.api(served, trusted_proxies=trusted, receiver_per_minute=1) as api:
        through = Client(idle_hub.session, api.address)
        headers = {"X-Forwarded-For": forwarded}
        answer = await through.get("/webhooks/shop/main/greeting", headers=headers)
        assert answer.body["remote"] == counted
        assert (await through.get("/webhooks/shop/main/greeting", headers=headers)).status == 429


@pytest.fixture
async def caller(idle_hub: Hub, served: list[ServedConnector]) -> AsyncIterator[Client]:
    async with idle_hub.api(served) as api:
        yield Client(idle_hub.session, api.address)


async def test_a_push_is_answered_once_kafka_has_it(idle_hub: Hub, caller: Client) -> None:
    answer = await caller.post("/webhooks/shop/main", b'{"id": 1}', headers={"X-Shop": "7"})
    assert answer.status == 200
    told = {"greeting": "hello", "item": "", "word": "", "key": "", "source": "", "size": 9, "remote": "127.0.0.1"}
    assert answer.body == told
    assert answer.headers["X-Shop"] == "7"
    assert answer.headers["Content-Type"] == "application/json"
    async with KafkaEvents(idle_hub.kafka, "shop.main").pushes("orders") as reader, asyncio.timeout(60):
        while not (found := await reader.read(0.2)):
            pass
    [push] = found
    assert (push.connector, push.resource, push.body) == ("shop.main", "order/1", b'{"id": 1}')
    async with KafkaEvents(idle_hub.kafka, "shop.other").pushes("orders") as reader:
        assert await reader.read(2) == []


async def test_a_hub_key_is_asked_for_where_the_endpoint_says_so(idle_hub: Hub, caller: Client) -> None:
    assert (await caller.get("/webhooks/shop/main/items/a%20b")).status == 401
    wrong = await idle_hub.key(caller.address, "documents:read")
    assert (await wrong.get("/webhooks/shop/main/items/1")).status == 403
    key = await idle_hub.key(caller.address, "stock:read", source="kiosk")
    answer = await key.get("/webhooks/shop/main/items/a%20b?word=x")
    assert (answer.body["item"], answer.body["word"], answer.body["source"]) == ("a b", "x", "kiosk")
    assert (await key.get("/webhooks/shop/main/items/1?wird=x")).status == 422


async def test_who_brings_no_key_is_counted_by_address(idle_hub: Hub, served: list[ServedConnector]) -> None:
    async with idle_hub.api(served, receiver_per_minute=2) as api:
        client = Client(idle_hub.session, api.address)
        statuses = [(await client.get("/webhooks/shop/main/fail/never")).status for _ in range(3)]
    assert statuses == [422, 422, 429]


@pytest.mark.parametrize(
    ("what", "status", "kind"),
    [
        ("later", 503, "unavailable"),
        ("never", 422, "invalid"),
        ("stranger", 401, "not-admitted"),
        ("gibberish", 400, "bad-request"),
    ],
)
async def test_the_connectors_errors_are_told_as_problems(caller: Client, what: str, status: int, kind: str) -> None:
    answer = await caller.get(f"/webhooks/shop/main/fail/{what}")
    assert answer.status == status
    assert answer.body["type"] == f"urn:peyvand:problem:{kind}"
    assert (answer.body["detail"], answer.body["detail_fa"]) == ("it can't be done", "شدنی نیست")
    assert ("Retry-After" in answer.headers) is (what == "later")


async def test_a_body_beyond_the_endpoints_own_bound_never_arrives(caller: Client) -> None:
    assert (await caller.post("/webhooks/shop/main", b"x" * 1_000)).status == 200
    assert (await caller.post("/webhooks/shop/main", b"x" * 1_001)).status == 413

    async def in_parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    assert (await caller.ask("POST", "/webhooks/shop/main", data=in_parts())).status == 413


async def test_an_instance_nobody_configured_is_not_there(caller: Client) -> None:
    answer = await caller.post("/webhooks/shop/nobody", b"{}")
    assert answer.status == 404
    assert "shop" in answer.body["detail"]


async def test_the_endpoints_are_in_the_openapi_document(caller: Client) -> None:
    document = (await caller.get("/openapi.json")).body
    item = document["paths"]["/webhooks/shop/{instance}/items/{item}"]["get"]
    assert item["operationId"] == "itemShop"
    assert [parameter["name"] for parameter in item["parameters"]] == ["instance", "item", "word"]
    assert item["security"] == [{"key": []}]
    push = document["paths"]["/webhooks/shop/{instance}"]["post"]
    assert push["security"] == []
    assert push["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Told"}
    assert "Told" in document["components"]["schemas"]
