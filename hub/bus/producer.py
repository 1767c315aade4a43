"""The producer: what it has published is acknowledged by every in-sync replica, or it raises.

Idempotent, ``acks=all``. A failed producer is replaced by a fresh one, so that one bad moment doesn't end a process.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from hub.bus.errors import TooLarge, Unavailable
from hub.bus.settings import Kafka
from schemas import topics
from schemas.topics import Topic

MAX_REQUEST_BYTES = topics.DEAD_LETTER_MAX_BYTES
REQUEST_TIMEOUT_MS = 10_000
CLOSE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Outgoing(msgspec.Struct, frozen=True):
    """A record to publish. ``partition`` only where co-partitioned topics make it known; else the key decides."""

    topic: Topic
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None


class Producer:
    """One producer a process, shared by all its tasks."""

    def __init__(self, kafka: Kafka, *, linger_ms: int = 2) -> None:
        self._kafka = kafka
        self._linger_ms = linger_ms
        self._producer: Any = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises Unavailable."""
        await self._ready()

    async def stop(self) -> None:
        """Send what is waiting and close, within five seconds."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish and return when all are acknowledged; records of one partition keep their order.

        Raises Unavailable when any isn't, TooLarge when one never will be; then any of the others may or may not have
        been written.
        """
        producer = await self._ready()
        try:
            deliveries = [
                await producer.send(
                    self._kafka.topic(message.topic),
                    message.value,
                    key=message.key,
                    headers=list(message.headers),
                    partition=message.partition,
                )
                for message in messages
            ]
            await _all(deliveries)
        except MessageSizeTooLargeError as error:
            raise TooLarge(f"Kafka won't take a record of this size: {error!r}") from error
        except (KafkaError, OSError) as error:
            await self._replace(producer)
            raise Unavailable(f"Kafka didn't acknowledge: {error!r}") from error

    async def publish_batches(self, topic: Topic, by_partition: dict[int, list[tuple[bytes, bytes]]]) -> None:
        """Publish many (key, value) records whose partitions are known, at a fraction of :meth:`publish`'s cost.

        Returns when all are acknowledged; raises Unavailable as :meth:`publish` does.
        """
        producer = await self._ready()
        try:
            await _all(
                [
                    self._send_partition(producer, self._kafka.topic(topic), partition, records)
                    for partition, records in by_partition.items()
                ]
            )
        except MessageSizeTooLargeError as error:
            raise TooLarge(f"Kafka won't take a record of this size: {error!r}") from error
        except (KafkaError, OSError) as error:
            await self._replace(producer)
            raise Unavailable(f"Kafka didn't acknowledge: {error!r}") from error

    @staticmethod
    async def _send_partition(
        producer: Any, topic: str, partition: int, records: Sequence[tuple[bytes, bytes]]
    ) -> None:
        deliveries = []
        batch = producer.create_batch()
        for key, value in records:
            if batch.append(key=key, value=value, timestamp=None) is None:
                deliveries.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None) is None:
                    raise MessageSizeTooLargeError(f"a record of {len(value)} bytes")
        deliveries.append(await producer.send_batch(batch, topic, partition=partition))
        await _all(deliveries)

    async def _ready(self) -> Any:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._kafka.client_options(),
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=self._linger_ms,
                    max_batch_size=256 * 1024,
                    max_request_size=MAX_REQUEST_BYTES,
                    request_timeout_ms=REQUEST_TIMEOUT_MS,
                    metadata_max_age_ms=60_000,
                )
                try:
                    async with asyncio.timeout(10):
                        await producer.start()
                except (KafkaError, OSError, TimeoutError) as error:
                    await _close(producer)
                    raise Unavailable(f"Kafka at {self._kafka.bootstrap} can't be reached: {error!r}") from error
                self._producer = producer
            return self._producer

    async def _replace(self, failed: Any) -> None:
        if self._producer is failed:
            self._producer = None
            await _close(failed)


async def _all(deliveries: Sequence[Any]) -> None:
    """Wait for every delivery, so that none fails unseen, then raise the first failure."""
    for outcome in await asyncio.gather(*deliveries, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


_closing: set["asyncio.Task[None]"] = set()


async def _close(producer: Any) -> None:
    """Close a producer. One whose brokers don't answer is closed to the end all the same, once nobody waits for it any
    more: half closed it would go on connecting, for good."""
    task = asyncio.create_task(_stop(producer))
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    await asyncio.wait({task}, timeout=CLOSE_SECONDS)


async def _stop(producer: Any) -> None:
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await producer.stop()
