"""The simulated books from rows that are given, kept in a file from one start to the next."""

import datetime as dt
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pymssql
import pytest

from connectors.hesabgar.simulator import HesabgarSimulator
from connectors.hesabgar.simulator.given import (
    Given,
    GivenAccount,
    GivenDocument,
    GivenFinance,
    GivenLine,
    GivenProduct,
    GivenStock,
    GivenWarehouse,
)

COMPANY = Given(
    warehouses=(GivenWarehouse("101", "انبار مرکزی"),),
    products=(
        GivenProduct("1001", "کتاب", "جلد", 10_000, "100"),
        GivenProduct("1002", "نصب", "ساعت", 1, "200", True, False),
    ),
    accounts=(GivenAccount("212010001", "فروشگاه پارس", "کرمانشاه", "021-66700101"),),
    stock=(GivenStock("1001", "101", Decimal("14.16667")),),
    finance=(GivenFinance("212010001", 500, 40, -7, 30, 25),),
)
LINES = '<lines><line number="1" product="1001" warehouse="101" quantity="4" unit_price="10000" net="40000"/></lines>'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "books.sqlite3"


@contextmanager
def books(file: Path) -> Iterator[HesabgarSimulator]:
    with HesabgarSimulator(company=COMPANY, file=file) as simulator:
        yield simulator


def ask(simulator: HesabgarSimulator, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows the hub's login gets."""
    with closing(
        pymssql.connect(
            server=simulator.host,
            port=str(simulator.port),
            user=simulator.login,
            password=simulator.password,
            database=simulator.database,
            autocommit=True,
            timeout=60,
            tds_version="7.4",
        )
    ) as connection:
        cursor = connection.cursor()
        cursor.execute(text, parameters)
        return list(cursor.fetchall())


def post(simulator: HesabgarSimulator, external_id: str) -> dict[str, Any]:
    """Sell four books, as the hub does; the answer by its columns."""
    rows = ask(
        simulator,
        "EXEC hub.post_document @external_id = %s, @kind = 'sales_invoice', @date = '2026-11-24', "
        "@account = '212010001', @net = 40000, @payable = 40000, @lines = %s",
        external_id,
        LINES,
    )
    names = (
        "external_id",
        "kind",
        "revision",
        "fiscal_year",
        "number",
        "voucher_number",
        "posted_at",
        "version",
        "old",
    )
    return dict(zip(names, rows[0], strict=True))


def test_the_contract_shows_the_rows_that_were_given(file: Path) -> None:
    with books(file) as simulator:
        assert ask(simulator, "SELECT code, name FROM hub.warehouses") == [("101", "انبار مركزي")]
        assert ask(simulator, "SELECT code, unit, price, vat_exempt, stocked FROM hub.products ORDER BY code") == [
            ("1001", "جلد", 10_000, False, True),
            ("1002", "ساعت", 1, True, False),
        ]
        assert ask(simulator, "SELECT product, warehouse, on_hand FROM hub.stock") == [
            ("1001", "101", Decimal("14.16667"))
        ]
        figures = "direct, documentary, balance, uncleared_cheques, returned_cheques"
        assert ask(simulator, f"SELECT account, {figures} FROM hub.customer_finance") == [
            ("212010001", 500, 40, -7, 30, 25)
        ]
        assert ask(simulator, "SELECT phones FROM hub.accounts WHERE code = '212010001'") == [("021-66700101",)]


def test_what_was_posted_yesterday_is_known_today(file: Path) -> None:
    with books(file) as simulator:
        first = post(simulator, "a")
        [(horizon,)] = ask(simulator, "SELECT row_version FROM hub.horizon")
    with books(file) as simulator:
        assert ask(simulator, "SELECT on_hand FROM hub.stock") == [(Decimal("10.16667"),)]
        assert post(simulator, "a") == {**first, "old": True}
        second = post(simulator, "b")
        assert int(second["number"]) == int(first["number"]) + 1
        assert int(second["voucher_number"]) == int(first["voucher_number"]) + 1
        changed = "SELECT on_hand FROM hub.stock WHERE row_version >= %d"
        assert ask(simulator, changed, horizon) == [(Decimal("6.16667"),)]
        assert simulator.query("SELECT COUNT(*) FROM dbo.ACC_Sanad") == [(2,)]


def test_what_was_undone_is_not_kept(file: Path) -> None:
    with books(file) as simulator:
        simulator.run("BEGIN TRANSACTION; DELETE FROM dbo.STK_Mojoodi; ROLLBACK; DELETE FROM dbo.ACC_Check;")
    with books(file) as simulator:
        assert simulator.query("SELECT COUNT(*) FROM dbo.STK_Mojoodi") == [(1,)]
        assert simulator.query("SELECT COUNT(*) FROM dbo.ACC_Check") == [(0,)]


def test_the_build_is_the_same_after_a_restart(file: Path) -> None:
    with books(file) as simulator:
        before = ask(simulator, "EXEC hub.build_fingerprint")
    with books(file) as simulator:
        assert ask(simulator, "EXEC hub.build_fingerprint") == before


def test_what_people_entered_is_there_once_and_is_not_the_hubs(file: Path) -> None:
    lines = (GivenLine("1001", 2, 10_000, 1_200, 800),)
    sale = GivenDocument("sales_invoice", dt.date(2026, 11, 24), "212010001", "101", "cash", lines)
    company = msgspec.structs.replace(COMPANY, documents=(sale,))
    for _ in range(2):
        with HesabgarSimulator(company=company, file=file) as simulator:
            documents = "SELECT kind, number, account, external_id, net, vat, duty, payable FROM hub.documents"
            assert ask(simulator, documents) == [("sales_invoice", "1", "212010001", None, 20_000, 1_200, 800, 22_000)]
            assert ask(simulator, "SELECT on_hand FROM hub.stock") == [(Decimal("12.16667"),)]
            assert ask(simulator, "SELECT external_id FROM hub.outcome") == []


def test_what_came_from_the_hub_is_changed_by_it(file: Path) -> None:
    with HesabgarSimulator(company=msgspec.structs.replace(COMPANY, from_hub=True), file=file) as simulator:
        ask(simulator, "EXEC hub.post_product @external_id = '1001', @name = N'x', @unit = N'جلد', @revision = 7")
        assert ask(simulator, "SELECT name FROM hub.products WHERE code = '1001'") == [("x",)]
