"""What connectors remember of the other side (:class:`connectors.base.Records` on PostgreSQL)."""

from collections.abc import Collection, Mapping

from hub.store.pool import Store


async def get(store: Store, instance: str, bucket: str, keys: Collection[str]) -> dict[str, bytes]:
    """The values of those keys that are there."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            "select key, value from connector_records where instance = $1 and bucket = $2 and key = any($3::text[])",
            instance,
            bucket,
            list(keys),
        )
    return {row[0]: row[1] for row in rows}


async def put(store: Store, instance: str, bucket: str, values: Mapping[str, bytes | None]) -> None:
    """Set each key's value, None: forget it; all or none. In the order of the keys, so that two writers don't meet
    head on."""
    kept = sorted((key, value) for key, value in values.items() if value is not None)
    gone = sorted(key for key, value in values.items() if value is None)
    async with store.connection() as connection, connection.transaction():
        if kept:
            await connection.execute(
                "insert into connector_records (instance, bucket, key, value) "
                "select $1, $2, k, v from unnest($3::text[], $4::bytea[]) as given (k, v) "
                "on conflict (instance, bucket, key) do update set value = excluded.value",
                instance,
                bucket,
                [key for key, _ in kept],
                [value for _, value in kept],
            )
        if gone:
            await connection.execute(
                "delete from connector_records where instance = $1 and bucket = $2 and key = any($3::text[])",
                instance,
                bucket,
                gone,
            )


async def put_new(store: Store, instance: str, bucket: str, key: str, value: bytes) -> bool:
    """Set a key that isn't there; whether it wasn't."""
    async with store.connection() as connection:
        row = await connection.fetchrow(
            "insert into connector_records (instance, bucket, key, value) values ($1, $2, $3, $4) "
            "on conflict do nothing returning true",
            instance,
            bucket,
            key,
            value,
        )
    return row is not None


async def replace(store: Store, instance: str, bucket: str, key: str, old: bytes, new: bytes | None) -> bool:
    """Set a key, or forget it, if its value still is ``old``; whether it was."""
    change = "delete from connector_records" if new is None else "update connector_records set value = $5"
    given = (instance, bucket, key, old) if new is None else (instance, bucket, key, old, new)
    async with store.connection() as connection:
        row = await connection.fetchrow(
            f"{change} where instance = $1 and bucket = $2 and key = $3 and value = $4 returning true", *given
        )
    return row is not None


async def page(store: Store, instance: str, bucket: str, after: str, limit: int) -> list[tuple[str, bytes]]:
    """Keys greater than ``after`` with their values, in order."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            "select key, value from connector_records where instance = $1 and bucket = $2 and key > $3 "
            "order by key limit $4",
            instance,
            bucket,
            after,
            limit,
        )
    return [(row[0], row[1]) for row in rows]
