"""What time or incoming goods make due: reservations that run out, backorders that can be filled."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from hub.store.pool import Store

_EXPIRED = """
select x.id, x.source, x.source_id, x.revision, x.step, x.expires_at
from documents x
where x.expires_at <= $1 and x.state in ('held', 'cleared', 'backordered') and not exists (
    select from decisions d
    where d.document_id = x.id and d.refused and d.recorded_at >= x.expires_at and d.event ->> 'command' = 'expire'
)
order by x.expires_at, x.id limit $2
"""

_FILLABLE = """
select x.id, x.source, x.source_id, x.revision, x.step, x.expires_at
from documents x
where x.state = 'backordered' and exists (
    select from document_lines l
    join stock s on s.product = l.product and s.warehouse = l.warehouse and s.attribute = l.attribute
    where l.document_id = x.id and l.short > 0 and s.in_books + s.incoming > s.reserved
)
order by x.received_at, x.id limit $1
"""


class Due(NamedTuple):
    """A document something is due for."""

    document_id: UUID
    source: str
    source_id: str
    revision: int
    step: int
    expires_at: datetime | None


async def expired(store: Store, now: datetime, limit: int = 500) -> list[Due]:
    """Documents whose reservation has run out, oldest first; not those whose expiry was refused (some of the goods
    were returned, or sold on), for they would be asked for ever and stand in the way of the others."""
    async with store.connection() as connection:
        return [Due(*row) for row in await connection.fetch(_EXPIRED, now, limit)]


async def fillable(store: Store, limit: int = 100) -> list[Due]:
    """Backordered documents some of whose goods are there now, first come first."""
    async with store.connection() as connection:
        return [Due(*row) for row in await connection.fetch(_FILLABLE, limit)]
