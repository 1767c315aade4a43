"""What the embedded servers have in common: one process in one directory, started, stopped, killed, started again."""

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from hub.runtime.embedded import child
from hub.runtime.embedded.errors import EmbeddedError, explain_os_error

_STOP_SECONDS = 20.0
_FREE_MEGABYTES = 300


class EmbeddedServer(ABC):
    """A server in a child process, with its data, port and logs in one directory.

    It can be started again after `stop` or `kill`, and after it died by itself: the same data, the same port.
    """

    name: str
    orderly: signal.Signals
    """Asks the server to stop at once but in good order, without waiting for its clients."""

    def __init__(self, directory: Path, *, port: int, report: Callable[[str], None]) -> None:
        self._directory = directory.absolute()
        self._asked_port = port
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = child.DirectoryLock(self._directory, server=self.name)

    @abstractmethod
    async def _start(self) -> str:
        """Start the process and wait until it serves; returns its address. The directory is there, and locked."""

    @property
    def pid(self) -> int:
        """The process id of the server that was started last.

        Raises:
            EmbeddedError: it was never started.
        """
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive now."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> str:
        """Start the server and wait until it serves clients; returns its address.

        Call it from the event loop's own thread, and keep that thread: when it ends, the server is ended.

        Raises:
            EmbeddedError: it can't be had or started; nothing is left running.
        """
        if self.running:
            raise EmbeddedError(f"{self.name} in {self._directory} is running already; stop it first.")
        try:
            self._lock.acquire()
            return await self._start()
        except OSError as problem:
            self.kill()
            raise explain_os_error(self.name, self._directory, problem) from problem
        except BaseException:
            self.kill()
            raise

    async def stop(self) -> None:
        """Stop in an orderly way, within a bound; nothing happens if it isn't running."""
        if self._process is not None:
            await child.end(self._process, self.orderly, _STOP_SECONDS)
        self._lock.release()

    def kill(self) -> None:
        """End the process at once, as a crash would; nothing happens if it isn't running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._lock.release()

    async def wait(self) -> int:
        """Wait until the server's process ends, for whatever reason; its exit code (negative: the signal)."""
        return await child.wait(self._started())

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise EmbeddedError(f"{self.name} in {self._directory} has not been started.")
        return self._process

    async def _clear_the_way(self, executable: Path, working_directory: Path) -> None:
        """End what a killed run left behind, and see that there is room on the disk."""
        if await child.end_leftovers(working_directory, executable, self.orderly, _STOP_SECONDS):
            self._report(f"Ended a {self.name} that an interrupted run had left behind.")
        child.require_space(self._directory, _FREE_MEGABYTES, server=self.name)
