"""The house's contract (DESIGN.md): import-linter holds it, and every clause of it is seen to bite."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
    "contracts"
]
ROOMS = ("schemas", "hub", "streams", "connectors")


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    command = "import sys; from importlinter.cli import lint_imports_command as lint; lint()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo", "--config", str(directory / "pyproject.toml")],
        cwd=directory,
        env={"PYTHONPATH": str(directory), "COLUMNS": "500", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_house_keeps_its_contract() -> None:
    told = lint(ROOT)
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in told.stdout


def breaches() -> Iterator[tuple[str, str, str]]:
    """Every clause of every contract: its name, a module that must not import, what it must not import."""
    for contract in CONTRACTS:
        for source in contract["source_modules"]:
            for forbidden in contract["forbidden_modules"]:
                yield contract["name"], source, forbidden


@pytest.fixture(scope="module")
def broken_house(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a house of empty rooms in which every clause is broken once."""
    house = tmp_path_factory.mktemp("house")
    (house / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for path in {path for room in ROOMS for path in (ROOT / room).rglob("__init__.py")}:
        empty = house / path.relative_to(ROOT)
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.touch()
    for index, (_, source, forbidden) in enumerate(breaches()):
        (house / source.replace(".", "/") / f"breach_{index}.py").write_text(f"import {forbidden}\n")
    told = lint(house)
    assert told.returncode == 1, told.stdout + told.stderr
    return told.stdout


def test_every_contract_is_seen_broken(broken_house: str) -> None:
    assert f"Contracts: 0 kept, {len(CONTRACTS)} broken." in broken_house


@pytest.mark.parametrize(
    ("index", "source", "forbidden"),
    [
        pytest.param(index, source, forbidden, id=f"{source} imports {forbidden}")
        for index, (_, source, forbidden) in enumerate(breaches())
    ],
)
def test_every_clause_bites(broken_house: str, index: int, source: str, forbidden: str) -> None:
    assert re.search(rf"{re.escape(source)}\.breach_{index} -> {re.escape(forbidden)}\b", broken_house)


THIRD_PARTIES = {
    "asyncpg": re.compile(r"hub/store/.*"),
    "aiokafka": re.compile(r"hub/bus/.*"),
    "faust": re.compile(r"streams/.*"),
    "mode": re.compile(r"streams/.*"),
    "aiohttp.web": re.compile(r"hub/api/.*|connectors/\w+/simulator(\.py|/\w+\.py)"),
}
"""Where each may be imported. import-linter can't hold this: it sees no part of a third party, and only named rooms."""


def imported(source: str) -> set[str]:
    """The names of all modules a source text imports, parents of what is taken from them too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def strays(path: str, source: str) -> list[str]:
    """The third parties a file imports outside their rooms."""
    return [
        party
        for party, rooms in THIRD_PARTIES.items()
        if not rooms.fullmatch(path)
        if any(name == party or name.startswith(f"{party}.") for name in imported(source))
    ]


def test_third_parties_stay_in_their_rooms() -> None:
    found = {
        name: stray
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if (stray := strays(name := path.relative_to(ROOT).as_posix(), path.read_text("utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("path", "source", "stray"),
    [
        ("hub/api/routes.py", "import asyncpg", ["asyncpg"]),
        ("hub/bus/admin.py", "import aiokafka.admin", []),
        ("streams/app.py", "def f():\n    from aiokafka.structs import TopicPartition", ["aiokafka"]),
        ("hub/runtime/dev.py", "import mode.loop", ["mode"]),
        ("streams/app.py", "import faust, mode", []),
        ("hub/runtime/dev.py", "from aiohttp import web", ["aiohttp.web"]),
        ("hub/runtime/dev.py", "from aiohttp import ClientSession\nimport aiohttp", []),
        ("hub/runtime/dev.py", "from aiohttp.web import Response", ["aiohttp.web"]),
        ("connectors/files/simulator.py", "from aiohttp import web", []),
        ("connectors/files/simulator/api.py", "from aiohttp import web", []),
        ("connectors/files/client.py", "from aiohttp import web", ["aiohttp.web"]),
        ("hub/runtime/dev.py", "import model, modest.x", []),
    ],
)
def test_a_stray_third_party_is_seen(path: str, source: str, stray: list[str]) -> None:
    assert strays(path, source) == stray


def test_nothing_imports_the_tests() -> None:
    for room in (*ROOMS, "bench"):
        for path in (ROOT / room).rglob("*.py"):
            assert not any(re.match(r"tests\b", name) for name in imported(path.read_text("utf-8"))), path
