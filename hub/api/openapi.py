"""The OpenAPI 3.1 document, made from the routes' declarations and the structs they answer with."""

import importlib.metadata
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from hub.api import problems
from hub.api.parameters import Parameter
from hub.api.problems import KINDS, ProblemDetails
from hub.api.routes import ROUTES
from hub.api.routing import Body, Reply, Route
from hub.api.webhooks import Ping
from hub.api.written import SCHEMAS
from schemas.events import DocumentEvent

_REF = "#/components/schemas/{name}"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_PATH_DESCRIPTIONS = {
    "id": "The document's id, as answered when it was accepted.",
    "code": "The account's code.",
    "file": "The file's name.",
    "webhook": "The webhook's id.",
    "delivery": "The delivery's id.",
    "instance": "The connector's name in the configuration.",
}
_TAGS = {
    "documents": "Documents: sent, found, followed.",
    "commands": "What may be asked of a document.",
    "live": "Events as they happen.",
    "webhooks": "Outbound webhooks: being told of changes.",
    "master data": "What the books say.",
    "keys": "API keys.",
    "operation": "For those who run the hub, and the status page.",
}
_RATE_HEADERS = {
    "RateLimit-Limit": "Requests this key may make a minute.",
    "RateLimit-Remaining": "Requests it may make now.",
    "RateLimit-Reset": "Seconds until it may make all of them again.",
}
_DESCRIPTION = """\
Outside systems send documents; the hub decides them by the company's rules and everyone may follow.

Money is whole rials (integers), quantities are exact decimal texts, times are RFC 3339 in UTC. Every error is
problem+json (RFC 9457) with its sentences in English and in Persian.

پیوند: سامانه‌های بیرونی سند می‌فرستند، هاب با قواعد شرکت تصمیم می‌گیرد و همه می‌توانند دنبال کنند.
مبلغ‌ها ریال و بدون اعشار است، تاریخ‌ها جلالی یا میلادی پذیرفته می‌شود و خطاها به فارسی و انگلیسی است.
"""

_WEBHOOK: dict[str, Any] = {
    "operationId": "documentEvent",
    "tags": ["webhooks"],
    "summary": "What subscribers are sent",
    "description": "A document's event, as it stands in Kafka; `webhook.ping` for a test. Signed as the Standard "
    "Webhooks specification (standardwebhooks.com) has it. A document's events come in their order, at least once: "
    "drop a `webhook-id` that was seen. Any 2xx is success; 410 ends the subscription; 429 and 503 are waited for as "
    "Retry-After says; redirects aren't followed.",
    "parameters": [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in {
            "webhook-id": "The event's id, the same at every attempt.",
            "webhook-timestamp": "When this attempt was made, in seconds since 1970. Refuse what is minutes old.",
            "webhook-signature": "`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, by the bytes the "
            "secret has in base64 after `whsec_`. Two, parted by a space, while the secret is being changed.",
        }.items()
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [{"$ref": _REF.format(name="DocumentEvent")}, {"$ref": _REF.format(name="Ping")}]}
            }
        },
    },
    "responses": {
        "2XX": {"description": "It was taken."},
        "410": {"description": "Nothing is wanted any more: the webhook is set inactive."},
        "default": {"description": "It is sent again later."},
    },
}


def document(more: Sequence[Route] = ()) -> dict[str, Any]:
    """The document, with the routes of connectors as ``more``. Deterministic: the same code gives the same text."""
    routes = (*ROUTES, *more)
    structs = _structs(routes)
    _, components = msgspec.json.schema_components(structs, ref_template=_REF)
    found = {
        "openapi": "3.1.0",
        "info": {
            "title": "Peyvand (پیوند)",
            "version": importlib.metadata.version("peyvand"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name, "description": text} for name, text in _tags(more).items()],
        "paths": _paths(routes),
        "webhooks": {"documentEvent": {"post": _WEBHOOK}},
        "components": {
            "schemas": dict(sorted({**components, **SCHEMAS}.items())),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, made with `hub key create`: `Authorization: Bearer pvd_…`",
                }
            },
        },
    }
    # As it is on the wire: msgspec has tuples and dates among the defaults.
    wire: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return wire


def _tags(more: Sequence[Route]) -> dict[str, str]:
    return _TAGS | {route.tag: "What a connector answers; its README tells the whole exchange." for route in more}


def _structs(routes: Iterable[Route]) -> list[Any]:
    found = {ProblemDetails: None, DocumentEvent: None, Ping: None}
    for route in routes:
        found.update(dict.fromkeys(route.body.structs if route.body else ()))
        for reply in route.replies:
            found.update(dict.fromkeys(_bodies(reply)))
    return list(found)


def _bodies(reply: Reply) -> tuple[Any, ...]:
    if reply.body is None:
        return ()
    return reply.body if isinstance(reply.body, tuple) else (reply.body,)


def _paths(routes: Iterable[Route]) -> dict[str, Any]:
    paths: dict[str, Any] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route)
    return dict(paths)


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": route.name, "tags": [route.tag], "summary": route.summary}
    description = _description(route)
    if description:
        operation["description"] = description
    parameters = [*_path_parameters(route), *map(_query_parameter, route.parameters), *_header_parameters(route)]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _request_body(route.body)
    operation["responses"] = _responses(route)
    operation["security"] = [] if route.scope is None else [{"key": []}]
    if route.scope is not None and route.public:
        operation["security"].append({})
    return operation


def _description(route: Route) -> str:
    parts = [route.description] if route.description else []
    if route.scope:
        parts.append(f"Needs the scope `{route.scope}` (or `admin`).")
    if route.public:
        parts.append("Where the status page is public, no key is needed.")
    return "\n\n".join(parts)


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_DESCRIPTIONS.get(name, f"The {name}."),
            "schema": {"type": "string", "format": "uuid"} if _is_document(route, name) else _SEGMENT,
        }
        for name in _PATH_PARAMETER.findall(route.path)
    ]


_SEGMENT = {"type": "string", "minLength": 1}


def _is_document(route: Route, parameter: str) -> bool:
    return parameter == "id" and route.path.startswith("/v1/documents/")


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    found = {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    return found if parameter.example is None else found | {"example": parameter.example}


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in route.headers.items()
    ]


def _request_body(body: Body) -> dict[str, Any]:
    content = {
        name: {"schema": media.schema, "examples": _examples(media.examples)} for name, media in body.content.items()
    }
    return {"description": body.description, "required": body.required, "content": content}


def _examples(examples: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in examples.items()}


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for reply in route.replies:
        response = responses.setdefault(str(reply.status), {"description": reply.description})
        headers = {name: _header(text) for name, text in reply.headers.items()}
        if route.scope is not None:
            headers |= {name: _header(text) for name, text in _RATE_HEADERS.items()}
        if headers:
            response.setdefault("headers", {}).update(headers)
        if reply.media:
            response.setdefault("content", {})[reply.media] = _media(reply)
    by_status: dict[int, list[str]] = defaultdict(list)
    for kind in _problem_kinds(route):
        by_status[KINDS[kind].status].append(kind)
    for status, kinds in sorted(by_status.items()):
        response = responses.setdefault(str(status), {"description": _told(kinds)})
        response.setdefault("content", {})[problems.MEDIA_TYPE] = {
            "schema": {"$ref": _REF.format(name="ProblemDetails")},
        }
        headers = _problem_headers(kinds)
        if headers:
            response.setdefault("headers", {}).update(headers)
    return responses


def _problem_kinds(route: Route) -> list[str]:
    """The problems a route has because of what it is, and its own."""
    kinds = ["internal", *route.problems]
    if route.scope is not None:
        kinds += ["unauthorized", "too-many-requests", "unavailable", "invalid"]
    if route.scope:
        kinds.append("forbidden")
    if route.body is not None:
        kinds += ["bad-request", "malformed-json", "timeout", "too-large", "unsupported-media-type"]
    return sorted(set(kinds))


def _told(kinds: Iterable[str]) -> str:
    return "; ".join(f"{KINDS[kind].en} ({KINDS[kind].fa})" for kind in kinds)


def _problem_headers(kinds: Iterable[str]) -> dict[str, Any]:
    found = {}
    for kind in kinds:
        if kind in ("too-many-requests", "unavailable", "undecided"):
            found["Retry-After"] = _header("Seconds until another try makes sense.")
        if kind == "unauthorized":
            found["WWW-Authenticate"] = _header("Bearer.")
    return found


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _media(reply: Reply) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": _schema(reply)}
    if reply.examples:
        media["examples"] = _examples(reply.examples)
    return media


def _schema(reply: Reply) -> dict[str, Any]:
    schemas = [_schema_of(body) for body in _bodies(reply)]
    if not schemas:
        return {"type": "string"}
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _schema_of(body: Any) -> dict[str, Any]:
    [schema], _ = msgspec.json.schema_components([body], ref_template=_REF)
    return schema
