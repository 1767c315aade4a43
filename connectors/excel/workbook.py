"""A workbook as a stranger may have made it, read in bounded memory with the standard library's zip and expat.

What is refused before anything is read: what isn't a plain zip of plain parts (encrypted, overlapping, nested, twice
named, too many, too large, too dense), macros, links to other files, embedded objects and data connections. While
reading: document type declarations (so entities too), parts longer than their bound, references out of range. The
``dimension`` a sheet claims is passed over; hyperlinks are never looked at; cells tell their numbers as text.
"""

import contextlib
import posixpath
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Final, NamedTuple
from xml.parsers import expat
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from connectors.excel.cells import MAX_COLUMN, MAX_ROW, Cell, Form, Row, column_of
from connectors.excel.mapper import BadWorkbook
from connectors.excel.words import sentence

MAX_ENTRIES: Final = 1_000
MAX_DIRECTORY: Final = 256 * 1024
MAX_TOTAL: Final = 256 * 1024 * 1024
MAX_RATIO: Final = 150
"""Of a part beyond :data:`SMALL`: a sheet of 50,000 equal rows comes to about 40, a bomb to 1,000."""
SMALL: Final = 1024 * 1024
MAX_SHEET: Final = 192 * 1024 * 1024
MAX_STRINGS: Final = 32 * 1024 * 1024
MAX_STRING_COUNT: Final = 400_000
MAX_PART: Final = 4 * 1024 * 1024
"""Of any other part that is read."""
MAX_TOKEN: Final = 512 * 1024
"""Of one tag with its attributes: expat keeps it whole."""
MAX_SHEETS: Final = 100
MAX_CELL: Final = 32_767
MAX_CELLS: Final = 256
"""Cells that are kept of one row."""
MAX_ARRAYS: Final = 64
"""Formulas that fill several cells, where they reach into one row."""

_PIECE: Final = 64 * 1024
_END: Final = struct.Struct("<4s4H2LH")
_OLD_OR_LOCKED: Final = b"\xd0\xcf\x11\xe0"
_REF: Final = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")
_RANGE: Final = re.compile(r"[A-Z]{1,3}[1-9][0-9]{0,6}(:[A-Z]{1,3}[1-9][0-9]{0,6})?")
_WHOLE: Final = re.compile(r"[0-9]{1,7}")
_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_SURROGATES: Final = range(0xD800, 0xE000)
_TRUE: Final = ("1", "true")
_UNSAFE: Final = (
    (re.compile(r"(^|/)(vba[^/]*|.*\.bas|macrosheets/.*)$"), "macros"),
    (re.compile(r"(^|/)externallinks/"), "links to other workbooks"),
    (re.compile(r"(^|/)(embeddings|activex)/"), "embedded objects"),
    (re.compile(r"(^|/)(connections\.xml|querytables/.*|customdata/.*|model/.*)$"), "data connections"),
    (re.compile(r"\.(zip|xls[xmb]?|docx?|docm|pptx?|gz|bz2|xz|7z|rar|exe|dll|js|vbs)$"), "other files in it"),
)
_BROKEN: Final = (
    BadZipFile,
    zlib.error,
    expat.ExpatError,
    struct.error,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    ValueError,
)


class Sheet(NamedTuple):
    """A visible worksheet: its name and its part."""

    name: str
    part: str


class Stopped(Exception):
    """Nobody waits for what is being read any more."""


class Facts(NamedTuple):
    """What a sheet says beside its rows: merged ranges and hidden columns, known once its rows are read."""

    merged: list[str]
    hidden: list[tuple[int, int]]


def opened(file: IO[bytes], max_bytes: int) -> "Workbook":
    """The workbook in a file of at most ``max_bytes``; close it.

    Raises :exc:`BadWorkbook`, here and while it is read.
    """
    with _damage():
        _check_size(file, max_bytes)
        archive = ZipFile(file)
        try:
            _check_package(archive)
            return Workbook(archive)
        except BaseException:
            archive.close()
            raise


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise _broken(str(error)[:100] or type(error).__name__) from error


def _broken(problem: str) -> BadWorkbook:
    return BadWorkbook.of(sentence("workbook_broken", problem=problem))


def _unsafe(what: str) -> BadWorkbook:
    return BadWorkbook.of(sentence("workbook_unsafe", what=what))


def _check_size(file: IO[bytes], max_bytes: int) -> None:
    """The form of the whole, before Python's zipfile reads a directory as long as it claims to be."""
    first = file.read(4)
    size = file.seek(0, 2)
    if size > max_bytes:
        raise BadWorkbook.of(sentence("workbook_too_large", limit=max_bytes))
    if first == _OLD_OR_LOCKED:
        raise BadWorkbook.of(sentence("locked"))
    if first != b"PK\x03\x04" or size < _END.size:
        raise BadWorkbook.of(sentence("not_workbook"))
    file.seek(max(size - _END.size - 20, 0))
    tail = file.read()
    end = _END.unpack(tail[-_END.size :])
    if end[0] != b"PK\x05\x06" or tail.startswith(b"PK\x06\x07"):
        raise _broken("its end isn't that of a plain zip")
    if end[4] > MAX_ENTRIES or end[5] > MAX_DIRECTORY:
        raise _unsafe(f"more than {MAX_ENTRIES:,} parts")
    file.seek(0)


def _check_package(archive: ZipFile) -> None:
    entries = archive.infolist()
    names = [entry.filename.casefold() for entry in entries]
    if len(entries) > MAX_ENTRIES:
        raise _unsafe(f"more than {MAX_ENTRIES:,} parts")
    if len(set(names)) < len(names):
        raise _unsafe("two parts of one name")
    if sum(entry.file_size for entry in entries) > MAX_TOTAL:
        raise _unsafe(f"more than {MAX_TOTAL:,} bytes when unpacked")
    for name, entry in zip(names, entries, strict=True):
        what = next((what for pattern, what in _UNSAFE if pattern.search(name)), _oddity(entry))
        if what:
            raise _unsafe(what)
    if "[content_types].xml" not in names:
        raise BadWorkbook.of(sentence("not_workbook"))


def _oddity(entry: ZipInfo) -> str:
    if entry.flag_bits & 0x1:
        return "encrypted parts"
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return "parts packed in an unusual way"
    if entry.file_size > SMALL and entry.file_size > entry.compress_size * MAX_RATIO:
        return "parts packed too densely, as a zip bomb's are"
    return ""


class Workbook:
    """The visible sheets, and their rows. Everything here blocks."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self._parts = {entry.filename.casefold(): entry for entry in archive.infolist()}
        self._stopped = False
        self.since_1904 = False
        self._check_types()
        main = self._main()
        self.sheets = self._visible(main)
        self._strings = self._shared_strings(main)

    def close(self) -> None:
        """Let go of the archive; the file stays the caller's."""
        self._archive.close()

    def stop(self) -> None:
        """End whatever reading is under way in another thread, by :exc:`Stopped`."""
        self._stopped = True

    def rows(self, sheet: Sheet, facts: Facts | None = None) -> Iterator[Row]:
        """The rows that have a cell, one after another; ``facts`` is filled meanwhile."""
        reader = _SheetReader(self._strings, facts)
        for _ in self._fed(sheet.part, MAX_SHEET, reader.start, reader.end, reader.text):
            if reader.ready:
                ready, reader.ready = reader.ready, []
                yield from ready

    def _check_types(self) -> None:
        def start(_: str, attributes: dict[str, str]) -> None:
            if "macroenabled" in attributes.get("ContentType", "").casefold():
                raise _unsafe("macros")

        self._parse("[Content_Types].xml", MAX_PART, start)

    def _main(self) -> str:
        related = self._related("_rels/.rels", "")
        found = [target for kind, target in related.values() if kind == "officeDocument"]
        if len(found) != 1 or found[0].casefold() not in self._parts:
            raise BadWorkbook.of(sentence("not_workbook"))
        return found[0]

    def _related(self, part: str, folder: str) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "Relationship" and attributes.get("TargetMode", "Internal") == "Internal":
                target = attributes.get("Target", "")
                path = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
                found[attributes.get("Id", "")] = attributes.get("Type", "").rpartition("/")[2], path

        self._parse(part, MAX_PART, start)
        return found

    def _relations_of(self, main: str) -> dict[str, tuple[str, str]]:
        folder, name = posixpath.split(main)
        return self._related(posixpath.join(folder, "_rels", f"{name}.rels"), folder)

    def _visible(self, main: str) -> tuple[Sheet, ...]:
        related = self._relations_of(main)
        found: list[Sheet] = []

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "workbookPr":
                self.since_1904 = attributes.get("date1904") in _TRUE
            elif name == "sheet" and attributes.get("state", "visible") == "visible":
                kind, part = related.get(attributes.get("id", ""), ("", ""))
                if kind == "worksheet":
                    found.append(Sheet(attributes.get("name", "")[:64], part))

        self._parse(main, MAX_PART, start)
        if len(found) > MAX_SHEETS:
            raise _unsafe(f"more than {MAX_SHEETS} sheets")
        return tuple(found)

    def _shared_strings(self, main: str) -> list[str]:
        parts = [part for kind, part in self._relations_of(main).values() if kind == "sharedStrings"]
        reader = _StringsReader()
        for part in parts[:1]:
            self._parse(part, MAX_STRINGS, reader.start, reader.end, reader.text)
        return reader.found

    def _parse(
        self,
        part: str,
        limit: int,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
    ) -> None:
        for _ in self._fed(part, limit, start, end, text):
            pass

    def _fed(
        self,
        part: str,
        limit: int,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None] | None,
        text: Callable[[str], None] | None,
    ) -> Iterator[None]:
        """Feed a part to expat, with a pause after each piece. Names come without their namespaces."""
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _no_doctype

        def started(name: str, attributes: dict[str, str]) -> None:
            if name.endswith("}sheet"):
                # Its relation's id has a namespace of its own.
                attributes = {key.rpartition("}")[2]: value for key, value in attributes.items()}
            start(name.rpartition("}")[2], attributes)

        parser.StartElementHandler = started
        if end is not None:
            parser.EndElementHandler = lambda name: end(name.rpartition("}")[2])
        if text is not None:
            parser.CharacterDataHandler = text
        entry = self._parts.get(part.casefold())
        if entry is None:
            raise _broken(f"{part[:60]} is missing")
        if entry.file_size > limit:
            raise _unsafe(f"a part of more than {limit:,} bytes")
        with _damage(), self._archive.open(entry) as stream:
            fed = 0
            while piece := stream.read(_PIECE):
                if self._stopped:
                    raise Stopped
                parser.Parse(piece, False)
                fed += len(piece)
                if fed - parser.CurrentByteIndex > MAX_TOKEN:
                    raise _unsafe(f"a tag of more than {MAX_TOKEN:,} bytes")
                yield
            parser.Parse(b"", True)
            yield


def _no_doctype(*_: object) -> None:
    raise _unsafe("a document type declaration, as an XML bomb has")


class _Text:
    """A text that comes in pieces, and may have as many characters as Excel allows a cell."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0

    def add(self, piece: str) -> None:
        self._size += len(piece)
        if self._size > MAX_CELL:
            raise _unsafe(f"a text of more than {MAX_CELL:,} characters")
        self._pieces.append(piece)

    def take(self) -> str:
        """All of it; then it is empty."""
        whole = self._pieces[0] if len(self._pieces) == 1 else "".join(self._pieces)
        self._pieces, self._size = [], 0
        return whole


class _StringsReader:
    """The shared strings, without the readings (ruby) of East Asian ones."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._parts = _Text()
        self._in_text = False
        self._phonetic = False

    def start(self, name: str, _: dict[str, str]) -> None:
        if name == "rPh":
            self._phonetic = True
        elif name == "t":
            self._in_text = not self._phonetic

    def end(self, name: str) -> None:
        if name == "si":
            if len(self.found) >= MAX_STRING_COUNT:
                raise _unsafe(f"more than {MAX_STRING_COUNT:,} texts")
            self.found.append(_unescaped(self._parts.take()))
        elif name == "rPh":
            self._phonetic = False
        elif name == "t":
            self._in_text = False

    def text(self, piece: str) -> None:
        if self._in_text:
            self._parts.add(piece)


class _Area(NamedTuple):
    """A rectangle of cells, by its first and last row and column."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def of(cls, ref: str) -> "_Area":
        """Of ``B2:C7``, or ``B2`` alone."""
        first, _, last = ref.partition(":")
        corners = [_REF.fullmatch(first), _REF.fullmatch(last or first)]
        (left, top), (right, bottom) = [(column_of(found[1]), int(found[2])) if found else (0, 0) for found in corners]
        if not top <= bottom or not 0 < left <= right:
            raise _broken(f"a formula for {ref[:20]!r}")
        return cls(top, left, bottom, right)


class _SheetReader:
    """Rows out of a sheet's elements."""

    def __init__(self, strings: list[str], facts: Facts | None) -> None:
        self.ready: list[Row] = []
        self._strings = strings
        self._facts = facts
        self._row = 0
        self._hidden = False
        self._cells: list[Cell] = []
        self._column = 0
        self._type = ""
        self._formula = False
        self._arrays: list[_Area] = []
        self._in_cell = False
        self._in_text = False
        self._phonetic = False
        self._parts = _Text()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self._start_cell(attributes)
        elif name in ("v", "t"):
            self._in_text = self._in_cell and not self._phonetic
        elif name == "f":
            self._formula = self._formula or self._in_cell
            if attributes.get("t") in ("array", "dataTable"):
                self._start_array(attributes.get("ref", ""))
        elif name == "rPh":
            self._phonetic = True
        elif name == "row":
            self._start_row(attributes)
        elif self._facts is not None:
            self._note(name, attributes)

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self._in_text = False
        elif name == "c":
            self._end_cell()
        elif name == "rPh":
            self._phonetic = False
        elif name == "row" and self._cells:
            self.ready.append(Row(self._row, tuple(self._cells), self._hidden))

    def text(self, piece: str) -> None:
        if self._in_text:
            self._parts.add(piece)

    def _start_row(self, attributes: dict[str, str]) -> None:
        number = _whole(attributes.get("r", str(self._row + 1)))
        if not self._row < number <= MAX_ROW:
            raise _broken(f"row {number} comes after row {self._row}")
        self._row, self._column, self._cells = number, 0, []
        self._hidden = attributes.get("hidden") in _TRUE
        self._arrays = [area for area in self._arrays if area.bottom >= number]

    def _start_array(self, ref: str) -> None:
        """Note the cells that hold a formula's values and don't say so themselves."""
        if len(self._arrays) >= MAX_ARRAYS:
            raise _unsafe(f"more than {MAX_ARRAYS} array formulas beside each other")
        self._arrays.append(_Area.of(ref))

    def _start_cell(self, attributes: dict[str, str]) -> None:
        column = self._column + 1
        if ref := attributes.get("r"):
            found = _REF.fullmatch(ref)
            if not found or int(found[2]) != self._row:
                raise _broken(f"a cell {ref[:20]} in row {self._row}")
            column = column_of(found[1])
        if not self._column < column <= MAX_COLUMN or not self._row:
            raise _broken(f"cells of row {self._row} don't stand in order")
        self._column, self._in_cell, self._formula = column, True, False
        self._type = attributes.get("t", "n")
        self._parts.take()

    def _end_cell(self) -> None:
        self._in_cell = False
        cell = self._cell(self._parts.take())
        if cell is None:
            return
        if len(self._cells) >= MAX_CELLS:
            raise _unsafe(f"more than {MAX_CELLS} cells in row {self._row}")
        self._cells.append(cell)

    def _cell(self, text: str) -> Cell | None:
        if self._formula or (text and any(each.left <= self._column <= each.right for each in self._arrays)):
            return Cell(self._column, text, Form.FORMULA)
        if not text:
            return None
        match self._type:
            case "s":
                index = _whole(text.strip())
                if index >= len(self._strings):
                    raise _broken(f"text {index} of row {self._row} is missing")
                text = self._strings[index]
                return Cell(self._column, text) if text else None
            case "n":
                return Cell(self._column, text, Form.NUMBER)
            case "b":
                return Cell(self._column, "true" if text.strip() == "1" else "false")
            case "e":
                return Cell(self._column, text, Form.ERROR)
            case _:
                # Also "str": Excel has it for a formula's text, common libraries for any.
                return Cell(self._column, _unescaped(text))

    def _note(self, name: str, attributes: dict[str, str]) -> None:
        assert self._facts is not None
        if name == "mergeCell" and len(self._facts.merged) < MAX_CELLS:
            ref = attributes.get("ref", "")
            self._facts.merged.append(ref if _RANGE.fullmatch(ref) else "?")
        elif name == "col" and attributes.get("hidden") in _TRUE and len(self._facts.hidden) < MAX_CELLS:
            self._facts.hidden.append((_whole(attributes.get("min", "")), _whole(attributes.get("max", ""))))


def _unescaped(text: str) -> str:
    """A text with its ``_x000D_`` made the characters they stand for (ECMA-376 22.9.2.19, ST_Xstring)."""
    return _ESCAPED.sub(_character, text) if "_x" in text else text


def _character(escaped: re.Match[str]) -> str:
    code = int(escaped[1], 16)
    return escaped[0] if code in _SURROGATES else chr(code)


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise _broken(f"{text[:20]!r} where a whole number belongs")
    return int(text)
