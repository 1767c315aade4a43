"""Dates as people write them (Jalali or ISO, Persian or Latin digits) and as we keep them (Gregorian, UTC)."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Annotated

import jdatetime
import msgspec

from schemas.text import code

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A date-time on the wire: always aware, for one without an offset can't be compared with the others."""

TEHRAN = timezone(timedelta(hours=3, minutes=30), "Asia/Tehran")
"""Iran has kept UTC+03:30 all year since 1401/07/01 (2022-09-22); a document's day is the day in Tehran."""

_DATE = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
_JALALI_YEARS = range(1200, 1600)
_GREGORIAN_YEARS = range(1900, 2200)
_SHOWN_YEARS = range(1622, 9998)
"""Gregorian years that lie wholly in the Jalali years of four digits, which end at 9377 in jdatetime."""


def parse_date(text: str) -> date:
    """A calendar date from ``1403/01/01``, ``۱۴۰۳-۱-۱``, ``2024-03-20`` or an ISO date-time (its day in Tehran).

    The year tells the calendar: 1200-1599 is Jalali, 1900-2199 Gregorian. Raises ValueError with a sentence.
    """
    plain = code(text)
    found = _DATE.fullmatch(plain)
    if found is None:
        if "T" in plain or " " in plain:
            return _from_datetime(plain, text)
        raise ValueError(f"{text!r} is not a date; write 1403/01/31 (Jalali) or 2024-04-19 (ISO)")
    year, month, day = int(found[1]), int(found[3]), int(found[4])
    try:
        if year in _JALALI_YEARS:
            gregorian: date = jdatetime.date(year, month, day).togregorian()
            return gregorian
        if year in _GREGORIAN_YEARS:
            return date(year, month, day)
    except ValueError:
        raise ValueError(f"{text!r} is not a day of the calendar") from None
    raise ValueError(f"{text!r} has a year outside 1200-1599 (Jalali) and 1900-2199 (Gregorian)")


def _from_datetime(plain: str, shown: str) -> date:
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        raise ValueError(f"{shown!r} is not a date; write 1403/01/31 (Jalali) or 2024-04-19 (ISO)") from None
    if moment.year not in _GREGORIAN_YEARS:
        raise ValueError(f"{shown!r} has a time, so it must be an ISO (Gregorian) date-time")
    return (moment if moment.tzinfo is None else moment.astimezone(TEHRAN)).date()


def jalali(day: date) -> str:
    """``1403/01/01`` of a Gregorian date; outside the Jalali years 1000-9376 it is shown in ISO."""
    if day.year not in _SHOWN_YEARS:
        return day.isoformat()
    return str(jdatetime.date.fromgregorian(date=day).strftime("%Y/%m/%d"))


def jalali_time(moment: datetime) -> str:
    """``1403/01/01 15:04:05`` in Tehran, of an aware date-time; outside those years it is shown in ISO."""
    if moment.year not in _SHOWN_YEARS:
        return moment.isoformat()
    local = moment.astimezone(TEHRAN)
    return f"{jalali(local.date())} {local:%H:%M:%S}"


def utc_now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def today_in_tehran(moment: datetime) -> date:
    """The calendar day in Tehran at an aware moment."""
    return moment.astimezone(TEHRAN).date()
