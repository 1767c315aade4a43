"""HTTP as connectors see it: what the other side may ask of us, one request, one answer. The API serves them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from schemas.reasons import Reason


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path of a receiver, as the API serves it and the OpenAPI document tells it.

    The API serves it at ``/<mount>/<kind>/<instance><path>``; ``path`` is "" or begins with "/", and ``{names}`` in it
    stand for one segment each. ``scope`` is what the caller's hub key needs ("" any live key); None: no hub key is
    asked for, the receiver itself tells whom it admits (a signature, a device's token). ``takes`` and ``gives`` are
    structs of JSON bodies, or media types of others; None: no body. A body longer than ``max_bytes`` never arrives.
    """

    name: str
    method: str
    path: str
    summary: str
    scope: str | None = None
    takes: type[msgspec.Struct] | str | None = None
    gives: type[msgspec.Struct] | str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    """Query parameters that mean something, with their descriptions."""
    max_bytes: int = 4 * 1024 * 1024
    status: int = 200
    """Of the answer when all is well."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request for an instance. Header names are in lower case; ``segments`` are the path's ``{names}``.

    ``key`` and ``source`` are the hub key's name and source where the endpoint asks for one, else "".
    """

    endpoint: str
    segments: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    key: str = ""
    source: str = ""
    remote: str = ""
    """The caller's address."""


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class _Problem(msgspec.Struct, frozen=True):
    """RFC 9457, with the Persian beside the English, as everywhere in the API."""

    type: str
    title: str
    title_fa: str
    status: int
    detail: str
    detail_fa: str


_TITLES: Final = {
    "invalid": ("Some fields are wrong", "برخی فیلدها نادرست است"),
    "bad-request": ("The request can't be understood", "درخواست خوانا نیست"),
    "not-found": ("There is no such thing", "چنین چیزی نیست"),
    "not-ready": ("It isn't there yet", "هنوز آماده نیست"),
    "too-large": ("The request is too large", "درخواست بزرگ‌تر از حد است"),
    "too-many-requests": ("Too many requests", "درخواست‌ها بیش از حد است"),
}


def problem(status: int, kind: str, why: Reason) -> Response:
    """A problem the API has no word of ours for, told as the API tells its own; ``kind`` is one of the titles'."""
    title, title_fa = _TITLES[kind]
    told = _Problem(f"urn:peyvand:problem:{kind}", title, title_fa, status, why.en, why.fa)
    return Response(status, msgspec.json.encode(told), "application/problem+json")
