"""``hub release``: the books get documents that their policy keeps until someone says so. And what a command on several
documents needs besides."""

import asyncio
import getpass
from argparse import Namespace
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

from rich.console import RenderableType

from hub.bus.producer import Outgoing, Producer
from hub.runtime import servers
from hub.runtime.commands.show import find
from hub.runtime.config import Config
from hub.runtime.console import screen, show, styled, table
from hub.runtime.failures import Failure
from hub.store import reading
from hub.store.pool import Store
from hub.store.reading import DocumentFilter
from schemas import codec, ids, topics
from schemas.commands import PostingStarted, Release
from schemas.dates import utc_now
from schemas.documents import Document, PostingPolicy, State
from schemas.events import COMMAND_REFUSED, DocumentEvent

_LOOK_SECONDS = 0.1
_PAGE = 1_000

_Command = TypeVar("_Command", Release, PostingStarted)


def release(config: Config, args: Namespace) -> int:
    """0 if every document is released, 1 if the rules refuse any or no worker decides in time."""
    if bool(args.document) == bool(args.source):
        raise Failure("Name documents, or a source with --source, all of whose waiting documents are released.", code=2)
    documents, decided = asyncio.run(_release(config, args))
    if not documents:
        show(screen(), f"No document of {args.source} waits to be released.")
        return 0
    return show_decided(documents, decided)


def show_decided(documents: Sequence[Document], decided: Mapping[UUID, DocumentEvent]) -> int:
    """A line for each document. 0 if none was refused or is still undecided, else 1."""
    console = screen()
    show(console, table(console, ("", "", "", ""), [_row(each, decided.get(each.id)) for each in documents]))
    good = [event for event in decided.values() if event.type != COMMAND_REFUSED]
    return 0 if len(good) == len(documents) else 1


def _row(document: Document, event: DocumentEvent | None) -> tuple[RenderableType, ...]:
    name = f"{document.source}/{document.source_id}"
    if event is None:
        return styled("sent", "yellow"), name, "not decided yet; does a worker run? hub show tells later", ""
    mark = styled("refused", "red") if event.type == COMMAND_REFUSED else styled("ok", "green")
    return mark, name, "; ".join(why.en for why in event.reasons), "؛ ".join(why.fa for why in event.reasons)


async def _release(config: Config, args: Namespace) -> tuple[list[Document], Mapping[UUID, DocumentEvent]]:
    """The documents, and what was decided about each, by its id, as far as it was within ``args.timeout`` seconds."""
    async with servers.opened_store(config) as store, opened_producer(config) as producer:
        documents = await (_waiting(store, args.source) if args.source else by_name(store, args.document))
        commands = [await command(Release, "hub release", store, document, args.note) for document in documents]
        return documents, await decided_in_time(store, producer, commands, args.timeout)


@asynccontextmanager
async def opened_producer(config: Config) -> AsyncIterator[Producer]:
    """A producer to the configured Kafka."""
    producer = Producer(servers.kafka(config))
    try:
        yield producer
    finally:
        await producer.stop()


async def by_name(store: Store, names: Iterable[str]) -> list[Document]:
    """The documents that are named. Raises Failure."""
    found: dict[UUID, Document] = {}
    for name in names:
        document = await find(store, name)
        if document is None:
            raise Failure(f"There is no document {name}; nothing was done.", "Name it by its id or as source/own-id.")
        found[document.id] = document
    return list(found.values())


async def _waiting(store: Store, source: str) -> list[Document]:
    """The documents of a source that wait to be released, the oldest first."""
    found = await every(store, DocumentFilter(source=source, state=State.CLEARED))
    return [each for each in found if each.posting_policy is PostingPolicy.MANUAL and not each.may_be_posted]


async def every(store: Store, wanted: DocumentFilter) -> list[Document]:
    """All documents that are wanted, the oldest first."""
    found: list[Document] = []
    while True:
        page = await reading.documents(store, wanted, _PAGE)
        found += page
        if len(page) < _PAGE:
            return found[::-1]
        wanted = wanted._replace(after=(page[-1].received_at, page[-1].id))


async def command(kind: type[_Command], said: str, store: Store, document: Document, note: str = "") -> _Command:
    """As the API derives it: said twice before it is decided it is one command, and what was refused may be retried."""
    refusals = sum(event.type == COMMAND_REFUSED for event in await reading.history(store, document.id))
    now = utc_now()
    return kind(
        command_id=ids.command_id(document.id, str(kind.__struct_config__.tag), f"{document.step}/{refusals}"),
        document_id=document.id,
        source=document.source,
        source_id=document.source_id,
        revision=document.revision,
        occurred_at=now,
        recorded_at=now,
        actor=_person(said),
        note=note,
    )


def _person(said: str) -> str:
    try:
        return f"{getpass.getuser()} ({said})"
    except (OSError, KeyError):  # a container's user without a name
        return said


async def decided_in_time(
    store: Store, producer: Producer, commands: Sequence[_Command], seconds: float
) -> dict[UUID, DocumentEvent]:
    """Publish commands; what was decided of each document within so many seconds."""
    await producer.publish(
        [Outgoing(topics.COMMANDS, str(each.document_id).encode(), codec.encode(each)) for each in commands]
    )
    wanted = {command.command_id: command.document_id for command in commands}
    found: dict[UUID, DocumentEvent] = {}
    try:
        async with asyncio.timeout(seconds):
            while len(found) < len(wanted):
                found = await reading.decisions(store, list(wanted))
                if len(found) < len(wanted):
                    await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        pass
    return {wanted[command_id]: event for command_id, event in found.items()}
