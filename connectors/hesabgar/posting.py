"""Posting: every cleared document of the configured kinds and sources that may be posted is handed to the books, once.

Two readers of ``documents.events``. One (``start``) answers a cleared document with PostingStarted, whether the books
are there or not. The other (``post``) takes documents that stand at ``posting``, the oldest first, posts each and
answers PostingSucceeded or PostingFailed; only when Kafka has that, the event is done. What makes it once:

- the books' own memory, ``hub.outcome``: a document's id is its external id there, and a second call answers what the
  first did. So a crash after the posting, or a connection that broke before its answer came, is mended by asking
  again;
- ids of commands are derived from the step of the event, so an answer given twice is one answer;
- a refusal is kept until it is decided (:mod:`connectors.hesabgar.refusals`), so nobody asks for the same again.

When the books are away nothing is counted against a document: it waits, and so do all. When they answer, but fail on
one document, that one is tried again after the others, with pauses that double, and after ``tries`` it is failed in
the books' words. It is never failed without asking the books whether they have it.
"""

import asyncio
import heapq
import time
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from connectors.base import ConnectorError, Context, Outage, Reader, Rejected, Retryable, Unauthorised
from connectors.hesabgar import contract, mapper
from connectors.hesabgar.build import Gate
from connectors.hesabgar.client import Client, Refused, Unable, Undone, Unreached
from connectors.hesabgar.newcomers import Newcomers
from connectors.hesabgar.refusals import Refusals
from connectors.hesabgar.spec import Spec
from connectors.hesabgar.waiting import Waiting
from schemas.commands import PostingFailed, PostingSucceeded
from schemas.documents import Document, Kind, State
from schemas.events import DocumentEvent

CLEARED: Final = f"document.{State.CLEARED}"
POSTING: Final = f"document.{State.POSTING}"
WINDOW: Final = 2_000
TOGETHER: Final = 50
"""How many are posted before their answers are told together."""
TOGETHER_SECONDS: Final = 0.25
READ_SECONDS: Final = 0.5
CATCH_UP_SECONDS: Final = 0.5
ANSWERED: Final = 10_000
"""How many documents' answers are remembered, so that events Kafka gives once more aren't posted once more."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 15.0
OWN_NUMBERS: Final = 50_000
"""From here on the numbers are the contract's and the site's; below are SQL Server's own."""
OTHER_REVISION: Final = 50_900
"""Our own number for: the books have another revision of this document."""


class Starter:
    """Cleared documents become ``posting``, unless the policy of their source keeps them from the books: one that is
    released is told as cleared once more."""

    def __init__(self, spec: Spec, context: Context, books: Outage, bus: Outage, gate: Gate) -> None:
        self._spec = spec
        self._context = context
        self._books = books
        self._bus = bus
        self._gate = gate

    async def run(self) -> None:
        """Until cancelled."""
        async with self._context.events.documents("start", self._wanted) as reader:
            while True:
                events = await self._bus.waited_out(lambda: reader.read(READ_SECONDS))
                if not events:
                    continue
                now, note = self._context.clock(), self._note()
                commands = [
                    mapper.started(event, self._context.name, now, note)
                    for event in events
                    if event.document is not None and event.document.may_be_posted
                ]
                if commands:
                    await self._bus.waited_out(partial(self._context.publisher.documents, commands))
                await reader.ack(events)

    def _wanted(self, event: str, source: str, kind: str) -> bool:
        return event == CLEARED and self._spec.posts(kind, source)

    def _note(self) -> str:
        """Why the document will wait, if it will."""
        return self._books.reason or self._gate.why or ""


class _Waiting:
    """A document that stands at ``posting``."""

    __slots__ = ("event", "failures", "messages", "not_before")

    def __init__(self, event: DocumentEvent) -> None:
        self.event = event
        self.messages = [event]
        self.failures = 0
        self.not_before = 0.0

    @property
    def age(self) -> tuple[float, str]:
        return self.event.recorded_at.timestamp(), str(self.event.document_id)


class Posted(NamedTuple):
    """What the books answered."""

    number: str
    posted_at: object
    revision: int


class Poster:
    """Documents at ``posting`` are posted, each while holding ``still``. ``waiting`` of them wait, the oldest for
    ``oldest_seconds``."""

    def __init__(
        self,
        spec: Spec,
        context: Context,
        client: Client,
        books: Outage,
        bus: Outage,
        gate: Gate,
        newcomers: Newcomers,
        still: asyncio.Lock,
    ) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._books = books
        self._bus = bus
        self._gate = gate
        self._newcomers = newcomers
        self._still = still
        self._waiting: dict[UUID, _Waiting] = {}
        self._queue: list[tuple[tuple[float, str], UUID]] = []
        self._later: list[tuple[float, UUID]] = []
        self._away_until = 0.0
        self._pause = FIRST_PAUSE
        self._next_at = 0.0
        self._caught_up = False
        self._answered: dict[UUID, int] = {}
        self._refusals = Refusals(context)
        self._wait = Waiting(context)
        self._hindrance = Outage(f"posting to {client.server}", context.logger)
        self._store = Outage("the hub's database", context.logger)
        self.posted = 0
        self.failed = 0

    @property
    def waiting(self) -> int:
        """How many documents wait to be posted, of those read so far."""
        return len(self._waiting)

    def oldest_seconds(self) -> int:
        """How long the one has waited that waits longest."""
        if not self._waiting:
            return 0
        oldest = min(each.event.recorded_at for each in self._waiting.values())
        return max(int((self._context.clock() - oldest).total_seconds()), 0)

    async def run(self) -> None:
        """Until cancelled."""
        await self._refusals.load()
        async with self._context.events.documents("post", self._wanted, window=WINDOW) as reader:
            while True:
                await self._catch_up(reader)
                await self._work(reader)
                await self._wait.tell(self._hindrance.reason or self._books.reason or self._gate.why)

    async def _catch_up(self, reader: Reader[DocumentEvent]) -> None:
        """Take in everything there is, for what came after a posting may say that it is over. After the start not for
        long: where something comes all the time, posting has to get its turn."""
        until = time.monotonic() + CATCH_UP_SECONDS
        while await self._absorb(reader, self._idle_seconds()):
            if self.waiting >= WINDOW or (self._caught_up and time.monotonic() >= until):
                return
        self._caught_up = True

    def _idle_seconds(self) -> float:
        """How long there is nothing to do but read."""
        now = time.monotonic()
        if self._queue:
            return min(max(self._away_until - now, 0.0), READ_SECONDS)
        return min(max(self._later[0][0] - now, 0.0), READ_SECONDS) if self._later else READ_SECONDS

    def _wanted(self, _event: str, source: str, kind: str) -> bool:
        # Whatever happens to a document after `posting` says that this posting is over.
        return self._spec.posts(kind, source)

    async def _absorb(self, reader: Reader[DocumentEvent], seconds: float) -> bool:
        """Take in what came; whether anything did."""
        events = await self._bus.waited_out(lambda: reader.read(seconds))
        await self._refusals.passed(events)
        reached = await self._reached(events)
        done = []
        for event in events:
            known = self._waiting.get(event.document_id)
            if event.step <= self._answered.get(event.document_id, 0):
                done.append(event)  # it comes again after its answer was told
            elif event.step < reached.get(event.document_id, 0):
                done.append(event)  # it comes again after more has happened, as when commands are replayed
            elif event.type == POSTING and (known is None or event.step > known.event.step):
                if known is not None:
                    done += known.messages
                self._waiting[event.document_id] = waiting = _Waiting(event)
                self._queue_up(waiting)
            elif known is not None and event.step == known.event.step and event.type == POSTING:
                known.messages.append(event)  # it came once more
            else:
                if known is not None and event.step > known.event.step:
                    done += self._waiting.pop(event.document_id).messages
                done.append(event)
        if done:
            await reader.ack(done)
        return bool(events)

    async def _reached(self, events: Sequence[DocumentEvent]) -> dict[UUID, int]:
        """The steps at which the documents that are to be posted now stand."""
        ids = {event.document_id for event in events if event.type == POSTING}
        if not ids:
            return {}
        found = await self._store.waited_out(lambda: self._context.lookup.documents(ids))
        return {document.id: document.step for document in found.values()}

    async def _work(self, reader: Reader[DocumentEvent]) -> None:
        """Post what may be posted now: a handful, so that answers are told soon."""
        self._wake()
        if not self._queue or time.monotonic() < self._away_until or not await self._may_post():
            return
        answers: list[PostingSucceeded | PostingFailed] = []
        done: list[_Waiting] = []
        began = time.monotonic()
        try:
            while self._queue and len(answers) < TOGETHER and time.monotonic() - began < TOGETHER_SECONDS:
                _, document_id = heapq.heappop(self._queue)
                waiting = self._waiting.get(document_id)
                if waiting is None or waiting.not_before > time.monotonic():
                    continue
                # The books take no return before its sale. The two lie in different partitions, and may come in either
                # order.
                sale_id = _sale_of(waiting.event.document)
                if sale_id in self._waiting or self._is_on_its_way(sale := await self._document(sale_id)):
                    self._put_off(waiting)
                    continue
                await self._paced()
                answer = await self._post(waiting, sale)
                if answer is not None:
                    answers.append(answer)
                    done.append(waiting)
                elif time.monotonic() < self._away_until:
                    break
        finally:
            if answers:
                await self._tell(answers, done, reader)

    async def _document(self, identity: UUID | None) -> Document | None:
        """A document as the hub has it; None if there is none."""
        if identity is None:
            return None
        return (await self._store.waited_out(lambda: self._context.lookup.documents([identity]))).get(identity)

    def _is_on_its_way(self, sale: Document | None) -> bool:
        """Whether a sale is still to come into the books."""
        if sale is None or not self._spec.posts(sale.kind, sale.source):
            return False
        return sale.state is State.POSTING or (sale.state is State.CLEARED and sale.may_be_posted)

    async def _may_post(self) -> bool:
        try:
            allowed = await self._gate.is_open()
        except ConnectorError as error:
            self._gone(error)
            return False
        if not allowed:
            self._away_until = time.monotonic() + READ_SECONDS
        return allowed

    def _wake(self) -> None:
        """Those whose pause is over queue up again."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, document_id = heapq.heappop(self._later)
            waiting = self._waiting.get(document_id)
            if waiting is not None:
                self._queue_up(waiting)

    async def _paced(self) -> None:
        """At most ``most_per_second``, evenly: who was away is not run over."""
        pause = self._next_at - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        self._next_at = time.monotonic() + 1 / self._spec.most_per_second

    async def _tell(
        self,
        answers: Sequence[PostingSucceeded | PostingFailed],
        done: Sequence[_Waiting],
        reader: Reader[DocumentEvent],
    ) -> None:
        both = zip(done, answers, strict=True)
        await self._refusals.keep((each.event, answer) for each, answer in both if isinstance(answer, PostingFailed))
        await self._bus.waited_out(lambda: self._context.publisher.documents(answers))
        for waiting in done:
            self._remember(waiting.event)
            if self._waiting.get(waiting.event.document_id) is waiting:
                del self._waiting[waiting.event.document_id]
        await reader.ack([message for waiting in done for message in waiting.messages])

    def _remember(self, event: DocumentEvent) -> None:
        self._answered[event.document_id] = event.step
        while len(self._answered) > ANSWERED:
            del self._answered[next(iter(self._answered))]

    async def _post(self, waiting: _Waiting, sale: Document | None) -> PostingSucceeded | PostingFailed | None:
        """The answer to a document; None if it has to be tried again. ``sale``: what it takes back, if it is a return
        of one the hub has."""
        event = waiting.event
        assert event.document is not None
        if (told := self._refusals.of(event)) is not None:
            return told
        try:
            if self._spec.send_new:
                await self._newcomers.bring(event.document)
            async with self._still:
                posted = await post_document(self._client, event.document, self._spec, sale)
        except Refused as refusal:
            self._well()
            if refusal.number < OWN_NUMBERS and await self._build_changed():
                self._queue_up(waiting)
                return None
            return self._failure(waiting, refusal.words, refusal.number)
        except Rejected as refusal:
            return self._failure(waiting, str(refusal), 0)
        except (Unauthorised, Unable) as error:
            # Reading may go on all the while, so the books aren't away; but it is the same for every document.
            self._hindrance.down(error)
            self._rest()
            self._queue_up(waiting)
            return None
        except Retryable as error:
            return await self._troubled(waiting, error)
        self._well()
        return self._done(waiting, posted)

    async def _build_changed(self) -> bool:
        """Whether an error of the server's own comes of another build, to which the contract wasn't fitted yet."""
        self._gate.doubt()
        return not await self._may_post()

    def _done(self, waiting: _Waiting, posted: Posted) -> PostingSucceeded | PostingFailed:
        """The books have the document, in this revision or in another."""
        if posted.revision != waiting.event.revision:
            words = (
                f"در دفترها ویرایش {posted.revision} همین سند با شمارهٔ {posted.number} ثبت است. "
                f"The books have revision {posted.revision} of this document, as {posted.number}."
            )
            return self._failure(waiting, words, OTHER_REVISION)
        self.posted += 1
        now = self._context.clock()
        return mapper.succeeded(waiting.event, posted.number, mapper.as_utc(posted.posted_at), self._context.name, now)

    def _failure(self, waiting: _Waiting, words: str, number: int) -> PostingFailed:
        self.failed += 1
        self._context.logger.warning("document %s is refused: %s (%d)", waiting.event.document_id, words, number)
        return mapper.failed(waiting.event, words, number, self._context.name, self._context.clock())

    async def _troubled(self, waiting: _Waiting, error: Retryable) -> PostingSucceeded | PostingFailed | None:
        """Posting didn't get to an end. If the server answers otherwise, it is this document's own trouble."""
        try:
            await self._client.query(contract.PING)
            known = await outcome_of(self._client, waiting.event.document)
        except Undone:
            # It is still being posted there, by a call nobody waits for any more: its outcome has to be awaited.
            self._put_off(waiting)
            return None
        except ConnectorError as away:
            self._gone(away if isinstance(away, Unauthorised) else error)
            self._queue_up(waiting)
            return None
        self._well()
        if known is not None:
            return self._done(waiting, known)
        if isinstance(error, Unreached):
            # The books came back between the two calls: it is as old as it was, and keeps its turn.
            self._queue_up(waiting)
            return None
        waiting.failures += 1
        if waiting.failures >= self._spec.tries:
            return self._failure(waiting, f"پس از {waiting.failures} بار کوشش: {error}", getattr(error, "number", 0))
        self._put_off(waiting)
        return None

    def _put_off(self, waiting: _Waiting) -> None:
        pause = self._spec.retry_pause.total_seconds() * 2 ** max(waiting.failures - 1, 0)
        waiting.not_before = time.monotonic() + pause
        heapq.heappush(self._later, (waiting.not_before, waiting.event.document_id))

    def _gone(self, error: ConnectorError) -> None:
        self._books.down(error)
        self._rest()

    def _rest(self) -> None:
        """Nothing is posted for a while; then the books may be others."""
        self._gate.doubt()
        self._away_until = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _queue_up(self, waiting: _Waiting) -> None:
        heapq.heappush(self._queue, (waiting.age, waiting.event.document_id))

    def _well(self) -> None:
        self._books.up()
        self._hindrance.up()
        self._pause = FIRST_PAUSE


def _sale_of(document: Document | None) -> UUID | None:
    """The id of the sale that a return takes back; None for anything else."""
    return document.original_id if document is not None and document.kind is Kind.SALES_RETURN else None


async def post_document(client: Client, document: Document, spec: Spec, original: Document | None = None) -> Posted:
    """Post a document, or learn that it is posted. Raises ConnectorError."""
    rows = await client.query(*mapper.posting(document, spec, original))
    if not rows:
        raise Rejected("hub.post_document answered nothing; is the contract's latest version installed?")
    named = dict(zip(POST_ANSWER, rows[0], strict=False))
    return Posted(str(named["number"]), named["posted_at"], int(str(named["revision"])))


POST_ANSWER: Final = (
    "external_id",
    "kind",
    "revision",
    "fiscal_year",
    "number",
    "voucher_number",
    "posted_at",
    "row_version",
    "already_posted",
)


async def outcome_of(client: Client, document: Document | None) -> Posted | None:
    """What the books have of a document, once whatever is being done with it there is over. Raises ConnectorError."""
    assert document is not None
    rows = await client.query(contract.OUTCOME, (str(document.id),))
    if not rows:
        return None
    _, number, revision, posted_at = rows[0]
    return Posted(str(number), posted_at, int(revision))
