"""The declared topics are made once, and whatever is not as declared is told with its remedy."""

import asyncio
import contextlib

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from hub.bus.admin import wait_until_ready
from hub.bus.errors import Unavailable
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from hub.bus.topics import admin, check_topics, create_topics
from schemas import topics
from tests.conftest import free_port

NAMES = [topic.name for topic in topics.all_topics()]


async def test_what_is_missing_is_made_once(bare: Kafka) -> None:
    missing = await check_topics(bare)
    assert len(missing) == len(NAMES)
    assert all("is missing; `hub topics create` makes it" in problem for problem in missing)
    assert await create_topics(bare) == [bare.prefix + name for name in NAMES]
    assert await create_topics(bare) == []
    assert await check_topics(bare) == []


async def test_many_at_once_make_them_once(bare: Kafka) -> None:
    made = await asyncio.gather(*(create_topics(bare) for _ in range(4)))
    assert {name for names in made for name in names} == {bare.prefix + name for name in NAMES}
    assert await check_topics(bare) == []


async def test_a_new_topic_takes_records_at_once(bus: Kafka) -> None:
    producer = Producer(bus)
    try:
        await producer.publish([Outgoing(topic, b"k", b"v") for topic in topics.all_topics()])
    finally:
        await producer.stop()


async def test_what_is_not_as_declared_is_told(bus: Kafka) -> None:
    name, wrong = bus.topic(topics.COMMANDS), bus.topic(topics.EVENTS)
    async with admin(bus) as client:
        await client.delete_topics([name])
    async with asyncio.timeout(60):
        while name in await names(bus):
            await asyncio.sleep(0.02)
    client = AIOKafkaAdminClient(bootstrap_servers=bus.bootstrap)
    await client.start()
    try:
        await client.create_topics([NewTopic(name, 3, 1, topic_configs=topics.COMMANDS.config())])
        changed = {**topics.EVENTS.config(), "retention.ms": "1000"}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, wrong, changed)])
    finally:
        await client.close()
    async with asyncio.timeout(60):  # Kafka answers before it has told its own brokers
        while len(problems := await check_topics(bus)) != 2 or "is missing" in problems[0]:
            await asyncio.sleep(0.02)
    assert f"topic {name} has 3 partitions, declared are 4" in problems[0]
    assert f"topic {wrong}: retention.ms is 1000, declared is 2592000000" in problems[1]


async def names(bus: Kafka) -> set[str]:
    async with admin(bus) as client:
        return set(await client.list_topics())


async def test_copies_that_no_broker_can_keep_are_refused(bare: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.bus.topics._BROKERS_SECONDS", 0.2)
    three = Kafka(bare.bootstrap, prefix=bare.prefix, replication=3, min_isr=2)
    with pytest.raises(Unavailable, match="InvalidReplicationFactor"):
        await create_topics(three)


async def test_a_broker_that_was_held_up_is_waited_for(bare: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held up for two seconds it is fenced, and Kafka answers as it does when more copies are asked for than brokers
    there are: by such a request the refusal is had here, once."""
    create, asked = AIOKafkaAdminClient.create_topics, 0

    async def refused_once(client: AIOKafkaAdminClient, wanted: list[NewTopic]) -> object:
        nonlocal asked
        asked += 1
        too_many = [NewTopic(each.name, each.num_partitions, 3) for each in wanted]
        return await create(client, too_many if asked == 1 else wanted)

    monkeypatch.setattr(AIOKafkaAdminClient, "create_topics", refused_once)
    assert await create_topics(bare) == [bare.prefix + name for name in NAMES]
    assert asked == 2
    assert await check_topics(bare) == []


async def test_a_cluster_that_is_away_is_told(bare: Kafka) -> None:
    away = Kafka(f"127.0.0.1:{free_port()}", prefix=bare.prefix)
    for work in (create_topics, check_topics):
        with pytest.raises(Unavailable):
            await work(away)
    with pytest.raises(TimeoutError):
        await wait_until_ready(away, 0.3)
    await wait_until_ready(bare, 30)


async def test_a_cancellation_an_attempt_swallowed_ends_the_wait_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C was lost so, and the command went on waiting."""
    attempts = 0
    begun = asyncio.Event()

    async def swallowing(_: object) -> bool:
        nonlocal attempts
        attempts += 1
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return False

    monkeypatch.setattr("hub.bus.admin._lists_a_broker", swallowing)
    waiting = asyncio.create_task(wait_until_ready("127.0.0.1:1", 3_600))
    await begun.wait()
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=30)
    assert waiting.cancelled()
    assert attempts == 1
