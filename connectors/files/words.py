"""The words people use in these files: which names mean which field or value, and the sentences they get back."""

from typing import Final

from schemas import text
from schemas.documents import Kind, Method, Payment
from schemas.master import CodeList
from schemas.reasons import Reason
from schemas.visits import VisitOutcome

DOCUMENTS: Final = "documents"
VISITS: Final = "visits"
"""What visitors did: only connectors to their handhelds take such files."""

FILE_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "documents": ("document", "اسناد", "سند"),
    "accounts": ("account", "حساب", "طرف حساب", "مشتری"),
    "products": ("product", "کالا"),
    "warehouses": ("warehouse", "انبار"),
    "stock": ("stock", "موجودی"),
    "finance": ("finance", "مالی", "اعتبار"),
    "lists": ("list", "فهرست"),
    "visits": ("visit", "ویزیت"),
}
"""What a file holds, by how its name begins."""

HEADINGS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "documents": {
        "source_id": ("شماره سند", "شناسه"),
        "kind": ("نوع سند", "نوع"),
        "date": ("تاریخ", "تاریخ سند"),
        "account": ("کد حساب", "حساب", "کد مشتری", "مشتری"),
        "revision": ("ویرایش",),
        "currency": ("ارز",),
        "payment": ("نحوه پرداخت", "تسویه"),
        "to_warehouse": ("انبار مقصد",),
        "original": ("سند اصلی", "فاکتور اصلی"),
        "original_date": ("تاریخ سند اصلی", "تاریخ فاکتور اصلی"),
        "amount": ("مبلغ دریافتی", "مبلغ"),
        "method": ("روش دریافت",),
        "tax": ("مالیات و عوارض",),
        "note": ("شرح", "توضیحات"),
        "hold": ("دلیل نگه داشتن",),
        "number": ("ردیف",),
        "product": ("کد کالا", "کالا"),
        "quantity": ("مقدار", "تعداد"),
        "unit_price": ("فی", "قیمت واحد", "قیمت"),
        "discount": ("تخفیف",),
        "warehouse": ("انبار", "کد انبار"),
        "attribute": ("مشخصه",),
        "vat": ("مالیات", "مالیات ارزش افزوده"),
        "duty": ("عوارض",),
    },
    "accounts": {
        "code": ("کد حساب", "کد", "کد مشتری"),
        "name": ("نام حساب", "نام", "نام مشتری"),
        "vat_exempt": ("معاف از مالیات",),
        "active": ("فعال",),
        "phones": ("تلفن", "تلفن ها"),
        "city": ("شهر",),
        "cost_centre": ("مرکز هزینه",),
        "group": ("گروه",),
        "emails": ("ایمیل", "رایانامه"),
        "ledger": ("حساب معین", "معین"),
        "detail_group": ("گروه تفصیلی",),
    },
    "products": {
        "code": ("کد کالا", "کد"),
        "name": ("نام کالا", "نام"),
        "unit": ("واحد",),
        "price": ("قیمت", "فی", "قیمت واحد"),
        "vat_exempt": ("معاف از مالیات",),
        "vat_percent": ("درصد مالیات",),
        "duty_percent": ("درصد عوارض",),
        "stocked": ("موجودی دارد",),
        "active": ("فعال",),
        "group": ("گروه",),
        "second_unit": ("واحد دوم",),
        "barcode": ("بارکد",),
    },
    "warehouses": {
        "code": ("کد انبار", "کد"),
        "name": ("نام انبار", "نام"),
        "active": ("فعال",),
    },
    "stock": {
        "product": ("کد کالا", "کالا"),
        "warehouse": ("کد انبار", "انبار"),
        "on_hand": ("موجودی",),
        "as_of": ("زمان", "تاریخ"),
        "attribute": ("مشخصه",),
    },
    "finance": {
        "account": ("کد حساب", "حساب", "کد مشتری"),
        "as_of": ("زمان", "تاریخ"),
        "direct": ("اعتبار مستقیم",),
        "documentary": ("اعتبار اسنادی",),
        "balance": ("مانده",),
        "uncleared_cheques": ("چک های وصول نشده",),
        "returned_cheques": ("چک های برگشتی",),
    },
    "lists": {
        "list": ("فهرست", "نوع"),
        "code": ("کد",),
        "name": ("نام",),
        "product": ("کد کالا", "کالا"),
        "parent": ("بالاتر", "استان"),
        "active": ("فعال",),
    },
    "visits": {
        "source_id": ("شماره ویزیت", "شناسه"),
        "account": ("کد حساب", "حساب", "کد مشتری", "مشتری"),
        "began_at": ("آغاز", "زمان"),
        "outcome": ("نتیجه",),
        "ended_at": ("پایان",),
        "reason": ("دلیل",),
        "latitude": ("عرض جغرافیایی",),
        "longitude": ("طول جغرافیایی",),
        "note": ("شرح", "توضیحات"),
    },
}
"""Each field's Persian headings; its English one is the field's own name. The first is what templates show."""

_FLAGS: Final[dict[str, object]] = {
    "true": True,
    "yes": True,
    "1": True,
    "بله": True,
    "بلی": True,
    "دارد": True,
    "false": False,
    "no": False,
    "0": False,
    "خیر": False,
    "ندارد": False,
}

VALUES: Final[dict[str, dict[str, object]]] = {
    "kind": {
        "پیش فاکتور": Kind.QUOTE,
        "سفارش": Kind.SALES_ORDER,
        "سفارش فروش": Kind.SALES_ORDER,
        "فاکتور": Kind.SALES_INVOICE,
        "فاکتور فروش": Kind.SALES_INVOICE,
        "برگشت از فروش": Kind.SALES_RETURN,
        "سفارش خرید": Kind.PURCHASE_ORDER,
        "فاکتور خرید": Kind.PURCHASE_INVOICE,
        "دریافت": Kind.RECEIPT,
        "رسید دریافت": Kind.RECEIPT,
        "انتقال": Kind.TRANSFER,
        "انتقال بین انبار": Kind.TRANSFER,
        "حواله": Kind.GOODS_ISSUE,
        "حواله انبار": Kind.GOODS_ISSUE,
        "رسید انبار": Kind.GOODS_RECEIPT,
    },
    "payment": {"نقد": Payment.CASH, "نقدی": Payment.CASH, "اعتباری": Payment.CREDIT, "نسیه": Payment.CREDIT},
    "method": {"نقد": Method.CASH, "نقدی": Method.CASH, "کارت": Method.CARD, "چک": Method.CHEQUE},
    "outcome": {
        "فروش": VisitOutcome.SALE,
        "سفارش": VisitOutcome.ORDER,
        "دریافت": VisitOutcome.RECEIPT,
        "بدون فروش": VisitOutcome.NO_SALE,
        "بسته": VisitOutcome.CLOSED,
    },
    "list": {
        "مشخصه": CodeList.ATTRIBUTE,
        "گروه کالا": CodeList.PRODUCT_GROUP,
        "گروه حساب": CodeList.ACCOUNT_GROUP,
        "گروه تفصیلی": CodeList.DETAIL_GROUP,
        "معین": CodeList.LEDGER,
        "حساب معین": CodeList.LEDGER,
        "شهر": CodeList.CITY,
        "مرکز هزینه": CodeList.COST_CENTRE,
    },
    "vat_exempt": _FLAGS,
    "active": _FLAGS,
    "stocked": _FLAGS,
}
"""What may stand in a cell instead of the value itself, by field."""

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    # the whole file
    "file_unknown": (
        "از نام فایل معلوم نیست چه دارد؛ نام باید با یکی از این‌ها آغاز شود: {known}، و پسوند csv یا jsonl باشد",
        "the name doesn't say what the file holds; begin it with one of {known} and end it with .csv or .jsonl",
    ),
    "file_empty": ("فایل خالی است", "the file is empty"),
    "file_binary": (
        "فایل متن نیست؛ از اکسل با «CSV UTF-8» ذخیره کنید",
        "the file isn't text; from Excel, save it as CSV UTF-8",
    ),
    "column_unknown": (
        "ستون «{name}» شناخته نیست؛ نامش را درست کنید یا در ignore_columns بیاورید. ستون‌ها: {known}",
        'there is no column "{name}"; mend its name or list it in ignore_columns. Known: {known}',
    ),
    "column_missing": (
        "ستون {name} ({title}) لازم است و نیامده",
        "the column {name} ({title}) is required and missing",
    ),
    "column_twice": ("ستون‌های «{first}» و «{second}» یک فیلدند", 'the columns "{first}" and "{second}" are one field'),
    "heading_unreadable": (
        "سطر نخست (عنوان ستون‌ها) خوانده نمی‌شود",
        "the first row, with the columns' headings, can't be read",
    ),
    "too_many_documents": (
        "فایل بیش از {limit} سند دارد؛ آن را چند فایل کنید یا JSON Lines بنویسید",
        "the file has more than {limit} documents; split it, or write JSON Lines",
    ),
    # one row
    "row_too_long": ("ردیف بیش از {limit} بایت دارد", "the row has more than {limit} bytes"),
    "row_not_text": ("نویسه‌های ردیف با {encoding} خوانده نمی‌شوند", "the row's bytes aren't {encoding}"),
    "row_quotes": ('گیومهٔ (") ردیف بسته نشده یا جابه‌جاست', 'a quotation mark (") is misplaced or not closed'),
    "row_too_wide": (
        "ردیف {cells} خانه دارد و عنوان‌ها {columns} تا هستند",
        "the row has {cells} cells for {columns} headings",
    ),
    "source_id_missing": (
        "شماره سند باید در هر ردیف باشد",
        "the document's own id must stand in every row",
    ),
    # one document
    "header_differs": (
        "با ردیف {row} همین سند یکی نیست",
        "differs from row {row} of the same document",
    ),
    "rows_scattered": (
        "ردیف‌های سند {source_id} پشت سر هم نیستند؛ فایل را بر پایهٔ شماره سند مرتب کنید",
        "the rows of document {source_id} don't stand together; sort the file by document",
    ),
    "beside_unreadable": (
        "ردیف {row} در کنار این سند خوانده نشد؛ شاید سند ناقص باشد",
        "row {row} beside this document can't be read, so the document may be incomplete",
    ),
    "document_too_large": (
        "سند از {limit} بایت بزرگ‌تر است؛ آن را چند سند کنید",
        "the document is larger than {limit} bytes; make it several",
    ),
    "summary": (
        "{accepted} سند یا رکورد پذیرفته شد و {refused} مورد نه",
        "{accepted} documents or records were taken, {refused} were not",
    ),
}


def sentence(code: str, /, **data: object) -> Reason:
    """A reason of this connector's own, its two sentences filled in; whole numbers are grouped."""
    fa, en = SENTENCES[code]
    shown = {key: f"{value:,}" if type(value) is int else value for key, value in data.items()}
    return Reason(code, fa.format_map(shown), en.format_map(shown))


def spelling(words: str) -> str:
    """Words as they are compared: one spelling of letters and digits, no case, no blanks (line breaks in a cell too),
    underscores, hyphens or half-spaces."""
    plain = text.code(words).casefold()
    return "".join(character for character in plain if not character.isspace() and character not in "_-\u200c")


FIELD_OF: Final[dict[str, dict[str, str]]] = {
    kind: {spelling(name): field for field, names in fields.items() for name in (field, *names)}
    for kind, fields in HEADINGS.items()
}
"""For each kind of file, the field a heading means, by the heading's spelling."""

VALUE_OF: Final[dict[str, dict[str, object]]] = {
    field: {spelling(word): value for word, value in words.items()} for field, words in VALUES.items()
}
"""For each field, the value a word means, by the word's spelling."""

KIND_OF: Final[dict[str, str]] = {spelling(name): kind for kind, names in FILE_NAMES.items() for name in names}
"""The kind of file by the spelling of its name's beginning."""
