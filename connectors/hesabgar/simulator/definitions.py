"""CREATE, ALTER, DROP, GRANT and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.hesabgar.simulator import nodes as n
from connectors.hesabgar.simulator.changes import table_scope
from connectors.hesabgar.simulator.errors import SqlError, invalid_object
from connectors.hesabgar.simulator.parser import declared
from connectors.hesabgar.simulator.query import Plan, Planner
from connectors.hesabgar.simulator.storage import (
    Check,
    Column,
    ForeignKey,
    Index,
    Principal,
    Procedure,
    Table,
    Transaction,
    Undo,
    View,
)
from connectors.hesabgar.simulator.types import Kind

if TYPE_CHECKING:
    from connectors.hesabgar.simulator.session import Session


def _missing(kind: str, name: str) -> SqlError:
    return SqlError(
        3701,
        f"Cannot drop the {kind} '{name}', because it does not exist or you do not have permission.",
        severity=11,
        state=5,
    )


def _split(session: Session, name: n.Name) -> tuple[str, str]:
    """Schema and name. Raises error 2760 when there is no such schema."""
    schema = name[-2] if len(name) > 1 and name[-2] else "dbo"
    found = session.database.schemas.get(schema.lower())
    if found is None:
        raise SqlError(
            2760, f'The specified schema name "{schema}" either does not exist or you do not have permission to use it.'
        )
    return found, name[-1]


def _column(definition: n.ColumnDefinition) -> Column:
    return Column(
        definition.name,
        definition.type,
        definition.nullable,
        definition.identity,
        definition.default,
        definition.default_text,
        definition.computed,
        definition.type.kind is Kind.ROWVERSION,
    )


def make_table(session: Session, name: n.Name, definition: n.TableDefinition) -> Table:
    """A table with its keys and constraints, not yet in the catalogue."""
    database = session.database
    columns = [_column(each) for each in definition.columns]
    names = [column.name.lower() for column in columns]
    for at, each in enumerate(names):
        if each in names[:at]:
            raise SqlError(
                2705,
                f"Column names in each table must be unique. Column name '{columns[at].name}' in table '{name[-1]}' is "
                "specified more than once.",
                state=3,
            )
    for key in definition.keys:
        if key.kind == "primary":
            for column in columns:
                if column.name.lower() in {each.lower() for each in key.columns}:
                    column.nullable = False
    schema = name[-2] if len(name) > 1 else "dbo"
    table = Table(schema, name[-1], columns, database.new_id(), session.server.local_now())
    _constrain(session, table, definition)
    for at, column in enumerate(columns):
        if column.computed is not None:
            scope, compiler = table_scope(Planner(session, {}), table)
            columns[at].type = compiler.value(column.computed, scope).type
    return table


def _positions(table: Table, names: tuple[str, ...]) -> tuple[int, ...]:
    found = []
    for name in names:
        at = table.position(name)
        if at is None:
            raise SqlError(1911, f"Column name '{name}' does not exist in the target table or view.")
        found.append(at)
    return tuple(found)


def _constrain(session: Session, table: Table, definition: n.TableDefinition) -> None:
    for key in definition.keys:
        letters = "PK" if key.kind == "primary" else "UQ"
        name = key.name or f"{letters}__{table.name[:9]}__{session.database.new_id():08X}"
        index = Index(name, key.kind, _positions(table, key.columns), table.columns)
        _fill(table, index)
    for check in definition.checks:
        name = check.name or f"CK__{table.name[:9]}__{session.database.new_id():08X}"
        table.checks.append(Check(name, check.condition, check.text))
    for link in definition.foreign_keys:
        other = session.find_object(link.table)
        if not isinstance(other, Table):
            raise SqlError(
                1767, f"Foreign key '{link.name}' references invalid table '{'.'.join(link.table)}'.", state=0
            )
        primary = next((index.positions for index in other.indexes if index.kind == "primary"), ())
        references = _positions(other, link.references) if link.references else primary
        name = link.name or f"FK__{table.name[:9]}__{session.database.new_id():08X}"
        table.foreign_keys.append(ForeignKey(name, _positions(table, link.columns), other, references))
    for column, value, text in definition.defaults:
        at = _positions(table, (column,))[0]
        table.columns[at].default, table.columns[at].default_text = value, text


def _fill(table: Table, index: Index) -> None:
    for row in table.rows.values():
        if index.unique and index.holds(index.key_of(row)):
            raise SqlError(
                1505,
                f"The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name "
                f"'{table.schema}.{table.name}' and the index name '{index.name}'.",
            )
        index.add(row)
    table.indexes.append(index)
    if len(index.positions) > 1 and index.kind != "prefix":
        # A hash finds whole keys only; a tree would also find the rows with one first column.
        _fill(table, Index(index.name, "prefix", index.positions[:1], table.columns))


async def select_into(session: Session, name: n.Name, plan: Plan) -> int:
    """SELECT … INTO a new table."""
    columns = [Column(each.name, each.type, each.nullable) for each in plan.columns]
    for at, column in enumerate(columns, start=1):
        if not column.name:
            raise SqlError(1038, f"An object or column name is missing or empty (column {at}).", severity=15, state=5)
    schema, own = ("dbo", name[-1]) if name[-1].startswith("#") else _split(session, name)
    table = Table(schema, own, columns, session.database.new_id(), session.server.local_now())
    if own.startswith("#"):
        session.add_temporary(table)
    else:
        session.require_owner("CREATE TABLE")
        transaction = await session.lock_for_writing()
        _refuse_existing(session, schema, own)
        transaction.undo.append(session.database.add(table))
    for row in list(plan.rows(session.environment())):
        table.put((*row, next(table.next_row)))
    return len(table.rows)


def _refuse_existing(session: Session, schema: str, name: str) -> None:
    if session.database.find(schema, name) is not None:
        raise SqlError(2714, f"There is already an object named '{name}' in the database.", state=6)


async def run(session: Session, statement: n.Statement) -> None:
    """Run one definition. Raises :class:`SqlError`."""
    if isinstance(statement, n.CreateTable) and statement.name[-1].startswith("#"):
        session.add_temporary(make_table(session, ("dbo", statement.name[-1]), statement.table))
        return
    if (
        isinstance(statement, n.DropObjects)
        and statement.kind == "table"
        and all(name[-1].startswith("#") for name in statement.names)
    ):
        for name in statement.names:
            if not session.drop_temporary(name[-1]):
                raise _missing("table", name[-1])
        return
    session.require_owner(type(statement).__name__)
    transaction = await session.lock_for_writing()
    match statement:
        case n.CreateTable():
            _create_table(session, statement, transaction)
        case n.AlterTable():
            _alter_table(session, statement, transaction)
        case n.CreateIndex():
            _create_index(session, statement, transaction)
        case n.DropIndex():
            _drop_index(session, statement, transaction)
        case n.DefineProcedure():
            _define_procedure(session, statement, transaction)
        case n.DefineView():
            _define_view(session, statement, transaction)
        case n.DropObjects():
            _drop(session, statement, transaction)
        case n.CreateSchema():
            _create_schema(session, statement, transaction)
        case n.CreatePrincipal():
            _create_principal(session, statement, transaction)
        case n.AlterRole():
            alter_role(session, statement.role, statement.member, add=statement.add, transaction=transaction)
        case n.Permission():
            _permit(session, statement, transaction)
        case _:
            raise SqlError(102, "Incorrect syntax.", severity=15)


def _create_table(session: Session, statement: n.CreateTable, transaction: Transaction) -> None:
    schema, name = _split(session, statement.name)
    _refuse_existing(session, schema, name)
    table = make_table(session, (schema, name), statement.table)
    transaction.undo.append(session.database.add(table))


def _table(session: Session, name: n.Name) -> Table:
    found = session.find_object(name)
    if not isinstance(found, Table):
        raise SqlError(
            4902, f'Cannot find the object "{".".join(name)}" because it does not exist or you do not have permissions.'
        )
    return found


def _remember(session: Session, table: Table, transaction: Transaction) -> None:
    """Keep a table's whole shape, so that an ALTER can be undone."""
    columns = [Column(**{name: getattr(each, name) for name in Column.__slots__}) for each in table.columns]
    rows, indexes = dict(table.rows), list(table.indexes)
    checks, keys = list(table.checks), list(table.foreign_keys)

    def undo() -> None:
        table.columns, table.rows, table.indexes = columns, rows, indexes
        table.checks, table.foreign_keys = checks, keys
        for index in table.indexes:
            index.__init__(index.name, index.kind, index.positions, columns)  # type: ignore[misc]
            for row in rows.values():
                index.add(row)
        session.database.version += 1

    transaction.undo.append(undo)
    transaction.touch(table)
    session.database.version += 1


def _alter_table(session: Session, statement: n.AlterTable, transaction: Transaction) -> None:
    table = _table(session, statement.name)
    _remember(session, table, transaction)
    if statement.add is not None:
        for definition in statement.add.columns:
            _add_column(session, table, definition)
        _constrain(session, table, statement.add)
    for name in statement.drop_columns:
        _drop_column(table, name)
    for name in statement.drop_constraints:
        _drop_constraint(table, name)
    if statement.alter is not None:
        at = table.position(statement.alter.name)
        if at is None:
            raise SqlError(
                4924, f"ALTER TABLE ALTER COLUMN failed because column '{statement.alter.name}' does not exist."
            )
        table.columns[at].type, table.columns[at].nullable = statement.alter.type, statement.alter.nullable


def _add_column(session: Session, table: Table, definition: n.ColumnDefinition) -> None:
    if table.position(definition.name) is not None:
        raise SqlError(
            2705,
            f"Column names in each table must be unique. Column name '{definition.name}' in table '{table.name}' is "
            "specified more than once.",
            state=4,
        )
    column = _column(definition)
    if (
        not column.nullable
        and column.default is None
        and not column.rowversion
        and column.identity is None
        and table.rows
    ):
        raise SqlError(
            4901,
            "ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT definition "
            f"specified. Column '{column.name}' cannot be added to non-empty table '{table.name}'.",
        )
    table.columns.append(column)
    for row_id, row in table.rows.items():
        value: object = None
        if column.rowversion:
            value = session.database.next_row_version()
        elif column.default is not None and not column.nullable:
            value = session.evaluate(column.default, column.type, {}, {})
        table.rows[row_id] = (*row[:-1], value, row_id)


def _drop_column(table: Table, name: str) -> None:
    at = table.position(name)
    if at is None:
        raise SqlError(4924, f"ALTER TABLE DROP COLUMN failed because column '{name}' does not exist.")
    for index in table.indexes:
        if at in index.positions:
            raise SqlError(5074, f"The object '{index.name}' is dependent on column '{name}'.")
    del table.columns[at]
    table.rows = {row_id: (*row[:at], *row[at + 1 :]) for row_id, row in table.rows.items()}
    kept, table.indexes = table.indexes, []
    for index in kept:
        if index.kind == "prefix":
            continue
        positions = tuple(each - (each > at) for each in index.positions)
        _fill(table, Index(index.name, index.kind, positions, table.columns))
    for check in table.checks:
        check.run = None
    for key in table.foreign_keys:
        key.positions = tuple(each - (each > at) for each in key.positions)


def _drop_constraint(table: Table, name: str) -> None:
    wanted = name.lower()
    before = len(table.indexes) + len(table.checks) + len(table.foreign_keys)
    table.indexes = [each for each in table.indexes if each.name.lower() != wanted]
    table.checks = [each for each in table.checks if each.name.lower() != wanted]
    table.foreign_keys = [each for each in table.foreign_keys if each.name.lower() != wanted]
    if len(table.indexes) + len(table.checks) + len(table.foreign_keys) == before:
        raise SqlError(3728, f"'{name}' is not a constraint.")


def _create_index(session: Session, statement: n.CreateIndex, transaction: Transaction) -> None:
    table = session.find_temporary(statement.table[-1]) or _table(session, statement.table)
    if any(index.name.lower() == statement.name.lower() for index in table.indexes):
        raise SqlError(
            1913,
            f"The operation failed because an index with name '{statement.name}' already exists on table "
            f"'{table.schema}.{table.name}'.",
        )
    unique = statement.unique and statement.where is None
    kind = "unique index" if unique else "index"
    _fill(table, Index(statement.name, kind, _positions(table, statement.columns), table.columns))
    made = [index for index in table.indexes if index.name == statement.name]

    def undo() -> None:
        table.indexes = [index for index in table.indexes if index not in made]

    transaction.undo.append(undo)
    session.database.version += 1


def _ignore(value: object) -> None:
    del value


def _drop_index(session: Session, statement: n.DropIndex, transaction: Transaction) -> None:
    table = _table(session, statement.table)
    named = [index for index in table.indexes if index.name.lower() == statement.name.lower()]
    if not named or named[0].kind in ("primary", "unique"):
        raise _missing("index", statement.name)
    _remember(session, table, transaction)
    table.indexes = [index for index in table.indexes if index not in named]


def _define_procedure(session: Session, statement: n.DefineProcedure, transaction: Transaction) -> None:
    schema, name = _split(session, statement.name)
    found = session.database.find(schema, name)
    if statement.alter:
        if not isinstance(found, Procedure):
            raise invalid_object(f"{schema}.{name}")
    elif found is not None:
        _refuse_existing(session, schema, name)
    own = declared(statement.body.body)
    parameters = {parameter.name: parameter.type for parameter in statement.parameters}
    now = session.server.local_now()
    procedure = Procedure(
        schema,
        name,
        statement,
        {**own, **parameters},
        statement.text,
        found.object_id if found is not None else session.database.new_id(),
        found.created if found is not None else now,
        now,
        session.quoted_identifiers,
    )
    transaction.undo.append(session.database.add(procedure))


def _define_view(session: Session, statement: n.DefineView, transaction: Transaction) -> None:
    schema, name = _split(session, statement.name)
    found = session.database.find(schema, name)
    if statement.alter:
        if not isinstance(found, View):
            raise invalid_object(f"{schema}.{name}")
    elif found is not None:
        _refuse_existing(session, schema, name)
    plan = Planner(session, {}).plan(statement.query)
    names = statement.columns or tuple(each.name for each in plan.columns)
    if len(names) != len(plan.columns):
        raise SqlError(8158, f"'{name}' has more columns than were specified in the column list.")
    for at, each in enumerate(names, start=1):
        if not each:
            raise SqlError(
                4511, f"Create View or Function failed because no column name was specified for column {at}."
            )
    if len({each.lower() for each in names}) != len(names):
        raise SqlError(4506, f"Column names in each view or function must be unique in view '{name}'.")
    now = session.server.local_now()
    view = View(
        schema,
        name,
        statement.query,
        names,
        statement.text,
        found.object_id if found is not None else session.database.new_id(),
        found.created if found is not None else now,
        now,
        [Column(each, column.type, column.nullable) for each, column in zip(names, plan.columns, strict=True)],
    )
    transaction.undo.append(session.database.add(view))


_KINDS = {"table": Table, "view": View, "procedure": Procedure}


def _drop(session: Session, statement: n.DropObjects, transaction: Transaction) -> None:
    database = session.database
    for name in statement.names:
        if statement.kind in _KINDS:
            found = session.find_object(name)
            if found is None or not isinstance(found, _KINDS[statement.kind]):
                raise _missing(statement.kind, ".".join(name))
            if isinstance(found, Table):
                _refuse_referenced(session, found)
            transaction.undo.append(database.remove(found))
        elif statement.kind == "schema":
            transaction.undo.append(_drop_schema(session, name[-1]))
        elif statement.kind == "login":
            login = session.server.logins.pop(name[-1].lower(), None)
            if login is None:
                raise _missing("login", name[-1])
        else:
            transaction.undo.append(_drop_principal(session, name[-1]))


def _refuse_referenced(session: Session, table: Table) -> None:
    for other in session.database.tables():
        if other is not table and any(key.table is table for key in other.foreign_keys):
            raise SqlError(
                3726,
                f"Could not drop object '{table.schema}.{table.name}' because it is referenced by a FOREIGN KEY "
                "constraint.",
            )


def _drop_schema(session: Session, name: str) -> Undo:
    database = session.database
    key = name.lower()
    if key not in database.schemas:
        raise SqlError(
            15151, f"Cannot drop the schema '{name}', because it does not exist or you do not have permission."
        )
    for schema, item in database.objects:
        if schema == key:
            raise SqlError(3729, f"Cannot drop schema '{name}' because it is being referenced by object '{item}'.")
    before = dict(database.schemas)
    grants = dict(database.grants)
    del database.schemas[key]
    for grant in [each for each in database.grants if each[2] == f"schema:{key}"]:
        del database.grants[grant]
    database.version += 1

    def undo() -> None:
        database.schemas, database.grants = before, grants
        database.version += 1

    return undo


def _drop_principal(session: Session, name: str) -> Undo:
    database = session.database
    key = name.lower()
    found = database.principals.get(key)
    if found is None:
        raise SqlError(
            15151, f"Cannot drop the principal '{name}', because it does not exist or you do not have permission."
        )
    if found.kind == "role" and any(key in each.roles for each in database.principals.values()):
        raise SqlError(15144, "The role has members. It must be empty before it can be dropped.")
    grants = dict(database.grants)
    del database.principals[key]
    for grant in [each for each in database.grants if each[0] == key]:
        del database.grants[grant]
    database.version += 1

    def undo() -> None:
        database.principals[key] = found
        database.grants = grants
        database.version += 1

    return undo


def _create_schema(session: Session, statement: n.CreateSchema, transaction: Transaction) -> None:
    database = session.database
    key = statement.name.lower()
    if key in database.schemas:
        raise SqlError(2714, f"There is already an object named '{statement.name}' in the database.", state=6)
    if statement.owner.lower() not in database.principals:
        raise SqlError(15151, f"Cannot find the user '{statement.owner}', because it does not exist.")
    database.schemas[key] = statement.name
    database.version += 1
    transaction.undo.append(lambda: _ignore(database.schemas.pop(key, None)))


def _create_principal(session: Session, statement: n.CreatePrincipal, transaction: Transaction) -> None:
    database, server = session.database, session.server
    key = statement.name.lower()
    if statement.kind == "password":
        if key not in server.logins:
            raise SqlError(15151, f"Cannot alter the login '{statement.name}', because it does not exist.")
        server.logins[key] = statement.detail
        return
    if statement.kind == "login":
        if key in server.logins:
            raise SqlError(15025, f"The server principal '{statement.name}' already exists.")
        server.logins[key] = statement.detail
        return
    if key in database.principals:
        raise SqlError(15023, f"User, group, or role '{statement.name}' already exists in the current database.")
    if statement.kind == "user" and statement.detail.lower() not in server.logins:
        raise SqlError(15007, f"'{statement.detail}' is not a valid login or you do not have permission.")
    login = statement.detail if statement.kind == "user" else ""
    principal_id = 5 + len(database.principals)
    database.principals[key] = Principal(statement.name, statement.kind, principal_id, login.lower())
    transaction.undo.append(lambda: _ignore(database.principals.pop(key, None)))


def alter_role(session: Session, role: str, member: str, *, add: bool, transaction: Transaction) -> None:
    """Put a member into a role, or take it out."""
    database = session.database
    found, target = database.principals.get(member.lower()), database.principals.get(role.lower())
    if target is None or target.kind != "role":
        raise SqlError(
            15151, f"Cannot alter the role '{role}', because it does not exist or you do not have permission."
        )
    if found is None:
        raise SqlError(
            15151, f"Cannot add the principal '{member}', because it does not exist or you do not have permission."
        )
    before = set(found.roles)
    principal = found
    (principal.roles.add if add else principal.roles.discard)(role.lower())

    def undo() -> None:
        principal.roles = before

    transaction.undo.append(undo)


def _permit(session: Session, statement: n.Permission, transaction: Transaction) -> None:
    database = session.database
    if statement.kind == "object":
        found = session.find_object(statement.name)
        if found is None:
            raise SqlError(
                15151,
                f"Cannot find the object '{statement.name[-1]}', because it does not exist or you do not "
                "have permission.",
            )
        securable = f"object:{found.schema.lower()}.{found.name.lower()}"
    elif statement.kind == "schema":
        if statement.name[-1].lower() not in database.schemas:
            raise SqlError(15151, f"Cannot find the schema '{statement.name[-1]}', because it does not exist.")
        securable = f"schema:{statement.name[-1].lower()}"
    else:
        securable = "database"
    before = dict(database.grants)
    for who in statement.principals:
        if who.lower() not in database.principals:
            raise SqlError(
                15151, f"Cannot find the user '{who}', because it does not exist or you do not have permission."
            )
        for permission in statement.permissions:
            key = (who.lower(), permission, securable)
            if statement.action == "revoke":
                database.grants.pop(key, None)
            else:
                database.grants[key] = statement.action

    def undo() -> None:
        database.grants = before

    transaction.undo.append(undo)
