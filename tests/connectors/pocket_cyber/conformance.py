"""How the conformance suite drives the Pocket Cyber connector."""

import datetime as dt
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from connectors.base import Context
from connectors.pocket_cyber import limits, mapper
from connectors.pocket_cyber.desk import Desk, Known
from connectors.pocket_cyber.devices import Devices
from connectors.pocket_cyber.spec import Edition, Limits, PriceChanged, Spec
from schemas import codec
from schemas.dates import today_in_tehran, utc_now
from schemas.exchange import Request
from schemas.intake import InvalidRequest
from schemas.master import Account, Product, Warehouse
from tests.conformance import harness
from tests.conformance.harness import Fault, Fixture, Mapped, Part, Sample, Wanted, World, recorded

HOLDER = "v12"
CUSTOMER = Account("1001", "فروشگاه علی", group="shops", city="کرج")
OTHER = Account("2002", "دکهٔ رضا", group="kiosks")
COLA = Product("COLA", "نوشابه", price=1_000_000, group="drinks")
BISCUIT = Product("BISCUIT", "بیسکویت", price=200_000, group="foods")
NAIL = Product("NAIL", "میخ", price=1_000, group="tools")
VAN = Warehouse("van-12", "خودرو")

VISITORS = Spec(
    holders={
        HOLDER: Limits(
            groups=("drinks", "foods"), accounts=("1001",), warehouses=("van-12",), discount_percent=Decimal(5)
        )
    },
    price_changed=PriceChanged.REPRICE,
)
CUSTOMERS = Spec(edition=Edition.CUSTOMERS, limits=Limits(warehouses=("van-12",)))
HEADING = "source_id,kind,date,account,payment,product,quantity,unit_price\n"
ROW = "{id},sales_order,{date},1001,cash,COLA,{quantity},1000000\n"


class Handhelds(World):
    """A holder's folder, and an enrolled device of his."""

    knows = (CUSTOMER, OTHER, COLA, BISCUIT, NAIL, VAN)

    def __init__(self, directory: Path) -> None:
        self._root = directory / "pocket"
        (self._root / HOLDER / "inbox").mkdir(parents=True)
        self._numbers = itertools.count(1)
        self.spec = Spec(holders=VISITORS.holders, folder=self._root, poll=dt.timedelta(milliseconds=20))
        self.token = self.code = self.device = ""

    async def prepare(self, context: Context) -> None:
        devices, now = Devices(self.spec, context.records), utc_now()
        code, _ = await devices.new_code(HOLDER, "operator", now)
        admitted = await devices.enrol(code, "A12", "192.0.2.1", now)
        self.token, self.device = admitted.token, admitted.device.id
        other = Devices(Spec(limits=Limits()), context.records)
        # Another holder's: enrolling with it doesn't replace the device of the other samples.
        self.code, _ = await other.new_code(f"{HOLDER}b", "operator", now)
        self.spec = Spec(holders={**VISITORS.holders, f"{HOLDER}b": Limits()}, folder=self._root, poll=self.spec.poll)

    async def produce(self) -> Wanted:
        local_id = f"S-{next(self._numbers)}"
        self._put(local_id, 1)
        return lambda event: getattr(event, "source_id", None) == f"{HOLDER}/{local_id}"

    async def spoil(self) -> None:
        self._put(f"S-{next(self._numbers)}", "many")

    def _put(self, local_id: str, quantity: object) -> None:
        unfinished = self._root / HOLDER / "inbox" / f"documents-{local_id}.part"
        row = ROW.format(id=local_id, quantity=quantity, date=today_in_tehran(utc_now()))
        unfinished.write_text(HEADING + row, "utf-8")
        unfinished.rename(unfinished.with_suffix(".csv"))

    async def away(self) -> None:
        self._root.rename(self._root.with_name("unmounted"))

    async def back(self) -> None:
        self._root.with_name("unmounted").rename(self._root)

    async def state(self) -> object:
        found = sorted(self._root.rglob("*"))
        return [(str(path), path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in found]

    def samples(self) -> Sequence[Sample]:
        now = utc_now().isoformat()
        sale = {
            "id": "conformance-1",
            "at": now,
            "kind": "sales_invoice",
            "account": "1001",
            "payment": "cash",
            "lines": [{"product": "COLA", "quantity": "1", "unit_price": 1_000_000}],
        }
        visit = {"id": "conformance-1", "account": "1001", "began_at": now, "outcome": "sale"}
        push = json.dumps({"sent_at": now, "documents": [sale], "visits": [visit]}).encode()
        code = json.dumps({"holder": HOLDER}).encode()
        device = {"device": self.device}
        reads = ("me", "pull_products", "pull_customers", "pull_stock", "pull_credit", "pull_lists", "outcomes")
        return [
            Sample("make_code", _operator("make_code"), code),
            Sample("devices", _operator("devices"), takes=False),
            Sample("device", _operator("device", device), takes=False),
            Sample("enrol", _anyone("enrol"), _enrol(self.code), forged=_anyone("enrol")(_enrol("AAAA-AAAA"))),
            Sample("push", self._handheld("push"), push, forged=self._forged("push", push)),
            *(Sample(name, self._handheld(name), takes=False, forged=self._forged(name)) for name in reads),
            Sample(
                "outcome",
                self._handheld("outcome", {"document": "conformance-1"}),
                takes=False,
                forged=self._forged("outcome"),
            ),
            Sample("revoke", _operator("revoke", device)),
        ]

    def _handheld(self, endpoint: str, segments: dict[str, str] | None = None) -> Callable[[bytes], Request]:
        return lambda body: Request(endpoint, segments or {}, {}, {"authorization": f"Bearer {self.token}"}, body)

    def _forged(self, endpoint: str, body: bytes = b"") -> Request:
        token = f"{self.token[:-4]}{'AAAA' if not self.token.endswith('AAAA') else 'BBBB'}"
        return Request(endpoint, {"document": "conformance-1"}, {}, {"authorization": f"Bearer {token}"}, body)


def _operator(endpoint: str, segments: dict[str, str] | None = None) -> Callable[[bytes], Request]:
    return lambda body: Request(endpoint, segments or {}, {}, {}, body, key="operator", source="operator")


def _anyone(endpoint: str) -> Callable[[bytes], Request]:
    return lambda body: Request(endpoint, {}, {}, {}, body, remote="192.0.2.2")


def _enrol(code: str) -> bytes:
    return json.dumps({"code": code, "device": "A13"}).encode()


class Adapter(harness.Adapter):
    """Fixtures are whole pushes: of the visitor v12, and (in ``customers``) of the customer 1001."""

    without = {  # noqa: RUF012 - it is declared a ClassVar
        Part.LOGIN: "handhelds log in at the hub; the hub logs in nowhere",
        **dict.fromkeys(Fault, "the hub asks handhelds nothing, and a folder answers no requests"),
    }

    def fixtures(self) -> Sequence[Fixture]:
        return recorded(Path(__file__).with_name("fixtures"))

    def map(self, name: str, payload: bytes, now: dt.datetime) -> Mapped:
        spec, holder = (CUSTOMERS, "1001") if name.startswith("customers") else (VISITORS, HOLDER)
        context = cast(Context, SimpleNamespace(instance="main", name="pocket_cyber.main"))
        desk, rights = Desk(spec, context), limits.rights(spec, holder)
        assert rights is not None
        known = Known(
            {each.code: each for each in (COLA, BISCUIT, NAIL)}, {each.code: each for each in (CUSTOMER, OTHER)}, {}
        )
        batch = mapper.batch(payload)
        events: list[Any] = []
        refused: list[str] = []
        for raw in batch.documents:
            try:
                judged = desk.judge(mapper.document(bytes(raw), holder), rights, known, now)
                events.append(codec.decode_command(judged.entry.message))
            except InvalidRequest as error:
                refused.append(str(error))
        for raw in batch.visits:
            try:
                events.append(mapper.visit(bytes(raw), holder, desk.source))
            except InvalidRequest as error:
                refused.append(str(error))
        return Mapped(events, refused)

    @asynccontextmanager
    async def world(self, directory: Path) -> AsyncIterator[World]:
        yield Handhelds(directory)
