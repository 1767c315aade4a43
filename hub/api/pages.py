"""The status page: one HTML file, one stylesheet and one script of ours, served under a strict policy."""

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from hub.api.problems import Problem
from hub.api.routing import Call

DIRECTORY = Path(__file__).parent / "pages"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
FILES = {
    "status.html": "text/html",
    "status.css": "text/css",
    "status.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


class _File(NamedTuple):
    data: bytes
    tag: str


@cache
def _read(name: str) -> _File:
    data = (DIRECTORY / name).read_bytes()
    return _File(data, hashlib.sha256(data).hexdigest()[:32])


async def status(call: Call) -> web.Response:
    """GET /"""
    return _reply(call.request, "status.html")


async def file(call: Call) -> web.Response:
    """GET /pages/{file}"""
    name = call.request.match_info["file"]
    if name not in FILES:
        raise Problem("not-found", "the status page has no such file", "صفحهٔ وضعیت چنین پرونده‌ای ندارد")
    return _reply(call.request, name)


def _reply(request: web.Request, name: str) -> web.Response:
    found = _read(name)
    response = web.Response(body=found.data, content_type=FILES[name], charset="utf-8")
    response.etag = found.tag
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    if request.if_none_match and any(tag.value == found.tag for tag in request.if_none_match):
        response.set_status(304)
        response.body = b""
    return response
