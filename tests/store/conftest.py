"""A store on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest

from hub.store.pool import Store
from tests.store.company import fill


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """Open, on a migrated and empty database."""
    store = Store(database, size=4)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def company(store: Store) -> Store:
    """The store with the small company of the rules' tests in it."""
    await fill(store)
    return store
