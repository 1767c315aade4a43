"""What outsiders write becomes a request or a master record, or a refusal that names every field."""

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.documents import DocumentRequest, Kind, LineRequest, Method, Payment
from schemas.intake import MASTER_KINDS, MAX_PROBLEMS, InvalidRequest, decode_json, master_from, request_from
from schemas.master import Account, CodeList, Finance, ListEntry, Master, Product, Stock, Warehouse
from schemas.topics import MASTER

ORDER: dict[str, object] = {
    "source_id": "S-1",
    "kind": "sales_order",
    "date": "1403/01/01",
    "account": "212010006",
    "lines": [{"product": "P1", "quantity": 2, "unit_price": 13_920_000}],
}


def order(**changes: object) -> dict[str, object]:
    return ORDER | changes


def order_line(**changes: object) -> dict[str, object]:
    return order(lines=[{"product": "P1", "quantity": 2} | changes])


def refusal(data: bytes | Mapping[str, object]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        request_from(data)
    return refused.value


def test_an_order_as_a_persian_keyboard_writes_it() -> None:
    body = """\ufeff{
        "source_id": " سفارش ۱۲ ", "kind": "sales_order", "date": "۱۴۰۳/۰۱/۰۱", "account": "٢١٢٠١٠٠٠٦",
        "payment": "cash", "warehouse": "انبار مركزي", "note": "  تحويل فوري ۲ ", "tax": "۱۲۳٬۰۰۰",
        "lines": [
            {"product": "كالا۱", "quantity": "۲٫۵", "unit_price": "۱۲۳۰۰۰", "attribute": "قرمز۲"},
            {"product": "P2", "quantity": 0.00001, "discount": "1,000", "number": "۷"}
        ]}""".encode()
    assert request_from(body) == DocumentRequest(
        source_id="سفارش 12",
        kind=Kind.SALES_ORDER,
        date=dt.date(2024, 3, 20),
        account="212010006",
        payment=Payment.CASH,
        warehouse="انبار مرکزی",
        note="تحویل فوری ۲",
        tax=123_000,
        lines=(
            LineRequest(product="کالا1", quantity=Decimal("2.5"), unit_price=123_000, attribute="قرمز2"),
            LineRequest(product="P2", quantity=Decimal("0.00001"), discount=1_000, number=7),
        ),
    )


def test_an_object_already_decoded_reads_the_same_as_its_text() -> None:
    assert request_from(ORDER) == request_from(json.dumps(ORDER).encode())


def test_null_leaves_an_optional_field_out_and_only_those() -> None:
    assert request_from(order(warehouse=None, original_date=None)) == request_from(ORDER)
    assert refusal(order(note=None)).field == "note"


def test_iso_and_jalali_dates_are_the_same_day() -> None:
    days = ["2024-03-20", "1403-1-1", "۱۴۰۳.۰۱.۰۱", "\u200f۱۴۰۳/۰۱/۰۱\u200f", "2024-03-19T20:30:00Z"]
    assert {request_from(order(date=day)).date for day in days} == {dt.date(2024, 3, 20)}


@pytest.mark.parametrize(
    ("value", "quantity"),
    [
        (3, "3"),
        ("3", "3"),
        ("1,234.5", "1234.5"),
        ("1 234 567", "1234567"),
        ("۱٬۲۳۴٫۵", "1234.5"),
        ("\u200f۱٬۲۳۴٫۵\u200e", "1234.5"),
        ("-2", "-2"),
        (".5", "0.5"),
        ("2e3", "2000"),
        (Decimal("0.1"), "0.1"),
    ],
)
def test_quantities_as_people_write_them(value: object, quantity: str) -> None:
    assert request_from(order_line(quantity=value)).lines[0].quantity == Decimal(quantity)


@pytest.mark.parametrize(
    "value",
    ["", "two", "1,5", "1,23,456", "1_000", "NaN", "Infinity", "۲/۵", "1.2.3", Decimal("NaN"), True, None, [], 0.1],
)
def test_a_quantity_that_is_no_number_is_refused_by_name(value: object) -> None:
    refused = refusal(order_line(quantity=value))
    assert (refused.field, refused.problems[0].code) == ("lines[0].quantity", "not_number")


@pytest.mark.parametrize("text", [b"1000.5", b"1000.0", b"1e3", b'"1000.5"', b'"1000.0"', b"true", b'"abc"', b"{}"])
@pytest.mark.parametrize("field", ["unit_price", "discount", "vat", "duty"])
def test_an_amount_that_is_not_written_as_whole_rials_is_refused(text: bytes, field: str) -> None:
    body = json.dumps(order_line(**{field: "@"})).encode().replace(b'"@"', text)
    refused = refusal(body)
    assert (refused.field, refused.problems[0].code) == (f"lines[0].{field}", "not_whole_rials")


def test_the_refusal_of_a_fraction_reads_like_this() -> None:
    refused = refusal(json.dumps(order_line(unit_price=1000.5)).encode())
    assert str(refused) == "lines[0].unit_price: must be whole rials, not 1000.5"
    assert refused.fa == "باید ریال و بدون اعشار باشد، نه 1000.5"


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"colour": "red"}, "colour", "unknown_field"),
        ({"kind": "gift"}, "kind", "not_choice"),
        ({"payment": "later"}, "payment", "not_choice"),
        ({"date": "1403/13/01"}, "date", "not_date"),
        ({"date": "yesterday"}, "date", "not_date"),
        ({"date": 14030101}, "date", "not_text"),
        ({"original_date": "1402/12/30"}, "original_date", "not_date"),
        ({"account": 212010006}, "account", "not_text"),
        ({"revision": 1.5}, "revision", "not_whole"),
        ({"revision": True}, "revision", "not_whole"),
        ({"amount": 10**30}, "amount", "number_too_long"),
        ({"amount": "9" * 5000}, "amount", "number_too_long"),
        ({"note": "a\x00b"}, "note", "bad_text"),
        ({"note": "\ud800"}, "note", "bad_text"),
        ({"lines": {}}, "lines", "not_list"),
        ({"lines": "P1"}, "lines", "not_list"),
        ({"lines": None}, "lines", "not_list"),
        ({"lines": [7]}, "lines[0]", "not_object"),
        ({"lines": [{"product": "P1"}]}, "lines[0].quantity", "required"),
        ({"lines": [{"product": "P1", "quantity": 1, "colour": 1}]}, "lines[0].colour", "unknown_field"),
        ({"lines": [{"product": "P1", "quantity": Decimal("1e30")}]}, "lines[0].quantity", "number_too_long"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(changes: dict[str, object], field: str, code: str) -> None:
    refused = refusal(order(**changes))
    assert [(problem.field, problem.code) for problem in refused.problems] == [(field, code)]


@pytest.mark.parametrize("field", ["source_id", "kind", "date"])
def test_a_missing_field_is_named(field: str) -> None:
    refused = refusal({name: value for name, value in ORDER.items() if name != field})
    assert (refused.field, refused.problems[0].code) == (field, "required")


def test_every_problem_is_told_at_once_header_first() -> None:
    refused = refusal(order(date="soon", lines=[{"product": 1, "quantity": "x"}, {"quantity": 1}]))
    assert [problem.field for problem in refused.problems] == [
        "date",
        "lines[0].product",
        "lines[0].quantity",
        "lines[1].product",
    ]


def test_a_document_wrong_throughout_is_not_read_to_its_end() -> None:
    assert len(refusal(order(lines=[{"product": 1}] * 10_000)).problems) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b'{"source_id": "S', "truncated"),
        (b'{"date": NaN}', "invalid character"),
        (b'{"note": "\xff"}', "UTF-8"),
        (b'{"note": "\\ud800 and more"}', "surrogate"),
        (b"[" * 200_000, "nested too deep"),
        (b'{"a":' * 200_000, "nested too deep"),
        (b'{"tax": 1e99999999999999999999}', "out of range"),
        (b'{"tax": ' + b"9" * 10_000 + b"}", "out of range"),
    ],
)
def test_bytes_that_are_no_json_are_a_sentence(body: bytes, words: str) -> None:
    refused = refusal(body)
    assert (refused.field, refused.problems[0].code) == ("", "not_json")
    assert words in refused.en


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"'])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    assert refusal(body).problems[0].code == "not_object"


def test_of_a_key_written_twice_the_last_counts() -> None:
    body = json.dumps(ORDER).encode().replace(b'"source_id"', b'"source_id": "S-0", "source_id"')
    assert request_from(body) == request_from(ORDER)


def test_an_odd_key_is_quoted_safely() -> None:
    refused = refusal(order(**{"x\ud800\n" + "y" * 500: 1}))
    assert refused.field.startswith("x\ufffd\ufffdyyy")
    assert len(refused.field) < 60
    codec.encode(refused.problems[0])


def test_fractions_are_decoded_as_decimals_never_floats() -> None:
    assert decode_json(b"[1.10, {}]") == [Decimal("1.10"), {}]


MOMENT = dt.datetime(2024, 3, 20, 11, 34, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"code": " ۲۱۲ ", "name": "شركت ي"}, Account("212", "شرکت ی")),
        (
            {
                "code": "1",
                "name": "ن",
                "vat_exempt": True,
                "phones": ["۰۹۱۲"],
                "emails": ["A@b.ir"],
                "city": "كرج",
                "group": "عمده",
            },
            Account("1", "ن", vat_exempt=True, phones=("0912",), emails=("a@b.ir",), city="کرج", group="عمده"),
        ),
        (
            {"code": "1", "name": "ن", "ledger": "۱۱۰۱", "detail_group": "T۱"},
            Account("1", "ن", ledger="1101", detail_group="T1"),
        ),
        (
            {
                "code": "P۱",
                "name": "رم",
                "price": "۱۳٬۹۲۰٬۰۰۰",
                "vat_percent": "6",
                "duty_percent": 4,
                "stocked": False,
            },
            Product("P1", "رم", price=13_920_000, vat_percent=Decimal(6), duty_percent=Decimal(4), stocked=False),
        ),
        ({"code": "W", "name": "انبار", "active": False}, Warehouse("W", "انبار", active=False)),
        (
            {"product": "P1", "warehouse": "W", "on_hand": "-2.83333", "as_of": "1403/01/01 15:04", "attribute": ""},
            Stock("P1", "W", Decimal("-2.83333"), MOMENT),
        ),
        (
            {"list": "attribute", "code": "۱", "name": "قرمز", "product": ""},
            ListEntry(CodeList.ATTRIBUTE, "1", "قرمز"),
        ),
        (
            {"list": "city", "code": "021", "name": "كرج", "parent": "البرز", "active": False},
            ListEntry(CodeList.CITY, "021", "کرج", parent="البرز", active=False),
        ),
        (
            {"account": "212", "as_of": "2024-03-20T11:34:00Z", "direct": "540,000,000,000", "balance": -5},
            Finance("212", MOMENT, direct=540_000_000_000, balance=-5),
        ),
    ],
)
def test_master_records(record: dict[str, object], expected: Master) -> None:
    assert master_from(type(expected), record) == expected


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2024-03-20T15:04:00", MOMENT),
        ("۲۰۲۴-۰۳-۲۰ ۱۵:۰۴", MOMENT),
        ("2024-03-20T13:34:00+02:00", MOMENT),
        ("1403/1/1", dt.datetime(2024, 3, 19, 20, 30, tzinfo=dt.UTC)),
        (MOMENT, MOMENT),
    ],
)
def test_moments_without_an_offset_are_tehrans(written: object, moment: dt.datetime) -> None:
    record = {"product": "P", "warehouse": "W", "on_hand": 1, "as_of": written}
    assert master_from(Stock, record).as_of == moment


@pytest.mark.parametrize(
    ("struct", "changes", "code"),
    [
        (Account, {"code": ""}, "invalid_code"),
        (Account, {"code": "x" * 65}, "invalid_code"),
        (Account, {"code": "a\nb"}, "invalid_code"),
        (Account, {"name": "ن" * 2001}, "text_too_long"),
        (Account, {"phones": "0912"}, "not_list"),
        (Account, {"vat_exempt": "yes"}, "not_flag"),
        (Account, {"active": 1}, "not_flag"),
        (Product, {"price": "1.5"}, "not_whole_rials"),
        (Product, {"price": -1}, "amount_negative"),
        (Product, {"price": 10**18}, "amount_too_large"),
        (Product, {"vat_percent": 101}, "not_percent"),
        (Product, {"vat_percent": "-1"}, "not_percent"),
        (Stock, {"on_hand": "0.000001"}, "quantity_decimals"),
        (Stock, {"on_hand": 10**13}, "quantity_absurd"),
        (Stock, {"as_of": "noon"}, "not_moment"),
        (Stock, {"as_of": "2024-03-20 25:00"}, "not_moment"),
        (Stock, {"attribute": "x" * 65}, "invalid_code"),
        (Finance, {"balance": Decimal("0.5")}, "not_whole_rials"),
        (Finance, {"iban": "IR"}, "unknown_field"),
        (ListEntry, {"list": "colour"}, "not_choice"),
        (ListEntry, {"product": "x" * 65}, "invalid_code"),
    ],
)
def test_master_data_is_checked_where_it_comes_in(struct: type, changes: dict[str, object], code: str) -> None:
    record: dict[str, object] = {
        Account: {"code": "1", "name": "ن"},
        Product: {"code": "1", "name": "ن"},
        Stock: {"product": "P", "warehouse": "W", "on_hand": 1, "as_of": "1403/01/01"},
        Finance: {"account": "1", "as_of": "1403/01/01"},
        ListEntry: {"list": "attribute", "code": "1", "name": "ن"},
    }[struct]
    with pytest.raises(InvalidRequest) as refused:
        master_from(struct, record | changes)
    assert [(problem.field, problem.code) for problem in refused.value.problems] == [(next(iter(changes)), code)]


def test_every_kind_of_master_data_with_a_topic_can_come_in() -> None:
    assert {topic.name.removeprefix("master."): struct for struct, topic in MASTER.items()} == MASTER_KINDS


# What JSON can hold, leaning to what people send by mistake.
WORDS = st.sampled_from(
    ["1403/01/01", "۱۴۰۳", "sales_order", "receipt", "کالا", "1,000", "NaN", "1e9", "\u200f", "", "0.5"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.integers(-(10**50), 10**50) | st.floats() | st.text() | WORDS
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def filled(struct: type[msgspec.Struct], values: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Objects with some of a struct's fields, now and then one it doesn't have."""
    names = st.sampled_from(struct.__struct_fields__) | st.text(max_size=3)
    return st.dictionaries(names, values, max_size=8)


LIKELY = {
    "source_id": st.text() | JSON,
    "kind": st.sampled_from(Kind) | JSON,
    "date": st.sampled_from(["1403/01/01", "2024-03-20"]) | JSON,
}
REQUESTS = st.builds(
    lambda likely, others, lines: likely | others | {"lines": lines},
    st.fixed_dictionaries(LIKELY),
    filled(DocumentRequest, JSON),
    st.lists(filled(LineRequest, JSON) | st.fixed_dictionaries({"product": WORDS, "quantity": LEAVES}), max_size=3),
)


def holds(data: bytes | Mapping[str, object]) -> None:
    try:
        request = request_from(data)
    except InvalidRequest as refused:
        tellable(refused)
    else:
        assert codec.decode_as(codec.encode(request), DocumentRequest) == request


def tellable(refused: InvalidRequest) -> None:
    assert refused.problems
    for problem in refused.problems:
        codec.encode(problem)


@given(st.binary())
def test_any_bytes_are_a_request_or_a_refusal(data: bytes) -> None:
    holds(data)


@given(JSON | REQUESTS)
def test_any_json_is_a_request_or_a_refusal(value: object) -> None:
    holds(json.dumps(value).encode())


@given(REQUESTS)
def test_any_object_is_a_request_or_a_refusal(value: dict[str, object]) -> None:
    holds(value)


@given(st.sampled_from([Account, Product, Warehouse, Stock, Finance]), st.data())
def test_any_object_is_a_master_record_or_a_refusal(struct: type[Master], data: st.DataObject) -> None:
    try:
        record = master_from(struct, data.draw(filled(struct, JSON)))
    except InvalidRequest as refused:
        tellable(refused)
    else:
        assert codec.decode_as(codec.encode(record), struct) == record


def test_a_receipt_of_money() -> None:
    receipt = {"source_id": "R", "kind": "receipt", "date": "1403/01/01", "amount": "۵۰۰", "method": "cheque"}
    request = request_from(receipt)
    assert (request.amount, request.method) == (500, Method.CHEQUE)
