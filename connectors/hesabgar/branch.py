"""A branch's own Hesabgar: its documents come in as those of a source of their own; answers and master data go out.

The line to a branch comes and goes. What was entered there meanwhile is read by row version from where the last
reading ended, and comes in a few at a time: at most :data:`UNDECIDED` of a branch's documents are on their way to a
decision, so that a week's backlog is worked off between what other sources send.
"""

import asyncio
import datetime as dt
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from connectors.base import Context, Outage, Reader, Rejected, UnknownPayload
from connectors.hesabgar import entered, mapper
from connectors.hesabgar.client import Client
from connectors.hesabgar.importing import letter
from connectors.hesabgar.memory import Memory, Seen
from connectors.hesabgar.spec import Spec
from schemas import codec
from schemas.commands import Amend, Submit
from schemas.deadletters import DeadLetter
from schemas.documents import DocumentRequest
from schemas.events import DocumentEvent
from schemas.master import Account, Master, Product

UNDECIDED: Final = 100
CURSOR: Final = "entered"
READ_SECONDS: Final = 0.5
SLOW_SECONDS: Final = 60.0
"""Nothing decided for so long: the next are sent all the same, for what was sent is in Kafka."""

_VIEW: Final = "entered"
_REVISIONS_SINCE: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Undecided:
    """How many of a branch's documents are on their way to a decision."""

    def __init__(self) -> None:
        self._open: set[object] = set()
        self._changed = asyncio.Event()

    def sent(self, identities: Sequence[object]) -> None:
        self._open.update(identities)

    def decided(self, identity: object) -> None:
        self._open.discard(identity)
        self._changed.set()

    async def few(self) -> None:
        """Return when there is room for more."""
        while len(self._open) >= UNDECIDED:
            self._changed.clear()
            try:
                async with asyncio.timeout(SLOW_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                self._open.clear()


class Incoming:
    """The branch's documents. The memory holds what was last sent of each, and under which revision."""

    def __init__(
        self, spec: Spec, context: Context, client: Client, branch: Outage, bus: Outage, undecided: Undecided
    ) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._branch = branch
        self._bus = bus
        self._undecided = undecided
        self._store = Outage("the cursors' database", context.logger)
        self._memory = Memory(context.data)
        self.source = spec.source or context.instance
        self.read_at: dt.datetime | None = None
        """When everything entered by then had been read; what the lag is counted from."""

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                began = self._context.clock()
                if await self.look():
                    self.read_at = began
                    await asyncio.sleep(self._spec.poll.total_seconds())
        finally:
            self._memory.close()

    async def look(self) -> bool:
        """Bring in the next few; whether that was all."""
        await self._undecided.few()
        since = int(await self._store.waited_out(lambda: self._context.cursors.get(CURSOR)) or 0)
        work = partial(entered.changed, since=since, limit=UNDECIDED)
        found = await self._branch.waited_out(lambda: self._client.call(work))
        if found.next < since:
            self._context.logger.warning("the branch's database is an older one: everything is read again")
        await self._bring_in(found.documents)
        if found.next != since:
            next_version = "0" if found.next < since else str(found.next)
            await self._store.waited_out(lambda: self._context.cursors.set(CURSOR, next_version))
        return found.complete and found.next >= since

    async def _bring_in(self, documents: Sequence[entered.Entered]) -> None:
        if not documents:
            return
        keys = [mapper.own_id(each.document) for each in documents]
        known = await asyncio.to_thread(self._memory.known, _VIEW, keys)
        commands: list[Submit | Amend] = []
        letters: list[DeadLetter] = []
        kept: list[Seen] = []
        for key, each in zip(keys, documents, strict=True):
            body, revision = known.get(key, (b"", 0))
            try:
                wanted = mapper.request(each.document, each.lines, revision + 1)
            except UnknownPayload as error:
                letters.append(letter(self._context, each, str(error)))
                continue
            content = _content(wanted)
            if content == body:
                continue
            commands.append(mapper.content(wanted, self.source, self._context.name, self._context.clock()))
            kept.append(Seen(key, content, wanted.revision))
        if letters:
            await self._bus.waited_out(lambda: self._context.publisher.dead_letters(letters))
        if commands:
            self._undecided.sent([command.document_id for command in commands])
            await self._bus.waited_out(lambda: self._context.publisher.documents(commands))
        await asyncio.to_thread(self._memory.keep, _VIEW, kept, 0)


def _content(wanted: DocumentRequest) -> bytes:
    """What of a document is compared: all but its revision."""
    return codec.encode(msgspec.structs.replace(wanted, revision=1))


class Answers:
    """What became of the branch's documents goes into its table ``hub.answer``."""

    def __init__(
        self, source: str, context: Context, client: Client, branch: Outage, bus: Outage, undecided: Undecided
    ) -> None:
        self._source = source
        self._context = context
        self._client = client
        self._branch = branch
        self._bus = bus
        self._undecided = undecided
        self.told = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with self._context.events.documents("answers", self._wanted) as reader:
            while True:
                events = await self._bus.waited_out(lambda: reader.read(READ_SECONDS))
                for event in events:
                    self._undecided.decided(event.document_id)
                for event in _latest(events):
                    await _put(self._client, self._branch, mapper.answer(event), self._context, event.source_id)
                    self.told += 1
                await reader.ack(events)

    def _wanted(self, _event: str, source: str, _kind: str) -> bool:
        return source == self._source


def _latest(events: Sequence[DocumentEvent]) -> list[DocumentEvent]:
    """The last of each document, in their order."""
    last = {event.document_id: event for event in events}
    return list(last.values())


class MasterOut:
    """Accounts and products, as the hub learns them, go to the branch."""

    def __init__(self, spec: Spec, context: Context, client: Client, branch: Outage, bus: Outage) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._branch = branch
        self._bus = bus
        self._last = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with self._context.events.master("master", [Account, Product]) as reader:
            while True:
                records = await self._bus.waited_out(lambda: reader.read(READ_SECONDS))
                await self._send(records, reader)

    async def _send(self, records: Sequence[Master], reader: Reader[Master]) -> None:
        last: dict[tuple[type[Master], str], Account | Product] = {
            (type(record), record.code): record for record in records if isinstance(record, Account | Product)
        }
        revision = self._revision()
        for record in last.values():
            if isinstance(record, Account):
                batch = mapper.send_account(record, self._spec, revision)
            else:
                batch = mapper.send_product(record, revision)
            await _put(self._client, self._branch, batch, self._context, record.code)
        await reader.ack(records)

    def _revision(self) -> int:
        """Higher each time, also after a start: the seconds since 2020."""
        seconds = int((self._context.clock() - _REVISIONS_SINCE).total_seconds())
        self._last = max(self._last + 1, seconds)
        return self._last


async def _put(
    client: Client, branch: Outage, batch: tuple[str, tuple[object, ...]], context: Context, what: str
) -> None:
    """Run a batch at the branch, however long it is away; what it refuses is logged, and the rest goes on."""
    try:
        await branch.waited_out(lambda: client.query(*batch))
    except Rejected as refused:
        context.logger.warning("%s isn't taken by the branch: %s", what, refused)
