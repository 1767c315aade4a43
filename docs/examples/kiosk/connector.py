"""The kiosk connector's life: ask for orders, publish them, remember how far it got."""

import asyncio
from functools import partial

from connectors import base
from connectors.base import Context, Outage, UnknownPayload
from schemas.commands import Submit
from schemas.deadletters import DeadLetter

from . import mapper
from .client import Client, Order
from .spec import Spec

CURSOR = "order"


class Connector(base.Connector[Spec]):
    """One kiosk."""

    def __init__(self, spec: Spec, context: Context) -> None:
        super().__init__(spec, context)
        self._client = Client(spec)
        self._kiosk = Outage(self._client.name, context.logger)
        self._bus = Outage("Kafka", context.logger)
        self._store = Outage("the cursors' database", context.logger)

    async def check(self) -> None:
        await self._client.orders(0)

    async def run(self) -> None:
        while True:
            after = await self._store.waited_out(self._after)
            orders = await self._kiosk.waited_out(partial(self._client.orders, after))
            if orders:
                await self._take(orders)
                # Only now: whatever happens before, the same orders are read and published again, under the same ids.
                last = str(max(order.number for order in orders))
                await self._store.waited_out(partial(self.context.cursors.set, CURSOR, last))
            else:
                await asyncio.sleep(self.spec.poll.total_seconds())

    async def _after(self) -> int:
        return int(await self.context.cursors.get(CURSOR) or 0)

    async def _take(self, orders: list[Order]) -> None:
        commands: list[Submit] = []
        letters: list[DeadLetter] = []
        for order in orders:
            try:
                command = self._command(order)
            except UnknownPayload as error:
                letters.append(self.context.dead_letter(order.raw, str(error), place="orders", position=order.number))
            else:
                commands += [command] if command else []
        if letters:
            await self._bus.waited_out(partial(self.context.publisher.dead_letters, letters))
        if commands:
            await self._bus.waited_out(partial(self.context.publisher.documents, commands))

    def _command(self, order: Order) -> Submit | None:
        return mapper.command(
            order.number,
            order.raw,
            source=self.context.instance,
            actor=self.context.name,
            account=self.spec.account,
            warehouse=self.spec.warehouse,
            now=self.context.clock(),
        )
