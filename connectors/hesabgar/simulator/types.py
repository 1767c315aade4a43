"""SQL Server's types: what they are called, how values turn from one into another, and what arithmetic gives.

Values are kept as Python's own: int, bool (bit), Decimal (exact, at the type's scale), str, bytes (binary and
rowversion), date, time, datetime without zone, UUID, and float only for SQL's own float. NULL is None everywhere and
is never given to a converter.
"""

import datetime as dt
import decimal
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from connectors.hesabgar.simulator.errors import SqlError

CONTEXT: Final = decimal.Context(prec=120, rounding=decimal.ROUND_HALF_UP)
"""Wide enough that no product of two decimals of 38 digits is ever rounded before it is fitted to its type."""

MAX: Final = -1
"""The length of nvarchar(max) and its like."""

Converter = Callable[[Any], Any]


class Kind(StrEnum):
    """The types the simulator knows."""

    BIT = "bit"
    TINYINT = "tinyint"
    SMALLINT = "smallint"
    INT = "int"
    BIGINT = "bigint"
    DECIMAL = "decimal"
    MONEY = "money"
    FLOAT = "float"
    NVARCHAR = "nvarchar"
    VARCHAR = "varchar"
    NCHAR = "nchar"
    CHAR = "char"
    VARBINARY = "varbinary"
    BINARY = "binary"
    ROWVERSION = "timestamp"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    DATETIME2 = "datetime2"
    GUID = "uniqueidentifier"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class SqlType:
    """One type. ``length`` is in characters or bytes (:data:`MAX` for max); ``scale`` also of time and datetime2."""

    kind: Kind
    length: int = 0
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        match self.kind:
            case Kind.DECIMAL:
                return f"decimal({self.precision},{self.scale})"
            case Kind.TIME | Kind.DATETIME2:
                return f"{self.kind}({self.scale})"
            case kind if kind in SIZED:
                return f"{kind}({'max' if self.length == MAX else self.length})"
            case kind:
                return kind.value


INTEGERS: Final = {
    Kind.BIT: (0, 1, 1),
    Kind.TINYINT: (0, 255, 3),
    Kind.SMALLINT: (-(1 << 15), (1 << 15) - 1, 5),
    Kind.INT: (-(1 << 31), (1 << 31) - 1, 10),
    Kind.BIGINT: (-(1 << 63), (1 << 63) - 1, 19),
}
"""Lowest and highest value, and digits."""

UNICODE: Final = frozenset({Kind.NVARCHAR, Kind.NCHAR})
STRINGS: Final = frozenset({Kind.NVARCHAR, Kind.VARCHAR, Kind.NCHAR, Kind.CHAR})
BINARIES: Final = frozenset({Kind.VARBINARY, Kind.BINARY, Kind.ROWVERSION})
SIZED: Final = STRINGS | {Kind.VARBINARY, Kind.BINARY}
MOMENTS: Final = frozenset({Kind.DATE, Kind.TIME, Kind.DATETIME, Kind.DATETIME2})
NUMBERS: Final = frozenset({*INTEGERS, Kind.DECIMAL, Kind.MONEY, Kind.FLOAT})

BIT: Final = SqlType(Kind.BIT)
TINYINT: Final = SqlType(Kind.TINYINT)
SMALLINT: Final = SqlType(Kind.SMALLINT)
INT: Final = SqlType(Kind.INT)
BIGINT: Final = SqlType(Kind.BIGINT)
FLOAT: Final = SqlType(Kind.FLOAT)
MONEY: Final = SqlType(Kind.MONEY, precision=19, scale=4)
DATE: Final = SqlType(Kind.DATE)
DATETIME: Final = SqlType(Kind.DATETIME, scale=3)
DATETIME2: Final = SqlType(Kind.DATETIME2, scale=7)
GUID: Final = SqlType(Kind.GUID)
ROWVERSION: Final = SqlType(Kind.ROWVERSION, length=8)
XML: Final = SqlType(Kind.XML, length=MAX)
SYSNAME: Final = SqlType(Kind.NVARCHAR, length=128)

CODE_PAGE: Final = "cp1256"
"""Of varchar in an Arabic or Persian collation. It has no Persian yeh (U+06CC): written to varchar it becomes '?'."""

_PRECEDENCE: Final = (
    Kind.BINARY,
    Kind.VARBINARY,
    Kind.CHAR,
    Kind.VARCHAR,
    Kind.NCHAR,
    Kind.NVARCHAR,
    Kind.GUID,
    Kind.ROWVERSION,
    Kind.BIT,
    Kind.TINYINT,
    Kind.SMALLINT,
    Kind.INT,
    Kind.BIGINT,
    Kind.MONEY,
    Kind.DECIMAL,
    Kind.FLOAT,
    Kind.TIME,
    Kind.DATE,
    Kind.DATETIME,
    Kind.DATETIME2,
    Kind.XML,
)
RANK: Final = {kind: rank for rank, kind in enumerate(_PRECEDENCE)}


def decimal_type(precision: int, scale: int) -> SqlType:
    """decimal(p,s), fitted into 38 digits as SQL Server does: the scale gives way, down to six places."""
    if precision > 38:
        scale = min(scale, max(38 - (precision - scale), min(scale, 6)))
        precision = 38
    return SqlType(Kind.DECIMAL, precision=precision, scale=scale)


def as_decimal(kind: SqlType) -> SqlType:
    """The decimal type a number counts as next to a decimal."""
    if kind.kind is Kind.DECIMAL:
        return kind
    if kind.kind is Kind.MONEY:
        return decimal_type(19, 4)
    return decimal_type(INTEGERS[kind.kind][2] if kind.kind in INTEGERS else 38, 0)


def common(left: SqlType, right: SqlType) -> SqlType:
    """The type two operands meet in: the one with higher precedence, wide enough for both."""
    if left == right:
        return left
    low, high = sorted((left, right), key=lambda each: RANK[each.kind])
    if high.kind is Kind.DECIMAL and low.kind in NUMBERS:
        other = as_decimal(low)
        scale = max(other.scale, high.scale)
        return decimal_type(max(other.precision - other.scale, high.precision - high.scale) + scale, scale)
    if high.kind in SIZED and low.kind in SIZED:
        length = MAX if MAX in (low.length, high.length) else max(low.length, high.length)
        return SqlType(high.kind, length=length)
    if high.kind in (Kind.TIME, Kind.DATETIME2) and low.kind is high.kind:
        return SqlType(high.kind, scale=max(low.scale, high.scale))
    return high


# --- arithmetic ---------------------------------------------------------------------------------------------------


def arithmetic(operator: str, left: SqlType, right: SqlType) -> SqlType:
    """The type of ``left operator right`` for numbers, by SQL Server's table of precision and scale."""
    if Kind.FLOAT in (left.kind, right.kind):
        return FLOAT
    if Kind.DECIMAL in (left.kind, right.kind):
        one, two = as_decimal(left), as_decimal(right)
        match operator:
            case "+" | "-":
                scale = max(one.scale, two.scale)
                whole = max(one.precision - one.scale, two.precision - two.scale)
                return decimal_type(whole + scale + 1, scale)
            case "*":
                return decimal_type(one.precision + two.precision + 1, one.scale + two.scale)
            case "/":
                scale = max(6, one.scale + two.precision + 1)
                return decimal_type(one.precision - one.scale + two.scale + scale, scale)
            case _:
                scale = max(one.scale, two.scale)
                return decimal_type(min(one.precision - one.scale, two.precision - two.scale) + scale, scale)
    if Kind.MONEY in (left.kind, right.kind):
        return MONEY
    wider = common(left, right)
    return INT if wider.kind is Kind.BIT else wider


def fit_decimal(value: Decimal, to: SqlType, rounding: str = decimal.ROUND_HALF_UP) -> Decimal:
    """The value at the type's scale. Raises error 8115 when it has too many digits."""
    fitted = value.quantize(Decimal(1).scaleb(-to.scale), rounding, CONTEXT)
    if fitted and fitted.adjusted() >= to.precision - to.scale:
        raise SqlError(8115, "Arithmetic overflow error converting numeric to data type numeric.", state=8)
    return fitted


def fit_integer(value: int, to: SqlType) -> int:
    """The value if the type holds it. Raises error 8115 otherwise."""
    low, high, _ = INTEGERS[to.kind]
    if not low <= value <= high:
        raise SqlError(8115, f"Arithmetic overflow error converting expression to data type {to.kind}.", state=2)
    return value


# --- conversion ---------------------------------------------------------------------------------------------------


def cut(value: str, to: SqlType) -> str:
    """A string cut to the type's length, padded for nchar and char, and squeezed through the code page for varchar."""
    if to.kind is Kind.VARCHAR or to.kind is Kind.CHAR:
        value = value.encode(CODE_PAGE, "replace").decode(CODE_PAGE)
    if to.length != MAX and len(value) > to.length:
        value = value[: to.length]
    if to.kind is Kind.NCHAR or to.kind is Kind.CHAR:
        value = value.ljust(to.length)
    return value


def _number(text: str) -> Decimal:
    cleaned = text.strip()
    try:
        value = Decimal(cleaned) if cleaned else Decimal(0)
    except decimal.InvalidOperation:
        raise SqlError(8114, "Error converting data type nvarchar to numeric.", state=5) from None
    if not value.is_finite() or "_" in cleaned or not cleaned.isascii():
        raise SqlError(8114, "Error converting data type nvarchar to numeric.", state=5)
    return value


def _integer_from_text(source: SqlType, to: SqlType) -> Converter:
    def convert(value: str) -> int:
        cleaned = value.strip()
        digits = cleaned[1:] if cleaned[:1] in ("-", "+") else cleaned
        if not cleaned:
            return 0
        if not (digits.isascii() and digits.isdigit()):
            raise SqlError(
                245, f"Conversion failed when converting the {source.kind} value '{value}' to data type {to.kind}."
            )
        number = int(cleaned)
        low, high, _ = INTEGERS[to.kind]
        if not low <= number <= high:
            raise SqlError(248, f"The conversion of the {source.kind} value '{value}' overflowed an {to.kind} column.")
        return number

    return convert


def _bit_from_text(value: str) -> bool:
    match value.strip().lower():
        case "true" | "1":
            return True
        case "false" | "0" | "":
            return False
        case _:
            raise SqlError(245, f"Conversion failed when converting the nvarchar value '{value}' to data type bit.")


def parse_moment(text: str) -> dt.datetime:
    """A moment written in ISO 8601 or as yyyymmdd. Raises error 241."""
    cleaned = text.strip().replace("T", " ").rstrip("Z")
    try:
        if len(cleaned) >= 8 and cleaned[:8].isascii() and cleaned[:8].isdigit():
            cleaned = f"{cleaned[:4]}-{cleaned[4:6]}-{cleaned[6:]}"
        day, _, clock = cleaned.partition(" ")
        date = dt.date.fromisoformat(day.replace("/", "-"))
        return dt.datetime.combine(date, parse_time(clock) if clock else dt.time())
    except ValueError:
        raise SqlError(241, "Conversion failed when converting date and/or time from character string.") from None


def parse_time(text: str) -> dt.time:
    """A time of day with up to seven decimal places, of which six are kept. Raises ValueError."""
    clock, _, fraction = text.strip().partition(".")
    if fraction and not (fraction.isascii() and fraction.isdigit() and len(fraction) <= 9):
        raise ValueError(text)
    parsed = dt.time.fromisoformat(clock)
    return parsed.replace(microsecond=int((fraction + "000000")[:6]) if fraction else 0)


def to_datetime(value: dt.datetime) -> dt.datetime:
    """A moment as SQL's datetime keeps it: to three hundredths of a second."""
    ticks = (value.microsecond * 3 + 5_000) // 10_000
    whole = value.replace(microsecond=0)
    if ticks == 300:
        return whole + dt.timedelta(seconds=1)
    return whole.replace(microsecond=(ticks // 3 * 10 + (0, 3, 7)[ticks % 3]) * 1_000)


def _round_fraction(value: dt.datetime, scale: int) -> dt.datetime:
    if scale >= 6:
        return value
    step = 10 ** (6 - scale)
    micro = (value.microsecond + step // 2) // step * step
    return value.replace(microsecond=0) + dt.timedelta(microseconds=micro)


def show_decimal(value: Decimal) -> str:
    """A decimal in plain digits."""
    return f"{value:f}"


def show_moment(value: dt.datetime, kind: SqlType, style: int) -> str:
    """A moment as CONVERT writes it in one of the styles the contract uses."""
    match style:
        case 112:
            return f"{value:%Y%m%d}"
        case 23:
            return f"{value:%Y-%m-%d}"
        case 120 | 20:
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case 121 | 21 | 25:
            return f"{value:%Y-%m-%d %H:%M:%S}.{_fraction(value, kind)}"
        case 126 | 127:
            return f"{value:%Y-%m-%dT%H:%M:%S}.{_fraction(value, kind)}"
        case 108 | 8:
            return f"{value:%H:%M:%S}"
        case 0 if kind.kind is Kind.DATETIME2:
            return f"{value:%Y-%m-%d %H:%M:%S}.{_fraction(value, kind)}"
        case 0:
            return f"{value:%b} {value.day:>2} {value:%Y} {value.hour % 12 or 12:>2}:{value:%M%p}"
        case _:
            raise SqlError(281, f"{style} is not a valid style number when converting from {kind.kind} to text.")


def _fraction(value: dt.datetime, kind: SqlType) -> str:
    digits = f"{value.microsecond:06d}0"
    return digits[:3] if kind.kind is Kind.DATETIME else digits[: kind.scale or 0]


def _text_writer(source: SqlType, style: int) -> Converter:
    match source.kind:
        case Kind.BIT:
            return lambda value: "1" if value else "0"
        case Kind.DECIMAL:
            return show_decimal
        case Kind.MONEY:
            return lambda value: f"{value:.2f}"
        case Kind.FLOAT:
            return lambda value: f"{value:.6g}"
        case Kind.DATE:
            return lambda value: show_moment(dt.datetime.combine(value, dt.time()), source, style or 23)
        case Kind.TIME:
            return lambda value: f"{value:%H:%M:%S}.{value.microsecond:06d}0"[: 9 + source.scale]
        case Kind.DATETIME | Kind.DATETIME2:
            return lambda value: show_moment(value, source, style)
        case Kind.GUID:
            return lambda value: str(value).upper()
        case Kind.XML:
            return str
        case _:
            return str


def _binary_to_text(source: SqlType, to: SqlType, style: int) -> Converter:
    if style == 1:
        return lambda value: cut("0x" + value.hex().upper(), to)
    if style == 2:
        return lambda value: cut(value.hex().upper(), to)
    encoding = "utf-16-le" if to.kind in UNICODE else CODE_PAGE
    return lambda value: cut(value.decode(encoding, "replace"), to)


def _to_binary(source: SqlType, to: SqlType, style: int) -> Converter:
    size = to.length

    def fit(value: bytes) -> bytes:
        if size != MAX:
            value = value[:size]
            if to.kind is not Kind.VARBINARY:
                value = value.ljust(size, b"\0")
        return value

    def fit_number(value: bytes) -> bytes:
        if size == MAX:
            return value
        return value[-size:].rjust(size, b"\0") if to.kind is not Kind.VARBINARY else value[-size:]

    def from_hex(value: str) -> bytes:
        digits = value[2:] if style == 1 else value
        try:
            return fit(bytes.fromhex(digits))
        except ValueError:
            raise SqlError(8114, f"Error converting data type {source.kind} to {to.kind}.", state=5) from None

    if source.kind in INTEGERS:
        width = {Kind.BIT: 1, Kind.TINYINT: 1, Kind.SMALLINT: 2, Kind.INT: 4, Kind.BIGINT: 8}[source.kind]
        return lambda value: fit_number(int(value).to_bytes(width, "big", signed=source.kind not in (Kind.TINYINT,)))
    if source.kind in STRINGS:
        if style in (1, 2):
            return from_hex
        encoding = "utf-16-le" if source.kind in UNICODE else CODE_PAGE
        return lambda value: fit(value.encode(encoding, "replace"))
    if source.kind is Kind.GUID:
        return lambda value: fit(value.bytes_le)
    if source.kind in BINARIES:
        return fit
    raise _not_allowed(source, to)


def _not_allowed(source: SqlType, to: SqlType) -> SqlError:
    return SqlError(529, f"Explicit conversion from data type {source.kind} to {to.kind} is not allowed.", state=2)


def _guid_from_text(value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value.strip().strip("{}"))
    except ValueError:
        raise SqlError(
            8169, "Conversion failed when converting from a character string to uniqueidentifier.", state=2
        ) from None


def _moment_converter(source: SqlType, to: SqlType) -> Converter:
    def widen(value: Any) -> dt.datetime:
        if source.kind in STRINGS:
            return parse_moment(value)
        if source.kind is Kind.DATE:
            return dt.datetime.combine(value, dt.time())
        if source.kind is Kind.TIME:
            return dt.datetime.combine(dt.date(1900, 1, 1), value)
        if source.kind in (Kind.DATETIME, Kind.DATETIME2):
            assert isinstance(value, dt.datetime)
            return value
        if source.kind in INTEGERS and to.kind is Kind.DATETIME:
            return dt.datetime(1900, 1, 1) + dt.timedelta(days=int(value))
        raise _not_allowed(source, to)

    match to.kind:
        case Kind.DATE:
            return lambda value: widen(value).date()
        case Kind.TIME:
            if source.kind in STRINGS:
                return _time_from_text
            return lambda value: _round_fraction(widen(value), to.scale).time()
        case Kind.DATETIME:
            return lambda value: to_datetime(widen(value))
        case _:
            return lambda value: _round_fraction(widen(value), to.scale)


def _time_from_text(value: str) -> dt.time:
    try:
        return parse_time(value)
    except ValueError:
        return parse_moment(value).time()


def converter(source: SqlType, to: SqlType, style: int = 0) -> Converter | None:
    """How a value of one type becomes another's; None when it stays as it is. Raises :class:`SqlError` if it can't."""
    if source == to:
        return None
    kind = to.kind
    if kind in STRINGS:
        return _to_text(source, to, style)
    if kind in BINARIES:
        return _to_binary(source, to, style)
    if kind in INTEGERS:
        return _to_integer(source, to)
    if kind in MOMENTS:
        return _moment_converter(source, to)
    if kind is Kind.DECIMAL or kind is Kind.MONEY:
        return _to_decimal(source, to)
    if kind is Kind.FLOAT:
        return float if source.kind in NUMBERS else lambda value: float(_number(value))
    if kind is Kind.GUID:
        if source.kind in STRINGS:
            return _guid_from_text
        if source.kind in BINARIES:
            return lambda value: uuid.UUID(bytes_le=value[:16].ljust(16, b"\0"))
        raise _not_allowed(source, to)
    if source.kind in STRINGS:
        return None
    raise _not_allowed(source, to)


def _to_text(source: SqlType, to: SqlType, style: int) -> Converter | None:
    if source.kind in BINARIES:
        return _binary_to_text(source, to, style)
    if source.kind in STRINGS:
        if source.kind is to.kind is Kind.NVARCHAR and (to.length == MAX or MAX != source.length <= to.length):
            return None
        return lambda value: cut(value, to)
    write = _text_writer(source, style)
    whole = source.kind in NUMBERS

    def convert(value: Any) -> str:
        text = write(value)
        if whole and to.length != MAX and len(text) > to.length:
            if source.kind in INTEGERS:
                return cut("*", to)
            raise SqlError(8115, f"Arithmetic overflow error converting {source.kind} to data type {to.kind}.")
        return cut(text, to)

    return convert


def _to_integer(source: SqlType, to: SqlType) -> Converter:
    if to.kind is Kind.BIT:
        return _bit_from_text if source.kind in STRINGS else bool
    if source.kind in STRINGS:
        return _integer_from_text(source, to)
    if source.kind in BINARIES:
        width = {Kind.TINYINT: 1, Kind.SMALLINT: 2, Kind.INT: 4, Kind.BIGINT: 8}[to.kind]
        signed = to.kind is not Kind.TINYINT
        return lambda value: int.from_bytes(value[-width:].rjust(width, b"\0"), "big", signed=signed)
    if source.kind is Kind.MONEY:
        return lambda value: fit_integer(int(value.to_integral_value(decimal.ROUND_HALF_UP)), to)
    if source.kind in NUMBERS:
        return lambda value: fit_integer(int(value), to)
    raise _not_allowed(source, to)


def _to_decimal(source: SqlType, to: SqlType) -> Converter:
    if source.kind in STRINGS:
        return lambda value: fit_decimal(_number(value), to)
    if source.kind is Kind.DECIMAL and to.kind is Kind.DECIMAL and source.scale == to.scale:
        return (lambda value: value) if source.precision <= to.precision else (lambda value: fit_decimal(value, to))
    if source.kind in NUMBERS:
        return lambda value: fit_decimal(Decimal(value), to)
    raise _not_allowed(source, to)
