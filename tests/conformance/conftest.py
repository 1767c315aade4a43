"""The surroundings of a run, and what is told at its end."""

import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hub.bus.settings import Kafka
from tests.conformance import samples
from tests.conformance.kinds import driven
from tests.conformance.surroundings import Real
from tests.conformance.waivers import WAIVERS
from tests.conftest import KafkaServer, dsn_of, execute, topics_gone

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
async def real(kafka: KafkaServer, postgres: Any, template_database: str) -> AsyncIterator[Real]:
    """Topics and a database of the suite's own, for all its rules."""
    prefix, name = f"t{secrets.token_hex(4)}.", f"test_{secrets.token_hex(6)}"
    await execute(postgres.dsn, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    try:
        async with Real.on(Kafka(kafka.bootstrap, prefix=prefix), dsn_of(postgres.dsn, name)) as surroundings:
            yield surroundings
    finally:
        await topics_gone(kafka, prefix)
        await execute(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the broken copies of the sample are, as packages that can be imported."""
    directory = tmp_path_factory.mktemp("samples")
    for sample in samples.broken():
        sample.copy(directory)
    samples.importable(directory)
    return directory


@pytest.fixture(scope="session")
def elsewhere(copies: Path) -> Mapping[str, Mapping[str, Any]]:
    """What a new process with a hash seed of its own makes of every fixture, by the adapter's module."""
    modules = [type(subject.adapter).__module__ for subject in driven()]
    modules += [f"{samples.GOOD}.conformance", *(f"{sample.package}.conformance" for sample in samples.broken())]
    asked = {"sys_path": [str(copies)], "adapters": {module: module for module in modules}}
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.again"],
        input=json.dumps(asked),
        cwd=ROOT,
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Mapping[str, Mapping[str, Any]] = json.loads(done.stdout)
    return found


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell what is waived and what connectors do without, so that nobody forgets it."""
    lines = [f"{kind}: {rule}: {reason}" for kind, rules in WAIVERS.items() for rule, reason in rules.items()]
    terminalreporter.section("conformance: waived")
    terminalreporter.write_line("\n".join(lines) or "nothing")
    terminalreporter.section("conformance: what connectors do without")
    for subject in driven():
        for reason in dict.fromkeys(subject.adapter.without.values()):
            parts = [str(part) for part, why in subject.adapter.without.items() if why == reason]
            terminalreporter.write_line(f"{subject.name}: {', '.join(parts)}: {reason}")
