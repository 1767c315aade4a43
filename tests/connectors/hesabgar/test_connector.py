"""What every connector must do, done by this one (STYLE.md "Conformance")."""

import ast
import asyncio
import datetime as dt
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from connectors import base
from connectors.base import ConnectorError
from connectors.hesabgar import posting
from connectors.hesabgar.connector import Connector
from connectors.hesabgar.spec import Role, Spec
from hub.runtime import connect
from hub.runtime.connect import StoreCursors
from schemas.commands import Amend
from schemas.dates import utc_now
from schemas.master import Stock
from schemas.secret import Secret
from tests.connectors.conftest import until
from tests.connectors.hesabgar.test_client import stuck
from tests.connectors.hesabgar.world import World

FOLDER = Path(base.__file__).parent / "hesabgar"


async def test_a_check_says_well_only_with_the_right_login_and_writes_nothing(world: World) -> None:
    await world.by_hand().check()
    with pytest.raises(ConnectorError, match="18456"):
        await world.by_hand(password=Secret("wrong")).check()
    with pytest.raises(ConnectorError, match="999999"):
        await world.by_hand(vat_account="999999").check()
    world.sim.away()
    with pytest.raises(ConnectorError, match="can't be reached"):
        await world.by_hand().check()
    assert await world.around.master() == []
    assert await world.context().cursors.get("build") is None
    assert world.outcomes() == []


@pytest.mark.parametrize("role", list(Role))
async def test_it_starts_and_stops_also_while_the_server_is_silent(
    world: World, role: Role, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connect, "STOP_SECONDS", 40.0)
    before = asyncio.all_tasks()
    async with stuck() as (port, reached):
        async with (
            world.connector(port=port, role=role, login_timeout=dt.timedelta(minutes=10)),
            asyncio.timeout(60),
        ):
            await reached.wait()
        assert "left behind" not in caplog.text
    await until(lambda: not {task for task in asyncio.all_tasks() - before if "connectors/hesabgar/" in repr(task)})


async def test_stopped_between_publishing_and_the_cursor_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = StoreCursors.set
    ended: list[str] = []

    async def ends_here(self: StoreCursors, name: str, value: str) -> None:
        if name == "view.stock" and not ended:
            ended.append(name)
            raise RuntimeError("ended here")
        await original(self, name, value)

    monkeypatch.setattr(StoreCursors, "set", ends_here)
    first = world.by_hand()
    with pytest.raises(RuntimeError):
        await first.reading.look()
    first.client.close()
    second = world.by_hand()
    await second.reading.look()
    second.client.close()
    told = Counter(
        (record.product, record.warehouse, record.attribute)
        for record in await world.around.master()
        if isinstance(record, Stock)
    )
    assert len(told) == world.sim.query("SELECT COUNT(*) FROM hub.stock")[0][0]


def test_it_emits_what_it_declares_and_imports_what_it_declares() -> None:
    assert {*Spec.emits} >= {Stock, Amend}
    for path in FOLDER.glob("*.py"):
        for name in imported(path):
            top = name.partition(".")[0]
            known = top in sys.stdlib_module_names or top in ("connectors", "schemas", "msgspec")
            assert known or top in Spec.libraries, (path.name, name)


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_only_the_client_and_the_memory_do_io() -> None:
    doers = {
        path.name for path in FOLDER.glob("*.py") if imported(path) & {"pymssql", "sqlite3", "socket", "subprocess"}
    }
    assert doers == {"client.py", "memory.py"}
    assert {"asyncio", "logging"}.isdisjoint(imported(FOLDER / "mapper.py"))
    assert issubclass(Connector, base.Connector)


async def test_its_vitals_tell_since_when_it_knows_everything_and_whether_it_is_away(world: World) -> None:
    now = [utc_now()]
    books = world.by_hand(clock=lambda: now[0])
    branch = world.by_hand("karaj", clock=lambda: now[0], role=Role.BRANCH, source="karaj")
    for connector, work in ((books, books.reading.run), (branch, branch.incoming.run)):

        def told(lag: int, away: int) -> bool:
            vitals = connector.vitals()  # noqa: B023
            return (vitals["lag_seconds"], vitals["away"]) == (lag, away)

        assert told(-1, 0)
        working = asyncio.create_task(work())
        await until(lambda: told(0, 0))
        world.sim.away()
        await until(lambda: told(0, 1))
        now[0] += dt.timedelta(seconds=70)
        assert told(70, 1)
        world.sim.back()
        await until(lambda: told(0, 0))
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        connector.client.close()


async def test_documents_that_waited_are_posted_evenly_and_not_all_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, pauses = [100.0], []

    async def sleep(seconds: float) -> None:
        pauses.append(round(seconds, 6))
        now[0] += seconds

    connector = world.by_hand(most_per_second=10)
    monkeypatch.setattr(posting, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(posting, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for _ in range(3):
        await connector.poster._paced()
    connector.client.close()
    assert pauses == [0.1, 0.1]
