"""The jars of Apache Kafka: exactly those of `kafka-jars.lock`, fetched once and verified at every start.

The lock was written from Maven's own resolution of kafka_2.13 and log4j-slf4j-impl. jgo only downloads: its
resolution of this tree mixes versions of kafka-clients.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.runtime.embedded.errors import EmbeddedError

LOCK = Path(__file__).with_name("kafka-jars.lock")

_THREADS = 8
_ATTEMPTS = 3
_REPORT_EVERY = 10
_PARTIAL = ".partial-"
_ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: Maven coordinates and the SHA-256 (hexadecimal) of the file."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked_jars(lock: Path = LOCK) -> list[Jar]:
    """The jars that `lock` names, in its order, which is the order of the class path."""
    jars = []
    for line in lock.read_text(encoding="ascii").splitlines():
        coordinates, digest = line.split(" sha256=")
        group, artifact, version = coordinates.split(":")
        jars.append(Jar(group, artifact, version, digest))
    return jars


async def fetch_jars(cache: Path, report: Callable[[str], None], jars: Sequence[Jar] | None = None) -> list[Path]:
    """Paths of the jars in `cache`, every one verified; what is missing is downloaded first.

    A jar gets its name in `cache` only when it is whole and verified: an interrupted download is never taken for one.

    Raises:
        EmbeddedError: a jar can't be downloaded or written, or is not the file the lock names.
    """
    jars = locked_jars() if jars is None else jars
    missing = _missing(jars, cache)
    if missing:
        await _download_all(missing, cache, report)
    await asyncio.gather(*(asyncio.to_thread(_verify, jar, cache / jar.name) for jar in jars))
    return [cache / jar.name for jar in jars]


async def _download_all(jars: Sequence[Jar], cache: Path, report: Callable[[str], None]) -> None:
    """Download `jars` in a few threads; the first failure, or being cancelled, ends it at once.

    The threads are daemons and not a pool's: Ctrl-C must not wait for a slow network.
    """
    report(f"Downloading Apache Kafka: {len(jars)} files, this once ...")
    loop = asyncio.get_running_loop()
    waiting = deque(jars)
    outcomes: asyncio.Queue[EmbeddedError | None] = asyncio.Queue()

    def work() -> None:
        while waiting:
            outcome: EmbeddedError | None = None
            try:
                _download(waiting.popleft(), cache)
            except IndexError:
                return
            except EmbeddedError as problem:
                outcome = problem
            if not loop.is_closed():
                loop.call_soon_threadsafe(outcomes.put_nowait, outcome)

    for number in range(_THREADS):
        threading.Thread(target=work, name=f"jars-{number}", daemon=True).start()
    try:
        for done in range(1, len(jars) + 1):
            problem = await outcomes.get()
            if problem is not None:
                raise problem
            if done % _REPORT_EVERY == 0 or done == len(jars):
                report(f"Downloading Apache Kafka: {done} of {len(jars)} files")
    finally:
        waiting.clear()


def _missing(jars: Sequence[Jar], cache: Path) -> list[Jar]:
    """What has still to be downloaded to `cache`, which is made and rid of what interrupted downloads left.

    A young directory is left alone: it may belong to another process that is downloading now.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for partial in cache.glob(f"{_PARTIAL}*"):
        if time.time() - partial.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(partial, ignore_errors=True)
    return [jar for jar in jars if not (cache / jar.name).exists()]


def _download(jar: Jar, cache: Path) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=cache) as partial:
            file = _resolve(jar, Path(partial))
            _verify(jar, file)
            file.replace(cache / jar.name)
    except OSError as problem:
        raise EmbeddedError(
            f"{jar.name} could not be written to {cache}: {os.strerror(problem.errno or 0)}. "
            "Free some space or correct the permissions, and try again."
        ) from problem


def _resolve(jar: Jar, into: Path) -> Path:
    """Download `jar` below the directory `into`, trying again when the network fails."""
    # Only a machine that still has to download needs these, and they take a third of a second to import.
    from jgo.maven import MavenContext
    from requests import RequestException

    for attempt in range(1, _ATTEMPTS + 1):
        attempted = into / str(attempt)
        context = MavenContext(repo_cache=attempted, timeout=30)
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        try:
            return Path(component.artifact().resolve())
        except (RequestException, RuntimeError) as problem:
            last = problem
    raise EmbeddedError(
        f"{jar.name} could not be downloaded after {_ATTEMPTS} attempts ({type(last).__name__}). "
        "Is the network there, and may this machine reach the Maven repository? "
        "What has been downloaded is kept; run the same command again to go on."
    ) from last


def _verify(jar: Jar, file: Path) -> None:
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != jar.sha256:
        raise EmbeddedError(
            f"{file} is not the file that {LOCK.name} names, so it is not used: expected SHA-256 {jar.sha256}, "
            f"found {found}. Delete the file and run the same command again to download it anew."
        )
