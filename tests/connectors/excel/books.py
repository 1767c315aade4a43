"""Workbooks as tests make them: by a library, as people do; and part by part, as attackers do."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import xlsxwriter

HEADINGS = ("شماره سند", "تاریخ", "کد حساب", "انبار", "کد کالا", "مقدار", "فی")
INVOICES = "فاکتور فروش"

TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
RELATIONS = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
RELATION = (
    '<Relationship Id="{id}" Target="{target}" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}"/>'
)
MAIN = (
    '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    '<sheets><sheet name="فاکتور فروش" sheetId="1" r:id="r1"/></sheets></workbook>'
)
SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</worksheet>'
STRINGS = '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</sst>'


def made(sheets: Mapping[str, Sequence[Sequence[Any]]], **options: Any) -> bytes:
    """Sheets by name, each a table of values: str and numbers as Excel holds them, "=" begins a formula."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_urls": False, **options}) as out:
        for name, table in sheets.items():
            page = out.add_worksheet(name)
            for row, cells in enumerate(table):
                for column, value in enumerate(cells):
                    page.write(row, column, value)
    return buffer.getvalue()


def invoices(*rows: Sequence[Any], headings: Sequence[str] = HEADINGS, **options: Any) -> bytes:
    """One sheet of sales invoices."""
    return made({INVOICES: [headings, *rows]}, **options)


def row(source_id: str = "1", **changes: Any) -> list[Any]:
    """A row below :data:`HEADINGS`."""
    values: dict[str, Any] = {
        "source_id": source_id,
        "date": "1403/01/31",
        "account": "212",
        "warehouse": "11",
        "product": "P",
        "quantity": 2,
        "unit_price": 1000,
        **changes,
    }
    return list(values.values())


def cells(*rows: Sequence[str]) -> str:
    """The ``sheetData`` of rows of texts, inline."""
    told = "".join(
        f'<row r="{number}">' + "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in texts) + "</row>"
        for number, texts in enumerate(rows, 1)
    )
    return f"<sheetData>{told}</sheetData>"


def parts(sheet: str = "", strings: str = "") -> dict[str, str]:
    """The parts of a workbook of one sheet, to be spoilt."""
    related = RELATION.format(id="r1", target="worksheets/sheet1.xml", kind="worksheet")
    related += RELATION.format(id="r2", target="sharedStrings.xml", kind="sharedStrings")
    return {
        "[Content_Types].xml": TYPES,
        "_rels/.rels": RELATIONS.format(RELATION.format(id="r1", target="xl/workbook.xml", kind="officeDocument")),
        "xl/workbook.xml": MAIN,
        "xl/_rels/workbook.xml.rels": RELATIONS.format(related),
        "xl/sharedStrings.xml": STRINGS.format(strings),
        "xl/worksheets/sheet1.xml": SHEET.format(
            sheet or cells(HEADINGS, ("1", "1403/01/31", "212", "11", "P", "2", "1"))
        ),
    }


def packed(of: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of parts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in of.items():
            archive.writestr(name, content)
    return buffer.getvalue()
