"""TOML tables into declared structs, with everything that is wrong found at once.

msgspec's own decoding stops at the first error and knows neither Jalali dates, durations, secrets nor the file's
lines; this walks the same declarations (:mod:`msgspec.inspect`). The hub's configuration and the connectors' specs are
read by it, and the reference is written from the same descriptions.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from hub.runtime.durations import parse_duration
from hub.runtime.origin import KeyPath, Origin, dotted
from hub.runtime.problems import Phrase, Problem, toml_text
from hub.runtime.redaction import remember
from schemas.dates import parse_date
from schemas.secret import Secret

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

NEVER = "never"
"""How a duration that may be None is told to be none."""

_SECRET = Phrase(
    'text, { env = "NAME" } or { file = "path" }',
    'متن، { env = "NAME" } یا { file = "path" }',
)
_MAX_SECRET_BYTES = 65_536
_BAD: Final = object()


class Decoding:
    """One reading: the problems it met are gathered in ``problems``."""

    def __init__(self, origin: Origin) -> None:
        self.problems: list[Problem] = []
        self._origin = origin

    def struct(self, cls: type[_Struct], table: Mapping[str, Any], path: KeyPath = ()) -> _Struct | None:
        """The struct a table declares; None if anything is wrong with it."""
        decoded = self._struct(inspect.type_info(cls), table, path)
        return None if decoded is _BAD else decoded

    def report(self, path: KeyPath, wrong: str, remedy: str, /, **data: object) -> None:
        """Note one problem."""
        self.problems.append(Problem(self._origin.where(path), dotted(path), wrong, remedy, data))

    def unknown(self, path: KeyPath, known: Iterable[str], wrong: str = "unknown_key") -> None:
        """Note a name that isn't one of those known, with the nearest of them."""
        known = sorted(known)
        close = difflib.get_close_matches(str(path[-1]).lower(), known, 1)
        if close:
            self.report(path, wrong, "did_you_mean", guess=close[0])
        else:
            self.report(path, wrong, "known", known=", ".join(known) or "-")

    def unknown_variable(self, name: str, known: Iterable[str]) -> None:
        """Note an environment variable that sets nothing."""
        close = difflib.get_close_matches(name, known, 1)
        guess = close[0] if close else f"{name.rsplit('_', 1)[0]}_..."
        self.problems.append(Problem(name, "", "unknown_variable", "did_you_mean", {"guess": guess}))

    def _struct(self, info: inspect.Type, table: Mapping[str, Any], path: KeyPath) -> Any:
        assert isinstance(info, inspect.StructType)
        before = len(self.problems)
        fields = {field.encode_name: field for field in info.fields}
        for name in table:
            if name not in fields:
                self.unknown((*path, name), fields)
        values = {}
        for name, field in fields.items():
            if name in table:
                values[field.name] = self.value(field.type, table[name], (*path, name))
            elif field.required:
                self.report((*path, name), "missing", "example", example=example(field))
        if len(self.problems) > before:
            return _BAD
        try:
            return info.cls(**values)
        except ValueError as error:
            kind = str(path[1]) if path[:1] == ("connectors",) and len(path) > 1 else "*"
            self.report(path, "spec", "see_connector", why=str(error), kind=kind)
            return _BAD

    def value(self, info: inspect.Type, value: Any, path: KeyPath) -> Any:
        """One value, as its declaration wants it."""
        plain, meta = unwrapped(info)
        decoded = self._plain(plain, meta, value, path)
        if decoded is _WRONG:
            expected = expectation(info)
            shown = Phrase("a table", "جدول") if isinstance(value, dict) else toml_text(value)
            sample = meta.get("examples")
            if sample:
                key = str(path[-1]) if isinstance(path[-1], str) else ""
                text = f"{key} = {toml_text(sample[0])}" if key else toml_text(sample[0])
                self.report(path, "wrong_value", "example", expected=expected, value=shown, example=text)
            else:
                self.report(path, "wrong_value", "write", expected=expected, value=shown)
            return _BAD
        return decoded

    def _plain(self, info: inspect.Type, meta: Mapping[str, Any], value: Any, path: KeyPath) -> Any:
        match info:
            case inspect.StructType():
                return self._struct(info, value, path) if isinstance(value, dict) else _WRONG
            case inspect.DictType(key_type=inspect.EnumType(cls=cls), value_type=item):
                return self._by_name(cls, item, value, path) if isinstance(value, dict) else _WRONG
            case inspect.DictType(value_type=item):
                if not isinstance(value, dict):
                    return _WRONG
                return {name: self.value(item, each, (*path, name)) for name, each in value.items()}
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                if not isinstance(value, list):
                    return _WRONG
                made = [self.value(item, each, (*path, index)) for index, each in enumerate(value)]
                return tuple(made) if isinstance(info, inspect.VarTupleType) else made
            case inspect.CustomType(cls=cls) if cls is Secret:
                secret = self._secret(value, path)
                if isinstance(secret, Secret):
                    remember(secret)
                return secret
            case inspect.CustomType(cls=cls) if cls is Path:
                return self._origin.directory / value if isinstance(value, str) and value else _WRONG
            case inspect.UnionType(types=types):
                return self._choice(types, meta, value, path)
            case _:
                return _scalar(info, meta, value)

    def _by_name(self, cls: type[Enum], item: inspect.Type, table: Mapping[str, Any], path: KeyPath) -> Any:
        """A table whose names are declared."""
        members = {str(member.value): member for member in cls}
        for name in table:
            if name not in members:
                self.unknown((*path, name), members)
        return {members[name]: self.value(item, each, (*path, name)) for name, each in table.items() if name in members}

    def _choice(self, types: Iterable[inspect.Type], meta: Mapping[str, Any], value: Any, path: KeyPath) -> Any:
        for each in types:
            if isinstance(each, inspect.NoneType):
                if value == NEVER:
                    return None
            elif (decoded := self._plain(each, meta, value, path)) is not _WRONG:
                return decoded
        return _WRONG

    def _secret(self, value: object, path: KeyPath) -> Any:
        match value:
            case str() if value:
                return Secret(value)
            case {"env": str(name), **rest} if not rest:
                if given := self._origin.environment.get(name):
                    return Secret(given)
                self.report(path, "variable_missing", "set_variable", name=name)
            case {"file": str(name), **rest} if not rest:
                return self._secret_file(self._origin.directory / name, path)
            case _:
                self.report(path, "secret_value", "write", expected=_SECRET)
        return _BAD

    def _secret_file(self, file: Path, path: KeyPath) -> Any:
        try:
            with file.open("rb") as opened:
                text = opened.read(_MAX_SECRET_BYTES).decode().strip("\r\n")
        except UnicodeDecodeError:
            self.report(path, "secret_file", "save_utf8", path=str(file), why="not UTF-8")
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            self.report(path, "secret_file", "secret_file", path=str(file), why=why)
        else:
            if text:
                return Secret(text)
            self.report(path, "secret_file_empty", "secret_file", path=str(file))
        return _BAD


_WRONG: Final = object()


def unwrapped(info: inspect.Type) -> tuple[inspect.Type, Mapping[str, Any]]:
    """A declaration without its description and without "or nothing", and what its Meta said beside the type."""
    said: dict[str, Any] = {}
    while isinstance(info, inspect.Metadata):
        said = {**(info.extra_json_schema or {}), **(info.extra or {}), **said}
        info = info.type
    if isinstance(info, inspect.UnionType):
        some = tuple(each for each in info.types if not isinstance(each, inspect.NoneType))
        optional = len(some) < len(info.types)
        durations = any(isinstance(each, inspect.TimeDeltaType) for each in some)
        if len(some) == 1 and not (optional and durations):
            inner, more = unwrapped(some[0])
            return inner, {**more, **said}
    return info, said


def _scalar(info: inspect.Type, meta: Mapping[str, Any], value: Any) -> Any:
    match info:
        case inspect.AnyType():
            return value
        case inspect.BoolType():
            return value if isinstance(value, bool) else _WRONG
        case inspect.IntType():
            return value if isinstance(value, int) and not isinstance(value, bool) and _within(info, value) else _WRONG
        case inspect.StrType(min_length=low, max_length=high, pattern=pattern):
            fits = isinstance(value, str) and (low or 0) <= len(value) and (high is None or len(value) <= high)
            return value if fits and (pattern is None or re.search(pattern, value)) else _WRONG
        case inspect.DecimalType():
            return _decimal(meta, value)
        case inspect.FloatType():
            number = _decimal(meta, value)
            return float(number) if number is not _WRONG and _within(info, float(number)) else _WRONG
        case inspect.DateType():
            return _date(value)
        case inspect.TimeDeltaType():
            return _duration(value)
        case inspect.EnumType(cls=cls):
            return next((member for member in cls if member.value == value), _WRONG)
        case inspect.LiteralType(values=values):
            return value if value in values else _WRONG
        case _:
            raise TypeError(f"configuration can't be read into {info}")


def _within(info: inspect.IntType | inspect.FloatType, value: float) -> bool:
    return (
        (info.ge is None or value >= info.ge)
        and (info.gt is None or value > info.gt)
        and (info.le is None or value <= info.le)
        and (info.lt is None or value < info.lt)
    )


def _decimal(meta: Mapping[str, Any], value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return _WRONG
    number = Decimal(value)
    if not number.is_finite() or number < meta.get("ge", number) or number > meta.get("le", number):
        return _WRONG
    return number


def _date(value: object) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return parse_date(value) if isinstance(value, str) else _WRONG
    except ValueError:
        return _WRONG


def _duration(value: object) -> Any:
    try:
        duration = parse_duration(value) if isinstance(value, str) else timedelta()
    except ValueError:
        return _WRONG
    return duration or _WRONG


def expectation(info: inspect.Type) -> Phrase:
    """What a declaration wants, as it reads after "it must be"."""
    plain, meta = unwrapped(info)
    if "expected" in meta:
        return Phrase(*meta["expected"])
    match plain:
        case inspect.UnionType(types=types):
            wants = [
                Phrase(f'"{NEVER}"', f'"{NEVER}"') if isinstance(each, inspect.NoneType) else expectation(each)
                for each in types
            ]
            return Phrase(" or ".join(want.en for want in wants), " یا ".join(want.fa for want in wants))
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            want = expectation(item)
            return Phrase(f"a list, each {want.en}", f"فهرستی که هر عضو آن {want.fa} باشد")
        case inspect.EnumType(cls=cls):
            return _one_of(member.value for member in cls)
        case inspect.LiteralType(values=values):
            return _one_of(values)
        case inspect.IntType() | inspect.FloatType():
            words = ("a whole number", "عددی صحیح") if isinstance(plain, inspect.IntType) else ("a number", "عددی")
            return _ranged(Phrase(*words), plain.ge if plain.gt is None else plain.gt, plain.le)
        case inspect.DecimalType():
            return _ranged(Phrase("a number", "عددی"), meta.get("ge"), meta.get("le"))
        case inspect.CustomType(cls=cls) if cls is Secret:
            return _SECRET
        case _:
            return _WANTED.get(type(plain), Phrase("a value", "مقداری"))


_WANTED: Final[dict[type, Phrase]] = {
    inspect.BoolType: Phrase("true or false", "true یا false"),
    inspect.StrType: Phrase("text", "متن"),
    inspect.DateType: Phrase("a date, 1403/01/31 or 2024-04-19", "تاریخ، مانند 1403/01/31 یا 2024-04-19"),
    inspect.TimeDeltaType: Phrase("a duration such as 30m, 2h or 3d", "مدت، مانند 30m یا 2h یا 3d"),
    inspect.CustomType: Phrase("a path", "مسیر پرونده"),
    inspect.StructType: Phrase("a table", "جدول"),
    inspect.DictType: Phrase("a table", "جدول"),
}


def _one_of(values: Iterable[object]) -> Phrase:
    names = [toml_text(value) for value in values]
    return Phrase(f"one of {', '.join(names)}", f"یکی از {', '.join(names)}")


def _ranged(words: Phrase, low: object, high: object) -> Phrase:
    match low, high:
        case None, None:
            return words
        case _, None:
            return Phrase(f"{words.en} of {low} or more", f"{words.fa} از {low} به بالا")
        case None, _:
            return Phrase(f"{words.en} of at most {high}", f"{words.fa} حداکثر {high}")
        case _:
            return Phrase(f"{words.en} from {low} to {high}", f"{words.fa} از {low} تا {high}")


def example(field: inspect.Field) -> str:
    """A line that sets the field: its declared example, else its default, else what is wanted there."""
    plain, meta = unwrapped(field.type)
    if isinstance(plain, inspect.CustomType) and plain.cls is Secret:
        return f'{field.encode_name} = {{ env = "NAME" }}'
    samples = meta.get("examples")
    if samples:
        return f"{field.encode_name} = {toml_text(samples[0])}"
    return f"{field.encode_name} = ... ({expectation(field.type).en})"


def from_text(info: inspect.Type, text: str) -> object:
    """An environment variable's text as the value a TOML file would hold; text that doesn't fit stays text."""
    plain, _ = unwrapped(info)
    match plain:
        case inspect.BoolType():
            return {"true": True, "false": False}.get(text.strip().lower(), text)
        case inspect.IntType() | inspect.DecimalType() | inspect.FloatType():
            try:
                number = Decimal(text.strip())
            except InvalidOperation:
                return text
            whole = isinstance(plain, inspect.IntType) and number.is_finite() and number == int(number)
            return int(number) if whole else number
        case inspect.VarTupleType() | inspect.ListType():
            return [part.strip() for part in text.split(",") if part.strip()]
        case _:
            return text
