"""How long a decision takes at a steady rate: from the command's acknowledgement to the decision's, seen here.

Open loop: commands are sent when their time has come, whether or not earlier ones are decided.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer

from bench import company
from bench.programs import Failed
from bench.servers import Servers, Site
from bench.workers import Loop, event_partitions, started
from hub.bus.producer import Outgoing, Producer
from schemas import codec, topics

LAST_SECONDS = 60.0


class Latency(NamedTuple):
    """Milliseconds at a rate of documents offered."""

    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float


async def measure(servers: Servers, *, per_second: float, seconds: float, warm_up: float) -> Latency:
    """One worker, so many documents a second for so long, after a warm-up that doesn't count. Raises Failed."""
    async with servers.site() as site, started(Loop.FAUST, site):
        acknowledged, decided = await _offer(site, per_second, warm_up + seconds)
    skipped = int(warm_up * per_second)
    taken = sorted(
        decided[document] - at for document, at in sorted(acknowledged.items(), key=lambda item: item[1])[skipped:]
    )
    return Latency(per_second, _ms(taken, 0.50), _ms(taken, 0.99), _ms(taken, 1.0))


def _ms(ordered: Sequence[float], part: float) -> float:
    """The smallest value that so great a part of the values doesn't exceed, in milliseconds."""
    index = max(-(-len(ordered) * part // 1) - 1, 0)
    return round(ordered[int(index)] * 1_000, 2)


async def _offer(site: Site, per_second: float, seconds: float) -> tuple[dict[bytes, float], dict[bytes, float]]:
    """When each document's command was acknowledged, and when its decision was read."""
    count = int(per_second * seconds)
    messages = [
        Outgoing(topics.COMMANDS, str(command.document_id).encode(), codec.encode(command))
        for command in company.commands(count, series="latency")
    ]
    acknowledged: dict[bytes, float] = {}
    decided: dict[bytes, float] = {}
    producer = Producer(site.kafka)
    consumer = AIOKafkaConsumer(**site.kafka.client_options())
    consumer.assign(event_partitions(site))
    await producer.start()
    await consumer.start()
    tasks = [asyncio.create_task(_read(consumer, decided, count))]
    try:
        began = time.monotonic()
        for number, message in enumerate(messages):
            await asyncio.sleep(max(began + number / per_second - time.monotonic(), 0))
            tasks.append(asyncio.create_task(_send(producer, message, acknowledged)))
        async with asyncio.timeout(LAST_SECONDS):
            await asyncio.gather(*tasks)
    except TimeoutError:
        raise Failed(f"{len(decided)} of {count} documents were decided {LAST_SECONDS:.0f} s after the last") from None
    finally:
        for task in tasks:
            task.cancel()
        await consumer.stop()
        await producer.stop()
    return acknowledged, decided


async def _send(producer: Producer, message: Outgoing, acknowledged: dict[bytes, float]) -> None:
    await producer.publish([message])
    acknowledged[message.key or b""] = time.monotonic()


async def _read(consumer: Any, decided: dict[bytes, float], count: int) -> None:
    while len(decided) < count:
        batches = await consumer.getmany(timeout_ms=1_000)
        now = time.monotonic()
        for records in batches.values():
            for record in records:
                decided.setdefault(record.key, now)
