"""What one hub keeps running: started, watched, started again with back-off, stopped in order, never left behind."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hub.runtime.embedded import EmbeddedError, child

STOP_SECONDS = 30.0
"""How long a process may take to stop in good order before it is killed (a kill replays, it loses nothing)."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""What ran this long before it ended starts its back-off anew."""

KEPT_LOGS = 5

_LOOK_SECONDS = 0.2

logger = logging.getLogger(__name__)


class Part(Protocol):
    """One process that can be started, also again: a :class:`Program` or an embedded server."""

    @property
    def pid(self) -> int: ...

    @property
    def running(self) -> bool: ...

    async def start(self) -> object:
        """Start it. Raises OSError or EmbeddedError."""

    async def wait(self) -> int:
        """Its exit code, once it has ended; negative: the signal that ended it."""

    async def stop(self) -> None:
        """Stop it in good order, within a bound."""

    def kill(self) -> None:
        """End it at once."""


def python_module(module: str, *words: str) -> list[str]:
    """The command that runs one of our modules."""
    return [sys.executable, "-P", "-m", module, *words]


class Program:
    """A command in a process of its own. ``environment`` is laid over ours; without ``log`` it writes where we do.

    The kernel ends it when the process that started it ends, however that ends (on Linux).
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path | None = None) -> None:
        self._command = command
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        if log is not None:
            rotate(log)

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start it, adding to the log. Call it from the main thread. Raises OSError."""
        output = os.dup(2) if self._log is None else os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = child.spawn(
                list(self._command),
                directory=Path.cwd(),
                output=output,
                death_signal=signal.SIGKILL,
                environment={**os.environ, **self._environment},
            )
        finally:
            os.close(output)

    async def wait(self) -> int:
        return await child.wait(self._started())

    async def stop(self) -> None:
        """Ask it to stop; after :data:`STOP_SECONDS` it is killed."""
        if self._process is not None:
            await child.end(self._process, signal.SIGTERM, STOP_SECONDS)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was never started"
        return self._process


class Supervisor:
    """Keeps parts running, by name, until :meth:`stop`.

    ``report`` is told, in a sentence each, what a person should know; ``changed`` is called when a process id changed.
    Neither may raise.
    """

    def __init__(self, *, report: Callable[[str], None], changed: Callable[[], None] = lambda: None) -> None:
        self._report = report
        self._changed = changed
        self._parts: dict[str, Part] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str, part: Part) -> object:
        """Start a part and keep it running; what its own start answers. Raises OSError or EmbeddedError."""
        self._parts[name] = part
        answer = await part.start()
        self._watching[name] = asyncio.create_task(self._watch(name, part), name=f"watch {name}")
        return answer

    def pids(self) -> dict[str, int]:
        """The process ids of what runs now, by name."""
        return {name: part.pid for name, part in self._parts.items() if part.running}

    async def stop(self, *names: str) -> None:
        """Stop these parts, one after the other; without names all, the last started first."""
        for name in names or tuple(reversed(self._parts)):
            if name in self._watching:
                self._watching[name].cancel()
                await asyncio.gather(self._watching.pop(name), return_exceptions=True)
            if name in self._parts:
                await self._parts.pop(name).stop()

    def kill(self) -> None:
        """End everything at once, for someone who won't wait for :meth:`stop`."""
        for task in self._watching.values():
            task.cancel()
        for part in self._parts.values():
            part.kill()

    async def _watch(self, name: str, part: Part) -> None:
        pause = FIRST_PAUSE_SECONDS
        began = time.monotonic()
        while True:
            while part.running:  # noqa: ASYNC110 - the system's news, no task of ours could set an event
                await asyncio.sleep(_LOOK_SECONDS)
            if time.monotonic() - began >= STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._tell(f"{name} {ending(await part.wait())}; it is started again in {pause:g} s.")
            self._changed()
            began, pause = await self._start_again(name, part, pause)
            self._changed()

    async def _start_again(self, name: str, part: Part, pause: float) -> tuple[float, float]:
        """Start it, however often that takes; when it began to run, and the pause before the next time."""
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            began = time.monotonic()
            try:
                await part.start()
            except (OSError, EmbeddedError) as problem:
                self._tell(f"{name} can't be started again ({problem}); next try in {pause:g} s.")
            else:
                self._tell(f"{name} runs again.")
                return began, pause

    def _tell(self, sentence: str) -> None:
        logger.warning("%s", sentence)
        self._report(sentence)


def ending(code: int) -> str:
    """How a process ended, by its exit code as :mod:`subprocess` tells it."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def rotate(log: Path) -> None:
    """Keep the logs of the last :data:`KEPT_LOGS` starts: ``api.log``, ``api.log.1`` the one before, and so on."""
    for number in range(KEPT_LOGS - 2, -1, -1):
        older = log.with_name(f"{log.name}.{number}") if number else log
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
