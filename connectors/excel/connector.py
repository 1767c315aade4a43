"""The Excel connector's life: what is in the folder, then what came by the API, one workbook at a time."""

import asyncio
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Final

from connectors import base
from connectors.base import Context, Outage, Rejected, Retryable
from connectors.excel import keeping
from connectors.excel.importing import Importer
from connectors.excel.keeping import Import, Keeping, import_id
from connectors.excel.spec import Spec
from connectors.files.client import Folder, Result, Seen, in_thread

_SUFFIX: Final = ".xlsx"


class Connector(base.Connector[Spec]):
    """Takes workbooks in, from a watched folder and from what its receiver keeps."""

    def __init__(self, spec: Spec, context: Context) -> None:
        super().__init__(spec, context)
        self._folder = Folder(spec.folder) if spec.folder is not None else None
        self._folder_outage = Outage(f"the folder {spec.folder}", context.logger)
        self._database = Outage("the database", context.logger)
        self._keeping = Keeping(context.records)
        self._importer = Importer(spec, context)
        self._before: set[Seen] = set()
        self._told: set[tuple[Seen, str]] = set()
        self._waiting = 0

    async def check(self) -> None:
        if self._folder is not None:
            await self._folder.check()

    def vitals(self) -> dict[str, int]:
        return {"workbooks_waiting": self._waiting, "rows": self._importer.rows}

    async def run(self) -> None:
        if self._folder is not None:
            await self._folder_outage.waited_out(self._folder.prepare)
        while True:
            if self._folder is not None:
                await self._look(self._folder)
            await self._serve()
            await asyncio.sleep(self.spec.poll.total_seconds())

    async def _look(self, folder: Folder) -> None:
        present = await self._folder_outage.waited_out(folder.look)
        steady = sorted(present & self._before, key=lambda seen: (seen.changed_ns, seen.name))
        for position, seen in enumerate(steady):
            self._waiting = len(steady) - position
            await self._folder_outage.waited_out(partial(self._take, folder, seen))
        self._waiting = 0
        self._told = {(seen, what) for seen, what in self._told if seen in present}
        self._before = present

    async def _take(self, folder: Folder, seen: Seen) -> None:
        """Take one file in from a copy nobody else writes to. A fault of the file leaves it for the next look."""
        copy = self._copy()
        try:
            digest = await folder.fetch(seen.name, copy, self.spec.max_bytes)
            if not await folder.holds(seen):
                self._tell(seen, "it was written to while it was copied; it is read again")
                return
            source = self.spec.source or self.context.instance
            id_ = import_id(source, f"{digest}/{seen.changed_ns}")
            known = await self._database.waited_out(partial(self._keeping.find, id_))
            entry = known if known is not None and not known.is_over else Import(id_, source, self.context.clock())
            result = Result(folder, digest, _SUFFIX)
            entry = await self._importer.run(copy, entry, self._keeping.save, copy.with_suffix(".result"), seen.shown)
            await in_thread(partial(_publish_file, copy.with_suffix(".result"), result.path))
            await folder.put_away(seen, result, taken=entry.documents > 0)
            await self._database.waited_out(partial(self._keeping.forget_one, entry.id))
        except Rejected as rejected:
            self._tell(seen, str(rejected))
        finally:
            await in_thread(partial(copy.unlink, missing_ok=True))

    def _copy(self) -> Path:
        return self.context.data / "workbook"

    def _tell(self, seen: Seen, what: str) -> None:
        """Log something of a file once, not at every look."""
        if (seen, what) not in self._told:
            self.context.logger.warning("%s: %s", seen.shown, what)
        self._told.add((seen, what))

    async def _serve(self) -> None:
        """Take in what came by the API."""
        waiting = await self._database.waited_out(self._keeping.waiting)
        copy = self._copy()
        result = copy.with_suffix(".result")
        for position, entry in enumerate(waiting):
            self._waiting = len(waiting) - position
            load = partial(self._keeping.load, keeping.WORKBOOKS, entry.id, entry.pieces, copy)
            await self._database.waited_out(load)
            over = await self._importer.run(copy, entry, self._keeping.save, result, entry.id)
            await self._database.waited_out(partial(self._keeping.finish, over, result))
        self._waiting = 0
        forget = partial(self._keeping.forget, self.context.clock(), self.spec.keep)
        await self._database.waited_out(forget)


def _publish_file(made: Path, to: Path) -> None:
    """Bring the result onto the folder's own file system, whole on disk before it gets its name.

    Raises :exc:`Retryable` while the folder is away or full.
    """
    try:
        with made.open("rb") as source, to.open("wb") as target:
            shutil.copyfileobj(source, target, keeping.PIECE)
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        raise Retryable(f"{to.parent}: {error.strerror or error}") from error
    made.unlink()
