"""What may stand in a query: each parameter declared once, for the check and for the OpenAPI document."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import MAXYEAR, MINYEAR, date, datetime
from enum import StrEnum
from typing import Any

import msgspec
from multidict import MultiMapping

from hub.api.problems import of_reasons
from schemas import dates, text
from schemas.reasons import Reason, reason

MAX_TEXT = 200
MAX_CURSOR = 1_000
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")


class Unreadable(ValueError):
    """A parameter's value isn't what it takes."""

    def __init__(self, why: Reason) -> None:
        super().__init__(why.en)
        self.why = why


class Parameter(msgspec.Struct, frozen=True):
    """One query parameter. ``read`` makes the value of the text, or raises :exc:`Unreadable`."""

    name: str
    read: Callable[[str], Any]
    schema: Mapping[str, Any]
    description: str
    default: Any = None
    example: Any = None


def read_query(query: MultiMapping[str], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The values of a query, each parameter's default where it is absent. Raises a 422 Problem naming every error."""
    known = {parameter.name: parameter for parameter in parameters}
    values = {parameter.name: parameter.default for parameter in parameters}
    wrong: list[Reason] = []
    for name in dict.fromkeys(query):
        parameter = known.get(name)
        given = query.getall(name)
        if parameter is None:
            quoted = shown(name)
            wrong.append(reason("unknown_field", at=quoted, name=quoted, known=", ".join(known) or "–"))
        elif len(given) > 1:
            wrong.append(
                Reason(
                    "repeated",
                    "این پارامتر یک بار می‌آید",
                    "this parameter is taken once",
                    field=name,
                )
            )
        else:
            try:
                values[name] = parameter.read(given[0])
            except Unreadable as error:
                wrong.append(msgspec.structs.replace(error.why, field=name))
    if wrong:
        raise of_reasons(wrong)
    return values


def shown(value: str, length: int = 40) -> str:
    """What was sent, as an error may quote it: short and printable."""
    short = value if len(value) <= length else f"{value[:length]}…"
    return "".join(character if character.isprintable() else "\ufffd" for character in short)


# --- readers


def plain(value: str) -> str:
    """Text as it was sent, of a length someone may have meant."""
    if not 0 < len(value) <= MAX_TEXT:
        raise Unreadable(
            Reason("text_length", f"باید ۱ تا {MAX_TEXT} نویسه باشد", f"must have 1 to {MAX_TEXT} characters")
        )
    if not value.isprintable():
        raise Unreadable(reason("bad_text"))
    return value


def code(value: str) -> str:
    """A code, in one spelling of letters and digits."""
    return plain(text.code(value))


def choice(choices: type[StrEnum]) -> Callable[[str], StrEnum]:
    """A reader of one word of an enumeration."""

    def read(value: str) -> StrEnum:
        try:
            return choices(value)
        except ValueError:
            raise Unreadable(reason("not_choice", value=f'"{shown(value)}"', choices=", ".join(choices))) from None

    return read


def day(value: str) -> date:
    """A calendar date, Jalali or ISO."""
    try:
        return dates.parse_date(value)
    except ValueError:
        raise Unreadable(reason("not_date", value=f'"{shown(value)}"')) from None


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of a whole number within bounds."""

    def read(value: str) -> int:
        written = text.latin_digits(value)
        if not written.isascii() or not written.isdigit() or len(written) > 9 or not low <= int(written) <= high:
            raise Unreadable(
                Reason("not_in_range", f"باید عددی از {low} تا {high} باشد", f"must be a number from {low} to {high}")
            )
        return int(written)

    return read


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A reader of a time in seconds within bounds, fractions allowed."""

    def read(value: str) -> float:
        written = text.latin_digits(value)
        if not _NUMBER.fullmatch(written) or not low <= float(written) <= high:
            raise Unreadable(
                Reason(
                    "not_in_range",
                    f"باید زمانی از {low:g} تا {high:g} ثانیه باشد",
                    f"must be seconds from {low:g} to {high:g}",
                )
            )
        return float(written)

    return read


def cursor(shape: Any) -> Callable[[str], Any]:
    """A reader of a cursor that :func:`cursor_text` wrote for a key of this shape."""
    decoder = msgspec.json.Decoder(shape)

    def read(value: str) -> Any:
        try:
            if len(value) > MAX_CURSOR:
                raise ValueError
            key = decoder.decode(base64.urlsafe_b64decode(value.encode() + b"=" * (-len(value) % 4)))
            if not all(map(_can_be_kept, key if isinstance(key, tuple) else (key,))):
                raise ValueError
        except (ValueError, msgspec.MsgspecError):
            raise Unreadable(
                Reason(
                    "cursor",
                    "این نشانگر را ما نساخته‌ایم؛ مقدار next صفحهٔ پیش را بفرستید",
                    "we made no such cursor; send the `next` of the page before",
                )
            ) from None
        return key

    return read


def _can_be_kept(part: object) -> bool:
    """Whether PostgreSQL could keep it, so that it may be of a key of ours."""
    match part:
        case str():
            return "\x00" not in part
        case int():
            return part.bit_length() < 64
        case datetime():
            return MINYEAR < part.year < MAXYEAR
    return True


def cursor_text(key: object) -> str:
    """A page's last key as the opaque text a client sends back."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


# --- parameters more than one route takes

TEXT_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
MAX_LIMIT = 200
LIMIT = Parameter(
    "limit",
    whole(1, MAX_LIMIT),
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 50},
    "How many items a page has at most.",
    default=50,
)


def cursor_parameter(shape: Any) -> Parameter:
    """The ``cursor`` of a list whose keys have this shape."""
    return Parameter(
        "cursor",
        cursor(shape),
        {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": MAX_CURSOR},
        "The `next` of the page before; absent: the first page.",
    )
