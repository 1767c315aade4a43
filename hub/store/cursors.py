"""Where each connector stands in its source."""

from hub.store.pool import Store


async def get(store: Store, name: str) -> str | None:
    """A cursor's value; None if it was never set."""
    async with store.connection() as connection:
        value: str | None = await connection.fetchval("select value from cursors where name = $1", name)
        return value


async def put(store: Store, name: str, value: str) -> None:
    """Set a cursor, durably."""
    async with store.connection() as connection:
        await connection.execute(
            "insert into cursors (name, value) values ($1, $2) "
            "on conflict (name) do update set value = excluded.value, changed_at = now()",
            name,
            value,
        )
