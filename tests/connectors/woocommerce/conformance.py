"""How the conformance suite drives the WooCommerce connector, as a shop."""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from connectors.woocommerce import kept, mapper
from connectors.woocommerce.kept import Problem
from connectors.woocommerce.mapper import GONE, Known, Unmappable
from connectors.woocommerce.payloads import Order, Refund, decode
from connectors.woocommerce.simulator import WooCommerceSimulator
from connectors.woocommerce.simulator.faults import Fault as Ailment
from connectors.woocommerce.simulator.faults import FaultKind
from connectors.woocommerce.simulator.sender import signature
from connectors.woocommerce.simulator.shop import CUSTOMERS, Basket
from connectors.woocommerce.spec import ShopCurrency, Spec
from schemas.commands import Amend, Submit
from schemas.documents import Payment
from schemas.exchange import Request
from schemas.master import Account, Master, Product
from schemas.secret import Secret
from tests.conformance import harness
from tests.conformance.harness import Fault, Fixture, Mapped, Sample, Wanted, World, recorded

FIXTURES = Path(__file__).parent / "fixtures" / "orders"
HOOK_SECRET = "shops-hook-secret"
SKU = "10000800103"
SHIPPING, FEE = "900001", "900002"
SOURCE, ACTOR = "shop", "woocommerce.shop"
SOON = dt.timedelta(milliseconds=200)
"""How long an answer is waited for that doesn't come."""


def spec_of(shop: WooCommerceSimulator, **changes: Any) -> Spec:
    """The connection to a simulated shop: it looks often, and waits as long as a slow machine takes to answer."""
    moment = dt.timedelta(milliseconds=20)
    settings: dict[str, Any] = {
        "url": shop.url,
        "key": Secret(shop.keys[0].key),
        "secret": Secret(shop.keys[0].secret),
        "currency": ShopCurrency(shop.shop.customs.currency),
        "warehouse": "01",
        "shipping_product": SHIPPING,
        "fee_product": FEE,
        "webhook_secret": Secret(HOOK_SECRET),
        "poll": moment,
        "look": moment,
    }
    return Spec(**(settings | changes))


def customers() -> list[Account]:
    """The accounts of those the simulator lets order."""
    return [
        Account(f"2120100{number:02}", f"{first} {last}", phones=(phone,), emails=(email,) if email else ())
        for number, (first, last, phone, email, _) in enumerate(CUSTOMERS, 1)
    ]


class Shop(World):
    """A simulated shop whose customers and goods the hub knows."""

    STATUSES: Mapping[Fault, int] = {
        Fault.UNAUTHORISED: 401,
        Fault.FORBIDDEN: 403,
        Fault.NOT_FOUND: 404,
        Fault.CONFLICT: 409,
        Fault.INVALID: 422,
        Fault.BUSY: 429,
        Fault.BROKEN: 502,
    }

    def __init__(self, shop: WooCommerceSimulator) -> None:
        self.shop = shop
        self.spec = spec_of(shop)
        self.wrong = msgspec.structs.replace(self.spec, secret=Secret("cs_of-somebody-else"))
        goods = [Product(sku, sku) for sku in (*shop.shop.skus(), SHIPPING, FEE)]
        self.knows: Sequence[Master] = [*customers(), *goods]

    async def prepare(self, context: Any) -> None:
        """An exception somebody can decide about."""
        problem = Problem("order-7", "It has no SKU.", "شناسه ندارد.", harness.NOW, 7, "7")
        await context.records.put(kept.EXCEPTIONS, {problem.id: msgspec.json.encode(problem)})

    async def produce(self) -> Wanted:
        number = str(self.shop.shop.place(Basket([(SKU, 1)], customer=2)))
        return lambda event: getattr(event, "source_id", None) == number

    async def spoil(self) -> None:
        self.shop.shop.place(Basket([(SKU, 1)], customer=2), version=["many"])

    @asynccontextmanager
    async def fault(self, fault: Fault) -> AsyncIterator[None]:
        patient = self.spec
        if fault is Fault.SILENT:
            self.spec = msgspec.structs.replace(patient, timeout=SOON)
        ailment = {
            Fault.SILENT: Ailment(FaultKind.SLOW, times=None, seconds=60),
            Fault.GARBAGE: Ailment(FaultKind.GARBAGE, times=None),
        }.get(fault)
        if ailment is None:
            ailment = Ailment(FaultKind.STATUS, times=None, status=self.STATUSES[fault])
        self.shop.faults.append(ailment)
        yield
        self.shop.faults.clear()
        self.spec = patient

    async def away(self) -> None:
        await self.shop.stop()

    async def back(self) -> None:
        await self.shop.start()

    async def state(self) -> object:
        return repr([self.shop.shop.tables, self.shop.ledger.written, self.shop.ledger.pushed])  # as it is now

    def samples(self) -> Sequence[Sample]:
        order = (FIXTURES / "order.json").read_bytes()
        problem = {"id": "order-7"}
        return [
            Sample("push", _signed, order, forged=_call("push", order, signature(order, "another-secret"))),
            Sample("exceptions", _person("exceptions"), takes=False),
            Sample("retry", _person("retry", problem)),
            Sample("dismiss", _person("dismiss", problem)),
            Sample("map", _person("map", {"sku": "MOUSE"}), msgspec.json.encode({"code": SKU})),
        ]


def _signed(body: bytes) -> Request:
    return _call("push", body, signature(body, HOOK_SECRET))


def _call(endpoint: str, body: bytes, sign: str) -> Request:
    headers = {"x-wc-webhook-topic": "order.updated", "x-wc-webhook-signature": sign}
    return Request(endpoint, {}, {}, headers, body)


def _person(endpoint: str, segments: dict[str, str] | None = None) -> Callable[[bytes], Request]:
    return lambda body: Request(endpoint, segments or {}, {}, {}, body, key="operator", source="operator")


class Adapter(harness.Adapter):
    """Fixtures are orders by their names: ``changed…`` the second revision of one, ``newcomer…`` one of a customer
    nobody knows, ``refund.json`` a refund of the order in order.json."""

    def fixtures(self) -> Sequence[Fixture]:
        return recorded(FIXTURES)

    def map(self, name: str, payload: bytes, now: dt.datetime) -> Mapped:
        try:
            if name == "refund.json":
                return Mapped([_returned(decode(payload, Refund), now)])
            return Mapped(_ordered(name, decode(payload, Order), now))
        except Unmappable as problem:
            return Mapped([], [str(problem)])

    @asynccontextmanager
    async def world(self, directory: Path) -> AsyncIterator[World]:
        async with WooCommerceSimulator() as shop:
            yield Shop(shop)


SPEC = Spec(
    url="https://shop.example",
    key=Secret("ck_simulated"),
    secret=Secret("cs_simulated"),
    currency=ShopCurrency.TOMAN,
    warehouse="01",
    shipping_product=SHIPPING,
    fee_product=FEE,
    credit_methods=("cod",),
)


def _spec(name: str) -> Spec:
    """The shop's configuration: its currency is told by a file's name."""
    currency = {"prices-with-tax.json": ShopCurrency.RIAL, "thousand-toman.json": ShopCurrency.THOUSAND_TOMANS}
    return msgspec.structs.replace(SPEC, currency=currency.get(name, SPEC.currency))


def _ordered(name: str, order: Order, now: dt.datetime) -> list[msgspec.Struct]:
    spec, own_id = _spec(name), mapper.source_id(order.id, 1)
    if order.status in GONE:
        return [mapper.cancel(own_id, "cancelled in the shop", source=SOURCE, actor=ACTOR, now=now)]
    if order.status not in spec.take:
        return []
    account = mapper.new_account(order, spec) if name.startswith("newcomer") else None
    known = Known(_products(order), account.code if account else "212010001")
    revision = 2 if name.startswith("changed") else 1
    request = mapper.request(order, known, spec, generation=1, revision=revision)
    command = Amend if revision > 1 else Submit
    made = command.of(request, source=SOURCE, actor=ACTOR, now=now)
    return [account, made] if account else [made]


def _returned(refund: Refund, now: dt.datetime) -> Submit:
    order = decode((FIXTURES / "order.json").read_bytes(), Order)
    lines = mapper.products(order, Known(_products(order), ""))
    known = Known(_products(refund), "212010001", lines)
    request = mapper.refund_request(refund, mapper.source_id(order.id, 1), Payment.CASH, known, SPEC)
    return Submit.of(request, source=SOURCE, actor=ACTOR, now=now)


def _products(order: Order | Refund) -> dict[str, str]:
    """What the hub knows: the codes of the sample company."""
    return {sku: sku for sku in mapper.skus(order) if sku.isdecimal()}
