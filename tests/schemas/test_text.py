"""Persian text as people type it, made one spelling; numbers and codes as they are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import text
from tests.properties import PROPERTY

ZWNJ = "\u200c"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("علي", "علی"),
        ("مصطفى", "مصطفی"),
        ("كتاب", "کتاب"),
        ("خانة", "خانه"),
        ("خانۀ", "خانه"),
        ("ســـلام", "سلام"),
        (f"قهوه{ZWNJ}ای", f"قهوه{ZWNJ}ای"),
        ("\u200fشیراز\u200e", "شیراز"),
        ("\u202bشیراز\u202c", "شیراز"),
        ("\u2067شیراز\u2069", "شیراز"),
        ("\ufeffشیراز", "شیراز"),
        (" \u00a0شیراز\t\n", "شیراز"),
        ("۱۲ عدد", "۱۲ عدد"),
        ("  plain  ", "plain"),
        ("", ""),
    ],
)
def test_free_text_gets_one_spelling_and_keeps_its_digits_and_zwnj(typed: str, kept: str) -> None:
    assert text.normalise(typed) == kept


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("كالا۱", "کالا1"),
        ("کالا٢", "کالا2"),
        ("۱۰۰۰۰۳۰۰۱۰۱", "10000300101"),
        ("\u200e10000300101\u200f", "10000300101"),
        (" A-1 ", "A-1"),
        (f"قهوه{ZWNJ}ای", f"قهوه{ZWNJ}ای"),
    ],
)
def test_a_code_gets_latin_digits_too(typed: str, kept: str) -> None:
    assert text.code(typed) == kept


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("۱۲۳۴۵۶۷۸۹۰", "1234567890"),
        ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
        ("2", "2"),
        ("۲ x", "2 x"),
    ],
)
def test_digits_of_both_scripts_become_latin(typed: str, kept: str) -> None:
    assert text.latin_digits(typed) == kept


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("۱۲۳٬۴۵۶٫۷", "123456.7"),
        ("1,234,567", "1234567"),
        ("۱،۲۳۴", "1234"),
        (" 1 234 ", "1234"),
        ("-۵", "-5"),
    ],
)
def test_a_typed_number_becomes_plain(typed: str, plain: str) -> None:
    assert text.number_text(typed) == plain


@pytest.mark.parametrize("good", ["A", "10000300101", "کالا 1", f"قهوه{ZWNJ}ای", "x" * 64, "a|b"])
def test_what_can_be_a_code(good: str) -> None:
    assert text.is_code(good, 64)


@pytest.mark.parametrize("bad", ["", ZWNJ, "x" * 65, "a\x00b", "a\nb", "a\u202eb", "a\u00a0b", "\ud800"])
def test_what_cannot_be_a_code(bad: str) -> None:
    assert not text.is_code(bad, 64)


@pytest.mark.parametrize(("value", "shown"), [(1403, "۱۴۰۳"), ("2.5 kg", "۲.۵ kg")])
def test_people_see_persian_digits(value: object, shown: str) -> None:
    assert text.persian_digits(value) == shown


def test_rials_are_grouped() -> None:
    assert text.group(757_365_004_000) == "757,365,004,000"
    assert text.group(-1_000) == "-1,000"


@PROPERTY
@given(st.text(alphabet=st.sampled_from("علي كک ۱٢3\u200c\u200f\u0640 ab"), max_size=20))
def test_normalising_twice_changes_nothing_more(typed: str) -> None:
    assert text.normalise(text.normalise(typed)) == text.normalise(typed)
    assert text.code(text.code(typed)) == text.code(typed)
