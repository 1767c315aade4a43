"""The webhook sender, by the rules of ``class-wc-webhook.php``.

Deliveries wait in a queue until they are pumped, as WordPress's scheduler would; the same one isn't queued twice. What
is sent is the object as it is when it is sent, in the API's own form, signed over the raw bytes; of what was deleted
only the id. A delivery is well if it is answered 2xx, 300, 301 or 302. Each that isn't is counted, one that is ends the
count; once the count is above five, the next failure disables the webhook, and what happens then is told to nobody.
Enabling it again doesn't end the count: its first failure disables it once more.

A ping that isn't answered 200 is tried again whenever the webhook is saved, deliveries included.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

import aiohttp

from connectors.woocommerce.simulator import answers
from connectors.woocommerce.simulator.keeping import Doc
from connectors.woocommerce.simulator.ledger import Ledger, Sent
from connectors.woocommerce.simulator.shop import Shop

MOST_FAILURES: Final = 5
TIMEOUT_SECONDS: Final = 60.0
_WELL: Final = range(200, 303)
_SAFE_PORTS: Final = frozenset({80, 443, 8080})
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Delivery:
    webhook: int
    topic: str
    resource: int


class Sender:
    """Sends what happens in the shop to its webhooks.

    ``refuses_private`` keeps to ``wp_safe_remote_request``: no private or loop-back addresses, no odd ports.
    """

    def __init__(self, shop: Shop, ledger: Ledger, *, seed: int = 1, refuses_private: bool = False) -> None:
        self._shop = shop
        self._ledger = ledger
        self._random = random.Random(seed)  # noqa: S311 (the same seed gives the same order)
        self._queue: dict[_Delivery, None] = {}
        self.refuses_private = refuses_private
        self.source = ""
        """The shop's own address."""
        shop.tell = self.happened

    @property
    def waiting(self) -> int:
        """Deliveries in the queue."""
        return len(self._queue)

    def happened(self, resource: str, event: str, number: int) -> None:
        """Queue what the active webhooks of this topic have to tell."""
        for webhook in self._shop.tables["webhook"].values():
            if webhook["topic"] == f"{resource}.{event}" and webhook["status"] == "active":
                self._queue[_Delivery(webhook["id"], webhook["topic"], number)] = None

    async def ping(self, webhook: Doc) -> None:
        """Ask whether anybody is there."""
        body = urlencode({"webhook_id": webhook["id"]}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with self._session() as session:
            if await self._post(session, webhook, "", 0, body, headers) == 200:
                webhook["_pending"] = False
        self._shop.saved("webhook", webhook["id"])

    async def saved(self, webhook: Doc, *, moved: bool = False) -> None:
        """A webhook was changed; ``moved``: it has another address."""
        self._shop.saved("webhook", webhook["id"])
        if webhook["status"] == "active" and (moved or webhook["_pending"]):
            await self.ping(webhook)

    async def pump(self, *, shuffled: bool = False) -> int:
        """Send everything that waits, in its order or ``shuffled``; how much was sent."""
        waiting, self._queue = list(self._queue), {}
        if shuffled:
            self._random.shuffle(waiting)
        async with self._session() as session:
            for delivery in waiting:
                await self._deliver(session, delivery)
        return len(waiting)

    async def keep_pumping(self, seconds: float) -> None:
        """Pump at this interval until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.pump()

    async def _deliver(self, session: aiohttp.ClientSession, delivery: _Delivery) -> None:
        webhook = self._shop.tables["webhook"].get(delivery.webhook)
        if webhook is None or webhook["status"] != "active":
            return
        body = self._payload(delivery)
        status = await self._post(
            session, webhook, delivery.topic, delivery.resource, body, self._headers(webhook, delivery, body)
        )
        if status in _WELL:
            webhook["_failures"] = 0
        elif webhook["_failures"] > MOST_FAILURES:
            webhook["status"] = "disabled"
        else:
            webhook["_failures"] += 1
        await self.saved(webhook)

    def _payload(self, delivery: _Delivery) -> bytes:
        resource, _, event = delivery.topic.partition(".")
        if event == "deleted":
            return answers.encoded({"id": delivery.resource})
        if resource == "product" and delivery.resource in self._shop.tables["variation"]:
            return answers.encoded(answers.variation(self._shop, self._shop.find("variation", delivery.resource)))
        doc = self._shop.tables[resource].get(delivery.resource)
        if doc is None:  # deleted since: WooCommerce sends what its API says of it
            return answers.encoded(answers.invalid_id(resource, 404).body)
        return answers.encoded(answers.SHOWN[resource](self._shop, doc))

    def _headers(self, webhook: Doc, delivery: _Delivery, body: bytes) -> dict[str, str]:
        resource, _, event = delivery.topic.partition(".")
        named = f"{webhook['id']}{self._shop.now()}{delivery.resource}"
        return {
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": f"{self.source}/",
            "X-WC-Webhook-Topic": delivery.topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Signature": signature(body, webhook["_secret"]),
            "X-WC-Webhook-ID": str(webhook["id"]),
            "X-WC-Webhook-Delivery-ID": hashlib.md5(named.encode(), usedforsecurity=False).hexdigest(),
        }

    async def _post(
        self,
        session: aiohttp.ClientSession,
        webhook: Doc,
        topic: str,
        resource: int,
        body: bytes,
        headers: dict[str, str],
    ) -> int:
        url = webhook["delivery_url"]
        if self.refuses_private and not is_safe(url):
            status = 0
        else:
            try:
                async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                    status = response.status
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                _LOG.info("webhook %d wasn't delivered: %s", webhook["id"], type(error).__name__)
                status = 0
        self._ledger.sent.append(Sent(webhook["id"], topic, resource, status, body, headers))
        return status

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        async with aiohttp.ClientSession(
            version=aiohttp.HttpVersion10,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            headers={"User-Agent": "WooCommerce/8.9.1 Hookshot (WordPress/6.5)"},
        ) as session:
            yield session


def signature(body: bytes, secret: str) -> str:
    """Of a delivery: base64 of the HMAC-SHA256 of its raw body."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def is_safe(url: str) -> bool:
    """Whether WordPress would send something there: names are taken as public, for nothing is looked up."""
    parts = urlsplit(url)
    if parts.port is not None and parts.port not in _SAFE_PORTS:
        return False
    try:
        return ipaddress.ip_address(parts.hostname or "").is_global
    except ValueError:
        return parts.hostname != "localhost"
