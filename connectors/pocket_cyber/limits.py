"""What a holder may see and do, and what becomes of prices that changed while its handheld was offline. Pure.

Basis: MODULES.md I19 (visitors' invoices, special customers' orders). A visitor may sell the products of his groups, to
the customers of his route, from his warehouses, with no more discount than his ceiling; a special customer orders for
itself alone. Example: ceiling 5 %, 3 × 1,000,000 rials: a discount of 150,000 passes, 150,001 doesn't.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from connectors.pocket_cyber.exchange import Granted
from connectors.pocket_cyber.spec import KINDS, Edition, PriceChanged, Spec, is_holder
from connectors.pocket_cyber.words import sentence
from schemas import text
from schemas.dates import jalali, jalali_time, today_in_tehran
from schemas.documents import Document, DocumentRequest, Kind, LineRequest, Payment
from schemas.master import Account, Product
from schemas.reasons import Reason, reason

_SALES = frozenset({Kind.SALES_ORDER, Kind.SALES_INVOICE})
_MAX_TOLD = 5


class Rights(NamedTuple):
    """A holder's limits, with codes in the spelling they are stored in."""

    holder: str
    edition: Edition
    kinds: tuple[Kind, ...]
    discount_percent: Decimal
    credit: bool
    groups: frozenset[str]
    accounts: frozenset[str]
    account_groups: frozenset[str]
    cities: frozenset[str]
    warehouses: tuple[str, ...]

    @property
    def route_is_listed(self) -> bool:
        """Whether the route is these accounts and no others ever."""
        return bool(self.accounts) and not self.account_groups and not self.cities

    @property
    def fingerprint(self) -> str:
        """Changes with anything that changes what the handheld may see."""
        sees = (
            self.holder,
            self.edition,
            *map(sorted, (self.groups, self.accounts, self.account_groups, self.cities, self.warehouses)),
        )
        return hashlib.sha256(msgspec.json.encode(sees)).hexdigest()[:12]

    def has_product(self, product: Product | None) -> bool:
        """Whether it is of the holder's groups, and sold at all."""
        return product is not None and product.active and (not self.groups or product.group in self.groups)

    def has_account(self, account: Account | None) -> bool:
        """Whether it is on the route, and active."""
        if account is None or not account.active:
            return False
        if not (self.accounts or self.account_groups or self.cities):
            return True
        return (
            account.code in self.accounts
            or account.group in self.account_groups
            or (account.city is not None and text.normalise(account.city) in self.cities)
        )

    def granted(self) -> Granted:
        """As the handheld is told."""
        return Granted(
            kinds=self.kinds,
            discount_percent=self.discount_percent,
            credit=self.credit,
            groups=tuple(sorted(self.groups)),
            warehouses=self.warehouses,
            visits=self.edition is Edition.VISITORS,
        )


def rights(spec: Spec, holder: str) -> Rights | None:
    """What the configuration lets a holder do; None if it may hold no handheld."""
    limits = spec.holders.get(holder, spec.limits)
    if limits is None or not is_holder(holder):
        return None
    return Rights(
        holder=holder,
        edition=spec.edition,
        kinds=limits.kinds or KINDS[spec.edition],
        discount_percent=limits.discount_percent,
        credit=limits.credit,
        groups=_codes(limits.groups),
        accounts=frozenset({holder}) if spec.edition is Edition.CUSTOMERS else _codes(limits.accounts),
        account_groups=_codes(limits.account_groups),
        cities=frozenset(map(text.normalise, limits.cities)),
        warehouses=tuple(dict.fromkeys(map(text.code, limits.warehouses))),
    )


def _codes(codes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(text.code, codes))


def completed(request: DocumentRequest, holder: Rights) -> DocumentRequest:
    """The request with what it leaves to the holder's limits: the first warehouse, and in CE the account."""
    changes: dict[str, object] = {}
    if request.warehouse is None and holder.warehouses and request.kind is not Kind.RECEIPT:
        changes["warehouse"] = holder.warehouses[0]
    if request.account is None and holder.edition is Edition.CUSTOMERS:
        changes["account"] = holder.holder
    return msgspec.structs.replace(request, **changes) if changes else request


def beyond(
    request: DocumentRequest, holder: Rights, products: Mapping[str, Product], accounts: Mapping[str, Account]
) -> tuple[Reason, ...]:
    """Every way in which a completed request is beyond the holder's limits."""
    return (*_header(request, holder, accounts), *_lines(request, holder, products))


def _header(request: DocumentRequest, holder: Rights, accounts: Mapping[str, Account]) -> Iterator[Reason]:
    if request.kind not in holder.kinds:
        yield sentence("kind_not_allowed", at="kind", kind=request.kind)
    if why := off_route(request.account, holder, accounts):
        yield why
    if request.kind in _SALES and request.payment is Payment.CREDIT and not holder.credit:
        yield sentence("credit_not_allowed", at="payment")
    if why := _wrong_warehouse(request.warehouse, holder, "warehouse", None):
        yield why


def off_route(code: str | None, holder: Rights, accounts: Mapping[str, Account]) -> Reason | None:
    """Why a holder has nothing to do with an account; None if it has, or none is named (the rules tell that)."""
    if code is None:
        return None
    if holder.edition is Edition.CUSTOMERS and code != holder.holder:
        return sentence("not_own_account", at="account", code=holder.holder)
    account = accounts.get(code)
    if account is None:
        return reason("unknown_account", at="account", code=code)
    if not account.active:
        return reason("inactive_account", at="account", code=code)
    return None if holder.has_account(account) else sentence("not_on_route", at="account", code=code)


def _lines(request: DocumentRequest, holder: Rights, products: Mapping[str, Product]) -> Iterator[Reason]:
    for index, line in enumerate(request.lines):
        number = index + 1 if line.number is None else line.number
        path = f"lines[{index}]"
        product = products.get(line.product)
        if product is None:
            yield reason("unknown_product", at=f"{path}.product", line=number, code=line.product)
        elif not product.active:
            yield reason("inactive_product", at=f"{path}.product", line=number, code=line.product)
        elif not holder.has_product(product):
            yield sentence("outside_groups", at=f"{path}.product", line=number, code=line.product)
        if why := _wrong_warehouse(line.warehouse, holder, f"{path}.warehouse", number):
            yield why
        if _discounted_too_much(line, product, holder.discount_percent):
            ceiling = f"{holder.discount_percent.normalize():f}"
            yield sentence("discount_ceiling", at=f"{path}.discount", line=number, percent=ceiling)


def _wrong_warehouse(code: str | None, holder: Rights, path: str, line: int | None) -> Reason | None:
    if code is None or not holder.warehouses or code in holder.warehouses:
        return None
    return sentence("warehouse_not_allowed", at=path, line=line, code=code)


def _discounted_too_much(line: LineRequest, product: Product | None, percent: Decimal) -> bool:
    """Whether the discount is above the ceiling, of the line as the handheld priced it."""
    price = line.unit_price if line.unit_price is not None else (product.price if product else None)
    if line.discount <= 0 or not line.quantity.is_finite():
        return False
    return line.discount * 100 > percent * (price or 0) * line.quantity


class Priced(NamedTuple):
    """A request after the policy for changed prices, and what the handheld is told of it."""

    request: DocumentRequest
    notes: tuple[Reason, ...]


def at_todays_prices(
    request: DocumentRequest, products: Mapping[str, Product], policy: PriceChanged, original: Document | None = None
) -> Priced:
    """What becomes of lines whose price isn't the catalogue's any more, or of a return not that of its ``original``.

    A repriced line keeps its discount's share of the amount (half-up to the rial), and its tax is left to the hub. A
    return is never repriced but held: what was paid for it isn't the catalogue's to say. Goods sold on several lines
    may come back at the price of any.
    """
    returned = request.kind is Kind.SALES_RETURN
    of_sale = original.lines if original else ()
    sold = {(line.product, line.attribute): line.unit_price for line in of_sale}
    paid = {(line.product, line.attribute, line.unit_price) for line in of_sale}
    changed = [
        (index, line, ours)
        for index, line in enumerate(request.lines)
        if line.unit_price is not None
        and (ours := sold.get((line.product, line.attribute), _price(products.get(line.product)))) is not None
        and ours != line.unit_price
        and (line.product, line.attribute, line.unit_price) not in paid
    ]
    if not (returned or request.kind in _SALES) or policy is PriceChanged.ACCEPT or not changed:
        return Priced(request, ())
    if returned:
        policy = PriceChanged.HOLD
    code = "price_changed" if policy is PriceChanged.HOLD else "repriced"
    notes = tuple(
        sentence(
            code,
            at=f"lines[{index}].unit_price",
            line=index + 1 if line.number is None else line.number,
            code=line.product,
            ours=ours,
            theirs=line.unit_price,
        )
        for index, line, ours in changed
    )
    if policy is PriceChanged.HOLD:
        return Priced(msgspec.structs.replace(request, hold=_why(notes)), notes)
    lines = list(request.lines)
    for index, line, ours in changed:
        lines[index] = _repriced(line, ours)
    return Priced(msgspec.structs.replace(request, lines=tuple(lines), tax=None), notes)


def _price(product: Product | None) -> int | None:
    return product.price if product is not None else None


def _repriced(line: LineRequest, price: int) -> LineRequest:
    before = line.unit_price or 0
    discount = (2 * line.discount * price + before) // (2 * before) if before > 0 else line.discount
    return msgspec.structs.replace(line, unit_price=price, discount=discount, vat=None, duty=None)


def _why(notes: tuple[Reason, ...]) -> str:
    """The reasons as the one text a document's hold has, in both languages."""
    told, more = notes[:_MAX_TOLD], "…" if len(notes) > _MAX_TOLD else ""
    return f"{'؛ '.join(why.fa for why in told)}{more} / {'; '.join(why.en for why in told)}{more}"


def out_of_time(
    at: datetime | None, day: date, now: datetime, *, skew: timedelta, oldest: timedelta, field: str = "at"
) -> tuple[Reason, ...]:
    """Why something can't have been made when it says: a moment or a day in the future, or too long ago.

    ``skew`` is how far a handheld's clock may be ahead of ``now``. Days are days in Tehran.
    """
    found = []
    if at is not None and at > now + skew:
        found.append(sentence("from_future", at=field, value=jalali_time(at)))
    elif at is not None and at < now - oldest:
        found.append(sentence("too_old", at=field, value=jalali_time(at), days=oldest.days))
    if day > today_in_tehran(now + skew):
        found.append(sentence("from_future", at="date", value=jalali(day)))
    elif day < today_in_tehran(now - oldest):
        found.append(sentence("too_old", at="date", value=jalali(day), days=oldest.days))
    return tuple(found)
