"""A store of the test's own, and a receiver."""

from collections.abc import AsyncIterator

import pytest

from hub.store.pool import Store
from tests.webhooks.world import Receiver, receiving


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    store = Store(database, size=4)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver
