"""The simulator as tests, demonstrations and training start it."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from connectors.woocommerce.simulator import control, goods
from connectors.woocommerce.simulator.api import Api
from connectors.woocommerce.simulator.faults import Fault
from connectors.woocommerce.simulator.goods import Good
from connectors.woocommerce.simulator.keeping import Keeper
from connectors.woocommerce.simulator.keys import Doorkeeper, Key
from connectors.woocommerce.simulator.ledger import Ledger
from connectors.woocommerce.simulator.sender import Sender
from connectors.woocommerce.simulator.shop import Customs, Shop

HOST: Final = "127.0.0.1"


class WooCommerceSimulator:
    """A WooCommerce shop on 127.0.0.1: ``async with WooCommerceSimulator(seed=7) as sim:`` listens on ``sim.url``.

    ``shop`` is what happens in it (:class:`Shop`: place, refund, trash …), ``sender`` its webhooks, ``ledger`` what
    came and went. Append to ``faults`` what shall go wrong. ``stop`` and ``start`` take it away and bring it back on
    the same port, with everything it held; with ``file`` it is kept there for the next process too. ``sends_every``:
    seconds between two rounds of the webhook sender; None: when it is told (``sender.pump``). With ``tls`` it speaks
    HTTPS.
    """

    host = HOST

    def __init__(
        self,
        *,
        seed: int = 1,
        port: int = 0,
        stocked: Sequence[Good] | None = None,
        customs: Customs | None = None,
        keys: Sequence[Key] = (Key("ck_simulated", "cs_simulated"),),
        sends_every: float | None = None,
        refuses_private: bool = False,
        strips_authorization: bool = False,
        tls: ssl.SSLContext | None = None,
        file: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raises sqlite3.Error if the file can't be used."""
        self.port = port
        self.keys = tuple(keys)
        self.ledger = Ledger()
        self.faults: list[Fault] = []
        self._keeper = Keeper(file)
        self.shop = Shop(
            goods.sample() if stocked is None else stocked,
            customs or Customs(),
            keeper=self._keeper,
            clock=clock,
            seed=seed,
        )
        self.sender = Sender(self.shop, self.ledger, seed=seed, refuses_private=refuses_private)
        self._doorkeeper = Doorkeeper(self.keys, strips_authorization)
        self._api = Api(self.shop, self.sender, self._doorkeeper, self.ledger, self.faults, "فروشگاه نمونه")
        self._tls = tls
        self._sends_every = sends_every
        self._runner: web.AppRunner | None = None
        self._pumping: asyncio.Task[None] | None = None
        self._away: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The shop's address."""
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}"

    async def start(self) -> None:
        """Listen, from the second time on the same port as before. Raises OSError."""
        app = self._api.application(control.routes(self))
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self.port, ssl_context=self._tls, reuse_address=True).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]
        self._api.home = self.sender.source = self.url
        if self._sends_every is not None:
            self._pumping = asyncio.create_task(self.sender.keep_pumping(self._sends_every))

    async def stop(self) -> None:
        """Answer nothing any more; connections break."""
        if self._pumping:
            self._pumping.cancel()
            with suppress(asyncio.CancelledError):
                await self._pumping
            self._pumping = None
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    def go_away(self, seconds: float) -> None:
        """Stop soon, and start again after these seconds."""

        async def away() -> None:
            await self.stop()
            await asyncio.sleep(seconds)
            await self.start()

        self._away = asyncio.create_task(away())

    async def close(self) -> None:
        """End it, and its file."""
        if self._away:
            self._away.cancel()
            await asyncio.wait([self._away])
        await self.stop()
        self._keeper.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
