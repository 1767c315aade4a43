"""The live feed: what happens is told at once, and a client that comes back misses nothing and gets nothing twice."""

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from hub.bus.feed import Feed
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.runtime.embedded.kafka import EmbeddedKafka
from hub.store import keys
from schemas import topics
from schemas.documents import Kind, State
from tests.api.events import Stream, event, following, publish
from tests.api.world import Client, Hub, Shop, open_shop
from tests.conftest import JARS


@pytest.fixture
async def quiet(idle_hub: Hub, topic_prefix: str) -> AsyncIterator[Hub]:
    """A hub whose events are only those a test publishes."""
    kafka = msgspec.structs.replace(idle_hub.kafka, prefix=topic_prefix)
    await create_topics(kafka)
    producer = Producer(kafka)
    yield dataclasses.replace(idle_hub, kafka=kafka, producer=producer)
    await producer.stop()


async def reader_of(hub: Hub, address: str, source: str = "shop") -> Client:
    return await hub.key(address, "live:read", source=source)


async def metric(client: Client, name: str) -> float:
    lines = (await client.get("/metrics")).data.decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


async def until(client: Client, name: str, value: float) -> None:
    """Wait until a figure has a value."""
    async with asyncio.timeout(60):
        while await metric(client, name) != value:
            await asyncio.sleep(0.02)


async def test_a_decision_is_told_at_once(shop: Shop) -> None:
    async with following(shop.client) as stream:
        sent = await shop.send("S", line={"quantity": 950})
        [told] = await stream.events(1)
    history = (await shop.client.get(f"{sent['location']}/history")).body["items"]
    assert told == history[0]
    assert told["type"] == "document.held"


async def test_a_refused_command_is_told_too(shop: Shop) -> None:
    await shop.send("S", revision=2)
    async with following(shop.client) as stream:
        await shop.client.post("/v1/documents", shop.order("S", line={"quantity": 2}, revision=1))
        # PostgreSQL may have told of the first decision while its event was still on the way to the feed.
        while (told := (await stream.events(1))[0])["type"] != "document.command_refused":
            pass
    assert [why["code"] for why in told["reasons"]] == ["stale_revision"]


async def test_a_key_sees_its_own_source_and_admin_all(quiet: Hub) -> None:
    async with quiet.api() as served:
        mine, admin = await reader_of(quiet, served.address), await quiet.key(served.address, "admin")
        async with following(mine) as own, following(admin) as everything:
            await publish(quiet, [event(1, source="other"), event(2), event(3, source="other"), event(4)])
            assert {told["source_id"] for told in await own.events(2)} == {"N-2", "N-4"}
            assert len(await everything.events(4)) == 4


async def test_asking_for_another_source_shows_nothing_of_it(quiet: Hub) -> None:
    async with quiet.api(heartbeat_seconds=0.1) as served:
        client = await reader_of(quiet, served.address)
        async with following(client, "?source=other") as stream:
            await publish(quiet, [event(1, source="other")])
            await only_the_id_moves(stream)


async def only_the_id_moves(stream: Stream) -> None:
    """The stream goes past what happened and tells nothing of it."""
    before = stream.last_id
    async with asyncio.timeout(60):
        while stream.last_id == before:
            beat = await stream.message()
            assert beat is not None
            assert beat.data is None


async def test_filters_choose_by_kind_and_state(quiet: Hub) -> None:
    async with quiet.api() as served:
        client = await reader_of(quiet, served.address)
        async with following(client, "?kind=sales_return&state=held") as stream:
            await publish(
                quiet,
                [
                    event(1, kind=Kind.SALES_RETURN),
                    event(2, state=State.HELD),
                    event(3, kind=Kind.SALES_RETURN, state=State.HELD),
                ],
            )
            assert [told["source_id"] for told in await stream.events(1)] == ["N-3"]


@pytest.mark.parametrize("remember", [2_000, 12], ids=["from memory", "from Kafka"])
@pytest.mark.parametrize("seed", range(3))
async def test_a_client_that_comes_back_misses_nothing_and_gets_nothing_twice(
    quiet: Hub, remember: int, seed: int
) -> None:
    """It breaks off anywhere, comes back to one server or the other, while events go on and on."""
    draw = random.Random(seed)
    total = 400
    async with quiet.api(remember_events=remember) as one, quiet.api(remember_events=remember) as other:
        client = await reader_of(quiet, one.address)
        servers = [client, client.at(other.address)]
        async with following(client) as stream:
            last_id = stream.last_id

        async def busy() -> None:
            for start in range(0, total, 10):
                await publish(quiet, [event(number) for number in range(start, start + 10)])

        publishing = asyncio.create_task(busy())
        seen: list[str] = []
        while len(seen) < total:
            async with following(draw.choice(servers), last_id=last_id) as stream:
                wanted = min(draw.randint(1, 60), total - len(seen))
                seen += [told["source_id"] for told in await stream.events(wanted)]
                last_id = stream.last_id
        await publishing
        assert len(seen) == len(set(seen)) == total
        async with following(client, last_id=last_id) as stream:
            await publish(quiet, [event(total)])
            assert [told["source_id"] for told in await stream.events(1)] == [f"N-{total}"]


async def test_the_parameter_resumes_where_the_header_cannot(quiet: Hub) -> None:
    async with quiet.api() as served:
        client = await reader_of(quiet, served.address)
        async with following(client) as stream:
            last_id = stream.last_id
        await publish(quiet, [event(1)])
        async with following(client, f"?last_event_id={last_id}") as stream:
            assert [told["source_id"] for told in await stream.events(1)] == ["N-1"]


async def test_a_server_started_anew_serves_those_who_come_back(quiet: Hub) -> None:
    async with quiet.api() as served:
        client = await reader_of(quiet, served.address)
        async with following(client) as stream:
            last_id = stream.last_id
    await publish(quiet, [event(number) for number in range(20)])
    async with quiet.api() as served, following(client.at(served.address), last_id=last_id) as stream:
        assert {told["source_id"] for told in await stream.events(20)} == {f"N-{number}" for number in range(20)}


async def test_a_heartbeat_moves_the_id_of_one_whose_filter_lets_nothing_through(quiet: Hub) -> None:
    async with quiet.api(heartbeat_seconds=0.1) as served:
        client = await reader_of(quiet, served.address)
        async with following(client, "?state=expired") as stream:
            await publish(quiet, [event(1)])
            await only_the_id_moves(stream)


@pytest.mark.parametrize(
    "last_id",
    ["rubbish", "1.2.3", "1.2.3.4.5", "-1.0.0.0", "1.2.3.x", "99999999999999999999.0.0.0", "7777.0.0.0", "۱.۲.۳.۴"],
)
async def test_an_id_that_is_none_of_ours_is_a_bad_request(quiet: Hub, last_id: str) -> None:
    async with quiet.api() as served:
        client = await reader_of(quiet, served.address)
        answer = await client.get("/v1/live", params={"last_event_id": last_id})
        assert answer.status == 400
        assert answer.body["type"] == "urn:peyvand:problem:bad-request"
        assert "Last-Event-ID" in answer.body["detail"]


async def test_events_kafka_no_longer_has_are_told_as_lost(quiet: Hub) -> None:
    await publish(quiet, [event(number) for number in range(40)])
    topic = quiet.kafka.topic(topics.EVENTS)
    admin = AIOKafkaAdminClient(bootstrap_servers=quiet.kafka.bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=3)})
    await admin.close()
    async with quiet.api(remember_events=4) as served:
        client = await reader_of(quiet, served.address)
        async with following(client, last_id="0.0.0.0") as stream:
            first = await stream.message()
            assert first is not None
            assert (first.name, first.data) == ("lost", {"events": 3})
            assert len(await stream.events(37)) == 37


async def test_a_record_that_is_no_event_is_passed_over(quiet: Hub) -> None:
    poison = Outgoing(topics.EVENTS, None, b"\xff not an event", partition=0)
    async with quiet.api(remember_events=4) as served:
        client = await reader_of(quiet, served.address)
        async with following(client) as stream:
            start = stream.last_id
            await quiet.producer.publish([poison])
            await publish(quiet, [event(number) for number in range(20)])
            assert len(await stream.events(20)) == 20
        async with following(client, last_id=start) as stream:
            assert len(await stream.events(20)) == 20


async def test_a_client_that_does_not_read_is_dropped_and_others_are_not(quiet: Hub) -> None:
    """The others' events are small: writing them never waits, however long the loop they share with us pauses."""
    async with quiet.api(live_queue=50, live_write_seconds=0.3) as served:
        client, deaf = await reader_of(quiet, served.address), await reader_of(quiet, served.address, "loud")
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1_024)
        writer.write(f"GET /v1/live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {deaf.token}\r\n\r\n".encode())
        await reader.readuntil(b"id: ")
        async with following(client) as stream:
            for number in range(300):
                await publish(quiet, [event(number, source="loud", note="x" * 100_000), event(number)])
                await stream.events(1)
            await until(client, "peyvand_live_dropped_total", 1)
            await until(client, "peyvand_live_clients", 1)
        writer.close()
        await until(client, "peyvand_live_clients", 0)


async def test_so_many_clients_and_no_more(quiet: Hub) -> None:
    async with quiet.api(live_clients=1) as served:
        client = await reader_of(quiet, served.address)
        async with following(client):
            answer = await client.get("/v1/live")
            assert answer.status == 503
            assert answer.headers["Retry-After"]
        await until(client, "peyvand_live_clients", 0)
        async with following(client):
            pass


async def test_a_revoked_keys_stream_ends(quiet: Hub) -> None:
    async with quiet.api(heartbeat_seconds=0.1, key_seconds=0.0) as served:
        client = await quiet.key(served.address, "live:read", source="leaving")
        async with following(client) as stream:
            [key] = [key for key in await keys.every(quiet.store) if key.source == "leaving"]
            await keys.revoke(quiet.store, key.name)
            assert await stream.ended()


async def test_stopping_lets_streams_go_at_once(quiet: Hub) -> None:
    async with quiet.api(stop_seconds=120.0) as served:
        client = await reader_of(quiet, served.address)
        async with following(client) as stream:
            async with asyncio.timeout(60):
                await served.stop()
            assert await stream.ended()


async def test_a_public_status_needs_no_key_and_shows_all_sources(quiet: Hub) -> None:
    async with quiet.api(public_status=True) as served:
        anyone = Client(quiet.session, served.address)
        async with following(anyone) as stream:
            await publish(quiet, [event(1), event(2, source="other")])
            assert len(await stream.events(2)) == 2
        assert (await anyone.get("/v1/documents")).status == 200
        assert (await anyone.get("/v1/documents/counts")).status == 200
        for path in ("/v1/stock", "/v1/accounts/1", "/v1/me"):
            assert (await anyone.get(path)).status == 401
        assert (await anyone.post("/v1/documents", {})).status == 401
        wrong = Client(quiet.session, served.address, "pvd_wrong")
        assert (await wrong.get("/v1/documents")).status == 401


async def test_a_stream_goes_on_after_kafka_was_away(idle_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A Kafka of the test's own is stopped and started again under the same address."""
    broker = EmbeddedKafka(tmp_path_factory.mktemp("broker") / "kafka", jars=JARS, report=lambda _line: None)
    kafka = Kafka(await broker.start())
    try:
        await create_topics(kafka)
        hub = dataclasses.replace(idle_hub, kafka=kafka, producer=Producer(kafka))
        async with hub.api(publish_seconds=2.0) as served:
            shop = await open_shop(hub, served.address)
            async with following(shop.client) as stream:
                await publish(hub, [event(1, source=shop.source)])
                await stream.events(1)
                await broker.stop()
                down = await shop.client.post("/v1/documents", shop.order())
                assert down.status == 503
                await broker.start()
                async with asyncio.timeout(60):
                    while (await shop.client.post("/v1/documents", shop.order())).status != 202:
                        await asyncio.sleep(0.1)
                await publish(hub, [event(2, source=shop.source)])
                assert [told["source_id"] for told in await stream.events(1)] == ["N-2"]
                async with asyncio.timeout(60):
                    while "kafka" in await failing(shop.client):
                        await asyncio.sleep(0.1)
        await hub.producer.stop()
    finally:
        await broker.stop()


async def failing(client: Client) -> set[str]:
    body = (await client.get("/health")).body
    return {check["name"] for check in body["checks"] if not check["ok"]}


async def test_one_who_was_ahead_of_this_server_gets_nothing_twice(quiet: Hub) -> None:
    """The server's own reading is held up: the client had more from another server already."""
    feed = Feed(quiet.kafka)
    await feed.start()
    try:
        await feed.ready(30)
        partitions = [TopicPartition(quiet.kafka.topic(topics.EVENTS), number) for number in range(feed.partitions)]
        feed._consumer.pause(*partitions)
        await publish(quiet, [event(number) for number in range(20)])
        ends = await feed._consumer.end_offsets(partitions)
        position = tuple(ends[partition] for partition in partitions)
        async with feed.reader(position, lambda _: True) as reader:
            await reader.read(0)
            feed._consumer.resume(*partitions)
            await publish(quiet, [event(20)])
            async with asyncio.timeout(60):
                while not (told := await reader.read(1)):
                    pass
            assert [delivery.event.glance.source for delivery in told if delivery.event.glance] == ["shop"]
            assert b'"N-20"' in told[0].event.value
    finally:
        await feed.stop()
