"""Who comes at the same moment: two connections let go together just before the lock, and what they make of it.

Each scenario is run twice: as it is, and with the row locks left out, where it must go wrong. So it is seen that these
tests would notice. Both times the two meet between reading and writing: a connection goes on when all have read, or
when PostgreSQL says that another waits for a lock, which it never does once there are none.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from hub.rules.settings import Policy, RuleSettings, StockPolicy
from hub.store import locks, master
from hub.store.deciding import Decided
from hub.store.errors import Unavailable
from hub.store.pool import Store
from schemas import codec
from schemas.commands import Approve, Cancel, Command, Expire, PostingStarted, PostingSucceeded, Reconsider
from schemas.dates import utc_now
from schemas.documents import Kind
from schemas.master import Account, Finance
from streams.deciding import decide_batch
from tests.rules.world import START, line
from tests.store.company import (
    amend,
    command,
    decide,
    disagreements,
    document,
    held,
    on_hand,
    policy,
    rows,
    stock_of,
    submit,
    value,
)

SECONDS = 120
"""No scenario takes longer, unless it hangs."""

LOCKED = pytest.mark.parametrize("locked", [True, False], ids=["with the locks", "without the locks"])


@pytest.fixture
async def stores(company: Store, database: str) -> AsyncIterator[list[Store]]:
    """Two pools of four connections each, on the small company."""
    pools = [Store(database, size=4, application=f"pool {number}") for number in range(2)]
    for pool in pools:
        await pool.open()
    yield pools
    for pool in pools:
        await pool.close()


class Meeting:
    """Where ``parties`` connections stand side by side: just before their locks, and once more when all is read."""

    def __init__(self, parties: int, store: Store, monkeypatch: pytest.MonkeyPatch, *, locked: bool) -> None:
        self._parties = parties
        self._store = store
        self._start = asyncio.Barrier(parties)
        self._started = self._read = 0
        self._documents, self._accounts, self._stock = locks.documents, locks.accounts, locks.stock
        monkeypatch.setattr(locks, "documents", self._lock_documents)
        monkeypatch.setattr(locks, "stock", self._lock_stock)
        self._locked = locked
        self.last: asyncio.Task[Any] | None = None
        self.first: asyncio.Task[Any] | None = None
        """Without locks: who writes first, and who only when that one has ended; so it goes wrong every time."""
        if not locked:
            monkeypatch.setattr(locks, "accounts", self._look_at_accounts)
            for name in ("_DOCUMENTS", "_FINANCE"):
                monkeypatch.setattr(locks, name, re.sub(r"for update( of \w+)?", "", getattr(locks, name)))

    async def begin(self) -> None:
        """Wait until the others are here too."""
        if self._started < self._parties:
            self._started += 1
            await self._start.wait()

    async def _lock_documents(self, *given: Any) -> Any:
        await self.begin()
        return await self._documents(*given)

    async def _look_at_accounts(self, connection: Any, codes: Any, **_: Any) -> Any:
        return await self._accounts(connection, codes, lock=False)

    async def _lock_stock(self, connection: Any, keys: Any, *, lock: bool = True) -> Any:
        found = await self._stock(connection, keys, lock=lock and self._locked)
        self._read += 1
        while self._read < self._parties and not await self._someone_waits():
            await asyncio.sleep(0)
        if not self._locked and self.first is not None and asyncio.current_task() is self.last:
            await asyncio.wait({self.first})
        return found

    async def _someone_waits(self) -> bool:
        activity = "from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        return bool(await value(self._store, f"select exists (select {activity})"))


async def until_done(store: Store, commands: Sequence[Any], settings: RuleSettings | None = None) -> list[Decided]:
    """As the agent does it: what passes is tried again."""
    while True:
        try:
            return await decide_batch(store, commands, settings or RuleSettings(), utc_now)
        except Unavailable:
            continue


def outcomes(decided: Sequence[Decided]) -> list[str]:
    return [codec.decode_event(each.event).type.removeprefix("document.") for each in decided]


class Race(NamedTuple):
    """What two connections do at once, how it must end, and what else must be so then."""

    one: Callable[[Store, Meeting], Coroutine[Any, Any, Any]]
    other: Callable[[Store, Meeting], Coroutine[Any, Any, Any]]
    check: Callable[[Store], Coroutine[Any, Any, bool]]


def deciding(*commands: Any) -> Callable[[Store, Meeting], Coroutine[Any, Any, Any]]:
    async def run(store: Store, _: Meeting) -> list[Decided]:
        return await until_done(store, commands)

    return run


def refreshing(*records: Any) -> Callable[[Store, Meeting], Coroutine[Any, Any, Any]]:
    async def run(store: Store, meeting: Meeting) -> None:
        await meeting.begin()
        await master.apply(store, records)

    return run


async def states(store: Store) -> list[str]:
    return sorted(row[0] for row in await rows(store, "select state from documents where source_id < 'Z'"))


def ends_in(*expected: str) -> Callable[[Store], Coroutine[Any, Any, bool]]:
    async def check(store: Store) -> bool:
        return await states(store) == sorted(expected)

    return check


async def sold_once(store: Store) -> bool:
    """The sale of 3 is in the books' 997, and reserved no more."""
    return bool(await stock_of(store, "RAM") == (997, 0, 0))


RACES = {
    "two buyers of one unit: one gets it": Race(
        deciding(submit("A", lines=(line("CPU"),))),
        deciding(submit("B", lines=(line("CPU"),))),
        ends_in("cleared", "rejected"),
    ),
    "two orders, each under the limit, together over it: one is held": Race(
        deciding(submit("A", account="SARA", lines=(line("INSTALL", unit_price=600),))),
        deciding(submit("B", account="SARA", lines=(line("INSTALL", unit_price=600),))),
        ends_in("cleared", "held"),
    ),
    "two returns of one sale: one is taken back": Race(
        deciding(submit("A", Kind.SALES_RETURN, original="Z", original_date=None, lines=(line("RAM", 3),))),
        deciding(submit("B", Kind.SALES_RETURN, original="Z", original_date=None, lines=(line("RAM", 3),))),
        ends_in("cleared", "rejected"),
    ),
    "an order and its invoice are returned: one is taken back": Race(
        deciding(submit("A", Kind.SALES_RETURN, original="ZI", original_date=None, lines=(line("CABLE", 3),))),
        deciding(submit("B", Kind.SALES_RETURN, original="ZP", original_date=None, lines=(line("CABLE", 3),))),
        ends_in("cleared", "rejected"),
    ),
    "two invoices of one order, together more than it: its goods are taken over once": Race(
        deciding(submit("A", original="ZO", lines=(line("BOOK", 3),))),
        deciding(submit("B", original="ZO", lines=(line("BOOK", 3),))),
        lambda store: reserved_is(store, "BOOK", 6),
    ),
    "an order is invoiced and cancelled: what was invoiced stays": Race(
        deciding(submit("A", original="ZO", lines=(line("BOOK", 3),))),
        deciding(command(Cancel, "ZO")),
        lambda store: of_the_order_what_was_invoiced(store),
    ),
    "a sale is returned and cancelled: one of the two happens": Race(
        deciding(submit("A", Kind.SALES_RETURN, original="Z", original_date=None, lines=(line("RAM", 3),))),
        deciding(command(Cancel, "Z")),
        lambda store: one_of_return_and_cancel(store),
    ),
    "a sale is cancelled while it is handed to the books: one of the two happens": Race(
        deciding(command(PostingStarted, "Z")),
        deciding(command(Cancel, "Z")),
        lambda store: one_decision_more(store),
    ),
    "goods received are sold and the receipt is cancelled": Race(
        deciding(submit("A", lines=(line("CLOTH", 5, attribute="نو"),))),
        deciding(command(Cancel, "ZR")),
        lambda store: nothing_oversold(store),
    ),
    "a posting is told while the books are read": Race(
        deciding(command(PostingSucceeded, "Z", number="1", posted_at=START)),
        refreshing(on_hand("RAM", 997, START + timedelta(seconds=1))),
        sold_once,
    ),
}


async def one_of_return_and_cancel(store: Store) -> bool:
    found = dict(await rows(store, "select source_id, state from documents where source_id in ('A', 'Z')"))
    return found in ({"A": "cleared", "Z": "cleared"}, {"A": "rejected", "Z": "cancelled"})


async def reserved_is(store: Store, product: str, reserved: int) -> bool:
    return bool((await stock_of(store, product))[2] == reserved)


async def of_the_order_what_was_invoiced(store: Store) -> bool:
    found = dict(await rows(store, "select source_id, state from documents where source_id in ('A', 'ZO')"))
    if found == {"A": "rejected", "ZO": "cancelled"}:
        return await reserved_is(store, "BOOK", 0)
    return found == {"A": "cleared", "ZO": "cancelled"} and await reserved_is(store, "BOOK", 3)


async def one_decision_more(store: Store) -> bool:
    """One of the two came first; the other was refused, and the document is as the first left it."""
    refused = await value(store, "select count(*) from decisions where refused")
    return refused == 1 and await value(store, "select count(*) from decisions where not refused and step = 2") == 1


async def nothing_oversold(store: Store) -> bool:
    short = "select count(*) from stock where in_books + incoming < reserved"
    return await value(store, short) == 0


async def prepare(store: Store) -> None:
    """One CPU left, 1,000 rials of credit for SARA, a sale of 3 RAM, an order of 4 books, one of 4 metres of cable with
    its invoice, 5 metres of a new cloth received."""
    await master.apply(store, [on_hand("CPU", 1, START), Finance("SARA", START, direct=1_000)])
    await decide(
        store,
        submit("Z", lines=(line("RAM", 3),)),
        submit("ZO", Kind.SALES_ORDER, lines=(line("BOOK", 4),)),
        submit("ZP", Kind.SALES_ORDER, lines=(line("CABLE", 4),)),
        submit("ZI", original="ZP", lines=(line("CABLE", 4),)),
        submit("ZR", Kind.GOODS_RECEIPT, lines=(line("CLOTH", 5, attribute="نو"),)),
    )


@LOCKED
@pytest.mark.parametrize("name", RACES)
async def test_two_at_once(
    stores: list[Store], company: Store, monkeypatch: pytest.MonkeyPatch, name: str, locked: bool
) -> None:
    race = RACES[name]
    await prepare(company)
    meeting = Meeting(2, company, monkeypatch, locked=locked)
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
        meeting.last = tasks.create_task(race.one(stores[0], meeting))
        meeting.first = tasks.create_task(race.other(stores[1], meeting))
    right = await race.check(company)
    wrong = await disagreements(company)
    if locked:
        assert right
        assert wrong == []
    else:
        assert not right or wrong


@LOCKED
async def test_500_buyers_of_one_unit(
    stores: list[Store], company: Store, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    """On eight connections at once; without the locks each of the eight that read first sells it."""
    await master.apply(company, [on_hand("CPU", 1, START)])
    Meeting(8, company, monkeypatch, locked=locked)
    buyers = [submit(f"buyer {number}", lines=(line("CPU"),)) for number in range(500)]
    async with asyncio.timeout(SECONDS):
        decided = await asyncio.gather(
            *(until_done(stores[number % 2], [buyer]) for number, buyer in enumerate(buyers))
        )
    won = Counter(outcome for each in decided for outcome in outcomes(each))
    if locked:
        assert won == {"cleared": 1, "rejected": 499}
        assert await stock_of(company, "CPU") == (1, 0, 1)
        assert await disagreements(company) == []
    else:
        assert won["cleared"] == 8
        assert await disagreements(company) != []


async def test_500_buyers_in_batches_of_any_size(stores: list[Store], company: Store) -> None:
    await master.apply(company, [on_hand("CPU", 7, START)])
    buyers = [submit(f"buyer {number}", lines=(line("CPU"),)) for number in range(500)]
    batches = in_batches(random.Random(1), buyers)
    async with asyncio.timeout(SECONDS):
        decided = await asyncio.gather(*(until_done(stores[number % 2], batch) for number, batch in enumerate(batches)))
    assert Counter(outcome for each in decided for outcome in outcomes(each)) == {"cleared": 7, "rejected": 493}
    assert await stock_of(company, "CPU") == (7, 0, 7)
    assert await disagreements(company) == []


def in_batches(chance: random.Random, commands: Sequence[Any]) -> list[Sequence[Any]]:
    batches = []
    start = 0
    while start < len(commands):
        size = chance.randint(1, 40)
        batches.append(commands[start : start + size])
        start += size
    return batches


async def test_an_approval_and_a_rival_for_the_same_credit(stores: list[Store], company: Store) -> None:
    """What a person lets through counts for whoever comes next, however close behind."""
    await master.apply(company, [Finance("SARA", START, direct=1_000)])
    orders = [submit(name, account="SARA", lines=(line("INSTALL", unit_price=600),)) for name in "AB"]
    await decide(company, *orders)
    small = submit("C", account="SARA", lines=(line("INSTALL", unit_price=300),))
    await asyncio.gather(until_done(stores[0], [command(Approve, "B")]), until_done(stores[1], [small]))
    first = await value(company, "select state from documents where source_id = 'C'")
    assert await held(company, "SARA") == 1_320 + (330 if first == "cleared" else 0)
    assert await disagreements(company) == []


# --- many at once, on the same rows


def settings() -> RuleSettings:
    return RuleSettings(by_source={"shop": Policy(stock=StockPolicy.BACKORDER, reservation=timedelta(hours=1))})


def a_crowd(chance: random.Random, count: int) -> list[list[Any]]:
    """Batches over the same twenty documents, four accounts and four stock rows, in any order."""
    batches: list[list[Any]] = []
    names = [f"D{number}" for number in range(20)]
    for turn in range(count):
        batch: list[Any] = []
        for _ in range(chance.randint(1, 12)):
            name = chance.choice(names)
            lines = tuple(
                line(chance.choice(("RAM", "CPU", "CABLE", "BOOK")), chance.randint(1, 3), warehouse=place)
                for place in chance.sample(("MAIN", "SHOP"), 2)
            )
            fields = {"account": chance.choice(("ALI", "SARA", "SCHOOL")), "lines": lines}
            kinds: tuple[type[Command], ...] = (Approve, Cancel, PostingStarted, Reconsider)
            match chance.randint(0, 4):
                case 0:
                    batch.append(submit(f"{name}/{turn}", **fields))
                case 1:
                    batch.append(submit(name, **fields))
                case 2:
                    batch.append(amend(name, chance.randint(2, 9), **fields))
                case 3:
                    batch.append(
                        submit(f"R{turn}/{len(batch)}", Kind.SALES_RETURN, original=name, original_date=None, **fields)
                    )
                case _:
                    batch.append(command(chance.choice(kinds), name, nth=(turn, len(batch))))
        batches.append(batch)
    return batches


async def refresh_over_and_over(store: Store, chance: random.Random, errors: list[str]) -> None:
    for turn in range(40):
        as_of = START + timedelta(seconds=turn)
        records: list[Any] = [on_hand(code, 500, as_of) for code in ("RAM", "CPU", "CABLE", "BOOK")]
        records += [Finance(code, as_of, direct=10**9) for code in ("ALI", "SARA", "SCHOOL")]
        records += [Account(code, f"{code} {turn}") for code in ("SCHOOL", "SARA", "ALI")]
        chance.shuffle(records)
        try:
            await master.apply(store, records)
        except Unavailable as error:
            errors.append(str(error))


async def test_nobody_deadlocks(stores: list[Store], company: Store) -> None:
    """Whoever is told to come again is told so because another decided the same, never because of a deadlock."""
    chance = random.Random(20241126)
    errors: list[str] = []

    async def work(store: Store, batches: list[list[Any]]) -> None:
        for batch in batches:
            while True:
                try:
                    await decide_batch(store, batch, settings(), utc_now)
                    break
                except Unavailable as error:
                    errors.append(str(error))

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(
            *(work(stores[number % 2], a_crowd(chance, 40)) for number in range(4)),
            *(refresh_over_and_over(store, chance, errors) for store in stores),
        )
    assert {error.split(":")[0] for error in errors} <= {"UniqueViolationError"}
    assert await disagreements(company) == []


async def test_expiry_and_posting_of_many_documents(stores: list[Store], company: Store) -> None:
    names = [f"D{number}" for number in range(60)]
    await decide(company, *(submit(name) for name in names), settings=policy(reservation=timedelta(hours=1)))
    due = dict(await rows(company, "select source_id, expires_at from documents"))
    expiries = [command(Expire, name, due=due[name]) for name in names]
    postings = [command(PostingStarted, name) for name in reversed(names)]
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(
            *(until_done(stores[0], batch) for batch in in_batches(random.Random(2), expiries)),
            *(until_done(stores[1], batch) for batch in in_batches(random.Random(3), postings)),
        )
    found = Counter(await states(company))
    assert found["expired"] + found["posting"] == 60
    assert await value(company, "select count(*) from decisions where refused") == 60
    assert (await stock_of(company, "RAM"))[2] == found["posting"]
    assert await disagreements(company) == []


async def test_two_intakes_of_the_same_original_in_two_batches(stores: list[Store], company: Store) -> None:
    """A return that comes before its sale is refused or taken, never taken twice."""
    for turn in range(15):
        sale = submit(f"S{turn}", lines=(line("RAM", 2),))
        backs = [
            submit(
                f"B{turn}{name}", Kind.SALES_RETURN, original=f"S{turn}", original_date=None, lines=(line("RAM", 2),)
            )
            for name in "XY"
        ]
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(
                until_done(stores[0], [sale]), *(until_done(stores[n], [back]) for n, back in enumerate(backs))
            )
        returned = "select coalesce(sum(l.quantity), 0) from document_lines l join documents x on x.id = l.document_id "
        total = await value(
            company, returned + "where x.original_id = $1 and x.state = 'cleared'", document(f"S{turn}")
        )
        assert total in (Decimal(0), Decimal(2))
    assert await disagreements(company) == []
