"""The routes of outbound webhooks."""

from typing import Any, Final

from hub.api import bodies, webhooks
from hub.api.parameters import LIMIT, Parameter, cursor_parameter
from hub.api.routing import Body, Media, Reply, Route
from hub.api.webhooks import (
    DeliveryAnswer,
    DeliveryPage,
    SecretChange,
    WebhookAnswer,
    WebhookChange,
    WebhookList,
    WebhookRequest,
)
from hub.store.webhooks import STATUSES

TAG: Final = "webhooks"
SCOPE: Final = "webhooks:manage"
_ONE = "/v1/webhooks/{webhook}"
_SUBSCRIPTION: Final = {
    "url": "https://shop.example.com/hooks/peyvand",
    "types": ["document.posted", "document.rejected"],
    "description": "وضعیت سفارش‌ها در فروشگاه",
}


def _ref(struct: type[Any], examples: dict[str, Any]) -> dict[str, Media]:
    return {bodies.JSON: Media({"$ref": f"#/components/schemas/{struct.__name__}"}, examples)}


def _route(method: str, path: str, handler: Any, name: str, summary: str, reply: Reply, **fields: Any) -> Route:
    fields.setdefault("problems", ("not-found",))
    return Route(method, path, handler, name, TAG, summary, (reply,), scope=SCOPE, **fields)


ROUTES: Final[tuple[Route, ...]] = (
    _route(
        "POST",
        "/v1/webhooks",
        webhooks.create,
        "createWebhook",
        "Subscribe to changes of the source's documents",
        Reply(
            201,
            "The webhook, with its secret: it isn't told again.",
            WebhookAnswer,
            headers={"Location": "Where the webhook is found."},
        ),
        description="Every event from now on is posted to the URL as it stands in Kafka, signed as the Standard "
        "Webhooks specification has it. A document's events come in their order, at least once.",
        body=Body(_ref(WebhookRequest, {"shop": _SUBSCRIPTION}), "The subscription.", structs=(WebhookRequest,)),
        problems=("too-many-webhooks",),
    ),
    _route(
        "GET",
        "/v1/webhooks",
        webhooks.every,
        "listWebhooks",
        "List the source's webhooks",
        Reply(200, "All of them, the oldest first, without their secrets.", WebhookList),
        problems=(),
    ),
    _route(
        "GET", _ONE, webhooks.get, "getWebhook", "One webhook, and how it gets on", Reply(200, "It.", WebhookAnswer)
    ),
    _route(
        "PATCH",
        _ONE,
        webhooks.change,
        "changeWebhook",
        "Change a webhook, or set it inactive or active",
        Reply(200, "The webhook as it now is.", WebhookAnswer),
        description="While it is inactive nothing new is queued for it; what waits is sent once it is active again.",
        body=Body(_ref(WebhookChange, {"stop": {"active": False}}), "What is changed.", structs=(WebhookChange,)),
    ),
    _route(
        "DELETE",
        _ONE,
        webhooks.remove,
        "deleteWebhook",
        "End a subscription, and forget its deliveries",
        Reply(204, "It is gone.", media=""),
    ),
    _route(
        "POST",
        f"{_ONE}/secret",
        webhooks.rotate,
        "changeWebhookSecret",
        "Sign with another secret",
        Reply(200, "The webhook, with the new secret: it isn't told again.", WebhookAnswer),
        description="For `overlap_hours` requests carry a signature by the secret before as well, so that the receiver "
        "can be told the new one without missing anything.",
        body=Body(
            _ref(SecretChange, {"a day": {"overlap_hours": 24}}),
            "The new secret, or how long the old one still counts.",
            required=False,
            structs=(SecretChange,),
        ),
    ),
    _route(
        "POST",
        f"{_ONE}/test",
        webhooks.test,
        "testWebhook",
        "Send a ping",
        Reply(202, "The delivery; ask for it to see what came of it.", DeliveryAnswer),
        description="An event of the type `webhook.ping`, signed and delivered as all others are.",
        problems=("not-found", "webhook-inactive"),
    ),
    _route(
        "GET",
        f"{_ONE}/deliveries",
        webhooks.deliveries,
        "listWebhookDeliveries",
        "What was sent, and what came of it",
        Reply(200, "A page of deliveries, the newest first.", DeliveryPage),
        parameters=(
            Parameter(
                "status", webhooks.status, {"type": "string", "enum": list(STATUSES)}, "Only deliveries in this status."
            ),
            LIMIT,
            cursor_parameter(webhooks.Cursor),
        ),
    ),
    _route(
        "POST",
        f"{_ONE}/deliveries/{{delivery}}/redeliver",
        webhooks.redeliver,
        "redeliverWebhook",
        "Send a delivery again",
        Reply(202, "The delivery, due now.", DeliveryAnswer),
        description="The same event under the same `webhook-id`, whether it was delivered, given up, or fails.",
        problems=("not-found", "webhook-inactive", "not-redelivered"),
    ),
)
