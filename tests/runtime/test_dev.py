"""`hub dev`, whole and real: what it tells, what it does, how it ends, how it goes on."""

import json
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymssql
import pytest

from connectors.hesabgar.simulator import HesabgarSimulator
from hub.runtime.embedded.jars import locked_jars
from schemas.dates import jalali, today_in_tehran, utc_now
from tests.conftest import KafkaServer, free_port
from tests.runtime.dev_helpers import ROOT, HubDev, environment, fetch, run_hub
from tests.runtime.embedded_helpers import eventually, listener

GOLDEN = json.loads((ROOT / "tests" / "golden" / "seed_figures.json").read_text(encoding="utf-8"))

POSTED = "SELECT external_id, kind, number FROM hub.outcome WHERE item = 'document' ORDER BY row_version"


@pytest.fixture(scope="module")
def kept() -> Iterator[HubDev]:
    """One data directory for all of these tests. Not pytest's own: PostgreSQL's user must pass when we are root."""
    directory = Path(tempfile.mkdtemp(prefix="peyvand-dev-"))
    hub = HubDev(directory / "kept")
    try:
        yield hub
    finally:
        hub.make_sure_it_is_gone()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def hub(kept: HubDev) -> HubDev:
    """A hub that is up, whatever the test before did with it."""
    await kept.ensure_started()
    return kept


def documents(hub: HubDev) -> dict[str, Any]:
    """The documents the hub has, by source and own id."""
    items = hub.get("/v1/documents?limit=200").body["items"]
    return {f"{item['source']}/{item['source_id']}": item for item in items}


async def all_posted(hub: HubDev) -> None:
    """Wait until every document that is to go into the books is there."""

    async def none_waits() -> bool:
        return not [
            key
            for key, item in documents(hub).items()
            if item["source"] != "sample" and item["state"] in ("cleared", "posting")
        ]

    await eventually(none_waits)


def in_books(hub: HubDev, query: str, instance: str = "books") -> list[tuple[Any, ...]]:
    """What a simulated Hesabgar of this hub has, as its owner sees it."""
    file = hub.data / "hesabgar" / "hub.toml"
    settings = tomllib.loads(file.read_text(encoding="utf-8"))["connectors"]["hesabgar"][instance]
    connection = pymssql.connect(
        server=settings["server"],
        port=str(settings["port"]),
        user="sa",
        password=HesabgarSimulator().owner_password,
        database=settings["company"],
        tds_version="7.4",
    )
    with closing(connection):
        cursor = connection.cursor()
        cursor.execute(query)
        return list(cursor.fetchall())


async def test_run_json_tells_scripts_everything_and_only_its_owner(hub: HubDev) -> None:
    assert set(hub.run) == {"address", "api_key", "kafka", "postgres", "pids", "started_at", "version"}
    processes = {
        "hub",
        "kafka",
        "postgres",
        "hesabgar-books",
        "hesabgar-branch1",
        "streams-1",
        "api",
        "connectors",
        "deliver",
    }
    assert processes == set(hub.run["pids"])
    for secret in ("run.json", "demo.key"):
        assert stat.S_IMODE((hub.data / secret).stat().st_mode) == 0o600


async def test_it_is_well_and_anyone_on_this_machine_may_watch(hub: HubDev) -> None:

    async def well() -> bool:
        return hub.get("/health").status == 200

    await eventually(well)
    status, page = fetch(hub.run["address"] + "/")
    assert status == 200
    assert b"<html" in page


async def test_the_golden_credit_stands_after_the_sample_orders(hub: HubDev) -> None:
    account = hub.get("/v1/accounts/212010006").body
    golden = GOLDEN["credit"]
    assert account["name"] == "شرکت امین گستر"
    assert account["credit"]["instant"] == golden["instant_credit"]
    for field in ("direct", "documentary", "balance", "uncleared_cheques", "returned_cheques"):
        assert account["credit"][field] == golden[field]


@pytest.mark.parametrize("row", GOLDEN["stock"], ids=lambda row: row["code"])
async def test_the_golden_stock_stands_after_the_sample_orders(hub: HubDev, row: dict[str, str]) -> None:
    [item] = hub.get(f"/v1/stock?product={row['code']}").body["items"]
    assert (item["product_name"], item["on_hand"], item["sellable"]) == (row["name"], row["on_hand"], row["sellable"])


async def test_the_golden_vat_is_that_of_1400(hub: HubDev) -> None:
    quote = documents(hub)["sample/sample-quote-1400"]
    golden = GOLDEN["vat_2021"]
    assert quote["state"] == "cleared"
    assert quote["totals"]["payable"] == golden["total_payable"]
    assert [(line["net"], line["payable"]) for line in quote["lines"]] == [
        (line["net"], line["payable"]) for line in golden["lines"]
    ]


async def test_the_sample_orders_come_to_what_they_are_samples_of(hub: HubDev) -> None:
    await all_posted(hub)
    found = documents(hub)
    outcome = {
        source_id: (found[source_id]["state"], [reason["code"] for reason in found[source_id].get("reasons", ())])
        for source_id in ("demo/demo-1001", "demo/demo-1002", "demo/demo-1003", "demo/demo-1004")
    }
    assert outcome == {
        "demo/demo-1001": ("posted", []),
        "demo/demo-1002": ("held", ["credit_exceeded"]),
        "demo/demo-1003": ("rejected", ["stock_short"]),
        "demo/demo-1004": ("posted", []),
    }
    assert found["demo/demo-1004"]["original_id"] == found["demo/demo-1001"]["id"]


async def test_the_number_in_the_books_is_told_everywhere(hub: HubDev) -> None:
    await all_posted(hub)
    assert documents(hub)["demo/demo-1001"]["posting"]["number"] == "1"
    shown = run_hub("show", "demo/demo-1001", PEYVAND_DATA=str(hub.data))
    assert "number 1" in shown.stdout, shown.stderr

    async def seen() -> bool:
        return any("demo/demo-1001" in line and "number 1 in the books" in line for line in hub.output.splitlines())

    await eventually(seen)


async def test_what_is_posted_is_taken_from_the_books_stock_and_no_longer_held(hub: HubDev) -> None:
    async def refreshed() -> bool:
        item = hub.get("/v1/stock?product=10000700102&warehouse=101").body["items"][0]
        return (item["on_hand"], item["sellable"]) == ("48", "48")  # 50, 3 of them sold, 1 given back

    await eventually(refreshed)


async def test_the_samples_own_documents_stay_out_of_the_books(hub: HubDev) -> None:
    await all_posted(hub)
    found = documents(hub)
    posted = {str(name) for (name,) in in_books(hub, "SELECT external_id FROM hub.outcome WHERE item = 'document'")}
    assert found["demo/demo-1001"]["id"] in posted
    assert found["sample/sample-reservation-1"]["id"] not in posted
    assert found["sample/sample-reservation-1"]["state"] == "cleared"


async def test_what_was_entered_at_the_branch_is_posted_to_the_books_and_answered(hub: HubDev) -> None:
    async def answered() -> bool:
        entered = {key: item for key, item in documents(hub).items() if key.endswith("/sales_invoice/1")}
        if not entered:
            return False
        [(key, document)] = entered.items()
        answers = in_books(hub, "SELECT source_id, state, number FROM hub.answer", "branch1")
        number = (document.get("posting") or {}).get("number")
        return answers == [(key.removeprefix("branch1/"), "posted", number)]

    await eventually(answered, 120)
    log = (hub.data / "log" / "connectors.log").read_text(encoding="utf-8")
    assert "isn't taken by the branch" not in log


async def test_connectors_keep_what_they_keep_in_the_same_data_directory(hub: HubDev) -> None:
    assert {path.name for path in (hub.data / "connectors").iterdir()} >= {"hesabgar.books", "hesabgar.branch1"}


async def test_master_data_came_from_the_books_and_documents_by_files(hub: HubDev) -> None:
    async def taken_in() -> bool:
        return ["documents" in path.name for path in done_with(hub)] == [True]

    await eventually(taken_in)  # the documents are decided a moment before their file is put away


def done_with(hub: HubDev) -> list[Path]:
    """The sample company's files that were taken in."""
    folder = hub.data / "sample" / "done"
    return list(folder.iterdir()) if folder.exists() else []


async def test_the_line_to_try_works_as_it_is_printed_and_is_seen_to(hub: HubDev) -> None:
    [line] = [line for line in hub.output.splitlines() if line.startswith("curl ")]
    words = shlex.split(line)
    headers = dict(words[index + 1].split(": ", 1) for index, word in enumerate(words) if word == "-H")
    url = next(word for word in words if word.startswith("http"))
    body = words[words.index("-d") + 1]

    async def decided() -> bool:
        status, answer = fetch(urllib.request.Request(url, data=body.encode(), headers=headers))
        return (status, json.loads(answer)["status"]) == (200, "cleared")

    await eventually(decided)

    async def shown() -> bool:
        return f"demo/{json.loads(body)['source_id']}" in hub.output

    await eventually(shown)


async def test_a_process_that_is_killed_is_started_again(hub: HubDev) -> None:
    before = hub.run["pids"]["api"]
    next(process for process in hub.processes() if process.pid == before).kill()

    async def again() -> bool:
        return bool(hub.run["pids"].get("api", before) != before)

    await eventually(again)

    async def answers() -> bool:
        try:
            return hub.get("/health/live").status == 200
        except OSError:  # refused, or cut in the middle
            return False

    await eventually(answers)
    assert "api was ended by SIGKILL" in hub.output


async def test_books_that_are_killed_come_back_with_all_that_was_posted(hub: HubDev) -> None:
    await all_posted(hub)
    posted, before = in_books(hub, POSTED), hub.run["pids"]["hesabgar-books"]
    next(process for process in hub.processes() if process.pid == before).kill()
    order = {
        "source_id": "while-the-books-are-away",
        "kind": "sales_order",
        "date": jalali(today_in_tehran(utc_now())),
        "account": "212010010",
        "payment": "cash",
        "lines": [{"product": "10000800103", "warehouse": "102", "quantity": "1"}],
    }
    assert hub.post("/v1/documents?wait=decision&timeout=30", order).body["status"] in ("cleared", "posting", "posted")
    await all_posted(hub)
    assert in_books(hub, POSTED)[:-1] == posted

    async def told() -> bool:
        return bool(hub.run["pids"].get("hesabgar-books", before) != before)

    await eventually(told)


async def test_a_second_one_in_the_same_directory_says_so(hub: HubDev) -> None:
    second = run_hub("dev", "--data", str(hub.data), "--port", "0")
    assert second.returncode == 1
    for part in ("running in", "در حال اجراست", hub.run["address"], str(hub.run["pids"]["hub"]), "since 14"):
        assert part in second.stderr
    assert "Traceback" not in second.stderr


async def test_ctrl_c_ends_all_of_it_and_the_next_start_goes_on_with_the_data(hub: HubDev) -> None:
    await all_posted(hub)
    key, address, before = hub.run["api_key"], hub.run["address"], documents(hub)
    posted = in_books(hub, POSTED)

    assert await hub.end(signal.SIGINT) == 0
    assert "Stopped" in hub.output
    assert not (hub.data / "run.json").exists()

    await hub.start()
    assert "Sending sample orders" not in hub.output
    assert (hub.run["api_key"], hub.run["address"]) == (key, address)
    assert documents(hub) == before
    assert in_books(hub, POSTED) == posted
    order = {
        "source_id": "after-the-restart",
        "kind": "sales_order",
        "date": jalali(today_in_tehran(utc_now())),
        "account": "212010010",
        "payment": "cash",
        "lines": [{"product": "10000800103", "warehouse": "102", "quantity": "1"}],
    }
    assert hub.post("/v1/documents?wait=decision&timeout=30", order).body["status"] == "cleared"
    await all_posted(hub)
    new = {external_id: number for external_id, _, number in set(in_books(hub, POSTED)) - set(posted)}
    after = documents(hub)["demo/after-the-restart"]
    assert new == {after["id"]: after["posting"]["number"]}


async def test_killed_it_leaves_no_process_behind(hub: HubDev) -> None:
    assert await hub.end(signal.SIGKILL) == -signal.SIGKILL


async def test_servers_that_the_configuration_names_are_used_and_without_books_none_is_started(
    kafka: KafkaServer, database: str, topic_prefix: str, tmp_path: Path
) -> None:
    hub = HubDev(
        tmp_path / "var",
        PEYVAND_COMPANY_PREFIX=topic_prefix,
        PEYVAND_KAFKA_BOOTSTRAP=kafka.bootstrap,
        PEYVAND_KAFKA_REPLICATION="1",
        PEYVAND_KAFKA_MIN_ISR="1",
        PEYVAND_POSTGRES_DSN=database,
    )
    try:
        await hub.start("--no-books")
        assert (hub.run["kafka"], hub.run["postgres"]) == (kafka.bootstrap, database)
        assert set(hub.run["pids"]) == {"hub", "streams-1", "api", "connectors", "deliver"}
        assert not {"kafka", "postgres", "hesabgar"} & {path.name for path in hub.data.iterdir()}
        assert hub.get("/v1/accounts/212010006").body["credit"]["instant"] == GOLDEN["credit"]["instant_credit"]
        kinds = ("warehouses", "products", "accounts", "stock", "finance", "documents")

        async def taken_in() -> bool:
            return all(any(kind in path.name for path in done_with(hub)) for kind in kinds)

        await eventually(taken_in)
        assert await hub.end(signal.SIGTERM) == 0
        assert database.split(":")[2].split("@")[0] not in hub.output
    finally:
        hub.make_sure_it_is_gone()


async def test_a_shop_and_handhelds_sell_and_what_they_sold_is_posted(tmp_path: Path) -> None:
    hub = HubDev(tmp_path / "var")

    async def all_are_there() -> bool:
        found = documents(hub).values()
        posted = {item["source"] for item in found if item["state"] == "posted"}
        return "shop" in posted and {item["source"] for item in found} >= {"visitors", "customers"}

    try:
        await hub.start(outside=True)
        assert {"woocommerce-shop", "pocket_cyber-visitors", "pocket_cyber-customers"} <= set(hub.run["pids"])
        await eventually(all_are_there, 120)
        assert hub.get("/v1/accounts/212010006").body["credit"]["instant"] == GOLDEN["credit"]["instant_credit"]
        assert await hub.end(signal.SIGINT) == 0
    finally:
        hub.make_sure_it_is_gone()


async def test_no_sample_order_gets_into_books_that_the_configuration_names(database: str, tmp_path: Path) -> None:
    """And of the servers only that is started which the configuration doesn't name."""
    (tmp_path / "hub.toml").write_text(
        f"""
        [connectors.hesabgar.main]
        server = "127.0.0.1"
        port = {free_port()}
        company = "Real"
        login = "hub"
        password = "x"
        """
    )
    hub = HubDev(
        tmp_path / "var",
        PEYVAND_CONFIG=str(tmp_path / "hub.toml"),
        PEYVAND_POSTGRES_DSN=database,
    )
    try:
        await hub.start()
        assert set(hub.run["pids"]) == {"hub", "kafka", "streams-1", "api", "connectors", "deliver"}
        assert hub.run["postgres"] == database
        assert documents(hub) == {}
        assert await hub.end(signal.SIGTERM) == 0
    finally:
        hub.make_sure_it_is_gone()


# --- what can stand in the way, each told in a sentence


def complains(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that can't go on says, which is never a traceback."""
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "unexpected" not in done.stderr
    return done.stderr


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "var"


def test_a_port_in_use_is_named_with_the_ways_to_choose_another(data: Path) -> None:
    with listener() as port:
        said = complains(run_hub("dev", "--data", str(data), "--port", str(port)))
    for part in (f"port {port}", "in use", "--port", "[api] port"):
        assert part in said


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = complains(run_hub("dev", "--data", str(tmp_path / "file" / "var"), "--port", "0"))
    assert f"{tmp_path}/file/var" in said
    assert "--data" in said


def test_a_jar_that_is_not_the_locked_one_is_refused(data: Path, tmp_path: Path) -> None:
    jars = tmp_path / "jars"
    jars.mkdir()
    for jar in locked_jars():
        (jars / jar.name).write_bytes(b"something else")
    said = complains(run_hub("dev", "--data", str(data), "--port", "0", PEYVAND_CACHE=str(jars)))
    assert "SHA-256" in said


def test_without_a_network_the_first_start_says_what_it_lacks(data: Path, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/maven2"
    cache = str(tmp_path / "jars")
    variables = {"PEYVAND_CACHE": cache, "PEYVAND_MAVEN_REPOSITORY": nobody}
    said = complains(run_hub("dev", "--data", str(data), "--port", "0", **variables))
    assert "Is the network there" in said


def test_a_connector_that_is_configured_wrongly_is_told_before_anything_starts(data: Path, tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('[connectors.files.karaj]\nfodler = "x"\n')
    done = run_hub("--config", str(tmp_path / "hub.toml"), "dev", "--data", str(data), "--port", "0")
    assert done.returncode == 2
    assert "hub.toml:2" in done.stderr
    assert not data.exists()


def make_run(python: Path, venv: Path) -> subprocess.CompletedProcess[str]:
    """``make run`` with a Python and an environment of a test's own."""
    return subprocess.run(
        ["make", "run", f"PYTHON={python}", f"VENV={venv}"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def script(path: Path, text: str) -> Path:
    """A program of a few lines of shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_python_too_old_is_told_by_make(tmp_path: Path) -> None:
    made = make_run(script(tmp_path / "python3.9", "exit 1"), tmp_path / "venv")
    assert made.returncode != 0
    assert "needs Python 3.11 or newer" in made.stderr
    assert not (tmp_path / "venv").exists()


def test_an_environment_that_was_left_half_made_is_made_again(tmp_path: Path) -> None:
    """Interrupted before it had its pip: no later start would get any further."""
    script(tmp_path / "venv" / "bin" / "python", "exit 1")
    made = make_run(script(tmp_path / "python3", '[ "$1" = -c ] || { echo "$@"; exit 1; }'), tmp_path / "venv")
    assert f"-m venv {tmp_path}/venv" in made.stdout
