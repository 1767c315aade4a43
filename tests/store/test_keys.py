"""API keys: told once, kept as a hash, revoked for good."""

import asyncio

import pytest

from hub.store import keys
from hub.store.errors import StoreError, Unacceptable
from hub.store.pool import Store
from tests.store.company import rows

SCOPES = ("documents:write", "stock:read")


async def make(store: Store, name: str = "shop", **fields: object) -> tuple[keys.Key, str]:
    usual = {"source": "shop", "scopes": SCOPES, "per_minute": 60}
    return await keys.create(store, name=name, **{**usual, **fields})  # type: ignore[arg-type]


async def test_a_key_is_found_by_its_token_and_only_a_hash_is_kept(store: Store) -> None:
    key, token = await make(store)
    assert await keys.find(store, token) == key
    assert (key.name, key.source, key.scopes, key.per_minute) == ("shop", "shop", frozenset(SCOPES), 60)
    assert key.revoked_at is None
    ((kept,),) = await rows(store, "select t::text from api_keys t")
    assert token not in kept
    assert token.removeprefix("pvd_") not in kept
    for wrong in (token[:-1], token + "x", token.upper(), "", "pvd_"):
        assert await keys.find(store, wrong) is None


async def test_tokens_and_ids_are_never_the_same(store: Store) -> None:
    made = [await make(store, f"key {number}") for number in range(5)]
    assert len({token for _, token in made}) == len({key.id for key, _ in made}) == 5


async def test_a_key_may_what_its_scopes_say_and_an_admin_everything(store: Store) -> None:
    key, _ = await make(store)
    admin, _ = await make(store, "boss", scopes=("admin",))
    assert [scope for scope in keys.SCOPES if key.may(scope)] == ["documents:write", "stock:read"]
    assert all(admin.may(scope) for scope in keys.SCOPES)


async def test_a_name_in_use_or_an_unknown_scope_is_refused(store: Store) -> None:
    await make(store)
    with pytest.raises(Unacceptable, match="'shop'"):
        await make(store)
    with pytest.raises(Unacceptable, match="no such scope: everything"):
        await make(store, "other", scopes=("everything",))
    with pytest.raises(StoreError):
        await make(store, "other", per_minute=0)
    assert [key.name for key in await keys.every(store)] == ["shop"]


async def test_a_revoked_key_stays_known_and_frees_its_name(store: Store) -> None:
    first, token = await make(store)
    assert await keys.revoke(store, "shop")
    assert not await keys.revoke(store, "shop")
    assert not await keys.revoke(store, "nobody")
    revoked = await keys.find(store, token)
    assert revoked is not None
    assert revoked.id == first.id
    assert revoked.revoked_at is not None
    again, _ = await make(store)
    assert [key.id for key in await keys.every(store)] == [first.id, again.id]


async def test_two_who_make_the_same_key_at_once_make_one(store: Store) -> None:
    answers = await asyncio.gather(*(make(store) for _ in range(4)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Unacceptable"] * 3 + ["tuple"]
