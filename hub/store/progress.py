"""What each running process says of its progress, for health and metrics."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from hub.store.pool import Store

_REPORT = """
insert into workers (id, role, started_at, seen_at, progressed_at, lag, counters)
values ($1, $2, now(), now(), now() - make_interval(secs => $5), $3, $4::jsonb)
on conflict (id) do update set
    seen_at = now(),
    progressed_at = excluded.progressed_at,
    lag = excluded.lag,
    counters = excluded.counters
"""


class Worker(NamedTuple):
    """One process: when it last spoke, when it last got on with its work (or had none), and how far it is behind."""

    id: str
    role: str
    started_at: datetime
    seen_at: datetime
    progressed_at: datetime
    lag: int
    counters: dict[str, int]
    seconds_silent: int
    seconds_stuck: int


async def report(
    store: Store, worker: str, role: str, *, lag: int, counters: Mapping[str, int], stuck: float = 0.0
) -> None:
    """Say what a process has done (counters since its start), how many records it is behind, and for how many seconds
    some of its work that waits hasn't got on."""
    async with store.connection() as connection:
        await connection.execute(_REPORT, worker, role, lag, json.dumps(counters, sort_keys=True), stuck)


async def leave(store: Store, worker: str) -> None:
    """Forget a process that ends in good order."""
    async with store.connection() as connection:
        await connection.execute("delete from workers where id = $1", worker)


async def workers(store: Store) -> list[Worker]:
    """Every process heard of in the last hour; older ones are forgotten."""
    async with store.connection() as connection:
        await connection.execute("delete from workers where seen_at < now() - interval '1 hour'")
        rows = await connection.fetch(
            "select id, role, started_at, seen_at, progressed_at, lag, counters, "
            "extract(epoch from now() - seen_at)::bigint, extract(epoch from now() - progressed_at)::bigint "
            "from workers order by role, id"
        )
    return [Worker(row[0], row[1], row[2], row[3], row[4], row[5], json.loads(row[6]), row[7], row[8]) for row in rows]
