"""The timer: reservations that ran out become Expire commands, backorders that can be filled Reconsider commands.

Every streams process may run it: an Expire's id comes from its due time, so it is decided once.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.producer import Outgoing, Producer
from hub.store import timers
from hub.store.errors import StoreError
from hub.store.pool import Store
from schemas import codec, ids, topics
from schemas.commands import AnyCommand, Expire, Reconsider
from schemas.dates import utc_now

ACTOR = "timer"
PATIENCE = timedelta(seconds=30)
"""How long a command that was sent is given to be decided before it is sent again."""

logger = logging.getLogger(__name__)


class Sweeper:
    """Looks for what is due, every so many seconds, until cancelled."""

    def __init__(self, store: Store, producer: Producer, *, seconds: float) -> None:
        self._store = store
        self._producer = producer
        self._seconds = seconds
        self._sent: dict[tuple[UUID, int], datetime] = {}

    async def run(self) -> None:
        """Sweep until cancelled; a fault is logged once and tried again."""
        failing = False
        while True:
            try:
                await self.sweep(utc_now())
                if failing:
                    logger.info("sweeping again")
                failing = False
            except (StoreError, BusUnavailable) as error:
                if not failing:
                    logger.warning("can't sweep: %s", error)
                failing = True
            await asyncio.sleep(self._seconds)

    async def sweep(self, now: datetime) -> int:
        """Send what is due at ``now``; answers how many commands. Raises StoreError or Unavailable."""
        self._sent = {key: at for key, at in self._sent.items() if now - at < PATIENCE}
        due = [_expire(row, now) for row in self._unsent(await timers.expired(self._store, now))]
        due += [_reconsider(row, now) for row in self._unsent(await timers.fillable(self._store))]
        if due:
            await self._producer.publish([as_record(command) for command, _ in due])
            self._sent.update({key: now for _, key in due})
        return len(due)

    def _unsent(self, rows: Iterable[timers.Due]) -> Iterable[timers.Due]:
        return (row for row in rows if (row.document_id, row.step) not in self._sent)


def as_record(command: AnyCommand) -> Outgoing:
    """A command as it travels: keyed by its document."""
    return Outgoing(topics.COMMANDS, str(command.document_id).encode(), codec.encode(command))


_Sent = tuple[AnyCommand, tuple[UUID, int]]


def _expire(row: timers.Due, now: datetime) -> _Sent:
    due = row.expires_at or now
    command = Expire(
        command_id=ids.command_id(row.document_id, "expire", due.isoformat()),
        document_id=row.document_id,
        source=row.source,
        source_id=row.source_id,
        revision=row.revision,
        occurred_at=due,
        recorded_at=now,
        actor=ACTOR,
        due=due,
    )
    return command, (row.document_id, row.step)


def _reconsider(row: timers.Due, now: datetime) -> _Sent:
    command = Reconsider(
        command_id=ids.command_id(row.document_id, "reconsider", f"{row.step}/{now.isoformat()}"),
        document_id=row.document_id,
        source=row.source,
        source_id=row.source_id,
        revision=row.revision,
        occurred_at=now,
        recorded_at=now,
        actor=ACTOR,
    )
    return command, (row.document_id, row.step)
