"""A Kafka of this module's own, in a directory with a name that Java finds hard: Persian, a comma, spaces."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from hub.bus.admin import wait_until_ready
from hub.runtime.embedded import EmbeddedError, EmbeddedKafka
from hub.runtime.embedded.ports import free_port
from tests.conftest import JARS
from tests.runtime.embedded_helpers import (
    addresses_listened_on,
    eventually,
    has_gone,
    listener,
    server_of_killed_hub,
)

TOPIC = "سند".encode().hex()


@pytest.fixture(scope="module")
def directory(server_directory: Path) -> Path:
    return server_directory / "پیوند, داده‌های کافکا"


@pytest.fixture(scope="module")
async def own(directory: Path) -> AsyncIterator[EmbeddedKafka]:
    """A running Kafka that a test may stop and kill; with a topic in which two records are."""
    kafka = EmbeddedKafka(directory, jars=JARS, report=print)
    try:
        bootstrap = await kafka.start()
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
        await admin.close()
        await produce(bootstrap, b"one", b"two")
        yield kafka
    finally:
        await kafka.stop()


@pytest.fixture
async def running(own: EmbeddedKafka) -> EmbeddedKafka:
    """`own`, whatever the test before did with it."""
    if not own.running:
        await own.start()
    return own


async def produce(bootstrap: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        for value in values:
            await producer.send_and_wait(TOPIC, value)


def leave_running(command: list[str], directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def consume(bootstrap: str, count: int) -> list[bytes]:
    """The first `count` records of the topic, by a consumer of a new group (so the group coordinator works too)."""
    async with AIOKafkaConsumer(
        TOPIC, bootstrap_servers=bootstrap, group_id=f"g{free_port()}", auto_offset_reset="earliest"
    ) as consumer:
        return [(await consumer.getone()).value for _ in range(count)]


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_data_and_port_are_the_same_after(how: str, running: EmbeddedKafka) -> None:
    before = running.pid
    if how == "stop":
        await running.stop()
    else:
        running.kill()
    assert not running.running
    assert not psutil.pid_exists(before)

    bootstrap = await running.start()

    port = (running._directory / "port").read_text().strip()
    assert bootstrap == f"127.0.0.1:{port}"
    assert running.pid != before
    assert await consume(bootstrap, 2) == [b"one", b"two"]


async def test_it_listens_on_this_machine_only(running: EmbeddedKafka) -> None:
    assert addresses_listened_on(psutil.Process(running.pid)) <= {"127.0.0.1", "::ffff:127.0.0.1"}


async def test_topics_are_not_made_by_asking_for_them(running: EmbeddedKafka, directory: Path) -> None:
    bootstrap = f"127.0.0.1:{(directory / 'port').read_text().strip()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.describe_topics(["nobody.made.this"])
        assert "nobody.made.this" not in await admin.list_topics()
    finally:
        await admin.close()


async def test_its_end_is_noticed(running: EmbeddedKafka) -> None:
    psutil.Process(running.pid).kill()
    assert await running.wait() == -9
    assert not running.running


async def test_a_second_hub_in_the_same_directory_is_told(running: EmbeddedKafka, directory: Path) -> None:
    second = EmbeddedKafka(directory, jars=JARS, report=print)
    with pytest.raises(EmbeddedError, match="already run by another Peyvand process"):
        await second.start()
    assert running.running


async def test_what_an_interrupted_run_left_is_ended(running: EmbeddedKafka, directory: Path) -> None:
    command = psutil.Process(running.pid).cmdline()
    await running.stop()
    with leave_running(command, directory) as leftover:
        try:
            await wait_until_ready(f"127.0.0.1:{(directory / 'port').read_text().strip()}", 60)
            told: list[str] = []
            successor = EmbeddedKafka(directory, jars=JARS, report=told.append)
            try:
                assert await consume(await successor.start(), 2) == [b"one", b"two"]
                assert told[0] == "Ended a Kafka that an interrupted run had left behind."
                assert leftover.poll() is not None
            finally:
                await successor.stop()
        finally:
            leftover.kill()


async def test_it_ends_with_a_hub_that_is_killed(server_directory: Path, own: EmbeddedKafka) -> None:
    server = await asyncio.to_thread(server_of_killed_hub, "kafka", server_directory / "killed-kafka", JARS)
    await eventually(lambda: has_gone(server))


async def test_a_port_in_use_is_a_sentence(server_directory: Path, own: EmbeddedKafka) -> None:
    with listener() as port:
        kafka = EmbeddedKafka(server_directory / "port-kafka", port=port, jars=JARS, report=print)
        with pytest.raises(EmbeddedError, match=f"Kafka can't listen on 127.0.0.1:{port} because another program"):
            await kafka.start()


async def test_a_broker_that_dies_while_starting_says_why(server_directory: Path, own: EmbeddedKafka) -> None:
    data = server_directory / "broken-kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\nnode.id=7\n")
    kafka = EmbeddedKafka(data.parent, jars=JARS, report=print)
    with pytest.raises(EmbeddedError, match=r"(?s)Kafka ended while it was starting.*Stored node id 7"):
        await kafka.start()
    assert not kafka.running


async def test_a_cluster_that_is_not_there_is_not_waited_for_longer_than_asked() -> None:
    with pytest.raises(TimeoutError):
        await wait_until_ready(f"127.0.0.1:{free_port()}", 0.2)


async def test_a_port_that_is_open_but_silent_is_not_ready() -> None:
    with listener() as port, pytest.raises(TimeoutError):
        await wait_until_ready(f"127.0.0.1:{port}", 0.5)
