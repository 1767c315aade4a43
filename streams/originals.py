"""Returns and invoices that come before the document they name.

A sale and its return, sent together, are commands on two documents: they lie in different partitions and are decided in
whatever order they are read. So one whose original nobody has decided yet waits for it, a short while, and with it what
else is asked of its document. Nothing else waits, and an original that doesn't come is told as unknown, as ever.
"""

import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from hub.store import reading
from hub.store.pool import Store
from schemas import ids
from schemas.commands import AnyCommand, Content, Submit

PATIENCE_SECONDS: Final = 2.0
MOST: Final = 200
"""How many wait at a time; more are decided as they come, lest whoever names nothing but nonsense makes work."""


class Originals:
    """Says which commands wait. It knows since when each of them does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._since: dict[UUID, float] = {}

    async def awaited(self, commands: Sequence[AnyCommand]) -> set[int]:
        """The places of those of these commands that are to be decided later; the others are decided together, in
        their order. Raises what the store raises."""
        missing = await self._missing(commands)
        if not missing:
            self._since = {}
            return set()
        now = time.monotonic()
        places: set[int] = set()
        documents: set[UUID] = set()
        ahead: set[UUID] = set()
        since: dict[UUID, float] = {}
        for place, command in enumerate(commands):
            first = self._since.get(command.command_id, now)
            lacks = place in missing and _original(command) not in ahead
            waits = lacks and now - first < PATIENCE_SECONDS and len(since) < MOST
            if waits:
                since[command.command_id] = first
            if waits or command.document_id in documents:
                places.add(place)
                documents.add(command.document_id)
            else:
                ahead.add(command.document_id)
        self._since = since
        return places

    async def _missing(self, commands: Sequence[AnyCommand]) -> set[int]:
        """The places of new commands whose original isn't there."""
        named = {place: original for place, command in enumerate(commands) if (original := _original(command))}
        if not named:
            return set()
        there = await reading.present(self._store, set(named.values()))
        lacking = [place for place, original in named.items() if original not in there]
        if not lacking:
            return set()
        decided = await reading.decisions(self._store, [commands[place].command_id for place in lacking])
        return {place for place in lacking if commands[place].command_id not in decided}


def _original(command: AnyCommand) -> UUID | None:
    if not isinstance(command, Content) or not command.document.original:
        return None
    if isinstance(command, Submit) and command.in_books is not None:
        return None
    return ids.original_id(command.source, command.document.original)
