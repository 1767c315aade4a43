"""``python -m bench.hesabgar``: reading the books, posting to them, and what an outage leaves to do.

The hub's processes are real (``hub connectors``, ``hub streams``, the embedded servers). THE OTHER END IS OUR
SIMULATOR, on the same machine: the figures are the hub's and the simulator's together, and no SQL Server's.

1. A full sync: every row of stock is read, compared and told to Kafka. Nobody applies them meanwhile.
2. Posting: cash invoices of three lines, all sent at once, are decided, posted and come to ``posted`` with a number,
   as fast as they can (``most_per_second`` out of the way). Timed from sending to the last one's number.
3. One customer: the whole command ``hub hesabgar refresh ACCOUNT``, several times, beside the running connector.
4. An outage: documents come to stand at ``posting`` while the books are away; then the books come back, and the
   connector drains them in its own time (``most_per_second`` as a customer gets it).
"""

import argparse
import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
import psutil
import uvloop

from bench import books, throughput
from bench.machine import Machine, Usage, machine, peak_mb, versions
from bench.programs import HUB, Failed, Program, role_environment, running
from bench.results import QUIET
from bench.servers import Servers, Site, embedded
from bench.workers import Loop, started
from connectors.hesabgar.simulator import HesabgarSimulator
from connectors.hesabgar.spec import Spec
from hub.bus.errors import Unavailable
from hub.bus.producer import Producer
from hub.runtime.books import BOOKS, KIND
from hub.runtime.console import margin, screen, show, table
from hub.runtime.embedded.errors import EmbeddedError
from hub.runtime.simulated import write_configuration
from hub.store.errors import StoreError
from schemas import topics
from schemas.commands import Submit
from schemas.dates import today_in_tehran
from schemas.documents import DocumentRequest, Kind, LineRequest, Payment

JARS = Path(os.environ.get("PEYVAND_CACHE") or Path(__file__).parents[1] / "var" / "kafka" / "jars").absolute()
RESULTS = Path(__file__).parent / "results" / "hesabgar.json"
OTHER_END = "our simulator, on the same machine; no SQL Server"
SOURCE = "bench"
LINES = 3
QUANTITY = Decimal("0.01")
ACCOUNTS = tuple(f"2120100{number:02}" for number in range(1, 11))
UNHURRIED = Spec.__struct_defaults__[Spec.__struct_fields__.index("most_per_second") - len(Spec.__struct_fields__)]
"""How many documents a second are posted at most where nobody says otherwise."""
FASTEST = 10_000

_CONFIGURATION = "hub.toml"
_LOOK_SECONDS = 0.05
_STUCK_SECONDS = 180.0
_COMPARED = "hub.stock compared: "
"""Written to the connector's log a little after the cursor that tells the same."""

Report = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True):
    """How much is measured."""

    stock_rows: int = 200_000
    posted: int = 3_000
    refreshed: int = 9
    waiting: int = 10_000


QUICK = Plan(stock_rows=20_000, posted=500, refreshed=3, waiting=500)


class Results(msgspec.Struct, kw_only=True):
    """Every figure. ``refresh_seconds`` is the median; ``others`` is how many processors were busy with something else
    while documents were posted."""

    date: str
    machine: Machine
    versions: dict[str, str]
    other_end: str = OTHER_END
    plan: Plan
    stock_rows: int
    sync_seconds: float
    rows_per_second: float
    vouchers_per_second: float
    refresh_seconds: float
    drained: int
    drain_seconds: float
    drain_most_per_second: int
    others: float
    peak_memory_mb: dict[str, float]


class Sync(NamedTuple):
    """Rows of stock and the seconds they took."""

    rows: int
    seconds: float


async def run(plan: Plan, servers: Servers, report: Report) -> Results:
    """Measure everything. Raises Failed."""
    memory: dict[str, float] = {}
    directory = Path(tempfile.mkdtemp(prefix="peyvand-bench-hesabgar-"))
    try:
        async with servers.site() as site, _simulated(plan.stock_rows) as (simulator, port):
            report(f"a full sync of {plan.stock_rows:,} rows of stock")
            async with _connector(site, directory, port, FASTEST) as connector:
                sync = await _sync(site, connector)
                report(f"{sync.rows:,} rows in {sync.seconds:.1f} s; the hub takes them in")
                async with started(Loop.FAUST, site) as workers:
                    await _taken_in(site, sync.rows, [connector, *workers])
                    report(f"posting {plan.posted:,} invoices of {LINES} lines")
                    goods = await _goods(site)
                    beside = {"simulator": [simulator.process]} | {
                        name: [process] for name, process in servers.processes().items()
                    }
                    rate, others = await _post(site, goods, plan.posted, [connector, *workers], beside)
                    report(f"{rate:,.0f} vouchers/s")
                    refresh = await _refresh(site, directory, plan.refreshed)
                    report(f"one customer refreshed in {refresh:.2f} s")
                _note(memory, "connectors", connector)
            async with _connector(site, directory, port, UNHURRIED) as connector, started(Loop.FAUST, site) as workers:
                simulator.process.send_signal(books.AWAY)
                await _until(lambda: _is_away(port), [simulator])
                report(f"the books are away; {plan.waiting:,} invoices come to wait")
                seconds = await _drain(site, goods, plan.waiting, simulator, [connector, *workers], report)
                _note(memory, "connectors", connector)
                _note(memory, "streams", workers[0])
            _note(memory, "simulator", simulator)
        return Results(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=machine(),
            versions=versions(await servers.version()),
            plan=plan,
            stock_rows=sync.rows,
            sync_seconds=round(sync.seconds, 2),
            rows_per_second=round(sync.rows / sync.seconds, 1),
            vouchers_per_second=round(rate, 1),
            refresh_seconds=round(refresh, 2),
            drained=plan.waiting,
            drain_seconds=round(seconds, 2),
            drain_most_per_second=UNHURRIED,
            others=round(others, 2),
            peak_memory_mb=memory,
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        await servers.close()


def _note(memory: dict[str, float], name: str, program: Program) -> None:
    """The most that a process had in any part."""
    if (peak := peak_mb(program.process)) is not None:
        memory[name] = max(peak, memory.get(name, 0))


@contextlib.asynccontextmanager
async def _simulated(rows: int) -> AsyncIterator[tuple[Program, int]]:
    """The books, and their port."""
    async with running(["-m", books.__name__, str(rows)], {}) as simulator:
        await _until(lambda: _says(simulator, books.LISTENS), [simulator])
        yield simulator, int(simulator.said().rpartition(books.LISTENS)[2])


async def _says(program: Program, words: str) -> bool:
    """Whether a whole line of what it wrote has these words."""
    return any(words in line for line in program.said().splitlines(keepends=True) if line.endswith("\n"))


@contextlib.asynccontextmanager
async def _connector(site: Site, directory: Path, port: int, most_per_second: int) -> AsyncIterator[Program]:
    """``hub connectors`` with the simulated books; what it keeps stays in ``directory``."""
    books_of = HesabgarSimulator()
    settings = {
        "server": books_of.host,
        "port": port,
        "company": books_of.database,
        "login": books_of.login,
        "password": books_of.password,
        "vat_account": "230101",
        "duty_account": "230201",
        "most_per_second": most_per_second,
    }
    file = directory / _CONFIGURATION
    write_configuration(file, {f"{KIND}.{BOOKS}": settings})
    words = [*HUB, "--config", str(file), "connectors", "--data", str(directory)]
    async with running(words, role_environment(site)) as connector:
        yield connector


# --- 1. reading


async def _sync(site: Site, connector: Program) -> Sync:
    """From the end of the view before stock to the end of stock."""
    async with _database(site) as database:
        await _until(lambda: _has(database, "customer_finance"), [connector])
        began = time.monotonic()
        await _until(lambda: _has(database, "stock"), [connector])
        seconds = time.monotonic() - began
    await _until(lambda: _says(connector, _COMPARED), [connector])
    return Sync(int(connector.said().partition(_COMPARED)[2].split()[0]), seconds)


async def _has(database: asyncpg.Connection, view: str) -> bool:
    name = f"{KIND}.{BOOKS}/view.{view}"
    return await database.fetchval("select true from cursors where name = $1", name) or False


async def _taken_in(site: Site, rows: int, programs: Sequence[Program]) -> None:
    async with _database(site) as database:

        async def all_there() -> bool:
            found = await database.fetchval("select count(*) from stock where product like '1000%'")
            return bool(found == rows)

        await _until(all_there, programs)


# --- 2. posting


async def _goods(site: Site) -> list[tuple[str, str]]:
    """Products and warehouses of which there is enough."""
    async with _database(site) as database:
        rows = await database.fetch(
            "select s.product, s.warehouse from stock s join products p on p.code = s.product "
            "where p.active and p.stocked and s.attribute = '' and s.in_books >= 100 and s.product like '1000%' "
            "order by s.product, s.warehouse"
        )
    return [(row["product"], row["warehouse"]) for row in rows]


def _invoices(goods: Sequence[tuple[str, str]], count: int, series: str) -> Iterable[Submit]:
    now = datetime.now(UTC)
    endless, accounts = itertools.cycle(goods), itertools.cycle(ACCOUNTS)
    for number in range(count):
        lines = [next(endless) for _ in range(LINES)]
        request = DocumentRequest(
            f"{series}-{number:06}",
            Kind.SALES_INVOICE,
            today_in_tehran(now),
            account=next(accounts),
            payment=Payment.CASH,
            lines=tuple(
                LineRequest(product, QUANTITY, warehouse=warehouse, unit_price=10_000_000)
                for product, warehouse in lines
            ),
        )
        yield Submit.of(request, source=SOURCE, actor=SOURCE, now=now)


async def _post(
    site: Site,
    goods: Sequence[tuple[str, str]],
    count: int,
    programs: Sequence[Program],
    beside: Mapping[str, list[psutil.Process]],
) -> tuple[float, float]:
    """Documents a second that come to ``posted``, and how many processors others than these and those ``beside`` them
    used meanwhile."""
    began, usage = time.monotonic(), Usage({"hub": [each.process for each in programs], **beside})
    await _send(site, _invoices(goods, count, "post"))
    async with _database(site) as database:
        await _states(database, "post", "posted", count, programs)
    seconds = time.monotonic() - began
    return count / seconds, usage.seconds()["others"] / seconds


# --- 3. one customer


async def _refresh(site: Site, directory: Path, times: int) -> float:
    """Median seconds of the command, from its start to its end. Raises Failed."""
    words = [*HUB, "--config", str(directory / _CONFIGURATION), "hesabgar", "refresh", ACCOUNTS[0]]
    seconds = []
    for _ in range(times):
        began = time.monotonic()
        async with running(words, role_environment(site)) as command:
            await command.finished(_STUCK_SECONDS)
            seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


# --- 4. an outage


async def _is_away(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HesabgarSimulator.host, port)
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # it is just going
    writer.close()
    return False


async def _drain(
    site: Site,
    goods: Sequence[tuple[str, str]],
    count: int,
    simulator: Program,
    programs: Sequence[Program],
    report: Report,
) -> float:
    """Seconds from the books' return until every document that waited, while they are away, is posted."""
    await _send(site, _invoices(goods, count, "wait"))
    async with _database(site) as database:
        await _states(database, "wait", "posting", count, programs)
        report(f"{count:,} wait; the books come back")
        simulator.process.send_signal(books.BACK)
        began = time.monotonic()
        await _states(database, "wait", "posted", count, programs)
        return time.monotonic() - began


async def _states(
    database: asyncpg.Connection, series: str, state: str, count: int, programs: Sequence[Program]
) -> int:
    """How many documents have the state, once it is so many. Raises Failed when none is added for long, or one is
    refused."""
    found, changed = 0, time.monotonic()
    while found < count:
        await asyncio.sleep(_LOOK_SECONDS)
        for program in programs:
            program.check()
        states = dict(
            await database.fetch(
                "select state, count(*) from documents where source = $1 and source_id like $2 group by 1",
                SOURCE,
                f"{series}-%",
            )
        )
        if wrong := set(states) - {"received", "cleared", "posting", "posted"}:
            raise Failed(f"of the benchmark's documents some are {', '.join(sorted(wrong))}: {states}")
        if states.get(state, 0) != found:
            found, changed = states.get(state, 0), time.monotonic()
        elif time.monotonic() - changed > _STUCK_SECONDS:
            raise Failed(f"no document came to {state} for {_STUCK_SECONDS:.0f} s: {states}")
    return found


# --- what all parts need


async def _send(site: Site, commands: Iterable[Submit]) -> None:
    producer = Producer(site.kafka)
    await producer.start()
    try:
        await producer.publish_batches(topics.COMMANDS, throughput.records(commands))
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def _database(site: Site) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(site.dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _until(holds: Callable[[], object], programs: Sequence[Program]) -> None:
    """Wait for a condition. Raises Failed when it takes long or a process ends."""
    deadline = time.monotonic() + _STUCK_SECONDS
    while not await holds():  # type: ignore[misc]
        for program in programs:
            program.check()
        if time.monotonic() > deadline:
            raise Failed(f"nothing came of it within {_STUCK_SECONDS:.0f} s:\n{programs[0].said()[-2_000:]}")
        await asyncio.sleep(_LOOK_SECONDS)


# --- what is told


def write(results: Results, file: Path) -> None:
    """Write the results as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")


def rows(results: Results) -> Iterable[tuple[str, str, str]]:
    """The table's rows."""
    yield f"full sync of {results.stock_rows:,} rows of stock", f"{results.sync_seconds:g}", "s"
    yield "", f"{results.rows_per_second:,.0f}", "rows/s"
    yield "invoices decided and posted", f"{results.vouchers_per_second:,.0f}", "vouchers/s"
    yield "one customer refreshed, the whole command", f"{results.refresh_seconds:g}", "s"
    drained = f"{results.drained:,} that waited, drained at most {results.drain_most_per_second} a second"
    yield drained, f"{results.drain_seconds:g}", "s"
    for name, peak in results.peak_memory_mb.items():
        yield f"peak memory: {name}", f"{peak:,.0f}", "MB"
    yield "processors busy with other work while posting", f"{results.others:g}", ""


async def _measure(plan: Plan) -> Results:
    began = time.monotonic()
    console = screen()

    def report(what: str) -> None:
        show(console, f"{time.monotonic() - began:5.0f} s  {what}")

    directory = Path(tempfile.mkdtemp(prefix="peyvand-bench-"))
    try:
        async with embedded(directory, JARS, report) as servers:
            return await run(plan, servers, report)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main() -> int:
    """Run the benchmark; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.hesabgar", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fast look, with less certain figures")
    parser.add_argument("--output", type=Path, help=f"the file for the results (default, for a whole run: {RESULTS})")
    arguments = parser.parse_args()
    output = arguments.output or (None if arguments.quick else RESULTS)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it can't mend itself, it raises
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(_measure(QUICK if arguments.quick else Plan()))
    except (Failed, EmbeddedError, StoreError, Unavailable) as error:
        show(margin(), f"The benchmark stopped: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    console = screen()
    show(console, "", f"The other end: {OTHER_END}.", "", table(console, ("what", "figure", ""), rows(found)))
    if found.others > QUIET:
        show(console, "", "The machine was busy with other work meanwhile: for figures to keep, run this again.")
    if output is not None:
        write(found, output)
        show(console, "", f"Written to {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
