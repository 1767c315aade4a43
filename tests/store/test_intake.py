"""What the API accepted: the first content of a revision stands, however many claim it at once."""

import asyncio

from hub.store import intake
from hub.store.pool import Store
from schemas.commands import Content, Submit
from tests.rules.world import START, line, request
from tests.store.company import amend, submit, value


def other(source_id: str = "A") -> Submit:
    """Other content under the same revision."""
    return submit(source_id, lines=(line("CPU"),))


async def test_the_first_content_of_a_revision_stands(store: Store) -> None:
    first, second = submit("A"), other("A")
    assert await intake.claim(store, [first]) == [(first.command_id, True)]
    assert await intake.claim(store, [first]) == [(first.command_id, False)]
    assert await intake.claim(store, [second]) == [(first.command_id, False)]
    assert await intake.accepted(store, first.document_id) == "shop"


async def test_each_revision_and_each_source_has_content_of_its_own(store: Store) -> None:
    commands: list[Content] = [
        submit("A"),
        amend("A", 2),
        submit("B"),
        Submit.of(request("A"), source="x", actor="t", now=START),
    ]
    assert await intake.claim(store, commands) == [(command.command_id, True) for command in commands]
    assert await intake.accepted(store, commands[-1].document_id) == "x"
    assert await intake.accepted(store, submit("NEVER").document_id) is None


async def test_claims_are_answered_in_their_order_also_twice_in_one_call(store: Store) -> None:
    first, second, third = submit("A"), other("A"), submit("B")
    answers = await intake.claim(store, [third, first, second, first])
    assert [answer.content_id for answer in answers][::3] == [third.command_id, answers[1].content_id]
    assert len({answer.content_id for answer in answers[1:]}) == 1
    assert await intake.claim(store, []) == []


async def test_of_many_who_claim_at_once_one_is_first_and_all_are_told_the_same(store: Store) -> None:
    """The loser's row isn't visible to the very statement that lost: it has to ask again."""
    for round_ in range(20):
        mine, theirs = submit(f"A{round_}"), other(f"A{round_}")
        answers = await asyncio.gather(*(intake.claim(store, [command]) for command in (mine, theirs) * 4))
        contents = {answer.content_id for (answer,) in answers}
        assert len(contents) == 1
        assert contents <= {mine.command_id, theirs.command_id}
        assert sum(answer.first for (answer,) in answers) == 1
    assert await value(store, "select count(*) from intake") == 20


async def test_batches_that_overlap_both_ways_don_t_deadlock(store: Store) -> None:
    commands = [submit(f"A{number}") for number in range(200)]
    answers = await asyncio.gather(
        *(intake.claim(store, commands if turn % 2 else commands[::-1]) for turn in range(8))
    )
    firsts = [answer.first for batch in answers for answer in batch]
    assert sum(firsts) == 200
