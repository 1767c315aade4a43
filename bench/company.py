"""The company every scenario works for, and the orders it gets: all within credit and stock, so that each takes the
whole rule chain to the end (priced, taxed, reserved, held against credit, cleared)."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

from hub.store import master as master_store
from hub.store.pool import Store
from schemas.commands import Submit
from schemas.documents import DocumentRequest, Kind, LineRequest
from schemas.master import Account, Finance, Master, Product, Stock, Warehouse

SOURCE = "bench"
LINES = 3
WAREHOUSES = ("W1", "W2", "W3", "W4")
PRODUCTS = tuple(f"P{number:04}" for number in range(2_000))
ACCOUNTS = tuple(f"A{number:03}" for number in range(500))
CREDIT = 10**15
ON_HAND = 10**9

_SEED = 1403
_PRICES = {product: 10_000 * (1 + number % 997) for number, product in enumerate(PRODUCTS)}
_AS_OF = datetime(2024, 5, 1, 4, tzinfo=UTC)
_DAY = date(2024, 5, 1)


def master_records() -> Iterator[Master]:
    """Everything the company's books say."""
    yield from (Warehouse(code, f"انبار {code}") for code in WAREHOUSES)
    yield from (Product(code, f"کالای {code}", price=_PRICES[code]) for code in PRODUCTS)
    for code in ACCOUNTS:
        yield Account(code, f"مشتری {code}")
        yield Finance(code, _AS_OF, direct=CREDIT)
    for product in PRODUCTS:
        yield from (Stock(product, warehouse, Decimal(ON_HAND), _AS_OF) for warehouse in WAREHOUSES)


async def load(dsn: str) -> None:
    """Put the company into a migrated database."""
    store = Store(dsn, size=1)
    await store.open()
    try:
        await master_store.apply(store, list(master_records()))
    finally:
        await store.close()


def requests(count: int, *, series: str, source_id: str | None = None) -> Iterator[DocumentRequest]:
    """So many orders, the same ones each time for one series; their own ids are numbered unless one is given."""
    choose = random.Random(f"{_SEED}/{series}")
    for number in range(count):
        yield DocumentRequest(
            source_id or f"{series}-{number:06}",
            Kind.SALES_INVOICE,
            _DAY,
            account=choose.choice(ACCOUNTS),
            warehouse=choose.choice(WAREHOUSES),
            lines=tuple(
                LineRequest(product, Decimal(choose.randint(1, 9)), unit_price=_PRICES[product])
                for product in choose.sample(PRODUCTS, LINES)
            ),
        )


def commands(count: int, *, series: str) -> Iterator[Submit]:
    """The commands that submit :func:`requests`."""
    now = datetime.now(UTC)
    for request in requests(count, series=series):
        yield Submit.of(request, source=SOURCE, actor=SOURCE, now=now)
