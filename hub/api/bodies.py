"""Request bodies: read within bounds, of the content types that are taken, as JSON or JSON Lines."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import web

from hub.api.problems import Problem, of_reasons
from hub.api.settings import ApiSettings
from hub.rules.settings import Limits
from hub.rules.validation import problems
from schemas.documents import DocumentRequest
from schemas.intake import InvalidRequest, decode_json, request_from
from schemas.reasons import reason

JSON = "application/json"
NDJSON = "application/x-ndjson"
MAX_TOLD = 100
"""How many errors of one document are told."""
_NDJSON_NAMES = (NDJSON, "application/ndjson", "application/jsonl")


class Piece(NamedTuple):
    """One document of a batch, not yet read: its place, from 0, and its line of an NDJSON body, from 1."""

    place: int
    line: int | None
    data: bytes | Mapping[str, object]


async def read_body(request: web.Request, settings: ApiSettings) -> bytes:
    """The whole body. Raises a 413 Problem beyond the limit, and 408 if it takes too long to arrive."""
    if (request.content_length or 0) > settings.max_body_bytes:
        raise _too_large(settings.max_body_bytes)
    try:
        async with asyncio.timeout(settings.body_seconds):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(settings.max_body_bytes) from None
    except web.RequestPayloadError:
        raise _broken() from None
    except TimeoutError:
        raise _too_slow(settings) from None


def _broken() -> Problem:
    return Problem(
        "bad-request",
        "the body's chunks or its compression are broken; nothing of it was taken",
        "قطعه‌بندی یا فشرده‌سازی متن درخواست خراب است؛ چیزی از آن پذیرفته نشد",
        headers={"Connection": "close"},
    )


def _too_slow(settings: ApiSettings) -> Problem:
    return Problem(
        "timeout",
        f"the body must arrive within {settings.body_seconds:g} s",
        f"متن درخواست باید در {settings.body_seconds:g} ثانیه برسد",
        headers={"Connection": "close"},
    )


async def read_raw(request: web.Request, limit: int, settings: ApiSettings) -> bytes:
    """The whole body as it came, bounded by ``limit`` instead of the API's own. Raises a 413, 408 or 400 Problem."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.body_seconds * max(1, limit // settings.max_body_bytes)):
            async for part in request.content.iter_any():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except web.RequestPayloadError:
        raise _broken() from None
    except TimeoutError:
        raise _too_slow(settings) from None
    return b"".join(parts)


def _too_large(limit: int) -> Problem:
    return Problem(
        "too-large",
        f"the body may have {limit:,} bytes; send fewer documents at once",
        f"متن درخواست حداکثر {limit:,} بایت است؛ سندهای کمتری در هر بار بفرستید",
        headers={"Connection": "close"},
    )


def media_type(request: web.Request) -> str:
    """``application/json`` or ``application/x-ndjson``. Raises a 415 Problem for anything else."""
    sent = request.content_type.lower() if "Content-Type" in request.headers else ""
    if sent in _NDJSON_NAMES:
        sent = NDJSON
    charset = (request.charset or "utf-8").lower()
    if sent not in (JSON, NDJSON) or charset not in ("utf-8", "utf8"):
        shown = request.headers.get("Content-Type", "nothing")[:100]
        raise Problem(
            "unsupported-media-type",
            f"send `Content-Type: {JSON}` (or {NDJSON}, one document a line) in UTF-8; this said {shown}",
            f"سرآیند `Content-Type: {JSON}` (یا {NDJSON}، هر سطر یک سند) با UTF-8 بفرستید؛ آمده: {shown}",
            headers={"Accept-Post": f"{JSON}, {NDJSON}"},
        )
    return sent


async def read_json(request: web.Request, settings: ApiSettings) -> object:
    """A JSON body's value, its fractions as Decimal. Raises Problem."""
    if media_type(request) != JSON:
        raise Problem(
            "unsupported-media-type",
            f"send one JSON object with `Content-Type: {JSON}`",
            f"یک شیء JSON با سرآیند `Content-Type: {JSON}` بفرستید",
        )
    return json_value(await read_body(request, settings))


def json_value(data: bytes) -> object:
    """JSON text's value. Raises a 400 Problem."""
    try:
        return decode_json(data)
    except InvalidRequest as error:
        raise of_reasons(error.problems, "malformed-json") from None


def json_object(value: object) -> Mapping[str, object]:
    """A JSON value that must be an object. Raises a 422 Problem."""
    if not isinstance(value, dict):
        raise of_reasons([reason("not_object", value=type(value).__name__ if value is not None else "null")])
    return value


def document_request(data: bytes | Mapping[str, object], limits: Limits) -> DocumentRequest:
    """The document asked for, known to make sense by itself. Raises a 400 or 422 Problem naming every field."""
    try:
        request = request_from(data)
    except InvalidRequest as error:
        kind = "malformed-json" if error.problems[0].code == "not_json" else "invalid"
        raise of_reasons(error.problems, kind) from None
    wrong = problems(request, limits)
    if wrong:
        raise of_reasons(wrong[:MAX_TOLD])
    return request


def pieces_of_lines(body: bytes, limit: int) -> list[Piece]:
    """The documents of an NDJSON body, blank lines passed over. Raises a Problem for none or too many."""
    pieces: list[Piece] = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if line.strip():
            pieces.append(Piece(len(pieces), number, line))
    return _counted(pieces, limit)


def pieces_of_list(values: list[object], limit: int) -> list[Piece]:
    """The documents of a JSON array. Raises a Problem for none or too many."""
    # What isn't an object is refused in its turn, by name, when the piece is read.
    return _counted([Piece(index, None, value) for index, value in enumerate(values)], limit)  # type: ignore[arg-type]


def _counted(pieces: list[Piece], limit: int) -> list[Piece]:
    if not pieces:
        raise Problem(
            "invalid",
            "the body holds no document; send at least one",
            "متن درخواست هیچ سندی ندارد؛ دست‌کم یکی بفرستید",
        )
    if len(pieces) > limit:
        raise Problem(
            "too-large",
            f"{len(pieces):,} documents at once; at most {limit:,} are taken",
            f"{len(pieces):,} سند در یک درخواست؛ حداکثر {limit:,} سند پذیرفته است",
        )
    return pieces
