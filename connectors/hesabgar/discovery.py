"""An unknown database's mapping, drafted: which table is what, which column fills which, how sure, and why.

:func:`survey` reads the catalogue and, of the tables that may matter, a few rows, of which nothing but their shape is
kept (:class:`Shape`): no value of the database reaches the draft. :func:`draft` is pure. It scores names (English,
Persian, Persian in Latin letters), types, keys, and shapes; what it isn't sure of stands in the draft as a comment with
the candidates, for a person to decide. The words it knows are guesswork: nothing public documents Hesabgar's tables.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from connectors.base import Rejected
from connectors.hesabgar import sql
from connectors.hesabgar.client import Client
from schemas import text

SURE: Final = 0.6
"""From this confidence on a column is mapped; below it stands as a comment."""
POSSIBLE: Final = 0.3
"""Below this nothing is said of a column."""
SAMPLE: Final = 200
"""Rows of a table whose shape is looked at."""
MOST_TABLES: Final = 60
"""Tables of which rows are looked at: those whose names say something come first."""
CANDIDATES: Final = 3

_TABLES: Final = (
    "SELECT TABLE_SCHEMA, TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'BASE TABLE' "
    "AND TABLE_SCHEMA <> 'hub'"
)
_COLUMNS: Final = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, "
    "NUMERIC_SCALE, IS_NULLABLE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA <> 'hub' "
    "ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
)
_KEYS: Final = (
    "SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.CONSTRAINT_NAME, c.CONSTRAINT_TYPE, k.COLUMN_NAME "
    "FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS AS c INNER JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE AS k "
    "ON k.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = c.CONSTRAINT_NAME "
    "WHERE c.TABLE_SCHEMA <> 'hub' ORDER BY c.TABLE_SCHEMA, c.TABLE_NAME, c.CONSTRAINT_NAME, k.ORDINAL_POSITION"
)
_REFERENCES: Final = (
    "SELECT r.CONSTRAINT_SCHEMA, r.CONSTRAINT_NAME, u.TABLE_SCHEMA, u.TABLE_NAME "
    "FROM INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS AS r INNER JOIN INFORMATION_SCHEMA.TABLE_CONSTRAINTS AS u "
    "ON u.CONSTRAINT_SCHEMA = r.UNIQUE_CONSTRAINT_SCHEMA AND u.CONSTRAINT_NAME = r.UNIQUE_CONSTRAINT_NAME"
)
_ROWS: Final = (
    "SELECT s.name, t.name, SUM(p.rows) FROM sys.tables AS t INNER JOIN sys.schemas AS s ON s.schema_id = t.schema_id "
    "INNER JOIN sys.partitions AS p ON p.object_id = t.object_id AND p.index_id IN (0, 1) GROUP BY s.name, t.name"
)
"""From the catalogue: no table is counted."""


# --- what is there


class Shape(NamedTuple):
    """What a column's sampled values look like, as shares of those that aren't NULL; never a value itself."""

    rows: int = 0
    filled: float = 0.0
    distinct: float = 0.0
    """Distinct values among them."""
    code: float = 0.0
    """Short, without blanks, with a digit."""
    words: float = 0.0
    """Text with letters, mostly Persian."""
    phone: float = 0.0
    jalali: float = 0.0
    """Dates as text, such as 1403/01/31."""
    rials: float = 0.0
    """Whole numbers of 1,000 or more."""
    percent: float = 0.0
    """Numbers from 0 to 100."""


class Field(NamedTuple):
    """A column of a table. ``type`` is INFORMATION_SCHEMA's word."""

    name: str
    type: str
    length: int | None
    scale: int | None
    nullable: bool
    unique: bool
    """A key of its own."""


class Table(msgspec.Struct):
    """A base table, as the catalogue and its sample show it."""

    schema: str
    name: str
    rows: int
    fields: dict[str, Field]
    primary: tuple[str, ...] = ()
    references: dict[str, str] = {}
    """By column: the full name of the table a foreign key leads to."""
    shapes: dict[str, Shape] = {}

    @property
    def full(self) -> str:
        """``dbo.STK_Kala``"""
        return f"{self.schema}.{self.name}"


async def survey(client: Client) -> dict[str, Table]:
    """The tables there are, by full name. Reads the catalogue and a few rows; writes nothing. Raises ConnectorError."""
    tables = _tables(
        await client.query(_TABLES),
        await client.query(_COLUMNS),
        await client.query(_KEYS),
        await client.query(_REFERENCES),
        await client.query(_ROWS),
    )
    if not tables:
        raise Rejected(
            "this login sees no table of the database; discovering needs one that may read its tables, such as the "
            "database's owner"
        )
    prefixes = _prefixes(tables.values())
    telling = sorted(tables.values(), key=lambda table: -_best_name(table, prefixes))
    for table in telling[:MOST_TABLES]:
        table.shapes = await _shapes(client, table)
    return tables


def _tables(
    names: Iterable[Sequence[Any]],
    columns: Iterable[Sequence[Any]],
    keys: Iterable[Sequence[Any]],
    references: Iterable[Sequence[Any]],
    rows: Iterable[Sequence[Any]],
) -> dict[str, Table]:
    counts = {(schema, name): int(count or 0) for schema, name, count in rows}
    constraints: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for schema, table, name, kind, column in keys:
        constraints[f"{schema}.{table}", f"{schema}.{name}", kind].append(column)
    targets = {f"{schema}.{name}": f"{to_schema}.{to}" for schema, name, to_schema, to in references}
    primary: dict[str, tuple[str, ...]] = {}
    unique: set[tuple[str, str]] = set()
    leads: dict[str, dict[str, str]] = defaultdict(dict)
    for (table, name, kind), members in constraints.items():
        if kind == "PRIMARY KEY":
            primary[table] = tuple(members)
        if kind in ("PRIMARY KEY", "UNIQUE") and len(members) == 1:
            unique.add((table, members[0]))
        if kind == "FOREIGN KEY" and len(members) == 1 and name in targets:
            leads[table][members[0]] = targets[name]
    made = {
        f"{schema}.{name}": Table(schema, name, counts.get((schema, name), 0), {}, primary.get(f"{schema}.{name}", ()))
        for schema, name in names
    }
    for schema, table, name, kind, length, _, scale, nullable in columns:
        full = f"{schema}.{table}"
        if full in made:
            made[full].fields[name] = Field(name, kind, length, scale, nullable == "YES", (full, name) in unique)
    for full, found in leads.items():
        made[full].references = found
    return made


async def _shapes(client: Client, table: Table) -> dict[str, Shape]:
    readable = [field.name for field in table.fields.values() if field.type not in _UNREAD]
    if not readable:
        return {}
    listed = ", ".join(_quoted(name) for name in readable)
    rows = await client.query(
        f"SELECT TOP ({SAMPLE}) {listed} FROM {_quoted(table.schema)}.{_quoted(table.name)}"  # noqa: S608
    )
    return {name: _shape([row[at] for row in rows]) for at, name in enumerate(readable)}


_UNREAD: Final = frozenset(
    {"timestamp", "rowversion", "image", "text", "ntext", "xml", "varbinary", "binary", "sql_variant", "geography"}
)
_JALALI: Final = re.compile(r"1[34]\d\d[/-]?(0?[1-9]|1[0-2])[/-]?(0?[1-9]|[12]\d|3[01])")
_PHONE: Final = re.compile(r"(\+98|0098|0)\d{9,11}")
_CODE: Final = re.compile(r"[\w./-]{1,25}")


def _shape(values: Sequence[Any]) -> Shape:
    """The shape of a column's values, which are forgotten after."""
    filled = [value for value in values if value is not None and value != ""]
    if not filled:
        return Shape(rows=len(values))
    words = [text.code(value) for value in filled if isinstance(value, str)]
    numbers: list[Any] = [value for value in filled if isinstance(value, int | Decimal) and not isinstance(value, bool)]

    def share(found: int) -> float:
        return found / len(filled)

    return Shape(
        rows=len(values),
        filled=len(filled) / len(values),
        distinct=share(len(set(map(str, filled)))),
        code=share(sum(bool(_CODE.fullmatch(each)) and any(map(str.isdigit, each)) for each in words)),
        words=share(sum(sum(map(str.isalpha, each)) * 2 > len(each) for each in words)),
        phone=share(sum(bool(_PHONE.fullmatch(each.replace("-", ""))) for each in words)),
        jalali=share(sum(bool(_JALALI.fullmatch(each)) for each in words)),
        rials=share(sum(abs(each) >= 1_000 and each == int(each) for each in numbers)),
        percent=share(sum(0 <= each <= 100 for each in numbers)),
    )


# --- words


_ENTITIES: Final[dict[str, tuple[str, ...]]] = {
    "accounts": ("account", "acc", "hesab", "tarafhesab", "tafsili", "customer", "moshtari", "person", "ashkhas",
                 "party", "حساب", "طرف‌حساب", "مشتری", "اشخاص", "تفصیلی"),
    "products": ("product", "kala", "item", "goods", "good", "stuff", "jens", "کالا", "جنس", "محصول"),
    "warehouses": ("warehouse", "anbar", "store", "depot", "انبار"),
    "stock": ("stock", "mojoodi", "mojodi", "mojudi", "inventory", "onhand", "balance", "موجودی"),
    "customer_finance": ("etebar", "credit", "finance", "mande", "اعتبار", "مانده"),
    "vouchers": ("sanadrow", "sanadline", "sanaddetail", "voucherrow", "voucherline", "voucherdetail", "articles",
                 "article", "آرتیکل", "ردیف‌سند"),
    "documents": ("doc", "document", "factor", "faktor", "invoice", "havale", "فاکتور", "حواله"),
    "document_lines": ("docrow", "docline", "docdetail", "documentrow", "documentline", "factorrow", "factorline",
                       "factordetail", "invoicerow", "invoiceline", "invoicedetail", "ردیف‌فاکتور"),
    "ledgers": ("moin", "moein", "ledger", "subledger", "معین"),
    "groups": ("group", "gorooh", "goruh", "grooh", "category", "گروه"),
    "attributes": ("moshakhase", "moshakhaseh", "attribute", "feature", "vizhegi", "مشخصه", "ویژگی"),
    "places": ("place", "location", "makan", "mahal", "مکان", "محل"),
    "cities": ("city", "shahr", "شهر"),
    "cost_centres": ("costcenter", "costcentre", "markazhazine", "markaz", "hazine", "مرکز‌هزینه", "مرکزهزینه"),
    "units": ("unit", "vahed", "measure", "uom", "واحد"),
    "build": ("info", "version", "setting", "sysinfo", "systeminfo", "نسخه", "مشخصات"),
}  # fmt: skip
"""What a table of each view may be called."""

_HEADS: Final = {
    "vouchers": ("sanad", "voucher", "سند"),
    "document_lines": _ENTITIES["documents"],
    "stock_movements": _ENTITIES["documents"],
}
"""Views whose rows are lines, and what the heads of those are called."""

_ACTIVE: Final = ("active", "isactive", "enabled", "faal", "فعال")
_LOCKED: Final = (
    "locked",
    "lock",
    "disabled",
    "inactive",
    "deleted",
    "hidden",
    "ghofl",
    "gheyrefaal",
    "قفل",
    "غیرفعال",
)
_SERVICE: Final = ("khadamat", "service", "خدمات")

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "code": ("code", "kod", "cod", "no", "number", "shomare", "کد", "شماره"),
    "name": ("name", "nam", "title", "onvan", "desc", "نام", "عنوان", "شرح"),
    "active": _ACTIVE,
    "vat_exempt": ("moaf", "exempt", "ismoaf", "notax", "معاف"),
    "phones": ("tel", "telephone", "phone", "mobile", "telefon", "hamrah", "تلفن", "موبایل", "همراه"),
    "address": ("addr", "address", "adres", "neshani", "آدرس", "نشانی"),
    "national_id": ("melli", "mellicode", "codemelli", "nationalid", "nationalcode", "shenasemelli", "کدملی"),
    "economic_code": ("economy", "economic", "eghtesadi", "economycode", "economiccode", "اقتصادی", "کداقتصادی"),
    "second_unit_ratio": ("zarib", "ratio", "factor", "ضریب", "نسبت"),
    "price": ("fi", "price", "gheymat", "gheimat", "saleprice", "فی", "قیمت", "بها"),
    "vat_percent": ("maliat", "maliyat", "vat", "tax", "مالیات"),
    "duty_percent": ("avarez", "duty", "toll", "عوارض"),
    "stocked": ("stocked", "isstock", "anbari"),
    "barcode": ("barcode", "barkod", "بارکد"),
    "on_hand": ("meghdar", "mojoodi", "mojodi", "quantity", "qty", "onhand", "tedad", "مقدار", "موجودی", "تعداد"),
    "direct": ("direct", "mostaghim", "naghdi", "مستقیم"),
    "documentary": ("asnadi", "documentary", "اسنادی"),
    "balance": ("mande", "mandeh", "balance", "remain", "مانده"),
    "fiscal_year": ("fiscalyear", "fiscal", "year", "sal", "salmali", "سال", "سال‌مالی"),
    "voucher_number": ("sanadno", "sanadnumber", "voucherno", "vouchernumber", "shomaresanad", "شماره‌سند"),
    "line": ("rowno", "lineno", "radif", "line", "row", "ردیف", "سطر"),
    "date": ("date", "tarikh", "تاریخ"),
    "kind": ("kind", "type", "noe", "now", "نوع"),
    "document_number": ("docno", "documentno", "factorno", "invoiceno", "شماره‌فاکتور"),
    "number": ("docno", "documentno", "factorno", "invoiceno", "number", "no", "shomare", "شماره", "شماره‌فاکتور"),
    "debit": ("bed", "bedehkar", "debit", "debtor", "بدهکار"),
    "credit": ("bes", "bestankar", "credit", "creditor", "بستانکار"),
    "description": ("sharh", "description", "desc", "tozih", "شرح", "توضیح"),
    "quantity_in": ("vared", "varede", "quantityin", "in", "وارده", "ورودی"),
    "quantity_out": ("sader", "sadere", "quantityout", "out", "صادره", "خروجی"),
    "unit_price": ("fi", "unitprice", "price", "gheymat", "فی", "قیمت"),
    "net": ("khales", "net", "خالص"),
    "vat": ("maliat", "maliyat", "vat", "tax", "مالیات"),
    "duty": ("avarez", "duty", "toll", "عوارض"),
    "payable": ("ghabel", "ghabelpardakht", "payable", "total", "jam", "قابل‌پرداخت", "جمع"),
    "note": ("tozih", "tozihat", "note", "comment", "sharh", "توضیح", "توضیحات"),
    "quantity": ("meghdar", "quantity", "qty", "tedad", "مقدار", "تعداد"),
    "discount": ("takhfif", "discount", "تخفیف"),
    "province": ("ostan", "province", "state", "استان"),
    "company": ("company", "companyname", "sherkat", "شرکت"),
    "build": ("build", "version", "ver", "نسخه"),
}  # fmt: skip
"""What a column of each kind may be called."""

_LINKS: Final[dict[str, tuple[str, str]]] = {
    "group_code": ("groups", "code"),
    "ledger_code": ("ledgers", "code"),
    "city_code": ("cities", "code"),
    "place_code": ("places", "code"),
    "cost_centre": ("cost_centres", "code"),
    "detail_group": ("groups", "code"),
    "unit": ("units", "name"),
    "second_unit": ("units", "name"),
    "product": ("products", "code"),
    "warehouse": ("warehouses", "code"),
    "attribute": ("attributes", "code"),
    "account": ("accounts", "code"),
    "to_warehouse": ("warehouses", "code"),
}
"""Columns that name a row of another view, and that view's column they show."""

_MARKED: Final[dict[str, tuple[str, ...]]] = {
    "second_unit": ("2", "second", "dovom", "dovvom", "fari", "farei", "دوم", "فرعی"),
    "detail_group": ("tafsili", "tafzili", "detail", "تفصیلی"),
    "to_warehouse": ("to", "2", "maghsad", "dest", "destination", "target", "مقصد"),
}
"""Second columns that lead to the same table as another: what marks them, without which they are that other."""

_OF_HEADS: Final = frozenset({"fiscal_year", "number", "voucher_number", "document_number", "date", "kind"})
"""Columns that a line has from its head."""

_COUNTED: Final = frozenset({"stock", "customer_finance"})
"""Views whose rows change with their own table alone: a product's new name is no news of its stock."""

_CHEQUES: Final = "a sum over the table of cheques by their state, which only the site can tell"
_UNDERIVED: Final[dict[str, str]] = {
    "uncleared_cheques": _CHEQUES,
    "returned_cheques": _CHEQUES,
    "external_id": "a column of the site's own, which site_post fills with the hub's id",
    "kind": "CASE … WHEN … from the site's own kinds to the hub's words (sales_invoice, transfer, …)",
    "payment": "'cash' or 'credit', from what the site calls them",
    "method": "'cash', 'card' or 'cheque', from what the site calls them",
    "groups.kind": "'product', 'account' or 'detail': UNION ALL of the tables of groups",
}
"""Columns that need more than one of the database's, by name or by view and name."""

_SEE: Final[dict[str, str]] = {
    "accounts": "See that the company's own accounts (VAT, duty, …) are in it, and that suppliers are if they post.",
    "stock": "See with one product that this is what is on the shelf, not what is sellable or ordered.",
    "customer_finance": "See with one customer that a balance above zero is what the customer owes, in rials.",
    "vouchers": "See with one customer's statement that debit, credit and the closing balance are the same.",
}
"""What no catalogue tells, and a person has to look at."""

_TEXTS: Final = frozenset({"nvarchar", "varchar", "nchar", "char"})
_WHOLES: Final = frozenset({"int", "bigint", "smallint", "tinyint"})
_NUMBERS: Final = _WHOLES | {"decimal", "numeric", "money", "smallmoney", "float", "real"}
_DATES: Final = frozenset({"date", "datetime", "datetime2", "smalldatetime"})
_ROW_VERSIONS: Final = frozenset({"timestamp", "rowversion"})
_SPLIT: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[^\W\d_A-Za-z]+|\d+")
_SUFFIXES: Final = ("id", "ref", "fk", "code", "serial")


def _words(name: str) -> list[str]:
    """``STK_DocRow`` → stk, doc, row."""
    return [word.lower() for word in _SPLIT.findall(text.code(name).replace("\u200c", ""))]


def _plain(words: Iterable[str]) -> str:
    return "".join(words)


def _likeness(words: Sequence[str], known: Sequence[str]) -> float:
    """How well a name's words fit any of those known: 1 if they are one, less the more else there is."""
    name = _plain(words)
    best = 0.0
    for each in known:
        word = each.replace("\u200c", "")
        if name in (word, f"{word}s", f"{word.removesuffix('y')}ies"):
            return 1.0
        if word in words:
            best = max(best, 0.55 + 0.35 * len(word) / len(name))
        elif len(word) >= 4 and word in name:
            best = max(best, 0.4 + 0.35 * len(word) / len(name))
    return best


def _prefixes(tables: Iterable[Table]) -> frozenset[str]:
    """Words many tables begin with, which name a part of the system rather than the table."""
    first = Counter(_words(table.name)[0] for table in tables if "_" in table.name and _words(table.name))
    return frozenset(word for word, count in first.items() if count >= 3) | {"tbl", "tb", "t"}


def _table_words(table: Table, prefixes: frozenset[str]) -> list[str]:
    words = _words(table.name)
    return words[1:] if len(words) > 1 and words[0] in prefixes else words


def _best_name(table: Table, prefixes: frozenset[str]) -> float:
    words = _table_words(table, prefixes)
    return max(_likeness(words, known) for known in (*_ENTITIES.values(), *_HEADS.values()))


# --- what is what


class Guess(NamedTuple):
    """A candidate for one column of a view."""

    expression: str
    confidence: float
    why: str
    joins: "tuple[Join, ...]" = ()
    """In their order."""
    converts: str = ""
    """What has to be done before it may be mapped."""


class Join(NamedTuple):
    """A table that has to be joined: by which column of which alias, on which of its own."""

    table: str
    alias: str
    by: str
    on: str
    inner: bool


class DraftedView(NamedTuple):
    """A view as it is proposed; ``table`` None if no table looks like it."""

    name: str
    table: str | None
    confidence: float
    others: tuple[str, ...]
    source: str
    row_version: tuple[str, ...]
    sure: dict[str, Guess]
    unsure: dict[str, list[Guess]]
    missing: tuple[str, ...]
    """Columns without which the view is nothing, and that aren't sure."""


class Draft(NamedTuple):
    """A mapping as it is proposed."""

    tables: tuple[str, ...]
    views: tuple[DraftedView, ...]

    @property
    def mapped(self) -> list[DraftedView]:
        """The views that are sure enough to be used."""
        return [view for view in self.views if view.table and not view.missing]

    def toml(self) -> str:
        """As a mapping file: :func:`connectors.hesabgar.sql.read_mapping` reads it."""
        return _toml(self)


def draft(tables: Mapping[str, Table]) -> Draft:
    """A proposal for each of the contract's views."""
    return _Drafter(tables).draft()


class _Drafter:
    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._prefixes = _prefixes(tables.values())
        self._ranked = {name: self._rank(name) for name in (*_ENTITIES, "stock_movements")}

    def draft(self) -> Draft:
        views = tuple(self._view(view) for view in sql.VIEWS)
        used = sorted({table for view in views if view.table and not view.missing for table in self._used(view)})
        return Draft(tuple(used), views)

    def _used(self, view: DraftedView) -> list[str]:
        joined = [join.table for guess in view.sure.values() for join in guess.joins]
        return [view.table or "", *joined]

    # which table

    def _rank(self, view: str) -> list[tuple[float, Table]]:
        """The tables that look like a view's, the likeliest first."""
        known = _ENTITIES["document_lines"] if view == "stock_movements" else _ENTITIES[view]
        found = []
        for table in self._tables.values():
            likeness = _likeness(_table_words(table, self._prefixes), known)
            if likeness >= POSSIBLE:
                found.append((likeness * 0.7 + self._fitness(view, table) * 0.3, table))
        return sorted(found, key=lambda each: (-each[0], -each[1].rows, each[1].full))

    def _fitness(self, view: str, table: Table) -> float:
        """The share of the view's needed columns whose own kind is there."""
        declared = next(each for each in sql.VIEWS if each.name == view)
        needed = [column for column in declared.columns if column.required and column.name not in _LINKS]
        if not needed:
            return 0.5
        best = [
            max((self._score(column, table, each)[0] for each in table.fields.values()), default=0) for column in needed
        ]
        return sum(best) / len(best) * (1.0 if table.rows else 0.6)

    def _table_of(self, view: str) -> Table | None:
        ranked = self._ranked[view]
        return ranked[0][1] if ranked and ranked[0][0] >= SURE * 0.8 else None

    # which column

    def _score(self, column: sql.Column, table: Table, field: Field) -> tuple[float, list[str]]:
        """How well a table's own column fits one of a view, and why."""
        known = _NAMES.get(column.name)
        if known is None or field.type in _ROW_VERSIONS:
            return 0.0, []
        words = _words(field.name)
        own = _table_words(table, self._prefixes)
        likeness, shown = max(
            (_likeness(words, known), field.name),
            (_likeness(_without(words, own), known) * 0.98, field.name),
            key=lambda each: each[0],
        )
        if likeness < POSSIBLE:
            return 0.0, []
        reasons = [f"its name {shown!r}" if likeness > 0.9 else f"part of its name {shown!r}"]
        fits = _type_fits(column, field)
        if fits == 0:
            return 0.0, []
        reasons.append(_type_words(field))
        bonus = 0.0
        shape = table.shapes.get(field.name)
        if column.name in ("code", "number") and field.unique:
            bonus += 0.1
            reasons.append("unique")
        if shape is not None and shape.rows:
            change, reason = _shape_fits(column, shape)
            bonus += change
            if reason:
                reasons.append(reason)
        return max(0.0, min(0.99, likeness * 0.85 * fits + 0.08 + bonus)), reasons

    def _own(self, column: sql.Column, table: Table, alias: str, joins: tuple[Join, ...] = ()) -> list[Guess]:
        """The candidates among a table's own columns, the likeliest first."""
        found = []
        for field in table.fields.values():
            confidence, reasons = self._score(column, table, field)
            if confidence < POSSIBLE:
                continue
            expression, converts = _expression(column, field, f"{alias}.{_quoted_if_needed(field.name)}", table)
            why = "; ".join(reasons)
            found.append(Guess(expression, confidence, why, joins, converts))
        found += _opposites(column, table, alias)
        return sorted(found, key=lambda guess: -guess.confidence)

    def _linked(self, column: sql.Column, table: Table, alias: str, joins: tuple[Join, ...] = ()) -> list[Guess]:
        """The candidates for a column that names a row of another view."""
        entity, _ = _LINKS[column.name]
        found = [guess._replace(joins=joins) for guess in self._spelt(column, table, alias)]
        for score, target in self._ranked[entity][:CANDIDATES]:
            if target is table or len(target.primary) != 1:
                continue
            for field in table.fields.values():
                if _is_meant(column, field):
                    likeness, reason = self._leads(table, field, target, entity)
                    guess = self._through(column, alias, field, target) if likeness >= POSSIBLE else None
                    if guess is not None:
                        confidence = min(likeness * (0.5 + 0.5 * min(score, guess.confidence) / 0.95), 0.99)
                        if column.name in _MARKED and field.name not in table.references:
                            confidence = min(confidence, SURE - 0.05)
                        why = f"{reason}; {guess.why}"
                        found.append(guess._replace(confidence=confidence, why=why, joins=(*joins, *guess.joins)))
        return sorted(found, key=lambda guess: -guess.confidence)

    def _through(self, column: sql.Column, alias: str, field: Field, target: Table) -> Guess | None:
        """What is shown of the row a column leads to."""
        shown = _LINKS[column.name][1]
        by = f"{alias}.{_quoted_if_needed(field.name)}"
        shows = self._own(sql.Column(shown, "nvarchar(50)", "", ""), target, _alias(column.name))
        if not shows:
            if shown != "code":
                return None
            return Guess(f"CONVERT(nvarchar(50), {by})", 0.8, f"{target.full} has no code but its key")
        best = shows[0]
        expression = f"ISNULL({best.expression}, N'')" if column.default == "N''" else best.expression
        inner = column.required and not field.nullable
        join = Join(target.full, _alias(column.name), by, _quoted_if_needed(target.primary[0]), inner)
        return best._replace(expression=expression, joins=(join,))

    def _leads(self, table: Table, field: Field, target: Table, entity: str) -> tuple[float, str]:
        """How sure it is that a column holds another table's key."""
        if table.references.get(field.name) == target.full:
            return 0.98, f"a foreign key leads from {field.name} to {target.full}"
        if len(target.primary) != 1:
            return 0.0, ""
        key = target.fields[target.primary[0]]
        if field.type != key.type:
            return 0.0, ""
        kin = 1.0 if _words(table.name)[:1] == _words(target.name)[:1] else 0.9
        if field.name.lower() == key.name.lower():
            shared = [
                other.full for other in self._tables.values() if other is not target and other.primary == (key.name,)
            ]
            rival = any(_words(self._tables[full].name)[:1] == _words(table.name)[:1] for full in shared)
            if rival and kin < 1:
                return 0.4, f"{field.name} is called as the key of {target.full}, and of {', '.join(shared)}"
            return 0.95 * kin + 0.03, f"{field.name} is called as the key of {target.full}"
        words = [word for word in _words(field.name) if word not in _SUFFIXES and not word.isdigit()]
        marks = [mark for name, every in _MARKED.items() if _LINKS[name][0] == entity for mark in every]
        if words and _likeness(words, (*_ENTITIES[entity], *marks)) > 0.85:
            return 0.8, f"{field.name} names {entity}; there is no foreign key"
        return 0.0, ""

    def _spelt(self, column: sql.Column, table: Table, alias: str) -> list[Guess]:
        """Columns that hold the other row's code or name itself."""
        entity, shown = _LINKS[column.name]
        found = []
        for field in table.fields.values():
            words = _words(field.name)
            if field.type not in _TEXTS or not _is_meant(column, field):
                continue
            named = _likeness(
                [word for word in words if word not in ("code", "name", "no")] or words, _ENTITIES[entity]
            )
            if named < 0.85:
                continue
            shape = table.shapes.get(field.name, Shape())
            fits = (shape.code if shown == "code" else shape.words) if shape.rows else 0.5
            confidence = 0.5 + 0.35 * fits
            found.append(
                Guess(
                    f"{alias}.{_quoted_if_needed(field.name)}",
                    confidence,
                    f"its name {field.name!r}; its values' shape",
                )
            )
        return found

    # one view

    def _view(self, view: sql.View) -> DraftedView:
        ranked = self._ranked[view.name]
        table = self._table_of(view.name)
        others = tuple(f"{each.full} ({score:.2f})" for score, each in ranked[: CANDIDATES + 1] if each is not table)
        if table is None:
            missing = tuple(column.name for column in view.columns if column.required)
            return DraftedView(view.name, None, 0.0, others, "", (), {}, {}, missing)
        head = self._head(view.name, table)
        sure: dict[str, Guess] = {}
        unsure: dict[str, list[Guess]] = {}
        for column in view.columns:
            guesses = self._guesses(view.name, column, table, head)
            if guesses and guesses[0].confidence >= SURE and not guesses[0].converts and not _torn(guesses):
                sure[column.name] = guesses[0]
            else:
                unsure[column.name] = guesses[:CANDIDATES]
        missing = tuple(column.name for column in view.columns if column.required and column.name not in sure)
        source, row_version = self._source(view.name, table, sure)
        return DraftedView(view.name, table.full, ranked[0][0], others, source, row_version, sure, unsure, missing)

    def _head(self, view: str, table: Table) -> tuple[Table, Join] | None:
        """The heads a view's lines belong to: where a foreign key leads, else a table of the heads' name."""
        if view not in _HEADS:
            return None
        by_name = sorted(
            self._tables.values(), key=lambda each: -_likeness(_table_words(each, self._prefixes), _HEADS[view])
        )
        keyed = [
            (column, self._tables[target]) for column, target in table.references.items() if target in self._tables
        ]
        named = [(each.primary[0], each) for each in by_name[:CANDIDATES] if len(each.primary) == 1]
        for column, head in (*keyed, *named):
            if head is not table and len(head.primary) == 1 and column in table.fields:
                key = _quoted_if_needed(head.primary[0])
                return head, Join(head.full, "h", f"b.{_quoted_if_needed(column)}", key, True)
        return None

    def _guesses(self, view: str, column: sql.Column, table: Table, head: tuple[Table, Join] | None) -> list[Guess]:
        """The candidates for a column, of the view's table and of the heads of its lines."""
        if column.name in _LINKS:
            found = self._linked(column, table, "b")
            if head and not found:
                found = self._linked(column, head[0], "h", (head[1],))
            return found
        found = self._own(column, table, "b")
        if head:
            of_head = self._own(column, head[0], "h", (head[1],))
            if column.name in _OF_HEADS and of_head:
                found = of_head
            elif not found or found[0].confidence < SURE:
                found = sorted([*found, *of_head], key=lambda guess: -guess.confidence)
        if not found and column.name == "code" and len(table.primary) == 1:
            key = f"CONVERT(nvarchar(50), b.{_quoted_if_needed(table.primary[0])})"
            found = [Guess(key, 0.7, "it has no code but its key")]
        if reason := _underived(view, column):
            found = [guess._replace(confidence=min(guess.confidence, 0.5), converts=reason) for guess in found]
        return found

    def _source(self, view: str, table: Table, sure: Mapping[str, Guess]) -> tuple[str, tuple[str, ...]]:
        """FROM with the joins the columns need, and the row versions the view's rows change with."""
        # With snapshots a reader could see stock from before a posting and yet take it for newer.
        hint = " WITH (READCOMMITTEDLOCK)" if view == "stock" else ""
        lines = [f"{_full(table)} AS b{hint}"]
        versions = _versions(table, "b")
        for join in dict.fromkeys(join for guess in sure.values() for join in guess.joins):
            joined = self._tables[join.table]
            kind = "INNER" if join.inner else "LEFT"
            lines.append(f"{kind} JOIN {_full(joined)} AS {join.alias} ON {join.alias}.{join.on} = {join.by}")
            if view not in _COUNTED:
                versions += _versions(joined, join.alias)
        return "\n".join(lines), tuple(versions)


def _versions(table: Table, alias: str) -> list[str]:
    return [
        f"{alias}.{_quoted_if_needed(field.name)}" for field in table.fields.values() if field.type in _ROW_VERSIONS
    ]


def _torn(guesses: Sequence[Guess]) -> bool:
    """Whether two candidates are as good as each other."""
    if len(guesses) < 2:
        return False
    return guesses[0].expression != guesses[1].expression and guesses[0].confidence - guesses[1].confidence < 0.03


def _without(words: Sequence[str], own: Sequence[str]) -> list[str]:
    """A column's words without its table's: KalaCode in STK_Kala is a code."""
    rest = [word for word in words if word not in own]
    if len(rest) == len(words) and own and words and any(each.startswith(words[0]) for each in own):
        rest = list(words[1:])
    return rest or list(words)


def _is_meant(column: sql.Column, field: Field) -> bool:
    """Whether a column of several that lead to one table is the one: the marked, or the plain."""
    words = _words(field.name)
    entity = _LINKS[column.name][0]
    if column.name in _MARKED:
        return any(mark in words for mark in _MARKED[column.name])
    marks = [mark for name, every in _MARKED.items() if _LINKS[name][0] == entity for mark in every]
    return not any(mark in words for mark in marks)


def _underived(view: str, column: sql.Column) -> str:
    return _UNDERIVED.get(f"{view}.{column.name}") or _UNDERIVED.get(column.name, "")


def _alias(column: str) -> str:
    return f"j_{column}"


def _type_fits(column: sql.Column, field: Field) -> float:
    """How well a column's type suits: 0 if it can't be that."""
    wanted = column.type.partition("(")[0]
    if wanted in ("nvarchar", "varchar"):
        if column.name in ("name", "address", "description", "note", "phones", "province", "build", "company"):
            return 1.0 if field.type in _TEXTS else 0.0
        return 1.0 if field.type in _TEXTS else 0.85 if field.type in _WHOLES else 0.0
    if wanted == "bit":
        return 1.0 if field.type == "bit" else 0.7 if field.type in _WHOLES else 0.0
    if wanted == "date":
        return 1.0 if field.type in _DATES else 0.8 if field.type in _TEXTS else 0.0
    if wanted in ("int", "smallint"):
        return 1.0 if field.type in _WHOLES else 0.0
    if wanted == "bigint":
        return 1.0 if field.type in _NUMBERS and not (field.scale or 0) else 0.85 if field.type in _NUMBERS else 0.0
    return 1.0 if field.type in _NUMBERS else 0.0


def _type_words(field: Field) -> str:
    if field.type in _TEXTS:
        return f"{field.type}({'max' if field.length == -1 else field.length})"
    return field.type


def _shape_fits(column: sql.Column, shape: Shape) -> tuple[float, str]:
    """What the sampled values' shape adds or takes."""
    if not shape.filled:
        return -0.1, "empty in the sample"
    match column.name:
        case "code":
            unlike = shape.distinct < 0.95
            return (-0.2, "its values repeat") if unlike else (0.08 * shape.code, "its values look like codes")
        case "name":
            return 0.08 * shape.words, "its values are words" if shape.words > 0.5 else ""
        case "phones":
            return 0.15 * shape.phone - 0.1, "its values look like telephone numbers" if shape.phone > 0.5 else ""
        case "date":
            return 0.0, "its values are Jalali dates as text" if shape.jalali > 0.5 else ""
        case "price" | "unit_price" | "net" | "payable" | "balance" | "debit" | "credit" | "direct" | "documentary":
            return 0.06 * shape.rials, "its values look like rials" if shape.rials > 0.3 else ""
        case "vat_percent" | "duty_percent":
            small = shape.percent > 0.9
            return (0.06, "its values are from 0 to 100") if small else (-0.3, "its values aren't percentages")
        case _:
            return 0.0, ""


def _expression(column: sql.Column, field: Field, written: str, table: Table) -> tuple[str, str]:
    """A column as T-SQL, and what has to be done first, if anything."""
    wanted = column.type.partition("(")[0]
    if wanted in ("nvarchar", "varchar") and field.type not in _TEXTS:
        return f"CONVERT(nvarchar(50), {written})", ""
    if wanted == "date" and field.type in _TEXTS:
        return written, "it is text: convert it to a date (if it is Jalali, through the site's calendar table)"
    if wanted == "bigint" and field.type in ("float", "real"):
        return f"CONVERT(bigint, ROUND({written}, 0))", ""
    if column.name == "phones":
        telephones = [
            f"{written.partition('.')[0]}.{_quoted_if_needed(each.name)}"
            for each in table.fields.values()
            if each.type in _TEXTS and _likeness(_words(each.name), _NAMES["phones"]) > 0.85
        ]
        if len(telephones) > 1:
            # STUFF takes the first ';' away, and answers NULL if there is none.
            joined = " + ".join(f"ISNULL(N';' + NULLIF({each}, N''), N'')" for each in telephones)
            return f"STUFF({joined}, 1, 1, N'')", ""
    return written, ""


def _opposites(column: sql.Column, table: Table, alias: str) -> list[Guess]:
    """A column that says the contrary: locked for active, a service for stocked."""
    words = {"active": _LOCKED, "stocked": _SERVICE}.get(column.name)
    if words is None:
        return []
    found = []
    for field in table.fields.values():
        likeness = _likeness([word for word in _words(field.name) if word != "is"], words)
        if likeness > 0.85 and field.type in ("bit", *_WHOLES):
            written = f"{alias}.{_quoted_if_needed(field.name)}"
            why = f"its name {field.name!r} says the contrary; {field.type}"
            confidence = 0.9 if field.type == "bit" else 0.5
            found.append(Guess(f"CASE {written} WHEN 1 THEN 0 ELSE 1 END", confidence, why))
    return found


def _quoted(name: str) -> str:
    return "[" + name.replace("]", "]]") + "]"


def _quoted_if_needed(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else _quoted(name)


def _full(table: Table) -> str:
    return f"{_quoted_if_needed(table.schema)}.{_quoted_if_needed(table.name)}"


# --- as a file


def _toml(made: Draft) -> str:
    lines = [
        "# A draft: read every line. The number is how sure it is (1 is certain), then why.",
        "# What begins with # isn't mapped: choose, correct, and take the # away.",
        "# پیش‌نویس است؛ هر سطر را بخوانید. عدد میزان اطمینان است و سپس دلیل آن.",
        "# سطرهای با # به کار نمی‌روند تا آن‌ها را برگزینید.",
        f"contract = {sql.VERSION}",
        "tables = [",
        *(f"  {_toml_text(name)}," for name in made.tables),
        "]",
    ]
    for view in made.views:
        lines += ["", *_view_lines(view)]
    return "\n".join(lines) + "\n"


def _view_lines(view: DraftedView) -> list[str]:
    declared = next(each for each in sql.VIEWS if each.name == view.name)
    lines = [f"# {declared.english} / {declared.persian}"]
    if view.table is None:
        lines.append(f"# No table looks like it. Candidates: {', '.join(view.others) or 'none'}.")
        lines.append(f"# [views.{view.name}]")
        return lines
    off = "# " if view.missing else ""
    lines.append(f"# {view.table}, {view.confidence:.2f}" + (f"; else {', '.join(view.others)}" if view.others else ""))
    if view.name in _SEE:
        lines.append(f"# {_SEE[view.name]}")
    if view.missing:
        lines.append(f"# Not mapped before these are found: {', '.join(view.missing)}.")
    source = view.source.split("\n")
    written = [_toml_text(view.source)] if len(source) == 1 else ['"""' + source[0], *source[1:-1], source[-1] + '"""']
    lines += [f"{off}[views.{view.name}]", f"{off}from = {written[0]}", *(f"{off}{each}" for each in written[1:])]
    if view.row_version:
        lines.append(f"{off}row_version = [{', '.join(_toml_text(each) for each in view.row_version)}]")
    lines.append(f"{off}[views.{view.name}.columns]")
    nothing = []
    for column in declared.columns:
        if guess := view.sure.get(column.name):
            lines.append(f"{off}{column.name} = {_toml_text(guess.expression)}  # {guess.confidence:.2f}: {guess.why}")
        elif view.unsure[column.name] or column.required or _underived(view.name, column):
            lines += _unsure_lines(view.name, column, view.unsure[column.name])
        else:
            nothing.append(column.name)
    if nothing:
        lines.append(f"# Nothing looks like: {', '.join(nothing)}.")
    return lines


def _unsure_lines(view: str, column: sql.Column, guesses: Sequence[Guess]) -> list[str]:
    needed = ", needed" if column.required else ""
    reason = _underived(view, column)
    lines = [f"# {column.name}: {column.english}{needed}; {reason or 'not sure'}"]
    for guess in guesses:
        converts = "" if guess.converts in ("", reason) else f"; {guess.converts}"
        join = "".join(f"; {each.alias}: {each.table}, {each.alias}.{each.on} = {each.by}" for each in guess.joins)
        written = _toml_text(guess.expression)
        lines.append(f"# {column.name} = {written}  # {guess.confidence:.2f}: {guess.why}{join}{converts}")
    return lines


def _toml_text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
