"""What a rule works with: one connector, its outside world, and as many lives of an instance as it takes."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.base import STOP_SECONDS, Connector, ConnectorSpec, Context, Outage, Receiver
from schemas.dates import utc_now
from tests.conformance.harness import Adapter, Wanted, World
from tests.conformance.kinds import Subject
from tests.conformance.surroundings import (
    Killed,
    Surroundings,
    Watch,
    WatchedCursors,
    WatchedEvents,
    WatchedPublisher,
    WatchedRecords,
    directory_of,
)

Condition = Callable[[], bool | Awaitable[bool]]


class Broken(AssertionError):
    """A rule isn't kept; the text says by what."""


def require(holds: object, sentence: str) -> None:
    """Raise :exc:`Broken` with the sentence unless it holds."""
    if not holds:
        raise Broken(sentence)


@dataclass
class Life:
    """One life of an instance: from a start of the process to its end."""

    subject: Subject
    context: Context
    watch: Watch
    spec: ConnectorSpec
    patience: float
    stop_seconds: float = STOP_SECONDS
    task: "asyncio.Task[None] | None" = None

    def connector(self, spec: ConnectorSpec | None = None) -> Connector[Any]:
        """A connector that isn't running."""
        return self.subject.kind.connector(spec or self.spec, self.context)

    def receiver(self) -> Receiver[Any]:
        """The instance's HTTP side."""
        assert self.subject.kind.receiver is not None
        return self.subject.kind.receiver(self.spec, self.context)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Connector[Any]]:
        """The connector at work."""
        connector = self.connector()
        self.task = asyncio.create_task(connector.run())
        try:
            yield connector
        finally:
            await self.end()

    async def end(self) -> bool:
        """Cancel it; whether it ended in time."""
        assert self.task is not None
        self.task.cancel()
        _, pending = await asyncio.wait([self.task], timeout=self.stop_seconds)
        if pending:
            self.task.cancel()
            await asyncio.wait([self.task], timeout=self.stop_seconds)
        elif not self.task.cancelled():
            self.task.exception()
        return not pending

    async def until(self, what: str, holds: Condition) -> None:
        """Return when it holds. Raises :exc:`Broken` if the connector ends first, or it takes too long."""
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    answer = holds()
                    if answer if isinstance(answer, bool) else await answer:
                        return
                    self._still_running(what)
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise Broken(f"{what}: not within {self.patience:g} s") from None

    def _still_running(self, what: str) -> None:
        if self.task is None or not self.task.done():
            return
        error = None if self.task.cancelled() else self.task.exception()
        if not isinstance(error, Killed):
            raise Broken(f"{what}: before that the connector ended with {error!r}") from error

    async def takes_in(self, wanted: Wanted, what: str = "one thing is taken in") -> None:
        """Return when the wanted event is acknowledged."""
        await self.until(what, lambda: any(wanted(event) for event in self.watch.published))


@dataclass
class Scene:
    """One outside world and one instance."""

    stage: "Stage"
    world: World
    name: str

    async def life(self) -> Life:
        """The instance's next life; it remembers what the hub remembers for it, and its directory."""
        stage, watch, kind = self.stage, Watch(), self.stage.subject.kind
        parts = stage.surroundings.parts(kind, self.name, self.world.spec)
        context = Context(
            kind=kind.name,
            instance=self.name,
            publisher=WatchedPublisher(parts.publisher, watch),
            cursors=WatchedCursors(parts.cursors, watch),
            records=WatchedRecords(parts.records, watch),
            lookup=parts.lookup,
            events=WatchedEvents(parts.events, watch),
            clock=utc_now,
            data=directory_of(stage.directory / "data", kind, self.name),
            logger=logging.getLogger(f"connectors.{kind.name}.{self.name}"),
        )
        return Life(stage.subject, context, watch, self.world.spec, stage.patience, stage.stop_seconds)


@dataclass
class Stage:
    """One connector, to be held to a rule.

    ``elsewhere`` is what another process makes of its fixtures at another time; ``patience`` is in seconds.
    """

    subject: Subject
    surroundings: Surroundings
    directory: Path
    elsewhere: Mapping[str, Any]
    patience: float = 60.0
    stop_seconds: float = STOP_SECONDS
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def adapter(self) -> Adapter:
        """The connector's own."""
        return self.subject.adapter

    @asynccontextmanager
    async def scene(self, rule: str) -> AsyncIterator[Scene]:
        """A world of its own, and an instance nobody had before."""
        name = f"{rule.replace('_', '-')}-{next(self._numbers)}"
        directory = self.directory / name
        directory.mkdir(parents=True)
        await self.surroundings.begin()
        async with self.adapter.world(directory) as world:
            await self.surroundings.learn(world.knows)
            scene = Scene(self, world, name)
            await world.prepare((await scene.life()).context)
            yield scene


class _Keeper(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.DEBUG)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


@contextmanager
def logs(name: str = "", level: int = logging.INFO) -> Iterator[list[logging.LogRecord]]:
    """What is logged meanwhile, by a logger and those below it, from a level on."""
    records: list[logging.LogRecord] = []
    logger, keeper = logging.getLogger(name), _Keeper(records)
    before = logger.level
    logger.addHandler(keeper)
    logger.setLevel(level)
    try:
        yield records
    finally:
        logger.removeHandler(keeper)
        logger.setLevel(before)


@contextmanager
def misses() -> Iterator[list[object]]:
    """What shows that something was found away, as it comes: an Outage that is down, or stays so, and each warning."""
    original = Outage.down
    with logs("connectors", logging.WARNING) as warnings:
        found: list[object] = warnings  # type: ignore[assignment]  # one list, in the order of events

        def counted(self: Outage, error: Exception) -> None:
            found.append(self)
            original(self, error)

        Outage.down = counted  # type: ignore[method-assign]
        try:
            yield found
        finally:
            Outage.down = original  # type: ignore[method-assign]
