"""Reservation: what a document takes from what is sellable (MODULES.md D10).

Basis: sellable = on hand − active reservations, per (product, warehouse, attribute). Example: 17 on hand with 14.16667
reserved leaves 2.83333 (golden figure 3); two lines of 2 of that product need 4: an all-or-nothing document gets none.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from hub.rules.settings import StockPolicy
from schemas.ledger import ZERO, Movement, Snapshot, StockKey, StockLevel

Demand = tuple[StockKey, Decimal]


def allot(wanted: Sequence[Demand], stock: Mapping[StockKey, StockLevel], policy: StockPolicy) -> list[Decimal]:
    """How much each demand gets, first come first served. All or nothing: zeros unless every demand is met."""
    left: dict[StockKey, Decimal] = {}
    given: list[Decimal] = []
    short = False
    for key, quantity in wanted:
        available = left.get(key)
        if available is None:
            level = stock.get(key)
            available = level.sellable if level else ZERO
        take = quantity
        if quantity > available:
            take = available if available > 0 else ZERO  # written "0" also where a row has 0.00000
            short = True
        left[key] = available - take
        given.append(take)
    if short and policy is StockPolicy.ALL_OR_NOTHING:
        return [ZERO] * len(given)
    return given


def apply(movements: Sequence[Movement], snapshot: Snapshot) -> None:
    """Count movements in the stock rows."""
    for movement in movements:
        level = snapshot.level(movement.key)
        if movement.outgoing:
            level.reserved += movement.quantity
        else:
            level.incoming += movement.quantity
        level.changed = True


def withdraw(movements: Sequence[Movement], snapshot: Snapshot) -> None:
    """Take movements back out of the stock rows."""
    for movement in movements:
        level = snapshot.level(movement.key)
        if movement.outgoing:
            level.reserved -= movement.quantity
        else:
            level.incoming -= movement.quantity
        level.changed = True
