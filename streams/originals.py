"""Returns and invoices that come before the document they name.

A sale and its return, sent together, are commands on two documents: they lie in different partitions and are decided in
whatever order they are read. So one whose original nobody has decided yet waits for it, a short while, and with it what
else is asked of its document. Nothing else waits, and an original that doesn't come is told as unknown, as ever.

The short while is longer when the original may lie in Kafka unread: another worker is silent, and its partitions are
nobody's until Kafka gives it up, or some worker has a backlog.
"""

import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from hub.store import progress, reading
from hub.store.pool import Store
from schemas import ids
from schemas.commands import AnyCommand, Content, Submit

PATIENCE_SECONDS: Final = 3.0
LONGEST_SECONDS: Final = 30.0
"""What is handled meanwhile isn't acked, and is handled again if the worker dies."""
SILENT_SECONDS: Final = 2.5
"""Workers speak every two seconds. One that was killed has been silent for longer when patience ends."""
BACKLOG: Final = 5_000
"""Records; fewer are read before patience ends."""
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
        patience = await self._patience(now)
        places: set[int] = set()
        documents: set[UUID] = set()
        ahead: set[UUID] = set()
        since: dict[UUID, float] = {}
        for place, command in enumerate(commands):
            first = self._since.get(command.command_id, now)
            lacks = place in missing and _original(command) not in ahead
            waits = lacks and now - first < patience and len(since) < MOST
            if waits:
                since[command.command_id] = first
            if waits or command.document_id in documents:
                places.add(place)
                documents.add(command.document_id)
            else:
                ahead.add(command.document_id)
        self._since = since
        return places

    async def _patience(self, now: float) -> float:
        """How many seconds a command waits at most, as things stand."""
        if all(now - first < PATIENCE_SECONDS for first in self._since.values()):
            return PATIENCE_SECONDS
        behind = await progress.any_behind(
            self._store, "streams", silent=SILENT_SECONDS, gone=LONGEST_SECONDS, lag=BACKLOG
        )
        return LONGEST_SECONDS if behind else PATIENCE_SECONDS

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
