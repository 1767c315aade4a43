"""The T-SQL we ship: it installs on a bare company, again, is removed and comes back, and gives the least rights."""

from typing import Any

import pymssql
import pytest

from connectors.hesabgar import sql
from connectors.hesabgar.simulator import HesabgarSimulator, mapping_text
from connectors.hesabgar.simulator.errors import SqlError
from connectors.hesabgar.simulator.parser import parse

PROCEDURES = ("build_fingerprint", "post_account", "post_document", "post_product", "put_answer")
SITE = ("site_account", "site_post", "site_product")
TABLES = ("account_in", "answer", "document_in", "document_line_in", "mapped_table", "outcome", "product_in")
NEWER_THAN_2014 = (
    "create or alter",
    "drop table if exists",
    "drop view if exists",
    "drop procedure if exists",
    "string_agg",
    "string_split",
    "openjson",
    "json_value",
    "for json",
    "concat_ws",
    "greatest(",
    "least(",
    " trim(",
    "translate(",
    "at time zone",
    "generate_series",
    "is distinct from",
)


def run(connection: Any, script: str) -> None:
    """As sqlcmd would: batch by batch."""
    cursor = connection.cursor()
    for batch in sql.batches(script):
        cursor.execute(batch)
        while cursor.nextset():
            pass


def objects(simulator: HesabgarSimulator) -> dict[str, set[str]]:
    """Names in schema hub by kind, and roles."""
    found: dict[str, set[str]] = {"U": set(), "V": set(), "P": set()}
    for name, kind in simulator.query(
        "SELECT o.name, RTRIM(o.type) FROM sys.objects AS o INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id "
        "WHERE s.name = N'hub'"
    ):
        found[kind].add(name)
    found["R"] = {
        name
        for (name,) in simulator.query(
            "SELECT name FROM sys.database_principals WHERE name LIKE N'hub[_]%er' AND type = 'R'"
        )
    }
    return found


@pytest.fixture
def bare() -> Any:
    """A company nobody has installed anything in."""
    with HesabgarSimulator(products=20, customers=10, contract=False, mapped=False) as simulator:
        yield simulator


def test_it_installs_through_the_client_and_again(bare: HesabgarSimulator, connect: Any) -> None:
    connection = connect(bare, owner=True)
    run(connection, sql.script("install"))
    first = objects(bare)
    assert first == {
        "U": set(TABLES),
        "V": {view.name for view in sql.VIEWS} | {"contract_version", "horizon"},
        "P": {*PROCEDURES, *SITE},
        "R": {"hub_reader", "hub_writer"},
    }
    run(connection, sql.script("install"))
    assert objects(bare) == first
    assert bare.query("SELECT version FROM hub.contract_version") == [(sql.VERSION,)]


def test_installing_again_keeps_what_the_site_and_the_hub_have_put_there(
    books: HesabgarSimulator, connect: Any
) -> None:
    books.run("EXEC hub.post_product @external_id = N'p-1', @name = N'نو', @unit = N'عدد', @code = N'777'")
    before = books.query("SELECT object_id, name FROM sys.objects ORDER BY object_id")
    run(connect(books, owner=True), sql.script("install"))
    assert books.query("SELECT object_id, name FROM sys.objects ORDER BY object_id") == before
    assert books.query("SELECT COUNT(*) FROM hub.products WHERE code = N'777'") == [(1,)]
    assert books.query("SELECT number FROM hub.outcome WHERE external_id = N'p-1'") == [("777",)]


def test_an_older_contract_is_brought_up_to_date(bare: HesabgarSimulator, connect: Any) -> None:
    bare.run(
        """CREATE SCHEMA hub
        GO
        CREATE VIEW hub.contract_version AS SELECT CAST(0 AS int) AS version
        GO
        CREATE PROCEDURE hub.post_document AS RETURN 1"""
    )
    run(connect(bare, owner=True), sql.script("install"))
    assert bare.query("SELECT version FROM hub.contract_version") == [(sql.VERSION,)]
    parameters = bare.query(
        "SELECT COUNT(*) FROM INFORMATION_SCHEMA.PARAMETERS "
        "WHERE SPECIFIC_SCHEMA = 'hub' AND SPECIFIC_NAME = 'post_document'"
    )
    assert parameters == [(30,)]
    bare.run("ALTER TABLE hub.document_in DROP COLUMN original_fiscal_year")
    run(connect(bare, owner=True), sql.script("install"))
    assert bare.query("SELECT original_fiscal_year FROM hub.document_in") == []


def test_removing_keeps_the_memory_of_what_was_posted(books: HesabgarSimulator, connect: Any) -> None:
    books.run("EXEC hub.post_product @external_id = N'p-1', @name = N'نو', @unit = N'عدد', @code = N'777'")
    owner = connect(books, owner=True)
    run(owner, sql.script("remove"))
    assert objects(books) == {"U": set(TABLES), "V": set(), "P": set(), "R": set()}
    run(owner, sql.script("remove"))
    run(owner, sql.script("install"))
    run(owner, sql.views_script(sql.read_mapping(mapping_text())))
    again = books.query("EXEC hub.post_product @external_id = N'p-1', @name = N'نو', @unit = N'عدد'")
    assert (again[0][1], again[0][4]) == ("777", True)
    run(owner, sql.script("remove"))
    run(owner, sql.script("purge"))
    run(owner, sql.script("purge"))
    assert books.query("SELECT COUNT(*) FROM sys.schemas WHERE name = N'hub'") == [(0,)]
    run(owner, sql.script("install"))
    assert set(objects(books)["U"]) == set(TABLES)


def test_the_stand_ins_have_the_columns_that_are_declared(bare: HesabgarSimulator, connect: Any) -> None:
    run(connect(bare, owner=True), sql.script("install"))
    check_columns(bare)


def test_the_mapped_views_have_the_columns_that_are_declared(books: HesabgarSimulator) -> None:
    check_columns(books)


def check_columns(simulator: HesabgarSimulator) -> None:
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind, length, precision, scale in simulator.query(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE "
        "FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'hub' ORDER BY TABLE_NAME, ORDINAL_POSITION"
    ):
        size = f"({length})" if length else f"({precision},{scale})" if kind == "decimal" else ""
        found.setdefault(table, []).append((column, kind + size))
    for view in sql.VIEWS:
        assert found[view.name] == [(column.name, column.type) for column in view.all_columns], view.name


def test_install_says_in_both_languages_what_each_column_is() -> None:
    text = sql.script("install")
    for view in sql.VIEWS:
        assert f"hub.{view.name}: {view.english}." in text
        assert view.persian in text
        for column in view.all_columns:
            assert f"{column.english} | {column.persian}" in text, f"{view.name}.{column.name}"


@pytest.mark.parametrize("name", ["install", "remove", "purge", "login", "site_template", "adopt"])
def test_nothing_newer_than_2014_and_every_batch_parses(name: str) -> None:
    text = sql.script(name).replace("{{login}}", "hub").replace("{{password}}", "x").replace("{{writer}}", "1")
    code = " ".join(text.lower().split())
    assert [word for word in NEWER_THAN_2014 if word in code] == []
    for batch in sql.batches(text):
        parse(batch)


# --- rights -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM dbo.ACC_Account",
        "SELECT * FROM hub.document_in",
        "DELETE FROM hub.outcome",
        "INSERT INTO hub.mapped_table VALUES (N'dbo', N'x')",
        "UPDATE hub.products SET name = N'x'",
        "UPDATE dbo.STK_Mojoodi SET Meghdar = 0",
        "EXEC hub.site_post N'x', 1, N'1', N'1'",
        "EXEC dbo.SYS_NextNumber 1404, 'voucher', 1",
        "EXEC (N'SELECT * FROM dbo.ACC_Account')",
        "TRUNCATE TABLE hub.outcome",
    ],
)
def test_the_hubs_login_has_no_right_on_tables(shared: HesabgarSimulator, connect: Any, text: str) -> None:
    with pytest.raises(pymssql.Error) as refused:
        connect(shared).cursor().execute(text)
    assert refused.value.args[0] == 229


@pytest.mark.parametrize(
    "text", ["CREATE TABLE dbo.x (id int)", "DROP VIEW hub.stock", "ALTER ROLE db_owner ADD MEMBER hub"]
)
def test_the_hubs_login_changes_no_definitions(shared: HesabgarSimulator, connect: Any, text: str) -> None:
    with pytest.raises(pymssql.Error) as refused:
        connect(shared).cursor().execute(text)
    assert refused.value.args[0] == 262


@pytest.mark.parametrize("view", [*(view.name for view in sql.VIEWS), "contract_version", "horizon", "outcome"])
def test_the_hubs_login_reads_every_view(shared: HesabgarSimulator, connect: Any, view: str) -> None:
    cursor = connect(shared).cursor()
    cursor.execute(f"SELECT * FROM hub.{view}")
    assert cursor.description


def test_a_reader_may_not_post(books: HesabgarSimulator, connect: Any) -> None:
    books.run(sql.login_script("watcher", "w-1405", writer=False))
    connection = pymssql.connect(
        server=books.host,
        port=str(books.port),
        user="watcher",
        password="w-1405",
        timeout=60,
        database=books.database,
        autocommit=True,
    )
    cursor = connection.cursor()
    cursor.execute("SELECT COUNT(*) FROM hub.products")
    assert cursor.fetchall() == [(60,)]
    with pytest.raises(pymssql.Error) as refused:
        cursor.execute("EXEC hub.post_product @external_id = N'p', @name = N'n', @unit = N'عدد'")
    assert refused.value.args[0] == 229
    connection.close()


def test_the_catalogue_shows_a_login_only_what_it_has_rights_on(shared: HesabgarSimulator, connect: Any) -> None:
    cursor = connect(shared).cursor()
    cursor.execute("SELECT DISTINCT TABLE_SCHEMA FROM INFORMATION_SCHEMA.TABLES")
    assert cursor.fetchall() == [("hub",)]


def test_a_new_password_through_the_login_script(books: HesabgarSimulator, connect: Any) -> None:
    books.run(sql.login_script(books.login, "it's new"))
    books.password = "it's new"
    cursor = connect(books).cursor()
    cursor.execute("SELECT version FROM hub.contract_version")
    assert cursor.fetchall() == [(sql.VERSION,)]


# --- the mapping --------------------------------------------------------------------------------------------------


def test_without_a_mapping_views_are_empty_and_posting_is_refused(connect: Any) -> None:
    with HesabgarSimulator(products=20, customers=10, mapped=False) as simulator:
        cursor = connect(simulator).cursor()
        cursor.execute("SELECT * FROM hub.products")
        assert cursor.fetchall() == []
        with pytest.raises(pymssql.Error) as refused:
            cursor.execute(
                "EXEC hub.post_document @external_id = N'1', @kind = 'sales_invoice', @date = '20250601', "
                '@lines = N\'<lines><line number="1" product="p" quantity="1"/></lines>\''
            )
        assert refused.value.args[0] == 50009
        assert "hub.site_post" in refused.value.args[1].decode()
        assert simulator.query("SELECT COUNT(*) FROM hub.document_in") == [(0,)]


GOOD = 'contract = 1\ntables = ["dbo.T"]\n[views.warehouses]\nfrom = "dbo.T AS t"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contract = 9\ntables = []\n[views]", "contract 9"),
        ("contract = 1\ntables = []\n[views.nothing]\nfrom = 'x'\ncolumns = {}", "no such view"),
        (GOOD + "columns = {code = 't.c'}", "views.warehouses.columns.name"),
        (GOOD + "columns = {code = 't.c', name = 't.n', colour = 't.x'}", "views.warehouses.columns.colour"),
        (GOOD + "columns = {code = 't.c; DROP TABLE x', name = 't.n'}", "views.warehouses.code"),
        (GOOD.replace('dbo.T"]', 'dbo.T x"]') + "columns = {code = 't.c', name = 't.n'}", "isn't schema.table"),
        ("contract = ", "isn't TOML"),
        ("contract = 1\ntables = []", "views"),
    ],
)
def test_a_wrong_mapping_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(sql.Problem, match=words.replace(".", r"\.")):
        sql.read_mapping(text)


def test_columns_a_mapping_leaves_out_get_their_defaults(bare: HesabgarSimulator) -> None:
    bare.run(sql.script("install"))
    bare.run(
        sql.views_script(
            sql.read_mapping(
                'contract = 1\ntables = ["dbo.STK_Anbar"]\n[views.warehouses]\nfrom = "dbo.STK_Anbar AS a"\n'
                'where = "a.AnbarID < 3"\ncolumns = {code = "a.AnbarCode", name = "a.AnbarName"}'
            )
        )
    )
    assert bare.query("SELECT code, active, row_version FROM hub.warehouses") == [
        ("01", True, None),
        ("02", True, None),
    ]


# --- the fingerprint ----------------------------------------------------------------------------------------------


def fingerprint(simulator: HesabgarSimulator, connect: Any) -> tuple[Any, ...]:
    cursor = connect(simulator).cursor()
    cursor.execute("EXEC hub.build_fingerprint")
    row: tuple[Any, ...] = cursor.fetchall()[0]
    return row


def test_the_fingerprint_stays_until_the_build_changes(books: HesabgarSimulator, connect: Any) -> None:
    first = fingerprint(books, connect)
    assert first[0] == "Cyberacc 14.05.1-C"
    assert first[2:] == (21, 0)
    books.run("CREATE TABLE dbo.Elsewhere (id int)")
    books.run("UPDATE dbo.STK_Anbar SET IsActive = 0")
    assert fingerprint(books, connect) == first
    books.run("ALTER TABLE dbo.STK_Kala ADD NewColumn nvarchar(20) NULL")
    second = fingerprint(books, connect)
    assert (second[0], second[1] != first[1]) == (first[0], True)
    books.change_build("Cyberacc 15")
    third = fingerprint(books, connect)
    assert third[0] == "Cyberacc 15"
    assert len({first[1], second[1], third[1]}) == 3


def test_a_mapped_table_that_is_gone_is_counted(books: HesabgarSimulator, connect: Any) -> None:
    books.run("INSERT INTO hub.mapped_table VALUES (N'dbo', N'Gone')")
    assert fingerprint(books, connect)[2:] == (21, 1)


def test_install_stops_on_a_server_that_is_too_old(bare: HesabgarSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.hesabgar.simulator.engine.VERSION", (11, 0, 7001))
    with pytest.raises(SqlError, match="SQL Server 2014 or newer"):
        bare.run(sql.script("install"))
    assert bare.query("SELECT COUNT(*) FROM sys.schemas WHERE name = N'hub'") == [(0,)]
