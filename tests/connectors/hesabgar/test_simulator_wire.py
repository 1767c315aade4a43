"""The simulated SQL Server as pymssql and FreeTDS see it: logging in, types, results, errors, transactions."""

import asyncio
import datetime as dt
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pymssql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.hesabgar.simulator import HesabgarSimulator
from connectors.hesabgar.simulator.engine import Engine
from connectors.hesabgar.simulator.server import HOST, Listener

PERSIAN = "سلام، «كتاب» ی ک ي ۱۲۳ ‌نیم‌فاصله 😀"


def one(cursor: Any, text: str, parameters: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    cursor.execute(text, parameters) if parameters else cursor.execute(text)
    rows = cursor.fetchall()
    assert len(rows) == 1
    row: tuple[Any, ...] = rows[0]
    return row


@pytest.fixture
def cursor(shared: HesabgarSimulator, connect: Any) -> Any:
    return connect(shared, owner=True).cursor()


# --- logging in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "password", "database"),
    [("hub", "wrong", "cy140501"), ("nobody", "hub-1405", "cy140501"), ("hub", "hub-1405", "cy999999")],
)
def test_a_wrong_login_is_refused_with_18456(
    shared: HesabgarSimulator, user: str, password: str, database: str
) -> None:
    with pytest.raises(pymssql.OperationalError) as refused:
        pymssql.connect(
            server=shared.host, port=str(shared.port), user=user, password=password, database=database, login_timeout=60
        )
    number = refused.value.args[0][0]
    assert number in (18456, 4060)


def test_a_changed_password_counts_for_the_next_login(books: HesabgarSimulator, connect: Any) -> None:
    old = connect(books)
    books.set_password("another")
    assert one(old.cursor(), "SELECT 1") == (1,)
    with pytest.raises(pymssql.OperationalError):
        connect(books)


def test_the_server_tells_what_it_is(cursor: Any) -> None:
    version, collation, name, database = one(
        cursor,
        "SELECT CONVERT(nvarchar(20), SERVERPROPERTY('ProductVersion')), CONVERT(nvarchar(50), "
        "SERVERPROPERTY('Collation')), @@VERSION, DB_NAME()",
    )
    assert version.startswith("12.")
    assert collation == "Persian_100_CI_AS"
    assert "SQL Server 2014" in name
    assert database == "cy140501"


# --- types --------------------------------------------------------------------------------------------------------

TYPES = [
    ("bit", True),
    ("bit", False),
    ("tinyint", 255),
    ("smallint", -32_768),
    ("int", 2_147_483_647),
    ("bigint", -9_223_372_036_854_775_808),
    ("decimal(18,5)", Decimal("2.83333")),
    ("decimal(18,5)", Decimal("-9999999999999.99999")),
    ("decimal(38,0)", Decimal("12345678901234567890123456789012345678")),
    ("decimal(38,20)", Decimal("-123456789012345678.12345678901234567890")),
    ("decimal(9,2)", Decimal("0.01")),
    ("money", Decimal("-922337203685477.5808")),
    ("nvarchar(60)", PERSIAN),
    ("nvarchar(60)", ""),
    ("nvarchar(max)", PERSIAN * 3_000),
    ("varchar(60)", "کتاب فروشي پژ 12"),
    ("varchar(max)", "x" * 20_000),
    ("nchar(5)", "سلام "),
    ("date", dt.date(1, 1, 1)),
    ("date", dt.date(9999, 12, 31)),
    ("datetime", dt.datetime(2026, 11, 24, 23, 59, 59, 997_000)),
    ("datetime2(3)", dt.datetime(1, 1, 1, 0, 0, 0, 1_000)),
    ("datetime2(7)", dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)),
    ("time(3)", dt.time(12, 30, 15, 123_000)),
    ("uniqueidentifier", uuid.UUID("0f8c2a0e-6a0b-5d51-9a0f-1f6c1e0d2b3c")),
    ("binary(8)", b"\x00\x00\x00\x00\x00\x00\x07\xd1"),
    ("varbinary(20)", b"\x00\xff\x10"),
    ("varbinary(max)", bytes(range(256)) * 100),
    ("float", 0.1),
]


def written(value: Any) -> str:
    """A value as T-SQL that no client could spoil."""
    match value:
        case bool():
            return str(int(value))
        case bytes():
            return "0x" + value.hex()
        case str():
            return "N'" + value.replace("'", "''") + "'"
        case dt.datetime() | dt.date() | dt.time():
            return f"'{value.isoformat()}'"
        case uuid.UUID():
            return f"'{value}'"
        case _:
            return str(value)


@pytest.mark.parametrize(("kind", "value"), TYPES, ids=lambda each: str(each)[:30])
def test_every_type_comes_back_as_it_went(cursor: Any, kind: str, value: Any) -> None:
    cursor.execute(f"CREATE TABLE #kept (id int NOT NULL, value {kind} NULL)")
    cursor.execute(f"INSERT INTO #kept (id, value) VALUES (1, {written(value)}), (2, NULL)")
    cursor.execute("SELECT value, id FROM #kept ORDER BY id")
    assert cursor.fetchall() == [(value, 1), (None, 2)]
    cursor.execute("DROP TABLE #kept")


@pytest.mark.parametrize(
    ("kind", "value"),
    [each for each in TYPES if not isinstance(each[1], bytes | dt.time) and each[0] != "datetime2(7)"],
    ids=lambda each: str(each)[:30],
)
def test_every_type_goes_as_a_parameter_of_the_client(cursor: Any, kind: str, value: Any) -> None:
    (came,) = one(cursor, f"SELECT CAST(%s AS {kind})", (value,))
    assert came == value


def test_letters_outside_the_code_page_are_lost_in_varchar_as_on_the_real_server(cursor: Any) -> None:
    assert one(cursor, "SELECT CAST(N'علی' AS varchar(10)), CAST(N'علي' AS varchar(10))") == ("عل?", "علي")


def test_decimal_arithmetic_is_exact_and_typed_as_the_server_types_it(cursor: Any) -> None:
    assert one(
        cursor,
        """SELECT CAST(0.1 AS decimal(18,5)) + CAST(0.2 AS decimal(18,5)), CAST(2.83333 AS decimal(18,5)) * 3,
            2.0 / 3, 7 / 2, -7 / 2, -7 % 3, CAST(99999999999999999999999999999999999999 AS decimal(38,0)) - 1,
            ROUND(CAST(2.5 AS decimal(9,1)), 0), CAST(2.5 AS int), CAST(CAST(2.5 AS decimal(9,1)) AS decimal(9,0))""",
    ) == (
        Decimal("0.30000"),
        Decimal("8.49999"),
        Decimal("0.666666"),
        3,
        -3,
        -1,
        Decimal("99999999999999999999999999999999999998"),
        Decimal("3.0"),
        2,
        Decimal(3),
    )


@pytest.fixture(scope="module")
def lasting(shared: HesabgarSimulator) -> Iterator[Any]:
    """A cursor for a whole module."""
    connection = pymssql.connect(
        server=shared.host,
        port=str(shared.port),
        user="sa",
        password=shared.owner_password,
        database=shared.database,
        timeout=60,
    )
    yield connection.cursor()
    connection.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-(10**38) + 1, 10**38 - 1),
            st.integers(-(10**18) + 1, 10**18 - 1).map(lambda whole: Decimal(whole).scaleb(-5)),
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40),
            st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_goes_comes_back(lasting: Any, rows: list[tuple[int, Decimal, str, dt.datetime]]) -> None:
    values = ", ".join(
        f"(CAST({big} AS decimal(38,0)), CAST({exact:f} AS decimal(18,5)), {written(words)}, "
        f"CAST({written(moment)} AS datetime2(7)))"
        for big, exact, words, moment in rows
    )
    lasting.execute(f"SELECT v.a, v.b, v.c, v.d FROM (VALUES {values}) AS v (a, b, c, d)")
    assert lasting.fetchall() == [(Decimal(big), exact, words, moment) for big, exact, words, moment in rows]


def test_sums_of_decimals_are_exact(cursor: Any) -> None:
    cursor.execute("CREATE TABLE #sums (amount decimal(18,5) NOT NULL)")
    for _ in range(3):
        cursor.execute("INSERT INTO #sums VALUES " + ", ".join(["(0.00001)", "(12345678901.10000)"] * 300))
    assert one(cursor, "SELECT SUM(amount), COUNT(*), MAX(amount) FROM #sums") == (
        Decimal("11111111010990.00900"),
        1_800,
        Decimal("12345678901.10000"),
    )
    cursor.execute("DROP TABLE #sums")


def test_nulls_among_values_in_wide_rows(cursor: Any) -> None:
    items = ", ".join("NULL" if at % 3 else f"N'v{at}'" for at in range(100))
    row = one(cursor, f"SELECT {items.replace('N', 'N')}")
    assert row == tuple(None if at % 3 else f"v{at}" for at in range(100))


# --- results ------------------------------------------------------------------------------------------------------


def test_several_result_sets_with_their_columns(cursor: Any) -> None:
    cursor.execute("SELECT 1 AS one; SELECT N'دو' AS two, 2 AS [the second]; SELECT 3 AS three WHERE 1 = 0")
    assert cursor.description[0][0] == "one"
    assert cursor.fetchall() == [(1,)]
    assert cursor.nextset()
    assert [column[0] for column in cursor.description] == ["two", "the second"]
    assert cursor.fetchall() == [("دو", 2)]
    assert cursor.nextset()
    assert cursor.fetchall() == []
    assert not cursor.nextset()


def test_row_counts_and_no_count(cursor: Any) -> None:
    cursor.execute("CREATE TABLE #counted (id int)")
    cursor.execute("INSERT INTO #counted VALUES (1), (2), (3)")
    assert cursor.rowcount == 3
    cursor.execute("UPDATE #counted SET id = id + 10 WHERE id > 1")
    assert cursor.rowcount == 2
    cursor.execute("DELETE FROM #counted WHERE id = 99")
    assert cursor.rowcount == 0
    cursor.execute("SET NOCOUNT ON; DELETE FROM #counted; SET NOCOUNT OFF;")
    assert cursor.rowcount == -1
    cursor.execute("DROP TABLE #counted")


def test_a_long_batch_and_a_long_answer_are_many_packets(cursor: Any) -> None:
    text = PERSIAN * 4_000
    assert one(cursor, f"SELECT N'{text}' AS long, LEN(N'{text}')")[0] == text
    rows = " UNION ALL ".join(f"SELECT {at} AS n, N'{PERSIAN} {at}' AS w" for at in range(900))
    cursor.execute(rows)
    assert cursor.fetchall() == [(at, f"{PERSIAN} {at}") for at in range(900)]


@pytest.mark.parametrize("size", [512, 4_096, 32_000])
def test_the_packet_size_is_agreed(shared: HesabgarSimulator, connect: Any, size: int) -> None:
    connection = connect(shared, owner=True, conn_properties=f"SET TEXTSIZE 2147483647;{' ' * size}")
    assert one(connection.cursor(), "SELECT REPLICATE(N'ب', 4000)") == ("ب" * 4_000,)


def test_a_slow_reader_gets_everything(shared: HesabgarSimulator, connect: Any) -> None:
    cursor = connect(shared, owner=True).cursor()
    cursor.execute(
        "SELECT a.KalaID, b.KalaName, c.KalaID FROM dbo.STK_Kala AS a CROSS JOIN dbo.STK_Kala AS b "
        "CROSS JOIN (SELECT TOP (10) KalaID FROM dbo.STK_Kala) AS c"
    )
    assert sum(1 for _ in cursor) == 60 * 60 * 10


# --- errors -------------------------------------------------------------------------------------------------------

ERRORS = [
    ("SELECT 1 / 0", 8134),
    ("SELECT * FROM dbo.Nothing", 208),
    ("SELECT Nothing FROM dbo.STK_Kala", 207),
    ("SELEC 1", 2812),
    ("SELECT (1 +", 102),
    ("SELECT 1 FROM", 102),
    ("SELECT @x", 137),
    ("SELECT CAST(N'الف' AS int)", 245),
    ("SELECT CAST('2026-13-45' AS date)", 241),
    ("SELECT CAST(N'x' AS uniqueidentifier)", 8169),
    ("SELECT CAST(123456 AS decimal(5,2))", 8115),
    ("SELECT CAST(300 AS tinyint)", 8115),
    ("EXEC dbo.Nothing", 2812),
    ("EXEC hub.post_document @external_id = N'x'", 201),
    ("EXEC hub.post_document @nothing = 1", 8145),
    ("RAISERROR(N'خطای خودمان %s', 16, 1, N'اینجا')", 50000),
    ("THROW 51234, N'سطر ۳: نه', 1", 51234),
    ("INSERT INTO dbo.STK_Anbar (AnbarID, AnbarCode, AnbarName, IsActive) VALUES (1, N'99', N'x', 1)", 2627),
    ("INSERT INTO dbo.STK_Anbar (AnbarID, AnbarCode, AnbarName, IsActive) VALUES (9, NULL, N'x', 1)", 515),
    ("INSERT INTO dbo.STK_Anbar (AnbarID, AnbarCode, AnbarName, IsActive) VALUES (9, N'12345678901', N'x', 1)", 8152),
    ("INSERT INTO hub.outcome (item, external_id, revision, number, posted_at) "
     "VALUES ('x', 'x', 1, '1', '20260101')", 547),
    ("INSERT INTO dbo.STK_DocRow (DocID, RowNo, KalaID, MoshID, Meghdar, Vared, Sader, Fi, Takhfif, Khales, Maliat, "
     "Avarez) VALUES (-1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)", 547),
    ("INSERT INTO dbo.STK_Kala (KalaID) VALUES (1)", 544),
    ("UPDATE dbo.STK_Kala SET RowVer = 0x00", 8102),
    ("COMMIT TRANSACTION", 3902),
    ("ROLLBACK TRANSACTION", 3903),
    ("CREATE TABLE dbo.STK_Kala (id int)", 2714),
    ("DROP TABLE dbo.Nothing", 3701),
    ("SELECT (SELECT KalaID FROM dbo.STK_Kala)", 512),
    ("SELECT KalaID, COUNT(*) FROM dbo.STK_Kala", 8120),
    ("USE master", 911),
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), ERRORS, ids=[text[:40] for text, _ in ERRORS])
def test_errors_have_the_numbers_of_sql_server(cursor: Any, text: str, number: int) -> None:
    with pytest.raises(pymssql.Error) as refused:
        cursor.execute(text)
    assert refused.value.args[0] == number
    assert one(cursor, "SELECT 1") == (1,)


def test_an_error_keeps_its_persian_words(cursor: Any) -> None:
    with pytest.raises(pymssql.Error) as refused:
        cursor.execute("THROW 50104, N'سطر ۲: موجودی کالای «رم» کافی نیست', 1")
    assert "سطر ۲: موجودی کالای «رم» کافی نیست" in refused.value.args[1].decode()


def test_try_and_catch_see_the_error_and_throw_it_on(cursor: Any) -> None:
    row = one(
        cursor,
        """BEGIN TRY
            SELECT 1 / 0 AS never;
        END TRY
        BEGIN CATCH
            SELECT ERROR_NUMBER(), ERROR_SEVERITY(), ERROR_LINE(), ERROR_MESSAGE(), XACT_STATE();
        END CATCH""".replace("SELECT 1 / 0 AS never", "DECLARE @x int = 1 / 0"),
    )
    assert row == (8134, 16, 2, "Divide by zero error encountered.", 0)
    with pytest.raises(pymssql.Error) as again:
        cursor.execute("BEGIN TRY DECLARE @x int = 1 / 0; END TRY BEGIN CATCH THROW; END CATCH")
    assert again.value.args[0] == 8134


# --- transactions -------------------------------------------------------------------------------------------------


def test_commit_and_rollback_through_the_client(books: HesabgarSimulator, connect: Any) -> None:
    connection = connect(books, owner=True, autocommit=False)
    cursor = connection.cursor()
    assert one(cursor, "SELECT @@TRANCOUNT") == (1,)
    cursor.execute("INSERT INTO dbo.STK_Vahed (VahedName) VALUES (N'حلقه')")
    connection.rollback()
    cursor.execute("INSERT INTO dbo.STK_Vahed (VahedName) VALUES (N'دستگاه')")
    connection.commit()
    names = [name for (name,) in books.query("SELECT VahedName FROM dbo.STK_Vahed")]
    assert "حلقه" not in names
    assert "دستگاه" in names


def test_savepoints_and_nesting(cursor: Any) -> None:
    rows = one(
        cursor,
        """CREATE TABLE #saved (id int);
        BEGIN TRAN; INSERT INTO #saved VALUES (1); SAVE TRANSACTION here; INSERT INTO #saved VALUES (2);
        BEGIN TRAN; INSERT INTO #saved VALUES (3); COMMIT; ROLLBACK TRANSACTION here; COMMIT;
        SELECT COUNT(*), MAX(id), @@TRANCOUNT FROM #saved; DROP TABLE #saved;""",
    )
    assert rows == (1, 1, 0)


def test_xact_abort_undoes_everything_and_ends_the_batch(books: HesabgarSimulator, connect: Any) -> None:
    cursor = connect(books, owner=True).cursor()
    with pytest.raises(pymssql.Error):
        cursor.execute(
            "SET XACT_ABORT ON; BEGIN TRAN; INSERT INTO dbo.STK_Vahed (VahedName) VALUES (N'حلقه'); "
            "INSERT INTO dbo.STK_Vahed (VahedName) VALUES (N'حلقه'); COMMIT;"
        )
    assert one(cursor, "SELECT @@TRANCOUNT, (SELECT COUNT(*) FROM dbo.STK_Vahed WHERE VahedName = N'حلقه')") == (0, 0)


def test_a_failed_statement_leaves_the_transaction_without_xact_abort(books: HesabgarSimulator, connect: Any) -> None:
    cursor = connect(books, owner=True).cursor()
    with pytest.raises(pymssql.Error):
        cursor.execute(
            "BEGIN TRAN; INSERT INTO dbo.STK_Vahed (VahedName) VALUES (N'حلقه'); "
            "INSERT INTO dbo.STK_Vahed (VahedName) VALUES (N'جعبه'), (N'حلقه'); COMMIT;"
        )
    names = [
        name for (name,) in books.query("SELECT VahedName FROM dbo.STK_Vahed WHERE VahedName IN (N'حلقه', N'جعبه')")
    ]
    assert names == ["حلقه"]


def test_a_doomed_transaction_can_only_be_rolled_back(cursor: Any) -> None:
    row = one(
        cursor,
        """SET XACT_ABORT ON;
        DECLARE @state int, @refused int;
        BEGIN TRAN;
        BEGIN TRY
            DECLARE @x int = 1 / 0;
        END TRY
        BEGIN CATCH
            SET @state = XACT_STATE();
            BEGIN TRY
                COMMIT;
            END TRY
            BEGIN CATCH
                SET @refused = ERROR_NUMBER();
            END CATCH;
            ROLLBACK;
        END CATCH;
        SET XACT_ABORT OFF;
        SELECT @state, @refused, @@TRANCOUNT, XACT_STATE();""",
    )
    assert row == (-1, 3930, 0, 0)


def test_readers_wait_for_a_writer_and_see_only_what_was_committed(books: HesabgarSimulator, connect: Any) -> None:
    writer, reader = connect(books, owner=True, autocommit=False), connect(books, owner=True)
    writing = writer.cursor()
    writing.execute("UPDATE dbo.STK_Anbar SET AnbarName = N'نو' WHERE AnbarID = 1")
    reading = reader.cursor()
    reading.execute("SET LOCK_TIMEOUT 50")
    with pytest.raises(pymssql.Error) as refused:
        reading.execute("SELECT AnbarName FROM dbo.STK_Anbar WHERE AnbarID = 1")
    assert refused.value.args[0] == 1222
    assert one(reading, "SELECT AnbarName FROM dbo.STK_Anbar WITH (NOLOCK) WHERE AnbarID = 1") == ("نو",)
    reading.execute("SET LOCK_TIMEOUT -1")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(one, reading, "SELECT AnbarName FROM dbo.STK_Anbar WHERE AnbarID = 1")
        writer.commit()
        assert waiting.result(60) == ("نو",)


def test_row_versions_rise_and_the_horizon_waits_for_open_transactions(books: HesabgarSimulator, connect: Any) -> None:
    cursor = connect(books, owner=True).cursor()
    before = one(cursor, "SELECT row_version FROM hub.horizon")[0]
    open_one = connect(books, owner=True, autocommit=False)
    open_one.cursor().execute("UPDATE dbo.STK_Anbar SET IsActive = 1 WHERE AnbarID = 1")
    assert one(cursor, "SELECT row_version FROM hub.horizon")[0] == before
    changed = one(cursor, "SELECT CONVERT(bigint, @@DBTS)")[0]
    assert changed == before
    open_one.commit()
    assert one(cursor, "SELECT row_version FROM hub.horizon")[0] == before + 1
    assert one(cursor, "SELECT code FROM hub.warehouses WHERE row_version >= %d", (before,)) == ("01",)


# --- procedures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [0, 1])
def test_a_procedure_called_by_name_with_typed_parameters_and_output(
    books: HesabgarSimulator, connect: Any, shown: int
) -> None:
    books.run(
        """CREATE PROCEDURE dbo.try_types @shown bit, @number int, @big bigint, @words nvarchar(100),
            @exact decimal(18,5), @flag bit, @nothing nvarchar(10) = N'خالی', @back int OUTPUT
        AS
        BEGIN
            IF @shown = 1
                SELECT @number AS number, @big AS big, @words AS words, @exact AS exact, @flag AS flag,
                    @nothing AS nothing;
            SET @back = @number * 2;
            RETURN 7;
        END;"""
    )
    cursor = connect(books, owner=True).cursor()
    given = (shown, 21, 2**40, "سلام كتاب", Decimal("2.83333"), True, None, pymssql.output(int))
    values = cursor.callproc("dbo.try_types", given)
    if shown:
        assert cursor.fetchall() == [(21, 2**40, "سلام كتاب", Decimal("2.83333"), True, None)]
        assert not cursor.nextset()
    else:
        assert values[-1] == 42
        assert cursor.returnvalue == 7


def test_sp_executesql_with_parameters(cursor: Any) -> None:
    assert one(
        cursor,
        "EXEC sp_executesql N'SELECT @a + 1, @b', N'@a int, @b nvarchar(20)', @a = 41, @b = N'سلام'",
    ) == (42, "سلام")


def test_control_flow_and_table_variables(cursor: Any) -> None:
    row = one(
        cursor,
        """DECLARE @n int = 0, @sum int = 0;
        DECLARE @kept TABLE (n int PRIMARY KEY, w nvarchar(10));
        WHILE 1 = 1
        BEGIN
            SET @n += 1;
            IF @n = 3 CONTINUE;
            IF @n > 5 BREAK;
            INSERT INTO @kept (n, w) VALUES (@n, CASE WHEN @n % 2 = 0 THEN N'زوج' ELSE N'فرد' END);
        END;
        SELECT @sum = @sum + n FROM @kept;
        SELECT @sum, (SELECT COUNT(*) FROM @kept WHERE w = N'زوج'),
            (SELECT TOP (1) w FROM @kept ORDER BY n DESC);""",
    )
    assert row == (12, 2, "فرد")


# --- many at once, cancelling, faults --------------------------------------------------------------------------------


def test_twenty_connections_at_once(books: HesabgarSimulator, connect: Any) -> None:
    books.run(
        "CREATE TABLE dbo.Counted (id int NOT NULL PRIMARY KEY, n int NOT NULL); INSERT INTO dbo.Counted VALUES (1, 0)"
    )
    connections = [connect(books, owner=True, autocommit=False) for _ in range(20)]
    start = threading.Barrier(20)

    def work(connection: Any) -> None:
        cursor = connection.cursor()
        start.wait(60)
        for _ in range(10):
            cursor.execute("UPDATE dbo.Counted SET n = n + 1 WHERE id = 1")
            cursor.execute("SELECT COUNT(*) FROM dbo.STK_Kala")
            cursor.fetchall()
            connection.commit()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, connections))
    assert books.query("SELECT n FROM dbo.Counted") == [(200, 1)[:1]]
    assert books.connections == 20


def test_a_client_that_times_out_cancels_and_may_go_on(shared: HesabgarSimulator, connect: Any) -> None:
    connection = connect(shared, owner=True, timeout=1)
    cursor = connection.cursor()
    with pytest.raises(pymssql.Error):
        cursor.execute("WAITFOR DELAY '00:00:30'")
    assert one(connect(shared, owner=True).cursor(), "SELECT 1") == (1,)


def test_a_deadlock_victim(shared: HesabgarSimulator, connect: Any) -> None:
    cursor = connect(shared, owner=True).cursor()
    fault = shared.fault("deadlock", on="dbo.STK_Vahed")
    with pytest.raises(pymssql.OperationalError) as refused:
        cursor.execute("SELECT COUNT(*) FROM dbo.STK_Vahed")
    assert refused.value.args[0] == 1205
    assert fault.struck == 1
    assert one(cursor, "SELECT COUNT(*) FROM dbo.STK_Vahed") == (10,)


def test_a_dropped_connection(shared: HesabgarSimulator, connect: Any) -> None:
    cursor = connect(shared, owner=True).cursor()
    shared.fault("drop", on="dbo.STK_Vahed")
    with pytest.raises(pymssql.OperationalError):
        cursor.execute("SELECT COUNT(*) FROM dbo.STK_Vahed")


def test_faults_asked_for_in_t_sql_by_the_owner_only(shared: HesabgarSimulator, connect: Any) -> None:
    owner, hub = connect(shared, owner=True).cursor(), connect(shared).cursor()
    owner.execute("EXEC sim.fault @kind = 'error', @on = 'hub.units', @number = 50999, @message = N'ساختگی'")
    with pytest.raises(pymssql.Error) as refused:
        hub.execute("SELECT * FROM hub.units")
    assert refused.value.args[0] == 50999
    with pytest.raises(pymssql.Error) as denied:
        hub.execute("EXEC sim.fault @kind = 'deadlock'")
    assert denied.value.args[0] == 262


def test_the_server_goes_away_and_comes_back_on_the_same_port(books: HesabgarSimulator, connect: Any) -> None:
    cursor = connect(books).cursor()
    port = books.port
    books.away()
    with pytest.raises(pymssql.Error):
        cursor.execute("SELECT 1 FROM hub.units")
    with pytest.raises(pymssql.OperationalError):
        connect(books)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, port))
    books.back()
    assert books.port == port
    assert one(connect(books).cursor(), "SELECT version FROM hub.contract_version") == (1,)


def breaks_before(deadline: float, cursor: Any) -> bool:
    """Whether the connection breaks in time."""
    while time.monotonic() < deadline:
        try:
            one(cursor, "SELECT 1")
        except pymssql.Error:
            return True
    return False


@pytest.mark.parametrize("turns", range(8))
async def test_whoever_connects_as_it_goes_away_is_broken_off(turns: int) -> None:
    listener = Listener(Engine("away", password="-"))
    await listener.start()
    with socket.create_connection((HOST, listener.port), timeout=30) as client:
        for _ in range(turns):
            await asyncio.sleep(0)
        await listener.stop()
        listener.close()
        assert await asyncio.to_thread(_ends, client)


def _ends(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_owner_sends_it_away_for_a_while(books: HesabgarSimulator, connect: Any) -> None:
    owner = connect(books, owner=True).cursor()
    owner.execute("EXEC sim.away @seconds = 0.1")
    deadline = time.monotonic() + 30
    assert breaks_before(deadline, owner)
    while True:
        try:
            back = connect(books)
            break
        except pymssql.OperationalError:
            assert time.monotonic() < deadline
    assert one(back.cursor(), "SELECT version FROM hub.contract_version") == (1,)


def test_a_broken_connection_leaves_no_transaction(books: HesabgarSimulator, connect: Any) -> None:
    connection = connect(books, owner=True, autocommit=False)
    connection.cursor().execute("DELETE FROM dbo.SYS_Option")
    connection.close()
    assert books.query("SELECT Name FROM dbo.SYS_Option") == [("negative_stock",)]


def test_garbage_on_the_socket_ends_only_that_connection(shared: HesabgarSimulator, connect: Any) -> None:
    for rubbish in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x12\x01\x00\x04\x00\x00\x00\x00",
        b"\x10\x01\x00\x0c\x00\x00\x01\x00abcd",
    ):
        with socket.create_connection((shared.host, shared.port), 30) as raw:
            raw.sendall(rubbish)
            raw.shutdown(socket.SHUT_WR)
            raw.settimeout(30)
            try:
                while raw.recv(4_096):
                    pass
            except ConnectionResetError:
                pass
    assert one(connect(shared).cursor(), "SELECT 1") == (1,)
