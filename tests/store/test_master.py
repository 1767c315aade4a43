"""Master data: the last word counts, an older one never does, and what the books show by now is counted once."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from hub.store import master
from hub.store.errors import Unacceptable
from hub.store.pool import Store
from schemas.commands import Cancel, PostingStarted, PostingSucceeded
from schemas.documents import Kind, Method
from schemas.master import Account, CodeList, Finance, ListEntry, Product, Stock, Warehouse
from tests.rules.world import START, line
from tests.store.company import (
    BEFORE,
    command,
    decide,
    disagreements,
    dump,
    held,
    on_hand,
    rows,
    stock_of,
    submit,
    value,
)

SECOND = timedelta(seconds=1)
POSTED = START + timedelta(hours=1)


async def sellable(store: Store, product: str = "RAM", warehouse: str = "MAIN") -> Decimal:
    in_books, incoming, reserved = await stock_of(store, product, warehouse)
    return in_books + incoming - reserved


async def post(store: Store, source_id: str, at: datetime = POSTED) -> None:
    await decide(
        store,
        command(PostingStarted, source_id),
        command(PostingSucceeded, source_id, number="1", posted_at=at),
    )


async def row(store: Store, table: str, code: str) -> dict[str, Any]:
    async with store.connection() as connection:
        return dict(await connection.fetchrow(f"select * from {table} where code = $1", code))


# --- records


async def test_a_product_is_kept_field_by_field_and_overwritten_whole(store: Store) -> None:
    whole = Product(
        "P", "کالا", "متر", 10**15, True, Decimal("6.125"), Decimal(0), False, False, "گروه", "رول", "626000"
    )
    await master.apply(store, [whole])
    async with store.connection() as connection:
        assert await store.products.get(connection, ["P"]) == {"P": whole}
    plain = Product("P", "ساده")
    await master.apply(store, [plain])
    async with store.connection() as connection:
        assert await store.products.get(connection, ["P"]) == {"P": plain}
        assert await store.products.get(connection, []) == {}


async def test_another_process_sees_a_changed_product_at_once(store: Store, database: str) -> None:
    await master.apply(store, [Product("P", "یک", price=1)])
    other = Store(database, size=1)
    await other.open()
    async with other.connection() as connection:
        assert (await other.products.get(connection, ["P", "Q"]))["P"].price == 1
        await master.apply(store, [Product("P", "دو", price=2), Product("Q", "تازه")])
        found = await other.products.get(connection, ["P", "Q"])
    await other.close()
    assert (found["P"].price, found["Q"].name) == (2, "تازه")


async def test_an_account_and_a_warehouse_are_kept_field_by_field(store: Store) -> None:
    await master.apply(
        store,
        [
            Account("A", "الف", True, False, ("021", "0912"), "تهران", "CC", "G", ledger="1101", detail_group="T1"),
            Warehouse("W", "انبار", active=False),
        ],
    )
    account = await row(store, "accounts", "A")
    assert {name: account[name] for name in ("defined", "name", "vat_exempt", "active", "phones")} == {
        "defined": True, "name": "الف", "vat_exempt": True, "active": False, "phones": ["021", "0912"],
    }  # fmt: skip
    assert (account["city"], account["cost_centre"], account["account_group"]) == ("تهران", "CC", "G")
    assert (account["ledger"], account["detail_group"]) == ("1101", "T1")
    assert await row(store, "warehouses", "W") == {"code": "W", "name": "انبار", "active": False}
    await master.apply(store, [Account("A", "ب"), Warehouse("W", "دیگر")])
    account = await row(store, "accounts", "A")
    assert (account["name"], account["active"], account["phones"], account["city"]) == ("ب", True, [], None)
    assert (await row(store, "warehouses", "W"))["active"] is True


async def test_an_accounts_name_leaves_its_standing_alone_and_the_reverse(company: Store) -> None:
    await decide(company, submit("A"))
    taken = await held(company)
    await master.apply(company, [Account("ALI", "علی رضایی")])
    await master.apply(company, [Finance("ALI", START, 1, 2, 3, 4, 5)])
    account = await row(company, "accounts", "ALI")
    assert (account["name"], account["held"]) == ("علی رضایی", taken)
    figures = ("direct", "documentary", "balance", "uncleared_cheques", "returned_cheques")
    assert [account[name] for name in figures] == [1, 2, 3, 4, 5]


async def test_the_last_record_of_a_key_in_a_batch_wins(store: Store) -> None:
    await master.apply(
        store,
        [
            Product("P", "old"), Warehouse("W", "old"), Account("A", "old"),
            Product("P", "new"), Warehouse("W", "new"), Account("A", "new"),
            on_hand("P", 1, warehouse="W"), on_hand("P", 2, warehouse="W"),
            on_hand("P", 3, BEFORE - SECOND, warehouse="W"),
            Finance("A", BEFORE, direct=1), Finance("A", BEFORE, direct=2), Finance("A", BEFORE - SECOND, direct=3),
        ],
    )  # fmt: skip
    names = "select name from products union all select name from warehouses union all select name from accounts"
    assert await rows(store, names) == [("new",)] * 3
    assert (await stock_of(store, "P", "W"))[0] == 2
    assert await value(store, "select direct from accounts") == 2


@pytest.mark.parametrize(
    ("moment", "counts"),
    [(BEFORE - SECOND, False), (BEFORE, True), (BEFORE + SECOND, True)],
    ids=["older", "as old", "newer"],
)
async def test_an_older_figure_never_overwrites_a_newer_one(company: Store, moment: datetime, counts: bool) -> None:
    await master.apply(company, [on_hand("RAM", 5, moment), Finance("ALI", moment, direct=5)])
    assert (await stock_of(company, "RAM"))[0] == (5 if counts else 1_000)
    assert await value(company, "select direct from accounts where code = 'ALI'") == (5 if counts else 1_000_000_000)


async def test_each_attribute_has_its_own_stock(company: Store) -> None:
    await master.apply(company, [on_hand("CLOTH", 3, attribute="قرمز"), on_hand("CLOTH", 4, attribute="آبی")])
    found = await rows(company, "select attribute, in_books from stock where product = 'CLOTH' order by in_books")
    assert found == [("قرمز", 3), ("آبی", 4), ("", 1_000), ("", 1_000)]


async def test_nothing_is_no_work(store: Store) -> None:
    await master.apply(store, [])


# --- retirement: each figure is (moment of the books' figure, relative to the posting)

MOMENTS = pytest.mark.parametrize(
    ("after", "retired"),
    [(-SECOND, False), (timedelta(0), False), (SECOND, True)],
    ids=["older than the posting", "as old as the posting", "newer than the posting"],
)


@MOMENTS
async def test_a_sale_is_counted_until_the_books_stock_is_newer(
    company: Store, after: timedelta, retired: bool
) -> None:
    await decide(company, submit("A", lines=(line("RAM", 3),)))
    await post(company, "A")
    assert await stock_of(company, "RAM") == (1_000, 0, 3)
    await master.apply(company, [on_hand("RAM", 997 if retired else 1_000, POSTED + after)])
    assert await sellable(company) == 997
    assert await value(company, "select count(*) from movements") == (0 if retired else 1)
    assert await disagreements(company) == []


@MOMENTS
async def test_goods_received_are_counted_until_the_books_may_show_them(
    company: Store, after: timedelta, retired: bool
) -> None:
    """Of the very moment of the posting they may, or may not; counted twice they would be sold twice."""
    await decide(company, submit("R", Kind.GOODS_RECEIPT, lines=(line("RAM", 50),)))
    await post(company, "R")
    assert await stock_of(company, "RAM") == (1_000, 50, 0)
    counted = after < timedelta(0)
    await master.apply(company, [on_hand("RAM", 1_000 if counted else 1_050, POSTED + after)])
    assert await sellable(company) == 1_050
    assert await value(company, "select count(*) from movements") == (1 if counted else 0)
    assert await disagreements(company) == []


@MOMENTS
async def test_a_debt_is_counted_until_the_books_balance_is_newer(
    company: Store, after: timedelta, retired: bool
) -> None:
    await decide(company, submit("A", lines=(line("RAM", 1, unit_price=1_000_000),)))
    await post(company, "A")
    assert await held(company) == 1_100_000
    standing = Finance("ALI", POSTED + after, direct=1_000_000_000, balance=1_100_000 if retired else 0)
    await master.apply(company, [standing])
    assert await held(company) == (0 if retired else 1_100_000)
    assert await disagreements(company) == []


@MOMENTS
async def test_a_payment_is_counted_until_the_books_balance_may_show_it(
    company: Store, after: timedelta, retired: bool
) -> None:
    await decide(company, submit("P", Kind.RECEIPT, amount=500, method=Method.CASH))
    await post(company, "P")
    counted = after < timedelta(0)
    await master.apply(company, [Finance("ALI", POSTED + after, balance=0 if counted else -500)])
    assert await held(company) == (-500 if counted else 0)
    assert await disagreements(company) == []


@MOMENTS
async def test_a_posting_told_after_the_books_were_read_is_counted_by_the_same_rule(
    company: Store, after: timedelta, retired: bool
) -> None:
    await decide(
        company,
        submit("A", lines=(line("RAM", 3),)),
        submit("R", Kind.GOODS_RECEIPT, lines=(line("RAM", 50),)),
        submit("P", Kind.RECEIPT, amount=500, method=Method.CASH),
    )
    await master.apply(company, [on_hand("RAM", 1_000, POSTED + after), Finance("ALI", POSTED + after, direct=10**9)])
    for name in ("A", "R", "P"):
        await post(company, name)
    given = after < timedelta(0)
    assert await stock_of(company, "RAM") == (1_000, 50 if given else 0, 0 if retired else 3)
    assert await held(company) == (0 if retired else 3_300_000) - (500 if given else 0)
    assert await disagreements(company) == []


async def test_a_posting_told_after_the_books_showed_it_is_not_counted_again(company: Store) -> None:
    await decide(company, submit("A", lines=(line("RAM", 3),)), command(PostingStarted, "A"))
    newer = POSTED + SECOND
    await master.apply(company, [on_hand("RAM", 997, newer), Finance("ALI", newer, direct=10**9, balance=3_300_000)])
    assert await stock_of(company, "RAM") == (997, 0, 3)
    await decide(company, command(PostingSucceeded, "A", number="1", posted_at=POSTED))
    assert await stock_of(company, "RAM") == (997, 0, 0)
    assert await held(company) == 0
    assert await disagreements(company) == []


async def test_a_refresh_retires_what_is_posted_and_nothing_else(company: Store) -> None:
    await decide(
        company,
        submit("POSTED", lines=(line("RAM", 1),)),
        submit("OPEN", lines=(line("RAM", 2),)),
        submit("LATER", lines=(line("RAM", 4),)),
        submit("ELSEWHERE", warehouse="SHOP", lines=(line("RAM", 8),)),
        submit("OTHER", account="SARA", lines=(line("CPU", 16),)),
    )
    for name, moment in (("POSTED", POSTED), ("ELSEWHERE", POSTED), ("OTHER", POSTED), ("LATER", POSTED + 2 * SECOND)):
        await post(company, name, moment)
    await master.apply(company, [on_hand("RAM", 999, POSTED + SECOND), Finance("ALI", POSTED + SECOND)])
    left = await rows(company, "select quantity from movements order by 1")
    assert left == [(2,), (4,), (8,), (16,)]
    assert await stock_of(company, "RAM") == (999, 0, 6)
    assert sorted(await rows(company, "select account, count(*) from credit_holds group by 1")) == [
        ("ALI", 2),
        ("SARA", 1),
    ]
    assert await disagreements(company) == []


async def test_a_retired_document_can_still_be_looked_at_and_returned(company: Store) -> None:
    await decide(company, submit("A", lines=(line("RAM", 3),)))
    await post(company, "A")
    await master.apply(company, [on_hand("RAM", 997, POSTED + SECOND), Finance("ALI", POSTED + SECOND)])
    back = submit("BACK", Kind.SALES_RETURN, original="A", original_date=None, lines=(line("RAM", 3),))
    events = await decide(company, command(Cancel, "A"), back)
    assert [event.type for event in events] == ["document.command_refused", "document.cleared"]
    assert await stock_of(company, "RAM") == (997, 3, 0)
    assert await disagreements(company) == []


# --- what can't be kept


@pytest.mark.parametrize(
    "record",
    [
        on_hand("RAM", "NaN", START),
        on_hand("RAM", "sNaN", START),
        on_hand("RAM", "Infinity", START),
        on_hand("RAM", "1e15", START),
        on_hand("RAM", "1e400000", START),
        on_hand("RA\x00M", 1, START),
        Finance("ALI", START, direct=2**63),
        Finance("AL\x00I", START),
        Product("P", "نام", price=2**63),
        Product("P", "نام", price=-1),
        Product("P", "نام", vat_percent=Decimal("NaN")),
        Product("P", "نام", vat_percent=Decimal("100.001")),
        Product("P", "نام", duty_percent=Decimal(-1)),
        Product("P", "n\x00"),
        Account("A", "n\x00"),
        Warehouse("W", "n\x00"),
        ListEntry(CodeList.CITY, "1", "n\x00"),
    ],
    ids=repr,
)
async def test_what_can_not_be_kept_is_refused_and_changes_nothing(company: Store, record: Any) -> None:
    before = await dump(company)
    with pytest.raises(Unacceptable):
        await master.apply(company, [record])
    assert await dump(company) == before


async def test_stock_below_zero_in_the_books_is_kept_as_it_is(company: Store) -> None:
    await master.apply(company, [msgspec.structs.replace(on_hand("RAM", -2), as_of=START)])
    (event,) = await decide(company, submit("A"))
    assert event.type == "document.rejected"
    assert (await stock_of(company, "RAM"))[0] == -2


def test_the_samples_above_are_of_every_kind() -> None:
    assert {Account, Product, Warehouse, Stock, Finance, ListEntry} == set(master.Master.__args__)  # type: ignore[attr-defined]
