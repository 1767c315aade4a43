"""What connectors look up, and above all: that who reads what changed misses nothing."""

import asyncio
import random
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from hub.store import lookup, master, migrate
from hub.store.pool import Store
from schemas.master import Account, CodeList, Finance, ListEntry, Product, Stock, Warehouse
from tests.rules.world import START
from tests.store.company import decide, submit


async def everything(store: Store, kind: str, place: str = "", limit: int = 2) -> tuple[list[Any], str]:
    """All that is told from a place on, once no transaction is open any more: the server has its own, now and then."""
    async with store.connection() as connection:
        mine = await connection.fetchval("select pg_current_xact_id()::text")
        async with asyncio.timeout(60):
            while not await connection.fetchval(
                "select pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8", mine
            ):
                await asyncio.sleep(0.01)
    return await what_there_is(store, kind, place, limit)


async def what_there_is(store: Store, kind: str, place: str, limit: int) -> tuple[list[Any], str]:
    rows: list[Any] = []
    while True:
        found = await lookup.changes(store, kind, place, limit)
        rows += found.rows
        place = found.place
        if not found.more:
            return rows, place


async def test_accounts_are_found_by_the_last_ten_digits_of_a_phone_and_by_e_mail(store: Store) -> None:
    first = Account(
        "1", "الف", phones=("0912 345 67 89",), emails=("Someone@Example.com",), ledger="1101", detail_group="T1"
    )
    second = Account("2", "ب", phones=("۰۹۱۲۳۴۵۶۷۸۹", "021-88"))
    await master.apply(store, [first, second, Account("3", "پ", phones=("",), emails=("",))])
    assert await lookup.accounts_of(store, ["+989123456789"], []) == [first, second]
    assert await lookup.accounts_of(store, [], ["someone@example.COM "]) == [first]
    assert await lookup.accounts_of(store, ["", "xyz"], [""]) == []


async def test_what_codes_are_called_comes_as_it_changes(store: Store) -> None:
    red = ListEntry(CodeList.ATTRIBUTE, "1", "قرمز", product="P")
    entries = [ListEntry(CodeList.CITY, "1", "کرج", parent="البرز"), ListEntry(CodeList.ATTRIBUTE, "1", "سرخ"), red]
    await master.apply(store, entries)
    found, place = await everything(store, "lists")
    assert sorted(found, key=lambda entry: (entry.list, entry.code, entry.product)) == [*entries[1:], entries[0]]
    gone = msgspec.structs.replace(red, active=False)
    await master.apply(store, [entries[0], gone])
    found, place = await everything(store, "lists", place)
    assert found == [gone]


async def test_everything_comes_first_and_then_only_what_changed(store: Store) -> None:
    goods = [Product(f"P{number}", "کالا", price=number) for number in range(5)]
    await master.apply(store, goods)
    found, place = await everything(store, "products")
    assert sorted(found, key=lambda product: product.code) == goods
    assert await everything(store, "products", place) == ([], place)
    await master.apply(store, [goods[3], Product("P1", "کالا", price=70)])  # one of them as it was
    found, place = await everything(store, "products", place)
    assert found == [Product("P1", "کالا", price=70)]


async def test_a_reservation_changes_what_is_sellable_and_a_hold_the_credit(company: Store) -> None:
    _, stock_place = await everything(company, "sellable")
    _, credit_place = await everything(company, "credit")
    await decide(company, submit("S"))
    changed, _ = await everything(company, "sellable", stock_place)
    assert changed == await lookup.sellable(company, ["RAM"], [changed[0].warehouse])
    [ledger] = (await everything(company, "credit", credit_place))[0]
    assert ledger.held > 0
    assert await lookup.credit(company, [ledger.code]) == {ledger.code: ledger}


async def test_a_row_of_a_transaction_still_open_is_told_once_it_is_there(store: Store, database: str) -> None:
    await master.apply(store, [Product("P1", "کالا")])
    open_one = await asyncpg.connect(database)
    try:
        async with open_one.transaction():
            await open_one.execute("update products set name = 'دیر' where code = 'P1'")
            await master.apply(store, [Product("P2", "کالا")])  # a later transaction, there before the earlier
            early, place = await what_there_is(store, "products", "", 10)
            assert [product.code for product in early if product.code == "P2"] == []
    finally:
        await open_one.close()
    late, _ = await everything(store, "products", place)
    assert {product.code: product.name for product in late} == {"P1": "دیر", "P2": "کالا"}


async def test_a_copy_kept_by_changes_equals_the_hubs(store: Store) -> None:
    dice = random.Random(7)
    copy: dict[tuple[str, str], Decimal] = {}
    place = ""
    for round_ in range(30):
        keys = [(f"P{dice.randrange(6)}", f"W{dice.randrange(2)}") for _ in range(dice.randrange(4))]
        as_of = START + timedelta(seconds=round_)
        await master.apply(store, [Stock(*key, Decimal(dice.randrange(100)), as_of) for key in keys])
        if dice.random() < 0.5:
            rows, place = await everything(store, "sellable", place, limit=dice.randrange(1, 4))
            copy |= {(row.product, row.warehouse): row.quantity for row in rows}
    rows, _ = await everything(store, "sellable", place)
    copy |= {(row.product, row.warehouse): row.quantity for row in rows}
    true = await lookup.sellable(store, [f"P{number}" for number in range(6)], [])
    assert copy == {(row.product, row.warehouse): row.quantity for row in true}


async def test_transactions_are_told_in_their_order_when_their_number_gets_a_digit_more(store: Store) -> None:
    await master.apply(store, [Product(code, "کالا") for code in ("P1", "P2", "P3")])
    async with store.connection() as connection:
        await connection.execute("alter table products disable trigger touch")
        for code, transaction in (("P1", "100"), ("P2", "99"), ("P3", "9")):
            await connection.execute(f"update products set changed = '{transaction}'::xid8 where code = $1", code)
        await connection.execute("alter table products enable trigger touch")
        beginning = f"{await connection.fetchval('select id from change_epoch')}/0/"
    assert [product.code for product in (await everything(store, "products", beginning, 1))[0]] == ["P3", "P2", "P1"]


@pytest.mark.parametrize(
    "place", ["nonsense", "1/2/P1", f"{UUID(int=1)}/1/P1", f"{UUID(int=1)}/99999999999999999999/x", "//"]
)
async def test_a_place_of_elsewhere_begins_anew_and_says_so(store: Store, place: str) -> None:
    await master.apply(store, [Product("P1", "کالا")])
    assert (await lookup.changes(store, "products", place, 10)).reset
    assert [product.code for product in (await everything(store, "products", place))[0]] == ["P1"]


@pytest.mark.parametrize("key", ["", "P1", '["P1"', '["P1","P2"]', "[1]", r'["\u0000"]'])
async def test_a_way_through_everything_that_was_never_told_begins_anew(store: Store, key: str) -> None:
    await master.apply(store, [Product("P1", "کالا")])
    epoch = (await everything(store, "products"))[1].partition("/")[0]
    assert (await lookup.changes(store, "products", f"{epoch}/1!{key}", 10)).reset


async def test_what_changes_behind_a_reader_on_its_way_through_everything_is_told_after_it(store: Store) -> None:
    await master.apply(store, [Stock(f"P{number}", "W", Decimal(number), START) for number in range(6)])
    await everything(store, "sellable")
    first = await lookup.changes(store, "sellable", "", 3)
    assert [row.product for row in first.rows] == ["P0", "P1", "P2"]
    later = START + timedelta(seconds=1)
    changed = [Stock(code, "W", Decimal(9), later) for code in ("P1", "P4", "P00")]
    await master.apply(store, changed)
    rows, place = await everything(store, "sellable", first.place)
    copy = {row.product: row.quantity for row in (*first.rows, *rows)}
    assert copy == {"P0": 0, "P00": 9, "P1": 9, "P2": 2, "P3": 3, "P4": 9, "P5": 5}
    assert await everything(store, "sellable", place) == ([], place)


@pytest.mark.parametrize(
    ("kind", "table"),
    [("products", "products"), ("accounts", "accounts"), ("sellable", "stock"), ("lists", "list_entries")],
)
async def test_rows_of_a_server_that_counted_further_are_brought_back(
    store: Store, database: str, kind: str, table: str
) -> None:
    entry = ListEntry(CodeList.CITY, "21", "کرج")
    stock = Stock("P1", "W", Decimal(1), START)
    await master.apply(store, [Product("P1", "کالا"), Account("A", "الف"), Warehouse("W", "انبار"), stock, entry])
    async with store.connection() as connection:
        await connection.execute(f"alter table {table} disable trigger touch")
        await connection.execute(f"update {table} set changed = '999999999999'::xid8")
        await connection.execute(f"alter table {table} enable trigger touch")
    found, place = await everything(store, kind)
    assert found == []
    await migrate.migrate(database)
    found, after = await everything(store, kind, place)
    assert len(found) == 1
    assert not (await lookup.changes(store, kind, after, 10)).reset
    assert (await lookup.changes(store, kind, place, 10)).reset


async def test_an_account_whose_standing_is_unknown_has_no_credit_to_tell(store: Store) -> None:
    await master.apply(store, [Account("A", "الف"), Finance("B", START, direct=5)])
    assert set(await lookup.credit(store, ["A", "B"])) == {"B"}
    assert [ledger.code for ledger in (await everything(store, "credit"))[0]] == ["B"]
    assert [account.code for account in (await everything(store, "accounts"))[0]] == ["A"]
