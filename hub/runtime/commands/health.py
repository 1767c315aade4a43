"""``hub health``."""

import asyncio
from argparse import Namespace

from hub.bus.topics import check_topics
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.console import screen, show, styled, table
from hub.store import progress, reading
from hub.store.progress import Worker

SILENT_SECONDS = 15
"""A worker that said nothing for this long is taken for dead; it reports every two seconds."""

STUCK_SECONDS = 60
"""A worker with records waiting that handled none for this long is taken for stuck."""


def health(config: Config, _args: Namespace) -> int:
    """0 if the servers answer and every worker gets on with its work, else 1."""
    return asyncio.run(_health(config))


async def _health(config: Config) -> int:
    console = screen()
    topics = await check_topics(servers.kafka(config))
    async with servers.opened_store(config) as store:
        workers = await progress.workers(store)
        counts = await reading.counts(store)
    troubles = [*topics, *filter(None, map(trouble, workers))]
    if not any(worker.role == "streams" for worker in workers):
        troubles.append("no streams worker runs: commands wait in Kafka; start hub streams or hub run")
    rows = [
        (worker.id, worker.role, f"{worker.lag:,}", f"{worker.seconds_silent} s ago", trouble(worker) or "gets on")
        for worker in workers
    ]
    show(console, table(console, ("worker", "role", "waiting", "last heard", "state"), rows), "")
    show(console, f"documents: {', '.join(f'{count:,} {state}' for state, count in sorted(counts.items())) or 'none'}")
    for each in troubles:
        show(console, styled(each, "red"))
    if not troubles:
        show(console, styled("All is well.", "green"))
    return 1 if troubles else 0


def trouble(worker: Worker) -> str:
    """What is wrong with a worker; nothing if it gets on."""
    if worker.seconds_silent > SILENT_SECONDS:
        return f"worker {worker.id} has been silent for {worker.seconds_silent} seconds"
    if worker.lag and worker.seconds_stuck > STUCK_SECONDS:
        return (
            f"worker {worker.id} is stuck: {worker.lag} records wait, none handled for {worker.seconds_stuck} seconds"
        )
    return ""
