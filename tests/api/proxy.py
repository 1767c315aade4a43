"""A wire that can be cut: what goes through it stops, and what was connected falls."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Wire:
    """Forwards to an address while it is whole. ``silent``: accepts and never answers."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._whole = False
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.port = 0
        self.silent = False

    async def open(self) -> None:
        self._whole = True
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Refuse new connections and drop those there are."""
        self._whole = False
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self.drop()

    async def drop(self) -> None:
        tasks = dict(self._open)
        for task, writer in tasks.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: asyncio would begin it a moment later, and what drop() doesn't know of it can't drop.
        if not self._whole:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
