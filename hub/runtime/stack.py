"""What ``hub dev`` and ``hub run`` have in common: the role processes of one hub."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from hub.runtime.config import Config
from hub.runtime.supervisor import Program


def role_programs(
    config: Config,
    environment: Mapping[str, str],
    *,
    logs: Path | None = None,
    connectors: tuple[str, ...] = (),
    api: tuple[str, ...] = (),
) -> Iterator[tuple[str, Program]]:
    """The role processes by name, in the order they are started; they are stopped in the reverse one.

    They read the same configuration as we did, with ``environment`` laid over it, and log into ``logs`` (without: to
    our standard error). ``connectors`` and ``api`` are more arguments for those roles.
    """
    file = config.origin.file
    hub = [sys.executable, "-P", "-m", "hub.runtime", *(("--config", str(file.absolute())) if file else ())]

    def program(name: str, *words: str) -> tuple[str, Program]:
        return name, Program([*hub, *words], environment, logs / f"{name}.log" if logs else None)

    for number in range(1, config.streams.workers + 1):
        yield program(f"streams-{number}", "streams")
    yield program("api", "api", *api)
    yield program("connectors", "connectors", *connectors)
    yield program("deliver", "deliver")
