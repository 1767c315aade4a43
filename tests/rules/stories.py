"""Stories: a small company, then one command after another, and what is so after each.

A stock row is written ``RAM MAIN`` or ``CLOTH MAIN red``; a time is ``HH:MM`` UTC of the story's day, which begins at
08:00 on 1403/02/12. Fields that aren't given are those of `tests.rules.world.request`; ``none`` takes one of them out.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from hub.rules import credit
from hub.rules.settings import Limits, Policy, RuleSettings
from schemas.commands import (
    Amend,
    Approve,
    Cancel,
    Command,
    Expire,
    PostingFailed,
    PostingStarted,
    PostingSucceeded,
    Reconsider,
    Refuse,
    Release,
    Submit,
)
from schemas.dates import parse_date
from schemas.documents import Document, Kind, LineRequest, Method, Payment, State
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.ledger import StockKey, StockLevel
from tests.rules.tables import Case
from tests.rules.world import START, World, codes, company, figures, sums_disagree

COMMANDS: dict[str, type[Command]] = {
    "submit": Submit,
    "amend": Amend,
    "approve": Approve,
    "refuse": Refuse,
    "cancel": Cancel,
    "release": Release,
    "expire": Expire,
    "reconsider": Reconsider,
    "posting_started": PostingStarted,
    "posting_succeeded": PostingSucceeded,
    "posting_failed": PostingFailed,
}
Rows = dict[str, Decimal]


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """A line as sent."""

    product: str = "RAM"
    quantity: Decimal = Decimal(1)
    price: int | None = None
    discount: int = 0
    number: int | None = None
    warehouse: str | None = None
    attribute: str = ""
    vat: int | None = None
    duty: int | None = None

    def request(self) -> LineRequest:
        return LineRequest(
            self.product,
            self.quantity,
            unit_price=self.price,
            discount=self.discount,
            number=self.number,
            warehouse=self.warehouse,
            attribute=self.attribute,
            vat=self.vat,
            duty=self.duty,
        )


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """What the company sets for a story."""

    stock: str = "all_or_nothing"
    credit: str = "hold"
    reservation_minutes: int | None = None
    tax_tolerance: int = 0
    approval: bool = False
    posting: str = "automatic"
    kinds: dict[Kind, dict[str, Any]] = msgspec.field(default_factory=dict)
    closed_until: str | None = None
    max_lines: int = 1_000

    def settings(self) -> RuleSettings:
        policy = {
            "stock": self.stock,
            "credit": self.credit,
            "tax_tolerance": self.tax_tolerance,
            "approval": self.approval,
            "posting": self.posting,
        }
        minutes = self.reservation_minutes
        reservation = timedelta(minutes=minutes) if minutes else None
        return RuleSettings(
            default=msgspec.structs.replace(msgspec.convert(policy, Policy), reservation=reservation),
            default_by_kind={
                kind: msgspec.structs.replace(msgspec.convert(policy | own, Policy), reservation=reservation)
                for kind, own in self.kinds.items()
            },
            closed_until=parse_date(self.closed_until) if self.closed_until else None,
            limits=Limits(max_lines=self.max_lines),
        )


class Step(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One command and what is expected after it; or, with ``books``, a figure the books sent."""

    # the command: exactly one of these names the document
    submit: str | None = None
    amend: str | None = None
    approve: str | None = None
    refuse: str | None = None
    cancel: str | None = None
    release: str | None = None
    expire: str | None = None
    reconsider: str | None = None
    posting_started: str | None = None
    posting_succeeded: str | None = None
    posting_failed: str | None = None
    # what it says
    kind: Kind | None = None
    date: str | None = None
    account: str | None = None
    warehouse: str | None = None
    to_warehouse: str | None = None
    payment: Payment | None = None
    method: Method | None = None
    amount: int | None = None
    original: str | None = None
    original_date: str | None = None
    tax: int | None = None
    hold: str | None = None
    revision: int | None = None
    currency: str | None = None
    note: str | None = None
    lines: list[Line] | None = None
    due: str | None = None
    posted_at: str | None = None
    message: str | None = None
    number: str | None = None
    minutes_later: int = 0
    # what comes of it
    state: State | None = None
    refused: list[str] | None = None
    reasons: list[str] | None = None
    at: list[str] | None = None
    says: str | None = None
    totals: dict[str, int] | None = None
    result: list[dict[str, Any]] | None = None
    expires: str | None = None
    sellable: Rows = msgspec.field(default_factory=dict)
    reserved: Rows = msgspec.field(default_factory=dict)
    incoming: Rows = msgspec.field(default_factory=dict)
    instant: dict[str, int] = msgspec.field(default_factory=dict)
    held: dict[str, int] = msgspec.field(default_factory=dict)

    def command(self) -> tuple[str, str]:
        named = [(name, value) for name in COMMANDS if (value := getattr(self, name)) is not None]
        assert len(named) == 1, f"a step has one command, not {named}"
        return named[0]


class Story(Case, forbid_unknown_fields=True, kw_only=True):
    """``stock`` is what the books have of each row (else 1,000), ``books_as_of`` when they said so; ``credit`` is an
    account's direct credit, or each of its terms by name."""

    given: Given = msgspec.field(default_factory=Given)
    stock: Rows = msgspec.field(default_factory=dict)
    credit: dict[str, int | dict[str, int]] = msgspec.field(default_factory=dict)
    books_as_of: str | None = None
    steps: list[Step]


def tell(story: Story) -> None:
    """Run a story; every step has to come out as written, and the sums have to add up after each."""
    world = World(company(), story.given.settings())
    for row, quantity in story.stock.items():
        level = world.snapshot.level(key_of(row))
        level.in_books = quantity
    for code, terms in story.credit.items():
        for name, rials in (terms if isinstance(terms, dict) else {"direct": terms}).items():
            setattr(world.snapshot.accounts[code], name, rials)
    if story.books_as_of:
        as_of = moment(story.books_as_of)
        for each in (*world.snapshot.stock.values(), *world.snapshot.accounts.values()):
            each.as_of = as_of
    for index, step in enumerate(story.steps, 1):
        name, source_id = step.command()
        where = f"step {index} ({name} {source_id})"
        world.later(minutes=step.minutes_later)
        before = figures(world.snapshot)
        event = _send(world, name, source_id, step)
        _check(world, event, step, where)
        if event.type == COMMAND_REFUSED:
            assert figures(world.snapshot) == before, f"{where}: refused, and yet something changed"
        assert list(sums_disagree(world.snapshot)) == [], where


def key_of(row: str) -> StockKey:
    product, warehouse, *attribute = row.split(maxsplit=2)
    return StockKey(product, warehouse, *attribute)


def moment(clock: str) -> datetime:
    hour, minute = clock.split(":")
    return START.replace(hour=int(hour), minute=int(minute))


_AS_WRITTEN = (
    "account", "warehouse", "to_warehouse", "payment", "method", "amount", "original", "tax", "revision", "currency",
    "note", "hold",
)  # fmt: skip


def _send(world: World, name: str, source_id: str, step: Step) -> DocumentEvent:
    command = COMMANDS[name]
    if name not in ("submit", "amend"):
        said: dict[str, Any] = {
            field: getattr(step, field)
            for field in ("message", "number", "note", "revision")
            if getattr(step, field) is not None
        }
        said |= {field: moment(clock) for field in ("due", "posted_at") if (clock := getattr(step, field))}
        return world.do(command, source_id, **said)
    content: dict[str, Any] = {field: value for field in _AS_WRITTEN if (value := getattr(step, field)) is not None}
    content = {field: None if value == "none" else value for field, value in content.items()}
    if step.lines is not None:
        content["lines"] = tuple(line.request() for line in step.lines)
    content |= {field: parse_date(day) for field in ("date", "original_date") if (day := getattr(step, field))}
    if step.original is not None:
        content.setdefault("original_date", None)
    kind = step.kind or (world.document(source_id).kind if name == "amend" else Kind.SALES_INVOICE)
    send = world.amend if name == "amend" else world.submit
    return send(source_id, kind, **content)


def _check(world: World, event: DocumentEvent, step: Step, where: str) -> None:
    told = [(why.code, why.field, why.en) for why in event.reasons]
    if step.refused is not None:
        assert event.type == COMMAND_REFUSED, f"{where}: not refused but {event.type} {told}"
        assert codes(event) == step.refused, where
    else:
        assert step.state is not None, f"{where}: says neither state nor refused"
        assert event.type == f"document.{step.state}", f"{where}: {event.type} {told}"
        assert codes(event) == (step.reasons or []), f"{where}: {told}"
    if step.at is not None:
        assert [why.field for why in event.reasons] == step.at, where
    if step.says is not None:
        assert step.says in [why.en for why in event.reasons], f"{where}: {told}"
    if step.totals is not None:
        assert event.document is not None
        assert_fields(event.document.totals, step.totals, where)
    if step.result is not None:
        assert event.document is not None
        _check_lines(event.document, step.result, where)
    if step.expires is not None:
        assert event.document is not None
        expected = None if step.expires == "never" else moment(step.expires)
        assert event.document.expires_at == expected, where
    _check_rows(world, step, where)


def _check_lines(document: Document, expected: list[dict[str, Any]], where: str) -> None:
    assert len(document.lines) == len(expected), f"{where}: {document.lines}"
    for line, fields in zip(document.lines, expected, strict=True):
        assert_fields(line, fields, where)


def assert_fields(struct: msgspec.Struct, expected: dict[str, Any], where: str) -> None:
    """Each field named equals the value written; a quantity by its value, however many zeros it ends in."""
    for name, value in expected.items():
        found = getattr(struct, name)
        wanted = Decimal(str(value)) if isinstance(found, Decimal) else value
        assert found == wanted, f"{where}: {name} is {found}, not {wanted}"


def _check_rows(world: World, step: Step, where: str) -> None:
    for figure in ("sellable", "reserved", "incoming"):
        for row, quantity in getattr(step, figure).items():
            level: StockLevel = world.snapshot.level(key_of(row))
            assert getattr(level, figure) == quantity, f"{where}: {figure} of {row} is {getattr(level, figure)}"
    for code, amount in step.instant.items():
        instant = credit.instant_credit(world.snapshot.accounts[code])
        assert instant == amount, f"{where}: the instant credit of {code} is {instant:,}"
    for code, amount in step.held.items():
        held = world.snapshot.accounts[code].held
        assert held == amount, f"{where}: {held:,} is held of {code}"
