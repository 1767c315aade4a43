"""What a run measures, and how much of it."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from bench import company, intake, latency, throughput
from bench.machine import machine, versions
from bench.results import Results
from bench.servers import Servers
from bench.throughput import BARE, CHAIN, FAUST, FAUST_TWO, Contender, Sample

CONTENDERS = {"bare": BARE, "chain": CHAIN, "faust": FAUST, "two": FAUST_TWO}
SCENARIOS = (*CONTENDERS, "latency", "intake", "dev")

Report = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True):
    """How much is measured. Every loop takes ``documents`` ``rounds`` times, alternating with the others; no round is
    begun that would not end within ``race_seconds``, so that a slow machine, too, is done within ten minutes."""

    only: tuple[str, ...] = SCENARIOS
    documents: int = 60_000
    rounds: int = 3
    race_seconds: float = 360.0
    latency_per_second: float = 200.0
    latency_seconds: float = 20.0
    latency_warm_up: float = 3.0
    intake_seconds: float = 10.0
    intake_warm_up: float = 2.0


QUICK = Plan(documents=30_000, rounds=1, latency_seconds=5.0, intake_seconds=5.0)


async def run(plan: Plan, servers: Servers, report: Report) -> Results:
    """Measure what the plan says of all that needs servers.

    Raises:
        Failed: a scenario can't be measured.
    """
    found = Results(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(),
        versions=versions(await servers.version()),
    )
    try:
        if contenders := [contender for name, contender in CONTENDERS.items() if name in plan.only]:
            found.take_samples(await _race(plan, contenders, servers, report))
        if "latency" in plan.only:
            report(f"latency: {plan.latency_per_second:g} documents/s for {plan.latency_seconds:g} s")
            found.take_latency(
                await latency.measure(
                    servers,
                    per_second=plan.latency_per_second,
                    seconds=plan.latency_seconds,
                    warm_up=plan.latency_warm_up,
                )
            )
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
    rounds: list[float] = []
    while len(rounds) < plan.rounds and sum(rounds) + statistics.fmean(rounds or [0]) <= plan.race_seconds:
        began = time.monotonic()
        for contender in contenders:
            sample = await throughput.measure(contender, servers, backlog)
            samples[contender.name].append(sample)
            figure = f"{sample.documents_per_second:,.0f} documents/s"
            report(f"round {len(rounds) + 1} of {plan.rounds}, {contender.name}: {figure}")
        rounds.append(time.monotonic() - began)
    return samples
