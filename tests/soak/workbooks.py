"""People who leave workbooks in a folder, some rows once more in another; it dies by its folder going away."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from connectors.excel.spec import Spec
from hub.runtime.connect import Instance
from schemas.deadletters import DeadLetter
from tests.connectors.conftest import instance, until
from tests.connectors.excel.books import made
from tests.soak.plan import Order
from tests.soak.site import Site
from tests.soak.source import PRICE, Source, payable
from tests.soak.world import CUSTOMER, WAREHOUSE, today

HEADINGS = ("source_id", "kind", "date", "account", "warehouse", "payment", "product", "quantity", "unit_price")


class Workbooks(Source):
    """One workbook for each share it sends, and one more with what is sent twice."""

    name = "soak-excel"

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._around = site.around
        self._root = site.folder / "excel"
        self._gone = site.folder / "excel-gone"
        self._written: dict[str, int] = {}
        self._books = 0

    async def open(self, stack: AsyncExitStack) -> Sequence[Instance]:
        (self._root / "inbox").mkdir(parents=True)
        spec = Spec(folder=self._root, source=self.name, poll=timedelta(milliseconds=100))
        return [instance(spec, "soak", "excel")]

    async def send(self, orders: Sequence[Order]) -> None:
        await until(self._root.exists)
        self._put(orders)
        self._put([order for order in orders if order.twice])
        self.malformed += sum(order.malformed for order in orders)
        self._written |= {_id(order): payable(order.quantity) for order in orders if not order.malformed}

    def _put(self, orders: Sequence[Order]) -> None:
        if not orders:
            return
        self._books += 1
        unfinished = self._root / f"{self._books}.part"
        unfinished.write_bytes(made({"documents": [HEADINGS, *map(_row, orders)]}))
        unfinished.rename(self._root / "inbox" / f"documents-{self._books}.xlsx")

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
        letters: list[DeadLetter] = await self._around.dead_letters()
        return len({letter.id for letter in letters if letter.handler == "excel.soak" and "three" in letter.reason})


def _id(order: Order) -> str:
    return f"E{order.number}"


def _row(order: Order) -> list[object]:
    quantity = "three" if order.malformed else order.quantity
    head = (_id(order), "sales_invoice", today().isoformat(), CUSTOMER, WAREHOUSE, "cash")
    return [*head, order.product, quantity, PRICE]
