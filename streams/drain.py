"""Faust's drain loop without four tasks a record.

``Consumer._drain_messages`` of faust-streaming 0.15.3 hands each record to its stream through
``wait_first(callback(message), suspend_flow.wait())``, so that a rebalance can interrupt a callback that waits. The
callback waits only when flow is suspended or a stream's buffer is full; in every other case awaiting it directly is the
same and halves the cost of a record (FAUST.md 17). The rest is the original's behaviour, less commits by count, which
the app doesn't use (it commits by time).

It relies on private API of the exact versions pinned in pyproject.toml; tests/streams/test_drain.py is its guard.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from faust.transport.drivers.aiokafka import Consumer

YIELD_EVERY = 100
"""Records after which other tasks get their turn."""


class DrainingConsumer(Consumer):  # type: ignore[misc]  # faust is untyped here
    """Faust's aiokafka consumer with the direct drain loop."""

    async def _drain_messages(self, fetcher: Any) -> None:
        callback = self.callback
        full = _Fullness(self.app)
        since_yield = 0
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                records = self.getmany(timeout=1.0)
                await self.sleep(0)
                if self.should_stop:
                    continue
                async for tp, message in records:
                    since_yield += 1
                    if since_yield > YIELD_EVERY:
                        await asyncio.sleep(0)
                        since_yield = 0
                    offset = message.offset
                    read = self._read_offset[tp]
                    if read is not None and offset < read:
                        continue
                    if read and offset - read > 1 and self.app.topics.acks_enabled_for(message.topic):
                        await self._add_gap(tp, read + 1, offset)
                    if self.suspend_flow.is_set() or full.anywhere(tp):
                        await self.wait_first(callback(message), self.suspend_flow.wait())
                    else:
                        await callback(message)
                    self._read_offset[tp] = offset
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    def waiting(self, handled: Mapping[Any, int]) -> Counter[str]:
        """Records in the partitions this process has, by topic, behind the last one handled (or the committed
        offset)."""
        lag: Counter[str] = Counter()
        for tp in self.assignment():
            end = self.highwater(tp)
            if end is not None:
                done = max(handled.get(tp, -1) + 1, self._committed_offset[tp] or 0)
                lag[tp.topic] += max(end - done, 0)
        return lag


class _Fullness:
    """Whether a partition's next record would have to wait for room in a stream's buffer."""

    def __init__(self, app: Any) -> None:
        self._channels = app.topics._tp_index

    def anywhere(self, tp: Any) -> bool:
        return any(channel.queue.full() for channel in self._channels[tp])


def use_direct_drain(app: Any) -> None:
    """Give an app that isn't started the consumer with the direct drain loop."""
    app.transport.Consumer = DrainingConsumer
