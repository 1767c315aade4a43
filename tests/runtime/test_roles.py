"""`hub streams`, `hub api`, `hub connectors` and `hub run` as processes, against a real Kafka and PostgreSQL."""

import asyncio
import json
import signal
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.store import keys, master, progress
from hub.store.pool import Store
from schemas.master import Account, Product, Stock, Warehouse
from tests.conftest import KafkaServer, PostgresServer, dsn_of, execute, free_port
from tests.runtime.dev_helpers import HUB, environment, fetch, run_hub
from tests.runtime.embedded_helpers import eventually, has_gone, listener

ORDER = {
    "source_id": "O-1",
    "kind": "sales_order",
    "date": "1405/09/03",
    "account": "A",
    "payment": "cash",
    "lines": [{"product": "P", "warehouse": "W", "quantity": "2", "unit_price": 1_000}],
}


class Process:
    """A command of the hub that runs until it is told to stop."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def output(self) -> str:
        """What it has logged so far."""
        return self._output.read_text(encoding="utf-8")

    async def says(self, words: str) -> None:
        """Wait until it has."""

        async def said() -> bool:
            assert self.process.poll() is None or words in self.output, self.output
            return words in self.output

        await eventually(said, 120)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 120)


Starter = Callable[..., Process]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Starter]:
    """Starts commands of the hub; what still runs at the end of the test is killed."""
    started: list[Process] = []

    def starter(*words: str, **variables: str) -> Process:
        output = tmp_path / f"{len(started)}.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [*HUB, *words],
                cwd=tmp_path,
                env=environment(PEYVAND_DATA=str(tmp_path / "var"), **variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        started.append(Process(process, output))
        return started[-1]

    yield starter
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


@pytest.fixture
async def servers(kafka: KafkaServer, database: str, topic_prefix: str) -> dict[str, str]:
    """The environment that names this test's servers."""
    await create_topics(Kafka(kafka.bootstrap, prefix=topic_prefix))
    return {
        "PEYVAND_COMPANY_PREFIX": topic_prefix,
        "PEYVAND_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "PEYVAND_KAFKA_REPLICATION": "1",
        "PEYVAND_KAFKA_MIN_ISR": "1",
        "PEYVAND_POSTGRES_DSN": database,
        "PEYVAND_API_PORT": str(free_port()),
    }


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    opened = Store(database)
    await opened.open()
    yield opened
    await opened.close()


async def key_and_goods(store: Store) -> str:
    """What :data:`ORDER` needs; the token of a key that may send it."""
    await master.apply(
        store,
        [
            Account("A", "حساب"),
            Product("P", "کالا"),
            Warehouse("W", "انبار"),
            Stock("P", "W", Decimal(10), datetime(2026, 11, 24, tzinfo=UTC)),
        ],
    )
    _, token = await keys.create(store, name="shop", source="shop", scopes=["documents:write"], per_minute=1_000)
    return token


def send(servers: dict[str, str], token: str) -> tuple[int, dict[str, object]]:
    """Send :data:`ORDER` and wait for the decision."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{servers['PEYVAND_API_PORT']}/v1/documents?wait=decision&timeout=30",
        data=json.dumps(ORDER).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    status, body = fetch(request)
    return status, json.loads(body)


async def roles_at_work(store: Store) -> set[str]:
    return {worker.role for worker in await progress.workers(store)}


async def test_each_role_works_in_a_process_of_its_own_and_leaves_in_good_order(
    start: Starter, servers: dict[str, str], store: Store, tmp_path: Path
) -> None:
    token = await key_and_goods(store)
    roles = [start(role, **servers) for role in ("streams", "api", "connectors", "deliver")]

    async def all_report() -> bool:
        return await roles_at_work(store) == {"streams", "api", "connectors", "deliver"}

    await eventually(all_report, 120)
    status, answer = await asyncio.to_thread(send, servers, token)
    assert (status, answer["status"]) == (200, "cleared")

    assert run_hub("health", "--here", **servers).returncode == 0
    assert [await role.stop() for role in roles] == [0, 0, 0, 0]
    assert all("has stopped in good order" in role.output for role in roles)
    assert await roles_at_work(store) == set()
    assert run_hub("health", "--here", **servers).returncode == 1
    assert left_behind(tmp_path) == set()


def left_behind(directory: Path) -> set[str]:
    """What is in the working directory beside our own notes of what the processes said."""
    return {path.name for path in directory.iterdir() if path.suffix != ".log"}


async def test_hub_run_makes_an_empty_database_ready_and_runs_all_roles(
    start: Starter, servers: dict[str, str], postgres: PostgresServer
) -> None:
    name = f"empty_{servers['PEYVAND_COMPANY_PREFIX'].strip('.')}"
    await execute(postgres.dsn, f"CREATE DATABASE {name}")
    servers["PEYVAND_POSTGRES_DSN"] = dsn_of(postgres.dsn, name)
    try:
        hub = start("run", PEYVAND_STREAMS_WORKERS="2", **servers)
        await hub.says("all roles are started")
        store = Store(servers["PEYVAND_POSTGRES_DSN"])
        await store.open()
        try:
            token = await key_and_goods(store)

            async def all_report() -> bool:
                return sorted(worker.role for worker in await progress.workers(store)) == [
                    "api",
                    "connectors",
                    "deliver",
                    "streams",
                    "streams",
                ]

            await eventually(all_report, 120)
            status, answer = await asyncio.to_thread(send, servers, token)
            assert (status, answer["status"]) == (200, "cleared")
        finally:
            await store.close()
        children = psutil.Process(hub.process.pid).children()
        assert len(children) == 5
        assert await hub.stop() == 0
        assert all([await has_gone(child) for child in children])
        assert hub.output.count("has stopped in good order") == 5
    finally:
        await execute(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("role", ["streams", "api", "connectors", "deliver"])
async def test_a_role_waits_for_kafka_says_so_and_can_be_stopped_meanwhile(
    start: Starter, servers: dict[str, str], role: str
) -> None:
    servers["PEYVAND_KAFKA_BOOTSTRAP"] = f"127.0.0.1:{free_port()}"
    waiting = start(role, **servers)
    await waiting.says(f"Waiting for Kafka at {servers['PEYVAND_KAFKA_BOOTSTRAP']}")
    assert await waiting.stop(signal.SIGINT) == 0


async def test_a_role_waits_for_postgres_and_says_so_without_the_password(
    start: Starter, servers: dict[str, str]
) -> None:
    servers["PEYVAND_POSTGRES_DSN"] = f"postgresql://peyvand:very-secret@127.0.0.1:{free_port()}/peyvand"
    waiting = start("streams", **servers)
    await waiting.says("Waiting for PostgreSQL")
    assert await waiting.stop() == 0
    assert "very-secret" not in waiting.output


def said_in_one_sentence(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    return done.stderr


async def test_a_database_of_an_older_version_is_refused_with_the_remedy(
    servers: dict[str, str], postgres: PostgresServer
) -> None:
    name = f"old_{servers['PEYVAND_COMPANY_PREFIX'].strip('.')}"
    await execute(postgres.dsn, f"CREATE DATABASE {name}")
    servers["PEYVAND_POSTGRES_DSN"] = dsn_of(postgres.dsn, name)
    try:
        said = said_in_one_sentence(await asyncio.to_thread(lambda: run_hub("streams", **servers)))
    finally:
        await execute(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)")
    assert "hub migrate" in said


async def test_a_login_that_is_refused_is_told_at_once(servers: dict[str, str]) -> None:
    user, _, rest = servers["PEYVAND_POSTGRES_DSN"].removeprefix("postgresql://").partition("@")
    name, _, _ = user.partition(":")
    servers["PEYVAND_POSTGRES_DSN"] = f"postgresql://{name}:not-the-password@{rest}"
    said = said_in_one_sentence(await asyncio.to_thread(lambda: run_hub("streams", **servers)))
    assert "PostgreSQL refused the login" in said
    assert "not-the-password" not in said


async def test_a_port_in_use_is_told_by_the_api_role(servers: dict[str, str]) -> None:
    with listener() as port:
        servers["PEYVAND_API_PORT"] = str(port)
        said = said_in_one_sentence(await asyncio.to_thread(lambda: run_hub("api", **servers)))
    assert f"port {port}" in said
    assert "PEYVAND_API_PORT" in said


@pytest.mark.parametrize("command", ["streams", "api", "connectors", "deliver", "run"])
def test_without_servers_it_says_which_are_to_be_named(command: str, tmp_path: Path) -> None:
    said = said_in_one_sentence(run_hub(command, PEYVAND_DATA=str(tmp_path)))
    assert "bootstrap is configured" in said
