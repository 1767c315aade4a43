"""What the outside writes, made into what we say: a document request or a master record, or every reason why not.

Text is normalised by field (codes: one spelling of letters and digits), dates and numbers are read as people write
them, and then the types are strict: an amount that is not whole rials, an unknown field or a float is refused by name.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec

from schemas import text
from schemas.dates import TEHRAN, parse_date
from schemas.documents import DocumentRequest, Kind, LineRequest, Method, Payment
from schemas.master import Account, CodeList, Finance, ListEntry, Master, Product, Stock, Warehouse
from schemas.reasons import Reason, reason

MASTER_KINDS: dict[str, type[Master]] = {
    "accounts": Account,
    "products": Product,
    "warehouses": Warehouse,
    "stock": Stock,
    "finance": Finance,
    "lists": ListEntry,
}
"""The kinds of master data by the name outsiders use: the topic's, without ``master.``."""

MAX_PROBLEMS = 20
"""How many problems of one request are told; reading stops there."""

MAX_DIGITS = 28
"""What a number may have: as many as decimal arithmetic keeps exactly. The rules' own limits are lower."""

_MAX_MASTER_AMOUNT = 10**18 - 1
_MAX_MASTER_TEXT = 2_000
_MAX_MASTER_QUANTITY = 10**12
_PLACES = 5
_SHOWN = 40

_GROUPED = re.compile(r"[+-]?\d{1,3}([,٬، ]\d{3})+([.٫]\d+)?")
_SEPARATED = re.compile(r"[,٬، ]")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_BOM = b"\xef\xbb\xbf"

_MasterT = TypeVar("_MasterT", bound=Account | Product | Warehouse | Stock | Finance | ListEntry)


class InvalidRequest(ValueError):
    """What was sent can't be read. ``problems`` has every reason found, at least one and at most 20.

    ``field`` is a JSON path without ``$.`` (``lines[0].quantity``; empty for the whole); ``fa`` and ``en`` the
    sentences. The three are those of the first problem.
    """

    def __init__(self, problems: tuple[Reason, ...]) -> None:
        super().__init__(
            "; ".join(f"{problem.field}: {problem.en}" if problem.field else problem.en for problem in problems)
        )
        self.problems = problems
        self.field = problems[0].field or ""
        self.fa = problems[0].fa
        self.en = problems[0].en


class _Unfit(Exception):
    """One value is not what its field takes: a code of the table of reasons, and the sentence's data."""

    def __init__(self, code: str, **data: Any) -> None:
        super().__init__(code)
        self.code = code
        self.data = data


_Reader = Callable[[object], object]


class _Shape(NamedTuple):
    """How a struct's fields are read."""

    readers: Mapping[str, _Reader]
    required: tuple[str, ...]
    nullable: frozenset[str]

    @classmethod
    def of(cls, struct: type[msgspec.Struct], **readers: _Reader) -> "_Shape":
        fields = msgspec.structs.fields(struct)
        return cls(
            {field.name: readers[field.name] for field in fields},
            tuple(field.name for field in fields if field.required),
            frozenset(field.name for field in fields if field.default is None),
        )


def moment(value: object, field: str) -> dt.datetime:
    """An instant as people write it, Jalali or ISO; without an offset it is Tehran's time. Raises InvalidRequest."""
    try:
        return _moment(value)
    except _Unfit as unfit:
        raise InvalidRequest((reason(unfit.code, at=field, **unfit.data),)) from None


def request_from(data: bytes | Mapping[str, object]) -> DocumentRequest:
    """The document request that JSON text, or an object already decoded from it, asks for.

    Of a key written twice in JSON text the last counts. Raises :exc:`InvalidRequest`.
    """
    problems: list[Reason] = []
    values = _fields(_REQUEST, object_of(data), "", problems)
    values["lines"] = _lines(values.get("lines", ()), problems)
    _refuse_if_any(problems)
    return DocumentRequest(**values)


def master_from(struct: type[_MasterT], data: bytes | Mapping[str, object]) -> _MasterT:
    """The master record of the given struct (:data:`MASTER_KINDS`) in JSON text or a decoded object.

    Master data meets no rules later, so sizes are checked here: codes 1-64 printable characters, amounts 18 digits,
    quantities five decimal places. Raises :exc:`InvalidRequest`.
    """
    problems: list[Reason] = []
    values = _fields(_MASTER[struct], object_of(data), "", problems)
    _refuse_if_any(problems)
    return struct(**values)


def object_of(data: bytes | Mapping[str, object]) -> Mapping[str, object]:
    """A JSON object, decoded by :func:`decode_json` if it is text. Raises :exc:`InvalidRequest`."""
    value = decode_json(data) if isinstance(data, bytes) else data
    if not isinstance(value, Mapping):
        raise InvalidRequest((reason("not_object", value=_shown(value)),))
    return value


def decode_json(data: bytes) -> object:
    """JSON text with every fraction as Decimal; a byte-order mark is passed over. Raises :exc:`InvalidRequest`."""
    try:
        return _decoder.decode(data.removeprefix(_BOM))
    except RecursionError:
        problem = "it is nested too deep"
    except InvalidOperation:
        problem = "it has a number out of range"
    except UnicodeDecodeError:
        problem = "it isn't UTF-8"
    except msgspec.MsgspecError as error:
        problem = str(error) if data.strip() else "it is empty"
    raise InvalidRequest((reason("not_json", problem=problem),))


_decoder = msgspec.json.Decoder(float_hook=Decimal)


def _refuse_if_any(problems: list[Reason]) -> None:
    if problems:
        raise InvalidRequest(tuple(problems[:MAX_PROBLEMS]))


def _fields(shape: _Shape, source: Mapping[str, object], path: str, problems: list[Reason]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in source.items():
        reader = shape.readers.get(name)
        if reader is None:
            shown = _printable(str(name))
            problems.append(reason("unknown_field", at=path + shown, name=shown, known=", ".join(shape.readers)))
        elif value is not None or name not in shape.nullable:
            try:
                values[name] = reader(value)
            except _Unfit as unfit:
                problems.append(reason(unfit.code, at=path + name, **unfit.data))
        if len(problems) >= MAX_PROBLEMS:
            return values
    problems += [reason("required", at=path + name, name=name) for name in shape.required if name not in source]
    return values


def _lines(lines: Iterable[object], problems: list[Reason]) -> tuple[LineRequest, ...]:
    read: list[LineRequest] = []
    for index, line in enumerate(lines):
        path, before = f"lines[{index}]", len(problems)
        if before >= MAX_PROBLEMS:
            break
        if not isinstance(line, Mapping):
            problems.append(reason("not_object", at=path, value=_shown(line)))
            continue
        values = _fields(_LINE, line, f"{path}.", problems)
        if len(problems) == before:
            read.append(LineRequest(**values))
    return tuple(read)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise _Unfit("not_text", value=_shown(value))
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _Unfit("bad_text") from None
    if "\x00" in value:
        raise _Unfit("bad_text")
    return value


def _code(value: object) -> str:
    return text.code(_string(value))


def _text(value: object) -> str:
    return text.normalise(_string(value))


def _choice(choices: type[StrEnum], value: object) -> StrEnum:
    written = _code(value)
    try:
        return choices(written)
    except ValueError:
        raise _Unfit("not_choice", value=_shown(value), choices=", ".join(choices)) from None


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Unfit("not_flag", value=_shown(value))
    return value


def _date(value: object) -> dt.date:
    if type(value) is dt.date:
        return value
    try:
        return parse_date(_string(value))
    except ValueError:
        raise _Unfit("not_date", value=_shown(value)) from None


def _moment(value: object) -> dt.datetime:
    """An instant in UTC. Without an offset it is Tehran's time; a day alone is its first moment."""
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC)
    day, _, time = text.latin_digits(_string(value)).strip().replace("T", " ").partition(" ")
    try:
        clock = dt.time.fromisoformat(time.strip() or "00:00")
        return dt.datetime.combine(parse_date(day), clock, clock.tzinfo or TEHRAN).astimezone(dt.UTC)
    except ValueError:
        raise _Unfit("not_moment", value=_shown(value)) from None


def _number_text(value: str) -> str:
    """A typed number's plain text, without the unseen marks that pasting brings.

    A separator that doesn't part thousands ("1,5") is refused: it may mean anything.
    """
    plain = text.code(value)
    if _SEPARATED.search(plain) and not _GROUPED.fullmatch(plain):
        raise _Unfit("not_number", value=_shown(value))
    return text.number_text(plain)


def _whole_number(code: str, value: object) -> int:
    if isinstance(value, str):
        plain = _number_text(_string(value))
        if not _WHOLE.fullmatch(plain):
            raise _Unfit(code, value=_shown(value))
        if len(plain) > MAX_DIGITS:
            raise _Unfit("number_too_long", limit=MAX_DIGITS)
        return int(plain)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Unfit(code, value=_shown(value))
    if abs(value) >= 10**MAX_DIGITS:
        raise _Unfit("number_too_long", limit=MAX_DIGITS)
    return value


_whole = partial(_whole_number, "not_whole")
_rials = partial(_whole_number, "not_whole_rials")


def _decimal(value: object) -> Decimal:
    if isinstance(value, str):
        plain = _number_text(_string(value))
        if not _NUMBER.fullmatch(plain):
            raise _Unfit("not_number", value=_shown(value))
        value = Decimal(plain)
    elif isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise _Unfit("not_number", value=_shown(value))
    _, digits, exponent = value.as_tuple()
    if max(len(digits), len(digits) + int(exponent), -int(exponent)) > MAX_DIGITS:
        raise _Unfit("number_too_long", limit=MAX_DIGITS)
    return value


def _master_code(field: str, value: object) -> str:
    written = _code(value)
    if not text.is_code(written):
        raise _Unfit("invalid_code", field=field, limit=text.MAX_CODE)
    return written


def _master_code_or_empty(field: str, value: object) -> str:
    return _master_code(field, value) if value != "" else ""


def _master_text(value: object) -> str:
    written = _text(value)
    if len(written) > _MAX_MASTER_TEXT:
        raise _Unfit("text_too_long", limit=_MAX_MASTER_TEXT)
    return written


def _master_amount(value: object) -> int:
    amount = _rials(value)
    if abs(amount) > _MAX_MASTER_AMOUNT:
        raise _Unfit("amount_too_large", limit=_MAX_MASTER_AMOUNT)
    return amount


def _price(value: object) -> int:
    amount = _master_amount(value)
    if amount < 0:
        raise _Unfit("amount_negative", value=amount)
    return amount


def _percent(value: object) -> Decimal:
    percent = _decimal(value)
    if not 0 <= percent <= 100:
        raise _Unfit("not_percent", value=_shown(value))
    return percent


def _on_hand(value: object) -> Decimal:
    quantity = _decimal(value)
    if abs(quantity) > _MAX_MASTER_QUANTITY:
        raise _Unfit("quantity_absurd", value=_shown(value), limit=_MAX_MASTER_QUANTITY)
    if quantity != round(quantity, _PLACES):
        raise _Unfit("quantity_decimals", value=_shown(value))
    return quantity


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise _Unfit("not_list", value=_shown(value))
    return value


def _phones(value: object) -> tuple[str, ...]:
    return tuple(_code(phone) for phone in _list(value))


def _emails(value: object) -> tuple[str, ...]:
    return tuple(_code(address).lower() for address in _list(value))


def _shown(value: object) -> str:
    """A value as an error may quote it: short, printable, nested things only hinted at."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{_printable(value)}"'
        case int() if abs(value) < 10**MAX_DIGITS:
            return str(value)
        case Decimal():
            return _printable(str(value))
        case list() | tuple():
            return "[…]"
        case Mapping():
            return "{…}"
        case _:
            return type(value).__name__


def _printable(written: str) -> str:
    short = written if len(written) <= _SHOWN else f"{written[:_SHOWN]}…"
    return "".join(character if character.isprintable() else "\ufffd" for character in short)


_LINE = _Shape.of(
    LineRequest,
    product=_code,
    quantity=_decimal,
    unit_price=_rials,
    discount=_rials,
    number=_whole,
    warehouse=_code,
    attribute=_code,
    vat=_rials,
    duty=_rials,
)
_REQUEST = _Shape.of(
    DocumentRequest,
    source_id=_code,
    kind=partial(_choice, Kind),
    date=_date,
    account=_code,
    lines=_list,
    revision=_whole,
    currency=_code,
    payment=partial(_choice, Payment),
    warehouse=_code,
    to_warehouse=_code,
    original=_code,
    original_date=_date,
    amount=_rials,
    method=partial(_choice, Method),
    tax=_rials,
    note=_text,
    hold=_text,
)
_MASTER: dict[type[msgspec.Struct], _Shape] = {
    Account: _Shape.of(
        Account,
        code=partial(_master_code, "code"),
        name=_master_text,
        vat_exempt=_flag,
        active=_flag,
        phones=_phones,
        city=_master_text,
        cost_centre=partial(_master_code, "cost_centre"),
        group=partial(_master_code, "group"),
        emails=_emails,
        ledger=partial(_master_code, "ledger"),
        detail_group=partial(_master_code, "detail_group"),
    ),
    Product: _Shape.of(
        Product,
        code=partial(_master_code, "code"),
        name=_master_text,
        unit=_master_text,
        price=_price,
        vat_exempt=_flag,
        vat_percent=_percent,
        duty_percent=_percent,
        stocked=_flag,
        active=_flag,
        group=partial(_master_code, "group"),
        second_unit=_master_text,
        barcode=partial(_master_code, "barcode"),
    ),
    Warehouse: _Shape.of(Warehouse, code=partial(_master_code, "code"), name=_master_text, active=_flag),
    Stock: _Shape.of(
        Stock,
        product=partial(_master_code, "product"),
        warehouse=partial(_master_code, "warehouse"),
        on_hand=_on_hand,
        as_of=_moment,
        attribute=partial(_master_code_or_empty, "attribute"),
    ),
    Finance: _Shape.of(
        Finance,
        account=partial(_master_code, "account"),
        as_of=_moment,
        direct=_master_amount,
        documentary=_master_amount,
        balance=_master_amount,
        uncleared_cheques=_master_amount,
        returned_cheques=_master_amount,
    ),
    ListEntry: _Shape.of(
        ListEntry,
        list=partial(_choice, CodeList),
        code=partial(_master_code, "code"),
        name=_master_text,
        product=partial(_master_code_or_empty, "product"),
        parent=_master_text,
        active=_flag,
    ),
}
