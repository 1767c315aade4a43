"""A hub that handhelds speak to: the real API, Kafka, PostgreSQL and deciding worker, an instance for each test."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from connectors import base
from connectors.pocket_cyber.simulator import Handheld
from connectors.pocket_cyber.spec import Limits, Spec
from hub.api.app import build, serve
from hub.api.settings import ApiSettings
from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.rules.settings import Policy, RuleSettings, StockPolicy
from hub.runtime.connect import Connectors, Instance
from hub.runtime.receiving import receivers
from hub.store import keys, lookup, master
from hub.store.pool import Store
from schemas import ids
from schemas.dates import utc_now
from schemas.documents import Document
from schemas.master import Account, Finance, Master, Product, Stock, Warehouse
from tests.api.world import Client
from tests.connectors.conftest import PATIENCE, until

PARTIAL = "pocket-partial"
"""A source whose documents take what there is."""

RULES = RuleSettings(by_source={PARTIAL: Policy(stock=StockPolicy.PARTIAL)})

PRICE = 1_000_000


@dataclass
class Backdrop:
    """What all tests share: Kafka with a worker that decides, PostgreSQL, a session."""

    kafka: Kafka
    store: Store
    producer: Producer
    session: aiohttp.ClientSession


@dataclass
class Site:
    """One instance, served and at work, and a company of its own: two product groups, two customers, two warehouses."""

    backdrop: Backdrop
    instance: Instance
    data: Path
    address: str = ""
    operator: Client = field(init=False)
    mark: str = field(default_factory=lambda: secrets.token_hex(3))

    def __post_init__(self) -> None:
        m = self.mark
        self.drink, self.food, self.tool = f"D{m}", f"F{m}", f"T{m}"
        self.ali, self.reza = f"A{m}", f"R{m}"
        self.van, self.depot = f"V{m}", f"W{m}"

    @property
    def source(self) -> str:
        spec = self.instance.spec
        assert isinstance(spec, Spec)
        return spec.source or self.instance.name

    async def tell(self, *records: Master) -> None:
        """What the books say."""
        await master.apply(self.backdrop.store, list(records))

    async def furnish(self) -> None:
        now = utc_now()
        await self.tell(
            Product(self.drink, "نوشابه", price=PRICE, group=f"drinks{self.mark}"),
            Product(self.food, "بیسکویت", price=PRICE, group=f"foods{self.mark}"),
            Product(self.tool, "چکش", price=PRICE, group=f"tools{self.mark}"),
            Warehouse(self.van, "خودرو"),
            Warehouse(self.depot, "انبار"),
            Account(self.ali, "علی", group=f"shops{self.mark}", city="کرج"),
            Account(self.reza, "رضا", group=f"kiosks{self.mark}", city="تهران"),
            *(Finance(code, now, direct=100_000_000) for code in (self.ali, self.reza)),
            *(
                Stock(product, warehouse, Decimal(100), now)
                for product in (self.drink, self.food, self.tool)
                for warehouse in (self.van, self.depot)
            ),
        )
        await self._can_be_pulled()

    async def _can_be_pulled(self) -> None:
        """Return once what was told until now can be pulled: no transaction runs any more that began before it, be it
        of another database or of PostgreSQL's own."""
        async with self.backdrop.store.connection() as connection:
            begun = await connection.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text")

            async def over() -> bool:
                query = "select pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8"
                return bool(await connection.fetchval(query, begun))

            await until(over)

    async def code(self, holder: str) -> str:
        answer = await self.operator.post(f"{self.path}/codes", {"holder": holder})
        assert answer.status == 201, answer.data
        return str(answer.body["code"])

    @property
    def path(self) -> str:
        return f"/connectors/pocket_cyber/{self.instance.name}"

    @property
    def url(self) -> str:
        return self.address + self.path

    def device(self, **options: Any) -> Handheld:
        """A handheld that isn't enrolled yet."""
        return Handheld(self.backdrop.session, self.url, **options)

    async def enrolled(self, holder: str, **options: Any) -> Handheld:
        device = self.device(**options)
        await device.enrol(await self.code(holder))
        return device

    async def ready(self, holder: str, **options: Any) -> Handheld:
        """A handheld that has pulled."""
        device = await self.enrolled(holder, **options)
        await device.pull()
        return device

    def holding(self, device: Handheld) -> Client:
        """A client with a device's token, for requests a handheld wouldn't make."""
        return Client(self.backdrop.session, self.url, device.token)

    async def document(self, holder: str, local_id: str) -> Document | None:
        id_ = ids.document_id(self.source, f"{holder}/{local_id}")
        return (await lookup.documents(self.backdrop.store, [id_])).get(id_)

    async def decided(self, holder: str, *local_ids: str) -> list[Document]:
        """The documents, once the hub has decided them."""
        found = []
        async with asyncio.timeout(PATIENCE):
            for local_id in local_ids:
                while (document := await self.document(holder, local_id)) is None:
                    await asyncio.sleep(0.02)
                found.append(document)
        return found

    async def told(self, device: Handheld, *local_ids: str) -> list[dict[str, Any]]:
        """The outcomes the handheld reads, once it reads one of each."""
        async with asyncio.timeout(PATIENCE):
            while not all(device.ledger[id_].outcome for id_ in local_ids):
                await device.read_outcomes()
                await asyncio.sleep(0.02)
        return [device.ledger[id_].outcome or {} for id_ in local_ids]


def pocket(spec: Spec, name: str | None = None) -> Instance:
    return Instance(base.discover()["pocket_cyber"], name or f"p{secrets.token_hex(4)}", spec)


@asynccontextmanager
async def open_site(backdrop: Backdrop, spec: Spec, data: Path, *, runs: bool = True) -> AsyncIterator[Site]:
    """An instance behind an API server of its own, and (if it ``runs``) its connector at work."""
    site = Site(backdrop, pocket(spec), data)
    async with served(site):
        if not runs:
            yield site
            return
        async with running_again(site):
            yield site


@asynccontextmanager
async def running_again(site: Site) -> AsyncIterator[None]:
    """The instance's connector at work, as after a restart."""
    stop = asyncio.Event()
    connectors = Connectors([site.instance], site.backdrop.kafka, site.backdrop.store, site.data)
    task = asyncio.create_task(connectors.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE)


@asynccontextmanager
async def served(site: Site, **options: Any) -> AsyncIterator[None]:
    backdrop = site.backdrop
    settings = ApiSettings(port=0, receiver_per_minute=1_000_000, **options)
    called = receivers([site.instance], backdrop.producer, backdrop.kafka, backdrop.store, site.data)
    api = await serve(build(backdrop.store, backdrop.producer, backdrop.kafka, RULES, settings, called), settings)
    try:
        site.address = api.address
        name = f"operator-{secrets.token_hex(3)}"
        _, token = await keys.create(backdrop.store, name=name, source=name, scopes=("admin",), per_minute=1_000_000)
        site.operator = Client(backdrop.session, api.address, token)
        await site.furnish()
        yield
    finally:
        await api.stop()


@asynccontextmanager
async def reopened(site: Site, spec: Spec) -> AsyncIterator[Site]:
    """The same instance and company with another configuration."""
    again = Site(site.backdrop, pocket(spec, site.instance.name), site.data, mark=site.mark)
    async with served(again):
        yield again


def visitor(**limits: Any) -> Spec:
    """One visitor, ``v1``, with these limits."""
    return Spec(holders={"v1": Limits(**limits)})


def codes(entries: Sequence[Any]) -> set[str]:
    return {entry["code"] for entry in entries}


DAY = timedelta(days=1)
