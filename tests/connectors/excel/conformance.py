"""How the conformance suite drives the Excel connector."""

import contextlib
import datetime as dt
import io
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from connectors.base import Context
from connectors.excel import importing
from connectors.excel.keeping import DONE, Import, Keeping
from connectors.excel.mapper import BadWorkbook, Origin, Refused, said
from connectors.excel.spec import MAX_BYTES, MAX_ROWS, Spec
from connectors.excel.workbook import opened
from schemas.exchange import Request
from tests.conformance import harness, mutating
from tests.conformance.harness import NOW, Fault, Fixture, Mapped, Part, Sample, Wanted, World, recorded
from tests.connectors.excel import books

FIXTURES = Path(__file__).with_name("fixtures")
DONE_ID = "0" * 32


class Watched(World):
    """A watched folder, and callers with a key of the hub's."""

    def __init__(self, directory: Path) -> None:
        self._root = directory / "excel"
        (self._root / "inbox").mkdir(parents=True)
        self._numbers = itertools.count(1)
        poll = dt.timedelta(milliseconds=20)
        self.spec = Spec(folder=self._root, poll=poll, patience=poll)

    async def prepare(self, context: Context) -> None:
        result = self._root / "result"
        result.write_bytes(b"PK")
        entry = Import(DONE_ID, "shop", NOW, phase=DONE, finished_at=context.clock())
        await Keeping(context.records).finish(entry, result)
        result.unlink()

    async def produce(self) -> Wanted:
        source_id = f"S-{next(self._numbers)}"
        self._put(source_id, books.row(source_id))
        return lambda event: getattr(event, "source_id", None) == source_id

    async def spoil(self) -> None:
        source_id = f"S-{next(self._numbers)}"
        self._put(source_id, books.row(source_id, quantity="many"))

    def _put(self, name: str, row: Sequence[object]) -> None:
        unfinished = self._root / "inbox" / f"{name}.part"
        unfinished.write_bytes(books.invoices(row))
        unfinished.rename(unfinished.with_suffix(".xlsx"))

    async def away(self) -> None:
        self._root.rename(self._root.with_name("unmounted"))

    async def back(self) -> None:
        self._root.with_name("unmounted").rename(self._root)

    async def state(self) -> object:
        found = sorted(self._root.rglob("*"))
        return [(str(path), path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in found]

    def samples(self) -> Sequence[Sample]:
        return [
            Sample("submit_workbook", _asking("submit_workbook"), books.invoices(books.row())),
            Sample("workbook_state", _asking("workbook_state", id=DONE_ID), takes=False),
            Sample("workbook_result", _asking("workbook_result", id=DONE_ID), takes=False),
            Sample("workbook_template", _asking("workbook_template", kind="documents"), takes=False),
        ]


def _asking(endpoint: str, **segments: str) -> Callable[[bytes], Request]:
    def request(body: bytes) -> Request:
        return Request(endpoint, segments, {}, {}, body, key="till", source="shop")

    return request


class Adapter(harness.Adapter):
    """Each fixture is a workbook as people fill it in."""

    without = {  # noqa: RUF012 - it is declared a ClassVar
        Part.LOGIN: "a folder is opened with the rights of the hub's own user, and callers have keys of the hub",
        Part.NOTHING: "a workbook without rows is refused with a sentence, for whoever sent it meant to send some",
        **dict.fromkeys(Fault, "a folder answers no requests; that it can be away is a rule of its own"),
    }

    def fixtures(self) -> Sequence[Fixture]:
        return recorded(FIXTURES)

    def map(self, name: str, payload: bytes, now: dt.datetime) -> Mapped:
        try:
            with contextlib.closing(opened(io.BytesIO(payload), MAX_BYTES)) as workbook:
                surveyed = importing.survey(workbook, MAX_ROWS)
                origin = Origin("branch", "excel.branch", now)
                found = [outcome for _, outcome in importing.mapped(workbook, surveyed, origin)]
        except BadWorkbook as bad:
            return Mapped((), [said(problem) for problem in bad.problems])
        refused = [said(each) for outcome in found if isinstance(outcome, Refused) for each in outcome.complaints]
        return Mapped([outcome.command for outcome in found if not isinstance(outcome, Refused)], refused)

    @asynccontextmanager
    async def world(self, directory: Path) -> AsyncIterator[World]:
        yield Watched(directory)

    def mutations(self, fixture: Fixture) -> Iterator[tuple[str, bytes]]:
        yield from mutating.mutations(fixture.payload)
        for column, heading in enumerate(books.HEADINGS):
            for other in ("", "x", "-1", "1e999", "NaN", "=1", "a\u200cb", -1, 12.5, 1e300, True):
                row = books.row()
                row[column] = other
                yield f"{other!r} as {heading}", books.invoices(row)
            without = [each for each in books.HEADINGS if each != heading]
            yield f"without {heading}", books.invoices(books.row(), headings=without)
