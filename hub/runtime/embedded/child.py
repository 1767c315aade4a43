"""Child processes: start one that can't outlive us, end it within a bound, find what a killed run left behind."""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from hub.runtime.embedded import launch
from hub.runtime.embedded.errors import EmbeddedError

_POLL_SECONDS = 0.02
_MEGABYTE = 1_000_000
_LONG_LOG = 10 * _MEGABYTE
_PASSED_ON = ("PATH", "HOME", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the operating system, by number."""

    uid: int
    gid: int


def spawn(
    program: Sequence[str | Path],
    *,
    directory: Path,
    output: IO[bytes] | int,
    death_signal: signal.Signals,
    account: Account | None = None,
    stdin: int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `program` in `directory`, in a session of its own so that Ctrl-C reaches only the hub.

    Both outputs go to `output`; its environment is a small one of our own unless it is given. On Linux `death_signal`
    is sent to it when the calling *thread* ends, so the caller's thread must live as long as the program: the event
    loop's thread does, a pool's may not.
    """
    account = account or Account(-1, -1)
    identity = [os.getpid(), int(death_signal), account.uid, account.gid]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", launch.__file__, *map(str, identity), *map(str, program)],
        cwd=directory,
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=_environment() if environment is None else dict(environment),
        start_new_session=True,
    )


def open_log(log: Path) -> tuple[IO[bytes], int]:
    """The file `log`, to append to, and its size; a long one is put aside first as `log`.1."""
    if log.exists() and log.stat().st_size > _LONG_LOG:
        log.replace(log.with_name(f"{log.name}.1"))
    file = log.open("ab")
    return file, file.tell()


async def run(
    program: Sequence[str | Path],
    *,
    directory: Path,
    seconds: float,
    account: Account | None = None,
    said_to_it: bytes = b"",
) -> tuple[int, str]:
    """Run `program` to its end in `directory`, with `said_to_it` as its input; its exit code and what it said.

    Raises:
        EmbeddedError: it took longer than `seconds`.
    """

    def run_to_end() -> tuple[int, str]:
        with spawn(
            program,
            directory=directory,
            stdin=subprocess.PIPE,
            output=subprocess.PIPE,
            death_signal=signal.SIGKILL,
            account=account,
        ) as process:
            try:
                said, _ = process.communicate(said_to_it, timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise EmbeddedError(
                    f"{Path(program[0]).name} didn't finish within {seconds:.0f} seconds in {directory}. "
                    "Is the machine overloaded or the disk very slow? Try again."
                ) from None
            return process.returncode, said.decode(errors="replace")

    return await asyncio.to_thread(run_to_end)


def _environment() -> dict[str, str]:
    """A small one, so that no JAVA_TOOL_OPTIONS or PGDATA of the user's shell changes what we start."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed_on, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


async def wait(process: subprocess.Popen[bytes]) -> int:
    """Wait until `process` ends; its exit code (negative: the signal that ended it)."""
    while (code := process.poll()) is None:  # noqa: ASYNC110 - the system's news, no task of ours could set an event
        await asyncio.sleep(_POLL_SECONDS)
    return code


async def end(process: subprocess.Popen[bytes], orderly: signal.Signals, seconds: float) -> None:
    """Ask `process` to stop with `orderly`; if it still runs after `seconds`, kill it."""
    if process.poll() is None:
        process.send_signal(orderly)
    try:
        async with asyncio.timeout(seconds):
            await wait(process)
    except TimeoutError:
        process.kill()
        await wait(process)


def running_in(directory: Path, executable: Path) -> list[psutil.Process]:
    """Processes that run `executable` with `directory` as their working directory.

    This tells a server of ours from any other process, so no process id has to be remembered across runs, and a
    number that the system has since given to somebody else can't be hit.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.exe()) == executable.resolve() and Path(process.cwd()) == directory.resolve():
                found.append(process)
        except psutil.Error:
            continue
    return found


def runs_in(number: int, name: str, directory: Path) -> bool:
    """Whether the process of this number runs a program called `name` in `directory`, as far as it can be told."""
    try:
        process = psutil.Process(number)
        return process.name() == name and Path(process.cwd()) == directory.resolve()
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


async def end_leftovers(directory: Path, executable: Path, orderly: signal.Signals, seconds: float) -> int:
    """End what a killed run left running in `directory`; how many there were. The caller holds the directory's lock.

    They are asked with `orderly`, and killed if they still run after `seconds`.
    """
    leftovers = running_in(directory, executable)
    for number in (orderly, signal.SIGKILL):
        for process in leftovers:
            _signal(process, number)
        try:
            async with asyncio.timeout(seconds):
                while any(map(_runs, leftovers)):  # noqa: ASYNC110 - the system's news, as in `wait`
                    await asyncio.sleep(_POLL_SECONDS)
            break
        except TimeoutError:
            continue
    return len(leftovers)


def _runs(process: psutil.Process) -> bool:
    """Whether it still does; one that has ended but whom nobody has buried doesn't."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass


class DirectoryLock:
    """Held by the hub that runs a server in `directory`; the kernel frees it when that hub ends, however it ends."""

    def __init__(self, directory: Path, *, server: str) -> None:
        self._path = directory / "lock"
        self._server = server
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Make the directory if need be and take its lock; nothing happens if it is ours already.

        Raises:
            EmbeddedError: another process has it.
        """
        if self._file is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise EmbeddedError(
                f"{self._server} in {self._path.parent} is already run by another Peyvand process. "
                "Stop that one first, or use another data directory."
            ) from None
        self._file = file

    def release(self) -> None:
        """Give the lock up; nothing happens if it isn't ours."""
        if self._file is not None:
            self._file.close()
            self._file = None


def require_space(directory: Path, megabytes: int, *, server: str) -> None:
    """Raise an EmbeddedError unless `directory`'s disk has `megabytes` (of 10^6 bytes) free."""
    free = shutil.disk_usage(directory).free // _MEGABYTE
    if free < megabytes:
        raise EmbeddedError(
            f"{server} needs {megabytes} MB of free disk space in {directory}, but only {free} MB are left. "
            "Free some space, or use a data directory on another disk."
        )
