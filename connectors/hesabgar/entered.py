"""Reading the documents people entered in a Hesabgar: those the hub didn't post there. For branches and the import."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from connectors.hesabgar import contract
from connectors.hesabgar.client import Link
from connectors.hesabgar.contract import Row

Named = dict[str, Any]
LINES_AT_ONCE = 100


class Entered(NamedTuple):
    """A document with its lines, by the contract's column names, and its row version."""

    document: Named
    lines: list[Named]
    version: int


class Found(NamedTuple):
    """Some of them, oldest change first. ``next`` is where the following begin; ``complete``: there are none now.
    ``horizon``: everything below this row version was there to be read."""

    documents: list[Entered]
    next: int
    complete: bool
    horizon: int


def changed(link: Link, since: int, limit: int, before: int | None = None) -> Found:
    """Documents changed from row version ``since`` on, and up to ``before`` if it is given, at most about ``limit``."""
    [(version, _)] = link.query(contract.HORIZON)
    horizon = int(version)
    if horizon < max(since, before or 0):
        return Found([], horizon, True, horizon)
    until = horizon if before is None else before
    rows = link.query(contract.entered(since, until, limit))
    if len(rows) < limit:
        return Found(_with_lines(link, rows), until, True, horizon)
    last = rows[-1][-1]
    rows = [row for row in rows if row[-1] < last]
    if not rows:
        rows = link.query(contract.entered(last, last + 1, None))
        last += 1
    return Found(_with_lines(link, rows), last, False, horizon)


def of_period(link: Link, kind: str, since: str, until: str, after: tuple[int, str], limit: int) -> list[Entered]:
    """Documents of a kind and of the days from ``since`` to ``until``, behind a year and number and in that order; they
    need no row versions."""
    year, number = after
    return _with_lines(link, link.query(contract.of_period(limit), (kind, since, until, year, year, number)))


def _with_lines(link: Link, rows: Sequence[Row]) -> list[Entered]:
    documents = [(contract.named(contract.DOCUMENT, row), int(row[-1])) for row in rows]
    wanted: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for document, _ in documents:
        wanted[document["fiscal_year"], document["kind"]].append(document["number"])
    lines: defaultdict[tuple[int, str, str], list[Named]] = defaultdict(list)
    for (year, kind), numbers in wanted.items():
        for start in range(0, len(numbers), LINES_AT_ONCE):
            part = numbers[start : start + LINES_AT_ONCE]
            for row in link.query(contract.lines_of(len(part)), (year, kind, *part)):
                lines[year, kind, str(row[0])].append(contract.named(contract.LINE, row[1:]))
    return [
        Entered(document, lines[document["fiscal_year"], document["kind"], str(document["number"])], version)
        for document, version in documents
    ]
