"""The syntax tree of the T-SQL the simulator understands. Names are kept as written; they compare without case."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.hesabgar.simulator.types import SqlType

Name = tuple[str, ...]
"""A name with its qualifiers, the object's own name last."""


# --- expressions --------------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class Literal:
    value: object
    type: SqlType


@dataclass(slots=True, frozen=True)
class Variable:
    name: str
    """In lower case, with its @ or @@."""


@dataclass(slots=True, frozen=True)
class Column:
    name: Name


@dataclass(slots=True, frozen=True)
class Star:
    qualifier: Name = ()


@dataclass(slots=True, frozen=True)
class Unary:
    operator: str
    operand: Expression


@dataclass(slots=True, frozen=True)
class Binary:
    operator: str
    left: Expression
    right: Expression


@dataclass(slots=True, frozen=True)
class Comparison:
    operator: str
    left: Expression
    right: Expression


@dataclass(slots=True, frozen=True)
class Logical:
    """AND or OR over two or more."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(slots=True, frozen=True)
class Not:
    operand: Expression


@dataclass(slots=True, frozen=True)
class IsNull:
    operand: Expression
    negated: bool


@dataclass(slots=True, frozen=True)
class InList:
    operand: Expression
    options: tuple[Expression, ...]
    negated: bool


@dataclass(slots=True, frozen=True)
class InQuery:
    operand: Expression
    query: Query
    negated: bool


@dataclass(slots=True, frozen=True)
class Like:
    operand: Expression
    pattern: Expression
    escape: Expression | None
    negated: bool


@dataclass(slots=True, frozen=True)
class Exists:
    query: Query


@dataclass(slots=True, frozen=True)
class Scalar:
    """A query in brackets that gives one value."""

    query: Query


@dataclass(slots=True, frozen=True)
class Case:
    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


@dataclass(slots=True, frozen=True)
class Cast:
    operand: Expression
    type: SqlType
    style: Expression | None = None
    attempt: bool = False
    """TRY_CAST and TRY_CONVERT: NULL instead of an error."""


@dataclass(slots=True, frozen=True)
class Over:
    partition: tuple[Expression, ...]
    order: tuple[Order, ...]


@dataclass(slots=True, frozen=True)
class Call:
    name: str
    """In lower case."""
    arguments: tuple[Expression, ...]
    distinct: bool = False
    over: Over | None = None


@dataclass(slots=True, frozen=True)
class Method:
    """A method of an xml value: value, exist, query."""

    target: Expression
    name: str
    arguments: tuple[Expression, ...]


Expression = (
    Literal
    | Variable
    | Column
    | Star
    | Unary
    | Binary
    | Comparison
    | Logical
    | Not
    | IsNull
    | InList
    | InQuery
    | Like
    | Exists
    | Scalar
    | Case
    | Cast
    | Call
    | Method
)


# --- queries ------------------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class Order:
    expression: Expression
    descending: bool


@dataclass(slots=True, frozen=True)
class Item:
    """One of a SELECT's columns; ``variable`` when it assigns."""

    expression: Expression
    alias: str | None = None
    variable: str | None = None


@dataclass(slots=True, frozen=True)
class TableSource:
    name: Name
    alias: str
    hints: frozenset[str] = frozenset()


@dataclass(slots=True, frozen=True)
class DerivedSource:
    query: Query
    alias: str
    columns: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class NodesSource:
    """``target.nodes('path') AS alias(column)``."""

    target: Expression
    path: str
    alias: str
    column: str


@dataclass(slots=True, frozen=True)
class Join:
    kind: str
    """inner, left, right, full, cross, cross apply, outer apply."""
    left: Source
    right: Source
    on: Expression | None


Source = TableSource | DerivedSource | NodesSource | Join


@dataclass(slots=True, frozen=True)
class Select:
    items: tuple[Item, ...]
    source: Source | None = None
    where: Expression | None = None
    group: tuple[Expression, ...] = ()
    having: Expression | None = None
    order: tuple[Order, ...] = ()
    distinct: bool = False
    top: Expression | None = None
    top_percent: bool = False
    into: Name | None = None
    offset: Expression | None = None
    fetch: Expression | None = None


@dataclass(slots=True, frozen=True)
class Values:
    rows: tuple[tuple[Expression, ...], ...]


@dataclass(slots=True, frozen=True)
class SetOperation:
    """union, union all, except, intersect."""

    operator: str
    left: Query
    right: Query
    order: tuple[Order, ...] = ()
    offset: Expression | None = None
    fetch: Expression | None = None


@dataclass(slots=True, frozen=True)
class With:
    """Common table expressions before a query."""

    tables: tuple[tuple[str, tuple[str, ...], Query], ...]
    query: Query


Query = Select | Values | SetOperation | With


# --- statements ---------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Statement:
    """``line`` counts from 1 in its batch or module; ``plan`` holds what was compiled of it."""

    line: int = field(default=0, kw_only=True)
    plan: object = field(default=None, kw_only=True, repr=False)


@dataclass(slots=True, eq=False)
class Block(Statement):
    body: list[Statement]


@dataclass(slots=True, eq=False)
class If(Statement):
    condition: Expression
    then: Statement
    otherwise: Statement | None


@dataclass(slots=True, eq=False)
class While(Statement):
    condition: Expression
    body: Statement


@dataclass(slots=True, eq=False)
class Try(Statement):
    body: Block
    handler: Block


@dataclass(slots=True, eq=False)
class Break(Statement):
    pass


@dataclass(slots=True, eq=False)
class Continue(Statement):
    pass


@dataclass(slots=True, eq=False)
class Return(Statement):
    value: Expression | None


@dataclass(slots=True, eq=False)
class Declare(Statement):
    variables: list[tuple[str, SqlType, Expression | None]]


@dataclass(slots=True, eq=False)
class DeclareTable(Statement):
    name: str
    table: TableDefinition


@dataclass(slots=True, eq=False)
class Assign(Statement):
    variable: str
    value: Expression


@dataclass(slots=True, eq=False)
class SetOption(Statement):
    names: tuple[str, ...]
    value: str


@dataclass(slots=True, eq=False)
class Ask(Statement):
    """A query whose rows go to the client, to variables or to a new table."""

    query: Query


@dataclass(slots=True, eq=False)
class Insert(Statement):
    table: Name
    columns: tuple[str, ...]
    query: Query | None
    execute: Execute | None
    output: Output | None


@dataclass(slots=True, frozen=True)
class Output:
    items: tuple[Item, ...]
    into: Name | None
    columns: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Change:
    """One SET of an UPDATE: a column, a variable, or both (@v = column = expression)."""

    column: Name | None
    variable: str | None
    value: Expression


@dataclass(slots=True, eq=False)
class Update(Statement):
    target: Name
    changes: tuple[Change, ...]
    source: Source | None
    where: Expression | None
    output: Output | None
    top: Expression | None
    with_: tuple[tuple[str, tuple[str, ...], Query], ...] = ()


@dataclass(slots=True, eq=False)
class Delete(Statement):
    target: Name
    source: Source | None
    where: Expression | None
    output: Output | None
    top: Expression | None
    with_: tuple[tuple[str, tuple[str, ...], Query], ...] = ()


@dataclass(slots=True, eq=False)
class Truncate(Statement):
    table: Name


@dataclass(slots=True, frozen=True)
class Argument:
    name: str | None
    value: Expression | None
    """None for DEFAULT."""
    output: bool


@dataclass(slots=True, eq=False)
class Execute(Statement):
    """A procedure by name (or by a variable that holds its name), or text in brackets."""

    procedure: Name | None
    variable: str | None
    text: Expression | None
    arguments: list[Argument]
    result: str | None


@dataclass(slots=True, eq=False)
class Throw(Statement):
    number: Expression | None
    message: Expression | None
    state: Expression | None


@dataclass(slots=True, eq=False)
class RaiseError(Statement):
    message: Expression
    severity: Expression
    state: Expression
    arguments: tuple[Expression, ...]
    options: frozenset[str]


@dataclass(slots=True, eq=False)
class Print(Statement):
    message: Expression


@dataclass(slots=True, eq=False)
class Begin(Statement):
    name: str | None


@dataclass(slots=True, eq=False)
class Commit(Statement):
    pass


@dataclass(slots=True, eq=False)
class Rollback(Statement):
    name: str | None


@dataclass(slots=True, eq=False)
class Save(Statement):
    name: str


@dataclass(slots=True, eq=False)
class WaitFor(Statement):
    delay: Expression


@dataclass(slots=True, eq=False)
class Use(Statement):
    database: str


# --- definitions --------------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class ColumnDefinition:
    name: str
    type: SqlType
    nullable: bool = True
    identity: tuple[int, int] | None = None
    default: Expression | None = None
    default_text: str = ""
    computed: Expression | None = None
    collation: str = ""


@dataclass(slots=True, frozen=True)
class KeyDefinition:
    name: str | None
    kind: str
    """primary, unique."""
    columns: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class CheckDefinition:
    name: str | None
    condition: Expression
    text: str


@dataclass(slots=True, frozen=True)
class ForeignKeyDefinition:
    name: str | None
    columns: tuple[str, ...]
    table: Name
    references: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class TableDefinition:
    columns: tuple[ColumnDefinition, ...]
    keys: tuple[KeyDefinition, ...] = ()
    checks: tuple[CheckDefinition, ...] = ()
    foreign_keys: tuple[ForeignKeyDefinition, ...] = ()
    defaults: tuple[tuple[str, Expression, str], ...] = ()
    """Column, value and text of what ALTER TABLE ADD CONSTRAINT … DEFAULT … FOR … adds."""


@dataclass(slots=True, eq=False)
class CreateTable(Statement):
    name: Name
    table: TableDefinition


@dataclass(slots=True, eq=False)
class AlterTable(Statement):
    """Adds columns and constraints, or drops them by name."""

    name: Name
    add: TableDefinition | None
    drop_columns: tuple[str, ...] = ()
    drop_constraints: tuple[str, ...] = ()
    alter: ColumnDefinition | None = None


@dataclass(slots=True, eq=False)
class CreateIndex(Statement):
    name: str
    table: Name
    columns: tuple[str, ...]
    unique: bool
    where: Expression | None


@dataclass(slots=True, eq=False)
class DropIndex(Statement):
    name: str
    table: Name


@dataclass(slots=True, frozen=True)
class Parameter:
    name: str
    type: SqlType
    default: Expression | None
    output: bool


@dataclass(slots=True, eq=False)
class DefineProcedure(Statement):
    name: Name
    alter: bool
    parameters: tuple[Parameter, ...]
    options: frozenset[str]
    body: Block
    text: str
    execute_as: str = ""


@dataclass(slots=True, eq=False)
class DefineView(Statement):
    name: Name
    alter: bool
    columns: tuple[str, ...]
    query: Query
    text: str


@dataclass(slots=True, eq=False)
class DropObjects(Statement):
    """table, view, procedure, schema, role, user, login."""

    kind: str
    names: tuple[Name, ...]


@dataclass(slots=True, eq=False)
class CreateSchema(Statement):
    name: str
    owner: str


@dataclass(slots=True, eq=False)
class CreatePrincipal(Statement):
    """role, login, user, or password (of a login there is)."""

    kind: str
    name: str
    detail: str
    """A login's password, a user's login, a role's owner."""


@dataclass(slots=True, eq=False)
class AlterRole(Statement):
    role: str
    member: str
    add: bool


@dataclass(slots=True, eq=False)
class Permission(Statement):
    """grant, deny or revoke on an object or a schema."""

    action: str
    permissions: tuple[str, ...]
    kind: str
    """object, schema, database."""
    name: Name
    columns: tuple[str, ...]
    principals: tuple[str, ...]
