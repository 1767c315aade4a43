"""INSERT, UPDATE, DELETE and TRUNCATE: constraints, identities, row versions, and what undoes each change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from connectors.hesabgar.simulator import nodes as n
from connectors.hesabgar.simulator.compile import Binding, Compiled, Compiler, Environment, Level, Run, Scope, converted
from connectors.hesabgar.simulator.errors import SqlError, invalid_column, undeclared
from connectors.hesabgar.simulator.query import OutputColumn, Plan, Planner
from connectors.hesabgar.simulator.storage import Column, Row, Table, Transaction, Undo
from connectors.hesabgar.simulator.types import (
    INT,
    MAX,
    SIZED,
    STRINGS,
    Kind,
    SqlType,
    converter,
)

if TYPE_CHECKING:
    from connectors.hesabgar.simulator.session import Session

Setter = Callable[[Any, Environment], Any]


def storing(source: SqlType, column: Column) -> Callable[[Any], Any] | None:
    """How a value is put into a column. Raises error 8152 rather than cut what doesn't fit."""
    to = column.type
    if to.kind not in SIZED or to.length == MAX:
        return converter(source, to)
    limit = to.length
    wide = SqlType(to.kind, length=MAX)
    change = converter(source, wide) if to.kind in (Kind.NVARCHAR, Kind.VARBINARY, Kind.VARCHAR) else None
    fit = converter(SqlType(Kind.NVARCHAR if to.kind in STRINGS else Kind.VARBINARY, length=MAX), to)

    def store(value: Any) -> Any:
        if change is not None:
            value = change(value)
        elif source.kind not in STRINGS and to.kind in STRINGS:
            value = str(value)
        if len(value) > limit:
            value = value.rstrip(" ") if isinstance(value, str) else value.rstrip(b"\0")
            if len(value) > limit:
                raise SqlError(8152, "String or binary data would be truncated.", state=4)
        return value if fit is None else fit(value)

    return store


def stored(compiled: Compiled, column: Column) -> Setter:
    """An expression as a column's value."""
    if compiled.null:
        return lambda row, env: None
    change = storing(compiled.type, column)
    run = compiled.run
    if change is None:
        return run

    def make(row: Any, env: Environment) -> Any:
        value = run(row, env)
        return None if value is None else change(value)

    return make


class Changing:
    """A session's changes to tables."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # --- INSERT -------------------------------------------------------------------------------------------------

    async def insert(self, statement: n.Insert) -> None:
        """INSERT of VALUES, of a query, or of defaults."""
        session = self._session
        work = await session.prepared(statement, lambda planner: self._plan_insert(planner, statement))
        kept, produce, output = work
        table = self._current(kept)
        await self._begin(table)
        env = session.environment()
        fresh = [self._put(table, values) for values in list(produce(env))]
        await self._end(table, fresh, [], output, len(fresh))

    async def insert_rows(self, statement: n.Insert, columns: list[OutputColumn], rows: list[Row]) -> None:
        """INSERT of the rows a procedure gave."""
        session = self._session
        table = Planner(session, session.frame.types).table(statement.table)
        session.require("insert", table.schema, table.name)
        positions = _positions(table, statement.columns)
        if rows and len(columns) != len(positions):
            raise SqlError(213, "Column name or number of supplied values does not match table definition.")
        changes = [
            None if each.untyped else storing(each.type, table.columns[at])
            for each, at in zip(columns, positions, strict=False)
        ]
        await self._begin(table)
        defaults = self._defaults(Planner(session, {}), table)
        env = session.environment()
        fresh = []
        for row in rows:
            values = [default((), env) for default in defaults]
            for at, change, value in zip(positions, changes, row, strict=True):
                values[at] = value if value is None or change is None else change(value)
            fresh.append(self._put(table, values))
        await self._end(table, fresh, [], None, len(fresh))

    def _current(self, table: Table) -> Table:
        """The table a kept plan is about: a table variable is another one in each call of its procedure."""
        if not table.name.startswith("@"):
            return table
        return self._session.find_temporary(table.name) or table

    async def _begin(self, table: Table) -> None:
        if table.name[:1] not in "#@":
            await self._session.lock_for_writing()

    async def _end(
        self, table: Table, inserted: list[Row], deleted: list[Row], output: _Returning | None, count: int
    ) -> None:
        session = self._session
        if output is not None:
            await output.give(self, inserted, deleted)
        await session.told(count)

    def _plan_insert(
        self, planner: Planner, statement: n.Insert
    ) -> tuple[Table, Callable[[Environment], Iterator[list[Any]]], _Returning | None]:
        table = planner.table(statement.table, "insert")
        _need(planner, "insert", table)
        defaults = self._defaults(planner, table)
        output = _returning(planner, statement.output, table)
        if statement.query is None:
            return table, lambda env: iter([[default((), env) for default in defaults]]), output
        positions = _positions(table, statement.columns, identity=self._identity_given(table))
        if isinstance(statement.query, n.Values):
            rows = [self._value_row(planner, table, positions, each, defaults) for each in statement.query.rows]

            def produce(env: Environment) -> Iterator[list[Any]]:
                for row in rows:
                    yield [run((), env) for run in row]

            return table, produce, output
        plan = planner.plan(statement.query)
        if len(plan.columns) != len(positions):
            raise SqlError(213, "Column name or number of supplied values does not match table definition.")
        changes = [
            None if each.untyped else storing(each.type, table.columns[at])
            for each, at in zip(plan.columns, positions, strict=True)
        ]
        return table, lambda env: self._from_query(plan, positions, changes, defaults, env), output

    def _from_query(
        self,
        plan: Plan,
        positions: list[int],
        changes: list[Callable[[Any], Any] | None],
        defaults: list[Setter],
        env: Environment,
    ) -> Iterator[list[Any]]:
        given = set(positions)
        for row in plan.rows(env):
            values = [None if at in given else default((), env) for at, default in enumerate(defaults)]
            for at, change, value in zip(positions, changes, row, strict=True):
                values[at] = value if value is None or change is None else change(value)
            yield values

    def _value_row(
        self,
        planner: Planner,
        table: Table,
        positions: list[int],
        row: tuple[n.Expression, ...],
        defaults: list[Setter],
    ) -> list[Setter]:
        if len(row) != len(positions):
            number = 109 if len(row) < len(positions) else 110
            raise SqlError(
                number,
                "There are more columns in the INSERT statement than values specified in the VALUES clause, or fewer.",
                severity=15,
            )
        level = Level()
        compiler, scope = Compiler(planner, level), Scope(level)
        runs = list(defaults)
        for at, expression in zip(positions, row, strict=True):
            if isinstance(expression, n.Call) and expression.name == "default":
                continue
            runs[at] = stored(compiler.value(expression, scope), table.columns[at])
        return runs

    def _identity_given(self, table: Table) -> bool:
        return self._session.identity_insert == table.name.lower()

    def _defaults(self, planner: Planner, table: Table) -> list[Setter]:
        level = Level()
        compiler, scope = Compiler(planner, level), Scope(level)
        found: list[Setter] = []
        for column in table.columns:
            if column.default is None:
                found.append(_nothing)
            else:
                found.append(stored(compiler.value(column.default, scope), column))
        return found

    def _put(self, table: Table, values: list[Any]) -> Row:
        """Store one row."""
        session = self._session
        for at, column in enumerate(table.columns):
            if column.identity is not None and values[at] is None:
                seed, step = column.identity
                table.identity = table.identity + step if table.identity else seed
                values[at] = table.identity
                session.frame.identity = session.last_identity = table.identity
            elif column.identity is not None:
                table.identity = max(table.identity, values[at])
        row = self._complete(table, values, next(table.next_row))
        table.refuse_duplicates(row)
        self._refuse_orphans(table, row)
        table.put(row)
        self._undoing(table, lambda: _ignore(table.drop(row[-1])))
        return row

    def _undoing(self, table: Table, undo: Undo) -> None:
        """Keep what undoes a change; a table variable's changes stay, whatever is rolled back."""
        if table.name.startswith("@"):
            return
        transaction = _transaction(self._session)
        if not table.name.startswith("#"):
            transaction.touch(table)
        transaction.undo.append(undo)

    def _complete(self, table: Table, values: list[Any], row_id: int) -> Row:
        """A row with its row version and computed columns, after NOT NULL and CHECK."""
        session = self._session
        for at, column in enumerate(table.columns):
            if column.rowversion:
                values[at] = session.database.next_row_version()
                transaction = _transaction(session)
                if transaction.first_row_version is None:
                    transaction.first_row_version = session.database.last_row_version
            elif column.computed is not None:
                values[at] = self._computed(table, at)(((*values, row_id),), session.environment())
            elif values[at] is None and not column.nullable:
                raise SqlError(
                    515,
                    f"Cannot insert the value NULL into column '{column.name}', table "
                    f"'{session.database.name}.{table.schema}.{table.name}'; column does not allow nulls.",
                    state=2,
                )
        row = (*values, row_id)
        for check in table.checks:
            if check.run is None:
                scope, compiler = table_scope(Planner(session, {}), table)
                run = compiler.condition(check.condition, scope)
                check.run = lambda row, run=run: run((row,), Environment(session, {}))
            if check.run(row) is False:
                raise SqlError(
                    547,
                    f'The statement conflicted with the CHECK constraint "{check.name}". The conflict occurred in '
                    f'database "{session.database.name}", table "{table.schema}.{table.name}".',
                    state=0,
                )
        return row

    def _computed(self, table: Table, at: int) -> Run:
        expression = table.columns[at].computed
        assert expression is not None
        scope, compiler = table_scope(Planner(self._session, {}), table)
        return compiler.value(expression, scope).run

    # --- UPDATE -------------------------------------------------------------------------------------------------

    async def update(self, statement: n.Update) -> None:
        """UPDATE, with or without FROM; a row met twice is changed once."""
        session = self._session
        work = await session.prepared(statement, lambda planner: self._plan_update(planner, statement))
        kept, place, rows, setters, limit, output = work
        table = self._current(kept)
        await self._begin(table)
        env = session.environment()
        wanted = limit((), env) if limit is not None else None
        changed: dict[int, list[Any]] = {}
        variables = session.frame.values
        for row in rows(env):
            old = row[place]
            if old[-1] in changed or old[-1] is None:
                continue
            if wanted is not None and len(changed) >= wanted:
                break
            values = list(old[:-1])
            for position, variable, run in setters:
                value = run(row, env)
                if position is not None:
                    values[position] = value
                if variable is not None:
                    variables[variable] = value
            changed[old[-1]] = values
        before, after = [], []
        for row_id, values in changed.items():
            old = table.rows[row_id]
            before.append(old)
            after.append(self._replace(table, old, values))
        await self._end(table, after, before, output, len(after))

    def _plan_update(self, planner: Planner, statement: n.Update) -> tuple[Any, ...]:
        table, place, scope, compiler, rows = planner.changing(
            statement.target, statement.source, statement.where, statement.with_, "update"
        )
        _need(planner, "update", table)
        setters: list[tuple[int | None, str | None, Setter]] = []
        for change in statement.changes:
            position = None
            if change.column is not None:
                position = table.position(change.column[-1])
                if position is None:
                    raise invalid_column(change.column[-1])
                column = table.columns[position]
                if column.rowversion or column.identity is not None or column.computed is not None:
                    raise SqlError(8102, f"Cannot update identity column '{column.name}'.")
            if isinstance(change.value, n.Call) and change.value.name == "default" and position is not None:
                setters.append((position, change.variable, self._defaults(planner, table)[position]))
                continue
            compiled = compiler.value(change.value, scope)
            if position is not None:
                setters.append((position, change.variable, stored(compiled, table.columns[position])))
            else:
                assert change.variable is not None
                kind = planner.variables.get(change.variable)
                if kind is None:
                    raise undeclared(change.variable)
                setters.append((None, change.variable, converted(compiled, kind)))
        limit = converted(compiler.value(statement.top, scope), INT) if statement.top is not None else None
        return table, place, rows, setters, limit, _returning(planner, statement.output, table)

    def _replace(self, table: Table, old: Row, values: list[Any]) -> Row:
        row = self._complete(table, values, old[-1])
        table.refuse_duplicates(row, replaced=old)
        self._refuse_orphans(table, row)
        table.drop(old[-1])
        table.put(row)

        def undo() -> None:
            table.drop(old[-1])
            table.put(old)

        self._undoing(table, undo)
        return row

    # --- DELETE -------------------------------------------------------------------------------------------------

    async def delete(self, statement: n.Delete) -> None:
        """DELETE, with or without FROM."""
        session = self._session
        work = await session.prepared(statement, lambda planner: self._plan_delete(planner, statement))
        kept, place, rows, limit, output = work
        table = self._current(kept)
        await self._begin(table)
        env = session.environment()
        wanted = limit((), env) if limit is not None else None
        gone: dict[int, Row] = {}
        for row in rows(env):
            if wanted is not None and len(gone) >= wanted:
                break
            gone[row[place][-1]] = row[place]
        for row in gone.values():
            self._remove(table, row)
        await self._end(table, [], list(gone.values()), output, len(gone))

    def _plan_delete(self, planner: Planner, statement: n.Delete) -> tuple[Any, ...]:
        table, place, scope, compiler, rows = planner.changing(
            statement.target, statement.source, statement.where, statement.with_, "delete"
        )
        _need(planner, "delete", table)
        limit = converted(compiler.value(statement.top, scope), INT) if statement.top is not None else None
        return table, place, rows, limit, _returning(planner, statement.output, table)

    def _remove(self, table: Table, row: Row) -> None:
        self._refuse_referenced(table, row)
        table.drop(row[-1])
        self._undoing(table, lambda: table.put(row))

    async def truncate(self, statement: n.Truncate) -> None:
        """TRUNCATE TABLE."""
        session = self._session
        table = Planner(session, {}).table(statement.table)
        session.require("alter", table.schema, table.name)
        await self._begin(table)
        for row in list(table.rows.values()):
            self._remove(table, row)
        table.identity = 0
        await session.told(None)

    # --- foreign keys -------------------------------------------------------------------------------------------

    def _refuse_orphans(self, table: Table, row: Row) -> None:
        for key in table.foreign_keys:
            values = [row[at] for at in key.positions]
            if None in values or _held(key.table, key.references, values):
                continue
            raise SqlError(
                547,
                f'The statement conflicted with the FOREIGN KEY constraint "{key.name}". The conflict occurred in '
                f'database "{self._session.database.name}", table "{key.table.schema}.{key.table.name}".',
                state=0,
            )

    def _refuse_referenced(self, table: Table, row: Row) -> None:
        for other in self._session.database.tables():
            for key in other.foreign_keys:
                if key.table is table and _held(other, key.positions, [row[at] for at in key.references]):
                    raise SqlError(
                        547,
                        f'The DELETE statement conflicted with the REFERENCE constraint "{key.name}". The conflict '
                        f'occurred in database "{self._session.database.name}", table "{other.schema}.{other.name}".',
                        state=0,
                    )


def _held(table: Table, positions: tuple[int, ...], values: Iterable[Any]) -> bool:
    """Whether a table has a row with these values."""
    wanted = list(values)
    for index in table.indexes:
        if set(index.positions) == set(positions):
            by_position = dict(zip(positions, wanted, strict=True))
            return index.holds(index.key(by_position[at] for at in index.positions))
    return any([row[at] for at in positions] == wanted for row in table.rows.values())


def _transaction(session: Session) -> Transaction:
    if session.transaction is None:
        session.transaction = Transaction()
    return session.transaction


def _nothing(row: Any, env: Environment) -> None:
    return None


def _ignore(value: object) -> None:
    del value


def _need(planner: Planner, permission: str, table: Table) -> None:
    if table.name[:1] not in "#@":
        planner.needs.add((permission, table.schema, table.name))


def _positions(table: Table, names: tuple[str, ...], *, identity: bool = False) -> list[int]:
    """Where the named columns are; all that can be given when none are named."""
    if not names:
        return [
            at
            for at, column in enumerate(table.columns)
            if (column.identity is None or identity) and not column.rowversion and column.computed is None
        ]
    found = []
    for name in names:
        at = table.position(name)
        if at is None:
            raise invalid_column(name)
        column = table.columns[at]
        if column.identity is not None and not identity:
            raise SqlError(
                544,
                f"Cannot insert explicit value for identity column in table '{table.name}' when IDENTITY_INSERT is set "
                "to OFF.",
            )
        if column.rowversion:
            raise SqlError(273, "Cannot insert an explicit value into a timestamp column.")
        if column.computed is not None:
            raise SqlError(271, f'The column "{column.name}" cannot be modified because it is a computed column.')
        found.append(at)
    return found


def table_scope(planner: Planner, table: Table) -> tuple[Scope, Compiler]:
    """Names of one table's columns, for CHECK and computed columns."""
    level = Level(layout={0: 0}, sources=1)
    columns = {column.name.lower(): (at, column.type) for at, column in enumerate(table.columns)}
    names = [column.name for column in table.columns]
    scope = Scope(level, bindings=[Binding(table.name, ((table.name.lower(),),), 0, columns, names)])
    return scope, Compiler(planner, level)


class _Returning:
    """An OUTPUT clause."""

    def __init__(self, columns: list[OutputColumn], runs: list[Run], table: Table | None, positions: list[int]) -> None:
        self._columns = columns
        self._runs = runs
        self._table = table
        self._positions = positions

    async def give(self, changing: Changing, inserted: list[Row], deleted: list[Row]) -> None:
        """The changed rows, to the client or into a table."""
        session = changing._session
        env = session.environment()
        size = max(len(inserted), len(deleted))
        pairs = [(inserted[at] if inserted else (), deleted[at] if deleted else ()) for at in range(size)]
        rows = [tuple(run(pair, env) for run in self._runs) for pair in pairs]
        if self._table is None:
            await session.sink.result(self._columns, iter(rows))
            return
        table = changing._current(self._table)
        defaults = changing._defaults(Planner(session, {}), table)
        changes = [
            storing(column.type, table.columns[at]) for column, at in zip(self._columns, self._positions, strict=True)
        ]
        for row in rows:
            values = [default((), env) for default in defaults]
            for at, change, value in zip(self._positions, changes, row, strict=True):
                values[at] = value if value is None or change is None else change(value)
            changing._put(table, values)


def _returning(planner: Planner, output: n.Output | None, table: Table) -> _Returning | None:
    if output is None:
        return None
    level = Level(layout={0: 0, 1: 1}, sources=2)
    columns = {column.name.lower(): (at, column.type) for at, column in enumerate(table.columns)}
    names = [column.name for column in table.columns]
    scope = Scope(
        level,
        bindings=[Binding(word, ((word,),), at, columns, names) for at, word in enumerate(("inserted", "deleted"))],
    )
    compiler = Compiler(planner, level)
    items: list[n.Item] = []
    for item in output.items:
        if isinstance(item.expression, n.Star):
            qualifier = item.expression.qualifier
            items.extend(n.Item(n.Column((*qualifier, name)), name) for name in names)
        else:
            items.append(item)
    compiled = [compiler.value(item.expression, scope) for item in items]
    result = [
        OutputColumn(
            item.alias or (item.expression.name[-1] if isinstance(item.expression, n.Column) else ""), each.type
        )
        for item, each in zip(items, compiled, strict=True)
    ]
    target, positions = None, []
    if output.into is not None:
        target = planner.table(output.into)
        positions = _positions(target, output.columns)
    return _Returning(result, [each.run for each in compiled], target, positions)
