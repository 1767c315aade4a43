"""A message nobody could handle: the original bytes and headers, where it came from, why, and how often."""

import msgspec

from schemas.dates import Moment


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """``key`` and ``value`` are the original bytes (base64 in JSON); ``headers`` the original pairs.

    ``id`` is derived from where the message stood, so the same failure twice is one letter twice, not two letters.
    """

    id: str
    topic: str
    partition: int
    offset: int
    reason: str
    handler: str
    failed_at: Moment
    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    attempts: int = 1
