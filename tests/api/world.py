"""A hub to ask: real Kafka and PostgreSQL, the deciding worker, and API servers on ports of their own."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp

from hub.api.app import Served, build, serve
from hub.api.receivers import Served as ServedConnector
from hub.api.settings import ApiSettings
from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.rules.settings import RuleSettings
from hub.store import keys, master
from hub.store.keys import SCOPES
from hub.store.pool import Store
from schemas.dates import utc_now
from schemas.master import Account, Finance, Product, Stock, Warehouse

PATIENT = {
    "store_seconds": 60.0,
    "publish_seconds": 60.0,
    "check_seconds": 60.0,
    "start_seconds": 60.0,
    "live_write_seconds": 60.0,
}
"""Bounds that a loaded machine keeps too: a test whose subject is a bound has a short one of its own."""
ALL_BUT_ADMIN = tuple(scope for scope in SCOPES if scope != "admin")


@dataclass
class Answer:
    """What the API answered; ``body`` is its JSON, or None."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.data)

    def fields(self) -> set[str]:
        """The fields a problem names."""
        return {error["field"] for error in self.body["errors"]}

    def codes(self) -> set[str]:
        """The codes of a problem's errors."""
        return {error["code"] for error in self.body["errors"]}


@dataclass
class Client:
    """Someone who asks one API server, with a key or without."""

    session: aiohttp.ClientSession
    address: str
    token: str | None = None

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        headers = {**self.headers, **options.pop("headers", {})}
        async with self.session.request(method, self.address + path, headers=headers, **options) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        if isinstance(body, bytes):
            return await self.ask("POST", path, data=body, **options)
        return await self.ask("POST", path, json=body, **options)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def at(self, address: str) -> "Client":
        """The same key at another server."""
        return Client(self.session, address, self.token)


@dataclass
class Hub:
    """Everything behind an API server."""

    kafka: Kafka
    store: Store
    producer: Producer
    rules: RuleSettings
    session: aiohttp.ClientSession

    @asynccontextmanager
    async def api(self, connectors: Sequence[ServedConnector] = (), **settings: Any) -> AsyncIterator[Served]:
        """An API server of a test's own."""
        wanted = ApiSettings(port=0, **(PATIENT | settings))
        app = build(self.store, self.producer, self.kafka, self.rules, wanted, connectors)
        served = await serve(app, wanted)
        try:
            yield served
        finally:
            await served.stop()

    async def key(self, address: str, *scopes: str, source: str | None = None, per_minute: int = 1_000_000) -> Client:
        """A client with a new key."""
        name = f"key-{secrets.token_hex(4)}"
        _, token = await keys.create(
            self.store, name=name, source=source or name, scopes=scopes or ALL_BUT_ADMIN, per_minute=per_minute
        )
        return Client(self.session, address, token)


@dataclass
class Shop:
    """A source with master data no other test has: one account, one warehouse, one product to begin with."""

    hub: Hub
    client: Client
    source: str
    account: str
    warehouse: str
    product: str

    def order(self, source_id: str = "A", **changes: Any) -> dict[str, Any]:
        """An order that clears, unless ``changes`` say otherwise."""
        line = {"product": self.product, "quantity": 1, **changes.pop("line", {})}
        return {
            "source_id": source_id,
            "kind": "sales_order",
            "date": "1403/02/12",
            "account": self.account,
            "warehouse": self.warehouse,
            "lines": [line],
            **changes,
        }

    async def send(self, source_id: str = "A", **changes: Any) -> dict[str, Any]:
        """An order, decided; the answer."""
        answer = await self.client.post("/v1/documents?wait=decision&timeout=30", self.order(source_id, **changes))
        assert answer.status == 200, answer.data
        body: dict[str, Any] = answer.body
        return body

    async def stocked(self, on_hand: Decimal | int | str, product: str | None = None, **fields: Any) -> None:
        """Tell what the books have of a product (a new one, if it is named)."""
        code = product or self.product
        records: list[Any] = [Product(code, f"کالای {code}", price=1_000_000, **fields)] if product else []
        records.append(Stock(code, self.warehouse, Decimal(on_hand), utc_now()))
        await master.apply(self.hub.store, records)

    async def credit(self, **terms: int) -> None:
        """Tell what the books say of the account."""
        await master.apply(self.hub.store, [Finance(self.account, utc_now(), **terms)])


async def open_shop(hub: Hub, address: str, source: str | None = None) -> Shop:
    """A shop with 1,000 of its product and 1,000,000,000 rials of credit."""
    mark = secrets.token_hex(4)
    source = source or f"shop-{mark}"
    client = await hub.key(address, source=source)
    shop = Shop(hub, client, source, f"A{mark}", f"W{mark}", f"P{mark}")
    await master.apply(
        hub.store,
        [
            Product(shop.product, "رم کینگستون", price=1_000_000),
            Warehouse(shop.warehouse, "انبار مرکزی"),
            Account(shop.account, "فروشگاه نمونه"),
        ],
    )
    await shop.stocked(1_000)
    await shop.credit(direct=1_000_000_000)
    return shop
