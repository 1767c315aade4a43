"""How the conformance suite drives the files connector."""

import datetime as dt
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from connectors.files import rows
from connectors.files.mapper import Complaint, Mapper, Origin
from connectors.files.rows import BadFile
from connectors.files.spec import Spec
from tests.conformance import harness
from tests.conformance.harness import Fault, Fixture, Mapped, Part, Wanted, World

FIXTURES = Path(__file__).with_name("fixtures")
WRITTEN_AT = dt.datetime(2024, 3, 20, 11, 34, tzinfo=dt.UTC)
HEADING = "source_id,kind,date,account,product,quantity,unit_price\n"
ROW = "{id},sales_order,1403/01/01,212,P,{quantity},1000\n"


class Watched(World):
    """A watched folder."""

    def __init__(self, directory: Path) -> None:
        self._root = directory / "files"
        (self._root / "inbox").mkdir(parents=True)
        self._numbers = itertools.count(1)
        self.spec = Spec(folder=self._root, poll=dt.timedelta(milliseconds=20))

    async def produce(self) -> Wanted:
        source_id = f"S-{next(self._numbers)}"
        self._put(source_id, HEADING + ROW.format(id=source_id, quantity=1))
        return lambda event: getattr(event, "source_id", None) == source_id

    async def spoil(self) -> None:
        source_id = f"S-{next(self._numbers)}"
        self._put(source_id, HEADING + ROW.format(id=source_id, quantity="many"))

    def _put(self, name: str, text: str) -> None:
        unfinished = self._root / "inbox" / f"documents-{name}.part"
        unfinished.write_text(text, "utf-8")
        unfinished.rename(unfinished.with_suffix(".csv"))

    async def away(self) -> None:
        self._root.rename(self._root.with_name("unmounted"))

    async def back(self) -> None:
        self._root.with_name("unmounted").rename(self._root)

    async def state(self) -> object:
        found = sorted(self._root.rglob("*"))
        return [(str(path), path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in found]


class Adapter(harness.Adapter):
    """Each folder of ``fixtures`` has one file as a customer's program writes it, and ``expected.json``."""

    without = {  # noqa: RUF012 - it is declared a ClassVar
        Part.LOGIN: "a folder is opened with the rights of the hub's own user",
        **dict.fromkeys(Fault, "a folder answers no requests; that it can be away is a rule of its own"),
    }

    def fixtures(self) -> Sequence[Fixture]:
        return [_fixture(folder) for folder in sorted(FIXTURES.iterdir())]

    def map(self, name: str, payload: bytes, now: dt.datetime) -> Mapped:
        content = payload.splitlines(keepends=True)
        encoding = "windows-1256" if "windows-1256" in name else "utf-8"
        try:
            form = rows.form_of(name.rpartition("/")[2], encoding, content)
            apart = rows.scattered(rows.rows(content, form)) if form.grouped else frozenset()
        except BadFile as bad:
            return Mapped((), (bad.reason.en,))
        mapper = Mapper(form, Origin("branch", "files.branch", WRITTEN_AT), apart)
        outcomes = [mapper.take(rows.rows(content, form), now), mapper.finish(now)]
        complaints = [each for outcome in outcomes for refused in outcome.refused for each in refused.complaints]
        return Mapped(
            [event for outcome in outcomes for event in (*outcome.commands, *outcome.records)], _sentences(complaints)
        )

    @asynccontextmanager
    async def world(self, directory: Path) -> AsyncIterator[World]:
        yield Watched(directory)


def _fixture(folder: Path) -> Fixture:
    [file] = (path for path in folder.iterdir() if path.name != "expected.json")
    written = json.loads((folder / "expected.json").read_text("utf-8"))
    expected: dict[str, Any] = {"events": written["messages"], "refused": [_said(**it) for it in written["complaints"]]}
    if folder.name.startswith("nothing"):
        assert not any(expected.values())
        expected = {"nothing": folder.name}
    return Fixture(f"{folder.name}/{file.name}", file.read_bytes(), expected)


def _sentences(complaints: Iterable[Complaint]) -> list[str]:
    return [_said(row, column, reason.en) for row, column, reason in complaints]


def _said(row: int, column: str, en: str, **_: object) -> str:
    return f"row {row}, {column}: {en}"
