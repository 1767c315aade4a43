"""An outside system that sends orders over HTTP as fast as it is answered, in a process of its own.

``python -m bench.client``, told what to do by the variable :data:`JOB`; it ends by writing its :class:`Count` as JSON.
"""

import asyncio
import os
import time
from collections.abc import Iterator

import aiohttp
import msgspec
import uvloop

from bench import company

JOB = "BENCH_CLIENT"

_PLACE = b"SOURCE-ID"


class Job(msgspec.Struct, frozen=True):
    """``connections`` kept alive, each with one request of ``batch`` documents under way (1: a single document).

    ``warm_up`` seconds before the ``seconds`` that count. ``series`` names the documents.
    """

    address: str
    token: str
    connections: int
    batch: int
    warm_up: float
    seconds: float
    series: str


class Count(msgspec.Struct, frozen=True):
    """What was accepted in how many seconds, and how long requests took, in milliseconds."""

    documents: int
    seconds: float
    p50_ms: float
    p99_ms: float


class _Answer(msgspec.Struct):
    """What matters of an answer: how many documents of a batch were not taken."""

    failed: int = 0


class _Bodies:
    """Bodies made at next to no cost: one of the company's orders after the other, each under an id of its own."""

    def __init__(self, job: Job) -> None:
        self._series = job.series.encode()
        self._batch = job.batch
        self._number = 0
        encoded = map(msgspec.json.encode, company.requests(1_000, series=job.series, source_id=_PLACE.decode()))
        self._patterns = [body.split(_PLACE) for body in encoded]

    def _documents(self) -> Iterator[bytes]:
        for _ in range(self._batch):
            head, tail = self._patterns[self._number % len(self._patterns)]
            yield b"%s%s-%d%s" % (head, self._series, self._number, tail)
            self._number += 1

    def body(self) -> bytes:
        documents = b",".join(self._documents())
        return b"[%s]" % documents if self._batch > 1 else documents


async def _connection(
    job: Job, session: aiohttp.ClientSession, bodies: _Bodies, times: list[tuple[float, float]]
) -> None:
    """Send one request after the other until the time is up; notes when each began and ended."""
    until = time.monotonic() + job.warm_up + job.seconds
    while (began := time.monotonic()) < until:
        async with session.post(f"{job.address}/v1/documents", data=bodies.body()) as response:
            answer = await response.read()
            if response.status != 202 or msgspec.json.decode(answer, type=_Answer).failed:
                raise SystemExit(f"the API answered {response.status}: {answer[:1_000].decode(errors='replace')}")
        times.append((began, time.monotonic()))


async def _send(job: Job) -> Count:
    headers = {"Authorization": f"Bearer {job.token}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=job.connections)
    bodies = _Bodies(job)
    times: list[tuple[float, float]] = []
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        counting = time.monotonic() + job.warm_up
        async with asyncio.TaskGroup() as connections:
            for _ in range(job.connections):
                connections.create_task(_connection(job, session, bodies, times))
    taken = sorted(1_000 * (ended - began) for began, ended in times if counting <= ended < counting + job.seconds)
    return Count(
        documents=len(taken) * job.batch,
        seconds=job.seconds,
        p50_ms=round(taken[len(taken) // 2], 2),
        p99_ms=round(taken[len(taken) * 99 // 100], 2),
    )


def main() -> None:
    """Do the job, write what came of it."""
    job = msgspec.json.decode(os.environ[JOB], type=Job)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        count = runner.run(_send(job))
    print(msgspec.json.encode(count).decode())


if __name__ == "__main__":
    main()
