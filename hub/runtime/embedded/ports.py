"""Ports on 127.0.0.1: finding one, and keeping it from one run to the next."""

import random
import socket
from pathlib import Path

from hub.runtime.embedded.errors import EmbeddedError

LOOPBACK = "127.0.0.1"

# Below the range from which Linux takes the ports of outgoing connections: while a server is down, a client that
# keeps trying to reach it must not be given the server's own port and so connect to itself.
_LOWEST, _HIGHEST = 20_000, 32_000
_ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Whether a server can listen on 127.0.0.1:`port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java and PostgreSQL do: a connection that is only waiting out its last packets doesn't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port on 127.0.0.1 on which nothing listens.

    Raises:
        EmbeddedError: no free port was found.
    """
    choose = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        port = choose.randint(_LOWEST, _HIGHEST)
        if is_free(port):
            return port
    raise EmbeddedError(
        f"No free port was found on {LOOPBACK} between {_LOWEST} and {_HIGHEST}. "
        "End programs that hold many ports, or name a port in the configuration."
    )


def choose_port(asked: int, kept: Path, *, server: str, other_than: int = 0) -> int:
    """The port `server` is to listen on, written to the file `kept` for the next run.

    `asked` is binding when it isn't 0. Otherwise yesterday's port is used if it is still free, else a new one;
    never `other_than`, which is about to be used.

    Raises:
        EmbeddedError: `asked` is in use.
    """
    if asked and not is_free(asked):
        raise EmbeddedError(
            f"{server} can't listen on {LOOPBACK}:{asked} because another program is using that port. "
            "End that program, or choose another port (0 lets Peyvand choose)."
        )
    port = asked or _kept_port(kept)
    while port in (0, other_than) or not is_free(port):
        port = free_port()
    kept.write_text(f"{port}\n", encoding="ascii")
    return port


def _kept_port(kept: Path) -> int:
    try:
        return int(kept.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
