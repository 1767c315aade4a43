"""The benchmark runs and fills in its file; its figures are looked at elsewhere, never here."""

import json
from pathlib import Path

import pytest

from bench import results
from bench.plan import Plan, run
from bench.servers import Servers
from hub.runtime.console import screen
from tests.conftest import KafkaServer, PostgresServer

MEASURED = (
    "documents_per_second",
    "bare_documents_per_second",
    "chain_without_faust_documents_per_second",
    "ratio",
    "decision_p50_ms",
    "decision_p99_ms",
    "intake_single_per_second",
    "intake_batch_per_second",
)

TINY = Plan(
    only=("bare", "chain", "faust", "latency", "intake"),
    documents=9_000,
    rounds=1,
    latency_per_second=100,
    latency_seconds=0.5,
    latency_warm_up=0.1,
    intake_seconds=1.5,
    intake_warm_up=0.1,
)


async def test_a_tiny_run_measures_what_was_asked_for(
    kafka: KafkaServer, postgres: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = Servers(
        kafka.bootstrap,
        postgres.dsn,
        kafka_pid=kafka.process.pid if kafka.process else None,
        postgres_pid=postgres.process.pid if postgres.process else None,
    )
    found = await run(TINY, servers, report=lambda _: None)
    results.write(found, tmp_path / "latest.json")
    written = json.loads((tmp_path / "latest.json").read_text(encoding="utf-8"))
    assert written["date"]
    assert {"cpu", "cores", "memory_gb", "kernel"} <= written["machine"].keys()
    assert {"python", "kafka", "postgres", "peyvand", "faust-streaming"} <= written["versions"].keys()
    assert {name: written[name] for name in MEASURED if not written[name]} == {}
    assert written["two_workers_documents_per_second"] is None
    assert {sample["documents"] >= 1_000 for samples in written["samples"].values() for sample in samples} == {True}
    results.tell(found, screen())
    assert f"{written['ratio']:g}" in capsys.readouterr().out
