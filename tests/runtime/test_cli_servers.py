"""The commands that look at and repair what is in a real Kafka and a real PostgreSQL."""

import asyncio
import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.cells import cell_len
from rich.console import Console

from hub.bus import letters
from hub.bus.deadletters import dead_letter
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.rules.settings import Policy, RuleSettings
from hub.runtime import cli, servers
from hub.runtime.commands.show import Story, tell
from hub.store import keys, master, progress, reading
from hub.store.pool import Store
from hub.store.reading import DocumentFilter
from schemas import topics
from schemas.commands import AnyCommand, Approve, Cancel, Submit
from schemas.documents import Document, DocumentLine, DocumentRequest, Kind, LineRequest, Method, PostingPolicy, State
from schemas.events import DocumentEvent
from schemas.ids import command_id, document_id
from schemas.master import Account, Finance, Product, Stock, Warehouse
from schemas.topics import Topic
from streams.deciding import decide_each
from streams.settings import StreamSettings
from streams.worker import running
from tests.conftest import KafkaServer, PostgresServer, dsn_of, execute
from tests.webhooks.world import SECRET, event_of, happened, subscribed

NOW = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
REQUEST = DocumentRequest(
    source_id="INV-1001",
    kind=Kind.SALES_INVOICE,
    date=date(2024, 3, 20),
    account="212010006",
    lines=(
        LineRequest("RAM-1", Decimal(2), 13_920_000, warehouse="W1"),
        LineRequest("CPU-1", Decimal("1.5"), 37_120_000, discount=1_000, warehouse="W1"),
    ),
    note="تحویل فوری",
)


class Hub:
    """Runs commands in this process with a configuration of the test's own servers."""

    def __init__(self, capsys: pytest.CaptureFixture[str], file: Path) -> None:
        self._capsys = capsys
        self.options = ("--lang", "en", "--config", str(file))

    async def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output and errors. In a thread, as commands have an event loop of their own."""
        self._capsys.readouterr()
        code = await asyncio.to_thread(cli.main, [*self.options, *words])
        shown = self._capsys.readouterr()
        return code, shown.out, shown.err

    async def process(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """The same in a process of its own."""
        command = [sys.executable, "-m", "hub.runtime", *self.options, *words]
        return await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=180)


@pytest.fixture
def hub(
    kafka: KafkaServer,
    database: str,
    topic_prefix: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Hub:
    monkeypatch.chdir(tmp_path)
    servers = ", ".join(f'"{each}"' for each in kafka.bootstrap.split(","))
    file = tmp_path / "hub.toml"
    file.write_text(
        f'[company]\nprefix = "{topic_prefix}"\n[kafka]\nbootstrap = [{servers}]\nreplication = 1\nmin_isr = 1\n'
        f'[postgres]\ndsn = "{database}"\n[api]\nrate_limit = 1234\n',
        encoding="utf-8",
    )
    return Hub(capsys, file)


# --- topics, migrations, check


async def test_topics_are_made_checked_and_made_again_when_one_is_missing(hub: Hub, topic_prefix: str) -> None:
    code, out, _ = await hub("topics", "check")
    assert code == 1
    assert f"topic {topic_prefix}documents.commands is missing" in out
    names = [f"{topic_prefix}{topic.name}" for topic in topics.all_topics()]
    code, out, err = await hub("topics", "create")
    assert (code, out.split(), err) == (0, names, f"{len(names)} made.\n")
    assert await hub("topics", "create") == (0, "", "All topics are there.\n")
    assert await hub("topics", "check") == (0, "", "All topics are there, as declared.\n")


async def test_check_finds_what_is_not_ready_and_then_that_all_is(
    hub: Hub, postgres: PostgresServer, tmp_path: Path
) -> None:
    code, out, _ = await hub("check", "--timeout", "60")
    assert code == 1
    assert re.search(r"^ok    Kafka: \S+ answers$", out, re.MULTILINE)
    assert re.search(
        r"^error topics: topic \S+documents\.commands is missing\n +`hub topics create` makes it$", out, re.M
    )
    assert "ok    PostgreSQL: answers, and takes the login\nok    migrations: all are applied\n" in out
    await hub("topics", "create")
    code, out, _ = await hub("check", "--timeout", "60")
    assert (code, "error" in out) == (0, False)


async def test_check_asks_connectors_though_none_of_the_hubs_servers_is_there(hub: Hub, tmp_path: Path) -> None:
    for folder in ("files", "excel", "pocket"):
        (tmp_path / folder).mkdir()
    (tmp_path / "hub.toml").write_text(
        f"""
        [connectors.files.f]
        folder = "{tmp_path}/files"
        [connectors.excel.e]
        folder = "{tmp_path}/excel"
        [connectors.pocket_cyber.p]
        folder = "{tmp_path}/pocket"
        [connectors.woocommerce.w]
        url = "http://127.0.0.1:1"
        key = "k"
        secret = "s"
        currency = "IRR"
        warehouse = "1"
        """,
        encoding="utf-8",
    )
    _, out, err = await hub("check", "--timeout", "60")
    assert err == ""
    for name in ("files.f", "excel.e", "pocket_cyber.p"):
        assert f"ok    connector {name}: its connection works" in out
    assert "error connector woocommerce.w: " in out


async def test_check_asks_the_servers_of_a_running_hub_dev(
    hub: Hub, kafka: KafkaServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "RUN_FILE", tmp_path / "run.json")
    (tmp_path / "hub.toml").write_text("", encoding="utf-8")
    code, out, _ = await hub("check", "--timeout", "60")
    assert (code, "note  Kafka: embedded" in out, "note  PostgreSQL: embedded" in out) == (0, True, True)
    about = {"kafka": kafka.bootstrap, "postgres": database, "pids": {"hub": os.getpid()}}
    servers.RUN_FILE.write_text(json.dumps(about), encoding="utf-8")
    code, out, _ = await hub("check", "--timeout", "60")
    assert "ok    PostgreSQL: answers" in out
    assert f"ok    Kafka: {kafka.bootstrap} answers" in out


async def test_a_hub_dev_that_was_killed_does_not_count_as_running(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "RUN_FILE", tmp_path / "run.json")
    (tmp_path / "hub.toml").write_text("", encoding="utf-8")
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    about = {"kafka": "127.0.0.1:1", "postgres": "postgresql://127.0.0.1:1/peyvand", "pids": {"hub": ended.pid}}
    servers.RUN_FILE.write_text(json.dumps(about), encoding="utf-8")
    code, out, _ = await hub("check", "--timeout", "60")
    assert (code, "note  Kafka: embedded" in out, "note  PostgreSQL: embedded" in out) == (0, True, True)
    code, _, err = await hub("show", "shop/A")
    assert code == 1
    assert "no hub dev runs in" in err


async def test_check_tells_a_refused_login_without_the_password(hub: Hub, database: str, tmp_path: Path) -> None:
    wrong = re.sub(r":[^:@/]+@", ":sw0rdfish@", database)
    (tmp_path / "hub.toml").write_text(f'[postgres]\ndsn = "{wrong}"\n', encoding="utf-8")
    code, out, _ = await hub("check", "--timeout", "60")
    assert code == 1
    assert "error PostgreSQL: PostgreSQL refused the login" in out
    assert "sw0rdfish" not in out


async def test_an_empty_database_is_migrated_once(
    hub: Hub, postgres: PostgresServer, tmp_path: Path, topic_prefix: str
) -> None:
    name = f"empty_{topic_prefix.rstrip('.')}"
    await execute(postgres.dsn, f"CREATE DATABASE {name}")
    try:
        file = tmp_path / "hub.toml"
        file.write_text(f'[postgres]\ndsn = "{dsn_of(postgres.dsn, name)}"\n', encoding="utf-8")
        code, out, _ = await hub("check", "--timeout", "60")
        assert code == 1
        assert re.search(r"^error migrations: not applied yet: 0001_\w+.*\n +Run hub migrate\.$", out, re.MULTILINE)
        code, names, err = await hub("migrate", "--dry-run")
        assert (code, err) == (0, f"{len(names.split())} to apply.\n")
        assert await hub("migrate") == (0, names, f"{len(names.split())} applied.\n")
        assert await hub("migrate") == (0, "", "The database is up to date.\n")
    finally:
        await execute(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)")


# --- webhooks


async def test_webhooks_are_listed_and_that_nothing_sends_them_is_told(hub: Hub, database: str) -> None:
    code, _, err = await hub("webhooks", "list")
    assert (code, err) == (0, "")
    store = Store(database, size=2)
    await store.open()
    try:
        webhook = await subscribed(store, "https://shop.example.com/hook")
        await happened(store, event_of("shop", "A", 1))
        code, out, err = await hub("webhooks", "list")
        assert re.search(rf"^shop +https://shop.example.com/hook +well +1 +0 +never +{webhook.id}$", out, re.MULTILINE)
        assert (code, SECRET.reveal() in out, err.endswith("start hub deliver.\n")) == (0, False, True)
        await progress.report(store, "deliver-here-1", "deliver", lag=0, counters={})
        assert (await hub("webhooks", "list"))[2] == ""
    finally:
        await store.close()


# --- keys


async def test_a_key_is_made_listed_and_revoked(hub: Hub, database: str) -> None:
    code, token, err = await hub("key", "create", "shop")
    assert code == 0
    assert (
        "Key shop for source shop, 1,234 requests a minute, may: accounts:read, documents:read, documents:write" in err
    )
    assert token.strip() not in err
    store = Store(database)
    await store.open()
    try:
        key = await keys.find(store, token.strip())
        assert key is not None
        assert not key.may("documents:approve")
        await hub("key", "create", "boss", "--source", "shop", "--scope", "documents:approve", "--per-minute", "5")
        code, out, _ = await hub("key", "list")
        assert code == 0
        assert [line.split()[:2] for line in out.splitlines()[1:]] == [["shop", "shop"], ["boss", "shop"]]
        assert token.strip() not in out
        code, _, err = await hub("key", "create", "boss")
        assert (code, "there is a key named 'boss' already" in err) == (1, True)
        code, _, err = await hub("key", "create", "x", "--scope", "everything")
        assert (code, "no such scope: everything" in err) == (1, True)
        code, _, err = await hub("key", "revoke", "shop")
        assert (code, err) == (0, "Key shop is revoked; requests with it are refused within 10 seconds.\n")
        key = await keys.find(store, token.strip())
        assert key is not None
        assert key.revoked_at is not None
        code, _, err = await hub("key", "revoke", "shop")
        assert (code, err) == (1, "There is no live key named shop.\n  hub key list shows the keys.\n")
    finally:
        await store.close()


# --- show and health


@pytest.fixture
async def store(database: str) -> Store:
    """A store with one account, two products in one warehouse, and some stock."""
    made = Store(database)
    await made.open()
    await master.apply(
        made,
        [
            Account("212010006", "فروشگاه نمونه"),
            Product("RAM-1", "رم کینگستون"),
            Product("CPU-1", "پردازنده"),
            Warehouse("W1", "انبار مرکزی"),
            Stock("RAM-1", "W1", Decimal(17), NOW),
            Stock("CPU-1", "W1", Decimal(25), NOW),
            Finance("212010006", NOW, direct=10_000_000),
        ],
    )
    return made


async def decided(store: Store, *commands: AnyCommand) -> None:
    await decide_each(store, commands, RuleSettings(), lambda: NOW + timedelta(minutes=1))


async def test_show_tells_the_whole_story_of_a_document(hub: Hub, store: Store) -> None:
    submit = Submit.of(REQUEST, source="shop", actor="shop-key", now=NOW)
    envelope = {
        "document_id": submit.document_id,
        "source": "shop",
        "source_id": REQUEST.source_id,
        "revision": 1,
        "occurred_at": NOW,
        "recorded_at": NOW,
    }
    approve = Approve(
        **envelope, command_id=command_id(submit.document_id, "approve", 1), actor="manager", note="با تأیید مدیر"
    )
    twice = Approve(**envelope, command_id=command_id(submit.document_id, "approve", 2), actor="manager")
    try:
        for command in (submit, approve, twice):
            await decided(store, command)
    finally:
        await store.close()
    shown = [await hub("show", name) for name in ("shop/INV-1001", str(submit.document_id), "INV-1001")]
    assert shown[0] == shown[1] == shown[2]
    code, out, _ = shown[0]
    assert code == 0
    lines = [re.split(r" {2,}", line) for line in out.splitlines()]
    assert lines[0] == ["shop/INV-1001", str(submit.document_id)]
    for row in (
        ["state", "cleared", "تأییدشده"],
        ["kind", "sales invoice", "فاکتور فروش"],
        ["date", "1403/01/01 (2024-03-20)"],
        ["account", "212010006", "فروشگاه نمونه"],
        ["payable", "91,870,900 rials"],
        ["received", "1405/09/03 11:00:00 (2026-11-24 07:30:00 UTC)"],
        ["approved", "by manager, 1405/09/03 11:01:00 (2026-11-24 07:31:00 UTC)", "با تأیید مدیر"],
        ["note", "تحویل فوری"],
        ["1", "RAM-1", "رم کینگستون", "W1", "2", "2", "13,920,000", "27,840,000", "2,784,000", "30,624,000"],
        ["2", "CPU-1", "پردازنده", "W1", "1.5", "1.5", "37,120,000", "55,679,000", "5,567,900", "61,246,900"],
    ):
        assert row in lines
    history = lines[lines.index(["History"]) + 2 :]
    assert [row[:4] for row in history[:2]] == [
        ["1", "submit", "held", "shop-key"],
        ["2", "approve", "cleared", "manager"],
    ]
    assert history[0][5:] == [
        "91,870,900 is above the instant credit of 10,000,000",
        "مبلغ 91,870,900 از اعتبار لحظه‌ای 10,000,000 بیشتر است",
    ]
    assert history[2][1:4] == ["approve", "refused", "manager"]


@pytest.mark.parametrize("width", [80, 140])
def test_show_breaks_no_amount_on_a_narrow_terminal(width: int) -> None:
    line = DocumentLine(
        1, "RAM-KINGSTON-1", Decimal("2.83333"), 13_920_000, warehouse="W1", payable=757_365_004_000, short=Decimal(9)
    )
    document = Document(
        document_id("shop", "1"), "shop", "1", Kind.QUOTE, State.BACKORDERED, 1, 1, NOW.date(), NOW, NOW, lines=(line,)
    )
    console = Console(width=width, force_terminal=True, highlight=False, color_system=None, file=io.StringIO())
    event = DocumentEvent(
        event_id=document.id, type="document.backordered", source="shop", source_id="1", document_id=document.id,
        revision=1, step=1, occurred_at=NOW, recorded_at=NOW, command_id=document.id, command="submit", actor="shop",
        document=document,
    )  # fmt: skip
    tell(console, Story(document, [event], "", {"RAM-KINGSTON-1": "رم کینگستون"}))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert max(map(cell_len, shown.splitlines())) <= width
    for whole in ("2.83333", "13,920,000", "757,365,004,000", "در انتظار موجودی"):
        assert whole in shown


async def test_show_tells_of_commands_on_a_document_there_never_was(hub: Hub, store: Store) -> None:
    submit = Submit.of(REQUEST, source="shop", actor="shop", now=NOW)
    fields = {name: getattr(submit, name) for name in ("document_id", "source", "source_id", "revision")}
    times = {"occurred_at": NOW, "recorded_at": NOW}
    try:
        await decided(store, Cancel(**fields, **times, command_id=submit.command_id, actor="shop"))
    finally:
        await store.close()
    code, out, _ = await hub("show", "shop/INV-1001")
    assert code == 0
    assert "There is no such document: every command on it was refused." in out
    assert "there is no document with this id" in out


async def test_show_of_nothing_and_of_an_ambiguous_name(hub: Hub, store: Store) -> None:
    try:
        for source in ("shop", "branch"):
            await decided(store, Submit.of(REQUEST, source=source, actor=source, now=NOW))
    finally:
        await store.close()
    code, _, err = await hub("show", "INV-1001")
    assert (code, err.startswith("Several sources have a document INV-1001: ")) == (1, True)
    code, _, err = await hub("show", "shop/INV-9")
    assert (code, err.splitlines()[0]) == (1, "There is no document shop/INV-9.")


# --- what policies make of documents

MANUAL = RuleSettings(by_source={"shop": Policy(posting=PostingPolicy.MANUAL)})
ORDER = {
    "source_id": "ORD-1",
    "kind": "sales_order",
    "date": "1403/01/31",
    "account": "212010006",
    "warehouse": "W1",
    "lines": [
        {"product": "RAM-1", "quantity": "۲", "unit_price": 13_920_000},
        {"product": "CPU-1", "quantity": 30, "unit_price": 1_000},
    ],
}


async def test_check_knows_the_sources_of_live_keys_that_send_documents(hub: Hub, tmp_path: Path, store: Store) -> None:
    await store.close()
    with (tmp_path / "hub.toml").open("a", encoding="utf-8") as file:
        file.write('[policies.shop]\nposting = "manual"\n[policies.till]\n[policies.old]\n')
    await hub("key", "create", "web", "--source", "shop")
    await hub("key", "create", "reader", "--source", "till", "--scope", "documents:read")
    await hub("key", "create", "gone", "--source", "old")
    await hub("key", "revoke", "gone")
    _, out, _ = await hub("check", "--timeout", "60")
    notes = re.findall(r"^note  source (\w+): (.+)$", out, re.MULTILINE)
    assert notes == [
        (name, f"[policies.{name}] applies to nothing: no connector and no API key has this source")
        for name in ("till", "old")
    ]
    assert "\nshop  key web\n" in out


async def test_a_preview_tells_lines_credit_outcome_and_the_policy_and_keeps_nothing(
    hub: Hub, store: Store, tmp_path: Path
) -> None:
    with (tmp_path / "hub.toml").open("a", encoding="utf-8") as file:
        file.write('[policies.shop]\nstock = "partial"\n[policies.shop.kinds.sales_order]\nposting = "manual"\n')
    (tmp_path / "order.json").write_text(json.dumps(ORDER), encoding="utf-8")
    try:
        code, out, err = await hub("preview", "order.json", "--source", "shop")
        assert await reading.documents(store, DocumentFilter(), 1) == []
    finally:
        await store.close()
    assert (code, err) == (0, "")
    lines = [re.split(r" {2,}", line.strip()) for line in out.splitlines()]
    for row in (
        ["it would be", "held", "در انتظار تأیید"],
        ["kind", "sales order", "سفارش فروش"],
        ["source", "shop"],
        ["payable", "30,651,500 rials"],
        ["1", "RAM-1", "رم کینگستون", "W1", "2", "17", "2", "13,920,000", "2,784,000", "30,624,000"],
        ["2", "CPU-1", "پردازنده", "W1", "30", "25", "25", "1,000", "2,500", "27,500"],
        ["direct", "10,000,000", "اعتبار مستقیم"],
        ["instant", "10,000,000", "اعتبار لحظه‌ای"],
        ["stock", "partial", "policies.shop", "takes what goods there are, without the rest"],
        ["posting", "manual", "policies.shop.kinds.sales_order", "goes to the books once someone releases it"],
        ["credit", "hold", "built in", "without enough credit: waits for an approval"],
    ):
        assert row in lines, (row, out)
    assert "CPU-1: only 25 of 30 could be taken" in out
    assert "30,651,500 is above the instant credit of 10,000,000" in out


async def test_a_preview_without_a_source_is_of_any_that_has_no_policy(hub: Hub, store: Store, tmp_path: Path) -> None:
    await store.close()
    (tmp_path / "order.json").write_text(json.dumps(ORDER), encoding="utf-8")
    code, out, _ = await hub("preview", "order.json")
    assert code == 0
    assert re.search(r"^it would be +rejected +ردشده$", out, re.MULTILINE)
    assert "CPU-1 in warehouse W1: 25 sellable, 30 wanted" in out
    assert "any without a policy" in out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "this isn't valid JSON"),
        ("[]", "must be a JSON object, not list"),
        (json.dumps({**ORDER, "kind": "order"}), "kind: "),
        (json.dumps({**ORDER, "lines": []}), "lines: the document has no lines"),
    ],
)
async def test_a_preview_of_what_makes_no_sense_is_told_in_both_languages(
    hub: Hub, store: Store, tmp_path: Path, text: str, told: str
) -> None:
    await store.close()
    (tmp_path / "order.json").write_text(text, encoding="utf-8")
    code, out, err = await hub("preview", "order.json")
    assert (code, out) == (1, "")
    assert err.startswith("order.json isn't a document that could be decided:\n")
    assert told in err
    assert re.search("[\u0600-\u06ff]", err)


async def test_documents_that_wait_are_released_by_name_or_all_of_a_source(hub: Hub, bus: Kafka, store: Store) -> None:
    producer = Producer(bus)
    try:
        async with running(StreamSettings(kafka=bus, rules=MANUAL), store, producer):
            for number in range(1, 5):
                receipt = DocumentRequest(
                    f"R{number}", Kind.RECEIPT, date(2024, 3, 20), "212010006", amount=1_000, method=Method.CASH
                )
                await decide_each(store, [Submit.of(receipt, source="shop", actor="x", now=NOW)], MANUAL, lambda: NOW)
            code, out, _ = await hub("release", "shop/R1", "R2", "--note", "بار رفت")
            assert (code, len(out.splitlines())) == (0, 2)
            assert re.search(r"^ok +shop/R2 +released to the books by ", out, re.MULTILINE)
            code, out, _ = await hub("release", "shop/R1")
            assert code == 1
            assert re.search(r"^refused +shop/R1 +nothing keeps this document from the books", out, re.MULTILINE)
            code, out, _ = await hub("release", "--source", "shop")
            assert (code, re.findall(r"shop/R\d", out)) == (0, ["shop/R3", "shop/R4"])
            assert (await hub("release", "--source", "shop"))[:2] == (
                0,
                "No document of shop waits to be released.\n",
            )
        code, out, _ = await hub("release", "R4", "--timeout", "0.1")
        assert (code, "not decided yet; does a worker run?" in out) == (1, True)
        _, out, _ = await hub("show", "R1")
        assert re.search(r"^released +by .+ +بار رفت$", out, re.MULTILINE)
    finally:
        await producer.stop()
        await store.close()


async def test_a_release_of_nothing_is_told(hub: Hub, store: Store, bus: Kafka) -> None:
    await store.close()
    for words in ((), ("R1", "--source", "shop")):
        code, _, err = await hub("release", *words)
        assert (code, err.startswith("Name documents, or a source with --source")) == (2, True)
    code, _, err = await hub("release", "R1")
    assert (code, err.splitlines()[0]) == (1, "There is no document R1; nothing was done.")


async def test_health_judges_by_workers_and_servers(hub: Hub, store: Store) -> None:
    try:
        code, out, _ = await hub("health")
        assert code == 1
        assert "no streams worker runs" in out
        await hub("topics", "create")
        await progress.report(store, "streams-1", "streams", lag=0, counters={"handled": 1})
        await decided(store, Submit.of(REQUEST, source="shop", actor="shop", now=NOW))
        code, out, _ = await hub("health")
        assert (code, "error" in out) == (0, False)
        assert re.search(r"^held +1 +در انتظار تأیید$", out, re.MULTILINE)
        assert "connectors" not in out
    finally:
        await store.close()


async def test_health_tells_how_each_connector_gets_on(hub: Hub, store: Store, database: str) -> None:
    """Of the processes that speak, each instance once; names that begin alike are kept apart."""

    def counted(name: str, **vitals: int) -> dict[str, int]:
        return {f"{name}_{what}": count for what, count in ({"documents": 0, "dead_letters": 0} | vitals).items()}

    idle = counted("hesabgar.books") | counted("hesabgar.books_2")
    at_work = counted("hesabgar.books", documents=3, away=1, lag_seconds=7_200) | counted("hesabgar.books_2", away=0)
    try:
        for name, counters in (("connectors-1", idle), ("connectors-2", at_work), ("connectors-3", at_work)):
            await progress.report(store, name, "connectors", lag=0, counters=counters)
        await execute(database, "update workers set seen_at = now() - interval '16 s' where id = 'connectors-3'")
        _, out, _ = await hub("health")
        told = dict(re.findall(r"^(hesabgar\.\S+) +(.+)$", out, re.MULTILINE))
        assert told == {
            "hesabgar.books": "away 1, dead_letters 0, documents 3, lag_seconds 7,200",
            "hesabgar.books_2": "away 0, dead_letters 0, documents 0",
        }
    finally:
        await store.close()


# --- dead letters


@pytest.fixture
async def bus(kafka: KafkaServer, topic_prefix: str) -> Kafka:
    made = Kafka(kafka.bootstrap, prefix=topic_prefix)
    await create_topics(made)
    return made


def poison(bus: Kafka, value: bytes, offset: int, topic: str = "documents.commands") -> Outgoing:
    return dead_letter(
        topic=bus.prefix + topic if not topic.startswith("connectors.") else topic,
        partition=2 if topic == "documents.commands" else 0,
        offset=offset,
        key=b"\xffkey",
        value=value,
        headers=[("trace", b"00-1")],
        handler="decide",
        reason="JSON is malformed",
    )


async def published(bus: Kafka, *messages: Outgoing) -> None:
    producer = Producer(bus)
    try:
        await producer.publish(messages)
    finally:
        await producer.stop()


async def values(
    bus: Kafka, topic: Topic = topics.COMMANDS
) -> list[tuple[int, bytes | None, bytes, tuple[object, ...]]]:
    """Everything on a topic: partition, key, value, headers."""
    found = []
    async with letters.consumer(bus, group_id=None, auto_offset_reset="earliest") as client:
        partitions = [TopicPartition(bus.topic(topic), number) for number in range(topic.partitions)]
        client.assign(partitions)
        ends = await client.end_offsets(partitions)
        while [each for each in partitions if await client.position(each) < ends[each]]:
            for records in (await client.getmany(timeout_ms=200)).values():
                found += [(each.partition, each.key, each.value, each.headers) for each in records]
    return found


async def test_a_letter_written_again_is_one_letter(bus: Kafka) -> None:
    first, second = poison(bus, b"bad", 7), poison(bus, b"good", 8)
    await published(bus, first, second, first, Outgoing(topics.DEAD_LETTERS, None, b"no letter"))
    found = await letters.read(bus)
    assert [(each.value, each.attempts) for each in found.letters] == [(b"good", 1), (b"bad", 2)]
    assert found.strange == 1
    latest = await letters.read(bus, 3)
    assert [each.value for each in latest.letters] == [b"good", b"bad"]


async def test_dead_letters_are_listed_shown_and_replayed_byte_for_byte(hub: Hub, bus: Kafka) -> None:
    bad, good = b"\x00\xfe not json", b'{"a": 1}'
    outside = poison(bus, b"row 3", 3, "connectors.files.main")
    await published(bus, poison(bus, bad, 7), poison(bus, good, 8), outside, Outgoing(topics.DEAD_LETTERS, None, b"x"))
    code, out, err = await hub("dead-letters", "list")
    assert (code, err) == (0, "1 records of the topic are no dead letters and are left out.\n")
    rows = [re.split(r" {2,}", line) for line in out.splitlines()[1:]]
    assert [row[2:] for row in rows] == [
        [f"{bus.prefix}documents.commands 2/7", "decide", "1", "JSON is malformed"],
        [f"{bus.prefix}documents.commands 2/8", "decide", "1", "JSON is malformed"],
        ["connectors.files.main 0/3", "decide", "1", "JSON is malformed"],
    ]
    first, second, third = (row[0] for row in rows)

    code, out, _ = await hub("dead-letters", "show", first[:10])
    assert code == 0
    assert "00 fe 20 6e 6f 74" in out
    assert re.search(r"^key +ff 6b 65 79$", out, re.MULTILINE)
    assert re.search(r"^header trace +00-1$", out, re.MULTILINE)
    code, out, _ = await hub("dead-letters", "show", second)
    assert '{\n  "a": 1\n}' in out

    raw = await hub.process("dead-letters", "show", first, "--raw")
    assert (raw.returncode, raw.stdout, raw.stderr) == (0, bad, b"")

    code, _, err = await hub("dead-letters", "replay", first, third)
    assert (code, f"Nothing was sent: letter {third} came from outside" in err) == (1, True)
    assert await values(bus) == []
    code, out, err = await hub("dead-letters", "replay", first)
    assert (code, out, err) == (0, f"{first} to {bus.prefix}documents.commands 2\n", "1 sent again.\n")
    assert await values(bus) == [(2, b"\xffkey", bad, (("trace", b"00-1"), (letters.ID_HEADER, first.encode())))]
    code, _, err = await hub("dead-letters", "replay", "--all")
    assert (code, err) == (0, "2 sent again.\n")
    assert [value for _, _, value, _ in await values(bus)] == [bad, bad, good]

    for words, sentence in (
        (["replay"], "Name the letters to replay, or say --all."),
        (["replay", first, "--all"], "Name the letters to replay, or say --all."),
        (["show", "zzz"], "No dead letter begins with zzz."),
        (["show", ""], "3 dead letters begin with ."),
    ):
        code, _, err = await hub("dead-letters", *words)
        assert code in (1, 2)
        assert err.startswith(sentence)


async def test_commands_on_topics_that_are_missing_say_so(hub: Hub, topic_prefix: str) -> None:
    for words, topic in ((["dead-letters", "list"], "dead.letters"), (["replay"], "documents.commands")):
        code, _, err = await hub(*words)
        assert (code, err.splitlines()[0]) == (
            1,
            f"topic {topic_prefix}{topic} is missing; `hub topics create` makes it.",
        )


# --- replay


async def test_replay_sets_the_workers_back_while_none_runs(hub: Hub, bus: Kafka) -> None:
    topic = bus.topic(topics.COMMANDS)
    await published(bus, *(Outgoing(topics.COMMANDS, b"k", b"x", partition=number) for number in (0, 0, 3)))
    worker = AIOKafkaConsumer(topic, bootstrap_servers=bus.bootstrap, group_id=f"{bus.prefix}streams")
    await worker.start()
    try:
        await worker.seek_to_end()
        await worker.commit()
        done = await hub.process("replay")
        assert (done.returncode, done.stdout, done.stderr.decode()) == (
            1,
            b"",
            "Streams workers are running, so their place can't be changed.\n  Stop them, and say this again.\n",
        )
    finally:
        await worker.stop()
    code, out, _ = await hub("replay")
    assert code == 0
    rows = [line.split() for line in out.splitlines()[1:]]
    assert rows == [[topic, "0", "0", "2"], [topic, "1", "0", "0"], [topic, "2", "0", "0"], [topic, "3", "0", "1"]]
    assert await committed(bus) == [0, 0, 0, 0]
    code, out, _ = await hub("replay", "--since", "1450/01/01")
    assert code == 0
    assert await committed(bus) == [2, 0, 0, 1]
    code, out, _ = await hub("replay", "--since", "2020-01-01T00:00")
    assert await committed(bus) == [0, 0, 0, 0]
    for words, sentence in (
        (["--since", "soon"], "'soon' is no date."),
        (["--topic", "documents.events"], "documents.events can't be replayed."),
    ):
        code, _, err = await hub("replay", *words)
        assert (code, err.splitlines()[0]) == (2, sentence)


async def committed(bus: Kafka) -> list[int | None]:
    async with letters.consumer(bus, group_id=f"{bus.prefix}streams") as client:
        partitions = [TopicPartition(bus.topic(topics.COMMANDS), number) for number in range(4)]
        client.assign(partitions)
        return [await client.committed(each) for each in partitions]
