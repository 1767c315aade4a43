"""What was last told of each of the books' rows, so that only what changed is told, and what vanished is noticed.

A SQLite file in the instance's own directory. It is a memory of what is in Kafka, not a source: lost, everything is
told once more, and nothing else happens.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

_SCHEMA = """
create table if not exists told (
    view text not null, key text not null, body blob not null, version integer not null, run integer not null,
    primary key (view, key)
) without rowid
"""
_FILE = "told.sqlite3"


class Seen(NamedTuple):
    """A row as it was read: its key, what is told of it, and its row version."""

    key: str
    body: bytes
    version: int


class Memory:
    """One instance's memory. Every call blocks; make it in a thread. One thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _FILE
        self._open: sqlite3.Connection | None = None

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            # What is lost with the power is told again: no need to wait for the disk.
            self._open.execute("pragma journal_mode = wal").close()
            self._open.execute("pragma synchronous = off").close()
            self._open.execute(_SCHEMA).close()
        return self._open

    def news(self, view: str, rows: Sequence[Seen], *, by_version: bool) -> list[int]:
        """The places of those rows that aren't as they were last told; ``by_version``: also if only that changed."""
        known = self.known(view, [row.key for row in rows])
        return [
            place
            for place, row in enumerate(rows)
            if (before := known.get(row.key)) is None
            or before[0] != row.body
            or (by_version and before[1] != row.version)
        ]

    def known(self, view: str, keys: Sequence[str]) -> dict[str, tuple[bytes, int]]:
        """The body and version of those of these keys that were told."""
        found: dict[str, tuple[bytes, int]] = {}
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            rows = self._connection().execute(
                f"select key, body, version from told where view = ? and key in ({marks})",  # noqa: S608
                (view, *part),
            )
            found.update((key, (body, version)) for key, body, version in rows)
        return found

    def keep(self, view: str, rows: Iterable[Seen], run: int) -> None:
        """These were told, or seen again, in this run of comparing everything."""
        connection = self._connection()
        connection.execute("begin")
        connection.executemany(
            "insert into told (view, key, body, version, run) values (?, ?, ?, ?, ?) on conflict (view, key) "
            "do update set body = excluded.body, version = excluded.version, run = excluded.run",
            [(view, row.key, row.body, row.version, run) for row in rows],
        )
        connection.execute("commit")

    def saw(self, view: str, keys: Iterable[str], run: int) -> None:
        """These are there, whatever they now are."""
        connection = self._connection()
        connection.execute("begin")
        connection.executemany("update told set run = ? where view = ? and key = ?", [(run, view, key) for key in keys])
        connection.execute("commit")

    def vanished(self, view: str, run: int) -> list[Seen]:
        """What was told before and wasn't seen in this run."""
        rows = self._connection().execute(
            "select key, body, version from told where view = ? and run <> ? order by key", (view, run)
        )
        return [Seen(*row) for row in rows]

    def forget(self, view: str, keys: Iterable[str]) -> None:
        """Their end was told."""
        connection = self._connection()
        connection.execute("begin")
        connection.executemany("delete from told where view = ? and key = ?", [(view, key) for key in keys])
        connection.execute("commit")

    def count(self, view: str) -> int:
        """How many rows of a view are known."""
        row = self._connection().execute("select count(*) from told where view = ?", (view,)).fetchone()
        return int(row[0])

    def last_run(self) -> int:
        """The number of the latest run."""
        row = self._connection().execute("select coalesce(max(run), 0) from told").fetchone()
        return int(row[0])

    def close(self) -> None:
        """Close the file."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()
