"""A deciding worker that ends itself by SIGKILL at a named point, for the crash tests.

Arguments: bootstrap servers, topic prefix, DSN, the point (or "none"), and how often it is passed alive before.
"""

import asyncio
import contextlib
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.store import deciding
from hub.store.pool import Store
from schemas import topics
from streams import worker
from streams.settings import StreamSettings

POINTS = ("inside_transaction", "after_commit", "between_topics", "after_publish")

STUCK = "stuck"
"""No point to die at: a worker that is to be asked to stop while it can't, and gives up soon."""


class Trap:
    """Kills the process when the armed point has been passed often enough."""

    def __init__(self, point: str, spared: int) -> None:
        self._point = point
        self._left = spared

    def __call__(self, point: str) -> None:
        if point == self._point:
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1


def springs(trap: Trap, point: str, when: Callable[..., bool], work: Callable[..., Awaitable[Any]]) -> Any:
    """The same work, which passes a point before it begins on the arguments that matter."""

    @functools.wraps(work)
    async def wrapped(*arguments: Any) -> Any:
        if when(*arguments):
            trap(point)
        return await work(*arguments)

    return wrapped


def lay(trap: Trap) -> None:
    """Points within what a Loop sees as one step: half a batch written, half of its topics published."""
    copy, publish = deciding._copy, Producer.publish_batches
    deciding._copy = springs(trap, "inside_transaction", lambda _, table, *__: table == "movements", copy)
    Producer.publish_batches = springs(  # type: ignore[method-assign]
        trap, "between_topics", lambda _, topic, __: topic is topics.LATEST, publish
    )


async def main(bootstrap: str, prefix: str, dsn: str, point: str, spared: str) -> None:
    """Decide until SIGTERM, or until the trap springs."""
    trap = Trap(point, int(spared))
    lay(trap)
    if point == STUCK:
        worker.STOP_SECONDS = 2.0
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = Store(dsn)
    await store.open()
    settings = StreamSettings(Kafka(bootstrap, prefix=prefix), batch_size=100, session_seconds=2.0)
    try:
        await worker.run(settings, store, stop, probe=trap)
    except TimeoutError:
        os._exit(1)  # as hub.runtime.roles does
    finally:
        with contextlib.suppress(TimeoutError):
            await store.close()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
