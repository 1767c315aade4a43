"""A receiver that listens, events that were decided, and the signatures of the specification worked out anew."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from aiohttp import web

from hub.rules.webhooks import secret_of
from hub.store import webhooks
from hub.store.pool import Store
from hub.store.webhooks import Queued, Webhook
from hub.webhooks.sending import Sender
from hub.webhooks.settings import WebhookSettings
from schemas import codec, ids
from schemas.dates import utc_now
from schemas.events import DocumentEvent
from schemas.secret import Secret

SECONDS = 120.0
"""Longer than anything here takes, however loaded the machine is."""
HERE = ("127.0.0.1", "localhost")
SOON = tuple(timedelta(milliseconds=ms) for ms in (5, 5, 5, 5, 5))
SECRET = secret_of(b"a key of twenty-four byte")


async def until(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Ask again and again until the answer is true; answers it."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if isinstance(answer, Awaitable):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.01)


@dataclass
class Got:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def step(self) -> tuple[str, int]:
        return self.event["source_id"], self.event["step"]


Answering = Callable[[Got], Awaitable[web.StreamResponse] | web.StreamResponse]


@dataclass
class Receiver:
    """A server that takes webhooks; ``answer`` says what it answers."""

    got: list[Got] = field(default_factory=list)
    answer: Answering = lambda _: web.Response(status=204)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        got = Got(request.path, {name.lower(): value for name, value in request.headers.items()}, await request.read())
        self.got.append(got)
        answer = self.answer(got)
        return await answer if isinstance(answer, Awaitable) else answer


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.port = int(runner.addresses[0][1])
    try:
        yield receiver
    finally:
        await runner.cleanup()


def is_signed(got: Got, secret: Secret) -> bool:
    """The specification's check by itself: base64 of HMAC-SHA256 over id, timestamp and body, by the secret's bytes."""
    key = base64.b64decode(secret.reveal().split("_", 1)[1])
    signed = got.headers["webhook-id"].encode() + b"." + got.headers["webhook-timestamp"].encode() + b"." + got.body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in got.headers["webhook-signature"].split(" ")


def event_of(source: str, source_id: str, step: int) -> DocumentEvent:
    """A decision about a document."""
    document = ids.document_id(source, source_id)
    now = utc_now()
    return DocumentEvent(
        event_id=ids.event_id(document, 1, step),
        type="document.held",
        source=source,
        source_id=source_id,
        document_id=document,
        revision=1,
        step=step,
        occurred_at=now,
        recorded_at=now,
        command_id=ids.command_id(document, "submit", step),
        command="submit",
        actor="سفارش",
    )


def queued(event: DocumentEvent, kind: str = "sales_order") -> Queued:
    return Queued(
        event.event_id, event.document_id, event.command_id, event.source, event.type, kind, event.recorded_at
    )


async def decided(store: Store, events: Sequence[DocumentEvent]) -> None:
    """Keep events as decisions are kept."""
    async with store.connection() as connection:
        await connection.executemany(
            "insert into decisions (command_id, document_id, step, refused, recorded_at, event) "
            "values ($1, $2, $3, false, $4, $5)",
            [
                (each.command_id, each.document_id, each.step, each.recorded_at, codec.encode(each).decode())
                for each in events
            ],
        )


async def happened(store: Store, *events: DocumentEvent) -> int:
    """Decide and queue events; how many deliveries that made."""
    await decided(store, events)
    return await webhooks.queue(store, [queued(event) for event in events])


async def subscribed(store: Store, url: str, source: str = "shop", **fields: Any) -> Webhook:
    """A webhook."""
    wanted = {
        "types": [],
        "kinds": [],
        "description": "",
        "active": True,
        "secret": SECRET,
        "created_by": "tests",
        "limit": 20,
        **fields,
    }
    made = await webhooks.add(store, source=source, url=url, **wanted)
    assert made is not None
    return made


def settings(**fields: Any) -> WebhookSettings:
    """Nothing is sent again or by another for a receiver or sender that is slow."""
    usual: dict[str, Any] = {
        "trusted_hosts": HERE,
        "retries": SOON,
        "timeout": timedelta(seconds=2 * SECONDS),
        "lease": timedelta(seconds=2 * SECONDS),
        "poll": timedelta(milliseconds=10),
    }
    return WebhookSettings(**{**usual, **fields})


@asynccontextmanager
async def sending(store: Store, resolver: Any = None, **fields: Any) -> AsyncIterator[Sender]:
    """A sender at work."""
    sender = Sender(store, settings(**fields), resolver)
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def statuses(store: Store, webhook: UUID) -> list[str]:
    """What became of each delivery, the oldest first."""
    return [each.status for each in reversed(await webhooks.deliveries(store, webhook, limit=1_000))]


async def all_done(store: Store) -> bool:
    return await webhooks.waiting(store) == 0
