"""The simulated server's memory: tables, indexes, views, procedures, principals and rights of one database.

A stored row is a tuple of its columns with the row's id last. Every change leaves what undoes it in the transaction.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from connectors.hesabgar.simulator import nodes as n
from connectors.hesabgar.simulator.errors import SqlError
from connectors.hesabgar.simulator.types import BINARIES, STRINGS, SqlType

Row = tuple[Any, ...]
Undo = Callable[[], None]


def text_key(value: str) -> str:
    """How a string compares: without case, and without the blanks at its end."""
    return value.rstrip(" ").casefold()


def key_function(kind: SqlType) -> Callable[[Any], Any] | None:
    """What makes two equal values of a type hash alike; None when they do already."""
    if kind.kind in STRINGS:
        return text_key
    if kind.kind in BINARIES:
        return _binary_key
    return None


def _binary_key(value: bytes) -> bytes:
    return value.rstrip(b"\0")


@dataclass(slots=True)
class Column:
    """A table's or a view's column."""

    name: str
    type: SqlType
    nullable: bool = True
    identity: tuple[int, int] | None = None
    default: n.Expression | None = None
    default_text: str = ""
    computed: n.Expression | None = None
    rowversion: bool = False


class Index:
    """Rows by the values of some columns. A unique index of one refuses a second row with error 2627 or 2601."""

    def __init__(self, name: str, kind: str, positions: tuple[int, ...], columns: list[Column]) -> None:
        self.name = name
        self.kind = kind
        """primary, unique (constraints), unique index, index; prefix: the first column of one of those."""
        self.positions = positions
        self._keys = tuple(key_function(columns[at].type) for at in positions)
        self._rows: dict[Any, dict[int, None]] = {}

    @property
    def unique(self) -> bool:
        return self.kind not in ("index", "prefix")

    def key(self, values: Iterable[Any]) -> Row:
        """The values as they are compared."""
        return tuple(
            value if value is None or make is None else make(value)
            for value, make in zip(values, self._keys, strict=True)
        )

    def key_of(self, row: Row) -> Row:
        return self.key(row[at] for at in self.positions)

    def find(self, key: Row) -> Iterable[int]:
        """The ids of the rows with this key."""
        return tuple(self._rows.get(key, ()))

    def find_one(self, value: Any) -> Iterable[int]:
        """The same, for an index of one column and a value that isn't NULL."""
        make = self._keys[0]
        return tuple(self._rows.get((value if make is None else make(value),), ()))

    def holds(self, key: Row) -> bool:
        return key in self._rows

    def add(self, row: Row) -> None:
        self._rows.setdefault(self.key_of(row), {})[row[-1]] = None

    def remove(self, row: Row) -> None:
        key = self.key_of(row)
        found = self._rows[key]
        del found[row[-1]]
        if not found:
            del self._rows[key]


@dataclass(slots=True)
class Check:
    """A CHECK constraint, compiled on first use."""

    name: str
    condition: n.Expression
    text: str
    run: Callable[[Row], bool | None] | None = None


@dataclass(slots=True)
class ForeignKey:
    """Positions here refer to those columns there."""

    name: str
    positions: tuple[int, ...]
    table: Table
    references: tuple[int, ...]


class Table:
    """One table."""

    def __init__(self, schema: str, name: str, columns: list[Column], object_id: int, created: dt.datetime) -> None:
        self.schema = schema
        self.name = name
        self.columns = columns
        self.object_id = object_id
        self.created = created
        self.rows: dict[int, Row] = {}
        self.indexes: list[Index] = []
        self.checks: list[Check] = []
        self.foreign_keys: list[ForeignKey] = []
        self.next_row = itertools.count(1)
        self.identity = 0
        self.dirty_by: object | None = None
        """The transaction that has changed it and isn't over."""
        self.touched: set[int] | None = None
        """The rows put or dropped since they were last kept in a file; None if they aren't kept."""

    @property
    def listed_indexes(self) -> list[Index]:
        """The indexes that somebody made."""
        return [index for index in self.indexes if index.kind != "prefix"]

    def position(self, name: str) -> int | None:
        """Where a column is."""
        wanted = name.lower()
        for at, column in enumerate(self.columns):
            if column.name.lower() == wanted:
                return at
        return None

    def put(self, row: Row) -> None:
        self.rows[row[-1]] = row
        if self.touched is not None:
            self.touched.add(row[-1])
        for index in self.indexes:
            index.add(row)

    def drop(self, row_id: int) -> Row:
        row = self.rows.pop(row_id)
        if self.touched is not None:
            self.touched.add(row_id)
        for index in self.indexes:
            index.remove(row)
        return row

    def refuse_duplicates(self, row: Row, replaced: Row | None = None) -> None:
        """Raise error 2627 (constraint) or 2601 (index) if another row has the same key."""
        for index in self.indexes:
            if not index.unique:
                continue
            key = index.key_of(row)
            if not index.holds(key) or (replaced is not None and index.key_of(replaced) == key):
                continue
            raise self._duplicate(index, row)

    def _duplicate(self, index: Index, row: Row) -> SqlError:
        values = ", ".join("<NULL>" if row[at] is None else str(row[at]) for at in index.positions)
        where = f"object '{self.schema}.{self.name}'"
        if index.kind == "unique index":
            return SqlError(
                2601,
                f"Cannot insert duplicate key row in {where} with unique index '{index.name}'. "
                f"The duplicate key value is ({values}).",
                severity=14,
            )
        kind = "PRIMARY KEY" if index.kind == "primary" else "UNIQUE KEY"
        return SqlError(
            2627,
            f"Violation of {kind} constraint '{index.name}'. Cannot insert duplicate key in {where}. "
            f"The duplicate key value is ({values}).",
            severity=14,
        )


@dataclass(slots=True)
class View:
    """A view, by its query; ``columns`` are found out when it is made or first asked."""

    schema: str
    name: str
    query: n.Query
    names: tuple[str, ...]
    text: str
    object_id: int
    created: dt.datetime
    modified: dt.datetime
    columns: list[Column] = field(default_factory=list)


@dataclass(slots=True)
class Procedure:
    """A stored procedure. ``variables`` are its parameters' and its own."""

    schema: str
    name: str
    definition: n.DefineProcedure
    variables: dict[str, SqlType]
    text: str
    object_id: int
    created: dt.datetime
    modified: dt.datetime
    quoted_identifiers: bool = True

    @property
    def as_owner(self) -> bool:
        return self.definition.execute_as in ("owner", "dbo")


@dataclass(slots=True)
class Principal:
    """A database user or role."""

    name: str
    kind: str
    """user, role."""
    principal_id: int
    login: str = ""
    roles: set[str] = field(default_factory=set)


Object = Table | View | Procedure

FIXED_ROLES = ("db_owner", "db_datareader", "db_datawriter", "public")


class Database:
    """One company's database."""

    def __init__(self, name: str, clock: Callable[[], dt.datetime]) -> None:
        self.name = name
        self.clock = clock
        self.schemas: dict[str, str] = {each: each for each in ("dbo", "sys", "information_schema", "guest")}
        self.objects: dict[tuple[str, str], Object] = {}
        self.principals: dict[str, Principal] = {}
        self.grants: dict[tuple[str, str, str], str] = {}
        """(principal, permission, "object:schema.name" | "schema:name" | "database") → grant or deny."""
        self.version = 0
        """Counts changes of the catalogue: what was compiled before is compiled again."""
        self._ids = itertools.count(245_575_913, 16_000_057)
        self._row_version = 2_000
        for principal_id, role in enumerate(FIXED_ROLES, start=16_384):
            self.principals[role] = Principal(role, "role", principal_id)
        self.principals["dbo"] = Principal("dbo", "user", 1, login="sa", roles={"db_owner"})

    def new_id(self) -> int:
        """An object id nobody has."""
        return next(self._ids)

    def next_row_version(self) -> bytes:
        """The next rowversion; it never goes back, whatever is rolled back."""
        self._row_version += 1
        return self._row_version.to_bytes(8, "big")

    def forward(self, row_version: int) -> None:
        """Go on counting row versions behind this one."""
        self._row_version = max(self._row_version, row_version)

    @property
    def last_row_version(self) -> int:
        return self._row_version

    def find(self, schema: str, name: str) -> Object | None:
        return self.objects.get((schema.lower(), name.lower()))

    def tables(self) -> Iterator[Table]:
        return (each for each in self.objects.values() if isinstance(each, Table))

    def by_id(self, object_id: int) -> Object | None:
        return next((each for each in self.objects.values() if each.object_id == object_id), None)

    def add(self, item: Object) -> Undo:
        """Put an object into the catalogue."""
        key = (item.schema.lower(), item.name.lower())
        before = self.objects.get(key)
        self.objects[key] = item
        self.version += 1

        def undo() -> None:
            if before is None:
                self.objects.pop(key, None)
            else:
                self.objects[key] = before
            self.version += 1

        return undo

    def remove(self, item: Object) -> Undo:
        """Take an object and the rights on it out of the catalogue."""
        key = (item.schema.lower(), item.name.lower())
        del self.objects[key]
        securable = f"object:{key[0]}.{key[1]}"
        lost = {grant: action for grant, action in self.grants.items() if grant[2] == securable}
        for grant in lost:
            del self.grants[grant]
        self.version += 1

        def undo() -> None:
            self.objects[key] = item
            self.grants.update(lost)
            self.version += 1

        return undo

    def roles_of(self, user: str) -> set[str]:
        """A user's roles, roles of roles too, and public."""
        found = {"public"}
        waiting = [user.lower()]
        while waiting:
            principal = self.principals.get(waiting.pop())
            for role in principal.roles if principal else ():
                if role not in found:
                    found.add(role)
                    waiting.append(role)
        return found

    def allows(self, user: str, permission: str, schema: str, name: str) -> bool:
        """Whether a user may do something with an object: a denial anywhere wins over every grant."""
        roles = self.roles_of(user)
        if "db_owner" in roles:
            return True
        securables = (f"object:{schema.lower()}.{name.lower()}", f"schema:{schema.lower()}", "database")
        found = {
            self.grants.get((who, what, securable))
            for who in (user.lower(), *roles)
            for what in (permission, "control")
            for securable in securables
        }
        if "deny" in found:
            return False
        if "grant" in found:
            return True
        if permission == "select" and "db_datareader" in roles:
            return True
        return permission in ("insert", "update", "delete") and "db_datawriter" in roles

    def visible(self, user: str, schema: str, name: str) -> bool:
        """Whether a user sees an object in the catalogue views: with any right on it, or VIEW DEFINITION."""
        return any(
            self.allows(user, permission, schema, name)
            for permission in ("select", "insert", "update", "delete", "execute", "view definition", "references")
        )


class Transaction:
    """What has to be undone if it doesn't end well, and which tables others must wait for."""

    def __init__(self) -> None:
        self.undo: list[Undo] = []
        self.dirty: set[Table] = set()
        self.savepoints: dict[str, int] = {}
        self.doomed = False
        self.first_row_version: int | None = None

    def touch(self, table: Table) -> None:
        """Remember that a table was changed."""
        table.dirty_by = self
        self.dirty.add(table)

    def rewind(self, length: int = 0) -> None:
        """Undo everything after the first ``length`` changes, last first."""
        while len(self.undo) > length:
            self.undo.pop()()

    def finish(self) -> None:
        """Let go of the tables."""
        for table in self.dirty:
            table.dirty_by = None
        self.dirty.clear()
        self.undo.clear()
