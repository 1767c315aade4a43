"""The build of Hesabgar that was last accepted. When another is found, reading goes on and posting stops
(DESIGN.md)."""

import asyncio
import time
from typing import Final

import msgspec

from connectors.base import Context, Cursors, Outage, Rejected
from connectors.hesabgar import contract
from connectors.hesabgar.client import Client

CURSOR: Final = "build"
EVERY_SECONDS: Final = 30.0
CLOSED_EVERY_SECONDS: Final = 2.0


class Build(msgspec.Struct, frozen=True):
    """What a Hesabgar says of itself; the fingerprint is over that and the shape of the mapped tables."""

    build: str
    fingerprint: str
    tables: int = 0
    missing: int = 0


async def build_of(client: Client) -> Build:
    """The build that is there now. Raises ConnectorError."""
    [(build, fingerprint, tables, missing)] = await client.query(contract.BUILD)
    return Build(str(build or ""), str(fingerprint), int(tables), int(missing))


class Gate:
    """Whether posting may go on; ``why`` is a sentence if not. What is found first is what is accepted."""

    def __init__(self, context: Context, client: Client) -> None:
        self._context = context
        self._client = client
        self._next = 0.0
        self.why: str | None = None

    def doubt(self) -> None:
        """The books were away: they may be others now."""
        self._next = 0.0

    async def is_open(self) -> bool:
        """Look, at most every half minute. Raises ConnectorError."""
        now = time.monotonic()
        if now < self._next:
            return self.why is None
        found = await build_of(self._client)
        kept = await self._context.cursors.get(CURSOR)
        if kept is None:
            await self._context.cursors.set(CURSOR, msgspec.json.encode(found).decode())
        accepted = msgspec.json.decode(kept, type=Build) if kept else found
        self._judge(accepted, found)
        self._next = now + (EVERY_SECONDS if self.why is None else CLOSED_EVERY_SECONDS)
        return self.why is None

    async def opened(self, books: Outage) -> None:
        """Return once it may, however long that takes. Raises Unauthorised."""
        while True:
            try:
                if await books.waited_out(self.is_open):
                    return
            except Rejected as error:
                self._close(str(error))
            await asyncio.sleep(CLOSED_EVERY_SECONDS)

    def _judge(self, accepted: Build, found: Build) -> None:
        if accepted.fingerprint == found.fingerprint:
            if self.why is not None:
                self._context.logger.info("build %s is accepted; posting goes on", found.build)
            self.why = None
            return
        self._close(
            f"the build of Hesabgar changed from {accepted.build} to {found.build} "
            f"({found.fingerprint[:12]}); nothing is posted until it is accepted: "
            f"hub hesabgar accept-build {self._context.instance} {found.fingerprint[:12]}"
        )

    def _close(self, why: str) -> None:
        if self.why is None:
            self._context.logger.error("%s", why)
        self.why = why


async def accept(cursors: Cursors, client: Client, fingerprint: str) -> Build:
    """Accept the build that is there, if its fingerprint begins as named. Raises ConnectorError."""
    found = await build_of(client)
    if not found.fingerprint.lower().startswith(fingerprint.lower()):
        raise Rejected(f"the build there now is {found.build}, fingerprint {found.fingerprint[:12]}; name that one")
    await cursors.set(CURSOR, msgspec.json.encode(found).decode())
    return found
