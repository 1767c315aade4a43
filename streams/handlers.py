"""What each agent does with a batch: decode, then one call."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hub.bus.producer import Producer
from hub.rules.settings import RuleSettings
from hub.store import master as master_store
from hub.store.deciding import Decided
from hub.store.errors import Unacceptable, Unready
from hub.store.pool import Store
from schemas import codec, topics
from schemas.codec import Undecodable
from schemas.commands import AnyCommand
from schemas.dates import utc_now
from schemas.ids import document_id
from schemas.master import Master
from streams.agent import Decoded, Failure, Handled
from streams.deciding import Undecided, decide_each
from streams.originals import Originals

logger = logging.getLogger(__name__)


class DecideCommands:
    """``documents.commands`` → decisions in PostgreSQL → ``documents.events`` and ``documents.latest``."""

    key = "document_id"

    def __init__(self, store: Store, producer: Producer, settings: RuleSettings) -> None:
        self._store = store
        self._producer = producer
        self._settings = settings
        self._originals = Originals(store)

    def decode(self, messages: Sequence[Any]) -> Decoded:
        return Decoded.of(messages, _command)

    async def handle(self, batch: Decoded) -> Handled:
        failures = list(batch.failures)
        events: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        latest: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        waiting = await self._originals.awaited(batch.records)
        due = [place for place in range(len(batch.records)) if place not in waiting]
        commands = [batch.records[place] for place in due]
        outcomes = await decide_each(self._store, commands, self._settings, utc_now) if commands else []
        tells = logger.isEnabledFor(logging.DEBUG)
        for place, outcome in zip(due, outcomes, strict=True):
            index = batch.places[place]
            message = batch.messages[index]
            if tells:
                logger.debug("decided: %s", type(outcome).__name__, extra=_about(batch.records[place]))
            match outcome:
                case Undecided(_, reason):
                    failures.append(Failure(index, reason))
                case Decided(_, event, document):
                    events[message.partition].append((message.key, event))
                    if document is not None:
                        latest[message.partition].append((message.key, document))

        async def publish() -> None:
            await self._producer.publish_batches(topics.EVENTS, events)
            await self._producer.publish_batches(topics.LATEST, latest)

        return Handled(publish, failures, frozenset(batch.places[place] for place in waiting))


def _about(command: AnyCommand) -> dict[str, str]:
    return {"document_id": str(command.document_id), "command_id": str(command.command_id)}


def _command(message: Any) -> AnyCommand:
    """A record's command, if the record is whole: its key and its ids must be those of its document."""
    if message.value is None:
        raise Undecodable("the record has no value")
    command = codec.decode_command(message.value)
    if message.key != str(command.document_id).encode():
        raise Undecodable(f"the record's key must be the document id {command.document_id}, it is {message.key!r}")
    if command.document_id != document_id(command.source, command.source_id):
        raise Undecodable(
            f"document_id {command.document_id} is not the id of source {command.source!r}, "
            f"source_id {command.source_id!r}"
        )
    return command


class StoreMaster:
    """``master.*`` → the master tables; a refresh of stock or finance retires what the books show by now."""

    key = "code"

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._structs = {prefix + topic.name: struct for struct, topic in topics.MASTER.items()}

    def decode(self, messages: Sequence[Any]) -> Decoded:
        return Decoded.of(messages, self._record)

    def _record(self, message: Any) -> Master:
        return codec.decode_as(message.value or b"", self._structs[message.topic])

    async def handle(self, batch: Decoded) -> Handled:
        try:
            await master_store.apply(self._store, batch.records)
        except Unready:
            raise
        except Unacceptable:
            return Handled(failures=[*batch.failures, *await self._one_by_one(batch)])
        return Handled(failures=batch.failures)

    async def _one_by_one(self, batch: Decoded) -> list[Failure]:
        failures = []
        for index, record in zip(batch.places, batch.records, strict=True):
            try:
                await master_store.apply(self._store, [record])
            except Unready:
                raise
            except Unacceptable as error:
                failures.append(Failure(index, str(error)))
        return failures
