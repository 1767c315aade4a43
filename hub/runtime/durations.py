"""Durations as people write them: ``30m``, ``2h``, ``1h30m``, ``3d``."""

import re
from datetime import timedelta

from schemas.text import latin_digits

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d{1,5}[dhms])+")
_PART = re.compile(r"(\d+)([dhms])")


def parse_duration(text: str) -> timedelta:
    """A duration in days, hours, minutes and seconds. Raises ValueError with a sentence."""
    plain = latin_digits(text).strip().lower().replace(" ", "")
    if not _DURATION.fullmatch(plain):
        raise ValueError(f"{text!r} is not a duration; write 30m, 2h, 1h30m or 3d")
    return timedelta(seconds=sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(plain)))


def duration_text(duration: timedelta) -> str:
    """The shortest text of whole seconds: ``2h``, ``1h30m``."""
    left = int(duration.total_seconds())
    parts = []
    for unit, seconds in _UNITS.items():
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
