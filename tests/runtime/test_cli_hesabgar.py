"""``hub hesabgar …`` and ``hub simulate hesabgar`` as a person runs them, with the simulated books through pymssql."""

import asyncio
import io
import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pymssql
import pytest

from connectors.hesabgar import sql
from connectors.hesabgar.build import CURSOR
from connectors.hesabgar.simulator import HesabgarSimulator
from hub.rules.settings import RuleSettings
from hub.runtime import cli
from hub.runtime.connect import StoreCursors
from hub.store import master
from hub.store.pool import Store
from schemas.commands import Submit
from schemas.documents import DocumentRequest, Kind, LineRequest
from schemas.master import Account, Finance, Product, Stock, Warehouse
from streams.deciding import decide_each
from tests.conftest import KafkaServer

NOW = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
CUSTOMER, PRODUCT, WAREHOUSE = "212010007", "10000300102", "01"


@pytest.fixture
def sim() -> Iterator[HesabgarSimulator]:
    with HesabgarSimulator(products=20, customers=20) as simulator:
        yield simulator


class Hub:
    """Runs commands with a configuration of one Hesabgar named main, against the test's own servers."""

    def __init__(self, capsys: pytest.CaptureFixture[str], file: Path, servers: str) -> None:
        self._capsys = capsys
        self._servers = servers
        self.file = file

    def configure(self, sim: HesabgarSimulator, *, more: str = "", **settings: str) -> None:
        wanted = {
            "server": sim.host,
            "company": sim.database,
            "login": sim.login,
            "password": sim.password,
            "vat_account": "230101",
            "duty_account": "230201",
            "login_timeout": "30s",
            "timeout": "60s",
        }
        lines = [f'{name} = "{value}"' for name, value in (wanted | settings).items()]
        table = "\n".join(["[connectors.hesabgar.main]", f"port = {sim.port}", *lines, more])
        self.file.write_text(f"{self._servers}\n{table}\n", encoding="utf-8")

    async def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output and errors. In a thread, as commands have an event loop of their own."""
        self._capsys.readouterr()
        code = await asyncio.to_thread(cli.main, ["--lang", "en", "--config", str(self.file), *words])
        shown = self._capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err


@pytest.fixture
def hub(
    kafka: KafkaServer,
    database: str,
    topic_prefix: str,
    sim: HesabgarSimulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Hub:
    monkeypatch.chdir(tmp_path)
    servers = ", ".join(f'"{each}"' for each in kafka.bootstrap.split(","))
    made = Hub(
        capsys,
        tmp_path / "hub.toml",
        f'[company]\nprefix = "{topic_prefix}"\n[kafka]\nbootstrap = [{servers}]\nreplication = 1\nmin_isr = 1\n'
        f'[postgres]\ndsn = "{database}"\n',
    )
    made.configure(sim)
    return made


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    made = Store(database)
    await made.open()
    yield made
    await made.close()


# --- check and accept-build


async def test_check_tells_a_good_site_and_what_to_mend(hub: Hub, sim: HesabgarSimulator) -> None:
    code, out, _ = await hub("hesabgar", "check", "main")
    assert code == 0
    assert out.startswith("hesabgar.main\nok    server: SQL Server 12.0")
    assert "ok    account numbers: vat_account: 230101" in out
    hub.configure(sim, freight_account="999")
    code, out, _ = await hub("hesabgar", "check")
    assert code == 1
    assert re.search(
        r"^error account numbers: freight_account: the books have no 999\n +freight_account: 999 در دفترها نیست\n"
        r" +→ correct the number in the hub's configuration, or make it in Hesabgar\n +→ شماره را",
        out,
        re.MULTILINE,
    )


async def test_check_tells_a_wrong_password_and_a_server_that_is_away(hub: Hub, sim: HesabgarSimulator) -> None:
    hub.configure(sim, password="swordfish")
    code, out, err = await hub("hesabgar", "check", "main")
    assert code == 1
    assert "error connection: " in out
    assert "18456" in out
    assert "swordfish" not in out + err
    sim.away()
    code, out, _ = await hub("hesabgar", "check", "hesabgar.main")
    assert code == 1
    assert "can't be reached" in out
    sim.back()


async def test_a_wrong_configuration_and_an_unknown_name_are_a_mistake(hub: Hub, sim: HesabgarSimulator) -> None:
    code, _, err = await hub("hesabgar", "check", "karaj")
    assert (code, err.splitlines()[0]) == (2, "There is no Hesabgar karaj.")
    hub.configure(sim, more="poll_me = 1")
    code, _, err = await hub("hesabgar", "check", "main")
    assert code == 2
    assert "poll_me" in err


async def test_a_changed_build_is_told_and_accepted_by_name_only(
    hub: Hub, sim: HesabgarSimulator, store: Store
) -> None:
    cursors = StoreCursors(store, "hesabgar.main")
    [(_, first, *_)] = sim.query("EXEC hub.build_fingerprint")
    code, _, err = await hub("hesabgar", "accept-build", "main", first[:12])
    assert (code, err) == (0, f"Cyberacc 14.05.1-C ({first[:12]}) is accepted; posting goes on by itself.\n")
    kept = await cursors.get(CURSOR)
    assert kept is not None
    assert first in kept
    sim.change_build("Cyberacc 15.0")
    [(_, second, *_)] = sim.query("EXEC hub.build_fingerprint")
    code, out, _ = await hub("hesabgar", "check", "main")
    assert code == 1
    assert f"→ try it, then accept it by name: hub hesabgar accept-build main {second[:12]}" in out
    code, _, err = await hub("hesabgar", "accept-build", "main", first[:12])
    assert code == 1
    assert f"the build there now is Cyberacc 15.0, fingerprint {second[:12]}; name that one" in err
    code, _, err = await hub("hesabgar", "accept-build", "main", second[:4])
    assert (code, "too little to name a build" in err) == (2, True)
    assert await cursors.get(CURSOR) == kept
    assert (await hub("hesabgar", "accept-build", "main", second[:12]))[0] == 0
    assert (await hub("hesabgar", "check", "main"))[0] == 0


# --- discover, scripts


async def test_a_site_is_set_up_from_nothing_with_the_commands(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HesabgarSimulator(products=20, customers=20, contract=False, mapped=False) as bare:
        hub.configure(bare, login="newcomer", password="New-1405")
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{bare.owner_password}\n"))
        code, out, err = await hub("hesabgar", "discover", "main", "--login", "sa", "--output", "site.toml")
        assert (code, out) == (0, "")
        assert err.startswith("Mapped: accounts, products, warehouses, stock, customer_finance, vouchers, ")
        assert "For a person to decide: stock_movements, documents, document_lines, groups." in err
        code, out, _ = await hub("hesabgar", "scripts", "main", "--mapping", "site.toml", "--output", "out")
        files = [tmp_path / each for each in out.split()]
        assert [file.name for file in files] == ["1-install.sql", "2-views.sql", "3-login.sql", "site_template.sql"]
        assert all(file.stat().st_mode & 0o077 == 0 for file in files)
        for file in files:
            bare.run(file.read_text(encoding="utf-8-sig"))
        files[-1].write_text("the site's own", encoding="utf-8")
        _, out, _ = await hub("hesabgar", "scripts", "main", "--mapping", "site.toml", "--output", "out")
        assert out.splitlines()[-1].endswith("site_template.sql is left as it is")
        assert files[-1].read_text(encoding="utf-8") == "the site's own"
        code, out, _ = await hub("hesabgar", "check", "main")
        assert code == 0, out
        assert "note  views: hub.documents has no row" in out


async def test_discover_without_the_right_to_see_tables_says_which_login_is_wanted(hub: Hub) -> None:
    code, _, err = await hub("hesabgar", "discover", "main")
    assert code == 1
    assert "this login sees no table of the database" in err


async def test_scripts_of_a_mapping_that_is_wrong_names_the_place(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('contract = 1\ntables = []\n[views.stock]\nfrom = "t"\ncolumns = {}\n')
    code, _, err = await hub("hesabgar", "scripts", "main", "--mapping", "site.toml", "--output", "out")
    assert (code, err.splitlines()[0]) == (
        2,
        "site.toml: views.stock.columns.product: missing, and the view is nothing without it.",
    )
    assert not (tmp_path / "out").exists()


# --- post --dry-run


async def document(store: Store, **fields: object) -> None:
    """shop/INV-7: a cleared invoice of two lines."""
    await master.apply(
        store,
        [
            Account(CUSTOMER, "فروشگاه نمونه"),
            Product(PRODUCT, "رم کینگستون"),
            Warehouse(WAREHOUSE, "انبار مرکزی"),
            Stock(PRODUCT, WAREHOUSE, Decimal(47), NOW),
            Finance(CUSTOMER, NOW, direct=10**12),
        ],
    )
    wanted = DocumentRequest(
        source_id="INV-7",
        kind=Kind.SALES_INVOICE,
        date=date(2026, 11, 24),
        account=CUSTOMER,
        warehouse=WAREHOUSE,
        lines=(
            LineRequest(PRODUCT, Decimal("1.5"), 2_000_000),
            LineRequest(PRODUCT, Decimal(2), 1_000_000, discount=500),
        ),
        note="تحویل فوری",
    )
    submit = Submit.of(wanted, source="shop", actor="shop", now=NOW)
    await decide_each(store, [submit], RuleSettings(), lambda: NOW + timedelta(minutes=1))


async def test_a_dry_run_shows_row_by_row_what_would_be_written_without_connecting(
    hub: Hub, sim: HesabgarSimulator, store: Store
) -> None:
    await document(store)
    sim.away()
    code, out, _ = await hub("hesabgar", "post", "--dry-run", "main", "shop/INV-7")
    sim.back()
    assert code == 0
    told = dict(line.split(maxsplit=1) for line in out.splitlines() if line and " " in line)
    assert told["kind"] == "sales_invoice"
    assert told["account"] == CUSTOMER
    assert told["vat_account"] == "230101"
    assert told["duty_account"] == "230201"
    assert told["net"] == "4,999,500"
    assert told["note"] == "تحویل فوری"
    lines = out.partition("hub.document_line_in\n")[2].splitlines()
    assert lines[0].split()[:5] == ["number", "product", "warehouse", "quantity", "unit_price"]
    assert lines[1].split()[:6] == ["1", PRODUCT, WAREHOUSE, "1.5", "2,000,000", "0"]
    assert lines[2].split()[3:6] == ["2", "1,000,000", "500"]


async def test_the_books_can_be_asked_for_the_voucher_and_keep_nothing(
    hub: Hub, sim: HesabgarSimulator, store: Store
) -> None:
    await document(store)
    code, out, _ = await hub("hesabgar", "post", "--dry-run", "--books", "main", "INV-7")
    assert code == 0
    voucher = out.partition("The voucher the books would make\n")[2].splitlines()
    assert voucher[0].split() == ["line", "account", "debit", "credit", "description"]
    rows = [line.split() for line in voucher[1:]]
    assert CUSTOMER in [row[1] for row in rows]
    assert "410001" in [row[1] for row in rows]
    assert sim.query("SELECT COUNT(*) FROM hub.outcome") == [(0,)]
    assert sim.query("SELECT COUNT(*) FROM hub.document_in") == [(0,)]


async def test_a_refusal_of_the_books_is_a_sentence(hub: Hub, sim: HesabgarSimulator, store: Store) -> None:
    await document(store)
    sim.run(f"UPDATE dbo.ACC_Account SET IsLocked = 1 WHERE AccCode = N'{CUSTOMER}'")
    code, _, err = await hub("hesabgar", "post", "--dry-run", "--books", "main", "INV-7")
    assert code == 1
    assert "50101" in err


async def test_post_alone_and_an_unknown_document_are_refused(hub: Hub) -> None:
    code, _, err = await hub("hesabgar", "post", "main", "INV-7")
    assert (code, "--dry-run" in err) == (2, True)
    code, _, err = await hub("hesabgar", "post", "--dry-run", "main", "shop/INV-8")
    assert (code, err.splitlines()[0]) == (1, "There is no document shop/INV-8.")


# --- simulate


def test_the_simulator_tells_how_to_connect_and_ends_on_ctrl_c() -> None:
    words = ["simulate", "hesabgar", "--port", "0", "--products", "10", "--customers", "10"]
    command = [sys.executable, "-m", "hub.runtime", *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        try:
            assert running.stdout is not None
            told = list(itertools.takewhile(lambda line: "Ctrl-C" not in line, running.stdout))
            settings = dict(re.findall(r'^(\w+) = "?([^"\n]+)"?$', "".join(told), re.MULTILINE))
            with pymssql.connect(
                server=settings["server"],
                port=settings["port"],
                user=settings["login"],
                password=settings["password"],
                database=settings["company"],
            ) as connection:
                cursor = connection.cursor()
                cursor.execute("SELECT COUNT(*) FROM hub.products")
                assert cursor.fetchone() == (10,)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=60)
            assert (running.returncode, err) == (0, "")
        finally:
            running.kill()


async def test_the_simulator_on_a_port_in_use_is_told(hub: Hub, sim: HesabgarSimulator) -> None:
    words = ["simulate", "hesabgar", "--port", str(sim.port)]
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "hub.runtime", *words], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 1
    assert f"The simulator can't listen on port {sim.port}" in done.stderr
    assert "--port 0" in done.stderr


def test_what_we_ship_is_for_the_version_the_hub_speaks() -> None:
    assert f"SELECT CAST({sql.VERSION} AS int) AS version" in sql.script("install")
