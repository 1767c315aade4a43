"""Talking to the SQL Server that Hesabgar keeps its books in: pymssql in threads of our own, its errors made ours.

pymssql blocks and can hang for as long as the network does. So each call runs in a daemon thread; who waits for it
waits no longer than it may take, and a thread that hangs is left behind and replaced. Nothing of it blocks the event
loop, or the end of the process.
"""

import asyncio
import queue
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, TypeVar

import msgspec
import pymssql

from connectors.base import ConnectorError, Rejected, Retryable, Unauthorised
from connectors.hesabgar.contract import Row
from connectors.hesabgar.spec import Spec

_T = TypeVar("_T")

DEADLOCK: Final = 1205
DEADLOCK_TRIES: Final = 4
LEFT_BEHIND: Final = 8
"""How many threads may hang at once before nothing more is asked of the server."""
GRACE_SECONDS: Final = 2.0

_REFUSED_LOGINS: Final = frozenset({229, 230, 262, 297, 300, 916, 4060, 4064, 18452, 18456, 18470, 18486, 18487, 18488})
BUSY: Final = 50_002
"""The contract's procedures: the same item is being posted right now."""
_PASSING: Final = frozenset({BUSY, 1204, 1222, 3960, 5030, 8628, 40197, 40501, 40613, 49918})
_UNABLE: Final = frozenset(
    {
        *(701, 802, 8645),  # there is no memory
        *(1101, 1105, 9001, 9002),  # the disk or the log is full
        *(921, 922, 924, 926, 927, 942, 945, 952, 3906, 3908),  # the database is being restored, offline, read-only
        *(6005, 17142, 18401),  # the server is being stopped, paused, brought up to date
    }
)
_NOT_INSTALLED: Final = frozenset({207, 208, 2812})
_DB_LIB: Final = range(20_000, 21_000)
"""FreeTDS's own errors: all of them of the connection."""
_DB_LIB_MARK: Final = "DB-Lib error message"
_SERVER_HAS_SPOKEN: Final = "20018"
"""FreeTDS's "check messages from the SQL Server"."""
_DB_LIB_NUMBER: Final = re.compile(rf"{_DB_LIB_MARK} (\d+)")


class Refused(Rejected):
    """The server refused, in its own ``words`` under its ``number``."""

    def __init__(self, sentence: str, number: int, words: str) -> None:
        super().__init__(sentence)
        self.number = number
        self.words = words


class Away(Retryable):
    """The connection failed or broke. What was being done may have been done, unless it is known to be undone."""


class Unreached(Away):
    """No connection came about: nothing was asked of the server."""


class Undone(Retryable):
    """The server gave up what was being done, and undid it: a deadlock's victim, a lock waited for too long."""

    def __init__(self, sentence: str, number: int) -> None:
        super().__init__(sentence)
        self.number = number


class Unable(Retryable):
    """The server can do such work for nobody now, and did none of it: its disk is full, its database is restored."""


def our_error(error: Exception, server: str) -> ConnectorError:
    """One of pymssql's errors as one of ours."""
    number, words = _number_and_words(error)
    if number in _REFUSED_LOGINS:
        return Unauthorised(f"{server} refuses: {words} ({number}); mend the login, its password or its rights")
    if number in _UNABLE:
        return Unable(f"{server} can't: {words} ({number})")
    if number == DEADLOCK or number in _PASSING:
        return Undone(f"{server}: {words} ({number})", number)
    if number in _DB_LIB or number <= 0:
        return Away(f"{server} can't be reached or broke off: {words}")
    if number in _NOT_INSTALLED:
        return Refused(f"{server}: {words} ({number}); is the hub's schema installed there?", number, words)
    return Refused(f"{server} refuses: {words} ({number})", number, words)


def _number_and_words(error: Exception) -> tuple[int, str]:
    parts = error.args[0] if error.args and isinstance(error.args[0], tuple) else error.args
    number = parts[0] if parts and isinstance(parts[0], int) else 0
    raw = parts[-1] if parts else ""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    own = text.partition(_DB_LIB_MARK)[0].strip()
    if own:
        return number, own
    # FreeTDS's words alone. Unless they point to words of the server, the number may be that of an older error, which
    # pymssql forgets to reset.
    found = _DB_LIB_NUMBER.findall(text)
    if found and _SERVER_HAS_SPOKEN not in found:
        number = int(found[0])
    return number, " ".join(text.split()) or type(error).__name__


class _Job:
    def __init__(self, work: Callable[["Link"], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.outcome: asyncio.Future[Any] = loop.create_future()
        self.given_up = False
        self.thread: _Thread | None = None

    def tell(self, result: Any, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is over: nobody waits any more
            self.loop.call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.outcome.done():
            return
        if error is None:
            self.outcome.set_result(result)
        else:
            self.outcome.set_exception(error)


class _Breaks:
    """How often a connection of a client broke. Those made before are broken as well, most likely: the server was
    away."""

    def __init__(self) -> None:
        self.count = 0


class Client:
    """Connections to one server, each in a thread of its own, made when first needed."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.server = f"{spec.server}:{spec.port}/{spec.database_name}"
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: set[_Thread] = set()
        self._hanging: set[_Thread] = set()
        self._breaks = _Breaks()
        self._busy = 0

    async def query(self, text: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of the batch's last result; none if it has none. Raises ConnectorError."""
        return await self.call(lambda link: link.query(text, parameters))

    async def call(self, work: "Callable[[Link], _T]", seconds: float | None = None) -> _T:
        """Run ``work`` in a thread, with a connection in autocommit. Raises ConnectorError.

        A deadlock's victim is tried again a few times at once; any other error ends the connection it happened on.
        """
        for attempt in range(DEADLOCK_TRIES):
            try:
                return await self._once(work, seconds or self._spec.timeout.total_seconds())
            except Undone as error:
                if error.number != DEADLOCK or attempt == DEADLOCK_TRIES - 1:
                    raise
                await asyncio.sleep(0.02 * (attempt + 1))
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def alone(self) -> "AsyncIterator[Client]":
        """A client with one connection, for calls that need the same one; it counts the hanging calls with this."""
        one = Client(msgspec.structs.replace(self._spec, threads=1))
        one._hanging = self._hanging
        try:
            yield one
        finally:
            one.close()

    async def _once(self, work: "Callable[[Link], _T]", seconds: float) -> _T:
        self._hanging.difference_update([thread for thread in self._hanging if not thread.is_alive()])
        if len(self._hanging) >= LEFT_BEHIND:
            raise Away(f"{self.server}: {len(self._hanging)} calls hang; nothing more is asked until one of them ends")
        job = _Job(work, asyncio.get_running_loop())
        self._busy += 1
        if self._busy > len(self._threads) and len(self._threads) < self._spec.threads:
            thread = _Thread(self._jobs, self._spec, self.server, self._breaks)
            self._threads.add(thread)
            thread.start()
        self._jobs.put(job)
        limit = seconds + self._spec.login_timeout.total_seconds() + GRACE_SECONDS
        try:
            async with asyncio.timeout(limit):
                result: _T = await job.outcome
                return result
        except TimeoutError:
            raise Away(f"{self.server} didn't answer within {limit:g} seconds") from None
        finally:
            self._busy -= 1
            if not job.outcome.done() or job.outcome.cancelled():
                self._leave(job)

    def _leave(self, job: _Job) -> None:
        """Nobody waits for this any more. Its thread is no longer counted on, and ends when the call does."""
        job.given_up = True
        if job.thread is not None:
            job.thread.leave()
            self._threads.discard(job.thread)
            self._hanging.add(job.thread)

    def close(self) -> None:
        """Let every thread end: the idle ones now, the others when their call returns. Waits for none."""
        for thread in self._threads:
            thread.leave()
        for _ in self._threads:
            self._jobs.put(None)
        self._threads.clear()


class _Thread(threading.Thread):
    """One thread with one connection."""

    def __init__(self, jobs: "queue.SimpleQueue[_Job | None]", spec: Spec, server: str, breaks: _Breaks) -> None:
        super().__init__(name=f"hesabgar {server}", daemon=True)
        self._jobs = jobs
        self._spec = spec
        self._server = server
        self._breaks = breaks
        self._made_after = 0
        """How many had broken when the connection was made."""
        self._link: Link | None = None
        self._left = False

    def leave(self) -> None:
        self._left = True

    def run(self) -> None:
        while not self._left and (job := self._jobs.get()) is not None:
            if job.given_up:
                continue
            job.thread = self
            try:
                result = self._work(job)
            except ConnectorError as error:
                self._breaks.count += isinstance(error, Away)
                self._hang_up()
                job.tell(None, error)
            except BaseException as error:  # whatever it is, whoever waits has to be told
                self._hang_up()
                job.tell(None, error)
            else:
                job.tell(result, None)
        self._hang_up()

    def _work(self, job: _Job) -> Any:
        with _errors(self._server):
            if self._made_after != self._breaks.count:
                self._hang_up()
            if self._link is None:
                self._made_after = self._breaks.count
                self._link = self._reach()
            return job.work(self._link)

    def _reach(self) -> "Link":
        try:
            return Link(_connect(self._spec), self._server)
        except pymssql.Error as error:
            ours = our_error(error, self._server)
            raise (Unreached(str(ours)) if isinstance(ours, Away) else ours) from error

    def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()


_SESSION: Final = (
    "SET ARITHABORT, CONCAT_NULL_YIELDS_NULL, ANSI_NULLS, ANSI_NULL_DFLT_ON, ANSI_PADDING, ANSI_WARNINGS, "
    "QUOTED_IDENTIFIER ON; SET NUMERIC_ROUNDABORT OFF; SET IMPLICIT_TRANSACTIONS OFF; SET TEXTSIZE 2147483647;"
)
"""How a session is whatever the server has its sessions begin with. With implicit transactions BEGIN would open two and
COMMIT end one: what was answered as posted would be undone when the connection ends."""


def _connect(spec: Spec) -> Any:
    return pymssql.connect(
        server=spec.server,
        port=str(spec.port),
        user=spec.login,
        password=spec.password.reveal(),
        database=spec.database_name,
        login_timeout=max(1, round(spec.login_timeout.total_seconds())),
        timeout=max(1, round(spec.timeout.total_seconds())),
        charset="UTF-8",
        appname="Peyvand",
        tds_version="7.4",
        encryption=str(spec.encryption),
        autocommit=True,
        use_datetime2=True,
        conn_properties=_SESSION,
    )


@contextmanager
def _errors(server: str) -> Iterator[None]:
    try:
        yield
    except pymssql.Error as error:
        raise our_error(error, server) from error


class Link:
    """A connection, for use in its thread only. Its errors are ours."""

    def __init__(self, connection: Any, server: str) -> None:
        self._connection = connection
        self._server = server

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of the batch's last result; none if it has none."""
        results = self.results(text, parameters)
        return results[-1] if results else []

    def results(self, text: str, parameters: Sequence[Any] = ()) -> list[list[Row]]:
        """The rows of each of the batch's results. An error anywhere in the batch is raised."""
        with _errors(self._server):
            cursor = self._connection.cursor()
            try:
                if parameters:
                    cursor.execute(text, tuple(parameters))
                else:
                    cursor.execute(text)
                results: list[list[Row]] = []
                while True:
                    if cursor.description is not None:
                        results.append(cursor.fetchall())
                    if not cursor.nextset():
                        return results
            finally:
                cursor.close()

    def pages(self, text: str, size: int) -> Iterator[list[Row]]:
        """The rows of a batch's only result as the server sends them, at most ``size`` at a time; each page is read
        when it is asked for, and nothing else may be asked meanwhile."""
        with _errors(self._server):
            cursor = self._connection.cursor()
            cursor.execute(text)
            rows = cursor.fetchmany(size)
        while rows:
            yield rows
            with _errors(self._server):
                rows = cursor.fetchmany(size)

    def close(self) -> None:
        """End it; what it had open is undone by the server."""
        with suppress(Exception):
            self._connection.close()
