"""Dates as people write them; the day of a moment is the day in Tehran."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dates import jalali, jalali_time, parse_date, today_in_tehran, utc_now
from tests.properties import PROPERTY


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("1403/01/01", date(2024, 3, 20)),
        ("1402/12/29", date(2024, 3, 19)),
        ("۱۴۰۳/۰۱/۰۱", date(2024, 3, 20)),
        ("١٤٠٣/٠١/٠١", date(2024, 3, 20)),
        ("۱۴۰۳-۱-۱", date(2024, 3, 20)),
        ("1403.1.1", date(2024, 3, 20)),
        (" 1403/1/1 ", date(2024, 3, 20)),
        ("1403/12/30", date(2025, 3, 20)),
        ("1400/9/6", date(2021, 11, 27)),
        ("2024-03-20", date(2024, 3, 20)),
        ("2024/3/20", date(2024, 3, 20)),
        ("2024-02-29", date(2024, 2, 29)),
        ("۲۰۲۴-۰۳-۲۰", date(2024, 3, 20)),
        ("2024-03-20T10:00:00", date(2024, 3, 20)),
        ("2024-03-20 23:59:59", date(2024, 3, 20)),
    ],
)
def test_jalali_and_iso_in_any_digits(written: str, day: date) -> None:
    assert parse_date(written) == day


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2024-03-19T20:29:59Z", date(2024, 3, 19)),
        ("2024-03-19T20:30:00Z", date(2024, 3, 20)),
        ("2024-03-20T00:00:00+03:30", date(2024, 3, 20)),
        ("2024-03-19T23:59:59+03:30", date(2024, 3, 19)),
        ("2024-03-20T00:15:00+05:00", date(2024, 3, 19)),
    ],
)
def test_a_moment_near_midnight_is_of_its_day_in_tehran(written: str, day: date) -> None:
    assert parse_date(written) == day
    assert today_in_tehran(datetime.fromisoformat(written)) == day


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("1404/12/30", "not a day of the calendar"),
        ("1403/13/01", "not a day of the calendar"),
        ("1403/07/31", "not a day of the calendar"),
        ("1403/00/01", "not a day of the calendar"),
        ("2023-02-29", "not a day of the calendar"),
        ("1199/01/01", "has a year outside"),
        ("1600/01/01", "has a year outside"),
        ("2200-01-01", "has a year outside"),
        ("1403/01-01", "is not a date"),
        ("403/01/01", "is not a date"),
        ("14030101", "is not a date"),
        ("01/01/1403", "is not a date"),
        ("tomorrow", "is not a date"),
        ("The day after", "is not a date"),
        ("", "is not a date"),
        ("   ", "is not a date"),
        ("2024-03-20T25:00:00Z", "is not a date"),
        ("1403-01-01T10:00:00", "must be an ISO"),
    ],
)
def test_what_is_no_date_is_refused_in_a_sentence_that_quotes_it(written: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        parse_date(written)
    assert repr(written) in str(refused.value)


def test_people_see_jalali() -> None:
    assert jalali(date(2024, 3, 20)) == "1403/01/01"
    assert jalali(date(2025, 3, 20)) == "1403/12/30"
    assert jalali_time(datetime(2024, 3, 19, 20, 30, 5, tzinfo=UTC)) == "1403/01/01 00:00:05"


@pytest.mark.parametrize("year", [1, 621, 622, 1621, 9998, 9999])
def test_a_day_no_jalali_calendar_shows_is_still_shown(year: int) -> None:
    assert jalali(date(year, 1, 1)) == f"{year:04}-01-01"
    assert jalali_time(datetime(year, 12, 31, 23, 59, tzinfo=UTC)).startswith(f"{year:04}-12-31")


@PROPERTY
@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))])))
def test_any_moment_can_be_shown(moment: datetime) -> None:
    assert jalali_time(moment)
    assert jalali(moment.date())


@PROPERTY
@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)))
def test_what_is_shown_reads_back_as_the_same_day(day: date) -> None:
    assert parse_date(jalali(day)) == day
    assert parse_date(day.isoformat()) == day


def test_now_is_aware_and_in_utc() -> None:
    assert utc_now().tzinfo is UTC
