"""``hub dev``: a whole hub on one machine, started by one command and ended by Ctrl-C; its data survive."""

import asyncio
import contextlib
import json
import logging
import os
import shlex
import socket
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Mapping, Set
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.settings import Kafka
from hub.bus.topics import check_topics, create_topics
from hub.runtime import books, sample, servers, simulated
from hub.runtime.books import SimulatedBooks
from hub.runtime.config import Config
from hub.runtime.connect import configured
from hub.runtime.console import screen
from hub.runtime.datadir import VARIABLE, DataDirectory, data_directory
from hub.runtime.embedded import EmbeddedError, EmbeddedKafka, EmbeddedPostgres
from hub.runtime.embedded.ports import choose_port
from hub.runtime.failures import Failure
from hub.runtime.livefeed import follow
from hub.runtime.livetable import Happening, LiveTable
from hub.runtime.logs import configure_logging
from hub.runtime.outside import Outside
from hub.runtime.redaction import redact
from hub.runtime.stack import role_programs
from hub.runtime.supervisor import Supervisor, rotate
from hub.runtime.waiting import on_signals, together, unless_stopped, until_kafka, until_postgres
from hub.store import cursors, keys, progress, reading
from hub.store.errors import StoreError
from hub.store.migrate import migrate
from hub.store.pool import Store
from hub.store.reading import DocumentFilter, StockFilter
from schemas.dates import today_in_tehran, utc_now

VERSION = version("peyvand")

CACHE_VARIABLE = "PEYVAND_CACHE"
REPOSITORY_VARIABLE = "PEYVAND_MAVEN_REPOSITORY"

_DEMO = "demo"
_DEMO_PER_MINUTE = 60_000
_SAMPLE_CURSOR = "dev.sample"
_LOADING, _LOADED = "loading", "loaded"
_READY_SECONDS = 90.0
_LOOK_SECONDS = 0.05
_SHOWN_AT_FIRST = 10
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def dev(config: Config, args: Namespace) -> int:
    """Run until Ctrl-C; 0 then.

    Raises:
        ConfigError: a connector's table is wrong.
        Failure: it can't be started, told in one sentence.
    """
    configured(config)
    data = DataDirectory(data_directory(args.data))
    started_at = utc_now()
    data.acquire(started_at)
    try:
        hub_log = data.logs / "hub.log"
        rotate(hub_log)
        with hub_log.open("a", encoding="utf-8") as log:
            configure_logging(config.log, log)
            logging.raiseExceptions = False  # a full disk must not draw tracebacks over the live table
            asyncio.run(_Dev(config, args, data, started_at).run())
    except EmbeddedError as error:
        raise Failure(str(error)) from error
    except (StoreError, BusUnavailable) as error:
        raise Failure(f"A server isn't there any more: {redact(str(error))}.", f"{data.logs} tells more.") from error
    except OSError as error:
        raise data.unusable(error) from error
    finally:
        data.release()
    return 0


class _Dev:
    """One run."""

    def __init__(self, config: Config, args: Namespace, data: DataDirectory, started_at: datetime) -> None:
        self._config = config
        self._data = data
        self._started_at = started_at
        self._language: str = args.lang
        # Sample orders have no place where someone's own books would get them.
        self._with_sample = not (args.no_sample or config.connectors.get(books.KIND))
        self._with_books = self._with_sample and not args.no_books
        self._with_outside = self._with_books and not args.no_outside
        self._books = data.path / books.KIND
        self._branch: SimulatedBooks | None = None
        self._outside: Outside | None = None
        self._console: Console = screen()
        self._table: LiveTable | None = None
        self._began = time.monotonic()
        self._stop = asyncio.Event()
        self._about: dict[str, object] = {}
        self._supervisor = Supervisor(report=self._trouble, changed=self._pids_changed)
        self._host = config.api.host
        self._port = _api_port(self._host, config.api.port if args.port is None else args.port, data)
        self._address = f"http://{_reachable(self._host)}:{self._port}"

    async def run(self) -> None:
        """Start, show what happens until asked to stop, stop."""
        on_signals(self._ask_to_stop)
        try:
            await unless_stopped(self._stop, self._work())
        finally:
            await self._end()

    def _ask_to_stop(self) -> None:
        if self._stop.is_set():
            self._supervisor.kill()
            self._data.release()
            os._exit(1)
        self._stop.set()

    async def _end(self) -> None:
        if self._stop.is_set():
            self._say("Stopping ... (Ctrl-C again ends everything at once)")
        await self._supervisor.stop()
        if self._stop.is_set():
            self._say(f"Stopped. The data stay in {self._data.shown}.  متوقف شد؛ داده‌ها می‌مانند.")

    async def _work(self) -> None:
        kafka, dsn = await self._servers()
        async with self._opened(dsn) as store:
            wanted = await self._sample_state(store)
            token = await self._demo_token(store)
            before = {worker.id for worker in await progress.workers(store)}
            await self._start_roles(kafka, dsn, with_sample=wanted is not None)
            await self._until_ready(store, before)
            self._about = {
                "address": self._address,
                "api_key": token,
                "kafka": kafka.bootstrap,
                "postgres": dsn,
                "pids": {},
                "started_at": self._started_at.isoformat(),
                "version": VERSION,
            }
            if wanted == _LOADING:
                await self._load_sample(store, token)
            await self._start_branch()
            await self._start_outside(token, first=wanted == _LOADING)
            self._write_run()
            self._data.tell({"pid": os.getpid(), "started_at": self._started_at.isoformat(), "address": self._address})
            self._show_ready(token, with_sample=wanted is not None)
            await self._show_happenings(store, token)

    # --- the servers

    async def _servers(self) -> tuple[Kafka, str]:
        """Both servers, ours or those of the configuration, made ready; ours and the books are started side by side."""
        dsn, kafka, _ = await together(self._postgres(), self._kafka(), self._start_books())
        return kafka, dsn

    async def _kafka(self) -> Kafka:
        embedded = self._config.kafka.embedded
        bootstrap = await self._embedded_kafka() if embedded else None
        kafka = servers.kafka(self._config, bootstrap)
        if not embedded:
            self._say(f"Using Kafka at {kafka.bootstrap} ...")
            await until_kafka(kafka, self._say)
        await create_topics(kafka)
        for problem in await check_topics(kafka):
            self._say(problem)
        return kafka

    async def _embedded_kafka(self) -> str:
        cache = os.environ.get(CACHE_VARIABLE)
        server = EmbeddedKafka(
            self._data.path / "kafka",
            jars=Path(cache) if cache else None,
            repository=os.environ.get(REPOSITORY_VARIABLE),
            report=self._say,
        )
        return str(await self._supervisor.start("kafka", server))

    async def _postgres(self) -> str:
        if self._config.postgres.embedded:
            server = EmbeddedPostgres(self._data.path / "postgres", report=self._say)
            dsn = str(await self._supervisor.start("postgres", server))
            await migrate(dsn)
        else:
            self._say("Using the configured PostgreSQL ...")
            dsn = servers.postgres(self._config)
            await until_postgres(lambda: migrate(dsn), self._say)
        return dsn

    @contextlib.asynccontextmanager
    async def _opened(self, dsn: str) -> AsyncIterator[Store]:
        store = Store(dsn, size=2, application="peyvand-dev")
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    async def _demo_token(self, store: Store) -> str:
        """The demo key's token: yesterday's if it is still good, else a new one."""
        kept = self._data.demo_key()
        if kept is not None:
            key = await keys.find(store, kept)
            if key is not None and key.revoked_at is None:
                return kept
        await keys.revoke(store, _DEMO)
        _, token = await keys.create(store, name=_DEMO, source=_DEMO, scopes=["admin"], per_minute=_DEMO_PER_MINUTE)
        self._data.keep_demo_key(token)
        return token

    # --- the roles

    async def _start_books(self) -> None:
        if not self._with_books:
            return
        self._say("Starting the books: a simulated Hesabgar ...")
        main = self._simulated(books.BOOKS, sample.company())
        if self._with_outside:
            self._outside = Outside(self._data.path / "outside", self._data.logs, self._address)
        self._branch = self._simulated(books.BRANCH, sample.branch(today_in_tehran(utc_now())))
        simulated.write_configuration(
            self._books / simulated.FILE,
            {
                f"{books.KIND}.{main.name}": main.settings(
                    skip_sources=[sample.SOURCE], send_new=True, new_accounts=books.NEW_ACCOUNTS
                ),
                f"{books.KIND}.{self._branch.name}": self._branch.settings(role="branch", source=books.BRANCH),
                **(self._outside.connectors() if self._outside else {}),
            },
        )
        await self._supervisor.start(_books_part(main.name), main)

    def _simulated(self, name: str, company: Mapping[str, Any]) -> SimulatedBooks:
        return SimulatedBooks(name, self._books / name, company, self._data.logs / f"{_books_part(name)}.log")

    async def _start_branch(self) -> None:
        """The branch comes last: what was entered there is about the goods and accounts of the books."""
        if self._branch is not None:
            await self._supervisor.start(_books_part(self._branch.name), self._branch)

    async def _start_outside(self, token: str, *, first: bool) -> None:
        if self._outside is None:
            return
        await self._supervisor.start("woocommerce-shop", self._outside.shop)
        if first:
            await self._outside.sell()
        for name, program in self._outside.handhelds(token):
            await self._supervisor.start(name, program)

    async def _sample_state(self, store: Store) -> str | None:
        """See :func:`_sample_wanted`. Where the sample company has no place, its books have none."""
        wanted = await _sample_wanted(store) if self._with_sample else None
        if wanted is None and self._with_books:
            self._branch = self._outside = None
            await self._supervisor.stop(_books_part(books.BOOKS))
        return wanted

    def _sample_connectors(self) -> tuple[str, ...]:
        """What the connectors' role is told of the sample company."""
        watch = ("--watch", f"{sample.SOURCE}={sample.folder_of(self._data.path)}")
        return (*watch, *self._also()) if self._with_books else watch

    def _also(self) -> tuple[str, ...]:
        return "--also", str(self._books / simulated.FILE)

    async def _start_roles(self, kafka: Kafka, dsn: str, *, with_sample: bool) -> None:
        self._say("Starting the workers and the API ...")
        environment = {"PEYVAND_API_PORT": str(self._port), VARIABLE: str(self._data.path)}
        if _is_loopback(self._host):
            environment["PEYVAND_API_PUBLIC_STATUS"] = "true"
            trusted = (*self._config.webhooks.trusted_hosts, *_LOOPBACK)
            environment["PEYVAND_WEBHOOKS_TRUSTED_HOSTS"] = ",".join(dict.fromkeys(trusted))
        if self._config.kafka.embedded:
            environment |= {
                "PEYVAND_KAFKA_BOOTSTRAP": kafka.bootstrap,
                "PEYVAND_KAFKA_REPLICATION": "1",
                "PEYVAND_KAFKA_MIN_ISR": "1",
                "PEYVAND_KAFKA_SECURITY": "plaintext",
            }
        if self._config.postgres.embedded:
            environment["PEYVAND_POSTGRES_DSN"] = dsn
        connectors = self._sample_connectors() if with_sample else ()
        api = self._also() if with_sample and self._with_books else ()
        for name, program in role_programs(
            self._config, environment, logs=self._data.logs, connectors=connectors, api=api
        ):
            await self._supervisor.start(name, program)

    async def _until_ready(self, store: Store, before: Set[str]) -> None:
        """Wait until a worker other than those ``before`` decides, and the hub calls itself well. Raises Failure."""
        import aiohttp

        lacks = "the API doesn't answer"
        try:
            async with asyncio.timeout(_READY_SECONDS), aiohttp.ClientSession() as session:
                while lacks:
                    await asyncio.sleep(_LOOK_SECONDS)
                    if not {worker.id for worker in await progress.workers(store) if worker.role == "streams"} - before:
                        lacks = "no worker decides"
                        continue
                    with contextlib.suppress(aiohttp.ClientError):
                        async with session.get(f"{self._address}/health") as response:
                            checks = (await response.json())["checks"]
                            lacks = "; ".join(check["en"] for check in checks if not check["ok"])
        except TimeoutError:
            raise Failure(
                f"The hub didn't get to work within {_READY_SECONDS:.0f} seconds: {lacks}.",
                f"The logs in {self._data.logs} tell why.",
            ) from None

    # --- the sample company

    async def _load_sample(self, store: Store, token: str) -> None:
        self._say("Loading the sample company ...")
        today = today_in_tehran(utc_now())
        await cursors.put(store, _SAMPLE_CURSOR, _LOADING)
        try:
            await sample.load(store, sample.folder_of(self._data.path), today, in_books=self._with_books)
        except TimeoutError:
            raise Failure(
                "The sample company wasn't taken in within a minute.",
                f"The logs in {self._data.logs} tell why; the next start tries again.",
            ) from None
        self._say("Sending sample orders ...")
        async for _ in sample.send(self._address, token, today):
            pass
        await cursors.put(store, _SAMPLE_CURSOR, _LOADED)

    # --- the screen

    def _say(self, sentence: str) -> None:
        if self._table is not None:
            self._table.say(sentence)
        else:
            self._console.file.write(f"{sentence}\n")
            self._console.file.flush()

    def _trouble(self, sentence: str) -> None:
        self._say(f"{sentence} The logs are in {self._data.shown}/log.")

    def _show_ready(self, token: str, *, with_sample: bool) -> None:
        seconds = time.monotonic() - self._began
        for line in (
            "",
            f"Peyvand {VERSION} is up after {seconds:.1f} s: {self._address}   (the live status page)",
            f"پیوند آماده است: {self._address}   (صفحهٔ وضعیت)",
            "",
            f"Demo API key: {token}",
            f"Logs: {self._data.shown}/log    Addresses and keys for scripts: {self._data.shown}/run.json",
        ):
            self._say(line)
        if with_sample:
            self._say(f"Files to take in (CSV, JSON Lines): {self._data.shown}/sample/inbox")
            if self._outside is not None:
                self._say(f"Workbooks to take in (Excel): {self._data.shown}/outside/excel/inbox")
            self._say("Try it:")
            self._say(_curl(self._address, token))
        self._say("")
        self._say("What happens (Ctrl-C stops everything):")

    async def _show_happenings(self, store: Store, token: str) -> None:
        with LiveTable(self._console, self._language) as table:
            self._table = table
            try:
                await together(table.keep_drawn(), self._follow(table, store, token))
            finally:
                self._table = None

    async def _follow(self, table: LiveTable, store: Store, token: str) -> None:
        async for event in follow(self._address, token):
            if event is None:
                for document in reversed(await reading.documents(store, DocumentFilter(), _SHOWN_AT_FIRST)):
                    table.add(Happening.of_document(document))
            else:
                table.add(Happening.of_event(event))

    def _pids_changed(self) -> None:
        try:
            self._write_run()
        except OSError as problem:  # the supervisor has more important things to do on a full disk
            self._say(f"{self._data.run_file} can't be written: {problem.strerror or problem}.")

    def _write_run(self) -> None:
        if self._about:
            pids = {"hub": os.getpid(), **self._supervisor.pids()}
            self._data.write_run({**self._about, "pids": pids})


async def _sample_wanted(store: Store) -> str | None:
    """Whether the sample company has still to be loaded, is there, or (None) has no place: others' data are there."""
    state = await cursors.get(store, _SAMPLE_CURSOR)
    if state is not None:
        return state
    occupied = await reading.stock(store, StockFilter(), 1) or await reading.counts(store)
    return None if occupied else _LOADING


def _books_part(name: str) -> str:
    """What the supervisor, ``run.json`` and the logs call a simulated Hesabgar."""
    return f"{books.KIND}-{name}"


def _api_port(host: str, port: int, data: DataDirectory) -> int:
    """The port to listen on: the one asked for, or for 0 yesterday's or any that is free. Raises Failure."""
    if not port:
        return choose_port(0, data.path / "api-port", server="The API")
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else str(problem)
        raise Failure(
            f"The API can't listen on {host}, port {port}: {reason}.\nدرگاه {port} در دسترس نیست.",
            "Choose another port: hub dev --port 8801, or [api] port in hub.toml, or PEYVAND_API_PORT; "
            "0 takes any that is free.",
        ) from None
    return port


def _is_loopback(host: str) -> bool:
    return host in _LOOPBACK


def _reachable(host: str) -> str:
    """How a browser on this machine names the address the API listens on."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - read, not listened on
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _curl(address: str, token: str) -> str:
    """One line to paste: a document, sent and decided."""
    body = json.dumps(sample.order_to_try(today_in_tehran(utc_now())))
    words = [
        *("curl", "-sS", f"{address}/v1/documents?wait=decision"),
        *("-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json", "-d", body),
    ]
    return " ".join(map(shlex.quote, words))
