"""Keys, limits and HTTP manners: every answer says what is wrong in both languages, and none says too much."""

import asyncio
import dataclasses
import gzip
import logging
import re
from typing import Any

import pytest

from hub.api.app import Served
from hub.api.doorman import Buckets, Keyring
from hub.api.routes import ROUTES
from hub.store import keys
from hub.store.pool import Store
from tests.api.world import Client, Hub

KEYED = sorted({(route.method, route.path) for route in ROUTES if route.scope is not None})


class Clock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("method", "path"), KEYED)
async def test_every_route_with_documents_asks_for_a_key(anyone: Client, method: str, path: str) -> None:
    path = re.sub(r"{\w+}", "6d6bd1c4-3f29-5b1c-9f0e-0a53f2a6a0a1", path)
    answer = await anyone.ask(method, path)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_missing_unknown_and_revoked_keys_are_told_the_same(idle_hub: Hub, api: Served, anyone: Client) -> None:
    revoked = await idle_hub.key(api.address, "documents:read", source="revoked-shop")
    [key] = [key for key in await keys.every(idle_hub.store) if key.source == "revoked-shop"]
    await keys.revoke(idle_hub.store, key.name)
    answers = [
        await client.get("/v1/me", headers={"X-Request-ID": "same"})
        for client in (anyone, revoked, Client(anyone.session, api.address, "pvd_" + "x" * 43))
    ]
    for sent in ("Basic cHZkOnB2ZA==", "Bearer", "Bearer  ", "pvd_", "Bearer " + "x" * 5_000, "Bearer pvd_\xe9"):
        answers.append(await anyone.get("/v1/me", headers={"Authorization": sent, "X-Request-ID": "same"}))
    assert {answer.status for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1


async def test_a_revoked_key_dies_with_what_is_remembered_of_it(idle_hub: Hub) -> None:
    clock = Clock()
    keyring = Keyring(idle_hub.store, 10.0, clock)
    key, token = await keys.create(idle_hub.store, name="short-lived", source="s", scopes=["admin"], per_minute=1)
    assert await keyring.find(token) == key
    await keys.revoke(idle_hub.store, "short-lived")
    clock.now += 9
    assert await keyring.find(token) == key
    clock.now += 2
    assert await keyring.find(token) is None


async def test_a_key_is_found_as_soon_as_what_is_remembered_is_old(idle_hub: Hub) -> None:
    """A token asked for before its key was made isn't locked out."""
    clock = Clock()
    keyring = Keyring(idle_hub.store, 10.0, clock)
    assert await keyring.find("pvd_nobody") is None
    async with idle_hub.store.connection() as connection:
        await connection.execute(
            "insert into api_keys (id, hash, name, source, scopes, per_minute) "
            "values ('late', sha256('pvd_nobody'), 'late', 's', '{admin}', 1)"
        )
    clock.now += 11
    found = await keyring.find("pvd_nobody")
    assert found is not None
    assert found.name == "late"


SCOPED = [
    ("GET", "/v1/documents", "documents:read"),
    ("POST", "/v1/documents", "documents:write"),
    ("POST", "/v1/documents/preview", "documents:read"),
    ("GET", "/v1/stock", "stock:read"),
    ("GET", "/v1/lists", "stock:read"),
    ("GET", "/v1/accounts/1", "accounts:read"),
    ("GET", "/v1/live", "live:read"),
]


@pytest.mark.parametrize(("method", "path", "scope"), SCOPED)
async def test_a_key_without_the_scope_is_told_which(
    idle_hub: Hub, api: Served, method: str, path: str, scope: str
) -> None:
    client = await idle_hub.key(api.address, *(set(keys.SCOPES) - {scope, "admin"}))
    answer = await client.ask(method, path)
    assert answer.status == 403
    assert scope in answer.body["detail"]
    assert scope in answer.body["detail_fa"]


async def test_a_key_may_ask_so_often_and_no_more(idle_hub: Hub, api: Served) -> None:
    client = await idle_hub.key(api.address, "documents:read", per_minute=3)
    other = await idle_hub.key(api.address, "documents:read", per_minute=3)
    answers = [await client.get("/v1/me") for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    assert answers[0].headers["RateLimit-Limit"] == "3"
    assert 0 < int(answers[3].headers["Retry-After"]) <= 20
    assert (await other.get("/v1/me")).status == 200


def test_a_bucket_fills_evenly_and_never_over() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    assert [buckets.take("key", 60).retry_after for _ in range(60)] == [0] * 60
    empty = buckets.take("key", 60)
    assert (empty.retry_after, empty.remaining, empty.reset) == (1, 0, 60)
    clock.now += 2.5
    assert [buckets.take("key", 60).retry_after for _ in range(3)] == [0, 0, 1]
    clock.now += 1_000
    assert buckets.take("key", 60).remaining == 59


# --- HTTP


async def test_an_unknown_path_is_told(anyone: Client) -> None:
    for path in ("/v2/documents", "/v1/documents/", "/v1/nothing", "/pages/secret.txt", "/pages/..%2Fapp.py"):
        answer = await anyone.get(path, headers={"X-Request-ID": "r-1"})
        assert answer.status == 404
        assert answer.body["type"] == "urn:peyvand:problem:not-found"
        assert answer.body["instance"].startswith(path[:5])
        assert answer.body["request_id"] == "r-1"
        assert answer.body["title_fa"]


async def test_a_wrong_method_is_told_the_right_ones(anyone: Client) -> None:
    answer = await anyone.ask("DELETE", "/v1/documents")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert answer.body["type"] == "urn:peyvand:problem:method-not-allowed"
    assert (await anyone.ask("HEAD", "/v1/live")).status == 405


async def test_options_lists_the_methods(anyone: Client) -> None:
    answer = await anyone.ask("OPTIONS", "/v1/documents")
    assert (answer.status, answer.data) == (204, b"")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await anyone.ask("OPTIONS", "/v2")).status == 404


async def test_head_is_get_without_the_body(idle_hub: Hub, api: Served) -> None:
    client = await idle_hub.key(api.address)
    got, head = await client.get("/v1/me"), await client.ask("HEAD", "/v1/me")
    assert (head.status, head.data) == (200, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


async def test_a_request_id_that_could_forge_a_log_line_is_replaced(anyone: Client) -> None:
    answer = await anyone.get("/health/live", headers={"X-Request-ID": "a b"})
    assert answer.headers["X-Request-ID"] != "a b"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_error_of_ours_is_told_by_an_id_that_the_log_has(
    idle_hub: Hub, api: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that was never opened: nothing any handler expects."""
    broken = dataclasses.replace(idle_hub, store=Store("postgresql://nowhere/none"))
    async with broken.api() as served:
        client = (await idle_hub.key(api.address)).at(served.address)
        answer = await client.get("/v1/documents")
    assert answer.status == 500
    assert answer.body["type"] == "urn:peyvand:problem:internal"
    assert "Traceback" not in answer.data.decode()
    assert "store" not in answer.body["detail"]
    [record] = [record for record in caplog.records if record.message == "unexpected"]
    assert record.__dict__["request_id"] == answer.body["request_id"] == answer.headers["X-Request-ID"]
    assert answer.body["request_id"] in answer.body["detail"]
    assert record.exc_info


async def test_no_key_and_no_query_reach_the_log(idle_hub: Hub, api: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = await idle_hub.key(api.address)
    await client.get("/v1/documents?account=212010006")
    await client.post("/v1/documents", {"source_id": "S", "note": "confidential"})
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization\x01: Bearer pvd_veiled\r\n\r\n")
    await writer.drain()
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    lines = [f"{record.getMessage()} {record.__dict__} {record.exc_text}" for record in caplog.records]
    assert any("/v1/documents 200" in line for line in lines)
    assert any("not HTTP" in line for line in lines)
    for secret in (str(client.token), "212010006", "confidential", "pvd_veiled"):
        assert not [line for line in lines if secret in line]


async def test_problems_are_in_both_languages(idle_hub: Hub, api: Served) -> None:
    client = await idle_hub.key(api.address)
    answer = await client.get("/v1/documents?state=lost", headers={"Accept-Language": "de"})
    body: dict[str, Any] = answer.body
    assert body["title"]
    assert body["title_fa"]
    assert body["detail"].startswith("state: ")
    assert body["detail_fa"].startswith("state: ")
    assert {"message", "message_fa"} <= body["errors"][0].keys()
    assert body["instance"] == "/v1/documents"


async def test_a_client_that_leaves_in_the_middle_is_no_error_of_ours(
    idle_hub: Hub, api: Served, anyone: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = await idle_hub.key(api.address)
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    head = f"POST /v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n"
    writer.write(f'{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"a": '.encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(60):
        while not [record for record in caplog.records if record.getMessage() == "POST /v1/documents 499"]:
            await asyncio.sleep(0.02)
    assert not [
        record for record in caplog.records if record.name.startswith("hub.api") and record.levelno >= logging.WARNING
    ]


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(b"[]"), "gzip", 422),
        (gzip.compress(b" " * (5 * 1024 * 1024)), "gzip", 413),
        (b"not gzip", "gzip", 400),
    ],
    ids=["small", "a bomb", "broken"],
)
async def test_compressed_bodies(idle_hub: Hub, api: Served, body: bytes, encoding: str, status: int) -> None:
    client = await idle_hub.key(api.address)
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = await client.post("/v1/documents", body, headers=headers)
    assert answer.status == status
    assert answer.body["type"].startswith("urn:peyvand:problem:")
