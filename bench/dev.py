"""How long someone waits who types ``make run``: until an order can be sent to ``hub dev`` and is decided.

Cold is an empty data directory (the environment and Kafka's jars are there already), with the sample company to load;
warm the next start with the same data. The order is one anyone may paste: sent by HTTP, waiting for its decision.
"""

import asyncio
import contextlib
import json
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import psutil

from bench.machine import peak_mb
from bench.programs import HUB, Failed, Program, running
from hub.runtime import sample
from schemas.dates import today_in_tehran, utc_now

START_SECONDS = 120.0
_POLL_SECONDS = 0.02


class Starts(NamedTuple):
    """Seconds to the first decided order, and each process's peak memory (MB) over both runs."""

    cold_seconds: float
    warm_seconds: float
    peak_memory_mb: dict[str, float]


async def measure(jars: Path) -> Starts:
    """Start ``hub dev`` twice in a fresh directory; ``jars`` is an absolute path. Raises Failed."""
    directory = Path(tempfile.mkdtemp(prefix="peyvand-bench-dev-"))
    memory: dict[str, float] = {}
    try:
        cold = await _start(directory, jars, memory)
        warm = await _start(directory, jars, memory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return Starts(cold, warm, memory)


async def _start(data: Path, jars: Path, memory: dict[str, float]) -> float:
    """Seconds from the start to a decision; notes what every process took at most."""
    words = [*HUB, "dev", "--data", str(data), "--port", "0"]
    began = time.monotonic()
    async with running(words, {"PEYVAND_CACHE": str(jars)}, orderly=signal.SIGINT) as hub:
        run = await _run_file(data / "run.json", hub, began + START_SECONDS)
        await _decide_one(run)
        seconds = time.monotonic() - began
        for name, pid in run["pids"].items():
            kind = name.partition("-")[0]
            if (peak := peak_mb(psutil.Process(pid))) is not None:
                memory[kind] = max(peak, memory.get(kind, 0))
    return round(seconds, 2)


async def _run_file(file: Path, hub: Program, deadline: float) -> dict[str, Any]:
    while time.monotonic() < deadline:
        hub.check()
        if (run := _told(file)) is not None:
            return run
        await asyncio.sleep(_POLL_SECONDS)
    raise Failed(f"hub dev was not up within {START_SECONDS:.0f} s:\n{hub.said()[-2_000:]}")


def _told(file: Path) -> dict[str, Any] | None:
    """What the hub tells scripts, once it does."""
    with contextlib.suppress(FileNotFoundError):
        run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return run
    return None


async def _decide_one(run: dict[str, Any]) -> None:
    order = {**sample.order_to_try(today_in_tehran(utc_now())), "source_id": f"bench-{secrets.token_hex(4)}"}
    headers = {"Authorization": f"Bearer {run['api_key']}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{run['address']}/v1/documents?wait=decision", json=order) as response,
    ):
        answer = await response.text()
        if response.status != 200:
            raise Failed(f"hub dev answered {response.status} to an order: {answer[:1_000]}")
