"""The catalogue as tables: INFORMATION_SCHEMA and the sys views, each showing only what the asker may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from connectors.hesabgar.simulator.storage import Column, Object, Principal, Procedure, Row, Table, View
from connectors.hesabgar.simulator.types import (
    BIT,
    DATETIME,
    INT,
    INTEGERS,
    MAX,
    SIZED,
    STRINGS,
    SYSNAME,
    TINYINT,
    UNICODE,
    Kind,
    SqlType,
)

if TYPE_CHECKING:
    from connectors.hesabgar.simulator.compile import Environment
    from connectors.hesabgar.simulator.session import Session

SMALLINT: Final = SqlType(Kind.SMALLINT)
TEXT: Final = SqlType(Kind.NVARCHAR, length=MAX)
WORD: Final = SqlType(Kind.NVARCHAR, length=60)
SHORT: Final = SqlType(Kind.CHAR, length=2)

_TYPE_IDS: Final = {
    Kind.BIT: (104, "bit"),
    Kind.TINYINT: (48, "tinyint"),
    Kind.SMALLINT: (52, "smallint"),
    Kind.INT: (56, "int"),
    Kind.BIGINT: (127, "bigint"),
    Kind.DECIMAL: (106, "decimal"),
    Kind.MONEY: (60, "money"),
    Kind.FLOAT: (62, "float"),
    Kind.NVARCHAR: (231, "nvarchar"),
    Kind.VARCHAR: (167, "varchar"),
    Kind.NCHAR: (239, "nchar"),
    Kind.CHAR: (175, "char"),
    Kind.VARBINARY: (165, "varbinary"),
    Kind.BINARY: (173, "binary"),
    Kind.ROWVERSION: (189, "timestamp"),
    Kind.DATE: (40, "date"),
    Kind.TIME: (41, "time"),
    Kind.DATETIME: (61, "datetime"),
    Kind.DATETIME2: (42, "datetime2"),
    Kind.GUID: (36, "uniqueidentifier"),
    Kind.XML: (241, "xml"),
}
_WIDTHS: Final = {
    Kind.BIT: 1,
    Kind.TINYINT: 1,
    Kind.SMALLINT: 2,
    Kind.INT: 4,
    Kind.BIGINT: 8,
    Kind.MONEY: 8,
    Kind.FLOAT: 8,
    Kind.DATE: 3,
    Kind.TIME: 5,
    Kind.DATETIME: 8,
    Kind.DATETIME2: 8,
    Kind.GUID: 16,
    Kind.ROWVERSION: 8,
    Kind.XML: MAX,
}

Listing = Callable[["Session"], Iterator[Row]]


def _columns(**kinds: SqlType) -> list[Column]:
    return [Column(name, kind) for name, kind in kinds.items()]


def seen(session: Session) -> list[Object]:
    """The objects the session may see, by id."""
    database, user = session.database, session.acting_user
    found = [each for each in database.objects.values() if database.visible(user, each.schema, each.name)]
    return sorted(found, key=lambda each: each.object_id)


def _schema_number(session: Session, name: str) -> int:
    return list(session.database.schemas).index(name.lower()) + 1


def _kind(item: Object) -> tuple[str, str]:
    match item:
        case Table():
            return "U", "USER_TABLE"
        case View():
            return "V", "VIEW"
        case _:
            return "P", "SQL_STORED_PROCEDURE"


def _modified(item: Object) -> Any:
    return item.created if isinstance(item, Table) else item.modified


def byte_length(kind: SqlType) -> int:
    """A column's max_length: in bytes, -1 for max."""
    if kind.kind in SIZED:
        return kind.length * 2 if kind.kind in UNICODE and kind.length != MAX else kind.length
    if kind.kind is Kind.DECIMAL:
        return 5 if kind.precision <= 9 else 9 if kind.precision <= 19 else 13 if kind.precision <= 28 else 17
    return _WIDTHS[kind.kind]


def _precision(kind: SqlType) -> int:
    if kind.kind in INTEGERS:
        return INTEGERS[kind.kind][2]
    return {Kind.FLOAT: 53, Kind.DATE: 10, Kind.DATETIME: 23, Kind.DATETIME2: 27, Kind.TIME: 16}.get(
        kind.kind, kind.precision
    )


def _objects(session: Session, *kinds: type[Any]) -> Iterator[Row]:
    for item in seen(session):
        if not kinds or isinstance(item, kinds):
            short, long = _kind(item)
            yield (
                item.name, item.object_id, None, _schema_number(session, item.schema), 0, short, long,
                item.created, _modified(item), False,
            )  # fmt: skip


_OBJECT: Final = _columns(
    name=SYSNAME, object_id=INT, principal_id=INT, schema_id=INT, parent_object_id=INT, type=SHORT, type_desc=WORD,
    create_date=DATETIME, modify_date=DATETIME, is_ms_shipped=BIT,
)  # fmt: skip


def _with_columns(session: Session) -> Iterator[tuple[Table | View, int, Column]]:
    for item in seen(session):
        if isinstance(item, Table | View):
            for at, column in enumerate(item.columns, start=1):
                yield item, at, column


def _sys_columns(session: Session) -> Iterator[Row]:
    for item, at, column in _with_columns(session):
        kind = column.type
        number = _TYPE_IDS[kind.kind][0]
        collation = session.server.collation if kind.kind in STRINGS else None
        yield (
            item.object_id, column.name, at, number, number, byte_length(kind), _precision(kind), kind.scale, collation,
            column.nullable, column.identity is not None, column.computed is not None,
        )  # fmt: skip


def _types(session: Session) -> Iterator[Row]:
    for number, name in _TYPE_IDS.values():
        yield (name, number, number, 4, name != "sysname", False)


def _schemas(session: Session) -> Iterator[Row]:
    for number, name in enumerate(session.database.schemas.values(), start=1):
        yield (name, number, 1)


def _modules(session: Session) -> Iterator[Row]:
    for item in seen(session):
        if isinstance(item, View | Procedure):
            quoted = item.quoted_identifiers if isinstance(item, Procedure) else True
            as_owner = -2 if isinstance(item, Procedure) and item.as_owner else None
            yield (item.object_id, item.text, True, quoted, as_owner)


def _parameters(session: Session) -> Iterator[Row]:
    for item in seen(session):
        if isinstance(item, Procedure):
            for at, each in enumerate(item.definition.parameters, start=1):
                number = _TYPE_IDS[each.type.kind][0]
                yield (
                    item.object_id, each.name, at, number, number, byte_length(each.type), _precision(each.type),
                    each.type.scale, each.output, each.default is not None,
                )  # fmt: skip


def _indexes(session: Session) -> Iterator[Row]:
    for item in seen(session):
        if isinstance(item, Table):
            for at, index in enumerate(item.listed_indexes, start=1):
                yield (
                    item.object_id, index.name, at, 1 if index.kind == "primary" else 2, index.unique,
                    index.kind == "primary", index.kind == "unique",
                )  # fmt: skip


def _index_columns(session: Session) -> Iterator[Row]:
    for item in seen(session):
        if isinstance(item, Table):
            for at, index in enumerate(item.listed_indexes, start=1):
                for place, position in enumerate(index.positions, start=1):
                    yield (item.object_id, at, place, position + 1, place, False, False)


def _principals(session: Session) -> Iterator[Row]:
    for each in session.database.principals.values():
        short, long = ("R", "DATABASE_ROLE") if each.kind == "role" else ("S", "SQL_USER")
        yield (each.name, each.principal_id, short, long, "dbo", each.name in ("db_owner", "public"))


def _members(session: Session) -> Iterator[Row]:
    principals = session.database.principals
    for each in principals.values():
        for role in each.roles:
            yield (principals[role].principal_id, each.principal_id)


def _permissions(session: Session) -> Iterator[Row]:
    database = session.database
    for (who, permission, securable), action in database.grants.items():
        grantee: Principal | None = database.principals.get(who)
        kind, _, name = securable.partition(":")
        schema, _, item = name.partition(".")
        found = database.find(schema, item) if kind == "object" else None
        code, text = {"object": (1, "OBJECT_OR_COLUMN"), "schema": (3, "SCHEMA")}.get(kind, (0, "DATABASE"))
        major = found.object_id if found else _schema_number(session, schema) if kind == "schema" else 0
        yield (
            code, text, major, 0, grantee.principal_id if grantee else 0, 1, permission.upper(), action.upper()
        )  # fmt: skip


def _databases(session: Session) -> Iterator[Row]:
    yield (session.database.name, 5, 120, session.server.collation, "ONLINE", session.server.read_committed_snapshot)


def _constraints(session: Session) -> Iterator[Row]:
    database = session.database
    for item in seen(session):
        if isinstance(item, Table):
            for index in item.indexes:
                if index.kind in ("primary", "unique"):
                    kind = "PRIMARY KEY" if index.kind == "primary" else "UNIQUE"
                    yield (database.name, item.schema, index.name, database.name, item.schema, item.name, kind)
            for check in item.checks:
                yield (database.name, item.schema, check.name, database.name, item.schema, item.name, "CHECK")
            for key in item.foreign_keys:
                yield (database.name, item.schema, key.name, database.name, item.schema, item.name, "FOREIGN KEY")


def _key_columns(session: Session) -> Iterator[Row]:
    database = session.database
    for item in seen(session):
        if isinstance(item, Table):
            for index in item.indexes:
                if index.kind in ("primary", "unique"):
                    for at, position in enumerate(index.positions, start=1):
                        column = item.columns[position].name
                        yield (database.name, item.schema, index.name, item.schema, item.name, column, at)
            for key in item.foreign_keys:
                for at, position in enumerate(key.positions, start=1):
                    column = item.columns[position].name
                    yield (database.name, item.schema, key.name, item.schema, item.name, column, at)


def _references(session: Session) -> Iterator[Row]:
    database = session.database
    for item in seen(session):
        if isinstance(item, Table):
            for key in item.foreign_keys:
                unique = next(
                    (index for index in key.table.indexes if index.unique and index.positions == key.references), None
                )
                yield (
                    database.name, item.schema, key.name, database.name, key.table.schema,
                    unique.name if unique else None, "SIMPLE", "NO ACTION", "NO ACTION",
                )  # fmt: skip


def _partitions(session: Session) -> Iterator[Row]:
    for item in seen(session):
        if isinstance(item, Table):
            yield (item.object_id, item.object_id, 1, 1, len(item.rows))


def _is_tables(session: Session) -> Iterator[Row]:
    for item in seen(session):
        if isinstance(item, Table | View):
            yield (session.database.name, item.schema, item.name, "VIEW" if isinstance(item, View) else "BASE TABLE")


def _is_views(session: Session) -> Iterator[Row]:
    for item in seen(session):
        if isinstance(item, View):
            yield (session.database.name, item.schema, item.name, item.text[:4_000])


def _is_columns(session: Session) -> Iterator[Row]:
    for item, at, column in _with_columns(session):
        kind = column.type
        sized = kind.kind in SIZED
        numeric = (kind.kind in INTEGERS and kind.kind is not Kind.BIT) or kind.kind in (Kind.DECIMAL, Kind.MONEY)
        moment = {Kind.DATE: 0, Kind.DATETIME: 3, Kind.DATETIME2: kind.scale, Kind.TIME: kind.scale}.get(kind.kind)
        yield (
            session.database.name, item.schema, item.name, column.name, at,
            f"({column.default_text})" if column.default_text else None,
            "YES" if column.nullable else "NO", kind.kind.value,
            kind.length if sized else None, byte_length(kind) if sized else None,
            _precision(kind) if numeric else None, 10 if numeric else None, kind.scale if numeric else None, moment,
            "UNICODE" if kind.kind in UNICODE else "cp1256" if kind.kind in STRINGS else None,
            session.server.collation if kind.kind in STRINGS else None,
        )  # fmt: skip


def _is_routines(session: Session) -> Iterator[Row]:
    for item in seen(session):
        if isinstance(item, Procedure):
            yield (
                session.database.name, item.schema, item.name, session.database.name, item.schema, item.name,
                "PROCEDURE", item.text[:4_000], item.created, item.modified,
            )  # fmt: skip


def _is_parameters(session: Session) -> Iterator[Row]:
    for item in seen(session):
        if isinstance(item, Procedure):
            for at, each in enumerate(item.definition.parameters, start=1):
                yield (
                    session.database.name, item.schema, item.name, at, "INOUT" if each.output else "IN", each.name,
                    each.type.kind.value, each.type.length if each.type.kind in SIZED else None,
                    each.type.precision or None, each.type.scale or None,
                )  # fmt: skip


def _is_schemata(session: Session) -> Iterator[Row]:
    for name in session.database.schemas.values():
        yield (session.database.name, name, "dbo")


VIRTUAL: Final[dict[tuple[str, str], tuple[list[Column], Listing]]] = {
    ("sys", "objects"): (_OBJECT, _objects),
    ("sys", "all_objects"): (_OBJECT, _objects),
    ("sys", "tables"): (_OBJECT, lambda session: _objects(session, Table)),
    ("sys", "views"): (_OBJECT, lambda session: _objects(session, View)),
    ("sys", "procedures"): (_OBJECT, lambda session: _objects(session, Procedure)),
    ("sys", "schemas"): (_columns(name=SYSNAME, schema_id=INT, principal_id=INT), _schemas),
    ("sys", "columns"): (
        _columns(
            object_id=INT, name=SYSNAME, column_id=INT, system_type_id=TINYINT, user_type_id=INT, max_length=SMALLINT,
            precision=TINYINT, scale=TINYINT, collation_name=SYSNAME, is_nullable=BIT, is_identity=BIT, is_computed=BIT,
        ),
        _sys_columns,
    ),
    ("sys", "types"): (
        _columns(
            name=SYSNAME, system_type_id=TINYINT, user_type_id=INT, schema_id=INT, is_nullable=BIT, is_user_defined=BIT
        ),
        _types,
    ),
    ("sys", "sql_modules"): (
        _columns(
            object_id=INT, definition=TEXT, uses_ansi_nulls=BIT, uses_quoted_identifier=BIT,
            execute_as_principal_id=INT,
        ),
        _modules,
    ),
    ("sys", "parameters"): (
        _columns(
            object_id=INT, name=SYSNAME, parameter_id=INT, system_type_id=TINYINT, user_type_id=INT,
            max_length=SMALLINT, precision=TINYINT, scale=TINYINT, is_output=BIT, has_default_value=BIT,
        ),
        _parameters,
    ),
    ("sys", "indexes"): (
        _columns(
            object_id=INT, name=SYSNAME, index_id=INT, type=TINYINT, is_unique=BIT, is_primary_key=BIT,
            is_unique_constraint=BIT,
        ),
        _indexes,
    ),
    ("sys", "index_columns"): (
        _columns(
            object_id=INT, index_id=INT, index_column_id=INT, column_id=INT, key_ordinal=TINYINT,
            is_descending_key=BIT, is_included_column=BIT,
        ),
        _index_columns,
    ),
    ("sys", "partitions"): (
        _columns(
            partition_id=SqlType(Kind.BIGINT), object_id=INT, index_id=INT, partition_number=INT,
            rows=SqlType(Kind.BIGINT),
        ),
        _partitions,
    ),
    ("sys", "database_principals"): (
        _columns(
            name=SYSNAME, principal_id=INT, type=SHORT, type_desc=WORD, default_schema_name=SYSNAME, is_fixed_role=BIT
        ),
        _principals,
    ),
    ("sys", "database_role_members"): (_columns(role_principal_id=INT, member_principal_id=INT), _members),
    ("sys", "database_permissions"): (
        _columns(
            **{"class": TINYINT}, class_desc=WORD, major_id=INT, minor_id=INT, grantee_principal_id=INT,
            grantor_principal_id=INT, permission_name=SYSNAME, state_desc=WORD,
        ),
        _permissions,
    ),
    ("sys", "databases"): (
        _columns(
            name=SYSNAME, database_id=INT, compatibility_level=TINYINT, collation_name=SYSNAME, state_desc=WORD,
            is_read_committed_snapshot_on=BIT,
        ),
        _databases,
    ),
    ("information_schema", "tables"): (
        _columns(TABLE_CATALOG=SYSNAME, TABLE_SCHEMA=SYSNAME, TABLE_NAME=SYSNAME, TABLE_TYPE=WORD),
        _is_tables,
    ),
    ("information_schema", "views"): (
        _columns(TABLE_CATALOG=SYSNAME, TABLE_SCHEMA=SYSNAME, TABLE_NAME=SYSNAME, VIEW_DEFINITION=TEXT),
        _is_views,
    ),
    ("information_schema", "columns"): (
        _columns(
            TABLE_CATALOG=SYSNAME, TABLE_SCHEMA=SYSNAME, TABLE_NAME=SYSNAME, COLUMN_NAME=SYSNAME, ORDINAL_POSITION=INT,
            COLUMN_DEFAULT=TEXT, IS_NULLABLE=SqlType(Kind.VARCHAR, length=3), DATA_TYPE=SYSNAME,
            CHARACTER_MAXIMUM_LENGTH=INT, CHARACTER_OCTET_LENGTH=INT, NUMERIC_PRECISION=TINYINT,
            NUMERIC_PRECISION_RADIX=SMALLINT, NUMERIC_SCALE=INT, DATETIME_PRECISION=SMALLINT,
            CHARACTER_SET_NAME=SYSNAME, COLLATION_NAME=SYSNAME,
        ),
        _is_columns,
    ),
    ("information_schema", "routines"): (
        _columns(
            SPECIFIC_CATALOG=SYSNAME, SPECIFIC_SCHEMA=SYSNAME, SPECIFIC_NAME=SYSNAME, ROUTINE_CATALOG=SYSNAME,
            ROUTINE_SCHEMA=SYSNAME, ROUTINE_NAME=SYSNAME, ROUTINE_TYPE=WORD, ROUTINE_DEFINITION=TEXT,
            CREATED=DATETIME, LAST_ALTERED=DATETIME,
        ),
        _is_routines,
    ),
    ("information_schema", "parameters"): (
        _columns(
            SPECIFIC_CATALOG=SYSNAME, SPECIFIC_SCHEMA=SYSNAME, SPECIFIC_NAME=SYSNAME, ORDINAL_POSITION=INT,
            PARAMETER_MODE=WORD, PARAMETER_NAME=SYSNAME, DATA_TYPE=SYSNAME, CHARACTER_MAXIMUM_LENGTH=INT,
            NUMERIC_PRECISION=TINYINT, NUMERIC_SCALE=INT,
        ),
        _is_parameters,
    ),
    ("information_schema", "schemata"): (
        _columns(CATALOG_NAME=SYSNAME, SCHEMA_NAME=SYSNAME, SCHEMA_OWNER=SYSNAME),
        _is_schemata,
    ),
    ("information_schema", "table_constraints"): (
        _columns(
            CONSTRAINT_CATALOG=SYSNAME, CONSTRAINT_SCHEMA=SYSNAME, CONSTRAINT_NAME=SYSNAME, TABLE_CATALOG=SYSNAME,
            TABLE_SCHEMA=SYSNAME, TABLE_NAME=SYSNAME, CONSTRAINT_TYPE=WORD,
        ),
        _constraints,
    ),
    ("information_schema", "referential_constraints"): (
        _columns(
            CONSTRAINT_CATALOG=SYSNAME, CONSTRAINT_SCHEMA=SYSNAME, CONSTRAINT_NAME=SYSNAME,
            UNIQUE_CONSTRAINT_CATALOG=SYSNAME, UNIQUE_CONSTRAINT_SCHEMA=SYSNAME, UNIQUE_CONSTRAINT_NAME=SYSNAME,
            MATCH_OPTION=WORD, UPDATE_RULE=WORD, DELETE_RULE=WORD,
        ),
        _references,
    ),
    ("information_schema", "key_column_usage"): (
        _columns(
            CONSTRAINT_CATALOG=SYSNAME, CONSTRAINT_SCHEMA=SYSNAME, CONSTRAINT_NAME=SYSNAME, TABLE_SCHEMA=SYSNAME,
            TABLE_NAME=SYSNAME, COLUMN_NAME=SYSNAME, ORDINAL_POSITION=INT,
        ),
        _key_columns,
    ),
}  # fmt: skip


def virtual(schema: str, name: str) -> tuple[list[Column], Callable[[Environment], Iterator[Row]]] | None:
    """A catalogue view's columns and rows; None if there is no such view."""
    found = VIRTUAL.get((schema.lower(), name.lower()))
    if found is None:
        return None
    columns, listing = found
    return columns, lambda env: listing(env.session)
