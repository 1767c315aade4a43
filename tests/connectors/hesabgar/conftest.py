"""The simulator and connections to it through the real pymssql."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pymssql
import pytest

from connectors.hesabgar.simulator import HesabgarSimulator
from tests.connectors.conftest import Surroundings
from tests.connectors.hesabgar.world import World, hub_around

Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def shared() -> Iterator[HesabgarSimulator]:
    """One small company for a module's tests that only read, or make tables of their own."""
    with HesabgarSimulator(products=60, customers=20) as simulator:
        yield simulator


@pytest.fixture
def books() -> Iterator[HesabgarSimulator]:
    """A small company for one test alone."""
    with HesabgarSimulator(products=60, customers=20) as simulator:
        yield simulator


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects to a simulator as the hub's login, or as ``owner=True``; closes what it opened.

    Each says its timeout, for pymssql's is the whole process's: else the last test's would hold for those that follow.
    """
    opened: list[Any] = []

    def open_one(
        simulator: HesabgarSimulator, *, owner: bool = False, autocommit: bool = True, timeout: int = 60, **more: Any
    ) -> Any:
        login = ("sa", simulator.owner_password) if owner else (simulator.login, simulator.password)
        connection = pymssql.connect(
            server=simulator.host,
            port=str(simulator.port),
            user=login[0],
            password=login[1],
            database=simulator.database,
            autocommit=autocommit,
            login_timeout=60,
            timeout=timeout,
            **more,
        )
        opened.append(connection)
        return connection

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def sim() -> Iterator[HesabgarSimulator]:
    """A smaller one, for the hub's books."""
    with HesabgarSimulator(products=20, customers=20) as simulator:
        yield simulator


@pytest.fixture
async def world(around: Surroundings, sim: HesabgarSimulator) -> AsyncIterator[World]:
    """A whole hub around those books: real Kafka, real PostgreSQL, the deciding worker."""
    async with hub_around(around, sim) as hub:
        yield hub
