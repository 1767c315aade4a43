"""What a process that delivers is started with."""

from datetime import timedelta

import msgspec

RETRIES = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=24),
)
"""The pauses as shipped: about 46 hours in all."""


class WebhookSettings(msgspec.Struct, frozen=True):
    """How deliveries are made; the queue itself is in PostgreSQL."""

    trusted_hosts: tuple[str, ...] = ()
    """Hosts that may be private, and be called without TLS."""
    retries: tuple[timedelta, ...] = RETRIES
    """How long after each failure the next attempt is made; after the last one a delivery is given up."""
    timeout: timedelta = timedelta(seconds=15)
    """How long one request may take in all."""
    lease: timedelta = timedelta(seconds=60)
    """How long a delivery stays with a sender that says nothing: a killed one's are sent by another after that."""
    at_once: int = 128
    """Requests of one process under way."""
    at_once_each: int = 8
    """Of those, to one webhook."""
    poll: timedelta = timedelta(seconds=1)
    """How often the queue is looked at when nothing seems to happen."""
    keep: timedelta = timedelta(days=30)
    """How long the log of deliveries is kept."""
    window: int = 2_000
    """Events read from Kafka and not yet queued."""
