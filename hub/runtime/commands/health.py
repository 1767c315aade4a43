"""``hub health``: the same judgement as the API's ``/health``, asked from outside it."""

import asyncio
import socket
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from rich.console import RenderableType

from hub.api.answers import Check
from hub.api.vitals import judge, speaking
from hub.bus.topics import check_topics
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.connect import by_instance
from hub.runtime.console import screen, show, styled, table
from hub.runtime.words import STATES
from hub.store import progress, reading
from hub.store.progress import Worker
from schemas.documents import State


class _Found(NamedTuple):
    """What was found: every check, how many documents stand in each state, how each connector gets on."""

    checks: list[Check]
    documents: dict[str, int]
    connectors: dict[str, Counter[str]]


def health(config: Config, args: Namespace) -> int:
    """0 if the servers answer and every worker gets on with its work, else 1; with ``--here`` only this machine's."""
    console = screen()
    if args.here:
        checks = asyncio.run(_examine_here(config))
        show(console, table(console, ("", "", "", ""), [_row(check) for check in checks]))
        return 0 if all(check.ok for check in checks) else 1
    checks, documents, connectors = asyncio.run(_examine(config))
    show(console, table(console, ("", "", "", ""), [_row(check) for check in checks]))
    rows = [(STATES[state].en, f"{documents[state]:,}", STATES[state].fa) for state in State if state in documents]
    show(console, "", table(console, ("documents", "", ""), rows))
    if connectors:
        told = [
            (name, ", ".join(f"{what} {count:,}" for what, count in sorted(got.items())))
            for name, got in connectors.items()
        ]
        show(console, "", table(console, ("connectors", ""), told))
    return 0 if all(check.ok for check in checks) else 1


async def _examine(config: Config) -> _Found:
    """Raises what the servers' rooms raise."""
    problems = await check_topics(servers.kafka(config))
    async with servers.opened_store(config) as store:
        workers = await progress.workers(store)
        documents = await reading.counts(store)
    kafka = [Check("kafka", False, problem, "") for problem in problems] or [
        Check("kafka", True, "Kafka answers, its topics are as declared", "کافکا پاسخ می‌دهد")
    ]
    postgresql = Check("postgresql", True, "PostgreSQL answers", "PostgreSQL پاسخ می‌دهد")
    return _Found([*kafka, postgresql, *judge(workers)], documents, _connectors(workers))


def _connectors(workers: Iterable[Worker]) -> dict[str, Counter[str]]:
    """How each instance gets on, by name. It works in one process, and the others that could run it count nothing."""
    found: dict[str, Counter[str]] = {}
    for worker in speaking(workers):
        if worker.role == "connectors":
            for name, counts in by_instance(worker.counters).items():
                found.setdefault(name, Counter()).update(counts)
    return dict(sorted(found.items()))


async def _examine_here(config: Config) -> list[Check]:
    """The checks of the processes of this machine or container alone. Raises what the store raises."""
    host = socket.gethostname()
    async with servers.opened_store(config) as store:
        here = [worker for worker in await progress.workers(store) if f"-{host}-" in worker.id]
    names = {worker.id for worker in here}
    return [check for check in judge(here) if check.name in names] or [
        Check(host, False, "no process of this machine has said anything", "هیچ پردازه‌ای از این دستگاه خبری نداده است")
    ]


def _row(check: Check) -> tuple[RenderableType, ...]:
    mark = styled("ok", "green") if check.ok else styled("error", "bold red")
    return mark, check.name, check.en, check.fa
