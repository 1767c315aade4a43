"""The one-time import of last period's sales invoices and returns (MODULES.md O6, O7).

They come in under a source of their own as what they are: documents the books have, standing as posted under their
numbers. They take no stock and no credit (docs/decisions). It goes on where it was interrupted, and is counted at the
end against the books.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from connectors.base import Context, Outage, UnknownPayload
from connectors.hesabgar import contract, entered, mapper
from connectors.hesabgar.client import Client
from connectors.hesabgar.entered import Entered
from schemas.commands import Submit
from schemas.deadletters import DeadLetter
from schemas.documents import Kind

IMPORTABLE: Final = (Kind.SALES_INVOICE, Kind.SALES_RETURN)
AT_ONCE: Final = 500


class Progress(msgspec.Struct, frozen=True):
    """How far an import is: the last one's year and number, how many documents of how many rials came in, how many
    couldn't."""

    year: int = 0
    number: str = ""
    taken: int = 0
    payable: int = 0
    refused: int = 0
    done: bool = False


class Counted(msgspec.Struct, frozen=True):
    """What came in beside what the books have, in documents and rials."""

    taken: int
    payable: int
    refused: int
    in_books: int
    payable_in_books: int

    @property
    def complete(self) -> bool:
        """Whether everything came in."""
        return (self.taken, self.payable) == (self.in_books, self.payable_in_books)


class Import:
    """The documents of one kind and of the days from ``since`` to ``until``, both included."""

    def __init__(self, context: Context, client: Client, kind: Kind, since: dt.date, until: dt.date) -> None:
        self._context = context
        self._client = client
        self._chosen = (str(kind), since.isoformat(), until.isoformat())
        self._cursor = f"import.{kind}.{since}.{until}"
        self._bus = Outage("Kafka", context.logger)
        self._books = Outage(f"Hesabgar at {client.server}", context.logger)
        self.source = f"{context.instance}-history"

    async def run(self, tell: Callable[[Progress], None] | None = None) -> Counted:
        """Bring in what is missing; ``tell`` hears of every step. Raises ConnectorError but for outages."""
        progress = await self._progress()
        while not progress.done:
            kind, since, until = self._chosen
            after = progress.year, progress.number
            work = partial(entered.of_period, kind=kind, since=since, until=until, after=after, limit=AT_ONCE)
            found = await self._books.waited_out(partial(self._client.call, work))
            progress = await self._bring_in(progress, found)
            await self._context.cursors.set(self._cursor, msgspec.json.encode(progress).decode())
            if tell is not None:
                tell(progress)
        [(count, payable)] = await self._client.query(contract.COUNT_OF_PERIOD, self._chosen)
        return Counted(progress.taken, progress.payable, progress.refused, int(count), int(payable))

    async def again(self) -> None:
        """Forget how far it was: the next run begins at the beginning; what came in before isn't brought in twice."""
        await self._context.cursors.set(self._cursor, msgspec.json.encode(Progress()).decode())

    async def _progress(self) -> Progress:
        kept = await self._context.cursors.get(self._cursor)
        return msgspec.json.decode(kept, type=Progress) if kept else Progress()

    async def _bring_in(self, progress: Progress, found: Sequence[Entered]) -> Progress:
        commands: list[Submit] = []
        letters: list[DeadLetter] = []
        payable = progress.payable
        now = self._context.clock()
        for each in found:
            try:
                wanted = mapper.request(each.document, each.lines)
            except UnknownPayload as error:
                letters.append(letter(self._context, each, str(error)))
                continue
            commands.append(mapper.history(each.document, wanted, self.source, self._context.name, now))
            payable += int(each.document["payable"] or 0)
        if letters:
            await self._bus.waited_out(lambda: self._context.publisher.dead_letters(letters))
        if commands:
            await self._bus.waited_out(lambda: self._context.publisher.documents(commands))
        last = found[-1].document if found else None
        return Progress(
            year=int(last["fiscal_year"]) if last else progress.year,
            number=str(last["number"]) if last else progress.number,
            taken=progress.taken + len(commands),
            payable=payable,
            refused=progress.refused + len(letters),
            done=len(found) < AT_ONCE,
        )


def letter(context: Context, each: Entered, why: str) -> DeadLetter:
    """The dead letter of a document that can't be understood."""
    value = msgspec.json.encode({"document": each.document, "lines": each.lines})
    return context.dead_letter(value, why, place="hub.documents", position=each.version)
