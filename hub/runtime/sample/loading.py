"""The sample company's files, put where the ``files`` connector takes them from, and waited for."""

import asyncio
import csv
import json
import shutil
from collections.abc import Awaitable, Callable, Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path

from hub.store import reading
from hub.store.pool import Store
from hub.store.reading import StockFilter
from schemas.dates import jalali
from schemas.ids import document_id
from schemas.ledger import Needs

SOURCE = "sample"
"""The source of the sample company's own documents, and the name of the connector instance that brings them."""

_DATA = Path(__file__).parent
_MASTER = ("warehouses.csv", "products.csv", "accounts.csv", "stock.csv", "finance.csv")
_DOCUMENTS = "documents.jsonl"
_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_MOST_ROWS = 1_000


def folder_of(data: Path) -> Path:
    """The folder the connector watches, made if need be. ``data`` is the hub's data directory. Raises OSError."""
    folder = data / "sample"
    (folder / "inbox").mkdir(parents=True, exist_ok=True)
    return folder


async def load(store: Store, folder: Path, today: date) -> None:
    """Put master data into the folder's inbox, then the documents that need them, and wait until all are taken in.

    Loading again changes nothing but the moment the stock and finance figures are as of.

    Raises:
        TimeoutError: the connector or the agents didn't take them in within a minute each.
        OSError: the files can't be written.
    """
    inbox = folder / "inbox"
    for name in _MASTER:
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
