"""A shop's amounts as lines: tables an accountant can read, in the shop's currency and in rials."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.woocommerce import mapper
from connectors.woocommerce.mapper import Known, Unmappable
from connectors.woocommerce.payloads import Order, Refund, decode
from connectors.woocommerce.spec import ShopCurrency, Spec
from schemas.documents import DocumentRequest, Kind, Payment
from tests.connectors.woocommerce.conformance import FEE, SHIPPING, SPEC
from tests.connectors.woocommerce.conftest import FIXTURES

ORDER = json.loads((FIXTURES / "orders" / "changed.json").read_bytes())
KNOWN = Known({"P": "P", "کالا1": "9"}, "212010001")


def line(quantity: float, subtotal: str, total: str | None = None, sku: str | None = "P") -> dict[str, Any]:
    """A line of goods without tax."""
    amounts = {"subtotal": subtotal, "subtotal_tax": "0", "total": total or subtotal, "total_tax": "0"}
    return {"id": 1, "name": "کالا", "product_id": 5, "variation_id": 0, "quantity": quantity, "sku": sku, **amounts}


def service(total: str, **more: object) -> dict[str, Any]:
    return {"id": 2, "total": total, "total_tax": "0", **more}


def order(*lines: dict[str, Any], total: str, **fields: Any) -> Order:
    """An order with these lines; its other amounts are nought."""
    whole = {"line_items": lines, "total": total, "total_tax": "0", "tax_lines": [], **fields}
    return decode(json.dumps(ORDER | whole).encode(), Order)


def mapped(of: Order, spec: Spec = SPEC, **changes: Any) -> DocumentRequest:
    return mapper.request(of, KNOWN, msgspec.structs.replace(spec, **changes), generation=1, revision=1)


@pytest.mark.parametrize(
    ("currency", "quantity", "subtotal", "total", "price", "discount"),
    [
        (ShopCurrency.TOMAN, 2, "4300000", "3870000", 21_500_000, 4_300_000),
        (ShopCurrency.RIAL, 3, "26727273", "26727273", 8_909_091, 0),
        (ShopCurrency.RIAL, 3, "10", "10", 4, 2),
        (ShopCurrency.THOUSAND_RIALS, 1, "10.5", "10.5", 10_500, 0),
        (ShopCurrency.THOUSAND_TOMANS, 7, "129.50", "129.50", 185_000, 0),
        (ShopCurrency.TOMAN, 2.5, "46250", "46250", 185_000, 0),
        (ShopCurrency.TOMAN, 1, "0.05", "0.05", 1, 0),
        (ShopCurrency.TOMAN, 1, "0.04", "0.04", 0, 0),
        (ShopCurrency.TOMAN, 1, "500", "0", 5_000, 5_000),
        (ShopCurrency.TOMAN, 1, "500", "600", 6_000, 0),
    ],
)
def test_a_lines_net_is_the_shops_to_the_rial(
    currency: ShopCurrency, quantity: float, subtotal: str, total: str, price: int, discount: int
) -> None:
    found = mapped(order(line(quantity, subtotal, total), total=total, currency=currency), currency=currency)
    assert [(it.unit_price, it.discount) for it in found.lines] == [(price, discount)]


def test_codes_are_compared_in_one_spelling() -> None:
    assert mapped(order(line(1, "5", sku="كالا۱"), total="5")).lines[0].product == "9"


def test_a_fee_below_zero_is_taken_off_the_goods_and_others_are_services() -> None:
    fees = [service("-30"), service("20")]
    found = mapped(order(line(1, "10"), line(1, "100"), total="105", fee_lines=fees, shipping_lines=[service("5")]))
    assert [(it.product, it.unit_price, it.discount) for it in found.lines] == [
        ("P", 100, 100),
        ("P", 1_000, 200),
        (SHIPPING, 50, 0),
        (FEE, 200, 0),
    ]


def test_free_shipping_and_none_of_a_thing_are_no_lines() -> None:
    assert len(mapped(order(line(1, "10"), line(0, "0"), total="10", shipping_lines=[service("0")])).lines) == 1


@pytest.mark.parametrize(
    ("wrong", "changes", "says"),
    [
        (order(line(1, "10", sku="X"), total="10"), {}, "no product has the code X"),
        (order(line(1, "10", sku=""), total="10"), {}, "has no SKU"),
        (order(line(1, "10", sku=None), total="10"), {}, "is no product of the shop any more"),
        (order(line(1, "10"), total="10", currency="IRR"), {}, "is in IRR, and the shop is configured for IRT"),
        (order(line(1, "10"), total="21"), {}, "without tax is 210 rials, and its lines come to 100"),
        (order(line(0.000001, "10"), total="10"), {}, "can't be sold"),
        (order(line(-1, "10"), total="10"), {}, "can't be sold"),
        (order(total="0"), {}, "has no lines"),
        (order(line(1, "10"), total="0", fee_lines=[service("-11")]), {}, "discounts exceed its goods"),
        (order(line(1, "9" * 18), total="10"), {}, "more than any document may come to"),
        (order(line(1, "10"), total="15", shipping_lines=[service("5")]), {"shipping_product": None}, "has shipping"),
        (order(line(1, "10"), total="15", fee_lines=[service("5")]), {"fee_product": None}, "has a fee"),
        (order(line(1, "10"), total="10", date_created_gmt=None), {}, "has no date"),
    ],
)
def test_what_a_person_has_to_see_to_is_said_in_both_languages(
    wrong: Order, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(Unmappable, match=says) as raised:
        mapped(wrong, **changes)
    assert raised.value.fa != str(raised.value)


def test_a_difference_within_the_tolerance_is_none() -> None:
    assert mapped(order(line(1, "10"), total="20"), tolerance=100).lines


@pytest.mark.parametrize(
    ("method", "payment"), [("cod", Payment.CREDIT), ("zarinpal", Payment.CASH), ("", Payment.CASH)]
)
def test_the_payment_is_by_the_method(method: str, payment: Payment) -> None:
    assert mapped(order(line(1, "10"), total="10", payment_method=method)).payment is payment


def test_the_day_is_that_of_tehran() -> None:
    late = order(line(1, "10"), total="10", date_created_gmt="2024-03-19T20:30:00")
    assert mapped(late).date.isoformat() == "2024-03-20"


def test_kind_and_generation() -> None:
    found = mapper.request(
        order(line(1, "10"), total="10"),
        KNOWN,
        msgspec.structs.replace(SPEC, kind=Kind.SALES_ORDER),
        generation=3,
        revision=2,
    )
    assert (found.kind, found.source_id, found.revision) == (Kind.SALES_ORDER, "48/3", 2)


@pytest.mark.parametrize(
    ("own_id", "number"), [("48", 48), ("48/2", 48), ("48/R51", None), ("48/2/R51", None), ("x", None)]
)
def test_the_order_a_document_is_of(own_id: str, number: int | None) -> None:
    assert mapper.order_of(own_id) == number


def returned(*lines: dict[str, Any], amount: str, known: Known = KNOWN, **fields: Any) -> DocumentRequest:
    """A refund of these lines as a return."""
    written = json.loads((FIXTURES / "orders" / "refund.json").read_bytes())
    whole = written | {"line_items": lines, "amount": amount, **fields}
    return mapper.refund_request(decode(json.dumps(whole).encode(), Refund), "48", Payment.CASH, known, SPEC)


def test_a_refunds_goods_shipping_and_fees_come_back_with_their_tax() -> None:
    taxed = line(-2, "-20", "-18") | {"total_tax": "-1.8"}
    found = returned(
        taxed,
        line(0, "0"),
        amount="27.3",
        shipping_lines=[service("-5") | {"total_tax": "-0.5"}],
        fee_lines=[service("-3"), service("1")],
    )
    assert (found.kind, found.original, found.source_id) == (Kind.SALES_RETURN, "48", "48/R47")
    assert [(it.product, it.quantity, it.unit_price, it.discount) for it in found.lines] == [
        ("P", Decimal(2), 100, 30),
        (SHIPPING, Decimal(1), 50, 0),
        (FEE, Decimal(1), 30, 0),
    ]
    assert (found.tax, found.hold) == (23, "")


@pytest.mark.parametrize(
    ("lines", "amount", "theirs", "ours"),
    [
        ([line(-1, "-100")], "150", "1,500", "1,000"),
        ([line(-1, "-100")], "40", "400", "1,000"),
        ([line(-1, "-100"), line(0, "-30") | {"total_tax": "-3"}], "133", "1,330", "1,000"),
    ],
)
def test_a_return_that_isnt_what_was_given_back_asks_for_a_person(
    lines: list[dict[str, Any]], amount: str, theirs: str, ours: str
) -> None:
    assert f"gave {theirs} rials back, and what it took back comes to {ours}" in returned(*lines, amount=amount).hold


def test_a_line_whose_product_is_no_more_is_what_it_was() -> None:
    known = Known({}, "212010001", {1: "P"})
    gone = order(line(1, "10", sku=None), total="10")
    assert mapper.request(gone, known, SPEC, generation=1, revision=2).lines[0].product == "P"
    assert mapper.products(gone, known) == {1: "P"}


@pytest.mark.parametrize("sku", [None, "X"])
def test_a_refunded_line_is_of_what_was_sold_whatever_the_shop_calls_it_now(sku: str | None) -> None:
    of = [{"id": 9, "key": "_refunded_item_id", "value": "1"}]
    found = returned(line(-1, "-10", sku=sku) | {"meta_data": of}, amount="10", known=Known({"X": "X"}, "2", {1: "P"}))
    assert [it.product for it in found.lines] == ["P"]


@pytest.mark.parametrize(
    ("phone", "code"),
    [
        ("۰۹۱۲ ۳۴۵ ۶۷۸۹", "WC9123456789"),
        ("+98 912 345 6789", "WC9123456789"),
        ("00989123456789", "WC9123456789"),
        ("0912", None),
        ("", None),
        (None, None),
    ],
)
def test_a_newcomers_account_is_by_the_phone(phone: str | None, code: str | None) -> None:
    billing = ORDER["billing"] | {"phone": phone}
    account = mapper.new_account(order(line(1, "10"), total="10", billing=billing), SPEC)
    assert (account and account.code) == code


@pytest.mark.parametrize(
    ("written", "phone"),
    [("66700101", "66700101"), ("0", ""), ("0000000000", ""), ("09000000000", ""), ("ندارم", ""), ("12345", "")],
)
def test_what_is_no_phone_number_tells_no_customers_apart(written: str, phone: str) -> None:
    of = order(line(1, "10"), total="10", billing=ORDER["billing"] | {"phone": written})
    assert mapper.phone_of(of) == phone


@pytest.mark.parametrize(
    ("currency", "rials", "written"),
    [(ShopCurrency.TOMAN, 29_000_000, "2900000"), (ShopCurrency.THOUSAND_TOMANS, 185_000, "18.5"), ("IRR", 0, "0")],
)
def test_a_price_as_the_shop_writes_it(currency: str, rials: int, written: str) -> None:
    assert mapper.price_text(rials, msgspec.structs.replace(SPEC, currency=ShopCurrency(currency))) == written
