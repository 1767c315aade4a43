"""What can be seen without running anything: the configuration, the imports, the mapper's text."""

import ast
import re
import sys
from collections.abc import Iterator

from msgspec import inspect

from connectors.base import redacted, settings_table
from schemas.secret import Secret
from tests.conformance.kinds import Subject
from tests.conformance.rules.registry import rule
from tests.conformance.stage import Stage, require

SECRET_NAME = re.compile(
    r"(^|_)(pass(word|phrase)?|secret|token|(api|private|consumer|shared)_key|credentials?|pin)(_|$)"
)
ONE_SENTENCE = re.compile(r"[^.!?]+(?:[.!?](?!\s)[^.!?]*)*[.!?]", re.DOTALL)


@rule(by_text=True)
async def spec_is_complete(stage: Stage) -> None:
    """The configuration is declared once and wholly: each setting typed and described, secrets as such, the connector
    told in one sentence. Parsing, `hub check`, redaction and the README's table are made from it."""
    spec = stage.subject.kind.spec
    sentence = " ".join((spec.__doc__ or "").split())
    require(ONE_SENTENCE.fullmatch(sentence), f"Spec's docstring is to be one sentence, it is {sentence!r}")
    info = inspect.type_info(spec)
    assert isinstance(info, inspect.StructType)
    for setting in info.fields:
        kind = setting.type
        described = isinstance(kind, inspect.Metadata) and bool((kind.extra_json_schema or {}).get("description"))
        require(described, f"{setting.name} has no Meta(description=...)")
        require(not _untyped(kind), f"{setting.name} has no type of its own: Any, object or a bare container")
        looks_secret = SECRET_NAME.search(setting.name) and _is_text(kind)
        require(not looks_secret, f"{setting.name} looks like a secret and is a str; let it be a schemas.secret.Secret")
    for name in info.fields:
        require(f"`{name.encode_name}`" in settings_table(spec), f"{name.name} isn't in the table of settings")


def _untyped(info: inspect.Type) -> bool:
    match info:
        case inspect.Metadata(type=inner):
            return _untyped(inner)
        case inspect.AnyType():
            return True
        case inspect.UnionType(types=types):
            return any(_untyped(each) for each in types)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item) | inspect.SetType(item_type=item):
            return _untyped(item)
        case inspect.DictType(key_type=key, value_type=value):
            return _untyped(key) or _untyped(value)
        case _:
            return False


def _is_text(info: inspect.Type) -> bool:
    match info:
        case inspect.Metadata(type=inner):
            return _is_text(inner)
        case inspect.UnionType(types=types):
            return any(_is_text(each) for each in types)
        case inspect.StrType() | inspect.BytesType():
            return True
        case _:
            return False


@rule()
async def a_secret_is_shown_masked(stage: Stage) -> None:
    """Whoever prints, logs or shows a configuration shows `***`: by `redacted`, by repr, in an f-string."""
    async with stage.scene("masked") as scene:
        for spec in (scene.world.spec, scene.world.wrong):
            shown = f"{spec!r} {spec} {redacted(spec)!r}" if spec is not None else ""
            for name, value in _secrets(spec):
                require(value not in shown, f"the setting {name} is shown")


def _secrets(spec: object) -> Iterator[tuple[str, str]]:
    for name in getattr(spec, "__struct_fields__", ()):
        value = getattr(spec, name)
        if isinstance(value, Secret):
            yield name, value.reveal()


@rule(by_text=True)
async def imports_only_what_it_declares(stage: Stage) -> None:
    """A folder sees the standard library, msgspec, `schemas`, `connectors.base` and itself; what else it needs, another
    connector's folder too, stands in its spec's `libraries`, and nothing stands there that it doesn't need. Only a
    simulator may serve (`aiohttp.web`). So any connector can be taken out, and its needs are known beforehand."""
    subject = stage.subject
    declared = subject.kind.spec.libraries
    used: set[str] = set()
    for path in sorted(subject.folder.rglob("*.py")):
        inside = path.relative_to(subject.folder)
        simulates = inside.parts[0].removesuffix(".py") == "simulator"
        for name in _imported(path.read_text("utf-8"), subject.package):
            library = next((each for each in declared if _within(name, each)), None)
            used |= {library} if library else set()
            if _serves(name):
                require(simulates, f"{inside} imports {name}: only a simulator serves")
            elif not (simulates and _within(name, "aiohttp")):
                fine = library or _is_ours(name, subject) or name.partition(".")[0] in sys.stdlib_module_names
                require(fine, f"{inside} imports {name}, which Spec.libraries doesn't declare")
    require(used == declared, f"Spec.libraries declares {sorted(declared - used)}, which no file imports")


def _imported(source: str, package: str) -> Iterator[str]:
    """The modules a text imports, with what is taken from them; a relative name as one of its own package."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, [package if node.level else "", node.module]))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def _serves(name: str) -> bool:
    return _within(name, "aiohttp.web") or _within(name, "http.server") or _within(name, "socketserver")


def _is_ours(name: str, subject: Subject) -> bool:
    return any(_within(name, module) for module in ("schemas", "msgspec", "connectors.base", subject.package))


_IO = """
asyncio builtins concurrent fileinput ftplib glob http imaplib importlib io logging mmap multiprocessing os pathlib
pickle poplib queue random sched secrets select selectors shelve shutil signal smtplib socket socketserver sqlite3 ssl
subprocess sys tempfile threading time urllib.request warnings webbrowser
"""
IO_MODULES = frozenset(_IO.split())
"""What reads, writes, waits, draws or tells the time."""
HARMLESS = frozenset(
    {"pathlib.PurePath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath", "io.StringIO", "io.BytesIO"}
)
_CALLS = "now utcnow utc_now today today_in_tehran open print input uuid1 uuid4 random urandom getenv"
CALLS = frozenset(_CALLS.split())

DOERS = ("client", "connector", "receiver", "simulator")
"""The files of a connector's folder that do I/O."""


@rule(by_text=True)
async def mapper_is_pure(stage: Stage) -> None:
    """`mapper.py` does no I/O, asks no clock, draws nothing, waits for nothing, and knows no third party and nobody who
    does such things: what it says depends on what it is given. So it can be tested by recorded payloads alone, and
    replaying gives the same."""
    subject = stage.subject
    path = subject.folder / "mapper.py"
    require(path.is_file(), "there is no mapper.py")
    found = list(impurities(path.read_text("utf-8"), subject))
    require(not found, f"mapper.py isn't pure: {'; '.join(found)}")


def impurities(source: str, subject: Subject) -> Iterator[str]:
    """Each line of a mapper that isn't pure, with what is wrong."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield f"line {node.lineno}: async"
            case ast.Global() | ast.Nonlocal():
                yield f"line {node.lineno}: it keeps something between two calls"
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in CALLS:
                yield f"line {node.lineno}: {name}()"
    for name in _imported(source, subject.package):
        if name not in HARMLESS and any(_within(name, module) for module in IO_MODULES):
            yield f"import of {name}"
        elif name.partition(".")[0] not in sys.stdlib_module_names and not _is_ours(name, subject):
            yield f"import of {name}, a third party"
        elif any(_within(name, f"{subject.package}.{doer}") for doer in DOERS):
            yield f"import of {name}, which does I/O"
