"""The simulated SQL Server on a socket of the loop-back interface."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final

from connectors.hesabgar.simulator import tds
from connectors.hesabgar.simulator.engine import VERSION, Engine
from connectors.hesabgar.simulator.errors import SqlError
from connectors.hesabgar.simulator.faults import Dropped
from connectors.hesabgar.simulator.query import OutputColumn
from connectors.hesabgar.simulator.session import Session
from connectors.hesabgar.simulator.storage import Row
from connectors.hesabgar.simulator.types import SqlType

HOST: Final = "127.0.0.1"
MIN_PACKET: Final = 512
MAX_PACKET: Final = 32_767

log = logging.getLogger(__name__)


class WireSink:
    """Results as tokens. The last DONE is held back until it is known whether more follows."""

    def __init__(self, packets: tds.PacketWriter, server: str) -> None:
        self._packets = packets
        self._server = server
        self._held: tuple[int, int, int] | None = None
        self._failed = False
        self._ordinal = 0

    async def _more(self) -> None:
        if self._held is not None:
            token, status, count = self._held
            self._held = None
            await self._packets.write(tds.done(status | tds.DONE_MORE, count, token=token))

    async def result(self, columns: Sequence[OutputColumn], rows: Iterator[Row]) -> int:
        await self._more()
        listed = list(columns)
        await self._packets.write(tds.column_metadata(listed))
        write, count = tds.row_writer(listed), 0
        part: list[bytes] = []
        for row in rows:
            part.append(write(row))
            count += 1
            if len(part) >= 500:
                await self._packets.write(b"".join(part))
                part.clear()
        await self._packets.write(b"".join(part))
        return count

    async def done(self, count: int | None, *, nested: bool) -> None:
        await self._more()
        token = 0xFF if nested else 0xFD
        self._held = (token, 0 if count is None else tds.DONE_COUNT, count or 0)

    async def error(self, error: SqlError) -> None:
        await self._more()
        await self._packets.write(tds.error_token(error, self._server))
        self._held = (0xFD, tds.DONE_ERROR, 0)

    async def info(self, number: int, message: str, severity: int) -> None:
        await self._more()
        await self._packets.write(tds.message(0xAB, number, 1, severity, message, self._server, "", 1))

    async def returned(self, status: int, *, nested: bool) -> None:
        await self._more()
        await self._packets.write(tds.return_status(status))
        self._held = (0xFF if nested else 0xFE, 0, 0)

    async def output(self, name: str, kind: SqlType, value: Any) -> None:
        await self._packets.write(tds.return_value(self._ordinal, name, kind, value))
        self._ordinal += 1

    async def finish(self) -> None:
        """End the message."""
        token, status, count = self._held or (0xFD, 0, 0)
        await self._packets.write(tds.done(status, count, token=token))
        await self._packets.finish()


class Connection:
    """One client."""

    def __init__(self, engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._engine = engine
        self._reader = reader
        self._writer = writer
        self._spid = engine.new_spid()
        self._packets = tds.PacketWriter(writer, self._spid, 4_096)
        self._session: Session | None = None

    async def serve(self) -> None:
        """Answer until the client goes away, is turned away, or a fault breaks the connection."""
        try:
            if await self._log_in():
                await self._converse()
        except (tds.Malformed, asyncio.IncompleteReadError, ConnectionError, Dropped):
            log.debug("connection %d ended", self._spid)
        finally:
            if self._session is not None:
                self._session.close()
                self._engine.sessions.discard(self._session)
            self._writer.transport.abort()

    # --- logging in ---------------------------------------------------------------------------------------------

    async def _log_in(self) -> bool:
        kind, data = await tds.read_message(self._reader)
        if kind == tds.PRELOGIN:
            await self._packets.write(tds.prelogin_answer(VERSION))
            await self._packets.finish()
            kind, data = await tds.read_message(self._reader)
        if kind != tds.LOGIN:
            raise tds.Malformed("no login")
        login = tds.parse_login(data)
        refusals = self._refusals(login)
        if refusals:
            told = b"".join(tds.error_token(each, self._engine.name) for each in refusals)
            await self._packets.write(told + tds.done(tds.DONE_ERROR))
            await self._packets.finish()
            self._writer.write_eof()
            return False
        await self._welcome(login)
        return True

    def _refusals(self, login: tds.Login) -> list[SqlError]:
        """The errors that turn a login away, in the order the server tells them; none if it is welcome."""
        failed = SqlError(18456, f"Login failed for user '{login.user}'.", severity=14)
        password = self._engine.logins.get(login.user.lower())
        if password is None or password != login.password:
            return [failed]
        known = login.database.lower() in ("", self._engine.database.name.lower())
        if known and self._engine.may_open(login.user):
            return []
        words = f'Cannot open database "{login.database}" requested by the login. The login failed.'
        return [SqlError(4060, words, severity=11), failed]

    async def _welcome(self, login: tds.Login) -> None:
        engine = self._engine
        name = engine.database.name
        size = min(max(login.packet_size or 4_096, MIN_PACKET), MAX_PACKET)
        self._session = Session(engine, self._spid, login.user.lower(), host=login.host, application=login.application)
        engine.sessions.add(self._session)
        parts = [
            tds.environment(1, name, "master"),
            tds.message(0xAB, 5701, 2, 0, f"Changed database context to '{name}'.", engine.name, "", 1),
            tds.collation_change(),
            tds.environment(2, "us_english", ""),
            tds.message(0xAB, 5703, 1, 0, "Changed language setting to us_english.", engine.name, "", 1),
            tds.login_ack(VERSION),
            tds.environment(4, str(size), "4096"),
            tds.done(0),
        ]
        await self._packets.write(b"".join(parts))
        await self._packets.finish()
        self._packets.size = size

    # --- requests -----------------------------------------------------------------------------------------------

    async def _converse(self) -> None:
        next_message = asyncio.create_task(tds.read_message(self._reader))
        try:
            while True:
                kind, data = await next_message
                next_message = asyncio.create_task(tds.read_message(self._reader))
                if kind == tds.ATTENTION:
                    await self._acknowledge()
                    continue
                work = asyncio.create_task(self._answer(kind, data))
                next_message = await self._watched(work, next_message)
        finally:
            next_message.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await next_message

    async def _watched(
        self, work: asyncio.Task[None], next_message: asyncio.Task[tuple[int, bytes]]
    ) -> asyncio.Task[tuple[int, bytes]]:
        """Wait for an answer to be given; an attention, or the client's going away, cuts it short."""
        try:
            await asyncio.wait((work, next_message), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
                return next_message
            gone = next_message.exception() is not None
            if not gone and next_message.result()[0] != tds.ATTENTION:
                await work
                return next_message
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            if gone:
                await next_message
            await self._acknowledge()
            return asyncio.create_task(tds.read_message(self._reader))
        finally:
            if not work.done():
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await work

    async def _acknowledge(self) -> None:
        await self._packets.write(tds.done(tds.DONE_ATTENTION))
        await self._packets.finish()

    async def _answer(self, kind: int, data: bytes) -> None:
        assert self._session is not None
        sink = WireSink(self._packets, self._engine.name)
        if kind == tds.SQL_BATCH:
            cursor = tds.skip_headers(data)
            await self._session.batch(data[cursor.at :].decode("utf-16-le", "surrogatepass"), sink)
        elif kind == tds.RPC:
            call = tds.parse_call(data)
            await self._session.call(call.name, call.arguments, sink)
        else:
            raise tds.Malformed(f"a request of type {kind}")
        await sink.finish()


class Listener:
    """The socket: it can go away and come back on the same port, as a server that is restarted does.

    It accepts by itself: what asyncio's server has accepted and not yet handed over can't be broken when it stops.
    """

    def __init__(self, engine: Engine, port: int = 0) -> None:
        self._engine = engine
        self.port = port
        self._socket: socket.socket | None = None
        self._placeholder: socket.socket | None = None
        """Keeps the port while nobody listens: else the system might give it to somebody's outgoing connection, even to
        that of a client which tries to reach us."""
        self._open: dict[asyncio.Task[None], socket.socket] = {}

    @property
    def listening(self) -> bool:
        return self._socket is not None

    async def start(self) -> None:
        """Listen. The port stays the same when started again."""
        if self._socket is not None:
            return
        self._give_up_port()
        listening = socket.create_server((HOST, self.port), backlog=100)
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)
        self._socket = listening

    def _accept(self, listening: socket.socket) -> None:
        try:
            client, _ = listening.accept()
        except OSError:
            return  # it went away before it was accepted
        client.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve(client))
        self._open[task] = client
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._open.pop(task).close()

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        try:
            await Connection(self._engine, reader, writer).serve()
        except Exception:
            log.exception("the simulator failed")
        finally:
            writer.transport.abort()

    async def stop(self) -> None:
        """Stop listening and break every connection; what they hadn't committed is undone."""
        listening, self._socket = self._socket, None
        if listening is not None:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
            self._keep_port()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Let go of the port, for good. It is stopped before."""
        self._give_up_port()

    def _keep_port(self) -> None:
        placeholder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        placeholder.bind((HOST, self.port))
        self._placeholder = placeholder

    def _give_up_port(self) -> None:
        placeholder, self._placeholder = self._placeholder, None
        if placeholder is not None:
            placeholder.close()
