"""Where a configuration's values come from: lines of a TOML file, and environment variables."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from hub.runtime.problems import ConfigError, Problem

KeyPath = tuple[str | int, ...]
"""A value's way from the root: ``("rules", "rates", 0, "since")``."""

_NAME = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_NAMES = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_NAMES})\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(rf"\s*({_NAMES})\s*=")
_QUOTES = re.compile(r"""\"{3}|'{3}""")
_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")


class Origin:
    """The file a configuration was read from (None: none was) and the environment it was completed from."""

    def __init__(self, file: Path | None, lines: Mapping[KeyPath, int], environment: Mapping[str, str]) -> None:
        self.file = file
        self.environment = environment
        self.variables: dict[KeyPath, str] = {}
        """Which values an environment variable set."""
        self._lines = lines

    @property
    def directory(self) -> Path:
        """What relative paths in the configuration are relative to."""
        return self.file.parent if self.file else Path()

    def where(self, path: KeyPath) -> str:
        """The environment variable, or the file with the line of the nearest key on the way to ``path``."""
        for length in range(len(path), 0, -1):
            if variable := self.variables.get(path[:length]):
                return variable
            if line := self._lines.get(path[:length]):
                return f"{self.file}:{line}"
        return str(self.file) if self.file else "built-in configuration"


def read_toml(file: Path, environment: Mapping[str, str]) -> tuple[dict[str, Any], Origin]:
    """The file's tables, fractions as Decimal, and where each key stands.

    Raises:
        ConfigError: it isn't there, can't be read, or is no TOML.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError([Problem(str(file), "", "file_missing", "name_file")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(file), "", "not_utf8", "save_utf8")]) from None
    except OSError as error:
        why = {"why": error.strerror or str(error)}
        raise ConfigError([Problem(str(file), "", "file_unreadable", "permit_file", why)]) from None
    try:
        tables = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        where = f"{file}:{found[1]}" if found else str(file)
        why = {"why": _AT_LINE.sub("", str(error))}
        raise ConfigError([Problem(where, "", "toml_syntax", "mend_line", why)]) from None
    return tables, Origin(file, _lines_of_keys(text), environment)


def _lines_of_keys(text: str) -> dict[KeyPath, int]:
    """The line (from 1) on which each table and key first stands. The text is known to be valid TOML."""
    lines: dict[KeyPath, int] = {}
    arrays: dict[KeyPath, int] = {}
    table: KeyPath = ()
    quotes = ""
    for number, line in enumerate(text.split("\n"), 1):
        inside, quotes = quotes, _open_quotes(line, quotes)
        if inside:
            continue
        if header := _HEADER.fullmatch(line.rstrip("\r")):
            table = _indexed(_names(header[2]), arrays, new=header[1] == "[[")
            for length in range(1, len(table) + 1):
                lines.setdefault(table[:length], number)
        elif key := _KEY.match(line):
            names = table + _names(key[1])
            for length in range(len(table) + 1, len(names) + 1):
                lines.setdefault(names[:length], number)
    return lines


def _open_quotes(line: str, quotes: str) -> str:
    """The quotes of a string of several lines that is still open after a line."""
    for found in _QUOTES.findall(line):
        if not quotes:
            quotes = found
        elif found == quotes:
            quotes = ""
    return quotes


def _indexed(names: KeyPath, arrays: dict[KeyPath, int], *, new: bool) -> KeyPath:
    """A table's path with the index of each array of tables it stands in."""
    path: KeyPath = ()
    for position, name in enumerate(names):
        path = (*path, name)
        if new and position == len(names) - 1:
            arrays[path] = arrays.get(path, -1) + 1
        if path in arrays:
            path = (*path, arrays[path])
    return path


def _names(dotted: str) -> KeyPath:
    try:
        return tuple(_walk(tomllib.loads(f"{dotted} = 0")))
    except tomllib.TOMLDecodeError:
        return ()


def _walk(table: object) -> Iterator[str]:
    while isinstance(table, dict):
        name, table = next(iter(table.items()))
        yield name


def dotted(path: KeyPath) -> str:
    """``rules.rates[0].since``; names that need it are quoted, as in the file."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            text += f".{name}" if text else name
    return text
