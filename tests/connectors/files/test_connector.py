"""The files connector's life, on the real Kafka and PostgreSQL."""

import asyncio
import csv
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.files import connector
from connectors.files.spec import Spec
from hub.bus.settings import Kafka
from hub.runtime.connect import StoreCursors
from schemas import ids
from schemas.commands import Submit
from schemas.master import Account, Product, Stock
from tests.api.proxy import wire
from tests.connectors.conftest import Running, Surroundings, distinct, instance, until
from tests.connectors.killing import run_until_killed

FIXTURES = Path(__file__).with_name("fixtures")
POLL = timedelta(milliseconds=20)
HEADING = "source_id,kind,date,account,product,quantity,unit_price\n"


class Folder:
    """The watched folder, as a customer sees it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "inbox").mkdir(parents=True)

    def put(self, name: str, content: str | bytes) -> None:
        """A whole file at once."""
        data = content.encode() if isinstance(content, str) else content
        unfinished = self.root / "inbox" / f"{name}.part"
        unfinished.write_bytes(data)
        unfinished.rename(self.root / "inbox" / name)

    def names(self, of: str) -> list[str]:
        folder = self.root / of
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def result(self, name: str) -> list[dict[str, str]]:
        text = (self.root / "results" / f"{name}.result.csv").read_text("utf-8-sig")
        return list(csv.DictReader(text.splitlines()))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "files")


def spec(folder: Folder, **changes: object) -> Spec:
    return Spec(folder=folder.root, poll=POLL, **changes)  # type: ignore[arg-type]


def orders(count: int) -> str:
    return HEADING + "".join(f"S-{number},sales_order,1403/01/01,212,P,1,1000\n" for number in range(count))


async def test_a_file_goes_in_and_its_commands_come_out(around: Surroundings, folder: Folder) -> None:
    (recorded,) = (path for path in (FIXTURES / "documents-windows-1256").iterdir() if path.suffix == ".csv")
    folder.put(recorded.name, recorded.read_bytes())
    async with Running(around.connectors(instance(spec(folder, source="karaj")))) as running:
        await until(lambda: folder.names("done") == [recorded.name])
        assert running.connectors.counters() == {
            "files.main_documents": 2,
            "files.main_master": 0,
            "files.main_dead_letters": 0,
        }
    commands = {command.source_id: command for command in await around.commands()}
    expected = json.loads((recorded.parent / "expected.json").read_text("utf-8"))["messages"]
    assert commands.keys() == {message["source_id"] for message in expected}
    first = commands["1001"]
    assert isinstance(first, Submit)
    assert (first.source, first.actor) == ("karaj", "files.main")
    assert first.document_id == ids.document_id("karaj", "1001")
    assert first.document.lines[0].product == "کالای 1"
    assert folder.names("inbox") == []
    assert [row["code"] for row in folder.result(recorded.name)] == ["summary"]
    assert await around.dead_letters() == []


async def test_bad_rows_are_told_by_row_and_column_and_kept_and_the_rest_goes_on(
    around: Surroundings, folder: Folder
) -> None:
    content = (FIXTURES / "accounts" / "accounts.csv").read_bytes()
    folder.put("accounts.csv", content)
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: folder.names("done") == ["accounts.csv"])
    assert {record.code for record in await around.master() if isinstance(record, Account)} == {
        "212010006",
        "212010007",
    }
    assert [(row["row"], row["column"], row["code"]) for row in folder.result("accounts.csv")] == [
        ("4", "معاف از مالیات", "not_flag"),
        ("5", "کد حساب", "required"),
        ("", "", "summary"),
    ]
    assert folder.result("accounts.csv")[-1]["en"] == "2 documents or records were taken, 2 were not"
    letters = sorted(await around.dead_letters(), key=lambda letter: letter.offset)
    lines = content.splitlines(keepends=True)
    assert [letter.value for letter in letters] == [lines[3], lines[4]]
    assert [letter.offset for letter in letters] == [4, 5]
    assert letters[0].topic == "connectors.files.main"
    assert letters[0].reason.startswith("row 4, معاف از مالیات: must be true or false")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("orders.csv", b"a,b\n", "file_unknown"),
        ("products.csv", b"", "file_empty"),
        ("visits.csv", b"source_id,account,began_at,outcome\n", "file_unknown"),
        ("products.csv", b"PK\x03\x04\x00\x00", "file_binary"),
        ("products.csv", b"code,name,colour\n1,x,red\n", "column_unknown"),
        ("products.csv", b"code,name\n1,\n", "required"),
    ],
)
async def test_a_file_of_which_nothing_can_be_taken_ends_in_failed(
    around: Surroundings, folder: Folder, name: str, content: bytes, code: str
) -> None:
    folder.put(name, content)
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: folder.names("failed") == [name])
    told = folder.result(name)
    assert [row["code"] for row in told] == [code, "summary"]
    assert all(row["fa"] and row["en"] for row in told)
    assert folder.names("inbox") == folder.names("done") == []


async def test_a_file_still_being_written_is_left_alone(
    around: Surroundings, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a row is written after each look but the last ones; another file isn't kept waiting by it."""
    growing = folder.root / "inbox" / "products.csv"
    growing.write_text("code,name\n")
    (folder.root / "inbox" / "accounts.csv.part").write_text("code,name\n1,نا")
    halves = [half for number in range(20) for half in (f"{number},", "x\n")]
    original = connector.Folder.look

    async def look(watched: connector.Folder) -> object:
        seen = await original(watched)
        if halves:
            with growing.open("a") as file:
                file.write(halves.pop(0))
        return seen

    monkeypatch.setattr(connector.Folder, "look", look)
    folder.put("warehouses.csv", "code,name\n1,x\n")
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: folder.names("done") == ["products.csv", "warehouses.csv"])
    assert halves == []
    assert folder.names("inbox") == ["accounts.csv.part"]
    records = await around.master()
    assert sorted(record.code for record in records if isinstance(record, Product)) == sorted(map(str, range(20)))
    assert folder.result("products.csv")[-1]["en"] == "20 documents or records were taken, 0 were not"


async def test_a_file_changed_while_it_is_read_is_read_again(
    around: Surroundings, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = connector.Mapper.finish
    appended = []

    def finish(*arguments: object) -> object:
        if not appended:
            appended.append(True)
            with (folder.root / "inbox" / "products.csv").open("a") as file:
                file.write("2,y\n")
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(connector.Mapper, "finish", finish)
    folder.put("products.csv", "code,name\n1,x\n")
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: folder.names("done") == ["products.csv"])
    assert {record.code for record in await around.master()} == {"1", "2"}  # type: ignore[union-attr]
    assert folder.result("products.csv")[-1]["en"] == "2 documents or records were taken, 0 were not"
    assert folder.names("results") == ["products.csv.result.csv"]


async def test_a_file_rewritten_in_place_while_it_is_read_has_no_half_document_taken(
    around: Surroundings, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer stops in the middle of a document just when its rows are read, and ends after that."""
    inbox, whole = folder.root / "inbox", orders(1) + orders(1).removeprefix(HEADING)
    form, discard, half = connector.Connector._form, connector.Result.discard, orders(1)

    async def _form(*arguments: object) -> object:
        found = await form(*arguments)  # type: ignore[arg-type]
        if (inbox / "documents.csv").read_text() == whole + "\n":
            (inbox / "documents.csv").write_text(half)
        return found

    async def _discard(result: connector.Result) -> None:
        await discard(result)
        (inbox / "documents.csv").write_text(whole)

    monkeypatch.setattr(connector.Connector, "_form", _form)
    monkeypatch.setattr(connector.Result, "discard", _discard)
    folder.put("documents.csv", whole + "\n")
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: folder.names("done") == ["documents.csv"])
    [command] = await around.commands()
    assert isinstance(command, Submit)
    assert len(command.document.lines) == 2


async def test_the_same_content_delivered_again_is_taken_again(around: Surroundings, folder: Folder) -> None:
    stock = "product,warehouse,on_hand\nP,W,1\n"
    async with Running(around.connectors(instance(spec(folder)))):
        folder.put("stock.csv", stock)
        await until(lambda: folder.names("done") == ["stock.csv"])
        folder.put("stock.csv", stock)
        await until(lambda: len(folder.names("done")) == 2)
    moments = [record.as_of for record in await around.master() if isinstance(record, Stock)]
    assert len(moments) == 2


async def run_until(point: str, around: Surroundings, folder: Folder, *, spared: int) -> None:
    await run_until_killed(
        "tests.connectors.files.killed",
        *(around.kafka.bootstrap, around.kafka.prefix, around.dsn, folder.root, around.data, point, spared),
    )


@pytest.mark.parametrize("point", ["before results", "between results and move"])
async def test_killed_between_publish_and_move_nothing_is_lost_and_ids_are_the_same(
    around: Surroundings, folder: Folder, point: str
) -> None:
    folder.put("documents.csv", orders(20) + "S-bad,gift,1403/01/01,212,P,1,1000\n")
    await run_until(point, around, folder, spared=0 if point == "before results" else 1)
    assert folder.names("inbox") == ["documents.csv"]
    before = await around.commands()
    assert len(before) == 20
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: folder.names("done") == ["documents.csv"])
    commands = await around.commands()
    assert {command.command_id for command in commands} == {command.command_id for command in before}
    assert distinct(commands, lambda command: command.document_id) == 20
    assert distinct(await around.dead_letters(), lambda letter: letter.id) == 1
    assert [row["code"] for row in folder.result("documents.csv")] == ["not_choice", "summary"]
    assert folder.result("documents.csv")[-1]["en"] == "20 documents or records were taken, 1 were not"


async def test_a_big_file_goes_on_where_its_cursor_stands(around: Surroundings, folder: Folder) -> None:
    count = 3 * connector.BATCH_ROWS
    folder.put("documents.csv", orders(count))
    await run_until("after publish", around, folder, spared=2)
    published = len(await around.commands())
    assert published > 2 * connector.BATCH_ROWS
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: folder.names("done") == ["documents.csv"])
    commands = await around.commands()
    assert distinct(commands, lambda command: command.command_id) == count
    assert len(commands) <= count + connector.BATCH_ROWS
    assert folder.result("documents.csv")[-1]["en"] == f"{count:,} documents or records were taken, 0 were not"


async def test_a_half_taken_file_delivered_anew_is_taken_from_its_beginning(
    around: Surroundings, folder: Folder
) -> None:
    count = connector.BATCH_ROWS + 100
    folder.put("stock.csv", "product,warehouse,on_hand\n" + "".join(f"P{n},W,1\n" for n in range(count)))
    await run_until("after publish", around, folder, spared=1)
    anew = datetime(2024, 3, 20, tzinfo=UTC)
    os.utime(folder.root / "inbox" / "stock.csv", (anew.timestamp(), anew.timestamp()))
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: folder.names("done") == ["stock.csv"])
    stock = [record for record in await around.master() if isinstance(record, Stock)]
    assert len({record.product for record in stock if record.as_of == anew}) == count


async def test_while_kafka_is_away_work_waits_and_the_log_says_so_once(
    around: Surroundings, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.put("products.csv", "code,name\n1,x\n")
    with caplog.at_level(logging.INFO, "connectors"):
        host, _, port = around.kafka.bootstrap.rpartition(":")
        async with wire(host, int(port)) as gate:
            gate.shut = True
            behind = Kafka(f"127.0.0.1:{gate.port}", prefix=around.kafka.prefix)
            async with Running(around.connectors(instance(spec(folder)), kafka=behind)):
                await until(lambda: gate.turned_away >= 3)
                assert folder.names("inbox") == ["products.csv"]
                gate.shut = False
                await until(lambda: folder.names("done") == ["products.csv"])
    assert len(await around.master()) == 1
    told = [record.getMessage() for record in caplog.records if record.name == "connectors.files.main"]
    assert sum(message.startswith("Kafka is away") for message in told) == 1
    assert told.count("Kafka is back") == 1


async def test_while_the_folder_is_away_work_waits_and_the_log_says_so_once(
    around: Surroundings, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    away = folder.root.with_name("unmounted")

    def messages() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "connectors.files.main"]

    with caplog.at_level(logging.INFO, "connectors"):
        async with Running(around.connectors(instance(spec(folder)))):
            folder.put("warehouses.csv", "code,name\n1,x\n")
            await until(lambda: folder.names("done") == ["warehouses.csv"])
            folder.root.rename(away)
            await until(lambda: any("is away" in message for message in messages()))
            away.rename(folder.root)
            folder.put("products.csv", "code,name\n1,x\n")
            await until(lambda: "products.csv" in folder.names("done"))
    assert [message for message in messages() if "is away" in message or "is back" in message] == [
        f"the folder {folder.root} is away: {folder.root}: No such file or directory",
        f"the folder {folder.root} is back",
    ]


async def test_a_large_file_is_taken_with_a_warning(
    around: Surroundings, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.put("products.csv", "code,name\n1,x\n")
    async with Running(around.connectors(instance(spec(folder, warn_bytes=5)))):
        await until(lambda: folder.names("done") == ["products.csv"])
    assert caplog.messages.count("products.csv: it is large (14 bytes); it is taken all the same") == 1


async def test_a_cursor_that_is_no_place_of_ours_is_begun_anew(around: Surroundings, folder: Folder) -> None:
    await StoreCursors(around.store, "files.main").set("file", "{}")
    folder.put("products.csv", "code,name\n1,x\n")
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: folder.names("done") == ["products.csv"])


async def test_files_are_taken_oldest_first(around: Surroundings, folder: Folder) -> None:
    for age, name in enumerate(["a", "b", "c"]):
        folder.put(f"products-{name}.csv", f"code,name\n1,{name}\n")
        os.utime(folder.root / "inbox" / f"products-{name}.csv", (1_000 - age, 1_000 - age))
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: len(folder.names("done")) == 3)
    assert [record.name for record in await around.master()] == ["c", "b", "a"]  # type: ignore[union-attr]


async def test_no_task_is_left_when_it_ends(around: Surroundings, folder: Folder) -> None:
    before = asyncio.all_tasks()
    folder.put("documents.csv", orders(2_000))
    async with Running(around.connectors(instance(spec(folder)))):
        await until(lambda: folder.names("results") != [])
    await until(lambda: asyncio.all_tasks() <= before)
