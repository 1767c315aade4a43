"""A whole hub around a simulated Hesabgar: real Kafka, real PostgreSQL, the deciding worker, pymssql on a socket."""

import asyncio
import dataclasses
import datetime as dt
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

from connectors.base import Context
from connectors.hesabgar.connector import Connector
from connectors.hesabgar.simulator import HesabgarSimulator
from connectors.hesabgar.spec import Spec
from hub.bus.producer import Producer
from hub.rules.settings import Policy, RuleSettings
from hub.runtime.connect import KafkaEvents, KafkaPublisher, StoreCursors, StoreLookup, StoreRecords
from hub.store import lookup, reading
from hub.store.reading import StockFilter
from schemas.commands import Amend, AnyCommand, Submit
from schemas.dates import utc_now
from schemas.documents import Document, DocumentRequest, Kind, LineRequest, PostingPolicy, State
from schemas.ids import document_id
from schemas.master import Master
from schemas.secret import Secret
from streams.settings import StreamSettings
from streams.worker import running
from tests.connectors.conftest import Running, Surroundings, instance, until

RULES = RuleSettings(
    by_source={
        "by hand": Policy(posting=PostingPolicy.MANUAL),
        "ours alone": Policy(posting=PostingPolicy.NEVER),
    }
)
CUSTOMER = "212010007"
PRODUCT = "10000300102"
WAREHOUSE = "01"

BOOKKEEPER = """
UPDATE s SET Meghdar = {on_hand} FROM dbo.STK_Mojoodi AS s
INNER JOIN dbo.STK_Kala AS k ON k.KalaID = s.KalaID INNER JOIN dbo.STK_Anbar AS a ON a.AnbarID = s.AnbarID
WHERE k.KalaCode = N'{product}' AND a.AnbarCode = N'{warehouse}' AND s.MoshID = 0
"""


def spec_of(sim: HesabgarSimulator, **changes: Any) -> Spec:
    """The connection to a simulator, impatient."""
    settings: dict[str, Any] = {
        "server": sim.host,
        "port": sim.port,
        "company": sim.database,
        "login": sim.login,
        "password": Secret(sim.password),
        "vat_account": "230101",
        "duty_account": "230201",
        "transfer_account": "119901",
        "expense_account": "610001",
        "receivable_account": "190001",
        "poll": dt.timedelta(milliseconds=50),
        # Nothing here hangs unless a test says so, and a stalled machine isn't a server that is away.
        "timeout": dt.timedelta(seconds=60),
        "login_timeout": dt.timedelta(seconds=60),
        "retry_pause": dt.timedelta(milliseconds=50),
        "most_per_second": 1_000,
    }
    return Spec(**(settings | changes))


@dataclasses.dataclass
class World:
    """A hub at work, and what tests ask of it."""

    around: Surroundings
    producer: Producer
    sim: HesabgarSimulator
    numbers: Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(1))

    @asynccontextmanager
    async def connector(self, name: str = "main", **changes: Any) -> AsyncIterator[Running]:
        """The connector at work as the hub runs it."""
        spec = spec_of(self.sim, **changes)
        async with Running(self.around.connectors(instance(spec, name, "hesabgar"))) as running_connectors:
            yield running_connectors

    def context(self, name: str = "main", clock: Callable[[], dt.datetime] = utc_now) -> Context:
        """What an instance is given, to work with its parts by hand."""
        full = f"hesabgar.{name}"
        return Context(
            kind="hesabgar",
            instance=name,
            publisher=KafkaPublisher(self.producer),
            cursors=StoreCursors(self.around.store, full),
            records=StoreRecords(self.around.store, full),
            lookup=StoreLookup(self.around.store),
            events=KafkaEvents(self.around.kafka, full),
            clock=clock,
            data=self.around.data / "by-hand" / full,
            logger=logging.getLogger(f"connectors.{full}"),
        )

    def by_hand(self, name: str = "main", *, clock: Callable[[], dt.datetime] = utc_now, **changes: Any) -> Connector:
        """A connector that isn't running."""
        return Connector(spec_of(self.sim, **changes), self.context(name, clock))

    async def publish(self, *commands: AnyCommand) -> None:
        await KafkaPublisher(self.producer).documents(commands)

    async def publish_master(self, *records: Master) -> None:
        await KafkaPublisher(self.producer).master(records)

    async def knows(self, account: str) -> None:
        """Wait for the hub to have an account."""

        async def known() -> bool:
            return bool(await lookup.accounts(self.around.store, [account]))

        await until(known)

    async def send(self, kind: Kind = Kind.SALES_INVOICE, *, source: str = "shop", **fields: Any) -> UUID:
        """A document, sent; its id."""
        return await self.send_request(request(f"D-{next(self.numbers)}", kind, **fields), source)

    async def send_request(self, wanted: DocumentRequest, source: str = "shop") -> UUID:
        """The same of a request at hand."""
        make: Callable[..., Submit | Amend] = Amend.of if wanted.revision > 1 else Submit.of
        await self.publish(make(wanted, source=source, actor="test", now=utc_now()))
        return document_id(source, wanted.source_id)

    async def document(self, identity: UUID) -> Document | None:
        return await reading.document(self.around.store, identity)

    async def comes_to(self, identity: UUID, state: State) -> Document:
        """The document once it is in a state."""
        found: list[Document | None] = []

        async def there() -> bool:
            found[:] = [await self.document(identity)]
            return found[0] is not None and found[0].state is state

        try:
            await until(there)
        except TimeoutError:
            raise AssertionError(f"it is {found[0] and found[0].state}: {found[0]}") from None
        assert found[0] is not None
        return found[0]

    async def stock(self, product: str = PRODUCT, warehouse: str = WAREHOUSE) -> reading.StockRow | None:
        rows = await reading.stock(self.around.store, StockFilter(product, warehouse), 10)
        return next((row for row in rows if not row.attribute), None)

    async def has_stock(self, in_books: str | int, reserved: str | int = 0, **key: Any) -> None:
        """Wait for the hub's row to have these figures."""

        async def has() -> bool:
            row = await self.stock(**key)
            return row is not None and (row.in_books, row.reserved) == (Decimal(in_books), Decimal(reserved))

        try:
            await until(has)
        except TimeoutError:
            raise AssertionError(str(await self.stock(**key))) from None

    async def books_say(self, product: str, on_hand: int, warehouse: str = WAREHOUSE) -> None:
        """A bookkeeper changes what is on hand."""
        await asyncio.to_thread(self.sim.run, BOOKKEEPER.format(product=product, on_hand=on_hand, warehouse=warehouse))

    def outcomes(self) -> list[tuple[Any, ...]]:
        """What the books have of our documents: (external id, number), oldest first."""
        return [
            tuple(row)
            for row in self.sim.query(
                "SELECT external_id, number FROM hub.outcome WHERE item = 'document' ORDER BY row_version"
            )
        ]


def request(source_id: str, kind: Kind = Kind.SALES_INVOICE, **fields: Any) -> DocumentRequest:
    """A document that clears and that the books take."""
    quantity = Decimal(fields.pop("quantity", 1))
    line = LineRequest(fields.pop("product", PRODUCT), quantity, fields.pop("unit_price", 1_000_000))
    values: dict[str, Any] = {
        "account": CUSTOMER,
        "warehouse": WAREHOUSE,
        "lines": (line,),
        "date": utc_now().date(),
        **fields,
    }
    return DocumentRequest(source_id=source_id, kind=kind, **values)


@asynccontextmanager
async def hub_around(around: Surroundings, sim: HesabgarSimulator) -> AsyncIterator[World]:
    """The deciding worker at work beside a simulator."""
    producer = Producer(around.kafka)
    await producer.start()
    settings = StreamSettings(kafka=around.kafka, rules=RULES)
    try:
        async with running(settings, around.store, producer):
            yield World(around, producer, sim)
    finally:
        await producer.stop()
