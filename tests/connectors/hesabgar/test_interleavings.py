"""A stock refresh and a reservation in flight never count the same goods twice: every order of who comes first.

47 are on hand. One order of 5 is cleared, posted to the books and written back; another of 3 comes somewhere in
between; the books are read somewhere in between. At no moment may more be sellable than 47 less what was promised by
then, and at the end, with everything read, exactly that.
"""

from collections.abc import Iterator
from itertools import permutations
from uuid import UUID

import pytest

from connectors.hesabgar import mapper
from connectors.hesabgar.connector import Connector
from connectors.hesabgar.posting import Posted, post_document
from connectors.hesabgar.simulator import HesabgarSimulator
from schemas.dates import utc_now
from schemas.documents import Document, State
from schemas.events import DocumentEvent
from tests.connectors.conftest import until
from tests.connectors.hesabgar.world import WAREHOUSE, World

STEPS = ("post", "write back", "read", "another order")


def orders() -> Iterator[tuple[str, ...]]:
    """What can happen, in every order in which it can: nothing is written back that wasn't posted."""
    for order in permutations((*STEPS, "read again")):
        if order.index("post") < order.index("write back") and order.index("read") < order.index("read again"):
            yield order


def event_of(document: Document | None) -> DocumentEvent:
    """The event that brought a document to where it is, as far as the connector uses it."""
    assert document is not None
    return DocumentEvent(
        event_id=document.id,
        type=f"document.{document.state}",
        source=document.source,
        source_id=document.source_id,
        document_id=document.id,
        revision=document.revision,
        step=document.step,
        occurred_at=document.changed_at,
        recorded_at=document.changed_at,
        command_id=document.id,
        command="test",
        actor="test",
        document=document,
    )


class Tale:
    """One order of events, told step by step."""

    def __init__(self, world: World, connector: Connector, product: str, identity: UUID) -> None:
        self.world = world
        self.connector = connector
        self.product = product
        self.identity = identity
        self.promised = 5
        self.posted: Posted | None = None

    async def step(self, name: str) -> None:
        match name:
            case "post":
                document = await self.world.document(self.identity)
                assert document is not None
                self.posted = await post_document(self.connector.client, document, self.connector.spec)
            case "write back":
                assert self.posted is not None
                posted_at = mapper.as_utc(self.posted.posted_at)
                event = event_of(await self.world.document(self.identity))
                await self.world.publish(mapper.succeeded(event, self.posted.number, posted_at, "test", utc_now()))
                await self.world.comes_to(self.identity, State.POSTED)
            case "read" | "read again":
                await self.connector.reading.look()
                await self.taken_in()
            case "another order":
                self.promised += 3
                await self.world.comes_to(await self.world.send(quantity=3, product=self.product), State.CLEARED)

    async def taken_in(self) -> None:
        """Wait until the hub has what the books say now."""
        rows = self.world.sim.query(
            f"SELECT on_hand FROM hub.stock WHERE product = N'{self.product}' AND warehouse = N'{WAREHOUSE}' "
            "AND attribute = N''"
        )

        async def has() -> bool:
            row = await self.world.stock(self.product)
            return row is not None and row.in_books == rows[0][0]

        await until(has)

    async def sellable(self) -> int:
        row = await self.world.stock(self.product)
        assert row is not None
        return int(row.on_hand - row.reserved)


@pytest.fixture
def sim() -> Iterator[HesabgarSimulator]:
    """A company with a product for each order of events."""
    with HesabgarSimulator(products=len(list(orders())) + 4, customers=20) as simulator:
        simulator.run("UPDATE dbo.STK_Mojoodi SET Meghdar = 47 WHERE AnbarID = 1 AND MoshID = 0")
        yield simulator


async def test_no_goods_are_counted_twice(world: World) -> None:
    connector = world.by_hand()
    try:
        await connector.reading.look()
        products = [row[0] for row in world.sim.query("SELECT code FROM hub.products WHERE stocked = 1 ORDER BY code")]
        for product, order in zip(products, orders(), strict=False):
            await world.has_stock(47, product=product)
            identity = await world.send(quantity=5, product=product)
            await world.comes_to(identity, State.CLEARED)
            await world.publish(mapper.started(event_of(await world.document(identity)), "test", utc_now()))
            await world.comes_to(identity, State.POSTING)
            tale = Tale(world, connector, product, identity)
            for name in order:
                await tale.step(name)
                assert await tale.sellable() <= 47 - tale.promised, (order, name)
            await connector.reading.look()
            await world.has_stock(42, 3, product=product)
        assert len(products) >= len(list(orders())) == 30
    finally:
        connector.client.close()
