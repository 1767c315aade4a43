"""The connectors there are, and each one's adapter."""

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connectors import base
from connectors.base import ConnectorKind
from tests.conformance.harness import Adapter

TESTS = "tests.connectors"
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
"""Connectors that aren't the hub's own. Here they can be imported as if they were installed."""

sys.path.append(str(EXAMPLES))


class Nobody(Exception):
    """There is no connector, or one has no adapter."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A connector as the rules see it: its parts, its adapter, the folder of its sources and their package.

    ``variant`` is another way it may be configured, with an adapter of its own; "" for the first.
    """

    kind: ConnectorKind
    adapter: Adapter
    folder: Path
    package: str
    variant: str = ""

    @property
    def name(self) -> str:
        """``hesabgar``, ``hesabgar:branch``."""
        return f"{self.kind.name}:{self.variant}" if self.variant else self.kind.name


def every() -> dict[str, ConnectorKind]:
    """The hub's own connectors and the examples, by name."""
    names = [folder.name for folder in sorted(EXAMPLES.iterdir()) if (folder / "spec.py").is_file()]
    return base.discover() | {name: base.kind_in(name, name) for name in names}


def subjects(kinds: Mapping[str, ConnectorKind] | None = None) -> list[Subject]:
    """Every connector, by name. Raises :exc:`Nobody` if there is none, or one without adapter."""
    found = every() if kinds is None else kinds
    if not found:
        raise Nobody("no connector was found beside connectors/base.py")
    return [subject for kind in found.values() for subject in subjects_of(kind)]


def driven() -> list[Subject]:
    """Those that have an adapter which can be imported; for the others a test of its own fails."""
    found: list[Subject] = []
    for kind in every().values():
        try:
            found += subjects_of(kind)
        except Exception:
            continue
    return found


def subjects_of(kind: ConnectorKind) -> list[Subject]:
    """A connector with its adapter, and its variants with theirs. Raises :exc:`Nobody`."""
    folder, package = kind.readme.parent, kind.spec.__module__.rpartition(".")[0]
    return [Subject(kind, made, folder, package, variant) for variant, made in adapters(kind.name).items()]


def adapters(kind: str) -> dict[str, Adapter]:
    """The adapter of a kind under "", and those of its variants. Raises :exc:`Nobody`."""
    name = f"{TESTS}.{kind}.conformance"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise Nobody(
            f"{kind} has no {name.replace('.', '/')}.py; tests/conformance/README.md says what it is"
        ) from None
    variants: Mapping[str, type[Adapter]] = getattr(module, "VARIANTS", {})
    return {"": module.Adapter(), **{variant: made() for variant, made in variants.items()}}
