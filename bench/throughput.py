"""Documents decided in a second: the same commands, all waiting, through each loop in processes of its own.

The workers are there first and the commands come all at once, since a worker that joins takes partitions away from the
others and they decide a little twice. What is measured begins when the last command has been written.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import asyncpg
import msgspec
from aiokafka.partitioner import DefaultPartitioner

from bench.machine import Usage, peak_mb
from bench.programs import Failed
from bench.servers import Servers, Site
from bench.workers import Loop, started, watching
from hub.bus.producer import Producer
from schemas import codec, topics
from schemas.commands import AnyCommand

_FROM, _TO = 0.10, 0.95
"""The part of the documents that is measured: before it a process warms up, after it one may have run out of work."""

Records = dict[int, list[tuple[bytes, bytes]]]
"""Key and value of each record, by partition."""


class Contender(NamedTuple):
    """A loop and how many processes run it."""

    name: str
    loop: Loop
    workers: int = 1


BARE = Contender("bare", Loop.BARE)
CHAIN = Contender("chain_without_faust", Loop.CHAIN)
FAUST = Contender("faust", Loop.FAUST)
FAUST_TWO = Contender("faust_two_workers", Loop.FAUST, 2)


class Sample(msgspec.Struct, frozen=True):
    """One measurement. ``cpu_us`` is processor time for one document, in microseconds, by who used it; ``others`` the
    part of the machine that was busy with something else, in processors."""

    documents_per_second: float
    seconds: float
    documents: int
    cpu_us: dict[str, float]
    others: float
    peak_memory_mb: dict[str, float]


def records(commands: Iterable[AnyCommand]) -> Records:
    """Commands as they lie on ``documents.commands``."""
    partitions = list(range(topics.COMMANDS.partitions))
    choose = DefaultPartitioner()
    found: Records = defaultdict(list)
    for command in commands:
        key = str(command.document_id).encode()
        found[choose(key, partitions, partitions)].append((key, codec.encode(command)))
    return found


async def measure(contender: Contender, servers: Servers, backlog: Records) -> Sample:
    """Put the records before the contender and take its time in the steady part. Raises Failed."""
    total = sum(map(len, backlog.values()))
    async with servers.site(minimal=contender.loop is Loop.BARE) as site:
        async with watching(site) as decided, started(contender.loop, site, contender.workers) as workers:
            await _feed(site, backlog)
            first = await decided.reaches(int(total * _FROM), workers)
            taking_part = {name: [process] for name, process in servers.processes().items()}
            usage = Usage({"workers": [worker.process for worker in workers], **taking_part})
            last = await decided.reaches(int(total * _TO), workers)
            seconds, used = usage.elapsed(), usage.seconds()
            if last - first < total / 4:
                raise Failed(f"only {last - first} of {total} documents were left to measure; give it more")
            await decided.reaches(total, workers)
            memory = {
                name: peak
                for name, process in [("streams", workers[0].process), *servers.processes().items()]
                if (peak := peak_mb(process)) is not None
            }
        await _check(site, total, "reservations" if contender.loop is Loop.BARE else "movements")
    count = last - first
    return Sample(
        documents_per_second=round(count / seconds, 1),
        seconds=round(seconds, 2),
        documents=count,
        cpu_us={name: round(spent / count * 1e6, 1) for name, spent in used.items() if name != "others"},
        others=round(used["others"] / seconds, 2),
        peak_memory_mb=memory,
    )


async def _feed(site: Site, backlog: Records) -> None:
    producer = Producer(site.kafka)
    await producer.start()
    try:
        await producer.publish_batches(topics.COMMANDS, backlog)
    finally:
        await producer.stop()


async def _check(site: Site, total: int, reservations: str) -> None:
    """A figure counts only if every document was cleared and all that is reserved is accounted for."""
    connection = await asyncpg.connect(site.dsn)
    try:
        states = dict(await connection.fetch("select state, count(*) from documents group by 1"))
        held = await connection.fetchval(f"select sum(quantity) from {reservations}")
        reserved = await connection.fetchval("select sum(reserved) from stock")
    finally:
        await connection.close()
    if states != {"cleared": total} or held != reserved:
        raise Failed(f"of {total} documents there are {states}; {reserved} is reserved, the documents hold {held}")
