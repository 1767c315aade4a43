"""The Pocket Cyber connector's life: outcomes are noted for the handhelds to read, files are taken in, and what has
ended is forgotten. The handhelds themselves are answered by ``receiver.py``."""

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from connectors import base
from connectors.base import Context, Outage, Reader
from connectors.pocket_cyber.desk import Desk
from connectors.pocket_cyber.devices import Devices
from connectors.pocket_cyber.drops import Drops, check
from connectors.pocket_cyber.exchange import DeviceShown, DeviceState
from connectors.pocket_cyber.outcomes import Log
from connectors.pocket_cyber.spec import Spec
from schemas.events import DocumentEvent

_READ_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 60.0


class Connector(base.Connector[Spec]):
    """One edition's handhelds at one company."""

    def __init__(self, spec: Spec, context: Context) -> None:
        super().__init__(spec, context)
        self._desk = Desk(spec, context)
        self._devices = Devices(spec, context.records)
        self._log = Log(context.records)
        self._bus = Outage("Kafka", context.logger)
        self._database = Outage("the database of outcomes", context.logger)
        self._sweeping = Outage("the database of devices", context.logger)
        self._reader: Reader[DocumentEvent] | None = None
        self._live = 0
        self._unseen_hours = 0

    async def check(self) -> None:
        if self.spec.folder is not None:
            await check(self.spec, self.spec.folder)

    async def run(self) -> None:
        work: list[Coroutine[Any, Any, None]] = [self._note_outcomes(), self._sweep()]
        if self.spec.folder is not None:
            work.append(Drops(self.spec, self.context, self._desk, self._log, self.spec.folder).run())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _note_outcomes(self) -> None:
        """Acknowledge an event only once it is in its holder's log; told twice, it does no harm."""

        def wanted(_type: str, source: str, _kind: str) -> bool:
            return source == self._desk.source

        async with self.context.events.documents("outcomes", wanted) as reader:
            self._reader = reader
            while True:
                events = await self._bus.waited_out(lambda: reader.read(_READ_SECONDS))
                for event in events:
                    await self._database.waited_out(partial(self._log.note, event))
                if events:
                    await reader.ack(events)

    async def _sweep(self) -> None:
        while True:
            await self._sweeping.waited_out(self._sweep_once)
            await asyncio.sleep(_SWEEP_SECONDS)

    async def _sweep_once(self) -> None:
        now = self.context.clock()
        await self._devices.sweep(now)
        await self._log.sweep(now - self.spec.outcomes_kept)
        live = [device async for device in self._devices.all(now) if device.state is DeviceState.LIVE]
        self._live = len(live)
        self._unseen_hours = max((_hours_unseen(device, now) for device in live), default=0)

    def vitals(self) -> Mapping[str, int]:
        return {
            "devices": self._live,
            "oldest_unseen_hours": self._unseen_hours,
            "outcomes_wait": self._reader.lag() if self._reader is not None else 0,
        }


def _hours_unseen(device: DeviceShown, now: datetime) -> int:
    return (now - (device.last_seen_at or device.enrolled_at)) // timedelta(hours=1)
