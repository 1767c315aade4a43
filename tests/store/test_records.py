"""What connectors remember of the other side."""

import asyncio

from hub.store import records
from hub.store.pool import Store

MINE = "shop.main"


async def test_a_value_is_there_until_it_is_forgotten(store: Store) -> None:
    await records.put(store, MINE, "orders", {"1": b"one", "2": b"\x00\xff"})
    assert await records.get(store, MINE, "orders", ["1", "2", "3"]) == {"1": b"one", "2": b"\x00\xff"}
    await records.put(store, MINE, "orders", {"1": b"uno", "2": None, "3": None})
    assert await records.get(store, MINE, "orders", ["1", "2", "3"]) == {"1": b"uno"}


async def test_instances_and_buckets_are_apart(store: Store) -> None:
    await records.put(store, MINE, "orders", {"1": b"one"})
    assert await records.get(store, "shop.other", "orders", ["1"]) == {}
    assert await records.get(store, MINE, "products", ["1"]) == {}


async def test_pages_go_by_the_bytes_of_the_keys(store: Store) -> None:
    await records.put(store, MINE, "b", {key: key.encode() for key in ("b", "B", "a", "ی", "10", "9")})
    assert [key for key, _ in await records.page(store, MINE, "b", "", 4)] == ["10", "9", "B", "a"]
    assert [key for key, _ in await records.page(store, MINE, "b", "a", 4)] == ["b", "ی"]


async def test_of_many_who_claim_a_key_one_wins(store: Store) -> None:
    claims = await asyncio.gather(*(records.put_new(store, MINE, "codes", "X", b"%d" % who) for who in range(8)))
    assert sum(claims) == 1
    assert await records.get(store, MINE, "codes", ["X"]) == {"X": b"%d" % claims.index(True)}


async def test_a_value_is_replaced_only_if_it_is_as_it_was(store: Store) -> None:
    await records.put(store, MINE, "codes", {"X": b"fresh"})
    assert not await records.replace(store, MINE, "codes", "X", b"stale", b"used")
    used = await asyncio.gather(*(records.replace(store, MINE, "codes", "X", b"fresh", b"used") for _ in range(8)))
    assert sum(used) == 1
    assert await records.replace(store, MINE, "codes", "X", b"used", None)
    assert not await records.replace(store, MINE, "codes", "X", b"used", None)
