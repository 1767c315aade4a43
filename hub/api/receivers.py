"""The paths connectors answer: ``/webhooks/<kind>/<instance>…`` and ``/connectors/<kind>/<instance>…``.

What to answer is the connector's; bounds, keys, rate limits, ids and problem+json are the API's, as everywhere.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from hub.api import bodies, doorman
from hub.api.parameters import TEXT_SCHEMA, Parameter, plain
from hub.api.problems import Problem
from hub.api.routing import RATE, Body, Call, Handler, Media, Reply, Route
from schemas.exchange import Endpoint, Request, Response

Receive = Callable[[Request], Awaitable[Response]]
"""Raises :exc:`~hub.api.problems.Problem`."""


class Served(NamedTuple):
    """One kind of connector: its endpoints below ``/<mount>/<kind>/{instance}``, and who answers for each instance."""

    kind: str
    mount: str
    endpoints: Sequence[Endpoint]
    instances: Mapping[str, Receive]


def routes(served: Sequence[Served]) -> list[Route]:
    """The routes of these connectors."""
    return [_route(each, endpoint) for each in served for endpoint in each.endpoints]


def _route(served: Served, endpoint: Endpoint) -> Route:
    problems = ["not-found", "bad-request", "not-admitted", "invalid", "unavailable", "too-many-requests"]
    return Route(
        endpoint.method,
        f"/{served.mount}/{served.kind}/{{instance}}{endpoint.path}",
        _handler(served, endpoint),
        _operation(served.kind, endpoint.name),
        f"connector {served.kind}",
        endpoint.summary,
        (_reply(endpoint),),
        scope=endpoint.scope,
        parameters=tuple(Parameter(name, plain, TEXT_SCHEMA, text) for name, text in endpoint.query.items()),
        body=_body(endpoint),
        problems=tuple(problems),
    )


def _operation(kind: str, name: str) -> str:
    first, *rest = f"{name}_{kind}".split("_")
    return first + "".join(word.capitalize() for word in rest)


def _reply(endpoint: Endpoint) -> Reply:
    match endpoint.gives:
        case None:
            return Reply(endpoint.status, "Done.", media="text/plain")
        case str() as media:
            return Reply(endpoint.status, "What was asked for.", media=media)
        case struct:
            return Reply(endpoint.status, "What was asked for.", struct)


def _body(endpoint: Endpoint) -> Body | None:
    match endpoint.takes:
        case None:
            return None
        case str() as media:
            return Body({media: Media({"type": "string", "format": "binary"}, {})}, "As the other side sends it.")
        case struct:
            [schema], _ = msgspec.json.schema_components([struct], ref_template="#/components/schemas/{name}")
            return Body({bodies.JSON: Media(schema, {})}, struct.__doc__ or "", structs=(struct,))


def _handler(served: Served, endpoint: Endpoint) -> Handler:
    async def handle(call: Call) -> web.StreamResponse:
        segments = dict(call.request.match_info)
        name = segments.pop("instance")
        receive = served.instances.get(name)
        if receive is None:
            raise _no_instance(served.kind)
        if endpoint.scope is None:
            _take_turn(call)
        limit = endpoint.max_bytes if endpoint.takes is not None else 0
        answer = await receive(
            Request(
                endpoint=endpoint.name,
                segments=segments,
                query=_query(call, endpoint),
                headers={key.lower(): value for key, value in call.request.headers.items()},
                body=await bodies.read_raw(call.request, limit, call.hub.settings),
                key=call.caller.name,
                source=call.caller.source,
                remote=doorman.address_of(call.request, call.hub.settings.trusted_proxies),
            )
        )
        return web.Response(
            status=answer.status, body=answer.body, headers={**answer.headers, "Content-Type": answer.content_type}
        )

    return handle


def _take_turn(call: Call) -> None:
    """Whoever brings no key of the hub's is counted by address."""
    settings = call.hub.settings
    address = doorman.address_of(call.request, settings.trusted_proxies)
    allowance = call.hub.buckets.take(f"receivers {address}", settings.receiver_per_minute)
    if allowance.retry_after:
        raise doorman.too_many(allowance)
    call.request[RATE] = allowance


def _query(call: Call, endpoint: Endpoint) -> dict[str, str]:
    given: Mapping[str, Any] = call.query if endpoint.scope is not None else call.request.query
    return {name: given[name] for name in endpoint.query if given.get(name) is not None}


def _no_instance(kind: str) -> Problem:
    return Problem(
        "not-found",
        f"no connector {kind} of that name is configured",
        f"اتصالی از نوع {kind} با این نام پیکربندی نشده است",
    )
