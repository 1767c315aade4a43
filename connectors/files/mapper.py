"""From rows to commands and master records, and to the reasons why some rows are neither. Pure.

A document is taken whole or not at all: where a row can't be read and might belong to it, the document is refused.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from connectors.files import words
from connectors.files.rows import MAX_ROW_BYTES, Form, Row, source_id_of
from connectors.files.words import sentence
from schemas import codec, intake, text
from schemas.commands import Amend, Submit
from schemas.documents import DocumentRequest, LineRequest
from schemas.intake import InvalidRequest
from schemas.master import Master
from schemas.reasons import Reason
from schemas.visits import Visit

MAX_COMMAND_BYTES = 900_000
"""Of one document's command: Kafka's usual limit for a record is 1 MiB, envelope included."""

_LINE_PATH = re.compile(r"lines\[(\d+)\](?:\.(.+))?")
_LINE_FIELDS = frozenset(LineRequest.__struct_fields__)


Record = Master | Visit
"""What a row tells that isn't a document."""


class Complaint(NamedTuple):
    """What a person is told: which row, which column (as headed; empty for the row as such), and why."""

    row: int
    column: str
    reason: Reason


class Refused(NamedTuple):
    """Rows that were not taken, together, and why."""

    rows: tuple[Row, ...]
    complaints: tuple[Complaint, ...]


class Outcome(NamedTuple):
    """What became of some rows. Everything up to and with row ``through`` is in this outcome or an earlier one."""

    commands: list[Submit | Amend]
    records: list[Record]
    refused: list[Refused]
    through: int


class Origin(NamedTuple):
    """Whose rows these are: the source and actor of commands, and when the file was written (aware, UTC)."""

    source: str
    actor: str
    written_at: datetime


Visitor = Callable[[Mapping[str, object]], Visit]
"""The visit a row's fields tell. Raises InvalidRequest, whose fields are told by column."""

Judge = Callable[[DocumentRequest], DocumentRequest]
"""The request to go on with. Raises InvalidRequest, whose fields are told by row and column."""


class Mapper:
    """Rows in, outcomes out, in order. The rows of a CSV document are kept until the next document begins."""

    def __init__(
        self,
        form: Form,
        origin: Origin,
        apart: frozenset[str] = frozenset(),
        judge: Judge | None = None,
        visit: Visitor | None = None,
    ) -> None:
        self._form = form
        self._visit = visit
        self._origin = origin
        self._apart = apart
        self._judge = judge
        self._open: _Group | None = None
        self._stray: Row | None = None
        self._through = 0

    def take(self, batch: Iterable[Row], now: datetime) -> Outcome:
        """What the rows, and those kept from before, come to; ``now`` is when commands are recorded."""
        outcome = Outcome([], [], [], 0)
        for row in batch:
            if self._form.grouped:
                self._group(row, outcome, now)
            else:
                self._single(row, outcome, now)
                self._through = row.number
        return outcome._replace(through=self._through)

    def finish(self, now: datetime) -> Outcome:
        """What the rows still kept come to, at the end of the file."""
        outcome = Outcome([], [], [], 0)
        self._close(outcome, now)
        return outcome._replace(through=self._through)

    def _single(self, row: Row, outcome: Outcome, now: datetime) -> None:
        if row.problem is not None:
            outcome.refused.append(Refused((row,), (Complaint(row.number, "", row.problem),)))
            return
        values = row.values or {}
        try:
            if self._form.kind == words.DOCUMENTS:
                outcome.commands.append(self._command(intake.request_from(values), len(row.raw), now))
            else:
                outcome.records.append(self._record(values))
        except InvalidRequest as refused:
            complaints = tuple(self._complaint(row, problem) for problem in refused.problems)
            outcome.refused.append(Refused((row,), complaints))

    def _complaint(self, row: Row, problem: Reason) -> Complaint:
        field = problem.field or ""
        return Complaint(row.number, self._form.titles.get(field, field), problem)

    def _record(self, values: dict[str, object]) -> Record:
        if self._form.kind == words.VISITS and self._visit is not None:
            return self._visit(values)
        struct = intake.MASTER_KINDS[self._form.kind]
        if "as_of" in struct.__struct_fields__:
            values = {"as_of": self._origin.written_at, **values}
        return intake.master_from(struct, values)

    def _command(self, request: DocumentRequest, raw_bytes: int, now: datetime) -> Submit | Amend:
        make: Callable[..., Submit | Amend] = Submit.of if request.revision == 1 else Amend.of
        if self._judge is not None:
            request = self._judge(request)
        source, actor, written_at = self._origin
        command = make(request, source=source, actor=actor, now=now, occurred_at=written_at)
        # Encoding is what it costs to know; a small document can't come near the limit.
        large = raw_bytes > MAX_COMMAND_BYTES // 8 or len(request.lines) > 1_000
        if large and len(codec.encode(command)) > MAX_COMMAND_BYTES:
            raise InvalidRequest((sentence("document_too_large", limit=MAX_COMMAND_BYTES),))
        return command

    def _group(self, row: Row, outcome: Outcome, now: datetime) -> None:
        source_id = source_id_of(row)
        if not source_id:
            self._pass_stray(row, outcome, now)
            return
        if self._open is not None and self._open.source_id != source_id:
            self._close(outcome, now)
        if self._open is None:
            self._open = _Group(source_id, self._form.titles)
            if source_id in self._apart:
                self._open.refuse(row, "", sentence("rows_scattered", source_id=source_id))
            if self._stray is not None:
                self._open.refuse(row, "", sentence("beside_unreadable", row=self._stray.number))
        self._open.add(row)

    def _pass_stray(self, row: Row, outcome: Outcome, now: datetime) -> None:
        """A row of nobody knows which document: it may be the open one's, or the next one's.

        It is kept until the next one is closed, so that whoever resumes between the two reads it again.
        """
        if self._open is not None:
            self._open.refuse(self._open.rows[0], "", sentence("beside_unreadable", row=row.number))
        self._close(outcome, now)
        self._stray = row

    def _close(self, outcome: Outcome, now: datetime) -> None:
        """Settle what is kept: a stray row, and the open document that came after it."""
        stray, self._stray = self._stray, None
        if stray is not None:
            problem = stray.problem or sentence("source_id_missing")
            column = self._form.titles["source_id"] if stray.values is not None else ""
            outcome.refused.append(Refused((stray,), (Complaint(stray.number, column, problem),)))
            self._through = stray.number
        group, self._open = self._open, None
        if group is None:
            return
        self._through = group.last
        complaints = group.complaints
        try:
            command = self._command(intake.request_from(group.request()), group.size, now)
        except InvalidRequest as refused:
            complaints += [group.complaint(problem) for problem in refused.problems]
        if complaints:
            complaints.sort(key=lambda complaint: complaint.row)
            outcome.refused.append(Refused(tuple(group.rows), tuple(complaints)))
        else:
            outcome.commands.append(command)


class _Group:
    """The rows of one document in a CSV file: what they say of the document together, and a line each."""

    def __init__(self, source_id: str, titles: Mapping[str, str]) -> None:
        self.source_id = source_id
        self.rows: list[Row] = []
        self.complaints: list[Complaint] = []
        self.size = 0
        self.last = 0
        self._full = False
        self._titles = titles
        self._header: dict[str, tuple[object, Row]] = {}
        self._lines: list[tuple[dict[str, object], Row]] = []

    def add(self, row: Row) -> None:
        """Take a row in; a document that grows too large is refused and no more of it is kept."""
        self.last = row.number
        if self._full:
            return
        if self.size + len(row.raw) > MAX_ROW_BYTES:
            self._full = True
            self.refuse(row, "", sentence("document_too_large", limit=MAX_ROW_BYTES))
            return
        self.size += len(row.raw)
        self.rows.append(row)
        if row.problem is not None:
            self.refuse(row, "", row.problem)
        values = row.values or {}
        line = {field: value for field, value in values.items() if field in _LINE_FIELDS}
        if line.keys() - {"warehouse"}:
            self._lines.append((line, row))
        for field, value in values.items():
            if field not in line or not line.keys() - {"warehouse"}:
                self._say(field, value, row)

    def _say(self, field: str, value: object, row: Row) -> None:
        known, where = self._header.setdefault(field, (value, row))
        if where is not row and text.code(str(known)) != text.code(str(value)):
            self.refuse(row, field, sentence("header_differs", row=where.number))

    def refuse(self, row: Row, field: str, reason: Reason) -> None:
        """Note why the document can't be taken."""
        if len(self.complaints) < intake.MAX_PROBLEMS:
            self.complaints.append(Complaint(row.number, self._titles.get(field, field), reason))

    def request(self) -> dict[str, object]:
        """The document as an object for :func:`schemas.intake.request_from`."""
        header = {field: value for field, (value, _) in self._header.items()}
        return {**header, "lines": [line for line, _ in self._lines]}

    def complaint(self, problem: Reason) -> Complaint:
        """A problem of :meth:`request`, by row and column of the file."""
        path = problem.field or ""
        in_line = _LINE_PATH.fullmatch(path)
        if in_line:
            row, field = self._lines[int(in_line[1])][1], in_line[2] or ""
        else:
            row, field = self._header[path][1] if path in self._header else self.rows[0], path
        return Complaint(row.number, self._titles.get(field, field), problem)
