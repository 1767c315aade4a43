"""A reader of server-sent events, and events to publish without anything that decides."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from hub.bus.producer import Outgoing
from schemas import codec, ids, topics
from schemas.dates import utc_now
from schemas.documents import Document, Kind, State
from schemas.events import DocumentEvent
from tests.api.world import Client, Hub

PATIENCE = 60.0


class Message(NamedTuple):
    """One server-sent event as a browser would see it; ``data`` is None when only the id moved."""

    id: str
    name: str
    data: Any


class Stream:
    """What a browser's EventSource does, without coming back by itself."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""

    async def message(self) -> Message | None:
        """The next block of the stream; None at its end."""
        name, data = "message", []
        async with asyncio.timeout(PATIENCE):
            while line := await self.response.content.readline():
                text = line.decode().rstrip("\n")
                if not text:
                    return Message(self.last_id, name, json.loads("\n".join(data)) if data else None)
                field, _, value = text.partition(": ")
                if field == "id":
                    self.last_id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data.append(value)
        return None

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The next so many events that carry data."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE):
            while len(found) < count:
                message = await self.message()
                assert message is not None, f"the stream ended after {len(found)} of {count}"
                if message.data is not None:
                    found.append(message.data)
        return found

    async def ended(self) -> bool:
        """Whether the stream ends, whatever comes before."""
        try:
            while await self.message() is not None:
                pass
        except aiohttp.ClientError:
            pass
        return True


@asynccontextmanager
async def following(client: Client, query: str = "", last_id: str | None = None) -> AsyncIterator[Stream]:
    """A stream, its first id received."""
    headers = client.headers | ({"Last-Event-ID": last_id} if last_id is not None else {})
    url = f"{client.address}/v1/live{query}"
    async with client.session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as response:
        assert response.status == 200, await response.text()
        stream = Stream(response)
        await stream.message()
        yield stream


def event(
    number: int, *, source: str = "shop", state: State = State.CLEARED, kind: Kind = Kind.SALES_ORDER, note: str = ""
) -> DocumentEvent:
    """An event of a document of its own."""
    source_id = f"N-{number}"
    id_ = ids.document_id(source, source_id)
    now = utc_now()
    document = Document(id_, source, source_id, kind, state, 1, 1, now.date(), now, now, note=note)
    return DocumentEvent(
        event_id=ids.event_id(id_, 1, 1),
        type=f"document.{state}",
        source=source,
        source_id=source_id,
        document_id=id_,
        revision=1,
        step=1,
        occurred_at=now,
        recorded_at=now,
        command_id=ids.command_id(id_, "content", 1),
        command="submit",
        actor="tester",
        document=document,
    )


async def publish(hub: Hub, events: Iterable[DocumentEvent]) -> None:
    """Publish events as the deciding agent does."""
    await hub.producer.publish(
        [Outgoing(topics.EVENTS, str(each.document_id).encode(), codec.encode(each)) for each in events]
    )
