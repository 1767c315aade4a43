"""What a figure depends on: the machine, the versions, and who else used the processors meanwhile."""

import os
import platform
import re
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

from hub.runtime.embedded.jars import LOCK

_PACKAGES = ("peyvand", "faust-streaming", "mode-streaming", "aiokafka", "asyncpg", "msgspec", "uvloop", "aiohttp")


class Machine(msgspec.Struct, frozen=True):
    """The machine; ``load`` is the one-minute load average before the run, of which nothing was ours."""

    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    load: float


def machine() -> Machine:
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(psutil.virtual_memory().total / 1024**3, 1),
        kernel=f"{platform.system()} {platform.release()}",
        load=round(os.getloadavg()[0], 2),
    )


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1) if found else platform.processor() or platform.machine()


def versions(postgres: str) -> dict[str, str]:
    """The versions of all that takes part; ``postgres`` as the server tells it."""
    kafka = re.search(r"org\.apache\.kafka:kafka_[\d.]+:([\w.]+)", LOCK.read_text(encoding="utf-8"))
    return {
        "python": platform.python_version(),
        "kafka": kafka.group(1) if kafka else "unknown",
        "postgres": postgres,
        **{package: version(package) for package in _PACKAGES},
    }


def peak_mb(process: psutil.Process) -> float | None:
    """A process's peak resident memory in MB (10^6 bytes), as the kernel kept it (VmHWM); None where it can't be told.

    For a server of many processes that share memory, the sum of their proportional shares as it is now.
    """
    try:
        if process.name() == "postgres":
            family = [process, *process.children(recursive=True)]
            return round(sum(int(member.memory_full_info().pss) for member in family) / 1e6, 1)
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    except (OSError, psutil.Error):
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return round(int(found.group(1)) * 1024 / 1e6, 1) if found else None


class Usage:
    """The processor time that named processes, we and everyone else used since this was made, in seconds."""

    def __init__(self, processes: Mapping[str, Iterable[psutil.Process]]) -> None:
        self._processes = {name: list(found) for name, found in processes.items()}
        self._began = time.monotonic()
        self._before = self._used()
        self._busy_before = _busy()

    def _used(self) -> dict[str, float]:
        ours = {name: sum(map(_seconds, found)) for name, found in self._processes.items()}
        return {**ours, "bench": _seconds(psutil.Process())}

    def seconds(self) -> dict[str, float]:
        """By name; "others" is what is left of the machine's busy time."""
        used = {name: seconds - self._before[name] for name, seconds in self._used().items()}
        return {**used, "others": max(_busy() - self._busy_before - sum(used.values()), 0.0)}

    def elapsed(self) -> float:
        return time.monotonic() - self._began


def _seconds(process: psutil.Process) -> float:
    """A process's processor time, with that of the children it has and (as the kernel adds it up) had."""
    own = process.cpu_times()
    total = float(own.user + own.system + own.children_user + own.children_system)
    if process.pid != os.getpid():
        for child in process.children():
            try:
                total += _seconds(child)
            except psutil.Error:
                continue
    return total


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
