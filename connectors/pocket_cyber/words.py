"""The sentences people with handhelds get back, in Persian and in English."""

from typing import Final

from schemas.reasons import PERSIAN, Reason

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    # what was sent
    "local_id": (
        "id باید ۱ تا ۳۶ نویسه از حروف لاتین، رقم، نقطه، خط تیره و زیرخط باشد",
        "id must be 1 to 36 Latin letters, digits, dots, hyphens and underscores",
    ),
    "at_missing": ("زمان ثبت در دستگاه (at) لازم است و نیامده", "at, the time on the device, is required and missing"),
    "at_unreadable": (
        "{value} زمان درستی نیست؛ مانند 2024-04-19T15:04:00Z بنویسید",
        "{value} is not a time; write it like 2024-04-19T15:04:00Z",
    ),
    "not_taken": ("{name} از دستگاه پذیرفته نمی‌شود", "{name} isn't taken from a handheld"),
    "visit_unreadable": ("ویزیت خوانا نیست: {problem}", "the visit can't be read: {problem}"),
    "item_too_large": (
        "سند از {limit} بایت بزرگ‌تر است؛ آن را چند سند کنید",
        "the document is larger than {limit} bytes; make it several",
    ),
    "from_future": (
        "تاریخ {value} در آینده است؛ ساعت دستگاه را درست کنید",
        "{value} lies in the future; set the device's clock right",
    ),
    "too_old": (
        "{value} بیش از {days} روز پیش است؛ ساعت دستگاه را درست کنید یا سند را در حسابگر وارد کنید",
        "{value} is more than {days} days ago; set the device's clock right, or enter it in the books",
    ),
    "conflict": (
        "سند {id} با ویرایش {revision} پیش‌تر با محتوای دیگری پذیرفته شده است؛ برای تغییر، ویرایش را بالا ببرید",
        "{id} was taken before with other content as revision {revision}; to change it, send a higher revision",
    ),
    "visit_conflict": (
        "ویزیت {id} پیش‌تر با محتوای دیگری پذیرفته شده است",
        "visit {id} was taken before with other content",
    ),
    # limits
    "kind_not_allowed": (
        "این دستگاه اجازهٔ فرستادن {kind} ندارد",
        "this handheld may not send a {kind}",
    ),
    "visits_not_allowed": ("این دستگاه ویزیت نمی‌فرستد", "this handheld sends no visits"),
    "not_on_route": ("مشتری {code} در مسیر شما نیست", "customer {code} isn't on your route"),
    "not_own_account": ("فقط برای حساب خودتان ({code}) سفارش بدهید", "order for your own account ({code}) only"),
    "outside_groups": (
        "کالای {code} از گروه‌های کالایی شما نیست",
        "product {code} isn't of your product groups",
    ),
    "discount_ceiling": (
        "تخفیف ردیف از سقف {percent}٪ بیشتر است",
        "the line's discount is above the ceiling of {percent} %",
    ),
    "warehouse_not_allowed": ("فروش از انبار {code} برای شما باز نیست", "you may not sell from warehouse {code}"),
    "credit_not_allowed": ("فروش نسیه برای شما باز نیست؛ نقدی بفروشید", "you may not sell on credit; sell for cash"),
    # prices
    "price_changed": (
        "قیمت {code} اکنون {ours} است نه {theirs}",
        "the price of {code} is now {ours}, not {theirs}",
    ),
    "repriced": (
        "قیمت {code} از {theirs} به {ours} اصلاح شد",
        "the price of {code} was changed from {theirs} to {ours}",
    ),
    # the exchange
    "no_token": (
        "توکن دستگاه در سرآیند Authorization: Bearer نیامده است",
        "the device's token isn't there; send it as Authorization: Bearer",
    ),
    "bad_token": (
        "توکن دستگاه معتبر نیست: باطل، منقضی یا جایگزین شده است؛ دستگاه را دوباره ثبت کنید",
        "the device's token isn't good: revoked, expired or replaced; enrol the device anew",
    ),
    "bad_code": (
        "کد ثبت درست نیست، استفاده شده یا مهلتش گذشته است؛ کد تازه بگیرید",
        "the enrolment code is wrong, used or expired; ask for a new one",
    ),
    "too_many_tries": (
        "کد نادرست بسیار آمده است؛ {seconds} ثانیهٔ دیگر دوباره بکوشید",
        "too many tries at enrolment; try again in {seconds} s",
    ),
    "no_holder": (
        "«{holder}» در پیکربندی این اتصال نیست؛ کد را درست کنید یا در holders بیاورید",
        "{holder} isn't among the holders of this connector; mend the code, or list it in holders",
    ),
    "no_account": ("حساب {holder} تعریف نشده یا غیرفعال است", "account {holder} isn't known, or is inactive"),
    "no_device": ("دستگاهی با این شناسه نیست", "there is no device with this id"),
    "no_document": ("از این دستگاه سندی با این شناسه نرسیده است", "no document with this id came from this holder"),
    "body": ("متن درخواست خوانا نیست: {problem}", "the body can't be read: {problem}"),
    "limit": ("limit باید عددی از ۱ تا {limit} باشد", "limit must be a number from 1 to {limit}"),
    "too_many_items": (
        "بسته {count} مورد دارد؛ در هر بسته حداکثر {limit} مورد بفرستید",
        "the batch has {count} items; send at most {limit} at a time",
    ),
    "busy": ("در همین لحظه دستگاه دیگری همین را نوشت؛ دوباره بفرستید", "it was written to meanwhile; send it again"),
    "documents_only": (
        "از این پوشه فقط فایل اسناد و ویزیت‌ها پذیرفته می‌شود",
        "only files of documents and of visits are taken from this folder",
    ),
}


def sentence(code: str, /, *, line: int | None = None, at: str | None = None, **data: object) -> Reason:
    """A reason of this connector's own, its two sentences filled in; whole numbers are grouped."""
    fa, en = SENTENCES[code]
    shown = {key: f"{value:,}" if type(value) is int else value for key, value in data.items()}
    named = {"kind": PERSIAN[str(shown["kind"])]} if "kind" in shown else {}
    return Reason(code, fa.format_map(shown | named), en.format_map(shown), line, at)
