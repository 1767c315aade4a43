"""A look ahead: what would become of a document if it were decided now. The API and ``hub preview`` ask here."""

from collections.abc import Mapping
from decimal import Decimal
from uuid import uuid4

from hub.api import bodies
from hub.api.answers import CreditSum, PolicyApplied, Preview, PreviewStock
from hub.rules.credit import instant_credit
from hub.rules.deciding import decide, needs, quantity_text
from hub.rules.settings import Policy, RuleSettings
from hub.rules.validation import line_numbers
from hub.store import reading
from hub.store.pool import Store
from schemas import ids, text
from schemas.commands import Submit
from schemas.dates import utc_now
from schemas.documents import DocumentRequest, Kind, Totals
from schemas.events import COMMAND_REFUSED
from schemas.ledger import AccountLedger, Snapshot, StockKey


async def look_ahead(
    store: Store, settings: RuleSettings, sent: Mapping[str, object], source: str, actor: str
) -> Preview:
    """What would become of a document as it was sent; one that exists is previewed as its amendment.

    Raises Problem if it doesn't make sense by itself, and what the store raises.
    """
    written = dict(sent)
    if written.get("source_id") is None:
        written["source_id"] = f"preview-{uuid4()}"
    elif "revision" not in written:
        written["revision"] = await _next_revision(store, source, written["source_id"])
    request = bodies.document_request(written, settings.limits)
    command = Submit.of(request, source=source, actor=actor, now=utc_now())
    snapshot = await reading.snapshot(store, needs([command]))
    stock = tuple(_stock(request, snapshot))
    account = snapshot.accounts.get(request.account) if request.account else None
    credit = credit_sum(account) if account else None
    event = decide(command, snapshot, settings, utc_now())
    document = None if event.type == COMMAND_REFUSED else event.document
    return Preview(
        outcome=document.state if document else "refused",
        reasons=event.reasons,
        lines=document.lines if document else (),
        totals=document.totals if document else Totals(),
        stock=stock,
        credit=credit,
        policy=_applied(source, request.kind, settings.policy(source, request.kind)),
    )


async def _next_revision(store: Store, source: str, source_id: object) -> int:
    if not isinstance(source_id, str):
        return 1
    document = await reading.document(store, ids.document_id(source, text.code(source_id)))
    return document.revision + 1 if document else 1


def _stock(request: DocumentRequest, snapshot: Snapshot) -> list[PreviewStock]:
    found = []
    for number, line in zip(line_numbers(request.lines), request.lines, strict=True):
        warehouse = line.warehouse or request.warehouse
        product = snapshot.products.get(line.product)
        sellable = None
        if product is not None and product.stocked and warehouse:
            level = snapshot.stock.get(StockKey(line.product, warehouse, line.attribute))
            sellable = quantity_text(max(level.sellable if level else Decimal(0), Decimal(0)))
        found.append(
            PreviewStock(number, line.product, warehouse, line.attribute, quantity_text(line.quantity), sellable)
        )
    return found


def credit_sum(account: AccountLedger) -> CreditSum:
    """An account's credit, every term of it."""
    return CreditSum(
        direct=account.direct,
        documentary=account.documentary,
        balance=account.balance,
        uncleared_cheques=account.uncleared_cheques,
        held=account.held,
        instant=instant_credit(account),
        returned_cheques=account.returned_cheques,
        as_of=account.as_of,
    )


def _applied(source: str, kind: Kind, policy: Policy) -> PolicyApplied:
    return PolicyApplied(
        source=source,
        kind=kind,
        stock=policy.stock,
        credit=policy.credit,
        reservation_seconds=int(policy.reservation.total_seconds()) if policy.reservation else None,
        tax_tolerance=policy.tax_tolerance,
        approval=policy.approval,
        posting=policy.posting,
    )
