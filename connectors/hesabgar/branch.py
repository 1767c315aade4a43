"""A branch's own Hesabgar: its documents come in as those of a source of their own; answers and master data go out.

The line to a branch comes and goes. What was entered there meanwhile is read by row version from where the last
reading ended, and comes in a few at a time: at most :data:`UNDECIDED` of a branch's documents are on their way to a
decision, so that a week's backlog is worked off between what other sources send. And what is entered while a backlog
is read doesn't wait behind it: both go on side by side. A document is read as it now is, under its last row version,
so however the two alternate, what comes in of it is in order.
"""

import asyncio
import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec

from connectors.base import Context, Outage, Reader, Rejected, UnknownPayload
from connectors.hesabgar import entered, mapper
from connectors.hesabgar.build import Gate
from connectors.hesabgar.client import Client
from connectors.hesabgar.importing import letter
from connectors.hesabgar.newcomers import Cities, batch_of
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

_BUCKET: Final = "entered"
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


class Place(NamedTuple):
    """How far the reading is: everything below ``since`` came in. While there is a backlog, it ends at ``backlog``,
    and what was entered later came in up to ``newest``. As a cursor: ``since`` or ``since/backlog/newest``."""

    since: int
    backlog: int | None = None
    newest: int = 0

    @classmethod
    def parsed(cls, cursor: str | None) -> "Place":
        """From a cursor; None: from the beginning."""
        return cls(*(int(part) for part in (cursor or "0").split("/")))

    def __str__(self) -> str:
        return str(self.since) if self.backlog is None else f"{self.since}/{self.backlog}/{self.newest}"


class Sent(msgspec.Struct, frozen=True):
    """What was last sent of a document: its revision and the digest of its content. ``request`` is there until Kafka
    is known to have it: until then it may have been sent or not, and has to be sent once more."""

    revision: int
    digest: bytes
    request: DocumentRequest | None = None


class Incoming:
    """The branch's documents. What was last sent of each is remembered in :class:`Records`."""

    def __init__(
        self, spec: Spec, context: Context, client: Client, branch: Outage, bus: Outage, undecided: Undecided
    ) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._branch = branch
        self._bus = bus
        self._undecided = undecided
        self._store = Outage("the connectors' database", context.logger)
        self.source = spec.source or context.instance
        self.read_at: dt.datetime | None = None
        """When everything entered by then had been read; what the lag is counted from."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = self._context.clock()
            if await self.look():
                self.read_at = began
                await asyncio.sleep(self._spec.poll.total_seconds())

    async def look(self) -> bool:
        """Bring in the next few; whether that was all."""
        await self._undecided.few()
        place = Place.parsed(await self._store.waited_out(lambda: self._context.cursors.get(CURSOR)))
        following, complete = await self._newest(place) if place.backlog else (place, True)
        following, caught_up = await self._oldest(following)
        if following != place:
            await self._store.waited_out(lambda: self._context.cursors.set(CURSOR, str(following)))
        return complete and caught_up

    async def _newest(self, place: Place) -> tuple[Place, bool]:
        """A few of what was entered since there is a backlog."""
        found = await self._read(place.newest, UNDECIDED // 2 + 1)
        if found.horizon < place.newest:
            return self._anew(), False
        await self._bring_in(found.documents)
        return place._replace(newest=found.next), found.complete

    async def _oldest(self, place: Place) -> tuple[Place, bool]:
        """A few of what waits longest."""
        found = await self._read(place.since, UNDECIDED if place.backlog is None else UNDECIDED // 2 + 1, place.backlog)
        if found.horizon < max(place.since, place.backlog or 0):
            return self._anew(), False
        await self._bring_in(found.documents)
        if not found.complete:
            return Place(found.next, place.backlog or found.horizon, place.newest or found.horizon), False
        return Place(found.next if place.backlog is None else place.newest), place.backlog is None

    async def _read(self, since: int, limit: int, before: int | None = None) -> entered.Found:
        work = partial(entered.changed, since=since, limit=limit, before=before)
        return await self._branch.waited_out(lambda: self._client.call(work))

    def _anew(self) -> Place:
        self._context.logger.warning("the branch's database is an older one: everything is read again")
        return Place(0)

    async def _bring_in(self, documents: Sequence[entered.Entered]) -> None:
        if not documents:
            return
        known = await self._sent([mapper.own_id(each.document) for each in documents])
        letters: list[DeadLetter] = []
        unconfirmed: dict[str, Sent] = {}
        commands: list[Submit | Amend] = []
        for each in documents:
            key = mapper.own_id(each.document)
            last = known.get(key)
            if last is not None and last.request is not None:
                commands.append(self._command(last.request))
                unconfirmed[key] = last
            try:
                wanted = mapper.request(each.document, each.lines, last.revision + 1 if last else 1)
            except UnknownPayload as error:
                letters.append(letter(self._context, each, str(error)))
                continue
            if last is None or last.digest != _digest(wanted):
                commands.append(self._command(wanted))
                unconfirmed[key] = Sent(wanted.revision, _digest(wanted), wanted)
        if letters:
            await self._bus.waited_out(lambda: self._context.publisher.dead_letters(letters))
        if commands:
            await self._keep(unconfirmed)
            self._undecided.sent([command.document_id for command in commands])
            await self._bus.waited_out(lambda: self._context.publisher.documents(commands))
            await self._keep({key: Sent(sent.revision, sent.digest) for key, sent in unconfirmed.items()})

    def _command(self, wanted: DocumentRequest) -> Submit | Amend:
        return mapper.content(wanted, self.source, self._context.name, self._context.clock())

    async def _sent(self, keys: Sequence[str]) -> dict[str, Sent]:
        found = await self._store.waited_out(lambda: self._context.records.get(_BUCKET, keys))
        return {key: msgspec.json.decode(value, type=Sent) for key, value in found.items()}

    async def _keep(self, sent: Mapping[str, Sent]) -> None:
        values = {key: msgspec.json.encode(each) for key, each in sent.items()}
        await self._store.waited_out(lambda: self._context.records.put(_BUCKET, values))


def _digest(wanted: DocumentRequest) -> bytes:
    """What of a document is compared: all but its revision."""
    return hashlib.sha256(codec.encode(msgspec.structs.replace(wanted, revision=1))).digest()


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
    """Accounts and products, as the hub learns them, go to the branch, but not while its build waits to be accepted."""

    def __init__(self, spec: Spec, context: Context, client: Client, branch: Outage, bus: Outage, gate: Gate) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._branch = branch
        self._bus = bus
        self._gate = gate
        self._cities = Cities(client, context.logger)
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
        if last:
            await self._gate.opened(self._branch)
        revision = self._revision()
        for record in last.values():
            batch = await self._branch.waited_out(partial(batch_of, record, self._spec, self._cities, revision))
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
