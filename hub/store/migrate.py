"""Bringing a database to the present schema: numbered SQL files, each applied once, in one transaction each."""

from pathlib import Path

import asyncpg

from hub.store.errors import Unacceptable, translated

DIRECTORY = Path(__file__).parent / "migrations"
_LOCK = 0x7065_7976  # "peyv": any number no one else uses for pg_advisory_lock

_AGED = "update {table} set changed = pg_current_xact_id() where changed > pg_current_xact_id()"
"""A database restored into a younger server has rows of transactions that server is yet to count to."""
_WATCHED = ("products", "accounts", "stock", "list_entries")
"""The tables whose rows have ``changed``."""


def migrations() -> list[Path]:
    """The migration files, in order."""
    return sorted(DIRECTORY.glob("[0-9]*.sql"))


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing and answer the names applied. Safe to run from several processes at once.

    Raises Unacceptable if the database is newer than this code.
    """
    with translated():
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await connection.execute("select pg_advisory_lock($1)", _LOCK)
            await connection.execute(
                "create table if not exists migrations (name text primary key, applied_at timestamptz default now())"
            )
            done = {row["name"] for row in await connection.fetch("select name from migrations")}
            known = migrations()
            if foreign := done - {path.stem for path in known}:
                raise Unacceptable(
                    f"the database has migrations this version doesn't know: {', '.join(sorted(foreign))}; "
                    "run the version of the hub that made them, or a newer one"
                )
            applied = []
            for path in known:
                if path.stem in done:
                    continue
                async with connection.transaction():
                    await connection.execute(path.read_text(encoding="utf-8"))
                    await connection.execute("insert into migrations (name) values ($1)", path.stem)
                applied.append(path.stem)
            aged = [await connection.execute(_AGED.format(table=table)) for table in _WATCHED]
            if any(done != "UPDATE 0" for done in aged):
                await connection.execute("update change_epoch set id = gen_random_uuid()")
            return applied
        finally:
            await connection.close()


async def pending(dsn: str) -> list[str]:
    """The names of migrations not yet applied; changes nothing."""
    with translated():
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            exists = await connection.fetchval("select to_regclass('migrations') is not null")
            rows = await connection.fetch("select name from migrations") if exists else []
        finally:
            await connection.close()
    done = {row["name"] for row in rows}
    return [path.stem for path in migrations() if path.stem not in done]
