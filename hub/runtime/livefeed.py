"""The API's live feed, as any client may follow it: server-sent events, resumed where they broke off."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp

from schemas import codec
from schemas.events import DocumentEvent

_AGAIN_SECONDS = 0.5
_SILENT_SECONDS = 60
"""The API sends a heartbeat more often; a feed that is silent for longer is dead."""
_LONGEST_LINE = 8 * 1024 * 1024


async def follow(address: str, token: str) -> AsyncIterator[DocumentEvent | None]:
    """Every document event from now on. None comes first, when the feed is followed: what came before may be read then.

    An API that goes away is waited for and resumed at: no event is missed. Never ends by itself.
    """
    place = _Place()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENT_SECONDS)
    following = False
    async with aiohttp.ClientSession(timeout=timeout, read_bufsize=_LONGEST_LINE) as session:
        while True:
            try:
                headers = {"Authorization": f"Bearer {token}", **place.headers()}
                async with session.get(f"{address}/v1/live", headers=headers) as response:
                    response.raise_for_status()
                    if not following:
                        following = True
                        yield None
                    async for line in response.content:
                        event = place.take(line.rstrip(b"\r\n"))
                        if event is not None:
                            yield event
            except (aiohttp.ClientError, TimeoutError):
                pass  # the supervisor says what happened; the feed goes on when the API is back
            await asyncio.sleep(_AGAIN_SECONDS)


class _Place:
    """Where in the feed we are: what a message has said so far, and the id of the last whole one."""

    def __init__(self) -> None:
        self._last_id = ""
        self._id = ""
        self._type = b""
        self._data = b""

    def headers(self) -> dict[str, str]:
        """What resumes after the last whole message."""
        self._id, self._type, self._data = self._last_id, b"", b""
        return {"Last-Event-ID": self._last_id} if self._last_id else {}

    def take(self, line: bytes) -> DocumentEvent | None:
        """One line of the stream; the event, if the line ends one."""
        field, _, value = line.partition(b": ")
        match field:
            case b"id":
                self._id = value.decode("ascii")
            case b"event":
                self._type = value
            case b"data":
                self._data = value
            case b"":
                kind, data = self._type, self._data
                self._last_id, self._type, self._data = self._id, b"", b""
                if data and not kind:
                    return codec.decode_event(data)
        return None
