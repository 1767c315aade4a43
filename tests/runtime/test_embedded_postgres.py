"""A PostgreSQL of this module's own, in a directory with a Persian name."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from hub.runtime.embedded import EmbeddedError, EmbeddedPostgres
from tests.conftest import JARS, execute
from tests.runtime.embedded_helpers import (
    addresses_listened_on,
    eventually,
    has_gone,
    listener,
    server_of_killed_hub,
)


@pytest.fixture(scope="module")
def directory(server_directory: Path) -> Path:
    return server_directory / "پیوند, پایگاه داده"


@pytest.fixture(scope="module")
async def own(directory: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A running PostgreSQL that a test may stop and kill; with a table in which one row is."""
    postgres = EmbeddedPostgres(directory, report=print)
    try:
        dsn = await postgres.start()
        await execute(dsn, "CREATE TABLE goods (name text)")
        await execute(dsn, "INSERT INTO goods VALUES ('چای')")
        yield postgres
    finally:
        await postgres.stop()


async def restarted(own: EmbeddedPostgres) -> str:
    """The DSN of `own`, whatever the test before did with it."""
    await own.stop()
    return await own.start()


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_data_port_and_password_are_the_same_after(how: str, own: EmbeddedPostgres) -> None:
    before = await restarted(own)
    pid = own.pid
    if how == "stop":
        await own.stop()
    else:
        own.kill()
    assert not psutil.pid_exists(pid)

    assert await own.start() == before
    assert await value(before, "SELECT name FROM goods") == "چای"


async def test_after_a_crash_of_the_machine_its_pid_file_may_be_empty(own: EmbeddedPostgres, directory: Path) -> None:
    before = await restarted(own)
    own.kill()
    (directory / "data" / "postmaster.pid").write_text("", encoding="utf-8")
    assert await own.start() == before


async def test_after_a_crash_of_the_machine_its_old_pid_may_be_anybodys(own: EmbeddedPostgres, directory: Path) -> None:
    before = await restarted(own)
    own.kill()
    owner = (directory / "data").stat()
    identity = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    somebody = await asyncio.create_subprocess_exec("sleep", "600", **identity)
    try:
        file = directory / "data" / "postmaster.pid"
        _, rest = file.read_text(encoding="utf-8").split("\n", 1)
        file.write_text(f"{somebody.pid}\n{rest}", encoding="utf-8")
        assert await own.start() == before
        assert await value(before, "SELECT name FROM goods") == "چای"
    finally:
        somebody.kill()
        await somebody.wait()


async def test_a_connection_that_is_busy_delays_neither_stop_nor_recovery(own: EmbeddedPostgres) -> None:
    """Its process outlives a killed postmaster for a while, and PostgreSQL won't start beside it."""
    dsn = await restarted(own)
    connection = await asyncpg.connect(dsn)
    busy = asyncio.create_task(connection.execute("SELECT count(*) FROM generate_series(1, 100000000000)"))
    others = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate%' AND pid <> pg_backend_pid()"
    await eventually(lambda: value(dsn, others))
    psutil.Process(own.pid).kill()
    assert await own.wait() == -9

    assert await own.start() == dsn
    assert await value(dsn, "SELECT name FROM goods") == "چای"
    with pytest.raises((asyncpg.PostgresError, ConnectionError, asyncpg.InterfaceError)):
        await busy
    connection.terminate()


async def test_it_is_durable_and_speaks_utf8_in_utc(own: EmbeddedPostgres) -> None:
    dsn = await restarted(own)
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "server_encoding": "UTF8",
        "timezone": "UTC",
    }
    assert {name: await value(dsn, f"SHOW {name}") for name in expected} == expected
    assert await value(dsn, "SELECT 'ك' < 'ی' AND upper('é') = 'É'")


async def test_it_listens_on_this_machine_only_and_not_as_root(own: EmbeddedPostgres) -> None:
    await restarted(own)
    server = psutil.Process(own.pid)
    assert addresses_listened_on(server) == {"127.0.0.1"}
    assert server.uids().real != 0


async def test_only_who_knows_the_password_comes_in(own: EmbeddedPostgres, directory: Path) -> None:
    dsn = await restarted(own)
    password = (directory / "password").read_text()
    assert stat.S_IMODE((directory / "password").stat().st_mode) == 0o600
    assert not (directory / "password.initdb").exists()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(dsn.replace(password, "guessed"))
    assert password not in (directory / "server.log").read_text()


async def test_a_second_hub_in_the_same_directory_is_told(own: EmbeddedPostgres, directory: Path) -> None:
    await restarted(own)
    with pytest.raises(EmbeddedError, match="already run by another Peyvand process"):
        await EmbeddedPostgres(directory, report=print).start()
    assert own.running


async def test_it_ends_with_a_hub_that_is_killed(server_directory: Path) -> None:
    directory = server_directory / "killed-postgres"
    server = await asyncio.to_thread(server_of_killed_hub, "postgres", directory, JARS)
    await eventually(lambda: has_gone(server))


async def test_a_port_in_use_is_a_sentence(server_directory: Path) -> None:
    with listener() as port:
        postgres = EmbeddedPostgres(server_directory / "port-postgres", port=port, report=print)
        with pytest.raises(EmbeddedError, match=f"PostgreSQL can't listen on 127.0.0.1:{port} because another"):
            await postgres.start()


async def test_a_first_start_that_was_interrupted_is_begun_anew(server_directory: Path) -> None:
    unfinished = server_directory / "interrupted-postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    postgres = EmbeddedPostgres(unfinished.parent, report=print)
    try:
        assert await value(await postgres.start(), "SELECT current_database()") == "peyvand"
    finally:
        await postgres.stop()
    assert not unfinished.exists()


async def test_data_of_another_version_are_not_touched_and_the_reason_is_said(server_directory: Path) -> None:
    data = server_directory / "old-postgres" / "data"
    postgres = EmbeddedPostgres(data.parent, report=print)
    await postgres.start()
    await postgres.stop()
    (data / "PG_VERSION").write_text("11\n")
    with pytest.raises(EmbeddedError, match=r"(?s)PostgreSQL ended while it was starting.*version 11"):
        await postgres.start()
    assert not postgres.running
