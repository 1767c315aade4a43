"""The file that keeps the shop from one start to the next: every object as it is changed, in SQLite."""

import json
import sqlite3
from pathlib import Path
from typing import Any

Doc = dict[str, Any]
"""One object as the REST API writes it, but for what is worked out when it is asked for; names beginning with "_" are
the shop's own."""


class Keeper:
    """Objects by kind and id. Without a file they are kept nowhere."""

    def __init__(self, file: Path | None) -> None:
        """Raises sqlite3.Error."""
        self._connection = sqlite3.connect(file, isolation_level=None) if file else None
        if self._connection:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = OFF")  # what the power takes with it isn't missed
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS objects"
                " (kind TEXT, id INTEGER, doc TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID"
            )

    def load(self) -> list[tuple[str, int, Doc]]:
        """Everything that was kept."""
        if not self._connection:
            return []
        rows = self._connection.execute("SELECT kind, id, doc FROM objects ORDER BY kind, id")
        return [(kind, number, json.loads(doc)) for kind, number, doc in rows]

    def keep(self, kind: str, number: int, doc: Doc) -> None:
        """Keep an object as it now is."""
        if self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", (kind, number, json.dumps(doc, ensure_ascii=False))
            )

    def forget(self, kind: str, number: int) -> None:
        """It was deleted."""
        if self._connection:
            self._connection.execute("DELETE FROM objects WHERE kind = ? AND id = ?", (kind, number))

    def close(self) -> None:
        """End it; everything is on disk already."""
        if self._connection:
            self._connection.close()
            self._connection = None
