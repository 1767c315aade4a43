"""The books of ``hub dev``: simulated Hesabgars, each in a process of its own, and the connectors that speak to them.

Each keeps its books in a SQLite file in the data directory, written at every posting before it is answered. So a second
start knows what was posted yesterday: nothing is posted twice, and the stock that is read has it all.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hub.runtime.embedded import EmbeddedError
from hub.runtime.embedded.ports import LOOPBACK, choose_port
from hub.runtime.supervisor import Program

KIND: Final = "hesabgar"
BOOKS: Final = "books"
BRANCH: Final = "branch1"
"""The instance of the branch's own Hesabgar, and the source its documents come under."""

_LOGIN, _PASSWORD = "hub", "hub-1405"
_READY_SECONDS = 30.0
_LOOK_SECONDS = 0.02
_ACCOUNTS: Final = {
    "vat_account": "230101",
    "duty_account": "230201",
    "transfer_account": "119901",
    "expense_account": "610001",
    "freight_account": "610002",
    "receivable_account": "190001",
}
"""The simulated company's own, that the hub's configuration names."""


class SimulatedBooks(Program):
    """One simulated Hesabgar on a port of 127.0.0.1. ``directory`` keeps its books and its port; ``company`` are the
    rows it begins with. Raises EmbeddedError and OSError."""

    def __init__(self, name: str, directory: Path, company: Mapping[str, Any], log: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.port = choose_port(0, directory / "port", server=f"Hesabgar's simulator ({name})")
        self._log_file = log
        begin = directory / "company.json"
        begin.write_text(json.dumps(company, ensure_ascii=False), encoding="utf-8")
        words = [
            *("--port", str(self.port), "--database", self.database, "--login", _LOGIN, "--password", _PASSWORD),
            *("--company", str(begin), "--file", str(directory / "books.sqlite3")),
        ]
        super().__init__([sys.executable, "-P", "-m", "connectors.hesabgar.simulator", *words], {}, log)

    @property
    def database(self) -> str:
        """The name of the company's database."""
        return f"Sample_{self.name}"

    async def start(self) -> None:
        """Start it, and wait until it listens. Raises EmbeddedError and OSError."""
        await super().start()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._listens():
                    if not self.running:
                        raise EmbeddedError(f"Hesabgar's simulator ended while it was starting; see {self._log_file}.")
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            self.kill()
            raise EmbeddedError(
                f"Hesabgar's simulator didn't listen on port {self.port} within {_READY_SECONDS:.0f} seconds; "
                f"see {self._log_file}."
            ) from None

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError:
            return False
        writer.close()
        return True

    def settings(self, **more: object) -> dict[str, object]:
        """Its connector's settings."""
        return {
            "server": LOOPBACK,
            "port": self.port,
            "company": f"Sample_{self.name}",
            "login": _LOGIN,
            "password": _PASSWORD,
            "poll": "1s",
            **_ACCOUNTS,
            **more,
        }


def write_configuration(file: Path, instances: Mapping[str, Mapping[str, object]]) -> None:
    """A configuration with these Hesabgar connectors, for the connectors' role and for ``hub --config``.

    Raises OSError.
    """
    lines = ["# Written by `hub dev` at every start: its simulated Hesabgar."]
    for name, settings in instances.items():
        lines += ["", f"[connectors.{KIND}.{name}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    unfinished = file.with_name(f".{file.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as new:
        new.write("\n".join(lines) + "\n")
    unfinished.replace(file)
