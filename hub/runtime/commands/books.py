"""``hub hesabgar refresh`` and ``hub hesabgar import``."""

import asyncio
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

from connectors.base import ConnectorError
from connectors.hesabgar.connector import Connector
from connectors.hesabgar.importing import Counted, Import, Progress
from connectors.hesabgar.spec import Role, Spec
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.connect import Instance, KafkaPublisher, configured, context
from hub.runtime.console import margin, screen, show, table
from hub.runtime.datadir import data_directory
from hub.runtime.failures import Failure
from hub.runtime.redaction import redact
from hub.runtime.roles import publishing
from hub.store import reading
from hub.store.pool import Store
from schemas import codec
from schemas.dates import parse_date
from schemas.documents import Kind
from schemas.master import Master
from schemas.text import code, group

KIND = "hesabgar"


def refresh(config: Config, args: Namespace) -> int:
    """Read one customer from the books now, and tell it."""
    account = code(args.account)
    told = asyncio.run(_refresh(config, args.instance, account))
    if not told:
        raise Failure(f"The books have no account {account}.", "Is the code right?")
    for record in told:
        show(screen(), codec.encode(record).decode())
    return 0


async def _refresh(config: Config, name: str | None, account: str) -> list[Master]:
    async with _connector(config, name) as (connector, _):
        return await connector.refresh_account(account)


def bring_in(config: Config, args: Namespace) -> int:
    """Bring in what was sold or taken back before the hub came. 0: all of it; 1: something is missing."""
    since, until = _day(args.since), _day(args.until)
    if since > until:
        raise Failure(f"{args.since} lies after {args.until}.", "Say --from the first day --to the last.", code=2)
    counted, states = asyncio.run(_bring_in(config, args.instance, Kind(args.kind), since, until, again=args.again))
    console = screen()
    rows = [
        ("documents", f"{counted.taken:,}", f"{counted.in_books:,}"),
        ("rials", group(counted.payable), group(counted.payable_in_books)),
        ("not understood", f"{counted.refused:,}", ""),
    ]
    show(console, table(console, ("", "brought in", "in the books"), rows))
    shown = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items())) or "nothing yet"
    show(console, f"What the hub has decided of this source by now: {shown}.")
    if counted.refused:
        show(margin(), "hub dead-letters list tells what couldn't be understood, and why.")
    if not counted.complete:
        show(margin(), "What came in isn't all there is. Say it again with --again once the reason is mended.")
    return 0 if counted.complete else 1


async def _bring_in(
    config: Config, name: str | None, kind: Kind, since: date, until: date, *, again: bool
) -> tuple[Counted, dict[str, int]]:
    def tell(progress: Progress) -> None:
        show(margin(), f"{progress.taken:,} brought in, {group(progress.payable)} rials")

    async with _connector(config, name) as (connector, store):
        work = Import(connector.context, connector.client, kind, since, until)
        if again:
            await work.again()
        return await work.run(tell), await reading.counts(store, work.source)


def _day(text: str) -> date:
    try:
        return parse_date(text)
    except ValueError as error:
        raise Failure(f"{error}.", code=2) from None


def chosen(config: Config, name: str | None) -> Instance:
    """The Hesabgar that is meant: the one named, or the only one of the books. Raises Failure."""
    instances = configured(config, [KIND]) if KIND in config.connectors else []
    known = ", ".join(instance.name for instance in instances) or "none"
    if name is not None:
        found = [instance for instance in instances if name in (instance.name, instance.full_name)]
    else:
        found = [i for i in instances if isinstance(i.spec, Spec) and i.spec.role is Role.BOOKS]
    if len(found) != 1:
        what = f"There is no Hesabgar {name}" if name else "It isn't clear which Hesabgar is meant"
        raise Failure(f"{what}.", f"Configured are: {known}. Name one with --instance.", code=2)
    return found[0]


@asynccontextmanager
async def _connector(config: Config, name: str | None) -> AsyncIterator[tuple[Connector, Store]]:
    """A connector that isn't running, with everything it needs. Its errors come out as Failure."""
    instance = chosen(config, name)
    assert isinstance(instance.spec, Spec)
    kafka, dsn = servers.kafka(config), servers.postgres(config)
    store = Store(dsn, size=2, application="peyvand-hesabgar")
    await store.open()
    try:
        async with publishing(kafka) as producer:
            around = context(instance, KafkaPublisher(producer), kafka, store, data_directory())
            connector = Connector(instance.spec, around)
            try:
                yield connector, store
            except ConnectorError as error:
                raise Failure(redact(str(error))) from error
            finally:
                connector.client.close()
    finally:
        await store.close()
