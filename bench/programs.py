"""Processes of the benchmark's own: started in an empty directory and environment, stopped in good order."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import psutil

from bench.servers import Site
from hub.runtime.embedded import child

STOP_SECONDS = 40.0
HUB = ("-P", "-m", "hub.runtime")
"""What ``hub`` runs, for any interpreter."""

_ROOT = Path(__file__).parents[1]
_PASSED_ON = ("PATH", "HOME", "TMPDIR")


class Failed(Exception):
    """A scenario can't be measured; the text says why."""


class Program:
    """One running Python program; from :func:`running`. No PEYVAND_* of the user's shell reaches it, nor a hub.toml."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], directory: Path, *, orderly: signal.Signals
    ) -> None:
        self._log = directory / "log"
        self._orderly = orderly
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        with self._log.open("wb") as output:
            self._process: subprocess.Popen[bytes] = child.spawn(
                [sys.executable, *words],
                directory=directory,
                output=output,
                death_signal=orderly,
                environment={**passed_on, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(_ROOT), **environment},
            )

    @property
    def process(self) -> psutil.Process:
        """The process, to be looked into."""
        return psutil.Process(self._process.pid)

    def check(self) -> None:
        """Raise Failed if it has ended."""
        if (code := self._process.poll()) is not None:
            raise Failed(f"a process of the benchmark ended with exit code {code}:\n{self.said()[-2_000:]}")

    def said(self) -> str:
        """All it wrote so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    async def finished(self, seconds: float) -> str:
        """What it had written when it ended by itself. Raises Failed if it didn't within ``seconds``, or failed."""
        try:
            async with asyncio.timeout(seconds):
                code = await child.wait(self._process)
        except TimeoutError:
            raise Failed(f"a process of the benchmark took longer than {seconds:.0f} s:\n{self.said()}") from None
        if code:
            raise Failed(f"a process of the benchmark ended with exit code {code}:\n{self.said()[-2_000:]}")
        return self.said()

    async def stop(self) -> None:
        await child.end(self._process, self._orderly, STOP_SECONDS)


@contextlib.asynccontextmanager
async def running(
    words: Sequence[str], environment: Mapping[str, str], *, orderly: signal.Signals = signal.SIGTERM
) -> AsyncIterator[Program]:
    """A program running; asked to stop with ``orderly`` on leaving, if it hasn't ended by then."""
    with tempfile.TemporaryDirectory(prefix="peyvand-bench-") as directory:
        program = Program(words, environment, Path(directory), orderly=orderly)
        try:
            yield program
        finally:
            await program.stop()


def role_environment(site: Site) -> dict[str, str]:
    """What a role process (``hub streams``, ``hub api``) needs to work at a site, as ``hub dev`` tells its own."""
    return {
        "PEYVAND_COMPANY_PREFIX": site.kafka.prefix,
        "PEYVAND_KAFKA_BOOTSTRAP": site.kafka.bootstrap,
        "PEYVAND_KAFKA_REPLICATION": "1",
        "PEYVAND_KAFKA_MIN_ISR": "1",
        "PEYVAND_POSTGRES_DSN": site.dsn,
    }
