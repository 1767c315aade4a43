"""What the API answers with, beside the documents and events themselves."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from hub.api.problems import ProblemDetails
from hub.rules.settings import CreditPolicy, StockPolicy
from schemas.dates import Moment
from schemas.documents import Document, DocumentLine, Kind, PostingPolicy, Totals
from schemas.events import DocumentEvent
from schemas.master import ListEntry
from schemas.reasons import Reason

ACCEPTED = "accepted"
"""The status of a command that Kafka has and that isn't decided yet."""

QuantityText = Annotated[str, Meta(description="A decimal number as text, exact.", examples=["2.83333"])]


class Acceptance(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command Kafka has acknowledged. ``status`` is ``accepted`` until it is decided, then the document's state."""

    document_id: UUID
    source_id: str
    revision: int
    command_id: UUID
    status: str
    location: str
    """Where the document is found."""
    event_id: UUID | None = None
    """The deciding event, once there is one."""
    document: Document | None = None
    """The document as the command left it, once it is decided."""


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one document of a batch: as :class:`Acceptance`, or ``failed`` with the problem."""

    index: int
    """Its place in the batch, from 0."""
    status: str
    line: int | None = None
    """Its line in an NDJSON body, from 1."""
    document_id: UUID | None = None
    source_id: str | None = None
    revision: int | None = None
    command_id: UUID | None = None
    location: str | None = None
    event_id: UUID | None = None
    document: Document | None = None
    problem: ProblemDetails | None = None


class BatchAnswer(msgspec.Struct, frozen=True):
    """What became of each document of a batch, in its order; the good ones are taken though others are bad."""

    results: tuple[BatchResult, ...]
    accepted: int
    """How many were taken, decided ones among them."""
    failed: int


class Pending(msgspec.Struct, frozen=True):
    """A document that was accepted and isn't decided yet: ask again in a moment."""

    document_id: UUID
    status: str = ACCEPTED


class DocumentPage(msgspec.Struct, frozen=True):
    """Documents, the newest first. ``next`` is the cursor of the page after; null on the last."""

    items: tuple[Document, ...]
    next: str | None


class History(msgspec.Struct, frozen=True):
    """Everything decided about one document, refused commands too, in order."""

    items: tuple[DocumentEvent, ...]


class Counts(msgspec.Struct, frozen=True):
    """How many documents stand in each state; states without any are left out."""

    states: dict[str, int]
    total: int


class CreditSum(msgspec.Struct, frozen=True):
    """An account's credit in rials: instant = direct + documentary − balance − uncleared cheques − held.

    Returned cheques are shown and enter no sum. ``held`` are our own documents not yet in the books' balance.
    """

    direct: int
    documentary: int
    balance: int
    uncleared_cheques: int
    held: int
    instant: int
    returned_cheques: int
    as_of: Moment | None
    """When the books said so; null: they never did."""


class AccountAnswer(msgspec.Struct, frozen=True):
    """An account with its credit."""

    code: str
    name: str
    active: bool
    vat_exempt: bool
    phones: tuple[str, ...]
    city: str | None
    cost_centre: str | None
    group: str | None
    credit: CreditSum
    emails: tuple[str, ...] = ()
    ledger: str | None = None
    detail_group: str | None = None


class StockItem(msgspec.Struct, frozen=True):
    """Stock of one product in one warehouse: on hand = in books + incoming; sellable = on hand − reserved."""

    product: str
    product_name: str | None
    warehouse: str
    attribute: str
    attribute_name: str | None
    on_hand: QuantityText
    reserved: QuantityText
    sellable: QuantityText
    in_books: QuantityText
    incoming: QuantityText
    as_of: Moment | None


class StockPage(msgspec.Struct, frozen=True):
    """Stock by product, warehouse and attribute. ``next`` is the cursor of the page after; null on the last."""

    items: tuple[StockItem, ...]
    next: str | None


class ListPage(msgspec.Struct, frozen=True):
    """Entries by list, code and product. ``next`` is the cursor of the page after; null on the last."""

    items: tuple[ListEntry, ...]
    next: str | None


class PreviewStock(msgspec.Struct, frozen=True):
    """What is sellable, now, of what one line names; null where nothing is counted (a service, an unknown product)."""

    line: int
    product: str
    warehouse: str | None
    attribute: str
    wanted: QuantityText
    sellable: QuantityText | None


class PolicyApplied(msgspec.Struct, frozen=True):
    """The policy of the source's documents of this kind, as the company's configuration has it."""

    source: str
    kind: Kind
    stock: StockPolicy
    credit: CreditPolicy
    reservation_seconds: int | None
    """How long goods stay reserved; null: until the document is posted or cancelled."""
    tax_tolerance: int
    """Rials the source's tax may differ from ours before the document is held."""
    approval: bool
    """Every document that takes credit is held for a person's approval."""
    posting: PostingPolicy


class Preview(msgspec.Struct, frozen=True):
    """What would become of a document if it were decided now. Nothing is stored, reserved or promised."""

    outcome: str
    """The state it would be in, or ``refused``."""
    reasons: tuple[Reason, ...]
    lines: tuple[DocumentLine, ...]
    totals: Totals
    stock: tuple[PreviewStock, ...]
    credit: CreditSum | None
    """The account's credit before this document; null where no account is named or known."""
    policy: PolicyApplied


class Me(msgspec.Struct, frozen=True):
    """The key that asked."""

    name: str
    source: str
    scopes: tuple[str, ...]
    per_minute: int


class Check(msgspec.Struct, frozen=True):
    """One thing health is judged by. ``en`` and ``fa`` say what is wrong, or that all is well."""

    name: str
    ok: bool
    en: str
    fa: str


class Health(msgspec.Struct, frozen=True):
    """``ok`` if documents are taken and decided; else ``failing``, and ``checks`` name why."""

    status: str
    checks: tuple[Check, ...]


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "ok"
