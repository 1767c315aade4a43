"""One push of a handheld: each item read, judged and answered by itself, so that a bad one stops no other."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from connectors.base import Context
from connectors.pocket_cyber import mapper
from connectors.pocket_cyber.desk import VISITS, Desk, Judged, Verdict, conflict, visit_conflict
from connectors.pocket_cyber.exchange import ItemResult, Result
from connectors.pocket_cyber.limits import Rights
from connectors.pocket_cyber.mapper import Sent
from schemas import ids
from schemas.deadletters import DeadLetter
from schemas.intake import InvalidRequest
from schemas.visits import Visit

_Item = TypeVar("_Item", Sent, Judged, Visit)


class Push:
    """What a device of a holder brings at a moment."""

    def __init__(self, context: Context, desk: Desk, holder: Rights, device: str, now: datetime) -> None:
        self._context = context
        self._desk = desk
        self._holder = holder
        self._device = device
        self._now = now

    async def documents(self, raws: Sequence[bytes]) -> tuple[ItemResult, ...]:
        """Take documents in; the answers in their order. Raises Retryable: then all may be sent again."""
        read: list[Sent | InvalidRequest] = [_tried(mapper.document, raw, self._holder.holder) for raw in raws]
        known = await self._desk.look_up(each.request for each in read if isinstance(each, Sent))
        judged: list[Judged | InvalidRequest] = [
            each if isinstance(each, InvalidRequest) else _tried(self._desk.judge, each, self._holder, known, self._now)
            for each in read
        ]
        await self._keep_refused("document", raws, judged)
        verdicts = await self._desk.take([each for each in judged if isinstance(each, Judged)], known)
        return _answers(raws, judged, verdicts, self._of_document)

    def _of_document(self, judged: Judged, verdict: Verdict) -> ItemResult:
        local_id, request = judged.sent.local_id, judged.sent.request
        return ItemResult(
            id=local_id,
            result=verdict.result,
            revision=request.revision,
            document_id=ids.document_id(self._desk.source, request.source_id),
            notes=verdict.notes,
        )

    async def visits(self, raws: Sequence[bytes]) -> tuple[ItemResult, ...]:
        """Take visits in; the answers in their order. Raises Retryable."""
        source = self._desk.source
        read: list[Visit | InvalidRequest] = [_tried(mapper.visit, raw, self._holder.holder, source) for raw in raws]
        visits = [each for each in read if isinstance(each, Visit)]
        accounts = await self._context.lookup.accounts({each.account for each in visits}) if visits else {}
        before = await self._context.records.get(VISITS, {each.source_id for each in visits}) if visits else {}
        judged: list[Visit | InvalidRequest] = [
            each
            if isinstance(each, InvalidRequest)
            else _tried(self._desk.judge_visit, each, self._holder, accounts, before.get(each.source_id), self._now)
            for each in read
        ]
        await self._keep_refused("visit", raws, judged)
        verdicts = await self._desk.take_visits([each for each in judged if isinstance(each, Visit)], before)
        return _answers(raws, judged, verdicts, self._of_visit)

    def _of_visit(self, visit: Visit, verdict: Verdict) -> ItemResult:
        return ItemResult(id=visit.source_id.partition("/")[2], result=verdict.result)

    async def _keep_refused(self, what: str, raws: Sequence[bytes], judged: Sequence[_Item | InvalidRequest]) -> None:
        """A refused item is a dead letter, the same one however often it is pushed."""
        letters = [
            letter(self._context, self._holder.holder, self._device, raw, str(each), what)
            for raw, each in zip(raws, judged, strict=True)
            if isinstance(each, InvalidRequest)
        ]
        if letters:
            await self._context.publisher.dead_letters(letters)


def letter(context: Context, holder: str, device: str, raw: bytes, why: str, what: str) -> DeadLetter:
    """The dead letter of something a device brought; ``what``: "document", "visit" or "push"."""
    return context.dead_letter(
        raw, why, place=f"{holder}/{what}/{mapper.raw_id(raw)}", position=0, headers={"device": device}
    )


def _tried(make: Callable[..., _Item], *given: object) -> _Item | InvalidRequest:
    try:
        return make(*given)
    except InvalidRequest as refused:
        return refused


def _answers(
    raws: Sequence[bytes],
    judged: Sequence[_Item | InvalidRequest],
    verdicts: Sequence[Verdict],
    told: Callable[[_Item, Verdict], ItemResult],
) -> tuple[ItemResult, ...]:
    """The answers in the order of the items; ``verdicts`` are of those that weren't refused, in theirs."""
    rest = iter(verdicts)
    answers = []
    for raw, each in zip(raws, judged, strict=True):
        if isinstance(each, InvalidRequest):
            answers.append(_refused(mapper.raw_id(raw), each))
        else:
            answer = told(each, next(rest))
            answers.append(_contradicted(answer) if answer.result is Result.CONFLICT else answer)
    return tuple(answers)


def _refused(local_id: str, why: InvalidRequest) -> ItemResult:
    conflict = any(problem.code == "conflict" for problem in why.problems)
    return ItemResult(id=local_id, result=Result.CONFLICT if conflict else Result.REFUSED, reasons=why.problems)


def _contradicted(answer: ItemResult) -> ItemResult:
    why = visit_conflict(answer.id) if answer.document_id is None else conflict(answer.id, answer.revision)
    return msgspec.structs.replace(answer, reasons=(why,))
