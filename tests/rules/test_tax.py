"""VAT and duty: the table of cases/tax.yml, and what holds for any amount."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.rules import tax
from hub.rules.settings import DEFAULT_RATES, MAX_AMOUNT, Policy, RuleSettings, TaxRate
from schemas.dates import parse_date
from schemas.documents import Kind, LineRequest, State
from schemas.master import Product
from tests.properties import PROPERTY
from tests.rules.stories import assert_fields
from tests.rules.tables import Case, cases
from tests.rules.world import World, codes


class TaxLine(msgspec.Struct, forbid_unknown_fields=True):
    """What is sent (``sent_vat`` and ``sent_duty`` as the source computed them), then what we make of it."""

    product: str = "RAM"
    quantity: Decimal = Decimal(1)
    price: int | None = None
    discount: int = 0
    sent_vat: int | None = None
    sent_duty: int | None = None
    vat_percent: Decimal | None = None
    duty_percent: Decimal | None = None
    net: int | None = None
    vat: int | None = None
    duty: int | None = None
    payable: int | None = None


class TaxCase(Case, forbid_unknown_fields=True, kw_only=True):
    kind: Kind = Kind.SALES_INVOICE
    date: str = "1403/02/12"
    account: str = "ALI"
    credit: int = MAX_AMOUNT
    tolerance: int = 0
    tax: int | None = None
    lines: list[TaxLine]
    sums: dict[str, int] = msgspec.field(default_factory=dict)
    state: State = State.CLEARED
    reasons: list[str] = msgspec.field(default_factory=list)
    at: list[str] | None = None


@pytest.mark.parametrize("case", cases("tax", TaxCase))
def test_tax(case: TaxCase) -> None:
    world = World(settings=RuleSettings(default=Policy(tax_tolerance=case.tolerance)))
    world.snapshot.accounts[case.account].direct = case.credit
    for level in world.snapshot.stock.values():
        level.in_books = Decimal(10**9)
    lines = tuple(
        LineRequest(
            line.product,
            line.quantity,
            unit_price=line.price,
            discount=line.discount,
            vat=line.sent_vat,
            duty=line.sent_duty,
        )
        for line in case.lines
    )
    account = {} if case.kind is Kind.TRANSFER else {"account": case.account}

    event = world.submit("A", case.kind, date=parse_date(case.date), lines=lines, tax=case.tax, **account)

    document = event.document
    assert document is not None
    assert (document.state, codes(event)) == (case.state, case.reasons)
    if case.at is not None:
        assert [why.field for why in event.reasons] == case.at
    assert_fields(document.totals, case.sums, "sums")
    if case.state is not State.REJECTED:
        for number, (line, wanted) in enumerate(zip(document.lines, case.lines, strict=True), 1):
            expected = {
                name: value
                for name in ("vat_percent", "duty_percent", "net", "vat", "duty", "payable")
                if (value := getattr(wanted, name)) is not None
            }
            assert_fields(line, expected, f"line {number}")


AMOUNTS = st.integers(0, MAX_AMOUNT)
QUANTITIES = st.decimals(Decimal("0.00001"), Decimal(10**8), places=5)
PERCENTS = st.decimals(0, 100, places=3)


def half_up(exact: Fraction) -> int:
    return int(exact + Fraction(1, 2))


@PROPERTY
@given(AMOUNTS, QUANTITIES)
def test_half_up_is_exact(amount: int, quantity: Decimal) -> None:
    assert tax.half_up(amount, quantity) == half_up(amount * Fraction(quantity))


@PROPERTY
@given(AMOUNTS, PERCENTS)
def test_percents_are_exact(amount: int, percent: Decimal) -> None:
    assert tax.half_up(amount, percent, 100) == half_up(amount * Fraction(percent) / 100)


@PROPERTY
@given(AMOUNTS, QUANTITIES, QUANTITIES)
def test_a_share_is_exact(amount: int, one: Decimal, other: Decimal) -> None:
    part, whole = sorted((one, other))
    assert tax.share(amount, part, whole) == half_up(amount * Fraction(part) / Fraction(whole))
    assert tax.share(amount, whole, whole) == amount
    assert tax.share(amount, Decimal(0), whole) == 0


@PROPERTY
@given(AMOUNTS, QUANTITIES, PERCENTS, PERCENTS, st.data())
def test_a_lines_amounts_add_up(
    price: int, quantity: Decimal, vat: Decimal, duty: Decimal, data: st.DataObject
) -> None:
    gross = tax.half_up(price, quantity)
    discount = data.draw(st.integers(0, gross))
    amounts = tax.line_amounts(price, quantity, discount, tax.Rates(vat, duty))
    assert (amounts.gross, amounts.discount, amounts.net) == (gross, discount, gross - discount)
    assert amounts.payable == amounts.net + amounts.vat + amounts.duty
    assert 0 <= amounts.vat <= amounts.net
    assert 0 <= amounts.duty <= amounts.net


def test_the_rates_of_a_day_are_the_newest_that_have_begun_in_whatever_order_they_are_written() -> None:
    turn = date(2024, 3, 20)
    for rates in (DEFAULT_RATES, DEFAULT_RATES[::-1]):
        assert tax.general_rates(rates, turn - timedelta(1)) == tax.Rates(Decimal(6), Decimal(3))
        assert tax.general_rates(rates, turn) == tax.Rates(Decimal(6), Decimal(4))
        assert tax.general_rates(rates, date(2015, 3, 20)) is None
    assert tax.general_rates((), turn) is None


def test_a_rate_of_a_fraction_of_a_percent_counts_exactly() -> None:
    rates = (TaxRate(date(2020, 1, 1), Decimal("6.125"), Decimal(0)),)
    general = tax.general_rates(rates, date(2024, 1, 1))
    assert general is not None
    assert tax.line_amounts(800, Decimal(1), 0, general).vat == 49


def test_an_exempt_party_pays_nothing_whatever_the_products_own_rates() -> None:
    general = tax.Rates(Decimal(6), Decimal(4))
    product = Product("T", "T", vat_percent=Decimal(25), duty_percent=Decimal(3))
    assert tax.product_rates(product, general, exempt_party=True) == tax.EXEMPT
    assert tax.product_rates(product, general, exempt_party=False) == tax.Rates(Decimal(25), Decimal(3))
