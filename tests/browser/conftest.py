"""A hub that decides, its status page without a key, and a Chromium to look at it."""

import dataclasses
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from playwright.async_api import Browser, async_playwright, expect

from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.bus.topics import create_topics
from hub.rules.settings import Policy, RuleSettings
from hub.store.pool import Store
from schemas.documents import PostingPolicy
from streams.settings import StreamSettings
from streams.worker import running
from tests.api.world import Hub, Shop, open_shop
from tests.browser.visit import NO_ANSWER, Site, Visit, live
from tests.conftest import KafkaServer, PostgresServer, dsn_of, execute

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = 60_000
KEPT = "kept by hand"
"""A source whose documents wait to be released."""

expect.set_options(timeout=PATIENCE_MS)

Visitor = Callable[..., Awaitable[Visit]]
"""Open the page at an address; the options are those of a browser context, ``viewport`` as (width, height)."""


@asynccontextmanager
async def topics(kafka: KafkaServer) -> AsyncIterator[Kafka]:
    """All topics, under a prefix nobody else has; deleted in the end."""
    bus = Kafka(kafka.bootstrap, prefix=f"browser{secrets.token_hex(3)}.")
    await create_topics(bus)
    yield bus
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic for topic in await admin.list_topics() if topic.startswith(bus.prefix)])
    finally:
        await admin.close()


@pytest.fixture(scope="package")
async def hub(kafka: KafkaServer, postgres: PostgresServer, template_database: str) -> AsyncIterator[Hub]:
    """A hub with topics and a database of these tests' own, deciding."""
    database = f"browser_{secrets.token_hex(6)}"
    await execute(postgres.dsn, f"CREATE DATABASE {database} TEMPLATE {template_database}")
    store = Store(dsn_of(postgres.dsn, database), size=8)
    rules = RuleSettings(by_source={KEPT: Policy(posting=PostingPolicy.MANUAL)})
    await store.open()
    async with topics(kafka) as bus, aiohttp.ClientSession() as session:
        producer = Producer(bus)
        await producer.start()
        async with running(StreamSettings(kafka=bus, rules=rules, report_seconds=0.5), store, producer):
            yield Hub(bus, store, producer, rules, session)
        await producer.stop()
    await store.close()
    await execute(postgres.dsn, f"DROP DATABASE {database} WITH (FORCE)")


@pytest.fixture(scope="package")
async def quiet(hub: Hub, kafka: KafkaServer) -> AsyncIterator[Hub]:
    """A hub whose events are only those the tests publish."""
    async with topics(kafka) as bus:
        producer = Producer(bus)
        yield dataclasses.replace(hub, kafka=bus, producer=producer)
        await producer.stop()


@asynccontextmanager
async def started(site: Site) -> AsyncIterator[Site]:
    await site.start()
    try:
        yield site
    finally:
        await site.stop()


@pytest.fixture(scope="package")
async def site(hub: Hub) -> AsyncIterator[Site]:
    """The page as `make run` has it: no key is asked for."""
    async with started(Site(hub, public_status=True)) as site:
        yield site


@pytest.fixture(scope="package")
async def quiet_site(quiet: Hub) -> AsyncIterator[Site]:
    """The page of the quiet hub."""
    async with started(Site(quiet, public_status=True)) as site:
        yield site


@pytest.fixture
async def new_site() -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    """A server of a test's own, of a hub and with settings."""
    async with AsyncExitStack() as stack:

        async def start(hub: Hub, **settings: Any) -> Site:
            return await stack.enter_async_context(started(Site(hub, **settings)))

        yield start


@pytest.fixture
async def shop(hub: Hub, site: Site) -> Shop:
    """A shop whose documents are decided."""
    return await open_shop(hub, site.address)


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all; each visit has a profile of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def visitor(browser: Browser) -> AsyncIterator[Visitor]:
    """Opens the page, as often as wanted; in the end none of the visits may have had anything to complain about."""
    visits: list[Visit] = []

    async def visit(address: str, *, viewport: tuple[int, int] = (1280, 900), **options: Any) -> Visit:
        width, height = viewport
        context = await browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE_MS)
        visits.append(await Visit.of(context))
        await visits[-1].page.goto(address)
        return visits[-1]

    yield visit
    for each in visits:
        await each.page.context.close()
    assert [told for each in visits for told in each.complaints if not told.startswith(NO_ANSWER)] == []


@pytest.fixture
async def visit(visitor: Visitor, site: Site) -> Visit:
    """The page, live."""
    return await live(await visitor(site.address))


@pytest.fixture
async def quiet_visit(visitor: Visitor, quiet_site: Site) -> Visit:
    """The quiet hub's page, live."""
    return await live(await visitor(quiet_site.address))
