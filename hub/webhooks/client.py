"""Calling receivers: the only I/O with the outside here. Whatever happens comes back as an :class:`Answer`.

A receiver's address is somebody else's text, so the address that is really connected to decides, whatever its name
resolved to a moment before: unless its host is trusted, it must be public. No redirect is followed, no proxy or cookie
is used, and of an answer only the beginning is read.
"""

import asyncio
import socket
import time
from collections.abc import Collection, Mapping
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from hub.rules.webhooks import LONGEST_RETRY_AFTER, is_public, url_problem
from schemas.dates import utc_now

CONNECT_SECONDS = 5.0
MAX_READ_BYTES = 4_096
MAX_EXCERPT = 500
MAX_ERROR = 300
USER_AGENT = "Peyvand-Webhooks/1"


class Answer(NamedTuple):
    """What came of a request. Good if and only if ``error`` is empty."""

    milliseconds: int
    status: int | None = None
    excerpt: str = ""
    error: str = ""
    retry_after: timedelta | None = None
    unreachable: bool = False
    """There was no connection, so it wasn't this request's doing."""


class Forbidden(OSError):
    """The address isn't public."""


def _guarded_socket(info: Any) -> socket.socket:
    """A socket to connect with, if it may be connected. Raises Forbidden."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise Forbidden(f"{address[0]} is no public address")
    return socket.socket(family, kind, protocol)


class Client:
    """Open while the context is. ``resolver``: instead of the machine's own."""

    def __init__(
        self, trusted_hosts: Collection[str], timeout: timedelta, resolver: AbstractResolver | None = None
    ) -> None:
        self._trusted = frozenset(trusted_hosts)
        self._timeout = aiohttp.ClientTimeout(total=timeout.total_seconds(), sock_connect=CONNECT_SECONDS)
        self._resolver = resolver
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> "Client":
        for trusted in (True, False):
            connector = aiohttp.TCPConnector(
                limit=0, resolver=self._resolver, socket_factory=None if trusted else _guarded_socket
            )
            self._sessions[trusted] = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions.values():
            await session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send JSON."""
        started = time.perf_counter()
        wrong = url_problem(url, self._trusted)
        if wrong is not None:  # the configuration has changed since it was taken
            return Answer(0, error=f"the URL {wrong.en}")
        session = self._sessions[urlsplit(url).hostname in self._trusted]
        status, excerpt, error, retry_after, unreachable = None, "", "", None, False
        try:
            async with session.post(
                url, data=body, headers={"Content-Type": "application/json", **headers}, allow_redirects=False
            ) as response:
                status = response.status
                retry_after = _retry_after(response.headers.get("Retry-After", ""))
                error = "" if 200 <= status < 300 else f"it answered {status}"
                excerpt = _excerpt(await response.content.read(MAX_READ_BYTES))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as problem:
            error, unreachable = f"no connection: {_why(problem)}", True
        except TimeoutError:
            error = error or f"no answer within {self._timeout.total:g} s"
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError, ValueError) as problem:
            error = error or ("" if status else f"no answer: {_why(problem)}")
        milliseconds = int((time.perf_counter() - started) * 1_000)
        return Answer(milliseconds, status, excerpt, error, retry_after, unreachable)


def _why(problem: Exception) -> str:
    inner = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else problem
    return (str(inner) or type(inner).__name__)[:MAX_ERROR]


def _excerpt(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text).strip()[:MAX_EXCERPT]


def _retry_after(text: str) -> timedelta | None:
    """What a Retry-After header asks for, seconds or a date, as far as it is granted."""
    if text.isascii() and text.isdigit() and len(text) < 9:
        return min(timedelta(seconds=int(text)), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - utc_now(), timedelta()), LONGEST_RETRY_AFTER)
