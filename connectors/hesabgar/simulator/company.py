"""A company's books made from a seed: the same seed gives the same books, whatever the machine.

Names, codes and quantities are made up, but for the figures of the customers' document (``GOLDEN`` below), which are
found under the codes it prints. Persian is written as such databases have it: with the Arabic ي and ك.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from connectors.hesabgar.simulator.engine import Engine
from connectors.hesabgar.simulator.storage import Table
from schemas.dates import parse_date

FIRST_YEAR: Final = 1398
LAST_YEAR: Final = 1420
BUILD: Final = "Cyberacc 14.05.1-C"

CITIES: Final = (
    ("تهران", "تهران"), ("کرج", "البرز"), ("اصفهان", "اصفهان"), ("مشهد", "خراسان رضوی"), ("شیراز", "فارس"),
    ("تبریز", "آذربایجان شرقی"), ("رشت", "گیلان"), ("یزد", "یزد"), ("کرمان", "کرمان"), ("قم", "قم"),
)  # fmt: skip
_FIRST: Final = ("بازرگانی", "فروشگاه", "شرکت", "پخش", "تعاونی", "گروه", "صنایع", "موسسه")
_SECOND: Final = (
    "امین", "پارس", "کیان", "البرز", "آریا", "یکتا", "نیک", "سپهر", "پیک", "کوشا", "مهر", "زاگرس", "کاسپین", "بهین",
)  # fmt: skip
_THIRD: Final = ("گستر", "تجارت", "صنعت", "کالا", "یاران", "پرداز", "نوین", "سیستم", "کیش", "شرق", "پیشرو")
_GOODS: Final = (
    ("رم", "عدد"), ("سی پی یو", "عدد"), ("کیبورد", "عدد"), ("کابل شبکه", "متر"), ("روغن آفتابگردان", "کارتن"),
    ("برنج", "کیلوگرم"), ("چای", "بسته"), ("شکر", "کیلوگرم"), ("رنگ", "سطل"), ("کاغذ", "بسته"), ("پیچ", "عدد"),
    ("لوله", "شاخه"), ("لامپ", "عدد"), ("باتری", "عدد"), ("چسب", "عدد"), ("شیر", "لیتر"),
)  # fmt: skip
_BRANDS: Final = ("کینگ استون", "ای ام دی", "گلستان", "پارس", "لادن", "نیک", "آریا", "یکتا", "سپهر", "البرز", "کیان")
_UNITS: Final = ("عدد", "کارتن", "کیلوگرم", "متر", "بسته", "سطل", "شاخه", "لیتر", "جفت", "تن")
_COLOURS: Final = ("سفید", "مشکی", "آبی", "قرمز", "سبز", "زرد", "خاکستری", "قهوه ای")
_WAREHOUSES: Final = ("انبار مرکزی", "انبار شعبه یک", "انبار فروشگاه", "انبار امانی")

ACCOUNTS: Final = (
    ("110101", "صندوق"),
    ("110201", "بانک (کارت خوان)"),
    ("110301", "اسناد دریافتنی"),
    ("119901", "حواله بین انبارها"),
    ("230101", "مالیات بر ارزش افزوده"),
    ("230201", "عوارض شهرداری"),
    ("410001", "فروش کالا"),
    ("410002", "برگشت از فروش"),
    ("510001", "خرید کالا"),
    ("610001", "هزینه های عمومی"),
    ("610002", "هزینه حمل"),
    ("190001", "بدهکاران متفرقه"),
)
"""The company's own accounts, by code: what the hub's configuration names."""

STATEMENT_ACCOUNT: Final = "212010006"
CREDIT_ACCOUNT: Final = "212010001"
SUPPLIER: Final = "310010001"


def arabic(text: str) -> str:
    """Persian with the Arabic letters that old databases have."""
    return text.replace("ی", "ي").replace("ک", "ك")


@dataclass(frozen=True, slots=True)
class Size:
    """How big a company to make."""

    products: int = 2_000
    customers: int = 500
    stock_rows: int | None = None
    """Rows of stock; None for one per product and warehouse, and a few with attributes."""


class Books:
    """Puts rows into the engine's tables without going through T-SQL: a company is ready in a moment."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def table(self, name: str) -> Table:
        found = self._engine.database.find("dbo", name)
        assert isinstance(found, Table)
        return found

    def put(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add rows; identities and row versions are filled in."""
        table = self.table(name)
        given = [table.position(column) for column in columns]
        identity = next((at for at, column in enumerate(table.columns) if column.identity), None)
        version = next((at for at, column in enumerate(table.columns) if column.rowversion), None)
        width = len(table.columns)
        next_version = self._engine.database.next_row_version
        for row in rows:
            values: list[Any] = [None] * width
            for at, value in zip(given, row, strict=True):
                assert at is not None
                values[at] = value
            if identity is not None:
                if values[identity] is None:
                    values[identity] = table.identity + 1
                table.identity = max(table.identity, values[identity])
            if version is not None:
                values[version] = next_version()
            table.put((*values, next(table.next_row)))


def fill(engine: Engine, seed: int, size: Size, *, closed_before: int, refuse_negative: bool) -> None:
    """Make the company."""
    draw = random.Random(seed)  # noqa: S311 (test data, not a secret)
    books = Books(engine)
    settings(books, closed_before=closed_before, refuse_negative=refuse_negative)
    _accounts(books, draw, size.customers)
    _products(books, draw, size.products)
    _stock(books, draw, size)
    _statement(books)


def jalali(year: int, month: int, day: int) -> dt.date:
    """A Jalali date's Gregorian day."""
    return parse_date(f"{year}/{month}/{day}")


def settings(books: Books, *, closed_before: int, refuse_negative: bool) -> None:
    """What every company has: its name, periods, cities, cost centres, ledgers and groups of accounts."""
    company = arabic("شرکت نمونهٔ پیوند (شبیه‌ساز)")
    books.put("SYS_Info", ("InfoID", "Company", "Build"), [(1, company, BUILD)])
    books.put(
        "SYS_Period",
        ("FiscalYear", "StartDate", "EndDate", "IsClosed"),
        (
            (year, jalali(year, 1, 1), jalali(year + 1, 1, 1) - dt.timedelta(days=1), year < closed_before)
            for year in range(FIRST_YEAR, LAST_YEAR + 1)
        ),
    )
    books.put("SYS_Option", ("Name", "Value"), [("negative_stock", "refuse" if refuse_negative else "allow")])
    books.put(
        "BAS_City",
        ("CityID", "CityName", "Ostan"),
        ((at, arabic(city), arabic(ostan)) for at, (city, ostan) in enumerate(CITIES, start=21)),
    )
    centres = ("فروش", "پخش", "اداری", "پروژه")
    books.put(
        "BAS_CostCenter",
        ("CostID", "CostCode", "CostName", "IsActive"),
        ((at, f"C{at:02d}", arabic(name), at < 4) for at, name in enumerate(centres, start=1)),
    )
    books.put(
        "ACC_Moin",
        ("MoinID", "MoinCode", "MoinName"),
        [(1, "21201", arabic("حساب های دریافتنی تجاری")), (2, "31001", arabic("حساب های پرداختنی تجاری"))],
    )
    groups = ((1, "01", "مشتریان", False), (2, "02", "فروشندگان", False), (3, "91", "تفصیلی مشتریان", True))
    books.put(
        "ACC_Group",
        ("GroupID", "GroupCode", "GroupName", "IsTafsili"),
        ((number, code, arabic(name), detail) for number, code, name, detail in groups),
    )


def _accounts(books: Books, draw: random.Random, customers: int) -> None:
    columns = (
        "AccCode", "AccName", "AccType", "GroupID", "TafsiliID", "MoinID", "CityID", "CostID", "Tel", "Mobile", "Addr",
        "MelliCode", "EconomyCode", "IsMoaf", "IsLocked",
    )  # fmt: skip
    own = [
        (code, arabic(name), 0, None, None, None, None, None, None, None, None, None, None, False, False)
        for code, name in ACCOUNTS
    ]
    supplier = (SUPPLIER, arabic("شرکت تأمین کالای شرق"), 2, 2, None, 2, 21, None, "02133445566", None, None, None,
                None, False, False)  # fmt: skip
    rows: list[tuple[Any, ...]] = []
    for at in range(1, customers + 1):
        city = 21 + draw.randrange(len(CITIES))
        name = f"{draw.choice(_FIRST)} {draw.choice(_SECOND)} {draw.choice(_THIRD)}"
        if at == 6:
            name = "شرکت امین گستر"
        rows.append(
            (
                f"2120{10_000 + at:05d}",
                arabic(name),
                1, 1, 3 if draw.random() < 0.5 else None, 1, city,
                draw.randrange(1, 5) if draw.random() < 0.3 else None,
                f"0{draw.randrange(21, 87)}{draw.randrange(10_000_000, 99_999_999)}" if draw.random() < 0.8 else None,
                f"09{draw.randrange(100_000_000, 999_999_999)}" if draw.random() < 0.9 else None,
                arabic(f"{CITIES[city - 21][0]}، خیابان {draw.choice(_SECOND)}، پلاک {draw.randrange(1, 400)}"),
                f"{draw.randrange(10**9, 10**10)}" if draw.random() < 0.7 else None,
                f"{draw.randrange(10**11, 10**12)}" if draw.random() < 0.4 else None,
                at > 10 and draw.random() < 0.04,
                at > 10 and draw.random() < 0.02,
            )
        )  # fmt: skip
    books.put("ACC_Account", columns, [*own, supplier, *rows])
    first = len(own) + 2
    _finance(books, draw, first, customers)
    books.put("ACC_Etebar", ("AccID", "Direct", "Asnadi", "Mande"), [(first - 1, Decimal(0), Decimal(0), Decimal(0))])
    books.put(
        "BAS_Place",
        ("PlaceID", "PlaceCode", "PlaceName", "CityID", "AccID"),
        (
            (at, f"P{at:03d}", arabic(f"مکان {at}"), 21 + at % len(CITIES), first + at if at < customers else None)
            for at in range(1, min(40, customers))
        ),
    )


def _finance(books: Books, draw: random.Random, first: int, customers: int) -> None:
    credits: list[tuple[Any, ...]] = []
    cheques: list[tuple[Any, ...]] = []
    for at in range(customers):
        account = first + at
        if at == 0:
            credits.append((account, Decimal(540_000_000_000), Decimal(350_000_000_000), Decimal(87_634_996_000)))
            cheques += [
                (account, "100201", Decimal(45_000_000_000), 0),
                (account, "100202", Decimal(23_125_000_000), 2),
            ]
            continue
        if at == 5:
            credits.append((account, Decimal(500_000_000), Decimal(0), Decimal(132_634_996)))
            continue
        million = 1_000_000
        direct, documentary = draw.randrange(0, 2_000) * million, draw.randrange(0, 1_000) * million
        balance = draw.randrange(-100, 1_500) * million + draw.randrange(million)
        credits.append((account, Decimal(direct), Decimal(documentary), Decimal(balance)))
        for number in range(draw.randrange(3)):
            amount = Decimal(draw.randrange(10, 200) * million)
            cheques.append((account, f"{account}{number:02d}", amount, draw.choice((0, 1, 2))))
    books.put("ACC_Etebar", ("AccID", "Direct", "Asnadi", "Mande"), credits)
    due = jalali(1405, 6, 31)
    books.put(
        "ACC_Check",
        ("AccID", "CheckNo", "Amount", "DueDate", "Vaziat"),
        ((account, number, amount, due, state) for account, number, amount, state in cheques),
    )


GOLDEN: Final = (
    ("10000300101", "رم کینگ استون مدل 1", Decimal(17)),
    ("10000300102", "رم کینگ استون مدل 2", Decimal(47)),
    ("10000400201", "سی پی یو (ای ام دی) مدل 1", Decimal(25)),
    ("10000400202", "سی پی یو (ای ام دی) مدل 2", Decimal(56)),
)
"""Products of the customers' document, with what is on hand in the first warehouse."""


def _products(books: Books, draw: random.Random, products: int) -> None:
    books.put("STK_Vahed", ("VahedName",), ((arabic(name),) for name in _UNITS))
    units = {name: at for at, name in enumerate(_UNITS, start=1)}
    books.put(
        "STK_Group",
        ("GroupID", "GroupCode", "GroupName", "ParentID"),
        (
            (at, f"{at:03d}", arabic(name), None if at < 5 else at % 4 + 1)
            for at, (name, _) in enumerate(_GOODS, start=1)
        ),
    )
    columns = (
        "KalaCode", "KalaName", "VahedID", "Vahed2ID", "Zarib", "GroupID", "Fi", "Barcode", "IsMoaf", "Maliat",
        "Avarez", "IsKhadamat", "IsActive",
    )  # fmt: skip
    prices = (Decimal(13_920_000), Decimal(14_500_000), Decimal(37_120_000), Decimal(38_280_000))
    rows: list[tuple[Any, ...]] = [
        (code, arabic(name), 1, None, None, 1, price, None, False, None, None, False, True)
        for (code, name, _), price in zip(GOLDEN, prices, strict=True)
    ]
    for at in range(len(rows), products):
        kind = draw.randrange(len(_GOODS))
        goods, unit = _GOODS[kind]
        second = draw.random()
        own_rate = draw.random() < 0.02
        rows.append(
            (
                f"1000{at:07d}",
                arabic(f"{goods} {draw.choice(_BRANDS)} مدل {at}"),
                units[unit],
                units["کارتن"] if second < 0.2 else None,
                Decimal(draw.randrange(2, 48)) if second < 0.15 else None,
                kind + 1,
                Decimal(draw.randrange(50, 50_000) * 1_000),
                f"626{draw.randrange(10**9, 10**10)}" if draw.random() < 0.7 else None,
                draw.random() < 0.05,
                Decimal("4.00") if own_rate else None,
                Decimal("2.00") if own_rate else None,
                at % 200 == 199,
                at < 20 or draw.random() > 0.02,
            )
        )  # fmt: skip
    books.put("STK_Kala", columns, rows[:products])


def _stock(books: Books, draw: random.Random, size: Size) -> None:
    books.put(
        "STK_Anbar",
        ("AnbarID", "AnbarCode", "AnbarName", "IsActive"),
        ((at, f"{at:02d}", arabic(name), True) for at, name in enumerate(_WAREHOUSES, start=1)),
    )
    places = size.products * len(_WAREHOUSES)
    attributes = len(_COLOURS)
    if size.stock_rows is not None:
        attributes = max(attributes, -(-size.stock_rows // places) - 1)
    books.put(
        "STK_Moshakhase",
        ("MoshID", "MoshCode", "MoshName"),
        ((at, f"M{at:02d}", arabic(f"{_COLOURS[at % len(_COLOURS)]} {at}")) for at in range(1, attributes + 1)),
    )
    wanted = places + size.products // 20 if size.stock_rows is None else size.stock_rows
    books.put("STK_Mojoodi", ("KalaID", "AnbarID", "MoshID", "Meghdar"), _quantities(draw, size.products, wanted))


def _quantities(draw: random.Random, products: int, wanted: int) -> Iterable[tuple[int, int, int, Decimal]]:
    made = 0
    attribute = 0
    while True:
        for product in range(1, products + 1):
            for warehouse in range(1, len(_WAREHOUSES) + 1):
                if made == wanted:
                    return
                made += 1
                quantity = (
                    Decimal(draw.randrange(0, 500_00000)).scaleb(-5)
                    if product % 3 == 0
                    else Decimal(draw.randrange(0, 500))
                )
                if attribute == 0 and product <= len(GOLDEN):
                    quantity = GOLDEN[product - 1][2] if warehouse == 1 else Decimal(0)
                yield product, warehouse, attribute, quantity.quantize(Decimal("0.00001"))
        attribute += 1


def _statement(books: Books) -> None:
    """The statement of the customers' document: two vouchers of 1400."""
    accounts = books.table("ACC_Account")
    by_code = {row[1]: row[0] for row in accounts.rows.values()}
    account, sales = by_code.get(STATEMENT_ACCOUNT), by_code["410001"]
    if account is None:
        return
    vouchers = ((24, jalali(1400, 7, 11), 67_690_256), (32, jalali(1400, 7, 26), 64_944_740))
    for at, (number, date, amount) in enumerate(vouchers, start=1):
        books.put(
            "ACC_Sanad",
            ("FiscalYear", "SanadNo", "SanadDate", "Sharh", "Kind", "DocNo"),
            [(1400, number, date, arabic("فاکتور فروش"), "sales_invoice", at)],
        )
        books.put(
            "ACC_SanadRow",
            ("SanadID", "RowNo", "AccID", "Bed", "Bes", "Sharh"),
            [
                (at, 1, account, Decimal(amount), Decimal(0), arabic("فاکتور فروش")),
                (at, 2, sales, Decimal(0), Decimal(amount), arabic("فاکتور فروش")),
            ],
        )
    books.put("SYS_Counter", ("FiscalYear", "Kind", "LastNumber"), [(1400, "voucher", 32), (1400, "sales_invoice", 2)])
