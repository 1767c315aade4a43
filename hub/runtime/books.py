"""The books of ``hub dev``: simulated Hesabgars, each in a process of its own, and the settings of their connectors.

Each keeps its books in a SQLite file in the data directory, written at every posting before it is answered. So a second
start knows what was posted yesterday: nothing is posted twice, and the stock that is read has it all.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hub.runtime.embedded.ports import LOOPBACK, choose_port
from hub.runtime.simulated import Simulated

KIND: Final = "hesabgar"
BOOKS: Final = "books"
BRANCH: Final = "branch1"
"""The instance of the branch's own Hesabgar, and the source its documents come under."""

_LOGIN, _PASSWORD = "hub", "hub-1405"
_ACCOUNTS: Final = {
    "vat_account": "230101",
    "duty_account": "230201",
    "transfer_account": "119901",
    "expense_account": "610001",
    "freight_account": "610002",
    "receivable_account": "190001",
}
"""The simulated company's own, that the hub's configuration names."""
NEW_ACCOUNTS: Final = "110101"
"""Under which accounts others made are opened."""


class SimulatedBooks(Simulated):
    """One simulated Hesabgar. ``directory`` keeps its books and its port; ``company`` are the rows it begins with.

    Raises EmbeddedError and OSError.
    """

    def __init__(self, name: str, directory: Path, company: Mapping[str, Any], log: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        title = f"Hesabgar's simulator ({name})"
        begin = directory / "company.json"
        begin.write_text(json.dumps(company, ensure_ascii=False), encoding="utf-8")
        words = [
            *("--database", self.database, "--login", _LOGIN, "--password", _PASSWORD),
            *("--company", str(begin), "--file", str(directory / "books.sqlite3")),
        ]
        port = choose_port(0, directory / "port", server=title)
        super().__init__(title, "connectors.hesabgar.simulator", port, words, log)

    @property
    def database(self) -> str:
        """The name of the company's database."""
        return f"Sample_{self.name}"

    def settings(self, **more: object) -> dict[str, object]:
        """Its connector's settings."""
        return {
            "server": LOOPBACK,
            "port": self.port,
            "company": self.database,
            "login": _LOGIN,
            "password": _PASSWORD,
            "poll": "1s",
            **_ACCOUNTS,
            **more,
        }
