"""Honest books for the tests: a Hesabgar that shows exactly what was posted to it, by a clock of its own."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from hub.rules import tax
from hub.rules.kinds import KINDS, credit_effect
from schemas.documents import Document, Kind
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
        """Take a document in; an order is noted there and moves nothing."""
        self.posted[document.id] = now
        if document.kind is Kind.SALES_ORDER:
            return
        for key, quantity in moves(document):
            self.stock[key] += quantity
        if document.account:
            self.balance[document.account] += credit_effect(document) * document.totals.payable

    def sellable(self, key: StockKey, documents: Sequence[Document]) -> Decimal:
        """What can truly still be promised, if every document the hub has let through comes to the books one day."""
        waiting = (promises(document, documents) for document in documents if self._waits(document))
        return self.stock[key] + sum((quantity for found in waiting for other, quantity in found if other == key), ZERO)

    def _waits(self, document: Document) -> bool:
        return document.id not in self.posted or document.kind is Kind.SALES_ORDER

    def credit(self, account: str, documents: Sequence[Document]) -> int:
        """What the account can truly still buy, if every cleared document comes to the books one day."""
        owed = self.balance[account]
        for document in documents:
            if document.account == account and self._waits(document):
                owed += credit_promised(document, documents)
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


def left_of(
    document: Document, documents: Iterable[Document], dropped: Collection[str] = ("rejected", "cancelled", "expired")
) -> dict[int, Decimal]:
    """What invoices left of each of an order's lines, by number, the first lines being the first invoiced; of any other
    document all of it. Invoices in ``dropped`` states leave all."""
    left = {line.number: line.quantity for line in document.lines}
    if document.kind is not Kind.SALES_ORDER:
        return left
    invoiced: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    for invoice in documents:
        made_of_it = invoice.kind is Kind.SALES_INVOICE and invoice.original_id == document.id
        if made_of_it and invoice.state not in dropped:
            for line in invoice.lines:
                invoiced[line.product, line.attribute] += line.quantity
    for line in document.lines:
        taken = min(line.quantity, invoiced[line.product, line.attribute])
        invoiced[line.product, line.attribute] -= taken
        left[line.number] -= taken
    return left


def promises(document: Document, documents: Iterable[Document]) -> list[tuple[StockKey, Decimal]]:
    """:func:`moves`, less what was already invoiced of an order."""
    if document.kind is not Kind.SALES_ORDER:
        return moves(document)
    left = left_of(document, documents)
    lines = (msgspec.structs.replace(each, reserved=min(each.reserved, left[each.number])) for each in document.lines)
    return moves(msgspec.structs.replace(document, lines=tuple(lines)))


def credit_promised(document: Document, documents: Iterable[Document]) -> int:
    """What a document takes of its account's credit that isn't in the books; below zero: gives to it."""
    open_order = document.kind is Kind.SALES_ORDER and document.state == "posted"
    if document.state not in CLEARED and not open_order:
        return 0
    if document.kind is not Kind.SALES_ORDER:
        return credit_effect(document) * document.totals.payable
    left = left_of(document, documents, ("rejected", "cancelled", "expired", "held", "backordered"))
    return credit_effect(document) * sum(
        tax.share(line.payable, left[line.number], line.quantity) for line in document.lines if line.quantity
    )


SERVICES = frozenset({"INSTALL"})
