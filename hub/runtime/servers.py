"""Where this hub's Kafka and PostgreSQL are: as configured, else the embedded ones of a running ``hub dev``."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hub.bus.settings import Kafka
from hub.runtime.config import Config, Security
from hub.runtime.datadir import data_directory
from hub.runtime.failures import Failure
from hub.store.pool import Store

RUN_FILE = data_directory() / "run.json"
"""Written by ``hub dev`` while it runs: its addresses, for scripts and for the other commands."""


def kafka(config: Config, bootstrap: str | None = None) -> Kafka:
    """How to reach Kafka. ``bootstrap`` is the embedded one's address where the caller started it.

    Raises:
        Failure: none is configured, and no ``hub dev`` runs in this directory.
    """
    settings = config.kafka
    if settings.embedded:
        return Kafka(bootstrap or _running("kafka", "[kafka] bootstrap"), prefix=config.company.prefix)
    return Kafka(
        settings.servers,
        prefix=config.company.prefix,
        replication=settings.replication,
        min_isr=settings.min_isr,
        user=settings.user if settings.security is Security.SASL else None,
        password=settings.password.reveal() if settings.password and settings.security is Security.SASL else None,
        tls=settings.security is not Security.PLAINTEXT,
        ca_file=str(settings.ca_file) if settings.ca_file else None,
    )


def postgres(config: Config) -> str:
    """The DSN of PostgreSQL; it holds the password.

    Raises:
        Failure: none is configured, and no ``hub dev`` runs in this directory.
    """
    connection = config.postgres.connection()
    return connection.reveal() if connection else _running("postgres", "[postgres] dsn")


@asynccontextmanager
async def opened_store(config: Config) -> AsyncIterator[Store]:
    """PostgreSQL, connected, for one command.

    Raises:
        Failure: none is configured, and no ``hub dev`` runs in this directory.
        StoreError: it doesn't let us in.
    """
    store = Store(postgres(config), size=2, application="peyvand-command")
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def of_hub_dev() -> dict[str, Any]:
    """What the ``hub dev`` of this directory says of itself; nothing if none runs. One that was killed leaves its file
    behind, so its process is looked for."""
    try:
        about: dict[str, Any] = json.loads(RUN_FILE.read_text(encoding="utf-8"))
        os.kill(about["pids"]["hub"], 0)
    except (OSError, ValueError, KeyError):
        return {}
    return about


def _running(server: str, setting: str) -> str:
    try:
        address = of_hub_dev()[server]
    except KeyError:
        raise Failure(
            f"No {setting} is configured, and no hub dev runs in {Path.cwd()}.",
            f"Name one in the configuration, or start hub dev here ({RUN_FILE} tells then where it is).",
        ) from None
    return str(address)
