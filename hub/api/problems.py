"""What is wrong with a request, told as problem+json (RFC 9457), always in both languages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from schemas.reasons import Reason

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """One kind of problem: its HTTP status and what it is called."""

    status: int
    en: str
    fa: str


KINDS: Final[dict[str, Kind]] = {
    "bad-request": Kind(400, "The request can't be understood", "درخواست خوانا نیست"),
    "malformed-json": Kind(400, "The body isn't JSON", "متن درخواست JSON نیست"),
    "unauthorized": Kind(401, "A valid API key is needed", "کلید معتبر لازم است"),
    "not-admitted": Kind(401, "The sender isn't admitted", "فرستنده پذیرفته نشد"),
    "forbidden": Kind(403, "This key may not do that", "این کلید اجازهٔ این کار را ندارد"),
    "not-found": Kind(404, "There is no such thing", "چنین چیزی نیست"),
    "method-not-allowed": Kind(405, "This method isn't taken here", "این روش اینجا پذیرفته نیست"),
    "timeout": Kind(408, "The body took too long to arrive", "رسیدن متن درخواست طول کشید"),
    "content-conflict": Kind(
        409, "Other content came before under this id and revision", "با این شناسه و ویرایش محتوای دیگری رسیده است"
    ),
    "command-refused": Kind(409, "The document doesn't allow that", "وضعیت سند این کار را نمی‌پذیرد"),
    "undecided": Kind(409, "The document isn't decided yet", "دربارهٔ سند هنوز تصمیمی گرفته نشده"),
    "too-many-webhooks": Kind(409, "The source has as many webhooks as it may", "تعداد وب‌هوک‌ها به سقف رسیده است"),
    "webhook-inactive": Kind(409, "The webhook is inactive", "وب‌هوک غیرفعال است"),
    "not-redelivered": Kind(409, "The delivery can't be sent again now", "این ارسال اکنون تکرارپذیر نیست"),
    "too-large": Kind(413, "The request is too large", "درخواست بزرگ‌تر از حد است"),
    "unsupported-media-type": Kind(415, "This content type isn't taken", "این نوع محتوا پذیرفته نیست"),
    "invalid": Kind(422, "Some fields are wrong", "برخی فیلدها نادرست است"),
    "too-many-requests": Kind(429, "Too many requests", "درخواست‌ها بیش از حد است"),
    "internal": Kind(500, "Something went wrong on our side", "خطایی در سمت ما رخ داد"),
    "unavailable": Kind(503, "A service behind the API doesn't answer", "سرویسی در پشت این API پاسخ نمی‌دهد"),
}


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong. ``field`` is its path in the body (``lines[0].quantity``) or a parameter's name."""

    field: str
    code: str
    message: str
    message_fa: str
    line: int | None = None
    """The number of the document's line."""


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem as RFC 9457 has it, with the Persian beside the English."""

    type: str
    title: str
    title_fa: str
    status: int
    detail: str
    detail_fa: str
    instance: str = ""
    """The path that was asked for."""
    request_id: str = ""
    """The id under which the log tells of it."""
    errors: tuple[FieldError, ...] = ()


class Problem(Exception):
    """What a handler raises; ``kind`` is a key of :data:`KINDS`, the two texts say what was wrong and what to do."""

    def __init__(
        self,
        kind: str,
        en: str,
        fa: str,
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{kind}: {en}")
        self.kind = kind
        self.en = en
        self.fa = fa
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        return KINDS[self.kind].status

    def details(self, instance: str = "", request_id: str = "") -> ProblemDetails:
        """The problem as it is sent."""
        kind = KINDS[self.kind]
        return ProblemDetails(
            type=f"urn:peyvand:problem:{self.kind}",
            title=kind.en,
            title_fa=kind.fa,
            status=kind.status,
            detail=self.en,
            detail_fa=self.fa,
            instance=instance,
            request_id=request_id,
            errors=self.errors,
        )

    def response(self, instance: str, request_id: str) -> web.Response:
        """The problem as an answer."""
        body = msgspec.json.encode(self.details(instance, request_id))
        return web.Response(status=self.status, body=body, content_type=MEDIA_TYPE, headers=self.headers)


def of_reasons(reasons: Sequence[Reason], kind: str = "invalid") -> Problem:
    """The problem a request's reasons make; what it says is the first, all are in ``errors``."""
    first, more = reasons[0], len(reasons) - 1
    en = f"{first.field}: {first.en}" if first.field else first.en
    fa = f"{first.field}: {first.fa}" if first.field else first.fa
    if more:
        en, fa = f"{en} (and {more} more)", f"{fa} (و {more} مورد دیگر)"
    return Problem(kind, en, fa, errors=map(_field_error, reasons))


def _field_error(reason: Reason) -> FieldError:
    return FieldError(reason.field or "", reason.code, reason.en, reason.fa, reason.line)


def unavailable(what: str) -> Problem:
    """Kafka or PostgreSQL is away; nothing is known to be lost, the same request may be sent again."""
    return Problem(
        "unavailable",
        f"{what} doesn't answer; send the same request again in a moment, it won't count twice",
        f"{what} پاسخ نمی‌دهد؛ کمی بعد همین درخواست را دوباره بفرستید، دو بار حساب نمی‌شود",
        headers={"Retry-After": "2"},
    )
