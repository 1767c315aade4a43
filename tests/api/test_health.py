"""Health by progress, and the figures for Prometheus."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.api.vitals import judge
from hub.store import progress
from hub.store.pool import Store
from hub.store.progress import Worker
from tests.api.world import Answer, Client, Hub, Shop

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def worker(
    name: str = "streams-1", *, role: str = "streams", started: int = 600, silent: int = 0, stuck: int = 0, lag: int = 0
) -> Worker:
    """A worker, everything in seconds ago."""

    def ago(seconds: int) -> datetime:
        return NOW - timedelta(seconds=seconds)

    return Worker(name, role, ago(started), ago(silent), ago(stuck), lag, {}, silent, stuck)


@pytest.mark.parametrize(
    ("workers", "failing"),
    [
        ([worker()], set()),
        ([worker(silent=15)], set()),
        ([worker(stuck=300)], set()),
        ([worker(stuck=30, lag=9)], set()),
        ([], {"streams"}),
        ([worker("api-1", role="api")], {"streams"}),
        ([worker(silent=16)], {"streams", "streams-1"}),
        ([worker(stuck=31, lag=9)], {"streams-1"}),
        ([worker(), worker("streams-2", silent=100)], {"streams-2"}),
        ([worker(), worker("api-1", role="api", silent=100)], {"api-1"}),
        ([worker("streams-2", started=20), worker(silent=100)], set()),
        ([worker("streams-2", started=200), worker(silent=100)], {"streams-1"}),
    ],
    ids=[
        "well", "quiet for a moment", "nothing to do", "slow", "nobody", "nobody who decides", "silent", "stuck",
        "one of two silent", "another role silent", "replaced", "not replaced",
    ],
)  # fmt: skip
def test_workers_are_judged_by_their_progress(workers: list[Worker], failing: set[str]) -> None:
    assert {check.name for check in judge(workers) if not check.ok} == failing


async def examined(client: Client, failing: set[str]) -> Answer:
    """The answer, once just these checks fail: a worker reports a moment after its start, and Kafka may be slow."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get("/health")
            if {check["name"] for check in answer.body["checks"] if not check["ok"]} == failing:
                return answer
            await asyncio.sleep(0.05)


async def test_a_hub_that_decides_is_healthy(shop: Shop, anyone: Client) -> None:
    await shop.send("S")
    answer = await examined(anyone, set())
    assert answer.status == 200
    assert answer.body["status"] == "ok"
    names = [check["name"] for check in answer.body["checks"]]
    assert names[:2] == ["kafka", "postgresql"]
    assert any(name.startswith("streams-") for name in names[2:])


async def test_a_hub_where_nothing_decides_is_not(idle_hub: Hub, database: str) -> None:
    store = Store(database)
    await store.open()
    try:
        alone = dataclasses.replace(idle_hub, store=store)
        async with alone.api() as served:
            client = Client(idle_hub.session, served.address)
            answer = await examined(client, {"streams"})
            assert answer.status == 503
            [check] = [check for check in answer.body["checks"] if not check["ok"]]
            assert "hub streams" in check["en"]
            assert "hub streams" in check["fa"]
            assert (await client.get("/health/live")).body == {"status": "ok"}
    finally:
        await store.close()


async def test_metrics_count_what_happened(hub: Hub, shop: Shop) -> None:
    await progress.report(hub.store, "files-1", "connectors", lag=3, counters={"rows": 12})
    async with hub.api() as served:
        client = shop.client.at(served.address)
        answer = await client.post("/v1/documents?wait=decision&timeout=30", [shop.order("A"), shop.order("B")])
        assert answer.status == 200
        await client.get("/v1/documents/nonsense")
        await client.get("/nowhere")
        text = (await client.get("/metrics")).data.decode()
    await progress.leave(hub.store, "files-1")
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["peyvand_http_requests_total", "/v1/documents", "200", "POST"] == 1
    assert found["peyvand_http_requests_total", "/v1/documents/{id}", "404", "GET"] == 1
    assert found["peyvand_http_requests_total", "404", "GET", "unmatched"] == 1
    assert found["peyvand_http_request_seconds_count", "/v1/documents"] == 1
    assert found["peyvand_intake_accepted_total",] == 2
    assert found["peyvand_store_up",] == 1
    assert found["peyvand_documents", "cleared"] >= 2
    assert found["peyvand_worker_lag", "connectors", "files-1"] == 3
    assert found["peyvand_worker_counter", "connectors", "files-1", "rows"] == 12
