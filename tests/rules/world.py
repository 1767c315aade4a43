"""A small company to decide documents in, and commands for it, in as few words as a test can say."""

import copy
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from hub.rules.deciding import decide
from hub.rules.settings import Policy, RuleSettings
from schemas import ids
from schemas.commands import (
    Amend,
    AnyCommand,
    Command,
    Expire,
    PostingFailed,
    PostingSucceeded,
    Submit,
)
from schemas.documents import Document, DocumentRequest, Kind, LineRequest, Method
from schemas.events import DocumentEvent
from schemas.ledger import AccountLedger, Snapshot, StockKey, StockLevel
from schemas.master import Product, Warehouse

SOURCE = "shop"
START = datetime(2024, 5, 1, 8, tzinfo=UTC)
"""08:00 UTC on 1403/02/12, a day of the 10 % rate."""

PRODUCTS = (
    Product("RAM", "رم کینگستون", price=1_000_000),
    Product("CPU", "پردازنده", price=5_000_000),
    Product("CABLE", "کابل (متر)", price=10_000),
    Product("CLOTH", "پارچه با مشخصهٔ رنگ", price=100_000),
    Product("INSTALL", "نصب (خدمت)", price=500_000, stocked=False),
    Product("BOOK", "کتاب (معاف)", price=200_000, vat_exempt=True),
    Product("TOBACCO", "دخانیات با نرخ خود", price=100_000, vat_percent=Decimal(25), duty_percent=Decimal(3)),
    Product("FUEL", "فقط مالیات خود", price=100_000, vat_percent=Decimal("7.5")),
    Product("CINEMA", "فقط عوارض خود", price=100_000, duty_percent=Decimal(0)),
    Product("UNPRICED", "بی‌قیمت"),
    Product("OLD", "کالای غیرفعال", price=1, active=False),
)
WAREHOUSES = (
    Warehouse("MAIN", "انبار مرکزی"),
    Warehouse("SHOP", "انبار فروشگاه"),
    Warehouse("SHUT", "انبار بسته", active=False),
)
ACCOUNTS = (
    ("ALI", {"direct": 1_000_000_000}),
    ("SARA", {"direct": 1_000_000_000}),
    ("SCHOOL", {"direct": 1_000_000_000, "vat_exempt": True}),
    ("LEFT", {"direct": 1_000_000_000, "active": False}),
)


def company() -> Snapshot:
    """Everything the small company has: 1,000 of each stocked product in both open warehouses."""
    return Snapshot(
        products={product.code: product for product in PRODUCTS},
        warehouses={warehouse.code: warehouse for warehouse in WAREHOUSES},
        accounts={code: AccountLedger(code, **fields) for code, fields in ACCOUNTS},  # type: ignore[arg-type]
        stock={
            key: StockLevel(key, in_books=Decimal(1_000))
            for product in PRODUCTS
            if product.stocked
            for warehouse in ("MAIN", "SHOP")
            for key in [StockKey(product.code, warehouse)]
        },
    )


def line(product: str = "RAM", quantity: Decimal | int | str = 1, **fields: Any) -> LineRequest:
    """A line; ``quantity`` as one writes it."""
    return LineRequest(product, Decimal(quantity), **fields)


NEEDED: dict[Kind, dict[str, Any]] = {
    Kind.SALES_RETURN: {"original_date": date(2024, 4, 1)},
    Kind.TRANSFER: {"account": None, "to_warehouse": "SHOP"},
    Kind.RECEIPT: {"warehouse": None, "lines": (), "amount": 1_000_000, "method": Method.CASH},
    Kind.GOODS_ISSUE: {"account": None},
    Kind.GOODS_RECEIPT: {"account": None},
}
"""What a kind needs beside the fields every other kind has."""


def request(source_id: str = "A", kind: Kind = Kind.SALES_INVOICE, **fields: Any) -> DocumentRequest:
    """A request that clears in the small company unless ``fields`` say otherwise."""
    usual = {"date": date(2024, 5, 1), "account": "ALI", "warehouse": "MAIN", "lines": (line(),)}
    return DocumentRequest(source_id, kind, **{**usual, **NEEDED.get(kind, {}), **fields})


class World:
    """A snapshot that lives through commands, one at a time, at times the test sets."""

    def __init__(self, snapshot: Snapshot | None = None, settings: RuleSettings | None = None, **policy: Any) -> None:
        self.snapshot = snapshot or company()
        self.settings = settings or RuleSettings(default=Policy(**policy))
        self.now = START

    def id_of(self, source_id: str) -> UUID:
        return ids.document_id(SOURCE, source_id)

    def document(self, source_id: str = "A") -> Document:
        return self.snapshot.documents[self.id_of(source_id)].document

    def later(self, **delta: int) -> datetime:
        """Let time pass."""
        self.now += timedelta(**delta)
        return self.now

    def submit(self, source_id: str = "A", kind: Kind = Kind.SALES_INVOICE, **fields: Any) -> DocumentEvent:
        return self.send(Submit, request(source_id, kind, **fields))

    def amend(self, source_id: str = "A", kind: Kind = Kind.SALES_INVOICE, **fields: Any) -> DocumentEvent:
        """New content under the next revision, unless ``revision`` is given."""
        revision = fields.pop("revision", self.document(source_id).revision + 1)
        return self.send(Amend, request(source_id, kind, revision=revision, **fields))

    def send(self, command: type[Submit] | type[Amend], content: DocumentRequest) -> DocumentEvent:
        return self.decide(command.of(content, source=SOURCE, actor="tester", now=self.now))

    def do(self, command: type[Command], source_id: str = "A", **fields: Any) -> DocumentEvent:
        """A command on a document, with what such a command usually says."""
        return self.decide(self.command(command, source_id, **fields))

    def command(self, command: type[Command], source_id: str = "A", **fields: Any) -> AnyCommand:
        standing = self.snapshot.documents.get(self.id_of(source_id))
        document = standing.document if standing else None
        usual: dict[str, Any] = {}
        if command is Expire:
            usual["due"] = (document and document.expires_at) or self.now
        elif command is PostingSucceeded:
            usual.update(number="1001", posted_at=self.now)
        elif command is PostingFailed:
            usual["message"] = "the period is closed"
        made: AnyCommand = command(  # type: ignore[assignment]
            **{
                "command_id": ids.command_id(self.id_of(source_id), command.__name__, str(self.now)),
                "document_id": self.id_of(source_id),
                "source": SOURCE,
                "source_id": source_id,
                "revision": document.revision if document else 1,
                "occurred_at": self.now,
                "recorded_at": self.now,
                "actor": "tester",
                **usual,
                **fields,
            }
        )
        return made

    def decide(self, command: AnyCommand) -> DocumentEvent:
        return decide(command, self.snapshot, self.settings, self.now)

    def level(self, product: str, warehouse: str = "MAIN", attribute: str = "") -> StockLevel:
        return self.snapshot.level(StockKey(product, warehouse, attribute))


def codes(event: DocumentEvent) -> list[str]:
    """The codes of an event's reasons, in order."""
    return [why.code for why in event.reasons]


Figures = tuple[dict[Any, Any], ...]


def figures(snapshot: Snapshot) -> Figures:
    """All that a snapshot says, in a form that compares equal exactly when nothing that counts differs.

    Left out: rows that are nothing but zeros (a key that was only looked at), and the mark that a row was touched.
    """
    kept = copy.deepcopy(snapshot)
    stock = {
        key: (level.in_books, level.incoming, level.reserved, level.as_of)
        for key, level in kept.stock.items()
        if level.in_books or level.incoming or level.reserved
    }
    accounts = {}
    for code, account in kept.accounts.items():
        account.changed = False
        accounts[code] = account
    taken = {
        (document_id, key, name): quantity
        for document_id, original in kept.originals.items()
        for name, quantities in msgspec.structs.asdict(original.taken).items()
        for key, quantity in quantities.items()
        if quantity
    }
    return kept.documents, stock, accounts, taken, kept.products, kept.warehouses


def sums_disagree(snapshot: Snapshot) -> Iterable[str]:
    """Every place where a running sum isn't the sum of what the documents hold, in words."""
    reserved: dict[StockKey, Decimal] = {}
    incoming: dict[StockKey, Decimal] = {}
    held: dict[str, int] = {}
    for standing in snapshot.documents.values():
        for movement in standing.movements:
            sums = reserved if movement.outgoing else incoming
            sums[movement.key] = sums.get(movement.key, Decimal(0)) + movement.quantity
            if movement.quantity <= 0:
                yield f"{movement} moves nothing"
        if standing.hold:
            held[standing.hold.account] = held.get(standing.hold.account, 0) + standing.hold.amount
    for key, level in snapshot.stock.items():
        if level.reserved != reserved.get(key, 0) or level.reserved < 0:
            yield f"{key}: reserved is {level.reserved}, the documents' reservations are {reserved.get(key, 0)}"
        if level.incoming != incoming.get(key, 0) or level.incoming < 0:
            yield f"{key}: incoming is {level.incoming}, the documents' is {incoming.get(key, 0)}"
    for code, account in snapshot.accounts.items():
        if account.held != held.get(code, 0):
            yield f"{code}: held is {account.held}, the documents' holds are {held.get(code, 0)}"
