"""The hub that a soak is about, and the sources around it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from hub.api.app import build, serve
from hub.api.settings import ApiSettings
from hub.bus.producer import Producer
from hub.rules.settings import RuleSettings
from hub.runtime.connect import Instance
from hub.runtime.receiving import receivers
from hub.store import keys
from tests.api.world import Client
from tests.connectors.conftest import Surroundings


@dataclass(frozen=True)
class Site:
    """``port`` is where the API listens, once :meth:`serving` is entered; sources may know it before."""

    around: Surroundings
    producer: Producer
    session: aiohttp.ClientSession
    port: int
    folder: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def key(self, source: str, *scopes: str) -> Client:
        """A client with a key of the source's own."""
        _, token = await keys.create(
            self.around.store, name=source, source=source, scopes=scopes or ("documents:write",), per_minute=1_000_000
        )
        return Client(self.session, self.address, token)

    @asynccontextmanager
    async def serving(self, instances: Sequence[Instance]) -> AsyncIterator[None]:
        """The API, with the receivers of these instances."""
        settings = ApiSettings(port=self.port, receiver_per_minute=1_000_000)
        around = self.around
        called = receivers(instances, self.producer, around.kafka, around.store, around.data)
        app = build(around.store, self.producer, around.kafka, RuleSettings(), settings, called)
        served = await serve(app, settings)
        try:
            yield
        finally:
            await served.stop()
