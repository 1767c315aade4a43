"""Workbooks by API and by folder, decided by the hub, and what comes back; on the real Kafka and PostgreSQL."""

import asyncio
import contextlib
import io
import re
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import discover
from connectors.excel import importing, results, templates
from connectors.excel.keeping import Import
from connectors.excel.spec import MAX_BYTES, Spec
from connectors.excel.workbook import opened
from hub.api.app import Served
from hub.runtime.connect import Connectors, Instance
from hub.runtime.receiving import receivers
from schemas import topics
from schemas.codec import decode_command
from tests.api.world import Client, Hub, Shop, open_shop
from tests.conftest import PostgresServer, dsn_of
from tests.connectors.conftest import Running, until, values
from tests.connectors.excel import books
from tests.connectors.killing import run_until_killed

AT = "/connectors/excel/main"
SCOPES = ("documents:write", "documents:read")
RED, AMBER = "FFC7CE", "FFEB9C"


class Desk:
    """One instance, its API server, its folder, and a shop's key."""

    def __init__(self, shop: Shop, folder: Path, data: Path, name: str) -> None:
        self.shop = shop
        self.folder = folder
        (folder / "inbox").mkdir(parents=True)
        spec = Spec(
            folder=folder,
            source=shop.source,
            warehouses=("11",),
            poll=timedelta(milliseconds=20),
            patience=timedelta(seconds=60),
        )
        self.instance = Instance(discover()["excel"], name, spec)
        self.data = data
        self.client: Client = shop.client

    def running(self) -> Running:
        return Running(Connectors([self.instance], self.shop.hub.kafka, self.shop.hub.store, self.data))

    def row(self, source_id: str, **changes: Any) -> list[Any]:
        known = {"account": self.shop.account, "warehouse": self.shop.warehouse, "product": self.shop.product}
        return books.row(source_id, **{**known, "date": "1403/02/12", **changes})

    async def send(self, body: bytes) -> dict[str, Any]:
        answer = await self.client.post(f"/connectors/excel/{self.instance.name}/workbooks", body)
        assert answer.status == 202, answer.data
        told: dict[str, Any] = answer.body
        return told

    async def done(self, state: dict[str, Any]) -> dict[str, Any]:
        async def is_over() -> bool:
            state.update((await self.client.get(state["state_url"])).body)
            return state["phase"] in ("done", "failed")

        await until(is_over)
        return state

    async def imported(self, body: bytes) -> tuple[dict[str, Any], bytes]:
        """A workbook's last state, and its result."""
        state = await self.done(await self.send(body))
        answer = await self.client.get(state["result_url"])
        assert answer.status == 200
        return state, answer.data

    def drop(self, name: str, body: bytes) -> None:
        (self.folder / "inbox" / f"{name}.part").write_bytes(body)
        (self.folder / "inbox" / f"{name}.part").rename(self.folder / "inbox" / name)

    def names(self, of: str) -> list[str]:
        return sorted(path.name for path in (self.folder / of).iterdir()) if (self.folder / of).exists() else []


@asynccontextmanager
async def open_desk(hub: Hub, shop: Shop, tmp_path: Path, name: str = "main") -> AsyncIterator[Desk]:
    made = Desk(shop, tmp_path / "excel", tmp_path / "data", name)
    served = receivers([made.instance], hub.producer, hub.kafka, hub.store, tmp_path)
    async with hub.api(served) as api:
        made.client = shop.client.at(api.address)
        yield made


@pytest.fixture
async def desk(hub: Hub, shop: Shop, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(hub, shop, tmp_path) as made:
        yield made


def table(result: bytes) -> list[dict[int, str]]:
    """The first sheet's rows, each its texts by column."""
    with contextlib.closing(opened(io.BytesIO(result), MAX_BYTES)) as workbook:
        return [{cell.column: cell.text for cell in row.cells} for row in workbook.rows(workbook.sheets[0])]


def part(result: bytes, name: str) -> str:
    with zipfile.ZipFile(io.BytesIO(result)) as archive:
        return "".join(archive.read(each).decode() for each in archive.namelist() if name in each)


async def test_what_became_of_each_row_stands_beside_it_and_at_its_cell(desk: Desk) -> None:
    product = desk.shop.product
    body = books.invoices(
        desk.row("1"),
        desk.row("2", quantity=100_000),
        desk.row("3", product="none-such"),
        desk.row("4", quantity="=2"),
        desk.row("5"),
        desk.row("5", account=None, warehouse=None, quantity="۱٫۵", unit_price="۲٬۰۰۰"),
        desk.row("=cmd|'/c calc'!A0"),
        strings_to_formulas=False,
    )
    body = _with_formula(body)
    async with desk.running():
        state, result = await desk.imported(body)
    assert (state["phase"], state["rows"], state["documents"], state["refused"]) == ("done", 7, 5, 1)
    assert state["decided"] == 5
    heading, first, short, unknown, formula, *both, dde = table(result)
    assert [heading[8], heading[9], heading[10]] == ["نتیجه", "شماره ثبت", "دلیل"]
    assert "تأییدشده" in first[8]
    assert short[10].startswith("F3: ")
    assert product in short[10]
    assert "none-such" in unknown[10]
    assert unknown[10].startswith("E4: ")
    assert ("not taken" in formula[8], formula[10][:4]) == (True, "F5: ")
    assert all("تأییدشده" in row[8] for row in both)
    assert dde[1] == "=cmd|'/c calc'!A0"
    assert "<f>" not in part(result, "worksheets/sheet")
    comments = part(result, "comments")
    assert all(f'ref="{cell}"' in comments for cell in ("F3", "E4", "F5"))
    document = (await desk.client.get("/v1/documents?source_id=5")).body["items"][0]
    assert [line["quantity"] for line in document["lines"]] == ["2", "1.5"]


def _with_formula(body: bytes) -> bytes:
    """The text "=2" made a formula, as a person types it; the attack stays the text it is."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        found = {name: archive.read(name).decode() for name in archive.namelist()}
    sheet = found["xl/worksheets/sheet1.xml"]
    at = sheet.index('<c r="F5"')
    end = sheet.index("</c>", at) + 4
    found["xl/worksheets/sheet1.xml"] = f'{sheet[:at]}<c r="F5"><f>2</f><v>2</v></c>{sheet[end:]}'
    return books.packed(found)


async def test_nothing_is_imported_twice(desk: Desk) -> None:
    body = books.invoices(desk.row("1"))
    async with desk.running():
        first, _ = await desk.imported(body)
        again = await desk.send(body)
        assert (again["known"], again["id"], again["phase"]) == (True, first["id"], "done")
        other, result = await desk.imported(books.invoices(desk.row("1"), desk.row("2")))
        assert (other["documents"], other["repeated"]) == (2, 1)
        assert "came before with the same content" in table(result)[1][11]
        changed, result = await desk.imported(books.invoices(desk.row("1", quantity=9)))
    assert changed["states"] == {"refused": 1}
    assert changed["problems"][0]["code"] == "content_conflict"
    assert changed["problems"][0]["cell"] == "A2"
    assert table(result)[1][10].startswith("A2: ")
    counts = await _commands(desk)
    assert [counts.count(each) for each in sorted(set(counts))] == [2, 1]


async def _commands(desk: Desk) -> list[str]:
    """The numbers of the documents this desk asked for, in all commands there are."""
    found = [decode_command(value) for value in await values(desk.shop.hub.kafka, topics.COMMANDS)]
    return [command.source_id for command in found if command.source == desk.shop.source]


async def test_how_far_a_workbook_is_can_be_asked_meanwhile(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    published, go_on = importing.Importer._published, asyncio.Event()

    async def held(self: importing.Importer, fresh: Sequence[Any], entry: Import, name: str) -> Import:
        if entry.documents == 4:
            await go_on.wait()
        return await published(self, fresh, entry, name)

    monkeypatch.setattr(importing, "BATCH", 2)
    monkeypatch.setattr(importing.Importer, "_published", held)
    body = books.invoices(*[desk.row(str(number)) for number in range(5)], desk.row("x", quantity="many"))
    async with desk.running():
        state = await desk.send(body)

        async def is_half_read() -> bool:
            state.update((await desk.client.get(state["state_url"])).body)
            return state["documents"] == 4

        await until(is_half_read)
        assert (state["phase"], state["rows"], state["refused"], state["result_url"]) == ("reading", 6, 0, None)
        go_on.set()
        await desk.done(state)
    assert (state["phase"], state["documents"], state["refused"], state["decided"]) == ("done", 5, 1, 5)


async def test_an_import_that_broke_off_goes_on_and_publishes_nothing_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, failed = results.write, []

    def write(*arguments: Any) -> None:
        if not failed:
            failed.append(True)
            raise OSError("the disk broke (so it is to be)")
        written(*arguments)

    monkeypatch.setattr(results, "write", write)
    monkeypatch.setattr(importing, "BATCH", 2)
    body = books.invoices(*[desk.row(str(number)) for number in range(5)], desk.row("x", quantity="many"))
    async with desk.running():
        state, _ = await desk.imported(body)
    assert failed
    assert (state["documents"], state["refused"], state["decided"], state["repeated"]) == (5, 1, 5, 0)
    assert sorted(await _commands(desk)) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("point", "spared"),
    [("between publish and place", 2), ("before the result is kept", 0), ("before it is forgotten", 0)],
)
async def test_killed_while_a_workbook_of_the_api_is_imported_nothing_is_lost_or_comes_twice(
    hub: Hub, shop: Shop, tmp_path: Path, postgres: PostgresServer, point: str, spared: int
) -> None:
    async with open_desk(hub, shop, tmp_path, f"killed-{point.replace(' ', '-')}") as desk:
        await _killed_and_resumed(desk, postgres, point, spared)


async def _killed_and_resumed(desk: Desk, postgres: PostgresServer, point: str, spared: int) -> None:
    rows = [desk.row(str(number)) for number in range(5)]
    state = await desk.send(books.invoices(*rows, desk.row("x", quantity="many"), desk.row("6", quantity=100_000)))
    await _run_until(point, desk, postgres, spared=spared)
    async with desk.running():
        await desk.done(state)
        await until(lambda: _is_empty(desk, "queue", "workbooks"))
    assert (state["phase"], state["documents"], state["refused"], state["decided"]) == ("done", 6, 1, 6)
    assert (state["repeated"], state["states"]) == (0, {"cleared": 5, "rejected": 1, "refused": 1})
    _, *told = table((await desk.client.get(state["result_url"])).data)
    assert ["تأییدشده" in row[8] for row in told] == [True] * 5 + [False] * 2
    assert (told[5][10][:4], told[6][10][:4]) == ("F7: ", "F8: ")
    commands = [
        decode_command(value)
        for value in await values(desk.shop.hub.kafka, topics.COMMANDS)
        if desk.shop.source.encode() in value
    ]
    assert len({command.command_id for command in commands}) == 6
    answer = await desk.client.get("/v1/documents?limit=200")
    assert sorted(each["source_id"] for each in answer.body["items"]) == ["0", "1", "2", "3", "4", "6"]
    assert {each["step"] for each in answer.body["items"]} == {1}
    forgetful = Spec(poll=timedelta(milliseconds=20), keep=timedelta(0))
    desk.instance = Instance(desk.instance.kind, desk.instance.name, forgetful)
    async with desk.running():
        await until(lambda: _is_empty(desk, "imports", "results", "done"))


async def _run_until(point: str, desk: Desk, postgres: PostgresServer, *, spared: int) -> None:
    async with desk.shop.hub.store.connection() as connection:
        dsn = dsn_of(postgres.dsn, await connection.fetchval("select current_database()"))
    kafka = desk.shop.hub.kafka
    await run_until_killed(
        "tests.connectors.excel.killed",
        *(kafka.bootstrap, kafka.prefix, dsn, desk.instance.name, desk.data, point, spared),
    )


async def _is_empty(desk: Desk, *buckets: str) -> bool:
    async with desk.shop.hub.store.connection() as connection:
        count = await connection.fetchval(
            "select count(*) from connector_records where instance = 'excel.' || $1 and bucket = any($2)",
            desk.instance.name,
            list(buckets),
        )
    return int(count) == 0


@pytest.mark.parametrize(
    ("source", "price", "quantity", "state", "colour", "code"),
    [
        ("office", 2_000_000, 600, "held", AMBER, "credit_exceeded"),
        ("strict", 2_000_000, 600, "rejected", RED, "credit_exceeded"),
        ("partly", 1_000, 1_500, "cleared", AMBER, "stock_partly"),
    ],
)
async def test_what_waits_or_is_taken_in_part_or_is_beyond_the_credit_is_told_at_its_cell(
    hub: Hub, api: Served, tmp_path: Path, source: str, price: int, quantity: int, state: str, colour: str, code: str
) -> None:
    shop = await open_shop(hub, api.address, source)
    plenty = f"{shop.product}-2"
    await shop.stocked(10, plenty)
    async with open_desk(hub, shop, tmp_path) as desk, desk.running():
        row = desk.row(shop.product, quantity=quantity, unit_price=price)
        told, result = await desk.imported(books.invoices(row, desk.row(plenty, product=plenty)))
    assert told["states"] == ({"cleared": 2} if state == "cleared" else {state: 1, "cleared": 1})
    [problem] = told["problems"]
    cell = "F2" if code == "stock_partly" else "C2"
    assert (problem["code"], problem["cell"]) == (code, cell)
    _, first, second = table(result)
    assert first[8].endswith(f"({state})")
    assert first[10].startswith(f"{cell}: ")
    assert first[11] == f"{cell}: {problem['en']}"
    assert 10 not in second
    assert f'ref="{cell}"' in part(result, "comments")
    assert _fill(result, "H2") == colour
    assert _fill(result, cell) == RED


def _fill(result: bytes, cell: str) -> str:
    """The colour behind a cell."""
    style = re.search(rf'<c r="{cell}" s="(\d+)"', part(result, "worksheets/sheet1"))
    styles = part(result, "xl/styles")
    formats = re.findall(r"<xf [^>]*fillId=\"(\d+)\"", styles[styles.index("<cellXfs") :])
    fills = re.findall(r"<fill>.*?</fill>", styles)
    assert style is not None
    [colour] = re.findall(r'<fgColor rgb="FF(\w+)"', fills[int(formats[int(style[1])])])
    return str(colour)


async def test_a_workbook_saved_again_while_it_is_imported_is_read_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, saved = results.write, []

    def write(*arguments: Any) -> None:
        if not saved:
            saved.append(True)
            desk.drop("orders.xlsx", books.invoices(desk.row("1"), desk.row("2")))
        written(*arguments)

    monkeypatch.setattr(results, "write", write)
    desk.drop("orders.xlsx", books.invoices(desk.row("1")))
    async with desk.running():
        await until(lambda: desk.names("inbox") == [] and len(desk.names("results")) == 2)
    assert set(await _commands(desk)) == {"1", "2"}
    assert desk.names("done") == ["orders.xlsx"]
    first, last = (table((desk.folder / "results" / name).read_bytes()) for name in desk.names("results"))
    assert (len(first), len(last)) == (2, 3)
    assert desk.names("results")[1] == "orders.xlsx.result.xlsx"


async def test_a_workbook_is_asked_for_by_its_source_alone_and_told_when_it_is_ready(desk: Desk, hub: Hub) -> None:
    state = await desk.send(books.invoices(desk.row("1")))
    assert (state["phase"], state["known"], state["result_url"]) == ("accepted", False, None)
    assert (await desk.client.get(f"{state['state_url']}/result")).status == 409
    stranger = await hub.key(desk.client.address, *SCOPES)
    assert (await stranger.get(state["state_url"])).status == 404
    assert (await stranger.get(f"{state['state_url']}/result")).status == 404
    reader = await hub.key(desk.client.address, "documents:read")
    assert (await reader.post(f"{AT}/workbooks", b"PK")).status == 403


async def test_what_is_no_workbook_is_refused_at_once_in_both_languages(desk: Desk) -> None:
    answer = await desk.client.post(f"{AT}/workbooks", b"kind,date\n")
    assert answer.status == 400
    assert "isn't an Excel workbook" in answer.body["detail"]
    assert "اکسل" in answer.body["detail_fa"]
    answer = await desk.client.post(f"{AT}/workbooks", books.made({"فاکتور فروش": [("شماره سند", "رنگ")]}))
    assert "فاکتور فروش!B1: " in answer.body["detail"]


@pytest.mark.parametrize("name", templates.NAMES)
async def test_a_template_filled_in_is_taken(desk: Desk, name: str) -> None:
    answer = await desk.client.get(f"{AT}/templates/{name}")
    assert answer.status == 200
    assert 'rightToLeft="1"' in part(answer.data, "worksheets/sheet1")
    assert templates.VERSION in part(answer.data, "sharedStrings")
    assert 'state="veryHidden"' in part(answer.data, "xl/workbook.xml")
    if name == "documents":
        assert part(answer.data, "worksheets/sheet1").count("<dataValidation ") == 4
    with contextlib.closing(opened(io.BytesIO(answer.data), MAX_BYTES)) as workbook:
        [sheet] = workbook.sheets
        [heading] = workbook.rows(sheet)
    filled = {
        "شماره سند": "1", "نوع سند": "فاکتور فروش", "تاریخ": "۱۴۰۳/۰۲/۱۲", "کد حساب": desk.shop.account,
        "انبار": desk.shop.warehouse, "انبار مقصد": "12" if name == "transfer" else "",
        "تاریخ سند اصلی": "1403/02/01" if name == "sales_return" else "", "کد کالا": desk.shop.product, "مقدار": 1,
    }  # fmt: skip
    titles = [cell.text for cell in heading.cells]
    row = [filled.get(title, "") for title in titles]
    async with desk.running():
        state, _ = await desk.imported(books.made({sheet.name: [titles, row]}))
    assert (state["documents"], state["refused"], state["decided"]) == (1, 0, 1)
    wanted = "rejected" if name == "transfer" else "cleared"
    assert state["states"] == {wanted: 1}, state


async def test_an_unknown_template_is_told(desk: Desk) -> None:
    answer = await desk.client.get(f"{AT}/templates/receipt")
    assert answer.status == 404
    assert "sales_invoice" in answer.body["detail"]


async def test_a_file_in_the_folder_is_taken_and_its_result_lies_beside(desk: Desk) -> None:
    desk.drop("orders.xlsx", books.invoices(desk.row("1"), desk.row("2", quantity="many")))
    desk.drop("letter.xlsx", b"dear sir")
    async with desk.running() as running:
        await until(lambda: desk.names("done") == ["orders.xlsx"] and desk.names("failed") == ["letter.xlsx"])
        assert running.connectors.counters()["excel.main_documents"] == 1
    assert desk.names("results") == ["letter.xlsx.result.xlsx", "orders.xlsx.result.xlsx"]
    _, first, second = table((desk.folder / "results" / "orders.xlsx.result.xlsx").read_bytes())
    assert "تأییدشده" in first[8]
    assert second[10].startswith("F3: ")
    letter = table((desk.folder / "results" / "letter.xlsx.result.xlsx").read_bytes())
    assert "isn't an Excel workbook" in letter[1][4]
    assert desk.names("inbox") == []


async def test_results_are_forgotten_when_their_time_is_over(desk: Desk) -> None:
    spec = Spec(poll=timedelta(milliseconds=20), patience=timedelta(seconds=60), keep=timedelta(0))
    desk.instance = Instance(desk.instance.kind, "main", spec)
    state = await desk.send(books.invoices(desk.row("1")))

    async with desk.running():
        await until(lambda: _no_record_is_left(desk, state["id"]))
    assert (await desk.client.get(state["state_url"])).status == 404


async def _no_record_is_left(desk: Desk, id_: str) -> bool:
    async with desk.shop.hub.store.connection() as connection:
        count = await connection.fetchval("select count(*) from connector_records where key like '%' || $1 || '%'", id_)
    return int(count) == 0
