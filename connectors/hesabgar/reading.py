"""Reading the books: what changed since the last look, everything once a night, one customer when someone asks.

A page of rows is read like this: first the horizon (its row version and the books' clock), once more until the clock
has moved on, then the rows from where the last page ended up to that row version. So with ``as_of`` the second clock
and H the first row version:

- what is read was committed before the clock was read, so every posting it shows was stamped before ``as_of``;
- a posting stamped by ``as_of`` that the rows don't show doesn't exist: its row would carry a version of H or more
  and be left for the next page (and one not yet committed is waited for, :data:`contract.COMMITTED`).

Everything is read with one query, whose rows come while they are told: their ``as_of`` is the clock from before it
began, and what changed meanwhile has a row version of H or more and is left for the pages that follow.

Of rows without a row version nothing tells whether they show what was posted while they were read. So nothing is
posted meanwhile (``still``).

Hence the rule of the hub's store, "what a posting took is given up when the books' figure is newer than the posting",
never counts goods or money twice, and never gives them up too early.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

from connectors.base import Context, Outage, Publisher, Rejected, Retryable, UnknownPayload
from connectors.hesabgar import contract, mapper
from connectors.hesabgar.client import Away, Client, Link
from connectors.hesabgar.contract import Row, View
from connectors.hesabgar.memory import Mark, Memory, Seen, Told
from connectors.hesabgar.spec import Spec
from schemas import codec, text
from schemas.dates import TEHRAN
from schemas.deadletters import DeadLetter
from schemas.master import Account, ListEntry, Master, Product

_T = TypeVar("_T")

CLOCK_TRIES = 200
REFRESH_TRIES = 5
_CITY = contract.ACCOUNTS.columns.index("city_code")
UNVERSIONED_EVERY = dt.timedelta(minutes=5)
"""How often a view without row versions is read whole."""


class Page(NamedTuple):
    """Rows of one moment. ``next`` is where the following page begins; ``complete``: there is none now."""

    rows: list[Row]
    as_of: dt.datetime
    next: int
    complete: bool


class Compared(NamedTuple):
    """What a full compare of a view found."""

    rows: int
    told: int
    gone: int
    refused: int


class Reading:
    """One instance's reading. Its cursors: ``view.<name>`` the next row version, ``compared`` the day of the last
    night and the database. It holds ``still`` while nothing may be posted."""

    def __init__(
        self, spec: Spec, context: Context, client: Client, books: Outage, bus: Outage, still: asyncio.Lock
    ) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._books = books
        self._bus = bus
        self.still = still
        self._store = Outage("the cursors' database", context.logger)
        self._memory = Memory(context.data)
        self._thread = ThreadPoolExecutor(1, f"memory of {context.instance}")
        self._told = Told(context.records)
        self._mark: Mark | None = None
        """The memory's, as the hub's database has it; None before the first look."""
        self._restored = False
        """A backup of the hub's database was restored: everything is compared at the next look."""
        self._looked: dict[str, dt.datetime] = {}
        """When it was last seen to by view that what has no row version is told."""
        self._unreadable = {view.name: Outage(f"hub.{view.name}", context.logger) for view in contract.VIEWS}
        self.read_at: dt.datetime | None = None
        """When the last look at everything ended; what the lag is counted from."""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(self._spec.poll.total_seconds())
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the memory's file, after what is still being done in it for someone who was cancelled meanwhile."""
        await self._in_thread(self._memory.close)
        self._thread.shutdown(wait=False)

    async def look(self) -> None:
        """Everything that changed, once; all of it if the night's compare is due or nothing was read yet. A view that
        can't be read is told once, and read whole when it can."""
        await self._remember()
        try:
            await self._look_at_all()
        except _Restored:
            await self._remember()

    async def _look_at_all(self) -> None:
        began = self._context.clock()
        night = self._night(began)
        due = await self._cursor("compared") != night or self._restored
        self._restored = False
        renamed = False
        for view in contract.VIEWS:
            unreadable = self._unreadable[view.name]
            whole = due or unreadable.reason is not None or (view is contract.ACCOUNTS and renamed)
            try:
                told = await self._look_at(view, began, whole=whole)
                renamed |= view is contract.CITIES and told > 0
            except Rejected as error:
                unreadable.down(error)
            else:
                unreadable.up()
        if due:
            await self._set("compared", night)
        if not any(view.reason for view in self._unreadable.values()):
            self.read_at = began

    async def _look_at(self, view: View, now: dt.datetime, *, whole: bool) -> int:
        """How many of its rows were told."""
        since = await self._cursor(f"view.{view.name}")
        if whole or since is None or await self._whole_due(view, now):
            return (await self.compare(view)).told
        return await self._changes(view, int(since))

    def now(self) -> dt.datetime:
        """The present, by the instance's clock."""
        return self._context.clock()

    def _night(self, now: dt.datetime) -> str:
        """The night's compare that is the latest due: its day, and the database, for another's row versions (those of
        a new fiscal period) say nothing of what changed."""
        local = now.astimezone(TEHRAN) - dt.timedelta(hours=self._spec.nightly_hour)
        return f"{local.date().isoformat()} {self._spec.database_name}"

    async def _whole_due(self, view: View, now: dt.datetime) -> bool:
        """Whether there are rows of which only reading them tells what changed, and it is time to."""
        last = self._looked.get(view.name)
        if last is not None and now - last < UNVERSIONED_EVERY:
            return False
        self._looked[view.name] = now
        return bool(await self._from_books(lambda link: link.query(contract.any_unversioned(view.name))))

    async def _changes(self, view: View, since: int) -> int:
        told, complete = 0, False
        while not complete:
            page = await self._from_books(partial(read_page, view, since, self._spec.page_rows))
            if page.next < since:
                self._context.logger.warning("hub.%s is from before what was read: a backup was restored", view.name)
                return told + (await self.compare(view)).told
            if page.rows:
                run = await self._in_thread(self._memory.last_run)
                told += (await self.tell(view, page.rows, page.as_of, run=run))[0]
            if page.next != since:
                await self._set(f"view.{view.name}", str(page.next))
            since, complete = page.next, page.complete
        return told

    async def _remember(self) -> None:
        """If the memory's file isn't the one that was used last, begin it anew with the rows that were told; also if it
        knows of more than the hub's database, of which a backup was restored then."""
        mark = await self._in_thread(self._memory.mark)
        last = await self._store.waited_out(self._told.last)
        if mark is None or last is None or last.file != mark.file:
            await self._begin_anew("isn't the memory that was used last", restored=self._mark is not None)
        elif last.turn < mark.turn:
            await self._begin_anew("knows more than the hub's database: a backup of it was restored", restored=True)
        else:
            self._mark = last

    async def _begin_anew(self, why: str, *, restored: bool) -> None:
        rows = [row for view in contract.VIEWS for row in await self._rows_told(view)]
        if rows:
            self._context.logger.warning(
                "%s %s; of %d rows it is told once more what they are", self._context.data, why, len(rows)
            )
        mark = await self._in_thread(partial(self._memory.begin, rows))
        await self._store.waited_out(lambda: self._told.set_mark(mark))
        self._mark, self._restored = mark, restored

    async def _marked(self, *, more: bool) -> Mark:
        """The mark to keep with what was told. If it is ``more`` than before, the hub's database knows it first."""
        last = self._mark
        assert last is not None, "before anything is told it is looked what was"
        if not more:
            return last
        mark = last.next()
        if not await self._store.waited_out(lambda: self._told.advance(last, mark)):
            raise _Restored
        self._mark = mark
        return mark

    async def _rows_told(self, view: View) -> list[tuple[str, str, bytes]]:
        return await self._store.waited_out(lambda: self._told.rows(view))

    async def compare(self, view: View) -> Compared:
        """Read a view whole, tell what differs from what was told, and what is no longer there.

        Raises Rejected if nothing is there: the mapping is wrong sooner than all of it is gone.
        """
        await self._remember()
        whole = _Whole(self, view, await self._in_thread(self._memory.last_run) + 1)
        await self._books.waited_out(lambda: whole.read(self._client, self._spec.page_rows))
        self._looked[view.name] = whole.began
        late = await self._from_books(partial(_late_keys, view, whole.reached))
        await self._in_thread(partial(self._memory.saw, view.name, late, whole.run))
        if not whole.rows and not late and await self._in_thread(partial(self._memory.has_any, view.name)):
            raise Rejected("it has no row any more; what was told of them stays until it has")
        vanished = await self._in_thread(partial(self._memory.vanished, view.name, whole.run))
        for start in range(0, len(vanished), self._spec.page_rows):
            await self._tell_end(view, vanished[start : start + self._spec.page_rows], whole.as_of)
        await self._set(f"view.{view.name}", str(whole.reached))
        found = Compared(whole.rows, whole.told, len(vanished), whole.refused)
        self._context.logger.info(
            "hub.%s compared: %d rows, %d told, %d no longer there, %d refused", view.name, *found
        )
        return found

    async def _tell_end(self, view: View, rows: Sequence[Seen], as_of: dt.datetime) -> None:
        keys = [row.key for row in rows]
        await self._publish([mapper.gone(view, row.key, row.body, as_of) for row in rows])
        await self._store.waited_out(lambda: self._told.forget(view, keys))
        mark = await self._marked(more=True)
        await self._in_thread(partial(self._memory.forget, view.name, keys, mark))

    async def told(self, record: Account | Product) -> bool:
        """Whether the books themselves told of this code."""
        view = contract.ACCOUNTS if isinstance(record, Account) else contract.PRODUCTS
        return await self._store.waited_out(lambda: self._told.holds(view, record.code))

    async def tell(self, view: View, rows: Sequence[Row], as_of: dt.datetime, *, run: int) -> tuple[int, int]:
        """Publish what is news, remember all; how many were told and how many refused."""
        if not rows:
            return 0, 0
        seen, records, letters, others = await self._in_thread(partial(self._understood, view, rows, as_of))
        news = await self._in_thread(partial(self._memory.news, view.name, seen, by_version=view.counted))
        if letters:
            await self._bus.waited_out(lambda: self._context.publisher.dead_letters(letters))
        await self._store.waited_out(lambda: self._told.note(view, seen, news))
        await self._publish([records[place] for place in news.changed])
        await self._store.waited_out(lambda: self._told.confirm(view, seen, news))
        mark = await self._marked(more=bool(news.changed))
        await self._in_thread(partial(self._memory.keep, view.name, seen, run, mark))
        if others:
            await self._in_thread(partial(self._memory.saw, view.name, others, run))
        return len(news.changed), len(letters)

    def _understood(
        self, view: View, rows: Sequence[Row], as_of: dt.datetime
    ) -> tuple[list[Seen], list[Master], list[DeadLetter], list[str]]:
        """The rows that make sense and what is told of them, and the letters and keys of the others."""
        seen, records, letters, others = [], [], [], []
        cities = self._cities(rows) if view is contract.ACCOUNTS else {}
        for row in rows:
            key = mapper.key(view, row)
            try:
                item = mapper.record(view, row, as_of, cities)
            except UnknownPayload as error:
                letters.append(self._letter(view, row, str(error)))
                others.append(key)
                continue
            seen.append(Seen(key, mapper.body(item), int(row[-1])))
            records.append(item)
        return seen, records, letters, others

    def _cities(self, accounts: Sequence[Row]) -> dict[str, str]:
        """The names of the cities of these accounts, by code, as they were told."""
        codes = {text.code(str(row[_CITY] or "")) for row in accounts}
        told = self._memory.bodies(contract.CITIES.name, list(codes))
        return {code: codec.decode_as(body, ListEntry).name for code, body in told.items()}

    async def _publish(self, records: Sequence[Master]) -> None:
        if records:
            await self._bus.waited_out(lambda: self._context.publisher.master(records))

    def _letter(self, view: View, row: Row, why: str) -> DeadLetter:
        value = mapper.raw((*view.columns, "row_version"), row)
        return self._context.dead_letter(value, why, place=f"hub.{view.name}", position=int(row[-1]))

    async def _from_books(self, work: Callable[[Link], _T]) -> _T:
        return await self._books.waited_out(lambda: self._client.call(work))

    async def _cursor(self, name: str) -> str | None:
        return await self._store.waited_out(lambda: self._context.cursors.get(name))

    async def _set(self, name: str, value: str) -> None:
        await self._store.waited_out(lambda: self._context.cursors.set(name, value))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class _Restored(Exception):
    """A backup of the hub's database was restored since the look began: what was told since isn't remembered."""


class _Whole:
    """Reading a view whole: where it has come to, also when the line breaks in between and it is begun again there."""

    def __init__(self, reading: Reading, view: View, run: int) -> None:
        self._reading = reading
        self._view = view
        self.run = run
        self.began = self.as_of = reading.now()
        self.reached = 0
        """The row version below which everything was told."""
        self.rows = 0
        self.told = 0
        self.refused = 0

    async def read(self, client: Client, size: int) -> None:
        """Read and tell what is left. The next page is read while one is told. Raises ConnectorError."""
        async with client.alone() as one:
            if not self.reached:
                async with self._reading.still:
                    unversioned = await one.call(partial(read_unversioned, self._view))
                await self._take(unversioned)
            pages = read_whole(self._view, self.reached, size)
            following = asyncio.ensure_future(one.call(pages))
            try:
                while (page := await following) is not None:
                    following = asyncio.ensure_future(one.call(pages))
                    await self._take(page)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    async def _take(self, page: Page) -> None:
        told, refused = await self._reading.tell(self._view, page.rows, page.as_of, run=self.run)
        self.rows, self.told, self.refused = self.rows + len(page.rows), self.told + told, self.refused + refused
        self.reached, self.as_of = page.next, page.as_of


def horizon(link: Link) -> tuple[int, dt.datetime]:
    """The row version below which everything is there, and a clock later than every posting below it."""
    [(version, first)] = link.query(contract.HORIZON)
    for _ in range(CLOCK_TRIES):
        [(_, moment)] = link.query(contract.HORIZON)
        if moment > first:
            return int(version), mapper.as_utc(moment)
    raise Away("the books' clock stands still")


def read_page(view: View, since: int, limit: int, link: Link) -> Page:
    """One page from ``since`` on. A database that hasn't come as far as ``since`` is an older one: then the page is
    empty and ``next`` lies before it."""
    until, as_of = horizon(link)
    if until < since:
        return Page([], as_of, 0, True)
    rows = link.query(contract.changed(view.name, view.columns, since, until, limit))
    if len(rows) < limit:
        return Page(rows, as_of, until, True)
    last = rows[-1][-1]
    whole = [row for row in rows if row[-1] < last]
    if not whole:
        # More rows than a page changed at once: a change of what they all depend on.
        whole = link.query(contract.at_version(view.name, view.columns, last))
        last += 1
    return Page(whole, as_of, last, False)


def read_unversioned(view: View, link: Link) -> Page:
    """What has no row version. Nothing may be posted until this is back."""
    _, as_of = horizon(link)
    return Page(link.query(contract.unversioned(view.name, view.columns)), as_of, 0, False)


def read_whole(view: View, since: int, size: int) -> Callable[[Link], Page | None]:
    """What to call again and again on one connection for the pages of everything from ``since`` on; None after the
    last. All are of the moment before the first."""
    begun: list[Iterator[Page]] = []

    def following(link: Link) -> Page | None:
        if not begun:
            begun.append(_pages(view, since, size, link))
        try:
            return next(begun[0], None)
        except BaseException:
            begun.clear()  # called once more, it begins anew instead of seeming to be at its end
            raise

    return following


def _pages(view: View, since: int, size: int, link: Link) -> Iterator[Page]:
    until, as_of = horizon(link)
    for rows in link.pages(contract.changed(view.name, view.columns, since, until), size):
        yield Page(rows, as_of, rows[-1][-1], False)
    yield Page([], as_of, until, True)


def _late_keys(view: View, version: int, link: Link) -> list[str]:
    rows = link.query(contract.beyond(view.name, view.key, version))
    keyed = View(view.name, view.record, dict.fromkeys(view.key, ""), view.key)
    return [mapper.key(keyed, row) for row in rows]


async def refresh_account(client: Client, publisher: Publisher, code: str) -> list[Master]:
    """Read one customer now and tell it: the account and, if the books know one, its standing; nothing at all if they
    have no such account.

    Raises ConnectorError, Retryable when a change of this very row doesn't come to an end.
    """
    views = (contract.ACCOUNTS, contract.FINANCE)
    pages = [await client.call(partial(_read_one, view, code)) for view in views]
    cities = await _city_names(client, pages[0].rows)
    records = [
        mapper.record(view, row, page.as_of, cities)
        for view, page in zip(views, pages, strict=True)
        for row in page.rows
    ]
    await publisher.master(records)
    return records


async def _city_names(client: Client, accounts: Sequence[Row]) -> dict[str, str]:
    """The names of the cities of these accounts, by code, as the books have them now."""
    asked = [await client.query(contract.CITY_NAME, (row[_CITY],)) for row in accounts if row[_CITY]]
    return {text.code(str(code)): str(name) for rows in asked for code, name in rows if name}


def _read_one(view: View, code: str, link: Link) -> Page:
    for _ in range(REFRESH_TRIES):
        until, as_of = horizon(link)
        rows = link.query(contract.of_key(view), (code,))
        if all(row[-1] < until for row in rows):
            return Page(rows, as_of, until, True)
    raise Retryable(f"account {code} is being changed in the books all the time; try again")
