"""What is queued arrives: signed, in each document's order, again after failures, and is written down."""

import asyncio
import collections
import logging
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from hub.rules.webhooks import secret_of
from hub.store import webhooks
from hub.store.pool import Store
from schemas import codec
from tests.conftest import free_port
from tests.store.company import execute
from tests.webhooks.world import (
    SECRET,
    Got,
    Receiver,
    all_done,
    event_of,
    happened,
    is_signed,
    queued,
    receiving,
    sending,
    statuses,
    subscribed,
    until,
)


async def test_an_event_arrives_signed_word_for_word_as_it_was_decided(store: Store, receiver: Receiver) -> None:
    webhook = await subscribed(store, receiver.url)
    event = event_of("shop", "A", 1)
    await happened(store, event)
    async with sending(store) as sender:
        await until(lambda: all_done(store))
    [got] = receiver.got
    assert got.body == codec.encode(event)
    assert got.headers["webhook-id"] == str(event.event_id)
    assert got.headers["content-type"] == "application/json"
    assert is_signed(got, SECRET)
    assert not is_signed(got, secret_of(b"another key of 24 bytes!"))
    assert sender.counts["delivered"] == 1
    [delivery] = await webhooks.deliveries(store, webhook.id, limit=10)
    assert (delivery.status, delivery.attempts, delivery.tries[0].status) == ("delivered", 1, 204)
    found = await webhooks.get(store, webhook.id)
    assert found is not None
    assert found.succeeded_at is not None


async def test_after_a_change_of_the_secret_both_sign_for_a_while(store: Store, receiver: Receiver) -> None:
    webhook = await subscribed(store, receiver.url)
    new = secret_of(b"quite another key of 30 bytes.")
    await webhooks.rotate(store, webhook.id, new, timedelta(hours=1))
    await happened(store, event_of("shop", "A", 1))
    async with sending(store):
        await until(lambda: all_done(store))
        assert is_signed(receiver.got[0], new)
        assert is_signed(receiver.got[0], SECRET)
        await webhooks.rotate(store, webhook.id, SECRET, timedelta(0))
        await happened(store, event_of("shop", "A", 2))
        await until(lambda: all_done(store))
    assert is_signed(receiver.got[1], SECRET)
    assert len(receiver.got[1].headers["webhook-signature"].split()) == 1


async def test_only_what_was_asked_for_is_queued_and_once(store: Store, receiver: Receiver) -> None:
    everything = await subscribed(store, receiver.url)
    cleared = await subscribed(store, receiver.url, types=["document.cleared"])
    returns = await subscribed(store, receiver.url, kinds=["sales_return"])
    other = await subscribed(store, receiver.url, "other")
    asleep = await subscribed(store, receiver.url, active=False)
    event = event_of("shop", "A", 1)
    assert await happened(store, event) == 1
    assert await webhooks.queue(store, [queued(event)] * 2) == 0
    for webhook in (cleared, returns, other, asleep):
        assert await statuses(store, webhook.id) == []
    assert await statuses(store, everything.id) == ["pending"]
    assert await webhooks.queue(store, [queued(event_of("shop", "B", 1), "sales_return")]) == 2


async def test_what_happened_before_the_subscription_is_not_sent(store: Store, receiver: Receiver) -> None:
    event = event_of("shop", "A", 1)
    await subscribed(store, receiver.url)
    assert await webhooks.queue(store, [queued(event)]) == 0


async def test_a_document_that_fails_waits_in_order_and_holds_up_no_other(store: Store, receiver: Receiver) -> None:
    webhook = await subscribed(store, receiver.url)
    mended = asyncio.Event()

    def answer(got: Got) -> web.Response:
        return web.Response(status=204 if mended.is_set() or got.event["source_id"] != "A" else 500, text="\x00 خطا")

    receiver.answer = answer
    events = [event_of("shop", name, step) for step in (1, 2, 3) for name in "ABC"]
    await happened(store, *events)
    async with sending(store, retries=(timedelta(milliseconds=5),) * 10_000):
        await until(lambda: sum(got.event["source_id"] == "A" for got in receiver.got) > 3)
        await until(lambda: sum(got.event["source_id"] != "A" for got in receiver.got) == 6)
        assert {got.step for got in receiver.got if got.event["source_id"] == "A"} == {("A", 1)}
        mended.set()
        await until(lambda: all_done(store))
    for name in "ABC":
        steps = [got.event["step"] for got in receiver.got if got.event["source_id"] == name]
        assert steps == sorted(steps)
        assert set(steps) == {1, 2, 3}
    assert await statuses(store, webhook.id) == ["delivered"] * 9
    first = (await webhooks.deliveries(store, webhook.id, limit=20))[-1]
    assert first.tries[0].error == "it answered 500"
    assert first.tries[0].excerpt == "خطا"


async def test_a_receiver_that_never_answers_holds_up_no_other(store: Store, receiver: Receiver) -> None:
    async with receiving() as dead:
        hanging = asyncio.Event()

        async def hang(_: Got) -> web.Response:
            await hanging.wait()
            return web.Response()

        dead.answer = hang
        await subscribed(store, dead.url)
        await subscribed(store, receiver.url)
        await happened(store, *(event_of("shop", f"{number}", 1) for number in range(100)))
        async with sending(store, at_once=10, at_once_each=4):
            await until(lambda: len(receiver.got) == 100)
            assert len(dead.got) == 4
            hanging.set()
            await until(lambda: all_done(store))


async def test_one_that_cannot_be_reached_is_left_in_peace_and_then_set_inactive(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = await subscribed(store, f"http://127.0.0.1:{free_port()}/")
    await happened(store, *(event_of("shop", f"{number}", 1) for number in range(30)))
    with caplog.at_level(logging.WARNING):
        async with sending(store, at_once_each=1) as sender:
            await until(lambda: sender.counts["disabled"])
    found = await webhooks.get(store, webhook.id)
    assert found is not None
    assert not found.active
    assert found.disabled_for == "failing"
    assert found.failing_since is not None
    assert sender.counts["given_up"] >= 1
    assert "nothing got through for too long" in caplog.text
    assert (await statuses(store, webhook.id)).count("pending") >= 1
    again = await webhooks.change(store, webhook.id, {"active": True})
    assert again is not None
    assert (again.disabled_for, again.failing_since) == (None, None)


async def test_one_event_given_up_leaves_a_webhook_that_works_active(store: Store, receiver: Receiver) -> None:
    webhook = await subscribed(store, receiver.url)

    async def got_through() -> bool:
        return (await statuses(store, webhook.id))[2] == "delivered"

    async def answer(got: Got) -> web.Response:
        if got.step != ("A", 1):
            return web.Response()
        await until(got_through)
        return web.Response(status=500)

    receiver.answer = answer
    await happened(store, event_of("shop", "A", 1), event_of("shop", "A", 2), event_of("shop", "B", 1))
    async with sending(store):
        await until(lambda: all_done(store))
    assert await statuses(store, webhook.id) == ["given_up", "delivered", "delivered"]
    given_up = (await webhooks.deliveries(store, webhook.id, limit=1, status="given_up"))[0]
    assert given_up.attempts == 6
    found = await webhooks.get(store, webhook.id)
    assert found is not None
    assert found.active
    receiver.answer = lambda _: web.Response()
    assert await webhooks.redeliver(store, webhook.id, given_up.id)
    async with sending(store):
        await until(lambda: all_done(store))
    assert await statuses(store, webhook.id) == ["delivered"] * 3
    assert receiver.got[-1].headers["webhook-id"] == str(given_up.event_id)


@pytest.mark.parametrize("how", ["redelivered", "set active"])
async def test_what_waited_behind_one_that_is_sent_again_by_hand_follows_at_once(
    store: Store, receiver: Receiver, how: str
) -> None:
    webhook = await subscribed(store, receiver.url)
    receiver.answer = lambda _: web.Response(status=500)
    await happened(store, event_of("shop", "A", 1))

    async def failed() -> bool:
        return (await webhooks.deliveries(store, webhook.id, limit=1))[0].attempts > 0

    async with sending(store, retries=(timedelta(hours=12),)):
        await until(failed)
        await happened(store, event_of("shop", "A", 2))
        receiver.answer = lambda _: web.Response()
        if how == "redelivered":
            [first] = (await webhooks.deliveries(store, webhook.id, limit=2))[1:]
            assert await webhooks.redeliver(store, webhook.id, first.id)
        else:
            await webhooks.change(store, webhook.id, {"active": True})
        await until(lambda: all_done(store))
    assert [got.step for got in receiver.got] == [("A", 1), ("A", 1), ("A", 2)]


async def test_410_ends_it_at_once(store: Store, receiver: Receiver) -> None:
    webhook = await subscribed(store, receiver.url)
    receiver.answer = lambda _: web.Response(status=410)
    await happened(store, event_of("shop", "A", 1))
    async with sending(store):
        await until(lambda: all_done(store))
    found = await webhooks.get(store, webhook.id)
    assert found is not None
    assert (found.active, found.disabled_for) == (False, "gone")
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("asked", "minutes"),
    [("3600", 60), ("Fri, 31 Dec 9999 23:59:59 GMT", 24 * 60)],
    ids=["an hour", "for ever: a day at most"],
)
async def test_retry_after_is_honoured_for_the_whole_receiver(
    store: Store, receiver: Receiver, asked: str, minutes: int
) -> None:
    webhook = await subscribed(store, receiver.url)
    receiver.answer = lambda _: web.Response(status=429, headers={"Retry-After": asked})
    await happened(store, event_of("shop", "A", 1), event_of("shop", "B", 1))
    async with sending(store, at_once_each=1):
        await until(lambda: receiver.got)

        async def paused() -> bool:
            found = await webhooks.get(store, webhook.id)
            return found is not None and found.paused_until is not None

        await until(paused)
    assert len(receiver.got) == 1
    waiting = await webhooks.deliveries(store, webhook.id, limit=1, status="pending")
    assert waiting
    found = await webhooks.get(store, webhook.id)
    assert found is not None
    assert found.paused_until is not None
    pause = found.paused_until - found.created_at
    assert timedelta(minutes=minutes - 5) < pause < timedelta(minutes=minutes + 30)


@pytest.mark.parametrize("asked", ["99999999", "Fri, 31 Dec 9999 23:59:59 -1200"])
async def test_no_receiver_is_left_in_peace_for_more_than_a_day(store: Store, receiver: Receiver, asked: str) -> None:
    webhook = await subscribed(store, receiver.url)
    receiver.answer = lambda _: web.Response(status=503, headers={"Retry-After": asked})
    await happened(store, event_of("shop", "A", 1))
    async with sending(store):
        await until(lambda: receiver.got)

        async def paused() -> Any:
            found = await webhooks.get(store, webhook.id)
            return found is not None and found.paused_until

        until_when = await until(paused)
    assert timedelta(hours=23) < until_when - webhook.created_at < timedelta(hours=25)


@pytest.mark.parametrize(
    "header",
    [
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    ],
)
async def test_a_header_that_makes_no_sense_stops_nobody(store: Store, receiver: Receiver, header: str) -> None:
    webhook = await subscribed(store, receiver.url)
    receiver.answer = lambda _: web.Response(headers={"Retry-After": header})
    await happened(store, event_of("shop", "A", 1))
    async with sending(store):
        await until(lambda: all_done(store))
    assert await statuses(store, webhook.id) == ["delivered"]


async def test_two_senders_share_the_work_and_keep_the_order(store: Store, receiver: Receiver) -> None:
    await subscribed(store, receiver.url)
    under_way: collections.Counter[str] = collections.Counter()

    async def answer(got: Got) -> web.Response:
        name = got.event["source_id"]
        under_way[name] += 1
        assert under_way[name] == 1
        await asyncio.sleep(0)
        under_way[name] -= 1
        return web.Response()

    receiver.answer = answer
    await happened(store, *(event_of("shop", f"{name}", step) for step in range(1, 6) for name in range(40)))
    async with sending(store) as one, sending(store) as other:
        await until(lambda: all_done(store))
    assert one.counts["delivered"] + other.counts["delivered"] == 200
    assert len(receiver.got) == 200
    for name in range(40):
        assert [got.event["step"] for got in receiver.got if got.event["source_id"] == f"{name}"] == [1, 2, 3, 4, 5]


async def test_what_a_sender_that_died_had_claimed_is_sent_by_another_after_its_lease(
    store: Store, receiver: Receiver
) -> None:
    webhook = await subscribed(store, receiver.url)
    await happened(store, event_of("shop", "A", 1), event_of("shop", "A", 2))
    [dead] = await webhooks.claim(store, lease=timedelta(hours=1), each=8, room=8)
    assert await webhooks.claim(store, lease=timedelta(hours=1), each=8, room=8) == []
    await execute(store, "update webhook_deliveries set due_at = now() where id = $1", dead.id)  # an hour passes
    async with sending(store):
        await until(lambda: all_done(store))
    assert [got.event["step"] for got in receiver.got] == [1, 2]
    late = webhooks.Finished(dead, webhooks.Try(dead.created_at, 1, error="late"), succeeded=False)
    await webhooks.finish(store, [late])
    assert await statuses(store, webhook.id) == ["delivered", "delivered"]


async def test_a_sender_that_is_told_to_stop_gives_back_what_it_had(store: Store, receiver: Receiver) -> None:
    await subscribed(store, receiver.url)

    async def hang(_: Got) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    receiver.answer = hang
    await happened(store, event_of("shop", "A", 1))
    async with sending(store):
        await until(lambda: receiver.got)
    assert len(await webhooks.claim(store, lease=timedelta(minutes=1), each=8, room=8)) == 1


async def test_a_receiver_that_is_too_slow_is_a_failure(store: Store, receiver: Receiver) -> None:
    webhook = await subscribed(store, receiver.url)

    async def hang(_: Got) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    receiver.answer = hang
    await happened(store, event_of("shop", "A", 1))
    async with sending(store, timeout=timedelta(milliseconds=50), retries=(timedelta(milliseconds=1),)):
        await until(lambda: all_done(store))
    [delivery] = await webhooks.deliveries(store, webhook.id, limit=2)
    assert [each.error for each in delivery.tries] == ["no answer within 0.05 s"] * 2
    assert delivery.tries[0].status is None


async def test_of_a_long_answer_only_the_beginning_is_read(store: Store, receiver: Receiver) -> None:
    webhook = await subscribed(store, receiver.url)

    async def endless(_: Got) -> web.StreamResponse:
        async def pieces():  # type: ignore[no-untyped-def]
            while True:
                yield b"x" * 65_536

        return web.Response(body=pieces())

    receiver.answer = endless
    await happened(store, event_of("shop", "A", 1))
    async with sending(store):
        await until(lambda: all_done(store))
    [delivery] = await webhooks.deliveries(store, webhook.id, limit=2)
    assert delivery.status == "delivered"
    assert delivery.tries[0].excerpt == "x" * 500


async def test_a_redirect_is_not_followed(store: Store, receiver: Receiver) -> None:
    webhook = await subscribed(store, receiver.url)
    receiver.answer = lambda _: web.Response(status=302, headers={"Location": "/elsewhere"})
    await happened(store, event_of("shop", "A", 1))
    async with sending(store, retries=()):
        await until(lambda: all_done(store))
    assert {got.path for got in receiver.got} == {"/hook"}
    [delivery] = await webhooks.deliveries(store, webhook.id, limit=2)
    assert delivery.tries[0].error == "it answered 302"


async def test_the_log_is_pruned_and_what_still_waits_is_not(store: Store, receiver: Receiver) -> None:
    webhook = await subscribed(store, receiver.url)
    await happened(store, event_of("shop", "A", 1))
    async with sending(store):
        await until(lambda: all_done(store))
    await happened(store, event_of("shop", "A", 2))
    assert await webhooks.prune(store, timedelta(days=1)) == 0
    assert await webhooks.prune(store, timedelta(0)) == 1
    assert await statuses(store, webhook.id) == ["pending"]
    await webhooks.change(store, webhook.id, {"active": False})
    assert await webhooks.prune(store, timedelta(0)) == 1


async def test_an_event_whose_decision_is_gone_is_given_up(store: Store, receiver: Receiver) -> None:
    webhook = await subscribed(store, receiver.url)
    await webhooks.queue(store, [queued(event_of("shop", "A", 1))])
    async with sending(store):
        await until(lambda: all_done(store))
    [delivery] = await webhooks.deliveries(store, webhook.id, limit=2)
    assert delivery.status == "given_up"
    assert not await webhooks.redeliver(store, webhook.id, delivery.id)
    assert not await webhooks.redeliver(store, uuid4(), delivery.id)


async def test_a_source_has_so_many_webhooks_at_most(store: Store) -> None:
    made = await asyncio.gather(
        *(
            webhooks.add(
                store,
                source="shop",
                url="https://example.com/",
                types=[],
                kinds=[],
                description="",
                active=True,
                secret=SECRET,
                created_by="tests",
                limit=3,
            )
            for _ in range(6)
        )
    )
    assert sum(each is not None for each in made) == 3
    assert len(await webhooks.every(store, "shop")) == 3
    assert SECRET.reveal() not in repr(made)
