"""How the conformance suite drives the Hesabgar connector, as the books.

Fixtures are rows as pymssql gives them, in JSON: a decimal is a number with a point, a date is written ISO 8601.
"""

import asyncio
import datetime as dt
import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from connectors.base import UnknownPayload
from connectors.hesabgar import contract, mapper, posting
from connectors.hesabgar.simulator import FaultKind, HesabgarSimulator
from connectors.hesabgar.spec import Role
from schemas import codec
from schemas.exchange import Request
from schemas.master import Stock
from schemas.secret import Secret
from tests.conformance import harness
from tests.conformance.harness import Fault, Fixture, Mapped, Part, Sample, Wanted, World, recorded
from tests.connectors.hesabgar.test_branch import enter
from tests.connectors.hesabgar.world import BOOKKEEPER, CUSTOMER, PRODUCT, WAREHOUSE, spec_of

VIEWS = {view.name: view for view in contract.VIEWS}
ACTOR = "hesabgar.main"
SOURCE = "branch-karaj"
ALWAYS = 1_000_000


class Answer(msgspec.Struct):
    """What `hub.post_document` answered: the number and its clock, or its refusal."""

    number: str = ""
    posted_at: dt.datetime = harness.NOW
    words: str = ""
    error_number: int = 0


class Books(World):
    """A simulated SQL Server with a small company's books."""

    ERRORS: Mapping[Fault, tuple[FaultKind, int]] = {
        Fault.FORBIDDEN: (FaultKind.ERROR, 229),
        Fault.NOT_FOUND: (FaultKind.ERROR, 208),
        Fault.CONFLICT: (FaultKind.DEADLOCK, 1205),
        Fault.INVALID: (FaultKind.ERROR, 50_123),
        Fault.BUSY: (FaultKind.ERROR, 8645),
        Fault.BROKEN: (FaultKind.DROP, 0),
        Fault.SILENT: (FaultKind.HANG, 0),
    }

    def __init__(self, sim: HesabgarSimulator) -> None:
        self.sim = sim
        patience = dt.timedelta(seconds=30)
        self.spec = spec_of(sim, timeout=patience, login_timeout=patience)
        self.wrong = msgspec.structs.replace(self.spec, password=Secret("wrong-1405"))
        self._quantities = itertools.count(1_001)

    async def produce(self) -> Wanted:
        quantity = next(self._quantities)
        await self._run(BOOKKEEPER.format(product=PRODUCT, on_hand=quantity, warehouse=WAREHOUSE))
        return lambda event: isinstance(event, Stock) and event.on_hand == quantity

    async def spoil(self) -> None:
        await self._run("UPDATE dbo.STK_Kala SET Fi = -5 WHERE KalaID = 7")

    async def _run(self, script: str) -> None:
        await asyncio.to_thread(self.sim.run, script)

    @asynccontextmanager
    async def fault(self, fault: Fault) -> AsyncIterator[None]:
        patient = self.spec
        if fault is Fault.SILENT:
            second = dt.timedelta(seconds=1)
            self.spec = msgspec.structs.replace(patient, timeout=second, login_timeout=second)
        if fault is Fault.UNAUTHORISED:
            self.sim.set_password("another-1405")
            yield
            self.sim.set_password(self.sim.password)
        elif fault is Fault.GARBAGE:
            await self.away()
            async with await asyncio.start_server(_answer_garbage, self.sim.host, self.spec.port):  # type: ignore[attr-defined]
                yield
            await self.back()
        else:
            kind, number = self.ERRORS[fault]
            # pymssql's own words while it connects are no question of ours.
            question = "" if kind in (FaultKind.DROP, FaultKind.HANG) else "SERVERPROPERTY"
            self.sim.fault(kind, on=question, times=ALWAYS, number=number, message="so it is to be")
            yield
            self.sim.clear_faults()
        self.spec = patient

    async def away(self) -> None:
        await asyncio.to_thread(self.sim.away)

    async def back(self) -> None:
        await asyncio.to_thread(self.sim.back)

    def samples(self) -> Sequence[Sample]:
        def request(body: bytes) -> Request:
            return Request("refresh_account", {"code": CUSTOMER}, {}, {}, body, key="till", source="shop")

        return [Sample("refresh_account", request)]

    async def state(self) -> object:
        answers = [
            await asyncio.to_thread(self.sim.query, query)
            for query in ("SELECT row_version FROM hub.horizon", "SELECT COUNT(*) FROM hub.outcome")
        ]
        return [[tuple(row) for row in rows] for rows in answers]


class Branch(Books):
    """The same as a branch's own, where people enter invoices."""

    def __init__(self, sim: HesabgarSimulator) -> None:
        super().__init__(sim)
        self.spec = msgspec.structs.replace(self.spec, role=Role.BRANCH, source=SOURCE)
        self.wrong = msgspec.structs.replace(self.spec, password=Secret("wrong-1405"))
        self._entries = itertools.count(1)

    async def produce(self) -> Wanted:
        source_id = await asyncio.to_thread(enter, self.sim, f"entry-{next(self._entries)}")
        return lambda event: getattr(event, "source_id", None) == source_id

    async def spoil(self) -> None:
        await self.produce()
        await self._run("UPDATE dbo.STK_Doc SET Tasvieh = 'barter' WHERE DocID = (SELECT MAX(DocID) FROM dbo.STK_Doc)")


async def _answer_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>")
    writer.close()


class Adapter(harness.Adapter):
    """Fixtures in folders: ``master`` rows by view; documents ``entered`` in a branch; events of the hub's with what
    the books answered."""

    def fixtures(self) -> Sequence[Fixture]:
        return recorded(Path(__file__).with_name("fixtures"))

    def map(self, name: str, payload: bytes, now: dt.datetime) -> Mapped:
        folder, _, file = name.partition("/")
        try:
            written = json.loads(payload, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise UnknownPayload(str(error)) from error
        if not isinstance(written, dict):
            raise UnknownPayload("no object")
        if folder == "master":
            view = VIEWS[file.partition(".")[0]]
            return Mapped([mapper.record(view, tuple(written.get(column) for column in view.columns), now)])
        if folder == "entered":
            return _entered(written, now)
        return _answered(written, now)

    @asynccontextmanager
    async def world(self, directory: Path) -> AsyncIterator[World]:
        async with HesabgarSimulator(products=20, customers=20) as sim:
            yield Books(sim)


class BranchAdapter(Adapter):
    """A branch's Hesabgar."""

    without = {Part.RECEIVING: "a branch's accounts aren't read"}  # noqa: RUF012 - it is declared a ClassVar

    @asynccontextmanager
    async def world(self, directory: Path) -> AsyncIterator[World]:
        async with HesabgarSimulator(products=20, customers=20, database="karaj1405") as sim:
            yield Branch(sim)


VARIANTS = {"branch": BranchAdapter}


def _entered(written: dict[str, Any], now: dt.datetime) -> Mapped:
    """A document of a branch, whose columns are all there, if only as NULL."""
    rows = written.get("lines")
    lines = [_columns(contract.LINE, row) for row in rows] if isinstance(rows, list) else []
    revision = 2 if written.get("changed") is True else 1
    wanted = mapper.request(_columns(contract.DOCUMENT, written), lines, revision)
    return Mapped([mapper.content(wanted, SOURCE, ACTOR, now)])


def _columns(names: Sequence[str], row: object) -> dict[str, Any]:
    values = row if isinstance(row, dict) else {}
    return {name: _day(values.get(name)) if name == "date" else values.get(name) for name in names}


def _day(written: Any) -> Any:
    try:
        return dt.date.fromisoformat(written)
    except (TypeError, ValueError):
        return written


def _answered(written: dict[str, Any], now: dt.datetime) -> Mapped:
    """An event the hub's own reader decodes, and what `post_document` answered."""
    if "\\u0000" in json.dumps(written, default=str):
        raise UnknownPayload("a NUL: the hub takes none in, so it tells none")
    try:
        event = codec.decode_event(json.dumps(written.get("event"), default=float).encode())
        answer = msgspec.json.decode(json.dumps(written.get("answer") or {}, default=float), type=Answer)
    except (codec.Undecodable, msgspec.DecodeError) as error:
        raise UnknownPayload(str(error)) from error
    if event.type == posting.CLEARED:
        return Mapped([mapper.started(event, ACTOR, now)])
    if event.type != posting.POSTING:
        return Mapped([])
    if answer.words:
        return Mapped([mapper.failed(event, answer.words, answer.error_number, ACTOR, now)])
    return Mapped([mapper.succeeded(event, answer.number, mapper.as_utc(answer.posted_at), ACTOR, now)])
