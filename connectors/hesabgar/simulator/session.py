"""One connection's conversation: statements one after another, transactions, procedures, errors.

Everything runs on one event loop. A statement waits (for a lock, a delay, a slow client) only where it awaits; between
those places it has the server to itself.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from connectors.hesabgar.simulator import catalog
from connectors.hesabgar.simulator import definitions as define
from connectors.hesabgar.simulator import nodes as n
from connectors.hesabgar.simulator.changes import Changing
from connectors.hesabgar.simulator.compile import Compiler, Environment, Level, Scope, converted
from connectors.hesabgar.simulator.errors import BATCH_ABORTING, ROLLS_BACK, SqlError, denied, undeclared
from connectors.hesabgar.simulator.faults import Dropped, Fault, FaultKind
from connectors.hesabgar.simulator.functions import split_name
from connectors.hesabgar.simulator.parser import declared, parse
from connectors.hesabgar.simulator.query import OutputColumn, Plan, Planner
from connectors.hesabgar.simulator.storage import Column, Database, Object, Procedure, Row, Table, Transaction
from connectors.hesabgar.simulator.types import INT, MAX, Kind, SqlType, converter, parse_time

if TYPE_CHECKING:
    from connectors.hesabgar.simulator.engine import Engine

TEXT: Final = SqlType(Kind.NVARCHAR, length=MAX)
MAX_NESTING: Final = 32


class Sink(Protocol):
    """Where results go. Every method may wait for a slow client."""

    async def result(self, columns: Sequence[OutputColumn], rows: Iterator[Row]) -> int:
        """A result set; answers how many rows went."""

    async def done(self, count: int | None, *, nested: bool) -> None:
        """A statement has ended; ``count`` is None when it isn't to be told."""

    async def error(self, error: SqlError) -> None:
        """An error."""

    async def info(self, number: int, message: str, severity: int) -> None:
        """A message."""

    async def returned(self, status: int, *, nested: bool) -> None:
        """A procedure has ended."""

    async def output(self, name: str, kind: SqlType, value: Any) -> None:
        """An output parameter of a procedure called by RPC, after :meth:`returned`."""


class Collecting:
    """A sink for INSERT … EXEC: rows are kept, messages go on."""

    def __init__(self, outer: Sink) -> None:
        self._outer = outer
        self.columns: list[OutputColumn] = []
        self.rows: list[Row] = []

    async def result(self, columns: Sequence[OutputColumn], rows: Iterator[Row]) -> int:
        self.columns = list(columns)
        found = list(rows)
        self.rows.extend(found)
        return len(found)

    async def done(self, count: int | None, *, nested: bool) -> None:
        """Nothing: the INSERT tells its own count."""

    async def error(self, error: SqlError) -> None:
        await self._outer.error(error)

    async def info(self, number: int, message: str, severity: int) -> None:
        await self._outer.info(number, message, severity)

    async def returned(self, status: int, *, nested: bool) -> None:
        """Nothing: the procedure's status isn't told."""

    async def output(self, name: str, kind: SqlType, value: Any) -> None:
        await self._outer.output(name, kind, value)


@dataclass(slots=True)
class Frame:
    """A batch or a procedure that runs. ``owned`` when rights were checked at its door (the ownership chain)."""

    types: dict[str, SqlType]
    values: dict[str, Any] = field(default_factory=dict)
    temporary: dict[str, Table] = field(default_factory=dict)
    procedure: Procedure | None = None
    owned: bool = False
    user: str = ""
    status: int = 0
    identity: int | None = None
    nocount: bool | None = None
    caught: list[SqlError] = field(default_factory=list)


class _Signal(Exception):
    """RETURN, BREAK or CONTINUE on its way out."""

    def __init__(self, word: str) -> None:
        self.word = word


@dataclass(slots=True)
class Prepared:
    """What was compiled of a statement, and for which state of the catalogue."""

    version: int
    work: Any
    tables: set[Table]
    needs: set[tuple[str, str, str]]
    writes: bool


class Session:
    """One login's connection to the engine."""

    server: Engine
    spid: int
    login: str
    host: str
    application: str
    transaction_count: int
    row_count: int
    last_error: int
    lock_timeout: int
    last_identity: int | None

    def __init__(self, server: Engine, spid: int, login: str, *, host: str = "", application: str = "") -> None:
        self.server = server
        self.database: Database = server.database
        self.spid = spid
        self.login = login
        self.user = server.user_of(login)
        self.host = host
        self.application = application
        self.transaction: Transaction | None = None
        self.transaction_count = 0
        self.row_count = 0
        self.last_error = 0
        self.last_identity: int | None = None
        self.lock_timeout = -1
        self.xact_abort = False
        self.nocount = False
        self.quoted_identifiers = True
        self.identity_insert: str | None = None
        self.isolation = "read committed"
        self._frames: list[Frame] = []
        self._temporary: dict[str, Table] = {}
        self._tries = 0
        self._faults: list[Fault] = []
        self._statements = 0
        self.sink: Sink
        self.changing = Changing(self)

    # --- what expressions ask -----------------------------------------------------------------------------------

    @property
    def frame(self) -> Frame:
        return self._frames[-1]

    @property
    def acting_user(self) -> str:
        """Whose rights count now: the login's user, or the owner in a procedure WITH EXECUTE AS OWNER."""
        return self._frames[-1].user if self._frames else self.user

    @property
    def scope_identity(self) -> int | None:
        return self.frame.identity

    @property
    def nest_level(self) -> int:
        return sum(frame.procedure is not None for frame in self._frames)

    @property
    def procedure_id(self) -> int:
        procedure = self.frame.procedure
        return procedure.object_id if procedure else 0

    @property
    def transaction_state(self) -> int:
        if self.transaction is None or self.transaction_count == 0:
            return 0
        return -1 if self.transaction.doomed else 1

    @property
    def caught(self) -> SqlError | None:
        for frame in reversed(self._frames):
            if frame.caught:
                return frame.caught[-1]
        return None

    def find_object(self, name: n.Name) -> Object | None:
        """An object by one, two or three parts of its name."""
        if len(name) == 3 and name[0].lower() != self.database.name.lower():
            return None
        schema = (name[-2] if len(name) > 1 else "") or "dbo"
        return self.database.find(schema, name[-1])

    def find_temporary(self, name: str) -> Table | None:
        """A table variable or temporary table by its name."""
        wanted = name.lower()
        if wanted.startswith("@"):
            return self.frame.temporary.get(wanted)
        for frame in reversed(self._frames):
            if wanted in frame.temporary:
                return frame.temporary[wanted]
        return self._temporary.get(wanted)

    def add_temporary(self, table: Table, *, variable: bool = False) -> None:
        """Keep a temporary table: a procedure's until it ends, a batch's until the connection ends."""
        owner = self.frame.temporary if variable or self.frame.procedure else self._temporary
        if not variable and table.name.lower() in owner:
            raise SqlError(2714, f"There is already an object named '{table.name}' in the database.", state=6)
        owner[table.name.lower()] = table

    def drop_temporary(self, name: str) -> bool:
        for owner in (*(frame.temporary for frame in reversed(self._frames)), self._temporary):
            if owner.pop(name.lower(), None) is not None:
                return True
        return False

    def virtual(self, name: n.Name) -> tuple[list[Column], Callable[[Environment], Iterator[Row]]] | None:
        """A catalogue view."""
        return catalog.virtual(name[-2], name[-1]) if len(name) > 1 else None

    def environment(self) -> Environment:
        return Environment(self, self.frame.values)

    # --- batches and calls --------------------------------------------------------------------------------------

    async def batch(self, text: str, sink: Sink) -> None:
        """Run a batch of text. Errors go to the sink; only :class:`Dropped` and cancellation come out."""
        self.sink = sink
        self._strike(text)
        await self._outermost(lambda: self._run_text(text, {}, {}))

    async def call(self, name: str, arguments: list[tuple[str, SqlType, Any, bool]], sink: Sink) -> None:
        """Run a procedure by name with (name, type, value, output) arguments, as an RPC does."""
        self.sink = sink
        self._strike(name)
        if name.lower().rpartition(".")[2] == "sp_executesql":
            await self._outermost(lambda: self._execute_sql(arguments))
        else:
            await self._outermost(lambda: self._remote(name, arguments))

    async def _outermost(self, work: Callable[[], Awaitable[None]]) -> None:
        self._frames.append(Frame({}, user=self.user))
        try:
            await work()
        except SqlError as error:
            await self._report(error)
        except RecursionError:
            await self._report(SqlError(8631, "Internal error: Server stack limit has been reached.", severity=17))
        except (asyncio.CancelledError, Dropped):
            self._abandon()
            raise
        finally:
            self._frames.clear()
            self._tries = 0
        if self.transaction is not None and self.transaction.doomed:
            self.roll_back()
            await self._report(
                SqlError(
                    3998,
                    "Uncommittable transaction is detected at the end of the batch. The transaction is rolled back.",
                )
            )

    def _abandon(self) -> None:
        if self.transaction is not None and (self.transaction_count == 0 or self.xact_abort):
            self.roll_back()

    async def _report(self, error: SqlError) -> None:
        if not error.reported:
            error.reported = True
            await self.sink.error(error)

    async def _run_text(self, text: str, types: dict[str, SqlType], values: dict[str, Any]) -> None:
        body = parse(text, quoted_identifiers=self.quoted_identifiers)
        frame = self.frame
        frame.types = {**declared(body.body), **types}
        frame.values = {**dict.fromkeys(frame.types), **values}
        try:
            await self._block(body)
        except _Signal as signal:
            if signal.word != "return":
                raise SqlError(
                    135, f"Cannot use a {signal.word.upper()} statement outside the scope of a WHILE."
                ) from None

    async def _remote(self, name: str, arguments: list[tuple[str, SqlType, Any, bool]]) -> None:
        parts = split_name(name)
        given = [(each_name or None, kind, value, output) for each_name, kind, value, output in arguments]
        status, outputs = await self.run_procedure(parts, given)
        await self.sink.returned(status, nested=False)
        for (each_name, kind, _, output), value in zip(arguments, outputs, strict=True):
            if output:
                await self.sink.output(each_name, kind, value)

    async def _execute_sql(self, arguments: list[tuple[str, SqlType, Any, bool]]) -> None:
        types, values = _parameters(arguments)
        text = str(arguments[0][2])
        self.frame.user = self.user
        await self._run_text(text, types, values)
        await self.sink.returned(0, nested=False)
        for name, _, _, output in arguments[2:]:
            if output and name:
                await self.sink.output(name, types[name.lower()], self.frame.values[name.lower()])

    async def run_procedure(
        self, name: n.Name, arguments: list[tuple[str | None, SqlType, Any, bool]]
    ) -> tuple[int, list[Any]]:
        """Run a procedure: its return status, and its arguments' values afterwards."""
        system = await self.server.system_procedure(self, name, arguments)
        if system is not None:
            return system, [value for _, _, value, _ in arguments]
        found = self.find_object(name)
        if not isinstance(found, Procedure):
            raise SqlError(2812, f"Could not find stored procedure '{'.'.join(name)}'.", state=62)
        self.require("execute", found.schema, found.name)
        if self.nest_level >= MAX_NESTING:
            raise SqlError(217, "Maximum stored procedure nesting level exceeded (limit 32).")
        frame, places = self._called(found, arguments)
        self._frames.append(frame)
        before, quoted = self.transaction_count, self.quoted_identifiers
        nocount, xact_abort = self.nocount, self.xact_abort
        self.quoted_identifiers = found.quoted_identifiers
        try:
            await self._block(found.definition.body)
        except _Signal as signal:
            if signal.word != "return":
                raise SqlError(135, f"Cannot use a {signal.word.upper()} statement outside a WHILE.") from None
        except SqlError as error:
            error.procedure = error.procedure or found.name
            raise
        finally:
            self._frames.pop()
            self.quoted_identifiers, self.nocount, self.xact_abort = quoted, nocount, xact_abort
        if self.transaction_count != before:
            await self._report(
                SqlError(
                    266,
                    "Transaction count after EXECUTE indicates a mismatching number of BEGIN and COMMIT statements. "
                    f"Previous count = {before}, current count = {self.transaction_count}.",
                    state=2,
                )
            )
        return frame.status, [frame.values[place] for place in places]

    def _called(
        self, procedure: Procedure, arguments: list[tuple[str | None, SqlType, Any, bool]]
    ) -> tuple[Frame, list[str]]:
        """A procedure's frame with its arguments in place, and the parameter of each argument."""
        parameters = procedure.definition.parameters
        user = "dbo" if procedure.as_owner else self.acting_user
        frame = Frame(procedure.variables, dict.fromkeys(procedure.variables), {}, procedure, owned=True, user=user)
        by_name = {parameter.name: parameter for parameter in parameters}
        title = f"{procedure.name}"
        given: set[str] = set()
        places: list[str] = []
        for at, (name, kind, value, _) in enumerate(arguments):
            if name:
                parameter = by_name.get(name.lower())
                if parameter is None:
                    raise SqlError(8145, f"{name} is not a parameter for procedure {title}.")
            elif at >= len(parameters):
                raise SqlError(8144, f"Procedure or function {title} has too many arguments specified.", state=2)
            else:
                parameter = parameters[at]
            places.append(parameter.name)
            if value is _DEFAULT:
                continue
            given.add(parameter.name)
            change = None if value is None else converter(kind, parameter.type)
            frame.values[parameter.name] = value if change is None else change(value)
        for parameter in parameters:
            if parameter.name in given:
                continue
            if parameter.default is None:
                raise SqlError(
                    201,
                    f"Procedure or function '{title}' expects parameter '{parameter.name}', which was not supplied.",
                    state=4,
                )
            frame.values[parameter.name] = self.evaluate(parameter.default, parameter.type, {}, {})
        return frame, places

    # --- rights and locks ---------------------------------------------------------------------------------------

    def require(self, permission: str, schema: str, name: str) -> None:
        """Raise error 229 unless the acting user may, or an ownership chain vouches for it."""
        if self._frames and self.frame.owned:
            return
        if schema in ("sys", "information_schema"):
            return
        if not self.database.allows(self.acting_user, permission, schema, name):
            raise denied(permission.upper(), name, self.database.name, schema)

    def require_owner(self, what: str) -> None:
        """Raise error 262 unless the acting user owns the database."""
        if "db_owner" not in self.database.roles_of(self.acting_user):
            raise SqlError(262, f"{what} permission denied in database '{self.database.name}'.", severity=14)

    async def _wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = None if self.lock_timeout < 0 else asyncio.get_running_loop().time() + self.lock_timeout / 1_000
        while not ready():
            left = None if deadline is None else deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self.server.released.wait(), left)
            except TimeoutError:
                raise SqlError(1222, "Lock request time out period exceeded.", state=51) from None

    async def lock_for_writing(self) -> Transaction:
        """Be the one who writes. One transaction writes at a time; the others wait."""
        if self.transaction is None:
            self.transaction = Transaction()
        transaction = self.transaction
        if transaction.doomed:
            raise SqlError(
                3930,
                "The current transaction cannot be committed and cannot support operations that write to the log file. "
                "Roll back the transaction.",
            )
        await self._wait_until(lambda: self.server.writer in (None, transaction))
        self.server.writer = transaction
        return transaction

    async def lock_for_reading(self, tables: set[Table]) -> None:
        """Wait until nobody else's uncommitted change is in these tables (READ COMMITTED, with locks)."""
        if self.isolation == "read uncommitted":
            return
        mine = self.transaction
        if any(table.dirty_by is not None and table.dirty_by is not mine for table in tables):
            await self._wait_until(lambda: all(table.dirty_by is None or table.dirty_by is mine for table in tables))

    # --- transactions -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """BEGIN TRANSACTION."""
        if self.transaction is None:
            self.transaction = Transaction()
        self.transaction_count += 1

    async def commit(self) -> None:
        """COMMIT; only the outermost one does anything."""
        if self.transaction_count == 0 or self.transaction is None:
            raise SqlError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        if self.transaction.doomed:
            raise SqlError(
                3930,
                "The current transaction cannot be committed and cannot support operations that write "
                "to the log file. Roll back the transaction.",
            )
        if self.transaction_count == 1:
            self._finish(self.transaction)
        self.transaction_count -= 1

    def _finish(self, transaction: Transaction) -> None:
        """Make a transaction's changes final; here a connection may break, before or after."""
        wrote = bool(transaction.undo)
        if wrote and self._struck(FaultKind.DROP_BEFORE_COMMIT):
            self.roll_back()
            raise Dropped
        if wrote:
            self._keep()
        transaction.finish()
        self.transaction = None
        self.server.release(transaction)
        if wrote and self._struck(FaultKind.DROP_AFTER_COMMIT):
            self.transaction_count = 0
            raise Dropped

    def _keep(self) -> None:
        try:
            self.server.keep()
        except SqlError:
            self.roll_back()
            raise

    def roll_back(self) -> None:
        """Undo the whole transaction."""
        transaction = self.transaction
        if transaction is not None:
            transaction.rewind()
            transaction.finish()
            self.server.release(transaction)
        self.transaction = None
        self.transaction_count = 0

    def close(self) -> None:
        """The connection has ended: what wasn't committed is undone."""
        self.roll_back()

    # --- faults -------------------------------------------------------------------------------------------------

    def _strike(self, text: str) -> None:
        self._faults = [fault for fault in self.server.faults if fault.takes(text)]
        self._statements = 0

    def _struck(self, kind: FaultKind) -> bool:
        for fault in self._faults:
            if fault.kind is kind:
                self._faults.remove(fault)
                fault.struck += 1
                return True
        return False

    async def _suffer(self) -> None:
        """Let the faults of this statement happen."""
        self._statements += 1
        for fault in [each for each in self._faults if each.statement == self._statements]:
            match fault.kind:
                case FaultKind.DROP_BEFORE_COMMIT | FaultKind.DROP_AFTER_COMMIT:
                    continue
                case FaultKind.DELAY:
                    fault.struck += 1
                    self._faults.remove(fault)
                    await asyncio.sleep(fault.seconds)
                case FaultKind.HANG:
                    fault.struck += 1
                    self._faults.remove(fault)
                    await asyncio.Event().wait()
                case FaultKind.DROP:
                    fault.struck += 1
                    raise Dropped
                case FaultKind.DEADLOCK:
                    fault.struck += 1
                    self._faults.remove(fault)
                    raise SqlError(
                        1205,
                        f"Transaction (Process ID {self.spid}) was deadlocked on lock resources with another process "
                        "and has been chosen as the deadlock victim. Rerun the transaction.",
                        severity=13,
                        state=51,
                    )
                case FaultKind.ERROR:
                    fault.struck += 1
                    self._faults.remove(fault)
                    raise SqlError(fault.number, fault.message)

    # --- statements ---------------------------------------------------------------------------------------------

    async def _block(self, block: n.Block) -> None:
        for statement in block.body:
            await self._guarded(statement)

    async def _guarded(self, statement: n.Statement) -> None:
        """Run one statement; an error ends the statement, or the batch, or goes to the CATCH around it."""
        transaction = self.transaction
        length = len(transaction.undo) if transaction is not None else 0
        try:
            await self.execute(statement)
        except SqlError as error:
            await self._failed(error, statement, transaction, length)
        except (asyncio.CancelledError, Dropped):
            if self.transaction is not None and self.transaction is transaction:
                transaction.rewind(length)
            raise

    async def _failed(
        self, error: SqlError, statement: n.Statement, transaction: Transaction | None, length: int
    ) -> None:
        if not error.line:
            error.line = statement.line
            error.procedure = self.frame.procedure.name if self.frame.procedure else ""
        self.last_error = error.number
        compound = isinstance(statement, n.Block | n.If | n.While | n.Try | n.Execute)
        if not compound:
            if self.transaction is not None and self.transaction is transaction:
                transaction.rewind(length)
            elif self.transaction is not None and self.transaction_count == 0:
                self.roll_back()
        dooms = not error.raised and (self.xact_abort or error.number in ROLLS_BACK)
        if self._tries:
            if self.transaction is not None and self.transaction_count and dooms:
                self.transaction.doomed = True
            if error.number == 1205 and self.transaction is not None:
                self.transaction.doomed = True
            raise error
        if dooms:
            self.roll_back()
        if error.thrown or dooms or error.number in BATCH_ABORTING:
            raise error
        await self._report(error)

    async def execute(self, statement: n.Statement) -> None:
        """Run one statement. Raises :class:`SqlError`."""
        match statement:
            case n.Block():
                await self._block(statement)
                return
            case n.If():
                await self._if(statement)
                return
            case n.While():
                await self._while(statement)
                return
            case n.Try():
                await self._try(statement)
                return
            case n.Return():
                await self._return(statement)
            case n.Break():
                raise _Signal("break")
            case n.Continue():
                raise _Signal("continue")
            case _:
                pass
        if self._faults:
            await self._suffer()
        if self.transaction_count == 0 and isinstance(statement, _ATOMIC):
            await self._alone(statement)
        else:
            await _RUN[type(statement)](self, statement)
        if not isinstance(statement, n.Throw | n.RaiseError):
            self.last_error = 0

    async def _alone(self, statement: n.Statement) -> None:
        """A statement outside a transaction is one of its own."""
        try:
            await _RUN[type(statement)](self, statement)
        except BaseException:
            if self.transaction_count == 0:
                self.roll_back()
            raise
        if self.transaction is not None and self.transaction_count == 0:
            self._finish(self.transaction)

    async def _if(self, statement: n.If) -> None:
        if await self._holds(statement, statement.condition):
            await self._guarded(statement.then)
        elif statement.otherwise is not None:
            await self._guarded(statement.otherwise)

    async def _while(self, statement: n.While) -> None:
        rounds = 0
        while await self._holds(statement, statement.condition):
            rounds += 1
            if rounds % 1_000 == 0:
                await asyncio.sleep(0)
            try:
                await self._guarded(statement.body)
            except _Signal as signal:
                if signal.word == "break":
                    return
                if signal.word != "continue":
                    raise

    async def _holds(self, statement: n.Statement, condition: n.Expression) -> bool:
        run = await self.prepared(statement, lambda planner: _condition(planner, condition))
        return run((), self.environment()) is True

    async def _try(self, statement: n.Try) -> None:
        depth = len(self._frames)
        self._tries += 1
        try:
            await self._block(statement.body)
        except SqlError as error:
            if error.severity >= 20:
                raise
            self._tries -= 1
            frame = self.frame
            assert len(self._frames) == depth
            frame.caught.append(error)
            try:
                await self._block(statement.handler)
            finally:
                frame.caught.pop()
            return
        except BaseException:
            self._tries -= 1
            raise
        self._tries -= 1

    async def _return(self, statement: n.Return) -> None:
        if statement.value is not None:
            value = await self.ask(statement, statement.value, INT)
            self.frame.status = value or 0
        raise _Signal("return")

    # --- preparing ----------------------------------------------------------------------------------------------

    async def prepared(self, statement: n.Statement, make: Callable[[Planner], Any]) -> Any:
        """What a statement compiles to, kept with it; rights are checked and locks waited for."""
        found = statement.plan
        if not (isinstance(found, Prepared) and found.version == self.database.version):
            planner = Planner(self, self.frame.types)
            work = make(planner)
            found = Prepared(self.database.version, work, planner.tables, planner.needs, planner.writes)
            if not planner.volatile:
                statement.plan = found
        if not self.frame.owned:
            for permission, schema, name in found.needs:
                self.require(permission, schema, name)
        if found.writes and self.transaction_count:
            await self.lock_for_writing()
        await self.lock_for_reading(found.tables)
        return found.work

    async def ask(self, statement: n.Statement, expression: n.Expression, to: SqlType) -> Any:
        """The value of an expression of a statement."""
        run = await self.prepared(statement, lambda planner: _value(planner, expression, to))
        return run((), self.environment())

    def evaluate(self, expression: n.Expression, to: SqlType, types: dict[str, SqlType], values: dict[str, Any]) -> Any:
        """The value of an expression that reads no tables."""
        run = _value(Planner(self, types), expression, to)
        return run((), Environment(self, values))

    # --- single statements --------------------------------------------------------------------------------------

    async def told(self, count: int | None) -> None:
        """Tell the client that a statement has ended."""
        if count is not None:
            self.row_count = count
        await self.sink.done(None if self.nocount else count, nested=self.nest_level > 0)

    async def _declare(self, statement: n.Declare) -> None:
        for at, (name, kind, value) in enumerate(statement.variables):
            if value is not None:
                part = _part(statement, at)
                self.frame.values[name] = await self.ask(part, value, kind)

    async def _declare_table(self, statement: n.DeclareTable) -> None:
        table = define.make_table(self, ("", statement.name), statement.table)
        self.add_temporary(table, variable=True)

    async def _assign(self, statement: n.Assign) -> None:
        kind = self.frame.types.get(statement.variable)
        if kind is None:
            raise undeclared(statement.variable)
        self.frame.values[statement.variable] = await self.ask(statement, statement.value, kind)

    async def _option(self, statement: n.SetOption) -> None:
        on = statement.value == "on"
        for name in statement.names:
            match name:
                case "xact_abort":
                    self.xact_abort = on
                case "nocount":
                    self.nocount = on
                case "quoted_identifier":
                    self.quoted_identifiers = on
                case "lock_timeout":
                    self.lock_timeout = int(statement.value)
                case "isolation":
                    self.isolation = statement.value
                case "identity_insert":
                    self.identity_insert = statement.names[1].lower().rpartition(".")[2] if on else None
                    break
                case _:
                    pass
        await self.told(None)

    async def _query(self, statement: n.Ask) -> None:
        into = statement.query.into if isinstance(statement.query, n.Select) else None
        plan: Plan = await self.prepared(statement, lambda planner: planner.plan(statement.query))
        if into is not None:
            await self.told(await define.select_into(self, into, plan))
            return
        if any(column.variable for column in plan.columns):
            await self._assigned(plan)
            return
        rows = plan.rows(self.environment())
        await self.told(await self.sink.result(plan.columns, rows))

    async def _assigned(self, plan: Plan) -> None:
        changes: list[tuple[str, Callable[[Any], Any] | None]] = []
        for column in plan.columns:
            if column.variable is None:
                raise SqlError(
                    141,
                    "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval "
                    "operations.",
                    severity=15,
                )
            kind = self.frame.types.get(column.variable)
            if kind is None:
                raise undeclared(column.variable)
            changes.append((column.variable, None if column.untyped else converter(column.type, kind)))
        values = self.frame.values
        count = 0
        for row in plan.rows(self.environment()):
            count += 1
            for (name, change), value in zip(changes, row, strict=True):
                values[name] = value if value is None or change is None else change(value)
        await self.told(count)

    async def _execute(self, statement: n.Execute) -> None:
        if statement.text is not None:
            text = await self.ask(_part(statement, -1), statement.text, TEXT)
            await self._dynamic(text or "", {}, {})
            return
        name = statement.procedure
        if name is None:
            name = split_name(str(self.frame.values.get(statement.variable or "") or ""))
        arguments: list[tuple[str | None, SqlType, Any, bool]] = []
        for at, each in enumerate(statement.arguments):
            if each.value is None:
                arguments.append((each.name, INT, _DEFAULT, False))
                continue
            if isinstance(each.value, n.Variable):
                kind = self.frame.types.get(each.value.name)
                if kind is not None:
                    arguments.append((each.name, kind, self.frame.values[each.value.name], each.output))
                    continue
            compiled = await self.prepared(_part(statement, at), functools.partial(_typed, expression=each.value))
            arguments.append((each.name, compiled.type, compiled.run((), self.environment()), each.output))
        if name[-1].lower() == "sp_executesql":
            await self._nested_sql(statement, arguments)
            return
        status, outputs = await self.run_procedure(name, arguments)
        if statement.result is not None:
            self.frame.values[statement.result] = status
        self._give_back(statement, outputs, arguments)
        await self.sink.returned(status, nested=self.nest_level > 0)

    def _give_back(
        self, statement: n.Execute, outputs: list[Any], arguments: list[tuple[str | None, SqlType, Any, bool]]
    ) -> None:
        for each, value in zip(statement.arguments, outputs, strict=True):
            if each.output and isinstance(each.value, n.Variable):
                self.frame.values[each.value.name] = value

    async def _nested_sql(self, statement: n.Execute, arguments: list[tuple[str | None, SqlType, Any, bool]]) -> None:
        plain = [(name or "", kind, value, output) for name, kind, value, output in arguments]
        types, values = _parameters(plain)
        inner = await self._dynamic(str(arguments[0][2]), types, values)
        for each in statement.arguments[2:]:
            if each.output and each.name and isinstance(each.value, n.Variable):
                self.frame.values[each.value.name] = inner.values[each.name]

    async def _dynamic(self, text: str, types: dict[str, SqlType], values: dict[str, Any]) -> Frame:
        """Text that runs in a frame of its own; no ownership chain reaches into it."""
        if len(self._frames) >= MAX_NESTING:
            raise SqlError(217, "Maximum stored procedure nesting level exceeded (limit 32).")
        inner = Frame({}, user=self.acting_user)
        self._frames.append(inner)
        try:
            await self._run_text(text, types, values)
        finally:
            self._frames.pop()
        return inner

    async def _throw(self, statement: n.Throw) -> None:
        if statement.number is None or statement.message is None or statement.state is None:
            error = self.frame.caught[-1] if self.frame.caught else None
            if error is None:
                raise SqlError(
                    10704, "To rethrow an error, a THROW statement must be used inside a CATCH block.", severity=15
                )
            again = SqlError(error.number, error.message, severity=error.severity, state=error.state)
            again.line, again.procedure, again.thrown = error.line, error.procedure, True
            raise again
        number = await self.ask(_part(statement, 0), statement.number, INT)
        message = await self.ask(_part(statement, 1), statement.message, SqlType(Kind.NVARCHAR, length=2_048))
        state = await self.ask(_part(statement, 2), statement.state, SqlType(Kind.TINYINT))
        if number is None or not 50_000 <= number < 1 << 31:
            raise SqlError(
                35100,
                f"Error number {number} in the THROW statement is outside the valid range. Specify an error number "
                "in the valid range of 50000 to 2147483647.",
            )
        thrown = SqlError(number, message or "", state=state or 0)
        thrown.thrown = True
        raise thrown

    async def _raise(self, statement: n.RaiseError) -> None:
        message = await self.ask(_part(statement, 0), statement.message, SqlType(Kind.NVARCHAR, length=2_047))
        severity = await self.ask(_part(statement, 1), statement.severity, INT) or 0
        state = await self.ask(_part(statement, 2), statement.state, INT) or 0
        values = []
        for at, each in enumerate(statement.arguments, start=3):
            value = await self.ask(_part(statement, at), each, TEXT)
            values.append("(null)" if value is None else value)
        text = _formatted(message or "", values)
        if severity <= 10:
            await self.sink.info(50_000, text, 0 if severity == 10 else severity)
            return
        error = SqlError(50_000, text, severity=severity, state=max(state, 1))
        error.raised = True
        raise error

    async def _print(self, statement: n.Print) -> None:
        await self.sink.info(0, await self.ask(statement, statement.message, TEXT) or "", 0)

    async def _begin(self, statement: n.Begin) -> None:
        self.begin()
        await self.told(None)

    async def _commit(self, statement: n.Commit) -> None:
        await self.commit()
        await self.told(None)

    async def _rollback(self, statement: n.Rollback) -> None:
        transaction = self.transaction
        if self.transaction_count == 0 or transaction is None:
            raise SqlError(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        if statement.name is not None and statement.name.lower() in transaction.savepoints:
            transaction.rewind(transaction.savepoints[statement.name.lower()])
        else:
            self.roll_back()
        await self.told(None)

    async def _save(self, statement: n.Save) -> None:
        if self.transaction is None or self.transaction_count == 0:
            raise SqlError(628, "Cannot issue SAVE TRANSACTION when there is no active transaction.")
        self.transaction.savepoints[statement.name.lower()] = len(self.transaction.undo)
        await self.told(None)

    async def _wait(self, statement: n.WaitFor) -> None:
        value = await self.ask(statement, statement.delay, TEXT)
        clock = parse_time(value or "00:00:00")
        since = dt.timedelta(
            hours=clock.hour, minutes=clock.minute, seconds=clock.second, microseconds=clock.microsecond
        )
        await asyncio.sleep(since.total_seconds())

    async def _use(self, statement: n.Use) -> None:
        if statement.database.lower() != self.database.name.lower():
            raise SqlError(
                911, f"Database '{statement.database}' does not exist. Make sure that the name is entered correctly."
            )
        await self.sink.info(5701, f"Changed database context to '{self.database.name}'.", 0)
        await self.told(None)

    async def _insert(self, statement: n.Insert) -> None:
        if statement.execute is None:
            await self.changing.insert(statement)
            return
        outer, collecting = self.sink, Collecting(self.sink)
        self.sink = collecting
        try:
            await self._execute(statement.execute)
        finally:
            self.sink = outer
        await self.changing.insert_rows(statement, collecting.columns, collecting.rows)

    async def _update(self, statement: n.Update) -> None:
        await self.changing.update(statement)

    async def _delete(self, statement: n.Delete) -> None:
        await self.changing.delete(statement)

    async def _truncate(self, statement: n.Truncate) -> None:
        await self.changing.truncate(statement)

    async def _define(self, statement: n.Statement) -> None:
        await define.run(self, statement)
        await self.told(None)


class _Default:
    """The word DEFAULT in an argument's place."""


_DEFAULT: Final = _Default()


def _parameters(arguments: list[tuple[str, SqlType, Any, bool]]) -> tuple[dict[str, SqlType], dict[str, Any]]:
    """sp_executesql's own parameters: their declared types and given values."""
    if len(arguments) < 2:
        return {}, {}
    text = str(arguments[1][2] or "")
    body = parse(f"CREATE PROCEDURE p {text} AS RETURN") if text.strip() else None
    types: dict[str, SqlType] = {}
    if body is not None:
        definition = body.body[0]
        assert isinstance(definition, n.DefineProcedure)
        types = {parameter.name: parameter.type for parameter in definition.parameters}
    names = list(types)
    values: dict[str, Any] = {}
    for at, (name, kind, value, _) in enumerate(arguments[2:]):
        target = name.lower() if name else names[at] if at < len(names) else ""
        if target not in types:
            raise SqlError(8178, f"The parameterized query expects parameter '{name}', which was not declared.")
        change = None if value is None else converter(kind, types[target])
        values[target] = value if change is None else change(value)
    for name in names:
        if name not in values:
            raise SqlError(8178, f"The parameterized query expects the parameter '{name}', which was not supplied.")
    return types, values


def _formatted(message: str, values: list[str]) -> str:
    for value in values:
        for mark in ("%s", "%d", "%i", "%u"):
            if mark in message:
                at = min(message.find(each) for each in ("%s", "%d", "%i", "%u") if each in message)
                message = message[:at] + value + message[at + 2 :]
                break
    return message


def _typed(planner: Planner, expression: n.Expression) -> Any:
    level = Level()
    return Compiler(planner, level).value(expression, Scope(level))


def _value(planner: Planner, expression: n.Expression, to: SqlType) -> Any:
    return converted(_typed(planner, expression), to)


def _condition(planner: Planner, expression: n.Expression) -> Any:
    level = Level()
    return Compiler(planner, level).condition(expression, Scope(level))


def _part(statement: n.Statement, at: int) -> n.Statement:
    """A place to keep what one of a statement's several expressions compiles to."""
    if not isinstance(statement.plan, dict):
        statement.plan = {}
    parts = statement.plan
    if at not in parts:
        parts[at] = n.Statement(line=statement.line)
    found = parts[at]
    assert isinstance(found, n.Statement)
    return found


_DEFINITIONS: Final[tuple[type[n.Statement], ...]] = (
    n.CreateTable,
    n.AlterTable,
    n.CreateIndex,
    n.DropIndex,
    n.DefineProcedure,
    n.DefineView,
    n.DropObjects,
    n.CreateSchema,
    n.CreatePrincipal,
    n.AlterRole,
    n.Permission,
)

_ATOMIC: Final = (n.Insert, n.Update, n.Delete, n.Truncate, n.Ask, *_DEFINITIONS)

_RUN: Final[dict[type[n.Statement], Callable[[Session, Any], Awaitable[None]]]] = {
    n.Declare: Session._declare,
    n.DeclareTable: Session._declare_table,
    n.Assign: Session._assign,
    n.SetOption: Session._option,
    n.Ask: Session._query,
    n.Insert: Session._insert,
    n.Update: Session._update,
    n.Delete: Session._delete,
    n.Truncate: Session._truncate,
    n.Execute: Session._execute,
    n.Throw: Session._throw,
    n.RaiseError: Session._raise,
    n.Print: Session._print,
    n.Begin: Session._begin,
    n.Commit: Session._commit,
    n.Rollback: Session._rollback,
    n.Save: Session._save,
    n.WaitFor: Session._wait,
    n.Use: Session._use,
    **dict.fromkeys(_DEFINITIONS, Session._define),
}
