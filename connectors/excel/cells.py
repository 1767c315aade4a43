"""What stands in cells, and what it means. Pure.

A number in a workbook is the text of a double, with up to 17 digits; what the person typed are its first 15. A double
keeps any 15 digits (C's ``DBL_DIG``), so rounding that text, as Decimal, to 15 significant digits gives back exactly
what was typed: ``1.1000000000000001`` is 1.1. The text never becomes a float. Of a number with more than 15 digits
before the point the workbook has lost some, and it is refused.
"""

import datetime as dt
import re
from collections.abc import Iterator
from decimal import ROUND_FLOOR, Context, Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from connectors.excel import words
from connectors.excel.words import sentence
from schemas.dates import jalali, parse_date
from schemas.reasons import Reason

MAX_COLUMN: Final = 16_384
MAX_ROW: Final = 1_048_576
EXCEL_DIGITS: Final = 15

_FIFTEEN: Final = Context(prec=EXCEL_DIGITS)
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")
_FIRST_DAYS: Final = {False: dt.date(1899, 12, 30), True: dt.date(1904, 1, 1)}
_YEARS: Final = range(2000, 2100)


class Form(StrEnum):
    """How a cell holds its value."""

    TEXT = "text"
    NUMBER = "number"
    FORMULA = "formula"
    ERROR = "error"


class Cell(NamedTuple):
    """A cell that isn't empty: its column from 1, and its text as it stands in the workbook."""

    column: int
    text: str
    form: Form = Form.TEXT


class Row(NamedTuple):
    """A row that isn't empty: its number in the sheet, and its cells by column."""

    number: int
    cells: tuple[Cell, ...]
    hidden: bool = False


class Unreadable(Exception):
    """A cell has no value we can take, for one reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.en)
        self.reason = reason


def letters(column: int) -> str:
    """``A`` of 1, ``AA`` of 27."""
    found = ""
    while column:
        column, digit = divmod(column - 1, 26)
        found = chr(ord("A") + digit) + found
    return found


def place(column: int, row: int) -> str:
    """``C7``"""
    return f"{letters(column)}{row}"


def column_of(name: str) -> int:
    """1 of ``A``, 27 of ``AA``; ``name`` is capital letters alone."""
    column = 0
    for letter in name:
        column = column * 26 + ord(letter) - ord("A") + 1
    return column


def value(field: str, cell: Cell, *, since_1904: bool) -> object:
    """What a cell says of a field: a date, a word's meaning, or text that :mod:`schemas.intake` reads strictly.

    Raises :exc:`Unreadable`.
    """
    match cell.form:
        case Form.FORMULA:
            raise Unreadable(sentence("formula"))
        case Form.ERROR:
            raise Unreadable(sentence("cell_error", value=cell.text[:20]))
        case Form.NUMBER if field in words.DATES:
            return day(cell.text, since_1904=since_1904)
        case Form.NUMBER:
            return number(cell.text)
        case Form.TEXT if field in words.DATES:
            return _typed_day(cell.text.strip())
        case Form.TEXT:
            return words.meant(field, cell.text.strip())


def number(text: str) -> str:
    """A number cell's value in plain digits, as it was typed. Raises :exc:`Unreadable`."""
    found = _FIFTEEN.create_decimal(_decimal(text))
    if found.adjusted() >= EXCEL_DIGITS:
        raise Unreadable(sentence("number_beyond_excel"))
    plain = format(found.normalize(_FIFTEEN), "f")
    return "0" if not found else plain


def day(text: str, *, since_1904: bool) -> dt.date:
    """The day of a date cell: days since 1900 or 1904, with a time as the fraction, which is left off.

    Raises :exc:`Unreadable` for days outside the years 2000-2099: most likely it was no date.
    """
    days = int(_decimal(text).to_integral_value(ROUND_FLOOR))
    try:
        found = _FIRST_DAYS[since_1904] + dt.timedelta(days=days)
    except OverflowError:
        found = dt.date.min
    if found.year not in _YEARS:
        raise Unreadable(sentence("not_serial", value=text[:20]))
    return found


def _typed_day(written: str) -> dt.date | str:
    """The day, so that it is the same however it is written; what is none is left to intake to refuse."""
    try:
        return parse_date(written)
    except ValueError:
        return written


def shown(field: str | None, cell: Cell, *, since_1904: bool) -> str:
    """A cell as a result workbook shows it: always text, days Jalali, and as it stands what can't be read."""
    if cell.form is not Form.NUMBER:
        return cell.text
    try:
        found = value(field or "", cell, since_1904=since_1904)
    except Unreadable:
        return cell.text
    return jalali(found) if isinstance(found, dt.date) else str(found)


def _decimal(text: str) -> Decimal:
    plain = text.strip()
    if not _NUMBER.fullmatch(plain):
        raise Unreadable(sentence("cell_broken"))
    return Decimal(plain)


def written(row: Row) -> Iterator[Cell]:
    """The cells that say something: blanks alone don't."""
    return (cell for cell in row.cells if cell.form is not Form.TEXT or cell.text.strip())
