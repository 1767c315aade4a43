"""The sample company: master data in the simulated books or in files, documents in files, and waited for."""

import asyncio
import csv
import json
import shutil
from collections.abc import Awaitable, Callable, Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from hub.store import reading
from hub.store.pool import Store
from hub.store.reading import StockFilter
from schemas.dates import jalali
from schemas.ids import document_id
from schemas.ledger import Needs

SOURCE = "sample"
"""The source of the sample company's own documents, and the name of the connector instance that brings them.

They stay out of the books: the order holds the goods that make the golden sellable figures, and a posted order gives up
what it holds; the quote is of a period that is closed.
"""

_DATA = Path(__file__).parent
_MASTER = ("warehouses.csv", "products.csv", "accounts.csv", "stock.csv", "finance.csv")
_FINANCE = ("direct", "documentary", "balance", "uncleared_cheques", "returned_cheques")
_DOCUMENTS = "documents.jsonl"
_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_MOST_ROWS = 1_000


def folder_of(data: Path) -> Path:
    """The folder the connector watches, made if need be. ``data`` is the hub's data directory. Raises OSError."""
    folder = data / "sample"
    (folder / "inbox").mkdir(parents=True, exist_ok=True)
    return folder


def company() -> dict[str, Any]:
    """The same master data as rows for the books' simulator."""
    yes = "بله"
    return {
        "warehouses": [{"code": code, "name": name} for code, name in _rows("warehouses.csv")],
        "products": [
            {
                "code": code,
                "name": name,
                "unit": unit,
                "price": int(price),
                "group": group,
                "vat_exempt": exempt == yes,
                "stocked": stocked == yes,
            }
            for code, name, unit, price, exempt, stocked, group in _rows("products.csv")
        ],
        "accounts": [
            {"code": code, "name": name, "vat_exempt": exempt == yes, "city": city, "phone": phone}
            for code, name, exempt, city, phone in _rows("accounts.csv")
        ],
        "stock": [
            {"product": product, "warehouse": warehouse, "on_hand": quantity}
            for product, warehouse, quantity in _rows("stock.csv")
        ],
        "finance": [
            {"account": account, **dict(zip(_FINANCE, map(int, figures), strict=True))}
            for account, *figures in _rows("finance.csv")
        ],
    }


def branch(today: date) -> dict[str, Any]:
    """The rows a branch's own Hesabgar begins with: the hub's accounts and products, the goods in its warehouse, and a
    sale for cash that was entered there."""
    books, warehouse = company(), "102"
    sale = {
        "kind": "sales_invoice",
        "date": today.isoformat(),
        "account": "212010010",
        "warehouse": warehouse,
        "payment": "cash",
        "lines": [{"product": "10000800101", "quantity": 2, "unit_price": 5_200_000, "vat": 624_000, "duty": 416_000}],
    }
    return {
        **books,
        "warehouses": [row for row in books["warehouses"] if row["code"] == warehouse],
        "stock": [row for row in books["stock"] if row["warehouse"] == warehouse],
        "documents": [sale],
        "from_hub": True,
    }


async def load(store: Store, folder: Path, today: date, *, in_books: bool) -> None:
    """Wait for the master data, then put the documents that need them into the folder's inbox and wait for those.

    The master data come from the books (``in_books``), or are put into the inbox first. Loading again changes nothing
    but the moment the stock and finance figures are as of.

    Raises:
        TimeoutError: the connector or the agents didn't take them in within a minute each.
        OSError: the files can't be written.
    """
    inbox = folder / "inbox"
    for name in () if in_books else _MASTER:
        _put(inbox, name, (_DATA / name).read_text(encoding="utf-8"))
    await _until(lambda: _knows_master(store))
    documents = [json.loads(line) for line in (_DATA / _DOCUMENTS).read_text(encoding="utf-8").splitlines()]
    dated = [{"date": jalali(today), **document} for document in documents]
    _put(inbox, _DOCUMENTS, "".join(f"{json.dumps(document, ensure_ascii=False)}\n" for document in dated))
    await _until(lambda: _has_decided(store, [document["source_id"] for document in documents]))


def _put(inbox: Path, name: str, text: str) -> None:
    """Whole at once, under a name the connector passes over until then."""
    unfinished = inbox / f".{name}"
    unfinished.write_text(text, encoding="utf-8")
    shutil.move(unfinished, inbox / name)


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(_LOOK_SECONDS)


async def _knows_master(store: Store) -> bool:
    for table, file in (("warehouses", "warehouses.csv"), ("products", "products.csv"), ("accounts", "accounts.csv")):
        wanted = set(_column(file, 0))
        if set(await reading.names(store, table, sorted(wanted))) != wanted:
            return False
    stock = await reading.stock(store, StockFilter(), _MOST_ROWS)
    on_hand = {(row.product, row.warehouse): row.in_books for row in stock}
    if any(
        on_hand.get((product, warehouse)) != Decimal(quantity) for product, warehouse, quantity in _rows("stock.csv")
    ):
        return False
    accounts = set(_column("finance.csv", 0))
    ledgers = (await reading.snapshot(store, Needs(accounts=accounts))).accounts
    return all(code in ledgers and ledgers[code].as_of is not None for code in accounts)


async def _has_decided(store: Store, source_ids: Iterable[str]) -> bool:
    for source_id in source_ids:
        if await reading.document(store, document_id(SOURCE, source_id)) is None:
            return False
    return True


def _rows(file: str) -> list[list[str]]:
    with (_DATA / file).open(encoding="utf-8", newline="") as content:
        return list(csv.reader(content))[1:]


def _column(file: str, index: int) -> list[str]:
    return [row[index] for row in _rows(file)]
