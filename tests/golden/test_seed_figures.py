"""The figures on the vendor's own screens, to the rial (MODULES.md "Golden figures")."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hub.rules import credit, tax
from schemas.dates import parse_date
from schemas.documents import LineRequest, State
from schemas.ledger import AccountLedger, StockKey
from schemas.master import Product
from tests.rules.world import World, line

FIGURES: dict[str, Any] = json.loads(Path(__file__).with_name("seed_figures.json").read_text("utf-8"))
VAT = FIGURES["vat_2021"]


def test_vat_of_each_line_and_in_all_by_the_rates_of_its_date() -> None:
    """The screens' invoice of 1400 goes the whole way: 9 %, each line's net and payable, the total."""
    world = World()
    sent = tuple(
        LineRequest("RAM", Decimal(row["quantity"]), unit_price=row["unit_price"], discount=row["discount"])
        for row in VAT["lines"]
    )
    document = world.submit("A", date=parse_date("1400/9/6"), lines=sent).document
    assert document is not None
    assert document.state is State.CLEARED
    rates = tax.Rates(Decimal(VAT["rates_percent"]["vat"]), Decimal(VAT["rates_percent"]["duty"]))
    assert {(priced.vat_percent, priced.duty_percent) for priced in document.lines} == {rates}
    assert [(priced.net, priced.payable) for priced in document.lines] == [
        (row["net"], row["payable"]) for row in VAT["lines"]
    ]
    assert document.totals.payable == VAT["total_payable"] == 193_958_960


def test_instant_credit_without_the_returned_cheques() -> None:
    figures = FIGURES["credit"]
    account = AccountLedger("212010006", **{name: figures[name] for name in figures if name != "instant_credit"})
    assert account.returned_cheques == 23_125_000_000
    assert credit.instant_credit(account) == figures["instant_credit"] == 757_365_004_000


def test_that_credit_buys_to_its_last_rial_and_not_beyond() -> None:
    figures = FIGURES["credit"]
    for over, state in ((0, State.CLEARED), (1, State.HELD)):
        world = World()
        world.snapshot.accounts["SCHOOL"] = AccountLedger(
            "SCHOOL", vat_exempt=True, **{name: figures[name] for name in figures if name != "instant_credit"}
        )
        document = world.submit(
            "A", account="SCHOOL", lines=(line(unit_price=figures["instant_credit"] + over),)
        ).document
        assert document is not None
        assert document.state is state


@pytest.mark.parametrize("row", FIGURES["stock"], ids=lambda row: row["code"])
def test_sellable_stock_after_the_reservations_of_the_screen(row: dict[str, str]) -> None:
    world = World()
    world.snapshot.products[row["code"]] = Product(row["code"], row["name"], price=1)
    level = world.level(row["code"])
    level.in_books = Decimal(row["on_hand"])
    reserved = Decimal(row["on_hand"]) - Decimal(row["sellable"])

    document = world.submit("A", lines=(LineRequest(row["code"], reserved),)).document

    assert document is not None
    assert document.state is State.CLEARED
    assert level.key == StockKey(row["code"], "MAIN")
    assert level.on_hand == Decimal(row["on_hand"])
    assert level.sellable == Decimal(row["sellable"])
    beyond = world.submit("B", lines=(LineRequest(row["code"], Decimal(row["sellable"]) + Decimal("0.00001")),))
    assert beyond.type == "document.rejected"
