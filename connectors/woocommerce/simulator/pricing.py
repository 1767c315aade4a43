"""The shop's sums: lines, coupons, fees, shipping and taxes, in its own currency and rounded as WooCommerce does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

RIALS: Final = {"IRR": 1, "IRT": 10, "IRHR": 1_000, "IRHT": 10_000}
"""Rials in one unit of each currency of Persian WooCommerce."""


@dataclass(frozen=True, slots=True)
class Purse:
    """The shop's currency, and the decimals it shows: nothing is more precise than those."""

    currency: str = "IRT"
    decimals: int = 0

    def of_rials(self, rials: int) -> Decimal:
        """An amount of rials in the shop's currency; of a currency that isn't Iranian the same number."""
        return self.rounded(Decimal(rials) / RIALS.get(self.currency, 1))

    def rounded(self, value: Decimal) -> Decimal:
        """To the shop's decimals, half up."""
        return value.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_UP)

    def text(self, value: Decimal) -> str:
        """As the API writes it."""
        return f"{self.rounded(value):f}"


def shares(total: Decimal, parts: Sequence[Decimal], purse: Purse) -> list[Decimal]:
    """A total spread over parts by their size; the last non-zero one takes what rounding leaves."""
    whole = sum(parts, Decimal(0))
    if not whole:
        return [Decimal(0)] * len(parts)
    given = [purse.rounded(total * part / whole) for part in parts]
    last = max(index for index, part in enumerate(parts) if part)
    given[last] += total - sum(given, Decimal(0))
    return given


def unit_price(total: Decimal, quantity: Decimal) -> Decimal:
    """A line's ``price``: PHP divides floats and writes the shortest digits that give the same float again."""
    return Decimal(repr(float(total) / float(quantity or 1))).normalize() + 0


def number(value: Decimal) -> Decimal:
    """A number as PHP writes it: 2, not 2.000 or 2E+1."""
    return Decimal(f"{value.normalize():f}")


def total_of(amounts: Iterable[str]) -> Decimal:
    """The sum of amounts as text."""
    return sum((Decimal(each or 0) for each in amounts), Decimal(0))
