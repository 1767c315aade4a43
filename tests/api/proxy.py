"""A wire that can be cut: what goes through it stops, and what was connected falls."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from tests.conftest import free_port


class Wire:
    """Forwards to an address while it is whole. ``silent``: accepts and never answers; ``shut``: accepts and drops at
    once, ``turned_away`` so far.

    Its port isn't one the kernel gives to outgoing connections: nobody takes it while the wire is cut.
    It accepts by itself: what asyncio's server has accepted and not yet handed over can't be dropped.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._socket: socket.socket | None = None
        self._open: dict[asyncio.Task[None], socket.socket] = {}
        self.port = free_port()
        self.silent = False
        self.shut = False
        self.turned_away = 0

    async def open(self) -> None:
        self._socket = listening = socket.create_server(("127.0.0.1", self.port), backlog=100)
        listening.setblocking(False)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    async def cut(self) -> None:
        """Refuse new connections and drop those there are."""
        listening, self._socket = self._socket, None
        if listening is not None:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        await self.drop()

    async def drop(self) -> None:
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        if self.shut:
            self.turned_away += 1
            client.close()
            return
        client.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve(client))
        self._open[task] = client
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._open.pop(task).close()

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        try:
            if self.silent:
                await asyncio.Event().wait()
            await self._forward(reader, writer)
        except OSError:
            pass
        finally:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, back))
                group.create_task(_pump(there, writer))
        except* OSError:
            pass
        finally:
            back.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


@contextlib.asynccontextmanager
async def wire(host: str, port: int) -> AsyncIterator[Wire]:
    """A whole wire, cut at the end."""
    made = Wire(host, port)
    await made.open()
    try:
        yield made
    finally:
        await made.cut()
