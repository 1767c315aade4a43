"""Who may come in: API keys, what they may do, and how often."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import NamedTuple

from aiohttp import web

from hub.api.problems import Problem
from hub.store import keys
from hub.store.keys import Key
from hub.store.pool import Store

Clock = Callable[[], float]

REMEMBERED = 10_000
"""How many keys (and addresses) are kept in mind at most."""
MAX_TOKEN = 200
PUBLIC_SCOPES = frozenset({"documents:read", "live:read"})


class Caller(NamedTuple):
    """Who asks. ``sees_all``: documents of every source, not only of their own."""

    name: str
    source: str
    scopes: frozenset[str]
    per_minute: int
    sees_all: bool
    bucket: str
    """Whose rate limit counts."""

    def may(self, scope: str) -> bool:
        """Whether the caller has a scope."""
        return scope in self.scopes or "admin" in self.scopes

    def sees(self, source: str) -> bool:
        """Whether the caller may see a source's documents."""
        return self.sees_all or source == self.source


class Allowance(NamedTuple):
    """What a rate limit still allows: ``remaining`` requests now, all of ``limit`` again in ``reset`` seconds."""

    limit: int
    remaining: int
    reset: int
    retry_after: int
    """Seconds until one more request is allowed; 0 if this one is."""

    def headers(self) -> dict[str, str]:
        found = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }
        if self.retry_after:
            found["Retry-After"] = str(self.retry_after)
        return found


class Buckets:
    """Token buckets: each holds a minute's requests and fills evenly. One process counts for itself."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, per_minute: int) -> Allowance:
        """Take one request out of a bucket, if it holds one."""
        now = self._clock()
        level, then = self._levels.pop(name, (float(per_minute), now))
        rate = per_minute / 60
        level = min(level + (now - then) * rate, float(per_minute))
        allowed = level >= 1
        if allowed:
            level -= 1
        self._levels[name] = (level, now)
        while len(self._levels) > REMEMBERED:
            self._levels.popitem(last=False)
        return Allowance(
            limit=per_minute,
            remaining=int(level),
            reset=math.ceil((per_minute - level) / rate),
            retry_after=0 if allowed else max(math.ceil((1 - level) / rate), 1),
        )


class Keyring:
    """Keys found in PostgreSQL, each believed for a few seconds."""

    def __init__(self, store: Store, seconds: float, clock: Clock = time.monotonic) -> None:
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[Key | None, float]] = OrderedDict()

    async def find(self, token: str) -> Key | None:
        """The live key of a token; None if there is none or it was revoked. Raises StoreError."""
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock()
        key, until = self._known.get(digest, (None, -math.inf))
        if until < now:
            key = await keys.find(self._store, token)
            self._known[digest] = (key, now + self._seconds)
            self._known.move_to_end(digest)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return key if key is not None and key.revoked_at is None else None


def token_of(request: web.Request) -> str | None:
    """The bearer token of a request; None if it has none that could be one of ours."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN or not token.isascii():
        return None
    return token


def caller_of(key: Key) -> Caller:
    """A key as a caller."""
    return Caller(key.name, key.source, key.scopes, key.per_minute, "admin" in key.scopes, f"key {key.id}")


def address_of(request: web.Request, trusted: Collection[str]) -> str:
    """Where a request comes from: the nearest address that isn't a trusted proxy's."""
    address = request.remote or ""
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    while address in trusted and forwarded:
        named = forwarded.pop().strip()
        if not _is_address(named):
            break
        address = named
    return address


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def public_caller(address: str, per_minute: int) -> Caller:
    """Someone who looks at the public status page."""
    return Caller("status page", "", PUBLIC_SCOPES, per_minute, True, f"address {address}")


def unauthorized() -> Problem:
    """One answer for a missing, an unknown and a revoked key: which of them it was is nobody's business."""
    return Problem(
        "unauthorized",
        "send a valid key as `Authorization: Bearer pvd_…`",
        "کلیدی معتبر را به شکل `Authorization: Bearer pvd_…` بفرستید",
        headers={"WWW-Authenticate": 'Bearer realm="peyvand"'},
    )


def forbidden(scope: str) -> Problem:
    """The key lacks a scope."""
    return Problem(
        "forbidden",
        f"the key needs the scope {scope}; make one that has it with `hub key create`",
        f"کلید باید دسترسی {scope} داشته باشد؛ با `hub key create` کلیدی با آن بسازید",
    )


def too_many(allowance: Allowance) -> Problem:
    """The rate limit is used up."""
    return Problem(
        "too-many-requests",
        f"this key may make {allowance.limit} requests a minute; try again in {allowance.retry_after} s",
        f"این کلید {allowance.limit} درخواست در دقیقه دارد؛ {allowance.retry_after} ثانیهٔ دیگر دوباره بفرستید",
        headers=allowance.headers(),
    )
