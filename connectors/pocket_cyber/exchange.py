"""What a handheld and the hub say to each other, as JSON: the bodies of this connector's endpoints.

Amounts are whole rials, quantities texts of decimals, times RFC 3339 in UTC. Fields may be added; unknown ones are to
be passed over by handhelds, and are refused from them.
"""

import datetime as dt
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.dates import Moment
from schemas.documents import Kind, LineRequest, Method, Payment
from schemas.master import CodeList
from schemas.reasons import Reason
from schemas.visits import VisitOutcome

MAX_ITEMS = 500
"""Documents and visits in one push."""

MAX_PUSH_BYTES = 4 * 1024 * 1024

LOCAL_ID = r"[A-Za-z0-9._-]{1,36}"
LocalId = Annotated[str, Meta(pattern=f"^{LOCAL_ID}$")]
_Degrees = Annotated[str, Meta(pattern=r"^[+-]?\d{1,3}(\.\d{1,15})?$")]
_Words = Annotated[str, Meta(max_length=2_000)]


class _Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class _Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


# --- enrolment and devices


class CodeRequest(_Asked, frozen=True, kw_only=True):
    """For whom an enrolment code is asked: a visitor's code, or in CE an account's."""

    holder: Annotated[str, Meta(min_length=1, max_length=64)]


class EnrolmentCode(_Said, frozen=True, kw_only=True):
    """A code a device is enrolled with, once, before ``expires_at``. It is shown here only."""

    code: str
    holder: str
    expires_at: Moment


class EnrolRequest(_Asked, frozen=True, kw_only=True):
    """A device that wants in. ``device`` is what people call it."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]
    device: Annotated[str, Meta(min_length=1, max_length=64)]


class Granted(_Said, frozen=True, kw_only=True):
    """What the holder may see and do, for the handheld to apply while offline. Empty lists: no limit of that sort."""

    kinds: tuple[Kind, ...]
    discount_percent: Decimal
    credit: bool
    groups: tuple[str, ...] = ()
    warehouses: tuple[str, ...] = ()
    visits: bool = False


class DeviceInfo(_Said, frozen=True, kw_only=True):
    """Who the device is to the hub."""

    device: str
    holder: str
    edition: str
    source: str
    limits: Granted
    server_time: Moment
    token_expires_at: Moment
    max_items: int = MAX_ITEMS
    max_bytes: int = MAX_PUSH_BYTES
    """Of one push."""


class Enrolled(_Said, frozen=True, kw_only=True):
    """A device is in. ``token`` is shown here only; it goes into ``Authorization: Bearer`` of every other request."""

    token: str
    me: DeviceInfo


class DeviceState(StrEnum):
    """Whether a device's token is good; of one holder only the device enrolled last is."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"
    REPLACED = "replaced"


class DeviceShown(_Said, frozen=True, kw_only=True):
    """One device, as the operator sees it."""

    device: str
    holder: str
    name: str
    state: DeviceState
    enrolled_at: Moment
    expires_at: Moment
    revoked_at: Moment | None = None
    last_pull_at: Moment | None = None
    last_push_at: Moment | None = None
    last_seen_at: Moment | None = None
    clock_skew_seconds: int | None = None
    """How far its clock was ahead of ours (below zero: behind) at its last push."""


class DevicePage(_Said, frozen=True, kw_only=True):
    """Devices in the order of their ids. ``next``: ask again with it as ``after``."""

    devices: tuple[DeviceShown, ...]
    next: str | None = None


# --- pull


class _Page(_Said, frozen=True, kw_only=True):
    """What changed since ``cursor``: ``items`` are put over the handheld's copy by their key, ``gone`` keys are taken
    out of it. ``reset``: this page begins anew, so the copy is emptied first. ``more``: ask again at once."""

    cursor: str
    more: bool
    reset: bool
    gone: tuple[str, ...] = ()


class PulledProduct(_Said, frozen=True, kw_only=True):
    """A product of the holder's groups; key: ``code``."""

    code: str
    name: str
    unit: str
    price: int | None = None
    group: str | None = None
    second_unit: str | None = None
    barcode: str | None = None
    vat_exempt: bool = False
    vat_percent: Decimal | None = None
    duty_percent: Decimal | None = None
    stocked: bool = True


class ProductChanges(_Page, frozen=True, kw_only=True):
    """Products."""

    items: tuple[PulledProduct, ...]


class PulledCustomer(_Said, frozen=True, kw_only=True):
    """A customer of the route; key: ``code``."""

    code: str
    name: str
    phones: tuple[str, ...] = ()
    city: str | None = None
    group: str | None = None
    vat_exempt: bool = False


class CustomerChanges(_Page, frozen=True, kw_only=True):
    """Customers of the route."""

    items: tuple[PulledCustomer, ...]


class StockRow(_Said, frozen=True, kw_only=True):
    """What can be sold of a product with an attribute from a warehouse."""

    warehouse: str
    quantity: Decimal
    attribute: str = ""


class PulledStock(_Said, frozen=True, kw_only=True):
    """All sellable stock of a product in the holder's warehouses; key: ``product``."""

    product: str
    stock: tuple[StockRow, ...]


class StockChanges(_Page, frozen=True, kw_only=True):
    """Sellable stock."""

    items: tuple[PulledStock, ...]


class PulledCredit(_Said, frozen=True, kw_only=True):
    """What a customer may still buy on credit, and owes; key: ``account``."""

    account: str
    instant: int
    balance: int


class CreditChanges(_Page, frozen=True, kw_only=True):
    """Credit of the customers of the route."""

    items: tuple[PulledCredit, ...]


class PulledEntry(_Said, frozen=True, kw_only=True):
    """What a code in the other items is called; key: ``key``. An attribute with a ``product`` is of this one alone;
    ``parent``: the group above, or a city's province."""

    key: str
    list: CodeList
    code: str
    name: str
    product: str = ""
    parent: str | None = None


class ListChanges(_Page, frozen=True, kw_only=True):
    """What codes are called."""

    items: tuple[PulledEntry, ...]


# --- push


class PushedDocument(_Asked, frozen=True, kw_only=True):
    """A document made on the handheld at ``at``. ``id`` is the holder's own and never used again, on whatever device;
    ``revision`` above the last one changes it."""

    id: LocalId
    at: Moment
    kind: Kind
    date: dt.date | None = None
    """The day in Tehran of ``at`` when absent. Jalali (``1403/01/31``) or ISO."""
    account: str | None = None
    lines: tuple[LineRequest, ...] = ()
    revision: int = 1
    payment: Payment = Payment.CREDIT
    warehouse: str | None = None
    original: str | None = None
    """For a return of a sale of the same holder: the sale's ``id``."""
    original_date: dt.date | None = None
    """For a return of another sale: its day, whose tax rates apply."""
    amount: int | None = None
    method: Method | None = None
    tax: int | None = None
    note: str = ""


class PushedVisit(_Asked, frozen=True, kw_only=True):
    """A visit at a customer's. ``id`` is the holder's own, of visits only."""

    id: LocalId
    account: Annotated[str, Meta(min_length=1, max_length=64)]
    began_at: Moment
    outcome: VisitOutcome
    ended_at: Moment | None = None
    reason: _Words = ""
    latitude: _Degrees | None = None
    longitude: _Degrees | None = None
    note: _Words = ""


class PushRequest(_Asked, frozen=True, kw_only=True):
    """What was made since the last push, or all of it again, in any order. ``sent_at`` is the device's clock now."""

    sent_at: Moment
    documents: tuple[PushedDocument, ...] = ()
    visits: tuple[PushedVisit, ...] = ()


class Result(StrEnum):
    """What became of one item of a push. All but ``refused`` need not be sent again."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    SUPERSEDED = "superseded"
    CONFLICT = "conflict"
    REFUSED = "refused"


class ItemResult(_Said, frozen=True, kw_only=True):
    """The answer to one item. ``reasons`` say why it was refused; ``notes`` what was changed or will be looked at."""

    id: str
    result: Result
    revision: int = 1
    document_id: UUID | None = None
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Reason, ...] = ()


class PushAnswer(_Said, frozen=True, kw_only=True):
    """The answers, in the order of the items. It is given after everything accepted is safely kept."""

    documents: tuple[ItemResult, ...]
    visits: tuple[ItemResult, ...]
    server_time: Moment
    clock_skew_seconds: int
    """How far the device's clock is ahead of ours; below zero: behind."""


# --- outcomes


class OutcomeLine(_Said, frozen=True, kw_only=True):
    """One line as decided. ``quantity`` is what was taken, ``short`` what is waited for or was left out."""

    number: int
    product: str
    quantity: Decimal
    unit_price: int
    payable: int
    reserved: Decimal = Decimal(0)
    short: Decimal = Decimal(0)


class Outcome(_Said, frozen=True, kw_only=True):
    """What became of a document. ``state``: ``received`` until it is decided, then a document's state.
    ``refused_change`` has the reasons why its last revision or command changed nothing."""

    id: str
    document_id: UUID
    state: str
    state_fa: str
    revision: int = 0
    kind: Kind | None = None
    reasons: tuple[Reason, ...] = ()
    refused_change: tuple[Reason, ...] = ()
    lines: tuple[OutcomeLine, ...] = ()
    payable: int = 0
    number: str | None = None
    """The books' number, once posted."""
    changed_at: Moment | None = None


class OutcomePage(_Said, frozen=True, kw_only=True):
    """Documents whose outcome changed since ``cursor``, as they now are. ``reset``: all that is known is told anew."""

    items: tuple[Outcome, ...]
    cursor: str
    more: bool
    reset: bool
