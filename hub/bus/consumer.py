"""A consumer whose group's place moves only past what is done.

Records are handed out in the order of their partition and may be done in any order; what is committed is the place of
the oldest that isn't. So one record that has to wait holds up no other, and after a crash nothing is missed: what was
done beyond the committed place comes again, and consumers know by the ids what they have seen.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from hub.bus.errors import Unavailable
from hub.bus.settings import Kafka
from schemas.topics import Topic

CONNECT_SECONDS = 10.0
COMMIT_SECONDS = 5.0
SETTLE_SECONDS = 1.0
SESSION_MS = 6_000
HEARTBEAT_MS = 1_500

logger = logging.getLogger(__name__)


class Received(NamedTuple):
    """A record as it was handed out. ``tenure`` is the stretch of time its partition was ours for."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    tenure: int


class _Place:
    """One partition while it is ours: what was handed out and isn't done, oldest first."""

    def __init__(self, tenure: int) -> None:
        self.tenure = tenure
        self.open: deque[int] = deque()
        self.done: set[int] = set()
        self.next = -1
        self.committed = -1

    def hand_out(self, offset: int) -> None:
        self.open.append(offset)
        self.next = offset + 1

    def finish(self, offset: int) -> None:
        self.done.add(offset)
        while self.open and self.open[0] in self.done:
            self.done.discard(self.open.popleft())

    @property
    def waiting(self) -> int:
        return len(self.open) - len(self.done)

    @property
    def settled(self) -> int:
        """The offset from which on a successor has to read; -1 if nothing was handed out yet."""
        return self.open[0] if self.open else self.next


class Consumer:
    """One member of a consumer group, over declared topics; a new group starts at the beginning of what Kafka has.

    ``window`` bounds how many records may be handed out and not yet done: then :meth:`read` answers nothing new.
    """

    def __init__(self, kafka: Kafka, group: str, topics: Collection[Topic], *, window: int, batch: int = 500) -> None:
        self._kafka = kafka
        self._group = kafka.prefix + group
        self._names = [kafka.topic(topic) for topic in topics]
        self._window = window
        self._batch = batch
        self._client: Any = None
        self._places: dict[Any, _Place] = {}
        self._tenure = 0
        self._commit_failed = False

    async def read(self, seconds: float) -> list[Received]:
        """The next records; perhaps none, after ``seconds``. Raises Unavailable."""
        try:
            client = await self._ready()
            await self._commit(client)
            room = self._window - sum(place.waiting for place in self._places.values())
            assigned = client.assignment()
            # It has to be asked in any case: who doesn't ask for long is taken for dead by the group.
            (client.resume if room > 0 else client.pause)(*assigned)
            batches = await client.getmany(timeout_ms=int(seconds * 1_000), max_records=max(1, min(room, self._batch)))
        except (KafkaError, OSError) as error:
            await self._drop()
            raise Unavailable(f"Kafka at {self._kafka.bootstrap}: {error!r}") from error
        found = []
        for partition, records in batches.items():
            place = self._places.get(partition)
            if place is None:
                continue
            for record in records:
                place.hand_out(record.offset)
                found.append(
                    Received(
                        partition.topic, partition.partition, record.offset, record.key, record.value, place.tenure
                    )
                )
        return found

    async def ack(self, records: Sequence[Received]) -> None:
        """These are done. A partition that went to another member meanwhile is that member's to finish.

        While Kafka is away it is remembered, and told with what follows.
        """
        for record in records:
            place = self._places.get(TopicPartition(record.topic, record.partition))
            if place is not None and place.tenure == record.tenure:
                place.finish(record.offset)
        if self._client is not None:
            await self._commit(self._client)

    def lag(self) -> int:
        """How many records lie beyond the settled place in the partitions that are ours, as far as it is known."""
        if self._client is None:
            return 0
        ends = {part: self._client.highwater(part) for part in self._places}
        return sum(max((ends[part] or 0) - max(place.settled, 0), 0) for part, place in self._places.items())

    async def close(self) -> None:
        """Commit what is done and leave the group."""
        if self._client is not None:
            await self._commit(self._client)
        await self._drop()

    async def _ready(self) -> Any:
        if self._client is None:
            client = AIOKafkaConsumer(
                **self._kafka.client_options(),
                group_id=self._group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_poll_records=self._batch,
                session_timeout_ms=SESSION_MS,
                heartbeat_interval_ms=HEARTBEAT_MS,
            )
            client.subscribe(self._names, listener=_Listener(self))
            starting = asyncio.ensure_future(client.start())
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await asyncio.shield(starting)
            except (KafkaError, OSError, TimeoutError) as error:
                await _surely(_give_up(client, starting))
                raise Unavailable(f"Kafka at {self._kafka.bootstrap} can't be reached: {error!r}") from error
            except asyncio.CancelledError:
                await _surely(_give_up(client, starting))
                raise
            self._client = client
        return self._client

    async def _commit(self, client: Any) -> None:
        offsets = {
            partition: place.settled
            for partition, place in self._places.items()
            if place.settled >= 0 and place.settled != place.committed
        }
        if not offsets:
            return
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await client.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            return  # the group is dividing the partitions anew; who gets one reads on from what was committed
        except (KafkaError, OSError, TimeoutError) as error:
            if not self._commit_failed:
                logger.warning("%s: its place can't be told to Kafka yet: %r", self._group, error)
            self._commit_failed = True
            return
        self._commit_failed = False
        for partition, offset in offsets.items():
            if partition in self._places:
                self._places[partition].committed = offset

    async def _drop(self) -> None:
        client, self._client = self._client, None
        self._places.clear()
        if client is not None:
            await _surely(_stop(client))

    async def settle(self) -> None:
        """Tell Kafka the place once more before partitions go to others."""
        if self._client is not None:
            await self._commit(self._client)

    def revoke(self, partitions: Collection[Any]) -> None:
        """These are ours no more."""
        for partition in partitions:
            self._places.pop(partition, None)

    def assign(self, partitions: Collection[Any]) -> None:
        """These are ours from now on."""
        self._tenure += 1
        for partition in partitions:
            self._places[partition] = _Place(self._tenure)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped here
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        await self._consumer.settle()
        self._consumer.revoke(revoked)

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        self._consumer.assign(assigned)


_closing: set["asyncio.Task[None]"] = set()


async def _surely(close: Coroutine[Any, Any, None]) -> None:
    """Close to the end, also when whoever waits for it is cancelled, perhaps for the second time: a client that is
    left half closed goes on connecting."""
    task = asyncio.ensure_future(close)
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    await asyncio.shield(task)


async def _give_up(client: Any, starting: "asyncio.Future[None]") -> None:
    """Close a client that is starting. aiokafka loses the connection it is just making when its start is cancelled, so
    that is given a moment to come to its end first."""
    await asyncio.wait({starting}, timeout=SETTLE_SECONDS)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await _stop(client)


async def _stop(client: Any) -> None:
    try:
        async with asyncio.timeout(COMMIT_SECONDS):
            await client.stop()
    except (KafkaError, OSError, TimeoutError):
        pass
