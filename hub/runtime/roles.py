"""One role to a process, as many copies of each as wanted: ``hub streams``, ``hub api``, ``hub connectors``,
``hub deliver``.

A role waits for Kafka and PostgreSQL, works until SIGTERM or SIGINT, and stops in good order within
:data:`STOP_SECONDS`; else the process ends hard, which replays and loses nothing.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.bus.topics import check_topics, create_topics
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.datadir import data_directory
from hub.runtime.failures import Failure
from hub.runtime.logs import configure_logging
from hub.runtime.redaction import redact
from hub.runtime.waiting import on_signals, unless_stopped, until_kafka, until_postgres
from hub.store import migrate, progress
from hub.store.errors import StoreError
from hub.store.errors import Unavailable as StoreUnavailable
from hub.store.pool import Store

if TYPE_CHECKING:
    from hub.runtime.connect import Instance

STOP_SECONDS = 20.0
REPORT_SECONDS = 5.0
LEASE_MARGIN = timedelta(seconds=2)
"""How much longer a delivery stays with a sender than two of its requests may take: one, and writing down its end."""
WATCH_EVERY = timedelta(seconds=0.25)
"""How often ``--watch`` looks: someone waits for it."""

logger = logging.getLogger(__name__)


class Surroundings(NamedTuple):
    """What a role works with: both servers answer, the schema is the present one, and ``store`` is open."""

    config: Config
    kafka: Kafka
    store: Store
    stop: asyncio.Event
    """Set when the process is asked to stop."""


Work = Callable[[Surroundings], Awaitable[None]]
Counters = Callable[[], Mapping[str, int]]


def streams(config: Config, _args: Namespace) -> int:
    """Decide: the Faust agents, until asked to stop."""
    return run_role("streams", config, _decide)


def api(config: Config, args: Namespace) -> int:
    """Serve the REST API and what connectors answer, until asked to stop."""
    instances = _instances(config, args)
    return run_role("api", config, lambda around: _serve(around, instances, data_directory(args.data)))


def connectors(config: Config, args: Namespace) -> int:
    """Run the connectors, until asked to stop."""
    from connectors import base
    from connectors.files.spec import Spec
    from hub.runtime.connect import Connectors, Instance

    instances = _instances(config, args, args.connector)
    for name, folder in args.watch or ():
        files = base.discover()["files"]
        instances.append(Instance(files, name, Spec(folder=folder, poll=WATCH_EVERY)))

    async def connect(around: Surroundings) -> None:
        running = Connectors(instances, around.kafka, around.store, data_directory(args.data))
        async with reporting(around.store, "connectors", running.counters):
            await running.run(around.stop)

    return run_role("connectors", config, connect)


def _instances(config: Config, args: Namespace, names: Collection[str] = ()) -> list["Instance"]:
    from hub.runtime.config import load
    from hub.runtime.connect import configured

    also = [instance for file in args.also or () for instance in configured(load(file))]
    return configured(config, names) + also


async def _decide(around: Surroundings) -> None:
    from streams.settings import StreamSettings
    from streams.worker import StreamsCrashed, run

    await create_topics(around.kafka)
    for problem in await check_topics(around.kafka):
        logger.warning("%s", problem)
    config = around.config
    settings = StreamSettings(
        kafka=around.kafka,
        rules=config.rule_settings(),
        batch_size=config.streams.batch_size,
        within=config.streams.within_ms / 1_000,
    )
    try:
        await run(settings, around.store, around.stop)
    except TimeoutError:
        around.stop.set()  # it doesn't stop, asked or not: what is left of it would keep this process for ever
        raise
    except StreamsCrashed as error:
        raise Failure(
            f"Deciding ended by itself: {redact(str(error))}.",
            "Start it again: what it had not finished is handled again, and nothing is decided twice.",
        ) from error


def deliver(config: Config, _args: Namespace) -> int:
    """Send webhooks to those who subscribed, until asked to stop."""
    from hub.webhooks.settings import WebhookSettings
    from hub.webhooks.worker import Worker

    wanted = config.webhooks
    settings = WebhookSettings(
        trusted_hosts=wanted.trusted_hosts,
        retries=wanted.retries,
        timeout=wanted.timeout,
        lease=2 * wanted.timeout + LEASE_MARGIN,
        keep=wanted.keep,
    )

    async def send(around: Surroundings) -> None:
        worker = Worker(around.kafka, around.store, settings)
        async with reporting(around.store, "deliver", worker.counters):
            await worker.run(around.stop)

    return run_role("deliver", config, send)


async def _serve(around: Surroundings, instances: Sequence["Instance"], data: Path) -> None:
    from hub.api.app import build, serve
    from hub.api.settings import ApiSettings
    from hub.runtime.receiving import receivers

    config = around.config.api
    settings = ApiSettings(
        host=config.host,
        port=config.port,
        max_body_bytes=config.max_body_bytes,
        max_batch=config.max_batch,
        public_status=config.public_status,
        trusted_proxies=config.trusted_proxies,
        trusted_hosts=around.config.webhooks.trusted_hosts,
    )
    async with publishing(around.kafka) as producer:
        connectors = receivers(instances, producer, around.kafka, around.store, data)
        app = build(around.store, producer, around.kafka, around.config.rule_settings(), settings, connectors)
        try:
            served = await serve(app, settings)
        except OSError as problem:
            raise Failure(
                f"The API can't listen on {settings.host}, port {settings.port}: "
                f"{os.strerror(problem.errno) if problem.errno else problem}.",
                "Choose another: [api] host and port, or PEYVAND_API_HOST and PEYVAND_API_PORT.",
            ) from problem
        logger.info("listening on %s", served.address)
        try:
            async with reporting(around.store, "api"):
                await around.stop.wait()
        finally:
            await served.stop()


@contextlib.asynccontextmanager
async def publishing(kafka: Kafka) -> AsyncIterator[Producer]:
    """A producer, connected. Raises hub.bus's Unavailable."""
    producer = Producer(kafka)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def run_role(role: str, config: Config, work: Work) -> int:
    """Run a role's work in this process until it is asked to stop; the exit code.

    Raises:
        Failure: no server is configured, the login is refused, the schema is old, or the work ended by itself.
    """
    configure_logging(config.log)
    kafka, dsn = servers.kafka(config), servers.postgres(config)
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_until_stopped(role, config, kafka, dsn, work))
    return 0


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _until_stopped(role: str, config: Config, kafka: Kafka, dsn: str, work: Work) -> None:
    stop = asyncio.Event()
    on_signals(lambda: _ask_to_stop(role, stop))
    store = Store(dsn, size=config.postgres.pool_size, application=f"peyvand-{role}")
    try:
        if await unless_stopped(stop, _servers_ready(kafka, dsn, store)):
            logger.info("%s is at work", role)
            await work(Surroundings(config, kafka, store, stop))
            logger.info("%s has stopped in good order", role)
    except (BusUnavailable, StoreUnavailable) as error:
        raise Failure(f"{role} lost what it works with: {redact(str(error))}.", "Start it again.") from error
    except TimeoutError:
        if stop.is_set():
            _end_hard(role)
        raise
    finally:
        await store.close()


async def _servers_ready(kafka: Kafka, dsn: str, store: Store) -> None:
    missing = await until_postgres(lambda: migrate.pending(dsn), logger.warning)
    if missing:
        raise Failure(f"The database is older than this version: {', '.join(missing)} not applied.", "Run hub migrate.")
    await store.open()
    await until_kafka(kafka, logger.warning)


def _ask_to_stop(role: str, stop: asyncio.Event) -> None:
    if stop.is_set():
        return
    logger.info("%s is stopping", role)
    stop.set()
    # A thread, not a task: it must fire even when a handler blocks the loop.
    deadline = threading.Timer(STOP_SECONDS, _end_hard, (role,))
    deadline.daemon = True
    deadline.start()


def _end_hard(role: str) -> None:
    logger.error("%s did not stop within %.0f s: it ends now, and what it held is handled again", role, STOP_SECONDS)
    logging.shutdown()
    os._exit(1)


@contextlib.asynccontextmanager
async def reporting(store: Store, role: str, counters: Counters = dict) -> AsyncIterator[None]:
    """Say every :data:`REPORT_SECONDS` that this process works and what it has done, until it leaves."""
    name = f"{role}-{socket.gethostname()}-{os.getpid()}"
    task = asyncio.create_task(_report(store, name, role, counters), name="report")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(StoreError):
            await progress.leave(store, name)


async def _report(store: Store, name: str, role: str, counters: Counters) -> None:
    failing = False
    while True:
        try:
            await progress.report(store, name, role, lag=0, counters=counters())
            failing = False
        except StoreError as error:
            if not failing:
                logger.warning("can't report progress: %s", redact(str(error)))
            failing = True
        await asyncio.sleep(REPORT_SECONDS)
