"""A system that leaves CSV files in a folder, some of them twice; it dies by its folder going away."""

import csv
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from connectors.files.spec import Spec
from hub.runtime.connect import Instance
from tests.connectors.conftest import instance, until
from tests.soak.plan import Order
from tests.soak.site import Site
from tests.soak.source import PRICE, Source, payable
from tests.soak.world import CUSTOMER, WAREHOUSE, today

HEADING = "source_id,kind,date,account,warehouse,payment,product,quantity,unit_price\n"


class Files(Source):
    """One file for each share it sends, and one more with what is sent twice."""

    name = "soak-files"

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._root = site.folder / "files"
        self._gone = site.folder / "files-gone"
        self._written: dict[str, int] = {}
        self._files = 0

    async def open(self, stack: AsyncExitStack) -> Sequence[Instance]:
        (self._root / "inbox").mkdir(parents=True)
        spec = Spec(folder=self._root, source=self.name, poll=dt.timedelta(milliseconds=100))
        return [instance(spec, "soak")]

    async def send(self, orders: Sequence[Order]) -> None:
        await until(self._root.exists)
        self._put(orders)
        self._put([order for order in orders if order.twice])
        self.malformed += sum(order.malformed for order in orders)
        self._written |= {_id(order): payable(order.quantity) for order in orders if not order.malformed}

    def _put(self, orders: Sequence[Order]) -> None:
        if not orders:
            return
        self._files += 1
        unfinished = self._root / f"{self._files}.part"
        unfinished.write_text(HEADING + "".join(_row(order) for order in orders), "utf-8")
        unfinished.rename(self._root / "inbox" / f"documents-{self._files}.csv")

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self._root.rename(self._gone)
        try:
            yield
        finally:
            self._gone.rename(self._root)

    async def ledger(self) -> Mapping[str, int]:
        return self._written

    async def told_malformed(self) -> int:
        told = 0
        for result in (self._root / "results").glob("*.result.csv"):
            rows = csv.DictReader(result.read_text("utf-8-sig").splitlines())
            told += sum(row.get("row", "0") not in ("", "0") for row in rows)
        return told


def _id(order: Order) -> str:
    return f"F{order.number}"


def _row(order: Order) -> str:
    quantity = "three" if order.malformed else order.quantity
    head = f"{_id(order)},sales_invoice,{today()},{CUSTOMER},{WAREHOUSE},cash"
    return f"{head},{order.product},{quantity},{PRICE}\n"
