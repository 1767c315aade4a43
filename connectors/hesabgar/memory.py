"""What was last told of each of the books' rows, so that only what changed is told, and what vanished is noticed.

A SQLite file in the instance's own directory, for speed. What must not be lost with it is in :class:`Records` as well:
which rows were told (:class:`Told`), and whose memory counts (:class:`Mark`). A file that is lost, that isn't the one
which was used last, or that knows of more than a restored database, begins anew with those rows, knowing nothing of
what was told of most: then that is told once more.
"""

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from connectors.base import Records
from connectors.hesabgar.contract import View

_SCHEMA = """
create table if not exists told (
    view text not null, key text not null, body blob not null, version integer not null, run integer not null,
    primary key (view, key)
) without rowid;
create table if not exists file (identity text not null);
"""
_FILE = "told.sqlite3"
_UNSURE: Final = b"?"
"""Before what was about to be told of a row for the first time. It equals nothing that is read, so it is told again."""
_BUCKET: Final = "memory"
_MARK: Final = "file"
TOGETHER: Final = 5_000
"""How many rows of :class:`Records` are asked for or changed at a time."""


class Seen(NamedTuple):
    """A row as it was read: its key, what is told of it, and its row version."""

    key: str
    body: bytes
    version: int


class News(NamedTuple):
    """The places of rows that aren't as they were last told, and of those among them of which nothing was told."""

    changed: list[int]
    new: list[int]


class Mark(NamedTuple):
    """Which file it is, and how often something was told with it. The hub's database gets it before the file does, so
    it is never behind the file, unless it was restored from a backup."""

    file: str
    turn: int = 0

    def __str__(self) -> str:
        return f"{self.file} {self.turn}" if self.turn else self.file

    def next(self) -> "Mark":
        """After one more telling."""
        return self._replace(turn=self.turn + 1)


def _mark(written: str) -> Mark:
    file, _, turn = written.partition(" ")
    return Mark(file, int(turn or 0))


class Memory:
    """One instance's memory. Every call blocks; make them all in one thread."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _FILE
        self._open: sqlite3.Connection | None = None

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open = sqlite3.connect(self._path, isolation_level=None)
            # With `normal` the power may take the last commits, which are told again, but never the whole file.
            self._open.execute("pragma journal_mode = wal").close()
            self._open.execute("pragma synchronous = normal").close()
            self._open.executescript(_SCHEMA).close()
        return self._open

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is done in it is kept, or nothing: also on a full disk, after which the next one begins cleanly."""
        connection = self._connection()
        connection.execute("begin immediate")
        try:
            yield connection
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise

    def mark(self) -> Mark | None:
        """What this file is known by; None if it is new."""
        row = self._connection().execute("select identity from file").fetchone()
        return row and _mark(row[0])

    def begin(self, rows: Iterable[tuple[str, str, bytes]]) -> Mark:
        """Forget everything but these (view, key, body), which were told once; what the file is known by now."""
        mark = Mark(uuid.uuid4().hex)
        with self._transaction() as connection:
            connection.execute("delete from told")
            connection.executemany("insert into told (view, key, body, version, run) values (?, ?, ?, -1, 0)", rows)
            connection.execute("delete from file")
            connection.execute("insert into file (identity) values (?)", (str(mark),))
        return mark

    def news(self, view: str, rows: Sequence[Seen], *, by_version: bool) -> News:
        """Which of these rows aren't as they were last told; ``by_version``: also if only that changed."""
        known = self.known(view, [row.key for row in rows])
        found = News([], [])
        for place, row in enumerate(rows):
            before = known.get(row.key)
            if before is None or before[0] != row.body or (by_version and before[1] != row.version):
                found.changed.append(place)
                if before is None:
                    found.new.append(place)
        return found

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

    def keep(self, view: str, rows: Iterable[Seen], run: int, mark: Mark) -> None:
        """These were told, or seen again, in this run of comparing everything."""
        with self._transaction() as connection:
            connection.execute("update file set identity = ?", (str(mark),))
            connection.executemany(
                "insert into told (view, key, body, version, run) values (?, ?, ?, ?, ?) on conflict (view, key) "
                "do update set body = excluded.body, version = excluded.version, run = excluded.run",
                [(view, row.key, row.body, row.version, run) for row in rows],
            )

    def saw(self, view: str, keys: Iterable[str], run: int) -> None:
        """These are there, whatever they now are."""
        marks = [(run, view, key) for key in keys]
        with self._transaction() as connection:
            connection.executemany("update told set run = ? where view = ? and key = ?", marks)

    def vanished(self, view: str, run: int) -> list[Seen]:
        """What was told before and wasn't seen in this run."""
        rows = self._connection().execute(
            "select key, body, version from told where view = ? and run <> ? order by key", (view, run)
        )
        return [Seen(key, body.removeprefix(_UNSURE), version) for key, body, version in rows]

    def bodies(self, view: str, keys: Sequence[str]) -> dict[str, bytes]:
        """What was told last of those of these keys that were told, or was about to be."""
        return {key: body.removeprefix(_UNSURE) for key, (body, _) in self.known(view, keys).items()}

    def has_any(self, view: str) -> bool:
        """Whether anything was told of a view."""
        found = self._connection().execute("select 1 from told where view = ? limit 1", (view,)).fetchone()
        return found is not None

    def forget(self, view: str, keys: Iterable[str], mark: Mark) -> None:
        """Their end was told."""
        with self._transaction() as connection:
            connection.execute("update file set identity = ?", (str(mark),))
            connection.executemany("delete from told where view = ? and key = ?", [(view, key) for key in keys])

    def last_run(self) -> int:
        """The number of the latest run."""
        row = self._connection().execute("select coalesce(max(run), 0) from told").fetchone()
        return int(row[0])

    def close(self) -> None:
        """Close the file."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()


class Told:
    """Which rows were told, wherever the connector runs. Raises Retryable.

    A row is noted before it is told the first time, and confirmed when it was told. With it is kept what was told last
    of it where that is needed to tell its end and seldom changes; of stock and finance, whose end needs only the
    key, nothing.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    async def note(self, view: View, rows: Sequence[Seen], news: News) -> None:
        """The news among these rows are about to be told."""
        new = [rows[place] for place in news.new]
        await self._put(view, {row.key: b"" if view.counted else _UNSURE + row.body for row in new})

    async def confirm(self, view: View, rows: Sequence[Seen], news: News) -> None:
        """They were told."""
        if not view.counted:
            await self._put(view, {rows[place].key: rows[place].body for place in news.changed})

    async def forget(self, view: View, keys: Iterable[str]) -> None:
        """Their end was told."""
        await self._put(view, dict.fromkeys(keys))

    async def _put(self, view: View, values: dict[str, bytes] | dict[str, None]) -> None:
        items = list(values.items())
        for start in range(0, len(items), TOGETHER):
            await self._records.put(_bucket(view), dict(items[start : start + TOGETHER]))

    async def holds(self, view: View, key: str) -> bool:
        """Whether a row was told."""
        return key in await self._records.get(_bucket(view), [key])

    async def rows(self, view: View) -> list[tuple[str, str, bytes]]:
        """All rows that were told, as (view, key, body)."""
        found: list[tuple[str, str, bytes]] = []
        after = ""
        while page := await self._records.page(_bucket(view), after, TOGETHER):
            found += [(view.name, key, body) for key, body in page]
            after = page[-1][0]
        return found

    async def last(self) -> Mark | None:
        """The mark of the file that was used last."""
        kept = (await self._records.get(_BUCKET, [_MARK])).get(_MARK)
        return _mark(kept.decode()) if kept else None

    async def set_mark(self, mark: Mark) -> None:
        """From now on this file is used."""
        await self._records.put(_BUCKET, {_MARK: str(mark).encode()})

    async def advance(self, last: Mark, mark: Mark) -> bool:
        """Set the mark; False, and nothing is changed, if the last isn't what it was believed to be."""
        old, new = str(last).encode(), str(mark).encode()
        return await self._records.replace(_BUCKET, _MARK, old, new) or await self.last() == mark


def _bucket(view: View) -> str:
    return f"told.{view.name}"
