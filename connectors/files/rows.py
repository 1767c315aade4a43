"""From a file's name and lines to its rows: which kind, which columns, which cells. Pure."""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import chain
from pathlib import PurePath
from typing import NamedTuple

import msgspec

from connectors.files import words
from connectors.files.words import sentence, spelling
from schemas import intake, text
from schemas.documents import DocumentRequest
from schemas.intake import InvalidRequest
from schemas.reasons import Reason

MAX_ROW_BYTES = 512 * 1024
"""Of one row, and of one document's rows together, as they stand in the file: as a dead letter (base64) they still fit
into a Kafka record. A longer line comes cut to one byte more."""

MAX_DOCUMENTS = 100_000
"""Documents in one CSV file, whose ids are kept in memory to see that each document's rows stand together."""

_MAX_JOINED_LINES = 100
_QUOTE = ord('"')
_DELIMITERS = (b",", b";", b"\t")
_BOM = b"\xef\xbb\xbf"
_LIST_MARKS = re.compile(r"[\s;|/،؛]+")


class Format(StrEnum):
    """How rows are written, by the file's extension."""

    CSV = ".csv"
    JSON_LINES = ".jsonl"


_FORMATS = {".csv": Format.CSV, ".jsonl": Format.JSON_LINES, ".ndjson": Format.JSON_LINES}


class BadFile(Exception):
    """Nothing of the file can be taken, for one reason."""

    def __init__(self, reason: Reason, column: str = "") -> None:
        super().__init__(reason.en)
        self.reason = reason
        self.column = column


class Form(NamedTuple):
    """How a file is to be read. ``fields`` are the columns' (None: passed over), ``titles`` their headings by field."""

    kind: str
    format: Format
    encoding: str = "utf-8"
    delimiter: bytes = b","
    fields: tuple[str | None, ...] = ()
    titles: Mapping[str, str] = {}

    @property
    def grouped(self) -> bool:
        """Whether several rows make one document."""
        return self.kind == words.DOCUMENTS and self.format is Format.CSV


class Row(NamedTuple):
    """One row: its number (the heading is row 1), its bytes, and what it says or why it can't be read.

    A row may have both, when it is readable and yet wrong.
    """

    number: int
    raw: bytes
    values: dict[str, object] | None
    problem: Reason | None = None


def unknown() -> BadFile:
    """For a file that holds nothing that is taken."""
    return BadFile(sentence("file_unknown", known=", ".join(kind for kind in words.HEADINGS if kind != words.VISITS)))


def kind_and_format(name: str) -> tuple[str, Format]:
    """What a file holds and how, by its name. Raises :exc:`BadFile`."""
    path = PurePath(name)
    begins = spelling(path.stem)
    kinds = [kind for beginning, kind in words.KIND_OF.items() if begins.startswith(beginning)]
    format = _FORMATS.get(path.suffix.casefold())
    if not kinds or format is None:
        raise unknown()
    return kinds[0], format


def form_of(name: str, encoding: str, first_lines: Iterable[bytes], ignore: Iterable[str] = ()) -> Form:
    """The form of a file by its name and, for CSV, its heading; ``ignore`` are headings passed over.

    Raises :exc:`BadFile`.
    """
    kind, format = kind_and_format(name)
    lines = _without_bom(first_lines)
    first = next(lines, b"")
    if not first:
        raise BadFile(sentence("file_empty"))
    if format is Format.JSON_LINES:
        return Form(kind, format, encoding)
    delimiter = max(_DELIMITERS, key=first.count)
    _, raw, closed = next(_records(chain([first], lines), delimiter))
    cells = _cells(raw, encoding, delimiter) if closed and raw.strip() and len(raw) <= MAX_ROW_BYTES else None
    if not isinstance(cells, list):
        raise BadFile(sentence("heading_unreadable"))
    fields = _fields(kind, cells, ignore)
    titles = {field: cell.strip() for field, cell in zip(fields, cells, strict=True) if field is not None}
    return Form(kind, format, encoding, delimiter, fields, titles)


def _without_bom(lines: Iterable[bytes]) -> Iterator[bytes]:
    rest = iter(lines)
    for first in rest:
        yield first.removeprefix(_BOM)
        yield from rest


def _fields(kind: str, cells: list[str], ignore: Iterable[str]) -> tuple[str | None, ...]:
    known, ignored = words.FIELD_OF[kind], {spelling(name) for name in ignore}
    fields: list[str | None] = []
    for cell in cells:
        heading = spelling(cell)
        field = known.get(heading)
        if heading in ignored or not heading:
            field = None
        elif field is None:
            names = ", ".join(f"{name} ({titles[0]})" for name, titles in words.HEADINGS[kind].items())
            raise BadFile(sentence("column_unknown", name=cell.strip()[:40], known=names), cell.strip())
        elif field in fields:
            first = cells[fields.index(field)].strip()
            raise BadFile(sentence("column_twice", first=first, second=cell.strip()), cell.strip())
        fields.append(field)
    for name in _required(kind):
        if name not in fields:
            raise BadFile(sentence("column_missing", name=name, title=words.HEADINGS[kind][name][0]))
    return tuple(fields)


def _required(kind: str) -> Iterator[str]:
    if kind == words.VISITS:
        return iter(("source_id", "account", "began_at", "outcome"))
    struct = DocumentRequest if kind == words.DOCUMENTS else intake.MASTER_KINDS[kind]
    return (field.name for field in msgspec.structs.fields(struct) if field.required and field.name != "as_of")


def rows(lines: Iterable[bytes], form: Form) -> Iterator[Row]:
    """The rows of a file in that form; blank ones are counted and left out."""
    plain = _without_bom(lines)
    return _json_rows(plain, form) if form.format is Format.JSON_LINES else _csv_rows(plain, form)


def _json_rows(lines: Iterable[bytes], form: Form) -> Iterator[Row]:
    for number, raw in enumerate(lines, 1):
        if raw.strip():
            yield _json_row(number, raw, form.encoding)


def _json_row(number: int, raw: bytes, encoding: str) -> Row:
    if len(raw) > MAX_ROW_BYTES:
        return Row(number, raw, None, sentence("row_too_long", limit=MAX_ROW_BYTES))
    try:
        return Row(number, raw, dict(intake.object_of(raw.decode(encoding).encode())))
    except UnicodeDecodeError:
        return Row(number, raw, None, sentence("row_not_text", encoding=encoding))
    except InvalidRequest as refused:
        return Row(number, raw, None, refused.problems[0])


def _csv_rows(lines: Iterable[bytes], form: Form) -> Iterator[Row]:
    records = _records(lines, form.delimiter)
    next(records, None)
    for number, raw, closed in records:
        if raw.strip(b" \t\r\n,;"):
            yield _csv_row(number, raw, closed, form)


def _csv_row(number: int, raw: bytes, closed: bool, form: Form) -> Row:
    if len(raw) > MAX_ROW_BYTES:
        return Row(number, raw, None, sentence("row_too_long", limit=MAX_ROW_BYTES))
    cells = _cells(raw, form.encoding, form.delimiter) if closed else sentence("row_quotes")
    if isinstance(cells, Reason):
        return Row(number, raw, None, cells)
    values: dict[str, object] = {}
    problem = None
    for index, cell in enumerate(cells):
        written = cell.strip()
        if not written:
            continue
        if index >= len(form.fields):
            problem = sentence("row_too_wide", cells=len(cells), columns=len(form.fields))
            break
        field = form.fields[index]
        if field is not None:
            values[field] = _value(field, written)
    return Row(number, raw, values, problem)


def _value(field: str, written: str) -> object:
    if field in ("phones", "emails"):
        return [each for each in _LIST_MARKS.split(written) if each]
    meanings = words.VALUE_OF.get(field)
    return meanings.get(spelling(written), written) if meanings else written


def _cells(raw: bytes, encoding: str, delimiter: bytes) -> list[str] | Reason:
    try:
        decoded = raw.decode(encoding)
    except UnicodeDecodeError:
        return sentence("row_not_text", encoding=encoding)
    try:
        (cells,) = csv.reader([decoded], delimiter=delimiter.decode(), strict=True)
    except (csv.Error, ValueError):
        return sentence("row_quotes")
    return cells


def _records(lines: Iterable[bytes], delimiter: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """The CSV records: number, bytes, and whether every quote in it is closed.

    A quote that is open at a line's end makes the next line part of the record. One that isn't closed within a
    hundred lines spoils its own line only: reading goes on with the next.
    """
    source = iter(lines)
    ahead: deque[bytes] = deque()
    number = 0
    while (first := ahead.popleft() if ahead else next(source, None)) is not None:
        number += 1
        if not _quote_open(first, delimiter):
            yield number, first, True
            continue
        record, taken = first, 0
        closed = False
        while not closed and taken < _MAX_JOINED_LINES and len(record) <= MAX_ROW_BYTES:
            if taken == len(ahead):
                line = next(source, None)
                if line is None:
                    break
                ahead.append(line)
            record += ahead[taken]
            taken += 1
            closed = not _quote_open(record, delimiter)
        if closed:
            for _ in range(taken):
                ahead.popleft()
        yield number, record if closed else first, closed


def _quote_open(record: bytes, delimiter: bytes) -> bool:
    """Whether a record ends within quotes. Only a quote that begins a cell opens; two in a row stand for one."""
    if _QUOTE not in record:
        return False
    at = 0
    while at < len(record):
        if record[at] == _QUOTE:
            at = record.find(b'"', at + 1)
            while at >= 0 and record[at + 1 : at + 2] == b'"':
                at = record.find(b'"', at + 2)
            if at < 0:
                return True
        at = record.find(delimiter, at)
        if at < 0:
            return False
        at += 1
    return False


def scattered(of: Iterable[Row]) -> frozenset[str]:
    """The ids of documents whose rows don't stand together in a CSV file.

    Raises :exc:`BadFile` for a file of more than :data:`MAX_DOCUMENTS` documents.
    """
    seen: set[str] = set()
    apart: set[str] = set()
    last = ""
    for row in of:
        source_id = source_id_of(row)
        if not source_id or source_id == last:
            continue
        (apart if source_id in seen else seen).add(source_id)
        last = source_id
        if len(seen) > MAX_DOCUMENTS:
            raise BadFile(sentence("too_many_documents", limit=MAX_DOCUMENTS))
    return frozenset(apart)


def source_id_of(row: Row) -> str:
    """The id of the document a row belongs to; empty if it doesn't say."""
    value = row.values.get("source_id") if row.values else None
    return text.code(value) if isinstance(value, str) else ""
