"""A whole hub around a simulated shop: real Kafka, real PostgreSQL, the deciding worker, the API its webhooks reach."""

import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp

from connectors.woocommerce.kept import EXCEPTIONS
from connectors.woocommerce.simulator import WooCommerceSimulator
from connectors.woocommerce.simulator.shop import Basket
from hub.bus.producer import Producer
from hub.rules.settings import RuleSettings
from hub.runtime.connect import KafkaPublisher, StoreRecords
from hub.runtime.receiving import receivers
from hub.store import master, reading
from schemas.commands import AnyCommand, Approve, PostingStarted, PostingSucceeded
from schemas.dates import utc_now
from schemas.documents import Document, State
from schemas.ids import command_id, document_id
from schemas.master import Master, Product, Stock, Warehouse
from streams.settings import StreamSettings
from streams.worker import running
from tests.api.world import Client, Hub
from tests.connectors.conftest import Running, Surroundings, instance, until
from tests.connectors.woocommerce.conformance import FEE, SHIPPING, SKU, customers, spec_of

WAREHOUSE = "01"
ON_HAND = 50


@dataclasses.dataclass
class World:
    """A hub at work, and what tests ask of it."""

    around: Surroundings
    producer: Producer
    shop: WooCommerceSimulator
    session: aiohttp.ClientSession

    @asynccontextmanager
    async def connector(self, **changes: Any) -> AsyncIterator[Running]:
        """The connector at work as the hub runs it; its documents are of the source "shop"."""
        connectors = self.around.connectors(instance(spec_of(self.shop, **changes), "shop", "woocommerce"))
        async with Running(connectors) as at_work:
            yield at_work

    @asynccontextmanager
    async def api(self) -> AsyncIterator[Client]:
        """The API, with a key of somebody who may work off the exception list."""
        hub = Hub(self.around.kafka, self.around.store, self.producer, RuleSettings(), self.session)
        mine = [instance(spec_of(self.shop), "shop", "woocommerce")]
        served = receivers(mine, self.producer, self.around.kafka, self.around.store, self.around.data)
        async with hub.api(served) as api:
            yield await hub.key(api.address, "admin")

    def order(self, sku: str = SKU, quantity: int = 1, customer: int = 2, **more: Any) -> int:
        """An order that is paid."""
        return self.shop.shop.place(Basket([(sku, quantity)], customer=customer, **more))

    async def comes_to(self, own_id: str | int, holds: Callable[[Document], bool]) -> Document:
        """The document of an order once something holds of it."""
        found: list[Document | None] = []

        async def there() -> bool:
            found[:] = [await reading.document(self.around.store, document_id("shop", str(own_id)))]
            return found[0] is not None and holds(found[0])

        try:
            await until(there)
        except TimeoutError:
            raise AssertionError(f"{own_id} is {found[0]}; exceptions: {await self.exceptions()}") from None
        assert found[0] is not None
        return found[0]

    async def clears(self, own_id: str | int, revision: int = 1) -> Document:
        """The document, cleared in a revision."""
        return await self.comes_to(own_id, lambda it: it.state is State.CLEARED and it.revision == revision)

    async def ends(self, own_id: str | int) -> Document:
        """The document, cancelled."""
        return await self.comes_to(own_id, lambda it: it.state is State.CANCELLED)

    async def commands(self, own_id: str | int) -> list[AnyCommand]:
        """What was asked of an order's document, each thing once."""
        return list({it.command_id: it for it in await self.around.commands() if it.source_id == str(own_id)}.values())

    async def exceptions(self) -> dict[str, dict[str, Any]]:
        """The exception list, by id."""
        page = await StoreRecords(self.around.store, "woocommerce.shop").page(EXCEPTIONS)
        return {key: json.loads(value) for key, value in page}

    async def complains(self, problem: str) -> dict[str, Any]:
        """The exception once it is on the list."""

        async def there() -> bool:
            return problem in await self.exceptions()

        await until(there)
        return (await self.exceptions())[problem]

    async def settles(self, problem: str) -> None:
        """Return once it is off the list."""

        async def gone() -> bool:
            return problem not in await self.exceptions()

        await until(gone)

    async def is_posted(self, own_id: str | int, number: str) -> None:
        """The books take a cleared document."""
        document, now = document_id("shop", str(own_id)), utc_now()
        envelope: dict[str, Any] = {
            "document_id": document,
            "source": "shop",
            "source_id": str(own_id),
            "revision": 1,
            "occurred_at": now,
            "recorded_at": now,
            "actor": "books",
        }
        started = PostingStarted(command_id=command_id(document, "started", "1"), **envelope)
        done = PostingSucceeded(
            command_id=command_id(document, "posted", "1"), number=number, posted_at=now, **envelope
        )
        await self.asks(started, done)

    async def asks(self, *commands: AnyCommand) -> None:
        """Somebody asks something of documents."""
        await KafkaPublisher(self.producer).documents(commands)

    async def is_approved(self, own_id: str | int) -> None:
        """A person lets a held document through."""
        document, now = document_id("shop", str(own_id)), utc_now()
        approve = Approve(
            command_id=command_id(document, "approve", "1"),
            document_id=document,
            source="shop",
            source_id=str(own_id),
            revision=1,
            occurred_at=now,
            recorded_at=now,
            actor="person",
        )
        await self.asks(approve)

    async def knows(self, *records: Master) -> None:
        """The hub learns."""
        await master.apply(self.around.store, records)


def beginnings(shop: WooCommerceSimulator) -> Sequence[Master]:
    """The sample company's goods, its customers, and some of everything in the warehouse."""
    now = utc_now()
    skus = shop.shop.skus()
    return [
        Warehouse(WAREHOUSE, "انبار مرکزی"),
        *customers(),
        *(Product(sku, sku, vat_exempt=sku.startswith("100012")) for sku in skus),
        *(Product(code, code, stocked=False) for code in (SHIPPING, FEE)),
        *(Stock(sku, WAREHOUSE, Decimal(ON_HAND), now) for sku in skus),
    ]


@asynccontextmanager
async def hub_around(around: Surroundings, shop: WooCommerceSimulator) -> AsyncIterator[World]:
    """The deciding worker at work beside a shop."""
    async with AsyncExitStack() as stack:
        producer = Producer(around.kafka)
        await producer.start()
        stack.push_async_callback(producer.stop)
        await master.apply(around.store, beginnings(shop))
        settings = StreamSettings(kafka=around.kafka, rules=RuleSettings())
        await stack.enter_async_context(running(settings, around.store, producer))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield World(around, producer, shop, session)
