"""The workbook that goes back: the rows as they came, each with what became of it, and the reasons at their cells.

Every cell is written as text, never as a formula, link or number: what a stranger wrote can't execute here, and codes
keep their digits. Rows are written one by one, so memory doesn't grow with them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import xlsxwriter

from connectors.excel import words
from connectors.excel.cells import column_of, place, shown
from connectors.excel.mapper import Complaint, Refused, Table, Taken, cell_of
from connectors.excel.words import sentence
from connectors.excel.workbook import Sheet, Workbook
from schemas.documents import State
from schemas.events import COMMAND_REFUSED, DocumentEvent

MAX_TOLD: Final = 50_000
"""Reasons kept in memory of rows that are no documents; beyond, of each document the first alone."""
MAX_COMMENTS: Final = 5_000
"""Comments are kept in memory; further cells are coloured, and their rows' last column tells the reasons."""

PLAIN: Final = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}

_MAX_TEXT: Final = 4_000
_RED: Final = {"bg_color": "#FFC7CE", "font_color": "#9C0006"}
_AMBER: Final = {"bg_color": "#FFEB9C", "font_color": "#7F6000"}
_GREEN: Final = {"bg_color": "#C6EFCE", "font_color": "#006100"}
HEADING: Final = {"bold": True, "bg_color": "#1F4E78", "font_color": "#FFFFFF", "border": 1, "text_wrap": True}
_FA: Final = {"reading_order": 2, "align": "right"}
_EN: Final = {"reading_order": 1, "align": "left"}
_LINE_POINTS: Final = 15
_BAD: Final = frozenset({State.REJECTED, State.POST_FAILED, State.CANCELLED, State.EXPIRED})
_WAITING: Final = frozenset({State.HELD, State.BACKORDERED})
_ILLEGAL: Final = str.maketrans(dict.fromkeys("[]:*?/\\'", " "))


class Verdict(msgspec.Struct):
    """What became of some rows of a sheet. ``state`` is "" for what isn't decided, ``refused`` for what isn't taken."""

    first: int
    last: int
    source_id: str
    complaints: tuple[Complaint, ...] = ()
    command_id: UUID | None = None
    document_id: UUID | None = None
    lines: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()
    state: str = ""
    number: str = ""
    repeated: bool = False

    @classmethod
    def of(cls, outcome: Taken | Refused, room: int = MAX_TOLD) -> "Verdict":
        """As it stands when the mapper has told it; ``room`` is how many reasons may still be kept."""
        if isinstance(outcome, Refused):
            complaints = outcome.complaints if len(outcome.complaints) <= room else outcome.complaints[:1]
            return cls(outcome.first, outcome.last, outcome.source_id, complaints, state="refused")
        command = outcome.command
        return cls(
            outcome.first,
            outcome.last,
            command.source_id,
            command_id=command.command_id,
            document_id=command.document_id,
            lines=outcome.lines,
            numbers=outcome.numbers,
        )

    def decide(self, event: DocumentEvent, table: Table, *, repeated: bool) -> None:
        """Take in what was decided about its command."""
        self.repeated = repeated
        document = event.document
        refused = event.type == COMMAND_REFUSED
        self.state = "refused" if refused or document is None else document.state
        posting = document.posting if document is not None else None
        self.number = (posting.number or "") if posting is not None else ""
        self.complaints = tuple(
            Complaint(table.sheet, cell_of(reason, table, self.lines, self.numbers, self.first), reason)
            for reason in event.reasons
        )
        if repeated:
            again = Complaint(table.sheet, table.at("source_id", self.first), sentence("repeated"))
            self.complaints = (again, *self.complaints)


def write(path: Path, workbook: Workbook, read: Sequence[tuple[Sheet, Table, Sequence[Verdict]]]) -> None:
    """Write the result of a workbook whose sheets were read."""
    with xlsxwriter.Workbook(str(path), {"constant_memory": True, **PLAIN}) as out:
        writer = _Writer(out)
        for sheet, table, verdicts in read:
            writer.sheet(workbook, sheet, table, verdicts)


def write_refusal(path: Path, problems: Iterable[Complaint]) -> None:
    """Write the result of a workbook of which nothing was taken: a table of what is wrong, where."""
    with xlsxwriter.Workbook(str(path), PLAIN) as out:
        page = out.add_worksheet("خطاها")
        page.right_to_left()
        heading, wrapped = out.add_format(HEADING), out.add_format({"text_wrap": True, "valign": "top"})
        for column, (name, width) in enumerate((("برگه", 18), ("خانه", 10), ("چه باید کرد", 70), ("In English", 70))):
            page.set_column(column, column, width)
            page.write_string(0, column, name, heading)
        for row, (sheet, cell, reason) in enumerate(_told(problems), 1):
            for column, text in enumerate((sheet, cell, *reason)):
                page.write_string(row, column, text[:_MAX_TEXT], wrapped)


def _told(problems: Iterable[Complaint]) -> Iterator[tuple[str, str, tuple[str, str]]]:
    return ((problem.sheet, problem.cell, (problem.reason.fa, problem.reason.en)) for problem in problems)


class _Writer:
    def __init__(self, out: Any) -> None:
        self._out = out
        self._formats = {
            name: out.add_format({**look, "text_wrap": True, "valign": "top"})
            for name, look in (("red", _RED), ("amber", _AMBER), ("green", _GREEN), ("fa", _FA), ("en", _EN))
        }
        self._heading = out.add_format(HEADING)
        self._names: set[str] = set()
        self._comments = 0

    def sheet(self, workbook: Workbook, sheet: Sheet, table: Table, verdicts: Sequence[Verdict]) -> None:
        page = self._out.add_worksheet(self._name(sheet.name))
        page.right_to_left()
        page.freeze_panes(table.heading, 0)
        after = max(column for column, field in table.fields.items() if field)
        page.set_column(0, after - 1, 16)
        page.set_column(after, after + 1, 20)
        page.set_column(after + 2, after + 3, 70)
        by_row = {verdict.first: verdict for verdict in verdicts}
        current: Verdict | None = None
        told: Mapping[str, list[Complaint]] = {}
        for row in workbook.rows(sheet):
            if row.number < table.heading:
                continue
            if row.number in by_row:
                current = by_row[row.number]
                told = _by_cell(current.complaints)
            self._cells(page, row, table, told)
            if row.number == table.heading:
                for offset, name in enumerate(words.RESULT_COLUMNS):
                    page.write_string(row.number - 1, after + offset, name, self._heading)
            elif current is not None:
                self._result(page, row.number, after, current)

    def _name(self, name: str) -> str:
        plain, number = name.translate(_ILLEGAL)[:31].strip(), len(self._names)
        while not plain or plain.lower() in {*self._names, "history"}:
            number += 1
            plain = f"Sheet {number}"
        self._names.add(plain.lower())
        return plain

    def _cells(self, page: Any, row: Any, table: Table, told: Mapping[str, list[Complaint]]) -> None:
        heading = row.number == table.heading
        cells = {cell.column: cell for cell in row.cells if table.fields.get(cell.column) != ""}
        at_fault = {
            column_of(cell.rstrip("0123456789")): found
            for cell, found in told.items()
            if cell == place(column_of(cell.rstrip("0123456789")), row.number)
        }
        for column in sorted(cells.keys() | at_fault.keys()):
            cell = cells.get(column)
            text = shown(table.fields.get(column), cell, since_1904=table.since_1904) if cell is not None else ""
            if heading:
                page.write_string(row.number - 1, column - 1, text, self._heading)
            elif column in at_fault:
                self._at_fault(page, row.number, column, text, at_fault[column])
            else:
                page.write_string(row.number - 1, column - 1, text)

    def _at_fault(self, page: Any, row: int, column: int, text: str, found: Sequence[Complaint]) -> None:
        if text:
            page.write_string(row - 1, column - 1, text, self._formats["red"])
        else:
            page.write_blank(row - 1, column - 1, None, self._formats["red"])
        if self._comments < MAX_COMMENTS:
            self._comments += 1
            said = "\n".join(f"{each.reason.fa}\n{each.reason.en}" for each in found)
            page.write_comment(row - 1, column - 1, said[:_MAX_TEXT], {"x_scale": 2.5, "y_scale": 1.5})

    def _result(self, page: Any, row: int, after: int, verdict: Verdict) -> None:
        if not verdict.first <= row <= verdict.last:
            return
        state, look = _state(verdict)
        page.write_string(row - 1, after, state, self._formats[look])
        page.write_string(row - 1, after + 1, verdict.number)
        here = [each for each in verdict.complaints if _row_of(each.cell) == row]
        for column, language in ((after + 2, "fa"), (after + 3, "en")):
            why = "\n".join(f"{each.cell}: {getattr(each.reason, language)}" for each in here)
            page.write_string(row - 1, column, why[:_MAX_TEXT], self._formats[language])
        if len(here) > 1:
            page.set_row(row - 1, _LINE_POINTS * len(here))


def _state(verdict: Verdict) -> tuple[str, str]:
    """The words for a verdict, in Persian and English, and its colour."""
    if not verdict.state:
        reason = sentence("undecided")
        return f"{reason.fa} ({reason.en})", "amber"
    if verdict.state == "refused":
        reason = sentence("not_taken")
        return f"{reason.fa} ({reason.en})", "red"
    state = State(verdict.state)
    text = f"{words.STATES[state]} ({state})"
    if state in _BAD:
        return text, "red"
    return text, "amber" if state in _WAITING or verdict.complaints else "green"


def _row_of(cell: str) -> int:
    digits = cell.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return int(digits) if digits.isdigit() else 0


def _by_cell(complaints: Iterable[Complaint]) -> dict[str, list[Complaint]]:
    found: dict[str, list[Complaint]] = {}
    for complaint in complaints:
        found.setdefault(complaint.cell, []).append(complaint)
    return found
