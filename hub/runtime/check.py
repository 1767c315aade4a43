"""Whether the hub could work as it is configured: what the configuration says, and whether what it names is there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum

import msgspec

from connectors import base
from hub.bus.admin import wait_until_ready
from hub.bus.errors import Unavailable
from hub.bus.settings import Kafka
from hub.bus.topics import check_topics
from hub.runtime import policies, servers
from hub.runtime.config import Config
from hub.runtime.connect import Connectors, configured
from hub.runtime.datadir import data_directory
from hub.runtime.failures import Failure
from hub.runtime.policies import Users
from hub.runtime.redaction import redact
from hub.store import keys, migrate
from hub.store.errors import StoreError, Unacceptable
from hub.store.keys import Key
from hub.store.pool import Store


class Outcome(StrEnum):
    """How one thing was found."""

    GOOD = "ok"
    WRONG = "error"
    NOTE = "note"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    subject: str
    outcome: Outcome
    sentence: str
    remedy: str = ""
    persian: str = ""


def declared(config: Config) -> Iterator[Finding]:
    """What the configuration itself says. It was read already, so all of this is good."""
    file = config.origin.file
    yield Finding(
        "configuration", Outcome.GOOD, f"{file}" if file else "no file is named or found: everything is as built in"
    )
    if variables := sorted(config.origin.variables.values()):
        yield Finding("environment", Outcome.GOOD, f"sets {', '.join(variables)}")
    names = [f"{kind}.{instance}" for kind, instances in config.connectors.items() for instance in instances]
    yield Finding("connectors", Outcome.GOOD, ", ".join(names) or "none")


async def found(config: Config, seconds: float) -> AsyncIterator[Finding]:
    """What the servers and connectors answer that the configuration names, each within ``seconds``. Changes nothing."""
    if config.kafka.embedded and not servers.of_hub_dev():
        yield Finding("Kafka", Outcome.NOTE, "embedded: hub dev starts it")
    else:
        async for finding in _kafka(config, seconds):
            yield finding
    if config.postgres.embedded and not servers.of_hub_dev():
        yield Finding("PostgreSQL", Outcome.NOTE, "embedded: hub dev starts it")
    else:
        async for finding in _postgres(config, seconds):
            yield finding
    async for finding in _connectors(config, seconds):
        yield finding


async def _connectors(config: Config, seconds: float) -> AsyncIterator[Finding]:
    # Kafka and the store are there to be given only: a connector's check reads nothing from them and writes nothing.
    connectors = Connectors(configured(config), Kafka(config.kafka.servers), Store(""), data_directory())
    for name, wrong in (await connectors.check(seconds)).items():
        if wrong is None:
            yield Finding(f"connector {name}", Outcome.GOOD, "its connection works")
        else:
            yield Finding(f"connector {name}", Outcome.WRONG, wrong)


async def _kafka(config: Config, seconds: float) -> AsyncIterator[Finding]:
    kafka = servers.kafka(config)
    try:
        await wait_until_ready(kafka, seconds)
        async with asyncio.timeout(seconds):
            problems = await check_topics(kafka)
    except (Unavailable, TimeoutError, OSError) as error:
        why = f" ({redact(str(error))})" if str(error) else ""
        yield Finding(
            "Kafka",
            Outcome.WRONG,
            f"{kafka.bootstrap} didn't answer within {seconds:g} seconds{why}",
            "Is it running, and are [kafka] bootstrap and security right? docs/configuration.md has the settings.",
        )
        return
    yield Finding("Kafka", Outcome.GOOD, f"{kafka.bootstrap} answers")
    if not problems:
        yield Finding("topics", Outcome.GOOD, "all are there, as declared")
    for problem in problems:
        sentence, _, remedy = problem.partition("; ")
        yield Finding("topics", Outcome.WRONG, sentence, remedy)


async def _postgres(config: Config, seconds: float) -> AsyncIterator[Finding]:
    try:
        async with asyncio.timeout(seconds):
            pending = await migrate.pending(servers.postgres(config))
    except Unacceptable as error:
        yield Finding("PostgreSQL", Outcome.WRONG, redact(str(error)), "Mend [postgres] in the configuration.")
        return
    except (StoreError, TimeoutError) as error:
        why = f" ({redact(str(error))})" if str(error) else ""
        yield Finding(
            "PostgreSQL",
            Outcome.WRONG,
            f"it didn't answer within {seconds:g} seconds{why}",
            "Is it running, and is [postgres] in the configuration right?",
        )
        return
    yield Finding("PostgreSQL", Outcome.GOOD, "answers, and takes the login")
    if pending:
        yield Finding("migrations", Outcome.WRONG, f"not applied yet: {', '.join(pending)}", "Run hub migrate.")
    else:
        yield Finding("migrations", Outcome.GOOD, "all are applied")


async def live_keys(config: Config, seconds: float) -> list[Key] | None:
    """The API's keys; None if PostgreSQL doesn't tell them within ``seconds``."""
    try:
        async with asyncio.timeout(seconds), servers.opened_store(config) as store:
            return await keys.every(store)
    except (StoreError, Failure, TimeoutError):
        return None


def flows(config: Config, used: Users, *, keys_known: bool) -> Iterator[Finding]:
    """What may not be meant of the policies by source."""
    for source, sentence in policies.notes(config, used, keys_known=keys_known):
        yield Finding(f"source {source}", Outcome.NOTE, sentence.en, persian=sentence.fa)


def connector_kinds() -> dict[str, type[msgspec.Struct]]:
    """The spec of every kind of connector there is."""
    return {name: kind.spec for name, kind in base.discover().items()}
