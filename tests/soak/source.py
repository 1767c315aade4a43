"""What a source of orders does in a soak: it sends, it dies and returns, and it keeps a ledger of its own."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from hub.runtime.connect import Instance
from tests.soak.plan import Order

PRICE = 1_000_000
"""Rials for one unit, of every product."""
TAX_PERCENT = 10


def payable(quantity: int) -> int:
    """What an order comes to, in rials, tax included."""
    return quantity * PRICE * (100 + TAX_PERCENT) // 100


class Source(ABC):
    """One source. ``name`` is what its documents' source is called in the hub."""

    name: str

    def __init__(self) -> None:
        self.malformed = 0
        """How many malformed orders were handed over."""

    async def open(self, stack: AsyncExitStack) -> Sequence[Instance]:
        """Start the outside system; what it needs of connectors. ``stack`` ends it."""
        return ()

    @abstractmethod
    async def send(self, orders: Sequence[Order]) -> None:
        """Hand these over, as the outside system would, however often it has to try."""

    async def send_while_away(self, orders: Sequence[Order]) -> None:
        """The same, begun while it is :meth:`away`; what can't be done then is done when it is back."""
        await self.send(orders)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """The source is dead within, and back afterwards."""
        yield

    @abstractmethod
    async def ledger(self) -> Mapping[str, int]:
        """What the source holds to be handed over: its own id → rials payable."""

    @abstractmethod
    async def told_malformed(self) -> int:
        """How many malformed orders were told of, in whatever way this source's are."""
