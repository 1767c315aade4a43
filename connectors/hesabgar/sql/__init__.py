"""The T-SQL contract we ship: what the hub speaks to instead of Hesabgar's own tables, which nothing public documents.

``install.sql`` makes schema ``hub`` (and brings an older one up to date), ``remove.sql`` takes it away but keeps the
memory of what was posted, ``purge.sql`` takes that too. A site's mapping file (:class:`Mapping`) fills the views:
:func:`views_script`. A site's own ``site_post``, ``site_account`` and ``site_product`` put documents into its tables;
``site_template.sql`` is where to begin. ``adopt.sql`` hands a branch's accounts and goods over. :func:`login_script`
makes a login with the least rights.
"""

import re
from collections.abc import Mapping as MappingOf
from importlib import resources
from typing import Final

import msgspec

VERSION: Final = 1
"""Of the contract; ``hub.contract_version`` answers it."""

MINIMUM: Final = 12
"""SQL Server's major version that the contract needs: 2014."""

_NAME: Final = re.compile(r"[^\W\d][\w@$#]*")
_LITERAL: Final = re.compile(r"'[^']*'")
_SEPARATOR: Final = re.compile(r"^[ \t]*GO[ \t]*(?:--.*)?$", re.IGNORECASE | re.MULTILINE)


class Column(msgspec.Struct, frozen=True):
    """A column of a contract's view: its T-SQL type, what it is in both languages, what stands for a missing one."""

    name: str
    type: str
    english: str
    persian: str
    default: str = "NULL"
    """A T-SQL literal, for a column the mapping doesn't give."""
    required: bool = False
    """Whether a mapping of the view must give it."""


class View(msgspec.Struct, frozen=True):
    """A view of the contract. Its last column is ``row_version`` unless ``versioned`` is false."""

    name: str
    english: str
    persian: str
    columns: tuple[Column, ...]
    versioned: bool = True

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns with the row version."""
        return (*self.columns, ROW_VERSION) if self.versioned else self.columns


ROW_VERSION: Final = Column(
    "row_version",
    "bigint",
    "rises with every change of the row; NULL where the site's tables have none",
    "با هر تغییر سطر بزرگ‌تر می‌شود؛ اگر جدول‌های محل چنین ستونی ندارند، خالی است",
)

_CODE: Final = "nvarchar(50)"
_QUANTITY: Final = "decimal(18,5)"


def _code(name: str, english: str, persian: str, *, required: bool = False, default: str = "NULL") -> Column:
    return Column(name, _CODE, english, persian, default, required)


def _named(what: str, persian: str) -> tuple[Column, Column]:
    return (
        _code("code", f"{what}'s code", f"کد {persian}", required=True),
        Column("name", "nvarchar(200)", f"{what}'s name", f"نام {persian}", required=True),
    )


_ACTIVE: Final = Column("active", "bit", "0 when it isn't used any more", "اگر دیگر به کار نمی‌رود صفر", "1")
_FISCAL_YEAR: Final = Column("fiscal_year", "smallint", "fiscal year (Jalali)", "سال مالی (شمسی)", required=True)
_ATTRIBUTE: Final = _code(
    "attribute", "product attribute's code, '' if none", "کد مشخصهٔ کالا؛ تهی اگر ندارد", default="N''"
)
_KIND: Final = Column(
    "kind", "varchar(30)", "kind of document, in the hub's words (sales_invoice, …)", "نوع سند به واژه‌های هاب"
)

VIEWS: Final = (
    View(
        "accounts",
        "Customers, suppliers and other parties",
        "مشتریان، فروشندگان و دیگر طرف حساب‌ها",
        (
            *_named("account", "حساب"),
            _code("group_code", "account group", "گروه حساب"),
            _code("ledger_code", "subsidiary ledger (moin)", "حساب معین"),
            _code("detail_group", "detail (tafsili) group", "گروه تفصیلی"),
            Column("vat_exempt", "bit", "1 for a body that pays no VAT", "۱ اگر از مالیات معاف است", "0"),
            _ACTIVE,
            Column("phones", "nvarchar(400)", "phone numbers, ';' between them", "شماره‌های تلفن، جداشده با ;"),
            Column("address", "nvarchar(500)", "postal address", "نشانی"),
            _code("city_code", "city", "شهر"),
            _code("place_code", "place", "مکان"),
            _code("cost_centre", "cost centre", "مرکز هزینه"),
            Column("national_id", "nvarchar(20)", "national id", "شناسه یا کد ملی"),
            Column("economic_code", "nvarchar(20)", "economic code", "کد اقتصادی"),
        ),
    ),
    View(
        "products",
        "Goods and services",
        "کالاها و خدمات",
        (
            *_named("product", "کالا"),
            Column("unit", "nvarchar(50)", "unit of measure", "واحد سنجش", required=True),
            Column("second_unit", "nvarchar(50)", "second, independent unit", "واحد دوم مستقل"),
            Column("second_unit_ratio", _QUANTITY, "units in one second unit, if fixed", "نسبت واحد دوم، اگر ثابت است"),
            Column("price", "bigint", "rials for one unit", "بهای هر واحد به ریال"),
            _code("group_code", "product group", "گروه کالا"),
            Column("vat_exempt", "bit", "1 for exempt goods", "۱ اگر از مالیات معاف است", "0"),
            Column("vat_percent", "decimal(9,5)", "own VAT rate, else the general one", "نرخ مالیات خود کالا"),
            Column("duty_percent", "decimal(9,5)", "own duty rate, else the general one", "نرخ عوارض خود کالا"),
            Column("stocked", "bit", "0 for a service", "برای خدمات صفر", "1"),
            _ACTIVE,
            Column("barcode", "nvarchar(50)", "bar code", "بارکد"),
        ),
    ),
    View("warehouses", "Warehouses", "انبارها", (*_named("warehouse", "انبار"), _ACTIVE)),
    View(
        "stock",
        "What is on hand, one row per product, warehouse and attribute, also when it is zero",
        "موجودی هر کالا در هر انبار با هر مشخصه، حتی اگر صفر باشد",
        (
            _code("product", "product's code", "کد کالا", required=True),
            _code("warehouse", "warehouse's code", "کد انبار", required=True),
            _ATTRIBUTE,
            Column("on_hand", _QUANTITY, "quantity in the first unit", "مقدار به واحد نخست", required=True),
        ),
    ),
    View(
        "customer_finance",
        "Each customer's standing, in rials",
        "وضعیت مالی هر مشتری به ریال",
        (
            _code("account", "account's code", "کد حساب", required=True),
            Column("direct", "bigint", "direct credit", "اعتبار مستقیم", "0"),
            Column("documentary", "bigint", "documentary credit", "اعتبار اسنادی", "0"),
            Column("balance", "bigint", "above zero: what the customer owes", "بالای صفر: بدهی مشتری", required=True),
            Column("uncleared_cheques", "bigint", "cheques not cleared yet", "چک‌های وصول‌نشده", "0"),
            Column("returned_cheques", "bigint", "cheques returned", "چک‌های برگشتی", "0"),
        ),
    ),
    View(
        "vouchers",
        "Lines of accounting vouchers: a customer's statement",
        "سطرهای سند حسابداری: صورت‌حساب مشتری",
        (
            _FISCAL_YEAR,
            _code("voucher_number", "voucher's number", "شمارهٔ سند حسابداری", required=True),
            Column("line", "int", "line within the voucher", "شمارهٔ سطر", required=True),
            Column("date", "date", "voucher's date", "تاریخ سند", required=True),
            _KIND,
            _code("document_number", "number of the document behind it", "شمارهٔ سند مبنا"),
            _code("account", "account's code", "کد حساب", required=True),
            Column("debit", "bigint", "rials debited", "بدهکار به ریال", required=True),
            Column("credit", "bigint", "rials credited", "بستانکار به ریال", required=True),
            Column("description", "nvarchar(500)", "what it is for", "شرح"),
        ),
    ),
    View(
        "stock_movements",
        "Lines that moved goods: the kardex",
        "سطرهای گردش کالا: کاردکس",
        (
            _FISCAL_YEAR,
            Column("kind", "varchar(30)", _KIND.english, _KIND.persian, required=True),
            _code("number", "document's number", "شمارهٔ سند", required=True),
            Column("line", "int", "line within the document", "شمارهٔ سطر", required=True),
            Column("date", "date", "document's date", "تاریخ سند", required=True),
            _code("product", "product's code", "کد کالا", required=True),
            _code("warehouse", "warehouse's code", "کد انبار", required=True),
            _ATTRIBUTE,
            Column("quantity_in", _QUANTITY, "quantity that came in", "مقدار وارده", required=True),
            Column("quantity_out", _QUANTITY, "quantity that went out", "مقدار صادره", required=True),
            Column("unit_price", "bigint", "rials for one unit", "بهای واحد به ریال"),
            _code("account", "the other party's code", "کد طرف حساب"),
        ),
    ),
    View(
        "documents",
        "Heads of documents in the books: for the one-time import of sales and returns",
        "سرِ سندهای ثبت‌شده: برای ورود یک‌بارهٔ فروش‌ها و برگشتی‌ها",
        (
            _FISCAL_YEAR,
            Column("kind", "varchar(30)", _KIND.english, _KIND.persian, required=True),
            _code("number", "document's number", "شمارهٔ سند", required=True),
            Column("date", "date", "document's date", "تاریخ سند", required=True),
            _code("account", "the other party's code", "کد طرف حساب"),
            _code("warehouse", "warehouse's code", "کد انبار"),
            _code("to_warehouse", "a transfer's receiving warehouse", "انبار مقصد حواله"),
            Column("payment", "varchar(10)", "how a sale is paid: cash or credit", "نقدی یا اعتباری", "'credit'"),
            Column("method", "varchar(10)", "how money came: cash, card or cheque", "شیوهٔ دریافت وجه"),
            _code("voucher_number", "its voucher's number", "شمارهٔ سند حسابداری آن"),
            Column("external_id", "nvarchar(100)", "the hub's id, if the hub posted it", "شناسهٔ هاب، اگر هاب ثبت کرده"),
            _code("original_number", "a return's sale", "شمارهٔ فروش اصلیِ برگشتی"),
            Column("net", "bigint", "rials before tax", "خالص به ریال", "0"),
            Column("vat", "bigint", "VAT in rials", "مالیات به ریال", "0"),
            Column("duty", "bigint", "municipal duty in rials", "عوارض به ریال", "0"),
            Column("payable", "bigint", "rials to pay", "قابل پرداخت به ریال", "0"),
            Column("note", "nvarchar(1000)", "note", "توضیح"),
        ),
    ),
    View(
        "document_lines",
        "Lines of documents in the books",
        "سطرهای سندهای ثبت‌شده",
        (
            _FISCAL_YEAR,
            Column("kind", "varchar(30)", _KIND.english, _KIND.persian, required=True),
            _code("number", "document's number", "شمارهٔ سند", required=True),
            Column("line", "int", "line within the document", "شمارهٔ سطر", required=True),
            _code("product", "product's code", "کد کالا", required=True),
            _code("warehouse", "warehouse's code", "کد انبار"),
            _ATTRIBUTE,
            Column("quantity", _QUANTITY, "quantity in the first unit", "مقدار به واحد نخست", required=True),
            Column("unit_price", "bigint", "rials for one unit", "بهای واحد به ریال", "0"),
            Column("discount", "bigint", "rials off the line", "تخفیف سطر به ریال", "0"),
            Column("net", "bigint", "rials before tax", "خالص به ریال", "0"),
            Column("vat", "bigint", "VAT in rials", "مالیات به ریال", "0"),
            Column("duty", "bigint", "municipal duty in rials", "عوارض به ریال", "0"),
        ),
    ),
    View("ledgers", "Subsidiary ledgers (moin)", "حساب‌های معین", _named("ledger", "معین")),
    View(
        "groups",
        "Groups of products and of accounts",
        "گروه‌های کالا و حساب",
        (
            *_named("group", "گروه"),
            Column("kind", "varchar(30)", "product, account or detail", "کالا، حساب یا تفصیلی", required=True),
            _code("parent_code", "the group above", "گروه بالاتر"),
        ),
    ),
    View(
        "attributes",
        "Product attributes (moshakhase)",
        "مشخصه‌های کالا",
        (*_named("attribute", "مشخصه"), _code("product", "its product, if it has one", "کالای آن، اگر دارد")),
    ),
    View(
        "places",
        "Places tied to accounts",
        "مکان‌ها",
        (
            *_named("place", "مکان"),
            _code("account", "its account", "حساب آن"),
            _code("city_code", "its city", "شهر آن"),
        ),
    ),
    View(
        "cities",
        "Cities and provinces",
        "شهرها و استان‌ها",
        (*_named("city", "شهر"), Column("province", "nvarchar(100)", "province", "استان")),
    ),
    View("cost_centres", "Cost centres", "مراکز هزینه", (*_named("cost centre", "مرکز هزینه"), _ACTIVE)),
    View("units", "Units of measure", "واحدهای سنجش", _named("unit", "واحد")),
    View(
        "build",
        "Hesabgar's own build: one row",
        "نسخهٔ خود حسابگر: یک سطر",
        (
            Column("company", "nvarchar(200)", "company's name", "نام شرکت"),
            Column("build", "nvarchar(100)", "Hesabgar's build", "نسخهٔ حسابگر", required=True),
        ),
        versioned=False,
    ),
)
"""Every view a mapping can fill. ``hub.horizon`` and ``hub.contract_version`` need no mapping."""


class Problem(ValueError):
    """A mapping that can't be used; the text says where and why."""


class ViewMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """How one view is filled: FROM, WHERE and an expression per column, and the row versions it depends on."""

    source: str
    columns: dict[str, str]
    where: str = ""
    row_version: list[str] = []


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A site's mapping file. ``tables`` are those whose shape belongs to the build fingerprint."""

    contract: int
    tables: list[str]
    views: dict[str, ViewMapping]


def read_mapping(text: str) -> Mapping:
    """A mapping from TOML. Raises :exc:`Problem` naming the view and column that is wrong."""
    try:
        mapping = msgspec.toml.decode(text, type=Mapping)
    except msgspec.ValidationError as error:
        raise Problem(f"the mapping isn't right: {error}") from None
    except msgspec.DecodeError as error:
        raise Problem(f"the mapping isn't TOML: {error}") from None
    if mapping.contract != VERSION:
        raise Problem(f"the mapping is for contract {mapping.contract}; this is contract {VERSION}")
    by_name = {view.name: view for view in VIEWS}
    for name, given in mapping.views.items():
        if name not in by_name:
            raise Problem(f"views.{name}: the contract has no such view; it has {', '.join(sorted(by_name))}")
        _check_view(by_name[name], given)
    for table in mapping.tables:
        _table_name(table)
    return mapping


def _check_view(view: View, given: ViewMapping) -> None:
    known = {column.name for column in view.columns}
    unknown = sorted(set(given.columns) - known)
    if unknown:
        raise Problem(f"views.{view.name}.columns.{unknown[0]}: the view has no such column")
    missing = [column.name for column in view.columns if column.required and column.name not in given.columns]
    if missing:
        raise Problem(f"views.{view.name}.columns.{missing[0]}: missing, and the view is nothing without it")
    if given.row_version and not view.versioned:
        raise Problem(f"views.{view.name}.row_version: the view has no row version")
    for where, text in (("from", given.source), ("where", given.where), *given.columns.items()):
        if _SEPARATOR.search(text) or ";" in _LITERAL.sub("", text):
            raise Problem(f"views.{view.name}.{where}: one expression, without ';' or GO")


def _table_name(name: str) -> tuple[str, str]:
    parts = [part.strip().strip("[]") for part in name.split(".")]
    if len(parts) != 2 or not all(_NAME.fullmatch(part) for part in parts):
        raise Problem(f"tables: {name!r} isn't schema.table")
    return parts[0], parts[1]


def views_script(mapping: Mapping) -> str:
    """The T-SQL that fills the contract's views from a site's mapping, batches separated by GO."""
    batches = [_mapped_tables(mapping)]
    batches += [_view_batch(view, mapping.views[view.name]) for view in VIEWS if view.name in mapping.views]
    return "SET ANSI_NULLS ON;\nSET QUOTED_IDENTIFIER ON;\nGO\n" + "\nGO\n".join(batches) + "\nGO\n"


def _mapped_tables(mapping: Mapping) -> str:
    names = [_table_name(name) for name in mapping.tables]
    lines = ["DELETE FROM hub.mapped_table;"]
    lines += [
        f"INSERT INTO hub.mapped_table (schema_name, table_name) VALUES (N'{schema}', N'{table}');"
        for schema, table in names
    ]
    return "\n".join(lines)


def _view_batch(view: View, given: ViewMapping) -> str:
    items = [
        f"    CAST({given.columns.get(column.name, column.default).strip()} AS {column.type}) AS {column.name}"
        for column in view.columns
    ]
    if view.versioned:
        items.append(f"    {_version(given.row_version)} AS row_version")
    lines = [f"ALTER VIEW hub.{view.name} AS", "SELECT", ",\n".join(items), f"FROM {given.source.strip()}"]
    if given.where.strip():
        lines.append(f"WHERE {given.where.strip()}")
    return "\n".join(lines) + ";"


def _version(expressions: list[str]) -> str:
    if not expressions:
        return "CAST(NULL AS bigint)"
    if len(expressions) == 1:
        return f"CONVERT(bigint, {expressions[0]})"
    rows = ", ".join(f"(CONVERT(bigint, {each}))" for each in expressions)
    return f"(SELECT MAX(versions.row_version) FROM (VALUES {rows}) AS versions (row_version))"


def batches(script: str) -> list[str]:
    """A script's batches: what stands between lines of GO."""
    return [batch.strip() for batch in _SEPARATOR.split(script) if batch.strip()]


def script(name: str) -> str:
    """A script we ship: install, remove, purge, site_template, adopt, login."""
    return resources.files(__package__).joinpath(f"{name}.sql").read_text("utf-8")


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def login_script(login: str, password: str, *, writer: bool = True) -> str:
    """The T-SQL that makes (or gives a new password to) a login that may read, and post if ``writer``."""
    if not _NAME.fullmatch(login):
        raise Problem(f"{login!r} can't be a login's name: letters, digits and _ only")
    values = {"login": login, "password": _quoted(password), "writer": "1" if writer else "0"}
    return _filled(script("login"), values)


def _filled(text: str, values: MappingOf[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text
