"""A streams process: the app, the timer and the report of progress, from start to stop."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
from collections.abc import AsyncIterator

from hub.bus.producer import Producer
from hub.store import progress
from hub.store.errors import StoreError
from hub.store.pool import Store
from streams.agent import Probe, no_probe
from streams.app import Streams, build
from streams.settings import StreamSettings
from streams.sweeper import Sweeper

STOP_SECONDS = 20.0

logger = logging.getLogger(__name__)


class StreamsCrashed(Exception):
    """The app ended by itself; the process must end too, so that what it had not acked is handled again."""


@contextlib.asynccontextmanager
async def running(
    settings: StreamSettings, store: Store, producer: Producer, *, probe: Probe = no_probe
) -> AsyncIterator[Streams]:
    """The app started, with its timer and reports; stopped on leaving, within :data:`STOP_SECONDS`.

    ``store`` must be open and ``producer`` started. Raises TimeoutError if it doesn't stop in time.
    """
    streams = build(settings, store, producer, probe=probe)
    name = f"streams-{socket.gethostname()}-{os.getpid()}"
    sweeper = Sweeper(store, producer, seconds=settings.sweep_seconds)
    tasks: list[asyncio.Task[None]] = []
    try:
        await streams.app.start()
        tasks = [
            asyncio.create_task(sweeper.run(), name="sweeper"),
            asyncio.create_task(_report(streams, store, name, settings.report_seconds), name="report"),
        ]
        yield streams
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _stop(streams)
        with contextlib.suppress(StoreError):
            await progress.leave(store, name)


async def _stop(streams: Streams) -> None:
    """Stop the app. Not by asyncio.timeout: while it waits for its streams, Faust lets no cancellation through."""
    stopping = asyncio.create_task(streams.app.stop(), name="stopping")
    await asyncio.wait({stopping}, timeout=STOP_SECONDS)
    if not stopping.done():
        raise TimeoutError(f"the streams didn't stop within {STOP_SECONDS:g} s")
    stopping.result()


def calm_collector() -> None:
    """Tell the garbage collector what a batch looks like: thousands of short-lived objects, none of them in a cycle.

    With CPython's own thresholds it walks the whole heap several times a batch (a tenth of the worker's time).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


async def run(settings: StreamSettings, store: Store, stop: asyncio.Event, *, probe: Probe = no_probe) -> None:
    """Run until ``stop`` is set. Raises StreamsCrashed, or TimeoutError when it can't stop in good order: then the
    process must be ended hard, which replays and loses nothing."""
    producer = Producer(settings.kafka)
    await producer.start()
    calm_collector()
    try:
        async with running(settings, store, producer, probe=probe) as streams:
            stopped = asyncio.create_task(stop.wait())
            ended = asyncio.ensure_future(streams.app.wait_until_stopped())
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            ended.cancel()
            if not stop.is_set():
                raise StreamsCrashed(f"the streams app ended by itself: {streams.app.crash_reason!r}")
    finally:
        await producer.stop()


async def _report(streams: Streams, store: Store, name: str, seconds: float) -> None:
    failing = False
    while True:
        try:
            await progress.report(
                store, name, "streams", lag=streams.lag(), counters=streams.counters(), stuck=streams.stuck()
            )
            failing = False
        except StoreError as error:
            if not failing:
                logger.warning("can't report progress: %s", error)
            failing = True
        await asyncio.sleep(seconds)
