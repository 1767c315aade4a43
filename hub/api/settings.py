"""What the API is started with."""

import msgspec


class ApiSettings(msgspec.Struct, frozen=True):
    """One API process. All ``*_seconds`` are bounds: no request waits for Kafka or PostgreSQL longer than they say."""

    host: str = "127.0.0.1"
    port: int = 8800
    """0: any free port."""
    max_body_bytes: int = 4 * 1024 * 1024
    max_batch: int = 1_000
    """Documents in one request."""
    public_status: bool = False
    """The status page, its feed and the documents it shows may be read without a key."""
    public_per_minute: int = 600
    """Requests a minute from one address without a key, where that is allowed."""
    trusted_hosts: tuple[str, ...] = ()
    """Hosts that outbound webhooks may call though they are private, and without TLS."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of reverse proxies, whose ``X-Forwarded-For`` says who asks; what anyone else's says isn't believed."""
    receiver_per_minute: int = 6_000
    """Requests a minute from one address to connectors that admit their callers themselves."""
    default_wait_seconds: float = 10.0
    max_wait_seconds: float = 30.0
    """How long ``?wait=decision`` waits."""
    store_seconds: float = 5.0
    publish_seconds: float = 12.0
    check_seconds: float = 3.0
    """How long ``/health`` and ``/metrics`` wait for PostgreSQL."""
    start_seconds: float = 2.0
    """How long the start waits for the live feed; without Kafka it goes on and tries."""
    body_seconds: float = 30.0
    """How long a request's body may take to arrive."""
    key_seconds: float = 10.0
    """How long a key found in PostgreSQL is believed: a revoked key dies this soon."""
    heartbeat_seconds: float = 15.0
    live_write_seconds: float = 10.0
    """How long a live client may leave what was sent to it unread."""
    live_queue: int = 1_000
    """Events that may wait for one live client."""
    live_clients: int = 500
    remember_events: int = 2_000
    """Latest events kept in memory, from which live clients resume."""
    stop_seconds: float = 5.0
