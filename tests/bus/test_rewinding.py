"""A group is set back to what it handled before, while nobody is in it, and only then."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from hub.bus.errors import Unavailable
from hub.bus.producer import Outgoing, Producer
from hub.bus.rewinding import InUse, Place, rewind
from hub.bus.settings import Kafka
from schemas import topics


def group(bus: Kafka) -> str:
    return f"{bus.prefix}readers"


async def committed(bus: Kafka) -> list[int | None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bus.bootstrap, group_id=group(bus), enable_auto_commit=False)
    await consumer.start()
    try:
        return [
            await consumer.committed(TopicPartition(bus.topic(topics.COMMANDS), number))
            for number in range(topics.COMMANDS.partitions)
        ]
    finally:
        await consumer.stop()


async def fill(sender: Producer, count: int) -> None:
    await sender.publish(
        [Outgoing(topics.COMMANDS, b"k", b"%d" % number, partition=number % 2) for number in range(count)]
    )


async def member(bus: Kafka) -> AIOKafkaConsumer:
    """Somebody at work in the group, with its partitions assigned."""
    consumer = AIOKafkaConsumer(
        bus.topic(topics.COMMANDS),
        bootstrap_servers=bus.bootstrap,
        group_id=group(bus),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    async with asyncio.timeout(60):
        while not consumer.assignment():
            await consumer.getmany(timeout_ms=100)
    return consumer


async def test_to_the_first_record_and_how_many_that_are(bus: Kafka, sender: Producer) -> None:
    await fill(sender, 7)
    reader = await member(bus)
    await reader.commit(
        {TopicPartition(bus.topic(topics.COMMANDS), 0): 4, TopicPartition(bus.topic(topics.COMMANDS), 1): 3}
    )
    await reader.stop()
    assert (await committed(bus))[:2] == [4, 3]
    name = bus.topic(topics.COMMANDS)
    assert await rewind(bus, group(bus), [topics.COMMANDS], None) == [
        Place(name, 0, 0, 4), Place(name, 1, 0, 3), Place(name, 2, 0, 0), Place(name, 3, 0, 0),
    ]  # fmt: skip
    assert await committed(bus) == [0, 0, 0, 0]


async def next_millisecond() -> datetime:
    """A moment behind all that has been sent: Kafka's time stamps are whole milliseconds."""
    before = datetime.now(UTC) + timedelta(milliseconds=1)
    while (moment := datetime.now(UTC)) <= before:
        await asyncio.sleep(0)
    return moment


async def test_to_a_moment(bus: Kafka, sender: Producer) -> None:
    await fill(sender, 6)
    moment = await next_millisecond()
    await fill(sender, 4)
    places = await rewind(bus, group(bus), [topics.COMMANDS], moment)
    assert [(place.offset, place.records) for place in places] == [(3, 2), (3, 2), (0, 0), (0, 0)]
    places = await rewind(bus, group(bus), [topics.COMMANDS], moment + timedelta(hours=1))
    assert [(place.offset, place.records) for place in places] == [(5, 0), (5, 0), (0, 0), (0, 0)]


async def test_not_while_somebody_is_at_work(bus: Kafka, sender: Producer) -> None:
    await fill(sender, 4)
    reader = await member(bus)
    with pytest.raises(InUse, match="members at work"):
        await rewind(bus, group(bus), [topics.COMMANDS], None)
    await reader.stop()
    await rewind(bus, group(bus), [topics.COMMANDS], None)


async def test_several_topics_at_once(bus: Kafka) -> None:
    places = await rewind(bus, group(bus), list(topics.MASTER.values()), None)
    assert [place.topic for place in places] == [bus.topic(topic) for topic in topics.MASTER.values()]


async def test_a_missing_topic_is_told_in_time(bare: Kafka) -> None:
    with pytest.raises(Unavailable, match=r"documents\.commands is missing"):
        await rewind(bare, group(bare), [topics.COMMANDS], None)
