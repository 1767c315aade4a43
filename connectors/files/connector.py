"""The files connector's life: look, take what is complete, publish, put away.

For each batch of rows: dead letters and messages are published and acknowledged, the complaints are on disk, and only
then the cursor moves past them. Killed anywhere, the next run publishes a batch again with the same ids.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from connectors import base
from connectors.base import Context, Outage, Rejected
from connectors.files import rows
from connectors.files.client import Folder, Result, Seen, Survey, in_thread
from connectors.files.mapper import Complaint, Mapper, Origin, Outcome, Record, Refused
from connectors.files.rows import BadFile, Form, Row
from connectors.files.spec import Spec
from connectors.files.words import VISITS, sentence
from schemas.commands import Amend, Submit
from schemas.deadletters import DeadLetter
from schemas.documents import DocumentRequest
from schemas.visits import Visit

BATCH_ROWS: Final = 500
BATCH_BYTES: Final = 4 * 1024 * 1024
_CURSOR: Final = "file"


class _WrittenTo(Exception):
    """A file isn't any more what it was when its reading began."""


class Place(msgspec.Struct, frozen=True):
    """How far a file has been taken in: the last row done with, what came of them, the bytes of the result file.

    Content and time of change, not the name, say which file: the same content delivered again counts anew. Files are
    taken one at a time, so one place is enough.
    """

    digest: str
    changed_ns: int
    row: int = 0
    taken: int = 0
    refused: int = 0
    result_bytes: int = 0


class Intake:
    """What one file's documents pass on their way to Kafka. Other connectors that live on these files judge more."""

    def __init__(self, context: Context, origin: Origin) -> None:
        self.context = context
        self.origin = origin

    def admit(self, kind: str) -> None:
        """Return if files of a kind are taken at all. Raises :exc:`BadFile`."""
        if kind == VISITS:
            raise rows.unknown()

    async def prepare(self, batch: Sequence[Row]) -> None:
        """Look up what :meth:`judge` needs for these rows. Raises Retryable."""

    def judge(self, request: DocumentRequest) -> DocumentRequest:
        """The request to go on with. Raises InvalidRequest, whose fields are told by row and column."""
        return request

    def visit(self, values: Mapping[str, object]) -> Visit:  # noqa: ARG002 - for who overrides it
        """The visit a row tells. Raises InvalidRequest; asked only by who admits files of visits."""
        raise rows.unknown()

    async def tell(self, records: Sequence[Record]) -> None:
        """Publish master records. Raises Retryable; then it is called again."""
        await self.context.publisher.master([each for each in records if not isinstance(each, Visit)])

    async def hand_over(self, commands: Sequence[Submit | Amend]) -> None:
        """Publish the commands. Raises Retryable; then it is called again."""
        await self.context.publisher.documents(commands)


class Connector(base.Connector[Spec]):
    """Takes the files of one watched folder, oldest first, one at a time."""

    def __init__(
        self,
        spec: Spec,
        context: Context,
        *,
        intake: Callable[[Context, Origin], Intake] = Intake,
        cursor: str = _CURSOR,
    ) -> None:
        super().__init__(spec, context)
        self._intake = intake
        self._cursor = cursor
        self._folder = Folder(spec.folder)
        self._folder_outage = Outage(f"the folder {spec.folder}", context.logger)
        self._bus_outage = Outage("Kafka", context.logger)
        self._cursor_outage = Outage("the cursors' database", context.logger)
        self._told: set[tuple[Seen, str]] = set()

    async def check(self) -> None:
        await self._folder.check()

    async def run(self) -> None:
        await self._folder_outage.waited_out(self._folder.prepare)
        before: set[Seen] = set()
        while True:
            present = await self._folder_outage.waited_out(self._folder.look)
            for seen in sorted(present & before, key=lambda seen: (seen.changed_ns, seen.name)):
                await self._folder_outage.waited_out(partial(self._take, seen))
            self._told = {(seen, what) for seen, what in self._told if seen in present}
            before = present
            await asyncio.sleep(self.spec.poll.total_seconds())

    async def _take(self, seen: Seen) -> None:
        """Take one file in from where it was left, and put it away. A fault of the file leaves it for the next look."""
        try:
            survey = await self._folder.survey(seen.name, self.spec.encoding)
            result = Result(self._folder, survey.digest)
            place = await self._place(seen, result)
            if seen.size > self.spec.warn_bytes:
                self._tell(seen, f"it is large ({seen.size:,} bytes); it is taken all the same")
            try:
                place = await self._rows(seen, survey, result, place)
            except BadFile as bad:
                await self._make_sure_of(seen)
                place = await self._note(result, place, [Complaint(1, bad.column, bad.reason)])
                place = msgspec.structs.replace(place, refused=place.refused + 1)
            await self._make_sure_of(seen)
            summary = Complaint(0, "", sentence("summary", accepted=place.taken, refused=place.refused))
            await result.write(place.result_bytes, [summary])
            await self._folder.put_away(seen, result, taken=place.taken > 0 or place.refused == 0)
        except _WrittenTo:
            self.context.logger.warning("%s was written to while it was read; it is read again", seen.shown)
            await result.discard()
        except Rejected as rejected:
            self._tell(seen, str(rejected))
        else:
            self.context.logger.info("%s: %d taken, %d refused", seen.shown, place.taken, place.refused)

    async def _make_sure_of(self, seen: Seen) -> None:
        """Raises :exc:`_WrittenTo` if what was read may not be what the file holds."""
        if not await self._folder.holds(seen):
            raise _WrittenTo

    def _tell(self, seen: Seen, what: str) -> None:
        """Log something of a file once, not at every look."""
        if (seen, what) not in self._told:
            self.context.logger.warning("%s: %s", seen.shown, what)
        self._told.add((seen, what))

    async def _place(self, seen: Seen, result: Result) -> Place:
        """Where this file was left; its beginning if it is new, or if the complaints noted so far are gone."""
        written = await self._cursor_outage.waited_out(lambda: self.context.cursors.get(self._cursor))
        fresh = Place(result.digest, seen.changed_ns)
        try:
            place = msgspec.json.decode(written or b"", type=Place)
        except msgspec.DecodeError:
            return fresh
        is_this = (place.digest, place.changed_ns) == (fresh.digest, fresh.changed_ns)
        return place if is_this and await result.length() >= place.result_bytes else fresh

    async def _rows(self, seen: Seen, survey: Survey, result: Result, place: Place) -> Place:
        """Take the rows after ``place``; answers the place at the end. Raises :exc:`BadFile`."""
        form, apart = await self._form(seen, survey)
        origin = self._origin(seen)
        intake = self._intake(self.context, origin)
        intake.admit(form.kind)
        mapper = Mapper(form, origin, apart, intake.judge, intake.visit)
        async with self._folder.reading(seen.name) as lines:
            unread = (row for row in rows.rows(lines, form) if row.number > place.row)
            while batch := await in_thread(partial(_batch, unread)):
                await self._cursor_outage.waited_out(partial(intake.prepare, batch))
                outcome = mapper.take(batch, self.context.clock())
                place = await self._publish(outcome, intake, seen, form, result, place)
        return await self._publish(mapper.finish(self.context.clock()), intake, seen, form, result, place)

    def _origin(self, seen: Seen) -> Origin:
        # A time of change ahead of our clock, as the time of stock, would keep later stock out.
        written_at = min(datetime.fromtimestamp(seen.changed_ns // 10**9, UTC), self.context.clock())
        return Origin(self.spec.source or self.context.instance, self.context.name, written_at)

    async def _form(self, seen: Seen, survey: Survey) -> tuple[Form, frozenset[str]]:
        """How the file is to be read, and the documents whose rows don't stand together."""
        rows.kind_and_format(seen.name)
        if survey.encoding is None:
            raise BadFile(sentence("file_binary"))
        encoding = survey.encoding
        async with self._folder.reading(seen.name) as lines:
            form = await in_thread(lambda: rows.form_of(seen.name, encoding, lines, self.spec.ignore_columns))
        if not form.grouped:
            return form, frozenset()
        async with self._folder.reading(seen.name) as lines:
            return form, await in_thread(lambda: rows.scattered(rows.rows(lines, form)))

    async def _publish(
        self, outcome: Outcome, intake: Intake, seen: Seen, form: Form, result: Result, place: Place
    ) -> Place:
        # Rows of a file that is half written by now would be taken for whole documents.
        await self._make_sure_of(seen)
        publisher, waited_out = self.context.publisher, self._bus_outage.waited_out
        letters = [self._letter(refused, seen, form) for refused in outcome.refused]
        if letters:
            await waited_out(lambda: publisher.dead_letters(letters))
        if outcome.commands:
            await waited_out(lambda: intake.hand_over(outcome.commands))
        if outcome.records:
            await waited_out(lambda: intake.tell(outcome.records))
        complaints = [complaint for refused in outcome.refused for complaint in refused.complaints]
        if complaints or not place.result_bytes:
            place = await self._note(result, place, complaints)
        place = msgspec.structs.replace(
            place,
            row=max(place.row, outcome.through),
            taken=place.taken + len(outcome.commands) + len(outcome.records),
            refused=place.refused + len(outcome.refused),
        )
        cursor = msgspec.json.encode(place).decode()
        await self._cursor_outage.waited_out(lambda: self.context.cursors.set(self._cursor, cursor))
        return place

    async def _note(self, result: Result, place: Place, complaints: Sequence[Complaint]) -> Place:
        return msgspec.structs.replace(place, result_bytes=await result.write(place.result_bytes, complaints))

    def _letter(self, refused: Refused, seen: Seen, form: Form) -> DeadLetter:
        first, last = refused.rows[0].number, refused.rows[-1].number
        why = "; ".join(
            f"row {row}, {column}: {reason.en}" if column else f"row {row}: {reason.en}"
            for row, column, reason in refused.complaints
        )
        return self.context.dead_letter(
            b"".join(row.raw for row in refused.rows),
            why,
            place=seen.shown,
            position=first,
            headers={"rows": f"{first}-{last}", "encoding": form.encoding},
        )


def _batch(unread: Iterator[Row]) -> list[Row]:
    """The next rows, at most :data:`BATCH_ROWS` and about :data:`BATCH_BYTES`."""
    batch: list[Row] = []
    size = 0
    while len(batch) < BATCH_ROWS and size < BATCH_BYTES and (row := next(unread, None)) is not None:
        batch.append(row)
        size += len(row.raw)
    return batch
