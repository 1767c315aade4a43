"""Outside systems that ``hub dev`` plays: simulators, each in a process of its own, and the configuration that names
them."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hub.runtime.embedded import EmbeddedError
from hub.runtime.embedded.ports import LOOPBACK
from hub.runtime.supervisor import Program, python_module

FILE: Final = "hub.toml"

_READY_SECONDS = 30.0
_LOOK_SECONDS = 0.02


class Simulated(Program):
    """A simulator that listens on a port of 127.0.0.1. ``title`` is what people are told it is."""

    def __init__(self, title: str, module: str, port: int, words: Sequence[str], log: Path) -> None:
        super().__init__(python_module(module, "--port", str(port), *words), {}, log)
        self.title = title
        self.port = port
        self._log_file = log

    async def start(self) -> None:
        """Start it, and wait until it listens. Raises EmbeddedError and OSError."""
        await super().start()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._listens():
                    if not self.running:
                        raise EmbeddedError(f"{self.title} ended while it was starting; see {self._log_file}.")
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            self.kill()
            raise EmbeddedError(
                f"{self.title} didn't listen on port {self.port} within {_READY_SECONDS:.0f} seconds; "
                f"see {self._log_file}."
            ) from None

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError:
            return False
        writer.close()
        return True


def write_configuration(file: Path, connectors: Mapping[str, Mapping[str, object]]) -> None:
    """A configuration with these connectors, by ``<kind>.<name>``, for the roles and for ``hub --config``.

    Raises OSError.
    """
    lines = ["# Written by `hub dev` at every start: the systems it simulates."]
    for name, settings in connectors.items():
        lines += ["", f"[connectors.{name}]"]
        lines += [f"{key} = {_toml(value)}" for key, value in settings.items()]
    unfinished = file.with_name(f".{file.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as new:
        new.write("\n".join(lines) + "\n")
    unfinished.replace(file)


def _toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
