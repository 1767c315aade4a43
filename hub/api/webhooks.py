"""Outbound webhooks, as those who subscribe see them: made, changed, tested, their deliveries read and sent again.

A webhook belongs to a source, not to the key that made it. Its secret is told when it is made or changed, and never
again.
"""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID, uuid4

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from hub.api import bodies
from hub.api.parameters import Unreadable, cursor_text, shown
from hub.api.problems import Problem, of_reasons
from hub.api.routing import Call, json_reply
from hub.rules import webhooks as rules
from hub.store import webhooks
from hub.store.webhooks import Try
from schemas.dates import Moment, utc_now
from schemas.documents import Kind
from schemas.reasons import Reason, reason
from schemas.secret import Secret

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
MAX_DESCRIPTION = 500
MAX_OVERLAP_HOURS = 24 * 7

Url = Annotated[
    str,
    Meta(
        description="Where events are posted: https and public, unless the hub's configuration trusts the host.",
        pattern="^https?://",
        max_length=rules.MAX_URL,
    ),
]
EventTypes = Annotated[
    tuple[Annotated[str, Meta(pattern=f"^({'|'.join(rules.EVENT_TYPES)})$".replace(".", "[.]"))], ...],
    Meta(description="Of which event types; empty: of all.", max_length=len(rules.EVENT_TYPES)),
]
Kinds = Annotated[
    tuple[Kind, ...], Meta(description="Of which kinds of document; empty: of all.", max_length=len(Kind))
]
Description = Annotated[
    str, Meta(description="For people.", max_length=MAX_DESCRIPTION, pattern="^[^\\u0000-\\u001f]*$")
]
SecretText = Annotated[
    str,
    Meta(
        description="`whsec_` and the base64 of 24 to 64 random bytes; absent: one is made.",
        pattern="^whsec_[A-Za-z0-9+/]{32,86}={0,2}$",
    ),
]


class WebhookRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook to be made."""

    url: Url
    types: EventTypes = ()
    kinds: Kinds = ()
    description: Description = ""
    active: bool = True
    secret: SecretText | UnsetType = UNSET
    source: Annotated[str, Meta(min_length=1, max_length=64)] | UnsetType = UNSET
    """Whose documents; the key's own source when absent, another's only with `admin`."""


class WebhookChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be changed of a webhook; the rest stays. Set active again, it counts as well, and goes on."""

    url: Url | UnsetType = UNSET
    types: EventTypes | UnsetType = UNSET
    kinds: Kinds | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class SecretChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another secret. Requests are signed with the present one as well for `overlap_hours`."""

    secret: SecretText | UnsetType = UNSET
    overlap_hours: Annotated[int, Meta(ge=0, le=MAX_OVERLAP_HOURS)] = 24


class WebhookAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook and how it gets on."""

    id: UUID
    source: str
    url: str
    types: tuple[str, ...]
    kinds: tuple[str, ...]
    description: str
    active: bool
    status: str
    """`well`, `failing` (since `failing_since`), or `inactive`."""
    notice: str | None
    """What its owner should know and do, if anything."""
    notice_fa: str | None
    created_by: str
    """The key it was made with."""
    created_at: Moment
    changed_at: Moment
    succeeded_at: Moment | None
    failing_since: Moment | None
    paused_until: Moment | None
    """Nothing is sent until then: the receiver asked for it, or can't be reached."""
    old_secret_until: Moment | None
    """Requests are signed with the secret before as well until then."""
    secret: str | None = None
    """Told once: when the webhook is made, and when its secret is changed."""


class WebhookList(msgspec.Struct, frozen=True):
    """The webhooks of the key's source; with `admin`, of all."""

    items: tuple[WebhookAnswer, ...]


class DeliveryAnswer(msgspec.Struct, frozen=True):
    """One event for one webhook, and every attempt to deliver it; of many, the last ones."""

    id: int
    event_id: UUID
    """The request's `webhook-id`."""
    document_id: UUID | None
    """Null for a ping."""
    type: str
    status: str
    """`pending`, `delivered`, or `given_up`."""
    created_at: Moment
    due_at: Moment | None
    """When it is tried (again); null: it isn't."""
    finished_at: Moment | None
    attempts: int
    tries: tuple[Try, ...]


class DeliveryPage(msgspec.Struct, frozen=True):
    """Deliveries, the newest first. ``next`` is the cursor of the page after; null on the last."""

    items: tuple[DeliveryAnswer, ...]
    next: str | None


class Ping(msgspec.Struct, frozen=True):
    """What a test sends: an event of no document."""

    event_id: UUID
    type: str
    source: str
    webhook_id: UUID
    occurred_at: Moment


Cursor = int

_NOTICES = {
    "gone": (
        "the receiver answered 410 Gone, so it is told nothing any more; PATCH active to true to take it up again",
        "گیرنده با 410 Gone پاسخ داد و دیگر چیزی فرستاده نمی‌شود؛ برای ازسرگیری، active را true کنید",
    ),
    "failing": (
        "nothing got through for so long that it was set inactive; mend the receiver and PATCH active to true: what "
        "still waits is sent then, what happens meanwhile is not",
        "مدت‌ها چیزی به گیرنده نرسید و غیرفعال شد؛ گیرنده را درست کنید و active را true کنید: آنچه در صف است فرستاده "
        "می‌شود، رویدادهای این میان نه",
    ),
    "waiting": (
        "its latest deliveries failed and are tried again; GET its deliveries to see why",
        "ارسال‌های اخیر ناموفق بود و تکرار می‌شود؛ علت در فهرست deliveries آن است",
    ),
}


async def every(call: Call) -> web.Response:
    """GET /v1/webhooks"""
    source = None if call.caller.sees_all else call.caller.source
    found = await call.hub.stored(webhooks.every(call.hub.store, source))
    return json_reply(WebhookList(tuple(map(_answer, found))))


async def create(call: Call) -> web.Response:
    """POST /v1/webhooks"""
    sent = await _read(call, WebhookRequest)
    _check_url(call, sent.url)
    secret = _secret(sent.secret)
    source = call.caller.source if isinstance(sent.source, UnsetType) else sent.source
    if not call.caller.sees(source) or not source.isprintable():
        raise of_reasons(
            [
                Reason(
                    "not_your_source",
                    f"این کلید از منبع {call.caller.source} است؛ برای منبع دیگر دسترسی admin لازم است",
                    f"this key is of the source {call.caller.source}; for another one the scope admin is needed",
                    field="source",
                )
            ]
        )
    made = await call.hub.stored(
        webhooks.add(
            call.hub.store,
            source=source,
            url=sent.url,
            types=_unique(sent.types),
            kinds=_unique([kind.value for kind in sent.kinds]),
            description=sent.description,
            active=sent.active,
            secret=secret,
            created_by=call.caller.name,
            limit=rules.MAX_PER_SOURCE,
        )
    )
    if made is None:
        raise Problem(
            "too-many-webhooks",
            f"{source} has {rules.MAX_PER_SOURCE} webhooks already; delete one that isn't needed",
            f"منبع {source} به سقف {rules.MAX_PER_SOURCE} وب‌هوک رسیده است؛ یکی را که لازم نیست حذف کنید",
        )
    return json_reply(_answer(made, secret), 201, {"Location": f"/v1/webhooks/{made.id}"})


async def get(call: Call) -> web.Response:
    """GET /v1/webhooks/{webhook}"""
    return json_reply(_answer(await _visible(call)))


async def change(call: Call) -> web.Response:
    """PATCH /v1/webhooks/{webhook}"""
    webhook = await _visible(call)
    sent = await _read(call, WebhookChange)
    changes: dict[str, Any] = {
        name: value for name in sent.__struct_fields__ if (value := getattr(sent, name)) is not UNSET
    }
    if "url" in changes:
        _check_url(call, changes["url"])
    if "types" in changes:
        changes["types"] = _unique(changes["types"])
    if "kinds" in changes:
        changes["kinds"] = _unique([kind.value for kind in changes["kinds"]])
    changed = await call.hub.stored(webhooks.change(call.hub.store, webhook.id, changes))
    return json_reply(_answer(_there(changed)))


async def remove(call: Call) -> web.Response:
    """DELETE /v1/webhooks/{webhook}"""
    webhook = await _visible(call)
    await call.hub.stored(webhooks.remove(call.hub.store, webhook.id))
    return web.Response(status=204)


async def rotate(call: Call) -> web.Response:
    """POST /v1/webhooks/{webhook}/secret"""
    webhook = await _visible(call)
    sent = await _read(call, SecretChange) if call.request.can_read_body else SecretChange()
    secret = _secret(sent.secret)
    changed = await call.hub.stored(
        webhooks.rotate(call.hub.store, webhook.id, secret, timedelta(hours=sent.overlap_hours))
    )
    return json_reply(_answer(_there(changed), secret))


async def test(call: Call) -> web.Response:
    """POST /v1/webhooks/{webhook}/test"""
    webhook = await _visible(call)
    _refuse_inactive(webhook)
    ping = Ping(uuid4(), webhooks.PING, webhook.source, webhook.id, utc_now())
    body = msgspec.json.encode(ping)
    id_ = await call.hub.stored(webhooks.ping(call.hub.store, webhook.id, ping.event_id, body))
    return await _told(call, webhook.id, id_)


async def deliveries(call: Call) -> web.Response:
    """GET /v1/webhooks/{webhook}/deliveries"""
    webhook = await _visible(call)
    limit: int = call.query["limit"]
    found = await call.hub.stored(
        webhooks.deliveries(
            call.hub.store,
            webhook.id,
            limit=limit + 1,
            after=call.query["cursor"],
            status=call.query["status"],
        )
    )
    page = found[:limit]
    after = cursor_text(page[-1].id) if len(found) > limit else None
    return json_reply(DeliveryPage(tuple(map(_delivery, page)), after))


async def redeliver(call: Call) -> web.Response:
    """POST /v1/webhooks/{webhook}/deliveries/{delivery}/redeliver"""
    webhook = await _visible(call)
    written = call.request.match_info["delivery"]
    id_ = int(written) if written.isascii() and written.isdigit() and len(written) < 19 else -1
    if await call.hub.stored(webhooks.delivery(call.hub.store, webhook.id, id_)) is None:
        raise _unknown("there is no such delivery of this webhook", "این وب‌هوک چنین ارسالی ندارد")
    _refuse_inactive(webhook)
    if not await call.hub.stored(webhooks.redeliver(call.hub.store, webhook.id, id_)):
        raise Problem(
            "not-redelivered",
            "it waits to be sent for the first time, or its event isn't kept any more",
            "هنوز در صف نخستین ارسال است، یا رویداد آن دیگر نگه‌داری نمی‌شود",
        )
    return await _told(call, webhook.id, id_)


async def _told(call: Call, webhook: UUID, id_: int) -> web.Response:
    """The delivery that was asked for, as it now is."""
    found = await call.hub.stored(webhooks.delivery(call.hub.store, webhook, id_))
    if found is None:
        raise _unknown("the webhook was deleted meanwhile", "وب‌هوک در این میان حذف شد")
    return json_reply(_delivery(found), 202)


async def _visible(call: Call) -> webhooks.Webhook:
    """The webhook in the path. Raises a 404 Problem for none, and for another source's: that it exists is no answer
    either."""
    try:
        id_ = UUID(call.request.match_info["webhook"])
    except ValueError:
        raise _unknown() from None
    found = _there(await call.hub.stored(webhooks.get(call.hub.store, id_)))
    if not call.caller.sees(found.source):
        raise _unknown()
    return found


def _there(webhook: webhooks.Webhook | None) -> webhooks.Webhook:
    if webhook is None:
        raise _unknown()
    return webhook


def _unknown(en: str = "there is no such webhook", fa: str = "چنین وب‌هوکی نیست") -> Problem:
    return Problem("not-found", en, fa)


def _refuse_inactive(webhook: webhooks.Webhook) -> None:
    if not webhook.active:
        raise Problem(
            "webhook-inactive",
            "the webhook is inactive, so nothing is sent; PATCH active to true first",
            "وب‌هوک غیرفعال است و چیزی فرستاده نمی‌شود؛ نخست active را true کنید",
        )


async def _read(call: Call, struct: type[_Struct]) -> _Struct:
    value = bodies.json_object(await bodies.read_json(call.request, call.hub.settings))
    try:
        return msgspec.convert(value, struct)
    except msgspec.ValidationError as error:
        what, _, where = shown(str(error), 300).partition(" - at `$")
        field = where.rstrip("`").removeprefix(".") or None
        raise of_reasons([Reason("wrong_value", f"مقدار نادرست است: {what}", what, field=field)]) from None


def _check_url(call: Call, url: str) -> None:
    wrong = rules.url_problem(url, call.hub.settings.trusted_hosts)
    if wrong is not None:
        raise of_reasons([wrong])


def _secret(given: str | UnsetType) -> Secret:
    """The secret that was given, or a new one. Raises a 422 Problem, without it."""
    if isinstance(given, UnsetType):
        return rules.secret_of(secrets.token_bytes(rules.SECRET_BYTES))
    secret = Secret(given)
    try:
        rules.secret_key(secret)
    except ValueError as error:
        fa = "باید whsec_ و سپس base64 از ۲۴ تا ۶۴ بایت تصادفی باشد"
        raise of_reasons([Reason("secret", fa, str(error), field="secret")]) from None
    return secret


def _unique(words: Sequence[str]) -> list[str]:
    return sorted(set(words))


def _answer(webhook: webhooks.Webhook, secret: Secret | None = None) -> WebhookAnswer:
    notice = webhook.disabled_for if not webhook.active else "waiting" if webhook.failing_since else None
    en, fa = _NOTICES[notice] if notice else (None, None)
    now = utc_now()
    return WebhookAnswer(
        id=webhook.id,
        source=webhook.source,
        url=webhook.url,
        types=webhook.types,
        kinds=webhook.kinds,
        description=webhook.description,
        active=webhook.active,
        status="inactive" if not webhook.active else "failing" if webhook.failing_since else "well",
        notice=en,
        notice_fa=fa,
        created_by=webhook.created_by,
        created_at=webhook.created_at,
        changed_at=webhook.changed_at,
        succeeded_at=webhook.succeeded_at,
        failing_since=webhook.failing_since,
        paused_until=_if_ahead(webhook.paused_until, now),
        old_secret_until=_if_ahead(webhook.old_secret_until, now),
        secret=secret.reveal() if secret else None,
    )


def _if_ahead(moment: Moment | None, now: Moment) -> Moment | None:
    return moment if moment is not None and moment > now else None


def _delivery(row: webhooks.Delivery) -> DeliveryAnswer:
    document = row.document_id if row.type != webhooks.PING else None
    return DeliveryAnswer(
        row.id,
        row.event_id,
        document,
        row.type,
        row.status,
        row.created_at,
        row.due_at,
        row.finished_at,
        row.attempts,
        row.tries,
    )


def status(value: str) -> str:
    """A reader of a delivery's status, for a query."""
    if value not in webhooks.STATUSES:
        raise Unreadable(reason("not_choice", value=f'"{shown(value)}"', choices=", ".join(webhooks.STATUSES)))
    return value
