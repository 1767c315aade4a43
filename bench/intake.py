"""How many documents a second the API takes in: ``hub api`` as it is, and a client process beside it.

Accepted means claimed in PostgreSQL and acknowledged by Kafka. Nobody decides meanwhile: it is the intake that is
measured, and both ends of HTTP share the machine already.
"""

import asyncio
import time
from typing import NamedTuple

import aiohttp
import msgspec

from bench import client, company
from bench.client import Count, Job
from bench.machine import peak_mb
from bench.programs import HUB, Failed, Program, role_environment, running
from bench.servers import Servers, Site
from hub.runtime.embedded.ports import free_port
from hub.store import keys
from hub.store.pool import Store

CONNECTIONS = 32
BATCH_CONNECTIONS = 4
BATCH = 100
READY_SECONDS = 60.0
_PER_MINUTE = 10_000_000


class Intake(NamedTuple):
    """One document a request by many clients, and batches by a few; ``api_peak_mb`` of the API's process."""

    single: Count
    batch: Count
    api_peak_mb: float | None


async def measure(servers: Servers, *, seconds: float, warm_up: float) -> Intake:
    """Both ways for so long each, each after a warm-up that doesn't count. Raises Failed."""
    async with servers.site() as site:
        token = await _key(site)
        port = free_port()
        environment = {**role_environment(site), "PEYVAND_API_PORT": str(port)}
        address = f"http://127.0.0.1:{port}"
        async with running([*HUB, "api"], environment) as api:
            await _ready(address, api)
            single = Job(address, token, CONNECTIONS, 1, warm_up, seconds, "single")
            batch = Job(address, token, BATCH_CONNECTIONS, BATCH, warm_up, seconds, "batch")
            return Intake(await _count(single), await _count(batch), peak_mb(api.process))


async def _count(job: Job) -> Count:
    environment = {client.JOB: msgspec.json.encode(job).decode()}
    async with running(["-m", client.__name__], environment) as sending:
        said = await sending.finished(job.warm_up + job.seconds + READY_SECONDS)
    return msgspec.json.decode(said, type=Count)


async def _key(site: Site) -> str:
    store = Store(site.dsn, size=1)
    await store.open()
    try:
        scopes = ["documents:write"]
        _, token = await keys.create(
            store, name=company.SOURCE, source=company.SOURCE, scopes=scopes, per_minute=_PER_MINUTE
        )
    finally:
        await store.close()
    return token


async def _ready(address: str, api: Program) -> None:
    deadline = time.monotonic() + READY_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            api.check()
            try:
                async with session.get(f"{address}/health/live") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            if time.monotonic() > deadline:
                raise Failed(f"the API doesn't answer:\n{api.said()[-2_000:]}")
            await asyncio.sleep(0.05)
