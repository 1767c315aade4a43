"""Connectors composed: which run, what happens when one fails, and that each runs in one process at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors import base
from connectors.base import ConnectorKind, ConnectorSpec, Reader, Rejected
from connectors.files.spec import Spec
from hub.bus.producer import Outgoing, Producer
from hub.runtime import connect
from hub.runtime.config import load
from hub.runtime.connect import Connectors, Instance, KafkaEvents, KafkaPublisher, StoreCursors, configured
from hub.runtime.failures import Failure
from hub.runtime.problems import ConfigError
from hub.runtime.redaction import remember
from hub.store.pool import Store
from schemas import codec, ids, topics
from schemas.documents import Document, Kind, State
from schemas.events import DocumentEvent
from schemas.master import Account, Warehouse
from schemas.secret import Secret
from tests.conftest import PostgresServer, execute
from tests.connectors.conftest import PATIENCE, Running, Surroundings, instance, until


class NoSpec(ConnectorSpec, frozen=True, kw_only=True):
    """A made-up system."""


def made_up(work: Callable[[], Awaitable[None]], name: str = "main") -> Instance:
    """An instance whose work is this."""

    class MadeUp(base.Connector[NoSpec]):
        async def check(self) -> None:
            await work()

        async def run(self) -> None:
            await work()

    return Instance(ConnectorKind("made-up", NoSpec, MadeUp, Path("README.md")), name, NoSpec())


class Works:
    """Work that counts how often it was begun and lasts until cancelled."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0

    async def __call__(self) -> None:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(connect, "LEASE_SECONDS", 0.05)


@pytest.fixture
async def second_store(around: Surroundings) -> AsyncIterator[Store]:
    """Another process's connections."""
    store = Store(around.dsn)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def config_of(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "hub.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, {})


TWO = '[connectors.files.main]\nfolder = "a"\n[connectors.files.branch]\nfolder = "b"\npoll = "5s"\n'


def test_the_configured_instances_are_read_by_their_spec(tmp_path: Path) -> None:
    found = {each.full_name: each.spec for each in configured(config_of(tmp_path, TWO))}
    assert found.keys() == {"files.main", "files.branch"}
    main = found["files.main"]
    assert isinstance(main, Spec)
    assert main.folder == tmp_path / "a"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["files.branch"], {"files.branch"}),
        (["files"], {"files.main", "files.branch"}),
        ([], {"files.main", "files.branch"}),
    ],
)
def test_some_can_be_chosen_by_name_or_kind(tmp_path: Path, names: list[str], found: set[str]) -> None:
    assert {each.full_name for each in configured(config_of(tmp_path, TWO), names)} == found


def test_a_name_that_is_not_configured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"no connector files\.shop") as failed:
        configured(config_of(tmp_path, TWO), ["files.main", "files.shop"])
    assert failed.value.remedy == "Configured are: files.main, files.branch."


def test_two_that_would_post_the_same_documents_are_refused(tmp_path: Path) -> None:
    table = 'server = "s"\ncompany = "c"\nlogin = "l"\npassword = "a password"\n'
    both = f"[connectors.hesabgar.main]\n{table}[connectors.hesabgar.karaj]\n{table}"
    with pytest.raises(Failure, match=r"hesabgar\.main and hesabgar\.karaj both post every quote"):
        configured(config_of(tmp_path, both))
    assert len(configured(config_of(tmp_path, f'{both}role = "branch"\n'))) == 2


@pytest.mark.parametrize("text", ["[connectors.files.main]\n", "[connectors.fax.main]\n"])
def test_a_wrong_table_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        configured(config_of(tmp_path, text))


async def test_one_that_fails_is_started_again_and_the_others_work_on(
    around: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    steady, failures = Works(), [Rejected("no such shop"), KeyError("bug"), None]
    again = Works()

    async def fails() -> None:
        if failures and (failure := failures.pop(0)) is not None:
            raise failure
        if failures:
            return
        await again()

    failures.append(Rejected("in the end"))
    with caplog.at_level(logging.INFO, "hub.runtime.connect"):
        async with Running(around.connectors(made_up(steady), made_up(fails, "shop"))):
            await until(lambda: again.begun == 1 and steady.begun == 1)
    assert (steady.ended, again.ended) == (1, 1)
    ours = [record for record in caplog.records if record.name == "hub.runtime.connect"]
    errors = [record for record in ours if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in errors] == [
        "made-up.shop failed and is started again in 0.01 s: no such shop",
        "made-up.shop failed and is started again in 0.02 s: 'bug'",
        "made-up.shop failed and is started again in 0.04 s: it ended by itself",
        "made-up.shop failed and is started again in 0.08 s: in the end",
    ]
    assert [record.exc_info is not None for record in errors] == [False, True, False, False]


async def test_one_that_does_not_end_is_left_behind(
    around: Surroundings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "STOP_SECONDS", 0.05)
    begun, release = asyncio.Event(), asyncio.Event()
    stubborn: list[asyncio.Task[Any] | None] = []

    async def work() -> None:
        stubborn.append(asyncio.current_task())
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with Running(around.connectors(made_up(work))):
        await asyncio.wait_for(begun.wait(), PATIENCE)
    assert "made-up.main did not end within 0.05 s and is left behind" in caplog.messages
    release.set()
    (task,) = stubborn
    assert task is not None
    await task


async def test_an_instance_works_in_one_process_and_another_takes_over(
    around: Surroundings, second_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Works(), Works()
    one = around.connectors(made_up(first))
    other = Connectors([made_up(second)], around.kafka, second_store, around.data)
    with caplog.at_level(logging.INFO, "hub.runtime.connect"):
        running = Running(one)
        async with running:
            await until(lambda: first.begun == 1)
            waiting = Running(other)
            await waiting.__aenter__()
            await until(lambda: any("run by another process" in message for message in caplog.messages))
            assert second.begun == 0
        await until(lambda: second.begun == 1)
        await waiting.__aexit__()
    assert (first.begun, first.ended, second.ended) == (1, 1, 1)


async def test_a_lost_database_session_stops_nobody_who_can_take_the_lease_again(
    around: Surroundings, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    works = Works()
    with caplog.at_level(logging.INFO, "hub.runtime.connect"):
        async with Running(around.connectors(made_up(works))):
            await until(lambda: works.begun == 1)
            await cut_off(postgres, around.dsn)
            await until(lambda: "the database of leases is back" in caplog.messages)
    assert (works.begun, works.ended) == (1, 1)


async def cut_off(server: PostgresServer, dsn: str) -> None:
    """End every session of a database. None begins before all have ended: a session that is dying still holds its
    leases."""
    name = dsn.rpartition("/")[2]
    await execute(server.dsn, f"alter database {name} allow_connections false")
    try:
        ended = f"select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname = '{name}'"
        await execute(server.dsn, ended)
    finally:
        await execute(server.dsn, f"alter database {name} allow_connections true")


async def test_who_lost_the_lease_stops_until_it_has_it_again(around: Surroundings) -> None:
    works = Works()
    async with Running(around.connectors(made_up(works))) as running:
        await until(lambda: works.begun == 1)
        running.connectors._seats[0].allow(False)
        await until(lambda: works.ended == 1 and works.begun == 2)
    assert works.ended == 2


async def test_cursors_are_each_instances_own(around: Surroundings) -> None:
    main, branch = StoreCursors(around.store, "files.main"), StoreCursors(around.store, "files.branch")
    assert await main.get("file") is None
    await main.set("file", "1")
    await main.set("file", "2")
    await branch.set("file", "3")
    assert [await main.get("file"), await branch.get("file"), await main.get("other")] == ["2", "3", None]


def event(source_id: str, state: State, source: str = "shop") -> DocumentEvent:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    identity = ids.document_id(source, source_id)
    document = Document(identity, source, source_id, Kind.SALES_INVOICE, state, 1, 1, now.date(), now, now)
    return DocumentEvent(
        event_id=identity,
        type=f"document.{state}",
        source=source,
        source_id=source_id,
        document_id=identity,
        revision=1,
        step=1,
        occurred_at=now,
        recorded_at=now,
        command_id=identity,
        command="submit",
        actor="test",
        document=document,
    )


async def read_all(reader: Reader[Any], count: int) -> list[Any]:
    found: list[Any] = []

    async def enough() -> bool:
        found.extend(await reader.read(0.1))
        return len(found) >= count

    await until(enough)
    return found


async def test_a_connector_reads_the_events_it_wants_from_where_each_purpose_stands(around: Surroundings) -> None:
    producer = Producer(around.kafka)
    events = [event("A", State.CLEARED), event("B", State.HELD), event("C", State.CLEARED, "other")]
    values = [codec.encode(each) for each in events]
    records = [Outgoing(topics.EVENTS, b"k", value, partition=0) for value in (*values, b"not ours")]
    await producer.publish(records)
    await producer.stop()
    own = KafkaEvents(around.kafka, "made-up.main")

    def wanted(kind: str, source: str, what: str) -> bool:
        return (kind, source, what) == ("document.cleared", "shop", "sales_invoice")

    for _ in range(2):  # what isn't acknowledged comes again, whoever reads
        async with own.documents("post", wanted) as reader:
            [found] = await read_all(reader, 1)
            assert found == events[0]
    async with own.documents("post", wanted) as reader:
        [found] = await read_all(reader, 1)
        await reader.ack([found])
    async with own.documents("post", lambda *_: True) as reader:
        assert await reader.read(0.5) == []
        assert reader.lag() == 0
    async with own.documents("other purpose", lambda *_: True) as reader:
        assert await read_all(reader, 3) == events


async def test_a_connector_reads_master_data_of_the_kinds_it_wants(around: Surroundings) -> None:
    producer = Producer(around.kafka)
    await KafkaPublisher(producer).master([Account("1", "یک"), Warehouse("01", "انبار"), Account("1", "دو")])
    await producer.stop()
    async with KafkaEvents(around.kafka, "made-up.main").master("out", [Account]) as reader:
        assert await read_all(reader, 2) == [Account("1", "یک"), Account("1", "دو")]


async def test_how_an_instance_gets_on_is_counted_while_it_is_at_work(around: Surroundings) -> None:
    works = Works()
    seat = made_up(works)
    seat.kind.connector.vitals = lambda self: {"waiting": 7}  # type: ignore[method-assign]
    connectors = around.connectors(seat)
    assert "made-up.main_waiting" not in connectors.counters()
    async with Running(connectors):
        await until(lambda: works.begun == 1)
        assert connectors.counters()["made-up.main_waiting"] == 7


async def test_a_check_tells_what_is_wrong_and_starts_nothing(around: Surroundings, tmp_path: Path) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    good, bad = instance(Spec(folder=tmp_path), "good"), instance(Spec(folder=tmp_path / "gone"), "bad")
    assert await around.connectors(good, bad).check(PATIENCE) == {
        "files.good": None,
        "files.bad": f"the folder {tmp_path / 'gone'} isn't there; make it, or mend `folder` in the configuration",
    }
    silent = await around.connectors(made_up(never)).check(0.05)
    assert silent == {"made-up.main": "no answer within 0.05 seconds"}


async def test_a_failure_is_logged_without_secrets(around: Surroundings, caplog: pytest.LogCaptureFixture) -> None:
    remember(Secret("correct-horse"))
    again = Works()
    failures = [Rejected("login with correct-horse failed")]

    async def fails() -> None:
        if failures:
            raise failures.pop()
        await again()

    async with Running(around.connectors(made_up(fails))):
        await until(lambda: again.begun == 1)
    assert "correct-horse" not in caplog.text
    assert "login with *** failed" in caplog.text
