"""The one-time import: all of it, once, also when interrupted; counted against the books."""

import datetime as dt
from collections.abc import AsyncIterator

import pytest

from connectors.base import Retryable
from connectors.hesabgar import importing, sql
from connectors.hesabgar.connector import Connector
from connectors.hesabgar.importing import Import, Progress
from connectors.hesabgar.simulator import mapping_text
from schemas.documents import Kind, State
from schemas.ids import document_id
from tests.connectors.hesabgar.test_branch import enter
from tests.connectors.hesabgar.world import PRODUCT, World

SINCE, UNTIL = dt.date(2026, 11, 1), dt.date(2026, 11, 30)


@pytest.fixture
async def connector(world: World) -> AsyncIterator[Connector]:
    made = world.by_hand()
    yield made
    made.client.close()


def of(connector: Connector, kind: Kind = Kind.SALES_INVOICE, context: object = None) -> Import:
    return Import(context or connector.context, connector.client, kind, SINCE, UNTIL)  # type: ignore[arg-type]


async def test_everything_comes_in_as_posted_and_takes_nothing(
    world: World, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 3)
    sales = [enter(world.sim, f"s{number}", quantity=2) for number in range(7)]
    enter(world.sim, "not asked for", Kind.SALES_ORDER)
    await connector.reading.look()
    await world.has_stock(33)
    told: list[Progress] = []
    counted = await of(connector).run(told.append)
    assert counted.complete
    assert (counted.taken, counted.payable, counted.refused) == (7, 7 * 2_200_000, 0)
    assert [progress.taken for progress in told][-1] == 7
    for own_id in sales:
        document = await world.comes_to(document_id("main-history", own_id), State.POSTED)
        assert document.posting is not None
        assert document.posting.number == own_id.rpartition("/")[2]
    await world.has_stock(33)


async def test_documents_without_row_versions_come_in_too(
    world: World, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 5)
    for number in range(12):  # so that the tenth number comes before the second
        enter(world.sim, f"s{number}")
    text = mapping_text().replace('row_version = ["d.RowVer"]', "row_version = []")
    world.sim.run(sql.views_script(sql.read_mapping(text)))
    counted = await of(connector).run()
    assert (counted.taken, counted.complete) == (12, True)


async def test_a_return_finds_its_sale(world: World, connector: Connector) -> None:
    sale = enter(world.sim, "sale", quantity=3)
    back = enter(world.sim, "back", Kind.SALES_RETURN, original_number=f"N'{sale.rpartition('/')[2]}'")
    for kind in importing.IMPORTABLE:
        assert (await of(connector, kind).run()).complete
    document = await world.comes_to(document_id("main-history", back), State.POSTED)
    assert document.original_id == document_id("main-history", sale)
    assert document.lines[0].vat_percent == 6


async def test_interrupted_it_goes_on_and_brings_nothing_in_twice(
    world: World, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 3)
    for number in range(7):
        enter(world.sim, f"s{number}")

    def interrupt(progress: Progress) -> None:
        raise Retryable("interrupted")

    with pytest.raises(Retryable):
        await of(connector).run(interrupt)
    counted = await of(connector).run()
    assert counted.complete
    assert counted.taken == 7
    again = of(connector)
    await again.again()
    assert (await again.run()).complete
    commands = await world.around.commands()
    assert len({command.document_id for command in commands}) == 7


async def test_what_makes_no_sense_is_counted_as_missing(world: World, connector: Connector) -> None:
    enter(world.sim, "good")
    bad = enter(world.sim, "bad")
    world.sim.run(f"UPDATE dbo.STK_Doc SET Tasvieh = 'barter' WHERE DocNo = {bad.rpartition('/')[2]}")
    counted = await of(connector).run()
    assert not counted.complete
    assert (counted.taken, counted.refused, counted.in_books) == (1, 1, 2)
    [letter] = await world.around.dead_letters()
    assert bad in letter.reason
    assert "barter" in letter.reason
    assert PRODUCT in letter.value.decode()
