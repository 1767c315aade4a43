"""The bookkeeper behind the simulator, spoken to only through the contract's procedures and views."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import quoteattr

import pymssql
import pytest

from connectors.hesabgar.simulator import FaultKind, HesabgarSimulator

RAM, RAM2, CPU = "10000300101", "10000300102", "10000400201"
CUSTOMER = "212010003"
TODAY = dt.date(2025, 6, 1)
ACCOUNTS = {"vat_account": "230101", "duty_account": "230201"}


def line(number: int, product: str, quantity: str, price: int, **more: object) -> dict[str, object]:
    """A line with 6 % VAT and 3 % duty."""
    net = int(Decimal(quantity) * price)
    vat, duty = net * 6 // 100, net * 3 // 100
    return {
        "number": number, "product": product, "quantity": quantity, "unit_price": price, "net": net, "vat": vat,
        "duty": duty, "payable": net + vat + duty, **more,
    }  # fmt: skip


def document(
    external_id: str, kind: str, *lines: dict[str, object], account: str | None = CUSTOMER, **more: object
) -> dict[str, object]:
    """The parameters of hub.post_document."""
    sums = {name: sum(int(str(each.get(name, 0))) for each in lines) for name in ("net", "vat", "duty", "payable")}
    xml = "".join(
        "<line " + " ".join(f"{name}={quoteattr(str(value))}" for name, value in each.items()) + "/>" for each in lines
    )
    return {
        "external_id": external_id, "kind": kind, "date": TODAY, "account": account, "warehouse": "01",
        "lines": f"<lines>{xml}</lines>", **sums, **ACCOUNTS, **more,
    }  # fmt: skip


def post(connection: Any, given: dict[str, object]) -> dict[str, Any]:
    """Call hub.post_document: its answer."""
    cursor = connection.cursor(as_dict=True)
    names = ", ".join(f"@{name} = %({name})s" for name in given)
    cursor.execute(f"EXEC hub.post_document {names}", given)
    answer: dict[str, Any] = cursor.fetchall()[0]
    return answer


def refusal(connection: Any, given: dict[str, object]) -> tuple[int, str]:
    """The number and words with which a document is refused."""
    with pytest.raises(pymssql.Error) as refused:
        post(connection, given)
    number, words = refused.value.args
    return number, words.decode().split("DB-Lib")[0]


def on_hand(simulator: HesabgarSimulator, product: str = RAM, warehouse: str = "01") -> Decimal:
    rows = simulator.query(
        f"SELECT on_hand FROM hub.stock WHERE product = N'{product}' AND warehouse = N'{warehouse}' AND attribute = N''"
    )
    found: Decimal = rows[0][0]
    return found


def balance(simulator: HesabgarSimulator, account: str = CUSTOMER) -> int:
    found: int = simulator.query(f"SELECT balance FROM hub.customer_finance WHERE account = N'{account}'")[0][0]
    return found


def vouchers(simulator: HesabgarSimulator) -> int:
    found: int = simulator.query("SELECT COUNT(*) FROM dbo.ACC_Sanad WHERE FiscalYear = 1404")[0][0]
    return found


@pytest.fixture
def hub(books: HesabgarSimulator, connect: Any) -> Any:
    return connect(books)


SALE = document("s-1", "sales_invoice", line(1, RAM, "2", 13_920_000), line(2, RAM2, "1.5", 10_000_000))

# --- what posting does --------------------------------------------------------------------------------------------


def test_a_sale_moves_stock_balance_and_vouchers(books: HesabgarSimulator, hub: Any) -> None:
    owed = balance(books)
    answer = post(hub, SALE)
    assert (answer["number"], answer["voucher_number"], answer["fiscal_year"]) == ("1", "1", 1404)
    assert answer["already_posted"] is False
    assert on_hand(books) == Decimal("15.00000")
    assert on_hand(books, RAM2) == Decimal("45.50000")
    assert balance(books) == owed + int(str(SALE["payable"]))
    assert books.query(
        "SELECT account, debit, credit FROM hub.vouchers WHERE fiscal_year = 1404 AND voucher_number = N'1' "
        "ORDER BY line"
    ) == [
        (CUSTOMER, 46_695_600, 0),
        ("410001", 0, 42_840_000),
        ("230101", 0, 2_570_400),
        ("230201", 0, 1_285_200),
    ]
    assert books.query("SELECT product, quantity_out, account FROM hub.stock_movements ORDER BY line") == [
        (RAM, Decimal("2.00000"), CUSTOMER),
        (RAM2, Decimal("1.50000"), CUSTOMER),
    ]
    assert books.query("SELECT kind, number, external_id, payable FROM hub.documents") == [
        ("sales_invoice", "1", "s-1", 46_695_600)
    ]


@pytest.mark.parametrize(
    ("kind", "stock", "owed", "voucher"),
    [
        ("quote", 0, 0, False),
        ("sales_order", 0, 0, False),
        ("purchase_order", 0, 0, False),
        ("sales_invoice", -2, 1, True),
        ("sales_return", 2, -1, True),
        ("purchase_invoice", 2, -1, True),
        ("goods_issue", -2, 0, False),
        ("goods_receipt", 2, 0, False),
    ],
)
def test_every_kind_with_lines(
    books: HesabgarSimulator, hub: Any, kind: str, stock: int, owed: int, voucher: bool
) -> None:
    before = balance(books)
    given = document("d-1", kind, line(1, RAM, "2", 1_000_000))
    answer = post(hub, given)
    assert answer["number"] == "1"
    assert (answer["voucher_number"] is not None) is voucher
    assert on_hand(books) == 17 + stock
    assert balance(books) == before + owed * int(str(given["payable"]))


def test_a_transfer_moves_goods_between_warehouses(books: HesabgarSimulator, hub: Any) -> None:
    post(
        hub,
        document("t-1", "transfer", {"number": 1, "product": RAM, "quantity": "3"}, account=None, to_warehouse="02"),
    )
    assert (on_hand(books), on_hand(books, warehouse="02")) == (14, 3)


@pytest.mark.parametrize(("method", "account"), [("cash", "110101"), ("card", "110201"), ("cheque", "110301")])
def test_a_receipt_of_money(books: HesabgarSimulator, hub: Any, method: str, account: str) -> None:
    owed = balance(books)
    cheques = "SELECT uncleared_cheques FROM hub.customer_finance WHERE account = N'212010003'"
    before = books.query(cheques)[0][0]
    given = {
        "external_id": "r-1", "kind": "receipt", "date": TODAY, "account": CUSTOMER, "payable": 5_000_000,
        "method": method, "cheque_number": "778899",
    }  # fmt: skip
    answer = post(hub, given)
    assert balance(books) == owed - 5_000_000
    assert books.query(cheques)[0][0] == before + (5_000_000 if method == "cheque" else 0)
    assert books.query(
        f"SELECT account, debit FROM hub.vouchers WHERE voucher_number = N'{answer['voucher_number']}' AND debit > 0 "
        "AND fiscal_year = 1404"
    ) == [(account, 5_000_000)]


def test_numbers_run_per_kind_and_fiscal_year(books: HesabgarSimulator, hub: Any) -> None:
    def number(external_id: str, kind: str, date: dt.date) -> tuple[str, int]:
        answer = post(hub, document(external_id, kind, line(1, CPU, "1", 1_000), date=date))
        return answer["number"], answer["fiscal_year"]

    assert number("1", "sales_invoice", TODAY) == ("1", 1404)
    assert number("2", "sales_invoice", TODAY) == ("2", 1404)
    assert number("3", "quote", TODAY) == ("1", 1404)
    assert number("4", "sales_invoice", dt.date(2026, 3, 20)) == ("3", 1404)
    assert number("5", "sales_invoice", dt.date(2026, 3, 21)) == ("1", 1405)


def test_attributes_keep_their_own_stock(books: HesabgarSimulator, hub: Any) -> None:
    text = f"SELECT on_hand FROM hub.stock WHERE product = N'{RAM}' AND warehouse = N'01' AND attribute = N'M01'"
    before = books.query(text)[0][0]
    post(hub, document("a-1", "goods_receipt", line(1, RAM, "4.00001", 0, attribute="M01")))
    assert books.query(text)[0][0] == before + Decimal("4.00001")
    assert on_hand(books) == 17


def test_changed_rows_are_read_by_row_version(books: HesabgarSimulator, hub: Any) -> None:
    cursor = hub.cursor()
    cursor.execute("SELECT row_version FROM hub.horizon")
    (start,) = cursor.fetchone()
    answer = post(hub, SALE)
    cursor.execute("SELECT row_version, as_of FROM hub.horizon")
    end, as_of = cursor.fetchone()
    assert start <= answer["row_version"] < end
    assert as_of >= answer["posted_at"]

    def changed(view: str, key: str) -> set[str]:
        cursor.execute(f"SELECT {key} FROM hub.{view} WHERE row_version >= %d AND row_version < %d", (start, end))
        return {value for (value,) in cursor.fetchall()}

    assert changed("stock", "product") == {RAM, RAM2}
    assert changed("customer_finance", "account") == {CUSTOMER}
    assert changed("products", "code") == set()
    assert changed("vouchers", "voucher_number") == {"1"}


# --- once ---------------------------------------------------------------------------------------------------------


def test_a_second_call_answers_what_the_first_did(books: HesabgarSimulator, hub: Any) -> None:
    first = post(hub, SALE)
    second = post(hub, {**SALE, "revision": 2, "payable": 1})
    assert second == {**first, "already_posted": True}
    assert vouchers(books) == 1
    assert on_hand(books) == 15


def test_a_dry_run_shows_the_voucher_and_leaves_nothing(books: HesabgarSimulator, hub: Any) -> None:
    cursor = hub.cursor(as_dict=True)
    given = {**SALE, "dry_run": True}
    cursor.execute("EXEC hub.post_document " + ", ".join(f"@{name} = %({name})s" for name in given), given)
    assert cursor.fetchall()[0]["number"] == "1"
    assert cursor.nextset()
    entries = cursor.fetchall()
    assert sum(each["debit"] for each in entries) == sum(each["credit"] for each in entries) == 46_695_600
    assert (vouchers(books), on_hand(books)) == (0, 17)
    assert books.query("SELECT COUNT(*) FROM hub.document_in") == [(0,)]
    assert post(hub, SALE)["number"] == "1"


def test_posting_within_a_transaction_is_refused(books: HesabgarSimulator, connect: Any) -> None:
    assert refusal(connect(books, autocommit=False), SALE)[0] == 50001


@pytest.mark.parametrize(
    ("kind", "posted"), [(FaultKind.DROP_BEFORE_COMMIT, 0), (FaultKind.DROP_AFTER_COMMIT, 1), (FaultKind.DROP, 0)]
)
def test_a_connection_lost_around_the_commit_gives_one_voucher(
    books: HesabgarSimulator, connect: Any, kind: FaultKind, posted: int
) -> None:
    fault = books.fault(kind, on="post_document")
    with pytest.raises(pymssql.Error):
        post(connect(books), SALE)
    assert fault.struck == 1
    assert vouchers(books) == posted
    answer = post(connect(books), SALE)
    assert answer["already_posted"] is bool(posted)
    assert (answer["number"], vouchers(books), on_hand(books)) == ("1", 1, 15)


@pytest.mark.parametrize("statement", [1, 5, 12, 25, 40])
def test_a_deadlock_anywhere_leaves_nothing_and_may_be_tried_again(
    books: HesabgarSimulator, hub: Any, statement: int
) -> None:
    fault = books.fault(FaultKind.DEADLOCK, on="post_document", statement=statement)
    assert refusal(hub, SALE)[0] == 1205
    assert fault.struck == 1
    assert (vouchers(books), on_hand(books)) == (0, 17)
    assert books.query("SELECT COUNT(*) FROM hub.document_in") == [(0,)]
    assert post(hub, SALE)["number"] == "1"
    assert vouchers(books) == 1


def test_a_call_that_hangs_is_cut_off_by_the_client_and_leaves_nothing(books: HesabgarSimulator, connect: Any) -> None:
    fault = None
    while fault is None or not fault.struck:  # a stalled machine may not come as far as that statement in a second
        fault = books.fault(FaultKind.HANG, on="post_document", statement=20)
        with pytest.raises(pymssql.Error):
            post(connect(books, timeout=1), SALE)
    assert post(connect(books), SALE)["already_posted"] is False
    assert (vouchers(books), on_hand(books)) == (1, 15)


def test_a_slow_answer_comes_in_the_end(books: HesabgarSimulator, hub: Any) -> None:
    fault = books.fault(FaultKind.DELAY, on="post_document", statement=3, seconds=0.05)
    assert post(hub, SALE)["number"] == "1"
    assert fault.struck == 1


def test_the_same_document_from_eight_sides_is_one_voucher(books: HesabgarSimulator, connect: Any) -> None:
    connections = [connect(books) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: post(each, SALE), connections))
    assert {answer["number"] for answer in answers} == {"1"}
    assert [answer["already_posted"] for answer in answers].count(False) == 1
    assert (vouchers(books), on_hand(books)) == (1, 15)


def test_many_documents_at_once_get_numbers_without_gaps(books: HesabgarSimulator, connect: Any) -> None:
    connections = [connect(books) for _ in range(6)]

    def work(side: int) -> list[str]:
        return [
            post(connections[side], document(f"{side}-{at}", "sales_invoice", line(1, CPU, "0.5", 1_000)))["number"]
            for at in range(5)
        ]

    with ThreadPoolExecutor(6) as pool:
        numbers = [number for found in pool.map(work, range(6)) for number in found]
    assert sorted(map(int, numbers)) == list(range(1, 31))
    assert on_hand(books, CPU) == Decimal("10.00000")


# --- refusals -----------------------------------------------------------------------------------------------------

REFUSED = [
    ({"account": "999"}, 50101, "حساب «999»"),
    ({"account": None}, 50115, "حساب"),
    ({"date": dt.date(2023, 1, 1)}, 50105, "بسته است"),
    ({"date": dt.date(2090, 1, 1)}, 50105, "تعریف نشده است"),
    ({"kind": "nonsense"}, 50003, "«nonsense»"),
    ({"lines": None}, 50004, "سطری ندارد"),
    ({"lines": "<lines/>"}, 50004, "سطری ندارد"),
    ({"external_id": " "}, 50006, "شناسه"),
    ({"payable": 1}, 50106, "تراز نیست"),
    ({"vat_account": None}, 50109, "تنظیمات"),
    ({"duty_account": "000"}, 50109, "«000»"),
]


@pytest.mark.parametrize(("change", "number", "words"), REFUSED, ids=[str(each[0])[:40] for each in REFUSED])
def test_refusals_of_the_head(
    books: HesabgarSimulator, hub: Any, change: dict[str, object], number: int, words: str
) -> None:
    found, said = refusal(hub, {**SALE, **change})
    assert (found, words in said) == (number, True), said
    assert (vouchers(books), on_hand(books)) == (0, 17)
    assert post(hub, SALE)["number"] == "1"


LINES = [
    (line(1, "nothing", "1", 1_000), 50102, "سطر 1: کالای «nothing»"),
    (line(3, RAM, "1", 1_000, warehouse="77"), 50103, "سطر 3: انبار «77»"),
    (line(1, RAM, "1", 1_000, attribute="M99"), 50112, "مشخصهٔ «M99»"),
    (line(1, RAM, "17.00001", 1_000), 50104, "منفی می‌شود (-0.00001)"),
    (line(1, RAM, "0", 1_000), 50116, "بیشتر از صفر"),
    (line(1, RAM, "-1", 1_000), 50116, "بیشتر از صفر"),
]


@pytest.mark.parametrize(("wrong", "number", "words"), LINES, ids=[str(each[1]) + each[2][:20] for each in LINES])
def test_refusals_of_a_line(
    books: HesabgarSimulator, hub: Any, wrong: dict[str, object], number: int, words: str
) -> None:
    found, said = refusal(hub, document("s-1", "sales_invoice", wrong))
    assert (found, words in said) == (number, True), said
    assert on_hand(books) == 17


def test_lines_that_are_no_xml(books: HesabgarSimulator, hub: Any) -> None:
    assert refusal(hub, {**SALE, "lines": "<lines><line"})[0] == 9455
    assert post(hub, SALE)["number"] == "1"


def test_the_same_product_on_two_lines_counts_twice(books: HesabgarSimulator, hub: Any) -> None:
    twice = document("s-1", "sales_invoice", line(1, RAM, "9", 1_000), line(2, RAM, "9", 1_000))
    assert refusal(hub, twice)[0] == 50104
    post(hub, document("s-1", "sales_invoice", line(1, RAM, "9", 1_000), line(2, RAM, "8", 1_000)))
    assert on_hand(books) == 0


def test_stock_may_go_below_zero_where_the_company_allows_it(connect: Any) -> None:
    with HesabgarSimulator(products=20, customers=10, refuse_negative_stock=False) as simulator:
        post(connect(simulator), document("s-1", "sales_invoice", line(1, RAM, "20", 1_000)))
        assert on_hand(simulator) == -3


def test_a_return_goes_back_to_its_sale_and_not_beyond(books: HesabgarSimulator, hub: Any) -> None:
    post(hub, document("s-1", "sales_invoice", line(1, RAM, "5", 1_000)))
    more = document("b-0", "sales_return", line(1, RAM, "6", 1_000), original_external_id="s-1")
    assert refusal(hub, more)[0] == 50114
    post(hub, document("b-1", "sales_return", line(1, RAM, "3", 1_000), original_external_id="s-1"))
    rest = document("b-2", "sales_return", line(1, RAM, "3", 1_000), original_number="1")
    assert refusal(hub, rest)[0] == 50114
    post(hub, document("b-3", "sales_return", line(1, RAM, "2", 1_000), original_number="1"))
    assert on_hand(books) == 17
    unknown = document("b-4", "sales_return", line(1, RAM, "1", 1_000), original_external_id="nothing")
    assert refusal(hub, unknown)[0] == 50113


def test_a_document_in_the_books_whose_memory_was_purged_is_not_posted_again(
    books: HesabgarSimulator, hub: Any
) -> None:
    post(hub, SALE)
    books.run("DELETE FROM hub.document_line_in; DELETE FROM hub.document_in; DELETE FROM hub.outcome")
    assert refusal(hub, SALE)[0] == 50107
    assert vouchers(books) == 1


# --- accounts and products ----------------------------------------------------------------------------------------


def test_a_new_customer_gets_a_code_once(books: HesabgarSimulator, hub: Any) -> None:
    cursor = hub.cursor(as_dict=True)
    text = (
        "EXEC hub.post_account @external_id = %s, @name = %s, @phones = %s, @city_code = N'21', @group_code = N'01', "
        "@cost_centre = N'C02', @vat_exempt = 1"
    )
    given = ("c-1", "فروشگاه تازهٔ «ما»", "02112345678")
    cursor.execute(text, given)
    first = cursor.fetchall()[0]
    assert (first["code"], first["already_posted"]) == ("212010021", False)
    cursor.execute(text, given)
    assert cursor.fetchall() == [{**first, "already_posted": True}]
    cursor.execute(
        "SELECT name, vat_exempt, phones, city_code, cost_centre, group_code FROM hub.accounts "
        "WHERE code = N'212010021'"
    )
    assert cursor.fetchall() == [
        {
            "name": "فروشگاه تازهٔ «ما»", "vat_exempt": True, "phones": "02112345678", "city_code": "21",
            "cost_centre": "C02", "group_code": "01",
        }
    ]  # fmt: skip
    post(hub, document("s-1", "sales_invoice", line(1, RAM, "1", 1_000), account="212010021"))
    assert balance(books, "212010021") == 1_090


def test_a_new_product_and_what_is_refused(books: HesabgarSimulator, hub: Any) -> None:
    cursor = hub.cursor(as_dict=True)
    cursor.execute("EXEC hub.post_product @external_id = N'p-1', @name = N'کالای نو', @unit = N'عدد', @price = 1000")
    code = cursor.fetchall()[0]["code"]
    cursor.execute("SELECT name, unit, price, stocked FROM hub.products WHERE code = %s", (code,))
    assert cursor.fetchall() == [{"name": "کالای نو", "unit": "عدد", "price": 1_000, "stocked": True}]
    for more, number in (
        ("@unit = N'وجب'", 50110),
        (f"@unit = N'عدد', @code = N'{code}'", 50111),
        ("@unit = N' '", 50006),
    ):
        with pytest.raises(pymssql.Error) as refused:
            cursor.execute(f"EXEC hub.post_product @external_id = N'p-2', @name = N'x', {more}")
        assert refused.value.args[0] == number


@pytest.mark.parametrize("unit", ["کارتن", "كارتن"])
def test_a_unit_is_known_in_either_spelling(books: HesabgarSimulator, hub: Any, unit: str) -> None:
    cursor = hub.cursor(as_dict=True)
    cursor.execute("EXEC hub.post_product @external_id = N'p-1', @name = N'کالای نو', @unit = %s", (unit,))
    assert cursor.fetchall()[0]["code"]


# --- the company --------------------------------------------------------------------------------------------------


def test_the_golden_figures_are_in_the_books(books: HesabgarSimulator) -> None:
    assert books.query(
        "SELECT direct, documentary, balance, uncleared_cheques, returned_cheques FROM hub.customer_finance "
        "WHERE account = N'212010001'"
    ) == [(540_000_000_000, 350_000_000_000, 87_634_996_000, 45_000_000_000, 23_125_000_000)]
    statement = books.query(
        "SELECT date, voucher_number, debit, credit FROM hub.vouchers WHERE account = N'212010006' ORDER BY date"
    )
    assert statement == [
        (dt.date(2021, 10, 3), "24", 67_690_256, 0),
        (dt.date(2021, 10, 18), "32", 64_944_740, 0),
    ]
    assert balance(books, "212010006") == sum(row[2] for row in statement) == 132_634_996
    assert [on_hand(books, code) for code in (RAM, RAM2, CPU, "10000400202")] == [17, 47, 25, 56]


def test_the_same_seed_makes_the_same_books_and_another_others() -> None:
    def figures(seed: int) -> list[Any]:
        with HesabgarSimulator(seed=seed, products=60, customers=20) as simulator:
            return [
                simulator.query(f"SELECT * FROM hub.{view}")
                for view in ("accounts", "products", "stock", "customer_finance")
            ]

    assert figures(7) == figures(7)
    assert figures(7) != figures(8)


def test_the_company_is_as_big_as_it_is_said_to_be() -> None:
    with HesabgarSimulator() as simulator:
        counts = simulator.query(
            "SELECT (SELECT COUNT(*) FROM hub.products), (SELECT COUNT(*) FROM dbo.ACC_Account WHERE AccType = 1), "
            "(SELECT COUNT(*) FROM hub.warehouses), (SELECT COUNT(DISTINCT code) FROM hub.products), "
            "(SELECT COUNT(*) FROM hub.products WHERE vat_exempt = 1), "
            "(SELECT COUNT(*) FROM hub.products WHERE second_unit IS NOT NULL), "
            "(SELECT COUNT(*) FROM hub.accounts WHERE vat_exempt = 1), "
            "(SELECT COUNT(*) FROM hub.accounts WHERE name LIKE N'%ی%' OR name LIKE N'%ک%')"
        )[0]
    assert counts[:4] == (2_000, 500, 4, 2_000)
    assert all(count > 0 for count in counts[4:7])
    assert counts[7] == 0


def test_the_server_clock_may_be_set(connect: Any) -> None:
    moment = dt.datetime(2025, 3, 20, 20, 29, 59)
    with HesabgarSimulator(products=20, customers=10, clock=lambda: moment) as simulator:
        answer = post(connect(simulator), document("s-1", "sales_invoice", line(1, RAM, "1", 1_000)))
        assert answer["posted_at"] == moment
        assert simulator.query("SELECT CONVERT(date, SYSDATETIME())") == [(dt.date(2025, 3, 20),)]
        assert simulator.query("SELECT GETDATE()") == [(dt.datetime(2025, 3, 20, 23, 59, 59),)]
