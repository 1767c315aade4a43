"""How the conformance suite drives the tutorial's kiosk (docs/connecting.md), as any connector from elsewhere."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from kiosk import mapper
from kiosk.simulator import HOST, Kiosk
from kiosk.spec import Spec

from schemas.secret import Secret
from tests.conformance import harness
from tests.conformance.harness import Fault, Fixture, Mapped, Wanted, World, recorded

KEY = "kiosk-1405"
GARBAGE = "HTTP/1.1 400 Bad Request"


class Lobby(World):
    """A simulated kiosk."""

    ERRORS: Mapping[Fault, str | None] = {
        Fault.BROKEN: "ERROR 500 out of paper",
        Fault.SILENT: None,
        Fault.GARBAGE: GARBAGE,
    }

    def __init__(self, kiosk: Kiosk) -> None:
        self.kiosk = kiosk
        self.spec = Spec(
            host=HOST,
            port=kiosk.port,
            key=Secret(KEY),
            account="212010001",
            warehouse="01",
            poll=dt.timedelta(milliseconds=20),
            timeout=dt.timedelta(seconds=30),
        )
        self.wrong = msgspec.structs.replace(self.spec, key=Secret("another-key"))

    async def produce(self) -> Wanted:
        number = str(self.kiosk.order())
        return lambda event: getattr(event, "source_id", None) == number

    async def spoil(self) -> None:
        self.kiosk.order(items="many")

    @asynccontextmanager
    async def fault(self, fault: Fault) -> AsyncIterator[None]:
        patient = self.spec
        if fault is Fault.SILENT:
            self.spec = msgspec.structs.replace(patient, timeout=dt.timedelta(milliseconds=200))
        self.kiosk.fault = self.ERRORS.get(fault, f"ERROR {fault} so it is to be")
        yield
        self.kiosk.fault = ""
        self.spec = patient

    async def away(self) -> None:
        await self.kiosk.stop()

    async def back(self) -> None:
        await self.kiosk.start()

    async def state(self) -> object:
        return list(self.kiosk.orders)


class Adapter(harness.Adapter):
    """Fixtures are the JSON behind ``ORDER 17``."""

    def fixtures(self) -> Sequence[Fixture]:
        return recorded(Path(__file__).with_name("fixtures"))

    def map(self, name: str, payload: bytes, now: dt.datetime) -> Mapped:
        command = mapper.command(
            17, payload, source="lobby", actor="kiosk.lobby", account="212010001", warehouse="01", now=now
        )
        return Mapped([command] if command else [])

    @asynccontextmanager
    async def world(self, directory: Path) -> AsyncIterator[World]:
        kiosk = Kiosk(KEY)
        await kiosk.start()
        try:
            yield Lobby(kiosk)
        finally:
            await kiosk.stop()
