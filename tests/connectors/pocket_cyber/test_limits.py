"""What a holder may do, as tables."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

import connectors
from connectors.base import settings_table
from connectors.pocket_cyber import limits, mapper
from connectors.pocket_cyber.desk import Entry, Fate, fate
from connectors.pocket_cyber.spec import Edition, Limits, PriceChanged, Spec
from schemas import ids
from schemas.documents import Document, DocumentLine, DocumentRequest, Kind, LineRequest, Payment, State
from schemas.intake import InvalidRequest
from schemas.master import Account, Product
from schemas.visits import VisitOutcome

PRODUCTS = {
    "COLA": Product("COLA", "نوشابه", price=1_000_000, group="drinks"),
    "NAIL": Product("NAIL", "میخ", price=1_000, group="tools"),
    "OLD": Product("OLD", "قدیمی", price=1_000, group="drinks", active=False),
    "FREE": Product("FREE", "بی‌قیمت", group="drinks"),
}
ACCOUNTS = {
    "ALI": Account("ALI", "علی", group="shops", city="کرج"),
    "REZA": Account("REZA", "رضا", group="kiosks", city="تهران"),
    "GONE": Account("GONE", "رفته", group="shops", active=False),
}


def rights(edition: Edition = Edition.VISITORS, holder: str = "v1", **given: Any) -> limits.Rights:
    found = limits.rights(Spec(edition=edition, holders={holder: Limits(**given)}), holder)
    assert found is not None
    return found


def sale(*lines: LineRequest, **fields: Any) -> DocumentRequest:
    given = {"kind": Kind.SALES_INVOICE, "account": "ALI", "payment": Payment.CASH, **fields}
    return DocumentRequest(
        source_id="v1/1", date=date(2024, 3, 20), lines=lines or (LineRequest("COLA", Decimal(1)),), **given
    )


def line(product: str = "COLA", quantity: str = "3", **fields: Any) -> LineRequest:
    return LineRequest(product, Decimal(quantity), **fields)


@pytest.mark.parametrize(
    ("given", "request_", "why"),
    [
        ({}, sale(), []),
        ({"groups": ("drinks",)}, sale(), []),
        ({"groups": ("tools",)}, sale(), ["outside_groups"]),
        ({"groups": ("tools",)}, sale(line("FREE"), line("NAIL")), ["outside_groups"]),
        ({}, sale(line("OLD"), line("NOPE")), ["inactive_product", "unknown_product"]),
        ({"accounts": ("ALI",)}, sale(), []),
        ({"accounts": ("REZA",)}, sale(), ["not_on_route"]),
        ({"account_groups": ("shops",)}, sale(), []),
        ({"account_groups": ("shops",)}, sale(account="REZA"), ["not_on_route"]),
        ({"account_groups": ("shops",)}, sale(account="GONE"), ["inactive_account"]),
        ({"cities": ("كرج",)}, sale(), []),
        ({"cities": ("کرج",), "accounts": ("REZA",)}, sale(account="REZA"), []),
        ({"cities": ("قم",), "account_groups": ("kiosks",)}, sale(), ["not_on_route"]),
        ({}, sale(account="NOBODY"), ["unknown_account"]),
        ({"warehouses": ("van",)}, sale(warehouse="van"), []),
        ({"warehouses": ("van",)}, sale(warehouse="depot"), ["warehouse_not_allowed"]),
        ({"warehouses": ("van",)}, sale(line(warehouse="depot")), ["warehouse_not_allowed"]),
        ({"warehouses": ("۱۲",)}, sale(warehouse="12"), []),
        ({"kinds": (Kind.SALES_ORDER,)}, sale(), ["kind_not_allowed"]),
        ({}, sale(kind=Kind.QUOTE), ["kind_not_allowed"]),
        ({"credit": False}, sale(), []),
        ({"credit": False}, sale(payment=Payment.CREDIT), ["credit_not_allowed"]),
        ({"credit": False}, sale(payment=Payment.CREDIT, kind=Kind.SALES_RETURN), []),
        # 3 × 1,000,000, at most 5 %: 150,000
        ({"discount_percent": Decimal(5)}, sale(line(discount=150_000)), []),
        ({"discount_percent": Decimal(5)}, sale(line(discount=150_001)), ["discount_ceiling"]),
        ({}, sale(line(discount=1)), ["discount_ceiling"]),
        # 0.333 × 1,000,000 at 7.5 %: 24,975
        ({"discount_percent": Decimal("7.5")}, sale(line(quantity="0.333", discount=24_975)), []),
        ({"discount_percent": Decimal("7.5")}, sale(line(quantity="0.333", discount=24_976)), ["discount_ceiling"]),
        # of the line as the handheld priced it
        ({"discount_percent": Decimal(5)}, sale(line(unit_price=10, discount=2)), ["discount_ceiling"]),
        ({"discount_percent": Decimal(5)}, sale(line("FREE", discount=1)), ["discount_ceiling"]),
        ({"discount_percent": Decimal(100)}, sale(line(discount=3_000_000)), []),
        (
            {"groups": ("tools",), "accounts": ("REZA",), "warehouses": ("van",), "credit": False},
            sale(line(discount=1, warehouse="depot"), payment=Payment.CREDIT),
            ["not_on_route", "credit_not_allowed", "outside_groups", "warehouse_not_allowed", "discount_ceiling"],
        ),
    ],
)
def test_what_is_beyond_a_visitors_limits(given: dict[str, Any], request_: DocumentRequest, why: list[str]) -> None:
    found = limits.beyond(request_, rights(**given), PRODUCTS, ACCOUNTS)
    assert [each.code for each in found] == why
    assert all(each.fa and each.en and each.field for each in found)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (sale(kind=Kind.SALES_ORDER), []),
        (sale(kind=Kind.SALES_ORDER, account="REZA"), ["not_own_account"]),
        (sale(kind=Kind.SALES_INVOICE), ["kind_not_allowed"]),
    ],
)
def test_a_customer_orders_for_itself(request_: DocumentRequest, why: list[str]) -> None:
    found = limits.beyond(request_, rights(Edition.CUSTOMERS, "ALI"), PRODUCTS, ACCOUNTS)
    assert [each.code for each in found] == why


def test_what_a_document_leaves_open_is_completed() -> None:
    holder = rights(warehouses=("van", "depot"))
    assert limits.completed(sale(), holder).warehouse == "van"
    assert limits.completed(sale(warehouse="depot"), holder).warehouse == "depot"
    assert limits.completed(sale(kind=Kind.RECEIPT), holder).warehouse is None
    assert limits.completed(sale(account=None), holder).account is None
    assert limits.completed(sale(account=None), rights(Edition.CUSTOMERS, "ALI")).account == "ALI"


@pytest.mark.parametrize(
    ("lines", "policy", "prices", "discounts", "notes"),
    [
        ([line(unit_price=900_000)], PriceChanged.ACCEPT, [900_000], [0], []),
        ([line(unit_price=900_000)], PriceChanged.HOLD, [900_000], [0], ["price_changed"]),
        ([line(unit_price=900_000, discount=90_000)], PriceChanged.REPRICE, [1_000_000], [100_000], ["repriced"]),
        ([line(unit_price=3, discount=1)], PriceChanged.REPRICE, [1_000_000], [333_333], ["repriced"]),
        ([line(unit_price=0)], PriceChanged.REPRICE, [1_000_000], [0], ["repriced"]),
        ([line(unit_price=1_000_000)], PriceChanged.HOLD, [1_000_000], [0], []),
        ([line()], PriceChanged.HOLD, [None], [0], []),
        ([line("FREE", unit_price=7)], PriceChanged.HOLD, [7], [0], []),
        ([line("NOPE", unit_price=7)], PriceChanged.REPRICE, [7], [0], []),
        (
            [line(unit_price=1_000_000), line("NAIL", unit_price=2)],
            PriceChanged.REPRICE,
            [1_000_000, 1_000],
            [0, 0],
            ["repriced"],
        ),
    ],
)
def test_a_price_that_changed(
    lines: list[LineRequest],
    policy: PriceChanged,
    prices: list[int | None],
    discounts: list[int],
    notes: list[str],
) -> None:
    priced = limits.at_todays_prices(sale(*lines), PRODUCTS, policy)
    assert [each.unit_price for each in priced.request.lines] == prices
    assert [each.discount for each in priced.request.lines] == discounts
    assert [note.code for note in priced.notes] == notes
    assert bool(priced.request.hold) is ("price_changed" in notes)


def test_a_repriced_sale_leaves_its_tax_to_the_hub() -> None:
    sent = sale(line(unit_price=900_000, vat=1, duty=2), line("NAIL", unit_price=1_000, vat=3), tax=6)
    priced = limits.at_todays_prices(sent, PRODUCTS, PriceChanged.REPRICE).request
    assert (priced.tax, priced.lines[0].vat, priced.lines[0].duty, priced.lines[1].vat) == (None, None, None, 3)


@pytest.mark.parametrize(
    ("price", "sold", "policy", "held"),
    [
        (900_000, 900_000, PriceChanged.REPRICE, False),
        (1_000_000, 900_000, PriceChanged.REPRICE, True),
        (1_000_000, 900_000, PriceChanged.HOLD, True),
        (1_000_000, 900_000, PriceChanged.ACCEPT, False),
        (None, 900_000, PriceChanged.HOLD, False),
        # of a sale the hub doesn't know: the catalogue's price
        (1_000_000, None, PriceChanged.HOLD, False),
        (900_000, None, PriceChanged.REPRICE, True),
    ],
)
def test_a_return_at_another_price_than_it_was_sold_at_is_looked_at(
    price: int | None, sold: int | None, policy: PriceChanged, *, held: bool
) -> None:
    sent = sale(line(unit_price=price), kind=Kind.SALES_RETURN)
    priced = limits.at_todays_prices(sent, PRODUCTS, policy, original(sold) if sold is not None else None)
    assert bool(priced.request.hold) is held
    assert priced.request.lines == sent.lines


def original(price: int) -> Document:
    moment = datetime(2024, 3, 19, tzinfo=UTC)
    return Document(
        id=ids.document_id("s", "v1/1"),
        source="s",
        source_id="v1/1",
        kind=Kind.SALES_INVOICE,
        state=State.POSTED,
        revision=1,
        step=1,
        date=date(2024, 3, 19),
        received_at=moment,
        changed_at=moment,
        lines=(DocumentLine(1, "COLA", Decimal(9), price), DocumentLine(2, "COLA", Decimal(1), 0)),
    )


def test_why_a_price_is_looked_at_stays_short() -> None:
    sent = sale(*(line(unit_price=index) for index in range(300)))
    assert len(limits.at_todays_prices(sent, PRODUCTS, PriceChanged.HOLD).request.hold) < 1_000


NOW = datetime(2024, 3, 20, 20, 25, tzinfo=UTC)
"""23:55 in Tehran."""


@pytest.mark.parametrize(
    ("at", "day", "why"),
    [
        (NOW, date(2024, 3, 20), []),
        (NOW + timedelta(minutes=10), date(2024, 3, 21), []),
        (NOW + timedelta(minutes=10, seconds=1), date(2024, 3, 20), ["from_future"]),
        (NOW, date(2024, 3, 22), ["from_future"]),
        (None, date(2024, 3, 21), []),
        (NOW - timedelta(days=60), date(2024, 1, 20), []),
        (NOW - timedelta(days=61), date(2024, 1, 19), ["too_old", "too_old"]),
        (datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1), ["too_old", "too_old"]),
    ],
)
def test_when_something_can_have_been_made(at: datetime | None, day: date, why: list[str]) -> None:
    found = limits.out_of_time(at, day, NOW, skew=timedelta(minutes=10), oldest=timedelta(days=60))
    assert [each.code for each in found] == why


def test_the_fingerprint_changes_with_what_may_be_seen_and_with_nothing_else() -> None:
    def seen(**given: Any) -> str:
        return rights(**given).fingerprint

    assert seen() == seen(discount_percent=Decimal(3), credit=False, kinds=(Kind.SALES_ORDER,))
    assert seen(groups=("a", "b")) == seen(groups=("b", "a"))
    different = [
        seen(),
        seen(groups=("a",)),
        seen(accounts=("a",)),
        seen(account_groups=("a",)),
        seen(cities=("a",)),
        seen(warehouses=("a",)),
        rights(holder="v2").fingerprint,
        rights(Edition.CUSTOMERS).fingerprint,
    ]
    assert len(set(different)) == len(different)


def test_who_may_hold_a_handheld() -> None:
    assert limits.rights(Spec(holders={"v1": Limits()}), "v2") is None
    assert limits.rights(Spec(limits=Limits()), "v2") is not None
    assert limits.rights(Spec(limits=Limits()), "v/2") is None
    assert limits.rights(Spec(limits=Limits()), "v" * 28) is None
    own = Spec(limits=Limits(), holders={"v1": Limits(credit=False)})
    found = limits.rights(own, "v1")
    assert found is not None
    assert found.credit is False


@pytest.mark.parametrize(
    "given",
    [
        {"holders": {"a/b": Limits()}},
        {"holders": {"": Limits()}},
        {"holders": {"v" * 28: Limits()}},
        {"holders": {"v1": Limits(kinds=(Kind.TRANSFER,))}},
        {"edition": Edition.CUSTOMERS, "limits": Limits(accounts=("1",))},
        {"edition": Edition.CUSTOMERS, "limits": Limits(kinds=(Kind.SALES_INVOICE,))},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"holder|edition"):
        Spec(**given)


@pytest.mark.parametrize(
    ("before", "digest", "revision", "expected"),
    [
        (None, "a", 1, Fate.NEW),
        (Entry("a"), "a", 1, Fate.SAME),
        (Entry("a"), "b", 1, Fate.CONFLICT),
        (Entry("a"), "b", 2, Fate.CHANGED),
        (Entry("a"), "a", 2, Fate.CHANGED),
        (Entry("a", 3), "b", 2, Fate.OLDER),
    ],
)
def test_what_an_item_is_to_what_was_taken_before(
    before: Entry | None, digest: str, revision: int, expected: Fate
) -> None:
    assert fate(before, digest, revision) is expected


DOCUMENT = {
    "id": "1",
    "at": "2024-03-20T20:35:00Z",
    "kind": "sales_order",
    "account": "كاف۱",
    "lines": [{"product": "P", "quantity": "۲"}],
}


def raw(**changes: Any) -> bytes:
    item = {**DOCUMENT, **changes}
    return msgspec.json.encode({key: value for key, value in item.items() if value is not None})


def test_a_document_gets_the_holders_identity_and_the_day_in_tehran() -> None:
    sent = mapper.document(raw(), "v1")
    assert sent.request.source_id == "v1/1"
    assert sent.request.date == date(2024, 3, 21)
    assert sent.request.account == "کاف1"
    assert sent.at == datetime(2024, 3, 20, 20, 35, tzinfo=UTC)
    assert mapper.document(raw(date="1403/01/05"), "v1").request.date == date(2024, 3, 24)
    assert mapper.document(raw(), "v1") == mapper.document(raw(), "v1")
    without = msgspec.json.encode({**DOCUMENT, "date": None, "account": None})
    assert mapper.document(without, "v1").request.date == date(2024, 3, 21)
    back = mapper.document(raw(kind="sales_return", original="7"), "v1").request
    assert ids.original_id("s", back.original or "") == ids.document_id("s", "v1/7")


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"id": None}, {"id"}),
        ({"id": "a/b"}, {"id"}),
        ({"id": 7}, {"id"}),
        ({"id": "x" * 37}, {"id"}),
        ({"at": None}, {"at"}),
        ({"at": "2024-03-20T20:35:00"}, {"at"}),
        ({"at": "now"}, {"at"}),
        ({"at": 1_700_000_000}, {"at"}),
        ({"at": "0001-01-01T00:00:00+03:30"}, {"at"}),
        ({"at": "9999-12-31T23:59:59Z"}, {"at"}),
        (
            {"hold": "x", "currency": "IRR", "to_warehouse": "1", "source_id": "9"},
            {"hold", "currency", "to_warehouse", "source_id"},
        ),
        (
            {"kind": "sale", "lines": [{"product": "P", "quantity": "1", "unit_price": "1.5"}]},
            {"kind", "lines[0].unit_price"},
        ),
        ({"note": 3}, {"note"}),
        ({"when": 1}, {"when"}),
    ],
)
def test_every_problem_of_a_document_is_told_by_its_field(changes: dict[str, Any], fields: set[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        mapper.document(raw(**changes), "v1")
    assert {problem.field for problem in refused.value.problems} == fields


@pytest.mark.parametrize(
    ("written", "note"),
    [
        (r"\ud83d", "\ufffd"),
        (r"a\uDE00\ud83d b", "a\ufffd\ufffd b"),
        (r"\ud83d\uDE00", "\U0001f600"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\\\\ud83d", r"\\ud83d"),
    ],
)
def test_half_an_emoji_spoils_no_push(written: str, note: str) -> None:
    item = raw(note="@").replace(b"@", written.encode())
    batch = mapper.batch(b'{"sent_at": "2024-03-20T20:35:00Z", "documents": [' + item + b"]}")
    assert mapper.document(bytes(batch.documents[0]), "v1").request.note == note


VISIT = {"id": "1", "account": "ALI", "began_at": "2024-03-20T08:00:00+03:30", "outcome": "no_sale"}


def test_a_visit() -> None:
    visit = mapper.visit(
        msgspec.json.encode({**VISIT, "latitude": "35.7000", "reason": "بسته بود", "ended_at": VISIT["began_at"]}),
        "v1",
        "s",
    )
    assert (visit.source_id, visit.visitor, visit.outcome, visit.latitude) == (
        "v1/1",
        "v1",
        VisitOutcome.NO_SALE,
        "35.7000",
    )
    assert visit.id == mapper.visit(msgspec.json.encode(VISIT), "v1", "s").id
    assert visit.id != mapper.visit(msgspec.json.encode(VISIT), "v2", "s").id
    assert visit.id != ids.document_id("s", "v1/1")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"outcome": "slept"}, "outcome"),
        ({"began_at": "yesterday"}, "began_at"),
        ({"latitude": 35.7}, "latitude"),
        ({"latitude": "north"}, "latitude"),
        ({"id": "../1"}, "id"),
        ({"mood": "good"}, None),
        ({"began_at": "0001-01-01T00:00:00+03:30"}, "began_at"),
        ({"ended_at": "9999-12-31T23:59:59-03:30"}, "ended_at"),
        ({"account": "A\x00"}, "account"),
        ({"note": "\x00"}, "note"),
    ],
)
def test_a_visit_that_cant_be_read(changes: dict[str, Any], field: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        mapper.visit(msgspec.json.encode({**VISIT, **changes}), "v1", "s")
    assert refused.value.problems[0].field == field


def test_the_readme_tells_each_limit() -> None:
    assert settings_table(Limits) in (Path(connectors.__path__[0]) / "pocket_cyber" / "README.md").read_text("utf-8")
