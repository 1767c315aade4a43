"""What a document is given of goods, as it is written: the same decision is the same bytes."""

from decimal import Decimal

import pytest

from hub.rules.reservation import allot
from hub.rules.settings import StockPolicy
from schemas.ledger import StockKey, StockLevel

KEY = StockKey("RAM", "MAIN", "red")


@pytest.mark.parametrize("in_books", ["0.00000", "-1.00000"])
def test_of_goods_there_are_none_of_the_same_is_told_whether_or_not_they_have_a_row(in_books: str) -> None:
    """PostgreSQL writes a row's zero with five places; another command of the batch may be why there is a row."""
    wanted = [(KEY, Decimal(3)), (KEY, Decimal(1))]
    with_row = allot(wanted, {KEY: StockLevel(KEY, Decimal(in_books))}, StockPolicy.PARTIAL)
    assert list(map(str, with_row)) == list(map(str, allot(wanted, {}, StockPolicy.PARTIAL))) == ["0", "0"]
