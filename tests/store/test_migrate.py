"""The schema is the sum of the migrations, each applied once, whoever asks and however many at once."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from hub.store import migrate as migrating
from hub.store.errors import Unacceptable, Unavailable
from hub.store.migrate import migrate, migrations, pending
from tests.conftest import PostgresServer, dsn_of, execute, free_port

NAMES = [path.stem for path in migrations()]


@pytest.fixture
async def empty(postgres: PostgresServer) -> AsyncIterator[str]:
    """The DSN of a database with nothing in it."""
    name = f"empty_{secrets.token_hex(6)}"
    await execute(postgres.dsn, f"create database {name}")
    yield dsn_of(postgres.dsn, name)
    await execute(postgres.dsn, f"drop database {name} with (force)")


async def schema(dsn: str) -> list[tuple[object, ...]]:
    """Every column, constraint and index of our own."""
    connection = await asyncpg.connect(dsn)
    try:
        found = []
        for query in (
            "select table_name, column_name, data_type, is_nullable, column_default, numeric_precision, numeric_scale "
            "from information_schema.columns where table_schema = 'public' order by 1, 2",
            "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint "
            "where connamespace = 'public'::regnamespace order by 1, 2",
            "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public' order by 1, 2",
        ):
            found += [tuple(row) for row in await connection.fetch(query)]
        return found
    finally:
        await connection.close()


async def test_the_schema_is_the_sum_of_the_migrations_in_their_order(empty: str, database: str) -> None:
    connection = await asyncpg.connect(empty)
    await connection.execute("create table migrations (name text primary key, applied_at timestamptz default now())")
    for path in migrations():
        await connection.execute(path.read_text(encoding="utf-8"))
    await connection.close()
    assert await schema(empty) == await schema(database)


async def test_what_is_missing_is_applied_once(empty: str) -> None:
    assert await pending(empty) == NAMES
    assert await migrate(empty) == NAMES
    assert await pending(empty) == []
    before = await schema(empty)
    assert await migrate(empty) == []
    assert await schema(empty) == before


async def test_many_at_once_apply_each_migration_once(empty: str) -> None:
    answers = await asyncio.gather(*(migrate(empty) for _ in range(5)))
    assert sorted(name for names in answers for name in names) == NAMES


async def test_a_database_newer_than_this_code_is_refused_by_name(empty: str) -> None:
    await migrate(empty)
    await execute(empty, "insert into migrations (name) values ('9999_from_the_future')")
    with pytest.raises(Unacceptable, match="9999_from_the_future"):
        await migrate(empty)


async def test_a_migration_that_fails_leaves_nothing_behind(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001_good.sql").write_text("create table good (id integer)")
    (tmp_path / "0002_bad.sql").write_text("create table half (id integer); select no_such_function()")
    monkeypatch.setattr(migrating, "DIRECTORY", tmp_path)
    with pytest.raises(Unacceptable, match="no_such_function"):
        await migrate(empty)
    assert await pending(empty) == ["0002_bad"]
    assert {row[0] for row in await schema(empty)} == {"good", "migrations"}


def test_the_files_are_numbered_without_a_gap() -> None:
    assert [name.split("_")[0] for name in NAMES] == [f"{number:04}" for number in range(1, len(NAMES) + 1)]


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    dsn = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    with pytest.raises(Unavailable):
        await migrate(dsn)
    with pytest.raises(Unavailable):
        await pending(dsn)
