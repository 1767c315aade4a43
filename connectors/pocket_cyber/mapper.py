"""From a handheld's items to document requests and visits, and from documents to what the handheld is told. Pure."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from connectors.base import UnknownPayload
from connectors.pocket_cyber.exchange import LOCAL_ID, Outcome, OutcomeLine, PushedVisit
from connectors.pocket_cyber.words import sentence
from schemas import ids, intake, text
from schemas.dates import TEHRAN, Moment
from schemas.documents import Document, DocumentRequest
from schemas.intake import InvalidRequest
from schemas.reasons import PERSIAN, Reason, reason
from schemas.visits import Visit

_LOCAL_ID = re.compile(LOCAL_ID)
_NOT_TAKEN = frozenset({"source_id", "currency", "to_warehouse", "hold"})
"""Fields of a document that a handheld has no say in."""

_PATH = re.compile(r"(.*) - at `\$\.(\w+)`")
_SURROGATE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
"""An escaped backslash, a pair, or half of one, in JSON text."""
_YEARS = range(1900, 2200)
"""Of moments: a clock that was never set may say year 1, whose first hours in Tehran are in no year of UTC."""

RECEIVED = "received"
_RECEIVED_FA = "رسیده، در انتظار تصمیم"
_REFUSED_FA = "پذیرفته نشد"
REFUSED = "refused"


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A push whose items are still as they came, to be read one by one: a bad one stops no other."""

    sent_at: Moment
    documents: tuple[msgspec.Raw, ...] = ()
    visits: tuple[msgspec.Raw, ...] = ()


class Sent(NamedTuple):
    """A document as a holder sent it. ``request`` has the hub's source id and ``local_id`` is the holder's own; ``at``
    is when it was made, by the handheld's clock (None: it came in a file, which has only days)."""

    local_id: str
    request: DocumentRequest
    at: datetime | None


def source_id(holder: str, local_id: str) -> str:
    """The source's own id of a holder's document: the same from whichever device it comes."""
    return f"{holder}/{local_id}"


def parted(id_: str) -> tuple[str, str] | None:
    """The holder and its own id in a source id; None if it isn't one of this connector's."""
    holder, slash, local_id = id_.partition("/")
    return (holder, local_id) if slash and holder and local_id else None


def batch(body: bytes) -> Batch:
    """The items of a push. Raises :exc:`UnknownPayload` if not even they can be told apart."""
    try:
        return msgspec.json.decode(_SURROGATE.sub(_mended, body), type=Batch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(str(error)) from None


def _mended(found: re.Match[bytes]) -> bytes:
    """Half a surrogate pair, as of an emoji that an app cut in two, made U+FFFD: else the whole push were no JSON."""
    return rb"\ufffd" if len(found[0]) == len(rb"\ud83d") else found[0]


def unreadable(problem: str) -> UnknownPayload:
    """The 400 of a body."""
    why = sentence("body", problem=problem)
    return UnknownPayload(why.en, fa=why.fa)


def raw_id(raw: bytes) -> str:
    """What an item that may not be readable says its id is; "" if it says none."""
    try:
        value = intake.object_of(raw).get("id")
    except InvalidRequest:
        return ""
    return value if isinstance(value, str) and _LOCAL_ID.fullmatch(value) else ""


def document(raw: bytes, holder: str) -> Sent:
    """A pushed document. Raises :exc:`InvalidRequest` with every problem found, by the item's own field names."""
    item = dict(intake.object_of(raw))
    problems: list[Reason] = []
    local_id = _local_id(item.pop("id", None), problems)
    at = _moment(item.pop("at", None), problems)
    for name in _NOT_TAKEN & item.keys():
        del item[name]
        problems.append(sentence("not_taken", at=name, name=name))
    if at is not None and item.get("date") is None:
        item["date"] = at.astimezone(TEHRAN).date().isoformat()
    try:
        request = intake.request_from({**item, "source_id": local_id or "-"})
    except InvalidRequest as refused:
        # Without `at` there is no day to fall back on, and that is told already.
        problems += [why for why in refused.problems if not (why.field == "date" and at is None)]
    if problems:
        raise InvalidRequest(tuple(problems[: intake.MAX_PROBLEMS]))
    return Sent(local_id, of_holder(request, holder), at)


def of_holder(request: DocumentRequest, holder: str) -> DocumentRequest:
    """A request whose ids are the holder's own, with those the hub knows them by."""
    original = None if request.original is None else source_id(holder, request.original)
    return msgspec.structs.replace(request, source_id=source_id(holder, request.source_id), original=original)


def check_local_id(value: object) -> None:
    """Raises :exc:`InvalidRequest` if it can't be a holder's own id."""
    problems: list[Reason] = []
    _local_id(value, problems)
    if problems:
        raise InvalidRequest(tuple(problems))


def _local_id(value: object, problems: list[Reason]) -> str:
    if isinstance(value, str) and _LOCAL_ID.fullmatch(value):
        return value
    problems.append(reason("required", at="id", name="id") if value is None else sentence("local_id", at="id"))
    return ""


def _moment(value: object, problems: list[Reason]) -> datetime | None:
    if value is None:
        problems.append(sentence("at_missing", at="at"))
        return None
    try:
        moment: datetime | None = msgspec.convert(value, Moment)
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.year not in _YEARS:
        problems.append(sentence("at_unreadable", at="at", value=text.normalise(str(value))[:40]))
        return None
    return moment.astimezone(UTC)


def visit(raw: bytes, holder: str, source: str) -> Visit:
    """A pushed visit. Raises :exc:`InvalidRequest`."""
    try:
        sent = msgspec.convert(intake.object_of(raw), PushedVisit)
    except msgspec.ValidationError as error:
        found = _PATH.fullmatch(str(error))
        problem, field = (found[1], found[2]) if found else (str(error), None)
        raise InvalidRequest((sentence("visit_unreadable", at=field, problem=problem),)) from None
    if "\x00" in sent.account + sent.reason + sent.note:
        raise InvalidRequest((reason("bad_text", at="account" if "\x00" in sent.account else "note"),))
    for field, moment in (("began_at", sent.began_at), ("ended_at", sent.ended_at)):
        if moment is not None and moment.year not in _YEARS:
            raise InvalidRequest((sentence("at_unreadable", at=field, value=moment.isoformat()),))
    own_id = source_id(holder, sent.id)
    return Visit(
        id=ids.derive(ids.source_namespace(source), f"visit/{own_id}"),
        source=source,
        source_id=own_id,
        visitor=holder,
        account=text.code(sent.account),
        began_at=sent.began_at.astimezone(UTC),
        outcome=sent.outcome,
        ended_at=sent.ended_at.astimezone(UTC) if sent.ended_at else None,
        reason=text.normalise(sent.reason),
        latitude=sent.latitude,
        longitude=sent.longitude,
        note=text.normalise(sent.note),
    )


def visit_of_file(values: Mapping[str, object], holder: str, source: str) -> Visit:
    """A visit from a row, whose id may be called ``source_id`` and whose times may be Jalali; without an offset they
    are Tehran's. Raises :exc:`InvalidRequest`."""
    item = dict(values)
    if isinstance(id_ := item.pop("source_id", None), str):
        item["id"] = text.code(id_)
    for field in ("began_at", "ended_at"):
        if item.get(field) is not None:
            item[field] = intake.moment(item[field], field).isoformat()
    return visit(msgspec.json.encode(item), holder, source)


def outcome(
    local_id: str, source: str, holder: str, found: Document | None, refused: Collection[Reason] = ()
) -> Outcome:
    """What became of a holder's document, as far as the hub knows; None: it isn't decided, or nothing of it is kept."""
    if found is None:
        return Outcome(
            id=local_id,
            document_id=ids.document_id(source, source_id(holder, local_id)),
            state=REFUSED if refused else RECEIVED,
            state_fa=_REFUSED_FA if refused else _RECEIVED_FA,
            reasons=tuple(refused),
        )
    return Outcome(
        id=local_id,
        document_id=found.id,
        state=found.state,
        state_fa=PERSIAN[found.state],
        revision=found.revision,
        kind=found.kind,
        reasons=found.reasons,
        refused_change=tuple(refused),
        lines=tuple(
            OutcomeLine(
                number=line.number,
                product=line.product,
                quantity=line.quantity,
                unit_price=line.unit_price,
                payable=line.payable,
                reserved=line.reserved,
                short=line.short,
            )
            for line in found.lines
        ),
        payable=found.totals.payable,
        number=found.posting.number if found.posting else None,
        changed_at=found.changed_at,
    )
