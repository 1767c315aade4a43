"""What a connector says: its errors, its checks, its logs, and what it must keep to itself."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.base import (
    Connector,
    ConnectorError,
    Rejected,
    Retryable,
    Unauthorised,
    UnknownPayload,
    redacted,
    settings_table,
)
from schemas.secret import Secret
from tests.conformance.harness import Fault, Part
from tests.conformance.rules.receiving import call, samples
from tests.conformance.rules.registry import rule
from tests.conformance.stage import Broken, Life, Scene, Stage, logs, misses, require
from tests.conformance.surroundings import Memory

OURS: Mapping[Fault, tuple[type[ConnectorError], ...]] = {
    Fault.UNAUTHORISED: (Unauthorised,),
    Fault.FORBIDDEN: (Unauthorised,),
    Fault.NOT_FOUND: (Rejected,),
    Fault.CONFLICT: (Rejected, Retryable),
    Fault.INVALID: (Rejected,),
    Fault.BUSY: (Retryable,),
    Fault.BROKEN: (Retryable,),
    Fault.SILENT: (Retryable,),
    Fault.GARBAGE: (UnknownPayload, Retryable),
}
"""What each answer of the other side is to us; a conflict may pass or not, garbage may be half an answer."""

MISSED = 3
"""How often the other side is missed while it is away."""

SHORTEST = 6
"""Characters of a secret of the worlds; a shorter one would be found in ordinary words."""


async def _asked(scene: Scene, life: Life, connector: Connector[Any]) -> Exception | None:
    """What one call of the client raises."""
    try:
        async with asyncio.timeout(life.patience):
            await scene.world.ask(connector)
    except Exception as error:
        return error
    return None


@rule()
async def errors_are_ours(stage: Stage) -> None:
    """Whatever the other side answers becomes one of our four errors, the right one, with a sentence: who waits on a
    wrong login, or gives up on a busy server, does the opposite of what is needed (`connectors/base.py`)."""
    async with stage.scene("errors") as scene:
        for fault, expected in OURS.items():
            if fault in stage.adapter.without:
                continue
            async with scene.world.fault(fault):
                life = await scene.life()
                error = await _asked(scene, life, life.connector())
            names = " or ".join(each.__name__ for each in expected)
            require(isinstance(error, expected), f"{fault} is to become {names}, it is {error!r}")
            sentence = str(error)
            require(
                sentence.strip() and "\n" not in sentence.strip(), f"{fault} is to be told in a sentence: {sentence!r}"
            )
        life = await scene.life()
        error = await _asked(scene, life, life.connector())
        require(error is None, f"when nothing is wrong any more there is {error!r}")


async def _checked(life: Life, connector: Connector[Any]) -> Exception | None:
    try:
        async with asyncio.timeout(life.patience):
            await connector.check()
    except ConnectorError as error:
        return error
    except Exception as error:
        raise Broken(f"check() raises {error!r}") from error
    return None


@rule()
async def check_writes_nothing(stage: Stage) -> None:
    """`hub check` may be run at any time by anybody: `check()` leaves the other side, the hub, the instance's directory
    and the bus as they were, whether it finds all well or not."""
    async with stage.scene("looks") as scene:
        life = await scene.life()
        before = await scene.world.state(), _files(life.context.data)
        for spec in (scene.world.spec, scene.world.wrong):
            if spec is not None:
                await _checked(life, life.connector(spec))
        require(not life.watch.writes, f"check() wrote: {', '.join(life.watch.writes)}")
        after = await scene.world.state(), _files(life.context.data)
        require(before[0] == after[0], "check() changed something at the other side")
        require(before[1] == after[1], "check() changed something in the instance's directory")


def _files(directory: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in directory.rglob("*"))


@rule()
async def check_tells_the_truth(stage: Stage) -> None:
    """`check()` says well when all is well, and only then: not with wrong credentials, not while the other side is
    away. Else a wrong password is found on the day of the first order."""
    async with stage.scene("truth") as scene:
        life = await scene.life()
        error = await _checked(life, life.connector())
        require(error is None, f"all is well, and check() says {error}")
        if Part.LOGIN not in stage.adapter.without:
            wrong = scene.world.wrong
            require(wrong is not None, "the world gives no spec with wrong credentials")
            error = await _checked(life, life.connector(wrong))
            require(error is not None, "with wrong credentials check() says that all is well")
            fits = isinstance(error, Unauthorised | Rejected)
            require(fits, f"wrong credentials are to be Unauthorised or Rejected, they are {error!r}")
        if Part.OUTAGE not in stage.adapter.without:
            await scene.world.away()
            error = await _checked(life, life.connector())
            await scene.world.back()
            require(error is not None, "while the other side is away check() says that all is well")


@rule(Part.TAKING, Part.OUTAGE)
async def an_outage_is_logged_once(stage: Stage) -> None:
    """The other side goes, is missed several times, and comes back: one line as it goes, one as it comes
    (`connectors.base.Outage`), and everything goes on by itself. A line for each attempt buries the others."""
    # Apart from what other rules left on the topics, of which it may rightly have to say something.
    async with replace(stage, surroundings=Memory()).scene("outage") as scene:
        life = await scene.life()
        with misses() as missed, logs("connectors") as lines:
            async with life.running():
                await life.takes_in(await scene.world.produce())
                await scene.world.away()
                await life.until("it is missed", lambda: len(missed) > MISSED)
                await scene.world.back()
                await life.takes_in(await scene.world.produce(), "after an outage something is taken in")
                await life.until("its return is logged", lambda: bool(_returns(lines)))
    down, up = _complaints(lines), _returns(lines)
    require(len(down) == 1, f"an outage is logged {len(down)} times as it goes: {down}")
    require(len(up) == 1, f"an outage is logged {len(up)} times as it comes back: {up}")


def _complaints(lines: list[logging.LogRecord]) -> list[str]:
    return [line.getMessage() for line in lines if line.levelno >= logging.WARNING]


def _returns(lines: list[logging.LogRecord]) -> list[str]:
    return [line.getMessage() for line in lines if line.getMessage().endswith("is back")]


@rule()
async def secrets_stay_secret(stage: Stage) -> None:
    """No secret is in a log line, an error (and what caused it), a repr, a dead letter, an answer or a page: they are
    read by more people than the configuration is."""
    async with stage.scene("quiet") as scene:
        secrets = dict(_secrets(scene))
        if not secrets:
            return
        for name, value in secrets.items():
            require(len(value) >= SHORTEST, f"the world's {name} is to have {SHORTEST} characters or more")
        with logs("connectors", logging.DEBUG) as ours, logs() as every:
            said = [text async for text in _heard(stage, scene)]
        said += [_line(record) for record in (*ours, *every)]
        for text in said:
            for name, value in secrets.items():
                require(value not in text, f"{name} is told: {text.replace(value, '<' + name + '>')[:500]}")


def _secrets(scene: Scene) -> Iterator[tuple[str, str]]:
    for spec in (scene.world.spec, scene.world.wrong):
        for name in getattr(spec, "__struct_fields__", ()):
            if isinstance(value := getattr(spec, name), Secret):
                yield f"{name}{'' if spec is scene.world.spec else ' (wrong)'}", value.reveal()
    if scene.stage.subject.kind.receiver is not None:
        for sample in scene.world.samples():
            token = sample.request(sample.body).headers.get("authorization", "").rpartition(" ")[2]
            if token:
                yield f"the caller's token ({sample.endpoint})", token


async def _heard(stage: Stage, scene: Scene) -> AsyncIterator[str]:
    """Everything it says when it is looked at, fails, works and is called."""
    world, life = scene.world, await scene.life()
    yield settings_table(type(world.spec)) + stage.subject.kind.readme.read_text("utf-8")
    for spec in (world.spec, world.wrong):
        if spec is not None:
            connector = life.connector(spec)
            yield f"{spec!r} {redacted(spec)!r} {connector!r} {vars(connector)!r} {connector.vitals()!r}"
            yield _told(await _checked(life, connector))
    for fault in Fault:
        if fault not in stage.adapter.without:
            async with world.fault(fault):
                failing = await scene.life()
                yield _told(await _asked(scene, failing, failing.connector()))
    if Part.TAKING not in stage.adapter.without:
        with suppress(Broken):  # whether it works is another rule's business
            await _works(scene, life)
    if stage.subject.kind.receiver is not None:
        for sample in samples(scene):
            for request in (sample.request(sample.body), sample.request(b"\xff{"), sample.forged):
                if request is not None:
                    told = await call(life, request)
                    yield _told(told) if isinstance(told, Exception) else repr(told)
    for message in life.watch.published:
        yield repr(message)


async def _works(scene: Scene, life: Life) -> None:
    async with life.running():
        await life.takes_in(await scene.world.produce())
        await scene.world.spoil()
        if Part.OUTAGE not in scene.stage.adapter.without:
            with misses() as missed:
                await scene.world.away()
                await life.until("it is missed", lambda: bool(missed))
                await scene.world.back()
        await life.takes_in(await scene.world.produce())


def _told(error: Exception | None) -> str:
    return "" if error is None else f"{error!r} {''.join(traceback.format_exception(error))}"


def _line(record: logging.LogRecord) -> str:
    return logging.Formatter().format(record)
