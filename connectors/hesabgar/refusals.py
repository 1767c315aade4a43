"""What the books refused, until the hub is known to have decided it.

A refusal may be told and the place in the topic not yet be kept when the connector is killed. Then the document comes
again, and the books, asked a second time, might take what they refused: the hub would call it failed, and a voucher
would be there. So a refusal is kept before it is told, and told again in the same words instead of asking again.
"""

from collections.abc import Iterable
from functools import partial
from typing import Final
from uuid import UUID

from connectors.base import Context, Outage
from schemas import codec
from schemas.commands import PostingFailed
from schemas.events import DocumentEvent

_BUCKET: Final = "refused"
_PAGE: Final = 1_000


class Refusals:
    """One instance's, by document: the step of the event that led to it, and what was told."""

    def __init__(self, context: Context) -> None:
        self._records = context.records
        self._store = Outage("the connectors' database", context.logger)
        self._kept: dict[UUID, tuple[int, PostingFailed]] = {}

    async def load(self) -> None:
        """What an earlier life left."""
        after = ""
        while page := await self._store.waited_out(partial(self._records.page, _BUCKET, after, _PAGE)):
            for key, value in page:
                step, _, command = value.partition(b" ")
                refusal = codec.decode_command(command)
                assert isinstance(refusal, PostingFailed)
                self._kept[UUID(key)] = int(step), refusal
            after = page[-1][0]

    def of(self, event: DocumentEvent) -> PostingFailed | None:
        """What was told, or was about to be, of this very event."""
        step, refusal = self._kept.get(event.document_id, (0, None))
        return refusal if step == event.step else None

    async def keep(self, refused: Iterable[tuple[DocumentEvent, PostingFailed]]) -> None:
        """These are about to be told."""
        new = {event.document_id: (event.step, refusal) for event, refusal in refused}
        values = {str(key): b"%d %b" % (step, codec.encode(refusal)) for key, (step, refusal) in new.items()}
        if values:
            self._kept |= new
            await self._store.waited_out(lambda: self._records.put(_BUCKET, values))

    async def passed(self, events: Iterable[DocumentEvent]) -> None:
        """These happened. What is behind a document's refusal is in the topic for good, before anything is posted."""
        over = {
            event.document_id for event in events if event.step > self._kept.get(event.document_id, (event.step,))[0]
        }
        if over:
            for key in over:
                del self._kept[key]
            await self._store.waited_out(lambda: self._records.put(_BUCKET, dict.fromkeys(map(str, over))))
