"""Waiting: for servers that aren't there yet, and for being asked to stop."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from hub.bus.admin import wait_until_ready
from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.settings import Kafka
from hub.runtime.failures import Failure
from hub.runtime.redaction import redact
from hub.store.errors import Unacceptable
from hub.store.errors import Unavailable as StoreUnavailable

_ATTEMPT_SECONDS = 2.0
_PAUSE_SECONDS = 0.2
_REMIND_SECONDS = 30.0

_Result = TypeVar("_Result")


async def until_kafka(kafka: Kafka, tell: Callable[[str], None]) -> None:
    """Wait, for ever if need be, until the cluster serves clients."""
    await _until_there(f"Kafka at {kafka.bootstrap}", lambda: wait_until_ready(kafka, _ATTEMPT_SECONDS), tell)


async def until_postgres(attempt: Callable[[], Awaitable[_Result]], tell: Callable[[str], None]) -> _Result:
    """What ``attempt`` answers, once PostgreSQL is there.

    Raises:
        Failure: PostgreSQL refused the login, or the database is another version's.
    """
    try:
        return await _until_there("PostgreSQL", attempt, tell)
    except Unacceptable as error:
        raise Failure(
            f"PostgreSQL can't be used: {redact(str(error))}.", "Mend [postgres] in the configuration; hub check helps."
        ) from error


async def _until_there(what: str, attempt: Callable[[], Awaitable[_Result]], tell: Callable[[str], None]) -> _Result:
    """Try until it works; says so the first time it doesn't, again every half minute, and when it does at last."""
    began = time.monotonic()
    told: float | None = None
    while True:
        try:
            result = await attempt()
        except (StoreUnavailable, BusUnavailable, TimeoutError) as error:
            waited = time.monotonic() - began
            if told is None or waited - told >= _REMIND_SECONDS:
                tell(f"Waiting for {what}, {waited:.0f} s so far: {redact(str(error)) or 'no answer'}")
                told = waited
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            if told is not None:
                tell(f"{what} is there.")
            return result


def on_signals(action: Callable[[], None]) -> None:
    """Call ``action`` when this process is asked to end: by SIGTERM, Ctrl-C, or its terminal going away."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, action)
    loop.add_signal_handler(signal.SIGINT, action)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup asks
        loop.add_signal_handler(signal.SIGHUP, action)


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Whether ``work`` was finished; False, and the work cancelled, if ``stop`` was set before. Raises what it does."""
    working = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        await working
        return True
    finally:
        for task in (working, stopped):
            task.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)


async def together(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """The results of all; the first failure cancels the others, and is raised once they have ended."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
