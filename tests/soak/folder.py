"""A source that leaves its orders in a watched folder, some of them twice; it dies by its folder going away."""

import datetime as dt
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from hub.runtime.connect import Instance
from tests.connectors.conftest import instance, until
from tests.soak.plan import Order
from tests.soak.site import Site
from tests.soak.source import PRICE, Source, payable
from tests.soak.world import CUSTOMER, WAREHOUSE, today

HEADINGS = ("source_id", "kind", "date", "account", "warehouse", "payment", "product", "quantity", "unit_price")


class Folder(Source):
    """One file for each share it sends, and one more with what is sent twice."""

    kind: str
    suffix: str
    spec: type[Any]
    """The connector's; it has ``folder``, ``source`` and ``poll``."""
    mark: str
    """What its orders' ids begin with."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.around = site.around
        self.root = site.folder / self.kind
        self._gone = site.folder / f"{self.kind}-gone"
        self._written: dict[str, int] = {}
        self._files = 0

    @abstractmethod
    def made(self, rows: Sequence[Sequence[object]]) -> bytes:
        """A file of documents with these rows under :data:`HEADINGS`."""

    async def open(self, stack: AsyncExitStack) -> Sequence[Instance]:
        (self.root / "inbox").mkdir(parents=True)
        spec = self.spec(folder=self.root, source=self.name, poll=dt.timedelta(milliseconds=100))
        return [instance(spec, "soak", self.kind)]

    async def send(self, orders: Sequence[Order]) -> None:
        await until(self.root.exists)
        self._put(orders)
        self._put([order for order in orders if order.twice])
        self.malformed += sum(order.malformed for order in orders)
        self._written |= {self._id(order): payable(order.quantity) for order in orders if not order.malformed}

    def _put(self, orders: Sequence[Order]) -> None:
        if not orders:
            return
        self._files += 1
        unfinished = self.root / f"{self._files}.part"
        unfinished.write_bytes(self.made([self._row(order) for order in orders]))
        unfinished.rename(self.root / "inbox" / f"documents-{self._files}{self.suffix}")

    def _id(self, order: Order) -> str:
        return f"{self.mark}{order.number}"

    def _row(self, order: Order) -> list[object]:
        quantity = "three" if order.malformed else order.quantity
        head = (self._id(order), "sales_invoice", today().isoformat(), CUSTOMER, WAREHOUSE, "cash")
        return [*head, order.product, quantity, PRICE]

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self.root.rename(self._gone)
        try:
            yield
        finally:
            self._gone.rename(self.root)

    async def ledger(self) -> Mapping[str, int]:
        return self._written
