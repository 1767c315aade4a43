"""The log of what became of a holder's documents: nobody who reads on from a cursor misses anything."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from connectors.pocket_cyber.outcomes import Log, Reading
from connectors.pocket_cyber.simulator import Handheld
from hub.bus.producer import Outgoing
from hub.runtime.connect import StoreLookup, StoreRecords
from schemas import codec, ids, topics
from schemas.commands import PostingStarted, PostingSucceeded
from schemas.dates import utc_now
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.master import Product
from schemas.reasons import reason
from tests.connectors.conftest import until
from tests.connectors.pocket_cyber.test_exchange import results
from tests.connectors.pocket_cyber.world import DAY, PRICE, Backdrop, Site, open_site, visitor


def event(source_id: str, at: datetime, **fields: object) -> DocumentEvent:
    document = ids.document_id("s", source_id)
    return DocumentEvent(
        event_id=document,
        type="document.cleared",
        source="s",
        source_id=source_id,
        document_id=document,
        revision=1,
        step=1,
        occurred_at=at,
        recorded_at=at,
        command_id=document,
        command="submit",
        actor="x",
        **fields,  # type: ignore[arg-type]
    )


def records(backdrop: Backdrop, name: str) -> StoreRecords:
    return StoreRecords(backdrop.store, f"pocket_cyber.{name}")


def reading(backdrop: Backdrop, name: str, holder: str = "v1") -> Reading:
    return Reading("s", holder, records(backdrop, name), StoreLookup(backdrop.store))


async def test_whoever_writes_at_once_a_reader_misses_nothing(idle: Backdrop) -> None:
    """Two processes write for a moment while one takes over from the other; a reader reads on meanwhile."""
    writers = [Log(records(idle, "both")) for _ in range(3)]
    dice, read, cursor = random.Random(1), set[str](), ""

    async def write(log: Log, mark: str) -> None:
        for number in range(20):
            await log.note(event(f"v1/{mark}{number}", utc_now()))
            await asyncio.sleep(dice.random() / 500)

    async def follow() -> None:
        nonlocal cursor
        while len(read) < 60:
            page = await reading(idle, "both").page(cursor, 7)
            read.update(item.id for item in page.items)
            cursor = page.cursor

    async with asyncio.timeout(60):
        await asyncio.gather(follow(), *(write(log, mark) for log, mark in zip(writers, "abc", strict=True)))
    rest = await reading(idle, "both").page(cursor, 500)
    assert (rest.items, rest.more, rest.reset) == ((), False, False)


async def test_a_log_is_resumed_by_a_new_writer_and_holders_are_apart(idle: Backdrop) -> None:
    now = utc_now()
    for id_ in ("v1/a", "v2/b", "v1/c"):
        await Log(records(idle, "resumed")).note(event(id_, now))
    await Log(records(idle, "resumed")).note(event("no-holders", now))
    first = await reading(idle, "resumed").page("", 500)
    assert [item.id for item in first.items] == ["a", "c"]
    assert [item.id for item in (await reading(idle, "resumed", "v2").page("", 500)).items] == ["b"]
    assert await records(idle, "resumed").page("outcome-holders") == [("v1", b"1"), ("v2", b"1")]


async def test_a_document_told_twice_on_a_page_comes_once_as_it_is_now(idle: Backdrop) -> None:
    log, now = Log(records(idle, "twice")), utc_now()
    why = (reason("stale_revision", revision=1, current=2),)
    await log.note(event("v1/a", now))
    await log.note(event("v1/b", now))
    await log.note(msgspec.structs.replace(event("v1/a", now, reasons=why), type=COMMAND_REFUSED))
    page = await reading(idle, "twice").page("", 500)
    assert [(item.id, item.state) for item in page.items] == [("b", "received"), ("a", "refused")]
    assert page.items[1].reasons == why


async def test_what_is_old_is_forgotten_but_numbers_never_begin_anew(idle: Backdrop) -> None:
    log, now = Log(records(idle, "old")), utc_now()
    for number in range(5):
        await log.note(event(f"v1/{number}", now - (5 - number) * DAY))
    stale = await reading(idle, "old").page("", 1)
    current = await reading(idle, "old").page("", 500)
    await log.sweep(now - timedelta(days=2, hours=1))
    after = await reading(idle, "old").page(stale.cursor, 500)
    assert (after.reset, [item.id for item in after.items]) == (True, ["3", "4"])
    await log.sweep(now)
    assert (await reading(idle, "old").page(current.cursor, 500)).reset is False
    await Log(records(idle, "old")).note(event("v1/new", now))
    more = await reading(idle, "old").page(current.cursor, 500)
    assert (more.reset, [item.id for item in more.items]) == (False, ["new"])


async def test_a_held_document_is_followed_until_the_books_have_it(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path) as site:
        device = await site.ready("v1")
        sale = device.sell(account=site.ali, payment="cash", lines=[device.line(site.drink, "1")])
        await site.tell(Product(site.drink, "نوشابه", price=2 * PRICE))
        await device.push()
        [held] = await site.told(device, sale)
        assert (held["state"], held["state_fa"]) == ("held", "در انتظار تأیید")
        answer = await site.operator.at(site.address).post(
            f"/v1/documents/{held['document_id']}/approve?wait=decision&timeout=30", {"note": "ok"}
        )
        assert answer.status == 200, answer.data
        await _follow(device, sale, "cleared")
        await _post(site, "v1", sale, "1403-881")
        await _follow(device, sale, "posted")
        assert (device.ledger[sale].outcome or {})["number"] == "1403-881"
        # Too late for a change: the handheld is told why, and what stands.
        item = {**device.ledger[sale].item, "revision": 2, "note": "late"}
        assert await results(device, item) == [("accepted", [])]
        await until(lambda: _reads(device, sale, lambda outcome: bool(outcome.get("refused_change"))))
        outcome = device.ledger[sale].outcome or {}
        assert (outcome["state"], outcome["revision"]) == ("posted", 1)
        assert [why["code"] for why in outcome["refused_change"]] == ["wrong_state"]


async def _follow(device: Handheld, local_id: str, state: str) -> None:
    await until(lambda: _reads(device, local_id, lambda outcome: outcome["state"] == state))


async def _reads(device: Handheld, local_id: str, holds: Callable[[dict[str, Any]], bool]) -> bool:
    await device.read_outcomes()
    outcome = device.ledger[local_id].outcome
    return outcome is not None and holds(outcome)


async def _post(site: Site, holder: str, local_id: str, number: str) -> None:
    """What the books' connector says when it has posted."""
    [document] = await site.decided(holder, local_id)
    now = utc_now()
    for make, more in ((PostingStarted, {}), (PostingSucceeded, {"number": number, "posted_at": now})):
        command = make(
            command_id=ids.command_id(document.id, make.__name__, 1),
            document_id=document.id,
            source=document.source,
            source_id=document.source_id,
            revision=document.revision,
            occurred_at=now,
            recorded_at=now,
            actor="books",
            **more,
        )
        await site.backdrop.producer.publish(
            [Outgoing(topics.COMMANDS, str(document.id).encode(), codec.encode(command))]
        )
