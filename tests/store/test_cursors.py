"""Where each connector stands."""

from hub.store import cursors
from hub.store.pool import Store


async def test_a_cursor_is_what_was_last_put(store: Store) -> None:
    assert await cursors.get(store, "files") is None
    await cursors.put(store, "files", "یک")
    await cursors.put(store, "other", "x")
    await cursors.put(store, "files", "دو")
    assert await cursors.get(store, "files") == "دو"
    assert await cursors.get(store, "other") == "x"
