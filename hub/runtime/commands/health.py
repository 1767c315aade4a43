"""``hub health``: the same judgement as the API's ``/health``, asked from outside it."""

import asyncio
import socket
from argparse import Namespace

from rich.console import RenderableType

from hub.api.answers import Check
from hub.api.vitals import judge
from hub.bus.topics import check_topics
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.console import screen, show, styled, table
from hub.runtime.words import STATES
from hub.store import progress, reading
from schemas.documents import State


def health(config: Config, args: Namespace) -> int:
    """0 if the servers answer and every worker gets on with its work, else 1; with ``--here`` only this machine's."""
    console = screen()
    if args.here:
        checks = asyncio.run(_examine_here(config))
        show(console, table(console, ("", "", "", ""), [_row(check) for check in checks]))
        return 0 if all(check.ok for check in checks) else 1
    checks, counts = asyncio.run(_examine(config))
    show(console, table(console, ("", "", "", ""), [_row(check) for check in checks]))
    rows = [(STATES[state].en, f"{counts[state]:,}", STATES[state].fa) for state in State if state in counts]
    show(console, "", table(console, ("documents", "", ""), rows))
    return 0 if all(check.ok for check in checks) else 1


async def _examine(config: Config) -> tuple[list[Check], dict[str, int]]:
    """Every check, and how many documents stand in each state. Raises what the servers' rooms raise."""
    problems = await check_topics(servers.kafka(config))
    async with servers.opened_store(config) as store:
        workers = list(judge(await progress.workers(store)))
        counts = await reading.counts(store)
    kafka = [Check("kafka", False, problem, "") for problem in problems] or [
        Check("kafka", True, "Kafka answers, its topics are as declared", "کافکا پاسخ می‌دهد")
    ]
    return [*kafka, Check("postgresql", True, "PostgreSQL answers", "PostgreSQL پاسخ می‌دهد"), *workers], counts


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
