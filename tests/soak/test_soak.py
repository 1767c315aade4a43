"""Every source at once, with duplicates, malformed orders and outages; at the end three ledgers must agree.

``make soak`` runs it long: 20,000 orders. PEYVAND_SOAK is how many, PEYVAND_SOAK_SEED what they are drawn from.
"""

import asyncio
import logging
import os
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from connectors.hesabgar.simulator import HesabgarSimulator
from hub.store import reading
from hub.store.reading import DocumentFilter, StockFilter
from schemas.documents import Document, State
from tests.conftest import free_port
from tests.connectors.conftest import Running, Surroundings, instance
from tests.connectors.hesabgar.world import World, hub_around, spec_of
from tests.soak import plan
from tests.soak.api import Api
from tests.soak.branch import Branch
from tests.soak.files import Files
from tests.soak.pocket import Pocket
from tests.soak.shop import Shop
from tests.soak.site import Site
from tests.soak.source import Source
from tests.soak.workbooks import Workbooks
from tests.soak.world import PLENTIFUL, PRODUCTS, SCARCE, WAREHOUSE, on_hand, stock_up

logger = logging.getLogger(__name__)

ORDERS = int(os.environ.get("PEYVAND_SOAK", "240"))
ROUNDS = 4
PLENTY = 1_000_000
OUTAGE = max(0.5, ORDERS / 2_000)
"""Seconds a source is dead."""
PATIENCE = 120 + ORDERS / 10
"""Seconds to wait for the last of them: none of this is about speed."""


@pytest.fixture
def seed() -> int:
    """What everything is drawn from; in the log, so that a failure can be drawn again."""
    drawn = int(os.environ.get("PEYVAND_SOAK_SEED", "0")) or secrets.randbelow(2**32)
    logger.warning("PEYVAND_SOAK_SEED=%d", drawn)
    return drawn


@pytest.fixture
def books() -> Iterator[HesabgarSimulator]:
    """The main books."""
    with HesabgarSimulator(products=20, customers=20) as simulator:
        yield simulator


@pytest.fixture
async def world(around: Surroundings, books: HesabgarSimulator) -> AsyncIterator[World]:
    """The deciding worker at work beside the books."""
    async with hub_around(around, books) as hub:
        yield hub


@pytest.fixture
async def site(world: World, tmp_path: Path) -> AsyncIterator[Site]:
    """Where the API is going to be."""
    async with aiohttp.ClientSession() as session:
        yield Site(world.around, world.producer, session, free_port(), tmp_path)


async def until(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once it holds."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await holds():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(what) from None


async def test_the_ledgers_of_every_source_of_the_hub_and_of_the_books_agree(
    site: Site, books: HesabgarSimulator, seed: int
) -> None:
    dice = random.Random(seed)
    await stock_up(books, PLENTY, ORDERS // 25)
    sources: list[Source] = [Api(site), Files(site), Branch(site), Pocket(site), Shop(site), Workbooks(site)]
    async with AsyncExitStack() as stack:
        wanted = [each for source in sources for each in await source.open(stack)]
        main = instance(spec_of(books, skip_sources=()), "main", "hesabgar")
        await stack.enter_async_context(site.serving(wanted))
        await stack.enter_async_context(Running(site.around.connectors(main)))
        await until("the books aren't read", lambda: _in_books(site, PLENTIFUL[0], PLENTY))
        await stack.enter_async_context(Running(site.around.connectors(*wanted)))
        await _let_them_sell(dice, sources, books)
        ledgers = {source.name: await source.ledger() for source in sources}
        count = sum(map(len, ledgers.values()))
        await until(f"not all of {count} came to rest", lambda: _at_rest(site, count))
        documents = await _documents(site)
        _agree_with_the_sources(ledgers, documents)
        for source in sources:
            await until(f"{source.name} isn't told of all that was malformed", partial(_all_told, source))
        await _agree_with_the_books(documents, books, ORDERS // 25)
        await until("the hub hasn't read what the books hold", lambda: _reads_the_same(site, books))
    states = Counter((document.source, document.state.value) for document in documents)
    logger.warning("%d orders, %d malformed: %s", ORDERS, sum(each.malformed for each in sources), dict(states))


async def _let_them_sell(dice: random.Random, sources: Sequence[Source], books: HesabgarSimulator) -> None:
    """In rounds: all send at once while one of them is dead for a while; in one round the books are."""
    share = ORDERS // len(sources)
    sold = {source: list(plan.orders(dice, share, PLENTIFUL, SCARCE)) for source in sources}
    for round_ in range(ROUNDS):
        part = slice(share * round_ // ROUNDS, share * (round_ + 1) // ROUNDS)
        dead = sources[round_ % len(sources)]
        if round_ == 1:
            await asyncio.to_thread(books.away)
        async with asyncio.TaskGroup() as group:
            for source in sources:
                if source is not dead:
                    group.create_task(source.send(sold[source][part]))
            async with dead.away():
                late = group.create_task(dead.send_while_away(sold[dead][part]))
                await asyncio.sleep(OUTAGE)
            await late
        if round_ == 1:
            await asyncio.to_thread(books.back)


async def _all_told(source: Source) -> bool:
    return await source.told_malformed() == source.malformed


async def _at_rest(site: Site, count: int) -> bool:
    counts = await reading.counts(site.around.store)
    moving = [state for state in counts if state not in (State.POSTED, State.REJECTED)]
    return not moving and sum(counts.values()) == count


async def _documents(site: Site) -> list[Document]:
    found: list[Document] = []
    while True:
        after = (found[-1].received_at, found[-1].id) if found else None
        page = await reading.documents(site.around.store, DocumentFilter(after=after), 1_000)
        found += page
        if len(page) < 1_000:
            return found


def _agree_with_the_sources(ledgers: Mapping[str, Mapping[str, int]], documents: Sequence[Document]) -> None:
    for name, ledger in ledgers.items():
        theirs = {document.source_id: document.totals.payable for document in documents if document.source == name}
        assert theirs == dict(ledger), name
    assert {document.source for document in documents} == set(ledgers)


async def _agree_with_the_books(documents: Sequence[Document], books: HesabgarSimulator, scarce: int) -> None:
    posted = [document for document in documents if document.state is State.POSTED]
    outcome = "SELECT external_id, number FROM hub.outcome WHERE item = 'document'"
    vouchers = [tuple(row) for row in await asyncio.to_thread(books.query, outcome)]
    assert sorted(vouchers) == sorted(
        (str(document.id), document.posting.number) for document in posted if document.posting is not None
    )
    sold: dict[str, Decimal] = dict.fromkeys(PRODUCTS, Decimal(0))
    for document in posted:
        for line in document.lines:
            sold[line.product] += line.quantity
    first = {product: Decimal(scarce if product == SCARCE else PLENTY) for product in PRODUCTS}
    assert await on_hand(books) == {product: first[product] - sold[product] for product in PRODUCTS}
    turned_away = [document for document in documents if document.state is State.REJECTED]
    assert {line.product for document in turned_away for line in document.lines} <= {SCARCE}


async def _in_books(site: Site, product: str, wanted: int) -> bool:
    rows = await reading.stock(site.around.store, StockFilter(product, WAREHOUSE), 10)
    return any(row.in_books == wanted for row in rows if not row.attribute)


async def _reads_the_same(site: Site, books: HesabgarSimulator) -> bool:
    theirs = await on_hand(books)
    rows = {
        product: next(
            row
            for row in await reading.stock(site.around.store, StockFilter(product, WAREHOUSE), 10)
            if not row.attribute
        )
        for product in PRODUCTS
    }
    return all((row.in_books, row.reserved) == (theirs[product], 0) for product, row in rows.items())
