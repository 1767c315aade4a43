"""``hub version`` and ``hub docs``."""

import platform
from argparse import Namespace
from importlib.metadata import version as version_of
from pathlib import Path

from hub.runtime import documentation
from hub.runtime.console import screen, show

_STANDS_ON = ("faust-streaming", "aiokafka", "asyncpg", "aiohttp", "msgspec")


def version(_args: Namespace) -> int:
    """The hub's version on the first line, then what it stands on."""
    console = screen()
    parts = [f"Python {platform.python_version()}", *(f"{name} {version_of(name)}" for name in _STANDS_ON)]
    show(console, f"hub (Peyvand) {version_of('peyvand')}", ", ".join(parts))
    return 0


def docs(args: Namespace) -> int:
    """Write every generated page; tells which."""
    console = screen()
    for file in documentation.write(Path(args.directory)):
        show(console, str(file))
    return 0
