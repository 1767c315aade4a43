"""Master data through Kafka: from a connector's record to what the rules decide with."""

from datetime import timedelta

from hub.bus.rewinding import rewind
from hub.store import lookup
from schemas import topics
from schemas.commands import PostingStarted, PostingSucceeded
from schemas.master import Account, Finance, Product, Stock, Warehouse
from tests.rules.world import START, line
from tests.store.company import command, decide, disagreements, dump, held, on_hand, stock_of, submit, value
from tests.streams.hub import Hub, until

HOUR = timedelta(hours=1)
POSTED = START + HOUR


async def test_each_kind_of_record_reaches_its_table_and_a_document_is_decided_with_it(hub: Hub) -> None:
    whole = Account("NEW", "مشتری نو", phones=("021",), city="تهران")
    await hub.send_master(
        whole,
        Product("NEW|P", "کالای نو", price=1_000),
        Warehouse("W", "انبار نو"),
        Stock("NEW|P", "W", on_hand("x", 5).on_hand, START, "آبی"),
        Finance("NEW", START, direct=5_500),
    )
    asked = submit("A", account="NEW", warehouse="W", lines=(line("NEW|P", 5, attribute="آبی"),))
    async with hub.worker():
        await until(lambda: is_there(hub))
        await hub.send(asked)
        (event,) = await hub.decided([asked])
    assert event.type == "document.cleared"
    assert event.document is not None
    assert event.document.totals.payable == 5_500
    assert await lookup.accounts(hub.store, ["NEW"]) == {"NEW": whole}
    assert await disagreements(hub.store) == []


async def is_there(hub: Hub) -> bool:
    return bool(
        await value(
            hub.store,
            "select (select count(*) from products where code = 'NEW|P') + (select count(*) from warehouses where "
            "code = 'W') + (select count(*) from stock where in_books = 5) + (select count(*) from accounts where "
            "code = 'NEW' and defined and direct = 5500) = 4",
        )
    )


async def test_a_price_that_changes_counts_from_the_next_document(hub: Hub) -> None:
    async with hub.worker():
        for turn, price in enumerate((100, 200, 300)):
            await hub.send_master(Product("RAM", "رم", price=price))
            await until(lambda price=price: value(hub.store, "select true from products where price = $1", price))
            asked = submit(f"A{turn}", lines=(line("RAM", 1),))
            await hub.send(asked)
            (event,) = await hub.decided([asked])
            assert event.document is not None
            assert event.document.totals.net == price


async def test_what_is_posted_is_retired_by_newer_books_and_by_nothing_else(hub: Hub) -> None:
    await decide(
        hub.store,
        submit("A", lines=(line("RAM", 3),)),
        command(PostingStarted, "A"),
        command(PostingSucceeded, "A", number="1", posted_at=POSTED),
    )
    async with hub.worker() as streams:
        await hub.send_master(on_hand("RAM", 1_000, POSTED - HOUR), Finance("ALI", POSTED - HOUR, direct=10**9))
        await until(lambda: has_handled(streams, 2))
        assert await stock_of(hub.store, "RAM") == (1_000, 0, 3)
        await hub.send_master(
            on_hand("RAM", 997, POSTED + HOUR), Finance("ALI", POSTED + HOUR, direct=10**9, balance=3_300_000)
        )
        await until(lambda: has_handled(streams, 4))
        await hub.send_master(on_hand("RAM", 5, POSTED - HOUR), Finance("ALI", POSTED - HOUR))
        await until(lambda: has_handled(streams, 6))
    assert await stock_of(hub.store, "RAM") == (997, 0, 0)
    assert await held(hub.store) == 0
    assert await value(hub.store, "select direct from accounts where code = 'ALI'") == 10**9
    assert await disagreements(hub.store) == []


async def has_handled(streams: object, count: int) -> bool:
    return bool(streams.counters()["master_handled"] >= count)  # type: ignore[attr-defined]


async def test_reading_all_master_data_again_changes_nothing(hub: Hub) -> None:
    records = [on_hand("RAM", number, START + number * HOUR) for number in range(30)]
    records += [on_hand("CPU", 30 - number, START - number * HOUR) for number in range(30)]
    await hub.send_master(*records)
    async with hub.worker(batch_size=7) as streams:
        await until(lambda: has_handled(streams, 60))
    before = await dump(hub.store)
    assert ((await stock_of(hub.store, "RAM"))[0], (await stock_of(hub.store, "CPU"))[0]) == (29, 30)
    await rewind(hub.kafka, hub.group, list(topics.MASTER.values()), None)
    async with hub.worker(batch_size=11) as streams:
        await until(lambda: has_handled(streams, 60))
    assert await dump(hub.store) == before
