"""The loop every agent runs: take a batch, handle it, publish and wait for the acknowledgement, ack in order.

Nothing may leave the loop as an exception: Faust would commit past the failing event (faust-streaming #315, #527). A
fault that passes is retried in place, with back-off; what can't be handled goes to ``dead.letters``; only then are
offsets acked, strictly in order.
"""

import asyncio
import contextlib
import functools
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from hub.bus.deadletters import dead_letter
from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.producer import Outgoing, Producer
from hub.store.errors import Unavailable as StoreUnavailable
from hub.store.errors import Unready
from schemas.codec import Undecodable

ATTEMPT_SECONDS = 30.0
BATCH_BYTES = 4 * 1024 * 1024
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
POSTPONED_SECONDS = 0.05
"""When what was postponed is looked at again, if nothing else comes."""

logger = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class Failure(msgspec.Struct, frozen=True):
    """A record that can't be handled: its place in the batch, and why."""

    index: int
    reason: str


class Handled(msgspec.Struct, frozen=True):
    """What a handler made of a batch: what to publish, which records go to the dead letters, and the places of those
    that it wants to see again a little later, before whatever comes then."""

    publish: Callable[[], Awaitable[None]] | None = None
    failures: Sequence[Failure] = ()
    postponed: frozenset[int] = frozenset()


class Decoded(msgspec.Struct):
    """A batch's records as the handler understands them, and those it doesn't."""

    messages: Sequence[Any]
    records: list[Any] = []
    places: list[int] = []
    """Each record's index in ``messages``."""
    failures: list[Failure] = []

    @classmethod
    def of(cls, messages: Sequence[Any], decode: Callable[[Any], Any]) -> "Decoded":
        """Decode each message; those that raise Undecodable become failures."""
        decoded = cls(messages)
        for index, message in enumerate(messages):
            try:
                decoded.records.append(decode(message))
                decoded.places.append(index)
            except Undecodable as error:
                decoded.failures.append(Failure(index, str(error)))
        return decoded


class Handler(Protocol):
    """One agent's work on a batch of raw records."""

    key: str
    """What a record's key is, in a log line about it."""

    def decode(self, messages: Sequence[Any]) -> Decoded:
        """The batch decoded; never raises."""

    async def handle(self, batch: Decoded) -> Handled:
        """The work. Raises only what no record is to blame for: the store's Unavailable or Unready, or the bus's
        Unavailable; it is then called again."""


class _Batch(msgspec.Struct, frozen=True):
    events: Sequence[Any]
    messages: Sequence[Any]
    decoded: Decoded


def _parts(events: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """A batch as it was taken, in parts that can be handled within one attempt however large its records are."""
    start = size = 0
    for index, event in enumerate(events):
        length = len(event.message.value or b"")
        if size + length > BATCH_BYTES and index > start:
            yield events[start:index]
            start, size = index, 0
        size += length
    yield events[start:]


Probe = Callable[[str], None]
"""Told the name of each point a crash may happen at; the crash tests kill the process there."""


def no_probe(_point: str) -> None:
    """What production runs with."""


class Progress:
    """How far one agent is, for health and metrics."""

    def __init__(self) -> None:
        self.handled = 0
        self.batches = 0
        self.dead = 0
        self.retries = 0
        self.offsets: dict[Any, int] = {}

    def note(self, messages: Sequence[Any], dead: int) -> None:
        self.handled += len(messages)
        self.batches += 1
        self.dead += dead
        for message in messages:
            self.offsets[message.tp] = max(message.offset, self.offsets.get(message.tp, -1))


class Loop:
    """One agent's loop; :meth:`run` is the agent's body."""

    def __init__(
        self,
        name: str,
        handler: Handler,
        producer: Producer,
        *,
        batch_size: int,
        within: float,
        probe: Probe = no_probe,
    ) -> None:
        self.name = name
        self.progress = Progress()
        self._handler = handler
        self._producer = producer
        self._batch_size = batch_size
        self._within = within
        self._probe = probe
        self._unacked: deque[Any] = deque()
        """Every event that was taken, in order."""
        self._done: set[int] = set()
        """Those of them that are handled, by identity: an older one isn't yet."""

    async def run(self, stream: Any) -> None:
        """Handle the stream until the app stops. Ends only by cancellation.

        Three things go on at once, each on its own batch and each in order: collecting one, handling the one before
        it, and publishing and acking the one before that.
        """
        # For good: when this ends by a defect, Faust goes on reading and would ack, and commit, what nobody handled.
        stream.enable_acks = False
        collected: asyncio.Queue[_Batch] = asyncio.Queue(maxsize=1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._handle(stream, collected), name=f"{self.name}-handling")
            async for taken in stream.noack_take(self._batch_size, within=self._within):
                for events in _parts(taken):
                    messages = [event.message for event in events]
                    await collected.put(_Batch(events, messages, self._handler.decode(messages)))

    async def _handle(self, stream: Any, collected: "asyncio.Queue[_Batch]") -> None:
        publishing: asyncio.Task[None] | None = None
        postponed: list[Any] = []
        try:
            while True:
                batch = await self._next(collected, postponed)
                handled = await self._until_done("handling", functools.partial(self._handler.handle, batch.decoded))
                self._probe("after_commit")
                if publishing is not None:
                    await publishing
                postponed = [batch.events[index] for index in sorted(handled.postponed)]
                publishing = asyncio.create_task(self._finish(stream, batch, handled))
        finally:
            if publishing is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await publishing

    async def _next(self, collected: "asyncio.Queue[_Batch]", postponed: Sequence[Any]) -> "_Batch":
        """The next batch, behind what was postponed; soon, if anything was."""
        try:
            async with asyncio.timeout(POSTPONED_SECONDS if postponed else None):
                batch = await collected.get()
        except TimeoutError:
            batch = _Batch((), (), Decoded(()))
        self._unacked.extend(batch.events)
        if not postponed:
            return batch
        events = [*postponed, *batch.events]
        messages = [event.message for event in events]
        return _Batch(events, messages, self._handler.decode(messages))

    async def _finish(self, stream: Any, batch: "_Batch", handled: Handled) -> None:
        if handled.failures:
            await self._until_done("dead-lettering", functools.partial(self._bury, batch.messages, handled.failures))
        if handled.publish is not None:
            await self._until_done("publishing", handled.publish)
        self._probe("after_publish")
        over = [index for index in range(len(batch.events)) if index not in handled.postponed]
        self._done.update(id(batch.events[index]) for index in over)
        while self._unacked and id(self._unacked[0]) in self._done:
            event = self._unacked.popleft()
            self._done.remove(id(event))
            await stream.ack(event)
        self.progress.note([batch.messages[index] for index in over], len(handled.failures))

    async def _bury(self, messages: Sequence[Any], failures: Sequence[Failure]) -> None:
        letters: list[Outgoing] = []
        for failure in failures:
            message = messages[failure.index]
            letters.append(
                dead_letter(
                    topic=message.topic,
                    partition=message.partition,
                    offset=message.offset,
                    key=message.key,
                    value=message.value,
                    headers=message.headers,
                    handler=self.name,
                    reason=failure.reason,
                )
            )
            logger.warning(
                "%s: record %s/%s/%s goes to the dead letters: %s",
                self.name, message.topic, message.partition, message.offset, failure.reason,
                extra={self._handler.key: (message.key or b"").decode(errors="replace")},
            )  # fmt: skip
        await self._producer.publish(letters)

    async def _until_done(self, what: str, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Do the work again and again until the fault has passed; nothing behind it overtakes it."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    return await work()
            except (StoreUnavailable, Unready, BusUnavailable, TimeoutError) as error:
                self.progress.retries += 1
                logger.warning("%s: %s failed, again in %.1f s: %s", self.name, what, pause, error)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spread, not secrecy
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
