"""The status page's files, as they are: nothing of others', nothing that could become markup, no word amiss."""

import re

import pytest

from hub.api.pages import DIRECTORY, FILES

HTML = (DIRECTORY / "status.html").read_text(encoding="utf-8")
SCRIPT = (DIRECTORY / "status.js").read_text(encoding="utf-8")
WORDS = re.findall(r"^  (\w+): \[", SCRIPT[SCRIPT.index("const WORDS") : SCRIPT.index("const STATES")], re.MULTILINE)


def test_the_folder_holds_what_is_served() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_asks_nobody_else_for_anything(name: str) -> None:
    text = (DIRECTORY / name).read_text(encoding="utf-8")
    assert set(re.findall(r"(?:https?:)?//[\w.-]+\.[\w/.-]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_no_script_or_style_stands_in_the_markup() -> None:
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script>", HTML)


def test_no_text_is_made_markup() -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\(", SCRIPT
    )


def test_every_word_of_the_markup_is_known() -> None:
    asked = re.findall(r'data-words(?:-label|-placeholder)?="(\w+)"', HTML)
    assert asked
    assert set(asked) <= set(WORDS)


def test_every_word_has_both_languages_and_a_use() -> None:
    assert len(WORDS) == len(set(WORDS)) > 60
    used = set(re.findall(r'"(\w+)"', SCRIPT + HTML)) | {"live", "lost", "locked", "connecting"}
    verdicts = {f"health_{verdict}{more}" for verdict in ("ok", "failing", "unknown") for more in ("", "_more")}
    assert set(WORDS) - verdicts <= used
