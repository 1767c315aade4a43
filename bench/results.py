"""What a run found: its file and its table."""

import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from rich.console import Console

from bench.dev import Starts
from bench.intake import Intake
from bench.latency import Latency
from bench.machine import Machine
from bench.throughput import BARE, CHAIN, FAUST, FAUST_TWO, Sample
from hub.runtime.console import show, table

LATEST = Path(__file__).parent / "results" / "latest.json"
QUIET = 0.2
"""Processors that may be busy with something else in a sample that counts as undisturbed."""


class Results(msgspec.Struct, kw_only=True):
    """Every figure; None: it was not measured in this run.

    ``documents_per_second`` and its like are medians of the ``samples`` that count; ``ratio`` is
    ``documents_per_second`` to ``bare_documents_per_second``. ``decision_*`` count from a command's acknowledgement to
    its decision's. ``others`` is the median of how many processors were busy with something else meanwhile.
    """

    date: str
    machine: Machine
    versions: dict[str, str]
    documents_per_second: float | None = None
    bare_documents_per_second: float | None = None
    chain_without_faust_documents_per_second: float | None = None
    two_workers_documents_per_second: float | None = None
    ratio: float | None = None
    chain_ratio: float | None = None
    two_workers_ratio: float | None = None
    others: float | None = None
    decision_p50_ms: float | None = None
    decision_p99_ms: float | None = None
    decision_max_ms: float | None = None
    decisions_offered_per_second: float | None = None
    intake_single_per_second: float | None = None
    intake_single_p99_ms: float | None = None
    intake_batch_per_second: float | None = None
    intake_batch_p99_ms: float | None = None
    dev_cold_seconds: float | None = None
    dev_warm_seconds: float | None = None
    peak_memory_mb: dict[str, float] = {}
    samples: dict[str, list[Sample]] = {}

    def take_samples(self, samples: dict[str, list[Sample]]) -> None:
        """Fill in what follows from the samples."""
        self.samples = samples
        counting = _counting(samples)
        self.bare_documents_per_second = _median(counting.get(BARE.name, ()))
        self.chain_without_faust_documents_per_second = _median(counting.get(CHAIN.name, ()))
        self.documents_per_second = _median(counting.get(FAUST.name, ()))
        self.two_workers_documents_per_second = _median(counting.get(FAUST_TWO.name, ()))
        self.ratio = self._to_bare(self.documents_per_second)
        self.chain_ratio = self._to_bare(self.chain_without_faust_documents_per_second)
        self.two_workers_ratio = self._to_bare(self.two_workers_documents_per_second)
        self.others = round(statistics.median(each.others for taken in counting.values() for each in taken), 2)
        for sample in samples.get(FAUST.name, ()):
            self.take_memory(sample.peak_memory_mb)

    def take_latency(self, latency: Latency) -> None:
        self.decision_p50_ms = latency.p50_ms
        self.decision_p99_ms = latency.p99_ms
        self.decision_max_ms = latency.max_ms
        self.decisions_offered_per_second = latency.per_second

    def take_intake(self, intake: Intake) -> None:
        self.intake_single_per_second = round(intake.single.documents / intake.single.seconds, 1)
        self.intake_single_p99_ms = intake.single.p99_ms
        self.intake_batch_per_second = round(intake.batch.documents / intake.batch.seconds, 1)
        self.intake_batch_p99_ms = intake.batch.p99_ms
        if intake.api_peak_mb is not None:
            self.take_memory({"api": intake.api_peak_mb})

    def take_starts(self, starts: Starts) -> None:
        self.dev_cold_seconds = starts.cold_seconds
        self.dev_warm_seconds = starts.warm_seconds
        self.take_memory(starts.peak_memory_mb)

    def take_memory(self, peaks: Mapping[str, float]) -> None:
        """The most that each kind of process had in any scenario."""
        for name, peak in peaks.items():
            self.peak_memory_mb[name] = max(peak, self.peak_memory_mb.get(name, 0))

    def _to_bare(self, rate: float | None) -> float | None:
        bare = self.bare_documents_per_second
        return round(rate / bare, 3) if rate and bare else None


def _counting(samples: dict[str, list[Sample]]) -> dict[str, list[Sample]]:
    """The samples the machine had nothing else to do at, if every loop has one; else all, disturbed alike."""
    quiet = {name: [each for each in taken if each.others <= QUIET] for name, taken in samples.items()}
    return quiet if all(quiet.values()) else samples


def _median(samples: Iterable[Sample]) -> float | None:
    rates = [sample.documents_per_second for sample in samples]
    return round(statistics.median(rates), 1) if rates else None


def write(results: Results, file: Path) -> None:
    """Write the results as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(msgspec.to_builtins(results), ensure_ascii=False, indent=2)
    file.write_text(text + "\n", encoding="utf-8")


def tell(results: Results, console: Console) -> None:
    """The figures as a table, then where the processor time of the loops went."""
    machine = results.machine
    show(
        console,
        "",
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gb} GB, {machine.kernel}, load before {machine.load}",
        ", ".join(f"{name} {number}" for name, number in results.versions.items()),
        "",
        table(console, ("what", "figure", ""), _rows(results)),
    )
    if results.samples:
        headings = ("loop", "documents/s", "processor time of a document, µs", "cores busy with other work")
        show(console, "", table(console, headings, _sample_rows(results)))
    if results.others is not None and results.others > QUIET:
        show(
            console,
            "",
            "The machine was busy with other work meanwhile: for figures to keep, run this again when it is quiet.",
        )


def _rows(results: Results) -> Iterable[tuple[str, str, str]]:
    of_bare = "of the bare loop"
    rows: list[tuple[str, float | None, str]] = [
        ("bare loop (no Faust, no rules)", results.bare_documents_per_second, "documents/s"),
        ("the whole rule chain without Faust", results.chain_without_faust_documents_per_second, "documents/s"),
        ("", results.chain_ratio, of_bare),
        ("the whole rule chain, one worker", results.documents_per_second, "documents/s"),
        ("", results.ratio, of_bare),
        ("the whole rule chain, two workers", results.two_workers_documents_per_second, "documents/s"),
        ("", results.two_workers_ratio, of_bare),
        ("decision after acknowledgement, median", results.decision_p50_ms, "ms"),
        ("decision after acknowledgement, 99 %", results.decision_p99_ms, "ms"),
        ("decision after acknowledgement, longest", results.decision_max_ms, "ms"),
        ("orders taken by HTTP, one a request", results.intake_single_per_second, "documents/s"),
        ("a request of one, 99 %", results.intake_single_p99_ms, "ms"),
        ("orders taken by HTTP, 100 a request", results.intake_batch_per_second, "documents/s"),
        ("a request of 100, 99 %", results.intake_batch_p99_ms, "ms"),
        ("make run to the first decided order, cold", results.dev_cold_seconds, "s"),
        ("make run to the first decided order, warm", results.dev_warm_seconds, "s"),
        *((f"peak memory: {name}", peak, "MB") for name, peak in results.peak_memory_mb.items()),
    ]
    for what, figure, unit in rows:
        if figure is not None:
            yield what, f"{figure:,.0f}" if figure >= 1_000 else f"{figure:g}", unit


def _sample_rows(results: Results) -> Iterable[tuple[str, str, str, str]]:
    for name, samples in results.samples.items():
        for sample in samples:
            cpu = ", ".join(f"{who} {spent:.0f}" for who, spent in sample.cpu_us.items())
            yield name, f"{sample.documents_per_second:,.0f}", cpu, f"{sample.others:.2f}"
