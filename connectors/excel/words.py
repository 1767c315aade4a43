"""The words of these workbooks: headings, kinds, states, and the sentences people get back."""

from typing import Final

from connectors.files import words as files
from schemas.documents import Kind, Payment, State
from schemas.reasons import Reason

spelling = files.spelling

KINDS: Final[dict[Kind, str]] = {
    Kind.SALES_INVOICE: "فاکتور فروش",
    Kind.SALES_RETURN: "برگشت از فروش",
    Kind.TRANSFER: "انتقال بین انبار",
    Kind.GOODS_RECEIPT: "رسید انبار",
    Kind.GOODS_ISSUE: "حواله انبار",
}
"""The kinds that come by workbook, as a template writes them: in its drop-downs and as its sheets' names."""

PAYMENTS: Final[dict[Payment, str]] = {Payment.CREDIT: "اعتباری", Payment.CASH: "نقدی"}

STATES: Final[dict[State, str]] = {
    State.HELD: "در انتظار تأیید",
    State.CLEARED: "تأییدشده",
    State.REJECTED: "ردشده",
    State.BACKORDERED: "در انتظار موجودی",
    State.POSTING: "در حال ثبت",
    State.POSTED: "ثبت‌شده",
    State.POST_FAILED: "ثبت نشد",
    State.CANCELLED: "لغوشده",
    State.EXPIRED: "منقضی",
}

RESULT: Final = "نتیجه"
NUMBER: Final = "شماره ثبت"
WHY: Final = "دلیل"
WHY_EN: Final = "Why"
RESULT_COLUMNS: Final = (RESULT, NUMBER, WHY, WHY_EN)
"""What a result workbook adds; passed over when it is mended and sent back."""

_PASSED_OVER: Final = frozenset(spelling(name) for name in RESULT_COLUMNS)

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    field: names for field, names in files.HEADINGS["documents"].items() if field not in ("amount", "method")
}
"""Each column's Persian headings; its English one is the field's own name. The first is what templates show."""

_FIELD_OF: Final = {spelling(name): field for field, names in FIELDS.items() for name in (field, *names)}

DATES: Final = frozenset({"date", "original_date"})
REQUIRED: Final = ("source_id", "date", "product", "quantity")

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    # what is asked for by HTTP
    "workbook_unknown": ("کارپوشه‌ای با این شناسه نیست", "there is no workbook of that id"),
    "workbook_not_ready": (
        "کارپوشه هنوز در دست کار است؛ وقتی phase آن done شد دوباره بپرسید",
        "the workbook is still worked on; ask again when its phase is done",
    ),
    "template_unknown": ("چنین الگویی نیست؛ الگوها: {known}", "there is no such template; there are {known}"),
    # the whole workbook
    "not_workbook": (
        "این فایل کارپوشهٔ اکسل (xlsx) نیست؛ در اکسل با Save As و نوع Excel Workbook ذخیره کنید",
        "this isn't an Excel workbook (.xlsx); in Excel, save it as Excel Workbook",
    ),
    "locked": (
        "کارپوشه رمز دارد یا به شکل قدیمی xls است؛ رمز را بردارید و با نوع Excel Workbook (xlsx) ذخیره کنید",
        "the workbook has a password or is an old .xls; take the password away and save it as Excel Workbook (.xlsx)",
    ),
    "workbook_broken": (
        "کارپوشه خراب است ({problem})؛ آن را در اکسل باز و دوباره ذخیره کنید",
        "the workbook is damaged ({problem}); open it in Excel and save it again",
    ),
    "workbook_too_large": (
        "کارپوشه از {limit} بایت بزرگ‌تر است؛ آن را چند کارپوشه کنید",
        "the workbook is larger than {limit} bytes; make it several",
    ),
    "workbook_unsafe": (
        "کارپوشه {what} دارد و خوانده نمی‌شود؛ داده‌ها را در یک کارپوشهٔ تازه از الگو بگذارید",
        "the workbook has {what} and isn't read; put the data into a new workbook made from the template",
    ),
    "too_many_rows": (
        "کارپوشه بیش از {limit} ردیف دارد؛ آن را چند کارپوشه کنید",
        "the workbook has more than {limit} rows; make it several",
    ),
    "workbook_empty": (
        "هیچ برگهٔ پیدایی ردیفی ندارد؛ ردیف‌ها را زیر عنوان‌های الگو بنویسید",
        "no visible sheet has a row; write the rows below the template's headings",
    ),
    # one sheet
    "sheet_unknown": (
        "برگهٔ «{sheet}» عنوان‌های الگو را ندارد؛ آن را پاک یا پنهان کنید، یا از الگو بردارید",
        "the sheet \"{sheet}\" hasn't the template's headings; delete or hide it, or take the template",
    ),
    "column_unknown": (
        "ستون «{name}» شناخته نیست؛ نامش را درست کنید یا ستون را پاک کنید. ستون‌ها: {known}",
        'there is no column "{name}"; mend its name or delete the column. Known: {known}',
    ),
    "column_missing": (
        "ستون «{title}» ({name}) لازم است و نیامده؛ آن را بیفزایید",
        'the column "{title}" ({name}) is required and missing; add it',
    ),
    "column_twice": (
        "این ستون و ستون {first} یک فیلدند؛ یکی را پاک کنید",
        "this column and column {first} are one field; delete one of them",
    ),
    "column_hidden": (
        "این ستون پنهان است؛ آن را نمایان یا پاک کنید",
        "this column is hidden; show it or delete it",
    ),
    "merged": (
        "خانه‌های {range} ادغام شده‌اند؛ ادغام را بردارید و هر خانه را پر کنید",
        "the cells {range} are merged; unmerge them and fill in each cell",
    ),
    "kind_unknown": (
        "نوع سند معلوم نیست؛ ستون «نوع سند» را پر کنید یا نام برگه را یکی از این‌ها بگذارید: {kinds}",
        "the kind of document isn't told; fill in its column, or name the sheet one of {kinds}",
    ),
    # one cell or row
    "formula": (
        "این خانه فرمول دارد؛ مقدار را به جای فرمول بنویسید (Paste Special, Values)",
        "this cell has a formula; put its value in its place (Paste Special, Values)",
    ),
    "cell_error": (
        "این خانه خطای اکسل دارد ({value})؛ مقدار درست را بنویسید",
        "this cell has one of Excel's errors ({value}); write the right value",
    ),
    "cell_broken": ("مقدار این خانه خوانده نمی‌شود؛ آن را دوباره بنویسید", "this cell can't be read; write it again"),
    "number_beyond_excel": (
        "اکسل از عدد بیش از ۱۵ رقم را نگه نمی‌دارد؛ قالب خانه را Text کنید و دوباره بنویسید",
        "Excel keeps 15 digits of a number and lost the rest; format the cell as Text and write it again",
    ),
    "not_serial": (
        "{value} تاریخ نیست؛ مانند 1403/01/31 یا 2024-04-19 بنویسید",
        "{value} is not a date; write it like 1403/01/31 (Jalali) or 2024-04-19 (ISO)",
    ),
    "no_heading": (
        "بالای این خانه عنوانی نیست؛ آن را پاک کنید یا به ستونی ببرید که عنوان دارد",
        "there is no heading above this cell; clear it or move it to a column that has one",
    ),
    "row_hidden": (
        "این ردیف پنهان است؛ آن را نمایان یا پاک کنید تا چیزی نادیده ثبت نشود",
        "this row is hidden; show it or delete it, so that nothing is posted unseen",
    ),
    "source_id_missing": ("شماره سند باید در هر ردیف باشد", "the document's own number must stand in every row"),
    "header_differs": ("با ردیف {row} همین سند یکی نیست", "differs from row {row} of the same document"),
    "rows_scattered": (
        "ردیف‌های سند {source_id} پشت سر هم نیستند؛ ردیف‌ها را بر پایهٔ شماره سند مرتب کنید",
        "the rows of document {source_id} don't stand together; sort the rows by document",
    ),
    "beside_unreadable": (
        "ردیف {row} در کنار این سند شماره سند ندارد؛ شاید سند ناقص باشد",
        "row {row} beside this document has no document number, so the document may be incomplete",
    ),
    "kind_not_here": (
        "سند «{kind}» با اکسل گرفته نمی‌شود؛ یکی از این‌ها: {kinds}",
        "documents of kind {kind} don't come by Excel; they are {kinds}",
    ),
    "document_too_large": (
        "سند از {limit} بایت بزرگ‌تر است؛ آن را چند سند کنید",
        "the document is larger than {limit} bytes; make it several",
    ),
    # what became of a document
    "repeated": (
        "این سند پیش‌تر با همین محتوا آمده بود و دوباره گرفته نشد",
        "this document came before with the same content and wasn't taken again",
    ),
    "undecided": (
        "فرستاده شد و هنوز تصمیمی دربارهٔ آن گرفته نشده",
        "it was handed over and isn't decided yet",
    ),
    "not_taken": ("گرفته نشد", "not taken"),
}


def sentence(code: str, /, **data: object) -> Reason:
    """A reason of this connector's own, its two sentences filled in; whole numbers are grouped."""
    fa, en = SENTENCES[code]
    shown = {key: f"{value:,}" if type(value) is int else value for key, value in data.items()}
    return Reason(code, fa.format_map(shown), en.format_map(shown))


def field_of(heading: str) -> str | None:
    """The field a heading means; "" for one of a result workbook's own; None: it means nothing."""
    spelt = spelling(heading)
    return "" if spelt in _PASSED_OVER else _FIELD_OF.get(spelt)


def kind_of(name: str) -> Kind | None:
    """The kind a sheet's name tells, in Persian or English; Excel's own numbering of copies is passed over."""
    spelt = spelling(name.partition("(")[0])
    value = files.VALUE_OF["kind"].get(spelt)
    if isinstance(value, Kind):
        return value
    return next((kind for kind in Kind if spelling(kind) == spelt), None)


def meant(field: str, written: str) -> object:
    """The value a cell's words stand for, such as a kind's Persian name; else the words."""
    meanings = files.VALUE_OF.get(field)
    return meanings.get(spelling(written), written) if meanings else written
