"""What each process says of its progress, and what is made of it."""

import pytest

from hub.store import progress
from hub.store.pool import Store
from tests.store.company import execute, value


async def report(store: Store, handled: int, lag: int = 0, retries: int = 0) -> None:
    counters = {"decide_handled": handled, "decide_retries": retries}
    await progress.report(store, "streams-1", "streams", lag=lag, counters=counters)


async def an_hour_passes(store: Store, minutes: int = 60) -> None:
    await execute(
        store,
        "update workers set seen_at = seen_at - make_interval(mins => $1), "
        "progressed_at = progressed_at - make_interval(mins => $1), "
        "started_at = started_at - make_interval(mins => $1)",
        minutes,
    )


async def test_a_process_is_as_it_last_said(store: Store) -> None:
    await report(store, 5, lag=7)
    (worker,) = await progress.workers(store)
    assert (worker.id, worker.role, worker.lag) == ("streams-1", "streams", 7)
    assert worker.counters == {"decide_handled": 5, "decide_retries": 0}
    assert (worker.seconds_silent, worker.seconds_stuck) == (0, 0)


@pytest.mark.parametrize(
    ("handled", "retries", "lag", "stuck"),
    [(6, 0, 7, False), (5, 0, 0, False), (5, 0, 7, True), (5, 1, 7, True)],
    ids=["it got on", "it has nothing to do", "it is stuck", "it tries in vain"],
)
async def test_progress_is_having_done_something_or_having_nothing_to_do(
    store: Store, handled: int, retries: int, lag: int, stuck: bool
) -> None:
    await report(store, 5, lag=7)
    await an_hour_passes(store, minutes=10)
    await report(store, handled, lag=lag, retries=retries)
    (worker,) = await progress.workers(store)
    assert worker.seconds_silent == 0
    assert (worker.seconds_stuck >= 600) is stuck
    assert worker.started_at < worker.seen_at


async def test_whoever_leaves_or_was_not_heard_of_for_an_hour_is_forgotten(store: Store) -> None:
    await report(store, 1)
    await progress.leave(store, "streams-1")
    assert await progress.workers(store) == []
    await report(store, 1)
    await an_hour_passes(store)
    assert await progress.workers(store) == []
    assert await value(store, "select count(*) from workers") == 0
