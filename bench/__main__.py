"""``python -m bench``: every scenario on servers of its own, a table, and ``bench/results/latest.json``."""

import argparse
import asyncio
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console

from bench import company, dev, intake, latency, results, throughput
from bench.machine import machine, versions
from bench.programs import Failed
from bench.results import Results
from bench.servers import Servers, embedded
from bench.throughput import BARE, CHAIN, FAUST, FAUST_TWO, Contender, Sample
from hub.bus.errors import Unavailable
from hub.runtime.embedded.errors import EmbeddedError
from hub.store.errors import StoreError

JARS = Path(os.environ.get("PEYVAND_CACHE") or Path(__file__).parents[1] / "var" / "kafka" / "jars").absolute()

CONTENDERS = {"bare": BARE, "chain": CHAIN, "faust": FAUST, "two": FAUST_TWO}
SCENARIOS = (*CONTENDERS, "latency", "intake", "dev")


class Plan(msgspec.Struct, frozen=True):
    """How much is measured. Every loop takes ``documents`` ``rounds`` times, alternating with the others."""

    only: tuple[str, ...] = SCENARIOS
    documents: int = 60_000
    rounds: int = 3
    latency_per_second: float = 200.0
    latency_seconds: float = 20.0
    latency_warm_up: float = 3.0
    intake_seconds: float = 10.0
    intake_warm_up: float = 2.0


QUICK = Plan(documents=30_000, rounds=1, latency_seconds=5.0, intake_seconds=5.0)

Report = Callable[[str], None]


async def run(plan: Plan, servers: Servers, report: Report) -> Results:
    """Measure what the plan says of all that needs servers. Raises Failed."""
    found = Results(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(),
        versions=versions(await servers.version()),
    )
    try:
        contenders = [contender for name, contender in CONTENDERS.items() if name in plan.only]
        if contenders:
            found.take_samples(await _race(plan, contenders, servers, report))
        if "latency" in plan.only:
            report(f"latency: {plan.latency_per_second:g} documents/s for {plan.latency_seconds:g} s")
            taken = await latency.measure(
                servers,
                per_second=plan.latency_per_second,
                seconds=plan.latency_seconds,
                warm_up=plan.latency_warm_up,
            )
            found.take_latency(taken)
        if "intake" in plan.only:
            report(f"intake: documents by HTTP for {plan.intake_seconds:g} s, singly and in batches")
            found.take_intake(await intake.measure(servers, seconds=plan.intake_seconds, warm_up=plan.intake_warm_up))
    finally:
        await servers.close()
    return found


async def _race(plan: Plan, contenders: list[Contender], servers: Servers, report: Report) -> dict[str, list[Sample]]:
    """The contenders in turn, round after round, so that a noisy minute doesn't fall on one of them alone."""
    report(f"preparing {plan.documents:,} documents of {company.LINES} lines")
    backlog = throughput.records(company.commands(plan.documents, series="race"))
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    for number in range(plan.rounds):
        for contender in contenders:
            sample = await throughput.measure(contender, servers, backlog)
            samples[contender.name].append(sample)
            report(f"round {number + 1} of {plan.rounds}, {contender.name}: {sample.documents_per_second:,.0f}/s")
    return samples


def plan_of(arguments: argparse.Namespace) -> Plan:
    """The plan the command line asks for."""
    plan = QUICK if arguments.quick else Plan()
    asked = {
        "only": tuple(arguments.only.split(",")) if arguments.only else None,
        "documents": arguments.documents,
        "rounds": arguments.rounds,
    }
    return msgspec.structs.replace(plan, **{name: value for name, value in asked.items() if value is not None})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", help=f"some of: {','.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="a fast look, with less certain figures")
    parser.add_argument("--documents", type=int, help=f"documents for each loop (default {Plan().documents})")
    parser.add_argument("--rounds", type=int, help=f"how often each loop is measured (default {Plan().rounds})")
    parser.add_argument("--output", type=Path, default=results.LATEST, help="the file for the results")
    arguments = parser.parse_args()
    if unknown := set((arguments.only or "bare").split(",")) - set(SCENARIOS):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    return arguments


async def _main(arguments: argparse.Namespace, console: Console) -> None:
    began = time.monotonic()

    def report(what: str) -> None:
        console.print(f"{time.monotonic() - began:5.0f} s  {what}", markup=False, highlight=False, soft_wrap=True)

    plan = plan_of(arguments)
    directory = Path(tempfile.mkdtemp(prefix="peyvand-bench-"))
    try:
        async with embedded(directory, JARS, report) as servers:
            found = await run(plan, servers, report)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if "dev" in plan.only:
        report("hub dev: a first start and a second, each to its first decided order")
        found.take_starts(await dev.measure(JARS))
    results.write(found, arguments.output)
    results.show(found, console)
    console.print(f"Written to {arguments.output}", markup=False, highlight=False)


def main() -> int:
    """Run the benchmark; its exit code."""
    arguments = _arguments()
    console = Console()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it can't mend itself, it raises
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_main(arguments, console))
    except (Failed, EmbeddedError, StoreError, Unavailable) as error:
        console.print(str(error), markup=False, style="bold red")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
