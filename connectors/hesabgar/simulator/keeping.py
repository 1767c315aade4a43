"""The simulated books kept in a SQLite file, so that what was posted yesterday is known tomorrow.

The file has the rows of every table, each as JSON by its columns' names, and the counters that must never go back (row
versions, identities). It is written at every commit, before whoever committed is answered. What a process's end can't
take away is enough here, so nothing waits for the disk. Definitions (tables, views, procedures, logins) aren't kept:
they are made anew at every start, from our own scripts.
"""

import datetime as dt
import itertools
import sqlite3
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors.hesabgar.simulator.storage import Database, Row, Table
from connectors.hesabgar.simulator.types import Kind

_SCHEMA: Final = """
create table if not exists rows (
    name text not null, id integer not null, body text not null, primary key (name, id)
) without rowid;
create table if not exists counters (name text not null primary key, value integer not null) without rowid;
"""
_ROW_VERSION: Final = "row version"
_LEAP: Final = 1_000_000
"""Row versions left out at a start: those that transactions took and undid aren't kept, yet readers may have gone by
them."""
_TYPES: Final[dict[Kind, type]] = {
    **dict.fromkeys((Kind.TINYINT, Kind.SMALLINT, Kind.INT, Kind.BIGINT), int),
    **dict.fromkeys((Kind.DECIMAL, Kind.MONEY), Decimal),
    **dict.fromkeys((Kind.VARBINARY, Kind.BINARY, Kind.ROWVERSION), bytes),
    **dict.fromkeys((Kind.DATETIME, Kind.DATETIME2), dt.datetime),
    Kind.BIT: bool,
    Kind.FLOAT: float,
    Kind.DATE: dt.date,
    Kind.TIME: dt.time,
    Kind.GUID: uuid.UUID,
}


class Keeper:
    """The file of one database. Every call blocks, for as long as a few rows take."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._file.execute("pragma journal_mode = wal").close()
        self._file.execute("pragma synchronous = off").close()
        self._file.executescript(_SCHEMA).close()

    @property
    def is_new(self) -> bool:
        """Whether no books were kept yet."""
        return self._file.execute("select 1 from counters limit 1").fetchone() is None

    def restore(self, database: Database) -> None:
        """Let the tables have the rows that were kept, and no others; then keep what is changed."""
        for table in database.tables():
            self._restore(table)
            table.touched = set()
        database.forward(self._counter(_ROW_VERSION) + _LEAP)

    def keep_everything(self, database: Database) -> None:
        """Keep the whole database, which was just made, and from now on what is changed."""
        for table in database.tables():
            table.touched = set(table.rows)
        self.keep(database)

    def keep(self, database: Database) -> None:
        """Keep what was changed since the last call. Raises sqlite3.Error; nothing was kept then."""
        changed = [table for table in database.tables() if table.touched]
        self._file.execute("begin")
        try:
            for table in changed:
                name = _name(table)
                touched = table.touched or ()
                there = [(name, at, _body(table, table.rows[at])) for at in touched if at in table.rows]
                gone = [(name, at) for at in touched if at not in table.rows]
                self._file.executemany("insert or replace into rows (name, id, body) values (?, ?, ?)", there)
                self._file.executemany("delete from rows where name = ? and id = ?", gone)
                self._count(f"identity {name}", table.identity)
            self._count(_ROW_VERSION, database.last_row_version)
            self._file.execute("commit")
        except BaseException:
            if self._file.in_transaction:
                self._file.execute("rollback")
            raise
        for table in changed:
            table.touched = set()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _restore(self, table: Table) -> None:
        for row_id in list(table.rows):
            table.drop(row_id)
        for row in self._rows(table):
            table.put(row)
        table.next_row = itertools.count(max(table.rows, default=0) + 1)
        table.identity = self._counter(f"identity {_name(table)}")

    def _rows(self, table: Table) -> Iterator[Row]:
        kept = self._file.execute("select id, body from rows where name = ? order by id", (_name(table),))
        for row_id, body in kept:
            values = msgspec.json.decode(body)
            yield (
                *(_value(values.get(column.name), _TYPES.get(column.type.kind, str)) for column in table.columns),
                row_id,
            )

    def _count(self, name: str, value: int) -> None:
        self._file.execute("insert or replace into counters (name, value) values (?, ?)", (name, value))

    def _counter(self, name: str) -> int:
        found = self._file.execute("select value from counters where name = ?", (name,)).fetchone()
        return int(found[0]) if found else 0


def _name(table: Table) -> str:
    return f"{table.schema}.{table.name}".lower()


def _body(table: Table, row: Row) -> str:
    named = {column.name: value for column, value in zip(table.columns, row, strict=False) if value is not None}
    return msgspec.json.encode(named).decode()


def _value(value: Any, wanted: type) -> Any:
    return None if value is None else msgspec.convert(value, wanted, strict=False)
