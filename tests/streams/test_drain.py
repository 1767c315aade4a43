"""The replaced drain loop (streams/drain.py) keeps Faust's own promises: order, rebalance, suspension, stopping."""

import asyncio
import hashlib
import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import pytest
from faust.transport.consumer import Consumer

from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from schemas import topics
from streams.agent import Decoded, Handled, Loop
from streams.app import App
from streams.drain import DrainingConsumer, use_direct_drain

RECORDS = 3_000
ORIGINAL = "44a2500309e83c630493f6828af50166ec8d96a0b3e4fb2bab735f704ae93417"


class Recorder:
    """A handler that notes the values it is given; while its gate is closed it waits."""

    key = "key"

    def __init__(self) -> None:
        self.values: list[tuple[int, bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()

    def decode(self, messages: Sequence[Any]) -> Decoded:
        return Decoded.of(messages, lambda message: (message.partition, message.value))

    async def handle(self, batch: Decoded) -> Handled:
        self.waiting.set()
        await self.gate.wait()
        self.values.extend(batch.records)
        return Handled()


@pytest.fixture
async def kafka_settings(kafka: Any, topic_prefix: str) -> Kafka:
    settings = Kafka(kafka.bootstrap, prefix=topic_prefix)
    await create_topics(settings)
    return settings


@pytest.fixture
async def producer(kafka_settings: Kafka) -> AsyncIterator[Producer]:
    producer = Producer(kafka_settings)
    await producer.start()
    yield producer
    await producer.stop()


@asynccontextmanager
async def app(kafka: Kafka, producer: Producer, recorder: Recorder, *, buffer: int = 64) -> AsyncIterator[Any]:
    made = App(
        f"{kafka.prefix}drain",
        broker=f"kafka://{kafka.bootstrap}",
        store="memory://",
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=0.1,
        broker_session_timeout=30.0,
        broker_heartbeat_interval=1.0,
        stream_buffer_maxsize=buffer,
        agent_supervisor="mode.supervisors.CrashingSupervisor",
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    use_direct_drain(made)
    loop = Loop("record", recorder, producer, batch_size=50, within=0.02)

    async def body(stream: Any) -> None:
        await loop.run(stream)

    channel = made.topic(
        kafka.topic(topics.COMMANDS), key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
    made.agent(channel, name="record", concurrency=1)(body)
    try:
        await made.start()
        assert isinstance(made.consumer, DrainingConsumer)
        yield made
    finally:
        async with asyncio.timeout(60):
            await made.stop()


async def until(condition: Any, *, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def records(start: int, end: int) -> list[Outgoing]:
    return [
        Outgoing(topics.COMMANDS, f"k{number % 97}".encode(), str(number).encode(), partition=number % 4)
        for number in range(start, end)
    ]


def test_the_method_it_replaces_is_the_one_it_was_written_against() -> None:
    assert version("faust-streaming") == "0.15.3"
    source = inspect.getsource(Consumer._drain_messages)
    assert hashlib.sha256(source.encode()).hexdigest() == ORIGINAL, (
        "Faust's _drain_messages changed: compare streams/drain.py with it, then note the new digest"
    )


async def test_a_full_buffer_waits_and_each_partition_keeps_its_order(
    kafka_settings: Kafka, producer: Producer
) -> None:
    recorder = Recorder()
    recorder.gate.clear()
    await producer.publish(records(0, RECORDS))
    async with app(kafka_settings, producer, recorder, buffer=16):
        await asyncio.wait_for(recorder.waiting.wait(), 60)
        recorder.gate.set()
        await until(lambda: len(recorder.values) >= RECORDS)
    assert len(recorder.values) == RECORDS
    for partition in range(4):
        got = [int(value) for where, value in recorder.values if where == partition]
        assert got == list(range(partition, RECORDS, 4))


async def test_a_member_that_joins_and_leaves_loses_nothing(kafka_settings: Kafka, producer: Producer) -> None:
    first, second = Recorder(), Recorder()
    await producer.publish(records(0, RECORDS))
    async with app(kafka_settings, producer, first):
        await until(lambda: len(first.values) > 100)
        async with app(kafka_settings, producer, second) as joining:
            await until(joining.consumer.assignment)
            await producer.publish(records(RECORDS, 2 * RECORDS))
            await until(lambda: second.values)
            await producer.publish(records(2 * RECORDS, 3 * RECORDS))
        await until(lambda: {int(v) for _, v in first.values + second.values} >= set(range(3 * RECORDS)))


async def test_it_stops_while_a_callback_waits_for_room(kafka_settings: Kafka, producer: Producer) -> None:
    recorder = Recorder()
    recorder.gate.clear()
    await producer.publish(records(0, RECORDS))
    async with app(kafka_settings, producer, recorder, buffer=16) as running:
        await asyncio.wait_for(recorder.waiting.wait(), 60)
        channels = {channel for found in running.topics._tp_index.values() for channel in found}
        await until(lambda: any(channel.queue.full() for channel in channels))
        recorder.gate.set()
    again = Recorder()
    async with app(kafka_settings, producer, again):
        await until(lambda: {int(v) for _, v in recorder.values + again.values} >= set(range(RECORDS)))
