"""The connection pool."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from hub.store.errors import translated
from hub.store.products import ProductCache


async def _as_it_is(_connection: Any) -> None:
    """A connection goes back to the pool as it is: nothing here changes a session's settings, and resetting them would
    cost every use a round trip. (asyncpg still ends a transaction left open.)"""


class Store:
    """A pool of PostgreSQL connections; the other modules of this package take one as their first argument."""

    def __init__(self, dsn: str, *, size: int = 4, application: str = "peyvand") -> None:
        self._dsn = dsn
        self._size = size
        self._application = application
        self._pool: Any = None
        self.products = ProductCache()

    async def open(self) -> None:
        """Connect. Raises :exc:`~hub.store.errors.StoreError`."""
        with translated():
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=self._size,
                timeout=10,
                command_timeout=60,
                reset=_as_it_is,
                server_settings={"application_name": self._application, "timezone": "UTC"},
            )

    async def close(self) -> None:
        """Close every connection, waiting at most five seconds for those in use."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection of the pool; asyncpg's errors inside come out as ours."""
        if self._pool is None:
            raise RuntimeError("the store is not open")
        with translated():
            async with self._pool.acquire(timeout=30) as connection:
                yield connection
