"""What the books had before the hub came is recorded as it stands there."""

from decimal import Decimal

import msgspec
import pytest

from hub.rules import history
from schemas.commands import Submit
from schemas.documents import Document, Kind, LineRequest, State
from tests.rules.world import SOURCE, World, figures, request


def recorded(world: World, source_id: str = "A", kind: Kind = Kind.SALES_INVOICE, **fields: object) -> Document:
    """A document of the books, decided."""
    command = Submit.of(request(source_id, kind, **fields), source=SOURCE, actor="import", now=world.now)
    event = world.decide(msgspec.structs.replace(command, in_books="1207"))
    assert event.document is not None
    return event.document


LINE = LineRequest("RAM", Decimal(2), unit_price=13_920_000, vat=1_670_400, duty=835_200)


def test_it_stands_as_posted_with_the_books_own_amounts_and_rates() -> None:
    document = recorded(World(), lines=(LINE,))
    assert document.state is State.POSTED
    assert document.posting is not None
    assert document.posting.number == "1207"
    [line] = document.lines
    assert (line.net, line.payable, line.vat_percent, line.duty_percent) == (27_840_000, 30_345_600, 6, 3)
    assert document.totals.payable == 30_345_600


def test_it_takes_neither_goods_nor_credit_and_no_rule_of_today_holds_it() -> None:
    world = World()
    before = figures(world.snapshot)[1:]
    unknown = LineRequest("GONE LONG AGO", Decimal(10**6), unit_price=10**9)
    document = recorded(world, lines=(unknown,), account="NOBODY")
    assert document.state is State.POSTED
    assert figures(world.snapshot)[1:] == before


def test_a_return_names_its_sale() -> None:
    world = World()
    sale = recorded(world, "A", lines=(LINE,))
    back = recorded(world, "B", Kind.SALES_RETURN, lines=(LINE,), original="A")
    assert back.original_id == sale.id


def test_what_makes_no_sense_is_rejected_all_the_same() -> None:
    assert recorded(World(), lines=()).state is State.REJECTED


@pytest.mark.parametrize(
    ("part", "whole", "rate"),
    [(1_670_400, 27_840_000, "6"), (1, 3, "33.33"), (1, 200, "0.5"), (1, 20_000, "0.01"), (0, 5, "0"), (5, 0, "0")],
)
def test_a_rate_is_found_to_two_decimals(part: int, whole: int, rate: str) -> None:
    assert history.percent(part, whole) == Decimal(rate)
