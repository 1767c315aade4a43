"""What a company sets about its rules: tax rates by date, policies by source, limits."""

from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from schemas.documents import Kind, PostingPolicy

MAX_AMOUNT = 10**18 - 1
"""Rials. Moadian's sums have at most 18 digits (PROTOCOLS.md 9.2, header ``tadis``); it also fits 64 bits."""


class StockPolicy(StrEnum):
    """What happens when not all goods are there."""

    ALL_OR_NOTHING = "all_or_nothing"
    PARTIAL = "partial"
    BACKORDER = "backorder"


class CreditPolicy(StrEnum):
    """What happens when the account's instant credit is not enough."""

    HOLD = "hold"
    REJECT = "reject"


class Policy(msgspec.Struct, frozen=True):
    """How documents of one source, or of one kind of it, are treated."""

    stock: StockPolicy = StockPolicy.ALL_OR_NOTHING
    credit: CreditPolicy = CreditPolicy.HOLD
    reservation: timedelta | None = None
    """How long stock stays reserved; None: until the document is posted or cancelled."""
    tax_tolerance: int = 0
    """Rials the source's tax may differ from ours before the document is held."""
    approval: bool = False
    """Every document that takes credit is held for a person's approval."""
    posting: PostingPolicy = PostingPolicy.AUTOMATIC


class TaxRate(msgspec.Struct, frozen=True):
    """The general rates from a day on, in percent: VAT and municipal duty apart (MODULES.md D4)."""

    since: date
    vat: Decimal
    duty: Decimal


class Limits(msgspec.Struct, frozen=True):
    """What is still taken for a document."""

    max_lines: int = 1_000
    max_quantity: Decimal = Decimal(100_000_000)


DEFAULT_RATES = (
    TaxRate(date(2015, 3, 21), Decimal(6), Decimal(3)),
    TaxRate(date(2024, 3, 20), Decimal(6), Decimal(4)),
)
"""9 % (6 + 3) as on the vendor's screens, 10 % from 1403/01/01 (MODULES.md golden figure 1, PROTOCOLS.md 9.1: 4 tax,
1 health and 1 pension on one side, 4 duty on the other)."""


class RuleSettings(msgspec.Struct, frozen=True):
    """Everything the rules take from the configuration."""

    default: Policy = Policy()
    by_source: dict[str, Policy] = {}
    by_kind: dict[tuple[str, Kind], Policy] = {}
    """Where a kind of a source has a policy that isn't the source's."""
    default_by_kind: dict[Kind, Policy] = {}
    """The same for sources without any policy of their own."""
    rates: tuple[TaxRate, ...] = DEFAULT_RATES
    closed_until: date | None = None
    """The last day of the last closed fiscal period."""
    limits: Limits = Limits()

    def policy(self, source: str, kind: Kind) -> Policy:
        """The policy a source's documents of a kind get."""
        if source in self.by_source:
            return self.by_kind.get((source, kind), self.by_source[source])
        return self.default_by_kind.get(kind, self.default)
