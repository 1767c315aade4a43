"""The exchange by files: the same documents, limits and memory, told by row and column."""

import csv
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from connectors.pocket_cyber.spec import Limits, PriceChanged, Spec
from schemas import codec, topics
from schemas.dates import jalali, jalali_time, today_in_tehran, utc_now
from schemas.documents import State
from schemas.master import Product
from schemas.visits import Visit
from tests.connectors.conftest import until, values
from tests.connectors.pocket_cyber.test_exchange import results
from tests.connectors.pocket_cyber.world import PARTIAL, PRICE, Backdrop, Site, open_site, running_again

TODAY = jalali(today_in_tehran(utc_now()))
"""Also after midnight: the same document has the same day whenever it is written down."""
HEADING = "شماره سند,نوع سند,تاریخ,مشتری,تسویه,انبار,کد کالا,تعداد,فی,تخفیف\n"


def dropping(root: Path, **given: object) -> Spec:
    spec = Spec(
        holders={"v1": Limits(discount_percent=Decimal(5)), "v2": Limits()},
        folder=root,
        poll=timedelta(milliseconds=20),
    )
    return msgspec.structs.replace(spec, **given)


def row(site: Site, id_: str, product: str, **changes: object) -> str:
    cells = {
        "kind": "فاکتور فروش",
        "date": TODAY,
        "account": site.ali,
        "payment": "نقد",
        "warehouse": site.van,
        "product": product,
        "quantity": "۲",
        "unit_price": PRICE,
        "discount": "",
        **changes,
    }
    return ",".join([id_, *map(str, cells.values())]) + "\n"


def sale(site: Site, quantity: object) -> dict[str, object]:
    """What a sale says over HTTP and in JSON lines alike, but for its id."""
    return {
        "kind": "sales_invoice",
        "date": TODAY,
        "account": site.ali,
        "payment": "cash",
        "lines": [{"product": site.drink, "quantity": quantity, "unit_price": PRICE, "warehouse": site.van}],
    }


def jsonl(rows: Iterable[Mapping[str, object]]) -> str:
    return "".join(msgspec.json.encode(each).decode() + "\n" for each in rows)


def drop(root: Path, holder: str, name: str, text: str) -> None:
    unfinished = root / holder / "inbox" / f"{name}.part"
    unfinished.write_text(text, "utf-8")
    unfinished.rename(unfinished.with_suffix(""))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


async def result(root: Path, holder: str, name: str) -> list[dict[str, str]]:
    """The lines of a result file, once it is there."""
    path = root / holder / "results" / f"{name}.result.csv"
    await until(path.exists)
    return rows_of(path)


def folders(tmp_path: Path) -> Path:
    root = tmp_path / "pocket"
    for holder in ("v1", "v2", "someone-else"):
        (root / holder / "inbox").mkdir(parents=True)
    return root


async def test_documents_come_by_files_within_the_limits(backdrop: Backdrop, tmp_path: Path) -> None:
    root = folders(tmp_path)
    async with open_site(backdrop, dropping(root), tmp_path) as site:
        text = (
            HEADING
            + row(site, "S1", site.drink)
            + row(site, "S1", site.food, discount=100_000)
            + row(site, "S2", site.drink, discount=100_001)
            + row(site, "S3", "NOPE")
            + row(site, "S 4", site.drink)
            + row(site, "S5", site.drink, date="1420/01/01")
            + row(site, "S6", site.drink, quantity="many")
            + row(site, "S7", site.drink)
        )
        drop(root, "v1", "documents-1.csv", text)
        told = await result(root, "v1", "documents-1.csv")
        assert [(each["row"], each["column"], each["code"]) for each in told] == [
            ("4", "تخفیف", "discount_ceiling"),
            ("5", "کد کالا", "unknown_product"),
            ("6", "شماره سند", "local_id"),
            ("7", "تاریخ", "from_future"),
            ("8", "تعداد", "not_number"),
            ("", "", "summary"),
        ]
        first, last = await site.decided("v1", "S1", "S7")
        assert (first.state, last.state) == (State.CLEARED, State.CLEARED)
        assert len(first.lines) == 2
        assert await site.document("v1", "S2") is None
        # The same document over HTTP is the same document; another holder's file is another's document.
        device = await site.ready("v1")
        item = {"id": "S7", "at": device.now.isoformat(), **sale(site, "2")}
        assert await results(device, item, {**item, "note": "otherwise"}) == [
            ("repeated", []),
            ("conflict", ["conflict"]),
        ]
        drop(root, "v2", "documents-1.csv", HEADING + row(site, "S7", site.drink))
        await result(root, "v2", "documents-1.csv")
        assert (await site.decided("v2", "S7"))[0].id != last.id
        assert not (root / "someone-else" / "done").exists()


async def test_a_file_sent_again_counts_once_and_a_contradiction_is_told(backdrop: Backdrop, tmp_path: Path) -> None:
    root = folders(tmp_path)
    spec = dropping(root, price_changed=PriceChanged.HOLD)
    async with open_site(backdrop, spec, tmp_path) as site:
        text = HEADING + row(site, "S1", site.drink)
        drop(root, "v1", "documents-1.csv", text)
        assert len(await result(root, "v1", "documents-1.csv")) == 1
        await site.tell(Product(site.drink, "نوشابه", price=2 * PRICE))
        other = row(site, "S1", site.drink, quantity=5)
        drop(root, "v1", "documents-2.csv", text)
        drop(root, "v1", "documents-3.csv", HEADING + other)
        drop(root, "v1", "documents-4.csv", HEADING + row(site, "S2", site.drink))
        assert len(await result(root, "v1", "documents-2.csv")) == 1
        [contradicted, _] = await result(root, "v1", "documents-3.csv")
        assert (contradicted["row"], contradicted["column"], contradicted["code"]) == ("2", "شماره سند", "conflict")
        await result(root, "v1", "documents-4.csv")
        first, held = await site.decided("v1", "S1", "S2")
        assert (first.state, first.step, first.lines[0].quantity) == (State.CLEARED, 1, 2)
        assert (held.state, [why.code for why in held.reasons]) == (State.HELD, ["source_hold"])


async def test_master_data_isnt_taken_from_a_holder(backdrop: Backdrop, tmp_path: Path) -> None:
    root = folders(tmp_path)
    async with open_site(backdrop, dropping(root), tmp_path):
        drop(root, "v1", "products.csv", "code,name\nX,x\n")
        told = await result(root, "v1", "products.csv")
        assert told[0]["code"] == "documents_only"
        assert (root / "v1" / "failed" / "products.csv").exists()


async def test_a_half_written_file_is_left_alone_and_a_folder_made_later_is_found(
    backdrop: Backdrop, tmp_path: Path
) -> None:
    root = tmp_path / "pocket"
    (root / "v1" / "inbox").mkdir(parents=True)
    async with open_site(backdrop, dropping(root), tmp_path) as site:
        (root / "v1" / "inbox" / "documents.csv.part").write_text(HEADING + row(site, "S1", site.drink), "utf-8")
        (root / "v2" / "inbox").mkdir(parents=True)
        drop(root, "v2", "documents.csv", HEADING + row(site, "S1", site.drink))
        await result(root, "v2", "documents.csv")
        await site.decided("v2", "S1")
        assert [path.name for path in (root / "v1" / "inbox").iterdir()] == ["documents.csv.part"]


def told(root: Path, holder: str = "v1") -> list[dict[str, str]]:
    """The rows of all outcome files, in the order of their names."""
    return [row for path in sorted((root / holder / "results").glob("outcomes-*.csv")) for row in rows_of(path)]


def told_last(root: Path, source_id: str) -> list[dict[str, str]]:
    """The rows of a document in the newest file that tells of it: Kafka may bring an event twice."""
    for path in sorted((root / "v1" / "results").glob("outcomes-*.csv"), reverse=True):
        if found := [row for row in rows_of(path) if row["source_id"] == source_id]:
            return found
    return []


async def test_outcomes_lie_beside_the_results(backdrop: Backdrop, tmp_path: Path) -> None:
    root = folders(tmp_path)
    async with open_site(backdrop, dropping(root, source=PARTIAL), tmp_path) as site:
        text = (
            HEADING
            + row(site, "S1", site.drink)
            + row(site, "S1", site.food, quantity=150)
            + row(site, "S2", site.tool, quantity=90, payment="نسیه", unit_price=2 * PRICE)
        )
        drop(root, "v1", "documents-1.csv", text)
        await until(lambda: {"S1", "S2"} <= {each["source_id"] for each in told(root)})
        whole, first, second = told_last(root, "S1")
        assert (whole["state"], whole["state_fa"], whole["line"]) == ("cleared", "تأییدشده", "")
        assert int(whole["payable"]) == 102 * PRICE * 11 // 10
        assert (first["line"], first["product"], Decimal(first["quantity"])) == ("1", site.drink, 2)
        assert (Decimal(first["short"]), first["fa"]) == (0, "")
        assert (Decimal(second["quantity"]), Decimal(second["short"])) == (100, 50)
        assert site.food in second["fa"]
        assert site.food in second["en"]
        assert told_last(root, "S2")[0]["state"] == "held"
        assert told(root, "v2") == []
        # Of what came over HTTP, and what is decided later, the folder hears as well.
        device = await site.ready("v1")
        sold = device.sell(account=site.ali, payment="cash", lines=[device.line(site.drink, "1")])
        await device.push()
        await until(lambda: sold in {each["source_id"] for each in told(root)})
        [document] = await site.decided("v1", "S2")
        path = f"/v1/documents/{document.id}/refuse?wait=decision&timeout=30"
        assert (await site.operator.at(site.address).post(path, {"note": "no"})).status == 200
        await until(lambda: "rejected" in [each["state"] for each in told(root) if each["source_id"] == "S2"])
        names = {path.name for path in (root / "v1" / "results").iterdir()}
        assert names == {"documents-1.csv.result.csv", *(each for each in names if each.startswith("outcomes-0"))}
    before = told(root)
    async with running_again(site):
        drop(root, "v1", "documents-2.csv", HEADING + row(site, "S3", site.drink))
        await until(lambda: "S3" in {each["source_id"] for each in told(root)})
    assert {each["source_id"] for each in told(root)[len(before) :]} == {"S3"}


async def test_revisions_and_contradictions_in_one_file_are_told_apart(backdrop: Backdrop, tmp_path: Path) -> None:
    root = folders(tmp_path)
    async with open_site(backdrop, dropping(root), tmp_path) as site:
        document = {"source_id": "S1", **sale(site, 1)}
        rows = [
            {**document, "revision": 2, "note": "newer"},
            document,
            {**document, "source_id": "S2"},
            {**document, "source_id": "S2", "note": "otherwise"},
        ]
        drop(root, "v1", "documents-1.jsonl", jsonl(rows))
        found = await result(root, "v1", "documents-1.jsonl")
        assert [(each["row"], each["code"]) for each in found] == [("4", "conflict"), ("", "summary")]
        first, second = await site.decided("v1", "S1", "S2")
        assert (first.revision, first.note) == (2, "newer")
        assert second.note == ""


VISITS = "شماره ویزیت,مشتری,زمان,پایان,نتیجه,دلیل\n"


async def test_visits_come_by_files_as_over_http(backdrop: Backdrop, tmp_path: Path) -> None:
    root = folders(tmp_path)
    async with open_site(backdrop, dropping(root), tmp_path) as site:
        began = utc_now().replace(microsecond=0)
        at = jalali_time(began)
        text = (
            VISITS
            + f"۱,{site.ali},{at},{at},بدون فروش,بسته بود\n"
            + f"2,nobody,{at},,فروش,\n"
            + f"3,{site.ali},1420/01/01 10:00,,فروش,\n"
            + f"4,{site.ali},{at},,خواب,\n"
            + f"5,{site.ali},دیروز,,فروش,\n"
            + f"1,{site.ali},{at},,فروش,\n"
        )
        drop(root, "v1", "visits-1.csv", text)
        told = await result(root, "v1", "visits-1.csv")
        assert [(each["row"], each["column"], each["code"]) for each in told] == [
            ("3", "مشتری", "unknown_account"),
            ("4", "زمان", "from_future"),
            ("5", "نتیجه", "visit_unreadable"),
            ("6", "زمان", "not_moment"),
            ("7", "شماره ویزیت", "visit_conflict"),
            ("", "", "summary"),
        ]
        again = {"id": "1", "account": site.ali, "began_at": began.isoformat(), "outcome": "no_sale"}
        same = {**again, "ended_at": began.isoformat(), "reason": "بسته بود"}
        device = await site.ready("v1")
        body = {"sent_at": device.now.isoformat(), "visits": [same, again]}
        answer = await device.ask("POST", "/push", body)
        assert [each["result"] for each in answer["visits"]] == ["repeated", "conflict"]
        lines = [same, {**again, "id": "8"}, {**same, "note": "otherwise"}]
        drop(root, "v1", "visits-2.jsonl", jsonl(lines))
        told = await result(root, "v1", "visits-2.jsonl")
        assert [(each["row"], each["code"]) for each in told] == [("3", "visit_conflict"), ("", "summary")]
    found = [codec.decode_as(value, Visit) for value in await values(backdrop.kafka, topics.VISITS)]
    own = [each for each in found if each.source == site.source]
    assert sorted((each.source_id, each.outcome, each.visitor) for each in own) == [
        ("v1/1", "no_sale", "v1"),
        ("v1/8", "no_sale", "v1"),
    ]
    assert own[0].began_at == began
