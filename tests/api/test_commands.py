"""Commands on documents: who may give them, what they do, and what happens when they are repeated."""

import asyncio
from typing import Any

import pytest

from hub.api.app import Served
from hub.bus.producer import Outgoing
from schemas import codec, ids, topics
from schemas.commands import PostingSucceeded
from schemas.dates import utc_now
from tests.api.world import Hub, Shop, open_shop

WAIT = "?wait=decision&timeout=30"


async def held(shop: Shop, source_id: str = "H") -> str:
    """A document held for its credit; its place."""
    sent = await shop.send(source_id, line={"quantity": 950})
    assert sent["status"] == "held"
    location: str = sent["location"]
    return location


async def post(shop: Shop, document: dict[str, Any]) -> None:
    """Tell the hub that the books have a document, and wait until it knows."""
    command = PostingSucceeded(
        command_id=ids.command_id(ids.document_id(shop.source, document["source_id"]), "posted", 1),
        document_id=ids.document_id(shop.source, document["source_id"]),
        source=shop.source,
        source_id=document["source_id"],
        revision=document["revision"],
        occurred_at=utc_now(),
        recorded_at=utc_now(),
        actor="books",
        number="1",
        posted_at=utc_now(),
    )
    record = Outgoing(topics.COMMANDS, str(command.document_id).encode(), codec.encode(command))
    await shop.hub.producer.publish([record])
    async with asyncio.timeout(60):
        while (await shop.client.get(f"/v1/documents/{document['id']}")).body["state"] != "posted":
            await asyncio.sleep(0.02)


async def test_approving_lets_a_held_document_through(shop: Shop) -> None:
    place = await held(shop)
    answer = await shop.client.post(f"{place}/approve{WAIT}", {"note": "با مدير هماهنگ شد"})
    assert answer.status == 200, answer.data
    assert answer.body["status"] == "cleared"
    approval = answer.body["document"]["approval"]
    assert approval["approved"] is True
    assert approval["note"] == "با مدیر هماهنگ شد"
    assert approval["by"] == (await shop.client.get("/v1/me")).body["name"]


async def test_refusing_turns_it_down(shop: Shop) -> None:
    answer = await shop.client.post(f"{await held(shop)}/refuse{WAIT}")
    assert (answer.status, answer.body["status"]) == (200, "rejected")


async def test_an_approval_of_a_revision_that_was_amended_since_is_refused(shop: Shop) -> None:
    place = await held(shop)
    await shop.client.post(f"{place}/amend{WAIT}", shop.order("H", line={"quantity": 960}, revision=2))
    late = await shop.client.post(f"{place}/approve{WAIT}", {"revision": 1})
    assert (late.status, late.codes()) == (409, {"stale_revision"})
    assert (await shop.client.get(place)).body["state"] == "held"
    seen = await shop.client.post(f"{place}/approve{WAIT}", {"revision": 2, "note": "با مدیر هماهنگ شد"})
    assert (seen.status, seen.body["status"]) == (200, "cleared")


async def test_a_document_its_policy_keeps_from_the_books_is_released_once(hub: Hub, api: Served) -> None:
    shop = await open_shop(hub, api.address, "released by hand")
    sent = await shop.send("R")
    assert (sent["status"], sent["document"]["posting_policy"]) == ("cleared", "manual")
    assert [why["code"] for why in sent["document"]["reasons"]] == ["waits_for_release"]
    answer = await shop.client.post(f"{sent['location']}/release{WAIT}", {"note": "بار رفت"})
    assert (answer.status, answer.body["status"]) == (200, "cleared")
    assert answer.body["document"]["released"]["note"] == "بار رفت"
    again = await shop.client.post(f"{sent['location']}/release{WAIT}")
    assert (again.status, again.codes()) == (409, {"nothing_to_release"})


@pytest.mark.parametrize("revision", [0, -1, "2", 1.5, True, 2**31])
async def test_a_revision_that_is_none_is_told(shop: Shop, revision: object) -> None:
    place = await held(shop)
    answer = await shop.client.post(f"{place}/approve", {"revision": revision})
    assert (answer.status, [error["field"] for error in answer.body["errors"]]) == (422, ["revision"])


async def test_a_command_without_a_body_or_waiting_is_accepted(shop: Shop) -> None:
    place = await held(shop)
    answer = await shop.client.post(f"{place}/approve")
    assert answer.status == 202
    assert answer.body["status"] == "accepted"


@pytest.mark.parametrize("command", ["approve", "refuse"])
async def test_a_key_without_the_right_may_not_approve(shop: Shop, command: str) -> None:
    place = await held(shop)
    clerk = await shop.hub.key(shop.client.address, "documents:write", "documents:read", source=shop.source)
    answer = await clerk.post(f"{place}/{command}{WAIT}")
    assert answer.status == 403
    assert "documents:approve" in answer.body["detail"]
    assert (await shop.client.get(place)).body["state"] == "held"


async def test_clicks_repeated_at_once_are_one_command(shop: Shop) -> None:
    place = await held(shop)
    answers = await asyncio.gather(*(shop.client.post(f"{place}/approve{WAIT}") for _ in range(8)))
    decided = [answer.body for answer in answers if answer.status == 200]
    assert decided
    assert len({body["event_id"] for body in decided}) == 1
    assert {answer.status for answer in answers} <= {200, 409}
    history = (await shop.client.get(f"{place}/history")).body["items"]
    assert [event["type"] for event in history] == ["document.held", "document.cleared"]


async def test_a_click_repeated_later_is_told_where_the_document_stands(shop: Shop) -> None:
    place = await held(shop)
    await shop.client.post(f"{place}/approve{WAIT}")
    again = await shop.client.post(f"{place}/approve")
    assert again.status == 409
    assert again.body["type"] == "urn:peyvand:problem:command-refused"
    assert again.codes() == {"wrong_state"}
    assert "cleared" in again.body["detail"]


async def test_what_was_refused_may_be_tried_again_when_the_reason_is_gone(shop: Shop) -> None:
    """A sale with a return can't be cancelled; once the return is cancelled it can, though its step is the same."""
    sale = await shop.send("S", line={"quantity": 3})
    back = await shop.send("R", kind="sales_return", original="S", line={"quantity": 1})
    refused = await shop.client.post(f"{sale['location']}/cancel{WAIT}")
    assert refused.codes() == {"has_returns"}
    await shop.client.post(f"{back['location']}/cancel{WAIT}")
    cancelled = await shop.client.post(f"{sale['location']}/cancel{WAIT}")
    assert (cancelled.status, cancelled.body["status"]) == (200, "cancelled")


async def test_a_refusal_by_the_worker_itself_is_a_409_too(shop: Shop) -> None:
    """Two commands at once: both look allowed, the second is refused where it is decided."""
    place = await held(shop)
    answers = await asyncio.gather(shop.client.post(f"{place}/refuse{WAIT}"), shop.client.post(f"{place}/cancel{WAIT}"))
    assert sorted(answer.status for answer in answers) == [200, 409]
    [refused] = [answer for answer in answers if answer.status == 409]
    assert refused.codes() == {"wrong_state"}


async def test_cancelling_gives_the_goods_back(shop: Shop) -> None:
    sent = await shop.send("S", line={"quantity": 3})
    answer = await shop.client.post(f"{sent['location']}/cancel{WAIT}", {"note": "مشتری منصرف شد"})
    assert answer.body["status"] == "cancelled"
    [stock] = (await shop.client.get(f"/v1/stock?product={shop.product}")).body["items"]
    assert stock["reserved"] == "0"


async def test_a_reservation_is_ended_before_its_time(hub: Hub, api: Served) -> None:
    shop = await open_shop(hub, api.address, source="timed")
    sent = await shop.send("E")
    assert sent["document"]["expires_at"]
    answer = await shop.client.post(f"{sent['location']}/expire{WAIT}")
    assert (answer.status, answer.body["status"]) == (200, "expired")


async def test_a_document_without_a_time_limit_does_not_expire(shop: Shop) -> None:
    sent = await shop.send("S")
    answer = await shop.client.post(f"{sent['location']}/expire{WAIT}")
    assert answer.status == 409
    assert answer.body["type"] == "urn:peyvand:problem:command-refused"


async def test_amending_takes_the_next_revision_by_itself(shop: Shop) -> None:
    sent = await shop.send("S", line={"quantity": 3})
    content = shop.order("S", line={"quantity": 5})
    del content["source_id"]
    answer = await shop.client.post(f"{sent['location']}/amend{WAIT}", content)
    assert answer.status == 200, answer.data
    assert answer.body["revision"] == 2
    assert answer.body["document"]["lines"][0]["quantity"] == "5"


async def test_the_same_amendment_sent_again_is_the_same(shop: Shop) -> None:
    sent = await shop.send("S")
    content = shop.order("S", line={"quantity": 5}, revision=7)
    first = await shop.client.post(f"{sent['location']}/amend{WAIT}", content)
    again = await shop.client.post(f"{sent['location']}/amend", content)
    assert again.status == 200
    assert again.body == first.body
    other = await shop.client.post(f"{sent['location']}/amend", shop.order("S", line={"quantity": 6}, revision=7))
    assert other.status == 409


async def test_amending_another_document_is_refused(shop: Shop) -> None:
    sent = await shop.send("S")
    answer = await shop.client.post(f"{sent['location']}/amend", shop.order("T"))
    assert answer.status == 422
    assert answer.fields() == {"source_id"}


async def test_a_posted_document_is_amended_no_more(shop: Shop) -> None:
    sent = await shop.send("S", kind="sales_invoice")
    await post(shop, sent["document"])
    for answer in (
        await shop.client.post(
            f"{sent['location']}/amend", shop.order("S", kind="sales_invoice", line={"quantity": 2})
        ),
        await shop.client.post(
            "/v1/documents", shop.order("S", kind="sales_invoice", line={"quantity": 2}, revision=2)
        ),
        await shop.client.post(f"{sent['location']}/cancel"),
    ):
        assert answer.status == 409
        assert answer.codes() == {"wrong_state"}
        assert "posted" in answer.body["detail"]
    assert (await shop.client.get(sent["location"])).body["step"] == 2


async def test_a_posted_order_is_cancelled_and_not_amended(shop: Shop) -> None:
    sent = await shop.send("S")
    await post(shop, sent["document"])
    amended = await shop.client.post(f"{sent['location']}/amend", shop.order("S", line={"quantity": 2}))
    assert (amended.status, amended.codes()) == (409, {"wrong_state"})
    cancelled = await shop.client.post(f"{sent['location']}/cancel{WAIT}")
    assert (cancelled.status, cancelled.body["status"]) == (200, "cancelled")


async def test_an_amendment_in_a_batch_that_is_not_possible(shop: Shop) -> None:
    sent = await shop.send("S")
    await post(shop, sent["document"])
    batch = [shop.order("S", line={"quantity": 2}, revision=2), shop.order("T")]
    answer = await shop.client.post(f"/v1/documents{WAIT}", batch)
    assert [result["status"] for result in answer.body["results"]] == ["failed", "cleared"]
    assert answer.body["results"][0]["problem"]["status"] == 409


async def test_a_command_on_what_is_not_decided_yet(undecided: Shop) -> None:
    sent = (await undecided.client.post("/v1/documents", undecided.order())).body
    answer = await undecided.client.post(f"{sent['location']}/cancel")
    assert answer.status == 409
    assert answer.body["type"] == "urn:peyvand:problem:undecided"
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"note": 7}, 422, "note"),
        ({"note": None}, 422, "note"),
        ({"note": "x" * 2_001}, 422, "note"),
        ({"note": "a\x00"}, 422, "note"),
        ({"reason": "why"}, 422, "reason"),
        ([], 422, ""),
    ],
)
async def test_a_bad_note_is_refused(shop: Shop, body: Any, status: int, field: str) -> None:
    sent = await shop.send("S")
    answer = await shop.client.post(f"{sent['location']}/cancel", body)
    assert answer.status == status
    assert answer.fields() == {field}
    assert (await shop.client.get(sent["location"])).body["state"] == "cleared"
