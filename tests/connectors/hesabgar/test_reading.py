"""Reading a simulated Hesabgar: all once, then what changed, what vanished, and one customer at once."""

import asyncio
import datetime as dt
import shutil
import sqlite3
import threading
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from connectors.hesabgar import contract, reading, sql
from connectors.hesabgar.memory import Seen
from connectors.hesabgar.simulator import FaultKind, HesabgarSimulator, mapping_text
from schemas import text
from schemas.dates import utc_now
from schemas.documents import Kind, State
from schemas.master import Account, CodeList, Finance, ListEntry, Master, Product, Stock, Warehouse
from tests.connectors.conftest import Surroundings, until
from tests.connectors.hesabgar.world import BOOKKEEPER, CUSTOMER, PRODUCT, World


@pytest.fixture
def small_pages() -> int:
    """Fewer rows than there are of anything."""
    return 10


async def test_everything_is_read_once_and_then_only_what_changed(
    around: Surroundings, sim: HesabgarSimulator, small_pages: int
) -> None:
    world = World(around, producer=None, sim=sim)  # type: ignore[arg-type]  # nothing is sent
    async with world.connector(page_rows=small_pages, post=()):
        await until(lambda: told_enough(around, sim))
        first = await around.master()
        await world.books_say(PRODUCT, 33)
        await until(lambda: len_is(around, len(first) + 1))
        last = Counter(await around.master()) - Counter(first)
        [changed] = last
        assert isinstance(changed, Stock)
        assert (changed.product, changed.warehouse, changed.on_hand) == (PRODUCT, "01", Decimal(33))
    kinds = Counter(type(record) for record in first)
    assert kinds[Product] == sim.query("SELECT COUNT(*) FROM hub.products")[0][0]
    assert kinds[Account] == sim.query("SELECT COUNT(*) FROM hub.accounts")[0][0]
    assert kinds[Warehouse] == 4
    assert kinds[ListEntry] == sum(sim.query(f"SELECT COUNT(*) FROM hub.{view.name}")[0][0] for view in contract.LISTS)
    # Started again nothing is told anew.
    async with world.connector(page_rows=small_pages, post=()):
        await world.books_say(PRODUCT, 34)
        await until(lambda: len_is(around, len(first) + 2))


async def told_enough(around: Surroundings, sim: HesabgarSimulator) -> bool:
    stock = sum(isinstance(record, Stock) for record in await around.master())
    return bool(stock == sim.query("SELECT COUNT(*) FROM hub.stock")[0][0])


async def len_is(around: Surroundings, count: int) -> bool:
    return len(await around.master()) == count


async def test_the_books_arabic_letters_are_told_as_persian_ones(world: World) -> None:
    connector = world.by_hand()
    [account, finance] = await connector.refresh_account("212010006")
    connector.client.close()
    assert isinstance(account, Account)
    assert account.name == "شرکت امین گستر"
    [under] = world.sim.query("SELECT ledger_code, detail_group FROM hub.accounts WHERE code = N'212010006'")
    assert (account.ledger, account.detail_group) == under
    assert account.ledger
    assert isinstance(finance, Finance)
    assert finance.balance == 132_634_996


async def test_what_codes_are_called_is_told_and_accounts_have_their_citys_name(world: World) -> None:
    connector = world.by_hand(post=())
    await connector.reading.look()
    told = await world.around.master()
    named = {(entry.list, entry.code): entry for entry in told if isinstance(entry, ListEntry)}
    assert {entry.list for entry in named.values()} == set(CodeList)
    [(attribute, called)] = world.sim.query("SELECT TOP (1) code, name FROM hub.attributes ORDER BY code")
    assert named[CodeList.ATTRIBUTE, attribute].name == text.normalise(called)
    [(code, city)] = world.sim.query("SELECT code, city_code FROM hub.accounts WHERE code = N'212010006'")
    [(name, province)] = world.sim.query(f"SELECT name, province FROM hub.cities WHERE code = N'{city}'")
    assert named[CodeList.CITY, city].parent == text.normalise(province)
    assert city_of(told, code) == text.normalise(name)
    [account, _] = await connector.refresh_account(code)
    assert isinstance(account, Account)
    assert account.city == text.normalise(name)
    # A city gets another name: so do its accounts, and nobody else is told of.
    world.sim.run(f"UPDATE dbo.BAS_City SET CityName = N'شهر نو' WHERE CityID = {city}")
    before = await world.around.master()
    await connector.reading.look()
    connector.client.close()
    news = list((Counter(await world.around.master()) - Counter(before)).elements())
    assert [entry.name for entry in news if isinstance(entry, ListEntry)] == ["شهر نو"]
    assert city_of(news, code) == "شهر نو"
    [(count,)] = world.sim.query(f"SELECT COUNT(*) FROM hub.accounts WHERE city_code = N'{city}'")
    assert len(news) == 1 + count


def city_of(told: list[Master], code: str) -> str | None:
    return [record.city for record in told if isinstance(record, Account) and record.code == code][-1]


async def test_one_customer_is_refreshed_without_reading_any_other(world: World) -> None:
    connector = world.by_hand()
    told = await connector.refresh_account("212010001")
    assert await connector.refresh_account("999") == []
    connector.client.close()
    assert [type(record) for record in told] == [Account, Finance]
    assert await world.around.master() == told


async def test_a_customer_whose_city_has_no_name_is_refreshed_with_its_code(world: World) -> None:
    [(city,)] = world.sim.query("SELECT city_code FROM hub.accounts WHERE code = N'212010001'")
    world.sim.run(f"UPDATE dbo.BAS_City SET CityName = N'' WHERE CityID = {city}")
    connector = world.by_hand()
    assert city_of(await connector.refresh_account("212010001"), "212010001") == city
    connector.client.close()


async def test_a_compare_finds_what_is_gone_and_what_was_changed_unseen(world: World) -> None:
    connector = world.by_hand(page_rows=10)
    await connector.reading.look()
    before = await world.around.master()
    world.sim.run("DELETE FROM dbo.STK_Mojoodi WHERE KalaID = 5")
    found = await connector.reading.compare(contract.STOCK)
    connector.client.close()
    assert found.gone > 0
    assert found.told == 0
    after = (Counter(await world.around.master()) - Counter(before)).elements()
    assert all(isinstance(record, Stock) and record.on_hand == 0 for record in after)


async def test_elsewhere_without_its_files_what_is_gone_is_noticed_all_the_same(world: World) -> None:
    connector = world.by_hand(page_rows=10)
    await connector.reading.look()
    connector.client.close()
    await connector.reading.close()
    shutil.rmtree(connector.context.data)
    before = await world.around.master()
    [(code,)] = world.sim.query("SELECT KalaCode FROM dbo.STK_Kala WHERE KalaID = 5")
    world.sim.run("DELETE FROM dbo.STK_Mojoodi WHERE KalaID = 5; DELETE FROM dbo.STK_Kala WHERE KalaID = 5")
    elsewhere = world.by_hand(page_rows=10)
    products = await elsewhere.reading.compare(contract.PRODUCTS)
    stock = await elsewhere.reading.compare(contract.STOCK)
    again = await elsewhere.reading.compare(contract.STOCK)
    elsewhere.client.close()
    await elsewhere.reading.close()
    assert (products.told, products.gone) == (0, 1)
    assert stock.gone > 0
    assert (again.told, again.gone) == (0, 0)
    after = list((Counter(await world.around.master()) - Counter(before)).elements())
    [gone] = [record for record in after if isinstance(record, Product)]
    assert (gone.code, gone.active) == (code, False)
    assert gone.name
    assert {record.on_hand for record in after if isinstance(record, Stock) and record.product == code} == {Decimal(0)}


async def test_the_memory_is_closed_after_what_is_still_done_in_it_for_someone_cancelled(world: World) -> None:
    """SQLite ends the process with a segmentation fault when a connection is closed while another thread is in it."""
    connector = world.by_hand()
    begun, go_on, done = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        assert go_on.wait(30)
        done.append(connector.reading._memory.last_run())

    cancelled = asyncio.create_task(connector.reading._in_thread(slow))
    await asyncio.to_thread(begun.wait, 30)
    cancelled.cancel()
    closing = asyncio.create_task(connector.reading.close())
    await asyncio.sleep(0)
    assert not closing.done()
    go_on.set()
    await closing
    assert done == [0]
    assert connector.reading._memory._open is None


async def test_what_the_memory_could_not_keep_is_kept_later(world: World) -> None:
    """A full disk in the middle leaves no transaction open, in which nothing could be kept until a restart."""
    connector = world.by_hand()
    await connector.reading._remember()
    memory, mark = connector.reading._memory, connector.reading._mark
    assert mark is not None

    def keep(*rows: Seen) -> None:
        memory.keep("stock", rows, 1, mark)

    unkept = Seen("b", None, 1)  # type: ignore[arg-type]  # what SQLite refuses after the first row
    with pytest.raises(sqlite3.IntegrityError):
        await connector.reading._in_thread(lambda: keep(Seen("a", b"1", 1), unkept))
    await connector.reading._in_thread(lambda: keep(Seen("c", b"1", 1)))
    assert await connector.reading._in_thread(lambda: list(memory.known("stock", ["a", "b", "c"]))) == ["c"]
    connector.client.close()
    await connector.reading.close()


KEPT = ("cursors", "connector_records")


async def backup(world: World) -> dict[str, list[Any]]:
    """What the hub's database has of connectors."""
    async with world.around.store.connection() as connection:
        return {table: await connection.fetch(f"select * from {table}") for table in KEPT}


async def restore(world: World, kept: dict[str, list[Any]]) -> None:
    """Nothing else is there any more."""
    async with world.around.store.connection() as connection, connection.transaction():
        for table, rows in kept.items():
            await connection.execute(f"truncate {table}")
            await connection.copy_records_to_table(table, records=[tuple(row) for row in rows])


@pytest.mark.parametrize("running", [False, True])
async def test_after_a_backup_is_restored_what_came_later_is_told_again(
    world: World, running: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The file remembers what the backup doesn't know; also when it is restored under a hub that is running."""
    connector = world.by_hand()
    await connector.reading.look()
    kept = await backup(world)
    world.sim.run("UPDATE dbo.STK_Kala SET Fi = 77 WHERE KalaID = 5")
    world.sim.run("DELETE FROM dbo.STK_Kala WHERE KalaID = 6; DELETE FROM dbo.STK_Mojoodi WHERE KalaID = 6")
    await world.books_say(PRODUCT, 30)
    await connector.reading.look()
    await connector.reading.compare(contract.PRODUCTS)
    await restore(world, kept)
    before = await world.around.master()
    if not running:
        connector.client.close()
        await connector.reading.close()
        connector = world.by_hand()
    for _ in range(2):
        await connector.reading.look()
    connector.client.close()
    await connector.reading.close()
    told = list((Counter(await world.around.master()) - Counter(before)).elements())
    products = [record for record in told if isinstance(record, Product)]
    assert sorted((record.price, record.active) for record in products if record.active) == [(77, True)]
    assert len(products) == 2
    assert (PRODUCT, 30) in [(record.product, record.on_hand) for record in told if isinstance(record, Stock)]
    assert len([message for message in caplog.messages if "a backup of it was restored" in message]) == 1


@pytest.mark.parametrize("days", [0, 1])
async def test_a_backup_restored_while_rows_are_told_is_noticed_and_nothing_is_told_to_be_gone(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, days: int
) -> None:
    now = [utc_now()]
    connector = world.by_hand(page_rows=10, clock=lambda: now[0])
    await connector.reading.look()
    kept = await backup(world)
    world.sim.run("UPDATE dbo.STK_Kala SET Fi = 77 WHERE KalaID = 5")
    await connector.reading.look()
    publish = connector.context.publisher.master

    async def meanwhile(records: Any) -> None:
        await publish(records)
        monkeypatch.undo()
        await restore(world, kept)

    monkeypatch.setattr(connector.context.publisher, "master", meanwhile)
    await world.books_say(PRODUCT, 30)
    now[0] += dt.timedelta(days=days)
    count = len(await world.around.master())
    await connector.reading.look()
    before = await world.around.master()
    assert len(before) == count + 1
    await connector.reading.look()
    connector.client.close()
    await connector.reading.close()
    told = list((Counter(await world.around.master()) - Counter(before)).elements())
    assert [record.price for record in told if isinstance(record, Product)] == [77]
    assert len([message for message in caplog.messages if "a backup of it was restored" in message]) == 1


@pytest.mark.parametrize("vanishes", [False, True])
async def test_what_was_about_to_be_told_before_a_crash_is_told_elsewhere(
    world: World, monkeypatch: pytest.MonkeyPatch, vanishes: bool
) -> None:
    async def crash(_records: object) -> None:
        raise RuntimeError

    connector = world.by_hand()
    monkeypatch.setattr(connector.context.publisher, "master", crash)
    with pytest.raises(RuntimeError):
        await connector.reading.compare(contract.WAREHOUSES)
    connector.client.close()
    await connector.reading.close()
    shutil.rmtree(connector.context.data)
    if vanishes:
        world.sim.run("UPDATE dbo.STK_Anbar SET AnbarCode = N'05' WHERE AnbarCode = N'04'")
    elsewhere = world.by_hand()
    await elsewhere.reading.compare(contract.WAREHOUSES)
    elsewhere.client.close()
    await elsewhere.reading.close()
    told = {record.code: record.active for record in await world.around.master() if isinstance(record, Warehouse)}
    assert told == {"01": True, "02": True, "03": True} | ({"04": False, "05": True} if vanishes else {"04": True})


async def test_a_line_that_breaks_during_a_compare_goes_on_where_it_was(world: World) -> None:
    connector = world.by_hand(page_rows=10)
    whole = connector.reading.tell
    broken = []

    async def tell(*arguments: Any, **options: Any) -> tuple[int, int]:
        if not broken:
            broken.append(True)
            world.sim.away()
            world.sim.back()
        return await whole(*arguments, **options)

    connector.reading.tell = tell  # type: ignore[method-assign]
    found = await connector.reading.compare(contract.ACCOUNTS)
    connector.client.close()
    await connector.reading.close()
    [(count,)] = world.sim.query("SELECT COUNT(*) FROM hub.accounts")
    assert (found.told, found.gone) == (count, 0)
    assert count <= found.rows <= count + 20


async def test_who_reads_everything_slowly_holds_up_no_posting(world: World) -> None:
    connector = world.by_hand(page_rows=1)
    async with connector.client.alone() as one:
        pages = reading.read_whole(contract.STOCK, 0, 1)
        first = await one.call(pages)
        assert first is not None
        await connector.client.query(post("meanwhile", 5))
        rest = []
        while (page := await one.call(pages)) is not None:
            rest += page.rows
    connector.client.close()
    assert all(row[3] != 42 for row in rest if row[0] == PRODUCT and row[1] == "01" and not row[2])


async def test_a_row_that_cannot_be_understood_goes_to_the_dead_letters_and_the_rest_goes_on(world: World) -> None:
    world.sim.run("UPDATE dbo.STK_Kala SET Fi = -5 WHERE KalaID = 7")
    connector = world.by_hand()
    await connector.reading.look()
    connector.client.close()
    [letter] = await world.around.dead_letters()
    assert letter.topic == "connectors.hesabgar.main"
    assert "price" in letter.reason
    told = [record for record in await world.around.master() if isinstance(record, Product)]
    assert len(told) == world.sim.query("SELECT COUNT(*) FROM hub.products")[0][0] - 1


async def test_of_a_row_that_cannot_be_understood_any_more_what_was_told_stays(world: World) -> None:
    connector = world.by_hand()
    await connector.reading.look()
    world.sim.run("UPDATE dbo.STK_Kala SET Fi = -5 WHERE KalaID = 7")
    found = await connector.reading.compare(contract.PRODUCTS)
    connector.client.close()
    assert (found.told, found.gone, found.refused) == (0, 0, 1)


OF_CUSTOMER = (
    f"FROM dbo.ACC_Etebar AS e INNER JOIN dbo.ACC_Account AS a ON a.AccID = e.AccID WHERE a.AccCode = N'{CUSTOMER}'"
)


async def test_a_view_that_cannot_be_read_keeps_no_other_from_being_read(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    connector = world.by_hand()
    await connector.reading.look()
    read_at = connector.reading.read_at
    fault = world.sim.fault(
        FaultKind.ERROR, on="hub.customer_finance", number=207, message="Invalid column", times=1_000
    )
    for on_hand in (7, 8):
        await world.books_say(PRODUCT, on_hand)
        await connector.reading.look()
    assert connector.reading.read_at == read_at
    told = [message for message in caplog.messages if message.startswith("hub.customer_finance")]
    assert len(told) == 1
    world.sim.clear_faults()
    world.sim.run(f"DELETE e {OF_CUSTOMER}")
    await connector.reading.look()
    connector.client.close()
    assert fault.struck == 2
    assert connector.reading.read_at != read_at
    assert (await told_of_ours(world))[-2:] == [7, 8]
    told = [record for record in await world.around.master() if isinstance(record, Finance)]
    [*_, last] = [record for record in told if record.account == CUSTOMER]
    assert last == Finance(CUSTOMER, last.as_of)


async def told_of_ours(world: World) -> list[Decimal]:
    """What was told to be on hand of one product."""
    records = [record for record in await world.around.master() if isinstance(record, Stock)]
    key = (PRODUCT, "01", "")
    return [record.on_hand for record in records if (record.product, record.warehouse, record.attribute) == key]


async def test_what_is_gone_from_a_view_that_is_empty_is_not_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    now = [utc_now()]
    connector = world.by_hand(clock=lambda: now[0])
    await connector.reading.look()
    before = await world.around.master()
    text = mapping_text()
    assert text.count('from = "dbo.STK_Anbar AS a"') == 1
    emptied = text.replace('from = "dbo.STK_Anbar AS a"', 'from = "dbo.STK_Anbar AS a"\nwhere = "1 = 0"')
    for mapping in (emptied, text):
        world.sim.run(sql.views_script(sql.read_mapping(mapping)))
        now[0] += dt.timedelta(days=1)
        await connector.reading.look()
    connector.client.close()
    assert await world.around.master() == before
    assert [message for message in caplog.messages if "no row any more" in message] == [
        "hub.warehouses is away: it has no row any more; what was told of them stays until it has"
    ]


async def test_the_night_compares_everything(world: World) -> None:
    now = [dt.datetime(2026, 11, 24, 20, 0, tzinfo=dt.UTC)]  # 23:30 in Tehran
    connector = world.by_hand(nightly_hour=2, clock=lambda: now[0])
    await connector.reading.look()
    [(code,)] = world.sim.query("SELECT KalaCode FROM dbo.STK_Kala WHERE KalaID = 5")
    world.sim.run("DELETE FROM dbo.STK_Mojoodi WHERE KalaID = 5")
    before = Counter(await world.around.master())
    for hours in (2, 1):
        now[0] += dt.timedelta(hours=hours)
        await connector.reading.look()
        gone = list((Counter(await world.around.master()) - before).elements())
        assert bool(gone) is (hours == 1)
    connector.client.close()
    assert {(record.product, record.on_hand) for record in gone if isinstance(record, Stock)} == {(code, 0)}


async def test_another_database_is_compared_at_once(world: World) -> None:
    touch = "UPDATE dbo.STK_Anbar SET AnbarName = AnbarName"
    world.sim.run(touch)
    connector = world.by_hand()
    await connector.reading.look()
    connector.client.close()
    await connector.reading.close()
    with HesabgarSimulator(products=20, customers=20, database="cy140601") as next_year:
        next_year.run(BOOKKEEPER.format(product=PRODUCT, on_hand=7, warehouse="01"))
        for _ in range(3):
            next_year.run(touch)
        connector = world.by_hand(port=next_year.port, company="cy140601")
        await connector.reading.look()
        connector.client.close()
    assert (await told_of_ours(world))[-1] == 7


async def test_views_without_row_versions_are_read_whole(world: World) -> None:
    now = [utc_now()]
    without_row_versions(world)
    connector = world.by_hand(clock=lambda: now[0])
    await connector.reading.look()
    told = [record for record in await world.around.master() if isinstance(record, Stock)]
    assert len(told) == world.sim.query("SELECT COUNT(*) FROM hub.stock")[0][0]
    for on_hand, later in ((7, reading.UNVERSIONED_EVERY), (8, dt.timedelta(seconds=1))):
        world.sim.run(BOOKKEEPER.format(product=PRODUCT, on_hand=on_hand, warehouse="01"))
        now[0] += later
        await connector.reading.look()
        assert (await told_of_ours(world))[-1] == 7
    connector.client.close()
    # Started again nobody knows when they were last read.
    again = world.by_hand(clock=lambda: now[0])
    await again.reading.look()
    again.client.close()
    assert (await told_of_ours(world))[-1] == 8


def without_row_versions(world: World) -> None:
    """Let the stock be told as by tables that have none."""
    text = mapping_text().replace('row_version = ["s.RowVer"]', "row_version = []")
    world.sim.run(sql.views_script(sql.read_mapping(text)))


async def test_without_row_versions_goods_that_come_in_while_stock_is_read_are_counted_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "UNVERSIONED_EVERY", dt.timedelta(0))
    without_row_versions(world)
    async with world.connector():
        await world.has_stock(47)
        slow = world.sim.fault(FaultKind.DELAY, on="SELECT product, warehouse, attribute, on_hand, 0", seconds=1)
        await until(lambda: slow.struck > 0)
        received = await world.send(Kind.GOODS_RECEIPT, account=None, quantity=5)
        await world.comes_to(received, State.POSTED)
        await world.has_stock(52)
        row = await world.stock()
        assert row is not None
        assert row.on_hand == 52


# --- a refresh and a posting never count the same goods twice: who comes first, written out


async def test_a_posting_under_way_is_waited_for_and_left_to_the_next_page(world: World) -> None:
    """posting writes its stock | horizon read | rows asked for | posting commits: the page doesn't have the row."""
    connector = world.by_hand()
    page = await connector.client.call(lambda link: reading.read_page(contract.STOCK, 0, 10_000, link))
    delayed = world.sim.fault(FaultKind.DELAY, on="post_document", statement=30, seconds=0.3)
    posting = asyncio.create_task(connector.client.query(post("under-way", 5)))
    await until(lambda: delayed.struck > 0)
    during = await connector.client.call(lambda link: reading.read_page(contract.STOCK, page.next, 10_000, link))
    [answer] = await posting
    after = await connector.client.call(lambda link: reading.read_page(contract.STOCK, during.next, 10_000, link))
    connector.client.close()
    posted_at = answer[6].replace(tzinfo=dt.UTC)
    shown = [(p, row) for p in (during, after) for row in p.rows if row[0] == PRODUCT and row[1] == "01" and not row[2]]
    assert len(shown) == 1
    [(page_of_it, row)] = shown
    assert row[3] == 42
    assert page_of_it.as_of > posted_at


def post(external_id: str, quantity: int) -> str:
    return (
        f"EXEC hub.post_document @external_id = N'{external_id}', @kind = 'goods_issue', @date = '2026-11-24', "
        f"@expense_account = N'610001', @warehouse = N'01', "
        f'@lines = N\'<lines><line number="1" product="{PRODUCT}" quantity="{quantity}"/></lines>\''
    )


async def test_what_a_page_shows_was_posted_before_its_time_and_what_it_does_not_show_after(world: World) -> None:
    """Postings beside pages: in every page, on hand is all goods less what was posted before its time, and no more."""
    connector = world.by_hand(threads=4)
    pages: list[tuple[dt.datetime, Decimal]] = []
    stop = asyncio.Event()

    async def read_on() -> None:
        since = 0
        while not stop.is_set():
            page = await connector.client.call(lambda link: reading.read_page(contract.STOCK, since, 10_000, link))  # noqa: B023
            since = page.next
            pages.extend(
                (page.as_of, row[3]) for row in page.rows if row[0] == PRODUCT and row[1] == "01" and not row[2]
            )

    reader = asyncio.create_task(read_on())
    stamps = []
    for number in range(1, 41):
        [answer] = await connector.client.query(post(f"race-{number}", 1))
        stamps.append(answer[6].replace(tzinfo=dt.UTC))
        if number % 4 == 0:  # postings without a pause would keep the row out of every page
            await until(lambda: bool(pages) and pages[-1][1] == 47 - number)  # noqa: B023
    stop.set()
    await reader
    connector.client.close()
    assert len(pages) >= 10
    for as_of, on_hand in pages:
        assert not any(stamp == as_of for stamp in stamps)
        assert on_hand == 47 - sum(stamp < as_of for stamp in stamps)
