"""A process that runs one files connector and ends itself by SIGKILL at a named point.

Arguments: bootstrap servers, topic prefix, DSN, folder, data directory, point, and how often it is passed alive.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from connectors.files import client
from connectors.files.spec import Spec
from hub.bus.settings import Kafka
from hub.runtime import connect
from hub.runtime.connect import Connectors
from hub.store.pool import Store
from tests.connectors.conftest import instance
from tests.connectors.killing import Point, arm

POINTS: dict[str, Point] = {
    "after publish": (connect.StoreCursors, "set"),
    "before results": (client.Folder, "put_away"),
    "between results and move": (client.Path, "replace"),
}


async def main(bootstrap: str, prefix: str, dsn: str, folder: str, data: str, point: str, spared: str) -> None:
    arm(POINTS[point], int(spared))
    store = Store(dsn)
    await store.open()
    spec = Spec(folder=Path(folder), poll=timedelta(milliseconds=20))
    await Connectors([instance(spec)], Kafka(bootstrap, prefix=prefix), store, Path(data)).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
