"""What the API accepted: which content a revision of a document first came with."""

from collections.abc import Sequence
from uuid import UUID

from hub.store.pool import Store
from schemas.commands import Content

_CLAIM = """
with offered as (
    select * from unnest($1::uuid[], $2::integer[], $3::uuid[]) as o (document_id, revision, content_id)
), claimed as (
    insert into intake (document_id, revision, content_id)
    select distinct on (document_id, revision) document_id, revision, content_id
    from offered order by document_id, revision
    on conflict do nothing
    returning document_id, revision, content_id
)
select o.document_id, o.revision, coalesce(c.content_id, i.content_id) as content_id
from offered o
left join claimed c using (document_id, revision)
left join intake i using (document_id, revision)
"""


async def claim(store: Store, commands: Sequence[Content]) -> list[UUID]:
    """Note the content of each command's revision if none was noted, and answer, for each, the content id that is:
    another id than the command's own means other content came before."""
    async with store.connection() as connection:
        found: dict[tuple[UUID, int], UUID] = {}
        while len(found) < len({(command.document_id, command.revision) for command in commands}):
            rows = await connection.fetch(
                _CLAIM,
                [command.document_id for command in commands],
                [command.revision for command in commands],
                [command.command_id for command in commands],
            )
            # A row another session claimed within this very statement isn't visible to it: ask once more.
            found = {(row[0], row[1]): row[2] for row in rows if row[2] is not None}
    return [found[command.document_id, command.revision] for command in commands]
