"""The supervisor, with small programs of the tests' own."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from hub.runtime import supervisor as supervision
from hub.runtime.embedded import EmbeddedError
from hub.runtime.supervisor import KEPT_LOGS, Program, Supervisor, ending, rotate
from tests.runtime.embedded_helpers import eventually, has_gone

_SLEEPER = "import time; print('ready', flush=True); time.sleep(600)"
_STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_SLEEPER}"
_POLITE = """
import signal, sys
def end(*_):
    with open(sys.argv[1], "a") as order:
        order.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
signal.pause()
"""
_PARENT = """
import asyncio, sys
from pathlib import Path
from hub.runtime.supervisor import Program, Supervisor

async def main():
    supervisor = Supervisor(report=print)
    program = Program([sys.executable, "-c", sys.argv[1]], {}, Path(sys.argv[2]))
    await supervisor.start("child", program)
    print(supervisor.pids()["child"], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Told(list[str]):
    """What the supervisor reported."""

    def has(self, *words: str) -> bool:
        return any(all(word in sentence for word in words) for sentence in self)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def supervisor(told: Told) -> AsyncIterator[Supervisor]:
    made = Supervisor(report=told.append)
    yield made
    made.kill()


def program(code: str, log: Path, *words: str, **environment: str) -> Program:
    return Program([sys.executable, "-c", code, *words], environment, log)


async def ready(log: Path, times: int = 1) -> None:
    async def said() -> bool:
        return times_ready(log) >= times

    await eventually(said)


def times_ready(log: Path) -> int:
    return log.read_text().count("ready") if log.exists() else 0


async def test_what_crashes_is_started_again_and_the_restart_told(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    log = tmp_path / "a.log"
    await supervisor.start("a", program(_SLEEPER, log))
    await ready(log)
    first = supervisor.pids()["a"]
    psutil.Process(first).kill()
    await ready(log, 2)

    assert supervisor.pids()["a"] != first
    assert told.has("a was ended by SIGKILL", "0.5 s")
    assert told.has("a runs again")


async def test_the_pause_before_a_restart_doubles_up_to_its_limit(
    supervisor: Supervisor, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(supervision, "LONGEST_PAUSE_SECONDS", 0.04)
    await supervisor.start("a", program("raise SystemExit(3)", tmp_path / "a.log"))

    async def four_times() -> bool:
        return len([sentence for sentence in told if "exit code 3" in sentence]) >= 4

    await eventually(four_times)
    pauses = [sentence.split(" in ")[1] for sentence in told if "exit code 3" in sentence]
    assert pauses[:4] == ["0.01 s.", "0.02 s.", "0.04 s.", "0.04 s."]


async def test_what_cannot_be_started_again_is_tried_on(
    supervisor: Supervisor, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "FIRST_PAUSE_SECONDS", 0.01)

    class Fickle:
        """A server that starts, dies, can't be started once, and then can."""

        def __init__(self) -> None:
            self.starts = 0
            self.running = False
            self.pid = 1

        async def start(self) -> None:
            self.starts += 1
            if self.starts == 2:
                raise EmbeddedError("no room")
            self.running = True

        async def wait(self) -> int:
            return 1

        async def stop(self) -> None:
            self.running = False

        def kill(self) -> None:
            self.running = False

    server = Fickle()
    await supervisor.start("kafka", server)
    server.running = False

    async def runs() -> bool:
        return server.running

    await eventually(runs)
    assert told.has("kafka can't be started again", "no room")
    assert told.has("kafka runs again")


async def test_the_last_started_is_stopped_first(supervisor: Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"
    for name in ("streams", "api", "connectors"):
        log = tmp_path / f"{name}.log"
        await supervisor.start(name, program(_POLITE, log, str(order), name))
        await ready(log)
    await supervisor.stop()

    assert order.read_text().split() == ["connectors", "api", "streams"]
    assert supervisor.pids() == {}


async def test_what_does_not_stop_in_time_is_killed(
    supervisor: Supervisor, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "STOP_SECONDS", 0.2)
    log = tmp_path / "a.log"
    await supervisor.start("a", program(_STUBBORN, log))
    await ready(log)
    process = psutil.Process(supervisor.pids()["a"])
    await supervisor.stop()

    assert await has_gone(process)
    assert told == []


async def test_a_program_sees_our_environment_with_its_own_laid_over(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "ours")
    monkeypatch.setenv("BOTH", "ours")
    log = tmp_path / "a.log"
    code = f"import os; print(os.environ['OURS'], os.environ['BOTH']); {_SLEEPER}"
    await supervisor.start("a", program(code, log, BOTH="its own"))
    await ready(log)

    assert log.read_text().splitlines()[0] == "ours its own"
    assert log.stat().st_mode & 0o077 == 0


async def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT, _STUBBORN, str(log)), stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = psutil.Process(int(await parent.stdout.readline()))
    await ready(log)
    parent.kill()
    await parent.wait()

    await eventually(lambda: has_gone(child))


def test_the_logs_of_the_last_starts_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    for start in range(KEPT_LOGS + 3):
        rotate(log)
        log.write_text(f"start {start}")

    kept = sorted(tmp_path.iterdir())
    assert [path.name for path in kept] == ["api.log", "api.log.1", "api.log.2", "api.log.3", "api.log.4"]
    assert [path.read_text() for path in kept] == [f"start {start}" for start in (7, 6, 5, 4, 3)]


def test_an_ending_is_told_by_code_or_signal() -> None:
    assert ending(3) == "ended with exit code 3"
    assert ending(-signal.SIGSEGV) == "was ended by SIGSEGV"
