"""The exchange by files: a folder per holder, read as :mod:`connectors.files` reads, within the holder's limits.

Reading, the columns, what is half written, where results go and what is told by row and column are that connector's
(an ADR says why it is shared). Here documents get the holder's identity, its limits and the memory of what was taken,
the same as those pushed over HTTP: a document that came both ways is one.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from connectors.base import Context, Outage, Rejected, Retryable
from connectors.files import connector as files
from connectors.files import words
from connectors.files.client import Folder, in_thread
from connectors.files.mapper import Origin, Record
from connectors.files.rows import BadFile, Row
from connectors.files.spec import Spec as FilesSpec
from connectors.pocket_cyber import limits, mapper
from connectors.pocket_cyber.desk import (
    VISITS,
    Desk,
    Entry,
    Judged,
    Known,
    Verdict,
    conflict,
    visit_conflict,
    visit_digest,
)
from connectors.pocket_cyber.exchange import Result
from connectors.pocket_cyber.limits import Rights
from connectors.pocket_cyber.mapper import Sent
from connectors.pocket_cyber.outcome_files import OutcomeFiles
from connectors.pocket_cyber.outcomes import Log, Reading
from connectors.pocket_cyber.spec import Spec
from connectors.pocket_cyber.words import sentence
from schemas import codec, text
from schemas.commands import Amend, Submit, fingerprint
from schemas.documents import Document, DocumentRequest
from schemas.intake import InvalidRequest
from schemas.master import Account, Product
from schemas.reasons import Reason
from schemas.visits import Visit

_NOT_TAKEN: Final = ("to_warehouse", "hold")


class Drops:
    """The folders of an instance, each looked after by itself."""

    def __init__(self, spec: Spec, context: Context, desk: Desk, log: Log, root: Path) -> None:
        self._spec = spec
        self._context = context
        self._desk = desk
        self._log = log
        self._root = root
        self._outage = Outage(f"the folder {root}", context.logger)

    async def run(self) -> None:
        """Until cancelled; a holder's folder that is made later is found."""
        known: set[str] = set()
        at_work: list[asyncio.Task[None]] = []
        try:
            while True:
                for holder in await self._present(told=bool(known)):
                    if holder.holder not in known:
                        known.add(holder.holder)
                        at_work += map(asyncio.create_task, (self._connector(holder).run(), self._told(holder).run()))
                for task in at_work:
                    if task.done():
                        task.result()
                await asyncio.sleep(self._spec.poll.total_seconds())
        finally:
            for task in at_work:
                task.cancel()
            await asyncio.gather(*at_work, return_exceptions=True)

    async def _present(self, *, told: bool) -> list[Rights]:
        """Those whose folder is there. Where others ``told`` of it, a root that is away is passed over in silence."""
        look = partial(in_thread, partial(holders, self._spec, self._root))
        if not told:
            return await self._outage.waited_out(look)
        with contextlib.suppress(Retryable):
            return await look()
        return []

    def _connector(self, holder: Rights) -> files.Connector:
        spec = FilesSpec(folder=self._root / holder.holder, source=self._desk.source, poll=self._spec.poll)
        intake: Callable[[Context, Origin], files.Intake] = partial(_Intake, holder, self._desk)
        return files.Connector(spec, self._context, intake=intake, cursor=f"file/{holder.holder}")

    def _told(self, holder: Rights) -> OutcomeFiles:
        reading = Reading(self._desk.source, holder.holder, self._context.records, self._context.lookup)
        return OutcomeFiles(self._context, self._log, reading, Folder(self._root / holder.holder), self._spec.poll)


def holders(spec: Spec, root: Path) -> list[Rights]:
    """Those whose folder is there. Raises Retryable while the root isn't: it may be a share that isn't mounted."""
    try:
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        raise Retryable(f"{root}: {error.strerror}") from error
    return [found for name in names if (found := limits.rights(spec, name)) is not None]


async def check(spec: Spec, root: Path) -> None:
    """Return if the folders can be worked in; writes nothing. Raises Rejected."""
    try:
        found = await in_thread(partial(holders, spec, root))
    except Retryable:
        raise Rejected(f"the folder {root} isn't there; make it, or mend `folder` in the configuration") from None
    for holder in found:
        await Folder(root / holder.holder).check()


class _Intake(files.Intake):
    """One file of one holder."""

    def __init__(self, holder: Rights, desk: Desk, context: Context, origin: Origin) -> None:
        super().__init__(context, origin)
        self._holder = holder
        self._desk = desk
        self._products: dict[str, Product] = {}
        self._accounts: dict[str, Account] = {}
        self._entries: dict[str, bytes] = {}
        self._originals: dict[str, Document] = {}
        self._judged: dict[str, Judged] = {}
        self._brought: dict[tuple[str, int], str] = {}
        self._visits: dict[str, bytes] = {}
        self._kind = words.DOCUMENTS

    def admit(self, kind: str) -> None:
        if kind not in (words.DOCUMENTS, words.VISITS):
            raise BadFile(sentence("documents_only"))
        self._kind = kind

    async def prepare(self, batch: Sequence[Row]) -> None:
        named = [_Named.by(row) for row in batch]
        if self._kind == words.VISITS:
            await self._prepare_visits(named)
            return
        known = await self._desk.known(
            {code for each in named for code in each.products} - self._products.keys(),
            {code for each in named for code in each.accounts} - self._accounts.keys(),
            {mapper.source_id(self._holder.holder, id_) for each in named for id_ in each.ids},
            {mapper.source_id(self._holder.holder, id_) for each in named for id_ in each.originals},
        )
        self._products |= known.products
        self._accounts |= known.accounts
        self._entries |= known.entries
        self._originals |= known.originals

    async def _prepare_visits(self, named: Sequence["_Named"]) -> None:
        accounts = {code for each in named for code in each.accounts} - self._accounts.keys()
        ids = {mapper.source_id(self._holder.holder, id_) for each in named for id_ in each.ids}
        self._accounts |= await self.context.lookup.accounts(accounts) if accounts else {}
        self._visits |= await self.context.records.get(VISITS, ids) if ids else {}

    def visit(self, values: Mapping[str, object]) -> Visit:
        try:
            visit = mapper.visit_of_file(values, self._holder.holder, self._desk.source)
            digest = visit_digest(visit)
            raw = self._visits.get(visit.source_id)
            before = msgspec.json.decode(raw, type=Entry).digest if raw else digest
            if not before == digest == self._brought.setdefault((visit.source_id, 0), digest):
                local_id = visit.source_id.partition("/")[2]
                raise InvalidRequest((visit_conflict(local_id),))
            return self._desk.judge_visit(visit, self._holder, self._accounts, raw, self.context.clock())
        except InvalidRequest as refused:
            raise InvalidRequest(tuple(map(_of_column, refused.problems))) from None

    async def tell(self, records: Sequence[Record]) -> None:
        visits = [each for each in records if isinstance(each, Visit)]
        verdicts = await self._desk.take_visits(visits, self._visits)
        await self._keep_contradicted(visits, verdicts)

    def judge(self, request: DocumentRequest) -> DocumentRequest:
        local_id = request.source_id
        try:
            mapper.check_local_id(local_id)
            if problems := [sentence("not_taken", at=name, name=name) for name in _NOT_TAKEN if getattr(request, name)]:
                raise InvalidRequest(tuple(problems))
            sent = Sent(local_id, mapper.of_holder(request, self._holder.holder), None)
            judged = self._desk.judge(sent, self._holder, self._known, self.context.clock())
            digest, revision = judged.entry.digest, request.revision
            if self._brought.setdefault((local_id, revision), digest) != digest:
                raise InvalidRequest((conflict(local_id, revision),))
        except InvalidRequest as refused:
            raise InvalidRequest(tuple(map(_of_column, refused.problems))) from None
        self._judged[digest] = judged
        return sent.request

    @property
    def _known(self) -> Known:
        return Known(self._products, self._accounts, self._entries, self._originals)

    async def hand_over(self, commands: Sequence[Submit | Amend]) -> None:
        judged = [self._judged[fingerprint(command.document)] for command in commands]
        verdicts = await self._desk.take(judged, self._known)
        await self._keep_contradicted(commands, verdicts)
        self._judged.clear()

    async def _keep_contradicted(self, brought: Sequence[Submit | Amend | Visit], verdicts: Sequence[Verdict]) -> None:
        contradicted = [
            self.context.dead_letter(
                codec.encode(each), "other content was taken meanwhile", place=each.source_id, position=0
            )
            for each, verdict in zip(brought, verdicts, strict=True)
            if verdict.result is Result.CONFLICT
        ]
        if contradicted:
            await self.context.publisher.dead_letters(contradicted)


class _Named(msgspec.Struct, frozen=True):
    """The codes and ids a row names."""

    products: frozenset[str]
    accounts: frozenset[str]
    ids: frozenset[str]
    originals: frozenset[str]

    @classmethod
    def by(cls, row: Row) -> "_Named":
        values = row.values or {}
        lines = values.get("lines")
        each = [line for line in lines if isinstance(line, Mapping)] if isinstance(lines, list) else []
        return cls(
            frozenset(_codes(values.get("product"), *(line.get("product") for line in each))),
            frozenset(_codes(values.get("account"))),
            frozenset(_codes(values.get("source_id"), values.get("id"))),
            frozenset(_codes(values.get("original"))),
        )


def _codes(*values: object) -> list[str]:
    """Those that can be codes."""
    return [code for value in values if isinstance(value, str) and text.is_code(code := text.code(value))]


def _of_column(why: Reason) -> Reason:
    return msgspec.structs.replace(why, field="source_id") if why.field == "id" else why
