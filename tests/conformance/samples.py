"""The sample connector, whole or broken in one way."""

import importlib
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from connectors.base import ConnectorKind
from tests.conformance.kinds import Subject

HERE = Path(__file__).parent
GOOD = "tests.conformance.sample"


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """A text of a file, which is there once, and what stands there instead."""

    file: str
    old: str
    new: str


class Written(msgspec.Struct, forbid_unknown_fields=True):
    """A file of ``broken/``."""

    why: str
    change: list[Change]


@dataclass(frozen=True, slots=True)
class Sample:
    """One way to break the sample connector: the rule that must see it, and the changes."""

    name: str
    rule: str
    written: Written

    @property
    def package(self) -> str:
        """What its copy is imported as."""
        return f"broken_sample_{self.name.replace('.', '_').replace('-', '_')}"

    def copy(self, directory: Path) -> None:
        """Make the broken copy in a directory of packages. Raises ValueError for a change that doesn't fit."""
        target = directory / self.package
        shutil.copytree(HERE / "sample", target, ignore=shutil.ignore_patterns("__pycache__"))
        (target / "__init__.py").touch()
        for change in self.written.change:
            _make(target / change.file, change)


def _make(path: Path, change: Change) -> None:
    before = path.read_text("utf-8")
    if before.count(change.old) != 1:
        raise ValueError(f"{change.file} has {before.count(change.old)} times:\n{change.old}")
    path.write_text(before.replace(change.old, change.new), "utf-8")


def broken() -> list[Sample]:
    """All of ``broken/``, by name."""
    return [
        Sample(path.stem, path.name.partition(".")[0], msgspec.convert(tomllib.loads(path.read_text("utf-8")), Written))
        for path in sorted((HERE / "broken").glob("*.toml"))
    ]


def subject(package: str) -> Subject:
    """The sample connector in a package."""
    spec, connector, receiver, adapter = (
        importlib.import_module(f"{package}.{name}")
        for name in ("till.spec", "till.connector", "till.receiver", "conformance")
    )
    folder = Path(str(spec.__file__)).parent
    kind = ConnectorKind("till", spec.Spec, connector.Connector, folder / "README.md", receiver.Receiver)
    return Subject(kind, adapter.Adapter(), folder, f"{package}.till")


def importable(directory: Path) -> None:
    """Let the packages of a directory be imported."""
    sys.path.append(str(directory))
    importlib.invalidate_caches()
