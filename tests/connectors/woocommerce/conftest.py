"""A simulated shop and a client of it, on the loop-back interface."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.woocommerce.client import Client
from connectors.woocommerce.simulator import WooCommerceSimulator
from schemas.secret import Secret
from tests.connectors.conftest import Surroundings
from tests.connectors.woocommerce.world import World, hub_around

FIXTURES = Path(__file__).parent / "fixtures"
KEY, SECRET = "ck_simulated", "cs_simulated"


class Clock:
    """The present, as the test wants it."""

    def __init__(self) -> None:
        self.now = datetime(2024, 3, 21, 8, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def shop(clock: Clock) -> AsyncIterator[WooCommerceSimulator]:
    async with WooCommerceSimulator(clock=clock) as simulator:
        yield simulator


@pytest.fixture
async def client(shop: WooCommerceSimulator, clock: Clock) -> AsyncIterator[Client]:
    async with client_of(shop, clock) as opened:
        yield opened


def client_of(shop: WooCommerceSimulator, clock: Clock, **more: object) -> Client:
    """A client with the shop's own key; ``more`` as the client takes it."""
    return Client(shop.url, Secret(KEY), Secret(SECRET), **{"clock": clock, **more})  # type: ignore[arg-type]


@pytest.fixture
async def world(around: Surroundings) -> AsyncIterator[World]:
    """A whole hub around a shop of the present."""
    async with WooCommerceSimulator() as simulator, hub_around(around, simulator) as hub:
        yield hub
