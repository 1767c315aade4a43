"""From Kafka into the queue: an event's place in Kafka moves on once its deliveries are stored."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from hub.bus.consumer import Consumer, Received
from hub.bus.errors import Unavailable
from hub.bus.settings import Kafka
from hub.store import webhooks
from hub.store.errors import StoreError
from hub.store.pool import Store
from hub.store.webhooks import Queued
from schemas import topics
from schemas.dates import Moment

GROUP = "webhooks"
READ_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class _Kind(msgspec.Struct, frozen=True):
    kind: str


class _Glance(msgspec.Struct, frozen=True):
    """The part of an event by which it is chosen; its body stays where it is stored."""

    event_id: UUID
    document_id: UUID
    command_id: UUID
    source: str
    type: str
    recorded_at: Moment
    document: _Kind | None = None


_glance = msgspec.json.Decoder(_Glance)


class Taker:
    """Queues what happens until cancelled; ``queued`` is told after each time something was."""

    def __init__(self, kafka: Kafka, store: Store, window: int, queued: Callable[[], None]) -> None:
        self._consumer = Consumer(kafka, GROUP, [topics.EVENTS], window=window)
        self._store = store
        self._queued = queued
        self.events = 0
        self.deliveries = 0

    async def run(self) -> None:
        """Until cancelled."""
        pause = 0.0
        try:
            while True:
                try:
                    await self._take()
                    pause = 0.0
                except Unavailable as error:
                    if not pause:
                        logger.warning("webhooks wait for Kafka: %s", error)
                    pause = min(pause + 0.5, LONGEST_PAUSE_SECONDS)
                    await asyncio.sleep(pause)
        finally:
            await self._consumer.close()

    async def _take(self) -> None:
        records = await self._consumer.read(READ_SECONDS)
        events = [event for record in records if (event := _event(record)) is not None]
        if events:
            await self._queue(events)
        if records:
            await self._consumer.ack(records)
            self.events += len(records)

    async def _queue(self, events: Sequence[Queued]) -> None:
        """Until it is stored: while PostgreSQL is away, nothing is taken on."""
        pause = 0.0
        while True:
            try:
                made = await webhooks.queue(self._store, events)
                break
            except StoreError as error:
                if not pause:
                    logger.warning("webhooks wait for PostgreSQL: %s", error)
                pause = min(pause + 0.5, LONGEST_PAUSE_SECONDS)
                await asyncio.sleep(pause)
        self.deliveries += made
        if made:
            self._queued()


def _event(record: Received) -> Queued | None:
    try:
        glance = _glance.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        logger.warning("%s %s/%s is no event of ours: %s", record.topic, record.partition, record.offset, error)
        return None
    return Queued(
        glance.event_id,
        glance.document_id,
        glance.command_id,
        glance.source,
        glance.type,
        glance.document.kind if glance.document else "",
        glance.recorded_at,
    )
