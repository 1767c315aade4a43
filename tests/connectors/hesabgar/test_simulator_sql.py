"""The simulator's T-SQL told as questions and answers; the answers are SQL Server's, by its documentation."""

import datetime as dt
import hashlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from connectors.hesabgar.simulator import HesabgarSimulator
from connectors.hesabgar.simulator.errors import SqlError
from connectors.hesabgar.simulator.lexer import batches
from connectors.hesabgar.simulator.parser import parse

TABLES = """
CREATE TABLE dbo.a (id int NOT NULL PRIMARY KEY, name nvarchar(20) NULL, n int NULL, d decimal(9,2) NULL);
INSERT INTO dbo.a VALUES (1, N'سیب', 10, 1.50), (2, N'گلابی', NULL, 2.25), (3, N'SIB', 30, NULL), (4, NULL, 10, 0.25);
CREATE TABLE dbo.b (id int IDENTITY(1,1) NOT NULL PRIMARY KEY, a_id int NULL, w nvarchar(20) NOT NULL);
INSERT INTO dbo.b (a_id, w) VALUES (1, N'x'), (1, N'y'), (3, N'z'), (NULL, N'none');
"""


@pytest.fixture(scope="module")
def server() -> Iterator[HesabgarSimulator]:
    with HesabgarSimulator(products=8, customers=6) as simulator:
        simulator.run(TABLES)
        yield simulator


QUESTIONS: list[tuple[str, list[tuple[Any, ...]]]] = [
    # joins
    ("SELECT a.id, b.w FROM dbo.a JOIN dbo.b ON b.a_id = a.id ORDER BY a.id, b.w", [(1, "x"), (1, "y"), (3, "z")]),
    (
        "SELECT a.id, b.w FROM dbo.a LEFT JOIN dbo.b ON b.a_id = a.id AND b.w > N'x' ORDER BY a.id",
        [(1, "y"), (2, None), (3, "z"), (4, None)],
    ),
    ("SELECT a.id FROM dbo.a LEFT JOIN dbo.b ON b.a_id = a.id WHERE b.id IS NULL ORDER BY 1", [(2,), (4,)]),
    ("SELECT b.w FROM dbo.a RIGHT JOIN dbo.b ON b.a_id = a.id WHERE a.id IS NULL", [("none",)]),
    (
        "SELECT COUNT(*), COUNT(a.id), COUNT(b.id) FROM dbo.a FULL JOIN dbo.b ON b.a_id = a.id",
        [(6, 5, 4)],
    ),
    ("SELECT COUNT(*) FROM dbo.a CROSS JOIN dbo.b", [(16,)]),
    ("SELECT COUNT(*) FROM dbo.a, dbo.b WHERE a.id = b.a_id", [(3,)]),
    (
        "SELECT a.id, t.w FROM dbo.a CROSS APPLY "
        "(SELECT TOP (1) w FROM dbo.b WHERE b.a_id = a.id ORDER BY w DESC) AS t ORDER BY a.id",
        [(1, "y"), (3, "z")],
    ),
    (
        "SELECT a.id, t.c FROM dbo.a OUTER APPLY (SELECT b.w FROM dbo.b WHERE b.a_id = a.id AND b.w = N'z') AS t(c) "
        "ORDER BY a.id",
        [(1, None), (2, None), (3, "z"), (4, None)],
    ),
    ("SELECT x.id FROM dbo.a AS x JOIN dbo.a AS y ON y.id = x.id + 1 WHERE y.n = 30", [(2,)]),
    # nulls
    ("SELECT id FROM dbo.a WHERE n <> 10", [(3,)]),
    ("SELECT id FROM dbo.a WHERE NOT (n = 10)", [(3,)]),
    ("SELECT id FROM dbo.a WHERE n NOT IN (10, NULL)", []),
    ("SELECT id FROM dbo.a WHERE id NOT IN (SELECT a_id FROM dbo.b)", []),
    ("SELECT id FROM dbo.a WHERE id NOT IN (SELECT a_id FROM dbo.b WHERE a_id IS NOT NULL) ORDER BY id", [(2,), (4,)]),
    ("SELECT ISNULL(n, -1), COALESCE(NULL, n, 7), NULLIF(id, 2) FROM dbo.a WHERE id = 2", [(-1, 7, None)]),
    ("SELECT id FROM dbo.a ORDER BY n, id", [(2,), (1,), (4,), (3,)]),
    ("SELECT id FROM dbo.a ORDER BY n DESC, id DESC", [(3,), (4,), (1,), (2,)]),
    ("SELECT NULL + 1, N'x' + NULL, CASE WHEN NULL = NULL THEN 1 ELSE 0 END", [(None, None, 0)]),
    # strings
    ("SELECT id FROM dbo.a WHERE name = N'sib  '", [(3,)]),
    ("SELECT id FROM dbo.a WHERE name LIKE N's_b'", [(3,)]),
    ("SELECT id FROM dbo.a WHERE name LIKE N'%ی%' ORDER BY id", [(1,), (2,)]),
    ("SELECT CASE WHEN N'50%' LIKE N'50!%' ESCAPE N'!' THEN 1 ELSE 0 END", [(1,)]),
    ("SELECT CASE WHEN N'b' LIKE N'[a-c]' THEN 1 ELSE 0 END, CASE WHEN N'd' LIKE N'[^a-c]' THEN 1 ELSE 0 END",
     [(1, 1)]),
    ("SELECT LEN(N'سلام  '), DATALENGTH(N'سلام  '), UPPER(N'ab'), LTRIM(N'  x '), REPLICATE(N'ab', 2)",
     [(4, 12, "AB", "x ", "abab")]),
    ("SELECT SUBSTRING(N'حسابگر', 2, 3), LEFT(N'حسابگر', 2), RIGHT(N'حسابگر', 2), CHARINDEX(N'گ', N'حسابگر')",
     [("ساب", "حس", "گر", 5)]),
    ("SELECT REPLACE(N'كي', N'ك', N'ک'), STUFF(N'abcd', 2, 2, N'X'), REVERSE(N'abc'), QUOTENAME(N'a]b')",
     [("کي", "aXd", "cba", "[a]]b]")]),
    ("SELECT CONCAT(N'a', NULL, 5, N'ب')", [("a5ب",)]),
    ("SELECT N'it''s', N'[x]', [name] FROM dbo.a WHERE id = 3", [("it's", "[x]", "SIB")]),
    # groups
    (
        "SELECT n, COUNT(*), SUM(d), MIN(name), AVG(d) FROM dbo.a GROUP BY n HAVING COUNT(*) > 1",
        [(10, 2, Decimal("1.75"), "سیب", Decimal("0.875000"))],
    ),
    ("SELECT COUNT(*), COUNT(n), COUNT(DISTINCT n), SUM(n), AVG(n), MAX(d) FROM dbo.a",
     [(4, 3, 2, 50, 16, Decimal("2.25"))]),
    ("SELECT COUNT(*), SUM(n) FROM dbo.a WHERE id > 99", [(0, None)]),
    ("SELECT COUNT(*) FROM dbo.a WHERE id > 99 GROUP BY n", []),
    ("SELECT ISNULL(n, 0) / 10, COUNT(*) FROM dbo.a GROUP BY ISNULL(n, 0) / 10 ORDER BY 1",
     [(0, 1), (1, 2), (3, 1)]),
    ("SELECT a.n, SUM(CASE WHEN b.w = N'x' THEN 1 ELSE 0 END) AS xs FROM dbo.a JOIN dbo.b ON b.a_id = a.id "
     "GROUP BY a.n ORDER BY xs DESC", [(10, 1), (30, 0)]),
    ("SELECT DISTINCT n FROM dbo.a ORDER BY n", [(None,), (10,), (30,)]),
    # windows
    (
        "SELECT id, ROW_NUMBER() OVER (PARTITION BY n ORDER BY id DESC) AS place FROM dbo.a ORDER BY id",
        [(1, 2), (2, 1), (3, 1), (4, 1)],
    ),
    ("SELECT id FROM (SELECT id, RANK() OVER (ORDER BY n) AS r FROM dbo.a) AS t WHERE r = 2 ORDER BY id", [(1,), (4,)]),
    # sets
    ("SELECT 1 UNION SELECT 1 UNION ALL SELECT 2", [(1,), (2,)]),
    ("SELECT id FROM dbo.a EXCEPT SELECT a_id FROM dbo.b ORDER BY id", [(2,), (4,)]),
    ("SELECT id FROM dbo.a INTERSECT SELECT a_id FROM dbo.b ORDER BY id", [(1,), (3,)]),
    ("SELECT N'a' AS c UNION ALL SELECT NULL UNION ALL SELECT N'b'", [("a",), (None,), ("b",)]),
    ("SELECT v.x * 2 FROM (VALUES (1), (2), (NULL)) AS v (x) ORDER BY v.x", [(None,), (2,), (4,)]),
    # paging
    ("SELECT TOP (2) id FROM dbo.a ORDER BY id DESC", [(4,), (3,)]),
    ("SELECT TOP 1 id FROM dbo.a ORDER BY id", [(1,)]),
    ("SELECT id FROM dbo.a ORDER BY id OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY", [(2,), (3,)]),
    # subqueries and common tables
    ("SELECT id FROM dbo.a WHERE EXISTS (SELECT 1 FROM dbo.b WHERE b.a_id = a.id) ORDER BY id", [(1,), (3,)]),
    ("SELECT id, (SELECT COUNT(*) FROM dbo.b WHERE b.a_id = a.id) FROM dbo.a ORDER BY id",
     [(1, 2), (2, 0), (3, 1), (4, 0)]),
    ("SELECT (SELECT MAX(v.x) FROM (VALUES (a.id), (a.n)) AS v (x)) FROM dbo.a ORDER BY id",
     [(10,), (2,), (30,), (10,)]),
    ("WITH t AS (SELECT id, n FROM dbo.a WHERE n = 10), u (k) AS (SELECT id FROM t) SELECT SUM(k) FROM u", [(5,)]),
    ("SELECT t.id FROM (SELECT id FROM dbo.a WHERE n = 10) AS t JOIN dbo.b ON b.a_id = t.id WHERE b.w = N'y'",
     [(1,)]),
    # types
    ("SELECT 7 / 2, 7 / 2.0, 7 % 4, 1 + N'2'", [(3, Decimal("3.500000"), 3, 3)]),
    ("SELECT CONVERT(varchar(10), CAST('20250601' AS date), 112), "
     "CONVERT(nvarchar(10), CAST('2025-06-01' AS date), 23)",
     [("20250601", "2025-06-01")]),
    ("SELECT CONVERT(bigint, 0x00000000000007D1), CONVERT(binary(8), CAST(2001 AS bigint)), "
     "CONVERT(char(4), 0xBEEF, 2)",
     [(2001, b"\0\0\0\0\0\0\x07\xd1", "BEEF")]),
    ("SELECT TRY_CAST(N'x' AS int), TRY_CONVERT(date, N'2025-13-01'), CAST(N' 12 ' AS int)", [(None, None, 12)]),
    ("SELECT CAST(1.005 AS decimal(9,2)), CAST(-1.005 AS decimal(9,2)), ROUND(1.2345, 2), FLOOR(-1.5), CEILING(-1.5)",
     [(Decimal("1.01"), Decimal("-1.01"), Decimal("1.2300"), Decimal(-2), Decimal(-1))]),
    ("SELECT DATEADD(month, 1, CAST('2024-01-31' AS date)), DATEDIFF(day, '2024-02-28', '2024-03-01'), "
     "YEAR(CAST('2024-05-06' AS date)), DATEPART(weekday, CAST('2024-05-05' AS date))",
     [(dt.date(2024, 2, 29), 2, 2024, 1)]),
    ("SELECT DATEDIFF(year, '2023-12-31', '2024-01-01'), DATEADD(ms, 5, CAST('2024-01-01' AS datetime2(3)))",
     [(1, dt.datetime(2024, 1, 1, 0, 0, 0, 5_000))]),
    ("SELECT CAST('2024-01-01T10:11:12.1239' AS datetime2(3)), CAST('2024-01-01 10:11:12.999' AS datetime)",
     [(dt.datetime(2024, 1, 1, 10, 11, 12, 124_000), dt.datetime(2024, 1, 1, 10, 11, 13))]),
    ("SELECT IIF(1 = 1, N'بله', N'نه'), CASE 3 WHEN 1 THEN N'یک' WHEN 3 THEN N'سه' END", [("بله", "سه")]),
    ("SELECT CONVERT(nvarchar(64), HASHBYTES('SHA2_256', N'سلام'), 2)",
     [(hashlib.sha256("سلام".encode("utf-16-le")).hexdigest().upper(),)]),
    # xml
    (
        "DECLARE @x xml = N'<r><i a=\"1\" b=\"۲ &amp; ۳\"><t>متن</t></i><i a=\"5\"/></r>'; "
        "SELECT n.i.value('@a', 'int'), n.i.value('@b', 'nvarchar(10)'), n.i.value('(t/text())[1]', 'nvarchar(10)'), "
        "n.i.exist('@b') FROM @x.nodes('/r/i') AS n (i)",
        [(1, "۲ & ۳", "متن", True), (5, None, None, False)],
    ),
    # names
    ("SELECT [dbo].[a].[id] FROM [dbo].[a] WHERE [a].[id] = 1", [(1,)]),
    ("SELECT OBJECT_ID(N'dbo.nothing'), SCHEMA_ID(N'nothing'), DATABASE_PRINCIPAL_ID(N'nothing'), DB_NAME()",
     [(None, None, None, "cy140501")]),
    ("SELECT COUNT(*) FROM sys.objects WHERE object_id = OBJECT_ID(N'[dbo].[a]', N'U')", [(1,)]),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer"), QUESTIONS, ids=[each[0][:60] for each in QUESTIONS])
def test_questions_and_answers(server: HesabgarSimulator, question: str, answer: list[tuple[Any, ...]]) -> None:
    assert server.query(question) == answer


@pytest.mark.parametrize(
    ("left", "sign", "right", "precision", "scale"),
    [
        ("decimal(18,5)", "+", "decimal(18,5)", 19, 5),
        ("decimal(18,5)", "*", "decimal(18,5)", 37, 10),
        ("decimal(18,5)", "/", "decimal(18,5)", 38, 20),
        ("decimal(38,10)", "*", "decimal(38,10)", 38, 6),
        ("decimal(38,20)", "/", "decimal(38,20)", 38, 6),
        ("decimal(9,2)", "-", "int", 13, 2),
        ("bigint", "*", "decimal(5,2)", 25, 2),
    ],
)
def test_the_types_of_decimal_arithmetic(
    server: HesabgarSimulator, left: str, sign: str, right: str, precision: int, scale: int
) -> None:
    server.run(f"SELECT CAST(1 AS {left}) {sign} CAST(1 AS {right}) AS c INTO dbo.typed")
    try:
        assert server.query(
            "SELECT NUMERIC_PRECISION, NUMERIC_SCALE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = N'typed'"
        ) == [(precision, scale)]
    finally:
        server.run("DROP TABLE dbo.typed")


def test_an_update_from_a_join_changes_each_row_once(server: HesabgarSimulator) -> None:
    server.run("SELECT id, n INTO dbo.u FROM dbo.a")
    server.run("UPDATE u SET n = ISNULL(u.n, 0) + 1 FROM dbo.u AS u INNER JOIN dbo.b ON b.a_id = u.id")
    assert server.query("SELECT id, n FROM dbo.u ORDER BY id") == [(1, 11), (2, None), (3, 31), (4, 10)]
    changed = server.query("UPDATE dbo.u SET n = 0 OUTPUT inserted.id, deleted.n, inserted.n WHERE id > 2")
    assert sorted(changed) == [(3, 31, 0), (4, 10, 0)]
    assert server.query("DECLARE @n int; UPDATE dbo.u SET @n = n = id * 10 WHERE id = 2; SELECT @n") == [(20,)]
    server.run("DELETE u FROM dbo.u AS u WHERE EXISTS (SELECT 1 FROM dbo.b WHERE b.a_id = u.id)")
    assert server.query("SELECT id FROM dbo.u ORDER BY id") == [(2,), (4,)]
    server.run("DROP TABLE dbo.u")


def test_identity_defaults_checks_and_computed_columns(server: HesabgarSimulator) -> None:
    server.run(
        "CREATE TABLE dbo.c (id int IDENTITY(10,5) PRIMARY KEY, q decimal(9,2) NOT NULL DEFAULT (1.5), "
        "at datetime2(3) NOT NULL DEFAULT SYSUTCDATETIME(), twice AS q * 2, CONSTRAINT ck_q CHECK (q > 0))"
    )
    server.run("INSERT INTO dbo.c DEFAULT VALUES; INSERT INTO dbo.c (q) VALUES (DEFAULT), (3)")
    assert server.query("SELECT id, q, twice FROM dbo.c ORDER BY id") == [
        (10, Decimal("1.50"), Decimal("3.00")),
        (15, Decimal("1.50"), Decimal("3.00")),
        (20, Decimal("3.00"), Decimal("6.00")),
    ]
    with pytest.raises(SqlError) as refused:
        server.run("INSERT INTO dbo.c (q) VALUES (0)")
    assert refused.value.number == 547
    server.run(
        "SET IDENTITY_INSERT dbo.c ON; INSERT INTO dbo.c (id, q) VALUES (100, 1); SET IDENTITY_INSERT dbo.c OFF;"
    )
    assert server.query("INSERT INTO dbo.c (q) VALUES (1); SELECT CAST(SCOPE_IDENTITY() AS int), @@ROWCOUNT") == [
        (105, 1)
    ]
    server.run("ALTER TABLE dbo.c ADD more nvarchar(10) NOT NULL CONSTRAINT df_more DEFAULT (N'نو')")
    server.run("ALTER TABLE dbo.c DROP COLUMN at")
    assert server.query("SELECT DISTINCT more FROM dbo.c") == [("نو",)]
    server.run("DROP TABLE dbo.c")


def test_definitions_are_undone_with_their_transaction(server: HesabgarSimulator) -> None:
    server.run(
        "BEGIN TRAN; CREATE TABLE dbo.gone (id int); ALTER TABLE dbo.a ADD gone int NULL; DROP TABLE dbo.b; ROLLBACK"
    )
    assert server.query("SELECT OBJECT_ID(N'dbo.gone'), COL_LENGTH(N'dbo.a', N'gone'), COUNT(*) FROM dbo.b") == [
        (None, None, 4)
    ]


def test_insert_exec_and_nested_procedures(server: HesabgarSimulator) -> None:
    server.run(
        """CREATE PROCEDURE dbo.inner_one @n int, @twice int OUTPUT AS
        BEGIN
            SET NOCOUNT ON;
            SET @twice = @n * 2;
            SELECT id, name FROM dbo.a WHERE n = @n;
            RETURN @n;
        END
        GO
        CREATE PROCEDURE dbo.outer_one AS
        BEGIN
            DECLARE @t int, @r int;
            CREATE TABLE #found (id int, name nvarchar(20));
            INSERT INTO #found EXEC @r = dbo.inner_one @n = 10, @twice = @t OUTPUT;
            SELECT COUNT(*), @t, @r FROM #found;
        END"""
    )
    assert server.query("EXEC dbo.outer_one") == [(2, 20, 10)]
    assert server.query("SELECT OBJECT_ID(N'tempdb..#found')") == [(None,)]


def test_a_plan_is_made_anew_when_the_catalogue_changes(server: HesabgarSimulator) -> None:
    server.run("CREATE TABLE dbo.p (id int)\nGO\nCREATE PROCEDURE dbo.read_p AS SELECT * FROM dbo.p")
    assert server.query("EXEC dbo.read_p") == []
    server.run("DROP TABLE dbo.p; CREATE TABLE dbo.p (id int, w nvarchar(5)); INSERT INTO dbo.p VALUES (1, N'نو')")
    assert server.query("EXEC dbo.read_p") == [(1, "نو")]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FROM",
        "SELECT * FROM t WHERE",
        "INSERT INTO t VALUES",
        "UPDATE t SET",
        "CREATE OR ALTER VIEW v AS SELECT 1 AS x",
        "DROP TABLE IF EXISTS t",
        "BEGIN SELECT 1",
        "BEGIN TRY SELECT 1 END TRY",
        "IF 1 = 1",
        "SELECT 1; CREATE VIEW v AS SELECT 1 AS x",
        "DECLARE @x TABLE (id int), @y int",
        "SELECT 'open",
        "/* open",
        "SELECT a FROM t ORDER",
    ],
)
def test_what_sql_server_2014_would_not_take_is_refused(text: str) -> None:
    with pytest.raises(SqlError):
        parse(text)


def test_scripts_are_cut_at_lines_of_go_only() -> None:
    assert batches("SELECT 1\nGO\n\ngo -- two\nSELECT N'GO'\n  GO  \nSELECT category FROM t") == [
        "SELECT 1\n",
        "\nSELECT N'GO'\n",
        "\nSELECT category FROM t",
    ]


def test_xml_methods_want_quoted_identifiers_as_the_server_does(server: HesabgarSimulator) -> None:
    text = "DECLARE @x xml = N'<a b=\"1\"/>'; SELECT @x.value('(/a/@b)[1]', 'int')"
    assert server.query(text) == [(1,)]
    with pytest.raises(SqlError) as refused:
        server.run(f"SET QUOTED_IDENTIFIER OFF;\nGO\n{text}")
    assert refused.value.number == 1934
    server.run(
        "SET QUOTED_IDENTIFIER OFF;\nGO\nCREATE PROCEDURE dbo.read_x @x xml AS SELECT n.i.value('@b', 'int') "
        "FROM @x.nodes('/a') AS n (i);\nGO\nSET QUOTED_IDENTIFIER ON;"
    )
    with pytest.raises(SqlError) as again:
        server.run("EXEC dbo.read_x @x = N'<a/>'")
    assert again.value.number == 1934
