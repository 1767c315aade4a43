"""What is due: reservations that ran out, backorders whose goods are there now."""

from datetime import timedelta

from hub.rules.settings import StockPolicy
from hub.store import master, timers
from hub.store.pool import Store
from schemas import codec
from schemas.commands import Cancel, Expire, PostingStarted, Reconsider
from schemas.documents import Kind
from streams.deciding import decide_batch
from tests.rules.world import START, line
from tests.store.company import amend, command, decide, document, on_hand, policy, rows, submit

BACKORDER = policy(stock=StockPolicy.BACKORDER)
HOUR = timedelta(hours=1)


async def test_what_ran_out_is_due_oldest_first_and_what_is_over_is_not(company: Store) -> None:
    for name, hours in (("C", 3), ("A", 1), ("B", 2), ("CANCELLED", 1), ("POSTING", 1)):
        await decide(company, submit(name), settings=policy(reservation=hours * HOUR))
    await decide(company, submit("NEVER"))
    await decide(company, command(Cancel, "CANCELLED"), command(PostingStarted, "POSTING"))
    expiries = [
        row[0] for row in await rows(company, "select expires_at from documents where source_id < 'CA' order by 1")
    ]
    assert [due.source_id for due in await timers.expired(company, expiries[-1])] == ["A", "B", "C"]
    assert [due.source_id for due in await timers.expired(company, expiries[0])] == ["A"]
    assert await timers.expired(company, expiries[0] - timedelta(microseconds=1)) == []
    assert [due.source_id for due in await timers.expired(company, expiries[-1], limit=2)] == ["A", "B"]


async def test_what_can_not_expire_is_asked_once_and_stands_in_nobodys_way(company: Store) -> None:
    hour = policy(reservation=HOUR)
    await decide(company, submit("SOLD"), submit("OTHER"), settings=hour)
    await decide(company, submit("BACK", Kind.SALES_RETURN, original="SOLD", original_date=None))
    due = {row[0]: row[1] for row in await rows(company, "select source_id, expires_at from documents")}
    later = START + timedelta(days=10_000)
    assert {each.source_id for each in await timers.expired(company, later)} == {"OTHER", "SOLD"}
    expiry = command(Expire, "SOLD", due=due["SOLD"])
    (event,) = await decide_batch(company, [expiry], hour, lambda: later)
    assert [why.code for why in codec.decode_event(event.event).reasons] == ["has_returns"]
    assert [each.source_id for each in await timers.expired(company, later, limit=1)] == ["OTHER"]


async def test_an_expiry_refused_for_another_due_time_is_asked_again(company: Store) -> None:
    hour = policy(reservation=HOUR)
    await decide(company, submit("A"), settings=hour)
    ((first,),) = await rows(company, "select expires_at from documents")
    await decide(company, amend("A", 2), command(Expire, "A", due=first), settings=hour)
    assert [each.source_id for each in await timers.expired(company, START + timedelta(days=10_000))] == ["A"]


async def test_what_is_due_names_its_document_as_it_now_is(company: Store) -> None:
    await decide(company, submit("A"), amend("A", 5), settings=policy(reservation=HOUR))
    (due,) = await timers.expired(company, START + timedelta(days=10_000))
    ((expires_at,),) = await rows(company, "select expires_at from documents")
    assert due == timers.Due(document("A"), "shop", "A", 5, 2, expires_at)


async def test_backorders_come_due_when_some_of_their_goods_are_there_first_come_first(company: Store) -> None:
    await master.apply(company, [on_hand("RAM", 0, START), on_hand("CPU", 0, START)])
    await decide(company, submit("LATE", at=START + HOUR), settings=BACKORDER)
    await decide(company, submit("EARLY"), submit("CPU", lines=(line("CPU"),)), settings=BACKORDER)
    assert await timers.fillable(company) == []
    await master.apply(company, [on_hand("RAM", 1, START + HOUR)])
    assert [due.source_id for due in await timers.fillable(company)] == ["EARLY", "LATE"]
    assert [due.source_id for due in await timers.fillable(company, limit=1)] == ["EARLY"]
    await decide(company, command(Reconsider, "EARLY"), settings=BACKORDER)
    assert await timers.fillable(company) == []
