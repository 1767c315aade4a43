"""What a connector's author tells the suite: a class ``Adapter`` in ``tests/connectors/<kind>/conformance.py``.

README.md beside this file says it in one page, with an example.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import msgspec

from connectors.base import Connector, ConnectorSpec, Context
from schemas import codec
from schemas.exchange import Request
from schemas.master import Master
from tests.conformance import mutating

EXPECTED = ".expected.json"
"""What stands beside a payload: ``order.json`` and ``order.json.expected.json``."""

NOW = datetime(2024, 3, 21, 8, 30, tzinfo=UTC)
"""The present in which fixtures come to what they must."""


class Part(StrEnum):
    """What a connector may be without, if it says why."""

    LOGIN = "login"
    """It has no credentials."""
    TAKING = "taking"
    """It takes nothing in by itself, only when its receiver is called."""
    OUTAGE = "outage"
    """It works with nothing that can go away."""
    RECEIVING = "receiving"
    """Others may be called, this variant refuses every call."""
    NOTHING = "nothing"
    """There is no payload that is understood and leads to nothing."""


class Fault(StrEnum):
    """What the other side can answer instead of what was asked for, in HTTP's words."""

    UNAUTHORISED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    CONFLICT = "409"
    INVALID = "422"
    BUSY = "429"
    BROKEN = "5xx"
    SILENT = "timeout"
    GARBAGE = "garbage"


class Mapped(NamedTuple):
    """What a payload came to: commands, master records and visits, and a sentence for each thing that was refused."""

    events: Sequence[msgspec.Struct]
    refused: Sequence[str] = ()


def told(mapped: Mapped) -> dict[str, Any]:
    """The same as an ``.expected.json`` holds it."""
    events = [{"is": type(event).__name__, **json.loads(codec.encode(event))} for event in mapped.events]
    return {"events": events, "refused": list(mapped.refused)}


@dataclass(frozen=True, slots=True)
class Fixture:
    """A recorded payload and what it must come to.

    ``expected`` is as :func:`told` gives it; of a payload that leads to nothing it is ``{"nothing": "why"}``.
    """

    name: str
    payload: bytes
    expected: Mapping[str, Any]


def recorded(folder: Path, pattern: str = "**/*") -> list[Fixture]:
    """The payload files of a folder, each with its ``.expected.json`` beside it; a name is the path in the folder.

    Raises FileNotFoundError for a payload without one.
    """
    payloads = [path for path in sorted(folder.glob(pattern)) if path.is_file() and not path.name.endswith(EXPECTED)]
    return [
        Fixture(
            path.relative_to(folder).as_posix(),
            path.read_bytes(),
            json.loads(path.with_name(path.name + EXPECTED).read_text("utf-8")),
        )
        for path in payloads
    ]


@dataclass(frozen=True, slots=True)
class Sample:
    """One endpoint of a receiver, as a caller in good standing uses it.

    ``request`` makes the request the receiver admits (signed, with the device's token) for any body; ``body`` is a
    good one. ``takes``: what it says has to be kept; False for an endpoint that only answers. ``forged`` is the same
    from one who may not; None only where the endpoint asks for a hub key, which is the API's to refuse.
    """

    endpoint: str
    request: Callable[[bytes], Request]
    body: bytes = b""
    takes: bool = True
    forged: Request | None = None


Wanted = Callable[[msgspec.Struct], bool]
"""Whether an event is the one that was waited for."""


class World(ABC):
    """The outside world of one instance, while it is entered: a simulator on a port of its own, a folder.

    ``spec`` connects to it: it polls every few milliseconds, and waits for answers longer than a loaded machine may
    stand still; under :attr:`Fault.SILENT` it is another, of a short timeout. ``wrong`` is the same with wrong
    credentials, None only where :attr:`Part.LOGIN` is declared absent. ``knows`` is what the hub knows already.
    """

    spec: ConnectorSpec
    wrong: ConnectorSpec | None = None
    knows: Sequence[Master] = ()

    async def prepare(self, context: Context) -> None:  # noqa: B027 - most worlds need nothing more
        """Whatever has to be there before the instance starts, such as an enrolled device in ``context.records``."""

    async def produce(self) -> Wanted:
        """Let one new thing come up that the running connector takes in; answers which event says so."""
        raise LookupError("it takes nothing in by itself")

    async def spoil(self) -> None:
        """Let one thing come up that can't be understood, and that the running connector meets as it does others."""
        raise LookupError("it takes nothing in by itself")

    def fault(self, fault: Fault) -> AbstractAsyncContextManager[None]:
        """While it is entered, the other side answers everything like this."""
        raise LookupError(f"it can't answer {fault}")

    async def ask(self, connector: Connector[Any]) -> None:
        """One call of the connector's client to the other side, errors and all."""
        await connector.check()

    async def away(self) -> None:
        """The other side goes away: nothing answers, the folder is gone."""
        raise LookupError("it can't go away")

    async def back(self) -> None:
        """It comes back."""
        raise LookupError("it can't go away")

    @abstractmethod
    async def state(self) -> object:
        """Everything the other side holds, to be compared."""

    def samples(self) -> Sequence[Sample]:
        """One for each endpoint of the receiver."""
        return ()


class Adapter(ABC):
    """How one kind of connector is driven. Making it does nothing."""

    without: ClassVar[Mapping[Part | Fault, str]] = {}
    """What the connector hasn't, or its other side can't do, and why."""

    @abstractmethod
    def fixtures(self) -> Sequence[Fixture]:
        """Recorded payloads, of everything that comes; most often :func:`recorded`."""

    @abstractmethod
    def map(self, name: str, payload: bytes, now: datetime) -> Mapped:
        """What a payload comes to through the connector's own mapper. ``name`` is the fixture's, which may say what it
        is; ``now`` (UTC) the present. Raises :exc:`~connectors.base.UnknownPayload`."""

    @abstractmethod
    def world(self, directory: Path) -> AbstractAsyncContextManager[World]:
        """Start the outside world; leaving ends it. ``directory`` is empty and the world's own."""

    def mutations(self, fixture: Fixture) -> Iterator[tuple[str, bytes]]:
        """The payload spoilt in many ways, each with its name. JSON, JSON Lines and CSV are known; of other formats the
        bytes are cut, so spoil their fields here."""
        return mutating.mutations(fixture.payload)
