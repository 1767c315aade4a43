"""VAT and municipal duty, in whole rials, per line (MODULES.md D4; PROTOCOLS.md 9.1).

Basis: the tax is taken on the discounted amount, each part rounded half-up to the rial on each line, and the header is
the sum of the lines. Example: 2 × 13,920,000 at 6 % + 3 % → net 27,840,000, VAT 1,670,400, duty 835,200, payable
30,345,600.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from hub.rules.settings import TaxRate
from schemas.documents import DocumentLine, Totals
from schemas.master import Product

ZERO = Decimal(0)


class Rates(NamedTuple):
    """Percents for one line."""

    vat: Decimal
    duty: Decimal


EXEMPT = Rates(ZERO, ZERO)


class Amounts(NamedTuple):
    """One line's rials."""

    gross: int
    discount: int
    net: int
    vat: int
    duty: int

    @property
    def payable(self) -> int:
        return self.net + self.vat + self.duty


def general_rates(rates: tuple[TaxRate, ...], day: date) -> Rates | None:
    """The general rates in force on a day; None before the first row."""
    found = None
    for row in rates:
        if row.since <= day and (found is None or row.since > found.since):
            found = row
    return Rates(found.vat, found.duty) if found else None


def product_rates(product: Product, general: Rates, *, exempt_party: bool) -> Rates:
    """The rates for one product: exempt goods and exempt parties pay none, a product's own percents go first."""
    if exempt_party or product.vat_exempt:
        return EXEMPT
    if product.vat_percent is None and product.duty_percent is None:
        return general
    return Rates(
        general.vat if product.vat_percent is None else product.vat_percent,
        general.duty if product.duty_percent is None else product.duty_percent,
    )


def half_up(amount: int, factor: Decimal, divisor: int = 1) -> int:
    """``amount × factor ÷ divisor`` in whole rials, halves rounded up; exact, for amounts and factors of 0 or more."""
    numerator, denominator = factor.as_integer_ratio()
    denominator *= divisor
    return (2 * amount * numerator + denominator) // (2 * denominator)


def share(amount: int, part: Decimal, whole: Decimal) -> int:
    """``amount × part ÷ whole`` in whole rials, halves rounded up; exact, for a part of 0 up to the whole."""
    part_numerator, part_denominator = part.as_integer_ratio()
    whole_numerator, whole_denominator = whole.as_integer_ratio()
    denominator = part_denominator * whole_numerator
    return (2 * amount * part_numerator * whole_denominator + denominator) // (2 * denominator)


def line_amounts(unit_price: int, quantity: Decimal, discount: int, rates: Rates) -> Amounts:
    """A line's rials from its price, quantity, discount (rials) and rates (percent)."""
    gross = half_up(unit_price, quantity)
    net = gross - discount
    return Amounts(gross, discount, net, half_up(net, rates.vat, 100), half_up(net, rates.duty, 100))


def totals(lines: Iterable[DocumentLine]) -> Totals:
    """The header: sums over the lines."""
    gross = discount = net = vat = duty = payable = 0
    for line in lines:
        gross += line.net + line.discount
        discount += line.discount
        net += line.net
        vat += line.vat
        duty += line.duty
        payable += line.payable
    return Totals(gross, discount, net, vat, duty, payable)
