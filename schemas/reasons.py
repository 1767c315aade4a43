"""Why: every code a decision can carry, with its sentence in Persian and in English.

A sentence is a ``str.format`` template over the reason's data; the table is what the documentation is made from.
"""

from typing import Final

import msgspec


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One cause of an outcome. ``line`` is the line's number, ``field`` the path of the field in the request."""

    code: str
    fa: str
    en: str
    line: int | None = None
    field: str | None = None


SENTENCES: Final[dict[str, tuple[str, str]]] = {
    # what could not be read (schemas/intake.py)
    "not_json": ("متن JSON درستی نیست: {problem}", "this isn't valid JSON: {problem}"),
    "not_object": ("باید یک شیء JSON باشد، نه {value}", "must be a JSON object, not {value}"),
    "not_list": ("باید فهرست باشد، نه {value}", "must be a list, not {value}"),
    "not_text": ("باید متن باشد، نه {value}", "must be text, not {value}"),
    "not_flag": ("باید true یا false باشد، نه {value}", "must be true or false, not {value}"),
    "not_number": (
        "{value} عدد نیست؛ مانند 1234.5 یا 1,234.5 بنویسید",
        "{value} is not a number; write it like 1234.5 or 1,234.5",
    ),
    "not_whole": ("باید عدد صحیح باشد، نه {value}", "must be a whole number, not {value}"),
    "not_whole_rials": (
        "باید ریال و بدون اعشار باشد، نه {value}",
        "must be whole rials, not {value}",
    ),
    "number_too_long": ("عدد بیش از {limit} رقم دارد", "the number has more than {limit} digits"),
    "not_percent": ("باید درصدی از ۰ تا ۱۰۰ باشد، نه {value}", "must be a percentage from 0 to 100, not {value}"),
    "not_date": (
        "{value} تاریخ درستی نیست؛ مانند 1403/01/31 یا 2024-04-19 بنویسید",
        "{value} is not a date; write it like 1403/01/31 (Jalali) or 2024-04-19 (ISO)",
    ),
    "not_moment": (
        "{value} زمان درستی نیست؛ مانند 1403/01/31 15:04 یا 2024-04-19T15:04:00Z بنویسید",
        "{value} is not a time; write it like 1403/01/31 15:04 (Jalali, Tehran) or 2024-04-19T15:04:00Z",
    ),
    "not_choice": ("{value} پذیرفته نیست؛ یکی از این‌ها: {choices}", "{value} is not one of {choices}"),
    "bad_text": (
        "متن نویسه‌ای دارد که نمی‌توان نگه داشت (NUL یا نیمهٔ یک جفت جانشین)",
        "the text has a character that can't be kept (NUL or half of a surrogate pair)",
    ),
    "text_too_long": ("متن بلندتر از {limit} نویسه است", "the text has more than {limit} characters"),
    "unknown_field": ("فیلد {name} شناخته نیست؛ فیلدها: {known}", "{name} isn't a field here; the fields are {known}"),
    "required": ("{name} لازم است و نیامده", "{name} is required and isn't there"),
    # what was sent
    "lines_missing": ("سند هیچ ردیفی ندارد", "the document has no lines"),
    "too_many_lines": (
        "سند {count} ردیف دارد؛ حداکثر {limit} ردیف",
        "{count} lines; at most {limit} are taken",
    ),
    "duplicate_line": ("شمارهٔ ردیف {number} تکراری است", "line number {number} is used twice"),
    "line_number": ("شمارهٔ ردیف باید از ۱ به بالا باشد", "a line number must be 1 or more"),
    "quantity_not_positive": (
        "مقدار باید بزرگ‌تر از صفر باشد؛ {value} آمده است",
        "the quantity must be above zero; it is {value}",
    ),
    "quantity_decimals": (
        "مقدار {value} بیش از ۵ رقم اعشار دارد",
        "the quantity {value} has more than 5 decimal places",
    ),
    "quantity_absurd": (
        "مقدار {value} از حد {limit} بیشتر است",
        "the quantity {value} is above the limit of {limit}",
    ),
    "amount_negative": (
        "مبلغ نمی‌تواند منفی باشد؛ {value} آمده است",
        "the amount can't be negative; it is {value}",
    ),
    "amount_too_large": ("مبلغ از {limit} ریال بیشتر است", "the amount is above {limit} rials"),
    "amount_missing": ("مبلغ باید بزرگ‌تر از صفر باشد", "the amount must be above zero"),
    "discount_too_large": (
        "تخفیف {discount} از مبلغ ردیف {gross} بیشتر است",
        "the discount {discount} is more than the line's {gross}",
    ),
    "currency": (
        "ارز {value} پذیرفته نیست؛ مبلغ‌ها باید ریال (IRR) باشند",
        "currency {value} isn't taken; amounts are rials (IRR)",
    ),
    "field_missing": ("برای این نوع سند {field} لازم است", "this kind of document needs {field}"),
    "field_not_wanted": ("برای این نوع سند {field} معنا ندارد", "this kind of document has no {field}"),
    "same_warehouse": ("انبار مبدأ و مقصد یکی است", "the transfer's two warehouses are the same"),
    "invalid_code": (
        "{field} باید ۱ تا {limit} نویسه داشته باشد و هیچ‌یک نویسهٔ کنترلی نباشد",
        "{field} must have 1 to {limit} characters, none of them a control character",
    ),
    "revision": ("شمارهٔ ویرایش باید از ۱ به بالا باشد", "the revision must be 1 or more"),
    # master data
    "unknown_product": ("کالای {code} تعریف نشده است", "product {code} isn't known"),
    "inactive_product": ("کالای {code} غیرفعال است", "product {code} is inactive"),
    "unknown_warehouse": ("انبار {code} تعریف نشده است", "warehouse {code} isn't known"),
    "warehouse_missing": (
        "انبار نه در سربرگ آمده است و نه در ردیف",
        "no warehouse is named, on the line or the header",
    ),
    "unknown_account": ("حساب {code} تعریف نشده است", "account {code} isn't known"),
    "inactive_account": ("حساب {code} غیرفعال است", "account {code} is inactive"),
    "price_missing": (
        "کالای {code} نه در سند قیمت دارد و نه در تعریف کالا",
        "product {code} has no price, in the document or in its master data",
    ),
    # rules
    "closed_period": (
        "تاریخ {date} در دورهٔ مالی بسته است (تا {until})",
        "{date} lies in a closed fiscal period (up to {until})",
    ),
    "no_tax_rate": ("برای تاریخ {date} نرخ مالیاتی تعریف نشده است", "no tax rate is configured for {date}"),
    "stock_short": (
        "موجودی قابل فروش {product} در انبار {warehouse}، {sellable} است؛ {wanted} خواسته شده",
        "{product} in warehouse {warehouse}: {sellable} sellable, {wanted} wanted",
    ),
    "stock_partly": (
        "از {product} فقط {reserved} از {wanted} تأمین شد",
        "{product}: only {reserved} of {wanted} could be taken",
    ),
    "backordered": ("{short} از {product} در انتظار موجودی است", "{short} of {product} waits for stock"),
    "credit_exceeded": (
        "مبلغ {payable} از اعتبار لحظه‌ای {instant} بیشتر است",
        "{payable} is above the instant credit of {instant}",
    ),
    "tax_difference": (
        "مالیات فرستنده {theirs} و محاسبهٔ ما {ours} است",
        "the source's tax is {theirs}, ours {ours}",
    ),
    "original_unknown": ("سند اصلی {original} پیدا نشد", "the original document {original} isn't known"),
    "original_not_sale": (
        "سند اصلی {original} فروش معتبری نیست (وضعیت آن: {state})",
        "the original {original} isn't a valid sale (it is {state})",
    ),
    "original_not_order": (
        "سند {original} سفارش فروش معتبری نیست (وضعیت آن: {state})",
        "{original} isn't a valid sales order (it is {state})",
    ),
    "original_other_account": (
        "سند اصلی از حساب دیگری است ({account})",
        "the original belongs to another account ({account})",
    ),
    "return_too_much": (
        "از {product} حداکثر {left} قابل برگشت است؛ {wanted} خواسته شده",
        "{product}: at most {left} can be returned, {wanted} asked",
    ),
    "source_hold": ("فرستنده بررسی سند را خواسته است: {why}", "the source asks for someone to look at it: {why}"),
    "approval_rule": (
        "سیاست مبدأ {source} تأیید دستی می‌خواهد",
        "the policy of {source} asks for an approval",
    ),
    "waits_for_release": (
        "به سیاست مبدأ {source}، سند تا زمانی که کسی آن را آزاد نکند در حسابگر ثبت نمی‌شود",
        "the policy of {source} keeps it from the books until someone releases it",
    ),
    "never_posted": (
        "به سیاست مبدأ {source}، سند در هاب می‌ماند و در حسابگر ثبت نمی‌شود",
        "the policy of {source} keeps it in the hub; the books don't get it",
    ),
    # commands
    "unknown_document": ("سندی با این شناسه نیست", "there is no document with this id"),
    "stale_revision": (
        "ویرایش {revision} از ویرایش موجود {current} قدیمی‌تر است",
        "revision {revision} is older than the present {current}",
    ),
    "content_conflict": (
        "ویرایش {revision} پیش‌تر با محتوای دیگری رسیده است",
        "revision {revision} came before with other content",
    ),
    "kind_changed": (
        "نوع سند را نمی‌توان از {old} به {new} تغییر داد",
        "a document's kind can't change from {old} to {new}",
    ),
    "wrong_state": (
        "سند در وضعیت {state} است؛ {command} ممکن نیست",
        "the document is {state}; {command} isn't possible",
    ),
    "goods_in_use": (
        "کالای {product} این سند رزرو یا فروخته شده است",
        "the goods of {product} this document brought are already promised",
    ),
    "credit_in_use": ("اعتبار حاصل از این سند مصرف شده است", "the credit this document gave is already used"),
    "order_takes_back": (
        "کالای {product} انبار {warehouse} که به سفارش این سند برمی‌گردد به دیگران وعده داده شده است؛ نخست باقی‌ماندهٔ "
        "سفارش را لغو کنید",
        "{product} in {warehouse} would go back to this document's order and is promised to others by now; cancel what "
        "is left of the order first",
    ),
    "order_takes_credit_back": (
        "اعتباری که به سفارش این سند برمی‌گردد مصرف شده است؛ نخست باقی‌ماندهٔ سفارش را لغو کنید",
        "the credit that would go back to this document's order is used by now; cancel what is left of the order first",
    ),
    "has_invoices": (
        "برای این سفارش فاکتور ثبت شده است؛ باقی‌ماندهٔ آن را لغو کنید و سفارش تازه بفرستید",
        "an invoice was made from this order; cancel what is left of it and send a new order",
    ),
    "has_returns": ("از این سند برگشت ثبت شده است", "some of this document was already returned"),
    "not_due": ("زمان انقضا {due} نرسیده یا تغییر کرده است", "the reservation isn't due to expire ({due})"),
    "still_short": ("موجودی هنوز کافی نیست", "the stock still isn't enough"),
    "expired": ("مهلت رزرو در {due} تمام شد", "the reservation ran out at {due}"),
    "cancelled": ("سند لغو شد: {note}", "cancelled: {note}"),
    "refused": ("سند رد شد: {note}", "refused by an approver: {note}"),
    "approved": ("سند را {actor} تأیید کرد", "approved by {actor}"),
    "released": ("سند را {actor} برای ثبت در حسابگر آزاد کرد", "released to the books by {actor}"),
    "nothing_to_release": ("سند منتظر آزادسازی نیست", "nothing keeps this document from the books"),
    "posting_waits": (
        "در انتظار ثبت؛ حسابگر در دسترس نیست: {why}",
        "waits to be posted; the books can't take it now: {why}",
    ),
    "posting_waits_since": (
        "در انتظار ثبت؛ حسابگر از {since} در دسترس نیست: {why}",
        "waits to be posted; since {since} the books can't take it: {why}",
    ),
    "posting_failed": (
        "حسابگر سند را نپذیرفت: {message} ({number})",
        "the books refused the document: {message} ({number})",
    ),
}


PERSIAN: Final[dict[str, str]] = {
    # states
    "held": "در انتظار تأیید",
    "cleared": "تأییدشده",
    "rejected": "ردشده",
    "backordered": "در انتظار موجودی",
    "posting": "در حال ثبت در حسابگر",
    "posted": "ثبت‌شده در حسابگر",
    "post_failed": "ثبت ناموفق در حسابگر",
    "cancelled": "لغوشده",
    "expired": "منقضی‌شده",
    # kinds
    "quote": "پیش‌فاکتور",
    "sales_order": "سفارش فروش",
    "sales_invoice": "فاکتور فروش",
    "sales_return": "برگشت از فروش",
    "purchase_order": "سفارش خرید",
    "purchase_invoice": "فاکتور خرید",
    "receipt": "دریافت وجه",
    "transfer": "انتقال بین انبارها",
    "goods_issue": "حوالهٔ خروج کالا",
    "goods_receipt": "رسید ورود کالا",
    # commands
    "submit": "ارسال",
    "amend": "ویرایش",
    "approve": "تأیید",
    "refuse": "رد",
    "cancel": "لغو",
    "release": "آزادسازی",
    "expire": "انقضا",
    "reconsider": "بررسی دوباره",
    "posting_started": "آغاز ثبت در حسابگر",
    "posting_succeeded": "ثبت در حسابگر",
    "posting_failed": "خطای ثبت در حسابگر",
}
"""What states, kinds and commands are called in Persian, in sentences and on screens."""

_NAMES = ("state", "command", "old", "new")
"""The placeholders such names come in."""


def reason(code: str, /, *, line: int | None = None, at: str | None = None, **data: object) -> Reason:
    """The reason with its two sentences filled in. KeyError if the code isn't in the table.

    Whole numbers are grouped; data for sentences goes in as keywords, the field's path as ``at``.
    """
    fa, en = SENTENCES[code]
    shown = {key: f"{value:,}" if type(value) is int else value for key, value in data.items()}
    named = {name: PERSIAN.get(str(shown[name]), shown[name]) for name in _NAMES if name in shown}
    return Reason(code, fa.format_map(shown | named), en.format_map(shown), line, at)
