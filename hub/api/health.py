"""GET /health, /health/live and /metrics: how the hub is, for people, for supervisors and for Prometheus."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from hub.api.answers import Alive
from hub.api.metrics import MEDIA_TYPE
from hub.api.routing import Call, json_reply
from hub.store import progress, reading
from hub.store.errors import StoreError
from hub.store.progress import Worker


async def health(call: Call) -> web.Response:
    """GET /health"""
    found = await call.hub.doctor.examine()
    return json_reply(found, 200 if found.status == "ok" else 503)


async def live(_call: Call) -> web.Response:
    """GET /health/live"""
    return json_reply(Alive())


async def metrics(call: Call) -> web.Response:
    """GET /metrics"""
    hub = call.hub
    documents = None
    workers: Sequence[Worker] = ()
    try:
        async with asyncio.timeout(hub.settings.check_seconds):
            documents = await reading.counts(hub.store)
            workers = await progress.workers(hub.store)
    except (StoreError, TimeoutError):
        pass
    hub.metrics.live_clients.set(hub.live_clients)
    return web.Response(body=hub.metrics.render(documents, workers), headers={"Content-Type": MEDIA_TYPE})


async def openapi(call: Call) -> web.Response:
    """GET /openapi.json"""
    return web.Response(body=call.hub.openapi, content_type="application/json")
