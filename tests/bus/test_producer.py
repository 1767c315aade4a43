"""The producer: acknowledged or an error, whole batches to known partitions, and nothing too large lost unseen."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from hub.bus import producer as producing
from hub.bus.errors import TooLarge, Unavailable
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from schemas import topics

MIB = 1024 * 1024


@pytest.fixture
async def settings(kafka: Any, topic_prefix: str) -> Kafka:
    made = Kafka(kafka.bootstrap, prefix=topic_prefix)
    await create_topics(made)
    return made


@pytest.fixture
async def producer(settings: Kafka) -> AsyncIterator[Producer]:
    made = Producer(settings)
    await made.start()
    yield made
    await made.stop()


async def values(settings: Kafka, topic: topics.Topic, partition: int) -> list[bytes]:
    """Everything on one partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        place = TopicPartition(settings.topic(topic), partition)
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        found = []
        while await consumer.position(place) < end:
            batches = await consumer.getmany(place, timeout_ms=500)
            found += [record.value for records in batches.values() for record in records]
        return found
    finally:
        await consumer.stop()


async def test_batches_keep_their_partition_and_order(settings: Kafka, producer: Producer) -> None:
    sent = {partition: [(b"k", f"{partition}-{n}".encode()) for n in range(500)] for partition in range(4)}
    await producer.publish_batches(topics.EVENTS, sent)
    for partition, records in sent.items():
        assert await values(settings, topics.EVENTS, partition) == [value for _, value in records]


@pytest.mark.parametrize("size", [200_000, 300_000, 2 * MIB, 7 * MIB])
async def test_a_large_document_fits(settings: Kafka, producer: Producer, size: int) -> None:
    record = b"x" * size
    await producer.publish_batches(topics.EVENTS, {0: [(b"k", record), (b"k", b"behind it")]})
    await producer.publish([Outgoing(topics.EVENTS, b"k", record, partition=0)])
    assert [len(value) for value in await values(settings, topics.EVENTS, 0)] == [size, len(b"behind it"), size]


@pytest.mark.parametrize("size", [9 * MIB, 13 * MIB])
async def test_what_never_fits_is_told_and_the_producer_goes_on(settings: Kafka, producer: Producer, size: int) -> None:
    with pytest.raises(TooLarge):
        await producer.publish_batches(topics.EVENTS, {0: [(b"k", b"x" * size)]})
    with pytest.raises(TooLarge):
        await producer.publish([Outgoing(topics.EVENTS, b"k", b"x" * size, partition=0)])
    await producer.publish([Outgoing(topics.EVENTS, b"k", b"after", partition=0)])
    assert (await values(settings, topics.EVENTS, 0))[-1] == b"after"


async def test_it_waits_for_all_copies_and_numbers_what_it_sends(
    settings: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single node can't show the difference by what it does: of one copy, one is all."""
    asked: dict[str, Any] = {}

    class Watched(AIOKafkaProducer):
        def __init__(self, **options: Any) -> None:
            asked.update(options)
            super().__init__(**options)

    monkeypatch.setattr(producing, "AIOKafkaProducer", Watched)
    producer = Producer(settings)
    await producer.start()
    await producer.stop()
    assert (asked["acks"], asked["enable_idempotence"]) == ("all", True)


async def test_a_cluster_that_is_away_is_unavailable() -> None:
    producer = Producer(Kafka("127.0.0.1:1"))
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        await producer.start()


async def test_one_that_closes_slowly_is_closed_to_the_end(settings: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    answering, closed = asyncio.Event(), asyncio.Event()
    stop = AIOKafkaProducer.stop

    async def stop_slowly(client: AIOKafkaProducer) -> None:
        await answering.wait()
        await stop(client)
        closed.set()

    monkeypatch.setattr(AIOKafkaProducer, "stop", stop_slowly)
    monkeypatch.setattr(producing, "CLOSE_SECONDS", 0.01)
    producer = Producer(settings)
    await producer.start()
    await producer.stop()
    assert not closed.is_set()
    answering.set()
    async with asyncio.timeout(30):
        await closed.wait()
