"""The consumer on a real Kafka: its place is that of the oldest record that isn't done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from hub.bus import consumer as consuming
from hub.bus.consumer import Consumer, Received
from hub.bus.errors import Unavailable
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.runtime.embedded.kafka import EmbeddedKafka
from schemas import topics
from tests.conftest import JARS, KafkaServer, free_port

PATIENCE = 90.0
WINDOW = 1_000


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens here doesn't depend on these, unless a loaded machine exceeds them."""
    monkeypatch.setattr(consuming, "CONNECT_SECONDS", 60.0)
    monkeypatch.setattr(consuming, "COMMIT_SECONDS", 30.0)
    monkeypatch.setattr(consuming, "SESSION_MS", 30_000)


@pytest.fixture
async def cluster(kafka: KafkaServer, topic_prefix: str) -> Kafka:
    settings = Kafka(kafka.bootstrap, prefix=topic_prefix)
    await create_topics(settings)
    return settings


@asynccontextmanager
async def member(cluster: Kafka, *, window: int = WINDOW) -> AsyncIterator[Consumer]:
    consumer = Consumer(cluster, "connector.test", [topics.EVENTS], window=window)
    try:
        yield consumer
    finally:
        await consumer.close()


async def send(cluster: Kafka, values: range, partition: int = 0) -> None:
    producer = Producer(cluster)
    try:
        await producer.publish([Outgoing(topics.EVENTS, b"k", str(n).encode(), partition=partition) for n in values])
    finally:
        await producer.stop()


async def taken(consumer: Consumer, count: int) -> list[Received]:
    """The next ``count`` records, at least."""
    found: list[Received] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await consumer.read(0.2)
    return found


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.02)


def numbers(records: list[Received]) -> list[int]:
    return [int(record.value or b"") for record in records]


async def test_a_new_group_begins_with_the_oldest_and_goes_on_where_it_was(cluster: Kafka) -> None:
    await send(cluster, range(5))
    async with member(cluster) as first:
        records = await taken(first, 5)
        assert numbers(records) == [0, 1, 2, 3, 4]
        await first.ack(records[:3])
    async with member(cluster) as second:
        assert numbers(await taken(second, 2)) == [3, 4]


async def test_one_that_waits_holds_up_no_other_and_is_not_passed(cluster: Kafka) -> None:
    await send(cluster, range(6))
    async with member(cluster) as first:
        records = await taken(first, 6)
        await first.ack([records[0], records[2], records[5], records[3]])
    async with member(cluster) as second:
        assert numbers(await taken(second, 5)) == [1, 2, 3, 4, 5]
        assert second.lag() == 5


async def test_no_more_than_the_window_is_handed_out(cluster: Kafka) -> None:
    await send(cluster, range(10))
    async with member(cluster, window=4) as consumer:
        first = await taken(consumer, 4)
        assert numbers(first) == [0, 1, 2, 3]
        assert await consumer.read(0.3) == []
        await consumer.ack(first[:3])
        second = await taken(consumer, 3)
        assert numbers(second) == [4, 5, 6]
        assert await consumer.read(0.3) == []
        await consumer.ack([first[3], *second])
        assert numbers(await taken(consumer, 3)) == [7, 8, 9]


async def test_a_partition_that_went_to_another_is_that_ones_to_finish(cluster: Kafka) -> None:
    for partition in range(topics.EVENTS.partitions):
        await send(cluster, range(3), partition)
    async with member(cluster) as first:
        mine = await taken(first, 12)
        async with member(cluster) as second:
            kept: list[Received] = []
            gone: list[Received] = []

            async def divided() -> bool:
                kept.extend(await first.read(0.1))
                gone.extend(await second.read(0.1))
                return len(kept) >= 6 and len(gone) >= 6

            await until(divided)
            await first.ack([record for record in mine if record.partition in {each.partition for each in gone}])
            await first.ack(kept)
    assert len({record.partition for record in gone}) == 2
    async with member(cluster) as third:
        assert set(await taken(third, 6)) <= {record._replace(tenure=1) for record in gone}


async def test_what_is_done_while_kafka_is_away_is_told_when_it_is_back(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Kafka of the test's own is stopped and started again under the same address."""
    broker = EmbeddedKafka(server_directory / "consumer-kafka", jars=JARS, report=lambda _line: None)
    cluster = Kafka(await broker.start())
    try:
        await create_topics(cluster)
        await send(cluster, range(4))
        async with member(cluster) as consumer:
            records = await taken(consumer, 4)
            await consumer.ack(records[:1])
            await broker.stop()
            with monkeypatch.context() as patch:
                patch.setattr(consuming, "COMMIT_SECONDS", 0.5)
                await consumer.ack(records[1:3])
            await broker.start()
            await send(cluster, range(4, 6))
            found: list[Received] = []
            while numbers(found)[-2:] != [4, 5]:
                found += await taken(consumer, 1)
            # A consumer that lost its place in the group meanwhile was given the rest anew.
            await consumer.ack([record for record in (*records, *found) if record.value in (b"1", b"2")])
        async with member(cluster) as after:
            assert numbers(await taken(after, 3)) == [3, 4, 5]
    finally:
        await broker.stop()


async def test_an_unreachable_kafka_is_told(cluster: Kafka) -> None:
    nobody = msgspec.structs.replace(cluster, bootstrap=f"127.0.0.1:{free_port()}")
    async with member(nobody) as consumer:
        with pytest.raises(Unavailable, match="can't be reached"):
            await consumer.read(0.1)


async def test_one_that_is_cancelled_twice_while_it_connects_hangs_up(cluster: Kafka) -> None:
    reached, hung_up = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        while await reader.read(1_000):
            pass
        hung_up.set()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        silent = msgspec.structs.replace(cluster, bootstrap=f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        consumer = Consumer(silent, "silent", [topics.EVENTS], window=1)
        reading = asyncio.create_task(consumer.read(0.1))
        async with asyncio.timeout(30):
            await reached.wait()
            for _ in range(2):
                reading.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await reading
            await hung_up.wait()
