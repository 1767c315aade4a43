"""T-SQL text as tokens, and scripts as batches."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from connectors.hesabgar.simulator.errors import SqlError, syntax

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
  | (?P<comment>/\*)
  | (?P<text>[Nn]?')
  | (?P<quoted>")
  | (?P<bracket>\[)
  | (?P<hex>0[xX][0-9A-Fa-f]*)
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<variable>@@?[\w@#$]+)
  | (?P<word>[^\W\d][\w@#$]*|\#\#?[\w@#$]+)
  | (?P<operator><>|!=|>=|<=|!<|!>|\+=|-=|\*=|/=|::|[-+*/%=<>(),.;&|^~])
    """,
    re.VERBOSE,
)

_SEPARATOR: Final = re.compile(r"^[ \t]*GO[ \t]*(?:--.*)?$", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True, frozen=True)
class Token:
    """``kind`` is word, name (quoted), variable, string, number, hex, operator or end; ``start``, ``end`` its place."""

    kind: str
    text: str
    value: object
    line: int
    start: int
    end: int

    @property
    def key(self) -> str:
        """A keyword's word, in lower case; empty for anything that can't be a keyword."""
        return self.text.lower() if self.kind in ("word", "operator") else ""


def batches(script: str) -> list[str]:
    """A script's batches, which lines of nothing but GO separate; empty ones are left out."""
    return [batch for batch in _SEPARATOR.split(script) if batch.strip()]


def _ending(text: str, start: int, closing: str) -> tuple[str, int]:
    """What is between quotes, and where it ends; a doubled closing quote stands for itself."""
    at = start
    while True:
        end = text.find(closing, at)
        if end < 0:
            raise SqlError(
                105, f"Unclosed quotation mark after the character string '{text[start : start + 40]}'.", severity=15
            )
        if text.startswith(closing, end + 1):
            at = end + 2
            continue
        return text[start:end].replace(closing * 2, closing), end + 1


def _comment_end(text: str, start: int) -> int:
    depth, at = 1, start
    while depth:
        close = text.find("*/", at)
        if close < 0:
            raise SqlError(113, "Missing end comment mark '*/'.", severity=15)
        opened = text.find("/*", at)
        if 0 <= opened < close:
            depth, at = depth + 1, opened + 2
        else:
            depth, at = depth - 1, close + 2
    return at


def tokens(text: str, *, quoted_identifiers: bool = True) -> list[Token]:
    """The text's tokens, an end token last. Raises :class:`SqlError` 102, 105 or 113."""
    found: list[Token] = []
    at, line = 0, 1
    size = len(text)
    match_at = _TOKEN.match
    while at < size:
        match = match_at(text, at)
        if match is None:
            error = syntax(text[at])
            error.line = line
            raise error
        kind = match.lastgroup
        end = match.end()
        body: object = match.group()
        word = match.group()
        match kind:
            case "space":
                line += word.count("\n")
                at = end
                continue
            case "comment":
                close = _comment_end(text, end)
                line += text.count("\n", at, close)
                at = close
                continue
            case "text":
                body, end = _ending(text, end, "'")
                kind = "string"
            case "quoted":
                body, end = _ending(text, end, '"')
                word, kind = str(body), "name" if quoted_identifiers else "string"
            case "bracket":
                body, end = _ending(text, end, "]")
                word, kind = str(body), "name"
            case "hex":
                digits = word[2:]
                body = bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)
            case "number":
                body = float(word) if "e" in word.lower() else Decimal(word) if "." in word else int(word)
            case _:
                pass
        found.append(Token(str(kind), word, body, line, at, end))
        line += text.count("\n", at, end)
        at = end
    found.append(Token("end", "", None, line, size, size))
    return found
