"""What cells mean: numbers as typed, days of both calendars, and what is refused."""

import contextlib
import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.excel.cells import Cell, Form, Unreadable, column_of, day, letters, number, place, value


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 15))
def test_a_number_of_fifteen_digits_is_read_as_it_was_typed(digits: int, places: int) -> None:
    typed = Decimal(digits).scaleb(-places)
    stored = format(float(typed), ".17g")  # as Excel writes a double into the sheet
    assert Decimal(number(stored)) == typed


@given(st.text(max_size=12))
def test_any_text_is_a_number_in_plain_digits_or_refused(text: str) -> None:
    plain = ""
    with contextlib.suppress(Unreadable):
        plain = number(text)
    assert not plain or (set(plain) <= set("0123456789.-") and Decimal(plain).is_finite())


@given(st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)), st.booleans())
def test_a_day_is_read_from_either_date_system(date: dt.date, since_1904: bool) -> None:
    first = dt.date(1904, 1, 1) if since_1904 else dt.date(1899, 12, 30)
    serial = (date - first).days
    assert day(str(serial), since_1904=since_1904) == date
    assert day(f"{serial}.75", since_1904=since_1904) == date


@pytest.mark.parametrize("text", ["1403", "14030131", "-1", "1e300", "0", "60"])
def test_a_number_that_is_no_day_of_this_century_is_refused(text: str) -> None:
    with pytest.raises(Unreadable) as refused:
        day(text, since_1904=False)
    assert refused.value.reason.code == "not_serial"


@pytest.mark.parametrize(
    ("form", "text", "code"),
    [
        (Form.FORMULA, "2", "formula"),
        (Form.ERROR, "#REF!", "cell_error"),
        (Form.NUMBER, "1.2.3", "cell_broken"),
        (Form.NUMBER, "12345678901234568", "number_beyond_excel"),
    ],
)
def test_what_has_no_value_of_its_own_is_refused(form: Form, text: str, code: str) -> None:
    with pytest.raises(Unreadable) as refused:
        value("quantity", Cell(1, text, form), since_1904=False)
    assert refused.value.reason.code == code


@pytest.mark.parametrize("written", ["1403/01/31", "۱۴۰۳/۱/۳۱", "2024-04-19", " 1403-01-31 "])
def test_a_day_is_the_same_however_it_is_written(written: str) -> None:
    typed = value("date", Cell(1, written), since_1904=False)
    assert typed == value("date", Cell(1, "45401", Form.NUMBER), since_1904=False) == dt.date(2024, 4, 19)


def test_what_is_no_day_is_left_as_it_is_to_be_told() -> None:
    assert value("date", Cell(1, "1403/13/01"), since_1904=False) == "1403/13/01"


@given(st.integers(1, 16_384))
def test_columns_have_letters(column: int) -> None:
    assert column_of(letters(column)) == column
    assert place(column, 7) == f"{letters(column)}7"
