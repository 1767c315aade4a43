"""What all sources of a soak have in common: the customer, the goods, and what the books hold of them at first."""

import asyncio
from collections.abc import Collection
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Final

from connectors.hesabgar.simulator import HesabgarSimulator
from schemas.dates import today_in_tehran, utc_now

CUSTOMER: Final = "212010007"
WAREHOUSE: Final = "01"
PRODUCTS: Final = ("10000300101", "10000300102", "10000400201", "10000400202")
PLENTIFUL: Final = PRODUCTS[:3]
SCARCE: Final = PRODUCTS[3]


@cache
def today() -> date:
    """The documents' date: one for all, for what is sent twice has to be the same after midnight."""
    return today_in_tehran(utc_now())


async def stock_up(books: HesabgarSimulator, plenty: int, scarce: int) -> None:
    """What is on hand before anything is sold."""
    for product in PRODUCTS:
        await asyncio.to_thread(books.run, _SET.format(product=product, count=scarce if product == SCARCE else plenty))


async def on_hand(books: HesabgarSimulator, products: Collection[str] = PRODUCTS) -> dict[str, Decimal]:
    """What the books say is on hand now."""
    rows = await asyncio.to_thread(
        books.query,
        f"SELECT product, on_hand FROM hub.stock WHERE warehouse = N'{WAREHOUSE}' AND attribute = N''",
    )
    return {row[0]: Decimal(row[1]) for row in rows if row[0] in products}


_SET: Final = """
UPDATE s SET Meghdar = {count} FROM dbo.STK_Mojoodi AS s
INNER JOIN dbo.STK_Kala AS k ON k.KalaID = s.KalaID INNER JOIN dbo.STK_Anbar AS a ON a.AnbarID = s.AnbarID
WHERE k.KalaCode = N'{product}' AND a.AnbarCode = N'01' AND s.MoshID = 0
"""
