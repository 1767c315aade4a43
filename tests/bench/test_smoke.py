"""The benchmark runs and fills in its file; its figures are looked at elsewhere, never here."""

import json
from pathlib import Path

from bench import __main__ as bench
from bench import results
from bench.servers import Servers
from tests.conftest import KafkaServer, PostgresServer

MEASURED = (
    "documents_per_second",
    "bare_documents_per_second",
    "chain_without_faust_documents_per_second",
    "two_workers_documents_per_second",
    "ratio",
    "decision_p50_ms",
    "decision_p99_ms",
)

TINY = bench.Plan(documents=4_000, rounds=1, latency_per_second=100, latency_seconds=1, latency_warm_up=0.5)


async def test_a_tiny_run_measures_every_scenario(kafka: KafkaServer, postgres: PostgresServer, tmp_path: Path) -> None:
    servers = Servers(
        kafka.bootstrap,
        postgres.dsn,
        kafka_pid=kafka.process.pid if kafka.process else None,
        postgres_pid=postgres.process.pid if postgres.process else None,
    )
    found = await bench.run(TINY, servers, report=lambda _: None)
    results.write(found, tmp_path / "latest.json")
    written = json.loads((tmp_path / "latest.json").read_text(encoding="utf-8"))
    assert written["date"]
    assert {"cpu", "cores", "memory_gb", "kernel"} <= written["machine"].keys()
    assert {"python", "kafka", "postgres", "peyvand", "faust-streaming"} <= written["versions"].keys()
    assert {name: written[name] for name in MEASURED if not written[name]} == {}
    assert {sample["documents"] >= 1_000 for samples in written["samples"].values() for sample in samples} == {True}
