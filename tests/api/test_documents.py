"""Documents in: accepted once, answered the same, refused by name."""

import asyncio
import dataclasses
import io
import json
from typing import Any
from uuid import UUID

import msgspec
import pytest

from hub.api.app import Served
from hub.rules.settings import Limits
from schemas import ids
from tests.api.world import Answer, Client, Hub, Shop, open_shop


async def test_an_accepted_document_is_found_where_the_answer_says(shop: Shop) -> None:
    answer = await shop.client.post("/v1/documents?wait=decision&timeout=30", shop.order("S-1"))
    assert answer.status == 200, answer.data
    assert answer.body["status"] == "cleared"
    assert answer.headers["Location"] == answer.body["location"]
    found = await shop.client.get(answer.body["location"])
    assert found.body == answer.body["document"]
    assert found.body["source"] == shop.source
    assert UUID(found.body["id"]) == ids.document_id(shop.source, "S-1")


async def test_without_waiting_it_is_accepted_and_later_decided(shop: Shop) -> None:
    answer = await shop.client.post("/v1/documents", shop.order("S-1"))
    assert answer.status == 202
    assert answer.body["status"] == "accepted"
    assert "document" not in answer.body
    again = await shop.client.post("/v1/documents?wait=decision&timeout=30", shop.order("S-1"))
    assert again.status == 200
    assert again.body["command_id"] == answer.body["command_id"]


async def test_a_document_nobody_decided_yet_is_accepted_to_its_own_source_only(
    idle_hub: Hub, api: Served, anyone: Client
) -> None:
    """Written to PostgreSQL as the intake does before Kafka has it, so that nothing decides it."""
    owner = await idle_hub.key(api.address, "documents:read", source="pending-shop")
    other = await idle_hub.key(api.address, "documents:read")
    id_ = ids.document_id("pending-shop", "P-1")
    async with idle_hub.store.connection() as connection:
        await connection.execute("insert into intake values ($1, 'pending-shop', 1, $1)", id_)
    mine = await owner.get(f"/v1/documents/{id_}")
    assert (mine.status, mine.body) == (202, {"document_id": str(id_), "status": "accepted"})
    assert mine.headers["Retry-After"] == "1"
    assert (await owner.get(f"/v1/documents/{id_}/history")).body == {"items": []}
    assert (await other.get(f"/v1/documents/{id_}")).status == 404


async def test_the_outcome_answers_with_200_whatever_it_is(shop: Shop) -> None:
    held = await shop.send("H", line={"quantity": 950})
    assert held["status"] == "held"
    assert held["document"]["reasons"][0]["code"] == "credit_exceeded"
    assert "اعتبار" in held["document"]["reasons"][0]["fa"]
    rejected = await shop.send("R", line={"quantity": 1_001})
    assert rejected["status"] == "rejected"
    assert [why["code"] for why in rejected["document"]["reasons"]] == ["stock_short"]


async def test_the_same_content_gets_the_same_answer(shop: Shop) -> None:
    first = await shop.send("S")
    again = await shop.client.post("/v1/documents", shop.order("S"))
    assert again.status == 200
    assert again.body == first
    history = await shop.client.get(f"{first['location']}/history")
    assert len(history.body["items"]) == 1


async def test_the_same_content_written_otherwise_is_the_same_content(shop: Shop) -> None:
    first = await shop.send("۱۲", date="1403/02/12")
    again = await shop.client.post("/v1/documents", shop.order(" 12 ", date="۲۰۲۴-۰۵-۰۱", line={"quantity": "۱"}))
    assert (again.status, again.body) == (200, first)


async def test_other_content_under_the_same_id_is_a_conflict(shop: Shop) -> None:
    await shop.send("S")
    answer = await shop.client.post("/v1/documents", shop.order("S", line={"quantity": 2}))
    assert answer.status == 409
    assert answer.body["type"] == "urn:peyvand:problem:content-conflict"
    assert answer.codes() == {"content_conflict"}


async def test_two_contents_racing_for_one_id(shop: Shop) -> None:
    """Twenty pairs released together: of each pair one is accepted and one told."""
    contents = [[shop.order(f"R-{n}", line={"quantity": quantity}) for quantity in (1, 2)] for n in range(20)]
    answers = await asyncio.gather(*(shop.client.post("/v1/documents", each) for pair in contents for each in pair))
    statuses = [sorted(answer.status for answer in answers[n : n + 2]) for n in range(0, 40, 2)]
    assert statuses == [[202, 409]] * 20


async def test_a_higher_revision_amends(shop: Shop) -> None:
    await shop.send("S", line={"quantity": 3})
    amended = await shop.send("S", line={"quantity": 5}, revision=2)
    assert amended["document"]["revision"] == 2
    assert amended["document"]["step"] == 2
    assert amended["document"]["lines"][0]["reserved"] == "5"


async def test_revisions_out_of_order_leave_the_newer_one(shop: Shop) -> None:
    newer = await shop.send("S", line={"quantity": 5}, revision=2)
    assert newer["status"] == "cleared"
    older = await shop.client.post(
        "/v1/documents?wait=decision&timeout=30", shop.order("S", line={"quantity": 3}, revision=1)
    )
    assert older.status == 409
    assert older.codes() == {"stale_revision"}
    assert (await shop.client.get(newer["location"])).body["revision"] == 2


async def test_every_source_has_its_own_ids(hub: Hub, api: Served, shop: Shop) -> None:
    other = await open_shop(hub, api.address)
    mine, theirs = await shop.send("S"), await other.send("S")
    assert mine["document_id"] != theirs["document_id"]


async def test_the_trace_goes_along(shop: Shop) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await shop.client.post(
        "/v1/documents?wait=decision&timeout=30",
        shop.order("S"),
        headers={"traceparent": trace, "X-Request-ID": "till-7"},
    )
    assert answer.headers["X-Request-ID"] == "till-7"
    history = await shop.client.get(f"{answer.body['location']}/history")
    assert history.body["items"][0]["trace"] == trace
    assert history.body["items"][0]["actor"] == (await shop.client.get("/v1/me")).body["name"]


# --- batches


async def test_a_batch_takes_the_good_ones_though_others_are_bad(shop: Shop) -> None:
    batch = [shop.order("A"), shop.order("B", line={"quantity": 0}), 7, shop.order("C", colour="red"), shop.order("D")]
    answer = await shop.client.post("/v1/documents?wait=decision&timeout=30", batch)
    assert answer.status == 200, answer.data
    results = answer.body["results"]
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]
    assert [result["status"] for result in results] == ["cleared", "failed", "failed", "failed", "cleared"]
    assert (answer.body["accepted"], answer.body["failed"]) == (2, 3)
    assert results[1]["problem"]["errors"][0]["field"] == "lines[0].quantity"
    assert results[2]["problem"]["errors"][0]["code"] == "not_object"
    assert results[3]["problem"]["errors"][0]["field"] == "colour"
    assert (await shop.client.get(results[4]["location"])).body["state"] == "cleared"


async def test_ndjson_errors_name_the_line(shop: Shop) -> None:
    lines = [json.dumps(shop.order("A")), "", "{broken", json.dumps(shop.order("B", date="1403/13/01")), ""]
    answer = await shop.client.post(
        "/v1/documents", "\r\n".join(lines).encode(), headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status == 202
    first, broken, dated = answer.body["results"]
    assert (first["status"], first["line"]) == ("accepted", 1)
    assert (broken["line"], broken["problem"]["status"]) == (3, 400)
    assert (dated["line"], dated["problem"]["errors"][0]["field"]) == (4, "date")


async def test_the_same_document_twice_in_a_batch(shop: Shop) -> None:
    batch = [shop.order("A"), shop.order("A"), shop.order("B"), shop.order("B", line={"quantity": 2})]
    results = (await shop.client.post("/v1/documents?wait=decision&timeout=30", batch)).body["results"]
    assert results[0]["event_id"] == results[1]["event_id"]
    assert sorted(result["status"] for result in results[2:]) == ["cleared", "failed"]


async def test_a_thousand_documents_in_one_request(shop: Shop) -> None:
    batch = [shop.order(f"N-{n}", line={"quantity": "0.5"}) for n in range(1_000)]
    answer = await shop.client.post("/v1/documents?wait=decision&timeout=30", batch)
    assert answer.status == 200
    assert {result["status"] for result in answer.body["results"]} == {"cleared"}
    stock = (await shop.client.get(f"/v1/stock?product={shop.product}")).body["items"][0]
    assert stock["reserved"] == "500"


async def test_one_document_more_than_a_batch_may_have(shop: Shop) -> None:
    answer = await shop.client.post("/v1/documents", [{}] * 1_001)
    assert answer.status == 413
    assert "1,000" in answer.body["detail"]


async def test_an_empty_batch_is_told(shop: Shop) -> None:
    assert (await shop.client.post("/v1/documents", [])).status == 422
    empty = await shop.client.post("/v1/documents", b"\n\n", headers={"Content-Type": "application/x-ndjson"})
    assert empty.status == 422


# --- bad input


BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"line": {"quantity": 0}}, "lines[0].quantity", "quantity_not_positive"),
    ({"line": {"quantity": -1}}, "lines[0].quantity", "quantity_not_positive"),
    ({"line": {"quantity": 10**15}}, "lines[0].quantity", "quantity_absurd"),
    ({"line": {"quantity": "1" * 29}}, "lines[0].quantity", "number_too_long"),
    ({"line": {"quantity": "0.000001"}}, "lines[0].quantity", "quantity_decimals"),
    ({"line": {"quantity": "many"}}, "lines[0].quantity", "not_number"),
    ({"line": {"quantity": True}}, "lines[0].quantity", "not_number"),
    ({"line": {"unit_price": 1.5}}, "lines[0].unit_price", "not_whole_rials"),
    ({"line": {"unit_price": 13920000.0}}, "lines[0].unit_price", "not_whole_rials"),
    ({"line": {"unit_price": -1}}, "lines[0].unit_price", "amount_negative"),
    ({"line": {"unit_price": 2**63}}, "lines[0].unit_price", "amount_too_large"),
    ({"line": {"unit_price": 10**30}}, "lines[0].unit_price", "number_too_long"),
    ({"line": {"product": ""}}, "lines[0].product", "invalid_code"),
    ({"line": {"product": "x" * 65}}, "lines[0].product", "invalid_code"),
    ({"line": {"product": 7}}, "lines[0].product", "not_text"),
    ({"line": {"colour": "red"}}, "lines[0].colour", "unknown_field"),
    ({"currency": "USD"}, "currency", "currency"),
    ({"date": "1403/13/01"}, "date", "not_date"),
    ({"date": "1403/12/31"}, "date", "not_date"),
    ({"date": "2023-02-29"}, "date", "not_date"),
    ({"date": "yesterday"}, "date", "not_date"),
    ({"date": 14030101}, "date", "not_text"),
    ({"kind": "sale"}, "kind", "not_choice"),
    ({"payment": "barter"}, "payment", "not_choice"),
    ({"revision": 0}, "revision", "revision"),
    ({"revision": 2**40}, "revision", "revision"),
    ({"source_id": ""}, "source_id", "invalid_code"),
    ({"source_id": None}, "source_id", "not_text"),
    ({"note": "a\x00b"}, "note", "bad_text"),
    ({"note": "x" * 2_001}, "note", "invalid_code"),
    ({"lines": []}, "lines", "lines_missing"),
    ({"lines": {}}, "lines", "not_list"),
    ({"amount": 5}, "amount", "field_not_wanted"),
    ({"account": None}, "account", "field_missing"),
    ({"warehouse": "a\nb"}, "warehouse", "invalid_code"),
    ({"surprise": 1}, "surprise", "unknown_field"),
]


@pytest.mark.parametrize(
    ("changes", "field", "code"), BAD_FIELDS, ids=[f"{field}-{code}" for _, field, code in BAD_FIELDS]
)
async def test_a_bad_field_is_named(idle_shop: Shop, changes: dict[str, Any], field: str, code: str) -> None:
    answer = await idle_shop.client.post("/v1/documents", idle_shop.order(**changes))
    assert answer.status == 422, answer.data
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    error = next(error for error in answer.body["errors"] if error["field"] == field)
    assert error["code"] == code
    assert error["message"]
    assert error["message_fa"]


async def test_every_error_of_a_document_is_told_at_once(idle_shop: Shop) -> None:
    order = idle_shop.order(
        "S",
        currency="EUR",
        lines=[
            {"product": idle_shop.product, "quantity": 0, "number": 1},
            {"product": idle_shop.product, "quantity": "1.123456", "number": 1},
        ],
    )
    answer = await idle_shop.client.post("/v1/documents", order)
    assert answer.codes() == {"currency", "quantity_not_positive", "quantity_decimals", "duplicate_line"}


async def test_ten_thousand_lines_are_refused(idle_shop: Shop) -> None:
    lines = [{"product": idle_shop.product, "quantity": 1}] * 10_000
    answer = await idle_shop.client.post("/v1/documents", idle_shop.order("S", lines=lines))
    assert answer.status == 422
    assert answer.codes() == {"too_many_lines"}


async def test_a_total_beyond_64_bits_is_rejected_with_its_reason(shop: Shop) -> None:
    decided = await shop.send("S", line={"quantity": 100_000_000, "unit_price": 10**17}, kind="quote")
    assert decided["status"] == "rejected"
    assert decided["document"]["reasons"][0]["code"] == "amount_too_large"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"line": {"product": "nothing"}}, "unknown_product"),
        ({"line": {"warehouse": "nowhere"}}, "unknown_warehouse"),
        ({"account": "nobody"}, "unknown_account"),
        ({"kind": "sales_return", "original": "never"}, "original_unknown"),
    ],
)
async def test_what_master_data_lacks_is_rejected_with_its_reason(
    shop: Shop, changes: dict[str, Any], code: str
) -> None:
    decided = await shop.send("S", **changes)
    assert decided["status"] == "rejected"
    assert [why["code"] for why in decided["document"]["reasons"]] == [code]


async def test_arabic_letters_in_codes_find_their_persian_spelling(shop: Shop) -> None:
    await shop.stocked(5, f"کیف{shop.product}")
    decided = await shop.send("S", line={"product": f"كيف{shop.product}"})
    assert decided["status"] == "cleared"


MALFORMED = [b"", b"{", b'{"a": }', b"\xff\xfe", b'"\xff"', b"[" * 100_000, b"{} {}", b"NaN"]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
async def test_what_is_not_json_is_told(idle_shop: Shop, body: bytes) -> None:
    answer = await idle_shop.client.post("/v1/documents", body, headers={"Content-Type": "application/json"})
    assert answer.status == 400
    assert answer.body["type"] == "urn:peyvand:problem:malformed-json"


@pytest.mark.parametrize("body", [b"7", b'"text"', b"null", b"true"])
async def test_json_that_is_no_document_is_told(idle_shop: Shop, body: bytes) -> None:
    answer = await idle_shop.client.post("/v1/documents", body, headers={"Content-Type": "application/json"})
    assert answer.status == 422
    assert answer.codes() == {"not_object"}


@pytest.mark.parametrize(
    "sent", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=windows-1256", "rubbish", ""]
)
async def test_other_content_types_are_refused(idle_shop: Shop, sent: str) -> None:
    answer = await idle_shop.client.post("/v1/documents", b"{}", headers={"Content-Type": sent})
    assert answer.status == 415
    assert "application/json" in answer.headers["Accept-Post"]


async def test_a_body_over_the_limit_is_refused_by_its_length(idle_shop: Shop) -> None:
    answer = await idle_shop.client.ask(
        "POST", "/v1/documents", data=io.BytesIO(b" " * (5 * 1024 * 1024)), headers={"Content-Type": "application/json"}
    )
    assert answer.status == 413


async def test_a_body_over_the_limit_is_refused_as_it_comes(idle_shop: Shop) -> None:
    async def chunks() -> Any:
        for _ in range(80):
            yield b" " * 65_536

    answer: Answer = await idle_shop.client.ask(
        "POST", "/v1/documents", data=chunks(), headers={"Content-Type": "application/json"}
    )
    assert answer.status == 413


async def test_a_body_that_never_ends_is_given_up(hub: Hub) -> None:
    async with hub.api(body_seconds=0.2) as served:
        client = await hub.key(served.address)

        async def endless() -> Any:
            yield b"{"
            await asyncio.Event().wait()

        answer = await client.ask("POST", "/v1/documents", data=endless(), headers={"Content-Type": "application/json"})
        assert answer.status == 408


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("wait=forever", "wait"),
        ("timeout=31", "timeout"),
        ("timeout=-1", "timeout"),
        ("timeout=nan", "timeout"),
        ("timeout=1&timeout=2", "timeout"),
        ("dry=1", "dry"),
    ],
)
async def test_a_bad_parameter_is_named(idle_shop: Shop, query: str, field: str) -> None:
    answer = await idle_shop.client.post(f"/v1/documents?{query}", idle_shop.order())
    assert answer.status == 422
    assert answer.fields() == {field}


async def test_waiting_ends_though_nothing_is_decided(undecided: Shop) -> None:
    """A hub whose deciding worker is away still accepts, and says that it isn't decided."""
    answer = await undecided.client.post("/v1/documents?wait=decision&timeout=0.2", undecided.order())
    assert answer.status == 202
    assert answer.body["status"] == "accepted"


async def test_a_document_too_large_for_kafka_is_told_and_the_rest_of_its_batch_taken(idle_shop: Shop) -> None:
    hub = idle_shop.hub
    limits = Limits(max_lines=100_000)
    roomy = dataclasses.replace(hub, rules=msgspec.structs.replace(hub.rules, limits=limits))
    code = "ک" * 64
    line = {"product": code, "warehouse": code, "attribute": code, "quantity": 1}
    batch = [idle_shop.order("huge", lines=[line] * 20_000), idle_shop.order("small")]
    async with roomy.api(max_body_bytes=64 * 1024 * 1024) as served:
        body = io.BytesIO(json.dumps(batch, ensure_ascii=False).encode())
        answer = await idle_shop.client.at(served.address).ask(
            "POST", "/v1/documents", data=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status == 202
    again = await idle_shop.client.post("/v1/documents", idle_shop.order("huge"))
    assert again.status == 202, "what was too large left its id free"
    huge, small = answer.body["results"]
    assert (huge["status"], huge["problem"]["status"]) == ("failed", 413)
    assert small["status"] == "accepted"
