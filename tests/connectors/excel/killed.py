"""A process that runs one Excel connector, without a folder, and ends itself by SIGKILL at a named point.

Arguments: bootstrap servers, topic prefix, DSN, instance, data directory, point, and how often it is passed alive.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from connectors.excel import importing, keeping
from connectors.excel.spec import Spec
from hub.bus.settings import Kafka
from hub.runtime.connect import Connectors
from hub.store.pool import Store
from tests.connectors.conftest import instance
from tests.connectors.killing import Point, arm

POINTS: dict[str, Point] = {
    "between publish and place": (keeping.Keeping, "save"),
    "before the result is kept": (keeping.Keeping, "finish"),
    "before it is forgotten": (keeping.Keeping, "_leave"),
}


async def main(bootstrap: str, prefix: str, dsn: str, name: str, data: str, point: str, spared: str) -> None:
    arm(POINTS[point], int(spared))
    importing.BATCH = 2  # type: ignore[misc]
    store = Store(dsn)
    await store.open()
    spec = Spec(poll=timedelta(milliseconds=20), patience=timedelta(seconds=60))
    connectors = Connectors([instance(spec, name, "excel")], Kafka(bootstrap, prefix=prefix), store, Path(data))
    await connectors.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
