"""Documents as they are asked for: one, its history, lists, counts, and a look ahead (hub/api/preview.py)."""

from datetime import datetime
from uuid import UUID

from aiohttp import web

from hub.api import bodies
from hub.api.answers import Counts, DocumentPage, History, Pending
from hub.api.parameters import cursor_text
from hub.api.preview import look_ahead
from hub.api.problems import Problem, of_reasons
from hub.api.routing import Call, json_reply
from hub.store import intake, reading
from hub.store.reading import DocumentFilter
from schemas.documents import Document, State
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


async def preview(call: Call) -> web.Response:
    """POST /v1/documents/preview"""
    hub = call.hub
    sent = bodies.json_object(await bodies.read_json(call.request, hub.settings))
    return json_reply(await hub.stored(look_ahead(hub.store, hub.rules, sent, call.caller.source, call.caller.name)))
