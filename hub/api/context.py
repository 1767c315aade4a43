"""The services behind the handlers, and the bounds on how long they are waited for."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from hub.api.doorman import Buckets, Keyring
from hub.api.metrics import Metrics
from hub.api.settings import ApiSettings
from hub.api.vitals import Doctor
from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.feed import Feed
from hub.bus.producer import Outgoing, Producer
from hub.rules.settings import RuleSettings
from hub.store.errors import Unavailable as StoreUnavailable
from hub.store.pool import Store

_Result = TypeVar("_Result")


class Context:
    """One application's services. The store and the producer belong to whoever built it."""

    def __init__(
        self, store: Store, producer: Producer, feed: Feed, rules: RuleSettings, settings: ApiSettings
    ) -> None:
        self.store = store
        self.feed = feed
        self.rules = rules
        self.settings = settings
        self.keyring = Keyring(store, settings.key_seconds)
        self.buckets = Buckets()
        self.metrics = Metrics()
        self.doctor = Doctor(store, feed, settings.check_seconds)
        self.live_clients = 0
        self.openapi = b""
        """The OpenAPI document, as JSON."""
        self._producer = producer
        self._publishing: set[asyncio.Task[None]] = set()

    async def stored(self, work: Awaitable[_Result]) -> _Result:
        """What the store answers. Raises Unavailable if it takes too long."""
        try:
            async with asyncio.timeout(self.settings.store_seconds):
                return await work
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {self.settings.store_seconds:g} s") from None

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish, and return once Kafka has acknowledged. Raises Unavailable, also if it takes too long: then it
        goes on behind our back and may still succeed."""
        task = asyncio.create_task(self._producer.publish(messages))
        self._publishing.add(task)
        task.add_done_callback(self._published)
        try:
            async with asyncio.timeout(self.settings.publish_seconds):
                await asyncio.shield(task)
        except TimeoutError:
            raise BusUnavailable(f"no acknowledgement within {self.settings.publish_seconds:g} s") from None

    def _published(self, task: "asyncio.Task[None]") -> None:
        self._publishing.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that a failure nobody waits for any more isn't reported as forgotten

    async def close(self) -> None:
        """Wait for what is still being published."""
        if self._publishing:
            await asyncio.wait(self._publishing, timeout=self.settings.publish_seconds)
