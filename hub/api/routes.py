"""Every route of the API, in the order in which the OpenAPI document tells them."""

from typing import Any, Final

from hub.api import bodies, commands, documents, health, intake, live, masters, pages, webhook_routes
from hub.api.answers import (
    Acceptance,
    AccountAnswer,
    Alive,
    BatchAnswer,
    Counts,
    DocumentPage,
    Health,
    History,
    ListPage,
    Me,
    Pending,
    Preview,
    StockPage,
)
from hub.api.examples import (
    ACCEPTED,
    ACCOUNT,
    BATCH,
    DECIDED,
    EVENT_STREAM,
    LISTS,
    NDJSON_BODY,
    NOTE,
    ORDER,
    PERSIAN_ORDER,
    PREVIEWED,
    RETURN,
    STOCK,
)
from hub.api.parameters import LIMIT, TEXT_SCHEMA, Parameter, choice, code, cursor_parameter, day, plain
from hub.api.routing import Body, Media, Reply, Route
from hub.api.settings import ApiSettings
from hub.api.written import AMENDMENT, BATCH_OR_ONE, NOTE_SCHEMA, PREVIEW
from schemas.commands import Approve, Cancel, Refuse, Release
from schemas.documents import Document, Kind, State
from schemas.master import CodeList

_DEFAULTS = ApiSettings()
_WAIT = intake.wait_parameters(_DEFAULTS.default_wait_seconds, _DEFAULTS.max_wait_seconds)
_DATE = {"type": "string", "maxLength": 40, "examples": ["1403/01/31", "2024-04-19"]}


def _words(choices: Any) -> dict[str, Any]:
    return {"type": "string", "enum": [word.value for word in choices]}


def _text(name: str, description: str, example: str | None = None) -> Parameter:
    return Parameter(name, plain, TEXT_SCHEMA, description, example=example)


def _code(name: str, description: str, example: str | None = None) -> Parameter:
    return Parameter(name, code, TEXT_SCHEMA, f"{description} One spelling: ي is ی, ك is ک, ۱ is 1.", example=example)


_SOURCE = _text("source", "Only this source's documents. A key without `admin` sees its own source's anyway.")
_KIND = Parameter("kind", choice(Kind), _words(Kind), "Only documents of this kind.")
_STATE = Parameter("state", choice(State), _words(State), "Only documents in this state.")
_COMMAND_PROBLEMS = ("not-found", "command-refused", "undecided")


def _command(name: str, handler: Any, summary: str, scope: str) -> Route:
    return Route(
        "POST",
        f"/v1/documents/{{id}}/{name}",
        handler,
        f"{name}Document",
        "commands",
        summary,
        (
            Reply(202, "Kafka has the command; it isn't decided yet.", Acceptance, examples={"accepted": ACCEPTED}),
            Reply(200, "Decided: the document as the command left it.", Acceptance, examples={"decided": DECIDED}),
        ),
        description="Repeating it while the first is on its way is the same command. What the document's present "
        "state plainly doesn't allow is refused at once.",
        scope=scope,
        parameters=_WAIT,
        body=Body(
            {bodies.JSON: Media(NOTE_SCHEMA, {"note": NOTE})},
            "A note to keep with it, and the revision that was looked at.",
            required=False,
        ),
        problems=_COMMAND_PROBLEMS,
    )


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "POST",
        "/v1/documents",
        intake.submit,
        "submitDocuments",
        "documents",
        "Send one document, or many",
        (
            Reply(
                202,
                "Acknowledged by Kafka, not decided yet. For a batch: at least one isn't.",
                (Acceptance, BatchAnswer),
                examples={"accepted": ACCEPTED, "batch": BATCH},
                headers={"Location": "Where the document is found; for one document."},
            ),
            Reply(
                200,
                "Already decided, now (with `wait`) or earlier: the outcome, whatever it is. For a batch: nothing is "
                "left to be decided.",
                (Acceptance, BatchAnswer),
                examples={"decided": DECIDED, "batch": BATCH},
                headers={"Location": "Where the document is found; for one document."},
            ),
        ),
        description="The key's source and `source_id` are the document's identity. The same content under the same "
        "identity and `revision` gets the same answer however often it is sent; other content gets 409. A higher "
        "`revision` amends the document. An array, or NDJSON, is a batch: the good documents are taken though others "
        "are bad, and each is answered in its place. Nothing is answered before Kafka has acknowledged it.",
        scope="documents:write",
        parameters=_WAIT,
        headers={"traceparent": "W3C trace context; it goes along with the command and its event."},
        body=Body(
            {
                bodies.JSON: Media(BATCH_OR_ONE, {"order": ORDER, "persian": PERSIAN_ORDER, "return": RETURN}),
                bodies.NDJSON: Media({"description": "A DocumentRequest on each line."}, {"receipts": NDJSON_BODY}),
            },
            "One document, an array of documents, or one document a line.",
        ),
        problems=("content-conflict", "command-refused"),
    ),
    Route(
        "GET",
        "/v1/documents",
        documents.every,
        "listDocuments",
        "documents",
        "List documents, the newest first",
        (Reply(200, "A page of documents.", DocumentPage),),
        scope="documents:read",
        public=True,
        parameters=(
            _SOURCE,
            _code("source_id", "The source's own id of the document."),
            _KIND,
            _STATE,
            _code("account", "Only documents of this account.", "212010006"),
            Parameter("since", day, _DATE, "From this document date on, Jalali or ISO.", example="1403/01/01"),
            Parameter("until", day, _DATE, "Up to this document date, Jalali or ISO."),
            LIMIT,
            cursor_parameter(documents.Cursor),
        ),
    ),
    Route(
        "POST",
        "/v1/documents/preview",
        documents.preview,
        "previewDocument",
        "documents",
        "See what would become of a document",
        (Reply(200, "What the rules say now; nothing is stored or reserved.", Preview, examples={"held": PREVIEWED}),),
        description="Priced lines, tax, what is sellable, the account's credit, the outcome and its reasons, and the "
        "policy that applied. "
        "`source_id` may be left out; with that of a document that exists, its amendment is previewed.",
        scope="documents:read",
        body=Body({bodies.JSON: Media(PREVIEW, {"order": ORDER})}, "The document."),
    ),
    Route(
        "GET",
        "/v1/documents/counts",
        documents.counts,
        "countDocuments",
        "documents",
        "How many documents stand in each state",
        (Reply(200, "Counts by state.", Counts),),
        scope="documents:read",
        public=True,
    ),
    Route(
        "GET",
        "/v1/documents/{id}",
        documents.get,
        "getDocument",
        "documents",
        "One document as it now is",
        (
            Reply(200, "The document.", Document),
            Reply(202, "Accepted, not decided yet.", Pending, headers={"Retry-After": "Seconds until it likely is."}),
        ),
        scope="documents:read",
        public=True,
        problems=("not-found",),
    ),
    Route(
        "GET",
        "/v1/documents/{id}/history",
        documents.history,
        "getDocumentHistory",
        "documents",
        "Everything decided about a document",
        (Reply(200, "Its events in order, refused commands too.", History),),
        scope="documents:read",
        public=True,
        problems=("not-found",),
    ),
    _command("approve", commands.plain(Approve), "Let a held document through", "documents:approve"),
    _command("refuse", commands.plain(Refuse), "Turn a held document down", "documents:approve"),
    _command("cancel", commands.plain(Cancel), "Withdraw a document not yet handed to the books", "documents:write"),
    _command(
        "release",
        commands.plain(Release),
        "Let the books have a document a policy keeps",
        "documents:write",
    ),
    _command("expire", commands.expire, "End a document's reservation before its time", "documents:write"),
    Route(
        "POST",
        "/v1/documents/{id}/amend",
        commands.amend,
        "amendDocument",
        "commands",
        "Give a document new content",
        (
            Reply(202, "Kafka has the amendment; it isn't decided yet.", Acceptance, examples={"accepted": ACCEPTED}),
            Reply(200, "Decided: the document as amended.", Acceptance, examples={"decided": DECIDED}),
        ),
        description="The body is the whole document. `revision` is the present one plus 1 when left out; send it, so "
        "that a repeated request is the same amendment. `source_id` may be left out.",
        scope="documents:write",
        parameters=_WAIT,
        body=Body({bodies.JSON: Media(AMENDMENT, {"order": ORDER})}, "The document as it is to be."),
        problems=(*_COMMAND_PROBLEMS, "content-conflict"),
    ),
    Route(
        "GET",
        "/v1/live",
        live.live,
        "followDocuments",
        "live",
        "Follow documents as they are decided",
        (
            Reply(
                200,
                "Server-sent events: `data` is a document event as JSON, `id` resumes after it, at any API server. An "
                "event named `lost` counts events that are older than Kafka keeps.",
                media="text/event-stream",
                examples={"stream": EVENT_STREAM},
            ),
        ),
        scope="live:read",
        public=True,
        parameters=(
            _SOURCE,
            _KIND,
            _STATE,
            Parameter(
                "last_event_id",
                str,
                {"type": "string", "maxLength": 200},
                "The `id` of the last event received, where the header can't be set.",
            ),
        ),
        headers={"Last-Event-ID": "The `id` of the last event received; absent: from now on."},
        problems=("bad-request",),
        streams=True,
    ),
    Route(
        "GET",
        "/v1/stock",
        masters.stock,
        "listStock",
        "master data",
        "Stock: on hand, reserved, sellable",
        (Reply(200, "A page of stock rows.", StockPage, examples={"golden": STOCK}),),
        scope="stock:read",
        parameters=(
            _code("product", "Only this product."),
            _code("warehouse", "Only this warehouse."),
            LIMIT,
            cursor_parameter(masters.Cursor),
        ),
    ),
    Route(
        "GET",
        "/v1/lists",
        masters.entries,
        "listEntries",
        "master data",
        "What codes are called: attributes, groups, ledgers, cities, cost centres",
        (Reply(200, "A page of entries.", ListPage, examples={"attributes": LISTS}),),
        scope="stock:read",
        parameters=(
            Parameter("list", choice(CodeList), _words(CodeList), "Only this list."),
            LIMIT,
            cursor_parameter(masters.Cursor),
        ),
    ),
    Route(
        "GET",
        "/v1/accounts/{code}",
        masters.account,
        "getAccount",
        "master data",
        "An account with its credit sum",
        (Reply(200, "The account.", AccountAnswer, examples={"golden": ACCOUNT}),),
        scope="accounts:read",
        problems=("not-found",),
    ),
    *webhook_routes.ROUTES,
    Route(
        "GET",
        "/v1/me",
        masters.me,
        "getKey",
        "keys",
        "The key that asks: its name, source and scopes",
        (Reply(200, "The key.", Me),),
    ),
    Route(
        "GET",
        "/health",
        health.health,
        "getHealth",
        "operation",
        "Whether documents are taken and decided",
        (
            Reply(200, "All is well.", Health),
            Reply(503, "Something is wrong; `checks` name it in both languages.", Health),
        ),
        scope=None,
    ),
    Route(
        "GET",
        "/health/live",
        health.live,
        "getLiveness",
        "operation",
        "Whether this process answers",
        (Reply(200, "It does.", Alive),),
        scope=None,
    ),
    Route(
        "GET",
        "/metrics",
        health.metrics,
        "getMetrics",
        "operation",
        "Figures for Prometheus",
        (Reply(200, "Prometheus text.", media="text/plain"),),
        scope=None,
    ),
    Route(
        "GET",
        "/openapi.json",
        health.openapi,
        "getOpenApi",
        "operation",
        "This document",
        (Reply(200, "OpenAPI 3.1.", dict[str, Any]),),
        scope=None,
    ),
    Route(
        "GET",
        "/",
        pages.status,
        "getStatusPage",
        "operation",
        "The live status page",
        (Reply(200, "A page for people, in Persian and English.", media="text/html"),),
        scope=None,
    ),
    Route(
        "GET",
        "/pages/{file}",
        pages.file,
        "getStatusPageFile",
        "operation",
        "The status page's script, stylesheet and icon",
        (
            Reply(200, "A script.", media="text/javascript"),
            Reply(200, "A stylesheet.", media="text/css"),
            Reply(200, "The page.", media="text/html"),
            Reply(200, "The icon.", media="image/svg+xml"),
        ),
        scope=None,
        problems=("not-found",),
    ),
)
