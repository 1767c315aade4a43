"""What is asked: documents and their stories, lists page by page, stock, accounts, previews."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from hub.api.app import Served
from hub.api.parameters import cursor_text
from hub.store import master
from schemas.dates import utc_now
from schemas.master import Account, CodeList, Finance, ListEntry, Stock
from tests.api.world import Client, Hub, Shop, open_shop

EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))


async def test_history_tells_every_step(shop: Shop) -> None:
    sent = await shop.send("S", line={"quantity": 2})
    await shop.send("S", line={"quantity": 950}, revision=2)
    history = (await shop.client.get(f"{sent['location']}/history")).body["items"]
    assert [(event["type"], event["step"]) for event in history] == [("document.cleared", 1), ("document.held", 2)]


@pytest.mark.parametrize("id_", [str(uuid4()), "nonsense", "0", "a b"])
@pytest.mark.parametrize("path", ["/v1/documents/{}", "/v1/documents/{}/history"])
async def test_no_such_document(idle_shop: Shop, path: str, id_: str) -> None:
    answer = await idle_shop.client.get(path.format(id_))
    assert answer.status == 404
    assert answer.codes() == {"unknown_document"}


async def test_other_sources_documents_are_not_there(hub: Hub, api: Served, shop: Shop) -> None:
    sent = await shop.send("S")
    other = await open_shop(hub, api.address)
    admin = await hub.key(api.address, "admin")
    for path in (sent["location"], f"{sent['location']}/history"):
        assert (await other.client.get(path)).status == 404
        assert (await admin.get(path)).status == 200
    for command in ("cancel", "approve", "amend"):
        assert (await other.client.post(f"{sent['location']}/{command}", {})).status == 404
    assert (await other.client.get(f"/v1/documents?source={shop.source}")).body == {"items": [], "next": None}
    assert (await other.client.get("/v1/documents?source_id=S")).body["items"] == []
    listed = (await admin.get(f"/v1/documents?source={shop.source}")).body["items"]
    assert [document["id"] for document in listed] == [sent["document_id"]]


async def test_a_list_is_read_page_by_page(shop: Shop) -> None:
    batch = [shop.order(f"N-{n}") for n in range(25)]
    assert (await shop.client.post("/v1/documents?wait=decision&timeout=30", batch)).status == 200
    seen: list[str] = []
    path = "/v1/documents?limit=10"
    pages = 0
    while path:
        page = (await shop.client.get(path)).body
        seen += [document["source_id"] for document in page["items"]]
        path = f"/v1/documents?limit=10&cursor={page['next']}" if page["next"] else ""
        pages += 1
    assert pages == 3
    assert sorted(seen) == sorted(order["source_id"] for order in batch)


async def test_a_list_filtered(shop: Shop) -> None:
    await shop.send("A", date="1403/02/12")
    await shop.send("B", date="1403/03/01", line={"quantity": 950})
    await shop.send("C", date="1403/03/01", kind="quote")

    async def found(query: str) -> list[str]:
        items = (await shop.client.get(f"/v1/documents?{query}")).body["items"]
        return sorted(document["source_id"] for document in items)

    assert await found("") == ["A", "B", "C"]
    assert await found("state=held") == ["B"]
    assert await found("kind=quote") == ["C"]
    assert await found("source_id=A") == ["A"]
    assert await found(f"account={shop.account}&since=1403/03/01") == ["B", "C"]
    assert await found("until=2024-05-01") == ["A"]
    assert await found("since=۱۴۰۳/۰۲/۱۲&until=۱۴۰۳/۰۲/۱۲") == ["A"]
    assert await found("account=nobody") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kind=sale", "kind"),
        ("state=open", "state"),
        ("since=1403/13/01", "since"),
        ("until=soon", "until"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=WzEsMl0", "cursor"),
        (f"cursor={cursor_text((datetime(1, 1, 1, tzinfo=EAST), uuid4()))}", "cursor"),
        (f"cursor={cursor_text((datetime(9999, 12, 31, 23, 59, tzinfo=WEST), uuid4()))}", "cursor"),
        ("source=", "source"),
        ("source=%00", "source"),
        ("colour=red", "colour"),
        ("account=" + "x" * 201, "account"),
    ],
)
async def test_a_bad_filter_is_named(idle_shop: Shop, query: str, field: str) -> None:
    answer = await idle_shop.client.get(f"/v1/documents?{query}")
    assert answer.status == 422, answer.data
    assert answer.fields() == {field}


async def test_a_span_without_days_is_told(idle_shop: Shop) -> None:
    assert (await idle_shop.client.get("/v1/documents?since=1403/02/02&until=1403/02/01")).status == 422


async def test_counts_are_of_what_the_key_sees(shop: Shop) -> None:
    await shop.send("A")
    await shop.send("B")
    await shop.send("C", line={"quantity": 950})
    assert (await shop.client.get("/v1/documents/counts")).body == {"states": {"held": 1, "cleared": 2}, "total": 3}


async def test_stock_is_on_hand_reserved_and_sellable(shop: Shop) -> None:
    await shop.stocked("17")
    await shop.send("A", line={"quantity": "14.16667"})
    stock = (await shop.client.get(f"/v1/stock?product={shop.product}")).body
    assert stock["next"] is None
    [row] = stock["items"]
    figures = {name: row[name] for name in ("on_hand", "reserved", "sellable", "in_books", "incoming")}
    assert figures == {
        "on_hand": "17",
        "reserved": "14.16667",
        "sellable": "2.83333",
        "in_books": "17",
        "incoming": "0",
    }
    assert row["product_name"] == "رم کینگستون"


async def test_attributes_are_called_by_name(shop: Shop) -> None:
    code = f"A{shop.product}"
    every = ListEntry(CodeList.ATTRIBUTE, code, "قرمز")
    own = ListEntry(CodeList.ATTRIBUTE, code, "قرمز براق", product=shop.product)
    city = ListEntry(CodeList.CITY, code, "کرج", parent="البرز")
    other = f"{shop.product}-2"
    now = utc_now()
    await master.apply(
        shop.hub.store,
        [
            every,
            own,
            city,
            *(Stock(product, shop.warehouse, Decimal(1), now, code) for product in (shop.product, other)),
        ],
    )
    stock = (await shop.client.get(f"/v1/stock?warehouse={shop.warehouse}")).body["items"]
    called = {row["product"]: row["attribute_name"] for row in stock if row["attribute"]}
    assert called == {shop.product: "قرمز براق", other: "قرمز"}
    seen: list[ListEntry] = []
    cursor = ""
    while True:
        page = (await shop.client.get(f"/v1/lists?limit=1{cursor}")).body
        seen += [msgspec.convert(entry, ListEntry) for entry in page["items"]]
        if not page["next"]:
            break
        cursor = f"&cursor={page['next']}"
    assert [entry for entry in seen if entry.code == code] == [every, own, city]
    cities = (await shop.client.get("/v1/lists?list=city")).body["items"]
    assert {entry["list"] for entry in cities} == {"city"}
    refused = await shop.client.get("/v1/lists?list=colour")
    assert (refused.status, refused.body["errors"][0]["field"]) == (422, "list")


async def test_stock_is_read_page_by_page(shop: Shop) -> None:
    for n in range(4):
        await shop.stocked(n, f"{shop.product}-{n}")
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await shop.client.get(f"/v1/stock?warehouse={shop.warehouse}&limit=2{cursor}")).body
        seen += [row["product"] for row in page["items"]]
        if not page["next"]:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == sorted([shop.product, *(f"{shop.product}-{n}" for n in range(4))])


async def test_an_account_with_every_term_of_its_credit(shop: Shop) -> None:
    """Golden figure 2, and a document of our own that the books don't show yet."""
    await shop.credit(
        direct=540_000_000_000,
        documentary=350_000_000_000,
        balance=87_634_996_000,
        uncleared_cheques=45_000_000_000,
        returned_cheques=23_125_000_000,
    )
    account = (await shop.client.get(f"/v1/accounts/{shop.account}")).body
    assert account["credit"]["instant"] == 757_365_004_000
    assert account["credit"]["returned_cheques"] == 23_125_000_000
    await shop.send("A", line={"unit_price": 10_000_000})
    credit = (await shop.client.get(f"/v1/accounts/{shop.account}")).body["credit"]
    assert credit["held"] == 11_000_000
    assert credit["instant"] == 757_365_004_000 - 11_000_000


@pytest.mark.parametrize("code", ["nobody", "%00", "x" * 300, "a%2Fb"])
async def test_no_such_account(idle_shop: Shop, code: str) -> None:
    answer = await idle_shop.client.get(f"/v1/accounts/{code}")
    assert answer.status == 404
    assert answer.codes() == {"unknown_account"}


async def test_an_account_known_only_by_its_standing_is_not_there(idle_shop: Shop) -> None:
    await master.apply(idle_shop.hub.store, [Finance("standing-only", utc_now(), direct=1)])
    assert (await idle_shop.client.get("/v1/accounts/standing-only")).status == 404


async def test_an_accounts_code_in_another_spelling(idle_shop: Shop) -> None:
    await master.apply(idle_shop.hub.store, [Account("کاشانی12", "کاشانی", ledger="1101", detail_group="T1")])
    found = (await idle_shop.client.get("/v1/accounts/كاشاني۱۲")).body
    assert (found["name"], found["ledger"], found["detail_group"]) == ("کاشانی", "1101", "T1")


async def test_me_is_the_key(hub: Hub, api: Served) -> None:
    client = await hub.key(api.address, "documents:read", "stock:read", source="till", per_minute=77)
    body = (await client.get("/v1/me")).body
    scopes = ["documents:read", "stock:read"]
    assert body == {"name": body["name"], "source": "till", "scopes": scopes, "per_minute": 77}


# --- previews


async def preview(client: Client, order: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post("/v1/documents/preview", order)
    assert answer.status == 200, answer.data
    body: dict[str, Any] = answer.body
    return body


async def test_a_preview_prices_taxes_and_keeps_nothing(shop: Shop) -> None:
    """Golden figure 1: 13,920,000 × 2 at 9 % is 30,345,600."""
    await shop.credit(direct=10_000_000)
    order = shop.order("S", date="1402/12/20", line={"quantity": 2, "unit_price": 13_920_000})
    found = await preview(shop.client, order)
    assert found["outcome"] == "held"
    assert found["reasons"][0]["code"] == "credit_exceeded"
    assert found["totals"]["payable"] == 30_345_600
    assert found["lines"][0]["vat"] == 1_670_400
    assert found["credit"]["instant"] == 10_000_000
    assert found["stock"] == [
        {
            "line": 1,
            "product": shop.product,
            "warehouse": shop.warehouse,
            "attribute": "",
            "wanted": "2",
            "sellable": "1000",
        }
    ]
    assert (await shop.client.get("/v1/documents?source_id=S")).body["items"] == []
    [stock] = (await shop.client.get(f"/v1/stock?product={shop.product}")).body["items"]
    assert stock["reserved"] == "0"


async def test_a_preview_tells_the_policy_that_applied(hub: Hub, api: Served) -> None:
    shop = await open_shop(hub, api.address, "released by hand")
    found = await preview(shop.client, shop.order())
    assert found["policy"] == {
        "source": "released by hand",
        "kind": "sales_order",
        "stock": "all_or_nothing",
        "credit": "hold",
        "reservation_seconds": 86_400,
        "tax_tolerance": 10,
        "approval": False,
        "posting": "manual",
    }
    assert [why["code"] for why in found["reasons"]] == ["waits_for_release"]


async def test_a_preview_needs_no_id(shop: Shop) -> None:
    order = shop.order()
    del order["source_id"]
    assert (await preview(shop.client, order))["outcome"] == "cleared"


async def test_a_preview_of_a_document_that_exists_is_of_its_amendment(shop: Shop) -> None:
    await shop.send("S", line={"quantity": 600})
    assert (await preview(shop.client, shop.order("S", line={"quantity": 900})))["outcome"] == "cleared"
    assert (await preview(shop.client, shop.order("T", line={"quantity": 900})))["outcome"] == "rejected"
    refused = await preview(shop.client, shop.order("S", kind="quote"))
    assert refused["outcome"] == "refused"
    assert [why["code"] for why in refused["reasons"]] == ["kind_changed"]


async def test_a_preview_of_what_makes_no_sense_is_refused_by_field(idle_shop: Shop) -> None:
    answer = await idle_shop.client.post("/v1/documents/preview", idle_shop.order(line={"quantity": 0}))
    assert answer.fields() == {"lines[0].quantity"}
    assert (await idle_shop.client.post("/v1/documents/preview", [idle_shop.order()])).status == 422
    answer = await idle_shop.client.post("/v1/documents/preview", idle_shop.order(7))  # type: ignore[arg-type]
    assert answer.fields() == {"source_id"}
