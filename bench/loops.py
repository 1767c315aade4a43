"""The two loops without Faust, as processes: ``python -m bench.loops bare|chain``.

Where they work is told by the variable :data:`JOB`, for a DSN has no place among a process's arguments.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer

from bench import bare
from bench.servers import Site
from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.store.pool import Store
from schemas import topics
from streams.handlers import DecideCommands
from streams.settings import StreamSettings
from streams.worker import calm_collector

JOB = "BENCH_SITE"

Handle = Callable[[Sequence[Any]], Awaitable[None]]


def group(kafka: Kafka) -> str:
    """The consumer group of all that decide; Faust names it after the app."""
    return f"{kafka.prefix}streams"


async def _consume(kafka: Kafka, batch_size: int, handle: Handle) -> None:
    """A batch, what is done with it, its offsets; for ever."""
    consumer = AIOKafkaConsumer(
        kafka.topic(topics.COMMANDS),
        **kafka.client_options(),
        group_id=group(kafka),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=100, max_records=batch_size)
            if records := [record for batch in batches.values() for record in batch]:
                await handle(records)
                await consumer.commit()
    finally:
        await consumer.stop()


async def _bare(site: Site) -> None:
    loop = await bare.started(site.kafka, site.dsn)
    await _consume(site.kafka, StreamSettings(kafka=site.kafka).batch_size, loop.handle)


async def _chain(site: Site) -> None:
    """Our own deciding and publishing, with the batches and the collector of a streams process."""
    settings = StreamSettings(kafka=site.kafka)
    store = Store(site.dsn)
    await store.open()
    producer = Producer(site.kafka)
    await producer.start()
    decide = DecideCommands(store, producer, settings.rules)

    async def handle(records: Sequence[Any]) -> None:
        handled = await decide.handle(decide.decode(records))
        if handled.failures or handled.publish is None:
            raise RuntimeError(f"the benchmark's commands can't be decided: {handled.failures}")
        await handled.publish()

    calm_collector()
    await _consume(site.kafka, settings.batch_size, handle)


_LOOPS = {"bare": _bare, "chain": _chain}


async def _until_stopped(name: str, site: Site) -> None:
    working = asyncio.ensure_future(_LOOPS[name](site))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    await asyncio.wait({working})
    if not working.cancelled():
        working.result()


def main() -> None:
    """Run the loop the command line names until SIGTERM."""
    site = msgspec.json.decode(os.environ[JOB], type=Site)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(sys.argv[1], site))


if __name__ == "__main__":
    main()
