"""Commands on a document: approve, refuse, cancel, release, expire, amend.

A command's id comes from the document, the command and the document's present step, so that a click repeated while
the first is on its way is one command. Refusals change no step, so they count too: what was refused may be tried again.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from aiohttp import web

from hub.api import bodies, documents
from hub.api.intake import answer
from hub.api.problems import Problem, of_reasons
from hub.api.routing import Call
from hub.rules.validation import MAX_NOTE, MAX_REVISION
from hub.store import reading
from schemas import ids, text
from schemas.commands import Amend, Approve, Cancel, Expire, Refuse, Release
from schemas.dates import utc_now
from schemas.documents import Document
from schemas.events import COMMAND_REFUSED
from schemas.reasons import Reason, reason

Plain = type[Approve] | type[Refuse] | type[Cancel] | type[Release]


def plain(kind: Plain) -> Callable[[Call], Awaitable[web.Response]]:
    """The handler of a command that carries a note and nothing else."""

    async def handle(call: Call) -> web.Response:
        document = await decided(call)
        note, seen = await _words(call)
        return await answer(call, kind(note=note, **await _envelope(call, document, kind.__name__.lower(), seen)))

    return handle


async def expire(call: Call) -> web.Response:
    """POST /v1/documents/{id}/expire: its reservation, before its time."""
    document = await decided(call)
    note, seen = await _words(call)
    if document.expires_at is None:
        raise Problem(
            "command-refused",
            f"the document is {document.state} and has no reservation that runs out",
            f"سند در وضعیت {document.state} است و رزرو مهلت‌داری ندارد",
        )
    return await answer(
        call, Expire(note=note, due=document.expires_at, **await _envelope(call, document, "expire", seen))
    )


async def amend(call: Call) -> web.Response:
    """POST /v1/documents/{id}/amend"""
    document = await decided(call)
    sent = dict(bodies.json_object(await bodies.read_json(call.request, call.hub.settings)))
    sent.setdefault("source_id", document.source_id)
    sent.setdefault("revision", document.revision + 1)
    request = bodies.document_request(sent, call.hub.rules.limits)
    if request.source_id != document.source_id:
        raise of_reasons(
            [
                Reason(
                    "other_document",
                    f"این سند شناسهٔ {document.source_id} دارد؛ source_id را نفرستید یا همین را بفرستید",
                    f"this document's own id is {document.source_id}; leave source_id out or send that",
                    field="source_id",
                )
            ]
        )
    command = Amend.of(request, source=document.source, actor=call.caller.name, now=utc_now(), trace=call.trace)
    return await answer(call, command)


async def decided(call: Call) -> Document:
    """The document in the path, which commands can be given on. Raises a 404 Problem, or 409 before it is decided."""
    document = await documents.visible(call)
    if document is None:
        raise Problem(
            "undecided",
            "the document was accepted and isn't decided yet; send the command again in a moment",
            "سند پذیرفته شده و هنوز دربارهٔ آن تصمیمی گرفته نشده؛ کمی بعد دوباره بفرستید",
            headers={"Retry-After": "1"},
        )
    return document


async def _envelope(call: Call, document: Document, kind: str, seen: int | None) -> dict[str, Any]:
    now = utc_now()
    return {
        "command_id": await _command_id(call, document, kind),
        "document_id": document.id,
        "source": document.source,
        "source_id": document.source_id,
        "revision": seen or document.revision,
        "occurred_at": now,
        "recorded_at": now,
        "actor": call.caller.name,
        "trace": call.trace,
    }


async def _command_id(call: Call, document: Document, kind: str) -> UUID:
    events = await call.hub.stored(reading.history(call.hub.store, document.id))
    refusals = sum(event.type == COMMAND_REFUSED for event in events)
    return ids.command_id(document.id, kind, f"{document.step}/{refusals}")


async def _words(call: Call) -> tuple[str, int | None]:
    """The note a command may carry, and the revision its giver saw, in an optional JSON object."""
    if not call.request.body_exists:
        return "", None
    sent = bodies.json_object(await bodies.read_json(call.request, call.hub.settings))
    known = ("note", "revision")
    wrong = [
        reason("unknown_field", at=name[:40], name=name[:40], known=", ".join(known))
        for name in sent
        if name not in known
    ]
    note, seen = sent.get("note", ""), sent.get("revision")
    if not isinstance(note, str):
        wrong.append(reason("not_text", at="note", value=type(note).__name__))
    elif "\x00" in note:
        wrong.append(reason("bad_text", at="note"))
    elif len(note) > MAX_NOTE:
        wrong.append(reason("text_too_long", at="note", limit=MAX_NOTE))
    if seen is not None and (type(seen) is not int or not 1 <= seen <= MAX_REVISION):
        wrong.append(reason("revision", at="revision"))
    if wrong:
        raise of_reasons(wrong[: bodies.MAX_TOLD])
    return text.normalise(str(note)), seen if isinstance(seen, int) else None
