"""The benchmark of the books runs and fills in its file; its figures are looked at elsewhere, never here."""

import json
from pathlib import Path

from bench.hesabgar import OTHER_END, Plan, rows, run, write
from bench.servers import Servers
from tests.conftest import KafkaServer, PostgresServer

TINY = Plan(stock_rows=800, posted=30, refreshed=1, waiting=30)


async def test_a_tiny_run_reads_posts_and_drains(kafka: KafkaServer, postgres: PostgresServer, tmp_path: Path) -> None:
    found = await run(TINY, Servers(kafka.bootstrap, postgres.dsn), report=lambda _: None)
    write(found, tmp_path / "hesabgar.json")
    written = json.loads((tmp_path / "hesabgar.json").read_text(encoding="utf-8"))
    assert written["stock_rows"] == TINY.stock_rows
    assert written["drained"] == TINY.waiting
    for figure in ("sync_seconds", "rows_per_second", "vouchers_per_second", "refresh_seconds", "drain_seconds"):
        assert written[figure] >= 0, figure
    assert {"connectors", "streams", "simulator"} == written["peak_memory_mb"].keys()
    assert written["other_end"] == OTHER_END
    assert "simulator" in OTHER_END
    assert all(figure for _, figure, _ in rows(found))
