"""What holds whatever happens: random companies, random commands, every sum checked after each one."""

import copy
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, note, settings
from hypothesis import strategies as st

from hub.rules import credit
from hub.rules.deciding import DROPPED, decide
from hub.rules.settings import CreditPolicy, Policy, RuleSettings, StockPolicy
from schemas.commands import (
    Amend,
    AnyCommand,
    Approve,
    Cancel,
    Expire,
    PostingFailed,
    PostingStarted,
    PostingSucceeded,
    Reconsider,
    Refuse,
    Release,
    Submit,
)
from schemas.documents import Document, DocumentRequest, Kind, LineRequest, Method, Payment, PostingPolicy, State
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.ledger import Snapshot, StockKey
from tests.properties import PROPERTY
from tests.rules.world import SOURCE, World, company, figures, request, sums_disagree

NAMES = ["A", "B", "C", "D", "E", "F", "G"]
CAREFUL = (Submit, Amend, Approve, Refuse, Cancel, Release, Expire, Reconsider)
"""Commands that must not take stock below zero: all but those that follow what the books do."""


def seldom(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly the usual, one time in ten the odd: else nothing but refusals would be tried."""
    return st.integers(0, 9).flatmap(lambda die: odd if die == 9 else usual)


quantities = seldom(
    st.one_of(st.integers(1, 4).map(Decimal), st.decimals("0.00001", 4, places=5)),
    st.sampled_from([Decimal(0), Decimal(50)]),
)
lines = st.builds(
    LineRequest,
    product=seldom(st.sampled_from(["RAM", "CPU", "CLOTH"]), st.sampled_from(["INSTALL", "BOOK", "TOBACCO", "OLD"])),
    quantity=quantities,
    unit_price=st.integers(10, 2_000),
    discount=seldom(st.just(0), st.integers(0, 500)),
    warehouse=seldom(st.none(), st.sampled_from(["MAIN", "SHOP"])),
    attribute=seldom(st.just(""), st.just("red")),
    vat=seldom(st.none(), st.integers(0, 100)),
)
policies = st.builds(
    Policy,
    stock=st.sampled_from(StockPolicy),
    credit=st.sampled_from(CreditPolicy),
    reservation=st.sampled_from([None, timedelta(minutes=30)]),
    tax_tolerance=st.sampled_from([0, 0, 1_000]),
    approval=st.booleans(),
    posting=seldom(st.just(PostingPolicy.AUTOMATIC), st.sampled_from(PostingPolicy)),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A company with little of everything, so that documents get in each other's way."""
    snapshot = company()
    for level in snapshot.stock.values():
        level.in_books = draw(seldom(st.integers(2, 9), st.integers(-1, 0)).map(Decimal))
    for account in snapshot.accounts.values():
        account.direct = draw(st.integers(-1_000, 30_000))
    return World(snapshot, RuleSettings(default=draw(policies)))


@st.composite
def contents(draw: st.DrawFn, name: str, sales: list[str], kind: Kind, revision: int) -> DocumentRequest:
    """Content for a document; a return's original is mostly one of the sales there are."""
    fields: dict[str, Any] = {
        "account": draw(seldom(st.sampled_from(["ALI", "SARA"]), st.sampled_from(["SCHOOL", "LEFT"]))),
        "warehouse": draw(seldom(st.just("MAIN"), st.just("SHOP"))),
        "date": draw(seldom(st.just(date(2024, 5, 1)), st.just(date(2024, 3, 19)))),
        "payment": draw(seldom(st.just(Payment.CREDIT), st.just(Payment.CASH))),
        "revision": revision,
        "lines": tuple(draw(st.lists(lines, min_size=1, max_size=3))),
        "tax": draw(seldom(st.none(), st.integers(0, 1_000))),
    }
    if kind is Kind.RECEIPT:
        fields |= {"lines": (), "amount": draw(st.integers(1, 9_000)), "method": draw(st.sampled_from(Method))}
    elif kind is Kind.SALES_RETURN:
        original = draw(seldom(st.sampled_from(sales or [None]), st.sampled_from([None, *NAMES])))
        fields |= {"original": original, "original_date": None if original else date(2024, 3, 19)}
    elif kind is Kind.SALES_INVOICE:
        fields["original"] = draw(seldom(st.none(), st.sampled_from(sales or [None])))
    elif kind is Kind.TRANSFER:
        fields["to_warehouse"] = "SHOP" if fields["warehouse"] == "MAIN" else "MAIN"
    return request(name, kind, **fields)


KINDS = [
    Kind.SALES_INVOICE, Kind.SALES_ORDER, Kind.SALES_RETURN, Kind.RECEIPT, Kind.TRANSFER, Kind.PURCHASE_INVOICE,
    Kind.GOODS_RECEIPT, Kind.GOODS_ISSUE, Kind.QUOTE, Kind.PURCHASE_ORDER,
]  # fmt: skip
FITTING: dict[State, list[type[AnyCommand]]] = {
    State.HELD: [Approve, Approve, Amend, Refuse, Cancel, Expire],
    State.CLEARED: [PostingStarted, Cancel, Amend, Release, Expire, PostingSucceeded, PostingFailed],
    State.BACKORDERED: [Reconsider, Reconsider, Reconsider, Amend, Cancel, Expire],
    State.POSTING: [PostingSucceeded, PostingFailed],
    State.POST_FAILED: [PostingStarted, Amend, Cancel, PostingSucceeded],
    State.REJECTED: [Amend],
    State.CANCELLED: [Amend],
    State.EXPIRED: [Amend],
    State.POSTED: [Cancel],
}
ANY = [*dict.fromkeys(command for commands in FITTING.values() for command in commands), Submit]


@st.composite
def next_command(draw: st.DrawFn, world: World) -> AnyCommand:
    """Mostly a command that fits the state its document is in, sometimes any command on any document."""
    name = draw(st.sampled_from(NAMES))
    standing = world.snapshot.documents.get(world.id_of(name))
    documents = [each.document for each in world.snapshot.documents.values()]
    sales = [each.source_id for each in documents if each.kind in (Kind.SALES_INVOICE, Kind.SALES_ORDER)]
    if standing is None:
        content = draw(contents(name, sales, draw(st.sampled_from(KINDS)), draw(st.integers(1, 2))))
        return Submit.of(content, source=SOURCE, actor="x", now=world.now)
    document = standing.document
    command = draw(seldom(st.sampled_from(FITTING[document.state]), st.sampled_from(ANY)))
    if command in (Submit, Amend):
        kind = draw(seldom(st.just(document.kind), st.sampled_from(KINDS)))
        revision = draw(seldom(st.just(document.revision + 1), st.integers(1, document.revision)))
        content = draw(contents(name, sales, kind, revision))
        return command.of(content, source=SOURCE, actor="x", now=world.now)
    said: dict[str, Any] = {}
    if command is PostingSucceeded:
        said["posted_at"] = world.now - timedelta(minutes=draw(st.integers(0, 20)))
    if command is Approve:
        said["revision"] = draw(seldom(st.just(document.revision), st.just(document.revision - 1)))
    return world.command(command, name, **said)


def the_books_say(world: World, draw: st.DrawFn) -> None:
    """New figures from the books: what was posted before their time is retired, as the store does it."""
    as_of = world.now - timedelta(minutes=draw(st.integers(0, 20)))
    moved = {movement.key for standing in world.snapshot.documents.values() for movement in standing.movements}
    key = draw(st.sampled_from(sorted(moved) or [StockKey("RAM", "MAIN")]))
    code = draw(st.sampled_from(sorted(world.snapshot.accounts)))
    level, account = world.snapshot.stock[key], world.snapshot.accounts[code]
    for document_id, standing in world.snapshot.documents.items():
        kept = []
        for movement in standing.movements:
            if movement.key == key and shown(movement.posted_at, as_of, given=not movement.outgoing):
                if movement.outgoing:
                    level.reserved -= movement.quantity
                else:
                    level.incoming -= movement.quantity
            else:
                kept.append(movement)
        hold = standing.hold
        if hold and hold.account == code and shown(hold.posted_at, as_of, given=hold.amount < 0):
            account.held -= hold.amount
            hold = None
        world.snapshot.documents[document_id] = msgspec.structs.replace(standing, movements=tuple(kept), hold=hold)
    level.as_of = account.as_of = as_of
    level.in_books = draw(st.integers(0, 8).map(Decimal))


def shown(posted_at: datetime | None, as_of: datetime, *, given: bool) -> bool:
    return posted_at is not None and (posted_at < as_of or (posted_at == as_of and given))


def sellable(snapshot: Snapshot) -> dict[StockKey, Decimal]:
    return {key: level.sellable for key, level in snapshot.stock.items()}


def instant(snapshot: Snapshot) -> dict[str, int]:
    return {code: credit.instant_credit(account) for code, account in snapshot.accounts.items()}


@settings(PROPERTY, max_examples=150)
@given(st.data())
def test_whatever_is_asked_in_whatever_order(data: st.DataObject) -> None:
    world = data.draw(worlds())
    for _ in range(data.draw(st.integers(5, 30))):
        world.later(minutes=data.draw(st.integers(0, 20)))
        if data.draw(st.integers(0, 7)) == 0:
            the_books_say(world, data.draw)
            assert list(sums_disagree(world.snapshot)) == []
            continue
        command = data.draw(next_command(world))
        before = copy.deepcopy(world.snapshot)

        event = world.decide(command)

        note(f"{command}\n  -> {event.type} {[why.en for why in event.reasons]}")
        assert decide(command, copy.deepcopy(before), world.settings, world.now) == event
        assert list(sums_disagree(world.snapshot)) == []
        check_event(command, event, before, world.snapshot)
        check_nothing_oversold(command, before, world.snapshot)
        check_returns(world.snapshot)
        check_orders(world.snapshot)


def check_event(command: AnyCommand, event: DocumentEvent, before: Snapshot, after: Snapshot) -> None:
    standing = before.documents.get(command.document_id)
    if event.type == COMMAND_REFUSED:
        assert figures(before) == figures(after)
        assert event.document == (standing.document if standing else None)
        assert event.reasons
        return
    document = after.documents[command.document_id].document
    assert event.document == document
    assert event.type == f"document.{document.state}"
    assert document.step == (standing.document.step if standing else 0) + 1
    if standing is not None:
        assert document.revision >= standing.document.revision
    touched = {document.id, standing.document.original_id if standing else None, document.original_id}
    others = {key: each for key, each in after.documents.items() if key not in touched}
    assert others == {key: each for key, each in before.documents.items() if key not in touched}
    for key in touched - {document.id, None}:
        assert key not in before.documents or after.documents[key].document == before.documents[key].document
    check_document(document, after)


def check_document(document: Document, snapshot: Snapshot) -> None:
    for line in document.lines:
        if line.payable:
            assert line.payable == line.net + line.vat + line.duty
        assert line.reserved >= 0
        assert line.short >= 0
        assert line.reserved <= line.quantity
        if document.state is State.BACKORDERED and line.short:
            assert line.reserved + line.short == line.quantity
    if document.kind is not Kind.RECEIPT and document.totals.gross:
        for figure in ("discount", "net", "vat", "duty", "payable"):
            assert getattr(document.totals, figure) == sum(getattr(line, figure) for line in document.lines)
        assert document.totals.gross == document.totals.net + document.totals.discount
    assert document.totals.payable == document.totals.net + document.totals.vat + document.totals.duty
    standing = snapshot.documents[document.id]
    if document.state in DROPPED:
        assert (standing.movements, standing.hold, document.expires_at) == ((), None, None)
        assert all(line.reserved == 0 for line in document.lines)
    if document.state in (State.HELD, State.BACKORDERED):
        assert standing.hold is None
        assert all(movement.outgoing for movement in standing.movements)
    if document.state is State.POSTING:
        assert all(movement.outgoing for movement in standing.movements)
        assert standing.hold is None or standing.hold.amount >= 0


def check_nothing_oversold(command: AnyCommand, before: Snapshot, after: Snapshot) -> None:
    if isinstance(command, CAREFUL):
        was = sellable(before)
        for key, left in sellable(after).items():
            assert left >= 0 or was.get(key, Decimal(0)) < 0, f"{key} is oversold: {was.get(key)} -> {left}"
        had = instant(before)
        for code, left in instant(after).items():
            exceeded = left < 0 <= had[code]
            assert not exceeded or isinstance(command, Approve), f"{code} is over its credit: {had[code]} -> {left}"


def check_returns(snapshot: Snapshot) -> None:
    """No sale has more taken back than it sold, and the running sums of returns are those of the documents."""
    back: dict[Any, Decimal] = {}
    for standing in snapshot.documents.values():
        document = standing.document
        if document.kind is Kind.SALES_RETURN and document.original_id and document.state not in DROPPED:
            for line in document.lines:
                key = (document.original_id, line.product, line.attribute)
                back[key] = back.get(key, Decimal(0)) + line.quantity
    for (original_id, product, attribute), quantity in back.items():
        original = snapshot.documents[original_id].document
        assert original.state not in DROPPED
        sold = [line.quantity for line in original.lines if (line.product, line.attribute) == (product, attribute)]
        assert quantity <= sum(sold)
        assert snapshot.originals[original_id].taken.returned[product, attribute] == quantity


def check_orders(snapshot: Snapshot) -> None:
    """No order holds more than its invoices leave of it, and the running sums are those of the invoices."""
    invoiced: dict[Any, Decimal] = {}
    for standing in snapshot.documents.values():
        document = standing.document
        if document.kind is Kind.SALES_INVOICE and document.original_id and document.state not in DROPPED:
            for line in document.lines:
                key = (document.original_id, line.product, line.attribute)
                invoiced[key] = invoiced.get(key, Decimal(0)) + line.quantity
    for (order_id, product, attribute), quantity in invoiced.items():
        order = snapshot.documents[order_id]
        assert order.document.kind is Kind.SALES_ORDER
        assert snapshot.originals[order_id].taken.invoiced[product, attribute] == quantity
        ordered = sum(
            line.quantity for line in order.document.lines if (line.product, line.attribute) == (product, attribute)
        )
        kept = sum(
            movement.quantity
            for movement in order.movements
            if (movement.key.product, movement.key.attribute) == (product, attribute)
        )
        assert kept <= max(ordered - quantity, 0)


@settings(PROPERTY, max_examples=100)
@given(st.data())
def test_one_document_alone(data: st.DataObject) -> None:
    """Each kind of content on a fresh company: the outcome's sums, and that cancelling undoes all of it."""
    world = data.draw(worlds())
    content = data.draw(contents("A", [], data.draw(st.sampled_from(KINDS)), 1))
    fresh = figures(world.snapshot)
    event = world.send(Submit, content)
    if event.document is not None:
        check_document(event.document, world.snapshot)
    if world.do(Cancel).type == "document.cancelled":
        _, stock, accounts, returned, *_ = figures(world.snapshot)
        assert (stock, accounts, returned) == fresh[1:4]
