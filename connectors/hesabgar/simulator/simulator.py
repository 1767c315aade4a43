"""The simulator as tests, demonstrations and training start it: its own thread, with books, contract and faults."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from connectors.hesabgar import sql
from connectors.hesabgar.simulator import given
from connectors.hesabgar.simulator.company import Size, fill
from connectors.hesabgar.simulator.engine import Engine, utc_now
from connectors.hesabgar.simulator.errors import SqlError
from connectors.hesabgar.simulator.faults import Fault, FaultKind
from connectors.hesabgar.simulator.given import Given
from connectors.hesabgar.simulator.keeping import Keeper
from connectors.hesabgar.simulator.query import OutputColumn
from connectors.hesabgar.simulator.server import HOST, Listener
from connectors.hesabgar.simulator.session import Session
from connectors.hesabgar.simulator.storage import Row
from connectors.hesabgar.simulator.types import SqlType

Answer = TypeVar("Answer")

OWNER: Final = "sa"
START_SECONDS: Final = 60.0


class _Console:
    """Keeps what the owner's own statements give."""

    def __init__(self) -> None:
        self.results: list[list[Row]] = []
        self.refusal: SqlError | None = None

    async def result(self, columns: Sequence[OutputColumn], rows: Iterator[Row]) -> int:
        found = list(rows)
        self.results.append(found)
        return len(found)

    async def done(self, count: int | None, *, nested: bool) -> None:
        """Nothing to tell."""

    async def error(self, error: SqlError) -> None:
        self.refusal = self.refusal or error

    async def info(self, number: int, message: str, severity: int) -> None:
        """Nothing to tell."""

    async def returned(self, status: int, *, nested: bool) -> None:
        """Nothing to tell."""

    async def output(self, name: str, kind: SqlType, value: Any) -> None:
        """Nothing to tell."""


class HesabgarSimulator:
    """A SQL Server with Hesabgar's books, on 127.0.0.1.

    ``async with HesabgarSimulator(seed=7) as sim:`` (or ``with``) listens on ``sim.port``. It runs in a thread with an
    event loop of its own, so a client that blocks may be in the same thread as the test.

    ``login`` has the contract's least rights; ``sa`` with ``owner_password`` owns the database. ``contract=False``
    leaves the contract to be installed, ``mapped=False`` its views empty and the site's procedures missing.
    ``closed_before`` is the first fiscal year (Jalali) that may still be posted to. ``company`` are the rows the books
    begin with, instead of those made from the seed. With ``file`` they are kept there, and the next start goes on with
    them (:mod:`connectors.hesabgar.simulator.keeping`); without, they end with the simulator.
    """

    host = HOST

    def __init__(
        self,
        *,
        seed: int = 1,
        port: int = 0,
        database: str = "cy140501",
        products: int = 2_000,
        customers: int = 500,
        stock_rows: int | None = None,
        login: str = "hub",
        password: str = "hub-1405",  # noqa: S107 (a simulator's, on the loop-back interface)
        owner_password: str = "Owner-1405",  # noqa: S107
        contract: bool = True,
        mapped: bool = True,
        refuse_negative_stock: bool = True,
        closed_before: int = 1403,
        clock: Callable[[], dt.datetime] = utc_now,
        company: Given | None = None,
        file: Path | None = None,
    ) -> None:
        self.database = database
        self.login = login
        self.password = password
        self.owner_password = owner_password
        self._seed = seed
        self._port = port
        self._size = Size(products, customers, stock_rows)
        self._contract = contract or mapped
        self._mapped = mapped
        self._refuse_negative = refuse_negative_stock
        self._closed_before = closed_before
        self._clock = clock
        self._company = company
        self._file = file
        self._keeper: Keeper | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None
        self._listener: Listener | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._absence: asyncio.Task[None] | None = None

    # --- life ---------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listening.port

    @property
    def _listening(self) -> Listener:
        assert self._listener is not None, "the simulator isn't started"
        return self._listener

    @property
    def engine(self) -> Engine:
        """The engine; touch it only from the simulator's own thread."""
        assert self._engine is not None, "the simulator isn't started"
        return self._engine

    def start(self) -> None:
        """Make the books and listen. Raises what went wrong, such as a port in use."""
        ready = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="hesabgar-simulator", daemon=True)
        self._thread.start()
        if not ready.wait(START_SECONDS):
            raise TimeoutError("the Hesabgar simulator didn't start")
        self._raise_failure()

    def _raise_failure(self) -> None:
        """What the thread ended with before it listened."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Break every connection and end the thread. Stopping twice does no harm."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stopping is None:
            return
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._main(ready))
        except BaseException as error:
            self._failure = error
            ready.set()

    async def _main(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._engine = Engine(self.database, password=self.owner_password, clock=self._clock)
        self._engine.away = self._leave_for
        self._keeper = Keeper(self._file) if self._file else None
        await self._make_books()
        listener = Listener(self._engine, self._port)
        await listener.start()
        self._listener = listener
        ready.set()
        await self._stopping.wait()
        await listener.stop()
        listener.close()
        if self._keeper is not None:
            self._keeper.close()

    async def _make_books(self) -> None:
        await self._script(_own("base"))
        if self._keeper is None or self._keeper.is_new:
            self._fill()
        if self._contract:
            await self._script(sql.script("install"))
            await self._script(sql.login_script(self.login, self.password))
        if self._mapped:
            await self._script(sql.views_script(sql.read_mapping(mapping_text())))
            await self._script(_own("site"))
            await self._enter_given()
        if self._keeper is not None:
            self._go_on_keeping(self._keeper)

    def _fill(self) -> None:
        closed, refuse = self._closed_before, self._refuse_negative
        if self._company is not None:
            given.fill(self.engine, self._company, closed_before=closed, refuse_negative=refuse)
        else:
            fill(self.engine, self._seed, self._size, closed_before=closed, refuse_negative=refuse)

    async def _enter_given(self) -> None:
        if self._company is not None and (self._keeper is None or self._keeper.is_new):
            if self._company.from_hub:
                await self._script(sql.script("adopt"))
            for number, document in enumerate(self._company.documents, start=1):
                await self._script(given.entering(document, number))

    def _go_on_keeping(self, keeper: Keeper) -> None:
        database = self.engine.database
        if keeper.is_new:
            keeper.keep_everything(database)
        else:
            keeper.restore(database)

        def keep() -> None:
            try:
                keeper.keep(database)
            except sqlite3.Error as error:
                words = f"The transaction log for database '{self.database}' can't be written: {error}."
                raise SqlError(9002, words, severity=17) from error

        self.engine.keep = keep

    # --- the owner's hand ---------------------------------------------------------------------------------------

    def _call(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        assert self._loop is not None, "the simulator isn't started"
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    async def _script(self, text: str) -> list[list[Row]]:
        session = Session(self.engine, 50, OWNER)
        results: list[list[Row]] = []
        for batch in sql.batches(text):
            console = _Console()
            await session.batch(batch, console)
            if console.refusal is not None:
                session.close()
                raise console.refusal
            results += console.results
        session.close()
        return results

    def run(self, script: str) -> list[list[Row]]:
        """Run a script as the owner, past the socket: all its result sets. Raises :class:`SqlError`."""
        return self._call(self._script(script))

    def query(self, text: str) -> list[Row]:
        """The rows of one query, as the owner."""
        return self.run(text)[0]

    # --- faults -------------------------------------------------------------------------------------------------

    def fault(
        self,
        kind: FaultKind | str,
        *,
        on: str = "",
        statement: int = 1,
        skip: int = 0,
        times: int = 1,
        seconds: float = 0.0,
        number: int = 50_000,
        message: str = "",
    ) -> Fault:
        """Let something go wrong; see :class:`Fault` for what the arguments mean. ``struck`` of the answer counts."""
        made = Fault(FaultKind(kind), on, statement, skip, times, seconds, number, message)
        self._call(self._add(made))
        return made

    async def _add(self, fault: Fault) -> None:
        self.engine.faults.append(fault)

    def clear_faults(self) -> None:
        """Let nothing more go wrong."""
        self._call(self._clear())

    async def _clear(self) -> None:
        self.engine.faults.clear()

    def away(self) -> None:
        """Stop listening and break every connection, as a server that is shut down."""
        self._call(self._listening.stop())

    def back(self) -> None:
        """Listen again on the same port."""
        self._call(self._listening.start())

    def _leave_for(self, seconds: float) -> None:
        self._absence = asyncio.get_running_loop().create_task(self._away_for(seconds))

    async def _away_for(self, seconds: float) -> None:
        await asyncio.sleep(0.05)  # the answer to whoever asked goes out first
        await self._listening.stop()
        await asyncio.sleep(seconds)
        await self._listening.start()

    def change_build(self, build: str = "Cyberacc 14.06.0-C") -> None:
        """Update Hesabgar: the build's word changes, and so does the shape of a table."""
        words = build.replace("'", "''")
        self.run(
            f"UPDATE dbo.SYS_Info SET Build = N'{words}';\n"
            "IF COL_LENGTH(N'dbo.ACC_Account', N'NewColumn') IS NULL "
            "ALTER TABLE dbo.ACC_Account ADD NewColumn int NULL;"
        )

    def set_password(self, password: str, login: str | None = None) -> None:
        """Change a login's password, so that the one the hub has is wrong."""
        self._call(self._set_password((login or self.login).lower(), password))

    async def _set_password(self, login: str, password: str) -> None:
        self.engine.logins[login] = password

    @property
    def connections(self) -> int:
        """How many are connected."""
        return self._call(self._count())

    async def _count(self) -> int:
        return len(self.engine.sessions)


def _own(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.sql").read_text("utf-8")


def mapping_text() -> str:
    """The mapping file of the simulated company."""
    return resources.files(__package__).joinpath("mapping.toml").read_text("utf-8")
