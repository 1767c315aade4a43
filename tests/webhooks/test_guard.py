"""A receiver's address is somebody else's text: what isn't public isn't called, whatever name it goes by."""

import socket
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from hub.rules.webhooks import is_public, url_problem
from hub.store import webhooks
from hub.store.pool import Store
from hub.webhooks.client import Client
from tests.webhooks.world import Receiver, all_done, event_of, happened, sending, subscribed, until


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:53aa:64c:0:0:80ff:fffe",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "localhost",
        "",
    ],
)
def test_this_is_no_public_address(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "185.143.232.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_this_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://shop.example.com/", "url_not_https"),
        ("https://localhost/", "url_private"),
        ("https://a.localhost/", "url_private"),
        ("https://127.0.0.1/", "url_private"),
        ("https://[::1]/", "url_private"),
        ("https://[::ffff:127.0.0.1]/", "url_private"),
        ("https://2130706433/", "url_private"),
        ("https://0x7f000001/", "url_private"),
        ("https://127.1/", "url_private"),
        ("https://user:word@shop.example.com/", "url"),
        ("https://shop.example.com/#part", "url"),
        ("https:///path", "url"),
        ("https://shop.example.com:99999/", "url"),
        ("https://[::1/", "url"),
        ("https://shop.example.com/a b", "url"),
        ("https://فروشگاه.example/", "url"),
        ("ftp://shop.example.com/", "url"),
        ("shop.example.com", "url"),
    ],
)
def test_this_url_is_refused(url: str, code: str) -> None:
    wrong = url_problem(url, ())
    assert wrong is not None
    assert (wrong.code, wrong.field) == (code, "url")


@pytest.mark.parametrize(
    "url", ["https://shop.example.com:8443/a?b=c", "https://8.8.8.8/", "http://erp.internal/", "http://192.168.1.20/x"]
)
def test_this_url_is_taken(url: str) -> None:
    assert url_problem(url, ("erp.internal", "192.168.1.20")) is None


class Lying(AbstractResolver):
    """A name server that answers what it likes, another thing each time."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        self.asked.append(host)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        return [
            ResolveResult(
                hostname=host,
                host=each,
                port=port,
                family=socket.AF_INET6 if ":" in each else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for each in answer.split()
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "127.0.0.1 ::1"])
async def test_a_public_name_of_a_private_address_is_not_called(address: str, receiver: Receiver) -> None:
    resolver = Lying(address)
    async with Client((), timedelta(seconds=60), resolver) as client:
        answer = await client.post(f"https://innocent.example:{receiver.port}/", b"{}", {})
    assert "no public address" in answer.error
    assert answer.status is None
    assert resolver.asked == ["innocent.example"]
    assert not receiver.got


async def test_a_numeric_name_never_reaches_the_c_library(receiver: Receiver) -> None:
    async with Client((), timedelta(seconds=60)) as client:
        for host in ("2130706433", "127.1", "0x7f000001", "127.0.0.1", "[::ffff:7f00:1]", "localhost"):
            answer = await client.post(f"https://{host}:{receiver.port}/", b"{}", {})
            assert "must be public" in answer.error
    assert not receiver.got


async def test_a_name_that_changes_its_address_between_two_deliveries_is_looked_at_each_time(
    store: Store, receiver: Receiver
) -> None:
    """DNS rebinding: a name is resolved when it is called, and what it then is decides."""
    webhook = await subscribed(store, f"https://rebound.example:{receiver.port}/")
    await happened(store, event_of("shop", "A", 1))
    resolver = Lying("127.0.0.1", "::1", "10.0.0.1")
    async with sending(store, resolver, retries=(timedelta(milliseconds=1),) * 2):
        await until(lambda: all_done(store))
    [delivery] = await webhooks.deliveries(store, webhook.id, limit=5)
    assert delivery.status == "given_up" or delivery.attempts == 3
    assert all("no public address" in each.error for each in delivery.tries)
    assert not receiver.got
