"""From Kafka to the receiver: an event's place moves on once it is queued, so no kill loses one."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hub.bus.consumer import Consumer
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.runtime.config import WebhooksSettings, load
from hub.store import webhooks
from hub.store.pool import Store
from hub.webhooks import taking
from hub.webhooks.settings import WebhookSettings
from hub.webhooks.taking import GROUP
from hub.webhooks.worker import Worker
from schemas import codec, topics
from schemas.events import DocumentEvent
from tests.conftest import KafkaServer
from tests.webhooks.world import (
    SECONDS,
    SECRET,
    Got,
    Receiver,
    all_done,
    decided,
    event_of,
    happened,
    settings,
    subscribed,
    until,
)


@asynccontextmanager
async def process(
    cluster: Kafka, database: str, log: Path, *, answer_within: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``hub deliver``, killed on leaving; its lease follows from its timeout."""
    servers = {
        "PEYVAND_KAFKA_BOOTSTRAP": cluster.bootstrap,
        "PEYVAND_KAFKA_REPLICATION": "1",
        "PEYVAND_KAFKA_MIN_ISR": "1",
        "PEYVAND_COMPANY_PREFIX": cluster.prefix,
        "PEYVAND_POSTGRES_DSN": database,
        "PEYVAND_WEBHOOKS_TRUSTED_HOSTS": "127.0.0.1",
        "PEYVAND_WEBHOOKS_TIMEOUT": answer_within,
    }
    with log.open("ab") as errors:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "hub.runtime", "deliver"),
            cwd=log.parent,
            env={**os.environ, **servers},
            stderr=errors,
        )
    try:
        yield program
    finally:
        if program.returncode is None:
            program.kill()
        await program.wait()


@pytest.fixture
async def cluster(kafka: KafkaServer, topic_prefix: str) -> Kafka:
    cluster = Kafka(kafka.bootstrap, prefix=topic_prefix)
    await create_topics(cluster)
    return cluster


async def published(cluster: Kafka, store: Store, events: Sequence[DocumentEvent]) -> None:
    """As a streams worker does: the decisions are stored, then told."""
    await decided(store, events)
    producer = Producer(cluster)
    await producer.start()
    await producer.publish(
        [Outgoing(topics.EVENTS, str(event.document_id).encode(), codec.encode(event)) for event in events]
    )
    await producer.stop()


@asynccontextmanager
async def delivering(cluster: Kafka, store: Store, **fields: Any) -> AsyncIterator[Worker]:
    worker = Worker(cluster, store, settings(**fields))
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    try:
        yield worker
    finally:
        stop.set()
        await task


async def test_events_of_kafka_reach_the_receiver(cluster: Kafka, store: Store, receiver: Receiver) -> None:
    await subscribed(store, receiver.url)
    events = [event_of("shop", f"{name}", step) for step in (1, 2, 3) for name in range(20)]
    other = event_of("other", "A", 1)
    async with delivering(cluster, store) as worker:
        await published(cluster, store, [*events, other])
        await until(lambda: worker.counters()["events"] >= 61)
        await until(lambda: all_done(store))
    assert sorted(got.body for got in receiver.got) == sorted(map(codec.encode, events))
    for name in range(20):
        assert [got.event["step"] for got in receiver.got if got.event["source_id"] == f"{name}"] == [1, 2, 3]
    assert worker.counters()["delivered"] == 60


async def test_what_is_no_event_holds_nothing_up(cluster: Kafka, store: Store, receiver: Receiver) -> None:
    await subscribed(store, receiver.url)
    event = event_of("shop", "A", 1)
    producer = Producer(cluster)
    await producer.start()
    key = str(event.document_id).encode()
    await producer.publish([Outgoing(topics.EVENTS, key, value) for value in (b"{", b'{"event_id": 7}', b"\xff")])
    await producer.stop()
    await published(cluster, store, [event])
    async with delivering(cluster, store):
        await until(lambda: receiver.got)


async def test_killed_between_store_and_acknowledgement_nothing_is_lost_or_queued_twice(
    cluster: Kafka, store: Store, receiver: Receiver
) -> None:
    webhook = await subscribed(store, receiver.url)
    events = [event_of("shop", f"{number}", 1) for number in range(10)]
    await published(cluster, store, events)
    killed = Consumer(cluster, GROUP, [topics.EVENTS], window=100)
    read: list[Any] = []
    while len(read) < 10:
        read += await killed.read(0.2)
    taken = [event for record in read[:6] if (event := taking._event(record))]
    assert await webhooks.queue(store, taken) == 6
    await killed.close()  # it acknowledged nothing
    async with delivering(cluster, store):
        await until(lambda: len(receiver.got) >= 10)
        await until(lambda: all_done(store))
    assert len(await webhooks.deliveries(store, webhook.id, limit=50)) == 10
    assert len({got.headers["webhook-id"] for got in receiver.got}) == len(receiver.got) == 10


async def test_a_process_killed_at_work_loses_nothing_and_keeps_the_order(
    cluster: Kafka, store: Store, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    await subscribed(store, receiver.url)
    events = [event_of("shop", f"{name}", step) for step in (1, 2, 3) for name in range(60)]
    enough, killed = asyncio.Event(), asyncio.Event()

    async def answer(_: Got) -> web.Response:
        if len(receiver.got) > 40:
            enough.set()
            await killed.wait()  # those that come now are under way when it is killed
        return web.Response()

    receiver.answer = answer
    log = tmp_path / "deliver.log"
    async with process(cluster, database, log, answer_within="1s"):
        await published(cluster, store, events)
        await asyncio.wait_for(enough.wait(), SECONDS)
    killed.set()
    assert not await all_done(store)
    async with process(cluster, database, log, answer_within="60s"):
        await until(lambda: len({got.headers["webhook-id"] for got in receiver.got}) == len(events))
        await until(lambda: all_done(store))
    for name in range(60):
        steps = [got.event["step"] for got in receiver.got if got.event["source_id"] == f"{name}"]
        assert steps == sorted(steps), "what comes again is what was under way, and nothing behind it overtook it"
    assert b"Traceback" not in log.read_bytes()


async def test_two_processes_share_it(cluster: Kafka, store: Store, receiver: Receiver) -> None:
    await subscribed(store, receiver.url)
    events = [event_of("shop", f"{name}", step) for step in (1, 2) for name in range(50)]
    async with delivering(cluster, store) as one, delivering(cluster, store) as other:
        await published(cluster, store, events)
        await until(lambda: len(receiver.got) >= 100)
        await until(lambda: all_done(store))
    assert len({got.headers["webhook-id"] for got in receiver.got}) == len(receiver.got) == 100
    assert one.counters()["delivered"] + other.counters()["delivered"] == 100


async def test_a_database_that_goes_away_is_waited_for(
    cluster: Kafka, database: str, store: Store, receiver: Receiver
) -> None:
    """Connections are cut under it; what was read is queued once there are others."""
    await subscribed(store, receiver.url)
    its_own = Store(database, application="cut")
    await its_own.open()
    async with delivering(cluster, its_own, lease=timedelta(milliseconds=500)):
        for number in range(5):
            await published(cluster, store, [event_of("shop", f"{number}", 1)])
            async with store.connection() as connection:
                await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and application_name = 'cut'"
                )
        await until(lambda: len({got.headers["webhook-id"] for got in receiver.got}) == 5)
        await until(lambda: all_done(store))
    await its_own.close()


def test_as_shipped_a_delivery_is_tried_for_about_two_days() -> None:
    assert timedelta(days=1) < sum(WebhookSettings().retries, timedelta()) < timedelta(days=2)


def test_the_configuration_is_read(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text('[webhooks]\nretries = ["1s", "1h"]\ntimeout = "3s"\ntrusted_hosts = ["erp.internal", "::1"]\n')
    read = load(file, {}).webhooks
    assert read.retries == (timedelta(seconds=1), timedelta(hours=1))
    assert (read.timeout, read.trusted_hosts) == (timedelta(seconds=3), ("erp.internal", "::1"))
    assert load(None, {"PEYVAND_WEBHOOKS_TRUSTED_HOSTS": "a,b"}).webhooks.trusted_hosts == ("a", "b")


def test_what_is_shipped_is_the_same_in_both_places() -> None:
    shipped, configured = WebhookSettings(), WebhooksSettings()
    for name in ("trusted_hosts", "retries", "timeout", "keep"):
        assert getattr(shipped, name) == getattr(configured, name)


async def test_the_command_lists_them_without_their_secrets(database: str, store: Store) -> None:
    webhook = await subscribed(store, "https://shop.example.com/")
    await happened(store, event_of("shop", "A", 1))
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "hub.runtime", "webhooks", "list"),
        env={**os.environ, "PEYVAND_POSTGRES_DSN": database, "COLUMNS": "300"},
        stdout=asyncio.subprocess.PIPE,
    )
    told = (await program.communicate())[0].decode()
    assert program.returncode == 0
    assert str(webhook.id) in told
    assert "https://shop.example.com/" in told
    assert SECRET.reveal() not in told
