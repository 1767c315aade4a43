"""Deciding one command against what was read: the rules put together, and the life of a document.

``decide`` changes the snapshot in place, so that the commands of one batch see each other's reservations and holds;
what it answers is the event to store and publish. A refused command changes nothing and says why.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from hub.rules import credit, history, reservation, tax
from hub.rules.kinds import KINDS, credit_effect
from hub.rules.settings import MAX_AMOUNT, CreditPolicy, Policy, RuleSettings, StockPolicy
from hub.rules.validation import line_number, line_numbers, problems
from schemas import ids
from schemas.commands import (
    AnyCommand,
    Approve,
    Cancel,
    Content,
    Expire,
    PostingFailed,
    PostingStarted,
    PostingSucceeded,
    Reconsider,
    Refuse,
    Release,
    Submit,
)
from schemas.dates import jalali, jalali_time
from schemas.documents import (
    Approval,
    Document,
    DocumentLine,
    DocumentRequest,
    Kind,
    LineRequest,
    Posting,
    PostingPolicy,
    Released,
    State,
    Totals,
)
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.ledger import (
    ZERO,
    AccountLedger,
    CreditHold,
    Movement,
    Needs,
    Original,
    Quantities,
    Snapshot,
    SoldLine,
    Standing,
    StockKey,
    Taken,
)
from schemas.reasons import Reason, reason
from schemas.text import MAX_CODE

AMENDABLE = frozenset(State) - {State.POSTING, State.POSTED}
CANCELLABLE = frozenset({State.HELD, State.CLEARED, State.BACKORDERED, State.POST_FAILED})
EXPIRABLE = frozenset({State.HELD, State.CLEARED, State.BACKORDERED})
POSTABLE = frozenset({State.CLEARED, State.POST_FAILED})
TAKING = CANCELLABLE | {State.POSTING}
"""States in which a document keeps the goods it reserved."""
VALID_ORIGINAL = frozenset({State.CLEARED, State.POSTING, State.POSTED, State.POST_FAILED})
DROPPED = frozenset({State.REJECTED, State.CANCELLED, State.EXPIRED})
"""States in which a document comes to nothing: it holds no goods, no credit, and takes nothing back as a return."""
UNCHARGED = frozenset({State.HELD, State.BACKORDERED})
"""States in which a document has its goods, or some of them, and takes no credit yet."""


HOLDING = frozenset({"tax_difference", "source_hold"})
"""Reasons of the content itself that hold a document whatever its goods and credit; a backorder keeps them."""

UNFIT = frozenset({("source_id", "invalid_code"), ("revision", "revision"), ("account", "invalid_code")})
"""What a document can't be filed under, as (field, code): nothing is kept of it, not even its rejection."""


class _Refused(Exception):
    def __init__(self, *reasons: Reason) -> None:
        self.reasons = reasons


class _Outcome(NamedTuple):
    """What the rules make of a document's content, before it is counted anywhere."""

    state: State
    reasons: tuple[Reason, ...]
    lines: tuple[DocumentLine, ...] = ()
    totals: Totals = Totals()
    original_id: UUID | None = None


def needs(commands: Iterable[AnyCommand]) -> Needs:
    """What has to be read, and locked, before these commands can be decided."""
    found = Needs()
    for command in commands:
        found.documents.add(command.document_id)
        if isinstance(command, Content) and not _is_history(command):
            _content_needs(command, found)
    return found


def _is_history(command: Content) -> bool:
    return isinstance(command, Submit) and command.in_books is not None


def _content_needs(command: Content, found: Needs) -> None:
    request = command.document
    if request.account:
        found.accounts.add(request.account)
    if request.original:
        original_id = ids.original_id(command.source, request.original)
        found.originals.add(original_id)
        if request.kind is Kind.SALES_INVOICE:
            found.documents.add(original_id)
    if request.warehouse:
        found.warehouses.add(request.warehouse)
    if request.to_warehouse:
        found.warehouses.add(request.to_warehouse)
    moves = KINDS[request.kind]
    for line in request.lines:
        found.products.add(line.product)
        warehouse = line.warehouse or request.warehouse
        if line.warehouse:
            found.warehouses.add(line.warehouse)
        if moves.takes_stock or moves.brings_stock:
            if warehouse:
                key = StockKey(line.product, warehouse, line.attribute)
                found.stock.add(key)
                if moves.brings_stock and not moves.takes_stock and len(line.attribute) <= MAX_CODE:
                    found.incoming.add(key)
            if request.to_warehouse:
                key = StockKey(line.product, request.to_warehouse, line.attribute)
                found.stock.add(key)
                if len(line.attribute) <= MAX_CODE:
                    found.incoming.add(key)


def decide(command: AnyCommand, snapshot: Snapshot, settings: RuleSettings, now: datetime) -> DocumentEvent:
    """The decision on one command, with its reasons; the snapshot then holds the document as it now is."""
    standing = snapshot.documents.get(command.document_id)
    try:
        if isinstance(command, Content):
            document, reasons = _content(command, standing, snapshot, settings, now)
        else:
            if standing is None:
                raise _Refused(reason("unknown_document"))
            document, reasons = _on_document(command, standing, snapshot, settings, now)
    except _Refused as refusal:
        return _refusal(command, standing, refusal.reasons, now)
    return DocumentEvent(
        event_id=ids.event_id(document.id, document.revision, document.step),
        type=f"document.{document.state}",
        source=document.source,
        source_id=document.source_id,
        document_id=document.id,
        revision=document.revision,
        step=document.step,
        occurred_at=command.occurred_at,
        recorded_at=now,
        command_id=command.command_id,
        command=_name(command),
        actor=command.actor,
        reasons=reasons,
        document=document,
        trace=command.trace,
    )


def _name(command: AnyCommand) -> str:
    return str(command.__struct_config__.tag)


def _refusal(
    command: AnyCommand, standing: Standing | None, reasons: tuple[Reason, ...], now: datetime
) -> DocumentEvent:
    document = standing.document if standing else None
    return DocumentEvent(
        event_id=ids.refusal_id(command.document_id, command.command_id),
        type=COMMAND_REFUSED,
        source=document.source if document else command.source,
        source_id=document.source_id if document else command.source_id,
        document_id=command.document_id,
        revision=document.revision if document else command.revision,
        step=document.step if document else 0,
        occurred_at=command.occurred_at,
        recorded_at=now,
        command_id=command.command_id,
        command=_name(command),
        actor=command.actor,
        reasons=reasons,
        document=document,
        trace=command.trace,
    )


# --- content: submit and amend


def _content(
    command: Content, standing: Standing | None, snapshot: Snapshot, settings: RuleSettings, now: datetime
) -> tuple[Document, tuple[Reason, ...]]:
    wrong = problems(command.document, settings.limits)
    if unfit := [why for why in wrong if (why.field, why.code) in UNFIT]:
        raise _Refused(*unfit)
    order = None
    if standing is not None:
        _check_amendable(command, standing)
        _check_not_returned(standing, snapshot)
        _check_not_invoiced(standing, snapshot)
        order = _order_of(standing, snapshot)
        release(standing, snapshot)
    policy = settings.policy(command.source, command.document.kind)
    if wrong:
        outcome = _Outcome(State.REJECTED, wrong)
    elif _is_history(command):
        outcome = _recorded(command)
    else:
        outcome = _judge(command, standing, snapshot, settings, policy)
    document = _document(command, standing, outcome, policy, now)
    after = _stand(document, command.command_id, snapshot)
    if standing is not None and (taken := _taken_back(standing, after, order, snapshot)):
        release(after, snapshot)
        _count(standing, snapshot)
        raise _Refused(*taken)
    snapshot.documents[document.id] = after
    return document, document.reasons


def _check_amendable(command: Content, standing: Standing) -> None:
    document = standing.document
    if command.revision < document.revision:
        raise _Refused(reason("stale_revision", revision=command.revision, current=document.revision))
    if command.revision == document.revision:
        raise _Refused(reason("content_conflict", revision=command.revision))
    if document.state not in AMENDABLE:
        raise _Refused(reason("wrong_state", state=document.state, command=_name(command)))
    if command.document.kind is not document.kind:
        raise _Refused(reason("kind_changed", old=document.kind, new=command.document.kind))


def _check_not_returned(standing: Standing, snapshot: Snapshot) -> None:
    """A sale that was partly taken back can't be changed or withdrawn: its goods would come back twice."""
    original = snapshot.originals.get(standing.document.id)
    if original is not None and any(original.taken.returned.values()):
        raise _Refused(reason("has_returns"))


def _check_not_invoiced(standing: Standing, snapshot: Snapshot) -> None:
    """What an order holds is what its invoices left of it: another content has no such remainder."""
    order = snapshot.originals.get(standing.document.id)
    if order is not None and any(order.taken.invoiced.values()):
        raise _Refused(reason("has_invoices"))


def _document(
    command: Content, standing: Standing | None, outcome: _Outcome, policy: Policy, now: datetime
) -> Document:
    request = command.document
    before = standing.document if standing else None
    live = outcome.state in EXPIRABLE and KINDS[request.kind].takes_stock
    return Document(
        id=command.document_id,
        source=command.source,
        source_id=command.source_id,
        kind=request.kind,
        state=outcome.state,
        revision=command.revision,
        step=before.step + 1 if before else 1,
        date=request.date,
        received_at=before.received_at if before else command.recorded_at,
        changed_at=now,
        account=request.account,
        payment=request.payment,
        warehouse=request.warehouse,
        to_warehouse=request.to_warehouse,
        original_id=outcome.original_id,
        original_date=request.original_date,
        lines=outcome.lines,
        totals=outcome.totals,
        method=request.method,
        reasons=outcome.reasons + _kept_back(outcome.state, command.source, policy.posting),
        expires_at=now + policy.reservation if live and policy.reservation else None,
        note=request.note,
        currency=request.currency,
        posting=_posting(command),
        posting_policy=policy.posting,
    )


def _kept_back(state: State, source: str, posting: PostingPolicy) -> tuple[Reason, ...]:
    """Why the books don't get a document that is cleared, where a policy keeps it from them."""
    if state is not State.CLEARED or posting is PostingPolicy.AUTOMATIC:
        return ()
    return (reason("waits_for_release" if posting is PostingPolicy.MANUAL else "never_posted", source=source),)


def _posting(command: Content) -> Posting | None:
    if isinstance(command, Submit) and command.in_books is not None:
        return Posting(number=command.in_books, posted_at=command.occurred_at)
    return None


def _recorded(command: Content) -> _Outcome:
    """What the books had before: it stands as it is there."""
    request = command.document
    lines = history.lines(request)
    totals = tax.totals(lines)
    if request.kind is Kind.RECEIPT:
        amount = request.amount or 0
        totals = Totals(gross=amount, net=amount, payable=amount)
    original_id = ids.original_id(command.source, request.original) if request.original else None
    return _Outcome(State.POSTED, (), lines, totals, original_id)


def _judge(
    command: Content, standing: Standing | None, snapshot: Snapshot, settings: RuleSettings, policy: Policy
) -> _Outcome:
    """The outcome of content that makes sense by itself: rejected, backordered, held or cleared, with every reason."""
    request = command.document
    wrong = (*_closed(request, settings), *_unknown(request, snapshot))
    if wrong:
        return _Outcome(State.REJECTED, wrong, _as_sent(request))
    if request.kind is Kind.RECEIPT:
        amount = request.amount or 0
        asked = _asked(request)
        return _Outcome(
            State.HELD if asked else State.CLEARED, asked, (), Totals(gross=amount, net=amount, payable=amount)
        )
    original, wrong = _original(command, standing, snapshot)
    if not wrong:
        rates_for, wrong = _rates(request, original, snapshot, settings)
    if wrong:
        return _Outcome(State.REJECTED, wrong, _as_sent(request))
    with _order_lends(request, original, snapshot):
        wanted = _wanted(request, snapshot)
        given = reservation.allot([demand for demand in wanted if demand], snapshot.stock, policy.stock)
        lines, wrong = _price(request, rates_for, original, snapshot, wanted, given)
        if wrong:
            return _Outcome(
                State.REJECTED, wrong, _as_sent(request), original_id=original.document_id if original else None
            )
        return _settle(command, lines, wanted, original, snapshot, policy)


def _as_sent(request: DocumentRequest) -> tuple[DocumentLine, ...]:
    """The lines of a document that can't be priced, so that whoever looks at it sees what was asked for."""
    return tuple(
        DocumentLine(
            number=number,
            product=line.product,
            quantity=line.quantity,
            unit_price=line.unit_price or 0,
            discount=line.discount,
            warehouse=line.warehouse or request.warehouse,
            attribute=line.attribute,
        )
        for number, line in zip(line_numbers(request.lines), request.lines, strict=True)
    )


def _closed(request: DocumentRequest, settings: RuleSettings) -> list[Reason]:
    until = settings.closed_until
    if until is None or request.date > until or request.kind in (Kind.QUOTE, Kind.PURCHASE_ORDER):
        return []
    return [reason("closed_period", at="date", date=jalali(request.date), until=jalali(until))]


def _unknown(request: DocumentRequest, snapshot: Snapshot) -> list[Reason]:
    """Codes that master data doesn't have, or has switched off."""
    wrong: list[Reason] = []
    rule = KINDS[request.kind]
    if request.account is not None:
        account = snapshot.accounts.get(request.account)
        if account is None or not account.active:
            code = "unknown_account" if account is None else "inactive_account"
            wrong.append(reason(code, at="account", code=request.account))
    for field in ("warehouse", "to_warehouse"):
        code = getattr(request, field)
        if code is not None and not _has_warehouse(code, snapshot):
            wrong.append(reason("unknown_warehouse", at=field, code=code))
    needs_warehouse = request.warehouse is None and (rule.takes_stock or rule.brings_stock)
    for index, line in enumerate(request.lines):
        product = snapshot.products.get(line.product)
        if product is None or not product.active:
            code = "unknown_product" if product is None else "inactive_product"
            wrong.append(_wrong_code(code, index, line, "product", line.product))
        if line.warehouse is not None:
            if not _has_warehouse(line.warehouse, snapshot):
                wrong.append(_wrong_code("unknown_warehouse", index, line, "warehouse", line.warehouse))
        elif needs_warehouse and (product is None or product.stocked):
            wrong.append(_wrong_code("warehouse_missing", index, line, "warehouse"))
    return wrong


def _wrong_code(why: str, index: int, line: LineRequest, field: str, code: str | None = None) -> Reason:
    return reason(why, at=f"lines[{index}].{field}", line=line_number(index, line), code=code)


def _has_warehouse(code: str, snapshot: Snapshot) -> bool:
    warehouse = snapshot.warehouses.get(code)
    return warehouse is not None and warehouse.active


def _original(
    command: Content, standing: Standing | None, snapshot: Snapshot
) -> tuple[Original | None, tuple[Reason, ...]]:
    """The sale a return takes back, or the order an invoice is made from; None if there is none, or it is a sale only
    whose date is known."""
    request = command.document
    if request.original is None:
        return None, ()
    original_id = ids.original_id(command.source, request.original)
    original = snapshot.originals.get(original_id)
    if original_id in snapshot.documents:
        # Decided within this very batch, perhaps: the sale as it is by now, not as it was read.
        original = Original.of(snapshot.documents[original_id].document, original.taken if original else Taken())
        snapshot.originals[original_id] = original
    if original is None:
        if request.original_date is not None:
            return None, ()
        return None, (reason("original_unknown", at="original", original=request.original),)
    of_return = request.kind is Kind.SALES_RETURN
    kinds = (Kind.SALES_INVOICE, Kind.SALES_ORDER) if of_return else (Kind.SALES_ORDER,)
    if original.kind not in kinds or not (original.state in VALID_ORIGINAL or _stands_by(standing, original)):
        why = "original_not_sale" if of_return else "original_not_order"
        return None, (reason(why, at="original", original=request.original, state=original.state),)
    if original.account != request.account:
        return None, (reason("original_other_account", at="account", account=original.account),)
    return original, ()


def _stands_by(standing: Standing | None, original: Original) -> bool:
    """Whether a live document was made from this very original: an invoice outlives the rest of its order."""
    return (
        standing is not None
        and standing.document.state not in DROPPED
        and standing.document.original_id == original.document_id
    )


_RatesFor = Callable[[str, str], tax.Rates]


def _rates(
    request: DocumentRequest, original: Original | None, snapshot: Snapshot, settings: RuleSettings
) -> tuple[_RatesFor, tuple[Reason, ...]]:
    """How a line finds its rates: a return from its original, everything else from its product and the date."""
    rule = KINDS[request.kind]
    if not rule.taxed:
        return (lambda _product, _attribute: tax.EXEMPT), ()
    if original is not None and request.kind is Kind.SALES_RETURN:
        sold = {
            (line.product, line.attribute): tax.Rates(line.vat_percent, line.duty_percent) for line in original.lines
        }
        return (lambda product, attribute: sold.get((product, attribute), tax.EXEMPT)), ()
    day = request.original_date or request.date
    general = tax.general_rates(settings.rates, day)
    if general is None:
        return (lambda _product, _attribute: tax.EXEMPT), (reason("no_tax_rate", at="date", date=jalali(day)),)
    account = snapshot.accounts.get(request.account) if request.account else None
    exempt = rule.sale and account is not None and account.vat_exempt
    products = snapshot.products
    return (lambda product, _: tax.product_rates(products[product], general, exempt_party=exempt)), ()


def _wanted(request: DocumentRequest, snapshot: Snapshot) -> list[reservation.Demand | None]:
    """What each line wants of the stock; None for a service, and for every line of a kind that takes no goods."""
    if not KINDS[request.kind].takes_stock:
        return [None] * len(request.lines)
    wanted: list[reservation.Demand | None] = []
    products = snapshot.products
    for line in request.lines:
        warehouse = line.warehouse or request.warehouse
        if warehouse and products[line.product].stocked:
            wanted.append((StockKey(line.product, warehouse, line.attribute), line.quantity))
        else:
            wanted.append(None)
    return wanted


def _price(
    request: DocumentRequest,
    rates_for: _RatesFor,
    original: Original | None,
    snapshot: Snapshot,
    wanted: Sequence[reservation.Demand | None],
    given: Sequence[Decimal],
) -> tuple[list[DocumentLine], tuple[Reason, ...]]:
    """The lines with their amounts and what each gets of the stock: ``given`` answers what is wanted, in its order."""
    wrong: list[Reason] = []
    priced: list[DocumentLine] = []
    sold = {(line.product, line.attribute): line for line in original.lines if line.quantity} if original else {}
    gets = iter(given)
    for index, (line, demand) in enumerate(zip(request.lines, wanted, strict=True)):
        number = line_number(index, line)
        price, discount = line.unit_price, line.discount
        if price is None and (before := sold.get((line.product, line.attribute))):
            price = before.unit_price
            discount = discount or tax.share(before.discount, line.quantity, before.quantity)
        if price is None:
            price = snapshot.products[line.product].price
        if price is None:
            if KINDS[request.kind].taxed:
                wrong.append(reason("price_missing", at=f"lines[{index}].unit_price", line=number, code=line.product))
                continue
            price = 0
        rates = rates_for(line.product, line.attribute)
        gross, discount, net, vat, duty = tax.line_amounts(price, line.quantity, discount, rates)
        if net < 0:
            wrong.append(
                reason("discount_too_large", at=f"lines[{index}].discount", line=number, discount=discount, gross=gross)
            )
        priced.append(
            DocumentLine(
                number=number,
                product=line.product,
                quantity=line.quantity,
                unit_price=price,
                discount=discount,
                warehouse=line.warehouse or request.warehouse,
                attribute=line.attribute,
                net=net,
                vat=vat,
                duty=duty,
                payable=net + vat + duty,
                vat_percent=rates.vat,
                duty_percent=rates.duty,
                reserved=next(gets) if demand else ZERO,
            )
        )
    if sum([line.payable + line.discount for line in priced]) > MAX_AMOUNT:
        wrong.append(reason("amount_too_large", at="lines", limit=MAX_AMOUNT))
    if original is not None and request.kind is Kind.SALES_RETURN and not wrong:
        wrong.extend(_returnable(priced, original, snapshot))
    return priced, tuple(wrong)


def _returnable(lines: Sequence[DocumentLine], original: Original, snapshot: Snapshot) -> list[Reason]:
    """A return takes back at most what was sold and not yet returned, per product and attribute; of an order and its
    invoices together no more than of one of them, for they sold the same goods."""
    left: Quantities = {}
    _add(original.lines, 1, left)
    for key, quantity in original.taken.returned.items():
        left[key] = left.get(key, ZERO) - quantity
    order = original if original.kind is Kind.SALES_ORDER else _order_behind(original, snapshot)
    if order is not None:
        ordered: Quantities = {}
        _add(order.lines, 1, ordered)
        for key in left:
            together = max(ordered.get(key, ZERO), order.taken.invoiced.get(key, ZERO))
            back = order.taken.returned.get(key, ZERO) + order.taken.brought_back.get(key, ZERO)
            left[key] = min(left[key], together - back)
    wrong = []
    for line in lines:
        key = (line.product, line.attribute)
        remaining = left.get(key, ZERO)
        if line.quantity > remaining:
            wrong.append(
                reason(
                    "return_too_much",
                    line=line.number,
                    product=line.product,
                    left=quantity_text(max(remaining, ZERO)),
                    wanted=quantity_text(line.quantity),
                )
            )
        left[key] = remaining - line.quantity
    return wrong


def _order_behind(sale: Original, snapshot: Snapshot) -> Original | None:
    """The order an invoice was made from."""
    return snapshot.originals.get(sale.order_id) if sale.order_id else None


def _settle(
    command: Content,
    priced: list[DocumentLine],
    wanted: Sequence[reservation.Demand | None],
    original: Original | None,
    snapshot: Snapshot,
    policy: Policy,
) -> _Outcome:
    """Stock, the source's tax and credit, in this order: the first that forbids wins, those that hold add up."""
    request = command.document
    original_id = original.document_id if original else None
    lines, reasons = _supplied(priced, wanted, snapshot, policy.stock)
    totals = tax.totals(lines)
    if reasons and (policy.stock is StockPolicy.ALL_OR_NOTHING or not any(line.quantity for line in lines)):
        return _Outcome(State.REJECTED, reasons, tuple(lines), totals, original_id)
    differences = [*_tax_differences(request, priced, policy), *_asked(request)]
    if reasons and policy.stock is StockPolicy.BACKORDER:
        return _Outcome(State.BACKORDERED, (*reasons, *differences), tuple(lines), totals, original_id)
    effect = credit_effect(request)
    account = snapshot.accounts[request.account] if request.account else None
    state, credit_reasons = _credit(effect, totals.payable, account, command.source, policy)
    if differences and state is State.CLEARED:
        state = State.HELD
    if state is State.REJECTED:
        lines = _unreserved(lines)
    return _Outcome(state, (*reasons, *differences, *credit_reasons), tuple(lines), totals, original_id)


def _supplied(
    priced: list[DocumentLine],
    wanted: Sequence[reservation.Demand | None],
    snapshot: Snapshot,
    policy: StockPolicy,
) -> tuple[list[DocumentLine], tuple[Reason, ...]]:
    """The lines by what they got, and why where that is less than was wanted; under the partial policy they are cut
    to it and priced again."""
    lines = list(priced)
    reasons: list[Reason] = []
    for index, (line, demand) in enumerate(zip(priced, wanted, strict=True)):
        if demand is None or line.reserved == line.quantity:
            continue
        missing = line.quantity - line.reserved
        match policy:
            case StockPolicy.ALL_OR_NOTHING:
                reasons.extend(_short_reason(line, demand, wanted, snapshot))
            case StockPolicy.PARTIAL:
                reasons.append(_partly(line))
                lines[index] = _cut(line, missing)
            case StockPolicy.BACKORDER:
                reasons.append(_backordered(line, missing))
                lines[index] = msgspec.structs.replace(line, short=missing)
    return lines, tuple(reasons)


def _short_reason(
    line: DocumentLine,
    demand: reservation.Demand,
    wanted: Sequence[reservation.Demand | None],
    snapshot: Snapshot,
) -> Iterable[Reason]:
    """Why an all-or-nothing document fails on this line, if it does: all its lines of that stock together want too
    much."""
    key, _ = demand
    together = sum((other[1] for other in wanted if other and other[0] == key), ZERO)
    sellable = max(snapshot.level(key).sellable, ZERO)
    if together > sellable:
        yield reason(
            "stock_short",
            line=line.number,
            product=line.product,
            warehouse=line.warehouse,
            sellable=quantity_text(sellable),
            wanted=quantity_text(together),
        )


def _partly(line: DocumentLine) -> Reason:
    return reason(
        "stock_partly",
        line=line.number,
        product=line.product,
        reserved=quantity_text(line.reserved),
        wanted=quantity_text(line.quantity),
    )


def _backordered(line: DocumentLine, missing: Decimal) -> Reason:
    return reason("backordered", line=line.number, product=line.product, short=quantity_text(missing))


def _cut(line: DocumentLine, missing: Decimal) -> DocumentLine:
    """A line reduced to what it got; its discount in proportion, rounded half-up."""
    got = line.reserved
    discount = tax.share(line.discount, got, line.quantity)
    rates = tax.Rates(line.vat_percent, line.duty_percent)
    amounts = tax.line_amounts(line.unit_price, got, discount, rates)
    return msgspec.structs.replace(
        line,
        quantity=got,
        short=missing,
        discount=discount,
        net=amounts.net,
        vat=amounts.vat,
        duty=amounts.duty,
        payable=amounts.payable,
    )


def _unreserved(lines: Iterable[DocumentLine]) -> list[DocumentLine]:
    """The lines of a document that holds no stock any more."""
    return [msgspec.structs.replace(line, reserved=ZERO) if line.reserved else line for line in lines]


def _tax_differences(request: DocumentRequest, priced: Sequence[DocumentLine], policy: Policy) -> list[Reason]:
    """Where the source's own tax, on the lines as it sent them, differs from ours by more than the tolerance."""
    found = []
    for index, sent in enumerate(request.lines):
        if sent.vat is None and sent.duty is None:
            continue
        line = priced[index]
        theirs = (line.vat if sent.vat is None else sent.vat) + (line.duty if sent.duty is None else sent.duty)
        ours = line.vat + line.duty
        if abs(theirs - ours) > policy.tax_tolerance:
            found.append(reason("tax_difference", at=f"lines[{index}].vat", line=line.number, theirs=theirs, ours=ours))
    if request.tax is not None:
        ours = sum(line.vat + line.duty for line in priced)
        if abs(request.tax - ours) > policy.tax_tolerance:
            found.append(reason("tax_difference", at="tax", theirs=request.tax, ours=ours))
    return found


def _asked(request: DocumentRequest) -> tuple[Reason, ...]:
    """The source's own wish that a person looks at the document first."""
    return (reason("source_hold", why=request.hold, at="hold"),) if request.hold else ()


def _credit(
    effect: int, payable: int, account: AccountLedger | None, source: str, policy: Policy
) -> tuple[State, tuple[Reason, ...]]:
    if effect <= 0 or account is None:
        return State.CLEARED, ()
    instant = credit.instant_credit(account)
    if payable > instant:
        state = State.HELD if policy.credit is CreditPolicy.HOLD else State.REJECTED
        return state, (reason("credit_exceeded", payable=payable, instant=instant),)
    if policy.approval:
        return State.HELD, (reason("approval_rule", source=source),)
    return State.CLEARED, ()


# --- what a document holds


def _stand(document: Document, content_id: UUID, snapshot: Snapshot) -> Standing:
    """The document with what its state lets it hold, counted in the snapshot."""
    standing = Standing(document, content_id, _movements(document, snapshot), _hold(document, snapshot))
    _count(standing, snapshot)
    return standing


def _movements(document: Document, snapshot: Snapshot) -> tuple[Movement, ...]:
    """Goods leave stock as soon as they are reserved, held or not; they come in once the document is cleared, but not
    while it is being posted, for the books may show them already."""
    rule = KINDS[document.kind]
    takes = rule.takes_stock and (document.state in TAKING or _is_open_order(document))
    brings = rule.brings_stock and document.state in POSTABLE
    if not takes and not brings:
        return ()
    movements = []
    order = snapshot.originals.get(document.id)
    left = _left(document, order.taken.invoiced if order else {})
    for line in document.lines:
        if not line.warehouse:
            continue
        reserved = min(line.reserved, left[line.number])
        if takes and reserved:
            key = StockKey(line.product, line.warehouse, line.attribute)
            movements.append(Movement(document.id, line.number, key, reserved, outgoing=True))
        if brings and line.quantity and snapshot.products[line.product].stocked:
            key = StockKey(line.product, document.to_warehouse or line.warehouse, line.attribute)
            movements.append(Movement(document.id, line.number, key, line.quantity, outgoing=False))
    return tuple(movements)


def _is_open_order(document: Document) -> bool:
    """Whether the books have an order of ours: it moves nothing there, so what it holds here is held until it is
    invoiced or cancelled. One the books had before (posted from its first step on) holds nothing."""
    return document.kind is Kind.SALES_ORDER and document.state is State.POSTED and document.step > 1


def _left(document: Document, invoiced: Quantities) -> dict[int, Decimal]:
    """What is left of each line, by number, after what was invoiced of an order: its first lines first."""
    left = {line.number: line.quantity for line in document.lines}
    if document.kind is not Kind.SALES_ORDER:
        return left
    over = {key: quantity for key, quantity in invoiced.items() if quantity > 0}
    for line in document.lines:
        taken = min(over.get((line.product, line.attribute), ZERO), line.quantity)
        if taken:
            over[line.product, line.attribute] -= taken
            left[line.number] = line.quantity - taken
    return left


def _reassess(order_id: UUID | None, snapshot: Snapshot) -> None:
    """Let an order hold what its invoices leave of it."""
    standing = snapshot.documents.get(order_id) if order_id else None
    if standing is None:
        return
    document = standing.document
    after = Standing(document, standing.content_id, _movements(document, snapshot), _hold(document, snapshot))
    reservation.withdraw(standing.movements, snapshot)
    credit.withdraw(standing.hold, snapshot)
    reservation.apply(after.movements, snapshot)
    credit.apply(after.hold, snapshot)
    snapshot.documents[document.id] = after


@contextmanager
def _order_lends(request: DocumentRequest, original: Original | None, snapshot: Snapshot) -> Iterator[None]:
    """While an invoice is judged its order's goods and credit are there for it, as far as it asks for them."""
    if original is None or request.kind is not Kind.SALES_INVOICE:
        yield
        return
    with _counted(request.lines, original, (original.taken.invoiced, original.taken.charged), snapshot):
        yield


@contextmanager
def _order_lends_credit(document: Document, snapshot: Snapshot) -> Iterator[None]:
    """While an invoice that waited is judged anew its order's credit is there for it."""
    original = snapshot.originals.get(document.original_id) if document.original_id else None
    if original is None or document.kind is not Kind.SALES_INVOICE:
        yield
        return
    with _counted(document.lines, original, (original.taken.charged,), snapshot):
        yield


@contextmanager
def _counted(
    lines: Sequence[LineRequest | DocumentLine], order: Original, sums: Sequence[Quantities], snapshot: Snapshot
) -> Iterator[None]:
    """Lines counted in these sums of their order, for a while."""
    _add(lines, 1, *sums)
    _reassess(order.document_id, snapshot)
    try:
        yield
    finally:
        _add(lines, -1, *sums)
        _reassess(order.document_id, snapshot)


def _add(lines: Iterable[LineRequest | DocumentLine | SoldLine], sign: int, *sums: Quantities) -> None:
    for line in lines:
        key = (line.product, line.attribute)
        for quantities in sums:
            quantities[key] = quantities.get(key, ZERO) + sign * line.quantity


def _hold(document: Document, snapshot: Snapshot) -> CreditHold | None:
    """Credit is taken until the books show it; what a document gives isn't counted while it is being posted, for the
    books may show it already."""
    effect = credit_effect(document)
    counts = document.state in POSTABLE or (document.state is State.POSTING and effect > 0) or _is_open_order(document)
    if not effect or document.account is None or not counts:
        return None
    amount = document.totals.payable
    if document.kind is Kind.SALES_ORDER:
        order = snapshot.originals.get(document.id)
        left = _left(document, order.taken.charged if order else {})
        amount = sum(
            tax.share(line.payable, left[line.number], line.quantity) for line in document.lines if line.quantity
        )
    return CreditHold(document.id, document.account, effect * amount) if amount else None


def _count(standing: Standing, snapshot: Snapshot) -> None:
    reservation.apply(standing.movements, snapshot)
    credit.apply(standing.hold, snapshot)
    _count_returned(standing.document, snapshot, 1)


def release(standing: Standing, snapshot: Snapshot) -> None:
    """Take back everything a document holds from the snapshot's sums."""
    reservation.withdraw(standing.movements, snapshot)
    credit.withdraw(standing.hold, snapshot)
    _count_returned(standing.document, snapshot, -1)


def _count_returned(document: Document, snapshot: Snapshot, sign: int) -> None:
    if document.original_id is None or document.state in DROPPED:
        return
    original = snapshot.originals.get(document.original_id)
    if original is None:
        return
    if document.kind is not Kind.SALES_INVOICE:
        _add(document.lines, sign, original.taken.returned)
        if (order := _order_behind(original, snapshot)) is not None:
            _add(document.lines, sign, order.taken.brought_back)
        return
    _add(document.lines, sign, original.taken.invoiced)
    if document.state not in UNCHARGED:
        _add(document.lines, sign, original.taken.charged)
    _reassess(original.document_id, snapshot)


def _taken_back(before: Standing, after: Standing, order: Standing | None, snapshot: Snapshot) -> list[Reason]:
    """Goods or credit the document had given that others already use: what it brought can't simply vanish, nor what
    its ``order``, as that was before, had left to it."""
    reasons = []
    gave: dict[StockKey, Decimal] = {}
    for movement in before.movements:
        if not movement.outgoing:
            gave[movement.key] = gave.get(movement.key, ZERO) + movement.quantity
    for movement in after.movements:
        if not movement.outgoing and movement.key in gave:
            gave[movement.key] -= movement.quantity
    for key, less in gave.items():
        if less > 0 and snapshot.level(key).sellable < 0:
            reasons.append(reason("goods_in_use", product=key.product))
    gift = before.hold
    if gift is not None and gift.amount < 0:
        kept = after.hold.amount if after.hold and after.hold.account == gift.account else 0
        if kept > gift.amount and credit.instant_credit(snapshot.accounts[gift.account]) < 0:
            reasons.append(reason("credit_in_use"))
    if order is not None:
        reasons.extend(_order_takes_back((before, order), (after, snapshot.documents[order.document.id]), snapshot))
    return reasons


def _order_of(standing: Standing, snapshot: Snapshot) -> Standing | None:
    """The order an invoice was made from, as it now is."""
    document = standing.document
    if document.kind is not Kind.SALES_INVOICE or document.original_id is None:
        return None
    return snapshot.documents.get(document.original_id)


def _order_takes_back(before: Iterable[Standing], after: Iterable[Standing], snapshot: Snapshot) -> list[Reason]:
    """What an invoice and its order together take more of than before, and there isn't: the invoice came from another
    warehouse, or was cheaper or paid in cash, and what the order then gave up went to others."""
    goods: dict[StockKey, Decimal] = {}
    money: dict[str, int] = {}
    for sign, standings in ((-1, before), (1, after)):
        for standing in standings:
            for movement in standing.movements:
                goods[movement.key] = goods.get(movement.key, ZERO) + sign * movement.quantity
            if (hold := standing.hold) is not None:
                money[hold.account] = money.get(hold.account, 0) + sign * hold.amount
    reasons = [
        reason("order_takes_back", product=key.product, warehouse=key.warehouse)
        for key, more in goods.items()
        if more > 0 and snapshot.level(key).sellable < 0
    ]
    if any(more > 0 and credit.instant_credit(snapshot.accounts[code]) < 0 for code, more in money.items()):
        reasons.append(reason("order_takes_credit_back"))
    return reasons


# --- commands on a document that exists

_OnDocument = (
    Approve | Refuse | Cancel | Release | Expire | Reconsider | PostingStarted | PostingSucceeded | PostingFailed
)


def _on_document(
    command: _OnDocument, standing: Standing, snapshot: Snapshot, settings: RuleSettings, now: datetime
) -> tuple[Document, tuple[Reason, ...]]:
    match command:
        case Approve():
            return _approve(command, standing, snapshot, settings, now)
        case Refuse():
            _check_seen(command, standing)
            approval = Approval(command.actor, now, approved=False, note=command.note)
            why = reason("refused", note=command.note or command.actor)
            return _end(command, standing, snapshot, now, {State.HELD}, State.REJECTED, why, approval=approval)
        case Cancel():
            why = reason("cancelled", note=command.note or command.actor)
            allowed = CANCELLABLE | {State.POSTED} if _is_open_order(standing.document) else CANCELLABLE
            return _end(command, standing, snapshot, now, allowed, State.CANCELLED, why)
        case Release():
            return _release(command, standing, snapshot, now)
        case Expire():
            if standing.document.expires_at != command.due:
                raise _Refused(reason("not_due", due=jalali_time(command.due)))
            why = reason("expired", due=jalali_time(command.due))
            return _end(command, standing, snapshot, now, EXPIRABLE, State.EXPIRED, why)
        case Reconsider():
            return _reconsider(command, standing, snapshot, settings, now)
        case PostingStarted():
            # Also one that is being posted: whoever was to post it may have passed it over (another configuration).
            _require(command, standing, POSTABLE | {State.POSTING})
            _check_released(standing.document)
            waits = (reason("posting_waits", why=command.note),) if command.note else ()
            return _move(standing, snapshot, now, State.POSTING, waits)
        case PostingSucceeded():
            return _posted(command, standing, snapshot, now)
        case PostingFailed():
            _require(command, standing, {State.POSTING, State.CLEARED})
            _check_released(standing.document)
            why = reason("posting_failed", message=command.message, number=str(command.error_number))
            posting = Posting(error=command.message, error_number=command.error_number)
            return _move(standing, snapshot, now, State.POST_FAILED, (why,), posting=posting)


def _require(command: _OnDocument, standing: Standing, states: Iterable[State]) -> None:
    state = standing.document.state
    if state not in states:
        raise _Refused(reason("wrong_state", state=state, command=_name(command)))


def _check_released(document: Document) -> None:
    """The books don't get what a policy keeps from them, whichever connector asks."""
    if not document.may_be_posted:
        raise _Refused(*_kept_back(State.CLEARED, document.source, document.posting_policy))


def _check_seen(command: Approve | Refuse | Release, standing: Standing) -> None:
    """Whoever judges a document has to have seen its present content."""
    current = standing.document.revision
    if command.revision < current:
        raise _Refused(reason("stale_revision", revision=command.revision, current=current))


def _move(
    standing: Standing, snapshot: Snapshot, now: datetime, state: State, reasons: tuple[Reason, ...], **changes: object
) -> tuple[Document, tuple[Reason, ...]]:
    """The document in another state, holding what that state lets it hold."""
    before = standing.document
    document = msgspec.structs.replace(
        before, state=state, step=before.step + 1, changed_at=now, reasons=reasons, **changes
    )
    if not document.may_be_posted and (kept := _kept_back(state, document.source, document.posting_policy)):
        reasons += kept
        document = msgspec.structs.replace(document, reasons=reasons)
    if state in DROPPED:
        document = msgspec.structs.replace(document, lines=tuple(_unreserved(document.lines)), expires_at=None)
    release(standing, snapshot)
    snapshot.documents[document.id] = _stand(document, standing.content_id, snapshot)
    return document, reasons


def _end(
    command: _OnDocument,
    standing: Standing,
    snapshot: Snapshot,
    now: datetime,
    allowed: Iterable[State],
    state: State,
    why: Reason,
    **changes: object,
) -> tuple[Document, tuple[Reason, ...]]:
    """A final state that gives everything back."""
    _require(command, standing, allowed)
    _check_not_returned(standing, snapshot)
    return _move_back(standing, snapshot, now, state, (why,), **changes)


def _move_back(
    standing: Standing, snapshot: Snapshot, now: datetime, state: State, reasons: tuple[Reason, ...], **changes: object
) -> tuple[Document, tuple[Reason, ...]]:
    """:func:`_move`, unless others already live on what the document brought."""
    order = _order_of(standing, snapshot)
    moved = _move(standing, snapshot, now, state, reasons, **changes)
    after = snapshot.documents[standing.document.id]
    if taken := _taken_back(standing, after, order, snapshot):
        release(after, snapshot)
        _count(standing, snapshot)
        snapshot.documents[standing.document.id] = standing
        raise _Refused(*taken)
    return moved


def _approve(
    command: Approve, standing: Standing, snapshot: Snapshot, settings: RuleSettings, now: datetime
) -> tuple[Document, tuple[Reason, ...]]:
    _require(command, standing, {State.HELD})
    _check_seen(command, standing)
    document = standing.document
    ttl = settings.policy(document.source, document.kind).reservation
    return _move(
        standing,
        snapshot,
        now,
        State.CLEARED,
        (reason("approved", actor=command.actor),),
        approval=Approval(command.actor, now, approved=True, note=command.note),
        expires_at=now + ttl if ttl and document.expires_at else None,
    )


def _release(
    command: Release, standing: Standing, snapshot: Snapshot, now: datetime
) -> tuple[Document, tuple[Reason, ...]]:
    """A cleared document that waited for it goes to the books."""
    _require(command, standing, {State.CLEARED})
    _check_seen(command, standing)
    document = standing.document
    if document.posting_policy is PostingPolicy.NEVER:
        _check_released(document)
    if document.may_be_posted:
        raise _Refused(reason("nothing_to_release"))
    return _move(
        standing,
        snapshot,
        now,
        State.CLEARED,
        (reason("released", actor=command.actor),),
        released=Released(command.actor, now, command.note),
    )


def _reconsider(
    command: Reconsider, standing: Standing, snapshot: Snapshot, settings: RuleSettings, now: datetime
) -> tuple[Document, tuple[Reason, ...]]:
    """Give a backordered document what has come in; complete, it goes on to the credit check."""
    _require(command, standing, {State.BACKORDERED})
    document = standing.document
    waiting = [line for line in document.lines if line.short]
    demands = [(StockKey(line.product, line.warehouse or "", line.attribute), line.short) for line in waiting]
    given = reservation.allot(demands, snapshot.stock, StockPolicy.BACKORDER)
    if not any(given):
        raise _Refused(reason("still_short"))
    gets = {line.number: take for line, take in zip(waiting, given, strict=True)}
    lines = tuple(
        msgspec.structs.replace(line, reserved=line.reserved + take, short=line.short - take)
        if (take := gets.get(line.number))
        else line
        for line in document.lines
    )
    differences = tuple(why for why in document.reasons if why.code in HOLDING)
    still = tuple(_backordered(line, line.short) for line in lines if line.short)
    if still:
        return _move(standing, snapshot, now, State.BACKORDERED, (*still, *differences), lines=lines)
    account = snapshot.accounts[document.account] if document.account else None
    policy = settings.policy(document.source, document.kind)
    with _order_lends_credit(document, snapshot):
        state, reasons = _credit(credit_effect(document), document.totals.payable, account, document.source, policy)
    if differences and state is State.CLEARED:
        state = State.HELD
    return _move_back(standing, snapshot, now, state, (*differences, *reasons), lines=lines)


def _posted(
    command: PostingSucceeded, standing: Standing, snapshot: Snapshot, now: datetime
) -> tuple[Document, tuple[Reason, ...]]:
    """Posted: what the document holds stays counted until the books' own figures are newer than the posting; of an
    order, which moves nothing in the books, until it is invoiced or cancelled."""
    _require(command, standing, (*POSTABLE, State.POSTING))
    before = standing.document
    document = msgspec.structs.replace(
        before,
        state=State.POSTED,
        step=before.step + 1,
        changed_at=now,
        reasons=(),
        expires_at=None,
        posting=Posting(number=command.number, posted_at=command.posted_at),
    )
    release(standing, snapshot)
    if document.kind is Kind.SALES_ORDER:
        snapshot.documents[document.id] = _stand(document, standing.content_id, snapshot)
        return document, ()
    counted = msgspec.structs.replace(document, state=State.CLEARED)
    movements = tuple(
        msgspec.structs.replace(movement, posted_at=command.posted_at)
        for movement in _movements(counted, snapshot)
        if not _shows(snapshot.level(movement.key).as_of, command.posted_at, taken=movement.outgoing)
    )
    hold = _hold(counted, snapshot)
    if hold is not None:
        account = snapshot.accounts[hold.account]
        hold = (
            None
            if _shows(account.as_of, command.posted_at, taken=hold.amount > 0)
            else msgspec.structs.replace(hold, posted_at=command.posted_at)
        )
    after = Standing(document, standing.content_id, movements, hold)
    _count(after, snapshot)
    snapshot.documents[document.id] = after
    return document, ()


def _shows(as_of: datetime | None, posted_at: datetime, *, taken: bool) -> bool:
    """Whether the books' figure must be thought to show a posting. Of the very moment of the posting it may or may
    not; so what was taken is counted on, and what was given is not counted again."""
    return as_of is not None and (as_of > posted_at if taken else as_of >= posted_at)


def quantity_text(quantity: Decimal) -> str:
    """A quantity as people read it: no trailing zeros, no exponent."""
    return f"{quantity.normalize():f}"
