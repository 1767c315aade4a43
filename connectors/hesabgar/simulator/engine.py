"""The simulated SQL Server without its socket: one database, its logins, its one writer, its clock."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connectors.hesabgar.simulator import nodes as n
from connectors.hesabgar.simulator.definitions import alter_role
from connectors.hesabgar.simulator.errors import SqlError
from connectors.hesabgar.simulator.faults import Fault, FaultKind
from connectors.hesabgar.simulator.storage import Database, Transaction
from connectors.hesabgar.simulator.types import SqlType

if TYPE_CHECKING:
    from connectors.hesabgar.simulator.session import Session

IRAN = dt.timedelta(hours=3, minutes=30)
"""Iran's offset from UTC, which the server's own clock (GETDATE) shows."""

VERSION = (12, 0, 6024)
"""SQL Server 2014 SP3, the oldest version the contract is written for."""


def utc_now() -> dt.datetime:
    """The time in UTC, without zone, as SQL Server's types have it."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


class Engine:
    """One server with one database."""

    name: str

    def __init__(
        self,
        database: str,
        *,
        password: str,
        collation: str = "Persian_100_CI_AS",
        clock: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        self.name = "HESABGAR-SIM"
        self.collation = collation
        self.read_committed_snapshot = False
        self._clock = clock
        self.database = Database(database, clock)
        self.logins: dict[str, str] = {"sa": password}
        self.faults: list[Fault] = []
        self.sessions: set[Session] = set()
        self.writer: Transaction | None = None
        self.released = asyncio.Event()
        self.away: Callable[[float], None] = lambda seconds: None
        self.keep: Callable[[], None] = lambda: None
        """Called when a transaction that wrote is about to be over. Raises :class:`SqlError` if it can't be."""
        self._spids = itertools.count(51)

    @property
    def version_text(self) -> str:
        number = ".".join(str(part) for part in VERSION)
        return (
            f"Microsoft SQL Server 2014 (SP3) - {number}.0 (X64) \n\tPeyvand's Hesabgar simulator: not Microsoft's "
            "product, a stand-in for tests and training"
        )

    @property
    def properties(self) -> dict[str, Any]:
        """What SERVERPROPERTY tells."""
        return {
            "productversion": ".".join(str(part) for part in VERSION) + ".0",
            "productlevel": "SP3",
            "productmajorversion": str(VERSION[0]),
            "edition": "Standard Edition (64-bit)",
            "engineedition": 2,
            "collation": self.collation,
            "servername": self.name,
            "machinename": self.name,
            "instancename": None,
            "isclustered": 0,
            "lcid": 1065,
        }

    @property
    def database_properties(self) -> dict[str, str]:
        """What DATABASEPROPERTYEX tells."""
        return {"collation": self.collation, "status": "ONLINE", "updateability": "READ_WRITE", "recovery": "FULL"}

    def utc_now(self) -> dt.datetime:
        """SYSUTCDATETIME."""
        return self._clock()

    def local_now(self) -> dt.datetime:
        """SYSDATETIME: Iran's time."""
        return self._clock() + IRAN

    def new_spid(self) -> int:
        return next(self._spids)

    def user_of(self, login: str) -> str:
        """The database user of a login."""
        for principal in self.database.principals.values():
            if principal.kind == "user" and principal.login == login.lower():
                return principal.name
        return "guest"

    def may_open(self, login: str) -> bool:
        """Whether a login has a user in the database."""
        return self.user_of(login) != "guest"

    def release(self, transaction: Transaction) -> None:
        """Let the next one write, and the readers read."""
        if self.writer is transaction:
            self.writer = None
        before, self.released = self.released, asyncio.Event()
        before.set()

    def min_active_row_version(self) -> int:
        """The lowest row version of a transaction that isn't over; the next one if there is none."""
        active = [
            session.transaction.first_row_version
            for session in self.sessions
            if session.transaction is not None and session.transaction.first_row_version is not None
        ]
        return min(active, default=self.database.last_row_version + 1)

    async def system_procedure(
        self, session: Session, name: n.Name, arguments: list[tuple[str | None, SqlType, Any, bool]]
    ) -> int | None:
        """Run a built-in procedure; None if there is none of that name."""
        own = name[-1].lower()
        schema = name[-2].lower() if len(name) > 1 else ""
        values = [value for _, _, value, _ in arguments]
        if schema == "sim":
            self._simulate(session, own, arguments)
            return 0
        match own:
            case "sp_addrolemember" | "sp_droprolemember":
                session.require_owner("ALTER ROLE")
                transaction = await session.lock_for_writing()
                add = own == "sp_addrolemember"
                alter_role(session, str(values[0]), str(values[1]), add=add, transaction=transaction)
                return 0
            case "sp_getapplock":
                if session.transaction_count == 0:
                    raise SqlError(1900, "sp_getapplock needs an active transaction for the owner 'Transaction'.")
                await session.lock_for_writing()
                return 0
            case "sp_releaseapplock" | "sp_reset_connection" | "sp_recompile" | "sp_refreshview":
                return 0
            case _:
                return None

    def _simulate(self, session: Session, own: str, arguments: list[tuple[str | None, SqlType, Any, bool]]) -> None:
        """The simulator's own procedures: sim.fault, sim.clear_faults and sim.away, for the owner only."""
        session.require_owner("SIMULATE")
        given = {(name or "").lstrip("@").lower(): value for name, _, value, _ in arguments}
        match own:
            case "fault":
                try:
                    self.faults.append(
                        Fault(
                            FaultKind(str(given["kind"])),
                            on=str(given.get("on") or ""),
                            statement=int(given.get("statement") or 1),
                            skip=int(given.get("skip") or 0),
                            times=int(given.get("times") or 1),
                            seconds=float(given.get("seconds") or 0),
                            number=int(given.get("number") or 50_000),
                            message=str(given.get("message") or ""),
                        )
                    )
                except (KeyError, ValueError):
                    kinds = ", ".join(FaultKind)
                    raise SqlError(50_000, f"sim.fault needs @kind, one of: {kinds}.") from None
            case "clear_faults":
                self.faults.clear()
            case "away":
                self.away(float(given.get("seconds") or 0))
            case _:
                raise SqlError(2812, f"Could not find stored procedure 'sim.{own}'.", state=62)
