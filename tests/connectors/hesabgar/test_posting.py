"""Posting to a simulated Hesabgar: once each, whatever breaks."""

import asyncio
import dataclasses
import datetime as dt
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from connectors.base import Lookup, Retryable, Wanted
from connectors.hesabgar import build
from connectors.hesabgar.client import Client, Unreached
from connectors.hesabgar.connector import Connector
from connectors.hesabgar.importing import Import
from connectors.hesabgar.posting import OTHER_REVISION, POSTING, Posted, post_document
from connectors.hesabgar.simulator import FaultKind
from connectors.hesabgar.spec import Spec
from hub.runtime import connect
from hub.store import reading
from hub.store.reading import DocumentFilter
from schemas import waits
from schemas.commands import Cancel, PostingFailed, PostingSucceeded, Release
from schemas.dates import utc_now
from schemas.documents import Document, Kind, Method, Payment, State
from schemas.events import DocumentEvent
from schemas.ids import command_id, document_id
from schemas.master import Account, Product
from tests.connectors.conftest import until
from tests.connectors.hesabgar.test_branch import enter
from tests.connectors.hesabgar.test_importing import SINCE, UNTIL
from tests.connectors.hesabgar.world import PRODUCT, World, spec_of
from tests.connectors.hesabgar.world import request as document_request
from tests.connectors.killing import run_until_killed
from tests.connectors.recorder import Recorder


async def knows_the_company(world: World) -> None:
    """Wait until the hub has learned what the documents of these tests need."""
    await world.has_stock(47)


async def posted_once(world: World, identities: list[UUID]) -> None:
    for identity in identities:
        document = await world.comes_to(identity, State.POSTED)
        assert document.posting is not None
        assert document.posting.number
    assert sorted(external_id for external_id, _ in world.outcomes()) == sorted(map(str, identities))
    assert len({number for _, number in world.outcomes()}) == len(identities)


async def test_a_cleared_invoice_ends_as_a_voucher_with_a_number(world: World) -> None:
    async with world.connector():
        await knows_the_company(world)
        identity = await world.send(quantity=5)
        posted = await world.comes_to(identity, State.POSTED)
        assert posted.posting is not None
        assert [(str(identity), posted.posting.number)] == world.outcomes()
        await world.has_stock(42)


KINDS = {
    Kind.QUOTE: {},
    Kind.SALES_ORDER: {},
    Kind.SALES_INVOICE: {},
    Kind.PURCHASE_INVOICE: {"account": "310010001"},
    Kind.RECEIPT: {"lines": (), "warehouse": None, "amount": 5_000_000, "method": Method.CASH},
    Kind.TRANSFER: {"account": None, "to_warehouse": "02"},
    Kind.GOODS_ISSUE: {"account": None},
    Kind.GOODS_RECEIPT: {"account": None},
}


async def test_every_kind_is_posted_and_a_return_finds_its_sale(world: World) -> None:
    async with world.connector():
        await knows_the_company(world)
        sent = {kind: await world.send(kind, **fields) for kind, fields in KINDS.items()}
        for kind, identity in sent.items():
            document = await world.comes_to(identity, State.POSTED)
            assert document.kind is kind
        back = await world.send(Kind.SALES_RETURN, original=str(sent[Kind.SALES_INVOICE]))
        await world.comes_to(back, State.POSTED)
    assert len(world.outcomes()) == len(KINDS) + 1


async def test_a_return_of_a_sale_the_hub_never_saw_is_posted_without_it(world: World) -> None:
    async with world.connector():
        await knows_the_company(world)
        back = await world.send(Kind.SALES_RETURN, original_date=utc_now().date())
        await world.comes_to(back, State.POSTED)


async def test_a_return_of_an_imported_sale_is_posted_against_it(world: World) -> None:
    sale = enter(world.sim, "sale", quantity=2)
    enter(world.sim, "of the same number in another year")
    world.sim.run("UPDATE dbo.STK_Doc SET FiscalYear = 1404, DocNo = 1 WHERE DocNo = 2")
    async with world.connector():
        connector = world.by_hand()
        await Import(connector.context, connector.client, Kind.SALES_INVOICE, SINCE, UNTIL).run()
        connector.client.close()
        await world.has_stock(44)
        await world.comes_to(document_id("main-history", sale), State.POSTED)
        back = await world.send(Kind.SALES_RETURN, original=str(document_id("main-history", sale)), quantity=2)
        await world.comes_to(back, State.POSTED)
    [(year, number)] = world.sim.query(
        "SELECT o.FiscalYear, o.DocNo FROM dbo.STK_Doc AS d INNER JOIN dbo.STK_Doc AS o ON o.DocID = d.OriginalID"
    )
    assert sale == f"{year}/sales_invoice/{number}"


async def test_only_the_configured_kinds_and_sources_are_posted(world: World) -> None:
    async with world.connector(post=(Kind.SALES_INVOICE,), post_sources=("shop",), skip_sources=("other",)):
        await knows_the_company(world)
        quote = await world.send(Kind.QUOTE)
        other = await world.send(source="other")
        third = await world.send(source="third")
        mine = await world.send()
        await posted_once(world, [mine])
        for identity in (quote, other, third):
            await world.comes_to(identity, State.CLEARED)


async def test_what_a_policy_keeps_from_the_books_is_posted_once_it_is_released_or_not_at_all(world: World) -> None:
    async with world.connector():
        await knows_the_company(world)
        never = await world.send(source="ours alone")
        waiting = await world.comes_to(await world.send(source="by hand"), State.CLEARED)
        other = await world.send()
        await posted_once(world, [other])
        await world.publish(on(Release, waiting))
        await posted_once(world, [other, waiting.id])
        history = await reading.history(world.around.store, waiting.id)
        assert [event.command for event in history] == ["submit", "release", "posting_started", "posting_succeeded"]
        assert (await world.comes_to(never, State.CLEARED)).posting is None


def on(kind: type[Release] | type[Cancel], document: Document) -> Release | Cancel:
    """A person's command on a document."""
    now = utc_now()
    return kind(
        command_id=command_id(document.id, kind.__name__, 1),
        document_id=document.id,
        source=document.source,
        source_id=document.source_id,
        revision=document.revision,
        occurred_at=now,
        recorded_at=now,
        actor="test",
    )


async def test_while_the_books_are_away_documents_wait_with_the_reason_and_are_then_posted_oldest_first(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "connectors.hesabgar.main")
    async with world.connector() as at_work:
        await knows_the_company(world)
        world.sim.away()
        identities: list[UUID] = []
        for _ in range(9):
            identities.append(await world.send())
            await world.comes_to(identities[-1], State.POSTING)
            await until(lambda: any("is away" in message for message in caplog.messages))
        for identity in identities:
            await until(lambda: waits_since(world, identity))  # noqa: B023
        await until(lambda: at_work.connectors.counters()["hesabgar.main_posting_waits"] == len(identities))
        assert world.sim.query("SELECT 1 FROM hub.outcome") == []
        assert [message.endswith("is back") for message in outages(caplog)] == [False]
        world.sim.back()
        await posted_once(world, identities)
        await until(lambda: nothing_waits(world))
    assert [external_id for external_id, _ in world.outcomes()] == [str(identity) for identity in identities]
    # What was begun while they were away may end, and be told, after something else found them back.
    assert outages(caplog)[-1].endswith("is back")


def outages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was told of the books' going and coming."""
    return [message for message in caplog.messages if message.startswith("Hesabgar at")]


async def waits_since(world: World, identity: UUID) -> bool:
    """Whether it says since when it waits; the list says then what the document says."""
    document = await world.document(identity)
    assert document is not None
    if [why.code for why in document.reasons] != ["posting_waits_since"]:
        return False
    assert "UTC" in document.reasons[0].en
    [listed] = [
        each
        for each in await reading.documents(world.around.store, DocumentFilter(state="posting"), 100)
        if each.id == identity
    ]
    assert listed.reasons == document.reasons
    return True


async def nothing_waits(world: World) -> bool:
    return not await world.context().records.get(waits.BUCKET, [waits.KEY])


async def test_one_that_did_not_reach_the_books_before_they_came_back_was_not_tried_and_keeps_its_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.connector(post=()):
        await knows_the_company(world)
        first, second = [await world.comes_to(await world.send(), State.CLEARED) for _ in range(2)]
    events = [await posting_of(world, each.id) for each in (first, second)]
    tried: list[UUID] = []

    async def away_at_first(client: Client, document: Document, *more: Any) -> Posted:
        tried.append(document.id)
        if len(tried) == 1:
            raise Unreached("it can't be reached")
        return await post_document(client, document, *more)

    monkeypatch.setattr("connectors.hesabgar.posting.post_document", away_at_first)
    recorder = Recorder()
    async with posting(spec_of(world.sim, tries=1), world, Again(*events), publisher=recorder):
        await until(lambda: len(recorder.published) == 2)
    assert [type(command) for command in recorder.published] == [PostingSucceeded] * 2
    assert tried == [first.id, first.id, second.id]


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.DROP_BEFORE_COMMIT, FaultKind.DROP_AFTER_COMMIT])
async def test_a_connection_that_breaks_at_a_posting_leaves_one_voucher(world: World, kind: FaultKind) -> None:
    async with world.connector():
        await knows_the_company(world)
        fault = world.sim.fault(kind, on="post_document")
        identities = [await world.send() for _ in range(3)]
        await posted_once(world, identities)
        assert fault.times == 0
        await world.has_stock(44)


async def test_a_deadlocks_victim_is_posted_at_the_next_try(world: World) -> None:
    async with world.connector():
        await knows_the_company(world)
        fault = world.sim.fault(FaultKind.DEADLOCK, on="post_document", times=2)
        await posted_once(world, [await world.send()])
        assert fault.times == 0


async def test_what_is_refused_can_be_corrected_and_posted(world: World) -> None:
    async with world.connector():
        await knows_the_company(world)
        await world.has_stock(56, product="10000400202")
        world.sim.fault(FaultKind.ERROR, on="10000400202", number=50_102, message="کالا شناخته نیست")
        wanted = document_request("corrected", product="10000400202")
        identity = await world.send_request(wanted)
        failed = await world.comes_to(identity, State.POST_FAILED)
        assert failed.posting is not None
        assert failed.posting.error_number == 50_102
        assert failed.posting.error == "کالا شناخته نیست"
        again = await world.send_request(document_request("corrected", product=PRODUCT, revision=2))
        assert again == identity
        await posted_once(world, [identity])


async def test_one_the_server_fails_on_each_time_is_failed_and_holds_up_no_other(world: World) -> None:
    async with world.connector(tries=3):
        await knows_the_company(world)
        fault = world.sim.fault(FaultKind.DROP, on="poison", times=1_000)
        poisoned = await world.send(note="poison")
        others = [await world.send() for _ in range(5)]
        failed = await world.comes_to(poisoned, State.POST_FAILED)
        assert failed.posting is not None
        assert "3" in (failed.posting.error or "")
        for identity in others:
            await world.comes_to(identity, State.POSTED)
        assert 1_000 - fault.times == 3
    assert sorted(external_id for external_id, _ in world.outcomes()) == sorted(map(str, others))


async def test_what_the_server_can_do_for_nobody_is_counted_against_no_document(world: World) -> None:
    async with world.connector(tries=2):
        await knows_the_company(world)
        fault = world.sim.fault(
            FaultKind.ERROR, on="post_document", number=9_002, message="The log is full", times=1_000
        )
        identities = [await world.send() for _ in range(2)]
        await until(lambda: fault.struck > 2)
        for identity in identities:
            assert (await world.comes_to(identity, State.POSTING)).posting is None
        [kept] = (await world.context().records.get(waits.BUCKET, [waits.KEY])).values()
        assert "The log is full" in kept.decode()
        world.sim.clear_faults()
        await posted_once(world, identities)


async def test_what_is_new_is_made_before_its_document_though_the_hubs_own_database_is_away_at_first(
    world: World,
) -> None:
    async with world.connector(post=()):
        await knows_the_company(world)
        await world.publish_master(Product("19990010", "نصب", stocked=False), Account("219990010", "تازه"))
        await world.knows("219990010")
        await until(lambda: world.context().lookup.products(["19990010"]))
        identity = await world.send(account="219990010", product="19990010", payment=Payment.CASH)
        await world.comes_to(identity, State.CLEARED)
    event, recorder = await posting_of(world, identity), Recorder()
    spec = spec_of(world.sim, send_new=True, new_accounts="110101", tries=1)
    async with posting(spec, world, Again(event), publisher=recorder, lookup=AwayAtFirst(world.context().lookup)):
        await until(lambda: len(recorder.published) == 1)
    assert [type(command) for command in recorder.published] == [PostingSucceeded]


class AwayAtFirst:
    """What the hub knows, which can't be asked the first two times."""

    def __init__(self, there: Lookup) -> None:
        self._there = there
        self._away = 2

    async def accounts(self, codes: Collection[str]) -> dict[str, Account]:
        self._away -= 1
        if self._away >= 0:
            raise Retryable("the database is away")
        return await self._there.accounts(codes)

    async def products(self, codes: Collection[str]) -> dict[str, Product]:
        return await self._there.products(codes)

    async def documents(self, ids: Collection[UUID]) -> dict[UUID, Document]:
        return await self._there.documents(ids)


async def test_without_the_right_to_post_documents_wait_and_reading_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.connector(tries=1):
        await knows_the_company(world)
        world.sim.run("REVOKE EXECUTE ON OBJECT::hub.post_document FROM hub_writer")
        identities = [await world.send() for _ in range(2)]
        await until(lambda: any(message.startswith("posting to") for message in caplog.messages))
        await world.books_say(PRODUCT, 30)
        await world.has_stock(30, 2)
        assert not any(message.startswith("Hesabgar at") for message in caplog.messages)
        world.sim.run("GRANT EXECUTE ON OBJECT::hub.post_document TO hub_writer")
        await posted_once(world, identities)


@pytest.mark.parametrize("breaks", [False, True], ids=["answered", "the connection breaks"])
async def test_another_revision_in_the_books_is_told_and_not_taken_for_this_one(world: World, breaks: bool) -> None:
    async with world.connector(post=()):
        await knows_the_company(world)
        identity = await world.send_request(document_request("twice", revision=1))
        await world.comes_to(identity, State.CLEARED)
    world.sim.query(
        "EXEC hub.post_document @external_id = N'" + str(identity) + "', @kind = 'goods_issue', @date = '2026-11-24', "
        "@revision = 7, @expense_account = N'610001', @warehouse = N'01', @lines = N'<lines><line number=\"1\" "
        f'product="{PRODUCT}" quantity="1"/></lines>\''
    )
    if breaks:
        world.sim.fault(FaultKind.DROP, on="post_document")
    async with world.connector():
        failed = await world.comes_to(identity, State.POST_FAILED)
        assert failed.posting is not None
        assert failed.posting.error_number == OTHER_REVISION
        assert "7" in (failed.posting.error or "")


class Again:
    """Events as Kafka gives them after a crash: these once more, one by one, whatever was acknowledged."""

    def __init__(self, *events: DocumentEvent) -> None:
        self._events = list(events)
        self.done: list[DocumentEvent] = []

    @asynccontextmanager
    async def documents(self, _purpose: str, _wanted: Wanted, *, window: int = 1_000) -> AsyncIterator["Again"]:
        yield self

    async def read(self, seconds: float) -> Sequence[DocumentEvent]:
        events, self._events = self._events[:1], self._events[1:]
        if not events:
            await asyncio.sleep(seconds)
        return events

    async def ack(self, messages: Sequence[DocumentEvent]) -> None:
        self.done += messages


async def posting_of(world: World, identity: UUID) -> DocumentEvent:
    """The event of a cleared document that it is to be posted."""
    [*_, cleared] = await reading.history(world.around.store, identity)
    return msgspec.structs.replace(cleared, type=POSTING, step=cleared.step + 1)


@asynccontextmanager
async def posting(spec: Spec, world: World, events: Again, **instead: object) -> AsyncIterator[None]:
    """A connector's poster at work on these events alone; ``instead``: what else of its context is another."""
    connector = Connector(spec, dataclasses.replace(world.context(), events=events, **instead))  # type: ignore[arg-type]
    work = asyncio.create_task(connector.poster.run())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        connector.client.close()


async def test_a_refusal_that_comes_again_before_it_is_decided_is_told_again_and_not_asked_again(world: World) -> None:
    async with world.connector(post=()):
        await knows_the_company(world)
        identity = await world.send()
        await world.comes_to(identity, State.CLEARED)
    event = await posting_of(world, identity)
    fault = world.sim.fault(FaultKind.ERROR, on="post_document", number=50_104, message="too little")
    recorder = Recorder()
    for times in (1, 2):
        async with posting(spec_of(world.sim), world, Again(event), publisher=recorder):
            await until(lambda: len(recorder.published) == times)  # noqa: B023
    told, again = recorder.published
    assert isinstance(told, PostingFailed)
    assert again == told
    assert (fault.times, world.outcomes()) == (0, [])


async def test_what_is_told_again_after_its_end_is_not_posted(world: World) -> None:
    """As when commands are replayed: the books, asked again, would take a document that was cancelled meanwhile."""
    async with world.connector():
        await knows_the_company(world)
        world.sim.fault(FaultKind.ERROR, on="post_document", number=50_104, message="too little")
        failed = await world.comes_to(await world.send(), State.POST_FAILED)
        await world.publish(on(Cancel, failed))
        await world.comes_to(failed.id, State.CANCELLED)
    [event] = [each for each in await reading.history(world.around.store, failed.id) if each.type == POSTING]
    again = Again(event)
    async with posting(spec_of(world.sim), world, again):
        await until(lambda: again.done == [event])
    assert world.outcomes() == []


async def test_a_return_is_not_posted_before_its_sale_whichever_is_told_of_first(world: World) -> None:
    async with world.connector(post=()):
        await knows_the_company(world)
        sale = await world.send()
        await world.comes_to(sale, State.CLEARED)
        back = await world.send(Kind.SALES_RETURN, original=str(sale))
        await world.comes_to(back, State.CLEARED)
    taken_back, sold = await posting_of(world, back), await posting_of(world, sale)
    earlier = taken_back.recorded_at - dt.timedelta(seconds=60)
    events = Again(msgspec.structs.replace(taken_back, recorded_at=earlier), sold)
    async with posting(spec_of(world.sim), world, events):
        await world.comes_to(back, State.POSTED)
    assert [external_id for external_id, _ in world.outcomes()] == [str(sale), str(back)]


async def test_a_server_that_hangs_blocks_neither_the_others_nor_the_stop(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connect, "STOP_SECONDS", 40.0)
    async with world.connector(tries=2, timeout=dt.timedelta(minutes=10)):
        await knows_the_company(world)
        fault = world.sim.fault(FaultKind.HANG, on="post_document", times=1)
        first = await world.send()
        await until(lambda: fault.times == 0)
    assert "left behind" not in caplog.text
    async with world.connector():
        await posted_once(world, [first])


async def test_a_changed_build_stops_posting_and_not_reading_until_it_is_accepted(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(build, "CLOSED_EVERY_SECONDS", 0.1)
    async with world.connector():
        await knows_the_company(world)
        await posted_once(world, [first := await world.send()])
        world.sim.change_build("Cyberacc 15.0")
        second = await world.send()
        await world.comes_to(second, State.POSTING)
        await until(lambda: any("the build of Hesabgar changed" in message for message in caplog.messages))
        assert len(world.outcomes()) == 1
        await world.books_say(PRODUCT, 30)
        await world.has_stock(30, 1)
        await accept(world)
        await posted_once(world, [first, second])


async def test_what_fails_because_of_an_update_waits_for_the_build_to_be_accepted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "EVERY_SECONDS", 3_600.0)
    monkeypatch.setattr(build, "CLOSED_EVERY_SECONDS", 0.1)
    async with world.connector():
        await knows_the_company(world)
        await posted_once(world, [first := await world.send()])
        world.sim.change_build("Cyberacc 15.0")
        fault = world.sim.fault(
            FaultKind.ERROR, on="post_document", number=207, message="Invalid column name", times=1_000
        )
        second = await world.send()
        await until(lambda: fault.struck > 0)
        await until(lambda: waits_since(world, second))
        world.sim.clear_faults()
        await accept(world)
        await posted_once(world, [first, second])


async def accept(world: World) -> None:
    connector = world.by_hand()
    try:
        await build.accept(connector.context.cursors, connector.client, "")
    finally:
        connector.client.close()


@pytest.mark.parametrize(
    ("point", "spared"),
    [
        ("before post", 2),
        ("between post and write-back", 0),
        ("between post and write-back", 3),
        ("between write-back and acknowledgement", 1),
    ],
)
async def test_killed_anywhere_each_document_has_one_voucher(
    world: World, tmp_path: Path, point: str, spared: int
) -> None:
    async with world.connector(post=()):
        await knows_the_company(world)
    identities = [await world.send() for _ in range(6)]
    await run_until_killed(
        "tests.connectors.hesabgar.killed",
        *(world.around.kafka.bootstrap, world.around.kafka.prefix, world.around.dsn),
        *(world.sim.port, world.sim.database, tmp_path / "k", point, spared),
    )
    async with world.connector():
        await posted_once(world, identities)
        await world.has_stock(41)
