"""How an instance lives, dies and goes on: what it took in is never lost, and nothing of it is left behind."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from connectors.base import Retryable
from schemas.deadletters import DeadLetter
from tests.conformance.harness import Fault, Part, Wanted
from tests.conformance.rules.payloads import identity
from tests.conformance.rules.registry import rule
from tests.conformance.stage import Broken, Life, Scene, Stage, misses, require
from tests.conformance.surroundings import Killed, Published


class Ambush:
    """Waits in a life's publisher for one thing, and then does something, once."""

    def __init__(self, life: Life, deed: Callable[[], None], *, after: bool = False) -> None:
        self.done = asyncio.Event()
        self._deed = deed
        self._wanted: asyncio.Future[Wanted] = asyncio.get_running_loop().create_future()
        if after:
            life.watch.after = self._meet
        else:
            life.watch.before = self._meet

    async def produce(self, scene: Scene) -> Wanted:
        """Let the thing come up."""
        wanted = await scene.world.produce()
        self._wanted.set_result(wanted)
        return wanted

    async def _meet(self, messages: Sequence[Published]) -> None:
        wanted = await self._wanted
        if not self.done.is_set() and any(wanted(message) for message in messages):
            self.done.set()
            self._deed()


@rule(Part.TAKING)
async def cursor_waits_for_the_ack(stage: Stage) -> None:
    """While Kafka doesn't acknowledge, nothing counts as taken in: what it refused is published again, and what comes
    after it too. A connector that moves on loses documents exactly when Kafka is restarted."""

    def refuse() -> None:
        raise Retryable("Kafka doesn't answer (so it is to be)")

    async with stage.scene("ack") as scene:
        life = await scene.life()
        async with life.running():
            await life.takes_in(await scene.world.produce())
            ambush = Ambush(life, refuse)
            wanted = await ambush.produce(scene)
            await life.until("the next thing is published, and refused", ambush.done.is_set)
            await life.takes_in(wanted, "what Kafka refused is published again")
            await life.takes_in(await scene.world.produce(), "the thing after one that Kafka refused is taken in")


@rule(Part.TAKING)
async def cursor_advances(stage: Stage) -> None:
    """What was taken in stays taken in: after a start only what is new is published. A connector without a cursor tells
    everything anew each morning."""
    async with stage.scene("cursor") as scene:
        life = await scene.life()
        async with life.running():
            first = await scene.world.produce()
            await life.takes_in(first)
            for _ in range(2):
                await life.takes_in(await scene.world.produce())
        life = await scene.life()
        async with life.running():
            await life.takes_in(await scene.world.produce(), "after a new start something is taken in")
        require(not any(first(event) for event in life.watch.published), "after a new start the first is told again")


@rule(Part.TAKING)
async def killed_loses_nothing(stage: Stage) -> None:
    """Killed just before it publishes something, and just after, before its cursor moves, the next start takes that in,
    under the same ids, and goes on (DESIGN.md "What it must stand")."""
    for after in (False, True):
        async with stage.scene("killed") as scene:
            await _killed(scene, after=after)


async def _killed(scene: Scene, *, after: bool) -> None:
    point = "after publishing" if after else "before publishing"
    first = await scene.life()
    async with first.running():
        await first.takes_in(await scene.world.produce())
        ambush = Ambush(first, first.watch.kill, after=after)
        wanted = await ambush.produce(scene)
        await first.until("the next thing is published", first.watch.dead.is_set)
    second = await scene.life()
    async with second.running():

        async def there() -> bool:
            return any(wanted(event) for event in await scene.stage.surroundings.published())

        await second.until(f"killed {point} and started again, it publishes that", there)
        await second.takes_in(await scene.world.produce(), f"killed {point} and started again, it takes in what is new")
    ids = {identity(event) for event in await scene.stage.surroundings.published() if wanted(event)}
    require(len(ids) == 1, f"killed {point}, the same thing was published under {len(ids)} ids")


@rule(Part.TAKING)
async def what_cant_be_understood_is_put_aside(stage: Stage) -> None:
    """Something that can't be understood ends in the dead letters, with the reason and the bytes, and what comes after
    it is taken in: one bad record never stops a source."""
    async with stage.scene("aside") as scene:
        life = await scene.life()
        async with life.running():
            await life.takes_in(await scene.world.produce())
            await scene.world.spoil()
            await life.takes_in(await scene.world.produce(), "what comes after something spoilt is taken in")

            def put_aside() -> bool:
                return any(isinstance(message, DeadLetter) for message in life.watch.published)

            await life.until("something spoilt is put into the dead letters", put_aside)
    for letter in life.watch.published:
        if isinstance(letter, DeadLetter):
            require(letter.value and letter.reason.strip(), "a dead letter has no bytes, or no reason")


@rule()
async def starts_and_stops_in_time(stage: Stage) -> None:
    """Cancelled it ends within `STOP_SECONDS` and leaves no task behind: after it took something in, while Kafka keeps
    it waiting, and while the other side doesn't answer. Who restarts the hub waits for the slowest connector."""
    takes_in = Part.TAKING not in stage.adapter.without
    before = asyncio.all_tasks()
    async with stage.scene("stop") as scene:
        life = await scene.life()
        async with life.running():
            if takes_in:
                await life.takes_in(await scene.world.produce(), "it starts and takes in its first thing")
            await _ends(life, before, "at work")
        if takes_in:
            await _ends_while_kafka_hangs(scene, before)
        if Fault.SILENT not in stage.adapter.without:
            await _ends_while_nobody_answers(scene, before)


async def _ends_while_kafka_hangs(scene: Scene, before: "set[asyncio.Task[object]]") -> None:
    life, reached = await scene.life(), asyncio.Event()

    async def hang(_: Sequence[Published]) -> None:
        reached.set()
        await asyncio.get_running_loop().create_future()

    life.watch.before = hang
    async with life.running():
        await scene.world.produce()
        await life.until("something is published", reached.is_set)
        await _ends(life, before, "waiting for Kafka")


async def _ends_while_nobody_answers(scene: Scene, before: "set[asyncio.Task[object]]") -> None:
    async with scene.world.fault(Fault.SILENT):
        life = await scene.life()
        with misses() as missed:
            async with life.running():
                await life.until("the other side, which doesn't answer, is found away", lambda: bool(missed))
                await _ends(life, before, "while the other side doesn't answer")


async def _ends(life: Life, before: "set[asyncio.Task[object]]", when: str) -> None:
    in_time = await life.end()
    require(in_time, f"cancelled {when} it goes on for more than {life.stop_seconds:g} s")
    assert life.task is not None
    if not life.task.cancelled() and not isinstance(life.task.exception(), Killed):
        raise Broken(f"cancelled {when} it ended with {life.task.exception()!r}")
    left: set[asyncio.Task[object]] = set()

    def nothing_left() -> bool:
        left.clear()
        left.update(task for task in asyncio.all_tasks() - before if _is_of_the_connector(task, life))
        return not left

    try:
        await life.until("no task is left", nothing_left)
    except Broken:
        for task in left:
            task.cancel()
        raise Broken(f"cancelled {when} it leaves behind {', '.join(_shown(task) for task in left)}") from None


def _is_of_the_connector(task: "asyncio.Task[object]", life: Life) -> bool:
    path = Path(_file_of(task))
    folder = life.subject.folder
    return path.is_relative_to(folder) and not path.relative_to(folder).parts[0].startswith("simulator")


def _file_of(task: "asyncio.Task[object]") -> str:
    code = getattr(task.get_coro(), "cr_code", None)
    return code.co_filename if code else ""


def _shown(task: "asyncio.Task[object]") -> str:
    coroutine = task.get_coro()
    return f"{getattr(coroutine, '__qualname__', coroutine)} ({_file_of(task)})"
