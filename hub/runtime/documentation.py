"""The reference pages, written from the declarations in the code: ``hub docs DIR``, freshness kept by a test."""

import ast
import inspect as source
import json
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect

from connectors import base
from hub.api import openapi
from hub.api.receivers import routes
from hub.runtime import help as helping
from hub.runtime.commands import GROUPS, Argument, Command
from hub.runtime.config import Sections, variables
from hub.runtime.decoding import expectation, unwrapped
from hub.runtime.origin import KeyPath, dotted
from hub.runtime.problems import toml_text
from hub.runtime.receiving import described
from schemas import topics
from schemas.reasons import SENTENCES
from schemas.secret import Secret
from schemas.topics import Topic

_GENERATED = "<!-- Written by `hub docs` from the code; don't edit. -->\n"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_RECEIVED = (topics.COMMANDS, *topics.MASTER.values())
_SENT = (topics.EVENTS, topics.LATEST, topics.DEAD_LETTERS)


def write(directory: Path) -> list[Path]:
    """Write every page below a directory and remove schemas of structs that are gone; the files written."""
    pages = generate()
    for old in (directory / "schemas").glob("*.json"):
        if f"schemas/{old.name}" not in pages:
            old.unlink()
    for name, text in pages.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return [directory / name for name in pages]


def generate() -> dict[str, str]:
    """Every page's text, by its path in the documentation's directory."""
    return {
        "configuration.md": configuration(),
        "cli.md": commands(),
        "reasons.md": reasons(),
        "asyncapi.json": _json(asyncapi()),
        "openapi.json": _json(openapi.document(routes(described()))),
        **{f"schemas/{struct.__name__}.json": _json(schema(struct)) for struct in messages()},
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


# --- messages


@cache
def messages() -> tuple[type[msgspec.Struct], ...]:
    """Every struct that travels on a topic."""
    found: dict[type[msgspec.Struct], None] = {}
    for topic in topics.all_topics():
        found |= dict.fromkeys(_structs(topic))
    return tuple(found)


def _structs(topic: Topic) -> tuple[type[msgspec.Struct], ...]:
    return get_args(topic.message) or (topic.message,)


def schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """One message's JSON Schema, standing by itself."""
    (root,), definitions = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    return {"$schema": _DIALECT, **root, "$defs": _described(definitions)}


def _described(definitions: dict[str, Any]) -> dict[str, Any]:
    """The schemas with the texts that stand below the structs' fields."""
    structs = _known_structs()
    for name, definition in definitions.items():
        if "description" in definition:
            definition["description"] = _plain(definition["description"])
        if name not in structs:
            continue
        texts = field_texts(structs[name])
        for field, property_ in definition.get("properties", {}).items():
            if field in texts:
                property_["description"] = texts[field]
    return definitions


@cache
def _known_structs() -> dict[str, type[msgspec.Struct]]:
    found: dict[str, type[msgspec.Struct]] = {}
    waiting: list[Any] = [inspect.type_info(struct) for struct in messages()]
    while waiting:
        match waiting.pop():
            case inspect.StructType(cls=cls, fields=fields) if cls.__name__ not in found:
                found[cls.__name__] = cls
                waiting += [field.type for field in fields]
            case inspect.Metadata(type=inner):
                waiting.append(inner)
            case inspect.UnionType(types=types):
                waiting += types
            case inspect.VarTupleType(item_type=item):
                waiting.append(item)
    return found


def field_texts(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What is written below a struct's fields, those it inherits too."""
    texts: dict[str, str] = {}
    for cls in reversed(struct.__mro__):
        if cls.__module__.partition(".")[0] != "schemas":
            continue
        (node,) = ast.parse(textwrap.dedent(source.getsource(cls))).body
        assert isinstance(node, ast.ClassDef)
        for statement, below in zip(node.body, node.body[1:], strict=False):
            match statement, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    texts[name] = _plain(text)
    return texts


def _plain(docstring: str) -> str:
    """A docstring as the text of a page: a line a paragraph, backquotes once."""
    paragraphs = source.cleandoc(docstring).replace("``", "`").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document: every topic as a channel with its messages, partitions and retention."""
    _, definitions = msgspec.json.schema_components(messages(), ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Peyvand",
            "version": "1.0.0",
            "description": "The topics of the hub. A deployment's prefix ([company] prefix) goes before every address. "
            "Money is whole rials, quantities are decimal numbers in text with at most five places, times are "
            "RFC 3339 in UTC. Delivery is at least once: drop ids you have seen.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in topics.all_topics()},
        "operations": {
            **{f"receive.{topic.name}": _operation(topic, "receive") for topic in _RECEIVED},
            **{f"send.{topic.name}": _operation(topic, "send") for topic in _SENT},
        },
        "components": {
            "messages": {name: message for topic in topics.all_topics() for name, message in _messages(topic)},
            "schemas": _draft_7(_described(definitions)),
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    settings: dict[str, object] = {"cleanup.policy": ["compact" if topic.compacted else "delete"]}
    settings["max.message.bytes"] = topic.max_bytes
    if topic.retention_days is not None:
        settings["retention.ms"] = topic.retention_days * topics.DAY_MS
    kept = "The last record of each key is kept." if topic.compacted else f"Kept for {topic.retention_days} days."
    return {
        "address": topic.name,
        "summary": topic.summary,
        "description": f"Key: {topic.key}. {kept}",
        "messages": {
            struct.__name__: {"$ref": f"#/components/messages/{struct.__name__}"} for struct in _structs(topic)
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": settings,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation(topic: Topic, action: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic.name}"}, "summary": topic.summary}


def _messages(topic: Topic) -> Iterator[tuple[str, dict[str, Any]]]:
    for struct in _structs(topic):
        name = struct.__name__
        yield (
            name,
            {
                "name": name,
                "title": name,
                "summary": _plain(struct.__doc__ or name).split("\n")[0],
                "payload": {"$ref": f"#/components/schemas/{name}"},
                "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}},
            },
        )


def _draft_7(node: Any) -> Any:
    """AsyncAPI's own schemas are of draft 7, where the types of a tuple's places are ``items``."""
    if isinstance(node, list):
        return [_draft_7(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _draft_7(value) for key, value in node.items()}
    if "prefixItems" in made:
        made["items"] = made.pop("prefixItems")
        made["additionalItems"] = False
    return made


# --- configuration

_CONFIGURATION = """\
# Configuration

One TOML file: the one named by `hub --config FILE`, else by `PEYVAND_CONFIG`, else `hub.toml` in the working directory.
Without any, everything is as built in, with an embedded Kafka and PostgreSQL. [hub.example.toml](hub.example.toml) is
one for production; `hub check` tells everything that is wrong with yours, with file, line, key and remedy. Keys that
aren't listed here are errors.

- **Secrets** may be written plainly, or better as `{ env = "NAME" }` (an environment variable) or
  `{ file = "path" }` (the text of a file, as Docker and Kubernetes mount secrets).
- **Environment variables** named in the tables override the file, for containers; an empty one counts as not set. For a
  secret, the name with `_FILE` behind it names a file. Lists are separated by commas.
- **Dates** are Jalali (`"1403/01/31"`) or ISO (`"2024-04-19"`). **Durations** are `"30m"`, `"2h"`, `"1h30m"`, `"3d"`.
  **Money** is whole rials. **Paths** are relative to the file.
"""


def configuration() -> str:
    """docs/configuration.md: every setting of the hub and of each connector."""
    parts = [_GENERATED, _CONFIGURATION]
    root = inspect.type_info(Sections)
    assert isinstance(root, inspect.StructType)
    names = {variable.path: name for name, variable in variables().items()}
    for field in root.fields:
        parts += _section(field.type, (field.encode_name,), names)
    for name, kind in base.discover().items():
        info = inspect.type_info(kind.spec)
        parts += [f"### `[connectors.{name}.NAME]`\n", _text_of(info), _table(info, ("connectors", name, "NAME"), {})]
    return "\n".join(parts)


def _section(info: inspect.Type, path: KeyPath, names: dict[KeyPath, str]) -> Iterator[str]:
    plain, _ = unwrapped(info)
    match plain:
        case inspect.StructType():
            level = "##" if len(path) == 1 else "###"
            yield f"{level} `[{dotted(path)}]`\n"
            yield _text_of(plain)
            yield _table(plain, path, names)
            for field in plain.fields:
                inner, _ = unwrapped(field.type)
                if isinstance(inner, inspect.StructType | inspect.VarTupleType):
                    yield from _section(field.type, (*path, field.encode_name), names)
        case inspect.VarTupleType(item_type=item) if isinstance(unwrapped(item)[0], inspect.StructType):
            yield f"### `[[{dotted(path)}]]`\n"
            yield _text_of(unwrapped(item)[0])
            yield _table(unwrapped(item)[0], path, {})
        case inspect.DictType(value_type=item) if isinstance(unwrapped(item)[0], inspect.StructType):
            yield f"## `[{dotted(path)}.default]` and `[{dotted(path)}.SOURCE]`\n"
            yield _text_of(unwrapped(item)[0])
            yield _table(unwrapped(item)[0], path, {})
        case inspect.DictType():
            yield f"## `[{dotted(path)}.KIND.NAME]`\n"
            yield "One table for each connection to an outside system, under a name of your own. The kinds:\n"


def _text_of(info: inspect.Type) -> str:
    assert isinstance(info, inspect.StructType)
    return _plain(info.cls.__doc__ or "") + "\n"


def _table(info: inspect.Type, path: KeyPath, names: dict[KeyPath, str]) -> str:
    assert isinstance(info, inspect.StructType)
    head = ["key", "what it is", "value", "default"] + (["variable"] if names else [])
    rows = [head, ["---"] * len(head)]
    for field in info.fields:
        plain, meta = unwrapped(field.type)
        secret = isinstance(plain, inspect.CustomType) and plain.cls is Secret
        row = [
            f"`{field.encode_name}`",
            f"{meta.get('description', '')}{' **Secret.**' if secret else ''}",
            "tables" if _is_tables(plain) else expectation(field.type).en,
            _default(field, plain),
        ]
        if names:
            name = names.get((*path, field.encode_name))
            row.append(f"`{name}`" if name else "")
        rows.append(row)
    return "\n".join(map(_row, rows)) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _is_tables(info: inspect.Type) -> bool:
    if isinstance(info, inspect.VarTupleType):
        return isinstance(unwrapped(info.item_type)[0], inspect.StructType)
    if isinstance(info, inspect.DictType):
        return isinstance(unwrapped(info.value_type)[0], inspect.StructType)
    return isinstance(info, inspect.StructType)


def _default(field: inspect.Field, plain: inspect.Type) -> str:
    if field.required:
        return "**required**"
    if field.default in (msgspec.NODEFAULT, None, "", ()) or _is_tables(plain):
        return ""
    return f"`{toml_text(field.default)}`"


# --- commands and reasons


def commands() -> str:
    """docs/cli.md: every command with its arguments and examples."""
    parts = [_GENERATED, "# Commands\n", f"{helping.TITLE}\n", f"{helping.TITLE_FA}\n"]
    parts += ["Everywhere:\n", _arguments(helping.GLOBAL)]
    for group in GROUPS:
        parts += [f"## {group.title} ({group.persian})\n"]
        for command in group.commands:
            parts += _command(command)
    return "\n".join(parts)


def _command(command: Command) -> Iterator[str]:
    yield f"### `hub {command.name}`\n"
    yield f"{command.summary}. {command.persian}.\n"
    if command.details:
        yield f"{command.details}\n"
    yield f"```\n{helping.usage(command)}\n```\n"
    if command.arguments:
        yield _arguments(command.arguments)
    if command.examples:
        yield "For example:\n"
        yield "```\n" + "\n".join(command.examples) + "\n```\n"


def _arguments(arguments: tuple[Argument, ...]) -> str:
    return "\n".join(f"- `{helping.shown(each)}`: {each.help}" for each in arguments) + "\n"


def reasons() -> str:
    """docs/reasons.md: every code a decision can carry, with its sentence in both languages."""
    rows = [_row([f"`{code}`", fa, en]) for code, (fa, en) in SENTENCES.items()]
    return "\n".join(
        [
            _GENERATED,
            "# Reasons\n",
            "Every outcome and every refusal carries reasons: a code, which never changes, with a sentence in Persian "
            "and English, the line's number and the field's path where there is one. The words in braces are filled "
            "in.\n",
            "| code | فارسی | English |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )
