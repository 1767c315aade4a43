"""What WooCommerce sends: every documented field is read, money stays text, what is wrong is told and never guessed."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import UnknownPayload
from connectors.woocommerce.payloads import (
    ApiError,
    BatchAnswer,
    Currency,
    Customer,
    Deleted,
    LineItem,
    MetaData,
    Order,
    OrderChange,
    Product,
    Refund,
    SoldChange,
    Variation,
    Webhook,
    amount,
    decode,
    encode,
    utc,
)
from tests.conformance import mutating
from tests.connectors.woocommerce.conftest import FIXTURES

ORDER = (FIXTURES / "orders" / "order.json").read_bytes()
KINDS: dict[str, type[msgspec.Struct]] = {
    "orders/refund.json": Refund,
    "orders/": Order,
    "rest/product": Product,
    "rest/variation": Variation,
    "rest/customer": Customer,
    "rest/webhook": Webhook,
    "rest/currency": Currency,
    "rest/batch": BatchAnswer,
    "rest/error": ApiError,
    "webhooks/order.updated-gone": ApiError,
    "webhooks/order.deleted": Deleted,
    "webhooks/product.deleted": Deleted,
    "webhooks/order": Order,
    "webhooks/product": Product,
    "webhooks/customer": Customer,
}


PAYLOADS = [
    pytest.param(path, next(kind for start, kind in KINDS.items() if name.startswith(start)), id=name)
    for path in sorted(FIXTURES.glob("*/*.json"))
    for name in [path.relative_to(FIXTURES).as_posix()]
    if not name.startswith("headers/") and not name.endswith(".expected.json")
]


@pytest.mark.parametrize(("path", "kind"), PAYLOADS)
def test_every_recorded_payload_is_read(path: Any, kind: type[msgspec.Struct]) -> None:
    read = decode(path.read_bytes(), kind)
    assert read == decode(path.read_bytes(), kind)
    assert not list(floats(msgspec.to_builtins(read, builtin_types=(Decimal, datetime, msgspec.Raw))))


def floats(value: object) -> Iterator[float]:
    match value:
        case float():
            yield value
        case dict():
            for each in value.values():
                yield from floats(each)
        case list() | tuple():
            for each in value:
                yield from floats(each)


def fields(kind: Any, before: str = "") -> Iterator[str]:
    """Every field of a struct and of those within, as paths."""
    for field in msgspec.structs.fields(kind):
        path = f"{before}.{field.name}"
        yield path
        for inner in inner_structs(msgspec.inspect.type_info(field.type)):
            yield from fields(inner, path)


def inner_structs(info: msgspec.inspect.Type) -> Iterator[type]:
    match info:
        case msgspec.inspect.StructType(cls=cls):
            yield cls
        case msgspec.inspect.VarTupleType(item_type=item):
            yield from inner_structs(item)
        case msgspec.inspect.UnionType(types=types):
            for each in types:
                yield from inner_structs(each)


def present(value: object, before: str = "") -> Iterator[str]:
    """Every field that a payload has, as paths."""
    match value:
        case dict():
            for name, each in value.items():
                yield f"{before}.{name}"
                yield from present(each, f"{before}.{name}")
        case list():
            for each in value:
                yield from present(each, before)


UNDOCUMENTED = {
    Order: (
        ".shipping.email",
        ".line_items.image.name",
        ".line_items.image.alt",
        ".meta_data.display_",
        ".tax_lines.meta_data.",
        ".shipping_lines.meta_data.",
        ".fee_lines.meta_data.",
        ".coupon_lines.meta_data.",
    ),
    Refund: (
        ".line_items.image.name",
        ".line_items.image.alt",
        ".meta_data.",
        ".line_items.meta_data.display_",
        ".shipping_lines.",
        ".tax_lines.",
        ".fee_lines.",
    ),
    Product: (".meta_data.display_", ".attributes.option", ".attributes.slug", ".default_attributes."),
    Variation: (".meta_data.", ".downloads.", ".attributes."),
    Customer: (".meta_data.", ".shipping.email"),
    Webhook: (),
}
"""What the structs share with others and these payloads haven't, or only where the list isn't empty."""


@pytest.mark.parametrize("kind", UNDOCUMENTED, ids=lambda kind: kind.__name__)
def test_the_recorded_payloads_carry_every_field_between_them(kind: type[msgspec.Struct]) -> None:
    seen = {
        field
        for param in PAYLOADS
        if param.values[1] is kind
        for field in present(json.loads(param.values[0].read_bytes()))  # type: ignore[union-attr]
    }
    missing = [path for path in fields(kind) if path not in seen and not path.startswith(UNDOCUMENTED[kind])]
    assert missing == []


def test_an_order_as_it_was_placed() -> None:
    order = decode(ORDER, Order)
    first, second, _ = order.line_items
    assert (first.sku, first.variation_id, first.quantity, first.price) == ("10000600101", 10, 2, Decimal(1_935_000))
    assert (first.subtotal, first.total, first.total_tax) == ("4300000", "3870000", "387000")
    assert (second.total_tax, second.taxes) == ("0", ())
    assert order.coupon_lines[0].code == "نوروز"
    assert order.tax_lines[0].rate_percent == 10
    assert (order.shipping_lines[0].total, order.fee_lines[0].total) == ("85000", "30000")
    assert (order.refunds[0].reason, order.refunds[0].total) == ("خرابی کالا", "-2128500")
    assert amount(order.total) == sum(
        (amount(each.total) + amount(each.total_tax))
        for lines in (order.line_items, order.shipping_lines, order.fee_lines)
        for each in lines
    )
    assert order.date_created_gmt is not None
    assert utc(order.date_created_gmt) == datetime(2024, 3, 21, 7, 0, tzinfo=UTC)


def test_a_refund_names_the_lines_it_takes_back() -> None:
    refund = decode((FIXTURES / "orders" / "refund.json").read_bytes(), Refund)
    (line,) = refund.line_items
    assert (line.quantity, line.total, line.total_tax) == (-1, "-1935000", "-193500")
    assert [(meta.key, meta.text) for meta in line.meta_data] == [("_refunded_item_id", "1")]


def changed(path: tuple[str | int, ...], value: object) -> bytes:
    order = json.loads(ORDER)
    place = order
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(order).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("total",), 4671500),
        (("total",), 4671500.5),
        (("total",), "4,671,500"),
        (("total",), "1e5"),
        (("total",), "NaN"),
        (("total",), "۴۶۷۱۵۰۰"),
        (("total",), "12\n"),
        (("total",), None),
        (("id",), "46"),
        (("id",), 0),
        (("status",), 3),
        (("line_items",), None),
        (("line_items", 0, "quantity"), True),
        (("line_items", 0, "quantity"), "NaN"),
        (("line_items", 0, "quantity"), "two"),
        (("line_items", 0, "quantity"), 10**15),
        (("line_items", 0, "total"), -5),
        (("billing",), []),
        (("date_created_gmt",), "yesterday"),
        (("date_created_gmt",), "2024-03-21T07:00:00+03:30"),
        (("tax_lines", 0, "rate_percent"), "Infinity"),
    ],
)
def test_what_is_of_another_type_is_not_understood(path: tuple[str | int, ...], value: object) -> None:
    with pytest.raises(UnknownPayload) as told:
        decode(changed(path, value), Order)
    assert told.value.fa != str(told.value)


def test_an_order_without_its_lines_is_not_understood() -> None:
    order = json.loads(ORDER)
    del order["line_items"]
    with pytest.raises(UnknownPayload, match="line_items"):
        decode(json.dumps(order).encode(), Order)


@pytest.mark.parametrize("body", [b"", b"<html>", ORDER[:-9], b"\xff\xfe", b"[" * 100_000, b"null", b"[]", b"12"])
def test_what_is_no_order_is_not_understood(body: bytes) -> None:
    with pytest.raises(UnknownPayload):
        decode(body, Order)


@pytest.mark.parametrize(
    ("name", "kind"), [("orders/order", Order), ("orders/refund", Refund), ("rest/product", Product)]
)
def test_a_spoilt_payload_is_read_or_refused_and_nothing_else(name: str, kind: type[msgspec.Struct]) -> None:
    for _, body in mutating.mutations((FIXTURES / f"{name}.json").read_bytes()):
        try:
            decode(body, kind)
        except UnknownPayload:
            continue


def test_what_plugins_add_is_passed_over() -> None:
    order = json.loads(ORDER)
    extra = order | {"points": 12.5, "_tracking": {"a": [1.5]}, "shipment": None}
    assert decode(json.dumps(extra).encode(), Order) == decode(json.dumps(order).encode(), Order)


MONEY = st.from_regex(r"\A-?[0-9]{1,15}(\.[0-9]{1,4})?\Z", fullmatch=True)


@given(money=MONEY)
def test_money_is_the_number_that_stands_there(money: str) -> None:
    order = decode(changed(("total",), money), Order)
    assert order.total == money
    assert amount(order.total) == Decimal(money)


@given(quantity=st.decimals(-(10**9), 10**9, places=5))
def test_a_quantity_is_read_from_its_own_digits(quantity: Decimal) -> None:
    marked = changed(("line_items", 0, "quantity"), 987_654).replace(b"987654", f"{quantity:f}".encode())
    assert decode(marked, Order).line_items[0].quantity == quantity


@pytest.mark.parametrize("digits", ["3333.3333333333335", "0.1", "16", "12345678901234567890.5"[:15]])
def test_a_price_does_not_pass_through_a_float(digits: str) -> None:
    marked = changed(("line_items", 0, "price"), 987_654).replace(b"987654", digits.encode())
    assert decode(marked, Order).line_items[0].price == Decimal(digits)


@given(body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for kind in (Order, Refund, Product, Deleted, Webhook):
        try:
            decode(body, kind)
        except UnknownPayload:
            continue


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'"1405/12"', "1405/12"),
        (b'"\\u0633\\/"', "س/"),
        (b"12", "12"),
        (b"-1.50", "-1.50"),
        (b"true", None),
        (b"null", None),
        (b'{"a": 1.5}', None),
        (b'"\xff"', None),
    ],
)
def test_meta_data_is_text_where_it_can_be(value: bytes, text: str | None) -> None:
    meta = decode(b'{"id": 1, "key": "k", "value": ' + value + b"}", MetaData)
    assert meta.text == text


def test_a_line_whose_product_is_no_more() -> None:
    order = decode((FIXTURES / "orders" / "product-gone.json").read_bytes(), Order)
    cable, gone = order.line_items
    assert cable.quantity == Decimal("2.5")
    assert (gone.sku, gone.product_id) == (None, 0)


def test_stock_that_is_kept_with_the_parent() -> None:
    variation = decode((FIXTURES / "rest" / "variation-parent-stock.json").read_bytes(), Variation)
    assert (variation.manage_stock, variation.stock_quantity) == ("parent", None)


def test_an_answer_to_a_batch_names_what_failed() -> None:
    done, failed = decode((FIXTURES / "rest" / "batch.json").read_bytes(), BatchAnswer).update
    assert done.error is None
    assert failed.error is not None
    assert (failed.id, failed.error.code) == (99999, "woocommerce_rest_product_invalid_id")


def test_a_change_says_only_what_is_set_and_numbers_as_numbers() -> None:
    change = SoldChange(id=7, manage_stock=True, stock_quantity=Decimal("12.00000"), regular_price="139200")
    assert encode({"update": [change]}) == (
        b'{"update":[{"id":7,"manage_stock":true,"stock_quantity":12.00000,"regular_price":"139200"}]}'
    )
    assert encode(OrderChange(status="completed")) == b'{"status":"completed"}'


def test_a_line_is_wanted_whole() -> None:
    required = {field.name for field in msgspec.structs.fields(LineItem) if field.required}
    assert required == {
        *("id", "name", "product_id", "variation_id", "quantity"),
        *("subtotal", "subtotal_tax", "total", "total_tax"),
    }
