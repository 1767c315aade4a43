"""Every command against a document in every state: the table of cases/life_cycle.yml."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from hub.rules.settings import StockPolicy
from schemas import ids
from schemas.commands import (
    Amend,
    AnyCommand,
    Approve,
    Cancel,
    Expire,
    PostingFailed,
    PostingStarted,
    PostingSucceeded,
    Refuse,
    Release,
    Submit,
)
from schemas.documents import PostingPolicy, Released, State
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.reasons import SENTENCES
from tests.rules.stories import COMMANDS
from tests.rules.tables import read
from tests.rules.world import SOURCE, World, codes, figures, line, request, sums_disagree

TABLE: dict[str, dict[str, str]] = read("life_cycle")
NONE = "none"


def test_the_table_has_every_command_and_every_state() -> None:
    tags = {each.__struct_config__.tag for each in AnyCommand.__args__}
    assert TABLE.keys() == tags == COMMANDS.keys()
    for command, row in TABLE.items():
        assert row.keys() == {NONE, *State}, command
        assert set(row.values()) <= {*State, *SENTENCES}, command


def held(world: World) -> None:
    world.submit(tax=1)


def cleared(world: World) -> None:
    world.submit()


def rejected(world: World) -> None:
    world.submit(lines=())


def backordered(world: World) -> None:
    world.level("RAM").in_books = Decimal(0)
    world.submit()
    world.level("RAM").in_books = Decimal(1_000)


def after(*commands: type) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.submit()
        for command in commands:
            world.do(command)

    return prepare


STATES: dict[str, Callable[[World], None]] = {
    NONE: lambda world: None,
    State.HELD: held,
    State.CLEARED: cleared,
    State.REJECTED: rejected,
    State.BACKORDERED: backordered,
    State.POSTING: after(PostingStarted),
    State.POSTED: after(PostingStarted, PostingSucceeded),
    State.POST_FAILED: after(PostingStarted, PostingFailed),
    State.CANCELLED: after(Cancel),
    State.EXPIRED: after(Expire),
}


def send(world: World, command: str) -> DocumentEvent:
    if command == "submit":
        return world.submit(note="other content")
    if command == "amend":
        standing = world.snapshot.documents.get(world.id_of("A"))
        revision = standing.document.revision + 1 if standing else 1
        return world.send(Amend, request(revision=revision))
    return world.do(COMMANDS[command])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("command", TABLE)
def test_life_cycle(command: str, state: str) -> None:
    world = World(stock=StockPolicy.BACKORDER, reservation=timedelta(minutes=30))
    STATES[state](world)
    standing = world.snapshot.documents.get(world.id_of("A"))
    assert (standing.document.state if standing else NONE) == state
    step = standing.document.step if standing else 0
    before = figures(world.snapshot)
    expected = TABLE[command][state]

    event = send(world, command)

    assert list(sums_disagree(world.snapshot)) == []
    assert event.command == command
    assert event.document_id == world.id_of("A")
    if expected in STATES:
        assert event.type == f"document.{expected}", event.reasons
        assert event.document == world.document()
        assert event.step == event.document.step == step + 1
        assert event.event_id == ids.event_id(event.document_id, event.revision, event.step)
    else:
        assert event.type == COMMAND_REFUSED
        assert codes(event) == [expected]
        assert (event.document, event.step) == (standing.document if standing else None, step)
        assert event.event_id == ids.refusal_id(event.document_id, event.command_id)
        assert figures(world.snapshot) == before


def test_what_an_event_says_of_its_command_and_its_document() -> None:
    world = World()
    world.submit(note="به نشانی قدیم")
    received = world.now
    command = world.command(Cancel, note="x", trace="00-1", actor="key-7", occurred_at=received)
    later = world.later(minutes=5)

    event = world.decide(command)

    assert (event.command_id, event.command, event.actor, event.trace) == (
        command.command_id,
        "cancel",
        "key-7",
        "00-1",
    )
    assert (event.occurred_at, event.recorded_at) == (received, later)
    assert (event.source, event.source_id, event.revision, event.step) == (SOURCE, "A", 1, 2)
    assert event.document is not None
    assert (event.document.received_at, event.document.changed_at) == (received, later)
    assert event.document.note == "به نشانی قدیم"
    assert event.document.reasons == event.reasons


def test_a_document_was_received_when_it_first_came() -> None:
    world = World()
    received = world.now
    world.submit()
    amended = world.later(hours=1)
    world.amend()
    assert (world.document().received_at, world.document().changed_at) == (received, amended)


def test_who_approved_or_refused_is_kept_until_the_content_is_other() -> None:
    world = World(approval=True)
    world.submit()
    world.do(Approve, actor="مدیر فروش", note="باشد")
    approval = world.document().approval
    assert approval is not None
    assert (approval.by, approval.at, approval.approved, approval.note) == ("مدیر فروش", world.now, True, "باشد")
    world.do(PostingStarted)
    assert world.document().approval == approval
    world.do(PostingFailed)
    world.amend()
    assert world.document().approval is None
    world.do(Refuse, actor="x")
    refusal = world.document().approval
    assert refusal is not None
    assert refusal.approved is False


def test_what_the_books_answered_is_kept_with_the_document() -> None:
    world = World()
    world.submit()
    world.do(PostingFailed, message="کد تکراری", error_number=2627)
    posting = world.document().posting
    assert posting is not None
    assert (posting.error, posting.error_number, posting.number) == ("کد تکراری", 2627, None)
    assert world.document().reasons[0].en == "the books refused the document: کد تکراری (2627)"
    world.do(PostingSucceeded, number="24", posted_at=world.now)
    posting = world.document().posting
    assert posting is not None
    assert (posting.number, posting.posted_at, posting.error) == ("24", world.now, None)
    assert world.document().expires_at is None


def test_who_released_is_kept_until_the_content_is_other() -> None:
    world = World(posting=PostingPolicy.MANUAL)
    world.submit()
    world.do(Release, actor="انباردار", note="بار رفت")
    released = Released("انباردار", world.now, "بار رفت")
    assert world.document().released == released
    world.do(PostingStarted)
    world.do(PostingFailed)
    assert world.document().released == released
    world.amend()
    assert world.document().released is None


def test_a_release_of_a_revision_that_was_amended_since_is_refused() -> None:
    world = World(posting=PostingPolicy.MANUAL)
    world.submit()
    world.amend()
    assert codes(world.do(Release, revision=1)) == ["stale_revision"]
    assert not world.document().may_be_posted


def test_deciding_the_same_on_the_same_gives_the_same() -> None:
    def story() -> list[DocumentEvent]:
        world = World(stock=StockPolicy.PARTIAL, reservation=timedelta(minutes=5))
        return [
            world.submit(lines=(line("RAM", 1_500, discount=7), line("BOOK", 2))),
            world.amend(lines=(line("CPU", 3),)),
            world.do(Approve),
            world.do(PostingStarted),
            world.do(PostingSucceeded),
        ]

    assert story() == story()


def test_a_batchs_documents_see_what_the_ones_before_them_took() -> None:
    world = World()
    world.level("RAM").in_books = Decimal(1)
    outcomes = [world.submit(name).type for name in ("A", "B", "C")]
    assert outcomes == ["document.cleared", "document.rejected", "document.rejected"]


def test_rows_that_changed_are_marked_and_others_are_not() -> None:
    world = World()
    world.submit()
    assert {key for key, level in world.snapshot.stock.items() if level.changed} == {("RAM", "MAIN", "")}
    assert {code for code, account in world.snapshot.accounts.items() if account.changed} == {"ALI"}


def test_submit_and_amend_are_one_when_they_come_first() -> None:
    assert World().send(Submit, request()).document == World().send(Amend, request()).document
