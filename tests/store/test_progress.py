"""What each process says of its progress, and what is made of it."""

from hub.store import progress
from hub.store.pool import Store
from tests.store.company import execute, value

A_STALL = 60
"""Seconds that may pass between two statements on a loaded machine."""


async def report(store: Store, handled: int, lag: int = 0, stuck: float = 0) -> None:
    counters = {"handled": handled, "dead": 0}
    await progress.report(store, "streams-1", "streams", lag=lag, counters=counters, stuck=stuck)


async def an_hour_passes(store: Store) -> None:
    hour = "interval '1 hour'"
    await execute(
        store,
        f"update workers set seen_at = seen_at - {hour}, progressed_at = progressed_at - {hour}, "
        f"started_at = started_at - {hour}",
    )


async def test_a_process_is_as_it_last_said(store: Store) -> None:
    await report(store, 5, lag=7)
    (worker,) = await progress.workers(store)
    assert (worker.id, worker.role, worker.lag) == ("streams-1", "streams", 7)
    assert worker.counters == {"handled": 5, "dead": 0}
    assert worker.seconds_silent == worker.seconds_stuck < A_STALL


async def test_a_process_says_for_how_long_it_is_stuck_and_when_it_no_longer_is(store: Store) -> None:
    for stuck in (0, 600, 0.4):
        await report(store, 5, lag=7, stuck=stuck)
        (worker,) = await progress.workers(store)
        assert worker.seconds_silent < A_STALL
        assert (worker.seconds_stuck >= 600) is (stuck == 600)


async def test_whoever_leaves_or_was_not_heard_of_for_an_hour_is_forgotten(store: Store) -> None:
    await report(store, 1)
    await progress.leave(store, "streams-1")
    assert await progress.workers(store) == []
    await report(store, 1)
    await an_hour_passes(store)
    assert await progress.workers(store) == []
    assert await value(store, "select count(*) from workers") == 0
