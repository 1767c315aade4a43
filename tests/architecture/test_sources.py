"""What no source of ours may contain: floats where money and quantities are, clocks in rules, names of machines."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXACT = sorted((*(ROOT / "schemas").rglob("*.py"), *(ROOT / "hub" / "rules").rglob("*.py")))
RULES = sorted((ROOT / "hub" / "rules").rglob("*.py"))


def floats(source: str) -> Iterator[str]:
    """Whatever makes or names a float; a division does, of whole numbers."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=float() | complex()):
                yield f"line {node.lineno}: the literal {node.value}"
            case ast.Name(id="float") | ast.Attribute(attr="float"):
                yield f"line {node.lineno}: the name float"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield f"line {node.lineno}: a division"
            case ast.Constant(value=str(text)) if re.search(r"\bfloat\b", text) and len(text) < 30:
                yield f"line {node.lineno}: the text {text!r}"


@pytest.mark.parametrize("path", EXACT, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_float_touches_money_or_quantities(path: Path) -> None:
    assert list(floats(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source", ["x = 0.5", "x: float", "def f(x: 'float'): ...", "x = float(y)", "x = a / b", "x /= 2", "x = 1j"]
)
def test_a_float_is_seen(source: str) -> None:
    assert list(floats(source))


IMPURE = {
    "now",
    "utcnow",
    "utc_now",
    "today",
    "today_in_tehran",
    "time",
    "monotonic",
    "open",
    "print",
    "input",
    "random",
}


def impurities(source: str) -> Iterator[str]:
    """Clocks, I/O and waiting: a rule gets its time and what was read as arguments."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield f"line {node.lineno}: async"
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in IMPURE:
                yield f"line {node.lineno}: {name}()"
            case ast.Import(names=names) if {name.name for name in names} & {"os", "time", "random", "io", "logging"}:
                yield f"line {node.lineno}: an import"
            case ast.ImportFrom(module="os" | "time" | "random" | "io" | "logging" | "pathlib"):
                yield f"line {node.lineno}: an import"


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_rules_have_no_clock_and_do_no_io(path: Path) -> None:
    assert list(impurities(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\nx = datetime.now()",
        "from schemas.dates import utc_now\nx = utc_now()",
        "open('x')",
        "import time",
        "from random import choice",
        "async def f(): ...",
    ],
)
def test_an_impurity_is_seen(source: str) -> None:
    assert list(impurities(source))


REGISTRIES = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "npm" + "js.com",
    "repo1." + "maven",
    "repo." + "maven.apache",
    "maven" + ".org/maven2",
    "crates" + ".io",
    "proxy." + "golang",
    "ruby" + "gems.org",
    "docker" + ".io",
)
MACHINE_PATHS = re.compile(
    r"(?<![\w.~}:/*$-])/(?:" + "|".join(("ro" + "ot", "ho" + "me", "wo" + "rk", "Us" + "ers", "mn" + "t")) + r")/[\w.]"
)
"""An absolute path of somebody's machine: not a part of a URL, of a relative path or of a longer word."""


def misplaced(text: str) -> list[str]:
    """Registry hosts and absolute machine paths in a text."""
    lowered = text.lower()
    return [host for host in REGISTRIES if host in lowered] + MACHINE_PATHS.findall(text)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_registry_or_a_path_of_this_machine() -> None:
    files = tracked()
    assert len(files) > 50
    found = {
        path.relative_to(ROOT).as_posix(): wrong
        for path in files
        if (wrong := misplaced(path.read_bytes().decode("utf-8", "replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("see https://" + "py" + "pi.org/simple", True),
        ("PATH=/" + "home/ali/x", True),
        ('"/' + 'work/main"', True),
        ("(/" + "root/.cache)", True),
        ("https://example.org/" + "home/x", False),
        ("var/" + "work/x", False),
        ("~/" + "work/x", False),
        ("/v1/documents", False),
    ],
)
def test_such_a_name_is_seen(text: str, seen: bool) -> None:
    assert bool(misplaced(text)) is seen
