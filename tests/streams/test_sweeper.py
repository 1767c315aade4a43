"""The timer: what runs out expires, what can be filled is filled, each once, whoever else moves at that moment."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from hub.rules.settings import StockPolicy
from hub.store import timers
from hub.store.errors import Unavailable
from schemas import codec, topics
from schemas.commands import AnyCommand, Expire, PostingStarted, PostingSucceeded, Reconsider
from schemas.dates import utc_now
from streams.sweeper import PATIENCE, Sweeper
from tests.rules.world import START, line
from tests.store.company import (
    command,
    decide,
    disagreements,
    document,
    master,
    on_hand,
    policy,
    rows,
    stock_of,
    submit,
)
from tests.streams.hub import Hub, until

HOUR = timedelta(hours=1)
SOON = timedelta(milliseconds=400)
BACKORDER = policy(stock=StockPolicy.BACKORDER)


def sweeper(hub: Hub) -> Sweeper:
    return Sweeper(hub.store, hub.producer, seconds=0.05)


async def sent(hub: Hub) -> list[AnyCommand]:
    return [codec.decode_command(record.value or b"") for record in await hub.read(topics.COMMANDS)]


# --- the sweep itself


async def test_an_expiry_is_sent_once_and_its_id_is_that_of_its_due_time(hub: Hub) -> None:
    await decide(hub.store, submit("A"), submit("B"), settings=policy(reservation=HOUR))
    ((due,),) = await rows(hub.store, "select distinct expires_at from documents")
    now = due + timedelta(seconds=1)
    one, other = sweeper(hub), sweeper(hub)
    assert await one.sweep(due - timedelta(microseconds=1)) == 0
    assert await one.sweep(now) == 2
    assert await one.sweep(now + PATIENCE / 2) == 0
    assert await one.sweep(now + PATIENCE) == 2, "it was never decided, so it is sent again"
    assert await other.sweep(now + HOUR) == 2, "another process knows nothing of it"
    commands = await sent(hub)
    assert {type(each) for each in commands} == {Expire}
    assert len(commands) == 6
    assert len({each.command_id for each in commands}) == 2
    assert {each.due for each in commands if isinstance(each, Expire)} == {due}
    assert {each.document_id for each in commands} == {document("A"), document("B")}
    assert {each.actor for each in commands} == {"timer"}


async def test_a_backorder_is_asked_for_again_when_it_has_moved(hub: Hub) -> None:
    await master.apply(hub.store, [on_hand("RAM", 1, START)])
    await decide(hub.store, submit("A", lines=(line("RAM", 3),)), settings=BACKORDER)
    one = sweeper(hub)
    assert await one.sweep(utc_now()) == 0
    for quantity in (2, 3):
        await master.apply(hub.store, [on_hand("RAM", quantity, START + quantity * HOUR)])
        assert await one.sweep(utc_now()) == 1
        assert await one.sweep(utc_now()) == 0
        command = (await sent(hub))[-1]
        assert isinstance(command, Reconsider)
        await decide(hub.store, command, settings=BACKORDER)
    assert await one.sweep(utc_now()) == 0
    assert await rows(hub.store, "select state, step from documents") == [("cleared", 3)]


async def test_a_fault_is_told_once_and_the_timer_goes_on(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expired, asked = timers.expired, 0

    async def failing(*given: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked in (2, 3, 4):
            raise Unavailable("the database is away")
        return await expired(*given)

    monkeypatch.setattr(timers, "expired", failing)
    caplog.set_level("INFO", logger="streams.sweeper")
    running = asyncio.create_task(sweeper(hub).run())

    async def is_back() -> bool:
        return asked > 5

    await until(is_back)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [each.message for each in caplog.records if each.name == "streams.sweeper"] == [
        "can't sweep: the database is away",
        "sweeping again",
    ]


# --- with a worker


async def state_of(hub: Hub, *states: str) -> bool:
    return {row[0] for row in await rows(hub.store, "select distinct state from documents")} == set(states)


async def test_what_runs_out_expires_and_gives_everything_back(hub: Hub) -> None:
    await hub.send(submit("A", lines=(line("RAM", 3),)), submit("B", lines=(line("RAM", 2),)))
    async with hub.worker(policy(reservation=SOON)):
        await until(lambda: state_of(hub, "expired"))

        async def told() -> bool:
            return [event.type for event in await hub.events()].count("document.expired") == 2

        await until(told)
    assert await stock_of(hub.store, "RAM") == (1_000, 0, 0)
    assert {each.state for each in (await hub.latest()).values()} == {"expired"}
    assert await disagreements(hub.store) == []


async def test_a_backorder_is_filled_when_the_books_have_the_goods(hub: Hub) -> None:
    await master.apply(hub.store, [on_hand("RAM", 2, START), on_hand("CPU", 0, START)])
    await hub.send(submit("A", lines=(line("RAM", 5), line("CPU", 1))))
    async with hub.worker(BACKORDER):
        await until(lambda: state_of(hub, "backordered"))
        await hub.send_master(on_hand("RAM", 4, START + HOUR))
        await until(lambda: reserved(hub, 4))
        await hub.send_master(on_hand("RAM", 9, START + 2 * HOUR), on_hand("CPU", 1, START + 2 * HOUR))
        await until(lambda: state_of(hub, "cleared"))
    assert await stock_of(hub.store, "RAM") == (9, 0, 5)
    assert await disagreements(hub.store) == []


async def reserved(hub: Hub, quantity: int) -> bool:
    return bool((await stock_of(hub.store, "RAM"))[2] == quantity)


async def test_expiry_and_posting_at_the_same_moment(hub: Hub) -> None:
    """Each document either expires or is posted, and the other command is refused."""
    names = [f"D{number}" for number in range(30)]
    documents = [submit(name) for name in names]
    postings = [command(PostingStarted, name) for name in names]
    # The worker's own timer comes too late: when the documents expire is the test's to say.
    async with hub.worker(policy(reservation=SOON), batch_size=5, sweep_seconds=3_600.0) as streams:
        await hub.send(*documents)
        await hub.decided(documents)
        await until(lambda: all_are_due(hub, len(names)))
        sweeping = asyncio.create_task(sweeper(hub).sweep(utc_now()))
        for posting in postings:
            await hub.send(posting)
        await sweeping
        events = await hub.decided(postings)
        await until(lambda: nothing_is_due(hub))
        posted = [
            command(PostingSucceeded, event.source_id, number="1", posted_at=START)
            for event in events
            if event.type == "document.posting"
        ]
        await hub.send(*posted)
        await hub.decided(posted)
        assert streams.counters()["decide_dead"] == 0
    states = dict(await rows(hub.store, "select source_id, state from documents"))
    for event in events:
        assert states[event.source_id] == ("posted" if event.type == "document.posting" else "expired")
    assert (await stock_of(hub.store, "RAM"))[2] == len(posted)
    assert await disagreements(hub.store) == []


async def all_are_due(hub: Hub, count: int) -> bool:
    return len(await timers.expired(hub.store, utc_now())) == count


async def nothing_is_due(hub: Hub) -> bool:
    return await timers.expired(hub.store, utc_now() + HOUR) == []
