"""A company's books made of rows that someone gives, instead of from a seed.

The rows come as JSON, told in the contract's words; what they don't tell (periods, the company's own accounts) is that
of every simulated company.
"""

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import Final
from xml.sax.saxutils import quoteattr

import msgspec

from connectors.hesabgar.simulator.company import ACCOUNTS, CITIES, Books, arabic, settings
from connectors.hesabgar.simulator.engine import Engine

CUSTOMER: Final = 1
"""The kind of account, the account group and the subsidiary ledger of every account that is given."""
FIRST_CITY: Final = 21
UNCLEARED, RETURNED = 0, 2
VAT_ACCOUNT, DUTY_ACCOUNT = "230101", "230201"


class GivenWarehouse(msgspec.Struct, frozen=True):
    """A warehouse."""

    code: str
    name: str


class GivenProduct(msgspec.Struct, frozen=True):
    """A product; ``price`` in rials."""

    code: str
    name: str
    unit: str
    price: int
    group: str
    vat_exempt: bool = False
    stocked: bool = True


class GivenAccount(msgspec.Struct, frozen=True):
    """A customer or supplier; ``city`` by name."""

    code: str
    name: str
    city: str
    phone: str = ""
    vat_exempt: bool = False


class GivenStock(msgspec.Struct, frozen=True):
    """What is on hand of a product in a warehouse."""

    product: str
    warehouse: str
    on_hand: Decimal


class GivenFinance(msgspec.Struct, frozen=True):
    """An account's credits, balance and cheques, in rials."""

    account: str
    direct: int
    documentary: int
    balance: int
    uncleared_cheques: int
    returned_cheques: int


class GivenLine(msgspec.Struct, frozen=True):
    """A line of a document; money in rials."""

    product: str
    quantity: int
    unit_price: int
    vat: int
    duty: int

    @property
    def net(self) -> int:
        return self.quantity * self.unit_price


class GivenDocument(msgspec.Struct, frozen=True):
    """A document that people entered."""

    kind: str
    date: dt.date
    account: str
    warehouse: str
    payment: str
    lines: tuple[GivenLine, ...]


class Given(msgspec.Struct, frozen=True):
    """The rows of one company. ``from_hub``: its accounts and products are the hub's, as a branch's are."""

    warehouses: tuple[GivenWarehouse, ...]
    products: tuple[GivenProduct, ...]
    accounts: tuple[GivenAccount, ...]
    stock: tuple[GivenStock, ...]
    finance: tuple[GivenFinance, ...]
    documents: tuple[GivenDocument, ...] = ()
    from_hub: bool = False


def read(text: str) -> Given:
    """The company a JSON text tells of. Raises msgspec.ValidationError and msgspec.DecodeError."""
    return msgspec.json.decode(text, type=Given)


def fill(engine: Engine, given: Given, *, closed_before: int, refuse_negative: bool) -> None:
    """Make the company. Raises KeyError for a row that refers to one that isn't given."""
    books = Books(engine)
    settings(books, closed_before=closed_before, refuse_negative=refuse_negative)
    _accounts(books, given)
    _goods(books, given)


def entering(document: GivenDocument, number: int) -> str:
    """The owner's script that puts a document into the books as if someone had entered it there.

    It is posted as the hub's are, so that stock, balances and vouchers follow, and then no longer the hub's.
    """
    totals = {name: sum(getattr(line, name) for line in document.lines) for name in ("net", "vat", "duty")}
    texts = {
        "external_id": (reference := f"given-{number}"),
        "kind": document.kind,
        "date": document.date.isoformat(),
        "account": document.account,
        "warehouse": document.warehouse,
        "payment": document.payment,
        "vat_account": VAT_ACCOUNT,
        "duty_account": DUTY_ACCOUNT,
        "lines": _lines(document),
    }
    arguments = [
        *(f"@{name} = {_literal(value)}" for name, value in texts.items()),
        *(f"@{name} = {value}" for name, value in (totals | {"payable": sum(totals.values())}).items()),
    ]
    return (
        f"EXEC hub.post_document {', '.join(arguments)};\n"
        f"UPDATE dbo.STK_Doc SET HubRef = NULL WHERE HubRef = {_literal(reference)};\n"
        f"DELETE FROM hub.outcome WHERE external_id = {_literal(reference)};"
    )


def _lines(document: GivenDocument) -> str:
    lines = [
        {
            "number": number,
            "product": line.product,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "net": line.net,
            "vat": line.vat,
            "duty": line.duty,
            "payable": line.net + line.vat + line.duty,
        }
        for number, line in enumerate(document.lines, start=1)
    ]
    told = (" ".join(f"{name}={quoteattr(str(value))}" for name, value in line.items()) for line in lines)
    return f"<lines>{''.join(f'<line {line}/>' for line in told)}</lines>"


def _literal(text: str) -> str:
    return "N'" + text.replace("'", "''") + "'"


def _accounts(books: Books, given: Given) -> None:
    cities = {city: at for at, (city, _) in enumerate(CITIES, start=FIRST_CITY)}
    for account in given.accounts:
        if account.city not in cities:
            cities[account.city] = FIRST_CITY + len(cities)
            city = (cities[account.city], arabic(account.city), arabic(account.city))
            books.put("BAS_City", ("CityID", "CityName", "Ostan"), [city])
    books.put(
        "ACC_Account",
        ("AccCode", "AccName", "AccType", "IsMoaf", "IsLocked"),
        [(code, arabic(name), 0, False, False) for code, name in ACCOUNTS],
    )
    books.put(
        "ACC_Account",
        ("AccCode", "AccName", "AccType", "GroupID", "MoinID", "CityID", "Tel", "IsMoaf", "IsLocked"),
        [
            (each.code, arabic(each.name), CUSTOMER, CUSTOMER, CUSTOMER, cities[each.city], each.phone or None,
             each.vat_exempt, False)
            for each in given.accounts
        ],
    )  # fmt: skip
    ids = {row[1]: row[0] for row in books.table("ACC_Account").rows.values()}
    books.put(
        "ACC_Etebar",
        ("AccID", "Direct", "Asnadi", "Mande"),
        [
            (ids[each.account], Decimal(each.direct), Decimal(each.documentary), Decimal(each.balance))
            for each in given.finance
        ],
    )
    books.put("ACC_Check", ("AccID", "Amount", "Vaziat"), _cheques(given.finance, ids))


def _cheques(finance: Iterable[GivenFinance], ids: dict[str, int]) -> Iterable[tuple[int, Decimal, int]]:
    for each in finance:
        for amount, state in ((each.uncleared_cheques, UNCLEARED), (each.returned_cheques, RETURNED)):
            if amount:
                yield ids[each.account], Decimal(amount), state


def _goods(books: Books, given: Given) -> None:
    warehouses = {each.code: at for at, each in enumerate(given.warehouses, start=1)}
    books.put(
        "STK_Anbar",
        ("AnbarID", "AnbarCode", "AnbarName", "IsActive"),
        [(warehouses[each.code], each.code, arabic(each.name), True) for each in given.warehouses],
    )
    units = _numbered(each.unit for each in given.products)
    books.put("STK_Vahed", ("VahedName",), [(arabic(unit),) for unit in units])
    groups = _numbered(each.group for each in given.products)
    books.put(
        "STK_Group",
        ("GroupID", "GroupCode", "GroupName"),
        [(at, group, arabic(f"گروه {group}")) for group, at in groups.items()],
    )
    products = {each.code: at for at, each in enumerate(given.products, start=1)}
    books.put(
        "STK_Kala",
        ("KalaCode", "KalaName", "VahedID", "GroupID", "Fi", "IsMoaf", "IsKhadamat", "IsActive"),
        [
            (each.code, arabic(each.name), units[each.unit], groups[each.group], Decimal(each.price), each.vat_exempt,
             not each.stocked, True)
            for each in given.products
        ],
    )  # fmt: skip
    books.put(
        "STK_Mojoodi",
        ("KalaID", "AnbarID", "MoshID", "Meghdar"),
        [(products[each.product], warehouses[each.warehouse], 0, each.on_hand) for each in given.stock],
    )


def _numbered(names: Iterable[str]) -> dict[str, int]:
    """Each name once, numbered from 1 in the order they come."""
    return {name: at for at, name in enumerate(dict.fromkeys(names), start=1)}
