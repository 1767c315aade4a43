"""What is said of the books' rows and documents, and what the books are told: pure, so told in rows."""

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.base import UnknownPayload
from connectors.hesabgar import contract, mapper
from connectors.hesabgar.spec import POSTABLE, Role, Spec
from schemas.documents import Document, DocumentLine, Kind, Method, Posting, State, Totals
from schemas.ids import document_id
from schemas.master import Account, CodeList, Finance, ListEntry, Product, Stock
from schemas.secret import Secret

AS_OF = dt.datetime(2026, 11, 24, 8, 0, tzinfo=dt.UTC)
SPEC = Spec(server="s", company="c", fiscal_period="1405", login="l", password=Secret("p"), vat_account="230101")


def row(view: contract.View, **values: Any) -> tuple[Any, ...]:
    """A row of a view: what isn't given is NULL."""
    return (*(values.get(column) for column in view.columns), 7)


def test_an_account_is_told_with_persian_letters_and_each_phone() -> None:
    found = mapper.record(
        contract.ACCOUNTS,
        row(
            contract.ACCOUNTS,
            code="212010006",
            name="شركت امين گستر",
            active=True,
            vat_exempt=False,
            phones="021-1; 0912 ",
        ),
        AS_OF,
    )
    assert found == Account("212010006", "شرکت امین گستر", phones=("021-1", "0912"))


def test_quantities_stay_exact_and_stock_has_the_books_time() -> None:
    values = {"product": "P", "warehouse": "01", "attribute": "", "on_hand": Decimal("2.83333")}
    assert mapper.record(contract.STOCK, row(contract.STOCK, **values), AS_OF) == Stock(
        "P", "01", Decimal("2.83333"), AS_OF
    )
    assert mapper.body(Stock("P", "01", Decimal(17), AS_OF)) == mapper.body(
        Stock("P", "01", Decimal("17"), AS_OF + dt.timedelta(hours=1))
    )


def test_a_percent_of_five_places_is_understood() -> None:
    values = {"code": "P", "name": "n", "unit": "عدد", "vat_percent": Decimal("6.00000"), "price": 5, "stocked": True}
    found = mapper.record(contract.PRODUCTS, row(contract.PRODUCTS, **values), AS_OF)
    assert isinstance(found, Product)
    assert found.vat_percent == 6


@pytest.mark.parametrize(
    ("view", "values", "says"),
    [
        (contract.PRODUCTS, {"code": "P", "name": "n", "price": -1}, "price"),
        (contract.PRODUCTS, {"code": None, "name": "n"}, "code"),
        (contract.ACCOUNTS, {"code": "x" * 70, "name": "n"}, "code"),
        (contract.STOCK, {"product": "P", "warehouse": "01", "on_hand": None}, "on_hand"),
    ],
)
def test_what_makes_no_sense_is_told_by_field(view: contract.View, values: dict[str, Any], says: str) -> None:
    with pytest.raises(UnknownPayload, match=says):
        mapper.record(view, row(view, **values), AS_OF)


def test_a_new_account_is_made_under_its_own_ledger_and_group_or_the_configured_ones() -> None:
    spec = msgspec.structs.replace(SPEC, new_accounts="110101", new_account_group="T0")

    def under(account: Account) -> tuple[object, object]:
        batch, values = mapper.send_account(account, spec)
        sent = dict(zip(re.findall(r"@(\w+) = %s", batch), values, strict=True))
        return sent["ledger_code"], sent["detail_group"]

    assert under(Account("1", "ن")) == ("110101", "T0")
    assert under(Account("1", "ن", ledger="110102", detail_group="T1")) == ("110102", "T1")


def test_an_account_has_its_citys_name_or_what_stands_there() -> None:
    values = {"code": "1", "name": "ن", "city_code": "۰۲۶"}
    for cities, city in (({"026": "كرج"}, "کرج"), ({"021": "تهران"}, "۰۲۶"), (None, "۰۲۶")):
        account = mapper.record(contract.ACCOUNTS, row(contract.ACCOUNTS, **values), AS_OF, cities)
        assert isinstance(account, Account)
        assert account.city == city


def test_a_group_is_of_the_list_its_kind_says() -> None:
    [groups] = [view for view in contract.LISTS if view.name == "groups"]
    values = {"code": "۱۲", "name": "لبنيات", "kind": "product", "parent_code": "1"}
    assert mapper.record(groups, row(groups, **values), AS_OF) == ListEntry(
        CodeList.PRODUCT_GROUP, "12", "لبنیات", parent="1"
    )
    with pytest.raises(UnknownPayload, match="list"):
        mapper.record(groups, row(groups, **values | {"kind": "colour"}), AS_OF)


def test_what_vanished_is_switched_off_or_empty() -> None:
    later = AS_OF + dt.timedelta(hours=1)
    account = mapper.gone(contract.ACCOUNTS, "1", mapper.body(Account("1", "n")), later)
    assert account == Account("1", "n", active=False)
    key = mapper.key(contract.STOCK, ("كالا۱", "01", None, Decimal(5), 7))
    assert mapper.gone(contract.STOCK, key, b"", later) == Stock("کالا1", "01", Decimal(0), later)
    assert mapper.gone(contract.FINANCE, "1", b"", later) == Finance("1", later)


def document(**changes: Any) -> Document:
    line = DocumentLine(1, 'P"<', Decimal("1.50000"), 1_000, warehouse="01", net=1_500, vat=90, duty=60, payable=1_650)
    nothing = DocumentLine(2, "Q", Decimal(0), 1_000, warehouse="01")
    values: dict[str, Any] = {
        "id": document_id("shop", "A"), "source": "shop", "source_id": "A", "kind": Kind.SALES_INVOICE,
        "state": State.POSTING, "revision": 2, "step": 3, "date": dt.date(2026, 11, 24), "received_at": AS_OF,
        "changed_at": AS_OF, "account": "212", "warehouse": "01", "lines": (line, nothing),
        "totals": Totals(1_500, 0, 1_500, 90, 60, 1_650), "note": "یادداشت",
    }  # fmt: skip
    return Document(**(values | changes))


def test_a_document_is_posted_with_its_id_its_lines_and_the_account_numbers() -> None:
    text, parameters = mapper.posting(document(), SPEC)
    given = dict(zip((part.split(" = ")[0].lstrip("@") for part in text[23:].split(", ")), parameters, strict=True))
    assert text.startswith("EXEC hub.post_document ")
    assert given["external_id"] == str(document_id("shop", "A"))
    assert (given["revision"], given["payable"], given["vat_account"]) == (2, 1_650, "230101")
    assert given["lines"].startswith('<lines><line number="1" product=\'P"&lt;\' warehouse="01" quantity="1.50000"')
    assert given["lines"].count("<line ") == 1
    assert "dry_run" not in given


def test_a_return_names_its_sale_as_the_books_know_it() -> None:
    sale = document(state=State.POSTED, posting=Posting(number="12"), source_id="1402/sales_invoice/12", step=1)

    def named(of: Document, original: Document | None) -> dict[str, Any]:
        values = mapper.document_values(of, SPEC, original)
        return {name: value for name, value in values.items() if name.startswith("original")}

    back = document(kind=Kind.SALES_RETURN, original_id=sale.id)
    assert named(back, msgspec.structs.replace(sale, step=4)) == {"original_external_id": str(sale.id)}
    assert named(back, None) == {"original_external_id": str(sale.id)}
    assert named(back, sale) == {"original_fiscal_year": 1402, "original_number": "12"}
    assert named(back, msgspec.structs.replace(sale, source_id="of another")) == {"original_number": "12"}
    assert named(document(kind=Kind.SALES_RETURN), None) == {}
    assert named(document(original_id=sale.id), sale) == {}


def test_a_receipt_of_money_has_no_lines_and_says_how() -> None:
    text, parameters = mapper.posting(document(kind=Kind.RECEIPT, lines=(), method=Method.CARD), SPEC)
    assert "@lines" not in text
    assert "card" in parameters


def entered(**changes: Any) -> dict[str, Any]:
    return {
        "fiscal_year": 1405, "kind": "sales_invoice", "number": "12", "date": dt.date(2026, 11, 24), "account": "212",
        "warehouse": "01", "to_warehouse": None, "payment": "cash", "method": None, "original_number": None,
        "vat": 90, "duty": 60, "payable": 1_650, "external_id": None, "note": None,
    } | changes  # fmt: skip


LINE = {
    "line": 1, "product": "P", "warehouse": "01", "attribute": "", "quantity": Decimal("1.50000"), "unit_price": 1_000,
    "discount": 0, "vat": 90, "duty": 60,
}  # fmt: skip


def test_what_was_entered_is_a_document_of_its_source() -> None:
    found = mapper.request(entered(), [LINE])
    assert (found.source_id, found.kind, found.payment, found.tax) == (
        "1405/sales_invoice/12",
        "sales_invoice",
        "cash",
        150,
    )
    assert found.lines[0].quantity == Decimal("1.5")
    assert mapper.request(entered(), [LINE]) == found


def test_a_return_names_its_sale_and_a_transfer_its_warehouse() -> None:
    back = mapper.request(entered(kind="sales_return", original_number="7"), [LINE])
    assert back.original == "1405/sales_invoice/7"
    moved = mapper.request(entered(kind="transfer", to_warehouse="02", account=None), [LINE])
    assert (moved.to_warehouse, moved.lines[0].vat) == ("02", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"payment": "barter"},
        {"kind": "wedding"},
        {"date": dt.date(1801, 1, 1)},
        {"date": None},
        {"vat": "many"},
        {"number": None},
    ],
)
def test_what_was_entered_and_makes_no_sense_is_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnknownPayload, match="document 1405/"):
        mapper.request(entered(**wrong), [LINE])


def test_what_goes_together_in_the_configuration_is_checked() -> None:
    given = {"server": "s", "company": "c", "login": "l", "password": Secret("p")}
    for wrong, says in (
        ({"send_new": True}, "new_accounts"),
        ({"role": Role.BRANCH, "send_new": True, "new_accounts": "1"}, "for the books"),
        ({"post": (Kind.PURCHASE_ORDER,)}, "takes no purchase_order"),
        ({"poll": dt.timedelta(0)}, "poll"),
    ):
        with pytest.raises(ValueError, match=says):
            Spec(**given, **wrong)  # type: ignore[arg-type]
    assert SPEC.database_name == "c1405"
    assert Kind.PURCHASE_ORDER not in POSTABLE


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ({}, {}, True),
        ({}, {"role": Role.BRANCH}, False),
        ({}, {"post": ()}, False),
        ({}, {"post_sources": ("a",)}, True),
        ({"skip_sources": ("a",)}, {"post_sources": ("a",)}, False),
        ({"skip_sources": ("a",)}, {"skip_sources": ("b",)}, True),
        ({"post_sources": ("a", "b")}, {"post_sources": ("b",)}, True),
        ({"post_sources": ("a", "b")}, {"post_sources": ("c",)}, False),
        ({"post": (Kind.QUOTE,)}, {"post": (Kind.RECEIPT,)}, False),
    ],
)
def test_two_that_would_post_the_same_cannot_go_together(
    one: dict[str, Any], other: dict[str, Any], *, clash: bool
) -> None:
    first, second = msgspec.structs.replace(SPEC, **one), msgspec.structs.replace(SPEC, **other)
    assert bool(first.clash(second)) is bool(second.clash(first)) is clash


@pytest.mark.parametrize(
    ("changes", "kind", "source", "posts"),
    [
        ({}, "sales_invoice", "any", True),
        ({"post": ()}, "sales_invoice", "any", False),
        ({"post_sources": ("shop",)}, "sales_invoice", "any", False),
        ({"skip_sources": ("any",)}, "sales_invoice", "any", False),
        ({}, "purchase_order", "any", False),
        ({"role": Role.BRANCH}, "sales_invoice", "any", False),
    ],
)
def test_what_is_posted_is_chosen_by_kind_and_source(
    changes: dict[str, Any], kind: str, source: str, posts: bool
) -> None:
    spec = Spec(server="s", company="c", login="l", password=Secret("p"), **changes)
    assert spec.posts(kind, source) is posts
