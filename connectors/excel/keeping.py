"""What is remembered of workbooks: their state, and for those that came by the API their bytes and results.

Records' values stay small, so files lie in pieces. A workbook waits in the queue until it is done with: whoever takes
over after a crash finds it there, with how far it was taken in.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from connectors.base import Records
from connectors.excel.mapper import Complaint
from connectors.excel.spec import MAX_BYTES
from connectors.files.client import in_thread
from schemas import ids
from schemas.dates import Moment

PIECE: Final = 1024 * 1024

_IMPORTS: Final = "imports"
_QUEUE: Final = "queue"
_DONE: Final = "done"
WORKBOOKS: Final = "workbooks"
RESULTS: Final = "results"

ACCEPTED: Final = "accepted"
READING: Final = "reading"
DECIDING: Final = "deciding"
DONE: Final = "done"
FAILED: Final = "failed"


class Import(msgspec.Struct, frozen=True, omit_defaults=True):
    """One workbook, and how far it is. ``through`` counts the documents and refusals done with, in their order."""

    id: str
    source: str
    accepted_at: Moment
    phase: str = ACCEPTED
    rows: int = 0
    documents: int = 0
    repeated: int = 0
    refused: int = 0
    decided: int = 0
    through: int = 0
    states: dict[str, int] = {}
    problems: tuple[Complaint, ...] = ()
    finished_at: Moment | None = None
    pieces: int = 0
    """Of the workbook, then of its result."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.phase in (DONE, FAILED)


def import_id(source: str, digest: str) -> str:
    """The same bytes from the same source are the same import."""
    return ids.derive(ids.NAMESPACE, f"excel/{source}/{digest}").hex


class Keeping:
    """An instance's imports in its Records."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def find(self, id_: str) -> Import | None:
        """The import of that id; None if there is none, or what is kept can't be read."""
        found = await self._records.get(_IMPORTS, [id_])
        return msgspec.json.decode(found[id_], type=Import) if id_ in found else None

    async def save(self, entry: Import) -> None:
        """Remember how far it is."""
        await self._records.put(_IMPORTS, {entry.id: msgspec.json.encode(entry)})

    async def accept(self, entry: Import, body: bytes) -> tuple[Import, bool]:
        """Keep a workbook for the connector's run; answers the import as it is, and whether it was there already."""
        pieces = list(_pieces(body))
        known = await self.find(entry.id)
        if known is None:
            for number, piece in enumerate(pieces):
                await self._records.put(WORKBOOKS, {_key(entry.id, number): piece})
            entry = msgspec.structs.replace(entry, pieces=len(pieces))
            # Whoever was first may have been forgotten by the time it is asked for.
            while known is None and not await self._records.put_new(_IMPORTS, entry.id, msgspec.json.encode(entry)):
                known = await self.find(entry.id)
        current = known or entry
        if not current.is_over:
            # Also when it is known: whoever kept it first may have died before this.
            await self._records.put(_QUEUE, {_at(current.accepted_at, current.id): current.id.encode()})
        return current, known is not None

    async def waiting(self, limit: int = 100) -> list[Import]:
        """Those to be worked on, the oldest first."""
        found = []
        for key, id_ in await self._records.page(_QUEUE, limit=limit):
            entry = await self.find(id_.decode())
            if entry is None or entry.is_over:
                await self._leave(key, id_.decode())
            else:
                found.append(entry)
        return found

    async def load(self, bucket: str, id_: str, pieces: int, to: Path) -> None:
        """Write what lies in pieces to a file."""
        await in_thread(lambda: to.write_bytes(b""))
        for number in range(pieces):
            piece = await self._piece(bucket, id_, number)
            await in_thread(partial(_append, to, piece))

    async def read(self, bucket: str, id_: str, pieces: int) -> bytes:
        """What lies in pieces."""
        return b"".join([await self._piece(bucket, id_, number) for number in range(pieces)])

    async def _piece(self, bucket: str, id_: str, number: int) -> bytes:
        key = _key(id_, number)
        return (await self._records.get(bucket, [key])).get(key, b"")

    async def finish(self, entry: Import, result: Path) -> None:
        """Keep the result, then forget the workbook and that it waits."""
        assert entry.finished_at is not None
        body = await in_thread(result.read_bytes)
        pieces = list(_pieces(body))
        for number, piece in enumerate(pieces):
            await self._records.put(RESULTS, {_key(entry.id, number): piece})
        # Before it is over: whoever goes on after a crash does it again, else nobody would ever forget it.
        await self._records.put(_DONE, {_at(entry.finished_at, entry.id): entry.id.encode()})
        await self.save(msgspec.structs.replace(entry, pieces=len(pieces)))
        await self._leave(_at(entry.accepted_at, entry.id), entry.id)

    async def _leave(self, place: str, id_: str) -> None:
        """Forget a workbook that is over, and then that it waits."""
        await self._records.put(WORKBOOKS, {_key(id_, number): None for number in range(-(-MAX_BYTES // PIECE))})
        await self._records.put(_QUEUE, {place: None})

    async def forget_one(self, id_: str) -> None:
        """Forget how far a workbook of the folder was: its result lies there."""
        await self._records.put(_IMPORTS, {id_: None})

    async def forget(self, now: datetime, keep: timedelta) -> None:
        """Forget what was finished longer ago than ``keep``, a hundred at a time."""
        until = _at(now - keep, "")
        for key, id_ in await self._records.page(_DONE, limit=100):
            if key >= until:
                return
            entry = await self.find(id_.decode())
            if entry is not None:
                await self._records.put(RESULTS, {_key(entry.id, number): None for number in range(entry.pieces)})
                await self._records.put(_IMPORTS, {entry.id: None})
            await self._records.put(_DONE, {key: None})


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + PIECE] for at in range(0, len(body), PIECE))


def _key(id_: str, number: int) -> str:
    return f"{id_}/{number:04}"


def _at(moment: datetime, id_: str) -> str:
    return f"{moment:%Y%m%d%H%M%S%f}/{id_}"


def _append(to: Path, piece: bytes) -> None:
    with to.open("ab") as file:
        file.write(piece)
