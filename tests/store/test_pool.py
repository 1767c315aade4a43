"""The pool of connections, and what its errors are told as."""

import asyncpg
import pytest

from hub.store.errors import Unacceptable, Unavailable, Unready, translated
from hub.store.pool import Store
from tests.conftest import free_port
from tests.store.company import value


async def test_a_store_that_is_not_open_says_so(database: str) -> None:
    closed = Store(database)
    with pytest.raises(RuntimeError, match="not open"):
        async with closed.connection():
            pass
    await closed.close()


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await Store(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing").open()


async def test_a_wrong_password_won_t_pass(database: str) -> None:
    wrong = database.replace("://", "://peyvand:wrong@", 1) if "@" not in database else _with_password(database)
    with pytest.raises(Unready, match="refused the login"):
        await Store(wrong).open()


def _with_password(dsn: str) -> str:
    scheme, rest = dsn.split("://", 1)
    credentials, place = rest.rsplit("@", 1)
    return f"{scheme}://{credentials.split(':')[0]}:wrong@{place}"


async def test_a_connection_cut_in_the_middle_is_unavailable_and_the_next_one_works(store: Store) -> None:
    with pytest.raises(Unavailable):  # noqa: PT012 - the connection is cut from inside
        async with store.connection() as connection:
            own = await connection.fetchval("select pg_backend_pid()")
            async with store.connection() as other:
                await other.execute("select pg_terminate_backend($1)", own)
            await connection.fetchval("select 1")
    assert await value(store, "select 1") == 1


async def test_times_are_told_in_utc_whatever_the_server_thinks(store: Store) -> None:
    assert await value(store, "select current_setting('timezone')") == "UTC"


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (asyncpg.DeadlockDetectedError("x"), Unavailable),
        (asyncpg.SerializationError("x"), Unavailable),
        (asyncpg.UniqueViolationError("x"), Unavailable),
        (asyncpg.AdminShutdownError("x"), Unavailable),
        (asyncpg.CannotConnectNowError("x"), Unavailable),
        (asyncpg.TooManyConnectionsError("x"), Unavailable),
        (asyncpg.DiskFullError("x"), Unavailable),
        (asyncpg.ConnectionDoesNotExistError("x"), Unavailable),
        (asyncpg.InterfaceError("x"), Unavailable),
        (ConnectionResetError("x"), Unavailable),
        (TimeoutError("x"), Unavailable),
        (asyncpg.CheckViolationError("x"), Unacceptable),
        (asyncpg.NumericValueOutOfRangeError("x"), Unacceptable),
        (asyncpg.CharacterNotInRepertoireError("x"), Unacceptable),
        (asyncpg.ProgramLimitExceededError("x"), Unacceptable),
        (asyncpg.UndefinedTableError("x"), Unready),
        (asyncpg.InvalidPasswordError("x"), Unready),
        (asyncpg.InsufficientPrivilegeError("x"), Unready),
        (asyncpg.ReadOnlySQLTransactionError("x"), Unready),
        (asyncpg.ObjectNotInPrerequisiteStateError("x"), Unready),
        (asyncpg.InvalidCatalogNameError("x"), Unready),
        (ValueError("x"), ValueError),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
def test_faults_that_pass_are_told_from_those_that_won_t(raised: Exception, told: type[Exception]) -> None:
    with pytest.raises(told) as caught, translated():
        raise raised
    assert type(caught.value) is told
