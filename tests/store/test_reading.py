"""Lists are filtered, and paged without a gap or a repeat while others write; single things are found or not."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from hub.rules import deciding as rules
from hub.rules.settings import RuleSettings
from hub.store import lookup, master, reading
from hub.store.pool import Store
from hub.store.reading import DocumentFilter, StockFilter
from schemas.commands import Approve, Cancel, Submit
from schemas.documents import Document, Kind, State
from schemas.master import Account, Finance
from streams.deciding import decide_batch
from tests.rules.world import SOURCE, START, line, request
from tests.store.company import amend, command, decide, document, on_hand, submit

ELSEWHERE = Submit.of(request("A"), source="elsewhere", actor="tester", now=START)


async def listed(store: Store, limit: int = 100, **wanted: Any) -> list[str]:
    return [found.source_id for found in await reading.documents(store, DocumentFilter(**wanted), limit)]


async def some(store: Store) -> None:
    """A..E, an hour apart: cleared, rejected, a quote, a sale to SARA, and cancelled."""
    hours = (START + timedelta(hours=number) for number in count())
    await decide(
        store,
        submit("A", at=next(hours)),
        submit("B", at=next(hours), lines=(line("RAM", 10_000),)),
        submit("C", Kind.QUOTE, at=next(hours), date=date(2024, 5, 3)),
        submit("D", at=next(hours), account="SARA", date=date(2024, 5, 2)),
        submit("E", at=next(hours), date=date(2024, 4, 30)),
        command(Cancel, "E"),
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "EDCBA"),
        ({"source": SOURCE}, "EDCBA"),
        ({"source": "elsewhere"}, ""),
        ({"source_id": "C"}, "C"),
        ({"kind": "quote"}, "C"),
        ({"state": "cleared"}, "DCA"),
        ({"state": "rejected"}, "B"),
        ({"state": "cancelled"}, "E"),
        ({"account": "SARA"}, "D"),
        ({"since": date(2024, 5, 2)}, "DC"),
        ({"until": date(2024, 5, 1)}, "EBA"),
        ({"since": date(2024, 5, 2), "until": date(2024, 5, 2)}, "D"),
        ({"state": "cleared", "account": "ALI", "kind": "sales_invoice"}, "A"),
        ({"account": "' or true --"}, ""),
    ],
    ids=str,
)
async def test_documents_are_listed_by_what_is_asked(company: Store, wanted: dict[str, Any], found: str) -> None:
    await some(company)
    assert "".join(await listed(company, **wanted)) == found


async def test_pages_are_complete_and_without_repeats_while_documents_come_in(company: Store) -> None:
    """Many arrive at the same moment, so the id settles their order."""
    moments = [START + timedelta(seconds=number // 7) for number in range(40)]
    there = {f"OLD{number:02}" for number in range(40)}
    await decide(company, *(submit(name, at=at) for name, at in zip(sorted(there), moments, strict=True)))
    newer = (submit(f"NEW{number}", at=START + timedelta(days=1)) for number in count())
    seen: list[Document] = []
    after = None
    while page := await reading.documents(company, DocumentFilter(after=after), 6):
        seen += page
        after = (page[-1].received_at, page[-1].id)
        await decide(company, next(newer), next(newer), amend(page[-1].source_id, 2, lines=(line("CPU"),)))
    names = [found.source_id for found in seen]
    assert len(names) == len(set(names))
    assert set(names) == there
    assert [(found.received_at, found.id) for found in seen] == sorted(
        ((found.received_at, found.id) for found in seen), reverse=True
    )


async def test_stock_is_paged_by_its_key(company: Store) -> None:
    await master.apply(company, [on_hand("CLOTH", number, attribute=f"رنگ {number}") for number in range(1, 8)])
    everything = await reading.stock(company, StockFilter(), 1_000)
    seen = []
    after = None
    while page := await reading.stock(company, StockFilter(after=after), 3):
        seen += page
        after = (page[-1].product, page[-1].warehouse, page[-1].attribute)
    assert seen == everything
    assert len({(row.product, row.warehouse, row.attribute) for row in seen}) == len(seen)
    assert len(await reading.stock(company, StockFilter(product="CLOTH"), 100)) == 9
    assert {row.warehouse for row in await reading.stock(company, StockFilter(warehouse="SHOP"), 100)} == {"SHOP"}
    assert await reading.stock(company, StockFilter("CLOTH", "SHOP", after=("CLOTH", "SHOP", "")), 9) == []


async def test_a_stock_row_says_what_is_on_hand_and_what_is_sellable(company: Store) -> None:
    await decide(
        company, submit("A", lines=(line("RAM", 3),)), submit("R", Kind.GOODS_RECEIPT, lines=(line("RAM", 5),))
    )
    (row,) = await reading.stock(company, StockFilter("RAM", "MAIN"), 10)
    assert [row.in_books, row.incoming, row.reserved] == [1_000, 5, 3]
    assert [row.on_hand, row.sellable] == [1_005, 1_002]
    assert row.product_name == "رم کینگستون"
    await master.apply(company, [on_hand("RAM", 1, START)])
    (row,) = await reading.stock(company, StockFilter("RAM", "MAIN"), 10)
    assert row.sellable == Decimal(3)
    await master.apply(company, [on_hand("RAM", -10, START + timedelta(hours=1))])
    (row,) = await reading.stock(company, StockFilter("RAM", "MAIN"), 10)
    assert row.sellable == 0


async def test_a_documents_history_has_every_command_in_order(company: Store) -> None:
    events = await decide(
        company,
        submit("A"),
        command(Approve, "A"),
        amend("A", 2, lines=(line("CPU"),)),
        command(Cancel, "A", revision=2),
    )
    history = await reading.history(company, document("A"))
    assert history == events
    assert [event.step for event in history] == [1, 1, 2, 3]
    assert await reading.document(company, document("A")) == events[-1].document
    assert await reading.history(company, uuid4()) == []
    assert await reading.document(company, uuid4()) is None


async def test_a_history_is_in_order_though_a_clock_was_set_back(company: Store) -> None:
    """Or though the worker that took over has another one."""
    now = count()
    sent = [submit("A"), command(Approve, "A"), amend("A", 2), command(Cancel, "A", revision=2)]
    for each in sent:
        await decide_batch(company, [each], RuleSettings(), lambda: START - timedelta(hours=next(now)))
    history = await reading.history(company, document("A"))
    assert [event.command_id for event in history] == [each.command_id for each in sent]


async def test_decisions_are_found_by_their_commands(company: Store) -> None:
    first, refused = submit("A"), command(Cancel, "NOBODY")
    events = await decide(company, first, refused)
    assert await reading.decision(company, first.command_id) == events[0]
    assert await reading.decision(company, uuid4()) is None
    ids = [first.command_id, refused.command_id, uuid4()]
    assert await reading.decisions(company, ids) == dict(zip(ids, events, strict=False))


async def test_a_sources_own_id_finds_documents_of_that_source_or_of_any(company: Store) -> None:
    await decide(company, submit("A"), ELSEWHERE, submit("B"))
    assert await reading.find_document(company, SOURCE, "A") == [document("A")]
    assert set(await reading.find_document(company, None, "A")) == {document("A"), ELSEWHERE.document_id}
    assert await reading.find_document(company, SOURCE, "Z") == []


async def test_counts_are_by_state_and_by_source(company: Store) -> None:
    await some(company)
    await decide(company, ELSEWHERE)
    assert await reading.counts(company) == {"cleared": 4, "rejected": 1, "cancelled": 1}
    assert await reading.counts(company, SOURCE) == {"cleared": 3, "rejected": 1, "cancelled": 1}
    assert await reading.counts(company, "nobody") == {}


async def test_an_account_is_shown_once_its_master_data_is_here(company: Store) -> None:
    whole = Account("A", "الف", True, False, ("021", "0912"), "تهران", "CC", "G")
    await master.apply(company, [Finance("EARLY", START), whole])
    assert (await lookup.accounts(company, ["A", "EARLY"])) == {"A": whole}


async def test_a_snapshot_is_what_a_decision_would_read_and_locks_nothing(company: Store) -> None:
    await decide(company, submit("A"))
    asked = submit("B", lines=(line("RAM", 2),))
    snapshot = await reading.snapshot(company, rules.needs([asked, command(Cancel, "A")]))
    assert snapshot.documents[document("A")].document.state is State.CLEARED
    assert snapshot.accounts["ALI"].held == 1_100_000
    assert {key.product for key in snapshot.stock} == {"RAM"}
    async with company.connection() as connection:
        here = "database = (select oid from pg_database where datname = current_database())"
        assert await connection.fetchval(f"select count(*) from pg_locks where mode = 'RowShareLock' and {here}") == 0


async def test_names_are_found_by_code_in_the_tables_that_have_them(company: Store) -> None:
    assert await reading.names(company, "products", ["RAM", "NOTHING"]) == {"RAM": "رم کینگستون"}
    assert await reading.names(company, "warehouses", ["MAIN"]) == {"MAIN": "انبار مرکزی"}
    assert await reading.names(company, "accounts", ["ALI"]) == {"ALI": "حساب ALI"}
    with pytest.raises(ValueError, match="api_keys"):
        await reading.names(company, "api_keys", ["x"])
