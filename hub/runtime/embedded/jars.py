"""The jars of Apache Kafka: exactly those of `kafka-jars.lock`, fetched once and verified at every start.

The lock was written from Maven's own resolution of kafka_2.13 and log4j-slf4j-impl. jgo only downloads: its
resolution of this tree mixes versions of kafka-clients.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from hub.runtime.embedded.errors import EmbeddedError

LOCK = Path(__file__).with_name("kafka-jars.lock")

_THREADS = 8
_ATTEMPTS = 3
_REPORT_EVERY = 10


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


def fetch_jars(cache: Path, report: Callable[[str], None], jars: list[Jar] | None = None) -> list[Path]:
    """Paths of the jars in `cache`, every one verified; what is missing is downloaded first.

    A jar gets its name in `cache` only when it is whole and verified: an interrupted download is never taken for one.

    Raises:
        EmbeddedError: a jar can't be downloaded, or is not the file the lock names.
    """
    jars = locked_jars() if jars is None else jars
    cache.mkdir(parents=True, exist_ok=True)
    missing = [jar for jar in jars if not (cache / jar.name).exists()]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="jars") as pool:
        if missing:
            report(f"Downloading Apache Kafka: {len(missing)} files, once ...")
            downloads = [pool.submit(_download, jar, cache) for jar in missing]
            try:
                for done, download in enumerate(as_completed(downloads), 1):
                    download.result()
                    if done % _REPORT_EVERY == 0 or done == len(missing):
                        report(f"Downloading Apache Kafka: {done} of {len(missing)} files")
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        for _ in pool.map(lambda jar: _verify(jar, cache / jar.name), jars):
            pass
    return [cache / jar.name for jar in jars]


def _download(jar: Jar, cache: Path) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as partial:
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
