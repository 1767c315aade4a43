"""Deciding a micro-batch of commands in one PostgreSQL transaction (DESIGN.md "Decided once").

No Faust and no Kafka here: the same function is what the agent calls, what the benchmark's loop without Faust calls,
and what the race tests call on two connections at once.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from hub.rules import deciding as rules
from hub.rules.settings import RuleSettings
from hub.store import deciding as memory
from hub.store.deciding import Decided
from hub.store.errors import Unavailable, Unready
from hub.store.pool import Store
from schemas.commands import AnyCommand
from schemas.events import DocumentEvent

Clock = Callable[[], datetime]


class Undecided(msgspec.Struct, frozen=True):
    """A command no decision could be made on, and why trying again won't mend it."""

    command: AnyCommand
    reason: str


async def decide_batch(
    store: Store, commands: Sequence[AnyCommand], settings: RuleSettings, clock: Clock
) -> list[Decided]:
    """Decide commands in their order, all in one transaction; answers what to publish, one each.

    A command decided before gets what was published then. Raises Unavailable (nothing was decided, do it again) or
    Unacceptable (nothing was decided, and it won't be).
    """
    async with store.connection() as connection:
        ids = [command.command_id for command in commands]
        decided = await memory.known(connection, ids)
        before_this = set(decided)
        fresh = _unknown(commands, decided)
        if fresh:
            wanted = rules.needs(fresh)
            await memory.ensure_stock(connection, wanted.incoming)
            async with connection.transaction():
                snapshot = await memory.read(connection, wanted, store.products)
                before = dict(snapshot.documents)
                now = clock()
                events: list[DocumentEvent] = [rules.decide(command, snapshot, settings, now) for command in fresh]
                new = await memory.write(connection, events, before, snapshot)
            decided.update(zip((command.command_id for command in fresh), new, strict=True))
            if len(fresh) < len(commands):
                # What was decided before is told with its document as it is by now, for this batch may have moved it.
                repeats = {command_id for command_id, times in Counter(ids).items() if times > 1}
                decided.update(await memory.known(connection, repeats.union(before_this)))
    return [decided[command_id] for command_id in ids]


def _unknown(commands: Sequence[AnyCommand], decided: dict[UUID, Decided]) -> list[AnyCommand]:
    """The commands not yet decided, each once: a batch may hold the same command twice."""
    fresh: dict[UUID, AnyCommand] = {}
    for command in commands:
        if command.command_id not in decided:
            fresh.setdefault(command.command_id, command)
    return list(fresh.values())


async def decide_each(
    store: Store, commands: Sequence[AnyCommand], settings: RuleSettings, clock: Clock
) -> list[Decided | Undecided]:
    """Decide a batch; if it fails as a whole, decide its commands one by one to find the one that is to blame.

    Raises Unavailable or Unready; answers Undecided for a command that can't be decided at all.
    """
    try:
        return list(await decide_batch(store, commands, settings, clock))
    except (Unavailable, Unready):
        raise
    except Exception as error:  # a defect in a rule, or data PostgreSQL refuses: one command must not stop the rest
        if len(commands) == 1:
            return [Undecided(commands[0], f"{type(error).__name__}: {error}")]
    outcomes: list[Decided | Undecided] = []
    for command in commands:
        outcomes.extend(await decide_each(store, [command], settings, clock))
    return outcomes
