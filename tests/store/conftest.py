"""A store on a database of the test's own."""

import secrets
from collections.abc import AsyncIterator

import pytest

from hub.store.pool import Store
from tests.conftest import PostgresServer, dsn_of, execute
from tests.store.company import fill


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """Open, on a migrated and empty database."""
    store = Store(database, size=4)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def second_database(postgres: PostgresServer, template_database: str) -> AsyncIterator[str]:
    """The DSN of another migrated database, to compare with."""
    name = f"second_{secrets.token_hex(6)}"
    await execute(postgres.dsn, f"create database {name} template {template_database}")
    yield dsn_of(postgres.dsn, name)
    await execute(postgres.dsn, f"drop database {name} with (force)")


@pytest.fixture
async def company(store: Store) -> Store:
    """The store with the small company of the rules' tests in it."""
    await fill(store)
    return store
