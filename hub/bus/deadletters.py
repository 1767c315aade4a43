"""Dead letters: the original record with the reason nobody could handle it."""

from collections.abc import Sequence
from typing import Any

from hub.bus.producer import Outgoing
from schemas import codec, ids, topics
from schemas.dates import utc_now
from schemas.deadletters import DeadLetter

MAX_REASON = 2_000


def dead_letter(
    *,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]] | Any,
    handler: str,
    reason: str,
) -> Outgoing:
    """The record to publish on ``dead.letters``. The letter's id comes from where the original stood."""
    letter = DeadLetter(
        id=ids.derive(ids.NAMESPACE, f"dead/{topic}/{partition}/{offset}").hex[:16],
        topic=topic,
        partition=partition,
        offset=offset,
        reason=reason[:MAX_REASON],
        handler=handler,
        failed_at=utc_now(),
        value=value or b"",
        key=key,
        headers=tuple((name, bytes(data)) for name, data in headers or ()),
    )
    return Outgoing(topics.DEAD_LETTERS, key, codec.encode(letter))
