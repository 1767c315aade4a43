"""Names only one process holds at a time: advisory locks, which PostgreSQL itself gives up with a dead session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hub.store.pool import Store

_TAKE = "select pg_try_advisory_lock(hashtextextended('lease/' || $1, 0))"


class Leases:
    """The names one session holds, until it ends."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._held: set[str] = set()

    async def take(self, name: str) -> bool:
        """Whether this session holds the name: it did already, or nobody else does."""
        if name not in self._held and await self._connection.fetchval(_TAKE, name):
            self._held.add(name)
        return name in self._held

    async def check(self) -> None:
        """Return if the session lives, and so everything it holds. Raises StoreError."""
        await self._connection.fetchval("select 1")


@asynccontextmanager
async def session(store: Store) -> AsyncIterator[Leases]:
    """A session to hold names with; it takes one connection of the pool. Errors inside come out as StoreError."""
    async with store.connection() as connection:
        try:
            yield Leases(connection)
        finally:
            # The session outlives its use in the pool, and with it what it holds; one that is lost holds nothing.
            if not connection.is_closed():
                await connection.execute("select pg_advisory_unlock_all()")
