"""What a soak sends: orders drawn from a seed, some of them twice, some of them malformed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

DUPLICATES: Final = 0.05
MALFORMED: Final = 0.02
SCARCE_SHARE: Final = 0.05
"""How many of the orders want the product there isn't enough of."""


@dataclass(frozen=True)
class Order:
    """One sale, as every source can express it: one line, paid in cash, at the product's price."""

    number: int
    product: str
    quantity: int
    twice: bool
    malformed: bool


def orders(dice: random.Random, count: int, products: list[str], scarce: str) -> Iterator[Order]:
    """So many orders: the shares are drawn, so they are about what the constants say."""
    for number in range(count):
        malformed = dice.random() < MALFORMED
        yield Order(
            number,
            scarce if dice.random() < SCARCE_SHARE else dice.choice(products),
            dice.randrange(1, 4),
            twice=not malformed and dice.random() < DUPLICATES,
            malformed=malformed,
        )
