"""Names only one process holds at a time."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from hub.store import leases
from hub.store.pool import Store


@pytest.fixture
async def other(database: str) -> AsyncIterator[Store]:
    store = Store(database)
    await store.open()
    yield store
    await store.close()


async def test_a_name_is_held_by_one_session_until_it_ends(store: Store, other: Store) -> None:
    async with leases.session(store) as mine:
        assert await mine.take("files.main")
        assert await mine.take("files.main")
        async with leases.session(other) as theirs:
            assert not await theirs.take("files.main")
            assert await theirs.take("files.second")
    async with leases.session(other) as theirs:
        assert await theirs.take("files.main")


async def test_an_error_inside_gives_the_names_up_too(store: Store, other: Store) -> None:
    with contextlib.suppress(RuntimeError):
        async with leases.session(store) as mine:
            await mine.take("files.main")
            raise RuntimeError("the work failed")
    async with leases.session(other) as theirs:
        assert await theirs.take("files.main")
