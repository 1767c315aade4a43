"""Dead letters: the original record with the reason nobody could handle it."""

from collections.abc import Sequence
from typing import Any

from hub.bus.producer import Outgoing
from schemas import codec, ids, topics
from schemas.dates import utc_now
from schemas.deadletters import DeadLetter

MAX_REASON = 2_000
MAX_ORIGINAL_BYTES = (topics.DEAD_LETTERS.max_bytes - 64 * 1024) * 3 // 4
"""What of an original fits a letter, in base64. Only what was compressed on its topic can be larger."""


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
    """The record to publish on ``dead.letters``. The letter's id comes from where the original stood.

    An original that doesn't fit leaves only its place and its size.
    """
    kept = tuple((name, bytes(data)) for name, data in headers or ())
    size = len(key or b"") + len(value or b"") + sum(len(name) + len(data) for name, data in kept)
    if size > MAX_ORIGINAL_BYTES:
        reason = f"{reason[: MAX_REASON // 2]} (its {size:,} bytes are too many to be kept here: only its place is)"
        key, value, kept = None, None, ()
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
        headers=kept,
    )
    return Outgoing(topics.DEAD_LETTERS, key, codec.encode(letter))
