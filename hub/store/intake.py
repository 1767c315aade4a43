"""What the API accepted: which content a revision of a document first came with."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from hub.store.pool import Store
from schemas.commands import Content

_CLAIM = """
with offered as (
    select * from unnest($1::uuid[], $2::text[], $3::integer[], $4::uuid[])
        as o (document_id, source, revision, content_id)
), claimed as (
    insert into intake (document_id, source, revision, content_id)
    select distinct on (document_id, revision) document_id, source, revision, content_id
    from offered order by document_id, revision
    on conflict do nothing
    returning document_id, revision, content_id
)
select o.document_id, o.revision, coalesce(c.content_id, i.content_id) as content_id, c.content_id is not null as first
from offered o
left join claimed c using (document_id, revision)
left join intake i using (document_id, revision)
"""


class Claim(NamedTuple):
    """The content a revision of a document has. ``first``: it came with this very claim."""

    content_id: UUID
    first: bool


async def claim(store: Store, commands: Sequence[Content]) -> list[Claim]:
    """Note the content of each command's revision if none was noted, and answer, for each, the content that is:
    another id than the command's own means other content came before."""
    async with store.connection() as connection:
        found: dict[tuple[UUID, int], Claim] = {}
        while len(found) < len({(command.document_id, command.revision) for command in commands}):
            rows = await connection.fetch(
                _CLAIM,
                [command.document_id for command in commands],
                [command.source for command in commands],
                [command.revision for command in commands],
                [command.command_id for command in commands],
            )
            # A row another session claimed within this very statement isn't visible to it: ask once more.
            for document_id, revision, content_id, first in rows:
                if content_id is not None:
                    found.setdefault((document_id, revision), Claim(content_id, first))
    return [found[command.document_id, command.revision] for command in commands]


async def accepted(store: Store, document_id: UUID) -> str | None:
    """The source of a document the API accepted, decided or not; None if it never did."""
    async with store.connection() as connection:
        source: str | None = await connection.fetchval(
            "select source from intake where document_id = $1 limit 1", document_id
        )
    return source
