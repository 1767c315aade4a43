"""One deciding process of the benchmark, by itself as in production: ``python -m bench.worker``.

It reads its :class:`Job` as one line from standard input, for a DSN has no place among a process's arguments, and runs
until that input ends, which it also does when the benchmark dies.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer

from bench import bare
from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.store.pool import Store
from schemas import topics
from streams.handlers import DecideCommands
from streams.settings import StreamSettings
from streams.worker import calm_collector
from streams.worker import run as run_streams


class Loop(StrEnum):
    """Which loop a worker runs."""

    BARE = "bare"
    CHAIN = "chain"
    FAUST = "faust"


class Job(msgspec.Struct, frozen=True):
    """What a worker is told."""

    loop: Loop
    kafka: Kafka
    dsn: str


def group(kafka: Kafka) -> str:
    """The consumer group all loops read in; Faust names it after the app."""
    return f"{kafka.prefix}streams"


async def _consume(kafka: Kafka, batch_size: int, handle: Callable[[Sequence[Any]], Awaitable[None]]) -> None:
    """The loop without Faust: a batch, what is done with it, its offsets."""
    consumer = AIOKafkaConsumer(
        kafka.topic(topics.COMMANDS),
        **kafka.client_options(),
        group_id=group(kafka),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    while True:
        batches = await consumer.getmany(timeout_ms=100, max_records=batch_size)
        if records := [record for batch in batches.values() for record in batch]:
            await handle(records)
            await consumer.commit()


async def _bare(job: Job, settings: StreamSettings) -> None:
    loop = await bare.started(job.kafka, job.dsn)
    await _consume(job.kafka, settings.batch_size, loop.handle)


async def _chain(job: Job, settings: StreamSettings) -> None:
    store = Store(job.dsn)
    await store.open()
    producer = Producer(job.kafka)
    await producer.start()
    decide = DecideCommands(store, producer, settings.rules)

    async def handle(records: Sequence[Any]) -> None:
        handled = await decide.handle(decide.decode(records))
        if handled.failures or handled.publish is None:
            raise RuntimeError(f"the benchmark's commands can't be decided: {handled.failures}")
        await handled.publish()

    calm_collector()
    await _consume(job.kafka, settings.batch_size, handle)


async def _faust(job: Job, settings: StreamSettings, stop: asyncio.Event) -> None:
    store = Store(job.dsn)
    await store.open()
    try:
        await run_streams(settings, store, stop)
    finally:
        await store.close()


async def _run(job: Job) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    settings = StreamSettings(kafka=job.kafka)
    if job.loop is Loop.FAUST:
        await _faust(job, settings, stop)
        return
    body = _bare if job.loop is Loop.BARE else _chain
    working = asyncio.create_task(body(job, settings))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()


def main() -> None:
    """Run the job of the first line of standard input until that input ends."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(job))


if __name__ == "__main__":
    main()
