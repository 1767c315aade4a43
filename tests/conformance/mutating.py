"""A payload spoilt systematically: cut, each field removed, of another type, one too many."""

import copy
import csv
import io
import json
from collections.abc import Iterator
from typing import Any

OTHERS: tuple[Any, ...] = (
    None,
    True,
    -1,
    12.5,
    10**30,
    "",
    "x",
    "-1",
    "1e999999",
    "NaN",
    "a\u0000b",
    "\ud800",
    [],
    [[]],
    {},
    {"x": {}},
)
"""Values of every type, odd ones among them, put in the place of each field in turn."""
CUTS = 12
UNKNOWN = "zz_unknown"


def mutations(payload: bytes) -> Iterator[tuple[str, bytes]]:
    """Each spoilt payload with a name that says how."""
    yield from cuts(payload)
    yield from garbage(payload)
    values = _json(payload)
    if values is not None:
        for how, value in of_values(values[0]):
            yield how, _encoded(value)
    elif lines := _json_lines(payload):
        yield from _of_lines(lines)
    elif _is_text(payload):
        yield from of_csv(payload)


def cuts(payload: bytes) -> Iterator[tuple[str, bytes]]:
    """Its beginnings, of several lengths."""
    lengths = {len(payload) * part // CUTS for part in range(CUTS)} | {1, max(len(payload) - 1, 0)}
    for length in sorted(lengths):
        yield f"cut after {length} bytes", payload[:length]


def garbage(payload: bytes) -> Iterator[tuple[str, bytes]]:
    """Bytes that are no text, in front, within, and in its place."""
    middle = len(payload) // 2
    yield "bytes that are no text", b"\xff\xfe\x00\x80" * 16
    yield "bytes that are no text in front", b"\xff\xff" + payload
    yield "bytes that are no text within", payload[:middle] + b"\xff\x00" + payload[middle:]
    yield "nested too deep", b"[" * 5_000
    yield "twice in a row", payload + payload
    yield "a page of HTML", b"<!doctype html><html><body>Bad gateway</body></html>"


def of_values(value: Any) -> Iterator[tuple[str, Any]]:
    """A JSON value with one place changed, for every place."""
    for other in OTHERS:
        yield f"{_shown(other)} instead of all", other
    for path in list(_paths(value)):
        name = "".join(f"[{step!r}]" for step in path)
        yield f"without {name}", _changed(value, path, None, remove=True)
        for other in OTHERS:
            yield f"{_shown(other)} at {name}", _changed(value, path, other)
    for path in [(), *_paths(value)]:
        if isinstance(_at(value, path), dict):
            yield f"unknown field at {path}", _changed(value, (*path, UNKNOWN), "x")


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    match value:
        case dict():
            steps: list[Any] = list(value)
        case list():
            steps = list(range(min(len(value), 2)))
        case _:
            return
    for step in steps:
        yield (*before, step)
        yield from _paths(value[step], (*before, step))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _changed(value: Any, path: tuple[Any, ...], other: Any, *, remove: bool = False) -> Any:
    changed = copy.deepcopy(value)
    parent = _at(changed, path[:-1])
    if remove:
        del parent[path[-1]]
    else:
        parent[path[-1]] = other
    return changed


def _shown(value: Any) -> str:
    return json.dumps(value)[:20]


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def _json(payload: bytes) -> tuple[Any] | None:
    try:
        return (json.loads(payload),)
    except (ValueError, RecursionError):
        return None


def _json_lines(payload: bytes) -> list[Any]:
    values = [_json(line) for line in payload.splitlines() if line.strip()]
    return [value[0] for value in values if value is not None] if any(values) and payload.lstrip()[:1] == b"{" else []


def _of_lines(lines: list[Any]) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(lines[:3]):
        for how, value in of_values(line):
            changed = [*lines[:number], value, *lines[number + 1 :]]
            yield f"line {number + 1}: {how}", b"\n".join(_encoded(each) for each in changed)


def _is_text(payload: bytes) -> bool:
    try:
        return b"\x00" not in payload and bool(payload.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return False


def of_csv(payload: bytes) -> Iterator[tuple[str, bytes]]:
    """Tables with a cell changed, a column gone or added, for every column."""
    text = payload.decode("utf-8-sig")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    table = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    if len(table) < 2:
        return
    for column, heading in enumerate(table[0]):
        yield f"without column {heading}", _table([_without(row, column) for row in table], delimiter)
        for other in OTHERS:
            cell = other if isinstance(other, str) else json.dumps(other)
            changed = [list(row) for row in table]
            changed[1][column : column + 1] = [cell]
            yield f"{_shown(other)} in {heading}", _table(changed, delimiter)
    yield "unknown column", _table([[*row, UNKNOWN] for row in table], delimiter)
    yield "a cell too many", _table([table[0], [*table[1], "x"], *table[2:]], delimiter)


def _without(row: list[str], column: int) -> list[str]:
    return [*row[:column], *row[column + 1 :]]


def _table(rows: list[list[str]], delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")
