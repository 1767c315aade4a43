"""A return, or an invoice made from an order, that comes before the document it names."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from hub.bus.rewinding import rewind
from schemas import topics
from schemas.commands import Cancel
from schemas.documents import Kind
from streams import originals
from streams.agent import Decoded, Handled, Loop
from tests.rules.world import line
from tests.store.company import command, disagreements, dump, submit
from tests.streams.hub import Hub


async def test_each_waits_for_the_document_it_names_whichever_partition_is_read_first(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "PATIENCE_SECONDS", 60.0)
    orders = [submit(f"O{n}", Kind.SALES_ORDER) for n in range(20)]
    invoices = [submit(f"I{n}", original=f"O{n}") for n in range(20)]
    returns = [submit(f"R{n}", Kind.SALES_RETURN, original=f"I{n}", original_date=None) for n in range(20)]
    for three in zip(returns, invoices, orders, strict=True):  # each behind what names it
        await hub.send(*three)
    async with hub.worker():
        events = await hub.decided([*orders, *invoices, *returns])
    assert {event.type for event in events} == {"document.cleared"}
    for event in events[20:]:
        assert event.document is not None
        assert event.document.original_id is not None
    assert await disagreements(hub.store) == []
    assert await hub.committed(topics.COMMANDS) == await hub.ends(topics.COMMANDS)


async def test_an_original_that_does_not_come_is_told_and_holds_up_nothing_but_its_own_document(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "PATIENCE_SECONDS", 3_600.0)
    lost = submit("LOST", Kind.SALES_RETURN, original="NEVER", original_date=None)
    withdrawn, others = command(Cancel, "LOST"), [submit(f"D{n}", lines=(line("RAM", 1),)) for n in range(8)]
    await hub.send(lost, withdrawn, *others)
    async with hub.worker():
        await hub.decided(others)
        assert len(await hub.events()) == len(others)
        monkeypatch.setattr(originals, "PATIENCE_SECONDS", 0.0)
        told, cancelled = await hub.decided([lost, withdrawn])
    assert [reason.code for reason in told.reasons] == ["original_unknown"]
    assert cancelled.recorded_at >= told.recorded_at
    assert await hub.committed(topics.COMMANDS) == await hub.ends(topics.COMMANDS)
    before = await dump(hub.store)
    monkeypatch.setattr(originals, "PATIENCE_SECONDS", 3_600.0)  # what was decided doesn't wait again
    await rewind(hub.kafka, hub.group, [topics.COMMANDS], None)
    async with hub.worker() as streams:
        await hub.handled(streams, at_least=len(others) + 2)
    assert await dump(hub.store) == before


async def test_what_is_decided_together_in_its_order_waits_for_nothing(hub: Hub) -> None:
    """A sale, its return and the sale's cancellation that lie in one partition are decided in this order."""
    waiting = originals.Originals(hub.store)
    order, sale = submit("O", Kind.SALES_ORDER), submit("S", original="O")
    back = submit("R", Kind.SALES_RETURN, original="S", original_date=None)
    assert await waiting.awaited([order, sale, back, command(Cancel, "S")]) == set()
    assert await waiting.awaited([sale, back, command(Cancel, "S"), order]) == {0, 1, 2}


class Stream:
    """A stream as Faust's is, that notes in which order it is acked."""

    enable_acks = True

    def __init__(self, *batches: list[Any]) -> None:
        self.batches = batches
        self.acked: list[int] = []

    async def noack_take(self, _: int, within: float) -> AsyncIterator[list[Any]]:
        for batch in self.batches:
            yield batch
        await asyncio.Event().wait()

    async def ack(self, event: Any) -> None:
        self.acked.append(event.message.offset)


class Postponing:
    """Wants to see the record at offset 1 three times."""

    key = "code"

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.seen: list[list[int]] = []
        self.acked: list[list[int]] = []

    def decode(self, messages: Sequence[Any]) -> Decoded:
        return Decoded(messages)

    async def handle(self, batch: Decoded) -> Handled:
        offsets = [message.offset for message in batch.messages]
        self.seen.append(offsets)
        self.acked.append([*self.stream.acked])
        again = len([each for each in self.seen if 1 in each]) < 3
        return Handled(postponed=frozenset(index for index, offset in enumerate(offsets) if offset == 1 and again))


async def test_nothing_is_acked_before_what_was_postponed_ahead_of_it() -> None:
    """Faust may commit past what isn't acked at the head of a partition."""

    def events(*offsets: int) -> list[Any]:
        return [SimpleNamespace(message=SimpleNamespace(offset=offset, tp=0, value=b"")) for offset in offsets]

    stream = Stream(events(0, 1, 2), events(3, 4))
    handler = Postponing(stream)
    loop = Loop("test", handler, None, batch_size=3, within=1)  # type: ignore[arg-type]
    running = asyncio.create_task(loop.run(stream))
    async with asyncio.timeout(30):
        while len(stream.acked) < 5:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert stream.acked == [0, 1, 2, 3, 4]
    assert [offset for seen in handler.seen for offset in seen if offset != 1] == [0, 2, 3, 4]
    assert all(seen[0] == 1 for seen in handler.seen[1:])
    assert handler.acked[-1] == [0]
    assert loop.progress.handled == 5
    assert loop.progress.offsets == {0: 4}, "what was postponed doesn't take the place back"
