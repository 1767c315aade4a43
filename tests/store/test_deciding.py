"""The deciding transaction: everything a decision reads comes back as it was written, and a repeat changes nothing."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from hub.rules import deciding as rules
from hub.rules.settings import RuleSettings
from hub.store import deciding, locks, master
from hub.store.errors import Unacceptable, Unavailable
from hub.store.pool import Store
from schemas import codec, ids
from schemas.commands import Approve, Cancel, PostingStarted, PostingSucceeded
from schemas.documents import (
    Approval,
    Document,
    DocumentLine,
    Kind,
    Method,
    Payment,
    Posting,
    PostingPolicy,
    Released,
    State,
    Totals,
)
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.ledger import AccountLedger, CreditHold, Movement, Needs, Snapshot, Standing, StockKey, StockLevel
from schemas.master import Account, Finance
from schemas.reasons import reason
from tests.rules.world import SOURCE, START, line
from tests.store import company as at
from tests.store.company import amend, command, decide, decided, disagreements, document, dump, rows, submit, value

LATER = START + timedelta(hours=1)


def full_document(source_id: str = "FULL", **changes: Any) -> Document:
    """A document in which no field is at its default."""
    whole = Document(
        id=ids.document_id(SOURCE, source_id),
        source=SOURCE,
        source_id=source_id,
        kind=Kind.SALES_INVOICE,
        state=State.POST_FAILED,
        revision=3,
        step=7,
        date=date(2024, 5, 2),
        received_at=START,
        changed_at=LATER,
        account="ALI",
        payment=Payment.CASH,
        warehouse="MAIN",
        to_warehouse="SHOP",
        original_id=uuid4(),
        lines=(full_line(1, "RAM"), full_line(2, "CLOTH")),
        totals=Totals(1, 2, 3, 4, 5, 6),
        method=Method.CHEQUE,
        reasons=(reason("stock_partly", line=1, at="lines[0]", product="RAM", reserved="1", wanted="2"),),
        expires_at=LATER + timedelta(days=1),
        approval=Approval("boss", LATER, approved=True, note="بله"),
        posting=Posting("1001", LATER, "no", 17),
        original_date=date(2024, 4, 1),
        note="یادداشت «با گیومه» 'و' \\",
        currency="EUR",
        posting_policy=PostingPolicy.MANUAL,
        released=Released("storekeeper", LATER, "بار رفت"),
    )
    return msgspec.structs.replace(whole, **changes)


def full_line(number: int, product: str) -> DocumentLine:
    return DocumentLine(
        number=number,
        product=product,
        quantity=Decimal("2.00001"),
        unit_price=1_000_000,
        discount=7,
        warehouse="MAIN",
        attribute="قرمز",
        net=11,
        vat=12,
        duty=13,
        payable=36,
        vat_percent=Decimal("6.5"),
        duty_percent=Decimal("3.125"),
        reserved=Decimal("1.99999"),
        short=Decimal("0.00002"),
    )


def full_standing(whole: Document, *, posted_at: datetime | None = LATER) -> Standing:
    """The document with a movement each way and a hold."""
    there, here = StockKey("RAM", "MAIN", ""), StockKey("RAM", "SHOP", "")
    return Standing(
        whole,
        uuid4(),
        (
            Movement(whole.id, 1, there, Decimal("1.99999"), outgoing=True, posted_at=posted_at),
            Movement(whole.id, 1, here, Decimal(100_000_000), outgoing=False),
        ),
        CreditHold(whole.id, "ALI", -(10**17), posted_at),
    )


def event_of(whole: Document, **changes: Any) -> DocumentEvent:
    """An event in which no field is at its default."""
    fields: dict[str, Any] = {
        "event_id": ids.event_id(whole.id, whole.revision, whole.step),
        "type": f"document.{whole.state}",
        "source": whole.source,
        "source_id": whole.source_id,
        "document_id": whole.id,
        "revision": whole.revision,
        "step": whole.step,
        "occurred_at": START,
        "recorded_at": LATER,
        "command_id": uuid4(),
        "command": "submit",
        "actor": "tester",
        "version": 2,
        "reasons": whole.reasons,
        "document": whole,
        "trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    return DocumentEvent(**{**fields, **changes})


def empty_snapshot(**fields: Any) -> Snapshot:
    return Snapshot(**fields)


async def write(store: Store, event: DocumentEvent, standing: Standing, before: Standing | None = None) -> Any:
    """Store one decision by itself."""
    known = {} if before is None else {before.document.id: before}
    async with store.connection() as connection, connection.transaction():
        return await deciding.write(
            connection, [event], known, empty_snapshot(documents={standing.document.id: standing})
        )


async def read(store: Store, needs: Needs, *, lock: bool = True) -> Snapshot:
    async with store.connection() as connection, connection.transaction():
        return await deciding.read(connection, needs, store.products, lock=lock)


def test_the_samples_leave_no_field_at_its_default() -> None:
    whole = full_document()
    for sample in (whole, whole.lines[0], event_of(whole), full_standing(whole), full_standing(whole).movements[0]):
        untouched = [
            field.name
            for field in msgspec.structs.fields(sample)
            if field.default is not msgspec.NODEFAULT and getattr(sample, field.name) == field.default
        ]
        assert untouched == [], type(sample).__name__


@pytest.mark.parametrize("lock", [True, False], ids=["locked", "looked at"])
async def test_a_standing_comes_back_as_it_was_written(company: Store, lock: bool) -> None:
    whole = full_document()
    standing = full_standing(whole)
    await write(company, event_of(whole), standing)
    snapshot = await read(company, Needs(documents={whole.id}), lock=lock)
    found = snapshot.documents[whole.id]
    assert found.document == whole
    assert found.content_id == standing.content_id
    assert sorted(found.movements, key=lambda m: m.outgoing, reverse=True) == list(standing.movements)
    assert found.hold == standing.hold
    assert set(snapshot.stock) == {StockKey("RAM", "MAIN"), StockKey("RAM", "SHOP")} & set(snapshot.stock)
    assert snapshot.accounts["ALI"].direct == 1_000_000_000


def row_of(whole: Document, content_id: UUID) -> dict[str, Any]:
    """The documents row a document must have."""
    return {
        "id": whole.id,
        "source": whole.source,
        "source_id": whole.source_id,
        "kind": whole.kind.value,
        "state": whole.state.value,
        "revision": whole.revision,
        "step": whole.step,
        "document_date": whole.date,
        "account": whole.account,
        "payable": whole.totals.payable,
        "content_id": content_id,
        "original_id": whole.original_id,
        "posting_number": whole.posting.number if whole.posting else None,
        "expires_at": whole.expires_at,
        "received_at": whole.received_at,
        "changed_at": whole.changed_at,
    }


async def stored_row(store: Store, document_id: UUID) -> dict[str, Any]:
    async with store.connection() as connection:
        return dict(await connection.fetchrow("select * from documents where id = $1", document_id))


async def test_a_changed_document_replaces_every_column_and_all_it_held(company: Store) -> None:
    first = full_document()
    standing = full_standing(first)
    await write(company, event_of(first), standing)
    assert await stored_row(company, first.id) == row_of(first, standing.content_id)

    second = full_document(
        state=State.CLEARED,
        revision=4,
        step=8,
        date=date(2024, 6, 1),
        changed_at=LATER + timedelta(seconds=1),
        account="SARA",
        original_id=None,
        lines=(full_line(9, "CPU"),),
        totals=Totals(payable=99),
        expires_at=None,
        posting=None,
    )
    after = Standing(second, uuid4())
    await write(company, event_of(second), after, before=standing)
    assert await stored_row(company, first.id) == row_of(second, after.content_id)
    assert (await read(company, Needs(documents={first.id}))).documents == {first.id: after}
    assert await rows(company, "select number from document_lines") == [(9,)]
    assert await rows(company, "select 1 from movements union all select 1 from credit_holds") == []


async def test_a_line_is_kept_in_columns_too(company: Store) -> None:
    whole = full_document()
    await write(company, event_of(whole), full_standing(whole))
    sent = whole.lines[0]
    async with company.connection() as connection:
        row = dict(await connection.fetchrow("select * from document_lines where number = 1"))
    assert row.pop("document_id") == whole.id
    assert row == {name: getattr(sent, name) for name in row}
    assert set(row) >= {"product", "warehouse", "attribute", "quantity", "short", "unit_price", "net", "vat", "duty"}


async def test_sums_are_written_back_and_read_again(company: Store) -> None:
    key = StockKey("RAM", "MAIN")
    snapshot = await read(company, Needs(accounts={"ALI"}, stock={key}))
    level, account = snapshot.stock[key], snapshot.accounts["ALI"]
    level.incoming, level.reserved, level.changed = Decimal("0.00001"), Decimal("123456789.98765"), True
    account.held, account.changed = -(2**63), True
    async with company.connection() as connection, connection.transaction():
        await deciding.write(connection, [], {}, snapshot)
    again = await read(company, Needs(accounts={"ALI"}, stock={key}))
    level.changed = account.changed = False
    assert again.stock == {key: level}
    assert again.accounts == {"ALI": account}


async def test_what_is_not_marked_as_changed_is_not_written(company: Store) -> None:
    key = StockKey("RAM", "MAIN")
    snapshot = await read(company, Needs(accounts={"ALI"}, stock={key}))
    snapshot.stock[key].reserved = Decimal(5)
    snapshot.accounts["ALI"].held = 5
    async with company.connection() as connection, connection.transaction():
        await deciding.write(connection, [], {}, snapshot)
    assert (await at.stock_of(company, "RAM"))[2] == 0
    assert await at.held(company) == 0


async def test_an_account_is_read_whole(company: Store) -> None:
    moment = datetime(2024, 5, 1, 12, tzinfo=UTC)
    await master.apply(
        company,
        [Account("NEW", "نو", vat_exempt=True, active=False), Finance("NEW", moment, 1, 2, 3, 4, 5)],
    )
    await at.execute(company, "update accounts set held = 6 where code = 'NEW'")
    snapshot = await read(company, Needs(accounts={"NEW"}))
    assert snapshot.accounts["NEW"] == AccountLedger("NEW", "نو", True, False, 1, 2, 3, 4, 5, 6, moment)


async def test_an_account_known_only_by_its_finance_is_not_there_yet(company: Store) -> None:
    await master.apply(company, [Finance("EARLY", START, direct=5)])
    assert (await read(company, Needs(accounts={"EARLY"}))).accounts == {}
    await master.apply(company, [Account("EARLY", "زود")])
    assert (await read(company, Needs(accounts={"EARLY"}))).accounts["EARLY"].direct == 5


@pytest.mark.parametrize("what", ["stock", "account"])
async def test_a_sum_without_a_row_is_not_lost_quietly(company: Store, what: str) -> None:
    nowhere = StockKey("RAM", "NOWHERE")
    snapshot = (
        Snapshot(stock={nowhere: StockLevel(nowhere, reserved=Decimal(1), changed=True)})
        if what == "stock"
        else Snapshot(accounts={"NOBODY": AccountLedger("NOBODY", held=1, changed=True)})
    )
    whole = full_document()
    snapshot.documents[whole.id] = Standing(whole, uuid4())
    before = await dump(company)
    with pytest.raises(Unacceptable, match="expected to update 1 rows"):
        async with company.connection() as connection, connection.transaction():
            await deciding.write(connection, [event_of(whole)], {}, snapshot)
    assert await dump(company) == before


async def test_stock_rows_are_made_for_known_goods_in_known_places_only(company: Store) -> None:
    wanted = [StockKey("RAM", "MAIN", "آبی"), StockKey("NOTHING", "MAIN"), StockKey("RAM", "NOWHERE")]
    before = await value(company, "select count(*) from stock")
    async with company.connection() as connection:
        await deciding.ensure_stock(connection, wanted)
        await deciding.ensure_stock(connection, wanted)
        await deciding.ensure_stock(connection, [])
    assert await value(company, "select count(*) from stock") == before + 1
    assert await rows(company, "select in_books, reserved from stock where attribute = 'آبی'") == [(0, 0)]


async def test_codes_with_separators_are_other_codes(company: Store) -> None:
    """Nothing that is sent as a code can shift the codes beside it: it is looked up, and isn't found."""
    odd = {StockKey(product, "MAIN") for product in ("RA\x1fM", "RA\x00M", "", "RAM")}
    snapshot = await read(company, Needs(accounts={"AL\x1fI", "", "ALI"}, stock=odd, products={"\x1f", "RAM", "\x00"}))
    assert set(snapshot.stock) == {StockKey("RAM", "MAIN")}
    assert set(snapshot.accounts) == {"ALI"}
    assert set(snapshot.products) == {"RAM"}


async def test_an_original_knows_what_was_returned_of_it(company: Store) -> None:
    await decide(company, submit("SALE", lines=(line("RAM", 5), line("CPU", 2))))
    await decide(
        company,
        submit("BACK1", Kind.SALES_RETURN, original="SALE", original_date=None, lines=(line("RAM", 2),)),
        submit("BACK2", Kind.SALES_RETURN, original="SALE", original_date=None, lines=(line("CPU", 1),)),
        submit("BACK3", Kind.SALES_RETURN, original="SALE", original_date=None, lines=(line("RAM", 1),)),
        command(Cancel, "BACK3"),
        submit("BACK4", Kind.SALES_RETURN, original="SALE", original_date=None, lines=(line("RAM", 9),)),
    )
    original = (await read(company, Needs(originals={document("SALE")}))).originals[document("SALE")]
    assert original.taken.returned == {("RAM", ""): Decimal(2), ("CPU", ""): Decimal(1)}
    assert (original.kind, original.state, original.account) == (Kind.SALES_INVOICE, State.CLEARED, "ALI")
    assert [(sold.product, sold.quantity, sold.vat_percent) for sold in original.lines] == [
        ("RAM", Decimal(5), Decimal(6)),
        ("CPU", Decimal(2), Decimal(6)),
    ]


async def test_an_order_knows_what_was_made_of_it_and_what_came_back_of_that(company: Store) -> None:
    await decide(company, submit("ORDER", Kind.SALES_ORDER, lines=(line("RAM", 9),)))
    await decide(
        company,
        submit("SALE", original="ORDER", lines=(line("RAM", 5),)),
        submit("HELD", original="ORDER", lines=(line("RAM", 2),), tax=1),
        submit("GONE", original="ORDER", lines=(line("RAM", 1),)),
        command(Cancel, "GONE"),
        submit("BACK", Kind.SALES_RETURN, original="SALE", original_date=None, lines=(line("RAM", 3),)),
        submit("LATE", Kind.SALES_RETURN, original="SALE", original_date=None, lines=(line("RAM", 1),)),
        command(Cancel, "LATE"),
    )
    order = (await read(company, Needs(originals={document("ORDER")}))).originals[document("ORDER")]
    found = (order.taken.invoiced, order.taken.charged, order.taken.brought_back, order.taken.returned)
    assert [sums.get(("RAM", ""), 0) for sums in found] == [7, 5, 3, 0]
    sale = (await read(company, Needs(originals={document("SALE")}))).originals
    assert sale[document("SALE")].order_id == document("ORDER")
    assert sale[document("ORDER")].taken.brought_back == order.taken.brought_back


async def test_what_was_decided_is_told_again_byte_for_byte(company: Store) -> None:
    commands = [
        submit("A"),
        submit("B", lines=(line("RAM", 10_000),)),
        command(Approve, "B"),
        command(Cancel, "NOBODY"),
    ]
    first = await decided(company, commands)
    assert [codec.decode_event(each.event).type for each in first] == [
        "document.cleared",
        "document.rejected",
        COMMAND_REFUSED,
        COMMAND_REFUSED,
    ]
    assert [each.latest is None for each in first] == [False, False, True, True]
    before = await dump(company)
    assert await decided(company, commands) == first
    assert await decided(company, commands[::-1]) == first[::-1]
    assert await dump(company) == before


async def test_a_repeated_command_is_told_with_the_document_as_it_is_by_now(company: Store) -> None:
    (first,) = await decided(company, [submit("A")])
    (cancelled,) = await decided(company, [command(Cancel, "A")])
    (again,) = await decided(company, [submit("A")])
    assert again.event == first.event
    assert again.latest == cancelled.latest


async def test_a_command_repeated_within_its_batch_does_not_bring_an_old_state_back(company: Store) -> None:
    first, cancelled, again = await decided(company, [submit("A"), command(Cancel, "A"), submit("A")])
    assert again.event == first.event
    assert again.latest == cancelled.latest
    assert codec.decode_document(again.latest or b"").state is State.CANCELLED
    assert await value(company, "select count(*) from decisions") == 2


async def test_a_command_decided_before_and_repeated_behind_a_change_does_not_bring_an_old_state_back(
    company: Store,
) -> None:
    await decide(company, submit("A"))
    cancelled, again = await decided(company, [command(Cancel, "A"), submit("A")])
    assert again.latest == cancelled.latest
    assert codec.decode_document(again.latest or b"").state is State.CANCELLED


async def test_another_document_with_the_same_command_id_changes_nothing(company: Store) -> None:
    """Ids are derived, so this is a forgery; the one decided first stands."""
    first = submit("A")
    forged = msgspec.structs.replace(submit("B"), command_id=first.command_id)
    (done,) = await decided(company, [first])
    assert await decided(company, [forged]) == [done]
    assert await rows(company, "select source_id from documents") == [("A",)]


async def test_a_preview_waits_for_no_lock(company: Store) -> None:
    await decide(company, submit("A"))
    needs = rules.needs([command(Cancel, "A")])
    async with company.connection() as connection, connection.transaction():
        held = await deciding.read(connection, needs, company.products)
        async with asyncio.timeout(60):
            looked = await read(company, rules.needs([command(Cancel, "A")]), lock=False)
    assert looked == held


async def test_a_document_that_was_just_made_by_another_is_not_taken_without_its_lock(
    company: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking for the original's lock and reading it, another process decides that original."""
    lock_documents = locks.documents

    async def and_then_it_appears(connection: Any, wanted: Any) -> set[UUID]:
        found = await lock_documents(connection, wanted)
        monkeypatch.setattr(locks, "documents", lock_documents)
        await decide(company, submit("SALE", lines=(line("RAM", 5),)))
        return found

    monkeypatch.setattr(locks, "documents", and_then_it_appears)
    back = submit("BACK", Kind.SALES_RETURN, original="SALE", original_date=None)
    (event,) = await decide(company, back)
    assert [why.code for why in event.reasons] == ["original_unknown"]


async def test_whoever_waited_for_a_document_finds_it_as_it_was_left(company: Store) -> None:
    """A row written anew, not updated, would be gone for whoever waited for its lock."""
    await decide(company, submit("A"))
    async with company.connection() as first, first.transaction():
        snapshot = await deciding.read(first, rules.needs([command(PostingStarted, "A")]), company.products)
        before = dict(snapshot.documents)
        waiting = asyncio.create_task(decide(company, command(PostingSucceeded, "A", number="1", posted_at=START)))
        await someone_waits(company)
        event = rules.decide(command(PostingStarted, "A"), snapshot, RuleSettings(), START)
        await deciding.write(first, [event], before, snapshot)
    (posted,) = await waiting
    assert posted.type == "document.posted"
    assert (await disagreements(company)) == []


async def someone_waits(store: Store) -> None:
    """Return when a connection of this database waits for a lock."""
    async with asyncio.timeout(60):
        while not await value(
            store,
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        ):
            await asyncio.sleep(0.005)


async def test_two_who_decide_the_same_new_command_at_once_decide_it_once(company: Store) -> None:
    both = await asyncio.gather(
        *(again_when_unavailable(company, [submit("A"), command(Cancel, "A")]) for _ in range(4))
    )
    assert all(each == both[0] for each in both)
    assert await value(company, "select count(*) from decisions") == 2
    assert await disagreements(company) == []


async def again_when_unavailable(store: Store, commands: Any) -> list[tuple[bytes, bytes | None]]:
    """As the agent's loop does it. The document of a repeat is that of now, so only events are compared."""
    while True:
        try:
            return [each.event for each in await decided(store, commands)]  # type: ignore[misc]
        except Unavailable:
            continue


async def test_amendments_and_postings_keep_every_invariant(company: Store) -> None:
    await decide(
        company,
        submit("A", lines=(line("RAM", 3), line("RAM", 2), line("INSTALL"))),
        amend("A", 2, lines=(line("CPU", 4),)),
        command(PostingStarted, "A", revision=2),
        submit("T", Kind.TRANSFER, lines=(line("RAM", 7),)),
    )
    assert await disagreements(company) == []
    await decide(company, command(PostingSucceeded, "A", revision=2, number="9", posted_at=LATER))
    assert await disagreements(company) == []
    assert await at.stock_of(company, "CPU") == (1_000, 0, 4)
    assert await at.stock_of(company, "RAM", "SHOP") == (1_000, 7, 0)
    assert await value(company, "select posting_number from documents where source_id = 'A'") == "9"
