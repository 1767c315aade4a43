"""The jars come from a Maven repository of our own here, served on 127.0.0.1: good, changed, cut short or absent."""

import asyncio
import gc
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hub.runtime.embedded import EmbeddedError
from hub.runtime.embedded.jars import Jar, fetch_jars, locked_jars
from tests.runtime.embedded_helpers import eventually

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

CONTENT = b"the classes of a jar" * 1000
JAR = Jar("ir.example", "goods", "1.0", hashlib.sha256(CONTENT).hexdigest())
PATH = "/maven/ir/example/goods/1.0/goods-1.0.jar"


@dataclass
class Repository:
    """What the repository answers by path, as (announced length, body), and what it was asked."""

    address: str
    files: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    def serve(self, path: str, content: bytes) -> None:
        self.files[path] = (len(content), content)

    async def was_asked(self) -> bool:
        return bool(self.asked)


@pytest.fixture
def repository() -> Iterator[Repository]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append(self.path)
            known.hold.wait()
            if self.path not in known.files:
                self.send_error(404)
                return
            length, body = known.files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known = Repository(f"http://127.0.0.1:{server.server_port}/maven")
        known.hold.set()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield known
        known.hold.set()
        server.shutdown()
        thread.join()
    # jgo leaves the connection of a failed download open until it is collected.
    gc.collect()


async def fetch(cache: Path, repository: Repository, jar: Jar = JAR, told: list[str] | None = None) -> list[Path]:
    report = [].append if told is None else told.append
    return await fetch_jars(cache, report, jars=[jar], repository=repository.address)


async def test_a_missing_jar_is_downloaded_and_said_so(tmp_path: Path, repository: Repository) -> None:
    repository.serve(PATH, CONTENT)
    told: list[str] = []
    assert await fetch(tmp_path / "jars", repository, told=told) == [tmp_path / "jars" / "goods-1.0.jar"]
    assert (tmp_path / "jars" / "goods-1.0.jar").read_bytes() == CONTENT
    assert told == ["Downloading Apache Kafka: 1 files, this once ...", "Downloading Apache Kafka: 1 of 1 files"]


async def test_what_is_there_and_right_is_not_fetched_again(tmp_path: Path, repository: Repository) -> None:
    (tmp_path / "goods-1.0.jar").write_bytes(CONTENT)
    told: list[str] = []
    await fetch(tmp_path, repository, told=told)
    assert repository.asked == []
    assert told == []


async def test_a_tampered_jar_in_the_cache_is_refused(tmp_path: Path, repository: Repository) -> None:
    changed = CONTENT.replace(b"classes", b"viruses", 1)
    (tmp_path / "goods-1.0.jar").write_bytes(changed)
    with pytest.raises(EmbeddedError) as refusal:
        await fetch(tmp_path, repository)
    for told in (str(tmp_path / "goods-1.0.jar"), JAR.sha256, hashlib.sha256(changed).hexdigest(), "Delete the file"):
        assert told in str(refusal.value)


async def test_another_file_than_the_locks_is_refused_and_not_kept(tmp_path: Path, repository: Repository) -> None:
    repository.serve(PATH, b"something else")
    with pytest.raises(EmbeddedError) as refusal:
        await fetch(tmp_path, repository)
    for told in ("goods-1.0.jar", JAR.sha256, hashlib.sha256(b"something else").hexdigest()):
        assert told in str(refusal.value)
    assert os.listdir(tmp_path) == []


async def test_half_a_download_is_tried_again_and_never_taken_for_the_whole(
    tmp_path: Path, repository: Repository
) -> None:
    repository.files[PATH] = (len(CONTENT), CONTENT[: len(CONTENT) // 2])
    with pytest.raises(EmbeddedError, match=r"goods-1.0.jar could not be downloaded after 3 attempts"):
        await fetch(tmp_path, repository)
    assert repository.asked.count(PATH) == 3
    assert os.listdir(tmp_path) == []

    repository.serve(PATH, CONTENT)
    assert [path.read_bytes() for path in await fetch(tmp_path, repository)] == [CONTENT]


async def test_a_jar_the_repository_does_not_have_is_named(tmp_path: Path, repository: Repository) -> None:
    with pytest.raises(EmbeddedError, match=r"absent-2\.jar could not be downloaded"):
        await fetch(tmp_path, repository, replace(JAR, artifact="absent", version="2"))


async def test_stopping_does_not_wait_for_a_slow_repository(tmp_path: Path, repository: Repository) -> None:
    repository.serve(PATH, CONTENT)
    repository.hold.clear()
    download = asyncio.create_task(fetch(tmp_path, repository))
    await eventually(repository.was_asked)
    download.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await download
    assert not (tmp_path / "goods-1.0.jar").exists()


def test_the_lock_names_one_kafka_and_every_jar_once() -> None:
    jars = locked_jars()
    assert len(jars) == len({(jar.group, jar.artifact) for jar in jars}) == 46
    assert [jar.version for jar in jars if jar.artifact == "kafka_2.13"] == ["4.3.1"]
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {"4.3.1"}
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
