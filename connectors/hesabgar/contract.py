"""What of the T-SQL contract (schema ``hub``, see ``sql/``) the hub uses: its names, and the batches that are sent.

Values go in as parameters (``%s``), which pymssql writes into the text; row versions and limits are whole numbers of
our own and are written here.
"""

from functools import cached_property
from typing import Any, Final

import msgspec

from schemas.master import Account, CodeList, Finance, ListEntry, Master, Product, Stock, Warehouse

Row = tuple[Any, ...]
"""A row as pymssql gives it."""


class View(msgspec.Struct, frozen=True, dict=True):
    """A view master data are read from: ``fields`` maps its columns to the record's fields.

    ``list``: which list its rows are entries of; with ``{}`` in it, filled by the row's own word.
    ``counted``: what the hub holds against it is given up when it is newer than a posting (stock, finance), so it is
    told anew whenever its row changed, and with the books' own time.
    """

    name: str
    record: type[Master]
    fields: dict[str, str]
    key: tuple[str, ...]
    counted: bool = False
    list: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """In the order they are selected."""
        return tuple(self.fields)

    @cached_property
    def key_columns(self) -> tuple[int, ...]:
        """Where the key's columns are among them."""
        return tuple(self.columns.index(name) for name in self.key)


WAREHOUSES: Final = View("warehouses", Warehouse, {"code": "code", "name": "name", "active": "active"}, ("code",))
PRODUCTS: Final = View(
    "products",
    Product,
    {
        "code": "code",
        "name": "name",
        "unit": "unit",
        "second_unit": "second_unit",
        "price": "price",
        "group_code": "group",
        "vat_exempt": "vat_exempt",
        "vat_percent": "vat_percent",
        "duty_percent": "duty_percent",
        "stocked": "stocked",
        "active": "active",
        "barcode": "barcode",
    },
    ("code",),
)
ACCOUNTS: Final = View(
    "accounts",
    Account,
    {
        "code": "code",
        "name": "name",
        "group_code": "group",
        "ledger_code": "ledger",
        "detail_group": "detail_group",
        "vat_exempt": "vat_exempt",
        "active": "active",
        "phones": "phones",
        "city_code": "city",
        "cost_centre": "cost_centre",
    },
    ("code",),
)
FINANCE: Final = View(
    "customer_finance",
    Finance,
    {
        "account": "account",
        "direct": "direct",
        "documentary": "documentary",
        "balance": "balance",
        "uncleared_cheques": "uncleared_cheques",
        "returned_cheques": "returned_cheques",
    },
    ("account",),
    counted=True,
)
STOCK: Final = View(
    "stock",
    Stock,
    {"product": "product", "warehouse": "warehouse", "attribute": "attribute", "on_hand": "on_hand"},
    ("product", "warehouse", "attribute"),
    counted=True,
)
_ENTRY: Final = {"code": "code", "name": "name"}
CITIES: Final = View("cities", ListEntry, {**_ENTRY, "province": "parent"}, ("code",), list=CodeList.CITY)
LISTS: Final = (
    View("attributes", ListEntry, {**_ENTRY, "product": "product"}, ("code", "product"), list=CodeList.ATTRIBUTE),
    View("groups", ListEntry, {**_ENTRY, "kind": "list", "parent_code": "parent"}, ("code", "kind"), list="{}_group"),
    View("ledgers", ListEntry, _ENTRY, ("code",), list=CodeList.LEDGER),
    CITIES,
    View("cost_centres", ListEntry, {**_ENTRY, "active": "active"}, ("code",), list=CodeList.COST_CENTRE),
)
"""What codes are called. Cities' names are told in accounts as well: other systems know cities by name."""

VIEWS: Final = (*LISTS, WAREHOUSES, PRODUCTS, ACCOUNTS, FINANCE, STOCK)
"""In the order they are told: what others refer to first."""

HORIZON: Final = "SELECT row_version, as_of FROM hub.horizon"
"""Nothing below its row version can appear later; ``as_of`` is the books' clock in UTC, to the millisecond."""

PING: Final = "SELECT 1"

COMMITTED: Final = "WITH (READCOMMITTEDLOCK)"
"""A row that is being changed is waited for, also where the database would show its older version."""


def changed(view: str, columns: tuple[str, ...], since: int, until: int, limit: int | None = None) -> str:
    """Rows with a row version from ``since`` up to and without ``until``, which is their last column; oldest first."""
    top = f"TOP ({limit}) " if limit else ""
    return (
        f"SELECT {top}{', '.join(columns)}, row_version FROM hub.{view} {COMMITTED} "  # noqa: S608
        f"WHERE row_version >= {since} AND row_version < {until} ORDER BY row_version"
    )


def at_version(view: str, columns: tuple[str, ...], version: int) -> str:
    """All rows of one row version."""
    return (
        f"SELECT {', '.join(columns)}, row_version FROM hub.{view} {COMMITTED} "  # noqa: S608
        f"WHERE row_version = {version}"
    )


def unversioned(view: str, columns: tuple[str, ...]) -> str:
    """The rows of a site whose tables have no row version."""
    return f"SELECT {', '.join(columns)}, 0 FROM hub.{view} {COMMITTED} WHERE row_version IS NULL"  # noqa: S608


def any_unversioned(view: str) -> str:
    """A row if there is one without a row version."""
    return f"SELECT TOP (1) 1 FROM hub.{view} {COMMITTED} WHERE row_version IS NULL"  # noqa: S608


def beyond(view: str, key: tuple[str, ...], version: int) -> str:
    """The keys of rows changed too late to be read."""
    return f"SELECT {', '.join(key)} FROM hub.{view} {COMMITTED} WHERE row_version >= {version}"  # noqa: S608


def of_key(view: View) -> str:
    """One row, by the first column of its key."""
    return (
        f"SELECT {', '.join(view.columns)}, ISNULL(row_version, 0) FROM hub.{view.name} {COMMITTED} "  # noqa: S608
        f"WHERE {view.key[0]} = %s"
    )


CITY_NAMES: Final = "SELECT code, name FROM hub.cities"
CITY_NAME: Final = f"{CITY_NAMES} WHERE code = %s"
"""Not joined with the accounts: a site's tables may be of different collations, which can't be compared."""

DOCUMENT: Final = (
    "fiscal_year",
    "kind",
    "number",
    "date",
    "account",
    "warehouse",
    "to_warehouse",
    "payment",
    "method",
    "original_number",
    "vat",
    "duty",
    "payable",
    "external_id",
    "note",
)
LINE: Final = ("line", "product", "warehouse", "attribute", "quantity", "unit_price", "discount", "vat", "duty")


def entered(since: int, until: int, limit: int | None) -> str:
    """Documents that people entered, by row version, which is their last column."""
    top = f"TOP ({limit}) " if limit else ""
    return (
        f"SELECT {top}{', '.join(DOCUMENT)}, row_version FROM hub.documents {COMMITTED} "  # noqa: S608
        f"WHERE external_id IS NULL AND row_version >= {since} AND row_version < {until} ORDER BY row_version"
    )


_OF_PERIOD: Final = "FROM hub.documents WHERE external_id IS NULL AND kind = %s AND date >= %s AND date <= %s"
COUNT_OF_PERIOD: Final = f"SELECT COUNT(*), ISNULL(SUM(payable), 0) {_OF_PERIOD}"
"""How many documents of a kind people entered from one day to another, and of how many rials."""


def of_period(limit: int) -> str:
    """The same documents by year and number, from behind a year and (twice the year) a number on."""
    return (
        f"SELECT TOP ({limit}) {', '.join(DOCUMENT)}, ISNULL(row_version, 0) {_OF_PERIOD} "
        "AND (fiscal_year > %s OR fiscal_year = %s AND number > %s) ORDER BY fiscal_year, number"
    )


def lines_of(documents: int) -> str:
    """The lines of so many documents of one year and kind, by number."""
    marks = ", ".join(["%s"] * documents)
    return (
        f"SELECT number, {', '.join(LINE)} FROM hub.document_lines {COMMITTED} "  # noqa: S608
        f"WHERE fiscal_year = %s AND kind = %s AND number IN ({marks}) ORDER BY number, line"
    )


OUTCOME: Final = """
SET XACT_ABORT ON;
DECLARE @locked int, @external_id nvarchar(100), @resource nvarchar(255);
SET @external_id = %s;
SET @resource = N'hub.document:' + @external_id;
BEGIN TRANSACTION;
EXEC @locked = sp_getapplock @Resource = @resource, @LockMode = 'Exclusive', @LockOwner = 'Transaction',
    @LockTimeout = 2000;
IF @locked < 0
    THROW 50002, N'The same document is being posted right now.', 1;
SELECT external_id, number, revision, posted_at FROM hub.outcome
WHERE item = 'document' AND external_id = @external_id;
COMMIT TRANSACTION;
"""
"""What the books have of a document, once whatever is being done with it there is over."""

BUILD: Final = "EXEC hub.build_fingerprint"


def call(procedure: str, arguments: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """The batch that runs a procedure with named arguments, and its parameters."""
    names = ", ".join(f"@{name} = %s" for name in arguments)
    return f"EXEC hub.{procedure} {names}", tuple(arguments.values())


def named(columns: tuple[str, ...], row: Row) -> dict[str, Any]:
    """A row by its columns' names."""
    return dict(zip(columns, row, strict=False))
