"""The queue's other end: what is due is claimed, signed, sent, and written down."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp.abc import AbstractResolver

from hub.rules.webhooks import LONGEST_PAUSE, next_attempt
from hub.store import webhooks
from hub.store.errors import StoreError
from hub.store.pool import Store
from hub.store.webhooks import Claimed, Finished, Try
from hub.webhooks.client import Answer, Client
from hub.webhooks.settings import WebhookSettings
from hub.webhooks.signing import headers
from schemas.dates import utc_now

PRUNE_SECONDS = 600.0
LONGEST_OUTAGE_PAUSE_SECONDS = 5.0
_GONE = 410
_ASKS_TO_WAIT = (429, 503)

logger = logging.getLogger(__name__)

_Task = asyncio.Task[Finished]


class Sender:
    """Sends until cancelled. ``counts`` tell what was done since the start."""

    def __init__(self, store: Store, settings: WebhookSettings, resolver: AbstractResolver | None = None) -> None:
        self._store = store
        self._settings = settings
        self._resolver = resolver
        self._tasks: dict[_Task, Claimed] = {}
        self._finished: list[Finished] = []
        self._awake = asyncio.Event()
        self.counts: Counter[str] = Counter(delivered=0, failed=0, given_up=0, disabled=0)

    def wake(self) -> None:
        """Something was queued: look at once."""
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled; what is under way then is given back."""
        pause = 0.0
        async with (
            Client(self._settings.trusted_hosts, self._settings.timeout, self._resolver) as client,
            self._tidied(),
        ):
            while True:
                try:
                    await self._write_down()
                    started = await self._start(client)
                except StoreError as error:
                    if not pause:
                        logger.warning("webhooks wait for PostgreSQL: %s", error)
                    pause = min(pause + 0.5, LONGEST_OUTAGE_PAUSE_SECONDS)
                    await asyncio.sleep(pause)
                    continue
                if pause:
                    logger.info("PostgreSQL is back: webhooks go on")
                pause = 0.0
                if not started:
                    await self._wait()

    @asynccontextmanager
    async def _tidied(self) -> AsyncIterator[None]:
        pruning = asyncio.create_task(self._prune(), name="prune webhooks")
        try:
            yield
        finally:
            tasks = list(self._tasks)
            for task in (pruning, *tasks):
                task.cancel()
            await asyncio.gather(pruning, *tasks, return_exceptions=True)
            with contextlib.suppress(StoreError):
                left = [self._tasks[task] for task in tasks if task.cancelled()]
                await self._write_down()
                await webhooks.release(self._store, left)

    async def _start(self, client: Client) -> int:
        """Claim what there is room for, and begin to send it; how many."""
        room = self._settings.at_once - len(self._tasks)
        if room <= 0:
            return 0
        self._awake.clear()
        busy = Counter(delivery.webhook_id for delivery in self._tasks.values())
        claimed = await webhooks.claim(
            self._store, lease=self._settings.lease, each=self._settings.at_once_each, room=room, busy=busy
        )
        for delivery in claimed:
            self._tasks[asyncio.create_task(self._send(client, delivery))] = delivery
        return len(claimed)

    async def _wait(self) -> None:
        """Until something was sent or queued, or it is time to look again."""
        awake = asyncio.create_task(self._awake.wait())
        try:
            await asyncio.wait(
                [awake, *self._tasks],
                timeout=self._settings.poll.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            awake.cancel()

    async def _write_down(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            if not task.cancelled():
                self._finished += [task.result()]
        if not self._finished:
            return
        disabled = await webhooks.finish(self._store, self._finished)
        for each in self._finished:
            self.counts["delivered" if each.succeeded else "failed"] += 1
            self.counts["given_up"] += not each.succeeded and each.again_after is None
        self._finished.clear()
        for webhook in disabled:
            self.counts["disabled"] += 1
            logger.warning(
                "webhook %s of %s is set inactive: %s; its log tells more, PATCH active to take it up again",
                webhook.id,
                webhook.source,
                "its receiver answered 410 Gone" if webhook.why == "gone" else "nothing got through for too long",
            )

    async def _send(self, client: Client, delivery: Claimed) -> Finished:
        at = utc_now()
        if delivery.body is None:
            why = "the event isn't kept any more, so it can't be sent"
            return Finished(delivery, Try(at, 0, error=why), succeeded=False)
        secrets = [delivery.secret, *([delivery.old_secret] if delivery.old_secret else [])]
        answer = await client.post(delivery.url, delivery.body, headers(delivery.event_id, at, delivery.body, secrets))
        made = Try(at, answer.milliseconds, answer.status, answer.excerpt, answer.error)
        return self._judged(delivery, answer, made)

    def _judged(self, delivery: Claimed, answer: Answer, made: Try) -> Finished:
        if not answer.error:
            return Finished(delivery, made, succeeded=True)
        gone = answer.status == _GONE
        asked = answer.retry_after if answer.status in _ASKS_TO_WAIT else None
        again = next_attempt(delivery.failures, self._settings.retries, asked)
        pause = min(again or LONGEST_PAUSE, LONGEST_PAUSE) if answer.unreachable else asked
        return Finished(delivery, made, succeeded=False, again_after=again, pause=pause, gone=gone)

    async def _prune(self) -> None:
        while True:
            with contextlib.suppress(StoreError):
                while await webhooks.prune(self._store, self._settings.keep):
                    pass
            await asyncio.sleep(PRUNE_SECONDS)
