"""Outcomes for holders who exchange files: what their handhelds would read over HTTP, as CSV beside the results.

Each file tells what changed since the one before, and is named by the place in the log it reaches (so names never come
again, and their order is that of the changes). It gets its name when it is whole. Killed before the place is noted, the
next file tells the same again, and perhaps more.
"""

import asyncio
import csv
import io
import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from connectors.base import Context, Outage, Retryable
from connectors.files.client import Folder, in_thread, inert
from connectors.pocket_cyber.exchange import Outcome
from connectors.pocket_cyber.outcomes import MAX_OUTCOMES, Log, Reading
from schemas.reasons import Reason

COLUMNS: Final = (
    *("source_id", "revision", "state", "state_fa", "number", "payable"),
    *("line", "product", "quantity", "short"),
    *("fa", "en"),
)
"""A row of each document with the first six, then a row of each of its lines with all but those of the whole."""


class OutcomeFiles:
    """Writes the outcomes of one holder into its folder."""

    def __init__(self, context: Context, log: Log, reading: Reading, folder: Folder, poll: timedelta) -> None:
        self._cursors = context.cursors
        self._cursor = f"outcomes/{reading.holder}"
        self._log = log
        self._reading = reading
        self._folder = folder
        self._poll = poll
        self._away = Outage(f"the folder {folder.results}", context.logger)
        self._database = Outage(f"the database of outcomes for {folder.results}", context.logger)

    async def run(self) -> None:
        """Until cancelled; what was noted while this was down is told at the start."""
        await self._away.waited_out(self._folder.prepare)
        told: int | None = 0
        while True:
            # Looked at before it is read: what is noted meanwhile is told the next time.
            if (last := self._log.last(self._reading.holder)) != told:
                await self._write()
            told = last
            await asyncio.sleep(self._poll.total_seconds())

    async def _write(self) -> None:
        cursor = await self._database.waited_out(partial(self._cursors.get, self._cursor)) or ""
        more = True
        while more:
            page = await self._database.waited_out(partial(self._reading.page, cursor, MAX_OUTCOMES))
            cursor, more = page.cursor, page.more
            if page.items:
                path = self._folder.results / f"outcomes-{cursor}.csv"
                await self._away.waited_out(partial(in_thread, partial(_give_out, path, page.items)))
                await self._database.waited_out(partial(self._cursors.set, self._cursor, cursor))


def _give_out(path: Path, outcomes: Iterable[Outcome]) -> None:
    unfinished = path.with_name(".outcomes.part")
    try:
        with unfinished.open("wb") as file:
            file.write(_text(outcomes))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise Retryable(f"{path.parent}: {error.strerror or error}") from error


def _text(outcomes: Iterable[Outcome]) -> bytes:
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for outcome in outcomes:
        writer.writerows(_rows(outcome))
    return text.getvalue().encode()


def _rows(outcome: Outcome) -> Iterator[tuple[object, ...]]:
    lines = {line.number for line in outcome.lines}
    whole = [why for why in outcome.reasons if why.line not in lines]
    number = inert(outcome.number or "")
    about = (outcome.id, outcome.revision, outcome.state, outcome.state_fa, number, outcome.payable)
    yield (*about, "", "", "", "", *_why([*whole, *outcome.refused_change]))
    for line in outcome.lines:
        why = _why([why for why in outcome.reasons if why.line == line.number])
        yield (outcome.id, "", "", "", "", "", line.number, inert(line.product), line.quantity, line.short, *why)


def _why(reasons: list[Reason]) -> tuple[str, str]:
    return inert("؛ ".join(why.fa for why in reasons)), inert("; ".join(why.en for why in reasons))
