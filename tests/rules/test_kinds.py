"""What each kind does to stock and credit: the table of cases/kinds.yml, a row for every kind there is."""

from decimal import Decimal
from typing import Any

import pytest

from hub.rules import credit
from schemas.commands import Cancel
from schemas.documents import Kind, Method, Payment
from tests.rules.tables import Case, cases
from tests.rules.world import World, codes, line, sums_disagree


class KindCase(Case, forbid_unknown_fields=True, kw_only=True):
    kind: Kind
    account: bool
    taxed: bool
    main: Decimal
    shop: Decimal
    credit: int
    cash: int


ROWS = cases("kinds", KindCase)


def standing(world: World) -> tuple[Decimal, Decimal, int]:
    """Sellable in MAIN and SHOP, and the instant credit."""
    return (
        world.level("RAM", "MAIN").sellable,
        world.level("RAM", "SHOP").sellable,
        credit.instant_credit(world.snapshot.accounts["ALI"]),
    )


def change(world: World, kind: Kind, **fields: Any) -> tuple[Decimal, Decimal, int]:
    before = standing(world)
    content = {} if kind is Kind.RECEIPT else {"lines": (line("RAM", 2),)}
    event = world.submit("A", kind, **content, **fields)
    assert event.type == "document.cleared", event.reasons
    main, shop, instant = (after - was for after, was in zip(standing(world), before, strict=True))
    return main, shop, instant


def test_every_kind_has_its_row() -> None:
    assert [row.values[0].kind for row in ROWS] == list(Kind)


@pytest.mark.parametrize("row", ROWS)
def test_a_cleared_document_moves_what_its_row_says(row: KindCase) -> None:
    assert change(World(), row.kind) == (row.main, row.shop, row.credit)


@pytest.mark.parametrize("row", ROWS)
def test_paid_in_cash_or_by_cheque_it_moves_other_credit_and_the_same_goods(row: KindCase) -> None:
    paid = {"method": Method.CHEQUE} if row.kind is Kind.RECEIPT else {"payment": Payment.CASH}
    assert change(World(), row.kind, **paid) == (row.main, row.shop, row.cash)


@pytest.mark.parametrize("row", ROWS)
def test_cancelled_it_gives_everything_back(row: KindCase) -> None:
    world = World()
    before = standing(world)
    change(world, row.kind)
    assert world.do(Cancel).type == "document.cancelled"
    assert standing(world) == before
    assert list(sums_disagree(world.snapshot)) == []
    assert all(each.reserved == 0 for each in world.document().lines)


@pytest.mark.parametrize("row", ROWS)
def test_an_account_is_needed_where_the_row_says(row: KindCase) -> None:
    event = World().submit("A", row.kind, account=None)
    assert codes(event) == (["field_missing"] if row.account else [])


@pytest.mark.parametrize("row", ROWS)
def test_tax_is_computed_where_the_row_says(row: KindCase) -> None:
    totals = World().submit("A", row.kind).document.totals  # type: ignore[union-attr]
    assert (totals.vat > 0, totals.duty > 0) == (row.taxed, row.taxed)
    assert totals.payable == totals.net + totals.vat + totals.duty
