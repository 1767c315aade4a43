"""Outbound webhooks: who is told, the queue of deliveries, and the log of them.

A delivery is queued once for each event and webhook, however often the event is read. A later event of a document is
not handed out while an earlier one is pending for the same webhook; several senders may ask at the same time.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec

from hub.store import locks
from hub.store.pool import Store
from schemas.dates import Moment
from schemas.secret import Secret

MAX_TRIES_KEPT = 20
"""Of how many attempts at one delivery the log tells; the last ones."""

PING = "webhook.ping"

_PENDING, _DELIVERED, _GIVEN_UP = "pending", "delivered", "given_up"
STATUSES = (_PENDING, _DELIVERED, _GIVEN_UP)

_COLUMNS = (
    "w.id, w.source, w.url, w.types, w.kinds, w.description, w.active, w.created_by, w.created_at, w.changed_at, "
    "w.paused_until, w.failing_since, w.succeeded_at, w.disabled_for, w.old_secret_until"
)

_ADD = f"""
insert into webhooks as w (id, source, url, types, kinds, description, active, secret, created_by)
select $1, $2, $3, $4, $5, $6, $7, $8, $9 where (select count(*) from webhooks where source = $2) < $10
returning {_COLUMNS}
"""

_QUEUE = """
insert into webhook_deliveries (webhook_id, event_id, document_id, command_id, type, due_at)
select w.id, e.event_id, e.document_id, e.command_id, e.type, greatest(now(), (
    select max(d.due_at) from webhook_deliveries d
    where d.webhook_id = w.id and d.document_id = e.document_id and d.status = 'pending' and d.failures > 0
))
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
    with ordinality as e (event_id, document_id, command_id, source, type, kind, recorded_at, place)
join webhooks w on w.source = e.source and w.active and w.created_at <= e.recorded_at
    and (w.types = '{}' or e.type = any(w.types)) and (w.kinds = '{}' or e.kind = any(w.kinds))
order by e.place, w.id
on conflict (webhook_id, event_id) do nothing
returning id
"""

_CLAIM = """
with claimed as (
    update webhook_deliveries d set due_at = now() + $2, claim = d.claim + 1 where d.id = any($1::bigint[])
    returning d.id, d.claim, d.webhook_id, d.event_id, d.document_id, d.command_id, d.body, d.failures, d.created_at
)
select c.id, c.claim, c.webhook_id, c.event_id, w.url, w.secret,
    case when w.old_secret_until > now() then w.old_secret end,
    coalesce(c.body, x.event::text), c.failures, c.created_at
from claimed c join webhooks w on w.id = c.webhook_id left join decisions x on x.command_id = c.command_id
order by c.id
"""

_FINISH = """
update webhook_deliveries d set
    status = case when $3 then 'delivered' when $4::interval is null then 'given_up' else 'pending' end,
    due_at = now() + coalesce($4, interval '0'),
    failures = case when $3 then 0 else failures + 1 end,
    attempts = attempts + 1,
    tries = (
        select json_agg(t.value order by t.place) from (
            select value, place from json_array_elements((d.tries::jsonb || $5::jsonb)::json)
                with ordinality as every (value, place)
            order by place desc limit $6
        ) t
    ),
    finished_at = case when $3 or $4::interval is null then now() end
where id = $1 and claim = $2 and status = 'pending'
returning webhook_id, document_id, attempts
"""

_FOLLOWERS = """
update webhook_deliveries set due_at = now() + coalesce($4, interval '0')
where webhook_id = $1 and document_id = $2 and id > $3 and status = 'pending'
    and (due_at > now()) = ($4::interval is null)
"""

_SUCCEEDED = """
update webhooks set succeeded_at = now(), failing_since = null
where id = any($1::uuid[])
    and (failing_since is not null or succeeded_at is null or succeeded_at < now() - interval '1 second')
"""

_FAILED = """
update webhooks set
    failing_since = coalesce(failing_since, now()),
    paused_until = case when $2::interval is null then paused_until
        else greatest(coalesce(paused_until, now()), now() + $2) end
where id = $1 and (failing_since is null or $2::interval is not null)
"""

_DISABLE = """
update webhooks set active = false, disabled_for = $2, changed_at = now()
where id = $1 and active and ($2 = 'gone' or coalesce(succeeded_at, '-infinity') < $3)
returning source, url
"""

_LOG = """
select id, event_id, document_id, type, status, created_at, case when status = 'pending' then due_at end, finished_at,
    attempts, tries
from webhook_deliveries where webhook_id = $1 and ($2::bigint is null or id < $2) and ($3::text is null or status = $3)
    and ($5::bigint is null or id = $5)
order by id desc limit $4
"""

_AGAIN = """
update webhook_deliveries d set status = 'pending', failures = 0, due_at = now(), finished_at = null
where d.id = $1 and d.webhook_id = $2
    and (d.body is not null or exists (select from decisions x where x.command_id = d.command_id))
    and (d.status <> 'pending' or d.failures > 0)
returning true
"""

_PRUNE = """
delete from webhook_deliveries d where d.id in (
    select x.id from webhook_deliveries x join webhooks w on w.id = x.webhook_id
    where x.created_at < now() - $1::interval and (x.status <> 'pending' or not w.active) limit $2
)
"""


class Webhook(NamedTuple):
    """Who is told of a source's documents, and how that goes; without its secret."""

    id: UUID
    source: str
    url: str
    types: tuple[str, ...]
    """Of which event types; none: of all."""
    kinds: tuple[str, ...]
    """Of which kinds of document; none: of all."""
    description: str
    active: bool
    created_by: str
    created_at: datetime
    changed_at: datetime
    paused_until: datetime | None
    failing_since: datetime | None
    """The first failure since the last success."""
    succeeded_at: datetime | None
    disabled_for: str | None
    """Why the hub itself set it inactive: ``gone`` (the receiver said so) or ``failing``."""
    old_secret_until: datetime | None


class Queued(NamedTuple):
    """What is known of an event when it is queued. ``kind`` is that of its document, "" without one."""

    event_id: UUID
    document_id: UUID
    command_id: UUID
    source: str
    type: str
    kind: str
    recorded_at: datetime


class Claimed(NamedTuple):
    """A delivery that is this sender's until its lease ends."""

    id: int
    claim: int
    webhook_id: UUID
    event_id: UUID
    url: str
    secret: Secret
    old_secret: Secret | None
    body: bytes | None
    """The event's JSON; None: its decision isn't kept any more."""
    failures: int
    created_at: datetime


class Try(msgspec.Struct, frozen=True):
    """One attempt at a delivery."""

    at: Moment
    milliseconds: int
    status: int | None = None
    """What the receiver answered; null: nothing."""
    excerpt: str = ""
    """The beginning of its answer's body."""
    error: str = ""
    """Why there was no good answer; empty: it was good."""


class Finished(NamedTuple):
    """What became of an attempt."""

    delivery: Claimed
    made: Try
    succeeded: bool
    again_after: timedelta | None = None
    """When the next attempt is due; None: there is none, if this one failed."""
    pause: timedelta | None = None
    """How long the receiver is to be left in peace altogether."""
    gone: bool = False
    """The receiver wants nothing any more."""


class Disabled(NamedTuple):
    """A webhook the hub has set inactive."""

    id: UUID
    source: str
    url: str
    why: str


class Backlog(NamedTuple):
    """What waits for one webhook."""

    waiting: int
    given_up: int


class Delivery(NamedTuple):
    """One row of the log."""

    id: int
    event_id: UUID
    document_id: UUID
    type: str
    status: str
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    attempts: int
    tries: tuple[Try, ...]


_tries = msgspec.json.Decoder(tuple[Try, ...])
_encoder = msgspec.json.Encoder()


def _webhook(row: Sequence[Any]) -> Webhook:
    found = Webhook(*row)
    return found._replace(types=tuple(found.types), kinds=tuple(found.kinds))


# --- subscriptions


async def add(
    store: Store,
    *,
    source: str,
    url: str,
    types: Sequence[str],
    kinds: Sequence[str],
    description: str,
    active: bool,
    secret: Secret,
    created_by: str,
    limit: int,
) -> Webhook | None:
    """Make a webhook; None if its source has ``limit`` already."""
    async with store.connection() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtextextended('webhooks/' || $1, 0))", source)
        row = await connection.fetchrow(
            _ADD, uuid4(), source, url, types, kinds, description, active, secret.reveal(), created_by, limit
        )
    return _webhook(row) if row else None


async def get(store: Store, webhook: UUID) -> Webhook | None:
    """One webhook."""
    async with store.connection() as connection:
        row = await connection.fetchrow(f"select {_COLUMNS} from webhooks w where w.id = $1", webhook)
    return _webhook(row) if row else None


async def every(store: Store, source: str | None = None) -> list[Webhook]:
    """The webhooks of one source, or of all, the oldest first."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from webhooks w where $1::text is null or w.source = $1 "
            "order by w.source, w.created_at, w.id",
            source,
        )
    return [_webhook(row) for row in rows]


async def change(store: Store, webhook: UUID, changes: Mapping[str, object]) -> Webhook | None:
    """Set some of url, types, kinds, description, active; None if there is no such webhook.

    One that is set active counts as well again, and what waits for it is sent at once.
    """
    columns = [name for name in ("url", "types", "kinds", "description", "active") if name in changes]
    settings = [f"{name} = ${place}" for place, name in enumerate(columns, 2)]
    if changes.get("active"):
        settings += ["disabled_for = null", "failing_since = null", "paused_until = null"]
    async with store.connection() as connection, connection.transaction():
        row = await connection.fetchrow(
            f"update webhooks w set {', '.join([*settings, 'changed_at = now()'])} where w.id = $1 "
            f"returning {_COLUMNS}",
            webhook,
            *(changes[name] for name in columns),
        )
        if row and changes.get("active"):
            await connection.execute(
                "update webhook_deliveries set due_at = now(), failures = 0 "
                "where webhook_id = $1 and status = 'pending' and failures > 0",
                webhook,
            )
    return _webhook(row) if row else None


async def rotate(store: Store, webhook: UUID, secret: Secret, overlap: timedelta) -> Webhook | None:
    """Sign with another secret from now on, and with the present one too for as long as ``overlap``."""
    async with store.connection() as connection:
        row = await connection.fetchrow(
            "update webhooks w set old_secret = secret, old_secret_until = now() + $3, secret = $2, changed_at = now() "
            f"where w.id = $1 returning {_COLUMNS}",
            webhook,
            secret.reveal(),
            overlap,
        )
    return _webhook(row) if row else None


async def remove(store: Store, webhook: UUID) -> bool:
    """Forget a webhook with its deliveries; whether there was one."""
    async with store.connection() as connection:
        done: str = await connection.execute("delete from webhooks where id = $1", webhook)
    return done == "DELETE 1"


# --- the queue


async def queue(store: Store, events: Sequence[Queued]) -> int:
    """Queue events for every webhook that wants them, in their order; how many deliveries that made."""
    async with store.connection() as connection:
        return len(await connection.fetch(_QUEUE, *map(list, zip(*events, strict=True)))) if events else 0


async def ping(store: Store, webhook: UUID, event: UUID, body: bytes) -> int:
    """Queue an event of no document; its delivery's id."""
    async with store.connection() as connection:
        id_: int = await connection.fetchval(
            "insert into webhook_deliveries (webhook_id, event_id, document_id, body, type) "
            "values ($1, $2, $2, $3, $4) returning id",
            webhook,
            event,
            body.decode(),
            PING,
        )
    return id_


async def claim(
    store: Store, *, lease: timedelta, each: int, room: int, busy: Mapping[UUID, int] | None = None
) -> list[Claimed]:
    """Deliveries that are due, at most ``room``, and at most ``each`` for one webhook with what is ``busy`` for it.

    They are this sender's for as long as ``lease``; what isn't finished by then is anyone's again.
    """
    busy = busy or {}
    async with store.connection() as connection, connection.transaction():
        ids = await locks.deliveries(connection, each, room, busy)
        rows = await connection.fetch(_CLAIM, ids, lease) if ids else []
    return [_claimed(row) for row in rows]


def _claimed(row: Sequence[Any]) -> Claimed:
    id_, number, webhook, event, url, secret, old_secret, body, failures, created_at = row
    return Claimed(
        id_,
        number,
        webhook,
        event,
        url,
        Secret(secret),
        Secret(old_secret) if old_secret else None,
        body.encode() if body is not None else None,
        failures,
        created_at,
    )


async def release(store: Store, deliveries: Collection[Claimed]) -> None:
    """Give back what was claimed and not tried."""
    async with store.connection() as connection:
        await connection.execute(
            "update webhook_deliveries d set due_at = now() from unnest($1::bigint[], $2::integer[]) as c (id, claim) "
            "where d.id = c.id and d.claim = c.claim and d.status = 'pending'",
            [delivery.id for delivery in deliveries],
            [delivery.claim for delivery in deliveries],
        )


async def finish(store: Store, finished: Sequence[Finished]) -> list[Disabled]:
    """Write down what became of deliveries, in one transaction; the webhooks that were set inactive by it.

    What another sender has claimed since isn't ours to write about. A webhook is set inactive when its receiver is
    gone, or when a delivery is given up and nothing else got through since that was queued.
    """
    disabled = []
    async with store.connection() as connection, connection.transaction():
        # By webhook, so that two senders don't meet head on.
        ordered = sorted(finished, key=lambda each: (each.delivery.webhook_id, each.delivery.id))
        for each in ordered:
            await _finish(connection, each)
        await connection.execute(_SUCCEEDED, sorted({each.delivery.webhook_id for each in finished if each.succeeded}))
        for each in ordered:
            if each.succeeded:
                continue
            webhook = each.delivery.webhook_id
            await connection.execute(_FAILED, webhook, each.pause)
            if each.gone or each.again_after is None:
                why = "gone" if each.gone else "failing"
                row = await connection.fetchrow(_DISABLE, webhook, why, each.delivery.created_at)
                if row:
                    disabled.append(Disabled(webhook, row[0], row[1], why))
    return disabled


async def _finish(connection: Any, each: Finished) -> None:
    delivery = each.delivery
    made = _encoder.encode([each.made]).decode()
    row = await connection.fetchrow(
        _FINISH, delivery.id, delivery.claim, each.succeeded, each.again_after, made, MAX_TRIES_KEPT
    )
    if row and (row[2] > 1 or not each.succeeded):  # what was tried once and got through has put off nothing
        await connection.execute(_FOLLOWERS, row[0], row[1], delivery.id, each.again_after)


# --- the log


async def deliveries(
    store: Store, webhook: UUID, *, limit: int, after: int | None = None, status: str | None = None
) -> list[Delivery]:
    """A webhook's deliveries, the newest first, those before the id ``after``."""
    async with store.connection() as connection:
        rows = await connection.fetch(_LOG, webhook, after, status, limit, None)
    return [_delivery(row) for row in rows]


async def delivery(store: Store, webhook: UUID, id_: int) -> Delivery | None:
    """One delivery of a webhook."""
    async with store.connection() as connection:
        row = await connection.fetchrow(_LOG, webhook, None, None, 1, id_)
    return _delivery(row) if row else None


def _delivery(row: Sequence[Any]) -> Delivery:
    return Delivery(*row)._replace(tries=_tries.decode(row[-1]))


async def redeliver(store: Store, webhook: UUID, id_: int) -> bool:
    """Have a delivery sent again, at once; False if it isn't there, is under way, or its event isn't kept any more."""
    async with store.connection() as connection:
        return bool(await connection.fetchval(_AGAIN, id_, webhook))


async def waiting(store: Store) -> int:
    """How many deliveries of active webhooks wait or are under way."""
    async with store.connection() as connection:
        count: int = await connection.fetchval(
            "select count(*) from webhook_deliveries d join webhooks w on w.id = d.webhook_id "
            "where d.status = 'pending' and w.active"
        )
    return count


async def backlogs(store: Store) -> dict[UUID, Backlog]:
    """What waits for each webhook, and what of the log was given up; webhooks without either are left out."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            "select webhook_id, count(*) filter (where status = 'pending'), "
            "count(*) filter (where status = 'given_up') "
            "from webhook_deliveries where status in ('pending', 'given_up') group by webhook_id"
        )
    return {row[0]: Backlog(row[1], row[2]) for row in rows}


async def prune(store: Store, age: timedelta, limit: int = 5_000) -> int:
    """Forget deliveries queued longer ago than ``age`` that wait no more, or whose webhook is inactive; how many."""
    async with store.connection() as connection:
        done: str = await connection.execute(_PRUNE, age, limit)
    return int(done.split()[1])
