"""A process that runs one Hesabgar connector and ends itself by SIGKILL at a named point.

Arguments: bootstrap servers, topic prefix, DSN, port, database, data directory, point, and how often it is passed
alive.
"""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

from connectors.hesabgar import client, posting
from hub.bus.settings import Kafka
from hub.runtime import connect
from hub.runtime.connect import Connectors
from hub.store.pool import Store
from tests.connectors.conftest import instance
from tests.connectors.hesabgar.world import spec_of
from tests.connectors.killing import Point, arm

POINTS: dict[str, Point] = {
    "before post": (posting, "post_document"),
    "between post and write-back": (posting.Poster, "_done"),
    "between write-back and acknowledgement": (connect._Decoding, "ack"),
    "in the call": (client.Link, "results"),
}


async def main(
    bootstrap: str, prefix: str, dsn: str, port: str, database: str, data: str, point: str, spared: str
) -> None:
    arm(POINTS[point], int(spared))
    store = Store(dsn)
    await store.open()
    sim = SimpleNamespace(host="127.0.0.1", port=int(port), database=database, login="hub", password="hub-1405")
    spec = spec_of(sim)  # type: ignore[arg-type]  # what of a simulator its client needs
    await Connectors([instance(spec, "main", "hesabgar")], Kafka(bootstrap, prefix=prefix), store, Path(data)).run(
        asyncio.Event()
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
