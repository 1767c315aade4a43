"""What `needs` and `Needs.add_document` name is all that deciding reads: nothing else is under lock, or even there."""

from datetime import date
from decimal import Decimal

import pytest

from hub.rules.deciding import decide, needs
from hub.rules.settings import Policy, RuleSettings, StockPolicy
from schemas import ids
from schemas.commands import (
    Amend,
    AnyCommand,
    Approve,
    Cancel,
    Command,
    Expire,
    PostingFailed,
    PostingStarted,
    PostingSucceeded,
    Reconsider,
    Refuse,
    Release,
    Submit,
)
from schemas.documents import Kind
from schemas.ledger import Needs, Snapshot, StockKey
from tests.rules.world import SOURCE, START, World, company, line, request


def only(wanted: Needs, world: Snapshot) -> Snapshot:
    """What a store would read for these needs, and not a row more."""
    documents = {key: standing for key, standing in world.documents.items() if key in wanted.documents}
    for standing in documents.values():
        wanted.add_document(standing.document)
    return Snapshot(
        documents=documents,
        originals={key: original for key, original in world.originals.items() if key in wanted.originals},
        accounts={key: account for key, account in world.accounts.items() if key in wanted.accounts},
        products={key: product for key, product in world.products.items() if key in wanted.products},
        warehouses={key: warehouse for key, warehouse in world.warehouses.items() if key in wanted.warehouses},
        stock={key: level for key, level in world.stock.items() if key in wanted.stock},
    )


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    "command",
    [Amend, Approve, Refuse, Cancel, Release, Expire, Reconsider, PostingStarted, PostingSucceeded, PostingFailed],
)
def test_a_document_of_any_kind_meets_any_command_with_just_what_was_read(kind: Kind, command: type[Command]) -> None:
    world = World(approval=True, stock=StockPolicy.BACKORDER, reservation=None)
    world.submit("A", kind)
    sent: AnyCommand = (
        Amend.of(request("A", kind, revision=2, note="again"), source=SOURCE, actor="tester", now=START)
        if command is Amend
        else world.command(command)
    )
    stores = only(needs([sent]), world.snapshot)
    before = set(stores.stock)

    event = decide(sent, stores, world.settings, START)

    assert event == decide(sent, world.snapshot, world.settings, START)
    assert set(stores.stock) == before, "a row was touched that nobody read or locked"


@pytest.mark.parametrize("kind", Kind)
def test_a_new_document_names_all_it_needs(kind: Kind) -> None:
    content = request("A", kind, lines=() if kind is Kind.RECEIPT else (line("RAM"), line("CPU", warehouse="SHOP")))
    if kind is Kind.TRANSFER:
        content = request("A", kind, lines=(line("RAM"), line("CPU", warehouse="MAIN")))
    command = Submit.of(content, source=SOURCE, actor="tester", now=START)
    stores = only(needs([command]), company())
    before = set(stores.stock)

    assert decide(command, stores, RuleSettings(), START).type == "document.cleared"
    assert set(stores.stock) == before


def test_a_return_needs_its_original() -> None:
    world = World()
    world.submit("SALE")
    back = Submit.of(
        request("BACK", Kind.SALES_RETURN, original="SALE", original_date=None), source=SOURCE, actor="x", now=START
    )
    assert needs([back]).originals == {ids.document_id(SOURCE, "SALE")}


def test_nothing_is_locked_for_kinds_that_move_no_goods() -> None:
    for kind in (Kind.QUOTE, Kind.PURCHASE_ORDER, Kind.RECEIPT):
        command = Submit.of(request("A", kind, date=date(2024, 5, 1)), source=SOURCE, actor="x", now=START)
        assert needs([command]).stock == set()


def test_a_stock_row_is_named_once_for_lines_that_share_it() -> None:
    command = Submit.of(
        request(lines=(line("RAM", 1), line("RAM", 2), line("RAM", 1, attribute="red"))),
        source=SOURCE,
        actor="x",
        now=START,
    )
    assert needs([command]).stock == {StockKey("RAM", "MAIN"), StockKey("RAM", "MAIN", "red")}


def test_the_policy_is_the_sources_own_if_it_has_one() -> None:
    settings = RuleSettings(by_source={SOURCE: Policy(stock=StockPolicy.PARTIAL)})
    world = World(settings=settings)
    event = world.submit(lines=(line("RAM", 1_500),))
    assert event.document is not None
    assert event.document.lines[0].quantity == Decimal(1_000)
