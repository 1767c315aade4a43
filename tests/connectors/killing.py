"""Processes that run a connector and end themselves by SIGKILL at a named point."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.runtime.dev_helpers import environment

ROOT = Path(__file__).parents[2]

Point = tuple[Any, str]
"""What a function is looked up on, and its name."""


def arm(point: Point, spared: int) -> None:
    """Make a function end this process the next time but ``spared``."""
    owner, name = point
    original: Callable[..., Any] = getattr(owner, name)
    left = [spared]

    def deadly(*arguments: Any, **options: Any) -> Any:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return original(*arguments, **options)

    setattr(owner, name, deadly)


async def run_until_killed(module: str, *arguments: object) -> None:
    """Run a module as a process until it has killed itself; fails if it ends otherwise, or not within two minutes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *map(str, arguments), cwd=ROOT, env=environment()
    )
    try:
        async with asyncio.timeout(120):
            assert await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
