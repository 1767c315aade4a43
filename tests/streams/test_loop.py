"""The loop by itself: how a batch is parted, what is tried again, how fast."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from hub.bus.errors import TooLarge
from hub.bus.errors import Unavailable as BusUnavailable
from hub.store.errors import Unacceptable, Unready
from hub.store.errors import Unavailable as StoreUnavailable
from schemas.codec import Undecodable
from streams import agent
from streams.agent import BATCH_BYTES, Decoded, Handled, Loop


def events(*sizes: int | None) -> list[Any]:
    return [SimpleNamespace(message=SimpleNamespace(value=None if size is None else b"x" * size)) for size in sizes]


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([10, 10, 10], [3]),
        ([None, 0, None], [3]),
        ([BATCH_BYTES], [1]),
        ([BATCH_BYTES + 1], [1]),
        ([BATCH_BYTES - 1, 1, 1], [2, 1]),
        ([1, BATCH_BYTES + 1, 1], [1, 1, 1]),
        ([BATCH_BYTES // 2] * 5, [2, 2, 1]),
    ],
)
def test_a_batch_comes_in_parts_of_a_size_that_can_be_handled(sizes: list[int | None], parts: list[int]) -> None:
    taken = events(*sizes)
    found = list(agent._parts(taken))
    assert [len(part) for part in found] == parts
    assert [event for part in found for event in part] == taken


def test_what_is_decoded_knows_its_place() -> None:
    def decode(message: str) -> int:
        try:
            return int(message)
        except ValueError:
            raise Undecodable(f"{message} is no number") from None

    decoded = Decoded.of(["1", "x", "2", "y"], decode)
    assert (decoded.records, decoded.places) == ([1, 2], [0, 2])
    assert [(failure.index, failure.reason) for failure in decoded.failures] == [
        (1, "x is no number"),
        (3, "y is no number"),
    ]
    assert Decoded.of([], decode).records == []


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A loop that doesn't wait long between its attempts."""
    monkeypatch.setattr(agent, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(agent, "LONGEST_PAUSE_SECONDS", 0.004)
    return Loop("test", None, None, batch_size=1, within=1)  # type: ignore[arg-type]


class Work:
    """Fails as it is told, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)

    async def __call__(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return "done"


async def test_what_passes_is_tried_until_it_has_passed(loop: Loop) -> None:
    faults = [StoreUnavailable("x"), BusUnavailable("x"), Unready("x"), TimeoutError()] * 5
    assert await loop._until_done("testing", Work(*faults)) == "done"
    assert loop.progress.retries == 20


@pytest.mark.parametrize(
    "error", [Unacceptable("x"), TooLarge("x"), ValueError("x")], ids=lambda each: type(each).__name__
)
async def test_what_does_not_pass_is_not_tried_again(loop: Loop, error: Exception) -> None:
    with pytest.raises(type(error)):
        await loop._until_done("testing", Work(error))
    assert loop.progress.retries == 0


async def test_an_attempt_is_bounded(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "ATTEMPT_SECONDS", 0.01)
    hung = [True, True]

    async def work() -> str:
        if hung:
            hung.pop()
            await asyncio.Event().wait()
        return "done"

    assert await loop._until_done("testing", work) == "done"
    assert loop.progress.retries == 2


class Stream:
    """A stream as Faust's is: whoever leaves ``noack_take`` leaves the acks as they were found."""

    enable_acks = True

    def __init__(self, *batches: list[Any]) -> None:
        self.batches = batches

    async def noack_take(self, _: int, within: float) -> AsyncIterator[list[Any]]:
        before, self.enable_acks = self.enable_acks, False
        try:
            for batch in self.batches:
                yield batch
            await asyncio.Event().wait()
        finally:
            self.enable_acks = before


class Defective:
    """A handler with a defect."""

    key = "code"

    def decode(self, messages: Sequence[Any]) -> Decoded:
        return Decoded(messages)

    async def handle(self, batch: Decoded) -> Handled:
        raise RuntimeError("what nobody thought of")


async def test_nothing_is_acked_behind_a_defect() -> None:
    """Faust goes on reading for a while, and acks what it reads if the stream says so."""
    stream = Stream(events(1))
    loop = Loop("test", Defective(), None, batch_size=1, within=1)  # type: ignore[arg-type]
    with pytest.raises(ExceptionGroup):
        await loop.run(stream)
    assert stream.enable_acks is False
