"""A route, declared once: what it takes, who may ask, what it answers. The application and the OpenAPI document are
both made from these declarations."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from hub.api import doorman
from hub.api.context import Context
from hub.api.doorman import Allowance, Caller
from hub.api.parameters import Parameter, read_query

CONTEXT = web.AppKey("context", Context)
REQUEST_ID = web.RequestKey("request_id", str)
TRACE = web.RequestKey("trace", str)
CALLER = web.RequestKey("caller", str)
RATE = web.RequestKey("rate", Allowance)

_encoder = msgspec.json.Encoder()


class Call:
    """One request with what its route's declaration made of it."""

    __slots__ = ("caller", "hub", "query", "request")

    def __init__(self, request: web.Request, hub: Context, caller: Caller, query: Mapping[str, Any]) -> None:
        self.request = request
        self.hub = hub
        self.caller = caller
        self.query = query

    @property
    def trace(self) -> str:
        """The traceparent this request goes under."""
        return self.request[TRACE]


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Reply(msgspec.Struct, frozen=True):
    """One answer a route gives. ``body`` is its struct, or several, one of which it is; None: text. An empty
    ``media``: there is no body."""

    status: int
    description: str
    body: Any = None
    media: str = "application/json"
    examples: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}


class Media(msgspec.Struct, frozen=True):
    """One content type a body may have: its JSON Schema, and examples by name."""

    schema: Mapping[str, Any]
    examples: Mapping[str, Any]


class Body(msgspec.Struct, frozen=True):
    """What a route's request carries, by content type."""

    content: Mapping[str, Media]
    description: str
    required: bool = True
    structs: tuple[Any, ...] = ()
    """Those the schemas speak of."""


class Route(msgspec.Struct, frozen=True):
    """One method on one path.

    ``scope`` is what a key needs, "" any live key; None: no key is asked for, and the query means nothing.
    ``public``: without a key too, where the status page is public. ``problems`` are the kinds of problem
    (:data:`hub.api.problems.KINDS`) that are its own.
    """

    method: str
    path: str
    handler: Handler
    name: str
    tag: str
    summary: str
    replies: tuple[Reply, ...]
    description: str = ""
    scope: str | None = ""
    public: bool = False
    parameters: tuple[Parameter, ...] = ()
    headers: Mapping[str, str] = {}
    """Request headers that mean something here, with their descriptions."""
    body: Body | None = None
    problems: tuple[str, ...] = ()
    streams: bool = False


NOBODY = Caller("", "", frozenset(), 0, False, "")


def bound(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The route as aiohttp calls it: the key first, then the query, then its handler."""

    async def handle(request: web.Request) -> web.StreamResponse:
        hub = request.app[CONTEXT]
        if route.scope is None:
            return await route.handler(Call(request, hub, NOBODY, {}))
        caller = await _admitted(request, hub, route)
        return await route.handler(Call(request, hub, caller, read_query(request.query, route.parameters)))

    return handle


async def _admitted(request: web.Request, hub: Context, route: Route) -> Caller:
    caller = await _caller(request, hub, public=route.public and hub.settings.public_status)
    request[CALLER] = caller.name
    allowance = hub.buckets.take(caller.bucket, caller.per_minute)
    if allowance.retry_after:
        raise doorman.too_many(allowance)
    request[RATE] = allowance
    if route.scope and not caller.may(route.scope):
        raise doorman.forbidden(route.scope)
    return caller


async def _caller(request: web.Request, hub: Context, *, public: bool) -> Caller:
    if public and "Authorization" not in request.headers:
        address = doorman.address_of(request, hub.settings.trusted_proxies)
        return doorman.public_caller(address, hub.settings.public_per_minute)
    caller = await live_caller(hub, doorman.token_of(request))
    if caller is None:
        raise doorman.unauthorized()
    return caller


async def live_caller(hub: Context, token: str | None) -> Caller | None:
    """Whom a token belongs to; None if it is no live key."""
    key = await hub.stored(hub.keyring.find(token)) if token else None
    return doorman.caller_of(key) if key else None


def json_reply(body: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A struct as a JSON answer."""
    return web.Response(status=status, body=_encoder.encode(body), content_type="application/json", headers=headers)
