"""Taking documents in: claimed in PostgreSQL, acknowledged by Kafka, and only then accepted.

The same content under the same id and revision gets the same answer, however often it is sent; other content gets 409.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from aiohttp import web

from hub.api import bodies
from hub.api.answers import ACCEPTED, Acceptance, BatchAnswer, BatchResult
from hub.api.bodies import Piece
from hub.api.context import Context
from hub.api.parameters import Parameter, choice, seconds
from hub.api.problems import Problem, of_reasons
from hub.api.routing import Call, json_reply
from hub.bus.producer import Outgoing
from hub.rules.deciding import decide, needs
from hub.store import intake, reading
from hub.store.errors import Unavailable
from schemas import codec, topics
from schemas.commands import AnyCommand, Content, Submit
from schemas.dates import utc_now
from schemas.documents import DocumentRequest
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.reasons import Reason, reason

LOOK_SECONDS = 1.0
"""How often a waiting request looks in PostgreSQL, should the feed be away."""
_KAFKA_OWN_BYTES = 1_024
"""Room for what Kafka adds to a record: its key, the heads of record and batch."""
_SLICE = 25
"""Documents of a batch read before others get their turn."""


class Wait(StrEnum):
    """What an answer may be made to wait for."""

    DECISION = "decision"


class Outcome(NamedTuple):
    """What became of one command: taken (and perhaps decided), or not, and why."""

    command: AnyCommand
    event: DocumentEvent | None = None
    problem: Problem | None = None


# --- the handlers


async def submit(call: Call) -> web.Response:
    """POST /v1/documents"""
    settings = call.hub.settings
    media = bodies.media_type(call.request)
    body = await bodies.read_body(call.request, settings)
    if media == bodies.NDJSON:
        return await _batch(call, bodies.pieces_of_lines(body, settings.max_batch))
    value = bodies.json_value(body)
    if isinstance(value, list):
        return await _batch(call, bodies.pieces_of_list(value, settings.max_batch))
    request = bodies.document_request(bodies.json_object(value), call.hub.rules.limits)
    return await answer(call, _command(call, request))


async def answer(call: Call, command: AnyCommand) -> web.Response:
    """Take one command and tell what became of it."""
    [outcome] = await take(call.hub, [command], wait_of(call))
    if outcome.problem is not None:
        raise outcome.problem
    status = 202 if outcome.event is None else 200
    body = acceptance(outcome)
    return json_reply(body, status, {"Location": body.location})


async def _batch(call: Call, pieces: Sequence[Piece]) -> web.Response:
    results: dict[int, BatchResult] = {}
    commands: list[tuple[Piece, Content]] = []
    for piece in pieces:
        if piece.place % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
        try:
            request = bodies.document_request(piece.data, call.hub.rules.limits)
        except Problem as problem:
            results[piece.place] = BatchResult(piece.place, "failed", piece.line, problem=problem.details())
        else:
            commands.append((piece, _command(call, request)))
    outcomes = await take(call.hub, [command for _, command in commands], wait_of(call))
    for (piece, _), outcome in zip(commands, outcomes, strict=True):
        results[piece.place] = _result(piece, outcome)
    ordered = tuple(results[piece.place] for piece in pieces)
    failed = sum(result.problem is not None for result in ordered)
    pending = any(result.status == ACCEPTED for result in ordered)
    return json_reply(BatchAnswer(ordered, len(ordered) - failed, failed), 202 if pending else 200)


def _command(call: Call, request: DocumentRequest) -> Submit:
    return Submit.of(request, source=call.caller.source, actor=call.caller.name, now=utc_now(), trace=call.trace)


def _result(piece: Piece, outcome: Outcome) -> BatchResult:
    if outcome.problem is not None:
        command = outcome.command
        return BatchResult(
            piece.place,
            "failed",
            piece.line,
            document_id=command.document_id,
            source_id=command.source_id,
            revision=command.revision,
            problem=outcome.problem.details(),
        )
    body = acceptance(outcome)
    return BatchResult(
        piece.place,
        body.status,
        piece.line,
        document_id=body.document_id,
        source_id=body.source_id,
        revision=body.revision,
        command_id=body.command_id,
        location=body.location,
        event_id=body.event_id,
        document=body.document,
    )


def acceptance(outcome: Outcome) -> Acceptance:
    """A taken command as it is answered."""
    command, event = outcome.command, outcome.event
    document = event.document if event else None
    return Acceptance(
        document_id=command.document_id,
        source_id=command.source_id,
        revision=document.revision if document else command.revision,
        command_id=command.command_id,
        status=document.state if document else ACCEPTED,
        location=f"/v1/documents/{command.document_id}",
        event_id=event.event_id if event else None,
        document=document,
    )


# --- waiting for a decision


def wait_parameters(default: float, longest: float) -> tuple[Parameter, Parameter]:
    """``wait`` and ``timeout``, for every route that sends a command."""
    return (
        Parameter(
            "wait",
            choice(Wait),
            {"type": "string", "enum": ["decision"]},
            "`decision`: answer once the command is decided, with the outcome; after `timeout` as without it.",
            example="decision",
        ),
        Parameter(
            "timeout",
            seconds(0, longest),
            {"type": "number", "minimum": 0, "maximum": longest, "default": default},
            "How many seconds to wait for the decision.",
            default=default,
        ),
    )


def wait_of(call: Call) -> float | None:
    """How long the caller waits for a decision; None: not at all."""
    timeout: float = call.query["timeout"]
    return timeout if call.query["wait"] else None


# --- taking commands


async def take(hub: Context, commands: Sequence[AnyCommand], wait: float | None) -> list[Outcome]:
    """Give commands to Kafka, each once, and answer what became of each, in their order.

    A command decided before isn't sent again. One that the present state plainly doesn't allow is refused at once.
    Raises Unavailable: then any of them may or may not have been taken, and sending them again is safe.
    """
    problems, decided = await _foreseen(hub, commands)
    records = {command.command_id: _record(command) for command in commands if command.command_id not in decided}
    problems |= {id_: _too_large() for id_, record in records.items() if not _fits(record)}
    undecided = {c.command_id: c for c in commands if c.command_id in records and c.command_id not in problems}
    with hub.feed.waiting(undecided if wait is not None else ()) as news:
        conflicts, earlier = await _claimed(hub, list(undecided.values()))
        problems |= conflicts
        decided |= earlier
        fresh = [id_ for id_ in undecided if id_ not in problems and id_ not in decided]
        if fresh:
            await hub.publish([records[id_] for id_ in fresh])
            hub.metrics.accepted.inc(len(fresh))
            if wait is not None:
                decided |= await _decisions(hub, {id_: news[id_] for id_ in fresh}, wait)
    return [_outcome(command, decided.get(command.command_id), problems) for command in commands]


def _outcome(command: AnyCommand, event: DocumentEvent | None, problems: Mapping[UUID, Problem]) -> Outcome:
    if event is not None and event.type == COMMAND_REFUSED:
        return Outcome(command, event, refused(event.reasons))
    return Outcome(command, event, problems.get(command.command_id))


async def _claimed(
    hub: Context, commands: Sequence[AnyCommand]
) -> tuple[dict[UUID, Problem], dict[UUID, DocumentEvent]]:
    """Note the commands' contents; answers those that other content came before, and what was decided meanwhile about
    those that aren't new."""
    contents = [command for command in commands if isinstance(command, Content)]
    claims = await hub.stored(intake.claim(hub.store, contents)) if contents else []
    conflicts = {}
    repeated = [command.command_id for command in commands if not isinstance(command, Content)]
    for command, claim in zip(contents, claims, strict=True):
        if claim.content_id != command.command_id:
            conflicts[command.command_id] = _conflict(command)
        elif not claim.first:
            repeated.append(command.command_id)
    return conflicts, await hub.stored(reading.decisions(hub.store, repeated)) if repeated else {}


async def _foreseen(
    hub: Context, commands: Sequence[AnyCommand]
) -> tuple[dict[UUID, Problem], dict[UUID, DocumentEvent]]:
    """Of the commands that change an existing document: those the rules would refuse now, and those decided before.

    A first revision is left to the deciding agent: only other content can stand in its way, and the claim finds that.
    """
    changing = [c for c in commands if not isinstance(c, Submit) or c.revision > 1]
    if not changing:
        return {}, {}
    decided = await hub.stored(reading.decisions(hub.store, [command.command_id for command in changing]))
    fresh = [command for command in changing if command.command_id not in decided]
    if not fresh:
        return {}, decided
    snapshot = await hub.stored(reading.snapshot(hub.store, needs(fresh)))
    now = utc_now()
    problems = {}
    for command in fresh:
        event = decide(command, snapshot, hub.rules, now)
        if event.type == COMMAND_REFUSED:
            problems[command.command_id] = refused(event.reasons)
    return problems, decided


def _record(command: AnyCommand) -> Outgoing:
    return Outgoing(topics.COMMANDS, str(command.document_id).encode(), codec.encode(command))


def _fits(record: Outgoing) -> bool:
    return len(record.value or b"") <= record.topic.max_bytes - _KAFKA_OWN_BYTES


def _too_large() -> Problem:
    limit = topics.COMMANDS.max_bytes - _KAFKA_OWN_BYTES
    return Problem(
        "too-large",
        f"the document is larger than the {limit:,} bytes Kafka takes; split it",
        f"سند از {limit:,} بایتی که Kafka می‌پذیرد بزرگ‌تر است؛ آن را به چند سند بشکنید",
    )


async def _decisions(
    hub: Context, news: Mapping[UUID, "asyncio.Future[bytes]"], wait: float
) -> dict[UUID, DocumentEvent]:
    """The decisions that come within ``wait`` seconds: by the feed, or, should it be away, by PostgreSQL."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    found: dict[UUID, DocumentEvent] = {}
    pending = dict(news)
    while pending:
        left = deadline - loop.time()
        if left > 0:
            await asyncio.wait(pending.values(), timeout=min(left, LOOK_SECONDS))
        arrived = {id_: future for id_, future in pending.items() if future.done()}
        found |= {id_: codec.decode_event(future.result()) for id_, future in arrived.items()}
        pending = {id_: future for id_, future in pending.items() if id_ not in arrived}
        if pending:
            with contextlib.suppress(Unavailable):  # Kafka has the command: that is enough for an answer
                found |= await hub.stored(reading.decisions(hub.store, list(pending)))
            pending = {id_: future for id_, future in pending.items() if id_ not in found}
        if left <= 0:
            break
    return found


def refused(reasons: Sequence[Reason]) -> Problem:
    """The rules refuse a command; the first reason says why."""
    return of_reasons(reasons, "command-refused")


def _conflict(command: AnyCommand) -> Problem:
    return of_reasons([reason("content_conflict", at="revision", revision=command.revision)], "content-conflict")
