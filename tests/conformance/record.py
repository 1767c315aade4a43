"""Write the `.expected.json` that are missing beside a connector's payloads: `python -m tests.conformance.record KIND`.

What is written is what the mapper says today. Read it before you commit it.
"""

import json
import sys
from datetime import datetime
from pathlib import Path

from connectors.base import UnknownPayload
from tests.conformance.harness import EXPECTED, NOW, Adapter, Mapped, told
from tests.conformance.kinds import adapters


def come_to(of: Adapter, name: str, payload: bytes, now: datetime = NOW) -> Mapped:
    """What a payload comes to; an UnknownPayload is a refusal."""
    try:
        return of.map(name, payload, now)
    except UnknownPayload as error:
        return Mapped((), (str(error),))


def main(kind: str) -> None:
    """Write what is missing below ``tests/connectors/<kind>/fixtures``."""
    of, folder = adapters(kind)[""], Path(__file__).parents[1] / "connectors" / kind / "fixtures"
    for path in sorted(folder.rglob("*")):
        beside = path.with_name(path.name + EXPECTED)
        if not path.is_file() or path.name.endswith(EXPECTED) or beside.exists():
            continue
        expected = told(come_to(of, path.relative_to(folder).as_posix(), path.read_bytes()))
        if not any(expected.values()):
            expected = {"nothing": ""}
        beside.write_text(json.dumps(expected, ensure_ascii=False, indent=2) + "\n", "utf-8")
        sys.stdout.write(f"{beside.relative_to(folder)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
