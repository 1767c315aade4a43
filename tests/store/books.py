"""Honest books for the tests: a Hesabgar that shows exactly what was posted to it, by a clock of its own."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from hub.rules.kinds import KINDS, credit_effect
from schemas.documents import Document
from schemas.ledger import StockKey
from schemas.master import Finance, Master, Stock

ZERO = Decimal(0)


class Books:
    """What is truly there. ``direct`` is every account's credit limit, in rials."""

    def __init__(self, stock: dict[StockKey, Decimal], accounts: Iterable[str], direct: int, now: datetime) -> None:
        self.stock = defaultdict(lambda: ZERO, stock)
        self.balance = dict.fromkeys(accounts, 0)
        self.direct = direct
        self.posted: dict[UUID, datetime] = {}
        self.told: list[Master] = self.look(now)

    def look(self, now: datetime) -> list[Master]:
        """What someone who looks now is told; kept, so that it may be told once more later."""
        found: list[Master] = [
            Stock(key.product, key.warehouse, quantity, now, key.attribute) for key, quantity in self.stock.items()
        ]
        found += [Finance(code, now, direct=self.direct, balance=owed) for code, owed in self.balance.items()]
        self.told = [*getattr(self, "told", ()), *found]
        return found

    def post(self, document: Document, now: datetime) -> None:
        """Take a document in."""
        for key, quantity in moves(document):
            self.stock[key] += quantity
        if document.account:
            self.balance[document.account] += credit_effect(document) * document.totals.payable
        self.posted[document.id] = now

    def sellable(self, key: StockKey, documents: Sequence[Document]) -> Decimal:
        """What can truly still be promised, if every document the hub has let through comes to the books one day."""
        waiting = (moves(document) for document in documents if document.id not in self.posted)
        return self.stock[key] + sum((quantity for found in waiting for other, quantity in found if other == key), ZERO)

    def credit(self, account: str, documents: Iterable[Document]) -> int:
        """What the account can truly still buy, if every cleared document comes to the books one day."""
        owed = self.balance[account]
        for document in documents:
            if document.account == account and document.id not in self.posted and document.state in CLEARED:
                owed += credit_effect(document) * document.totals.payable
        return self.direct - owed


CLEARED = ("cleared", "posting", "post_failed")
TAKES = (*CLEARED, "held", "backordered")


def moves(document: Document) -> list[tuple[StockKey, Decimal]]:
    """What a document takes from stock (below zero) and brings to it, in the state it is in."""
    rule = KINDS[document.kind]
    found = []
    for line in document.lines:
        if line.warehouse is None or line.product in SERVICES:
            continue
        if rule.takes_stock and document.state in (*TAKES, "posted"):
            found.append((StockKey(line.product, line.warehouse, line.attribute), -line.reserved))
        if rule.brings_stock and document.state in (*CLEARED, "posted"):
            place = document.to_warehouse or line.warehouse
            found.append((StockKey(line.product, place, line.attribute), line.quantity))
    return found


SERVICES = frozenset({"INSTALL"})
