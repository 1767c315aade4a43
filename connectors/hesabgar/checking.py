"""Whether a server is fit to be connected: what `hub hesabgar check` tells, and what starting demands."""

from typing import Final, NamedTuple

from connectors.base import ConnectorError, Unauthorised
from connectors.hesabgar.build import build_of
from connectors.hesabgar.client import Client
from connectors.hesabgar.spec import Role, Spec

MINIMUM: Final = 12
"""SQL Server's major version that is needed: 2014."""

CONTRACT: Final = 1

_SERVER: Final = (
    "SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')), "
    "CONVERT(nvarchar(128), SERVERPROPERTY('Edition')), "
    "CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Collation'))"
)
_COLUMNS: Final = (
    "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE "
    "FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'hub'"
)
_DUPLICATE_PRODUCTS: Final = "SELECT TOP (10) code, COUNT(*) FROM hub.products GROUP BY code HAVING COUNT(*) > 1"
_DUPLICATE_ACCOUNTS: Final = "SELECT TOP (10) code, COUNT(*) FROM hub.accounts GROUP BY code HAVING COUNT(*) > 1"
_DUPLICATE_UNITS: Final = "SELECT TOP (10) name, COUNT(*) FROM hub.units GROUP BY name HAVING COUNT(*) > 1"


class Finding(NamedTuple):
    """One thing that was looked at: what it is, a sentence, and whether the connection can't work with it."""

    subject: str
    sentence: str
    wrong: bool = False


async def findings(client: Client, spec: Spec) -> list[Finding]:
    """Everything that was looked at, in order; it ends where nothing more can be asked. Writes nothing.

    Raises ConnectorError when the server can't be reached or refuses the login.
    """
    found = [*await _server(client)]
    if any(finding.wrong for finding in found):
        return found
    found += await _contract(client)
    if any(finding.wrong for finding in found):
        return found
    found += await _duplicates(client)
    found += await _accounts(client, spec)
    found.append(await _build(client))
    return found


async def _server(client: Client) -> list[Finding]:
    [(version, edition, collation)] = await client.query(_SERVER)
    major = int(str(version).partition(".")[0] or 0)
    old = major < MINIMUM
    words = f"SQL Server {version}, {edition}"
    return [
        Finding("server", f"{words}: 2014 (12.0) or newer is needed" if old else words, old),
        Finding("collation", *_collation(str(collation))),
    ]


def _collation(name: str) -> tuple[str, bool]:
    if "_CS" in name or "_BIN" in name:
        return f"{name}: codes that differ in case only are different ones here and there", False
    return name, False


async def _contract(client: Client) -> list[Finding]:
    """The contract's version, its views, their columns and types."""
    try:
        [(version, *_)] = await client.query("SELECT version FROM hub.contract_version")
    except Unauthorised:
        raise
    except ConnectorError as error:
        return [Finding("contract", f"schema hub isn't installed, or the login may not see it: {error}", True)]
    if int(version) != CONTRACT:
        return [Finding("contract", f"version {version} is installed, this hub speaks {CONTRACT}: install again", True)]
    rows = await client.query(_COLUMNS)
    there = {(str(table), str(column)): (str(kind), *rest) for table, column, kind, *rest in rows}
    wrong = [Finding("contract", sentence, True) for sentence in _differences(there)]
    return wrong or [Finding("contract", f"version {version}; every column is there, as it must be")]


def _differences(there: dict[tuple[str, str], tuple[object, ...]]) -> list[str]:
    from connectors.hesabgar import sql

    sentences = []
    for view in sql.VIEWS:
        for column in view.all_columns:
            found = there.get((view.name, column.name))
            if found is None:
                sentences.append(f"hub.{view.name} has no column {column.name}")
            elif _type_text(found) != column.type:
                sentences.append(f"hub.{view.name}.{column.name} is {_type_text(found)}, it must be {column.type}")
    return sentences


def _type_text(found: tuple[object, ...]) -> str:
    kind, length, precision, scale = found
    if kind in ("nvarchar", "varchar", "char", "nchar", "varbinary", "binary"):
        return f"{kind}({'max' if length == -1 else length})"
    if kind in ("decimal", "numeric"):
        return f"{kind}({precision},{scale})"
    return str(kind)


async def _duplicates(client: Client) -> list[Finding]:
    found = []
    for subject, query, remedy in (
        ("product codes", _DUPLICATE_PRODUCTS, "give each product a code of its own in Hesabgar"),
        ("account codes", _DUPLICATE_ACCOUNTS, "give each account a code of its own in Hesabgar"),
        ("units", _DUPLICATE_UNITS, "join the units of the same name in Hesabgar"),
    ):
        rows = await client.query(query)
        if rows:
            shown = ", ".join(f"{name} ({count} times)" for name, count in rows)
            found.append(Finding(subject, f"not unique: {shown}; {remedy}", True))
        else:
            found.append(Finding(subject, "each is there once"))
    return found


async def _accounts(client: Client, spec: Spec) -> list[Finding]:
    """The account numbers of the configuration: whether the books have them."""
    if spec.role is not Role.BOOKS or not spec.account_numbers:
        return []
    found = []
    for setting, code in spec.account_numbers.items():
        rows = await client.query(
            "SELECT code FROM hub.accounts WHERE code = %s UNION ALL SELECT code FROM hub.ledgers WHERE code = %s",
            (code, code),
        )
        sentence = f"{setting}: {code}" if rows else f"{setting}: the books have no account or ledger {code}"
        found.append(Finding("account numbers", sentence, not rows))
    return found


async def _build(client: Client) -> Finding:
    build = await build_of(client)
    words = f"{build.build}, fingerprint {build.fingerprint[:12]} over {build.tables} mapped tables"
    if build.missing:
        return Finding("build", f"{words}; {build.missing} of the mapped tables are missing", True)
    return Finding("build", words)
