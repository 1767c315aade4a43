"""The live feed: one shared tail of ``documents.events`` for a whole process, and readers that resume anywhere.

A reader's place is a :data:`Position`: the next offset of every partition. It means the same to every process, so a
client that lost one API server resumes at another, without a gap and without a double. The tail keeps the latest events
in memory; a reader whose place lies before them reads what it missed from Kafka by a consumer of its own, then joins.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hub.bus.errors import Unavailable
from hub.bus.settings import Kafka
from schemas import topics

Position = tuple[int, ...]
"""The next offset of each partition, in the order of the partitions."""

CONNECT_SECONDS = 10.0
CHECK_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
GAP_READERS = 32
"""How many readers may be catching up with consumers of their own at once; the others wait for their turn."""

_BATCH = 500
_MAX_OFFSET = 2**63 - 1

logger = logging.getLogger(__name__)


class BadPosition(ValueError):
    """A text that is no position in this feed."""


class Dropped(Exception):
    """The feed ended, or begins anew; the reader is off it and may resume at its last position."""


class TooSlow(Exception):
    """More events wait for the reader than may; it is off the feed and may resume at its last position."""


class _Content(msgspec.Struct, frozen=True):
    kind: str
    state: str


class Glance(msgspec.Struct, frozen=True):
    """The part of an event by which it is chosen; the rest stays undecoded."""

    command_id: UUID
    source: str
    type: str
    document: _Content | None = None


class FeedEvent(NamedTuple):
    """An event as it stands in Kafka: ``value`` is its JSON; no ``glance``: the record is no event of ours."""

    partition: int
    offset: int
    value: bytes
    glance: Glance | None


class Delivery(NamedTuple):
    """An event for a reader, with the reader's position once it has it."""

    event: FeedEvent
    position: str


Wanted = Callable[[Glance], bool]

_decoder = msgspec.json.Decoder(Glance)


def position_text(position: Sequence[int]) -> str:
    """``12.0.7.93``: the compact form a client keeps."""
    return ".".join(map(str, position))


def parse_position(text: str, partitions: int) -> Position:
    """The position a client names. Raises :exc:`BadPosition`."""
    parts = text.split(".")
    if len(parts) != partitions or not all(part.isascii() and part.isdigit() and len(part) <= 19 for part in parts):
        raise BadPosition(f"{text[:100]!r} is not a position in this feed: {partitions} numbers with dots between")
    position = tuple(map(int, parts))
    if max(position) > _MAX_OFFSET:
        raise BadPosition(f"{text[:100]!r} names an offset Kafka can't have")
    return position


class Feed:
    """The shared tail. ``remember`` events are kept in memory, in at most ``remember_bytes``."""

    def __init__(
        self, kafka: Kafka, *, remember: int = 2_000, remember_bytes: int = 16 * 1024 * 1024, queue: int = 1_000
    ) -> None:
        self._kafka = kafka
        self._topic = kafka.topic(topics.EVENTS)
        self.partitions = topics.EVENTS.partitions
        self._remember = remember
        self._remember_bytes = remember_bytes
        self._queue = queue
        self._task: asyncio.Task[None] | None = None
        self._consumer: Any = None
        self._trouble = "not started"
        self._next: list[int] | None = None
        self._floor: list[int] = []
        self._ring: deque[FeedEvent] = deque()
        self._ring_bytes = 0
        self._readers: set[Reader] = set()
        self._waiters: defaultdict[UUID, set[asyncio.Future[bytes]]] = defaultdict(set)
        self._following = asyncio.Event()
        self._catching_up_to: list[int] = []
        self._gap_slots = asyncio.Semaphore(GAP_READERS)

    async def start(self) -> None:
        """Begin to follow, in the background: Kafka may come later."""
        self._task = asyncio.create_task(self._run(), name="feed")

    async def stop(self) -> None:
        """Let every reader go and close."""
        self._following.clear()
        self._dismiss()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def running(self) -> bool:
        """Whether the feed was started and not yet stopped."""
        return self._task is not None

    @property
    def readers(self) -> int:
        """How many readers follow."""
        return len(self._readers)

    async def ready(self, seconds: float) -> None:
        """Wait until the tail is at the end of the topic. Raises Unavailable after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._following.wait()
        except TimeoutError:
            raise Unavailable(f"the feed of document events isn't there yet: {self._trouble}") from None

    async def check(self) -> int:
        """Ask Kafka where the topic ends; answers how many events the tail is behind. Raises Unavailable."""
        consumer = self._consumer
        if consumer is None or self._next is None:
            raise Unavailable(self._trouble)
        ends = await self._ends(consumer, CHECK_SECONDS)
        return sum(max(end - at, 0) for end, at in zip(ends, self._next, strict=True))

    @contextlib.contextmanager
    def waiting(self, command_ids: Collection[UUID]) -> Iterator[dict[UUID, "asyncio.Future[bytes]"]]:
        """Futures of the events that decide these commands (their JSON), from now on; cancelled on leaving."""
        futures = {command_id: asyncio.get_running_loop().create_future() for command_id in command_ids}
        for command_id, future in futures.items():
            self._waiters[command_id].add(future)
        try:
            yield futures
        finally:
            for command_id, future in futures.items():
                future.cancel()
                self._waiters[command_id].discard(future)
                if not self._waiters[command_id]:
                    del self._waiters[command_id]

    @contextlib.asynccontextmanager
    async def reader(self, position: Position | None, wanted: Wanted) -> AsyncIterator["Reader"]:
        """A reader of the wanted events from a position on; without one, from now on.

        Raises BadPosition (it lies beyond the end of the topic) or Unavailable.
        """
        await self.ready(CHECK_SECONDS)
        if self._next is None or self._consumer is None:
            raise Unavailable(self._trouble)
        start = self._next
        if position is not None:
            if any(at > seen for at, seen in zip(position, self._next, strict=True)):
                ends = await self._ends(self._consumer, CHECK_SECONDS)
                if any(at > end for at, end in zip(position, ends, strict=True)):
                    raise BadPosition(f"{position_text(position)} lies beyond the end of the feed")
            start = list(position)
        reader = Reader(self, start, wanted, self._queue)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            await reader.close()

    # --- the tail

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        failing = False
        while True:
            try:
                async with self._connected(auto_offset_reset="none") as consumer:
                    await self._place(consumer)
                    if failing:
                        logger.info("following %s again", self._topic)
                    failing, pause = False, FIRST_PAUSE_SECONDS
                    await self._follow(consumer)
            except (KafkaError, OSError, TimeoutError, Unavailable) as error:
                self._trouble = f"Kafka at {self._kafka.bootstrap}: {error!r}"
                if not failing:
                    logger.warning("can't follow %s, trying on: %r", self._topic, error)
                failing = True
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    @contextlib.asynccontextmanager
    async def _connected(self, **options: Any) -> AsyncIterator[Any]:
        """A consumer of no group, with every partition of the topic assigned and not yet placed."""
        consumer = AIOKafkaConsumer(
            **self._kafka.client_options(), group_id=None, enable_auto_commit=False, max_poll_records=_BATCH, **options
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await consumer.start()
            consumer.assign(self._topic_partitions())
            yield consumer
        finally:
            self._consumer = None if self._consumer is consumer else self._consumer
            await consumer.stop()

    def _topic_partitions(self) -> list[Any]:
        return [TopicPartition(self._topic, partition) for partition in range(self.partitions)]

    async def _ends(self, consumer: Any, seconds: float) -> list[int]:
        partitions = self._topic_partitions()
        try:
            async with asyncio.timeout(seconds):
                ends = await consumer.end_offsets(partitions)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(f"Kafka at {self._kafka.bootstrap} doesn't answer: {error!r}") from error
        return [ends[partition] for partition in partitions]

    async def _beginnings(self, consumer: Any) -> list[int]:
        """The first offset Kafka still has of each partition. Raises Unavailable."""
        partitions = self._topic_partitions()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                begins = await consumer.beginning_offsets(partitions)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(f"Kafka at {self._kafka.bootstrap} doesn't answer: {error!r}") from error
        return [begins[partition] for partition in partitions]

    async def _place(self, consumer: Any) -> None:
        """Put the tail where it was; at first, or when the topic was made anew, a little before the end."""
        ends = await self._ends(consumer, CONNECT_SECONDS)
        begins = await self._beginnings(consumer)
        at = self._next
        if at is None or not all(b <= n <= e for b, n, e in zip(begins, at, ends, strict=True)):
            self._following.clear()
            self._dismiss()
            back = self._remember // self.partitions
            at = [max(begin, end - back) for begin, end in zip(begins, ends, strict=True)]
            self._next, self._floor = at, list(at)
            self._ring.clear()
            self._ring_bytes = 0
        for partition, offset in zip(self._topic_partitions(), at, strict=True):
            consumer.seek(partition, offset)
        self._consumer = consumer
        self._catching_up_to = ends

    async def _follow(self, consumer: Any) -> None:
        while True:
            if not self._following.is_set() and self._is_at(self._catching_up_to):
                self._following.set()
            for partition, records in (await consumer.getmany(timeout_ms=1_000)).items():
                for record in records:
                    self._take(partition.partition, record.offset, record.value or b"")
            await asyncio.sleep(0)

    def _is_at(self, ends: Sequence[int]) -> bool:
        return self._next is not None and all(at >= end for at, end in zip(self._next, ends, strict=True))

    def _take(self, partition: int, offset: int, value: bytes) -> None:
        assert self._next is not None
        self._next[partition] = offset + 1
        event = feed_event(partition, offset, value)
        self._ring.append(event)
        self._ring_bytes += len(value)
        while len(self._ring) > self._remember or self._ring_bytes > self._remember_bytes:
            oldest = self._ring.popleft()
            self._ring_bytes -= len(oldest.value)
            self._floor[oldest.partition] = oldest.offset + 1
        if event.glance is not None:
            for future in self._waiters.get(event.glance.command_id, ()):
                if not future.done():
                    future.set_result(value)
        for reader in list(self._readers):
            if not reader.offer(event):
                self._readers.discard(reader)

    def _dismiss(self) -> None:
        for reader in self._readers:
            reader.dismiss(Dropped("the feed ended"))
        self._readers.clear()

    # --- for readers

    def join(self, reader: "Reader", position: Sequence[int]) -> list[FeedEvent] | None:
        """What memory holds from a position on, the reader then following; None if the position lies before it."""
        if any(at < floor for at, floor in zip(position, self._floor, strict=True)):
            return None
        self._readers.add(reader)
        return [event for event in self._ring if event.offset >= position[event.partition]]

    @contextlib.asynccontextmanager
    async def gap_consumer(self, position: list[int]) -> AsyncIterator[Any]:
        """A consumer at a position, moved up to where Kafka's memory begins. Raises Unavailable."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._gap_slots.acquire()
        except TimeoutError:
            raise Unavailable("too many readers are catching up at once") from None
        try:
            async with self._connected(auto_offset_reset="earliest") as consumer:
                for partition, begin in enumerate(await self._beginnings(consumer)):
                    position[partition] = max(position[partition], begin)
                for topic_partition, offset in zip(self._topic_partitions(), position, strict=True):
                    consumer.seek(topic_partition, offset)
                yield consumer
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(f"Kafka at {self._kafka.bootstrap}: {error!r}") from error
        finally:
            self._gap_slots.release()


def feed_event(partition: int, offset: int, value: bytes) -> FeedEvent:
    """A record as an event; a line in the log if it is none."""
    glance: Glance | None = None
    try:
        glance = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        logger.warning("documents.events %s/%s is no event: %s", partition, offset, error)
    return FeedEvent(partition, offset, value, glance)


class Reader:
    """One reader of the feed, from :meth:`Feed.reader`. ``lost`` counts offsets Kafka no longer had."""

    def __init__(self, feed: Feed, position: Sequence[int], wanted: Wanted, queue: int) -> None:
        self._feed = feed
        self._position = list(position)
        self._wanted = wanted
        self._limit = queue
        self._events: deque[FeedEvent] = deque()
        self._news = asyncio.Event()
        self._following = False
        self._dismissed: Exception | None = None
        self._gap = contextlib.AsyncExitStack()
        self._gap_consumer: Any = None
        self.lost = 0

    @property
    def position(self) -> str:
        """Where the reader is, as a client keeps it."""
        return position_text(self._position)

    async def read(self, seconds: float) -> list[Delivery]:
        """The next wanted events; perhaps none, after ``seconds``. Raises Dropped, TooSlow or Unavailable."""
        if self._dismissed is not None:
            raise self._dismissed
        if not self._feed.running:
            raise Dropped("the feed ended")
        if self._following:
            events = await self._from_tail(seconds)
        else:
            joined = self._feed.join(self, self._position)
            if joined is None:
                events = await self._from_kafka(seconds)
            else:
                self._following = True
                await self.close()
                events = joined
        return self._deliver(events)

    def _deliver(self, events: Sequence[FeedEvent]) -> list[Delivery]:
        deliveries = []
        for event in events:
            if event.offset < self._position[event.partition]:
                continue
            self._position[event.partition] = event.offset + 1
            if event.glance is not None and self._wanted(event.glance):
                deliveries.append(Delivery(event, self.position))
        return deliveries

    async def _from_tail(self, seconds: float) -> list[FeedEvent]:
        if not self._events:
            self._news.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return []
        if self._dismissed is not None:
            raise self._dismissed
        events = list(self._events)
        self._events.clear()
        return events

    async def _from_kafka(self, seconds: float) -> list[FeedEvent]:
        if self._gap_consumer is None:
            before = sum(self._position)
            self._gap_consumer = await self._gap.enter_async_context(self._feed.gap_consumer(self._position))
            self.lost = sum(self._position) - before
        try:
            batches = await self._gap_consumer.getmany(timeout_ms=int(seconds * 1000), max_records=_BATCH)
        except (KafkaError, OSError) as error:
            raise Unavailable(f"Kafka stopped answering: {error!r}") from error
        return [
            feed_event(partition.partition, record.offset, record.value or b"")
            for partition, records in batches.items()
            for record in records
        ]

    def offer(self, event: FeedEvent) -> bool:
        """Take an event of the tail; False, and no more, if too many wait already."""
        if len(self._events) >= self._limit:
            self.dismiss(TooSlow(f"{self._limit} events are waiting"))
            return False
        self._events.append(event)
        self._news.set()
        return True

    def dismiss(self, why: Exception) -> None:
        """End the reader; its next read says why."""
        self._dismissed = why
        self._events.clear()
        self._news.set()

    async def close(self) -> None:
        """Close the reader's own consumer, if it has one."""
        self._gap_consumer = None
        await self._gap.aclose()
