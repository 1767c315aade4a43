"""How the suite drives the sample connector."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from connectors.base import Connector
from schemas.exchange import Request
from schemas.secret import Secret
from tests.conformance import harness
from tests.conformance.harness import Fault, Fixture, Mapped, Sample, Wanted, World, recorded

from .till import connector as till
from .till import mapper
from .till.receiver import signature
from .till.simulator import Desk
from .till.spec import Spec

TOKEN = "the-desks-token"


class Till(World):
    """A simulated cash desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        poll, timeout = dt.timedelta(milliseconds=5), dt.timedelta(seconds=30)
        self.spec = Spec(port=desk.port, token=Secret(TOKEN), poll=poll, timeout=timeout)
        self.wrong = msgspec.structs.replace(self.spec, token=Secret("another-token"))

    async def produce(self) -> Wanted:
        source_id = mapper.source_id(self.desk.sell())
        return lambda event: getattr(event, "source_id", None) == source_id

    async def spoil(self) -> None:
        self.desk.sell(quantity="many")

    @asynccontextmanager
    async def fault(self, fault: Fault) -> AsyncIterator[None]:
        patient = self.spec
        if fault is Fault.SILENT:
            self.spec = msgspec.structs.replace(patient, timeout=dt.timedelta(milliseconds=50))
        self.desk.fault = fault
        yield
        self.desk.fault = None
        self.spec = patient

    async def ask(self, connector: Connector[Any]) -> None:
        assert isinstance(connector, till.Connector)
        await connector.client.sales(0)

    async def away(self) -> None:
        await self.desk.stop()

    async def back(self) -> None:
        await self.desk.start()

    async def state(self) -> object:
        return list(self.desk.sales)

    def samples(self) -> Sequence[Sample]:
        sale = b'{"number": 700, "state": "done", "product": "P", "quantity": "1", "price": 5, "day": "2024-03-20"}'
        return [
            Sample("sale", lambda body: _signed("sale", body), sale, forged=_call("sale", sale, "x")),
            Sample("there", lambda body: _signed("there", body), takes=False, forged=_call("there", b"", "")),
        ]


def _signed(endpoint: str, body: bytes) -> Request:
    return _call(endpoint, body, signature(TOKEN, body))


def _call(endpoint: str, body: bytes, sign: str) -> Request:
    return Request(endpoint, {}, {}, {"x-signature": sign}, body)


class Adapter(harness.Adapter):
    """The sample's."""

    def fixtures(self) -> Sequence[Fixture]:
        return recorded(Path(__file__).with_name("fixtures"))

    def map(self, name: str, payload: bytes, now: dt.datetime) -> Mapped:
        command = mapper.command(payload, source="till", actor="till.main", now=now)
        return Mapped([command] if command is not None else [])

    @asynccontextmanager
    async def world(self, directory: Path) -> AsyncIterator[World]:
        desk = Desk(TOKEN)
        await desk.start()
        try:
            yield Till(desk)
        finally:
            await desk.stop()
