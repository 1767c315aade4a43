"""Things the tests of both embedded servers do."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_HUB = """
import asyncio, sys
from pathlib import Path
from hub.runtime.embedded import EmbeddedKafka, EmbeddedPostgres

async def main(kind, directory, jars):
    quiet = lambda sentence: None
    if kind == "kafka":
        server = EmbeddedKafka(Path(directory), jars=Path(jars), report=quiet)
    else:
        server = EmbeddedPostgres(Path(directory), report=quiet)
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def eventually(holds: Callable[[], Awaitable[object]], seconds: float = 60) -> None:
    """Return when `holds` does; TimeoutError if it doesn't within `seconds`."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.02)


def server_of_killed_hub(kind: str, directory: Path, jars: Path) -> psutil.Process:
    """What was the server of a hub that ran and was killed with SIGKILL."""
    with subprocess.Popen([sys.executable, "-c", _HUB, kind, directory, jars], stdout=subprocess.PIPE) as hub:
        try:
            assert hub.stdout is not None
            server = psutil.Process(int(hub.stdout.readline()))
            assert server.is_running()
        finally:
            hub.send_signal(signal.SIGKILL)
    return server


async def has_gone(process: psutil.Process) -> bool:
    """Whether `process` has ended; one that has ended but whom nobody has buried has."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def listener() -> Iterator[int]:
    """A port on 127.0.0.1 on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        yield int(somebody.getsockname()[1])


def addresses_listened_on(process: psutil.Process) -> set[str]:
    """The addresses, without ports, on which `process` accepts TCP connections."""
    connections = process.net_connections(kind="inet")
    return {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}
