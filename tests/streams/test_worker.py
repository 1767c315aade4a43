"""A worker at work on a real Kafka: order, progress, faults that pass, stopping, joining and leaving, crashing."""

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.producer import Outgoing, Producer
from hub.bus.rewinding import rewind
from hub.rules.settings import RuleSettings
from hub.store import deciding, progress
from hub.store.errors import Unavailable
from hub.store.pool import Store
from schemas import codec, topics
from schemas.commands import Amend, AnyCommand, Cancel
from schemas.events import COMMAND_REFUSED
from schemas.master import Warehouse
from streams.handlers import DecideCommands
from streams.worker import StreamsCrashed, run
from tests.conftest import execute
from tests.rules.world import line
from tests.store.company import amend, command, disagreements, dump, rows, submit, value
from tests.streams.hub import Hub, until


def lives(count: int) -> list[AnyCommand]:
    """So many documents, each submitted, amended three times and cancelled, all in step with each other."""
    names = [f"D{number}" for number in range(count)]
    made: list[AnyCommand] = [submit(name) for name in names]
    for revision in (2, 3, 4):
        made += [amend(name, revision, lines=(line("CPU", revision),)) for name in names]
    return made + [command(Cancel, name, revision=4) for name in names]


# --- order


async def test_each_documents_events_keep_their_order_and_its_partition(hub: Hub) -> None:
    sent = lives(30)
    await hub.send(*sent)
    async with hub.worker(batch_size=7):
        await hub.decided(sent)
    partitions = {record.key: record.partition for record in await hub.read(topics.COMMANDS)}
    for topic in (topics.EVENTS, topics.LATEST):
        records = await hub.read(topic)
        assert len(records) == len(sent)
        assert all(record.partition == partitions[record.key] for record in records)
    told = defaultdict(list)
    for event in await hub.events():
        told[event.document_id].append((event.step, event.command))
    assert all(
        steps == [(1, "submit"), (2, "amend"), (3, "amend"), (4, "amend"), (5, "cancel")] for steps in told.values()
    )
    assert len(told) == 30
    stored = await rows(hub.store, "select id, step, state from documents")
    assert {(each.id, each.step, each.state) for each in (await hub.latest()).values()} == set(stored)


async def test_a_refusal_is_told_and_leaves_the_latest_alone(hub: Hub) -> None:
    sent: list[AnyCommand] = [submit("A"), amend("A", 1, lines=(line("CPU"),)), command(Cancel, "NOBODY")]
    await hub.send(*sent)
    async with hub.worker():
        events = await hub.decided(sent)
    assert [event.type for event in events] == ["document.cleared", COMMAND_REFUSED, COMMAND_REFUSED]
    assert len(await hub.read(topics.LATEST)) == 1


async def test_what_was_sent_twice_is_decided_once_and_told_alike(hub: Hub) -> None:
    sent = [submit("A"), command(Cancel, "A")]
    await hub.send(*sent, *sent)
    async with hub.worker() as streams:
        assert await hub.handled(streams, at_least=4) == 4
    told = [(record.key, record.value) for record in await hub.read(topics.EVENTS)]
    assert told[:2] == told[2:]
    assert await value(hub.store, "select count(*) from decisions") == 2
    ((_, latest),) = (await hub.latest()).items()
    assert latest.state == "cancelled"


# --- progress


async def test_a_worker_reports_what_it_has_done_and_how_far_it_is_behind(hub: Hub) -> None:
    async def report() -> progress.Worker | None:
        found = await progress.workers(hub.store)
        return found[0] if found else None

    await hub.send(*(submit(f"D{number}") for number in range(60)))
    async with hub.store.connection() as connection, AsyncExitStack() as stack:
        async with connection.transaction():
            await connection.execute("lock table accounts in access exclusive mode")  # so that no batch gets through
            await stack.enter_async_context(hub.worker(batch_size=20))

            async def behind() -> bool:
                found = await report()
                return found is not None and found.lag == 60 and found.counters["decide_handled"] == 0

            await until(behind)
            ages = []
            for number in (1, 2):  # master data gets on all the while
                warehouse = Warehouse(f"W{number}", "انبار")
                await hub.producer.publish([Outgoing(topics.WAREHOUSES, b"W", codec.encode(warehouse))])

                async def master_got_on(number: int = number) -> progress.Worker | None:
                    found = await report()
                    return found if found is not None and found.counters["master_handled"] == number else None

                found = await until(master_got_on)
                ages.append(found.seen_at - found.progressed_at)
            assert timedelta() < ages[0] < ages[1], "it is stuck where documents are decided"

        async def done() -> bool:
            found = await report()
            return found is not None and found.lag == 0 and found.counters["decide_handled"] == 60

        await until(done)
        found = await report()
        assert found is not None
        assert found.role == "streams"
        assert found.counters["decide_batches"] >= 3
        assert found.counters["decide_dead"] == 0
        assert found.seen_at - found.progressed_at < ages[0]
    assert await report() is None, "who leaves in good order is forgotten"


# --- faults that pass


async def test_a_database_that_is_away_is_waited_for_and_nothing_overtakes(hub: Hub) -> None:
    sent = lives(20)
    name = await value(hub.store, "select current_database()")
    admin = hub.dsn.rsplit("/", 1)[0] + "/postgres"
    async with hub.worker(batch_size=10) as streams:
        await hub.send(sent[0])
        await hub.handled(streams, at_least=1)
        await execute(admin, f"alter database {name} allow_connections false")
        await execute(admin, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        await hub.send(*sent[1:])

        async def is_waiting() -> bool:
            return streams.counters()["decide_retries"] > 0

        await until(is_waiting)
        assert streams.counters()["decide_handled"] == 1
        await execute(admin, f"alter database {name} allow_connections true")
        await hub.decided(sent)
    events = [event for event in await hub.events() if event.type != COMMAND_REFUSED]
    assert len(events) == len(sent)
    assert await hub.letters() == []
    assert await disagreements(hub.store) == []


async def test_a_publication_that_fails_is_done_again_with_the_same_bytes(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka may have written it although it didn't say so."""
    publish = Producer.publish_batches
    failing = 3

    async def now_and_then(self: Producer, topic: topics.Topic, batches: Any) -> None:
        nonlocal failing
        await publish(self, topic, batches)
        if failing:
            failing -= 1
            raise BusUnavailable("no answer in time")

    monkeypatch.setattr(Producer, "publish_batches", now_and_then)
    sent = lives(5)
    await hub.send(*sent)
    async with hub.worker(batch_size=5) as streams:
        assert await hub.handled(streams, at_least=len(sent)) == len(sent)
        assert streams.counters()["decide_retries"] == 3
    told = defaultdict(set)
    records = await hub.read(topics.EVENTS)
    for record in records:
        told[codec.decode_event(record.value or b"").event_id].add(record.value)
    assert len(told) == len(sent)
    assert all(len(values) == 1 for values in told.values())
    assert len(records) > len(sent)


# --- stopping


async def test_a_worker_that_stops_has_committed_what_it_handled(hub: Hub) -> None:
    sent = lives(40)
    await hub.send(*sent)
    async with hub.worker(batch_size=10) as streams:
        await hub.handled(streams, at_least=30)
    ends, committed = await hub.ends(topics.COMMANDS), await hub.committed(topics.COMMANDS)
    decided = {event.command_id for event in await hub.events()}
    assert sum(committed.values()) == len(decided), "what was decided is committed, and nothing else"
    async with hub.worker() as streams:
        await hub.decided(sent)
        left = sum(ends.values()) - sum(committed.values())
        if left:
            assert await hub.handled(streams, at_least=left) == left
    assert await hub.committed(topics.COMMANDS) == ends
    assert len(await hub.events()) == len(sent), "nothing was told twice"


async def test_a_process_asked_to_stop_stops(hub: Hub) -> None:
    stop = asyncio.Event()
    sent = lives(10)
    store = Store(hub.dsn)
    await store.open()
    working = asyncio.create_task(run(hub.settings(), store, stop))
    await hub.send(*sent)
    await hub.decided(sent)
    stop.set()
    async with asyncio.timeout(60):
        await working
    await store.close()
    assert await hub.committed(topics.COMMANDS) == await hub.ends(topics.COMMANDS)


async def test_a_defect_ends_the_process_and_what_it_held_is_handled_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever escapes the loop mustn't be committed past (FAUST.md 1)."""
    handle = DecideCommands.handle

    async def broken(self: DecideCommands, batch: Any) -> Any:
        if any(command.source_id == "D7" for command in batch.records):
            raise RuntimeError("what nobody thought of")
        return await handle(self, batch)

    sent = [submit(f"D{number}") for number in range(20)]
    await hub.send(*sent)
    store = Store(hub.dsn)
    await store.open()
    with monkeypatch.context() as patch:
        patch.setattr(DecideCommands, "handle", broken)
        async with asyncio.timeout(60):
            with pytest.raises(StreamsCrashed):
                await run(hub.settings(batch_size=5), store, asyncio.Event())
    await store.close()
    ends, committed = await hub.ends(topics.COMMANDS), await hub.committed(topics.COMMANDS)
    place = next(
        (record.partition, record.offset)
        for record in await hub.read(topics.COMMANDS)
        if record.key == str(sent[7].document_id).encode()
    )
    assert committed[place[0]] <= place[1]
    async with hub.worker() as streams:
        await hub.decided(sent)
        await hub.handled(streams, at_least=sum(ends.values()) - sum(committed.values()))
    assert await hub.committed(topics.COMMANDS) == ends
    assert await value(hub.store, "select count(*) from decisions") == 20


# --- more than one


async def test_a_second_worker_joins_and_leaves_and_nothing_is_lost(hub: Hub) -> None:
    sent = lives(600)
    halves = len(sent) // 3
    async with hub.worker(batch_size=50, session_seconds=6.0) as first:
        await hub.send(*sent[:halves])
        await hub.handled(first, at_least=1)
        async with hub.worker(batch_size=50, session_seconds=6.0) as second:
            await hub.joined(second)
            await hub.send(*sent[halves : 2 * halves])
            await hub.handled(second, at_least=1)
            await hub.send(*sent[2 * halves :])

        async def all_handled() -> bool:  # far cheaper to ask than which events there are
            return sum(each.counters()["decide_handled"] for each in (first, second)) >= len(sent)

        await until(all_handled)
        await hub.decided(sent)
    decided = await rows(hub.store, "select command_id from decisions")
    assert sorted(row[0] for row in decided) == sorted(command.command_id for command in sent)
    assert await disagreements(hub.store) == []
    last: defaultdict[Any, int] = defaultdict(int)
    seen = set()
    for event in await hub.events():
        told_before = event.event_id in seen
        seen.add(event.event_id)
        if not told_before and event.type != COMMAND_REFUSED:
            assert event.step == last[event.document_id] + 1
            last[event.document_id] = event.step
    assert len(seen) == len(sent)
    stored = await rows(hub.store, "select id, step from documents")
    assert {(each.id, each.step) for each in (await hub.latest()).values()} == set(stored)


async def test_a_replay_from_the_first_record_changes_nothing(hub: Hub) -> None:
    sent = lives(50)
    await hub.send(*sent)
    async with hub.worker(batch_size=30) as streams:
        await hub.handled(streams, at_least=len(sent))
    before = await dump(hub.store)
    told = {(record.key, record.value) for record in await hub.read(topics.EVENTS)}
    await rewind(hub.kafka, hub.group, [topics.COMMANDS], None)
    async with hub.worker(batch_size=70) as streams:
        assert await hub.handled(streams, at_least=len(sent)) == len(sent)
    assert await dump(hub.store) == before
    assert {(record.key, record.value) for record in await hub.read(topics.EVENTS)} == told
    assert len(await hub.events()) == 2 * len(sent)


async def test_two_workers_that_both_hold_a_command_decide_it_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lost its partitions unaware may still be deciding what the other has begun."""
    read = deciding.read
    meeting = asyncio.Barrier(2)

    async def together(*given: Any, **options: Any) -> Any:
        monkeypatch.setattr(deciding, "read", read) if meeting.n_waiting else None
        await meeting.wait()
        return await read(*given, **options)

    monkeypatch.setattr(deciding, "read", together)
    handlers = []
    for _ in range(2):
        store = Store(hub.dsn)
        await store.open()
        handlers.append((store, DecideCommands(store, hub.producer, RuleSettings())))
    batch = handlers[0][1].decode(
        [
            _Message(each)
            for each in (submit("A"), amend("A", 2, lines=(line("CPU"),)), command(Cancel, "A", revision=2))
        ]
    )

    async def until_handled(handler: DecideCommands) -> Any:
        while True:
            try:
                return await handler.handle(batch)
            except Unavailable:
                continue

    async with asyncio.timeout(60):
        for handled in await asyncio.gather(*(until_handled(handler) for _, handler in handlers)):
            assert not handled.failures
            await handled.publish()
    for store, _ in handlers:
        await store.close()
    told = [record.value for record in await hub.read(topics.EVENTS)]
    assert len(told) == 6
    assert told[:3] == told[3:]
    assert await value(hub.store, "select count(*) from decisions") == 3
    assert await disagreements(hub.store) == []


class _Message:
    """A record as Faust hands it over."""

    def __init__(self, sent: AnyCommand) -> None:
        self.key = str(sent.document_id).encode()
        self.value = codec.encode(sent)
        self.partition = 0


def test_the_lives_above_are_of_several_commands() -> None:
    assert {type(each).__name__ for each in lives(1)} == {"Submit", "Amend", "Cancel"}
    assert all(isinstance(each, Amend) for each in lives(2)[2:8])
