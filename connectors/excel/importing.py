"""One workbook, from its bytes in a file to its result in another.

It is read three times: to see that it can be taken at all (nothing is published before), to publish, and to write the
result once its documents are decided. Reading it again gives the same documents under the same ids, so whoever goes on
after a crash passes over as many as were done with, and what was published twice is decided once.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec

from connectors.base import Context, Outage
from connectors.excel import keeping, results
from connectors.excel.cells import letters, written
from connectors.excel.keeping import Import
from connectors.excel.mapper import (
    MAX_PROBLEMS,
    BadWorkbook,
    Complaint,
    Origin,
    Outcome,
    Refused,
    Table,
    Taken,
    outcomes,
    said,
    source_id_of,
    table_of,
)
from connectors.excel.results import Verdict
from connectors.excel.spec import Spec
from connectors.excel.words import sentence
from connectors.excel.workbook import Facts, Sheet, Workbook, opened
from connectors.files.client import in_thread
from schemas.deadletters import DeadLetter
from schemas.events import DocumentEvent

BATCH: Final = 500
"""Documents and refusals published together, and decisions asked for together."""
_LOOK_SECONDS: Final = 0.25

_T = TypeVar("_T")

Save = Callable[[Import], Awaitable[None]]


class Survey(NamedTuple):
    """What the first reading told: the sheets with their tables, the documents that are scattered, and the rows."""

    read: tuple[tuple[Sheet, Table], ...]
    apart: frozenset[str]
    rows: int


def survey(workbook: Workbook, max_rows: int) -> Survey:
    """Read a workbook once through. Raises :exc:`BadWorkbook` with what is wrong with it as a whole."""
    problems: list[Complaint] = []
    read: list[tuple[Sheet, Table]] = []
    seen: set[str] = set()
    apart: set[str] = set()
    rows = 0
    for sheet in workbook.sheets:
        facts, table, last = Facts([], []), None, ""
        for row in workbook.rows(sheet, facts):
            if not any(written(row)):
                continue
            if table is None:
                try:
                    table = table_of(sheet.name, row, since_1904=workbook.since_1904)
                except BadWorkbook as bad:
                    problems += bad.problems
                    break
                continue
            rows += 1
            if rows > max_rows:
                raise BadWorkbook.of(sentence("too_many_rows", limit=max_rows), sheet.name, str(row.number))
            source_id = source_id_of(table, row)
            if source_id and source_id != last:
                (apart if source_id in seen else seen).add(source_id)
                last = source_id
        if table is not None:
            read.append((sheet, table))
            problems += _form(table, facts)
    if not problems and not rows:
        problems.append(Complaint("", "", sentence("workbook_empty")))
    if problems:
        raise BadWorkbook(tuple(problems))
    return Survey(tuple(read), frozenset(apart), rows)


def _form(table: Table, facts: Facts) -> Iterator[Complaint]:
    for cells in facts.merged:
        yield Complaint(table.sheet, cells.partition(":")[0], sentence("merged", range=cells))
    for first, last in facts.hidden:
        for column in table.fields:
            if first <= column <= last and table.fields[column]:
                yield Complaint(table.sheet, f"{letters(column)}{table.heading}", sentence("column_hidden"))


def mapped(workbook: Workbook, surveyed: Survey, origin: Origin) -> Iterator[tuple[int, Outcome]]:
    """What all rows come to, in order, each with the index of its sheet."""
    for index, (sheet, table) in enumerate(surveyed.read):
        rows = (row for row in workbook.rows(sheet) if row.number > table.heading and any(written(row)))
        for outcome in outcomes(table, rows, origin, surveyed.apart):
            yield index, outcome


class Importer:
    """Takes workbooks in, one at a time."""

    def __init__(self, spec: Spec, context: Context) -> None:
        self._spec = spec
        self._context = context
        self._bus = Outage("Kafka", context.logger)
        self._database = Outage("the database", context.logger)
        self.rows = 0
        """Of the workbook at work, as far as it is read."""

    async def run(self, path: Path, entry: Import, save: Save, result: Path, name: str) -> Import:
        """Take a workbook in from where it was left and write its result; answers how it ended.

        ``name`` says in logs and dead letters which it is.
        """
        try:
            with path.open("rb") as file:
                workbook = await in_thread(partial(opened, file, self._spec.max_bytes))
                with contextlib.closing(workbook):
                    surveyed = await _reading(workbook, partial(survey, workbook, self._spec.max_rows))
                    entry = await self._saved(entry, save, phase=keeping.READING, rows=surveyed.rows)
                    return await self._take(workbook, surveyed, entry, save, result, name)
        except BadWorkbook as bad:
            self._context.logger.warning("%s is not taken: %s", name, bad)
            await in_thread(partial(results.write_refusal, result, bad.problems))
            problems = bad.problems[:MAX_PROBLEMS]
            return self._over(entry, phase=keeping.FAILED, problems=problems)
        finally:
            self.rows = 0

    async def _take(
        self, workbook: Workbook, surveyed: Survey, entry: Import, save: Save, result: Path, name: str
    ) -> Import:
        verdicts: list[list[Verdict]] = [[] for _ in surveyed.read]
        entry = await self._publish(workbook, surveyed, entry, save, verdicts, name)
        entry = await self._saved(entry, save, phase=keeping.DECIDING)
        entry = await self._decisions(surveyed, entry, save, verdicts)
        read = [(*each, found) for each, found in zip(surveyed.read, verdicts, strict=True)]
        await _reading(workbook, partial(results.write, result, workbook, read))
        counts = Counter(verdict.state or "undecided" for each in verdicts for verdict in each)
        told = (complaint for each in verdicts for verdict in each for complaint in verdict.complaints)
        problems = tuple(islice(told, MAX_PROBLEMS))
        self._context.logger.info("%s: %s", name, ", ".join(f"{count} {state}" for state, count in counts.items()))
        return self._over(entry, phase=keeping.DONE, states=dict(counts), problems=problems)

    def _over(self, entry: Import, **changes: object) -> Import:
        return msgspec.structs.replace(entry, finished_at=self._context.clock(), **changes)

    async def _saved(self, entry: Import, save: Save, **changes: object) -> Import:
        entry = msgspec.structs.replace(entry, **changes)
        await self._database.waited_out(partial(save, entry))
        return entry

    async def _publish(
        self,
        workbook: Workbook,
        surveyed: Survey,
        entry: Import,
        save: Save,
        verdicts: Sequence[list[Verdict]],
        name: str,
    ) -> Import:
        found = mapped(workbook, surveyed, Origin(entry.source, self._context.name, entry.accepted_at))
        done, room = 0, results.MAX_TOLD
        while batch := await _reading(workbook, lambda: list(islice(found, BATCH))):
            for index, outcome in batch:
                verdicts[index].append(Verdict.of(outcome, room))
                room -= len(verdicts[index][-1].complaints)
            done += len(batch)
            self.rows = batch[-1][1].last
            fresh = [outcome for _, outcome in batch[max(entry.through - (done - len(batch)), 0) :]]
            if fresh:
                entry = await self._saved(await self._published(fresh, entry, name), save, through=done)
                self._context.logger.info("%s: %d documents, %d refused", name, entry.documents, entry.refused)
        return entry

    async def _published(self, fresh: Sequence[Outcome], entry: Import, name: str) -> Import:
        refused = [outcome for outcome in fresh if isinstance(outcome, Refused)]
        taken = [outcome for outcome in fresh if isinstance(outcome, Taken)]
        publisher = self._context.publisher
        letters = [self._letter(each, name) for each in refused]
        if letters:
            await self._bus.waited_out(lambda: publisher.dead_letters(letters))
        before = await self._decided_of([each.command.command_id for each in taken])
        commands = [each.command for each in taken if not _earlier(before.get(each.command.command_id), entry)]
        if commands:
            await self._bus.waited_out(lambda: publisher.documents(commands))
        return msgspec.structs.replace(
            entry,
            documents=entry.documents + len(taken),
            repeated=entry.repeated + len(taken) - len(commands),
            refused=entry.refused + len(refused),
        )

    async def _decided_of(self, ids: Sequence[UUID]) -> dict[UUID, DocumentEvent]:
        lookup = self._context.lookup
        return await self._database.waited_out(lambda: lookup.decisions(ids))

    def _letter(self, refused: Refused, name: str) -> DeadLetter:
        return self._context.dead_letter(
            refused.raw,
            "; ".join(said(complaint) for complaint in refused.complaints),
            place=f"{name}/{refused.complaints[0].sheet}",
            position=refused.first,
            headers={"rows": f"{refused.first}-{refused.last}"},
        )

    async def _decisions(
        self, surveyed: Survey, entry: Import, save: Save, verdicts: Sequence[Sequence[Verdict]]
    ) -> Import:
        """Take in what was decided, until all is, or nothing was for as long as :attr:`Spec.patience`."""
        tables = [table for _, table in surveyed.read]
        waiting = [(tables[index], verdict) for index, each in enumerate(verdicts) for verdict in each]
        waiting = [(table, verdict) for table, verdict in waiting if not verdict.state]
        loop = asyncio.get_running_loop()
        until = loop.time() + self._spec.patience.total_seconds()
        decided = 0
        while waiting:
            left: list[tuple[Table, Verdict]] = []
            for at in range(0, len(waiting), BATCH):
                some = waiting[at : at + BATCH]
                events = await self._decided_of([verdict.command_id for _, verdict in some if verdict.command_id])
                for table, verdict in some:
                    event = events.get(verdict.command_id) if verdict.command_id else None
                    if event is None:
                        left.append((table, verdict))
                    else:
                        verdict.decide(event, table, repeated=_earlier(event, entry))
            if len(left) < len(waiting):
                until = loop.time() + self._spec.patience.total_seconds()
                decided += len(waiting) - len(left)
                entry = await self._saved(entry, save, decided=decided)
            waiting = left
            if waiting and loop.time() >= until:
                break
            if waiting:
                await asyncio.sleep(_LOOK_SECONDS)
        await self._as_they_are_now([verdict for each in verdicts for verdict in each if verdict.repeated])
        return entry

    async def _as_they_are_now(self, repeated: Sequence[Verdict]) -> None:
        """What came before may be posted by now."""
        lookup = self._context.lookup
        for at in range(0, len(repeated), BATCH):
            some = {verdict.document_id: verdict for verdict in repeated[at : at + BATCH] if verdict.document_id}
            found = await self._database.waited_out(partial(lookup.documents, list(some)))
            for id_, document in found.items():
                verdict = some[id_]
                if verdict.state != "refused":
                    verdict.state = document.state
                    verdict.number = (document.posting.number or "") if document.posting else ""


def _earlier(event: DocumentEvent | None, entry: Import) -> bool:
    """Whether a command was decided before this workbook came: then another brought it."""
    return event is not None and event.recorded_at < entry.accepted_at


async def _reading(workbook: Workbook, work: Callable[[], _T]) -> _T:
    """The result of work on the workbook in a thread, which ends at once if nobody waits for it any more."""
    task = asyncio.ensure_future(in_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        workbook.stop()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
