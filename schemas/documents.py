"""Documents: what a source asks for (request) and what became of it (document)."""

import datetime as dt
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from schemas.dates import Moment
from schemas.reasons import Reason

CURRENCY = "IRR"


class Kind(StrEnum):
    """The kinds of document DESIGN.md names; more come as kinds, not as new machinery."""

    QUOTE = "quote"
    SALES_ORDER = "sales_order"
    SALES_INVOICE = "sales_invoice"
    SALES_RETURN = "sales_return"
    PURCHASE_ORDER = "purchase_order"
    PURCHASE_INVOICE = "purchase_invoice"
    RECEIPT = "receipt"
    TRANSFER = "transfer"
    GOODS_ISSUE = "goods_issue"
    GOODS_RECEIPT = "goods_receipt"


class State(StrEnum):
    """Where a document stands; it is in exactly one state at a time."""

    HELD = "held"
    CLEARED = "cleared"
    REJECTED = "rejected"
    BACKORDERED = "backordered"
    POSTING = "posting"
    POSTED = "posted"
    POST_FAILED = "post_failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Payment(StrEnum):
    """How a sale is paid: cash (and card) passes the credit check, credit doesn't."""

    CREDIT = "credit"
    CASH = "cash"


class Method(StrEnum):
    """How a receipt of money was paid; a cheque frees no credit until it clears."""

    CASH = "cash"
    CARD = "card"
    CHEQUE = "cheque"


class PostingPolicy(StrEnum):
    """When the books get a cleared document: at once, once someone releases it, or not at all."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"
    NEVER = "never"


class LineRequest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line as a source sends it. Amounts are whole rials; ``quantity`` has at most five decimal places."""

    product: str
    quantity: Decimal
    unit_price: int | None = None
    """Rials for one unit. When absent: that of the document's original, with its share of the discount given there;
    else the product's own price."""
    discount: int = 0
    """Rials off the whole line."""
    number: int | None = None
    """The line's number; its position (from 1) when absent."""
    warehouse: str | None = None
    """The header's warehouse when absent."""
    attribute: str = ""
    """The product attribute (moshakhase) that is part of the stock key."""
    vat: int | None = None
    """VAT in rials as the source computed it, to be compared with ours."""
    duty: int | None = None
    """Municipal duty in rials as the source computed it."""


class DocumentRequest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A document as a source sends it. ``source_id`` is the source's own id; with the source it is the identity."""

    source_id: str
    kind: Kind
    date: dt.date
    account: str | None = None
    """The customer's, supplier's or party's account code."""
    lines: tuple[LineRequest, ...] = ()
    revision: int = 1
    currency: str = CURRENCY
    payment: Payment = Payment.CREDIT
    warehouse: str | None = None
    to_warehouse: str | None = None
    """The receiving warehouse of a transfer."""
    original: str | None = None
    """For a return: the sale's own id at the same source, or its document id. For an invoice: the order's it is made
    from, whose goods and credit it takes over."""
    original_date: dt.date | None = None
    """For a return of a sale the hub never saw: the sale's date, whose rates apply."""
    amount: int | None = None
    """For a receipt of money: rials received."""
    method: Method | None = None
    tax: int | None = None
    """VAT and duty of the whole document as the source computed it, in rials."""
    note: str = ""
    hold: str = ""
    """Why a person has to look at it before it clears, in the source's words; empty: nobody has to."""


class DocumentLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line as decided. ``net`` = price × quantity − discount; ``payable`` = net + vat + duty; rials."""

    number: int
    product: str
    quantity: Decimal
    unit_price: int
    discount: int = 0
    warehouse: str | None = None
    attribute: str = ""
    net: int = 0
    vat: int = 0
    duty: int = 0
    payable: int = 0
    vat_percent: Decimal = Decimal(0)
    duty_percent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    short: Decimal = Decimal(0)
    """What a backorder still waits for, or a partial acceptance left out."""


class Totals(msgspec.Struct, frozen=True):
    """Sums over the lines, in rials."""

    gross: int = 0
    discount: int = 0
    net: int = 0
    vat: int = 0
    duty: int = 0
    payable: int = 0


class Approval(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who approved or refused, when (UTC), and what they said."""

    by: str
    at: Moment
    approved: bool
    note: str = ""


class Released(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who released a document to the books, when (UTC), and what they said."""

    by: str
    at: Moment
    note: str = ""


class Posting(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the books answered. ``posted_at`` is by the books' own clock, in UTC."""

    number: str | None = None
    posted_at: Moment | None = None
    error: str | None = None
    error_number: int | None = None


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document as it now is. ``step`` counts its changes from 1."""

    id: UUID
    source: str
    source_id: str
    kind: Kind
    state: State
    revision: int
    step: int
    date: dt.date
    received_at: Moment
    changed_at: Moment
    account: str | None = None
    payment: Payment = Payment.CREDIT
    warehouse: str | None = None
    to_warehouse: str | None = None
    original_id: UUID | None = None
    lines: tuple[DocumentLine, ...] = ()
    totals: Totals = Totals()
    method: Method | None = None
    reasons: tuple[Reason, ...] = ()
    expires_at: Moment | None = None
    approval: Approval | None = None
    posting: Posting | None = None
    original_date: dt.date | None = None
    note: str = ""
    currency: str = CURRENCY
    posting_policy: PostingPolicy = PostingPolicy.AUTOMATIC
    """What the policy of its source said when its content was decided."""
    released: Released | None = None

    @property
    def may_be_posted(self) -> bool:
        """Whether the books may have it once it is cleared."""
        return self.posting_policy is PostingPolicy.AUTOMATIC or self.released is not None
