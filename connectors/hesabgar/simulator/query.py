"""Queries as plans: what is read in which order, by index, hash or loop, and what comes out with which types."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from connectors.hesabgar.simulator import nodes as n
from connectors.hesabgar.simulator import xmlpath
from connectors.hesabgar.simulator.compile import (
    AGGREGATES,
    Binding,
    Compiled,
    Compiler,
    Environment,
    Level,
    Run,
    Scope,
    converted,
    element_of,
    refuse_without_quoted_identifiers,
    truth,
)
from connectors.hesabgar.simulator.errors import SqlError, invalid_object
from connectors.hesabgar.simulator.storage import Index, Row, Table, View, key_function
from connectors.hesabgar.simulator.types import (
    BIGINT,
    CONTEXT,
    FLOAT,
    INT,
    INTEGERS,
    NUMBERS,
    STRINGS,
    XML,
    Kind,
    SqlType,
    common,
    converter,
    decimal_type,
    fit_decimal,
    fit_integer,
)

if TYPE_CHECKING:
    from connectors.hesabgar.simulator.session import Session

Rows = Callable[[Environment], Iterator[Any]]
Condition = tuple[n.Expression, Scope]

_LATERAL: Final = ("cross apply", "outer apply")
_WRITE_HINTS: Final = frozenset({"updlock", "xlock", "holdlock", "serializable", "tablockx"})
_DIRTY_HINTS: Final = frozenset({"nolock", "readuncommitted", "readpast"})
_GUESS: Final = 1_000
"""Rows a table is taken to have when a plan is made: plans are kept while tables grow."""


@dataclass(slots=True, frozen=True)
class OutputColumn:
    """A column that comes out."""

    name: str
    type: SqlType
    nullable: bool = True
    variable: str | None = None
    untyped: bool = False
    """Nothing but NULL, which takes the type of whatever it meets."""


@dataclass(slots=True)
class Plan:
    """A query that is ready to run."""

    columns: list[OutputColumn]
    rows: Rows
    correlated: bool = False


@dataclass(slots=True)
class _Leaf:
    source: int
    table: Table | None = None
    rows: Rows | None = None
    lateral: bool = False
    size: int = _GUESS


@dataclass(slots=True)
class _Join:
    kind: str
    left: _Tree
    right: _Tree
    conditions: list[Condition]


_Tree = _Leaf | _Join


@dataclass(slots=True)
class _Operator:
    """Rows with a layout. ``leaf`` and its filters are kept so that a join may go through an index instead."""

    layout: list[int]
    rows: Rows
    leaf: _Leaf | None = None
    filters: list[Run] = field(default_factory=list)
    size: int = _GUESS
    indexed: bool = False


class _Everything(Exception):
    """A condition holds a query, so it is tested last."""


def conjuncts(expression: n.Expression | None) -> Iterator[n.Expression]:
    """The parts of a condition that all must hold."""
    if expression is None:
        return
    if isinstance(expression, n.Logical) and expression.operator == "and":
        for operand in expression.operands:
            yield from conjuncts(operand)
    else:
        yield expression


def walk(node: Any) -> Iterator[Any]:
    """An expression and everything in it, except queries."""
    if isinstance(node, tuple):
        for each in node:
            yield from walk(each)
    elif isinstance(node, n.Select | n.SetOperation | n.Values | n.With):
        return
    elif dataclasses.is_dataclass(node) and not isinstance(node, SqlType | type):
        yield node
        for name in node.__dataclass_fields__:
            yield from walk(getattr(node, name))


def _is_aggregate(node: Any) -> bool:
    return isinstance(node, n.Call) and node.over is None and node.name in AGGREGATES


class Planner:
    """Plans one statement's queries. Collects what it reads, for the locks and the rights."""

    def __init__(self, session: Session, variables: dict[str, SqlType]) -> None:
        self.session = session
        self.variables = variables
        self.tables: set[Table] = set()
        self.needs: set[tuple[str, str, str]] = set()
        self.writes = False
        self.volatile = False
        """Whether it looks at temporary tables, so that the plan can't be kept; table variables never change shape."""
        self._inside_view = 0

    # --- entry points -------------------------------------------------------------------------------------------

    def plan(self, query: n.Query) -> Plan:
        """A statement's own query."""
        return self._query(query, None, None)

    def nested(self, query: n.Query, scope: Scope, level: Level) -> Plan:
        """A query within an expression of that level."""
        return self._query(query, scope, level)

    def changing(
        self,
        target: n.Name,
        source: n.Source | None,
        where: n.Expression | None,
        tables: tuple[tuple[str, tuple[str, ...], n.Query], ...],
        permission: str,
    ) -> tuple[Table, int, Scope, Compiler, Rows]:
        """The rows an UPDATE or DELETE is about: the table, its place in a row, and the scope of its expressions."""
        level = Level()
        scope = Scope(level)
        self._remember(scope, tables)
        name = target
        if source is None:
            source = n.TableSource(target, target[-1])
        else:
            found = self._find_target(source, target)
            if found is None:
                table = self.table(target, permission)
                source = n.Join("cross", n.TableSource(target, target[-1]), source, None)
                name = (table.name,)
            else:
                name = (found.alias,)
                target = found.name
        table = self.table(target, permission)
        fixed = _has_lateral(source)
        tree = self._bind(source, scope, level, mergeable=not fixed)
        wanted = name[-1].lower()
        binding = next((each for each in scope.bindings if each.alias.lower() == wanted), None)
        if binding is None:
            raise invalid_object(".".join(target))
        operator = self._build(tree, [(each, scope) for each in conjuncts(where)], level, fixed)
        self._settle(level, operator.layout)
        return table, level.layout[binding.source], scope, Compiler(self, level), operator.rows

    def _find_target(self, source: n.Source, target: n.Name) -> n.TableSource | None:
        match source:
            case n.TableSource(name=name, alias=alias):
                if len(target) == 1 and alias.lower() == target[0].lower():
                    return source
                if alias == name[-1] and name[-1].lower() == target[-1].lower():
                    return source
                return None
            case n.Join(left=left, right=right):
                return self._find_target(left, target) or self._find_target(right, target)
            case _:
                return None

    def table(self, name: n.Name, permission: str = "") -> Table:
        """A base table, a temporary one or a table variable, for a change that needs a permission. Raises error 208."""
        if len(name) == 1 and name[0][:1] in "#@":
            self.volatile = self.volatile or name[0].startswith("#")
            found = self.session.find_temporary(name[0])
            if found is None:
                raise invalid_object(name[0])
            return found
        item = self.session.find_object(name)
        if isinstance(item, View) and permission:
            self.session.require(permission, item.schema, item.name)
            raise SqlError(
                4403, f"Cannot update the view or function '{item.name}': the simulator changes tables only."
            )
        if not isinstance(item, Table):
            raise invalid_object(".".join(name))
        return item

    # --- queries ------------------------------------------------------------------------------------------------

    def _remember(self, scope: Scope, tables: tuple[tuple[str, tuple[str, ...], n.Query], ...]) -> None:
        for name, columns, query in tables:
            earlier = Scope(scope.level, scope.parent, [], dict(scope.common_tables))
            scope.common_tables[name.lower()] = (columns, query, earlier)

    def _query(self, query: n.Query, parent: Scope | None, level: Level | None) -> Plan:
        match query:
            case n.With(tables=tables, query=inner):
                scope = Scope(level if level is not None else Level(), parent)
                self._remember(scope, tables)
                return self._query(inner, scope, level)
            case n.Values(rows=rows):
                return self._values(rows, parent, level)
            case n.SetOperation():
                return self._set_operation(query, parent, level)
            case _:
                return self._select(query, parent, level)

    def _values(self, rows: tuple[tuple[n.Expression, ...], ...], parent: Scope | None, level: Level | None) -> Plan:
        own = Level(level)
        compiler = Compiler(self, own)
        scope = Scope(own, parent)
        compiled = [[compiler.value(each, scope) for each in row] for row in rows]
        if len({len(row) for row in compiled}) != 1:
            raise SqlError(10709, "The number of columns for each row in a table value constructor must be the same.")
        columns, makes = [], []
        for column in zip(*compiled, strict=True):
            kinds = [each.type for each in column if not each.null]
            kind = functools.reduce(common, kinds) if kinds else INT
            columns.append(OutputColumn("", kind, any(each.nullable for each in column), untyped=not kinds))
            makes.append([converted(each, kind) for each in column])
        by_row = list(zip(*makes, strict=True))

        def produce(env: Environment) -> Iterator[Row]:
            for row in by_row:
                yield tuple(run((), env) for run in row)

        return Plan(columns, produce, own.correlated)

    def _set_operation(self, query: n.SetOperation, parent: Scope | None, level: Level | None) -> Plan:
        parts = [self._query(each, parent, level) for each in _operands(query)]
        columns = parts[0].columns
        for part in parts[1:]:
            if len(part.columns) != len(columns):
                raise SqlError(
                    205,
                    "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of "
                    "expressions in their target lists.",
                )
            columns = [_met(one, two) for one, two in zip(columns, part.columns, strict=True)]
        produce = _combined(query.operator, [_recast(part, columns) for part in parts], columns)
        rows = produce
        if query.order:
            sort = self._sorting_outputs(query.order, columns)
            rows = lambda env: iter(sort(list(produce(env))))  # noqa: E731
        plan = Plan(columns, rows, any(part.correlated for part in parts))
        return self._limited(plan, None, query.offset, query.fetch, parent, level)

    def _sorting_outputs(
        self, order: tuple[n.Order, ...], columns: list[OutputColumn]
    ) -> Callable[[list[Row]], list[Row]]:
        keys: list[tuple[int, bool, Any]] = []
        for each in order:
            at = _ordinal(each.expression, columns)
            if at is None:
                raise SqlError(
                    104, "ORDER BY items must appear in the select list if the statement contains a UNION operator."
                )
            keys.append((at, each.descending, key_function(columns[at].type)))

        def sort(rows: list[Row]) -> list[Row]:
            for at, descending, key in reversed(keys):
                rows.sort(key=_sort_key(lambda row, at=at: row[at], key), reverse=descending)  # type: ignore[misc]
            return rows

        return sort

    def _limited(
        self,
        plan: Plan,
        top: n.Expression | None,
        offset: n.Expression | None,
        fetch: n.Expression | None,
        parent: Scope | None,
        level: Level | None,
    ) -> Plan:
        if top is None and offset is None:
            return plan
        own = Level(level)
        compiler = Compiler(self, own)
        scope = Scope(own, parent)
        count = top if top is not None else fetch
        limit = converted(compiler.value(count, scope), BIGINT) if count is not None else None
        skip = converted(compiler.value(offset, scope), BIGINT) if offset is not None else None
        rows = plan.rows

        def produce(env: Environment) -> Iterator[Row]:
            start = skip((), env) if skip is not None else 0
            stop = start + limit((), env) if limit is not None else None
            return itertools.islice(rows(env), start, stop)

        return Plan(plan.columns, produce, plan.correlated or own.correlated)

    def _select(self, query: n.Select, parent: Scope | None, outer: Level | None) -> Plan:
        level = Level(outer)
        scope = Scope(level, parent)
        if query.top_percent:
            raise SqlError(102, "Incorrect syntax near 'PERCENT'.", severity=15)
        operator = self._from(query, scope, level)
        self._settle(level, operator.layout)
        items = self._expanded(query.items, scope)
        order = query.order
        plain = Compiler(self, level)
        rows = operator.rows
        calls = [*(item.expression for item in items), query.having, *(each.expression for each in order)]
        if query.group or query.having is not None or any(_is_aggregate(each) for each in walk(tuple(calls))):
            rows = self._grouped(query, tuple(calls), scope, plain, rows)
            compiler = Compiler(self, level, grouped=True)
            if query.having is not None:
                rows = _filtered(rows, [truth(compiler.condition(query.having, scope))])
        else:
            compiler = plain
            windows = [each for each in walk(tuple(calls)) if isinstance(each, n.Call) and each.over is not None]
            if windows:
                rows = self._windowed(windows, scope, plain, rows)
        compiled = [compiler.value(item.expression, scope) for item in items]
        columns = [
            OutputColumn(item.alias or _own_name(item.expression), each.type, each.nullable, item.variable, each.null)
            for item, each in zip(items, compiled, strict=True)
        ]
        plan = self._projected(query, columns, [each.run for each in compiled], rows, scope, compiler)
        plan.correlated = level.correlated
        return self._limited(plan, query.top, query.offset, query.fetch, parent, outer)

    def _projected(
        self,
        query: n.Select,
        columns: list[OutputColumn],
        runs: list[Run],
        rows: Rows,
        scope: Scope,
        compiler: Compiler,
    ) -> Plan:
        project = _projection(runs)
        key = _row_key([column.type for column in columns])
        if not query.order:

            def stream(env: Environment) -> Iterator[Row]:
                found = (project(row, env) for row in rows(env))
                return _distinct(found, key) if query.distinct else found

            return Plan(columns, stream)
        sorts: list[tuple[Callable[[tuple[Row, Row], Environment], Any], bool, Any]] = []
        for each in query.order:
            at = _ordinal(each.expression, columns)
            if at is not None:
                sorts.append((_picking(at), each.descending, key_function(columns[at].type)))
            elif query.distinct:
                raise SqlError(145, "ORDER BY items must appear in the select list if SELECT DISTINCT is specified.")
            else:
                value = compiler.value(each.expression, scope)
                sorts.append((_running(value.run), each.descending, key_function(value.type)))

        def ordered(env: Environment) -> Iterator[Row]:
            pairs = [(row, project(row, env)) for row in rows(env)]
            if query.distinct:
                seen: set[Any] = set()
                pairs = [pair for pair in pairs if (k := key(pair[1])) not in seen and not seen.add(k)]  # type: ignore[func-returns-value]
            for pick, descending, make in reversed(sorts):
                pairs.sort(key=_sort_key(lambda pair, pick=pick: pick(pair, env), make), reverse=descending)  # type: ignore[misc]
            return (out for _, out in pairs)

        return Plan(columns, ordered)

    def _expanded(self, items: tuple[n.Item, ...], scope: Scope) -> list[n.Item]:
        found: list[n.Item] = []
        for item in items:
            if not isinstance(item.expression, n.Star):
                found.append(item)
                continue
            qualifier = tuple(part.lower() for part in item.expression.qualifier)
            matched = [each for each in scope.bindings if not qualifier or qualifier in each.qualifiers]
            if not matched:
                raise SqlError(107, f"The column prefix '{'.'.join(qualifier)}' does not match with a table name.")
            found.extend(n.Item(n.Column((binding.alias, name)), name) for binding in matched for name in binding.names)
        return found

    # --- FROM ---------------------------------------------------------------------------------------------------

    def _from(self, query: n.Select, scope: Scope, level: Level) -> _Operator:
        conditions = [(each, scope) for each in conjuncts(query.where)]
        if query.source is None:
            operator = _Operator([], lambda env: iter(((),)))
            self._settle(level, [])
            compiler = Compiler(self, level)
            filters = [truth(compiler.condition(each, scope)) for each, _ in conditions]
            return _Operator([], _filtered(operator.rows, filters))
        fixed = _has_lateral(query.source)
        tree = self._bind(query.source, scope, level, mergeable=not fixed)
        return self._build(tree, conditions, level, fixed)

    def _settle(self, level: Level, layout: list[int]) -> None:
        level.layout = {source: at for at, source in enumerate(layout)}

    def _bind(self, source: n.Source, scope: Scope, level: Level, *, mergeable: bool) -> _Tree:
        match source:
            case n.TableSource():
                return self._bind_table(source, scope, level, mergeable)
            case n.DerivedSource(query=query, alias=alias, columns=names):
                return self._bind_query(query, names, alias, (), scope, level, mergeable)
            case n.NodesSource():
                return self._bind_nodes(source, scope, level, lateral=False)
            case n.Join():
                return self._bind_join(source, scope, level, mergeable)

    def _bind_join(self, source: n.Join, scope: Scope, level: Level, mergeable: bool) -> _Tree:
        kind, left, right = source.kind, source.left, source.right
        if kind == "right":
            kind, left, right = "left", right, left
        outer = kind in ("left", "full")
        one = self._bind(left, scope, level, mergeable=mergeable and kind != "full")
        if kind in _LATERAL:
            self._settle(level, list(range(level.sources)))
            two = self._bind_lateral(right, scope, level)
        elif isinstance(right, n.NodesSource) and isinstance(right.target, n.Column):
            raise SqlError(4104, f'The multi-part identifier "{".".join(right.target.name)}" could not be bound.')
        else:
            two = self._bind(right, scope, level, mergeable=mergeable and not outer)
        return _Join(kind, one, two, [(each, scope) for each in conjuncts(source.on)])

    def _bind_lateral(self, source: n.Source, scope: Scope, level: Level) -> _Tree:
        if isinstance(source, n.NodesSource):
            return self._bind_nodes(source, scope, level, lateral=True)
        if isinstance(source, n.DerivedSource):
            plan = self._query(source.query, scope, level)
            return self._leaf(plan, source.columns, source.alias, (), scope, lateral=True)
        if isinstance(source, n.TableSource):
            return self._bind_table(source, scope, level, mergeable=False)
        raise SqlError(102, "Incorrect syntax near 'APPLY'.", severity=15)

    def _bind_nodes(self, source: n.NodesSource, scope: Scope, level: Level, *, lateral: bool) -> _Tree:
        own = Level(level) if lateral else level
        compiler = Compiler(self, own)
        target = compiler.value(source.target, scope)
        if target.type.kind is not Kind.XML:
            raise SqlError(258, f"Cannot call methods on {target.type}.")
        refuse_without_quoted_identifiers(self.session)
        find = element_of(target.run)
        path = source.path

        def rows(env: Environment) -> Iterator[Row]:
            at = find((), env)
            return iter(()) if at is None else ((each,) for each in xmlpath.nodes(at, path))

        number = scope.level.take()
        column = source.column.lower()
        scope.bindings.append(
            Binding(source.alias, ((source.alias.lower(),), ()), number, {column: (0, XML)}, [source.column])
        )
        return _Leaf(number, rows=rows, lateral=lateral, size=10)

    def _bind_table(self, source: n.TableSource, scope: Scope, level: Level, mergeable: bool) -> _Tree:
        name = source.name
        if len(name) == 1:
            table = _common_table(scope, name[0])
            if table is not None:
                names, query, inner = table
                plan = self._query(query, inner, level.parent)
                return self._leaf(plan, names, source.alias, (), scope)
        if name[-1][:1] in "#@":
            found = self.table(name)
            return self._table_leaf(found, source, scope)
        item = self.session.find_object(name)
        if item is None:
            virtual = self.session.virtual(name)
            if virtual is None:
                raise invalid_object(".".join(name))
            columns, rows = virtual
            plan = Plan([OutputColumn(each.name, each.type, each.nullable) for each in columns], rows)
            qualifiers = ((name[-2].lower(), name[-1].lower()),) if len(name) > 1 else ()
            return self._leaf(plan, (), source.alias, qualifiers, scope)
        if not self._inside_view:
            self.needs.add(("select", item.schema, item.name))
        if isinstance(item, Table):
            if not source.hints & _DIRTY_HINTS:
                self.tables.add(item)
            self.writes = self.writes or bool(source.hints & _WRITE_HINTS)
            return self._table_leaf(item, source, scope)
        if isinstance(item, View):
            self._inside_view += 1
            try:
                qualifiers = ((item.schema.lower(), item.name.lower()),)
                return self._bind_query(
                    item.query, item.names, source.alias, qualifiers, scope, level, mergeable, isolated=True
                )
            finally:
                self._inside_view -= 1
        raise invalid_object(".".join(name))

    def _table_leaf(self, table: Table, source: n.TableSource, scope: Scope) -> _Leaf:
        number = scope.level.take()
        columns = {each.name.lower(): (at, each.type) for at, each in enumerate(table.columns)}
        alias = source.alias.lower()
        qualifiers: tuple[n.Name, ...] = ((alias,),)
        if source.alias == source.name[-1]:
            qualifiers = (*qualifiers, (table.schema.lower(), table.name.lower()))
        scope.bindings.append(Binding(source.alias, qualifiers, number, columns, [each.name for each in table.columns]))
        if table.name.startswith("@"):
            return _Leaf(number, rows=_variable_rows(table.name), size=10)
        return _Leaf(number, table, size=10 if table.name.startswith("#") else max(len(table.rows), _GUESS))

    def _bind_query(
        self,
        query: n.Query,
        names: tuple[str, ...],
        alias: str,
        qualifiers: tuple[n.Name, ...],
        scope: Scope,
        level: Level,
        mergeable: bool,
        *,
        isolated: bool = False,
    ) -> _Tree:
        inner = Scope(level) if isolated else Scope(level, scope.parent, [], _visible_tables(scope))
        if mergeable and isinstance(query, n.Select) and _is_simple(query):
            return self._merge(query, names, alias, qualifiers, scope, inner)
        plan = self._query(query, inner, level.parent)
        level.correlated = level.correlated or plan.correlated
        return self._leaf(plan, names, alias, qualifiers, scope)

    def _merge(
        self,
        query: n.Select,
        names: tuple[str, ...],
        alias: str,
        qualifiers: tuple[n.Name, ...],
        scope: Scope,
        inner: Scope,
    ) -> _Tree:
        """Take a simple view's or derived table's sources into our own FROM, so that conditions reach them."""
        assert query.source is not None
        inner_tree = self._bind(query.source, inner, inner.level, mergeable=True)
        items = self._expanded(query.items, inner)
        named = names or tuple(item.alias or _own_name(item.expression) for item in items)
        merged = {name.lower(): (item.expression, inner) for name, item in zip(named, items, strict=True)}
        scope.bindings.append(Binding(alias, ((alias.lower(),), *qualifiers), -1, {}, list(named), merged))
        conditions = [(each, inner) for each in conjuncts(query.where)]
        return _Join("inner", inner_tree, _Leaf(-1), conditions)

    def _leaf(
        self,
        plan: Plan,
        names: tuple[str, ...],
        alias: str,
        qualifiers: tuple[n.Name, ...],
        scope: Scope,
        *,
        lateral: bool = False,
    ) -> _Leaf:
        named = names or tuple(each.name for each in plan.columns)
        if len(named) != len(plan.columns):
            raise SqlError(8158, f"'{alias}' has more columns than were specified in the column list.")
        if any(not name for name in named):
            at = next(at for at, name in enumerate(named, start=1) if not name)
            raise SqlError(8155, f"No column name was specified for column {at} of '{alias}'.")
        number = scope.level.take()
        columns = {
            name.lower(): (at, each.type) for at, (name, each) in enumerate(zip(named, plan.columns, strict=True))
        }
        scope.bindings.append(Binding(alias, ((alias.lower(),), *qualifiers), number, columns, list(named)))
        return _Leaf(number, rows=plan.rows, lateral=lateral)

    # --- joining ------------------------------------------------------------------------------------------------

    def _build(self, tree: _Tree, conditions: list[Condition], level: Level, fixed: bool) -> _Operator:
        match tree:
            case _Leaf():
                return self._scan(tree, conditions, level)
            case _Join(kind="inner" | "cross") if not fixed:
                units, gathered = _flatten(tree)
                return self._inner(units, [*gathered, *conditions], level)
            case _Join():
                return self._outer(tree, conditions, level, fixed)

    def _references(self, condition: Condition, level: Level) -> set[int] | None:
        """The sources of this level a condition looks at; None if it holds a query."""
        found: set[int] = set()
        expression, scope = condition
        for each in walk(expression):
            if isinstance(each, n.Exists | n.Scalar | n.InQuery):
                return None
            if not isinstance(each, n.Column):
                continue
            at: Scope | None = scope
            while at is not None:
                match = at.resolve(each.name)
                if match is not None:
                    break
                at = at.parent
            else:
                continue
            assert at is not None
            binding, wanted = match
            if binding.merged is not None:
                deeper = self._references(binding.merged[wanted], level)
                if deeper is None:
                    return None
                found |= deeper
            elif at.level is level:
                found.add(binding.source)
        return found

    def _inner(self, units: list[_Tree], conditions: list[Condition], level: Level) -> _Operator:
        sources = [_sources_of(unit) for unit in units]
        pushed: list[list[Condition]] = [[] for _ in units]
        joining: list[tuple[Condition, set[int]]] = []
        last: list[Condition] = []
        for condition in conditions:
            needed = self._references(condition, level)
            if needed is None:
                last.append(condition)
                continue
            home = next((at for at, own in enumerate(sources) if needed <= own), None)
            if home is None:
                joining.append((condition, needed))
            else:
                pushed[home].append(condition)
        operators = [self._build(unit, given, level, False) for unit, given in zip(units, pushed, strict=True)]
        waiting = sorted(operators, key=lambda each: each.size)
        current = waiting.pop(0)
        while waiting:
            chosen = min(waiting, key=lambda each: self._cost(current, each, joining, level))
            waiting.remove(chosen)
            have = set(current.layout) | set(chosen.layout)
            usable = [condition for condition, needed in joining if needed <= have]
            joining = [each for each in joining if not each[1] <= have]
            current = self._joined("inner", current, chosen, usable, level)
        if last:
            self._settle(level, current.layout)
            compiler = Compiler(self, level)
            tests = [truth(compiler.condition(expression, scope)) for expression, scope in last]
            current = _Operator(current.layout, _filtered(current.rows, tests), size=current.size)
        return current

    def _cost(
        self, left: _Operator, right: _Operator, joining: list[tuple[Condition, set[int]]], level: Level
    ) -> float:
        have = set(left.layout) | set(right.layout)
        usable = [condition for condition, needed in joining if needed <= have and needed & set(right.layout)]
        equal = [each for each, _ in usable if isinstance(each, n.Comparison) and each.operator == "="]
        if not equal:
            return right.size * 1e6
        if right.leaf is not None and right.leaf.table is not None:
            columns = {
                side.name[-1].lower()
                for each in equal
                for side in (each.left, each.right)
                if isinstance(side, n.Column)
            }
            for index in right.leaf.table.indexes:
                if all(right.leaf.table.columns[at].name.lower() in columns for at in index.positions):
                    return 0.5 if index.unique else 1.0
        return float(right.size)

    def _outer(self, tree: _Join, conditions: list[Condition], level: Level, fixed: bool) -> _Operator:
        left_sources, right_sources = _sources_of(tree.left), _sources_of(tree.right)
        to_left: list[Condition] = []
        after: list[Condition] = []
        for condition in conditions:
            needed = self._references(condition, level)
            pushable = tree.kind != "full" and needed is not None and needed <= left_sources
            (to_left if pushable else after).append(condition)
        to_right: list[Condition] = []
        joining: list[Condition] = []
        for condition in tree.conditions:
            needed = self._references(condition, level)
            pushable = tree.kind != "full" and needed is not None and needed <= right_sources
            (to_right if pushable else joining).append(condition)
        left = self._build(tree.left, to_left, level, fixed)
        if isinstance(tree.right, _Leaf) and tree.right.lateral:
            operator = self._applied(tree.kind, left, tree.right)
        elif tree.kind in _LATERAL:
            right = self._build(tree.right, to_right, level, fixed)
            operator = self._joined("left" if tree.kind == "outer apply" else "inner", left, right, joining, level)
        else:
            right = self._build(tree.right, to_right, level, fixed)
            operator = self._joined(tree.kind, left, right, joining, level)
        if not after:
            return operator
        self._settle(level, operator.layout)
        compiler = Compiler(self, level)
        tests = [truth(compiler.condition(expression, scope)) for expression, scope in after]
        return _Operator(operator.layout, _filtered(operator.rows, tests), size=operator.size)

    def _applied(self, kind: str, left: _Operator, leaf: _Leaf) -> _Operator:
        assert leaf.rows is not None
        inner, outer = leaf.rows, kind == "outer apply"

        def rows(env: Environment) -> Iterator[Any]:
            for row in left.rows(env):
                found = False
                for each in inner(env.inside(row)):
                    found = True
                    yield (*row, each)
                if outer and not found:
                    yield (*row, _NOTHING)

        return _Operator([*left.layout, leaf.source], rows, size=left.size)

    def _scan(self, leaf: _Leaf, conditions: list[Condition], level: Level) -> _Operator:
        if leaf.source < 0:
            return _Operator([], lambda env: iter(((),)), size=0)
        self._settle(level, [leaf.source])
        compiler = Compiler(self, level)
        filters = [truth(compiler.condition(expression, scope)) for expression, scope in conditions]
        if leaf.table is None:
            assert leaf.rows is not None
            produce = leaf.rows
            size = leaf.size
            return _Operator(
                [leaf.source], _filtered(lambda env: ((row,) for row in produce(env)), filters), leaf, filters, size
            )
        table = leaf.table
        lookup = self._lookup(table, conditions, level, compiler)
        self._settle(level, [leaf.source])
        size = max(leaf.size // (10 if filters else 1), 2)
        if lookup is None:
            whole: Rows = lambda env: ((row,) for row in list(table.rows.values()))  # noqa: E731
            return _Operator([leaf.source], _filtered(whole, filters), leaf, filters, size)
        index, keys = lookup

        def found(env: Environment) -> Iterator[Any]:
            values = [key((), env) for key in keys]
            if None in values:
                return
            rows = table.rows
            # At once: while the client is slow, another may delete some of them.
            for row in [rows[row_id] for row_id in index.find(index.key(values))]:
                yield (row,)

        size = 1 if index.unique else 5
        return _Operator([leaf.source], _filtered(found, filters), leaf, filters, size, indexed=True)

    def _lookup(
        self, table: Table, conditions: list[Condition], level: Level, compiler: Compiler
    ) -> tuple[Index, list[Run]] | None:
        """An index all of whose columns are equal to something known before the table is read."""
        known: dict[int, Run] = {}
        for expression, scope in conditions:
            if not (isinstance(expression, n.Comparison) and expression.operator == "="):
                continue
            for one, two in ((expression.left, expression.right), (expression.right, expression.left)):
                column = compiler.value(one, scope)
                if column.slot is None or self._references((two, scope), level) != set():
                    continue
                run = _as_key(compiler.value(two, scope), table.columns[column.slot[1]].type)
                if run is not None:
                    known[column.slot[1]] = run
        best: Index | None = None
        for index in table.indexes:
            better = best is None or (index.unique and not best.unique) or len(index.positions) > len(best.positions)
            if all(at in known for at in index.positions) and better:
                best = index
        return None if best is None else (best, [known[at] for at in best.positions])

    def _joined(
        self, kind: str, left: _Operator, right: _Operator, conditions: list[Condition], level: Level
    ) -> _Operator:
        layout = [*left.layout, *right.layout]
        if not right.layout:
            operator = _Operator(left.layout, left.rows, left.leaf, left.filters, left.size)
        elif not left.layout:
            operator = _Operator(right.layout, right.rows, right.leaf, right.filters, right.size)
        else:
            return self._paired(kind, left, right, conditions, layout, level)
        if not conditions:
            return operator
        self._settle(level, layout)
        compiler = Compiler(self, level)
        tests = [truth(compiler.condition(expression, scope)) for expression, scope in conditions]
        return _Operator(layout, _filtered(operator.rows, tests), size=operator.size)

    def _paired(
        self,
        kind: str,
        left: _Operator,
        right: _Operator,
        conditions: list[Condition],
        layout: list[int],
        level: Level,
    ) -> _Operator:
        equal: list[tuple[Compiled, Compiled]] = []
        rest: list[Condition] = []
        own, other = set(left.layout), set(right.layout)
        for expression, scope in conditions:
            pair = None
            if kind != "full" and isinstance(expression, n.Comparison) and expression.operator == "=":
                for one, two in ((expression.left, expression.right), (expression.right, expression.left)):
                    here, there = self._references((one, scope), level), self._references((two, scope), level)
                    if here and there and here <= own and there <= other:
                        self._settle(level, left.layout)
                        outer = Compiler(self, level).value(one, scope)
                        self._settle(level, right.layout)
                        pair = (outer, Compiler(self, level).value(two, scope))
            if pair is None:
                rest.append((expression, scope))
            else:
                equal.append(pair)
        self._settle(level, layout)
        compiler = Compiler(self, level)
        tests = [truth(compiler.condition(expression, scope)) for expression, scope in rest]
        matching = self._matching(kind, right, equal)
        width = len(right.layout)
        rows = _join_rows(kind, left, right, matching, tests, width, len(left.layout))
        return _Operator(layout, rows, size=max(left.size, right.size))

    def _matching(
        self, kind: str, right: _Operator, equal: list[tuple[Compiled, Compiled]]
    ) -> Callable[[Environment], Callable[[Any], Iterable[Any]]]:
        """For one run: what gives the right side's rows for a row of the left."""
        leaf = right.leaf
        if kind != "full" and leaf is not None and leaf.table is not None and not right.indexed:
            table = leaf.table
            known: dict[int, Run] = {}
            for one, two in equal:
                if two.slot is not None:
                    run = _as_key(one, table.columns[two.slot[1]].type)
                    if run is not None:
                        known[two.slot[1]] = run
            for index in sorted(table.indexes, key=lambda each: (not each.unique, -len(each.positions))):
                if len(known) == len(equal) and all(at in known for at in index.positions):
                    rest = [(at, run) for at, run in known.items() if at not in index.positions]
                    keys = [known[at] for at in index.positions]
                    return _by_index(table, index, keys, rest, right.filters)
        if not equal:

            def whole(env: Environment) -> Callable[[Any], Iterable[Any]]:
                found = list(right.rows(env))
                return lambda row: found

            return whole
        meets = [common(one.type, two.type) for one, two in equal]
        left_keys = [_keyed(one, meet) for (one, _), meet in zip(equal, meets, strict=True)]
        right_keys = [_keyed(two, meet) for (_, two), meet in zip(equal, meets, strict=True)]

        def hashed(env: Environment) -> Callable[[Any], Iterable[Any]]:
            buckets: dict[Any, list[Any]] = {}
            for row in right.rows(env):
                key = tuple(make(row, env) for make in right_keys)
                if None not in key:
                    buckets.setdefault(key, []).append(row)
            return lambda row: buckets.get(tuple(make(row, env) for make in left_keys), ())

        return hashed

    # --- groups and windows -------------------------------------------------------------------------------------

    def _grouped(self, query: n.Select, calls: tuple[Any, ...], scope: Scope, compiler: Compiler, rows: Rows) -> Rows:
        keys = [compiler.value(each, scope) for each in query.group]
        aggregates: list[n.Call] = []
        for each in walk(calls):
            if _is_aggregate(each) and each not in aggregates:
                aggregates.append(each)
        makers = [_aggregate(call, compiler, scope) for call in aggregates]
        scope.groups = [(each, key.type) for each, key in zip(query.group, keys, strict=True)]
        scope.aggregates = [(call, maker[0]) for call, maker in zip(aggregates, makers, strict=True)]
        runs = [key.run for key in keys]
        normal = _row_key([key.type for key in keys])
        arguments = [maker[1] for maker in makers]
        finishes = [maker[2] for maker in makers]

        def produce(env: Environment) -> Iterator[Any]:
            groups: dict[Any, tuple[Row, list[list[Any]]]] = {}
            if not runs:
                groups[()] = ((), [[] for _ in arguments])
            for row in rows(env):
                key = tuple(run(row, env) for run in runs)
                mark = normal(key)
                group = groups.get(mark)
                if group is None:
                    group = groups[mark] = (key, [[] for _ in arguments])
                for values, argument in zip(group[1], arguments, strict=True):
                    value = argument(row, env)
                    if value is not None:
                        values.append(value)
            for key, gathered in groups.values():
                yield ((*key, *(finish(values) for finish, values in zip(finishes, gathered, strict=True))),)

        return produce

    def _windowed(self, windows: list[n.Call], scope: Scope, compiler: Compiler, rows: Rows) -> Rows:
        scope.windows = list(dict.fromkeys(windows))
        numberings = []
        for call in scope.windows:
            if call.name not in ("row_number", "rank", "dense_rank"):
                raise SqlError(10758, f"The function '{call.name}' may not have a window here.", severity=15)
            assert call.over is not None
            if not call.over.order:
                raise SqlError(4112, f"The function '{call.name}' must have an OVER clause with ORDER BY.", severity=15)
            partition = [compiler.value(each, scope) for each in call.over.partition]
            order = [(compiler.value(each.expression, scope), each.descending) for each in call.over.order]
            numberings.append(_numbering(call.name, partition, order))

        def produce(env: Environment) -> Iterator[Any]:
            found = list(rows(env))
            columns = [number(found, env) for number in numberings]
            for at, row in enumerate(found):
                yield (*row, tuple(column[at] for column in columns))

        return produce


_NOTHING: Final[Row] = (None,) * 512
"""The row of an outer join's missing side."""


# --- trees --------------------------------------------------------------------------------------------------------


def _has_lateral(source: n.Source) -> bool:
    match source:
        case n.Join(kind=kind, left=left, right=right):
            return kind in _LATERAL or _has_lateral(left) or _has_lateral(right)
        case _:
            return False


def _is_simple(query: n.Select) -> bool:
    """Whether a query is nothing but columns, joins and conditions, so that it can be merged into another's FROM."""
    if query.source is None or _has_lateral(query.source) or query.into is not None:
        return False
    if query.group or query.having is not None or query.distinct or query.top is not None or query.order:
        return False
    return not any(isinstance(each, n.Call) and (_is_aggregate(each) or each.over) for each in walk(query.items))


def _flatten(tree: _Tree) -> tuple[list[_Tree], list[Condition]]:
    """The units of a tree of inner joins, and all their conditions."""
    if isinstance(tree, _Join) and tree.kind in ("inner", "cross"):
        left, right = _flatten(tree.left), _flatten(tree.right)
        return [*left[0], *right[0]], [*left[1], *right[1], *tree.conditions]
    if isinstance(tree, _Leaf) and tree.source < 0:
        return [], []
    return [tree], []


def _sources_of(tree: _Tree) -> set[int]:
    if isinstance(tree, _Leaf):
        return {tree.source} if tree.source >= 0 else set()
    return _sources_of(tree.left) | _sources_of(tree.right)


def _common_table(scope: Scope, name: str) -> tuple[tuple[str, ...], n.Query, Scope | None] | None:
    at: Scope | None = scope
    while at is not None:
        found = at.common_tables.get(name.lower())
        if found is not None:
            return found
        at = at.parent
    return None


def _visible_tables(scope: Scope) -> dict[str, tuple[tuple[str, ...], n.Query, Scope | None]]:
    found = dict(scope.common_tables)
    at = scope.parent
    while at is not None:
        found = {**at.common_tables, **found}
        at = at.parent
    return found


# --- rows ---------------------------------------------------------------------------------------------------------


def _variable_rows(name: str) -> Rows:
    """A table variable's rows, looked up when they are read: each call of a procedure has its own."""

    def rows(env: Environment) -> Iterator[Row]:
        found = env.session.find_temporary(name)
        return iter(list(found.rows.values()) if found is not None else ())

    return rows


def _filtered(rows: Rows, tests: list[Callable[[Any, Environment], bool]]) -> Rows:
    match tests:
        case []:
            return rows
        case [test]:
            return lambda env: (row for row in rows(env) if test(row, env))
        case _:
            return lambda env: (row for row in rows(env) if all(test(row, env) for test in tests))


def _join_rows(
    kind: str,
    left: _Operator,
    right: _Operator,
    matching: Callable[[Environment], Callable[[Any], Iterable[Any]]],
    tests: list[Callable[[Any, Environment], bool]],
    width: int,
    left_width: int,
) -> Rows:
    missing = (_NOTHING,) * width

    def inner(env: Environment) -> Iterator[Any]:
        match = matching(env)
        for row in left.rows(env):
            for other in match(row):
                both = row + other
                if not tests or all(test(both, env) for test in tests):
                    yield both

    def outer(env: Environment) -> Iterator[Any]:
        match = matching(env)
        for row in left.rows(env):
            found = False
            for other in match(row):
                both = row + other
                if not tests or all(test(both, env) for test in tests):
                    found = True
                    yield both
            if not found:
                yield row + missing

    def full(env: Environment) -> Iterator[Any]:
        others = list(right.rows(env))
        used: set[int] = set()
        for row in left.rows(env):
            found = False
            for at, other in enumerate(others):
                both = row + other
                if all(test(both, env) for test in tests):
                    found = True
                    used.add(at)
                    yield both
            if not found:
                yield row + missing
        for at, other in enumerate(others):
            if at not in used:
                yield (_NOTHING,) * left_width + other

    return full if kind == "full" else outer if kind in ("left", "outer apply") else inner


def _by_index(
    table: Table, index: Index, keys: list[Run], rest: list[tuple[int, Run]], filters: list[Run]
) -> Callable[[Environment], Callable[[Any], Iterable[Any]]]:
    normals = [(at, run, key_function(table.columns[at].type)) for at, run in rest]
    single = keys[0] if len(keys) == 1 and not rest and not filters else None

    def start(env: Environment) -> Callable[[Any], Iterable[Any]]:
        rows = table.rows

        def find(row: Any) -> Iterator[Any]:
            values = [key(row, env) for key in keys]
            if None in values:
                return
            for stored in [rows[row_id] for row_id in index.find(index.key(values))]:
                if all(_equal(stored[at], run(row, env), normal) for at, run, normal in normals) and all(
                    test((stored,), env) for test in filters
                ):
                    yield (stored,)

        def find_by_one(row: Any) -> Iterable[Any]:
            value = single(row, env)  # type: ignore[misc]
            return () if value is None else [(rows[row_id],) for row_id in index.find_one(value)]

        return find if single is None else find_by_one

    return start


def _equal(one: Any, two: Any, normal: Callable[[Any], Any] | None) -> bool:
    if one is None or two is None:
        return False
    return bool(one == two if normal is None else normal(one) == normal(two))


def _as_key(compiled: Compiled, column: SqlType) -> Run | None:
    """The value as an index over such a column holds it; None if they only compare as some third type."""
    meet = common(compiled.type, column)
    exact = frozenset({*INTEGERS, Kind.DECIMAL})
    for family in (STRINGS, exact):
        if column.kind in family and meet.kind in family:
            return converted(compiled, meet)
    return converted(compiled, column) if meet.kind is column.kind else None


def _keyed(compiled: Compiled, meet: SqlType) -> Run:
    run, key = converted(compiled, meet), key_function(meet)
    if key is None:
        return run
    return lambda row, env: None if (value := run(row, env)) is None else key(value)


def _row_key(kinds: list[SqlType]) -> Callable[[Row], Any]:
    keys = [key_function(kind) for kind in kinds]
    if not any(keys):
        return lambda row: row
    return lambda row: tuple(
        value if value is None or key is None else key(value) for value, key in zip(row, keys, strict=True)
    )


def _distinct(rows: Iterable[Row], key: Callable[[Row], Any]) -> Iterator[Row]:
    seen: set[Any] = set()
    for row in rows:
        mark = key(row)
        if mark not in seen:
            seen.add(mark)
            yield row


def _sort_key(pick: Callable[[Any], Any], key: Callable[[Any], Any] | None) -> Callable[[Any], tuple[bool, Any]]:
    """NULL sorts first."""

    def make(row: Any) -> tuple[bool, Any]:
        value = pick(row)
        if value is None:
            return (False, 0)
        return (True, value if key is None else key(value))

    return make


def _ordinal(expression: n.Expression, columns: list[OutputColumn]) -> int | None:
    """Which output column an ORDER BY item names, by number or by name."""
    if isinstance(expression, n.Literal) and isinstance(expression.value, int):
        if not 1 <= expression.value <= len(columns):
            raise SqlError(
                108, f"The ORDER BY position number {expression.value} is out of range of the number of items."
            )
        return expression.value - 1
    if isinstance(expression, n.Column) and len(expression.name) == 1:
        wanted = expression.name[0].lower()
        return next((at for at, column in enumerate(columns) if column.name.lower() == wanted), None)
    return None


def _own_name(expression: n.Expression) -> str:
    return expression.name[-1] if isinstance(expression, n.Column) else ""


def _picking(at: int) -> Callable[[tuple[Row, Row], Environment], Any]:
    return lambda pair, env: pair[1][at]


def _running(run: Run) -> Callable[[tuple[Row, Row], Environment], Any]:
    return lambda pair, env: run(pair[0], env)


def _projection(runs: list[Run]) -> Callable[[Any, Environment], Row]:
    return lambda row, env: tuple([run(row, env) for run in runs])


def _recast(plan: Plan, columns: list[OutputColumn]) -> Rows:
    changes = [
        None if one.untyped else converter(one.type, two.type) for one, two in zip(plan.columns, columns, strict=True)
    ]
    if not any(changes):
        return plan.rows
    return lambda env: (
        tuple(
            value if value is None or change is None else change(value)
            for value, change in zip(row, changes, strict=True)
        )
        for row in plan.rows(env)
    )


def _met(one: OutputColumn, two: OutputColumn) -> OutputColumn:
    kind = two.type if one.untyped else one.type if two.untyped else common(one.type, two.type)
    return OutputColumn(one.name, kind, one.nullable or two.nullable, untyped=one.untyped and two.untyped)


def _operands(query: n.SetOperation) -> list[n.Query]:
    """What is combined; a chain of UNION ALL is one operation, however long."""
    found: list[n.Query] = [query.right]
    left = query.left
    while query.operator == "union all" and isinstance(left, n.SetOperation) and left.operator == "union all":
        if left.order or left.offset is not None:
            break
        found.append(left.right)
        left = left.left
    return [left, *reversed(found)]


def _combined(operator: str, parts: list[Rows], columns: list[OutputColumn]) -> Rows:
    key = _row_key([column.type for column in columns])

    def produce(env: Environment) -> Iterator[Row]:
        together = itertools.chain.from_iterable(part(env) for part in parts)
        if operator == "union all":
            return together
        if operator == "union":
            return _distinct(together, key)
        others = {key(row) for row in parts[1](env)}
        wanted = operator == "intersect"
        return _distinct((row for row in parts[0](env) if (key(row) in others) is wanted), key)

    return produce


# --- aggregates ---------------------------------------------------------------------------------------------------

Finish = Callable[[list[Any]], Any]


def _aggregate(call: n.Call, compiler: Compiler, scope: Scope) -> tuple[SqlType, Run, Finish]:
    """An aggregate's type, what it takes of each row, and what it makes of a group's values that aren't NULL."""
    if len(call.arguments) != 1:
        raise SqlError(174, f"The {call.name} function requires 1 argument(s).", severity=15)
    if isinstance(call.arguments[0], n.Star):
        kind = BIGINT if call.name == "count_big" else INT
        return kind, lambda row, env: True, len
    argument = compiler.value(call.arguments[0], scope)
    key = key_function(argument.type) or (lambda value: value)

    def gathered(values: list[Any]) -> list[Any]:
        return list({key(value): value for value in values}.values()) if call.distinct else values

    kind, finish = _finish(call.name, argument.type, key)
    return kind, argument.run, lambda values: finish(gathered(values))


def _finish(name: str, kind: SqlType, key: Callable[[Any], Any]) -> tuple[SqlType, Finish]:
    match name:
        case "count":
            return INT, len
        case "count_big":
            return BIGINT, len
        case "min":
            return kind, lambda values: min(values, key=key, default=None)
        case "max":
            return kind, lambda values: max(values, key=key, default=None)
        case "checksum_agg":
            return INT, lambda values: functools.reduce(lambda one, two: one ^ two, values, 0)
        case _:
            pass
    if kind.kind not in NUMBERS or kind.kind is Kind.BIT:
        raise SqlError(8117, f"Operand data type {kind.kind} is invalid for {name} operator.")
    if kind.kind is Kind.FLOAT:
        if name == "sum":
            return FLOAT, lambda values: sum(values) if values else None
        return FLOAT, lambda values: sum(values) / len(values) if values else None
    if kind.kind in INTEGERS:
        to = BIGINT if kind.kind is Kind.BIGINT else INT
        if name == "sum":
            return to, lambda values: fit_integer(sum(values), to) if values else None
        return to, lambda values: _whole_average(sum(values), len(values)) if values else None
    if name == "sum":
        wide = decimal_type(38, kind.scale)
        return wide, lambda values: fit_decimal(_total(values), wide) if values else None
    wide = decimal_type(38, max(kind.scale, 6))
    return (
        wide,
        lambda values: fit_decimal(CONTEXT.divide(_total(values), Decimal(len(values))), wide) if values else None,
    )


def _whole_average(total: int, count: int) -> int:
    return total // count if total >= 0 else -(-total // count)


def _total(values: list[Decimal]) -> Decimal:
    return functools.reduce(CONTEXT.add, values, Decimal(0))


def _numbering(
    name: str, partition: list[Compiled], order: list[tuple[Compiled, bool]]
) -> Callable[[list[Any], Environment], list[int]]:
    part_keys = [(each.run, key_function(each.type)) for each in partition]
    order_keys = [(each.run, key_function(each.type), descending) for each, descending in order]

    def number(rows: list[Any], env: Environment) -> list[int]:
        def normal(run: Run, key: Callable[[Any], Any] | None, row: Any) -> Any:
            value = run(row, env)
            return value if value is None or key is None else key(value)

        places = list(range(len(rows)))
        for run, key, descending in reversed(order_keys):
            places.sort(key=_sort_key(lambda at, run=run: run(rows[at], env), key), reverse=descending)  # type: ignore[misc]
        numbers = [0] * len(rows)
        state: dict[Any, tuple[int, int, Any]] = {}
        for at in places:
            row = rows[at]
            part = tuple(normal(run, key, row) for run, key in part_keys)
            mark = tuple(normal(run, key, row) for run, key, _ in order_keys)
            count, current, last = state.get(part, (0, 0, None))
            count += 1
            if name == "row_number":
                current = count
            elif mark != last or current == 0:
                current = count if name == "rank" else current + 1
            state[part] = (count, current, mark)
            numbers[at] = current
        return numbers

    return number
