"""Where items are taken in, from whichever side they come: judged once, remembered, published, and only then answered.

What was taken is remembered by the holder's own id with a digest of its content, and with the very command until Kafka
has it. So the same item again, from another device or after years offline, is known whatever prices and limits are by
then; whoever dies between remembering and publishing leaves the command to the next push.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Final, NamedTuple

import msgspec

from connectors.base import Context
from connectors.pocket_cyber import limits
from connectors.pocket_cyber.devices import busy
from connectors.pocket_cyber.exchange import Result
from connectors.pocket_cyber.limits import Rights
from connectors.pocket_cyber.mapper import Sent
from connectors.pocket_cyber.spec import Edition, Spec
from connectors.pocket_cyber.words import sentence
from schemas import codec, ids
from schemas.commands import Amend, Submit, fingerprint
from schemas.dates import jalali_time, today_in_tehran
from schemas.documents import Document, DocumentRequest
from schemas.intake import InvalidRequest
from schemas.master import Account, Product
from schemas.reasons import Reason
from schemas.visits import Visit

MAX_COMMAND_BYTES: Final = 900_000
"""Of one document's command: Kafka's usual limit for a record is 1 MiB, envelope included."""

DOCUMENTS: Final = "documents"
VISITS: Final = "visits"
_WRITES: Final = 50


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of an item that was taken. ``message`` is what has to be published, until it is."""

    digest: str
    revision: int = 1
    notes: tuple[Reason, ...] = ()
    message: bytes = b""


class Fate(Enum):
    """What an item is to what was taken under its id before."""

    NEW = auto()
    SAME = auto()
    CHANGED = auto()
    CONFLICT = auto()
    OLDER = auto()


def fate(before: Entry | None, digest: str, revision: int) -> Fate:
    """NEW: nothing was; SAME: this; CHANGED: an older revision; CONFLICT: other content; OLDER: a newer revision."""
    if before is None:
        return Fate.NEW
    if revision != before.revision:
        return Fate.CHANGED if revision > before.revision else Fate.OLDER
    return Fate.SAME if digest == before.digest else Fate.CONFLICT


class Known(NamedTuple):
    """What was looked up to judge some documents by. ``entries`` are by source id, as they are stored; ``originals``,
    the sales that returns take back, by source id too, as far as they are decided."""

    products: Mapping[str, Product]
    accounts: Mapping[str, Account]
    entries: Mapping[str, bytes]
    originals: Mapping[str, Document] = {}


class Judged(NamedTuple):
    """A document within its holder's limits, or one taken before. ``entry`` is what is to be remembered of it."""

    sent: Sent
    entry: Entry


class Verdict(NamedTuple):
    """What became of an item."""

    result: Result
    notes: tuple[Reason, ...] = ()


_RESULTS: Final = {
    Fate.NEW: Result.ACCEPTED,
    Fate.CHANGED: Result.ACCEPTED,
    Fate.SAME: Result.REPEATED,
    Fate.OLDER: Result.SUPERSEDED,
    Fate.CONFLICT: Result.CONFLICT,
}


class Desk:
    """The intake of one instance."""

    def __init__(self, spec: Spec, context: Context) -> None:
        self._spec = spec
        self._context = context
        self.source = spec.source or context.instance

    async def look_up(self, requests: Iterable[DocumentRequest]) -> Known:
        """What :meth:`judge` needs for these. Raises Retryable."""
        wanted = list(requests)
        products = {line.product for request in wanted for line in request.lines}
        accounts = {request.account for request in wanted if request.account is not None}
        originals = {request.original for request in wanted if request.original is not None}
        return await self.known(products, accounts, {request.source_id for request in wanted}, originals)

    async def known(
        self,
        products: Collection[str],
        accounts: Collection[str],
        source_ids: Collection[str],
        originals: Collection[str],
    ) -> Known:
        """The same, by the codes and the source ids. Raises Retryable."""
        lookup = self._context.lookup
        sales = {ids.document_id(self.source, original): original for original in originals}
        return Known(
            await lookup.products(products) if products else {},
            await lookup.accounts(accounts) if accounts else {},
            await self._context.records.get(DOCUMENTS, source_ids) if source_ids else {},
            {sales[id_]: sale for id_, sale in (await lookup.documents(sales)).items()} if sales else {},
        )

    def judge(self, sent: Sent, holder: Rights, known: Known, now: datetime) -> Judged:
        """What is to be taken in of a document. Raises InvalidRequest for one that is beyond its holder's limits, was
        made at an impossible time, or contradicts what was taken under its id before."""
        digest, revision = fingerprint(sent.request), sent.request.revision
        raw = known.entries.get(sent.request.source_id)
        before = msgspec.json.decode(raw, type=Entry) if raw else None
        match fate(before, digest, revision):
            case Fate.CONFLICT:
                raise InvalidRequest((conflict(sent.local_id, revision),))
            case Fate.SAME | Fate.OLDER:
                return Judged(sent, Entry(digest, revision))
        request = limits.completed(sent.request, holder)
        wrong = (
            *limits.out_of_time(sent.at, request.date, now, skew=self._spec.clock_skew, oldest=self._spec.oldest),
            *limits.beyond(request, holder, known.products, known.accounts),
        )
        if wrong:
            raise InvalidRequest(wrong)
        priced = limits.at_todays_prices(
            request, known.products, self._spec.price_changed, known.originals.get(request.original or "")
        )
        command = self._command(priced.request, sent.at or now, now)
        return Judged(sent, Entry(digest, revision, priced.notes, command))

    def judge_visit(
        self, visit: Visit, holder: Rights, accounts: Mapping[str, Account], raw: bytes | None, now: datetime
    ) -> Visit:
        """The visit, if it may be taken; ``raw`` is what is remembered of it, and then it was judged before. Raises
        InvalidRequest for one that is beyond its holder's limits or was made at an impossible time."""
        if raw is not None:
            return visit
        wrong: list[Reason] = []
        if self._spec.edition is Edition.CUSTOMERS:
            wrong.append(sentence("visits_not_allowed"))
        if why := limits.off_route(visit.account, holder, accounts):
            wrong.append(why)
        # A visit has no day of its own that could be wrong beside its moment.
        skew, day = self._spec.clock_skew, today_in_tehran(now)
        wrong += limits.out_of_time(visit.began_at, day, now, skew=skew, oldest=self._spec.oldest, field="began_at")
        if visit.ended_at is not None and visit.ended_at > now + skew:
            wrong.append(sentence("from_future", at="ended_at", value=jalali_time(visit.ended_at)))
        if wrong:
            raise InvalidRequest(tuple(wrong))
        return visit

    def _command(self, request: DocumentRequest, at: datetime, now: datetime) -> bytes:
        make = Submit if request.revision == 1 else Amend
        command = codec.encode(
            make.of(request, source=self.source, actor=self._context.name, now=now, occurred_at=min(at, now))
        )
        if len(command) > MAX_COMMAND_BYTES:
            raise InvalidRequest((sentence("item_too_large", limit=MAX_COMMAND_BYTES),))
        return command

    async def take(self, judged: Sequence[Judged], known: Known) -> list[Verdict]:
        """Remember and publish what is new among them, and publish what was remembered but perhaps never published;
        then what became of each, in order. Raises Retryable: some may have been taken, and it may be done again."""
        entered = [
            await self._enter(
                DOCUMENTS, each.sent.request.source_id, each.entry, known.entries.get(each.sent.request.source_id)
            )
            for each in judged
        ]
        unpublished = _distinct(entered)
        if unpublished:
            await self._context.publisher.documents([codec.decode_command(each.entry.message) for each in unpublished])
        await self._settle(DOCUMENTS, unpublished)
        return [Verdict(_RESULTS[each.fate], () if each.fate is Fate.OLDER else each.entry.notes) for each in entered]

    async def take_visits(self, visits: Sequence[Visit], before: Mapping[str, bytes]) -> list[Verdict]:
        """The same for visits, which have no revisions; ``before`` is what is remembered of them."""
        entered = []
        for visit in visits:
            entry = Entry(visit_digest(visit), message=codec.encode(visit))
            entered.append(await self._enter(VISITS, visit.source_id, entry, before.get(visit.source_id)))
        unpublished = _distinct(entered)
        if unpublished:
            await self._context.publisher.visits([codec.decode_as(each.entry.message, Visit) for each in unpublished])
        await self._settle(VISITS, unpublished)
        return [Verdict(_RESULTS[each.fate]) for each in entered]

    async def _enter(self, bucket: str, key: str, entry: Entry, raw: bytes | None) -> "_Entered":
        """Remember an item, unless something is remembered that forbids it; ``raw`` is what was, when last looked."""
        records = self._context.records
        for _ in range(_WRITES):
            before = msgspec.json.decode(raw, type=Entry) if raw else None
            found = fate(before, entry.digest, entry.revision)
            if before is not None and raw is not None and found not in (Fate.NEW, Fate.CHANGED):
                return _Entered(key, found, before, raw)
            if not entry.message:
                # It was judged as taken before, and what was taken is gone: it has to be judged anew.
                raise busy()
            new = msgspec.json.encode(entry)
            written = records.put_new(bucket, key, new) if raw is None else records.replace(bucket, key, raw, new)
            if await written:
                return _Entered(key, found, entry, new)
            raw = (await records.get(bucket, [key])).get(key)
        raise busy()

    async def _settle(self, bucket: str, published: Iterable["_Entered"]) -> None:
        """What Kafka has needn't be kept here any longer."""
        for each in published:
            settled = msgspec.json.encode(msgspec.structs.replace(each.entry, message=b""))
            await self._context.records.replace(bucket, each.key, each.raw, settled)


class _Entered(NamedTuple):
    """An item as it stands in Records."""

    key: str
    fate: Fate
    entry: Entry
    raw: bytes


def _distinct(entered: Iterable[_Entered]) -> list[_Entered]:
    """Those whose message is still to be published, each once, oldest revision first as they came."""
    return list({(each.key, each.entry.revision): each for each in entered if each.entry.message}.values())


def visit_digest(visit: Visit) -> str:
    """A digest of a visit's content."""
    return hashlib.sha256(codec.encode(visit)).hexdigest()


def conflict(local_id: str, revision: int) -> Reason:
    """The reason of other content under an id and revision."""
    return sentence("conflict", at="id", id=local_id, revision=str(revision))


def visit_conflict(local_id: str) -> Reason:
    """The reason of other content under a visit's id."""
    return sentence("visit_conflict", at="id", id=local_id)
