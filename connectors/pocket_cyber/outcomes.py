"""What became of a holder's documents, kept as a log per holder for its handheld to read on from where it left off.

The log says which documents changed, not how: that is read when it is asked for, so it is never stale and the same
document told twice does no harm. Its numbers have no gaps: each is taken by whoever writes it first, and the next is
tried only after that. So a reader behind the last number it saw misses nothing, whoever writes.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from connectors.base import Lookup, Records
from connectors.pocket_cyber import mapper
from connectors.pocket_cyber.exchange import Outcome, OutcomePage
from connectors.pocket_cyber.mapper import parted
from schemas import ids
from schemas.dates import Moment
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.reasons import Reason

MAX_OUTCOMES: Final = 500

HOLDERS: Final = "outcome-holders"
_PAGE: Final = 1_000
_WIDTH: Final = 12


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change: of which of the holder's documents, when, and why a command changed nothing (then it changed not)."""

    id: str
    at: Moment
    refused: tuple[Reason, ...] = ()


def bucket(holder: str) -> str:
    """The Records bucket of a holder's log."""
    return f"outcomes/{holder}"


def _key(number: int) -> str:
    return f"{number:0{_WIDTH}d}"


class Log:
    """Writes the logs of an instance. Every method raises Retryable while Records are away."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._tails: dict[str, int] = {}

    def last(self, holder: str) -> int | None:
        """The number this process wrote last into a holder's log; None: none yet."""
        return self._tails.get(holder)

    async def note(self, event: DocumentEvent) -> None:
        """Append what happened to a holder's document; one of this source that is no holder's is passed over."""
        found = parted(event.source_id)
        if found is not None:
            refused = event.reasons if event.type == COMMAND_REFUSED else ()
            await self._append(found[0], Told(found[1], event.recorded_at, refused))

    async def _append(self, holder: str, told: Told) -> None:
        number = self._tails.get(holder)
        if number is None:
            number = await self._tail(holder)
            await self._records.put(HOLDERS, {holder: b"1"})
        value = msgspec.json.encode(told)
        number += 1
        while not await self._records.put_new(bucket(holder), _key(number), value):
            number += 1
        self._tails[holder] = number

    async def _tail(self, holder: str) -> int:
        last = ""
        while rows := await self._records.page(bucket(holder), last, _PAGE):
            last = rows[-1][0]
        return int(last or "0")

    async def sweep(self, before: datetime) -> None:
        """Forget what happened earlier, but never the last of a log: numbers mustn't begin anew."""
        holder_after = ""
        while holders := await self._records.page(HOLDERS, holder_after, _PAGE):
            holder_after = holders[-1][0]
            for holder, _ in holders:
                await self._sweep(bucket(holder), before)

    async def _sweep(self, log: str, before: datetime) -> None:
        while rows := await self._records.page(log, "", _PAGE):
            ended = [key for key, raw in rows[:-1] if msgspec.json.decode(raw, type=Told).at < before]
            if ended:
                await self._records.put(log, dict.fromkeys(ended))
            if len(ended) < len(rows) - 1 or len(rows) < _PAGE:
                return


class Reading(NamedTuple):
    """Whose outcomes are read: a holder of a source."""

    source: str
    holder: str
    records: Records
    lookup: Lookup

    async def page(self, cursor: str, limit: int) -> OutcomePage:
        """What changed since the cursor ("": everything that is kept), each document once, as it now is."""
        log = bucket(self.holder)
        known = cursor.isdecimal() and cursor in await self.records.get(log, [cursor])
        rows = await self.records.page(log, cursor if known else "", limit)
        last: dict[str, Told] = {}
        for _, raw in rows:
            told = msgspec.json.decode(raw, type=Told)
            last.pop(told.id, None)
            last[told.id] = told
        found = await self.lookup.documents(self._ids(last)) if last else {}
        return OutcomePage(
            items=tuple(
                mapper.outcome(id_, self.source, self.holder, found.get(self._id(id_)), told.refused)
                for id_, told in last.items()
            ),
            cursor=rows[-1][0] if rows else (cursor if known else ""),
            more=len(rows) == limit,
            reset=not known,
        )

    async def one(self, local_id: str) -> Outcome | None:
        """What became of one document, as far as it is decided; None if it isn't."""
        id_ = self._id(local_id)
        found = (await self.lookup.documents([id_])).get(id_)
        return None if found is None else mapper.outcome(local_id, self.source, self.holder, found)

    def _ids(self, local_ids: Collection[str]) -> list[UUID]:
        return [self._id(each) for each in local_ids]

    def _id(self, local_id: str) -> UUID:
        return ids.document_id(self.source, mapper.source_id(self.holder, local_id))
