"""`hub dev` as a person uses it: a process, what it prints, `run.json`, and HTTP."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.conftest import JARS
from tests.runtime.embedded_helpers import eventually, has_gone

HUB = (sys.executable, "-P", "-m", "hub.runtime")
ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    """A user's environment, without what the test run itself was started with."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PEYVAND_")}
    return {**inherited, "LC_ALL": "C.UTF-8", "PEYVAND_CACHE": str(JARS), **more}


def run_hub(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """One command of the hub, run to its end where no `hub.toml` is about."""
    return subprocess.run(
        [*HUB, *words],
        cwd=ROOT / "tests",
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


class Answer(NamedTuple):
    """What HTTP answered."""

    status: int
    body: Any


def fetch(request: urllib.request.Request | str) -> tuple[int, bytes]:
    """Status and body, whatever the status is."""
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, problem.read()


class HubDev:
    """A `hub dev` of the test's own in one data directory, started as often as a test wants."""

    def __init__(self, data: Path, **variables: str) -> None:
        self.data = data
        self._variables = variables
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def run(self) -> dict[str, Any]:
        """`run.json` as it is now."""
        about: dict[str, Any] = json.loads((self.data / "run.json").read_text(encoding="utf-8"))
        return about

    @property
    def output(self) -> str:
        """What the last start has printed so far."""
        return self._output.read_text(encoding="utf-8")

    async def ensure_started(self) -> None:
        """Start it unless it runs, and wait until it is up."""
        if self._process is None or self._process.poll() is not None:
            await self.start()

    async def start(self, *words: str, outside: bool = False) -> None:
        """Start it and wait until it is up; ``outside``: with the simulated shop and handhelds."""
        if not outside:
            words = ("--no-outside", *words)
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - starting it takes no time
                [*HUB, "dev", "--data", str(self.data), "--port", "0", *words],
                cwd=self.data.parent,
                env=environment(**self._variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        await eventually(self._is_up_or_ended, 300)
        assert self._process.poll() is None, self.output

    async def _is_up_or_ended(self) -> bool:
        assert self._process is not None
        return "What happens" in self.output or self._process.poll() is not None

    def processes(self) -> list[psutil.Process]:
        """Every process of it, as `run.json` tells and as the system knows."""
        told = [psutil.Process(pid) for pid in self.run["pids"].values()]
        assert self._process is not None
        return list({*told, *psutil.Process(self._process.pid).children(recursive=True)})

    async def end(self, number: signal.Signals) -> int:
        """Send it a signal; its exit code, once it and every process of it have gone."""
        assert self._process is not None
        processes = self.processes()
        self._process.send_signal(number)

        async def all_gone() -> bool:
            assert self._process is not None
            return self._process.poll() is not None and all([await has_gone(each) for each in processes])

        await eventually(all_gone, 120)
        return int(self._process.returncode)

    def make_sure_it_is_gone(self) -> None:
        """For the end of the tests: nothing may be left, whatever happened."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def get(self, path: str) -> Answer:
        """GET, with the demo key."""
        return self._ask(path)

    def post(self, path: str, document: Mapping[str, object]) -> Answer:
        """POST a document, with the demo key."""
        return self._ask(path, json.dumps(document).encode())

    def _ask(self, path: str, data: bytes | None = None) -> Answer:
        run = self.run
        headers = {"Authorization": f"Bearer {run['api_key']}", "Content-Type": "application/json"}
        status, body = fetch(urllib.request.Request(run["address"] + path, data=data, headers=headers))
        return Answer(status, json.loads(body))

    @property
    def _output(self) -> Path:
        return self.data.with_suffix(".out")
