"""The workbooks people fill in: one for each kind, and one with all kinds and many documents.

Headings are Persian with a note on each, sheets run right to left, kinds and payments are chosen from lists. A hidden
sheet holds the lists and the version of the template.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import xlsxwriter

from connectors.excel import words
from connectors.excel.results import HEADING, PLAIN
from schemas.documents import Kind

VERSION: Final = "peyvand-excel-1"
MANY: Final = "documents"
"""The template of many documents of any kind; the others are named by their kind."""
NAMES: Final = (MANY, *words.KINDS)

_ROWS: Final = 50_000
_REQUIRED: Final = {**HEADING, "bg_color": "#1F4E78"}
_OPTIONAL: Final = {**HEADING, "bg_color": "#7F7F7F"}
_LISTS: Final = "lists"


class _Column(NamedTuple):
    field: str
    note: str
    required: bool = False
    width: int = 16


_ID = _Column(
    "source_id", "شماره‌ای که سند نزد شما دارد؛ در هر ردیف همان سند تکرار شود.\nYour own number, on every row.", True
)
_KIND = _Column("kind", "نوع سند را از فهرست برگزینید.\nChoose the kind from the list.", True, 20)
_DATE = _Column("date", "مانند 1403/01/31 (متن) یا تاریخ اکسل.\nJalali text, ISO text or Excel's own date.", True)
_ACCOUNT = _Column("account", "کد طرف حساب در حساب‌گر.\nThe account's code in the books.")
_PAYMENT = _Column("payment", "اعتباری یا نقدی؛ خالی یعنی اعتباری.\nCredit or cash; empty is credit.")
_ORIGINAL = _Column("original", "شماره فاکتوری که برگشت می‌خورد.\nThe number of the invoice returned.")
_ORIGINAL_DATE = _Column(
    "original_date",
    "تاریخ فاکتور اصلی، اگر از این راه نیامده است.\nThe invoice's date, if it didn't come this way.",
)
_TO = _Column("to_warehouse", "کد انبار مقصد.\nThe receiving warehouse's code.", True)
_WAREHOUSE = _Column("warehouse", "کد انبار.\nThe warehouse's code.")
_PRODUCT = _Column("product", "کد کالا؛ هر ردیف یک کالا.\nThe product's code; one product a row.", True)
_QUANTITY = _Column("quantity", "بزرگ‌تر از صفر، تا ۵ رقم اعشار.\nAbove zero, at most 5 decimals.", True)
_PRICE = _Column(
    "unit_price",
    "ریال برای یک واحد؛ خالی یعنی قیمت فاکتور اصلی با سهمی از تخفیف آن، وگرنه قیمت کالا.\n"
    "Rials for one; empty: the original's price and its share of the discount there, else the product's own price.",
)
_DISCOUNT = _Column("discount", "ریال تخفیف برای همهٔ ردیف.\nRials off the whole row.")
_ATTRIBUTE = _Column("attribute", "مشخصهٔ کالا، اگر دارد.\nThe product's attribute, if it has one.")
_NOTE = _Column("note", "شرح سند.\nA note on the document.", width=30)

_SALE = (_ID, _DATE, _ACCOUNT, _PAYMENT, _WAREHOUSE, _PRODUCT, _QUANTITY, _PRICE, _DISCOUNT, _ATTRIBUTE, _NOTE)
_GOODS = (_ID, _DATE, _ACCOUNT, _WAREHOUSE, _PRODUCT, _QUANTITY, _ATTRIBUTE, _NOTE)
_COLUMNS: Final[dict[str, tuple[_Column, ...]]] = {
    MANY: (
        _ID,
        _KIND,
        *_SALE[1:5],
        _TO._replace(required=False),
        _ORIGINAL,
        _ORIGINAL_DATE,
        *_SALE[5:],
    ),
    Kind.SALES_INVOICE: _SALE,
    Kind.SALES_RETURN: (*_SALE[:4], _ORIGINAL, _ORIGINAL_DATE, *_SALE[4:]),
    Kind.TRANSFER: (_ID, _DATE, _WAREHOUSE._replace(required=True), _TO, _PRODUCT, _QUANTITY, _ATTRIBUTE, _NOTE),
    Kind.GOODS_RECEIPT: _GOODS,
    Kind.GOODS_ISSUE: _GOODS,
}


def template(name: str, warehouses: Sequence[str] = ()) -> bytes:
    """The template of a name in :data:`NAMES`; ``warehouses`` are the codes its lists offer."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True, **PLAIN}) as out:
        out.set_custom_property("PeyvandTemplate", VERSION)
        title = "اسناد" if name == MANY else words.KINDS[Kind(name)]
        page = out.add_worksheet(title)
        ranges = _lists(out, warehouses)
        page.right_to_left()
        page.freeze_panes(1, 0)
        page.set_row(0, 32)
        looks = {True: out.add_format(_REQUIRED), False: out.add_format(_OPTIONAL)}
        text = out.add_format({"num_format": "@"})
        for at, column in enumerate(_COLUMNS[name]):
            page.set_column(at, at, column.width, text)
            page.write_string(0, at, words.FIELDS[column.field][0], looks[column.required])
            page.write_comment(0, at, column.note, {"x_scale": 2})
            if column.field in ranges:
                page.data_validation(1, at, _ROWS, at, _choice(ranges[column.field], column.field))
    return buffer.getvalue()


def _choice(source: str, field: str) -> dict[str, Any]:
    # A warehouse may be newer than the list.
    strict = not field.endswith("warehouse")
    return {
        "validate": "list",
        "source": source,
        "error_type": "stop" if strict else "warning",
        "error_title": "از فهرست برگزینید",
        "error_message": "این مقدار در فهرست نیست. It isn't in the list.",
    }


def _lists(out: Any, warehouses: Sequence[str]) -> dict[str, str]:
    page = out.add_worksheet(_LISTS)
    page.very_hidden()
    page.write_string(0, 0, VERSION)
    found: dict[str, str] = {}
    for column, (field, values) in enumerate(_offered(warehouses), 1):
        for row, value in enumerate(values):
            page.write_string(row, column, value)
        letter = chr(ord("A") + column)
        found[field] = f"={_LISTS}!${letter}$1:${letter}${len(values)}"
    if warehouses:
        found["to_warehouse"] = found["warehouse"]
    return found


def _offered(warehouses: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    yield "kind", tuple(words.KINDS.values())
    yield "payment", tuple(words.PAYMENTS.values())
    if warehouses:
        yield "warehouse", warehouses
