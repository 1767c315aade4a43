"""Master data, as it comes from the books (or from files), keyed by code on the compacted ``master.*`` topics."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from schemas.dates import Moment


class Account(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A customer, supplier or other party. ``vat_exempt`` bodies pay no VAT and no duty."""

    code: str
    name: str
    vat_exempt: bool = False
    active: bool = True
    phones: tuple[str, ...] = ()
    city: str | None = None
    """Its name."""
    cost_centre: str | None = None
    group: str | None = None
    emails: tuple[str, ...] = ()
    ledger: str | None = None
    """The subsidiary ledger (moin) the account is of."""
    detail_group: str | None = None
    """The detail (tafsili) group."""


class Product(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Goods or a service (``stocked`` false: nothing to reserve). Own percents override the general rates."""

    code: str
    name: str
    unit: str = "عدد"
    price: int | None = None
    """Rials for one unit, when a document names none."""
    vat_exempt: bool = False
    vat_percent: Decimal | None = None
    duty_percent: Decimal | None = None
    stocked: bool = True
    active: bool = True
    group: str | None = None
    second_unit: str | None = None
    barcode: str | None = None


class Warehouse(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A place goods are kept in."""

    code: str
    name: str
    active: bool = True


class Stock(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the books say is on hand, by their own clock; an older ``as_of`` never overwrites a newer one."""

    product: str
    warehouse: str
    on_hand: Decimal
    as_of: Moment
    attribute: str = ""


class Finance(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A customer's standing in the books, in rials. ``balance`` above zero is what the customer owes."""

    account: str
    as_of: Moment
    direct: int = 0
    documentary: int = 0
    balance: int = 0
    uncleared_cheques: int = 0
    returned_cheques: int = 0
    """Shown to people; no part of the credit sum (golden figure 2)."""


class CodeList(StrEnum):
    """What the codes of a list stand for."""

    ATTRIBUTE = "attribute"
    PRODUCT_GROUP = "product_group"
    ACCOUNT_GROUP = "account_group"
    DETAIL_GROUP = "detail_group"
    LEDGER = "ledger"
    CITY = "city"
    COST_CENTRE = "cost_centre"


class ListEntry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a code that other records carry is called, in one of the lists the books keep."""

    list: CodeList
    code: str
    name: str
    product: str = ""
    """The product an attribute is of; empty where any product may come in it."""
    parent: str | None = None
    """The code of the group above; of a city, its province."""
    active: bool = True


Master = Account | Product | Warehouse | Stock | Finance | ListEntry
