"""API keys: shown once when made, kept as a SHA-256 (the token has 256 random bits, so no slow hash is needed)."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from hub.store.errors import Unacceptable
from hub.store.pool import Store

SCOPES = (
    "documents:write",
    "documents:read",
    "documents:approve",
    "stock:read",
    "accounts:read",
    "live:read",
    "webhooks:manage",
    "admin",
)
"""What a key may do: send documents and commands, read them, approve and refuse, stock, credit, the feed, subscribe to
changes, all."""

_PREFIX = "pvd_"


class Key(NamedTuple):
    """An API key without its secret. ``per_minute`` is its rate limit in requests."""

    id: str
    name: str
    source: str
    scopes: frozenset[str]
    per_minute: int
    created_at: datetime
    revoked_at: datetime | None

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


_COLUMNS = "id, name, source, scopes, per_minute, created_at, revoked_at"


def _key(row: tuple[str, str, str, list[str], int, datetime, datetime | None]) -> Key:
    id_, name, source, scopes, per_minute, created_at, revoked_at = row
    return Key(id_, name, source, frozenset(scopes), per_minute, created_at, revoked_at)


async def create(store: Store, *, name: str, source: str, scopes: Sequence[str], per_minute: int) -> tuple[Key, str]:
    """Make a key; answers it and its token, which is told this once. Raises Unacceptable for a name in use or a
    scope that doesn't exist."""
    if unknown := set(scopes) - set(SCOPES):
        raise Unacceptable(f"no such scope: {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}")
    token = _PREFIX + secrets.token_urlsafe(32)
    async with store.connection() as connection:
        row = await connection.fetchrow(
            "insert into api_keys (id, hash, name, source, scopes, per_minute) values ($1, $2, $3, $4, $5, $6) "
            f"on conflict (name) do nothing returning {_COLUMNS}",
            secrets.token_hex(6),
            _hash(token),
            name,
            source,
            sorted(scopes),
            per_minute,
        )
    if row is None:
        raise Unacceptable(f"there is a key named {name!r} already; revoke it or choose another name")
    return _key(tuple(row)), token


async def find(store: Store, token: str) -> Key | None:
    """The key a token belongs to, revoked or not; None if there is none."""
    async with store.connection() as connection:
        row = await connection.fetchrow(f"select {_COLUMNS} from api_keys where hash = $1", _hash(token))
    return _key(tuple(row)) if row else None


async def every(store: Store) -> list[Key]:
    """All keys, the newest last."""
    async with store.connection() as connection:
        return [
            _key(tuple(row))
            for row in await connection.fetch(f"select {_COLUMNS} from api_keys order by created_at, id")
        ]


async def revoke(store: Store, name: str) -> bool:
    """Revoke a key by name; False if there is no such live key. Its name may be used again afterwards."""
    async with store.connection() as connection:
        done: str = await connection.execute(
            "update api_keys set revoked_at = now(), name = name || ' (revoked ' || id || ')' "
            "where name = $1 and revoked_at is null",
            name,
        )
    return done == "UPDATE 1"
