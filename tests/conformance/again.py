"""What another process makes of the fixtures: `python -m tests.conformance.again`.

Standard input is ``{"sys_path": [...], "adapters": {"name": "module"}}``; the output ``{"name": {"fixture": told}}``.
"""

import importlib
import json
import sys
from typing import Any

from tests.conformance.harness import Adapter, Fixture, told
from tests.conformance.record import come_to
from tests.conformance.rules.payloads import LATER


def results(adapters: dict[str, str]) -> dict[str, Any]:
    """Every fixture of every adapter, later than recorded."""
    made = {name: importlib.import_module(module).Adapter() for name, module in adapters.items()}
    return {
        name: {fixture.name: _result(adapter, fixture) for fixture in adapter.fixtures()}
        for name, adapter in made.items()
    }


def _result(adapter: Adapter, fixture: Fixture) -> dict[str, Any]:
    try:
        return told(come_to(adapter, fixture.name, fixture.payload, LATER))
    except Exception as error:
        return {"raised": repr(error)}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    sys.path += asked["sys_path"]
    json.dump(results(asked["adapters"]), sys.stdout)
