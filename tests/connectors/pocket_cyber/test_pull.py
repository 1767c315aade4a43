"""What a handheld pulls: deltas by cursor, within its holder's limits, from which nothing is ever missing."""

import asyncio
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.pocket_cyber import feeds, limits
from connectors.pocket_cyber.simulator import Handheld
from connectors.pocket_cyber.simulator.handheld import FEEDS
from connectors.pocket_cyber.spec import Limits, Spec
from hub.runtime.connect import StoreLookup
from hub.store import master, reading
from schemas.dates import utc_now
from schemas.master import Account, CodeList, Finance, ListEntry, Product, Stock
from schemas.topics import master_key
from tests.connectors.conftest import until
from tests.connectors.pocket_cyber.world import PRICE, Backdrop, Site, open_site, reopened, visitor


async def test_a_handheld_sees_its_groups_its_route_and_its_warehouses(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        m = site.mark
        spec = Spec(
            holders={
                "v1": Limits(groups=(f"drinks{m}", f"foods{m}"), accounts=(site.ali,), warehouses=(site.van,)),
                "v2": Limits(account_groups=(f"kiosks{m}",), groups=(f"tools{m}",)),
                "v3": Limits(cities=("كرج",), accounts=(site.reza,), groups=(f"tools{m}",)),
            }
        )
        async with reopened(site, spec) as limited:
            one, two, three = [await limited.ready(holder) for holder in ("v1", "v2", "v3")]
            assert one.copies["products"].keys() == {site.drink, site.food} == one.copies["stock"].keys()
            assert one.copies["customers"].keys() == one.copies["credit"].keys() == {site.ali}
            assert one.copies["stock"][site.drink]["stock"] == [{"warehouse": site.van, "quantity": "100.00000"}]
            assert two.copies["products"].keys() == {site.tool}
            assert two.copies["customers"].keys() == {site.reza}
            assert len(two.copies["stock"][site.tool]["stock"]) == 2
            assert {site.ali, site.reza} <= three.copies["customers"].keys()
            assert one.copies["products"][site.drink]["price"] == PRICE
            assert one.copies["credit"][site.ali]["instant"] == 100_000_000


async def test_a_handheld_learns_what_codes_are_called(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        code = f"N{site.mark}"
        red = ListEntry(CodeList.ATTRIBUTE, code, "قرمز", product=site.drink)
        await site.tell(
            red, ListEntry(CodeList.CITY, code, "کرج", parent="البرز"), ListEntry(CodeList.COST_CENTRE, code, "ستاد")
        )
        device = await site.enrolled("v1")

        async def told(*wanted: dict[str, str]) -> bool:
            await device.pull()
            return [item for item in device.copies["lists"].values() if item["code"] == code] == list(wanted)

        city = {"key": f"city|{code}|", "list": "city", "code": code, "name": "کرج", "parent": "البرز"}
        attribute = {"key": f"attribute|{code}|{site.drink}", "list": "attribute", "code": code, "name": "قرمز"}
        await until(lambda: told(attribute | {"product": site.drink}, city))
        await site.tell(msgspec.structs.replace(red, active=False))
        await until(lambda: told(city))


async def test_a_resumed_pull_is_stable_and_costs_nothing(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        device = await site.enrolled("v1")
        client = site.holding(device)
        first = await client.get("/pull/products", params={"limit": 1})
        assert (first.body["reset"], first.body["more"]) == (True, True)
        cursor = {"cursor": first.body["cursor"], "limit": 1}
        second = await client.get("/pull/products", params=cursor)
        assert second.body["reset"] is False
        again = await client.get("/pull/products", params=cursor, headers={"If-None-Match": second.headers["ETag"]})
        assert (again.status, again.data) == (304, b"")
        await device.pull()
        async with asyncio.timeout(60):
            while (last := await client.get("/pull/products", params={"cursor": device._cursors["products"]})).body[
                "items"
            ]:
                await device.pull()
        repeat = await client.get("/pull/products", params={"cursor": last.body["cursor"]})
        assert repeat.data == last.data


@pytest.mark.parametrize("cursor", ["nonsense", "WyJ4IiwieSIse31d", "é", "A" * 5_000, "////"])
async def test_a_cursor_that_isnt_understood_begins_anew(idle: Backdrop, tmp_path: Path, cursor: str) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        device = await site.enrolled("v1")
        answer = await site.holding(device).get("/pull/stock", params={"cursor": cursor})
        assert (answer.status, answer.body["reset"]) == (200, True)


async def test_another_feeds_cursor_and_other_limits_begin_anew(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        device = await site.ready("v1")
        swapped = await site.holding(device).get("/pull/stock", params={"cursor": device._cursors["products"]})
        assert swapped.body["reset"] is True
        assert len(device.copies["products"]) >= 3
        async with reopened(site, visitor(groups=(f"tools{site.mark}",))) as limited:
            device.address = limited.url
            await device.pull()
            assert device.copies["products"].keys() == {site.tool} == device.copies["stock"].keys()
            assert device.me["limits"]["groups"] == [f"tools{site.mark}"]
        async with reopened(site, visitor(groups=(f"tools{site.mark}",), discount_percent=Decimal(5))) as loosened:
            device.address = loosened.url
            client = loosened.holding(device)
            answer = await client.get("/pull/products", params={"cursor": device._cursors["products"]})
            assert answer.body["reset"] is False


async def test_what_is_inactive_or_leaves_the_limits_is_gone(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        m = site.mark
        async with reopened(
            site, visitor(groups=(f"drinks{m}", f"foods{m}"), account_groups=(f"shops{m}",))
        ) as limited:
            device = await limited.ready("v1")
            assert site.reza not in device.copies["credit"]
            await site.tell(
                Product(site.drink, "نوشابه", active=False, group=f"drinks{m}"),
                Product(site.food, "بیسکویت", group=f"tools{m}"),
                Account(site.ali, "علی", group=f"kiosks{m}"),
                Account(site.reza, "رضا", group=f"shops{m}"),
            )
            await _pull_until(device, "products", lambda copy: not copy)
            await _pull_until(device, "stock", lambda copy: not copy)
            await _pull_until(device, "customers", lambda copy: copy.keys() == {site.reza})
            # His credit didn't change; he came onto the route.
            await _pull_until(device, "credit", lambda copy: copy.keys() == {site.reza})


async def _pull_until(device: Handheld, feed: str, holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds(device.copies[feed]):
            await device.pull(feed)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_changes_between_pulls_the_copy_becomes_the_hubs(
    idle: Backdrop, tmp_path: Path, seed: int
) -> None:
    """Random changes by several writers at once, random page sizes, pulls cut off between pages."""
    dice = random.Random(seed)
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        m = site.mark
        routes = [
            Limits(groups=(f"g1{m}", f"g2{m}"), account_groups=(f"r1{m}",), cities=(f"c1{m}",), warehouses=(site.van,)),
            Limits(groups=(f"g1{m}",), accounts=tuple(f"k{m}{n}" for n in range(0, 12, 3))),
        ]
        async with reopened(site, Spec(holders={"v1": dice.choice(routes)})) as limited:
            device = await limited.enrolled("v1", seed=seed)
            for _ in range(12):
                await asyncio.gather(
                    *(_change(site, random.Random(f"{seed}/{dice.random()}")) for _ in range(3)),
                    _some_pages(device, dice),
                )
            spec = limited.instance.spec
            assert isinstance(spec, Spec)
            holder = limits.rights(spec, "v1")
            assert holder is not None
            for feed in FEEDS:
                expected = await _present(idle, site, holder, feed)
                await _pull_until(device, feed, lambda copy, expected=expected: _mine(copy, m) == expected)


async def _change(site: Site, dice: random.Random) -> None:
    m, now = site.mark, utc_now()
    product, account = f"p{m}{dice.randrange(12)}", f"k{m}{dice.randrange(12)}"
    match dice.randrange(5):
        case 0:
            group = f"g{dice.randrange(1, 4)}{m}"
            await site.tell(Product(product, "کالا", price=dice.randrange(9), group=group, active=dice.random() < 0.8))
        case 1:
            await site.tell(
                Account(
                    account,
                    "مشتری",
                    group=f"r{dice.randrange(1, 4)}{m}",
                    city=f"c{dice.randrange(1, 4)}{m}",
                    active=dice.random() < 0.8,
                )
            )
        case 2:
            warehouse = dice.choice((site.van, site.depot))
            await site.tell(Stock(product, warehouse, Decimal(dice.randrange(99)), now))
        case 3:
            of = dice.choice((CodeList.ATTRIBUTE, CodeList.COST_CENTRE))
            name, active = f"نام {dice.randrange(9)}", dice.random() < 0.8
            await site.tell(ListEntry(of, f"e{m}", name, dice.choice(("", product)), active=active))
        case _:
            await site.tell(Finance(account, now, direct=dice.randrange(10**9)))


async def _some_pages(device: Handheld, dice: random.Random) -> None:
    for feed in FEEDS:
        for _ in range(dice.randrange(3)):
            await device.pull_page(feed, dice.choice((1, 2, 7)))


async def _present(backdrop: Backdrop, site: Site, holder: limits.Rights, feed: str) -> dict[str, Any]:
    """What the holder may see of this company now, asked for by its keys."""
    m = site.mark
    names = [f"{kind}{m}{n}" for kind in ("p", "k") for n in range(12)]
    rows: dict[str, Any] = dict.fromkeys(names)
    if feed == "lists":
        entries = await reading.entries(backdrop.store, None, None, 10_000)
        rows = {master_key(entry).decode(): entry for entry in entries if m in entry.code}
    told = await feeds.FEEDS[feed].present(StoreLookup(backdrop.store), holder, rows)
    return {key: _as_sent(item) for key, item in told.items.items()}


def _as_sent(told: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(told))


def _mine(copy: dict[str, Any], mark: str) -> dict[str, Any]:
    return {key: item for key, item in copy.items() if mark in key}


async def test_the_hubs_present_is_what_the_books_told(idle: Backdrop, tmp_path: Path) -> None:
    """The property above compares with `present`; this compares `present` with what was written."""
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        await master.apply(idle.store, [Stock(site.drink, site.van, Decimal(7), utc_now())])
        spec = site.instance.spec
        assert isinstance(spec, Spec)
        holder = limits.rights(spec, "v1")
        assert holder is not None
        found = await feeds.FEEDS["stock"].present(StoreLookup(idle.store), holder, {site.drink: None, "nothing": None})
        assert _as_sent(dict(found.items)) == {
            site.drink: {
                "product": site.drink,
                "stock": [
                    {"warehouse": site.van, "quantity": "7.00000"},
                    {"warehouse": site.depot, "quantity": "100.00000"},
                ],
            }
        }
