"""The built-in functions. Each is given the compiler and its compiled arguments and gives a compiled expression."""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
import uuid
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from connectors.hesabgar.simulator.compile import Compiled, Compiler, Environment, Run, constant, converted, widest
from connectors.hesabgar.simulator.errors import SqlError
from connectors.hesabgar.simulator.storage import Procedure, Table, View, text_key
from connectors.hesabgar.simulator.types import (
    BIGINT,
    CONTEXT,
    DATETIME,
    DATETIME2,
    FLOAT,
    GUID,
    INT,
    INTEGERS,
    MAX,
    MOMENTS,
    ROWVERSION,
    SMALLINT,
    STRINGS,
    SYSNAME,
    UNICODE,
    Kind,
    SqlType,
    common,
    converter,
    decimal_type,
    fit_decimal,
    to_datetime,
)

Make = Callable[[Compiler, list[Compiled]], Compiled]

TEXT: Final = SqlType(Kind.NVARCHAR, length=MAX)
LONG: Final = SqlType(Kind.NVARCHAR, length=4_000)


def _count(name: str, given: list[Compiled], low: int, high: int | None = None) -> None:
    if not low <= len(given) <= (low if high is None else high):
        raise SqlError(174, f"The {name} function requires {low} argument(s).", severity=15)


def _calls(name: str, result: SqlType, parameters: list[SqlType], call: Callable[..., Any]) -> Make:
    """A function of values that is NULL when one of them is."""

    def make(compiler: Compiler, given: list[Compiled]) -> Compiled:
        _count(name, given, len(parameters))
        runs = [converted(each, kind) for each, kind in zip(given, parameters, strict=True)]

        def run(row: Any, env: Environment) -> Any:
            values = [each(row, env) for each in runs]
            return None if None in values else call(*values)

        return Compiled(run, result)

    return make


def _asks(result: SqlType, ask: Callable[[Environment], Any]) -> Make:
    """A function of the session."""

    def make(compiler: Compiler, given: list[Compiled]) -> Compiled:
        _count("function", given, 0)
        return Compiled(lambda row, env: ask(env), result)

    return make


def _session_calls(name: str, result: SqlType, low: int, high: int, call: Callable[..., Any]) -> Make:
    """A function of the session and of text; a missing argument is None, and so is a NULL."""

    def make(compiler: Compiler, given: list[Compiled]) -> Compiled:
        _count(name, given, low, high)
        runs = [converted(each, TEXT) for each in given]

        def run(row: Any, env: Environment) -> Any:
            values = [each(row, env) for each in runs]
            return call(env, *values, *[None] * (high - len(values)))

        return Compiled(run, result)

    return make


def _isnull(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("isnull", given, 2)
    first, second = given
    kind = second.type if first.null else first.type
    left, right = converted(first, kind), converted(second, kind)

    def run(row: Any, env: Environment) -> Any:
        value = left(row, env)
        return right(row, env) if value is None else value

    return Compiled(run, kind, nullable=second.nullable)


def _coalesce(compiler: Compiler, given: list[Compiled]) -> Compiled:
    kind = widest(given)
    runs = [converted(each, kind) for each in given]

    def run(row: Any, env: Environment) -> Any:
        for each in runs:
            value = each(row, env)
            if value is not None:
                return value
        return None

    return Compiled(run, kind)


def _nullif(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("nullif", given, 2)
    kind = common(given[0].type, given[1].type)
    left, right, run = converted(given[0], kind), converted(given[1], kind), given[0].run
    key: Callable[[Any], Any] = text_key if kind.kind in STRINGS else lambda value: value

    def choose(row: Any, env: Environment) -> Any:
        one, two = left(row, env), right(row, env)
        return None if one is not None and two is not None and key(one) == key(two) else run(row, env)

    return Compiled(choose, given[0].type)


def _text_type(of: Compiled, length: int | None = None) -> SqlType:
    kind = Kind.VARCHAR if of.type.kind in (Kind.VARCHAR, Kind.CHAR) else Kind.NVARCHAR
    if length is None:
        length = of.type.length if of.type.kind in STRINGS else 4_000
    return SqlType(kind, length=length)


def _text(name: str, extra: int, call: Callable[..., str], length: int | None = None) -> Make:
    """A function from text (and whole numbers) to text."""

    def make(compiler: Compiler, given: list[Compiled]) -> Compiled:
        _count(name, given, extra + 1)
        kind = _text_type(given[0], length)
        first = converted(given[0], SqlType(kind.kind, length=MAX))
        rest = [converted(each, INT) for each in given[1:]]

        def run(row: Any, env: Environment) -> Any:
            values = [first(row, env), *(each(row, env) for each in rest)]
            return None if None in values else call(*values)

        return Compiled(run, kind)

    return make


def _substring(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("substring", given, 3)
    start, length = converted(given[1], INT), converted(given[2], INT)
    binary = given[0].type.kind in (Kind.BINARY, Kind.VARBINARY)
    kind = SqlType(Kind.VARBINARY, length=given[0].type.length) if binary else _text_type(given[0])
    first = given[0].run if binary else converted(given[0], SqlType(kind.kind, length=MAX))

    def run(row: Any, env: Environment) -> Any:
        value, at, size = first(row, env), start(row, env), length(row, env)
        if value is None or at is None or size is None:
            return None
        if size < 0:
            raise SqlError(537, "Invalid length parameter passed to the LEFT or SUBSTRING function.", state=2)
        return value[max(at - 1, 0) : max(at - 1 + size, 0)]

    return Compiled(run, kind)


def _left(value: str, count: int) -> str:
    if count < 0:
        raise SqlError(537, "Invalid length parameter passed to the LEFT or SUBSTRING function.", state=2)
    return value[:count]


def _right(value: str, count: int) -> str:
    return value[-count:] if count > 0 else ""


def _replace(value: str, old: str, new: str) -> str:
    return value.replace(old, new) if old else value


def _concat(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("concat", given, 2, 254)
    unicode = any(each.type.kind in UNICODE for each in given)
    runs = [converted(each, TEXT) for each in given]

    def run(row: Any, env: Environment) -> str:
        return "".join(value for each in runs if (value := each(row, env)) is not None)

    length = MAX if any(each.type.length == MAX for each in given) else 4_000
    return Compiled(run, SqlType(Kind.NVARCHAR if unicode else Kind.VARCHAR, length=length), nullable=False)


def _len(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("len", given, 1)
    run = converted(given[0], TEXT)
    return Compiled(lambda row, env: None if (value := run(row, env)) is None else len(value.rstrip(" ")), INT)


def _datalength(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("datalength", given, 1)
    wide = SqlType(Kind.VARBINARY, length=MAX)
    run = converted(given[0], wide) if given[0].type.kind not in MOMENTS else given[0].run

    def measure(row: Any, env: Environment) -> int | None:
        value = run(row, env)
        return None if value is None else len(value) if isinstance(value, bytes) else 8

    return Compiled(measure, INT)


def _charindex(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("charindex", given, 2, 3)
    wanted, text = converted(given[0], TEXT), converted(given[1], TEXT)
    start = converted(given[2], INT) if len(given) == 3 else constant(1)

    def run(row: Any, env: Environment) -> int | None:
        one, two = wanted(row, env), text(row, env)
        if one is None or two is None:
            return None
        return int(two.casefold().find(one.casefold(), max((start(row, env) or 1) - 1, 0))) + 1

    return Compiled(run, INT)


def _rounded(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("round", given, 2, 3)
    kind = given[0].type
    if kind.kind in STRINGS:
        kind = FLOAT
    run, places = converted(given[0], kind), converted(given[1], INT)
    cut = converted(given[2], INT) if len(given) == 3 else constant(0)

    def apply(row: Any, env: Environment) -> Any:
        value, digits = run(row, env), places(row, env)
        if value is None or digits is None:
            return None
        rounding = decimal.ROUND_DOWN if cut(row, env) else decimal.ROUND_HALF_UP
        exact = Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding, CONTEXT)
        if kind.kind in INTEGERS:
            return int(exact)
        return float(exact) if kind.kind is Kind.FLOAT else fit_decimal(exact, kind)

    return Compiled(apply, kind)


def _whole(rounding: str) -> Make:
    def make(compiler: Compiler, given: list[Compiled]) -> Compiled:
        _count("ceiling", given, 1)
        kind = given[0].type
        run = given[0].run
        if kind.kind is not Kind.DECIMAL:
            return given[0]
        to = decimal_type(kind.precision, 0)
        return Compiled(
            lambda row, env: None if (value := run(row, env)) is None else fit_decimal(value, to, rounding), to
        )

    return make


def _same_type(name: str, apply: Callable[[Any], Any]) -> Make:
    def make(compiler: Compiler, given: list[Compiled]) -> Compiled:
        _count(name, given, 1)
        run = given[0].run
        return Compiled(lambda row, env: None if (value := run(row, env)) is None else apply(value), given[0].type)

    return make


# --- time ---------------------------------------------------------------------------------------------------------

_PARTS: Final = {
    "year": "year", "yy": "year", "yyyy": "year",
    "quarter": "quarter", "qq": "quarter", "q": "quarter",
    "month": "month", "mm": "month", "m": "month",
    "day": "day", "dd": "day", "d": "day",
    "week": "week", "ww": "week", "wk": "week",
    "weekday": "weekday", "dw": "weekday", "w": "weekday",
    "hour": "hour", "hh": "hour",
    "minute": "minute", "mi": "minute", "n": "minute",
    "second": "second", "ss": "second", "s": "second",
    "millisecond": "millisecond", "ms": "millisecond",
    "microsecond": "microsecond", "mcs": "microsecond",
}  # fmt: skip
_MICROSECONDS: Final = {
    "day": 86_400_000_000,
    "week": 7 * 86_400_000_000,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}


def _part(given: Compiled) -> str:
    name = str(given.run((), None))  # type: ignore[arg-type]
    part = _PARTS.get(name)
    if part is None:
        raise SqlError(155, f"'{name}' is not a recognized datepart option.", severity=15)
    return part


def _moment(given: Compiled) -> Run:
    return converted(given, SqlType(Kind.DATETIME2, scale=7))


def _months(value: dt.datetime, months: int) -> dt.datetime:
    total = value.year * 12 + value.month - 1 + months
    year, month = divmod(total, 12)
    last = (dt.date(year + (month == 11), (month + 1) % 12 + 1, 1) - dt.timedelta(days=1)).day
    return value.replace(year=year, month=month + 1, day=min(value.day, last))


def _dateadd(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("dateadd", given, 3)
    part = _part(given[0])
    count, moment = converted(given[1], BIGINT), _moment(given[2])
    kind = given[2].type if given[2].type.kind in MOMENTS else DATETIME
    back = converter(SqlType(Kind.DATETIME2, scale=7), kind)

    def run(row: Any, env: Environment) -> Any:
        number, value = count(row, env), moment(row, env)
        if number is None or value is None:
            return None
        try:
            if part in ("year", "quarter", "month"):
                found = _months(value, number * {"year": 12, "quarter": 3, "month": 1}[part])
            else:
                found = value + dt.timedelta(microseconds=number * _MICROSECONDS[part])
        except (OverflowError, ValueError):
            raise SqlError(517, "Adding a value to a date column caused an overflow.") from None
        return found if back is None else back(found)

    return Compiled(run, kind)


def _boundary(part: str, value: dt.datetime) -> int:
    if part in ("year", "quarter", "month"):
        return {"year": value.year, "quarter": value.year * 4 + (value.month - 1) // 3}.get(
            part, value.year * 12 + value.month
        )
    if part == "week":
        return (value.date().toordinal()) // 7
    since = value - dt.datetime(1900, 1, 1)
    return (since // dt.timedelta(microseconds=1)) // _MICROSECONDS[part]


def _datediff(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("datediff", given, 3)
    part = _part(given[0])
    start, end = _moment(given[1]), _moment(given[2])

    def run(row: Any, env: Environment) -> int | None:
        one, two = start(row, env), end(row, env)
        if one is None or two is None:
            return None
        found = _boundary(part, two) - _boundary(part, one)
        if not -(1 << 31) <= found < 1 << 31:
            raise SqlError(535, "The datediff function resulted in an overflow.")
        return found

    return Compiled(run, INT)


def _read_part(part: str, value: dt.datetime) -> int:
    match part:
        case "quarter":
            return (value.month + 2) // 3
        case "week":
            return int(f"{value:%U}") + 1
        case "weekday":
            return value.isoweekday() % 7 + 1
        case "millisecond":
            return value.microsecond // 1_000
        case _:
            return int(getattr(value, part))


def _datepart(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("datepart", given, 2)
    part, moment = _part(given[0]), _moment(given[1])
    return Compiled(lambda row, env: None if (value := moment(row, env)) is None else _read_part(part, value), INT)


def _shortcut(part: str) -> Make:
    def make(compiler: Compiler, given: list[Compiled]) -> Compiled:
        _count(part, given, 1)
        moment = _moment(given[0])
        return Compiled(lambda row, env: None if (value := moment(row, env)) is None else _read_part(part, value), INT)

    return make


# --- hashes -------------------------------------------------------------------------------------------------------


def _hashbytes(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("hashbytes", given, 2)
    name = converted(given[0], TEXT)
    data = converted(given[1], SqlType(Kind.VARBINARY, length=MAX))

    def run(row: Any, env: Environment) -> bytes | None:
        algorithm, value = name(row, env), data(row, env)
        if algorithm is None or value is None:
            return None
        if len(value) > 8_000:
            raise SqlError(8152, "String or binary data would be truncated.", state=10)  # until SQL Server 2016
        make = _HASHES.get(algorithm.upper())
        return None if make is None else make(value)

    return Compiled(run, SqlType(Kind.VARBINARY, length=8_000))


def _sha1(value: bytes) -> bytes:
    return hashlib.sha1(value, usedforsecurity=False).digest()


def _md5(value: bytes) -> bytes:
    return hashlib.md5(value, usedforsecurity=False).digest()


_HASHES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "SHA2_256": lambda value: hashlib.sha256(value).digest(),
    "SHA2_512": lambda value: hashlib.sha512(value).digest(),
    "SHA1": _sha1,
    "SHA": _sha1,
    "MD5": _md5,
}


def _checksum(compiler: Compiler, given: list[Compiled]) -> Compiled:
    runs = [converted(each, TEXT) if each.type.kind not in MOMENTS else each.run for each in given]

    def run(row: Any, env: Environment) -> int:
        text = "\0".join("" if (value := each(row, env)) is None else str(value) for each in runs)
        return zlib.crc32(text.encode()) - (1 << 31)

    return Compiled(run, INT, nullable=False)


# --- the server ---------------------------------------------------------------------------------------------------


def split_name(text: str) -> tuple[str, ...]:
    """A name with dots and perhaps brackets, in parts."""
    from connectors.hesabgar.simulator.lexer import tokens

    try:
        found = tokens(text)
    except SqlError:
        return ()
    return tuple(token.text for token in found if token.kind in ("word", "name"))


_KINDS: Final[dict[str, type[Any]]] = {"U": Table, "V": View, "P": Procedure}


def _object_id(env: Environment, name: str | None, kind: str | None) -> int | None:
    if name is None:
        return None
    temporary = env.session.find_temporary(name.rpartition(".")[2])
    if temporary is not None:
        return temporary.object_id
    found = env.session.find_object(split_name(name))
    if found is None or (kind and not isinstance(found, _KINDS.get(kind.strip().upper(), ()))):
        return None
    visible = env.session.database.visible(env.session.acting_user, found.schema, found.name)
    return found.object_id if visible else None


def _by_id(pick: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(env: Environment, object_id: str | None, _: str | None) -> Any:
        found = env.session.database.by_id(int(object_id)) if object_id else None
        return None if found is None else pick(found)

    return call


def _column_id(env: Environment, object_id: str | None, name: str | None) -> int | None:
    found = env.session.database.by_id(int(object_id)) if object_id else None
    if not isinstance(found, Table) or name is None:
        return None
    at = found.position(name)
    return None if at is None else at + 1


def _col_length(env: Environment, table: str | None, column: str | None) -> int | None:
    found = env.session.find_object(split_name(table or ""))
    if not isinstance(found, Table | View) or column is None:
        return None
    for each in found.columns:
        if each.name.lower() == column.lower():
            unicode = each.type.kind in UNICODE and each.type.length != MAX
            return each.type.length * 2 if unicode else each.type.length or 8
    return None


def _schema_id(env: Environment, name: str | None) -> int | None:
    names = list(env.session.database.schemas)
    wanted = (name or "dbo").lower()
    return names.index(wanted) + 1 if wanted in names else None


def _principal_id(env: Environment, name: str | None) -> int | None:
    found = env.session.database.principals.get((name or env.session.user).lower())
    return found.principal_id if found else None


def _suser_id(env: Environment, name: str | None) -> int | None:
    logins = list(env.session.server.logins)
    wanted = (name or env.session.login).lower()
    return logins.index(wanted) + 1 if wanted in logins else None


def _is_member(env: Environment, role: str | None) -> int | None:
    if role is None or role.lower() not in env.session.database.principals:
        return None
    return int(role.lower() in env.session.database.roles_of(env.session.acting_user))


def _has_permission(env: Environment, name: str | None, kind: str | None, permission: str | None) -> int | None:
    if permission is None:
        return None
    parts = split_name(name or "")
    found = env.session.find_object(parts) if parts else None
    if (kind or "").upper() == "OBJECT" and found is None:
        return None
    schema, item = (found.schema, found.name) if found else (parts[-1] if parts else "dbo", "")
    return int(env.session.database.allows(env.session.acting_user, permission.lower(), schema, item))


def _definition(env: Environment, object_id: str | None) -> str | None:
    found = env.session.database.by_id(int(object_id)) if object_id else None
    return found.text if isinstance(found, View | Procedure) else None


def _serverproperty(compiler: Compiler, given: list[Compiled]) -> Compiled:
    _count("serverproperty", given, 1)
    run = converted(given[0], TEXT)

    def ask(row: Any, env: Environment) -> Any:
        value = env.session.server.properties.get((run(row, env) or "").lower())
        return None if value is None else str(value)

    return Compiled(ask, SqlType(Kind.NVARCHAR, length=128))


def _databaseproperty(env: Environment, name: str | None, wanted: str | None) -> str | None:
    if name is None or name.lower() != env.session.database.name.lower():
        return None
    return env.session.server.database_properties.get((wanted or "").lower())


def _db_id(env: Environment, name: str | None) -> int | None:
    return 5 if name is None or name.lower() == env.session.database.name.lower() else None


def _error(pick: Callable[[SqlError], Any]) -> Callable[[Environment], Any]:
    return lambda env: None if (error := env.session.caught) is None else pick(error)


def _quotename(value: str) -> str:
    return f"[{value.replace(']', ']]')}]"


def _default(compiler: Compiler, given: list[Compiled]) -> Compiled:
    raise SqlError(156, "Incorrect syntax near the keyword 'DEFAULT'.", severity=15)


def _isnumeric(value: str) -> int:
    try:
        Decimal(value.strip())
    except decimal.InvalidOperation:
        return 0
    return 1


_NTEXT = [TEXT]

FUNCTIONS: Final[dict[str, Make]] = {
    "isnull": _isnull,
    "coalesce": _coalesce,
    "nullif": _nullif,
    "default": _default,
    "len": _len,
    "datalength": _datalength,
    "upper": _text("upper", 0, str.upper),
    "lower": _text("lower", 0, str.lower),
    "ltrim": _text("ltrim", 0, lambda value: value.lstrip(" ")),
    "rtrim": _text("rtrim", 0, lambda value: value.rstrip(" ")),
    "reverse": _text("reverse", 0, lambda value: value[::-1]),
    "left": _text("left", 1, _left),
    "right": _text("right", 1, _right),
    "replicate": _text("replicate", 1, lambda value, count: value * max(count, 0), 4_000),
    "substring": _substring,
    "replace": _calls("replace", LONG, [TEXT, TEXT, TEXT], _replace),
    "stuff": _calls(
        "stuff", LONG, [TEXT, INT, INT, TEXT],
        lambda value, at, size, new: (
            value[: at - 1] + new + value[at - 1 + size :] if 1 <= at <= len(value) and size >= 0 else None
        ),
    ),
    "charindex": _charindex,
    "concat": _concat,
    "quotename": _calls("quotename", SqlType(Kind.NVARCHAR, length=258), [TEXT], _quotename),
    "nchar": _calls("nchar", SqlType(Kind.NCHAR, length=1), [INT], chr),
    "char": _calls("char", SqlType(Kind.CHAR, length=1), [INT], chr),
    "unicode": _calls("unicode", INT, [TEXT], lambda value: ord(value[0]) if value else None),
    "space": _calls("space", SqlType(Kind.VARCHAR, length=8_000), [INT], lambda count: " " * count),
    "str": _calls("str", SqlType(Kind.VARCHAR, length=10), [BIGINT], lambda value: f"{value:>10}"),
    "isnumeric": _calls("isnumeric", INT, [TEXT], _isnumeric),
    "abs": _same_type("abs", lambda value: value.copy_abs() if isinstance(value, Decimal) else abs(value)),
    "sign": _same_type("sign", lambda value: type(value)((value > 0) - (value < 0))),
    "round": _rounded,
    "floor": _whole(decimal.ROUND_FLOOR),
    "ceiling": _whole(decimal.ROUND_CEILING),
    "hashbytes": _hashbytes,
    "checksum": _checksum,
    "binary_checksum": _checksum,
    "newid": _asks(GUID, lambda env: uuid.uuid4()),
    "getdate": _asks(DATETIME, lambda env: to_datetime(env.session.server.local_now())),
    "current_timestamp": _asks(DATETIME, lambda env: to_datetime(env.session.server.local_now())),
    "getutcdate": _asks(DATETIME, lambda env: to_datetime(env.session.server.utc_now())),
    "sysdatetime": _asks(DATETIME2, lambda env: env.session.server.local_now()),
    "sysutcdatetime": _asks(DATETIME2, lambda env: env.session.server.utc_now()),
    "dateadd": _dateadd,
    "datediff": _datediff,
    "datepart": _datepart,
    "year": _shortcut("year"),
    "month": _shortcut("month"),
    "day": _shortcut("day"),
    "scope_identity": _asks(decimal_type(38, 0), lambda env: env.session.scope_identity),
    "xact_state": _asks(SMALLINT, lambda env: env.session.transaction_state),
    "min_active_rowversion": _asks(
        ROWVERSION, lambda env: env.session.server.min_active_row_version().to_bytes(8, "big")
    ),
    "db_name": _session_calls("db_name", SYSNAME, 0, 1, lambda env, _: env.session.database.name),
    "db_id": _session_calls("db_id", INT, 0, 1, _db_id),
    "host_name": _asks(SYSNAME, lambda env: env.session.host),
    "app_name": _asks(SYSNAME, lambda env: env.session.application),
    "user_name": _session_calls("user_name", SYSNAME, 0, 1, lambda env, _: env.session.acting_user),
    "current_user": _asks(SYSNAME, lambda env: env.session.acting_user),
    "session_user": _asks(SYSNAME, lambda env: env.session.acting_user),
    "user": _asks(SYSNAME, lambda env: env.session.acting_user),
    "system_user": _asks(SYSNAME, lambda env: env.session.login),
    "suser_sname": _session_calls("suser_sname", SYSNAME, 0, 1, lambda env, _: env.session.login),
    "suser_name": _session_calls("suser_name", SYSNAME, 0, 1, lambda env, _: env.session.login),
    "original_login": _asks(SYSNAME, lambda env: env.session.login),
    "suser_id": _session_calls("suser_id", INT, 0, 1, _suser_id),
    "database_principal_id": _session_calls("database_principal_id", INT, 0, 1, _principal_id),
    "user_id": _session_calls("user_id", INT, 0, 1, _principal_id),
    "is_member": _session_calls("is_member", INT, 1, 1, _is_member),
    "is_rolemember": _session_calls("is_rolemember", INT, 1, 1, _is_member),
    "has_perms_by_name": _session_calls("has_perms_by_name", INT, 3, 3, _has_permission),
    "object_id": _session_calls("object_id", INT, 1, 2, _object_id),
    "object_name": _session_calls("object_name", SYSNAME, 1, 2, _by_id(lambda found: found.name)),
    "object_schema_name": _session_calls("object_schema_name", SYSNAME, 1, 2, _by_id(lambda found: found.schema)),
    "object_definition": _session_calls("object_definition", TEXT, 1, 1, _definition),
    "schema_id": _session_calls("schema_id", INT, 0, 1, _schema_id),
    "schema_name": _session_calls(
        "schema_name", SYSNAME, 0, 1,
        lambda env, which: "dbo" if which is None else list(env.session.database.schemas.values())[int(which) - 1],
    ),
    "col_length": _session_calls("col_length", SMALLINT, 2, 2, _col_length),
    "columnproperty": _session_calls(
        "columnproperty", INT, 2, 3, lambda env, table, column, _: _column_id(env, table, column)
    ),
    "serverproperty": _serverproperty,
    "databasepropertyex": _session_calls("databasepropertyex", SYSNAME, 2, 2, _databaseproperty),
    "error_number": _asks(INT, _error(lambda error: error.number)),
    "error_message": _asks(LONG, _error(lambda error: error.message)),
    "error_severity": _asks(INT, _error(lambda error: error.severity)),
    "error_state": _asks(INT, _error(lambda error: error.state)),
    "error_line": _asks(INT, _error(lambda error: error.line)),
    "error_procedure": _asks(SYSNAME, _error(lambda error: error.procedure or None)),
}  # fmt: skip
