"""Kafka or PostgreSQL away: an answer within bounds that says so, never a hang; and all is well when they are back."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import msgspec
import pytest

from hub.bus.producer import Producer
from hub.store.pool import Store
from tests.api.proxy import Wire, wire
from tests.api.world import Answer, Client, Hub, Shop, open_shop
from tests.conftest import KafkaServer, free_port

pytestmark = pytest.mark.usefixtures("hub")


async def eventually(client: Client, path: str, status: int) -> Answer:
    """The answer, once its status is this one."""
    async with asyncio.timeout(60):
        while (answer := await client.get(path)).status != status:
            await asyncio.sleep(0.05)
    return answer


def failing(answer: Answer) -> set[str]:
    """The names of the checks that fail."""
    return {check["name"] for check in answer.body["checks"] if not check["ok"]}


@pytest.mark.parametrize("silent", [False, True], ids=["refusing", "silent"])
async def test_without_kafka_nothing_is_accepted_and_everything_is_read(hub: Hub, shop: Shop, *, silent: bool) -> None:
    sent = await shop.send("before")
    async with wire("127.0.0.1", free_port()) as nothing:
        nothing.silent = silent
        if not silent:
            await nothing.cut()
        kafka = msgspec.structs.replace(hub.kafka, bootstrap=f"127.0.0.1:{nothing.port}")
        cut_off = dataclasses.replace(hub, kafka=kafka, producer=Producer(kafka))
        async with cut_off.api(publish_seconds=0.5, start_seconds=0.1) as served:
            client = shop.client.at(served.address)
            async with asyncio.timeout(60):
                answer = await client.post("/v1/documents", shop.order("during"))
            assert answer.status == 503
            assert answer.headers["Retry-After"]
            assert "Kafka" in answer.body["detail"]
            assert "Kafka" in answer.body["detail_fa"]
            assert (await client.get("/v1/live")).status == 503
            assert (await client.get(sent["location"])).status == 200
            health = await client.get("/health")
            assert health.status == 503
            assert failing(health) == {"kafka"}
    again = await shop.client.post("/v1/documents?wait=decision&timeout=30", shop.order("during"))
    assert again.status == 200


@pytest.fixture
async def behind_wire(hub: Hub) -> AsyncIterator[tuple[Hub, Wire]]:
    """The hub with PostgreSQL behind a wire."""
    dsn = urlsplit(hub.store._dsn)
    async with wire(dsn.hostname or "127.0.0.1", dsn.port or 5432) as cable:
        user = dsn.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{cable.port}" if user else f"127.0.0.1:{cable.port}"
        store = Store(urlunsplit(dsn._replace(netloc=netloc)), size=2)
        await store.open()
        yield dataclasses.replace(hub, store=store), cable
        await store.close()


@pytest.mark.parametrize("silent", [False, True], ids=["refusing", "silent"])
async def test_without_postgresql_everything_is_told_to_come_back(
    behind_wire: tuple[Hub, Wire], shop: Shop, *, silent: bool
) -> None:
    cut_off, cable = behind_wire
    async with cut_off.api(store_seconds=0.5, check_seconds=0.5) as served:
        client = shop.client.at(served.address)
        await eventually(client, "/v1/me", 200)
        cable.silent = silent
        await (cable.drop() if silent else cable.cut())
        async with asyncio.timeout(60):
            for answer in (
                await client.post("/v1/documents", shop.order("during")),
                await client.get("/v1/documents"),
            ):
                assert answer.status == 503
                assert answer.headers["Retry-After"]
                assert "PostgreSQL" in answer.body["detail"]
            health = await client.get("/health")
            assert (await client.get("/metrics")).data.count(b"peyvand_store_up 0.0") == 1
        assert health.status == 503
        assert failing(health) == {"postgresql"}
        cable.silent = False
        await (cable.drop() if silent else cable.open())
        await eventually(client, "/health", 200)
        async with asyncio.timeout(60):
            while (await client.post("/v1/documents?wait=decision&timeout=30", shop.order("during"))).status != 200:
                await asyncio.sleep(0.05)


async def test_kafka_back_again_is_used_again(hub: Hub, kafka: KafkaServer) -> None:
    """The server starts before Kafka can be reached."""
    port = free_port()
    settings = msgspec.structs.replace(hub.kafka, bootstrap=f"127.0.0.1:{port}")
    late = dataclasses.replace(hub, kafka=settings, producer=Producer(settings))
    host, _, real = kafka.bootstrap.partition(":")
    async with late.api(start_seconds=0.1) as served:
        shop = await open_shop(late, served.address)
        assert (await shop.client.get("/health")).status == 503
        cable = Wire(host, int(real))
        cable.port = port
        await cable.open()
        try:
            await eventually(shop.client, "/health", 200)
            assert (await shop.send("S"))["status"] == "cleared"
        finally:
            await late.producer.stop()
            await cable.cut()
