"""Expressions as functions of a row. Types are known before anything runs, as they are to SQL Server.

A row here is a tuple with one stored row per source, in the order the sources were joined. A compiled expression is
called with the row and the environment (variables, outer rows, session).
"""

from __future__ import annotations

import decimal
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from connectors.hesabgar.simulator import nodes as n
from connectors.hesabgar.simulator import xmlpath
from connectors.hesabgar.simulator.errors import SqlError, invalid_column, syntax, undeclared
from connectors.hesabgar.simulator.parser import Parser
from connectors.hesabgar.simulator.storage import key_function
from connectors.hesabgar.simulator.types import (
    BIGINT,
    BINARIES,
    BIT,
    CONTEXT,
    INT,
    INTEGERS,
    MAX,
    MOMENTS,
    NUMBERS,
    STRINGS,
    SYSNAME,
    UNICODE,
    Kind,
    SqlType,
    arithmetic,
    common,
    converter,
    decimal_type,
    fit_decimal,
    fit_integer,
)

if TYPE_CHECKING:
    from connectors.hesabgar.simulator.query import Plan, Planner
    from connectors.hesabgar.simulator.session import Session

Run = Callable[[Any, "Environment"], Any]


class Environment:
    """What an expression sees besides its row. ``cache`` keeps what is asked once per statement."""

    __slots__ = ("cache", "outer", "session", "variables")

    def __init__(
        self,
        session: Session,
        variables: dict[str, Any],
        outer: tuple[Any, ...] = (),
        cache: dict[int, Any] | None = None,
    ) -> None:
        self.session = session
        self.variables = variables
        self.outer = outer
        self.cache = {} if cache is None else cache

    def inside(self, row: Any) -> Environment:
        """The environment of a query inside this row."""
        return Environment(self.session, self.variables, (*self.outer, row), self.cache)


@dataclass(slots=True)
class Level:
    """One query's rows: where each source is in them, and the query around it."""

    parent: Level | None = None
    layout: dict[int, int] = field(default_factory=dict)
    correlated: bool = False
    """Whether it looks at rows of a query around it."""
    sources: int = 0

    def take(self) -> int:
        """A number for one more source."""
        self.sources += 1
        return self.sources - 1


@dataclass(slots=True)
class Binding:
    """A source in FROM by its alias. A merged view's columns are expressions over the view's own sources."""

    alias: str
    qualifiers: tuple[n.Name, ...]
    source: int
    columns: dict[str, tuple[int, SqlType]]
    names: list[str]
    merged: dict[str, tuple[n.Expression, Scope]] | None = None


@dataclass(slots=True)
class Scope:
    """Names of one query, and the scope around it."""

    level: Level
    parent: Scope | None = None
    bindings: list[Binding] = field(default_factory=list)
    common_tables: dict[str, tuple[tuple[str, ...], n.Query, Scope | None]] = field(default_factory=dict)
    groups: list[tuple[n.Expression, SqlType]] | None = None
    """The keys of GROUP BY when a row is a group."""
    aggregates: list[tuple[n.Call, SqlType]] = field(default_factory=list)
    windows: list[n.Call] = field(default_factory=list)

    def resolve(self, name: n.Name) -> tuple[Binding, str] | None:
        """The binding and column a name means here. Raises error 209 when it could be two."""
        wanted, qualifier = name[-1].lower(), tuple(part.lower() for part in name[:-1])
        found: list[tuple[Binding, str]] = []
        for binding in self.bindings:
            if qualifier and qualifier not in binding.qualifiers:
                continue
            if wanted in binding.columns or (binding.merged is not None and wanted in binding.merged):
                found.append((binding, wanted))
        if len(found) > 1:
            raise SqlError(209, f"Ambiguous column name '{name[-1]}'.")
        return found[0] if found else None


@dataclass(slots=True)
class Compiled:
    """An expression that is ready to run."""

    run: Run
    type: SqlType
    null: bool = False
    """The literal NULL, which takes any type."""
    slot: tuple[int, int] | None = None
    """Source position and column, when it is nothing but a column of this level."""
    nullable: bool = True


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}

AGGREGATES: Final = frozenset({"count", "count_big", "sum", "min", "max", "avg", "checksum_agg"})
WINDOWS: Final = frozenset({"row_number", "rank", "dense_rank"})


def _first(at: int) -> Run:
    return lambda row, env: row[0][at]


def constant(value: Any) -> Run:
    """What always gives the same."""
    return lambda row, env: value


def converted(compiled: Compiled, to: SqlType, style: int = 0) -> Run:
    """The expression's value as another type."""
    if compiled.null:
        return constant(None)
    change = converter(compiled.type, to, style)
    run = compiled.run
    if change is None:
        return run

    def convert(row: Any, env: Environment) -> Any:
        value = run(row, env)
        return None if value is None else change(value)

    return convert


def truth(run: Run) -> Callable[[Any, Environment], bool]:
    """A condition as WHERE takes it: unknown counts as false."""
    return lambda row, env: run(row, env) is True


class Compiler:
    """Compiles expressions for one level of one query."""

    def __init__(self, planner: Planner, level: Level, *, grouped: bool = False) -> None:
        self.planner = planner
        self.level = level
        self._grouped = grouped

    # --- values -------------------------------------------------------------------------------------------------

    def value(self, expression: n.Expression, scope: Scope) -> Compiled:
        """A value. Raises :class:`SqlError` for unknown names and types that don't go together."""
        if self._grouped and scope.groups is not None:
            slot = self._group_slot(expression, scope)
            if slot is not None:
                return slot
        match expression:
            case n.Literal(value=value, type=kind):
                return Compiled(constant(value), kind, null=value is None, nullable=value is None)
            case n.Variable(name=name):
                return self._variable(name)
            case n.Column(name=name):
                return self._column(name, scope)
            case n.Binary():
                return self._binary(expression, scope)
            case n.Unary(operator=sign, operand=operand):
                return self._unary(sign, self.value(operand, scope))
            case n.Cast():
                return self._cast(expression, scope)
            case n.Case():
                return self._case(expression, scope)
            case n.Call():
                return self._call(expression, scope)
            case n.Scalar(query=query):
                return self._scalar(query, scope)
            case n.Method():
                return self._method(expression, scope)
            case _:
                raise syntax("condition")

    def _group_slot(self, expression: n.Expression, scope: Scope) -> Compiled | None:
        assert scope.groups is not None
        for at, (key, kind) in enumerate(scope.groups):
            if self._same(key, expression, scope):
                return Compiled(_first(at), kind, slot=(0, at))
        offset = len(scope.groups)
        if isinstance(expression, n.Call) and expression.over is None and expression.name in AGGREGATES:
            for at, (call, kind) in enumerate(scope.aggregates, start=offset):
                if call == expression:
                    return Compiled(_first(at), kind, slot=(0, at))
        if isinstance(expression, n.Column) and scope.resolve(expression.name) is not None:
            raise SqlError(
                8120,
                f"Column '{'.'.join(expression.name)}' is invalid in the select list because it is not contained in "
                "either an aggregate function or the GROUP BY clause.",
            )
        return None

    def _same(self, one: n.Expression, two: n.Expression, scope: Scope) -> bool:
        if isinstance(one, n.Column) and isinstance(two, n.Column):
            left, right = scope.resolve(one.name), scope.resolve(two.name)
            return left is not None and right is not None and left[0] is right[0] and left[1] == right[1]
        return one == two

    def _variable(self, name: str) -> Compiled:
        if name.startswith("@@"):
            found = _GLOBALS.get(name)
            if found is None:
                raise undeclared(name)
            kind, read = found
            return Compiled(lambda row, env: read(env.session), kind)
        declared = self.planner.variables.get(name)
        if declared is None:
            raise undeclared(name)
        return Compiled(lambda row, env: env.variables[name], declared)

    def _column(self, name: n.Name, scope: Scope) -> Compiled:
        at: Scope | None = scope
        while at is not None:
            found = at.resolve(name)
            if found is not None:
                return self._bound(found[0], found[1], at)
            at = at.parent
        if len(name) > 1:
            raise SqlError(4104, f'The multi-part identifier "{".".join(name)}" could not be bound.')
        raise invalid_column(name[-1])

    def _bound(self, binding: Binding, wanted: str, scope: Scope) -> Compiled:
        if binding.merged is not None:
            expression, inner = binding.merged[wanted]
            return self.value(expression, inner)
        column, kind = binding.columns[wanted]
        depth, level = 0, self.level
        while level is not scope.level:
            level.correlated = True
            assert level.parent is not None
            level, depth = level.parent, depth + 1
        position = scope.level.layout[binding.source]
        if depth == 0:
            return Compiled(lambda row, env: row[position][column], kind, slot=(position, column))
        return Compiled(lambda row, env: env.outer[-depth][position][column], kind)

    def _unary(self, sign: str, operand: Compiled) -> Compiled:
        run = operand.run
        if sign == "~":
            return Compiled(lambda row, env: None if (value := run(row, env)) is None else ~value, operand.type)
        if operand.type.kind not in NUMBERS:
            raise SqlError(8117, f"Operand data type {operand.type.kind} is invalid for minus operator.")
        negate: Callable[[Any], Any] = operator.neg
        if operand.type.kind in (Kind.DECIMAL, Kind.MONEY):
            negate = Decimal.copy_negate  # -value would round to 28 digits
        return Compiled(lambda row, env: None if (value := run(row, env)) is None else negate(value), operand.type)

    def _binary(self, expression: n.Binary, scope: Scope) -> Compiled:
        left, right = self.value(expression.left, scope), self.value(expression.right, scope)
        sign = expression.operator
        if left.null and right.null:
            return Compiled(constant(None), INT, null=True)
        one = right.type if left.null else left.type
        two = left.type if right.null else right.type
        if sign == "+" and one.kind in STRINGS | {Kind.XML} and two.kind in STRINGS | {Kind.XML}:
            return self._concatenation(left, right, one, two)
        if sign == "+" and one.kind in BINARIES and two.kind in BINARIES:
            length = MAX if MAX in (one.length, two.length) else min(one.length + two.length, 8_000)
            return Compiled(_strict(operator.add, left.run, right.run), SqlType(Kind.VARBINARY, length=length))
        if one.kind in STRINGS and two.kind in NUMBERS:
            one = two
        elif two.kind in STRINGS and one.kind in NUMBERS:
            two = one
        if one.kind in MOMENTS or two.kind in MOMENTS:
            raise SqlError(402, f"The data types {one} and {two} are incompatible in the add operator.")
        if one.kind in BINARIES and two.kind in NUMBERS:
            one = two
        elif two.kind in BINARIES and one.kind in NUMBERS:
            two = one
        if one.kind not in NUMBERS or two.kind not in NUMBERS:
            raise SqlError(402, f"The data types {one.kind} and {two.kind} are incompatible in the {sign} operator.")
        return self._calculation(sign, converted(left, one), converted(right, two), one, two, expression)

    def _concatenation(self, left: Compiled, right: Compiled, one: SqlType, two: SqlType) -> Compiled:
        kind = Kind.NVARCHAR if one.kind in UNICODE or two.kind in UNICODE else Kind.VARCHAR
        limit = 4_000 if kind is Kind.NVARCHAR else 8_000
        if MAX in (one.length, two.length):
            return Compiled(_strict(operator.add, left.run, right.run), SqlType(kind, length=MAX))
        length = min(one.length + two.length, limit)
        run = _strict(operator.add, left.run, right.run)

        def cut(row: Any, env: Environment) -> str | None:
            value: str | None = run(row, env)
            return value if value is None or len(value) <= limit else value[:limit]

        return Compiled(run if one.length + two.length <= limit else cut, SqlType(kind, length=length))

    def _calculation(
        self, sign: str, left: Run, right: Run, one: SqlType, two: SqlType, expression: n.Binary
    ) -> Compiled:
        if sign in "&|^":
            wider = common(one, two)
            return Compiled(
                _strict({"&": operator.and_, "|": operator.or_, "^": operator.xor}[sign], left, right), wider
            )
        if Kind.DECIMAL in (one.kind, two.kind):
            one = _literal_type(expression.left, one)
            two = _literal_type(expression.right, two)
        result = arithmetic(sign, one, two)
        if result.kind in INTEGERS:
            return Compiled(_strict(_INTEGER[sign], left, right, lambda value: fit_integer(value, result)), result)
        if result.kind is Kind.FLOAT:
            return Compiled(_strict(_FLOAT[sign], left, right), result)
        rounding = decimal.ROUND_DOWN if sign == "/" else decimal.ROUND_HALF_UP
        return Compiled(
            _strict(_DECIMAL[sign], left, right, lambda value: fit_decimal(value, result, rounding)), result
        )

    def _cast(self, expression: n.Cast, scope: Scope) -> Compiled:
        operand = self.value(expression.operand, scope)
        style = 0
        if expression.style is not None:
            if not isinstance(expression.style, n.Literal) or not isinstance(expression.style.value, int):
                raise syntax("style")
            style = expression.style.value
        to = expression.type
        run = converted(operand, to, style)
        if expression.attempt:
            return Compiled(_attempt(run), to)
        return Compiled(run, to, slot=operand.slot if run is operand.run else None, nullable=operand.nullable)

    def _case(self, expression: n.Case, scope: Scope) -> Compiled:
        conditions = [self.condition(when, scope) for when, _ in expression.branches]
        values = [self.value(then, scope) for _, then in expression.branches]
        otherwise = self.value(expression.otherwise, scope) if expression.otherwise is not None else None
        result = widest([*values, *([otherwise] if otherwise else [])])
        branches = [(condition, converted(value, result)) for condition, value in zip(conditions, values, strict=True)]
        last = converted(otherwise, result) if otherwise is not None else constant(None)

        def choose(row: Any, env: Environment) -> Any:
            for condition, value in branches:
                if condition(row, env) is True:
                    return value(row, env)
            return last(row, env)

        return Compiled(choose, result)

    def _scalar(self, query: n.Query, scope: Scope) -> Compiled:
        plan = self.planner.nested(query, scope, self.level)
        if len(plan.columns) != 1:
            raise SqlError(116, "Only one expression can be specified in the select list when it is not in EXISTS.")

        def ask(row: Any, env: Environment) -> Any:
            found = plan.rows(env.inside(row))
            value = next(found, None)
            if value is None:
                return None
            if next(found, None) is not None:
                raise SqlError(
                    512,
                    "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, "
                    "<= , >, >= or when the subquery is used as an expression.",
                )
            return value[0]

        return Compiled(self._once(plan, ask), plan.columns[0].type)

    def _once(self, plan: Plan, ask: Run) -> Run:
        """Ask a query that looks at no outer row only once per statement."""
        if plan.correlated:
            return ask
        key = id(plan)

        def remembered(row: Any, env: Environment) -> Any:
            if key not in env.cache:
                env.cache[key] = ask(row, env)
            return env.cache[key]

        return remembered

    def _method(self, expression: n.Method, scope: Scope) -> Compiled:
        target = self.value(expression.target, scope)
        if target.type.kind is not Kind.XML:
            raise SqlError(258, f"Cannot call methods on {target.type}.")
        refuse_without_quoted_identifiers(self.planner.session)
        paths = [each.value for each in expression.arguments if isinstance(each, n.Literal)]
        if len(paths) != len(expression.arguments):
            raise SqlError(
                8172, f'The argument 1 of the XML data type method "{expression.name}" must be a string literal.'
            )
        path = str(paths[0])
        find = element_of(target.run)
        if expression.name == "exist":
            return Compiled(lambda row, env: None if (at := find(row, env)) is None else xmlpath.exists(at, path), BIT)
        if expression.name != "value" or len(paths) != 2:
            raise syntax(expression.name)
        to = Parser(str(paths[1])).type_alone()
        change = converter(SqlType(Kind.NVARCHAR, length=MAX), to)

        def read(row: Any, env: Environment) -> Any:
            at = find(row, env)
            text = None if at is None else xmlpath.value(at, path)
            return text if text is None or change is None else change(text)

        return Compiled(read, to)

    # --- functions ----------------------------------------------------------------------------------------------

    def _call(self, expression: n.Call, scope: Scope) -> Compiled:
        from connectors.hesabgar.simulator.functions import FUNCTIONS

        if expression.over is not None:
            at = scope.windows.index(expression) if expression in scope.windows else None
            if at is None:
                raise SqlError(
                    4108, "Windowed functions can only appear in the SELECT or ORDER BY clauses.", severity=15
                )
            return Compiled(lambda row, env: row[-1][at], BIGINT)
        if expression.name in AGGREGATES:
            raise SqlError(
                147,
                "An aggregate may not appear in the WHERE clause unless it is in a subquery contained in a HAVING.",
                severity=15,
            )
        make = FUNCTIONS.get(expression.name)
        if make is None:
            raise SqlError(195, f"'{expression.name}' is not a recognized built-in function name.", severity=15)
        return make(self, [self.value(each, scope) for each in expression.arguments])

    # --- conditions ---------------------------------------------------------------------------------------------

    def condition(self, expression: n.Expression, scope: Scope) -> Run:
        """A condition: true, false or None (unknown)."""
        match expression:
            case n.Comparison(operator=sign, left=left, right=right):
                return self._comparison(sign, self.value(left, scope), self.value(right, scope))
            case n.Logical(operator=word, operands=operands):
                runs = [self.condition(each, scope) for each in operands]
                return _all(runs) if word == "and" else _any(runs)
            case n.Not(operand=operand):
                run = self.condition(operand, scope)
                return lambda row, env: None if (known := run(row, env)) is None else not known
            case n.IsNull(operand=operand, negated=negated):
                run = self.value(operand, scope).run
                if negated:
                    return lambda row, env: run(row, env) is not None
                return lambda row, env: run(row, env) is None
            case n.InList(operand=operand, options=options, negated=negated):
                value = self.value(operand, scope)
                tests = [self._comparison("=", value, self.value(each, scope)) for each in options]
                return _negated(_any(tests), negated)
            case n.InQuery():
                return self._in_query(expression, scope)
            case n.Like():
                return self._like(expression, scope)
            case n.Exists(query=query):
                plan = self.planner.nested(query, scope, self.level)
                return self._once(plan, lambda row, env: next(plan.rows(env.inside(row)), None) is not None)
            case _:
                raise syntax("expression")

    def _comparison(self, sign: str, left: Compiled, right: Compiled) -> Run:
        if left.null or right.null:
            return constant(None)
        meet = common(left.type, right.type)
        if meet.kind is Kind.XML:
            raise SqlError(
                305, "The XML data type cannot be compared or sorted, except when using the IS NULL operator."
            )
        one, two = converted(left, meet), converted(right, meet)
        compare = _COMPARE[sign]
        key = key_function(meet)
        if key is None:

            def plain(row: Any, env: Environment) -> bool | None:
                a = one(row, env)
                if a is None:
                    return None
                b = two(row, env)
                return None if b is None else compare(a, b)

            return plain

        def keyed(row: Any, env: Environment) -> bool | None:
            a = one(row, env)
            if a is None:
                return None
            b = two(row, env)
            return None if b is None else compare(key(a), key(b))

        return keyed

    def _in_query(self, expression: n.InQuery, scope: Scope) -> Run:
        operand = self.value(expression.operand, scope)
        plan = self.planner.nested(expression.query, scope, self.level)
        if len(plan.columns) != 1:
            raise SqlError(116, "Only one expression can be specified in the select list when it is not in EXISTS.")
        kind = plan.columns[0].type
        meet = common(operand.type, kind)
        one = converted(operand, meet)
        change = converter(kind, meet)
        key = key_function(meet)

        def normal(value: Any) -> Any:
            if value is not None and change is not None:
                value = change(value)
            return value if value is None or key is None else key(value)

        def ask(row: Any, env: Environment) -> set[Any]:
            return {normal(found[0]) for found in plan.rows(env.inside(row))}

        options = self._once(plan, ask)

        def test(row: Any, env: Environment) -> bool | None:
            among = options(row, env)
            if not among:
                return False
            value = one(row, env)
            if value is None:
                return None
            if (value if key is None else key(value)) in among:
                return True
            return None if None in among else False

        return _negated(test, expression.negated)

    def _like(self, expression: n.Like, scope: Scope) -> Run:
        text = SqlType(Kind.NVARCHAR, length=MAX)
        one = converted(self.value(expression.operand, scope), text)
        two = converted(self.value(expression.pattern, scope), text)
        escape = constant(None)
        if expression.escape is not None:
            escape = converted(self.value(expression.escape, scope), text)

        def test(row: Any, env: Environment) -> bool | None:
            value, pattern = one(row, env), two(row, env)
            if value is None or pattern is None:
                return None
            return _pattern(pattern, escape(row, env)).fullmatch(value) is not None

        return _negated(test, expression.negated)


def refuse_without_quoted_identifiers(session: Session) -> None:
    """Methods of xml need QUOTED_IDENTIFIER ON: sqlcmd has it off, and a procedure remembers how it was made."""
    if not session.quoted_identifiers:
        raise SqlError(
            1934,
            "SELECT failed because the following SET options have incorrect settings: 'QUOTED_IDENTIFIER'. Verify that "
            "SET options are correct for use with XML data type methods.",
        )


def element_of(run: Run) -> Run:
    """The element an xml value is, parsed if it is text."""

    def find(row: Any, env: Environment) -> Any:
        value = run(row, env)
        if isinstance(value, str):
            key = hash(("xml", value))
            found = env.cache.get(key)
            if found is None:
                found = env.cache[key] = xmlpath.parse(value)
            return found
        return value

    return find


def widest(values: Sequence[Compiled]) -> SqlType:
    """The type several values meet in; NULLs have no say. Raises error 8133 if there is nothing else."""
    kinds = [each.type for each in values if not each.null]
    if not kinds:
        return INT
    result = kinds[0]
    for each in kinds[1:]:
        result = common(result, each)
    return result


def _literal_type(expression: n.Expression, kind: SqlType) -> SqlType:
    """A whole number written out counts as a decimal of its own digits."""
    if isinstance(expression, n.Literal) and isinstance(expression.value, int) and kind.kind in INTEGERS:
        return decimal_type(len(str(abs(expression.value))), 0)
    return kind


def _attempt(run: Run) -> Run:
    def attempt(row: Any, env: Environment) -> Any:
        try:
            return run(row, env)
        except SqlError:
            return None

    return attempt


def _strict(apply: Callable[[Any, Any], Any], left: Run, right: Run, fit: Callable[[Any], Any] | None = None) -> Run:
    if fit is None:

        def plain(row: Any, env: Environment) -> Any:
            a = left(row, env)
            if a is None:
                return None
            b = right(row, env)
            return None if b is None else apply(a, b)

        return plain

    def fitted(row: Any, env: Environment) -> Any:
        a = left(row, env)
        if a is None:
            return None
        b = right(row, env)
        return None if b is None else fit(apply(a, b))

    return fitted


def _all(runs: list[Run]) -> Run:
    def every(row: Any, env: Environment) -> bool | None:
        unknown = False
        for run in runs:
            known = run(row, env)
            if known is False:
                return False
            unknown = unknown or known is None
        return None if unknown else True

    return every


def _any(runs: list[Run]) -> Run:
    def some(row: Any, env: Environment) -> bool | None:
        unknown = False
        for run in runs:
            known = run(row, env)
            if known is True:
                return True
            unknown = unknown or known is None
        return None if unknown else False

    return some


def _negated(run: Run, negated: bool) -> Run:
    if not negated:
        return run
    return lambda row, env: None if (known := run(row, env)) is None else not known


def _divided(a: Any, b: Any) -> None:
    if b == 0:
        raise SqlError(8134, "Divide by zero error encountered.")


def _integer_division(a: int, b: int) -> int:
    _divided(a, b)
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _integer_remainder(a: int, b: int) -> int:
    return a - b * _integer_division(a, b)


def _decimal(a: Any) -> Decimal:
    return a if isinstance(a, Decimal) else Decimal(a)


def _decimal_division(a: Any, b: Any) -> Decimal:
    _divided(a, b)
    return CONTEXT.divide(_decimal(a), _decimal(b))


def _decimal_remainder(a: Any, b: Any) -> Decimal:
    _divided(a, b)
    return CONTEXT.remainder(_decimal(a), _decimal(b))


def _float_division(a: Any, b: Any) -> float:
    _divided(a, b)
    return float(a) / float(b)


_INTEGER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _integer_division,
    "%": _integer_remainder,
}
_DECIMAL: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": lambda a, b: CONTEXT.add(_decimal(a), _decimal(b)),
    "-": lambda a, b: CONTEXT.subtract(_decimal(a), _decimal(b)),
    "*": lambda a, b: CONTEXT.multiply(_decimal(a), _decimal(b)),
    "/": _decimal_division,
    "%": _decimal_remainder,
}
_FLOAT: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": lambda a, b: float(a) + float(b),
    "-": lambda a, b: float(a) - float(b),
    "*": lambda a, b: float(a) * float(b),
    "/": _float_division,
    "%": _float_division,
}


def _pattern(pattern: str, escape: str | None) -> re.Pattern[str]:
    """A LIKE pattern as a regular expression."""
    found: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if escape and character == escape and at + 1 < len(pattern):
            at += 1
            found.append(re.escape(pattern[at]))
        elif character == "%":
            found.append(".*")
        elif character == "_":
            found.append(".")
        elif character == "[" and "]" in pattern[at:]:
            end = pattern.index("]", at)
            body = pattern[at + 1 : end].replace("\\", "\\\\")
            found.append(f"[{body}]")
            at = end
        else:
            found.append(re.escape(character))
        at += 1
    return re.compile("".join(found), re.IGNORECASE | re.DOTALL)


def _version(session: Session) -> str:
    return session.server.version_text


_GLOBALS: Final[dict[str, tuple[SqlType, Callable[[Session], Any]]]] = {
    "@@trancount": (INT, lambda session: session.transaction_count),
    "@@rowcount": (INT, lambda session: session.row_count),
    "@@error": (INT, lambda session: session.last_error),
    "@@identity": (decimal_type(38, 0), lambda session: session.last_identity),
    "@@spid": (SqlType(Kind.SMALLINT), lambda session: session.spid),
    "@@version": (SqlType(Kind.NVARCHAR, length=300), _version),
    "@@servername": (SYSNAME, lambda session: session.server.name),
    "@@servicename": (SYSNAME, lambda session: "MSSQLSERVER"),
    "@@dbts": (SqlType(Kind.VARBINARY, length=8), lambda session: session.database.last_row_version.to_bytes(8, "big")),
    "@@nestlevel": (INT, lambda session: session.nest_level),
    "@@procid": (INT, lambda session: session.procedure_id),
    "@@max_precision": (SqlType(Kind.TINYINT), lambda session: 38),
    "@@lock_timeout": (INT, lambda session: session.lock_timeout),
    "@@language": (SYSNAME, lambda session: "us_english"),
    "@@datefirst": (SqlType(Kind.TINYINT), lambda session: 7),
    "@@options": (INT, lambda session: 5496),
    "@@fetch_status": (INT, lambda session: -1),
}
