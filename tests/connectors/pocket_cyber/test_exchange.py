"""The exchange over HTTP, from a handheld's side: what it hands over, and what it learns of it."""

import asyncio
import io
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from connectors.pocket_cyber.simulator import Handheld, Refused
from connectors.pocket_cyber.spec import Edition, Limits, PriceChanged, Spec
from hub.bus.producer import Producer
from hub.bus.topics import create_topics
from hub.runtime.connect import Connectors
from schemas import codec, topics
from schemas.dates import utc_now
from schemas.deadletters import DeadLetter
from schemas.documents import Payment, State
from schemas.master import Product, Stock
from schemas.visits import Visit
from tests.api.world import Client
from tests.conftest import free_port
from tests.connectors.conftest import Running, until, values
from tests.connectors.pocket_cyber.world import DAY, PARTIAL, PRICE, Backdrop, Site, open_site, pocket, served, visitor


async def test_days_offline_everything_arrives_once_however_it_is_sent(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path) as site:
        device = await site.ready("v1")
        made = [
            device.sell("sales_invoice", ago=n * DAY, account=site.ali, lines=[device.line(site.drink, "1")])
            for n in range(5)
        ]
        made += [device.sell("sales_order", ago=DAY, account=site.ali, lines=[device.line(site.food)])]
        made += [device.take_money(500_000, ago=DAY, account=site.ali)]
        visit = device.visit("sale", ago=DAY, account=site.ali)
        await device.push_and_break()
        await device.push_and_break(share=0.5)
        await device.push(size=3)
        await device.push(again=1.0)
        assert not device.waiting
        assert all(entry.taken for entry in device.ledger.values())
        assert "repeated" in device.ledger[visit].results
        outcomes = await site.told(device, *made)
        assert {outcome["state"] for outcome in outcomes} == {"cleared"}
        documents = await site.decided("v1", *made)
        assert [document.source_id for document in documents] == [f"v1/{id_}" for id_ in made]
        assert {document.step for document in documents} == {1}
        found = [codec.decode_as(value, Visit) for value in await values(backdrop.kafka, topics.VISITS)]
        assert {each.source_id for each in found if each.source == site.source} == {f"v1/{visit}"}


async def test_the_day_and_time_of_a_document_are_the_handhelds(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path) as site:
        device = await site.ready("v1", skew=timedelta(minutes=-7))
        id_ = device.sell(account=site.ali, ago=3 * DAY, lines=[device.line(site.drink)])
        answer = await device.ask("POST", "/push", device.batch([id_]))
        assert -420 - 60 < answer["clock_skew_seconds"] <= -419
        [document] = await site.decided("v1", id_)
        assert (utc_now().date() - document.date).days in (2, 3, 4)


@pytest.mark.parametrize(
    ("ago", "why"), [(timedelta(minutes=-11), "from_future"), (61 * DAY, "too_old"), (timedelta(minutes=-9), None)]
)
async def test_an_impossible_time_is_refused(
    backdrop: Backdrop, tmp_path: Path, ago: timedelta, why: str | None
) -> None:
    async with open_site(backdrop, visitor(), tmp_path, runs=False) as site:
        device = await site.ready("v1")
        sale = device.sell(account=site.ali, ago=ago, lines=[device.line(site.drink)])
        visit = device.visit(account=site.ali, ago=ago)
        ending = device.visit(account=site.ali, ended_at=(device.now - min(ago, timedelta(0))).isoformat())
        await device.push()
        for id_ in (sale, visit):
            entry = device.ledger[id_]
            assert entry.results == ["refused" if why else "accepted"]
            assert set(entry.reasons) == ({why} if why else set())
        assert set(device.ledger[ending].reasons) == ({why} if why == "from_future" else set())


async def test_a_bad_item_stops_no_other_and_is_kept(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path, runs=False) as site:
        device = await site.ready("v1")
        good = device.sell(account=site.ali, lines=[device.line(site.drink)])
        client = site.holding(device)
        batch = device.batch([good])
        bad = [
            {"id": "b1"},
            {"id": "../etc", "at": batch["sent_at"], "kind": "sales_order"},
            "nothing",
            {**batch["documents"][0], "id": "b2", "amount": 1.5, "color": "red", "hold": "x"},
        ]
        batch["documents"] = [*bad[:2], batch["documents"][0], *bad[2:]]
        batch["visits"] = [{"id": "x", "outcome": "slept"}]
        for _ in range(2):
            answer = await client.post("/push", batch)
            assert answer.status == 200, answer.data
            results = [item["result"] for item in answer.body["documents"]]
            assert results[2] in ("accepted", "repeated")
            assert [results[i] for i in (0, 1, 3, 4)] == ["refused"] * 4
            assert answer.body["visits"][0]["result"] == "refused"
        told = answer.body["documents"]
        assert {why["field"] for why in told[4]["reasons"]} == {"amount", "color", "hold"}
        assert {why["field"] for why in told[0]["reasons"]} == {"at", "kind"}
        assert all(why["fa"] and why["en"] for item in told for why in item.get("reasons", ()))
        letters = {
            letter.id: letter
            for value in await values(backdrop.kafka, topics.DEAD_LETTERS)
            if (letter := codec.decode_as(value, DeadLetter)).handler == f"pocket_cyber.{site.instance.name}"
        }
        assert len(letters) == 5
        assert {msgspec.json.decode(letter.value)["id"] for letter in letters.values() if b"{" in letter.value} == {
            "b1",
            "../etc",
            "b2",
            "x",
        }


async def test_one_id_is_one_document_whatever_device_it_comes_from(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path) as site:
        device = await site.ready("v1")
        id_ = device.sell(account=site.ali, payment="cash", lines=[device.line(site.drink, "2")])
        await device.push()
        other = await site.enrolled("v1", seed=2)
        other.ledger = {id_: device.ledger[id_]}
        await other.push(again=1.0)
        assert device.ledger[id_].results == ["accepted", "repeated"]
        item = device.ledger[id_].item
        changed = {**item, "lines": [{**item["lines"][0], "quantity": "3"}]}
        assert await results(other, changed) == [("conflict", ["conflict"])]
        assert await results(other, {**changed, "revision": 2}) == [("accepted", [])]
        assert await results(other, {**changed, "revision": 2}) == [("repeated", [])]
        assert await results(other, item) == [("superseded", [])]
        async with asyncio.timeout(60):
            while (await site.decided("v1", id_))[0].revision != 2:
                await asyncio.sleep(0.02)
        [document] = await site.decided("v1", id_)
        assert document.lines[0].quantity == 3


async def test_the_same_id_twice_in_one_batch(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path, runs=False) as site:
        device = await site.ready("v1")
        item = device.ledger[device.sell(account=site.ali, lines=[device.line(site.drink, "1")])].item
        other = {**item, "note": "otherwise"}
        assert await results(device, item, item, other, {**other, "revision": 2}) == [
            ("accepted", []),
            ("repeated", []),
            ("conflict", ["conflict"]),
            ("accepted", []),
        ]


async def test_the_same_batch_by_several_ways_at_once_counts_once(backdrop: Backdrop, tmp_path: Path) -> None:
    """A handheld that gave up waiting pushes again while the first is still at work, at another process of the API."""
    async with open_site(backdrop, visitor(), tmp_path) as site:
        device = await site.ready("v1")
        made = [device.sell(account=site.ali, payment="cash", lines=[device.line(site.drink, "1")]) for _ in range(10)]
        visits = [device.visit(account=site.ali) for _ in range(3)]
        other = Site(backdrop, site.instance, tmp_path, mark=site.mark)
        async with served(other):
            clients = [Client(backdrop.session, url, device.token) for url in (site.url, other.url) * 3]
            answers = await asyncio.gather(
                *(client.post("/push", device.batch([*made, *visits])) for client in clients)
            )
        for what, count in (("documents", 10), ("visits", 3)):
            for index in range(count):
                told = [answer.body[what][index]["result"] for answer in answers]
                assert sorted(told) == ["accepted", *["repeated"] * 5]
        documents = await site.decided("v1", *made)
        assert {document.step for document in documents} == {1}


async def test_its_vitals_tell_of_devices_that_arent_seen(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path, runs=False) as site:
        await site.ready("v1")
        connectors = Connectors([site.instance], backdrop.kafka, backdrop.store, tmp_path)
        name = f"pocket_cyber.{site.instance.name}"
        async with Running(connectors):
            await until(lambda: connectors.counters().get(f"{name}_devices") == 1)
            assert connectors.counters()[f"{name}_oldest_unseen_hours"] == 0
        assert await connectors.check(10) == {name: None}


async def test_a_folder_that_isnt_there_is_told_by_the_check(idle: Backdrop, tmp_path: Path) -> None:
    instance = pocket(msgspec.structs.replace(visitor(), folder=tmp_path / "nowhere"))
    [(_, wrong)] = (await Connectors([instance], idle.kafka, idle.store, tmp_path).check(10)).items()
    assert wrong is not None
    assert "nowhere" in wrong


async def test_a_repeat_is_known_whatever_prices_and_limits_are_by_then(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path) as site:
        device = await site.ready("v1")
        id_ = device.sell(account=site.ali, lines=[device.line(site.drink)])
        await device.push()
        await site.decided("v1", id_)
        await site.tell(Product(site.drink, "نوشابه", price=2 * PRICE, active=False))
        await device.push(again=1.0)
        assert device.ledger[id_].results == ["accepted", "repeated"]
        [document] = await site.decided("v1", id_)
        assert document.state is State.CLEARED


async def test_nothing_is_accepted_before_kafka_has_it(backdrop: Backdrop, tmp_path: Path) -> None:
    """Without Kafka a push isn't answered with 2xx; the next brings the very command that was remembered, though the
    price is another by then."""
    async with open_site(backdrop, visitor(), tmp_path) as site:
        device = await site.ready("v1")
        id_ = device.sell(account=site.ali, payment="cash", lines=[device.line(site.drink, "1")])
        visit = device.visit(account=site.ali)
        nowhere = msgspec.structs.replace(backdrop.kafka, bootstrap=f"127.0.0.1:{free_port()}")
        without = replace(backdrop, kafka=nowhere, producer=Producer(nowhere))
        cut_off = Site(without, site.instance, tmp_path, mark=site.mark)
        async with served(cut_off, start_seconds=0.1):
            client = Client(backdrop.session, cut_off.url, device.token)
            answer = await client.post("/push", device.batch([id_, visit]))
            assert answer.status == 503, answer.data
            assert answer.body["detail_fa"]
            assert (await client.get("/pull/products")).status == 200
        assert await site.document("v1", id_) is None
        await site.tell(Product(site.drink, "نوشابه", price=3 * PRICE))
        await device.push()
        assert device.ledger[id_].results == ["repeated"]
        assert device.ledger[visit].taken
        [document] = await site.decided("v1", id_)
        assert (document.state, document.lines[0].unit_price) == (State.CLEARED, PRICE)


async def results(device: Handheld, *items: dict) -> list[tuple[str, list[str]]]:
    body = {"sent_at": device.now.isoformat(), "documents": list(items)}
    answer = await device.ask("POST", "/push", body)
    return [(item["result"], [why["code"] for why in item.get("reasons", ())]) for item in answer["documents"]]


@pytest.mark.parametrize(
    ("policy", "state", "price", "reasons"),
    [
        (PriceChanged.ACCEPT, "cleared", PRICE, []),
        (PriceChanged.HOLD, "held", PRICE, ["source_hold"]),
        (PriceChanged.REPRICE, "cleared", 1_200_000, []),
    ],
)
async def test_a_price_that_changed_meanwhile(
    backdrop: Backdrop, tmp_path: Path, policy: PriceChanged, state: str, price: int, reasons: list[str]
) -> None:
    spec = msgspec.structs.replace(visitor(discount_percent=Decimal(10)), price_changed=policy)
    async with open_site(backdrop, spec, tmp_path) as site:
        device = await site.ready("v1")
        line = {"product": site.drink, "quantity": "2", "unit_price": PRICE, "discount": 100_000, "warehouse": site.van}
        id_ = device.sell(account=site.ali, payment="cash", lines=[line])
        await site.tell(Product(site.drink, "نوشابه", price=1_200_000))
        await device.push()
        assert device.ledger[id_].results == ["accepted"]
        [outcome] = await site.told(device, id_)
        assert outcome["state"] == state
        assert [why["code"] for why in outcome.get("reasons", ())] == reasons
        assert outcome["lines"][0]["unit_price"] == price
        # 2 × 1,200,000 − 120,000 (the same 5 %), or 2 × 1,000,000 − 100,000; plus 10 %
        assert outcome["payable"] == (2_508_000 if policy is PriceChanged.REPRICE else 2_090_000)
        assert (
            device.ledger[id_].notes
            == {
                PriceChanged.ACCEPT: [],
                PriceChanged.HOLD: ["price_changed"],
                PriceChanged.REPRICE: ["repriced"],
            }[policy]
        )


async def test_stock_that_is_gone_and_credit_that_is_used(backdrop: Backdrop, tmp_path: Path) -> None:
    spec = msgspec.structs.replace(visitor(), source=PARTIAL)
    async with open_site(backdrop, spec, tmp_path) as site:
        device = await site.ready("v1")
        sale = device.sell(
            account=site.ali,
            warehouse=site.van,
            payment="cash",
            lines=[{**device.line(site.drink, "5"), "warehouse": site.van}],
        )
        dear = device.sell(
            account=site.ali,
            warehouse=site.van,
            payment="credit",
            lines=[{**device.line(site.food, "99"), "warehouse": site.van}],
        )
        await site.tell(Stock(site.drink, site.van, Decimal(3), utc_now()))
        await device.push()
        partly, held = await site.told(device, sale, dear)
        assert partly["state"] == "cleared"
        assert (Decimal(partly["lines"][0]["quantity"]), Decimal(partly["lines"][0]["short"])) == (3, 2)
        assert [why["code"] for why in partly["reasons"]] == ["stock_partly"]
        assert held["state"] == "held"
        assert [why["code"] for why in held["reasons"]] == ["credit_exceeded"]
        assert held["reasons"][0]["fa"]


async def test_outcomes_are_deltas(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path) as site:
        device = await site.ready("v1")
        client = site.holding(device)
        id_ = device.sell(account=site.ali, payment="cash", lines=[device.line(site.drink, "1")])
        await device.push()
        await site.told(device, id_)
        first = (await client.get("/outcomes")).body
        assert first["reset"] is True
        answer = await client.get("/outcomes", params={"cursor": first["cursor"]})
        assert (answer.body["items"], answer.body["reset"]) == ([], False)
        again = await client.get(
            "/outcomes", params={"cursor": first["cursor"]}, headers={"If-None-Match": answer.headers["ETag"]}
        )
        assert again.status == 304
        item = device.ledger[id_].item
        await results(device, {**item, "revision": 2, "note": "x"})
        async with asyncio.timeout(60):
            while not (more := (await client.get("/outcomes", params={"cursor": first["cursor"]})).body)["items"]:
                await asyncio.sleep(0.02)
        assert [(each["id"], each["revision"]) for each in more["items"]] == [(id_, 2)]
        assert (await client.get("/outcomes", params={"cursor": "000000009999"})).body["reset"] is True
        one = await client.get(f"/outcomes/{id_}")
        assert one.body == more["items"][0]
        assert (await client.get("/outcomes/never-sent")).status == 404


async def test_what_isnt_decided_yet_is_received(idle: Backdrop, topic_prefix: str, tmp_path: Path) -> None:
    kafka = msgspec.structs.replace(idle.kafka, prefix=topic_prefix)
    await create_topics(kafka)
    undecided = replace(idle, kafka=kafka, producer=Producer(kafka))
    async with open_site(undecided, visitor(), tmp_path, runs=False) as site:
        device = await site.ready("v1")
        id_ = device.sell(account=site.ali, lines=[device.line(site.drink)])
        await device.push()
        answer = await site.holding(device).get(f"/outcomes/{id_}")
        assert (answer.status, answer.body["state"]) == (200, "received")
        assert answer.body["document_id"] == device.ledger[id_].document_id
    await undecided.producer.stop()


async def test_a_return_names_its_sale_by_the_handhelds_own_id(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path) as site:
        device = await site.ready("v1")
        sale = device.sell(account=site.ali, payment="cash", lines=[device.line(site.drink, "2")])
        await device.push()
        await site.told(device, sale)
        await site.tell(Product(site.drink, "نوشابه", price=2 * PRICE))
        back, dear = device.take_back(sale), device.take_back(sale)
        device.ledger[back].item["lines"][0]["unit_price"] = PRICE
        device.ledger[dear].item["lines"][0]["unit_price"] = 2 * PRICE
        await device.push()
        outcome, held = await site.told(device, back, dear)
        assert outcome["state"] == "cleared", outcome
        assert held["state"] == "held"
        assert device.ledger[dear].notes == ["price_changed"]
        [document] = await site.decided("v1", back)
        assert document.original_id == (await site.decided("v1", sale))[0].id


async def test_a_customer_orders_for_itself_and_sees_only_itself(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, Spec(edition=Edition.CUSTOMERS, limits=Limits()), tmp_path) as site:
        device = await site.ready(site.ali)
        assert device.copies["customers"].keys() == device.copies["credit"].keys() == {site.ali}
        assert device.me["limits"]["kinds"] == ["sales_order"]
        own = device.sell("sales_order", warehouse=site.van, lines=[device.line(site.drink)])
        del device.ledger[own].item["account"]
        for other in (
            device.sell("sales_order", account=site.reza, warehouse=site.van, lines=[device.line(site.drink)]),
            device.sell("sales_invoice", warehouse=site.van, lines=[device.line(site.drink)]),
            device.visit(),
        ):
            await device.push()
            assert device.ledger[other].results == ["refused"]
            assert device.ledger[other].reasons[0] in ("not_own_account", "kind_not_allowed", "visits_not_allowed")
        [document] = await site.decided(site.ali, own)
        assert (document.account, document.state) == (site.ali, State.CLEARED)
        assert document.payment in (Payment.CASH, Payment.CREDIT)
        client = site.holding(device)
        raw = b"".join([(await client.get(f"/pull/{feed}")).data for feed in ("customers", "credit")])
        assert site.reza.encode() not in raw
        answer = await site.operator.post(f"{site.path}/codes", {"holder": f"no{site.mark}"})
        assert answer.status == 422


async def test_too_much_or_unreadable_is_told_clearly(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, visitor(), tmp_path, runs=False) as site:
        device = await site.ready("v1")
        client = site.holding(device)
        many = {"sent_at": device.now.isoformat(), "documents": [{}] * 501}
        assert (await client.post("/push", many)).status == 413
        assert (await client.ask("POST", "/push", data=io.BytesIO(b" " * (4 * 1024 * 1024 + 1)))).status == 413
        assert (await client.post("/push", b'{"sent_at": "2024')).status == 400
        assert (await client.post("/push", {"documents": []})).status == 400
        assert (await client.get("/pull/products", params={"limit": "many"})).status == 400
        with pytest.raises(Refused, match="404"):
            await device.ask("GET", "/pull/secrets")
