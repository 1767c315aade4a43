"""The jars of Apache Kafka: exactly those of `kafka-jars.lock`, fetched once and verified at every start.

The lock was written from Maven's own resolution of kafka_2.13 and log4j-slf4j-impl. jgo only downloads: its
resolution of this tree mixes versions of kafka-clients.
"""

import asyncio
import hashlib
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
_PAUSE_SECONDS = 0.5
_SILENCE_SECONDS = 30
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


async def fetch_jars(
    cache: Path,
    report: Callable[[str], None],
    *,
    jars: Sequence[Jar] | None = None,
    repository: str | None = None,
) -> list[Path]:
    """Paths of `jars` (default: those of the lock) in `cache`, every one verified; what is missing is downloaded first.

    It comes from the Maven repository at the address `repository`, or from the central one. A jar gets its name in
    `cache` only when it is whole and verified: an interrupted download is never taken for one.

    Raises:
        EmbeddedError: a jar can't be downloaded or written, or is not the file the lock names.
    """
    jars = locked_jars() if jars is None else jars
    missing = _missing(jars, cache)
    if missing:
        await _download_all(missing, _Downloader(cache, repository), report)
    await asyncio.gather(*(asyncio.to_thread(_verify_cached, jar, cache / jar.name) for jar in jars))
    return [cache / jar.name for jar in jars]


def _missing(jars: Sequence[Jar], cache: Path) -> list[Jar]:
    """What has still to be downloaded to `cache`, which is made and rid of what interrupted downloads left.

    A young directory is left alone: it may belong to another process that is downloading now.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for partial in cache.glob(f"{_PARTIAL}*"):
        if time.time() - partial.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(partial, ignore_errors=True)
    return [jar for jar in jars if not (cache / jar.name).exists()]


async def _download_all(jars: Sequence[Jar], download: "_Downloader", report: Callable[[str], None]) -> None:
    """Download `jars` in a few threads; the first failure, or being cancelled, ends it at once.

    The threads are daemons and not a pool's: Ctrl-C must not wait for a slow network.
    """
    report(f"Downloading Apache Kafka: {len(jars)} files, this once ...")
    loop = asyncio.get_running_loop()
    waiting = deque(jars)
    outcomes: asyncio.Queue[Exception | None] = asyncio.Queue()

    def work() -> None:
        while True:
            outcome: Exception | None = None
            try:
                download(waiting.popleft())
            except IndexError:
                return
            except Exception as problem:
                outcome = problem
            try:
                loop.call_soon_threadsafe(outcomes.put_nowait, outcome)
            except RuntimeError:  # the hub has been stopped meanwhile, and its loop closed
                return

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


class _Downloader:
    """Brings one jar into the cache, whole and verified. Used by several threads."""

    def __init__(self, cache: Path, repository: str | None) -> None:
        # Only a machine that still has to download needs these, and they take long to import.
        from jgo.maven import MavenContext
        from requests import RequestException

        self._cache = cache
        self._context = MavenContext
        self._remotes = {"mirror": repository.rstrip("/")} if repository else None
        self._failures = (RequestException, RuntimeError)

    def __call__(self, jar: Jar) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=self._cache) as partial:
                file = self._resolve(jar, Path(partial))
                found = _sha256(file)
                if found != jar.sha256:
                    raise EmbeddedError(
                        f"What was downloaded as {jar.name} is not the file that {LOCK.name} names, so it is not used: "
                        f"expected SHA-256 {jar.sha256}, found {found}. "
                        "Does a proxy or a mirror change what it passes on? Try again over another connection."
                    )
                file.replace(self._cache / jar.name)
        except OSError as problem:
            raise EmbeddedError(
                f"{jar.name} could not be written to {self._cache}: {problem.strerror or problem}. "
                "Free some space or correct the permissions, and try again."
            ) from problem

    def _resolve(self, jar: Jar, into: Path) -> Path:
        """Download `jar` below the directory `into`, trying again when the network fails."""
        failure: Exception | None = None
        for attempt in range(_ATTEMPTS):
            time.sleep(attempt * _PAUSE_SECONDS)
            context = self._context(
                repo_cache=into / str(attempt), remote_repos=self._remotes, timeout=_SILENCE_SECONDS
            )
            component = context.project(jar.group, jar.artifact).at_version(jar.version)
            try:
                return Path(component.artifact().resolve())
            except self._failures as problem:
                failure = problem
        raise EmbeddedError(
            f"{jar.name} could not be downloaded after {_ATTEMPTS} attempts ({type(failure).__name__}). "
            "Is the network there, and may this machine reach the Maven repository? "
            "What has been downloaded is kept; run the same command again to go on."
        ) from failure


def _verify_cached(jar: Jar, file: Path) -> None:
    found = _sha256(file)
    if found != jar.sha256:
        raise EmbeddedError(
            f"{file} is not the file that {LOCK.name} names, so it is not used: expected SHA-256 {jar.sha256}, "
            f"found {found}. Delete the file and run the same command again to download it anew."
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
