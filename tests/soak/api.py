"""An outside system that pushes its orders over HTTP and asks again until it is told they are accepted."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from hub.runtime.connect import Instance
from tests.soak.plan import Order
from tests.soak.site import Site
from tests.soak.source import PRICE, Source, payable
from tests.soak.world import CUSTOMER, WAREHOUSE, today

IN_HUNDREDS = 100


class Api(Source):
    """``alive`` is cleared while it is dead: then it sends nothing, and loses nothing."""

    name = "soak-api"

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site
        self._accepted: dict[str, int] = {}
        self._told = 0
        self._alive = asyncio.Event()
        self._alive.set()

    async def open(self, stack: AsyncExitStack) -> Sequence[Instance]:
        self._client = await self._site.key(self.name)
        return ()

    async def send(self, orders: Sequence[Order]) -> None:
        for start in range(0, len(orders), IN_HUNDREDS):
            part = orders[start : start + IN_HUNDREDS]
            await self._batch([_document(order) for order in part])
            await self._batch([_document(order) for order in part if order.twice])
            self.malformed += sum(order.malformed for order in part)

    async def _batch(self, documents: Sequence[dict[str, Any]]) -> None:
        while documents:
            await self._alive.wait()
            try:
                answer = await self._client.post("/v1/documents", list(documents))
            except aiohttp.ClientError:
                continue
            if answer.status not in (200, 202, 207):
                await asyncio.sleep(0.05)
                continue
            for document, result in zip(documents, answer.body["results"], strict=True):
                if result["status"] != "failed":
                    self._accepted[document["source_id"]] = payable(int(document["lines"][0]["quantity"]))
                else:
                    assert result["problem"]["status"] == 422, result
                    self._told += 1
            return

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self._alive.clear()
        try:
            yield
        finally:
            self._alive.set()

    async def ledger(self) -> Mapping[str, int]:
        return self._accepted

    async def told_malformed(self) -> int:
        return self._told


def _document(order: Order) -> dict[str, Any]:
    return {
        "source_id": f"A{order.number}",
        "kind": "sales_invoice",
        "date": today().isoformat(),
        "account": CUSTOMER,
        "warehouse": WAREHOUSE,
        "payment": "cash",
        "lines": [
            {
                "product": order.product,
                "quantity": "three" if order.malformed else str(order.quantity),
                "unit_price": PRICE,
            }
        ],
    }
