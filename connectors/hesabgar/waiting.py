"""Why documents wait to be posted, kept where everyone who shows them looks (:mod:`schemas.waits`)."""

import msgspec

from connectors.base import Context, Retryable
from schemas import waits
from schemas.waits import Wait


class Waiting:
    """One instance's reason. It is written only when it changes, however many wait."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known = False
        self._told: Wait | None = None

    async def tell(self, why: str | None) -> None:
        """Nothing can be posted, for this reason; None: it can. While the database is away it is told later."""
        if self._known and why == (self._told and self._told.why):
            return
        try:
            await self._tell(why)
        except Retryable:
            self._known = False

    async def _tell(self, why: str | None) -> None:
        records = self._context.records
        if not self._known:
            kept = (await records.get(waits.BUCKET, [waits.KEY])).get(waits.KEY)
            self._told = msgspec.json.decode(kept, type=Wait) if kept else None
        since = self._told.since if self._told else self._context.clock()
        wait = Wait(why, since) if why else None
        if wait != self._told:
            await records.put(waits.BUCKET, {waits.KEY: msgspec.json.encode(wait) if wait else None})
        self._told, self._known = wait, True
