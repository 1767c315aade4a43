"""One process that delivers: it queues what happens and sends what is due."""

import asyncio
from collections.abc import Mapping

from aiohttp.abc import AbstractResolver

from hub.bus.settings import Kafka
from hub.store.pool import Store
from hub.webhooks.sending import Sender
from hub.webhooks.settings import WebhookSettings
from hub.webhooks.taking import Taker


class Worker:
    """Delivers until it is told to stop. Any number may: they share the events by Kafka, the queue by row leases."""

    def __init__(
        self, kafka: Kafka, store: Store, settings: WebhookSettings, resolver: AbstractResolver | None = None
    ) -> None:
        self._sender = Sender(store, settings, resolver)
        self._taker = Taker(kafka, store, settings.window, self._sender.wake)

    def counters(self) -> Mapping[str, int]:
        """What was done since the start."""
        return {"events": self._taker.events, "queued": self._taker.deliveries, **self._sender.counts}

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set. Raises what ended the work before."""
        tasks = [
            asyncio.create_task(self._taker.run(), name="take"),
            asyncio.create_task(self._sender.run(), name="send"),
        ]
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopped, *tasks):
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
