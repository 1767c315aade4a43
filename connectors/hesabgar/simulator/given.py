"""A company's books made of rows that someone gives, instead of from a seed.

The rows come as JSON, told in the contract's words; what they don't tell (periods, the company's own accounts) is that
of every simulated company.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from connectors.hesabgar.simulator.company import ACCOUNTS, CITIES, Books, arabic, settings
from connectors.hesabgar.simulator.engine import Engine

CUSTOMER: Final = 1
"""The kind of account, the account group and the subsidiary ledger of every account that is given."""
FIRST_CITY: Final = 21
UNCLEARED, RETURNED = 0, 2


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


class Given(msgspec.Struct, frozen=True):
    """The rows of one company."""

    warehouses: tuple[GivenWarehouse, ...]
    products: tuple[GivenProduct, ...]
    accounts: tuple[GivenAccount, ...]
    stock: tuple[GivenStock, ...]
    finance: tuple[GivenFinance, ...]


def read(text: str) -> Given:
    """The company a JSON text tells of. Raises msgspec.ValidationError and msgspec.DecodeError."""
    return msgspec.json.decode(text, type=Given)


def fill(engine: Engine, given: Given, *, closed_before: int, refuse_negative: bool) -> None:
    """Make the company. Raises KeyError for a row that refers to one that isn't given."""
    books = Books(engine)
    settings(books, closed_before=closed_before, refuse_negative=refuse_negative)
    _accounts(books, given)
    _goods(books, given)


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
