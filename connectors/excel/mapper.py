"""From the rows of sheets to commands, and to the cells that keep a document from being one. Pure.

Rows with one document number, which stand together, are one document: what they say of the whole must agree, and each
adds a line. A document is taken whole or not at all.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from connectors.excel import words
from connectors.excel.cells import Row, Unreadable, letters, place, value, written
from connectors.excel.words import sentence
from schemas import codec, intake, text
from schemas.commands import Amend, Submit
from schemas.documents import DocumentRequest, Kind, LineRequest
from schemas.intake import InvalidRequest
from schemas.reasons import Reason

MAX_COMMAND_BYTES: Final = 900_000
"""Of one document's command: Kafka's usual limit for a record is 1 MiB, envelope included."""

MAX_DOCUMENT_ROWS: Final = 5_000
MAX_PROBLEMS: Final = 100
"""Told of a workbook that is refused as a whole, and in an import's state; a result workbook tells all."""
MAX_RAW: Final = 256 * 1024
"""Characters kept of a refused document for its dead letter."""

_LINE_PATH: Final = re.compile(r"lines\[(\d{1,9})\](?:\.(.+))?")
_FIELD_OF: Final = {"credit_exceeded": "account"}
"""Where a person looks who is told of the document as such."""
_LINE_FIELDS: Final = frozenset(LineRequest.__struct_fields__)


class Complaint(msgspec.Struct, frozen=True, array_like=True):
    """What a person is told: which sheet and cell (or column; empty for the whole), and why."""

    sheet: str
    cell: str
    reason: Reason


class BadWorkbook(Exception):
    """Nothing of the workbook is taken; ``problems`` say why, each at its cell."""

    def __init__(self, problems: tuple[Complaint, ...]) -> None:
        super().__init__("; ".join(said(problem) for problem in problems[:3]))
        self.problems = problems[:MAX_PROBLEMS]

    @classmethod
    def of(cls, reason: Reason, sheet: str = "", cell: str = "") -> "BadWorkbook":
        """For one reason."""
        return cls((Complaint(sheet, cell, reason),))


def said(complaint: Complaint) -> str:
    """A complaint in one English sentence."""
    where = f"{complaint.sheet}!{complaint.cell}" if complaint.cell else complaint.sheet
    return f"{where}: {complaint.reason.en}" if where else complaint.reason.en


class Table(NamedTuple):
    """How a sheet is read: what each column (from 1) means, where each field stands, and the kind its name tells."""

    sheet: str
    heading: int
    fields: Mapping[int, str]
    columns: Mapping[str, int]
    kind: Kind | None
    since_1904: bool

    def at(self, field: str, row: int) -> str:
        """The cell of a field in a row; the document number's if the field has no column here."""
        return place(self.columns.get(field) or self.columns["source_id"], row)


def table_of(sheet: str, heading: Row, *, since_1904: bool) -> Table:
    """What a sheet's first row says. Raises :exc:`BadWorkbook` with everything that is wrong about it."""
    known = ", ".join(names[0] for names in words.FIELDS.values())
    problems: list[Complaint] = []
    fields: dict[int, str] = {}
    columns: dict[str, int] = {}
    for cell in written(heading):
        field, at = words.field_of(cell.text), place(cell.column, heading.number)
        if field is None:
            problems.append(Complaint(sheet, at, sentence("column_unknown", name=cell.text[:40], known=known)))
        elif field in columns:
            problems.append(Complaint(sheet, at, sentence("column_twice", first=letters(columns[field]))))
        else:
            fields[cell.column] = field
            if field:
                columns[field] = cell.column
    if not columns:
        raise BadWorkbook.of(sentence("sheet_unknown", sheet=sheet), sheet, place(1, heading.number))
    kind = words.kind_of(sheet)
    for name in words.REQUIRED if kind or "kind" in columns else (*words.REQUIRED, "kind"):
        if name not in columns:
            reason = sentence("column_missing", name=name, title=words.FIELDS[name][0])
            problems.append(Complaint(sheet, str(heading.number), reason))
    if problems:
        raise BadWorkbook(tuple(problems))
    return Table(sheet, heading.number, fields, columns, kind, since_1904)


class Origin(NamedTuple):
    """Whose documents these are, and when the workbook came (aware, UTC): the time of its commands."""

    source: str
    actor: str
    accepted_at: dt.datetime


class Taken(NamedTuple):
    """A document that can be asked for. ``lines`` are its lines' rows, ``numbers`` their numbers if they aren't 1…n."""

    command: Submit | Amend
    first: int
    last: int
    lines: tuple[int, ...]
    numbers: tuple[int, ...]


class Refused(NamedTuple):
    """Rows that are no document, and why; ``raw`` is their cells' text."""

    source_id: str
    first: int
    last: int
    complaints: tuple[Complaint, ...]
    raw: bytes


Outcome = Taken | Refused


def outcomes(table: Table, rows: Iterable[Row], origin: Origin, apart: frozenset[str]) -> Iterator[Outcome]:
    """What the rows below a sheet's heading come to, in order. ``apart``: documents whose rows don't stand together."""
    group: _Group | None = None
    stray: Row | None = None
    for row in rows:
        source_id = source_id_of(table, row)
        if not source_id:
            if group is not None:
                group.refuse("", group.first, sentence("beside_unreadable", row=row.number))
                yield group.outcome(origin)
            group, stray = None, row
            yield _nobodys(table, row)
            continue
        if group is not None and group.source_id != source_id:
            yield group.outcome(origin)
            group = None
        if group is None:
            group = _Group(table, source_id, row.number)
            if source_id in apart:
                group.refuse("source_id", row.number, sentence("rows_scattered", source_id=source_id[:64]))
            if stray is not None:
                group.refuse("source_id", row.number, sentence("beside_unreadable", row=stray.number))
            stray = None
        group.add(row)
    if group is not None:
        yield group.outcome(origin)


def source_id_of(table: Table, row: Row) -> str:
    """The number of the document a row belongs to; empty if it can't be told."""
    cell = next((cell for cell in row.cells if cell.column == table.columns["source_id"]), None)
    if cell is None:
        return ""
    try:
        return text.code(str(value("source_id", cell, since_1904=table.since_1904)))
    except Unreadable:
        return ""


def _nobodys(table: Table, row: Row) -> Refused:
    reason = sentence("source_id_missing")
    for cell in row.cells:
        if cell.column == table.columns["source_id"]:
            try:
                value("source_id", cell, since_1904=table.since_1904)
            except Unreadable as unreadable:
                reason = unreadable.reason
    complaint = Complaint(table.sheet, table.at("source_id", row.number), reason)
    return Refused("", row.number, row.number, (complaint,), _raw([row]))


def _raw(rows: Iterable[Row]) -> bytes:
    told = {row.number: {letters(cell.column): cell.text for cell in row.cells} for row in rows}
    return msgspec.json.encode(told)


class _Group:
    """The rows of one document: what they say of it together, and a line each."""

    def __init__(self, table: Table, source_id: str, first: int) -> None:
        self.source_id = source_id
        self.first = self.last = first
        self._table = table
        self._rows: list[Row] = []
        self._size = 0
        self._full = False
        self._complaints: list[Complaint] = []
        self._header: dict[str, tuple[object, int]] = {}
        self._lines: list[tuple[dict[str, object], int]] = []

    def add(self, row: Row) -> None:
        """Take a row in; a document that grows too large is refused and no more of it is kept."""
        self.last = row.number
        if self._full:
            return
        self._size += sum(len(cell.text) for cell in row.cells)
        if self._size > MAX_RAW or len(self._rows) >= MAX_DOCUMENT_ROWS:
            self._full = True
            self.refuse("source_id", row.number, sentence("document_too_large", limit=MAX_RAW))
            return
        self._rows.append(row)
        if row.hidden:
            self.refuse("source_id", row.number, sentence("row_hidden"))
        values = self._values(row)
        line = {field: each for field, each in values.items() if field in _LINE_FIELDS}
        # A warehouse alone in a row is the document's.
        is_line = bool(line.keys() - {"warehouse"})
        if is_line:
            self._lines.append((line, row.number))
        for field, each in values.items():
            if field not in line or not is_line:
                self._say(field, each, row.number)

    def _values(self, row: Row) -> dict[str, object]:
        found: dict[str, object] = {}
        for cell in written(row):
            field = self._table.fields.get(cell.column)
            if field is None:
                self._refuse_at(place(cell.column, row.number), sentence("no_heading"))
            elif field:
                try:
                    found[field] = value(field, cell, since_1904=self._table.since_1904)
                except Unreadable as unreadable:
                    self.refuse(field, row.number, unreadable.reason)
        return found

    def _say(self, field: str, said: object, row: int) -> None:
        known, where = self._header.setdefault(field, (said, row))
        if where != row and text.code(str(known)) != text.code(str(said)):
            self.refuse(field, row, sentence("header_differs", row=where))

    def refuse(self, field: str, row: int, reason: Reason) -> None:
        """Note why the document can't be taken."""
        self._refuse_at(self._table.at(field, row), reason)

    def _refuse_at(self, cell: str, reason: Reason) -> None:
        if len(self._complaints) < intake.MAX_PROBLEMS:
            self._complaints.append(Complaint(self._table.sheet, cell, reason))

    def outcome(self, origin: Origin) -> Outcome:
        """The document, or why it is none."""
        command = self._command(origin)
        if command is None or self._complaints:
            return Refused(self.source_id, self.first, self.last, tuple(self._complaints), _raw(self._rows))
        numbers = tuple(
            index if line.number is None else line.number for index, line in enumerate(command.document.lines, 1)
        )
        in_order = numbers == tuple(range(1, len(numbers) + 1))
        return Taken(command, self.first, self.last, tuple(row for _, row in self._lines), () if in_order else numbers)

    def _command(self, origin: Origin) -> Submit | Amend | None:
        try:
            request = intake.request_from(self._request())
        except InvalidRequest as refused:
            for problem in refused.problems:
                # Whoever has a complaint about a cell already needn't hear that its field is missing.
                if problem.code != "required" or not self._complaints:
                    self._refuse_at(self._cell(problem), problem)
            return None
        if request.kind not in words.KINDS:
            kinds = "، ".join(words.KINDS.values())
            self.refuse("kind", self.first, sentence("kind_not_here", kind=request.kind, kinds=kinds))
            return None
        return self._made(request, origin)

    def _made(self, request: DocumentRequest, origin: Origin) -> Submit | Amend | None:
        make = Submit.of if request.revision == 1 else Amend.of
        source, actor, accepted_at = origin
        command = make(request, source=source, actor=actor, now=accepted_at)
        # Encoding is what it costs to know; a small document can't come near the limit.
        large = self._size > MAX_COMMAND_BYTES // 8 or len(request.lines) > 1_000
        if large and len(codec.encode(command)) > MAX_COMMAND_BYTES:
            self.refuse("source_id", self.first, sentence("document_too_large", limit=MAX_COMMAND_BYTES))
            return None
        return command

    def _request(self) -> dict[str, object]:
        header = {field: each for field, (each, _) in self._header.items()}
        if self._table.kind is not None:
            header.setdefault("kind", self._table.kind)
        # People write the warehouse once, in the first row; further rows name theirs if it is another.
        named = [line["warehouse"] for line, _ in self._lines if "warehouse" in line]
        header |= {"warehouse": header.get("warehouse", named[0])} if named else {}
        return {**header, "lines": [_without(line, "warehouse", header.get("warehouse")) for line, _ in self._lines]}

    def _cell(self, problem: Reason) -> str:
        path = problem.field or ""
        if found := _LINE_PATH.fullmatch(path):
            return self._table.at(found[2] or "", self._lines[int(found[1])][1])
        return self._table.at(path, self._header[path][1] if path in self._header else self.first)


def _without(line: dict[str, object], field: str, value: object) -> dict[str, object]:
    return {name: each for name, each in line.items() if name != field or each != value}


def cell_of(reason: Reason, table: Table, taken_lines: tuple[int, ...], numbers: tuple[int, ...], first: int) -> str:
    """The cell a decision's reason is about: its line's, under its field where that has a column."""
    found = _LINE_PATH.fullmatch(reason.field or "")
    field = (found[2] or "product") if found else (reason.field or _FIELD_OF.get(reason.code, ""))
    index = int(found[1]) if found else _index(reason.line, numbers)
    if index is None or index >= len(taken_lines):
        return table.at(field, first)
    # What is said of a line as such is said of its goods: there aren't as many.
    return table.at(field or "quantity", taken_lines[index])


def _index(line: int | None, numbers: tuple[int, ...]) -> int | None:
    if line is None:
        return None
    if numbers:
        return numbers.index(line) if line in numbers else None
    return line - 1 if line > 0 else None
