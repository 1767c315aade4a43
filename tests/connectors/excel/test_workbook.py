"""Hostile workbooks are refused with a sentence, before memory or time is lost; honest ones are read."""

import contextlib
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.excel import cells, importing, results, workbook
from connectors.excel.mapper import BadWorkbook, table_of
from connectors.excel.spec import MAX_BYTES, MAX_ROWS
from tests.connectors.excel import books


def looked_through(data: bytes) -> importing.Survey:
    with contextlib.closing(workbook.opened(io.BytesIO(data), MAX_BYTES)) as book:
        return importing.survey(book, MAX_ROWS)


def refusal(data: bytes) -> str:
    """The first sentence of what is told."""
    with pytest.raises(BadWorkbook) as refused:
        looked_through(data)
    assert all(problem.reason.fa and problem.reason.en for problem in refused.value.problems)
    return refused.value.problems[0].reason.en


def with_part(name: str, content: str | bytes) -> bytes:
    return books.packed({**books.parts(), name: content})


def test_the_parts_these_tests_spoil_are_a_good_workbook() -> None:
    assert looked_through(books.packed(books.parts())).rows == 1


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("xl/vbaProject.bin", "macros"),
        ("xl/macrosheets/sheet1.xml", "macros"),
        ("xl/externalLinks/externalLink1.xml", "links to other workbooks"),
        ("xl/embeddings/oleObject1.bin", "embedded objects"),
        ("xl/activeX/activeX1.xml", "embedded objects"),
        ("xl/connections.xml", "data connections"),
        ("xl/media/inner.zip", "other files in it"),
        ("inner.xlsx", "other files in it"),
        ("XL/Workbook.xml", "two parts of one name"),
    ],
)
def test_parts_that_have_no_place_are_refused(name: str, what: str) -> None:
    assert f"has {what} and isn't read" in refusal(with_part(name, b"x"))


def test_a_macro_workbook_under_the_name_of_a_plain_one_is_refused() -> None:
    types = books.TYPES.replace("application/xml", "application/vnd.ms-excel.sheet.macroEnabled.main+xml")
    assert "macros" in refusal(with_part("[Content_Types].xml", types))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: b"\xd0\xcf\x11\xe0" + b"\0" * 600, "password or is an old .xls"),
        (lambda: b"kind,date\n", "isn't an Excel workbook"),
        (lambda: b"", "isn't an Excel workbook"),
        (lambda: books.packed({"a.txt": "x"}), "isn't an Excel workbook"),
        (lambda: books.packed(books.parts())[:-30], "its end isn't that of a plain zip"),
        (lambda: b"PK\x03\x04" + b"\0" * (MAX_BYTES + 1), "larger than"),
        (lambda: books.packed({f"x{n}": b"" for n in range(1_001)}), "more than 1,000 parts"),
        (lambda: books.packed(books.parts(), zipfile.ZIP_BZIP2), "unusual way"),
        (lambda: with_part("xl/big.xml", b"\0" * 20_000_000), "too densely"),
        (lambda: with_part("xl/big.xml", bytes(range(256)) * 1_100_000), "bytes when unpacked"),
    ],
)
def test_a_zip_that_is_a_bomb_or_none_is_refused(make: Callable[[], bytes], says: str) -> None:
    assert says in refusal(make())


def test_a_directory_that_claims_to_be_endless_is_not_read() -> None:
    data = bytearray(books.packed(books.parts()))
    data[-22:] = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65_535, 65_535, 2**31, 0, 0)
    assert "more than 1,000 parts" in refusal(bytes(data))


def test_an_encrypted_part_is_refused() -> None:
    data = bytearray(books.packed(books.parts()))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    assert "encrypted parts" in refusal(bytes(data))


LAUGHS = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "part",
    ["[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/sharedStrings.xml", "xl/worksheets/sheet1.xml"],
)
def test_xml_with_entities_is_refused_in_every_part(part: str) -> None:
    parts = books.parts()
    assert "XML bomb" in refusal(books.packed({**parts, part: LAUGHS + parts[part]}))


@pytest.mark.parametrize(
    ("sheet", "says"),
    [
        ('<sheetData><row r="1"><c r="B2"/></row></sheetData>', "damaged"),
        ('<sheetData><row r="2"/><row r="1"/></sheetData>', "damaged"),
        ('<sheetData><row r="99999999"/></sheetData>', "damaged"),
        ('<sheetData><row r="1"><c t="s"><v>7</v></c></row></sheetData>', "damaged"),
        ('<sheetData><row r="1"><c r="ZZZ1"/></row></sheetData>', "damaged"),
        ("<sheetData><row></sheetData>", "damaged"),
        (books.cells([f"<![CDATA[{'x' * 40_000}]]>"]), "text of more than"),
        (books.cells(["x"] * 300), "more than 256 cells"),
        (f'<sheetData><row r="1" x="{"x" * 900_000}"/></sheetData>', "a tag of more than"),
        ("<sheetData/>", "no visible sheet has a row"),
    ],
)
def test_a_sheet_out_of_its_form_is_refused(sheet: str, says: str) -> None:
    assert says in refusal(books.packed(books.parts(sheet)))


def test_more_texts_than_a_workbook_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_STRING_COUNT", 3)
    assert "more than 3 texts" in refusal(books.packed(books.parts(strings="<si><t>x</t></si>" * 4)))


def test_what_a_sheet_claims_its_dimension_to_be_costs_nothing() -> None:
    data = '<dimension ref="A1:XFD1048576"/>' + books.cells(books.HEADINGS, ("1",))
    assert looked_through(books.packed(books.parts(data))).rows == 1


@pytest.mark.parametrize(
    ("sheets", "cell", "code"),
    [
        ({"فاکتور فروش": [("شماره سند", "تاریخ", "کد کالا")]}, "1", "column_missing"),
        ({"برگه": [books.HEADINGS]}, "1", "column_missing"),
        ({"فاکتور فروش": [(*books.HEADINGS, "تعداد")]}, "H1", "column_twice"),
        ({"فاکتور فروش": [(*books.HEADINGS, "رنگ")]}, "H1", "column_unknown"),
        ({"Sheet1": [("سلام",)]}, "A1", "sheet_unknown"),
    ],
)
def test_headings_are_told_by_their_cell(sheets: dict[str, list[tuple[str, ...]]], cell: str, code: str) -> None:
    with pytest.raises(BadWorkbook) as refused:
        looked_through(books.made(sheets))
    [problem] = refused.value.problems
    assert (problem.sheet, problem.cell, problem.reason.code) == (next(iter(sheets)), cell, code)


def test_merged_cells_and_hidden_columns_are_refused() -> None:
    columns = '<cols><col min="6" max="7" hidden="1"/></cols>'
    data = columns + books.cells(books.HEADINGS, ("1",)) + '<mergeCells><mergeCell ref="A2:A5"/></mergeCells>'
    with pytest.raises(BadWorkbook) as refused:
        looked_through(books.packed(books.parts(data)))
    assert [(each.cell, each.reason.code) for each in refused.value.problems] == [
        ("A2", "merged"),
        ("F1", "column_hidden"),
        ("G1", "column_hidden"),
    ]


def test_a_hidden_sheet_is_passed_over() -> None:
    main = books.MAIN.replace('sheetId="1"', 'sheetId="1" state="veryHidden"')
    assert "no visible sheet" in refusal(with_part("xl/workbook.xml", main))


def test_more_rows_than_are_taken_are_refused_at_the_first_too_many() -> None:
    book = workbook.opened(io.BytesIO(books.invoices(*[books.row(str(n)) for n in range(4)])), MAX_BYTES)
    with contextlib.closing(book), pytest.raises(BadWorkbook) as refused:
        importing.survey(book, 3)
    assert (refused.value.problems[0].cell, refused.value.problems[0].reason.code) == ("5", "too_many_rows")


def read(sheet: str, strings: str = "") -> list[tuple[cells.Cell, ...]]:
    data = io.BytesIO(books.packed(books.parts(f"<sheetData>{sheet}</sheetData>", strings)))
    with contextlib.closing(workbook.opened(data, MAX_BYTES)) as book:
        return [row.cells for row in book.rows(book.sheets[0])]


def test_text_that_libraries_write_as_a_formulas_is_text() -> None:
    """SheetJS and others have ``t="str"`` for every text; Excel for a formula's alone, beside the formula."""
    [[text, formula]] = read('<row><c t="str"><v>21201</v></c><c t="str"><f>A1</f><v>21201</v></c></row>')
    assert (text.text, text.form, formula.form) == ("21201", cells.Form.TEXT, cells.Form.FORMULA)


def test_what_an_array_formula_fills_is_a_formulas_too() -> None:
    rows = read(
        '<row><c><f t="array" ref="A1:A2">B1:B2</f><v>1</v></c><c><v>1</v></c></row>'
        "<row><c><v>2</v></c><c><v>2</v></c></row>"
        "<row><c><v>3</v></c><c><v>3</v></c></row>"
    )
    assert [[cell.form for cell in row] for row in rows] == [
        [cells.Form.FORMULA, cells.Form.NUMBER],
        [cells.Form.FORMULA, cells.Form.NUMBER],
        [cells.Form.NUMBER, cells.Form.NUMBER],
    ]


@pytest.mark.parametrize("ref", ["", "B2:A1", "A0", "x" * 99])
def test_an_array_formula_of_no_cells_is_refused(ref: str) -> None:
    sheet = f'<sheetData><row><c><f t="array" ref="{ref}">1</f><v>1</v></c></row></sheetData>'
    assert "damaged" in refusal(books.packed(books.parts(sheet)))


def test_array_formulas_without_end_are_refused() -> None:
    formula = '<c><f t="array" ref="A1:A9">1</f></c>'
    sheet = f"<sheetData><row>{formula * (workbook.MAX_ARRAYS + 1)}</row></sheetData>"
    assert "array formulas" in refusal(books.packed(books.parts(sheet)))


def test_characters_that_xml_has_no_other_way_for_are_read() -> None:
    [row] = read(
        '<row><c t="s"><v>0</v></c><c t="inlineStr"><is><t>a_x005F_x000D_</t></is></c>'
        "<c t='str'><v>_xD800_ _x00zz_</v></c></row>",
        "<si><t>ab_x000D_</t></si>",
    )
    assert [cell.text for cell in row] == ["ab\r", "a_x000D_", "_xD800_ _x00zz_"]


def test_headings_may_break_their_line() -> None:
    headings = [heading.replace(" ", "_x000D_\n") for heading in books.HEADINGS]
    assert looked_through(books.packed(books.parts(books.cells(headings, ("1",))))).rows == 1


def test_sheets_whose_names_would_be_one_get_names_of_their_own_in_the_result(tmp_path: Path) -> None:
    parts = books.parts()
    sheet = '<sheet name="{}" sheetId="1" r:id="r1"/>'
    names = ["Sheet 2", "SHEET 2", "Sheet 3", "", "a/b", "a'b"]
    main = parts["xl/workbook.xml"]
    at, end = main.index("<sheet "), main.index("</sheets>")
    parts["xl/workbook.xml"] = main[:at] + "".join(map(sheet.format, names)) + main[end:]
    result = tmp_path / "result.xlsx"
    with contextlib.closing(workbook.opened(io.BytesIO(books.packed(parts)), MAX_BYTES)) as book:
        table = table_of(books.INVOICES, next(book.rows(book.sheets[0])), since_1904=False)
        results.write(result, book, [(each, table, []) for each in book.sheets])
    with result.open("rb") as file, contextlib.closing(workbook.opened(file, MAX_BYTES)) as book:
        assert [each.name for each in book.sheets] == ["Sheet 2", "Sheet 3", "Sheet 4", "Sheet 5", "a b", "Sheet 6"]


@given(st.data())
def test_whatever_byte_is_spoilt_it_is_read_or_refused(data: st.DataObject) -> None:
    spoilt = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadWorkbook):
        looked_through(bytes(spoilt))


@given(st.text(alphabet='<>/="rcvtsif AZ19&;!-', max_size=80))
def test_whatever_stands_in_a_sheet_it_is_read_or_refused(sheet: str) -> None:
    with contextlib.suppress(BadWorkbook):
        looked_through(books.packed(books.parts(f"<sheetData>{sheet}</sheetData>")))


GOOD = books.packed(books.parts(), zipfile.ZIP_STORED)
