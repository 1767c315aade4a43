"""Talking to a kiosk: lines of UTF-8 over TCP. The only I/O of the connector.

::

    hub    HELLO <key>
    kiosk  OK                     or   ERROR <code> <words>, here and below
    hub    AFTER <number>
    kiosk  ORDER <number> <JSON>  the oldest after that number, at most 100
    kiosk  END
"""

import asyncio
from typing import NamedTuple

from connectors.base import ConnectorError, Rejected, Retryable, Unauthorised, UnknownPayload

from .spec import Spec

LINE_BYTES = 64 * 1024


class Order(NamedTuple):
    """An order as the kiosk wrote it, not yet understood, under the kiosk's number."""

    number: int
    raw: bytes


class Client:
    """One kiosk. Every call is a connection of its own: kiosks are switched off whenever someone likes."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.name = f"the kiosk at {spec.host}:{spec.port}"

    async def orders(self, after: int) -> list[Order]:
        """The oldest orders after a number. Raises ConnectorError."""
        try:
            async with asyncio.timeout(self._spec.timeout.total_seconds()):
                return await self._orders(after)
        except (OSError, EOFError, TimeoutError) as error:
            raise Retryable(f"{self.name} can't be reached: {error or 'no answer in time'}") from error

    async def _orders(self, after: int) -> list[Order]:
        reader, writer = await asyncio.open_connection(self._spec.host, self._spec.port, limit=LINE_BYTES)
        try:
            writer.write(f"HELLO {self._spec.key.reveal()}\nAFTER {after}\n".encode())
            found: list[Order] = []
            if await self._line(reader) != b"OK":
                raise UnknownPayload(f"{self.name} doesn't speak the kiosk's protocol; is it the right port?")
            while (line := await self._line(reader)) != b"END":
                found.append(self._order(line))
            return found
        finally:
            writer.close()

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        """The next line, without its end. Raises what an error line means."""
        try:
            line = (await reader.readuntil(b"\n")).rstrip(b"\r\n")
        except asyncio.LimitOverrunError as error:
            raise UnknownPayload(f"{self.name} sent a line of more than {LINE_BYTES} bytes") from error
        if line.startswith(b"ERROR "):
            raise self._error(line)
        return line

    def _error(self, line: bytes) -> ConnectorError:
        """The kiosk's error as one of ours: the one place that knows its codes."""
        _, code, words = (*line.decode("utf-8", "replace").split(" ", 2), "")[:3]
        said = f"{self.name} answers {code} {words}".strip()
        if code in ("401", "403"):
            return Unauthorised(f"{said}; mend `key`")
        if code == "429" or code.startswith("5"):
            return Retryable(said)
        return Rejected(said)

    def _order(self, line: bytes) -> Order:
        word, _, rest = line.partition(b" ")
        number, _, raw = rest.partition(b" ")
        if word != b"ORDER" or not number.isdigit():
            raise UnknownPayload(f"{self.name} sent what is no order: {line[:80]!r}")
        return Order(int(number), raw)
