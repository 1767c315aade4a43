"""Documents as they are asked for: one, its history, lists, counts, and a look ahead."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from hub.api import bodies
from hub.api.answers import (
    Counts,
    CreditSum,
    DocumentPage,
    History,
    Pending,
    Preview,
    PreviewStock,
)
from hub.api.parameters import cursor_text
from hub.api.problems import Problem, of_reasons
from hub.api.routing import Call, json_reply
from hub.rules.credit import instant_credit
from hub.rules.deciding import decide, needs, quantity_text
from hub.rules.validation import line_numbers
from hub.store import intake, reading
from hub.store.reading import DocumentFilter
from schemas import ids, text
from schemas.commands import Submit
from schemas.dates import utc_now
from schemas.documents import Document, DocumentRequest, State, Totals
from schemas.events import COMMAND_REFUSED
from schemas.ledger import AccountLedger, Snapshot, StockKey
from schemas.reasons import reason

Cursor = tuple[datetime, UUID]


async def get(call: Call) -> web.Response:
    """GET /v1/documents/{id}"""
    document = await visible(call)
    if document is None:
        return json_reply(Pending(document_id(call)), 202, {"Retry-After": "1"})
    return json_reply(document)


async def history(call: Call) -> web.Response:
    """GET /v1/documents/{id}/history"""
    document = await visible(call)
    found = await call.hub.stored(reading.history(call.hub.store, document.id)) if document else []
    return json_reply(History(tuple(found)))


async def visible(call: Call) -> Document | None:
    """The document in the path; None if it was accepted and isn't decided yet. Raises a 404 Problem for none, and for
    one the caller may not see: that it exists is no answer either."""
    id_ = document_id(call)
    document = await call.hub.stored(reading.document(call.hub.store, id_))
    source = document.source if document else await call.hub.stored(intake.accepted(call.hub.store, id_))
    if source is None or not call.caller.sees(source):
        raise unknown()
    return document


def document_id(call: Call) -> UUID:
    """The id in the path. Raises a 404 Problem for anything else there."""
    try:
        return UUID(call.request.match_info["id"])
    except ValueError:
        raise unknown() from None


def unknown() -> Problem:
    """There is no such document, or none the caller may see."""
    return of_reasons([reason("unknown_document", at="id")], "not-found")


async def every(call: Call) -> web.Response:
    """GET /v1/documents"""
    query = call.query
    source: str | None = query["source"]
    if not call.caller.sees_all:
        if source not in (None, call.caller.source):
            return json_reply(DocumentPage((), None))
        source = call.caller.source
    if query["since"] and query["until"] and query["since"] > query["until"]:
        raise Problem(
            "invalid",
            "`since` is after `until`, so no day lies between",
            "«since» پس از «until» است و روزی میان آن‌ها نیست",
        )
    limit: int = query["limit"]
    wanted = DocumentFilter(
        source=source,
        source_id=query["source_id"],
        kind=query["kind"],
        state=query["state"],
        account=query["account"],
        since=query["since"],
        until=query["until"],
        after=query["cursor"],
    )
    found = await call.hub.stored(reading.documents(call.hub.store, wanted, limit + 1))
    page = found[:limit]
    after = cursor_text((page[-1].received_at, page[-1].id)) if len(found) > limit else None
    return json_reply(DocumentPage(tuple(page), after))


async def counts(call: Call) -> web.Response:
    """GET /v1/documents/counts"""
    source = None if call.caller.sees_all else call.caller.source
    states = await call.hub.stored(reading.counts(call.hub.store, source))
    ordered = {state.value: states[state] for state in State if state in states}
    return json_reply(Counts(ordered, sum(ordered.values())))


# --- a look ahead


async def preview(call: Call) -> web.Response:
    """POST /v1/documents/preview"""
    hub = call.hub
    sent = dict(bodies.json_object(await bodies.read_json(call.request, hub.settings)))
    named = sent.get("source_id") is not None
    if not named:
        sent["source_id"] = f"preview-{uuid4()}"
    elif "revision" not in sent:
        sent["revision"] = await _next_revision(call, sent["source_id"])
    request = bodies.document_request(sent, hub.rules.limits)
    command = Submit.of(request, source=call.caller.source, actor=call.caller.name, now=utc_now())
    snapshot = await hub.stored(reading.snapshot(hub.store, needs([command])))
    stock = tuple(_stock(request, snapshot))
    account = snapshot.accounts.get(request.account) if request.account else None
    credit = credit_sum(account) if account else None
    event = decide(command, snapshot, hub.rules, utc_now())
    refused = event.type == COMMAND_REFUSED
    document = None if refused else event.document
    return json_reply(
        Preview(
            outcome=document.state if document else "refused",
            reasons=event.reasons,
            lines=document.lines if document else (),
            totals=document.totals if document else Totals(),
            stock=stock,
            credit=credit,
        )
    )


async def _next_revision(call: Call, source_id: Any) -> int:
    """A document that exists is previewed as its amendment."""
    if not isinstance(source_id, str):
        return 1
    id_ = ids.document_id(call.caller.source, text.code(source_id))
    document = await call.hub.stored(reading.document(call.hub.store, id_))
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
