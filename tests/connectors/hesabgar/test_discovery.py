"""Drafting a mapping: of the simulated company's bare tables through pymssql, and of tables named in other ways."""

import re
import tomllib
from collections.abc import AsyncIterator, Iterator

import pytest

from connectors.base import Rejected
from connectors.hesabgar import discovery, sql
from connectors.hesabgar.client import Client
from connectors.hesabgar.discovery import Draft, Field, Shape, Table, draft, survey
from connectors.hesabgar.simulator import HesabgarSimulator
from schemas.secret import Secret
from tests.connectors.hesabgar.world import spec_of

ESSENTIAL = {
    "accounts": {"code": "AccCode", "name": "AccName", "vat_exempt": "IsMoaf", "active": "CASE b.IsLocked WHEN 1"},
    "products": {"code": "KalaCode", "name": "KalaName", "unit": "VahedName", "price": "Fi", "group_code": "GroupCode"},
    "warehouses": {"code": "AnbarCode", "name": "AnbarName", "active": "IsActive"},
    "stock": {"product": "KalaCode", "warehouse": "AnbarCode", "attribute": "MoshCode", "on_hand": "Meghdar"},
    "customer_finance": {"account": "AccCode", "balance": "Mande", "direct": "Direct", "documentary": "Asnadi"},
    "vouchers": {"voucher_number": "SanadNo", "account": "AccCode", "debit": "Bed", "credit": "Bes"},
    "build": {"company": "Company", "build": "Build"},
}


@pytest.fixture(scope="module")
def bare() -> Iterator[HesabgarSimulator]:
    """A company without the contract."""
    with HesabgarSimulator(products=60, customers=40, contract=False, mapped=False) as simulator:
        yield simulator


@pytest.fixture
async def owner(bare: HesabgarSimulator) -> AsyncIterator[Client]:
    client = Client(spec_of(bare, login="sa", password=Secret(bare.owner_password)))
    yield client
    client.close()


@pytest.fixture
async def made(owner: Client) -> Draft:
    return draft(await survey(owner))


# --- the simulated company


async def test_the_essentials_are_mapped(made: Draft) -> None:
    mapping = sql.read_mapping(made.toml())
    for view, columns in ESSENTIAL.items():
        for column, part in columns.items():
            assert part in mapping.views[view].columns[column], f"{view}.{column}"
    assert "dbo.STK_Anbar" in mapping.tables
    assert "dbo.SYS_Option" not in mapping.tables
    assert mapping.views["stock"].row_version == ["b.RowVer"]
    assert mapping.views["products"].row_version[0] == "b.RowVer"


async def test_a_group_is_looked_for_in_its_own_part_of_the_system(made: Draft) -> None:
    mapping = sql.read_mapping(made.toml())
    assert "JOIN dbo.ACC_Group AS j_group_code" in mapping.views["accounts"].source
    assert "JOIN dbo.STK_Group AS j_group_code" in mapping.views["products"].source


async def test_the_draft_runs_and_fills_the_views_as_the_right_mapping_does(made: Draft) -> None:
    with (
        HesabgarSimulator(products=60, customers=40, mapped=False) as drafted,
        HesabgarSimulator(products=60, customers=40) as right,
    ):
        drafted.run(sql.views_script(sql.read_mapping(made.toml())))
        for view, columns in ESSENTIAL.items():
            query = f"SELECT {', '.join(columns)} FROM hub.{view} ORDER BY {', '.join(columns)}"
            rows = drafted.query(query)
            assert rows == right.query(query), view
            assert rows
        phones = "SELECT code, phones FROM hub.accounts ORDER BY code"
        assert drafted.query(phones) == right.query(phones)


async def test_what_it_is_not_sure_of_is_a_comment_with_candidates(made: Draft) -> None:
    text = made.toml()
    views = {view.name: view for view in made.views}
    for name in ("documents", "document_lines", "stock_movements", "groups"):
        assert views[name].missing == ("kind",)
        assert f"\n# [views.{name}]\n" in text
        assert name not in tomllib.loads(text)["views"]
    assert '# kind = "b.Kind"  # 0.50: ' in text
    assert "from the site's own kinds to the hub's words" in text
    assert "uncleared_cheques: cheques not cleared yet; a sum over the table of cheques" in text
    second_unit = next(line for line in text.splitlines() if line.startswith("# second_unit = "))
    assert "j_second_unit.VahedID = b.Vahed2ID" in second_unit
    assert "there is no foreign key" in second_unit
    detail = [line for line in text.splitlines() if line.startswith("# detail_group = ")]
    assert {"dbo.ACC_Group" in line for line in detail} == {True, False}
    assert "; else dbo.ACC_Group" in text


async def test_each_mapped_column_tells_how_sure_and_why(made: Draft) -> None:
    lines = [line for line in made.toml().splitlines() if re.match(r"[a-z_]+ = \"(b|h|j_\w+)\.", line)]
    assert len(lines) > 40
    for line in lines:
        assert re.search(r"  # [01]\.\d\d: \w", line), line
    code = next(line for line in lines if line.startswith('code = "b.KalaCode"'))
    assert "its name 'KalaCode'; nvarchar(20); unique; its values look like codes" in code
    assert all(guess.confidence >= discovery.SURE for view in made.views for guess in view.sure.values())


async def test_no_value_of_the_database_is_in_the_draft(made: Draft, bare: HesabgarSimulator) -> None:
    text = made.toml()
    rows = bare.query("SELECT AccCode, AccName, Tel, Mobile, Addr, MelliCode, EconomyCode FROM dbo.ACC_Account")
    rows += bare.query("SELECT KalaCode, KalaName, Barcode FROM dbo.STK_Kala")
    values = {str(value) for row in rows for value in row if value and len(str(value)) > 4}
    assert len(values) > 200
    assert not [value for value in values if value in text]


async def test_the_survey_writes_nothing_and_counts_from_the_catalogue(bare: HesabgarSimulator, owner: Client) -> None:
    before = bare.query("SELECT MIN_ACTIVE_ROWVERSION()")
    tables = await survey(owner)
    assert bare.query("SELECT MIN_ACTIVE_ROWVERSION()") == before
    assert tables["dbo.STK_Kala"].rows == 60
    assert tables["dbo.STK_DocRow"].references == {"DocID": "dbo.STK_Doc"}
    assert tables["dbo.STK_Mojoodi"].primary == ("KalaID", "AnbarID", "MoshID")
    assert tables["dbo.ACC_Account"].fields["AccCode"].unique
    assert tables["dbo.ACC_Account"].shapes["Mobile"].phone > 0.9


async def test_a_login_that_sees_no_table_is_told_which_one_to_use(sim: HesabgarSimulator) -> None:
    client = Client(spec_of(sim))
    try:
        with pytest.raises(Rejected, match="sees no table of the database"):
            await survey(client)
    finally:
        client.close()


# --- other ways of naming


def table(name: str, key: str, *fields: str, rows: int = 10, **references: str) -> Table:
    """``table("Unit", "Id", "Title nvarchar")``: a table, its columns' types after their names, "?" if nullable."""
    made = {}
    for each in (f"{key} int", *fields):
        column, kind = each.split()
        nullable = kind.endswith("?")
        made[column] = Field(column, kind.rstrip("?"), 50, 0, nullable, column == key)
    return Table("dbo", name, rows, made, (key,), references)


def by_name(*tables: Table) -> dict[str, Table]:
    return {each.full: each for each in tables}


ENGLISH = by_name(
    table("MeasureUnits", "Id", "Title nvarchar"),
    table("Categories", "Id", "Code nvarchar", "Title nvarchar"),
    table(
        "Products", "Id", "Code nvarchar", "Title nvarchar", "SalePrice money", "MainUnit int", "Enabled bit",
        "CategoryId int?", "Stamp timestamp", MainUnit="dbo.MeasureUnits", CategoryId="dbo.Categories",
    ),
    table("Warehouses", "Id", "Code nvarchar", "Name nvarchar"),
    table(
        "Inventory", "Id", "ProductId int", "Place int", "Quantity decimal",
        ProductId="dbo.Products", Place="dbo.Warehouses",
    ),
)  # fmt: skip


def test_foreign_keys_tell_what_names_do_not() -> None:
    made = {view.name: view for view in draft(ENGLISH).views}
    products, stock = made["products"], made["stock"]
    assert products.table == "dbo.Products"
    assert products.sure["unit"].expression == "j_unit.Title"
    assert "a foreign key leads from MainUnit to dbo.MeasureUnits" in products.sure["unit"].why
    assert "INNER JOIN dbo.MeasureUnits AS j_unit ON j_unit.Id = b.MainUnit" in products.source
    assert "LEFT JOIN dbo.Categories AS j_group_code ON j_group_code.Id = b.CategoryId" in products.source
    assert products.row_version == ("b.Stamp",)
    assert stock.sure["warehouse"].expression == "j_warehouse.Code"
    assert stock.sure["on_hand"].expression == "b.Quantity"
    assert not stock.missing
    sql.read_mapping(draft(ENGLISH).toml())


def test_persian_names_are_understood_and_quoted_where_needed() -> None:
    made = draft(
        by_name(
            table("انبارها", "شناسه", "کد nvarchar", "نام nvarchar"),
            table("كالا", "شناسه", "كد nvarchar", "نام nvarchar", "قيمت bigint", "واحد nvarchar"),
            table("واحد", "شناسه", "نام nvarchar"),
        )
    )
    products = next(view for view in made.views if view.name == "products")
    assert products.table == "dbo.كالا"
    assert products.source.startswith("dbo.[كالا] AS b")
    assert {name: guess.expression for name, guess in products.sure.items()} == {
        "code": "b.[كد]",
        "name": "b.[نام]",
        "unit": "b.[واحد]",
        "price": "b.[قيمت]",
    }
    sql.read_mapping(made.toml())


def test_jalali_dates_as_text_are_not_mapped_as_they_are() -> None:
    sanad = table("Sanad", "SanadID", "SanadNo int", "SanadDate nvarchar", "FiscalYear smallint")
    sanad.shapes = {"SanadDate": Shape(rows=5, filled=1, jalali=1)}
    row = table("SanadRow", "RowID", "SanadID int", "RowNo int", "Bed bigint", "Bes bigint", SanadID="dbo.Sanad")
    [vouchers] = [view for view in draft(by_name(sanad, row)).views if view.name == "vouchers"]
    assert "date" in vouchers.missing
    assert "Jalali" in vouchers.unsure["date"][0].converts
    assert vouchers.sure["voucher_number"].expression == "CONVERT(nvarchar(50), h.SanadNo)"


def test_values_that_repeat_are_no_codes() -> None:
    kala = table("Kala", "ID", "KalaCode nvarchar", "KalaName nvarchar")
    kala.shapes = {"KalaCode": Shape(rows=100, filled=1, distinct=0.02, code=1)}
    [before] = [
        view for view in draft(by_name(table("Kala", "ID", "KalaCode nvarchar"))).views if view.name == "products"
    ]
    [after] = [view for view in draft(by_name(kala)).views if view.name == "products"]
    best = {
        guess.expression: guess.confidence for guess in [after.sure.get("code"), *after.unsure.get("code", [])] if guess
    }
    assert best["b.KalaCode"] < before.sure["code"].confidence - 0.15


def test_nothing_known_is_a_draft_of_comments_alone() -> None:
    made = draft(by_name(table("Xyz", "A", "B int")))
    assert made.mapped == []
    assert sql.read_mapping(made.toml() + "[views]\n") == sql.Mapping(contract=sql.VERSION, tables=[], views={})
