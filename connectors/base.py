"""The contract between the hub and everything that speaks to an outside system.

A connector is a folder. ``spec.py`` declares its configuration (:class:`ConnectorSpec`, named ``Spec``), ``client.py``
is the only one that does I/O and turns the other side's errors into ours, ``mapper.py`` is pure, ``connector.py`` has
the life-cycle (:class:`Connector`, named ``Connector``), ``receiver.py``, if the other side calls us, answers it
(:class:`Receiver`, named ``Receiver``), ``simulator.py`` plays the other side where that helps, and ``README.md`` tells
a customer how to connect it. :func:`discover` finds them; nothing is registered by hand.

What can go wrong is told in four words, on both sides of the contract::

    ConnectorError
    ├── Retryable       it will pass: the other side, Kafka or the database is away, busy or slow
    ├── Rejected        it won't pass: the other side refused what was asked of it, or has no such thing
    ├── Unauthorised    the login is wrong, expired or may not do this; a person has to mend it
    └── UnknownPayload  what came can't be understood: it goes to the dead letters, and the rest goes on

A connector tells nobody "accepted", and moves no cursor, before :class:`Publisher` has returned.
"""

import asyncio
import hashlib
import importlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar
from uuid import UUID

import msgspec
from msgspec import inspect

from schemas import ids
from schemas.commands import AnyCommand, Submit
from schemas.deadletters import DeadLetter
from schemas.documents import Document
from schemas.events import DocumentEvent
from schemas.exchange import Endpoint, Request, Response
from schemas.master import Account, ListEntry, Master, Product
from schemas.pushes import Push
from schemas.secret import Secret
from schemas.visits import Visit

STOP_SECONDS = 5.0
"""How long a connector may take to start, and to end after it was cancelled."""

ENTRY_POINTS = "peyvand.connectors"
"""The group in which a package of someone else's names its connector: ``kiosk = "kiosk"``."""

MAX_REASON = 2_000
"""Characters of a dead letter's reason; what is longer is cut."""


class ConnectorError(Exception):
    """Something a connector can't do; the text is a sentence for a person and holds no secret. ``fa``: in Persian."""

    def __init__(self, text: str = "", *, fa: str = "") -> None:
        super().__init__(text)
        self.fa = fa or text


class Retryable(ConnectorError):
    """A fault that passes; the same work may be tried again."""


class Rejected(ConnectorError):
    """A refusal that trying again won't change."""


class Unauthorised(ConnectorError):
    """The login was refused; the work waits until a person mends it."""


class UnknownPayload(ConnectorError):
    """Something came that can't be understood."""


class ConnectorSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A connector's configuration, declared once; the docstring is the connector in one sentence.

    Each field is ``Annotated[type, Meta(description=...)]`` with a default where one makes sense, secrets of type
    :class:`~schemas.secret.Secret`, times as ``timedelta``, files as ``Path``. ``__post_init__`` may refuse values
    that don't go together, by ValueError with a sentence. The runtime reads it from ``[connectors.<kind>.<name>]``;
    :func:`redacted` and :func:`settings_table` show it.
    """

    libraries: ClassVar[frozenset[str]] = frozenset()
    """The third-party modules the folder imports, beside msgspec."""

    emits: ClassVar[frozenset[type[msgspec.Struct]]] = frozenset()
    """The commands and master records it can publish."""

    def documents_source(self, instance: str) -> str | None:
        """The source the documents of this connection come under, by which policies go; None: it brings none."""
        if Submit not in self.emits:
            return None
        return getattr(self, "source", None) or instance

    def clash(self, other: Self) -> str:  # noqa: ARG002  (for those that override it)
        """Why this and another connection of its kind can't be in one configuration, and what to do; "" if they can."""
        return ""


def redacted(spec: ConnectorSpec) -> dict[str, object]:
    """The settings as they may be shown and logged: secrets as ``***``."""
    return {
        name: "***" if isinstance(value, Secret) else value
        for name in spec.__struct_fields__
        for value in [getattr(spec, name)]
    }


def settings_table(spec: type[msgspec.Struct]) -> str:
    """The settings (of a spec, or of a table within one) as the Markdown table of the connector's README."""
    rows = ["| setting | what it is | default |", "|---|---|---|"]
    info = inspect.type_info(spec)
    assert isinstance(info, inspect.StructType)
    for setting in info.fields:
        description = setting.type.extra_json_schema or {} if isinstance(setting.type, inspect.Metadata) else {}
        default = "required" if setting.required else _shown(setting.default)
        secret = " **Secret.**" if _holds_secret(setting.type) else ""
        rows.append(f"| `{setting.encode_name}` | {description.get('description', '')}{secret} | {default} |")
    return "\n".join(rows) + "\n"


def _holds_secret(info: inspect.Type) -> bool:
    match info:
        case inspect.Metadata(type=inner):
            return _holds_secret(inner)
        case inspect.UnionType(types=types):
            return any(_holds_secret(each) for each in types)
        case inspect.CustomType(cls=cls):
            return cls is Secret
        case _:
            return False


def _shown(default: object) -> str:
    match default:
        case None | () | msgspec.NODEFAULT:
            return "–"
        case bool():
            return f"`{str(default).lower()}`"
        case timedelta() if default and not default % timedelta(days=1):
            return f"`{default.days}d`"
        case timedelta():
            return f"`{default.total_seconds():g}s`"
        case _:
            return f"`{default}`"


class Publisher(Protocol):
    """Where a connector's findings go. Each method returns after Kafka has acknowledged everything, never before.

    Raises :exc:`Retryable` otherwise; then some may have been written, and the same call may be made again: ids are
    derived, so nothing counts twice.
    """

    async def documents(self, commands: Sequence[AnyCommand]) -> None:
        """Ask for documents to be decided; commands on one document keep their order."""

    async def master(self, records: Sequence[Master]) -> None:
        """Tell master data; records of one key keep their order."""

    async def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep what nobody can handle (:meth:`Context.dead_letter`)."""

    async def pushes(self, pushes: Sequence[Push]) -> None:
        """Keep what was pushed (:meth:`Context.push`), for the connector's own :meth:`Events.pushes`."""

    async def visits(self, visits: Sequence[Visit]) -> None:
        """Tell what visitors did."""


class Cursors(Protocol):
    """Where a connector stands in its source, remembered durably, by a name of its own. Raises :exc:`Retryable`."""

    async def get(self, name: str) -> str | None:
        """What was set last; None if nothing was."""

    async def set(self, name: str, value: str) -> None:
        """Remember a value; called only after what it stands for was published."""


class Records(Protocol):
    """What an instance remembers of the other side, durably and shared by every process that runs or serves it.

    Values are bytes under a key in a bucket; both are names of the instance's own. Raises :exc:`Retryable`.
    """

    async def get(self, bucket: str, keys: Collection[str]) -> dict[str, bytes]:
        """The values of those keys that are there."""

    async def put(self, bucket: str, values: Mapping[str, bytes | None]) -> None:
        """Set each key's value, all or none of them; None forgets the key."""

    async def put_new(self, bucket: str, key: str, value: bytes) -> bool:
        """Set a key that isn't there, and say so; False, and nothing is changed, if it is: of two only one wins."""

    async def replace(self, bucket: str, key: str, old: bytes, new: bytes | None) -> bool:
        """Set (or, with None, forget) a key if its value still is ``old``; whether it was."""

    async def page(self, bucket: str, after: str = "", limit: int = 1_000) -> list[tuple[str, bytes]]:
        """Keys greater than ``after`` with their values, in the order of their bytes."""


class Sellable(msgspec.Struct, frozen=True):
    """What can be sold of a product with an attribute from a warehouse: on hand less what is reserved, at least 0."""

    product: str
    warehouse: str
    attribute: str
    quantity: Decimal


class Credit(msgspec.Struct, frozen=True):
    """What an account may still buy on credit, in rials (DESIGN.md "Credit"); below zero: over its limit already."""

    account: str
    instant: int
    balance: int


_Row = TypeVar("_Row", Account, Product, Sellable, Credit, ListEntry)


@dataclass(frozen=True, slots=True)
class Changes(Generic[_Row]):
    """Rows as they now are, changed since a cursor. ``more``: ask again at once from ``cursor``.

    ``reset``: the cursor wasn't understood (the database was made anew), so this is the beginning of everything.
    """

    rows: tuple[_Row, ...]
    cursor: str
    more: bool
    reset: bool


class Lookup(Protocol):
    """What the hub knows by now, to read. Codes are as they are stored (:mod:`schemas.text`). Raises Retryable."""

    async def products(self, codes: Collection[str]) -> dict[str, Product]:
        """By code; unknown ones aren't in the answer."""

    async def accounts(self, codes: Collection[str]) -> dict[str, Account]:
        """By code; unknown ones aren't in the answer."""

    async def accounts_of(self, *, phones: Collection[str] = (), emails: Collection[str] = ()) -> list[Account]:
        """Those with one of these phones (their last ten digits count) or e-mails (whatever their case), by code."""

    async def sellable(self, products: Collection[str], warehouses: Collection[str] = ()) -> list[Sellable]:
        """The stock rows of these products, in these warehouses or in all."""

    async def credit(self, accounts: Collection[str]) -> dict[str, Credit]:
        """By account code; those whose standing the books never told aren't in the answer."""

    async def documents(self, ids: Collection[UUID]) -> dict[UUID, Document]:
        """As they now are; those not decided yet aren't in the answer."""

    async def decisions(self, command_ids: Collection[UUID]) -> dict[UUID, DocumentEvent]:
        """What was decided about each of these commands; those not decided yet aren't in the answer."""

    async def changes(self, kind: type[_Row], cursor: str = "", limit: int = 1_000) -> Changes[_Row]:
        """All rows of a kind, then those that changed since ``cursor``: none is ever left out, some come twice."""


_Message = TypeVar("_Message")


class Reader(Protocol[_Message]):
    """What one purpose reads of the hub's topics; its place is remembered by the purpose's name."""

    async def read(self, seconds: float) -> Sequence[_Message]:
        """The next messages, in order per key; perhaps none, after ``seconds``. Raises :exc:`Retryable`.

        After a crash, a lost connection or a move to another process some come again.
        """

    async def ack(self, messages: Sequence[_Message]) -> None:
        """These, as :meth:`read` gave them, are done, in whatever order: the place moves up to the oldest that isn't.

        Called only after what they led to was acknowledged. While Kafka is away it is told later.
        """

    def lag(self) -> int:
        """How many messages wait, as far as it is known."""


Wanted = Callable[[str, str, str], bool]
"""Whether an event is wanted, by its type, its source and its document's kind ("" if it has none)."""


class Events(Protocol):
    """What the hub decided and learned, for a connector to act on. A new purpose begins with the oldest Kafka has.

    At most ``window`` messages are handed out and not yet acknowledged.
    """

    def documents(
        self, purpose: str, wanted: Wanted, *, window: int = 1_000
    ) -> AbstractAsyncContextManager[Reader[DocumentEvent]]:
        """The wanted of ``documents.events``."""

    def master(
        self, purpose: str, kinds: Sequence[type[Master]], *, window: int = 1_000
    ) -> AbstractAsyncContextManager[Reader[Master]]:
        """The ``master.*`` topics of these kinds of record."""

    def pushes(self, purpose: str, *, window: int = 1_000) -> AbstractAsyncContextManager[Reader[Push]]:
        """What was pushed to this instance."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a connector is given to work with. ``kind`` is its folder's name, ``instance`` its own in the configuration.

    ``clock`` answers the aware present in UTC; ``data`` is a directory of the instance's own, made before it starts.
    """

    kind: str
    instance: str
    publisher: Publisher
    cursors: Cursors
    records: Records
    lookup: Lookup
    events: Events
    clock: Callable[[], datetime]
    data: Path
    logger: logging.Logger

    @property
    def name(self) -> str:
        """``files.main``: the actor of its commands and the handler of its dead letters."""
        return f"{self.kind}.{self.instance}"

    def dead_letter(
        self,
        value: bytes,
        reason: str,
        *,
        place: str,
        position: int,
        headers: Mapping[str, str] | None = None,
    ) -> DeadLetter:
        """The letter of something that came from outside: ``place`` and ``position`` say where it stood.

        Its id is derived from the place, the position and the bytes, so the same thing read again is the same letter.
        It stood on no topic, so ``topic`` is ``connectors.<kind>.<instance>``.
        """
        topic = f"connectors.{self.name}"
        digest = hashlib.sha256(value).hexdigest()
        return DeadLetter(
            id=ids.derive(ids.NAMESPACE, f"dead/{topic}/{place}/{position}/{digest}").hex[:16],
            topic=topic,
            partition=0,
            offset=position,
            reason=reason[:MAX_REASON],
            handler=self.name,
            failed_at=self.clock(),
            value=value,
            headers=(("place", place.encode()), *((key, text.encode()) for key, text in (headers or {}).items())),
        )

    def push(self, resource: str, body: bytes, headers: Mapping[str, str] | None = None) -> Push:
        """A webhook call as it is kept: ``resource`` is what it speaks of, ``headers`` those worth keeping."""
        digest = hashlib.sha256(body).hexdigest()
        return Push(
            id=ids.derive(ids.NAMESPACE, f"push/{self.name}/{resource}/{digest}").hex[:16],
            connector=self.name,
            resource=resource,
            received_at=self.clock(),
            body=body,
            headers=dict(headers or {}),
        )


_SpecT = TypeVar("_SpecT", bound=ConnectorSpec)
_T = TypeVar("_T")


class Connector(ABC, Generic[_SpecT]):
    """One configured connection to one outside system. Making it does nothing yet."""

    def __init__(self, spec: _SpecT, context: Context) -> None:
        self.spec = spec
        self.context = context

    @abstractmethod
    async def check(self) -> None:
        """Return if the connection would work now, logged in as configured; writes nothing, here or there.

        It asks the other side alone: the hub's own servers may not be there, and are checked by themselves.

        Raises :exc:`ConnectorError` with what is wrong and what to do about it.
        """

    @abstractmethod
    async def run(self) -> None:
        """Work until cancelled, then end within :data:`STOP_SECONDS` with no task left over.

        Outages are waited out (:meth:`Outage.waited_out`). Anything raised ends this instance alone; the runtime logs
        it and starts a new one after a pause.
        """

    def vitals(self) -> Mapping[str, int]:
        """How the instance gets on, in whole numbers by name: what waits, lags in seconds."""
        return {}


class Receiver(ABC, Generic[_SpecT]):
    """The HTTP side of a connector, where the other side calls us: ``receiver.py``, named ``Receiver``; optional.

    It lives in the API's processes, as many as there are, while the connector runs in one. So it keeps nothing in
    memory that matters: :class:`Records` are for that. It answers 2xx only after what it took is acknowledged by Kafka
    or stored in Records.
    """

    mount: ClassVar[str] = "connectors"
    """The first segment of its paths: "connectors", or "webhooks" for what only machines call."""

    endpoints: ClassVar[tuple[Endpoint, ...]] = ()

    def __init__(self, spec: _SpecT, context: Context) -> None:
        self.spec = spec
        self.context = context

    @abstractmethod
    async def receive(self, request: Request) -> Response:
        """Answer one request.

        Raises :exc:`Retryable` (told as 503), :exc:`Unauthorised` (401), :exc:`UnknownPayload` (400) or
        :exc:`Rejected` (422), which the API tells as problem+json with the error's sentence.
        """


@dataclass(slots=True)
class Outage:
    """One thing that can be away (``of``: "Kafka", "the folder ..."): logged once as it goes, once as it comes back."""

    of: str
    logger: logging.Logger
    first_pause: float = 0.2
    longest_pause: float = 30.0
    reason: str | None = field(default=None, init=False)
    """Why it is away, as it was first told; None while it is there."""
    _turns: int = field(default=0, init=False, repr=False)
    """How often it went or came back."""

    def down(self, error: Exception) -> None:
        """It is away; says so unless it was known."""
        if self.reason is None:
            self.logger.error("%s is away: %s", self.of, error)
            self.reason = str(error)
            self._turns += 1

    def up(self) -> None:
        """It is there; says so if it was away."""
        if self.reason is not None:
            self.logger.info("%s is back", self.of)
            self._turns += 1
        self.reason = None

    async def waited_out(self, action: Callable[[], Awaitable[_T]]) -> _T:
        """The action's result, however often it has to be tried: on Retryable again after a pause that doubles, from
        ``first_pause`` to ``longest_pause`` seconds. Any other error is raised.

        Where several wait at once, an attempt that began before it went or came back tells nothing of how it is now.
        """
        pause = self.first_pause
        while True:
            begun = self._turns
            try:
                result = await action()
            except Retryable as error:
                if begun == self._turns:
                    self.down(error)
            else:
                if begun == self._turns:
                    self.up()
                return result
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.longest_pause)


@dataclass(frozen=True, slots=True)
class ConnectorKind:
    """A connector's folder: its configuration, its life-cycle and its README."""

    name: str
    spec: type[ConnectorSpec]
    connector: type[Connector[Any]]
    readme: Path
    receiver: type[Receiver[Any]] | None = None


def discover() -> dict[str, ConnectorKind]:
    """Every connector there is, by its name: the folders beside this file that have a ``spec.py``, and the packages
    installed beside the hub that an entry point of the group :data:`ENTRY_POINTS` names.

    Raises AttributeError or ImportError for one that doesn't keep to the file names of the contract, ValueError for two
    of one name.
    """
    here = Path(__file__).parent
    packages = {
        path.name: f"{__package__}.{path.name}" for path in sorted(here.iterdir()) if (path / "spec.py").is_file()
    }
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        if packages.setdefault(entry.name, entry.value) != entry.value:
            raise ValueError(f"two connectors are named {entry.name}: {packages[entry.name]} and {entry.value}")
    return {name: kind_in(package, name) for name, package in packages.items()}


def kind_in(package: str, name: str) -> ConnectorKind:
    """The connector whose files are the modules of a package. Raises as :func:`discover` does."""
    spec = importlib.import_module(f"{package}.spec")
    folder = Path(str(spec.__file__)).parent
    receives = (folder / "receiver.py").is_file()
    return ConnectorKind(
        name=name,
        spec=spec.Spec,
        connector=importlib.import_module(f"{package}.connector").Connector,
        readme=folder / "README.md",
        receiver=importlib.import_module(f"{package}.receiver").Receiver if receives else None,
    )
