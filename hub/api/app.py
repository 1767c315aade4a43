"""The application, built by a function, and its start on a port."""

import contextlib
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from hub.api import openapi
from hub.api.context import Context
from hub.api.problems import Problem, unavailable
from hub.api.receivers import Served as ServedConnector
from hub.api.receivers import routes as connector_routes
from hub.api.routes import ROUTES
from hub.api.routing import CALLER, CONTEXT, RATE, REQUEST_ID, TRACE, bound
from hub.api.settings import ApiSettings
from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.feed import Feed
from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.rules.settings import RuleSettings
from hub.store.errors import Unavailable as StoreUnavailable
from hub.store.pool import Store

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ID = "{id:(?!(?:preview|counts)(?:/|$))[^{}/]+}"
"""What may stand for a document's id: not the names of paths beside it, whose wrong methods are to get a 405."""
MAX_URL_BYTES = 32 * 1024
"""Room for every parameter at its longest in Persian, each letter percent-encoded; longer isn't answered as HTTP."""
CLIENT_LEFT = 499
"""What the log and the figures say of a request whose client didn't wait for the answer."""
_QUIET = ("/health", "/health/live", "/metrics")
"""Paths machines ask for every few seconds: not worth a line of the log each."""

logger = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(
    store: Store,
    producer: Producer,
    kafka: Kafka,
    rules: RuleSettings,
    settings: ApiSettings,
    connectors: Sequence[ServedConnector] = (),
) -> web.Application:
    """The application. ``store`` must be open by the time it serves; both it and ``producer`` stay the caller's."""
    more = connector_routes(connectors)
    feed = Feed(kafka, remember=settings.remember_events, queue=settings.live_queue)
    hub = Context(store, producer, feed, rules, settings)
    hub.openapi = msgspec.json.encode(openapi.document(more))
    app = web.Application(middlewares=[_observed, _explained], client_max_size=settings.max_body_bytes)
    app[CONTEXT] = hub
    app.cleanup_ctx.append(_running)
    app.on_shutdown.append(_let_go)
    app.on_response_prepare.append(_head)
    for route in (*ROUTES, *more):
        path = route.path.replace("{id}", _ID) if route.path.startswith("/v1/documents/") else route.path
        app.router.add_route(route.method, path, bound(route), name=route.name)
        if route.method == "GET" and not route.streams:
            app.router.add_route("HEAD", path, bound(route))
    return app


async def _running(app: web.Application) -> AsyncIterator[None]:
    hub = app[CONTEXT]
    await hub.feed.start()
    with contextlib.suppress(BusUnavailable):
        await hub.feed.ready(hub.settings.start_seconds)
    yield
    await hub.close()


async def _let_go(app: web.Application) -> None:
    """Live streams have no end of their own: end them, so that stopping needn't wait."""
    await app[CONTEXT].feed.stop()


# --- around every request


@web.middleware
async def _observed(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Give the request its ids; count, time and log what becomes of it, without query, key or body."""
    sent = request.headers.get("X-Request-ID", "")
    request[REQUEST_ID] = sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8)
    traceparent = request.headers.get("traceparent", "")
    request[TRACE] = (
        traceparent if _TRACEPARENT.fullmatch(traceparent) else f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    )
    started = time.perf_counter()
    status = CLIENT_LEFT
    try:
        response = await handler(request)
        status = response.status
    finally:
        _account(request, status, time.perf_counter() - started)
    return response


def _account(request: web.Request, status: int, seconds: float) -> None:
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "unmatched"
    streams = route == "/v1/live"
    method = request.method if request.method in _METHODS else "other"
    request.app[CONTEXT].metrics.answered(method, route, status, seconds, timed=not streams)
    logger.log(
        logging.DEBUG if request.path in _QUIET else logging.INFO,
        "%s %s %s",
        method,
        request.rel_url.raw_path,
        status,
        extra={
            "status": status,
            "ms": round(seconds * 1000, 1),
            "key": request.get(CALLER),
            "request_id": request[REQUEST_ID],
            "trace": request[TRACE],
        },
    )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@web.middleware
async def _explained(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Tell every error as problem+json; what we didn't foresee goes to the log whole, and to the caller by its id."""
    try:
        return await handler(request)
    except Problem as raised:
        problem = raised
    except BusUnavailable as error:
        logger.warning("Kafka is away: %s", error, extra={"request_id": request[REQUEST_ID]})
        problem = unavailable("Kafka")
    except StoreUnavailable as error:
        logger.warning("PostgreSQL is away: %s", error, extra={"request_id": request[REQUEST_ID]})
        problem = unavailable("PostgreSQL")
    except ConnectionResetError:  # the store and the bus translate theirs, so this is the client's
        return web.Response(status=CLIENT_LEFT)
    except web.HTTPMethodNotAllowed as error:
        return _wrong_method(request, error)
    except web.HTTPNotFound:
        problem = Problem(
            "not-found",
            "the API has no such path; /openapi.json lists those it has",
            "این API چنین نشانی ندارد؛ فهرست نشانی‌ها در /openapi.json است",
        )
    except Exception:
        id_ = request[REQUEST_ID]
        logger.exception("unexpected", extra={"request_id": id_, "path": request.rel_url.raw_path})
        problem = Problem(
            "internal",
            f"it isn't your fault; the log tells of it under {id_}",
            f"از سمت شما نیست؛ در گزارش با شناسهٔ {id_} آمده است",
        )
    return _problem(request, problem)


def _wrong_method(request: web.Request, error: web.HTTPMethodNotAllowed) -> web.Response:
    allowed = ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
    if request.method == "OPTIONS":
        return web.Response(status=204, headers={"Allow": allowed})
    problem = Problem(
        "method-not-allowed",
        f"this path takes {allowed}",
        f"این نشانی {allowed} را می‌پذیرد",
        headers={"Allow": allowed},
    )
    return _problem(request, problem)


def _problem(request: web.Request, problem: Problem) -> web.Response:
    return problem.response(request.rel_url.raw_path, request[REQUEST_ID])


async def _head(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer's head has."""
    headers = response.headers
    headers["Server"] = "peyvand"
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "no-store")
    if REQUEST_ID in request:
        headers["X-Request-ID"] = request[REQUEST_ID]
    if RATE in request:
        headers.update(request[RATE].headers())


# --- serving


class Served:
    """A running server."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner

    @property
    def port(self) -> int:
        """The port it really listens on."""
        return int(self._runner.addresses[0][1])

    @property
    def address(self) -> str:
        """``http://127.0.0.1:8800``"""
        host = self._runner.addresses[0][0]
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def stop(self) -> None:
        """Stop listening, let requests under way finish, close."""
        await self._runner.cleanup()


async def serve(app: web.Application, settings: ApiSettings) -> Served:
    """Start the application on the settings' host and port. Raises OSError if it can't listen there."""
    runner = web.AppRunner(
        app,
        handle_signals=False,
        shutdown_timeout=settings.stop_seconds,
        access_log=None,
        logger=_protocol_logger(),
        keepalive_timeout=75.0,
        max_line_size=MAX_URL_BYTES,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError:
        await runner.cleanup()
        raise
    return Served(runner)


def _protocol_logger() -> logging.Logger:
    """aiohttp's complaints about what isn't HTTP, without the bytes: they may hold a key."""
    protocol = logging.getLogger("hub.api.protocol")
    if not protocol.filters:
        protocol.addFilter(_without_bytes)
    return protocol


def _without_bytes(record: logging.LogRecord) -> bool:
    error: Any = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if isinstance(error, HttpProcessingError | web.RequestPayloadError):
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.exc_info = None
        record.msg, record.args = f"not HTTP: {type(error).__name__}", ()
    return True
