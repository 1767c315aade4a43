"""Whether a server is fit to be connected: what `hub hesabgar check` tells, and what `hub check` demands.

Everything here reads, and what it reads are the contract's views and the catalogue: the books are never written.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from connectors.base import ConnectorError, Unauthorised
from connectors.hesabgar import sql
from connectors.hesabgar.build import Build, build_of
from connectors.hesabgar.client import Client
from connectors.hesabgar.contract import FINANCE, STOCK, any_unversioned
from connectors.hesabgar.spec import Role, Spec
from schemas import text

SHOWN: Final = 5
"""How many examples a finding names."""

_SERVER: Final = (
    "SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')), "
    "CONVERT(nvarchar(128), SERVERPROPERTY('Edition')), "
    "CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Collation'))"
)
_COLUMNS: Final = (
    "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE "
    "FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'hub'"
)
_TABLES: Final = "SELECT TABLE_SCHEMA, TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'BASE TABLE'"
_WHOLE_DATABASE: Final = (
    "SELECT HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'SELECT'), HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'INSERT'), "
    "HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'UPDATE'), HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'DELETE'), "
    "HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'ALTER')"
)
_PERMISSION: Final = "SELECT HAS_PERMS_BY_NAME(%s, 'OBJECT', %s)"
_CODES: Final = (
    ("products", "code", "product codes", "کد کالا", "product", "کالا"),
    ("accounts", "code", "account codes", "کد حساب", "account", "حساب"),
    ("warehouses", "code", "warehouse codes", "کد انبار", "warehouse", "انبار"),
    ("units", "name", "units", "واحد سنجش", "unit", "واحد"),
)
_NEEDED: Final = frozenset({"accounts", "products", "warehouses", "build"})
"""Views without a row of which nothing can be done."""
_CHANGES: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_CAPABLE: Final = ("Persian", "Arabic", "Farsi")


class Grade(StrEnum):
    """How one thing was found."""

    GOOD = "ok"
    NOTE = "note"
    WRONG = "error"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: how it was found, and what to do about it, in both languages."""

    subject: str
    grade: Grade
    en: str
    fa: str
    remedy_en: str = ""
    remedy_fa: str = ""

    @property
    def wrong(self) -> bool:
        """Whether the connection can't work with it."""
        return self.grade is Grade.WRONG

    @property
    def sentence(self) -> str:
        """What was found and what to do, in English."""
        return f"{self.en}; {self.remedy_en}" if self.remedy_en else self.en


def _good(subject: str, en: str, fa: str) -> Finding:
    return Finding(subject, Grade.GOOD, en, fa)


async def findings(client: Client, spec: Spec, accepted: Build | None = None) -> list[Finding]:
    """Everything that was looked at, in order; it ends where nothing more can be asked. Writes nothing.

    ``accepted`` is the build that posting goes on with, as far as it is known.

    Raises ConnectorError when the server can't be reached or refuses the login.
    """
    found = await _server(client)
    for look in (_contract, _views):
        if any(finding.wrong for finding in found):
            return found
        found += await look(client)
    if any(finding.wrong for finding in found):
        return found
    found += await _rights(client, spec)
    found += await _codes(client)
    found += await _figures(client)
    found += await _entered(client, spec)
    found += await _accounts(client, spec)
    found.append(await _build(client, accepted))
    return found


# --- the server and the contract


async def _server(client: Client) -> list[Finding]:
    [(version, edition, collation)] = await client.query(_SERVER)
    words = f"SQL Server {version}, {edition}"
    if int(str(version).partition(".")[0] or 0) < sql.MINIMUM:
        old = Finding(
            "server",
            Grade.WRONG,
            f"{words} is too old",
            f"{words} قدیمی است",
            "2014 (12.0) or newer is needed: update SQL Server",
            "SQL Server 2014 (نسخهٔ 12.0) یا تازه‌تر لازم است؛ آن را به‌روز کنید",
        )
        return [old]
    return [_good("server", words, words), _collation(str(collation))]


def _collation(name: str) -> Finding:
    if not name.startswith(_CAPABLE) and "UTF8" not in name.upper():
        return Finding(
            "collation",
            Grade.NOTE,
            f"{name} knows no Persian: a column of type varchar loses its letters, nvarchar keeps them",
            f"«{name}» فارسی نمی‌شناسد: ستون‌های varchar حروف را از دست می‌دهند و nvarchar نگه می‌دارد",
            "see in Hesabgar whether names are whole",
            "در حسابگر ببینید نام‌ها درست‌اند یا نه",
        )
    if "_CS" in name or "_BIN" in name:
        return Finding(
            "collation",
            Grade.NOTE,
            f"{name} tells a from A: codes that differ in case only are different ones, here and in the hub",
            f"«{name}» حروف بزرگ و کوچک را جدا می‌داند: کدهایی که تنها در آن فرق دارند دو کدند",
            "type codes as Hesabgar has them",
            "کدها را درست مانند حسابگر بنویسید",
        )
    return _good("collation", name, name)


async def _contract(client: Client) -> list[Finding]:
    """The contract's version, its views, their columns and types."""
    install = ("run install.sql as the database's owner", "install.sql را با کاربر مالک پایگاه داده اجرا کنید")
    try:
        [(version, *_)] = await client.query("SELECT version FROM hub.contract_version")
    except Unauthorised:
        raise
    except ConnectorError as error:
        en = f"schema hub isn't installed, or the login may not see it: {error}"
        fa = f"schema hub نصب نشده یا این کاربر آن را نمی‌بیند: {error}"
        return [Finding("contract", Grade.WRONG, en, fa, *install)]
    if int(version) != sql.VERSION:
        en = f"version {version} is installed, this hub speaks {sql.VERSION}"
        fa = f"نسخهٔ {version} نصب است و این هاب نسخهٔ {sql.VERSION} را می‌فهمد"
        return [Finding("contract", Grade.WRONG, en, fa, *install)]
    rows = await client.query(_COLUMNS)
    there = {(str(table), str(column)): (str(kind), *rest) for table, column, kind, *rest in rows}
    wrong = [Finding("contract", Grade.WRONG, en, fa, *install) for en, fa in _differences(there)]
    fine = _good(
        "contract", f"version {version}; every column is there, as it must be", f"نسخهٔ {version}؛ همهٔ ستون‌ها درست‌اند"
    )
    return wrong or [fine]


def _differences(there: dict[tuple[str, str], tuple[object, ...]]) -> list[tuple[str, str]]:
    """What the declared views have and the server hasn't, or has otherwise."""
    sentences = []
    for view in sql.VIEWS:
        for column in view.all_columns:
            name = f"hub.{view.name}.{column.name}"
            found = there.get((view.name, column.name))
            if found is None:
                sentences.append(
                    (f"there is no {name}, or the login may not see it", f"ستون {name} نیست یا دیده نمی‌شود")
                )
            elif (kind := _type_text(found)) != column.type:
                sentences.append(
                    (f"{name} is {kind}, it must be {column.type}", f"نوع {name} {kind} است و باید {column.type} باشد")
                )
    return sentences


def _type_text(found: tuple[object, ...]) -> str:
    kind, length, precision, scale = found
    if kind in ("nvarchar", "varchar", "char", "nchar", "varbinary", "binary"):
        return f"{kind}({'max' if length == -1 else length})"
    if kind in ("decimal", "numeric"):
        return f"{kind}({precision},{scale})"
    return str(kind)


async def _views(client: Client) -> list[Finding]:
    """Whether each view can still be read: a table it stands on may have changed under it."""
    found: list[Finding] = []
    for view in sql.VIEWS:
        name = f"hub.{view.name}"
        try:
            rows = await client.query(f"SELECT TOP (1) * FROM {name}")  # noqa: S608
        except Unauthorised:
            raise
        except ConnectorError as error:
            remedy = (
                "mend the site's mapping and run its views again",
                "فایل نگاشت محل را درست و نماها را دوباره اجرا کنید",
            )
            found.append(
                Finding(
                    "views", Grade.WRONG, f"{name} can't be read: {error}", f"{name} خوانده نمی‌شود: {error}", *remedy
                )
            )
            continue
        if not rows:
            found.append(_empty(name, needed=view.name in _NEEDED))
    return found or [_good("views", "each can be read and has rows", "همهٔ نماها خوانده می‌شوند و سطر دارند")]


def _empty(name: str, *, needed: bool) -> Finding:
    return Finding(
        "views",
        Grade.WRONG if needed else Grade.NOTE,
        f"{name} has no row",
        f"{name} هیچ سطری ندارد",
        "see whether the site's mapping fills it" if needed else "if Hesabgar has such data, let the mapping fill it",
        "ببینید فایل نگاشت محل آن را پر می‌کند یا نه",
    )


# --- the login's rights


def _wanted_rights(spec: Spec) -> list[tuple[str, str]]:
    wanted = [(f"hub.{view.name}", "SELECT") for view in sql.VIEWS]
    wanted += [(f"hub.{name}", "SELECT") for name in ("contract_version", "horizon", "outcome")]
    wanted.append(("hub.build_fingerprint", "EXECUTE"))
    if spec.role is Role.BOOKS and spec.post:
        wanted.append(("hub.post_document", "EXECUTE"))
    if spec.role is Role.BRANCH:
        wanted.append(("hub.put_answer", "EXECUTE"))
    if spec.role is Role.BRANCH or spec.send_new:
        wanted += [("hub.post_account", "EXECUTE"), ("hub.post_product", "EXECUTE")]
    return wanted


async def _rights(client: Client, spec: Spec) -> list[Finding]:
    """It may do what the hub does, and nothing to Hesabgar's own tables."""
    remedy = ("run the script of `hub hesabgar scripts` that makes the login", "اسکریپت ساخت کاربر را دوباره اجرا کنید")
    found = []
    for name, permission in _wanted_rights(spec):
        if not await _may(client, name, permission):
            en, fa = f"the login may not {permission} {name}", f"این کاربر اجازهٔ {permission} روی {name} ندارد"
            found.append(Finding("rights", Grade.WRONG, en, fa, *remedy))
    too_much = await _too_much(client)
    if too_much:
        shown = ", ".join(too_much[:SHOWN]) + (f" and {len(too_much) - SHOWN} more" if len(too_much) > SHOWN else "")
        found.append(
            Finding(
                "rights",
                Grade.WRONG,
                f"the login may do more than the hub needs: {shown}",
                f"این کاربر بیش از نیاز هاب اجازه دارد: {shown}",
                "take it out of other roles (db_owner, sysadmin …), or make one for the hub alone",
                "او را از نقش‌های دیگر (مانند db_owner و sysadmin) بیرون بیاورید یا کاربر جداگانه‌ای بسازید",
            )
        )
    fine = _good("rights", "what the hub needs and nothing else", "به اندازهٔ نیاز هاب و نه بیشتر")
    return found or [fine]


async def _may(client: Client, name: str, permission: str) -> bool:
    [(answer,)] = await client.query(_PERMISSION, (name, permission))
    return bool(answer == 1)


async def _too_much(client: Client) -> list[str]:
    [answers] = await client.query(_WHOLE_DATABASE)
    everywhere = [
        f"{permission} in the whole database"
        for permission, answer in zip((*_CHANGES, "ALTER"), answers, strict=True)
        if answer == 1
    ]
    if everywhere:
        return everywhere
    found = []
    for schema, table in sorted(await client.query(_TABLES)):
        name = f"[{schema}].[{table}]"
        allowed = {"SELECT"} if schema == "hub" else set()
        found += [
            f"{permission} on {schema}.{table}"
            for permission in _CHANGES
            if permission not in allowed and await _may(client, name, permission)
        ]
    return found


# --- codes


async def _codes(client: Client) -> list[Finding]:
    """Whether each code and unit is there once, also as the hub spells letters and digits."""
    found = []
    for view, column, en, fa, item_en, item_fa in _CODES:
        rows = await client.query(f"SELECT {column} FROM hub.{view}")  # noqa: S608 (names of our own)
        values = [str(value or "") for (value,) in rows]
        problems = [*_duplicates(en, values, item_en, item_fa), *_alike(en, values, item_en, item_fa)]
        if column == "code":
            problems += _unfit(en, values)
        found += problems or [_good(en, f"{len(values):,}, each there once", f"{fa}: {len(values):,} مورد، بی‌تکرار")]
    return found


def _duplicates(subject: str, values: Sequence[str], item_en: str, item_fa: str) -> list[Finding]:
    counts: dict[str, int] = defaultdict(int)
    for value in values:
        counts[value] += 1
    twice = [f"{value} ({count})" for value, count in counts.items() if count > 1]
    if not twice:
        return []
    return [
        Finding(
            subject,
            Grade.WRONG,
            f"not unique: {_some(twice)}",
            f"تکراری است: {_some(twice)}",
            f"give each {item_en} one of its own in Hesabgar",
            f"در حسابگر به هر {item_fa} یکی جداگانه بدهید",
        )
    ]


def _alike(subject: str, values: Sequence[str], item_en: str, item_fa: str) -> list[Finding]:
    """Different in the books and the same in the hub."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for value in values:
        spellings[text.code(value)].add(value.rstrip())
    alike = [" = ".join(sorted(each)) for each in spellings.values() if len(each) > 1]
    if not alike:
        return []
    return [
        Finding(
            subject,
            Grade.WRONG,
            f"the same but for ي/ی, ك/ک or digits: {_some(alike)}; the hub takes them for one",
            f"تنها در ي/ی، ك/ک یا رقم‌ها فرق دارند: {_some(alike)}؛ هاب آن‌ها را یکی می‌بیند",
            f"give one {item_en} another in Hesabgar",
            f"در حسابگر یکی از آن دو {item_fa} را عوض کنید",
        )
    ]


def _unfit(subject: str, values: Sequence[str]) -> list[Finding]:
    found = []
    if unfit := [repr(value) for value in values if not text.is_code(text.code(value))]:
        found.append(
            Finding(
                subject,
                Grade.NOTE,
                f"{len(unfit)} can't be codes (empty, too long, or unseen marks): {_some(unfit)}; they are left out",
                f"{len(unfit)} مورد کد درستی نیست (تهی، بلند، یا با نشانه‌های نادیدنی): {_some(unfit)}؛ خوانده نمی‌شوند",
                "correct them in Hesabgar",
                "در حسابگر اصلاحشان کنید",
            )
        )
    if respelt := [value for value in values if text.code(value) != value.strip()]:
        found.append(
            Finding(
                subject,
                Grade.NOTE,
                f"{len(respelt)} the hub spells otherwise (ی, ک, digits): {_some(respelt)}; the books may not find "
                "them again when a document comes back",
                f"{len(respelt)} مورد را هاب به املای دیگر می‌نویسد (ی، ک، رقم‌ها): {_some(respelt)}؛ "
                "شاید هنگام ثبت پیدا نشوند",
                "let the site's site_post compare codes so, or write them in Latin digits and letters",
                "site_post محل آن‌ها را به همین املا بسنجد، یا کدها لاتین نوشته شوند",
            )
        )
    return found


async def _figures(client: Client) -> list[Finding]:
    """Whether stock and finance have one row each of what they are read by: of two the hub would take either."""
    found = []
    for view in (STOCK, FINANCE):
        key = ", ".join(view.key)
        rows = await client.query(
            f"SELECT TOP ({SHOWN}) {key}, COUNT(*) FROM hub.{view.name} GROUP BY {key} HAVING COUNT(*) > 1"  # noqa: S608
        )
        if rows:
            twice = ", ".join(f"{' / '.join(str(part or '') for part in parts)} ({count})" for *parts, count in rows)
            found.append(
                Finding(
                    f"hub.{view.name}",
                    Grade.WRONG,
                    f"more than one row for the same {key}: {twice}",
                    f"برای یک {key} بیش از یک سطر هست: {twice}",
                    "let the site's mapping add them up, or name what tells them apart",
                    "فایل نگاشت محل باید آن‌ها را جمع کند یا ستونی را که فرقشان است نام ببرد",
                )
            )
    return found


async def _entered(client: Client, spec: Spec) -> list[Finding]:
    """Whether a branch's documents can be found: they are read by row version alone."""
    if spec.role is not Role.BRANCH or not await client.query(any_unversioned("documents")):
        return []
    return [
        Finding(
            "hub.documents",
            Grade.WRONG,
            "there are documents without a row version: they never come in",
            "سندهایی بی row_version هست که هرگز خوانده نمی‌شوند",
            "name a rowversion column of their table in the site's mapping",
            "ستون rowversion جدول سندها را در فایل نگاشت محل بنویسید",
        )
    ]


def _some(items: Iterable[str]) -> str:
    every = list(items)
    more = len(every) - SHOWN
    return ", ".join(every[:SHOWN]) + (f", … (+{more})" if more > 0 else "")


# --- the configuration's account numbers, and the build


async def _accounts(client: Client, spec: Spec) -> list[Finding]:
    """The account numbers of the configuration: whether the books have them, and use them."""
    if spec.role is not Role.BOOKS:
        return []
    found = []
    for setting, code in spec.account_numbers.items():
        accounts = await client.query("SELECT active FROM hub.accounts WHERE code = %s", (code,))
        ledgers = await client.query("SELECT code FROM hub.ledgers WHERE code = %s", (code,))
        found.append(
            _account(setting, code, known=bool(accounts or ledgers), active=not accounts or bool(accounts[0][0]))
        )
    groups = {str(code) for (code,) in await client.query("SELECT code FROM hub.groups WHERE kind = 'detail'")}
    for setting, code in _detail_groups(spec):
        known = code in groups
        found.append(_account(setting, code, known=known, active=True))
    return found


def _account(setting: str, code: str, *, known: bool, active: bool) -> Finding:
    if not known:
        return Finding(
            "account numbers",
            Grade.WRONG,
            f"{setting}: the books have no {code}",
            f"{setting}: {code} در دفترها نیست",
            "correct the number in the hub's configuration, or make it in Hesabgar",
            "شماره را در تنظیمات هاب اصلاح کنید یا آن را در حسابگر بسازید",
        )
    if not active:
        return Finding(
            "account numbers",
            Grade.WRONG,
            f"{setting}: account {code} is locked in the books",
            f"{setting}: حساب {code} در دفترها قفل است",
            "unlock it in Hesabgar, or name another in the hub's configuration",
            "قفل آن را در حسابگر باز کنید یا حساب دیگری در تنظیمات هاب بنویسید",
        )
    return _good("account numbers", f"{setting}: {code}", f"{setting}: {code}")


def _detail_groups(spec: Spec) -> list[tuple[str, str]]:
    names = ("receivable_group", "new_account_group", "vat_group", "duty_group", "freight_group")
    single = [(name, value) for name in names if (value := getattr(spec, name)) is not None]
    return single + [("expense_groups", code) for code in spec.expense_groups]


async def _build(client: Client, accepted: Build | None) -> Finding:
    build = await build_of(client)
    short = build.fingerprint[:12]
    words = f"{build.build}, fingerprint {short} over {build.tables} mapped tables"
    persian = f"{build.build}، اثر انگشت {short} از {build.tables} جدول"
    if build.missing:
        return Finding(
            "build",
            Grade.WRONG,
            f"{words}; {build.missing} of the mapped tables are missing",
            f"{persian}؛ {build.missing} جدول از نگاشت نیست",
            "mend the site's mapping and run its views again",
            "فایل نگاشت محل را درست و نماها را دوباره اجرا کنید",
        )
    if accepted is None:
        return Finding("build", Grade.GOOD, f"{words}; the first one posting sees is kept as accepted", persian)
    if accepted.fingerprint == build.fingerprint:
        return _good("build", f"{words}, as accepted", f"{persian}، پذیرفته‌شده")
    before = f"{accepted.build} ({accepted.fingerprint[:12]})"
    return Finding(
        "build",
        Grade.WRONG,
        f"{words}; accepted is {before}: reading goes on, nothing is posted",
        f"{persian}؛ نسخهٔ پذیرفته {before} است: خواندن ادامه دارد و ثبت ایستاده است",
        f"try it, then accept it by name: hub hesabgar accept-build INSTANCE {short}",
        f"آن را بیازمایید و سپس با نام بپذیرید: hub hesabgar accept-build INSTANCE {short}",
    )
