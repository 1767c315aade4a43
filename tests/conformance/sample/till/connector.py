"""The till connector's life: ask for sales, publish them, remember how far it got."""

import asyncio

from connectors import base
from connectors.base import Context, Outage, UnknownPayload
from schemas.commands import Cancel, Submit
from schemas.deadletters import DeadLetter

from . import mapper
from .client import Client
from .spec import Spec

CURSOR = "sales"


class Connector(base.Connector[Spec]):
    """One desk."""

    def __init__(self, spec: Spec, context: Context) -> None:
        super().__init__(spec, context)
        self.client = Client(spec)
        self._desk = Outage(self.client.name, context.logger, first_pause=0.01)
        self._bus = Outage("Kafka", context.logger, first_pause=0.01)

    async def check(self) -> None:
        await self.client.sales(0)

    async def run(self) -> None:
        after = int(await self.context.cursors.get(CURSOR) or 0)
        while True:
            sales = await self._desk.waited_out(lambda: self.client.sales(after))  # noqa: B023
            for sale in sales:
                await self._take(sale.encode(), after)
                after += 1
                await self.context.cursors.set(CURSOR, str(after))
            await asyncio.sleep(self.spec.poll.total_seconds())

    async def _take(self, raw: bytes, place: int) -> None:
        context = self.context
        try:
            command = mapper.command(raw, source=context.instance, actor=context.name, now=context.clock())
        except UnknownPayload as error:
            letter = context.dead_letter(raw, str(error), place="journal", position=place)
            await self._bus.waited_out(lambda: self._put_aside(letter))
            return
        if command is not None:
            await self._bus.waited_out(lambda: self._publish(command))

    async def _publish(self, command: Submit | Cancel) -> None:
        await self.context.publisher.documents([command])

    async def _put_aside(self, letter: DeadLetter) -> None:
        await self.context.publisher.dead_letters([letter])
