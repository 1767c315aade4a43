"""GET /v1/live: document events as they happen, as server-sent events that resume where they broke off.

``id:`` is the reader's position in Kafka (hub/bus/feed.py), so Last-Event-ID means the same to every API server. A
heartbeat carries it too: a client whose filter lets nothing through still resumes near the end.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiohttp import web

from hub.api.doorman import Caller, token_of
from hub.api.problems import Problem
from hub.api.routing import Call, live_caller
from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.feed import (
    BadPosition,
    Delivery,
    Dropped,
    Glance,
    Position,
    Reader,
    TooSlow,
    Wanted,
    parse_position,
)
from hub.store.errors import StoreError

RETRY_MS = 2_000
"""How soon a browser comes back."""
_TICK_SECONDS = 1.0
_CHUNK_BYTES = 64 * 1024
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


async def live(call: Call) -> web.StreamResponse:
    """GET /v1/live"""
    hub = call.hub
    position = _position(call)
    if hub.live_clients >= hub.settings.live_clients:
        raise Problem(
            "unavailable",
            f"{hub.live_clients} clients are following already; try again later, or at another API server",
            f"{hub.live_clients} کاربر در حال دنبال کردن‌اند؛ بعداً یا از سرور دیگری امتحان کنید",
            headers={"Retry-After": "10"},
        )
    hub.live_clients += 1
    try:
        async with hub.feed.reader(position, wanted(call.caller, call.query)) as reader:
            return await _Stream(call, reader).run()
    except BadPosition as error:
        raise _bad_position(str(error)) from None
    finally:
        hub.live_clients -= 1


def _position(call: Call) -> Position | None:
    """Where the client broke off: the header of an EventSource that comes back, or the parameter of anyone else."""
    text = call.request.headers.get("Last-Event-ID") or call.query["last_event_id"]
    if not text:
        return None
    try:
        return parse_position(text, call.hub.feed.partitions)
    except BadPosition as error:
        raise _bad_position(str(error)) from None


def _bad_position(why: str) -> Problem:
    return Problem(
        "bad-request",
        f"Last-Event-ID: {why}; send the id of an event of this feed, or none to begin now",
        "مقدار Last-Event-ID شناسهٔ رویدادی از این جریان نیست؛ شناسهٔ آخرین رویداد را بفرستید یا هیچ",
    )


def wanted(caller: Caller, query: Mapping[str, Any]) -> Wanted:
    """Which events a caller gets: those it may see, of the source, kind and state it asked for."""
    source, kind, state = query["source"], query["kind"], query["state"]

    def is_wanted(event: Glance) -> bool:
        if not caller.sees(event.source) or (source is not None and event.source != source):
            return False
        content = event.document
        if kind is not None and (content is None or content.kind != kind):
            return False
        return state is None or (content is not None and content.state == state)

    return is_wanted


def _chunks(deliveries: Iterable[Delivery]) -> Iterator[bytes]:
    """Events as they are sent, some at a time: neither a write for each nor one of a hundred megabytes."""
    chunk = bytearray()
    for delivery in deliveries:
        data = delivery.event.value.replace(b"\n", b" ").replace(b"\r", b" ")
        chunk += b"id: %b\ndata: %b\n\n" % (delivery.position.encode(), data)
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


class _Stream:
    """One client's stream, until it leaves, is too slow, its key dies or the feed ends."""

    def __init__(self, call: Call, reader: Reader) -> None:
        self._call = call
        self._reader = reader
        self._settings = call.hub.settings
        self._response = web.StreamResponse(headers=_HEADERS)

    async def run(self) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        await self._response.prepare(self._call.request)
        try:
            await self._write(f"retry: {RETRY_MS}\nid: {self._reader.position}\n\n".encode())
            beat = loop.time() + self._settings.heartbeat_seconds
            while self._is_connected():
                deliveries = await self._reader.read(_TICK_SECONDS)
                if self._reader.lost:
                    await self._write(b'event: lost\ndata: {"events": %d}\n\n' % self._reader.lost)
                    self._reader.lost = 0
                for chunk in _chunks(deliveries):
                    await self._write(chunk)
                if loop.time() >= beat:
                    if not await self._is_still_welcome():
                        break
                    await self._write(f": heartbeat\nid: {self._reader.position}\n\n".encode())
                    beat = loop.time() + self._settings.heartbeat_seconds
        except (Dropped, BusUnavailable, ConnectionResetError):
            pass  # the client comes back with its last id
        except (TooSlow, TimeoutError):
            self._call.hub.metrics.live_dropped.inc()
            transport = self._call.request.transport
            if transport is not None:
                transport.abort()
        return self._response

    def _is_connected(self) -> bool:
        transport = self._call.request.transport
        return transport is not None and not transport.is_closing()

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(self._settings.live_write_seconds):
            await self._response.write(data)

    async def _is_still_welcome(self) -> bool:
        """A revoked key's stream ends; one let in without a key, or while PostgreSQL is away, stays."""
        token = token_of(self._call.request)
        if token is None:
            return True
        try:
            return await live_caller(self._call.hub, token) is not None
        except StoreError:
            return True
