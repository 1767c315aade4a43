"""The table of reasons: every code used, every sentence whole in both languages."""

import ast
import string
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.commands import AnyCommand
from schemas.documents import Kind, State
from schemas.reasons import PERSIAN, SENTENCES, reason

ROOT = Path(__file__).parents[2]
NAMES = {"state", "command", "old", "new"}
"""Placeholders that name a state, kind or command."""


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_says_the_same_in_both_languages(code: str) -> None:
    fa, en = SENTENCES[code]
    assert placeholders(fa) == placeholders(en)
    data: dict[str, object] = {name: State.HELD if name in NAMES else "X" for name in placeholders(fa)}
    told = reason(code, line=3, at="lines[2].x", **data)
    assert (told.code, told.line, told.field) == (code, 3, "lines[2].x")
    for sentence in (told.fa, told.en):
        assert sentence.count("X") >= len(data.keys() - NAMES)
        assert "{" not in sentence
        assert not sentence.endswith(".")
    assert "held" not in told.fa
    assert any("\u0600" <= character <= "\u06ff" for character in told.fa)
    assert told.en.isascii()


def strings(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_code_is_used_somewhere() -> None:
    sources = [
        path
        for room in ("schemas", "hub", "streams", "connectors")
        for path in (ROOT / room).rglob("*.py")
        if path != ROOT / "schemas" / "reasons.py"
    ]
    used = set().union(*map(strings, sources))
    assert SENTENCES.keys() - used == set()


def test_whole_numbers_are_grouped_and_nothing_else_is() -> None:
    told = reason("return_too_much", product=1_000_000, left="1000", wanted=Decimal("2500.5"))
    assert told.en == "1,000,000: at most 1000 can be returned, 2500.5 asked"


def test_states_kinds_and_commands_are_told_in_the_readers_language() -> None:
    told = reason("wrong_state", state=State.POST_FAILED, command="cancel")
    assert told.en == "the document is post_failed; cancel isn't possible"
    assert told.fa == "سند در وضعیت ثبت ناموفق در حسابگر است؛ لغو ممکن نیست"


def test_every_state_kind_and_command_has_a_persian_name_of_its_own() -> None:
    commands = {each.__struct_config__.tag for each in AnyCommand.__args__}
    assert PERSIAN.keys() == {*State, *Kind, *commands}
    assert len(set(PERSIAN.values())) == len(PERSIAN)


def test_braces_in_what_is_quoted_stay_as_they_are() -> None:
    assert reason("cancelled", note="{0} {x!r}").en == "cancelled: {0} {x!r}"


def test_a_code_that_is_not_in_the_table_is_a_defect() -> None:
    with pytest.raises(KeyError):
        reason("no_such_code")
