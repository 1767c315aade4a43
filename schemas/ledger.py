"""The running sums decisions are made against: read under a row lock, changed by the rules, written back.

These structs are mutable on purpose: within one transaction every document of a batch sees what the one before it took.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Self
from uuid import UUID

import msgspec

from schemas.documents import Document, Kind, State
from schemas.master import Product, Warehouse

ZERO = Decimal(0)


class StockKey(NamedTuple):
    """What stock is counted by; also the lock order."""

    product: str
    warehouse: str
    attribute: str = ""


class StockLevel(msgspec.Struct):
    """One row of stock. ``in_books`` is the books' on-hand at ``as_of``; ``incoming`` what cleared documents brought
    and ``reserved`` what they took that the books don't show yet."""

    key: StockKey
    in_books: Decimal = ZERO
    incoming: Decimal = ZERO
    reserved: Decimal = ZERO
    as_of: datetime | None = None
    changed: bool = False

    @property
    def on_hand(self) -> Decimal:
        return self.in_books + self.incoming

    @property
    def sellable(self) -> Decimal:
        return self.in_books + self.incoming - self.reserved


class AccountLedger(msgspec.Struct):
    """One account's credit, in rials. ``held`` is the sum of our own holds not yet in the books' balance."""

    code: str
    name: str = ""
    vat_exempt: bool = False
    active: bool = True
    direct: int = 0
    documentary: int = 0
    balance: int = 0
    uncleared_cheques: int = 0
    returned_cheques: int = 0
    held: int = 0
    as_of: datetime | None = None
    changed: bool = False


class Movement(msgspec.Struct, frozen=True):
    """Goods one line of a document takes from (``outgoing``) or brings to stock, until the books show it."""

    document_id: UUID
    line: int
    key: StockKey
    quantity: Decimal
    outgoing: bool
    posted_at: datetime | None = None


class CreditHold(msgspec.Struct, frozen=True):
    """What one document takes of (above zero) or gives to (below zero) an account's credit, in rials."""

    document_id: UUID
    account: str
    amount: int
    posted_at: datetime | None = None


class SoldLine(msgspec.Struct, frozen=True):
    """A line of the original sale a return refers to, with the rates that return will use."""

    product: str
    attribute: str
    quantity: Decimal
    unit_price: int
    discount: int
    vat_percent: Decimal
    duty_percent: Decimal


Quantities = dict[tuple[str, str], Decimal]
"""By (product, attribute)."""


class Taken(msgspec.Struct):
    """What others took of a sale or an order. It grows as documents are decided within the transaction."""

    returned: Quantities = {}
    """What returns took back of it."""
    invoiced: Quantities = {}
    """What invoices were made of it, if it is an order."""
    charged: Quantities = {}
    """What of that takes credit by itself."""
    brought_back: Quantities = {}
    """What returns took back of its invoices."""


class Original(msgspec.Struct):
    """What a return takes back, or the order an invoice is made from, read under its row lock. ``order_id`` is the
    order an invoice was made from."""

    document_id: UUID
    kind: Kind
    state: State
    account: str | None
    lines: tuple[SoldLine, ...]
    taken: Taken
    order_id: UUID | None

    @classmethod
    def of(cls, document: Document, taken: Taken) -> Self:
        """A sale as its returns see it, an order as its invoices do."""
        lines = tuple(
            SoldLine(
                line.product,
                line.attribute,
                line.quantity,
                line.unit_price,
                line.discount,
                line.vat_percent,
                line.duty_percent,
            )
            for line in document.lines
        )
        return cls(
            document.id,
            document.kind,
            document.state,
            document.account,
            lines,
            taken,
            document.original_id if document.kind is Kind.SALES_INVOICE else None,
        )


class Standing(msgspec.Struct, frozen=True):
    """A document with what it holds. ``content_id`` is the id of the command that brought its present content."""

    document: Document
    content_id: UUID
    movements: tuple[Movement, ...] = ()
    hold: CreditHold | None = None


class Needs(msgspec.Struct):
    """What a batch of commands has to read before it can be decided."""

    documents: set[UUID] = msgspec.field(default_factory=set)
    originals: set[UUID] = msgspec.field(default_factory=set)
    accounts: set[str] = msgspec.field(default_factory=set)
    products: set[str] = msgspec.field(default_factory=set)
    warehouses: set[str] = msgspec.field(default_factory=set)
    stock: set[StockKey] = msgspec.field(default_factory=set)
    incoming: set[StockKey] = msgspec.field(default_factory=set)
    """Stock rows goods may come into: made before they are locked, if they are new."""

    def add_document(self, document: Document) -> None:
        """What a command on an existing document may touch: its account, its lines' stock."""
        if document.account:
            self.accounts.add(document.account)
        self.products.update(line.product for line in document.lines)
        self.stock.update(stock_keys(document))
        if document.original_id:
            self.originals.add(document.original_id)
        if document.kind in (Kind.SALES_ORDER, Kind.SALES_INVOICE):
            self.originals.add(document.id)


class Snapshot(msgspec.Struct):
    """What was read, under lock when it is for a decision. The rules change it in place as they decide."""

    documents: dict[UUID, Standing] = msgspec.field(default_factory=dict)
    originals: dict[UUID, Original] = msgspec.field(default_factory=dict)
    accounts: dict[str, AccountLedger] = msgspec.field(default_factory=dict)
    products: dict[str, Product] = msgspec.field(default_factory=dict)
    warehouses: dict[str, Warehouse] = msgspec.field(default_factory=dict)
    stock: dict[StockKey, StockLevel] = msgspec.field(default_factory=dict)

    def level(self, key: StockKey) -> StockLevel:
        """The stock row of a key; a key never seen has nothing on hand."""
        level = self.stock.get(key)
        if level is None:
            level = self.stock[key] = StockLevel(key)
        return level


def stock_keys(document: Document) -> Iterator[StockKey]:
    """Every stock row a document's lines can touch."""
    for line in document.lines:
        if line.warehouse:
            yield StockKey(line.product, line.warehouse, line.attribute)
        if document.to_warehouse:
            yield StockKey(line.product, document.to_warehouse, line.attribute)
