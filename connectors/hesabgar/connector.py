"""The Hesabgar connector's life: the books are read, documents are posted; a branch's documents come in."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from connectors import base
from connectors.base import Context, Outage
from connectors.hesabgar.branch import Answers, Incoming, MasterOut, Undecided
from connectors.hesabgar.build import Gate
from connectors.hesabgar.checking import Finding, findings
from connectors.hesabgar.client import Client
from connectors.hesabgar.newcomers import Newcomers
from connectors.hesabgar.posting import Poster, Starter
from connectors.hesabgar.reading import Reading, refresh_account
from connectors.hesabgar.spec import Role, Spec
from schemas.master import Master


class Connector(base.Connector[Spec]):
    """One Hesabgar: the books, or a branch's."""

    def __init__(self, spec: Spec, context: Context) -> None:
        super().__init__(spec, context)
        self.client = Client(spec)
        self._books = Outage(f"Hesabgar at {self.client.server}", context.logger, longest_pause=15.0)
        self._bus = Outage("Kafka", context.logger)
        still = asyncio.Lock()
        self.reading = Reading(spec, context, self.client, self._books, self._bus, still)
        self._gate = Gate(context, self.client)
        self._newcomers = Newcomers(spec, context, self.client, self.reading, self._books, self._bus, self._gate)
        self.poster = Poster(spec, context, self.client, self._books, self._bus, self._gate, self._newcomers, still)
        self._starter = Starter(spec, context, self._books, self._bus, self._gate)
        undecided = Undecided()
        self.incoming = Incoming(spec, context, self.client, self._books, self._bus, undecided)
        self._answers = Answers(self.incoming.source, context, self.client, self._books, self._bus, undecided)
        self._master_out = MasterOut(spec, context, self.client, self._books, self._bus, self._gate)

    async def check(self) -> None:
        try:
            wrong = [found for found in await findings(self.client, self.spec) if found.wrong]
        finally:
            self.client.close()
        if wrong:
            raise base.Rejected("; ".join(found.sentence for found in wrong))

    async def report(self) -> list[Finding]:
        """Everything there is to say of the server, good and bad. Raises ConnectorError."""
        return await findings(self.client, self.spec)

    async def refresh_account(self, code: str) -> list[Master]:
        """Read one customer from the books now and tell it; what was told. Raises ConnectorError."""
        return await refresh_account(self.client, self.context.publisher, code)

    async def run(self) -> None:
        work: list[Coroutine[Any, Any, None]] = []
        if self.spec.role is Role.BRANCH:
            work += [self.incoming.run(), self._answers.run(), self._master_out.run()]
        else:
            work.append(self.reading.run())
            if self.spec.post:
                work += [self._starter.run(), self.poster.run()]
            if self.spec.send_new:
                work.append(self._newcomers.run())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.client.close()

    def vitals(self) -> Mapping[str, int]:
        branch = self.spec.role is Role.BRANCH
        read_at = self.incoming.read_at if branch else self.reading.read_at
        found = {
            "away": int(self._books.reason is not None),
            "lag_seconds": int((self.context.clock() - read_at).total_seconds()) if read_at else -1,
        }
        if branch:
            return found | {"answered": self._answers.told}
        return found | {
            "posting_waits": self.poster.waiting,
            "posting_waits_seconds": self.poster.oldest_seconds(),
            "posted": self.poster.posted,
            "refused": self.poster.failed,
        }
