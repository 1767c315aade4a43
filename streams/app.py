"""The Faust app, built by a function: one consumer group, an agent for commands and one for master data.

What is set here and why is in FAUST.md's list of what Faust really does; the pins in pyproject.toml hold it.
"""

import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import faust
from faust.sensors.monitor import Monitor
from faust.tables.manager import TableManager

from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.store.pool import Store
from schemas import topics
from streams.agent import Loop, Probe, no_probe
from streams.drain import use_direct_drain
from streams.handlers import DecideCommands, StoreMaster
from streams.settings import StreamSettings

BUFFER_RECORDS = 16_384


class Streams:
    """One process's app and its loops, each with the topics it handles."""

    def __init__(self, app: Any, loops: Mapping[Loop, Collection[str]]) -> None:
        self.app = app
        self.loops = loops
        self._well: dict[Loop, tuple[int, float]] = {}
        """How many records each loop had handled, and when it was last seen to have got on or to have nothing to do."""

    def lag(self) -> int:
        """Records waiting behind what this process has handled, in the partitions it has."""
        return self._waiting().total()

    def stuck(self) -> float:
        """For how many seconds the loop that is worst off had records waiting and handled none, as far as it was seen
        by asking this. The others may get on all the while."""
        waiting, now = self._waiting(), time.monotonic()
        for loop, names in self.loops.items():
            handled = loop.progress.handled
            before = self._well.get(loop)
            if before is None or handled != before[0] or not any(waiting[name] for name in names):
                self._well[loop] = (handled, now)
        return now - min(since for _, since in self._well.values())

    def _waiting(self) -> Counter[str]:
        handled = {tp: offset for loop in self.loops for tp, offset in loop.progress.offsets.items()}
        found: Counter[str] = self.app.consumer.waiting(handled)
        return found

    def counters(self) -> dict[str, int]:
        """What the loops have done since the start."""
        found = {}
        for loop in self.loops:
            for counter in ("handled", "batches", "dead", "retries"):
                found[f"{loop.name}_{counter}"] = int(getattr(loop.progress, counter))
        return found


def build(settings: StreamSettings, store: Store, producer: Producer, *, probe: Probe = no_probe) -> Streams:
    """The app with its agents, not started."""
    kafka = settings.kafka
    app = _app(kafka, settings.session_seconds)
    use_direct_drain(app)
    decide = Loop(
        "decide",
        DecideCommands(store, producer, settings.rules),
        producer,
        batch_size=settings.batch_size,
        within=settings.within,
        probe=probe,
    )
    master = Loop(
        "master",
        StoreMaster(store, kafka.prefix),
        producer,
        batch_size=settings.batch_size,
        within=settings.within,
    )
    loops = {
        decide: [kafka.topic(topics.COMMANDS)],
        master: [kafka.topic(topic) for topic in topics.MASTER.values()],
    }
    for loop, names in loops.items():
        _agent(app, loop, names)
    return Streams(app, loops)


def _agent(app: Any, loop: Loop, names: Collection[str]) -> None:
    async def body(stream: Any) -> None:
        await loop.run(stream)

    channel = app.topic(*names, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    app.agent(channel, name=loop.name, concurrency=1)(body)


def _app(kafka: Kafka, session_seconds: float) -> Any:
    options: dict[str, Any] = {}
    if kafka.user:
        options["broker_credentials"] = faust.SASLCredentials(
            username=kafka.user,
            password=kafka.password,
            mechanism="SCRAM-SHA-512",
            ssl_context=kafka.client_options().get("ssl_context"),
        )
    elif kafka.tls:
        options["broker_credentials"] = faust.SSLCredentials(context=kafka.client_options()["ssl_context"])
    return App(
        f"{kafka.prefix}streams",
        broker=[f"kafka://{address.strip()}" for address in kafka.bootstrap.split(",")],
        store="memory://",
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=0.5,
        broker_session_timeout=session_seconds,
        broker_heartbeat_interval=session_seconds / 5,
        broker_max_poll_records=2_000,
        producer_request_timeout=30.0,
        stream_buffer_maxsize=BUFFER_RECORDS,
        stream_wait_empty=True,
        agent_supervisor="mode.supervisors.CrashingSupervisor",
        Monitor=QuietMonitor,
        TableManager=NoTables,
        web_enabled=False,
        worker_redirect_stdouts=False,
        **options,
    )


class App(faust.App):  # type: ignore[misc]  # faust is untyped here
    """Faust's app, without its directories, and not waiting for acks that nobody will give."""

    def _create_directories(self) -> None:
        """None: nothing of ours lives in Faust's tables, and the working directory may not be ours to write."""

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:
        if not self.crashed:
            await super()._consumer_wait_empty(consumer, logger)


class NoTables(TableManager):  # type: ignore[misc]  # faust is untyped here
    """Faust waits a second at each start for tables that may still be defined. Ours are in PostgreSQL."""

    async def on_start(self) -> None:
        """As Faust's, at once."""
        await self._update_channels()
        await self.recovery.start()


class QuietMonitor(Monitor):  # type: ignore[misc]  # faust is untyped here
    """Faust's own accounting of every message costs more than handling it; we count per batch instead."""

    def on_message_in(self, tp: Any, offset: int, message: Any) -> None:
        """Not counted."""

    def track_tp_end_offset(self, tp: Any, offset: int) -> None:
        """The consumer knows it."""

    def on_message_out(self, tp: Any, offset: int, message: Any) -> None:
        """Not counted."""

    def on_stream_event_in(self, tp: Any, offset: int, stream: Any, event: Any) -> None:
        """Not counted."""

    def on_stream_event_out(self, tp: Any, offset: int, stream: Any, event: Any, state: Any = None) -> None:
        """Not counted."""
