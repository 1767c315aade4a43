"""Every rule is seen to bite: the sample connector keeps them all, and each broken copy fails its own and no other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import samples
from tests.conformance.rules import RULES
from tests.conformance.samples import Change, Sample, Written
from tests.conformance.stage import Broken, Stage
from tests.conformance.surroundings import Memory

BROKEN = samples.broken()
SOON: Mapping[str, float] = {"patience": 2.0, "stop_seconds": 1.0}
"""What is broken is to be seen soon; what isn't may take its time on a loaded machine."""


async def failed(
    package: str, elsewhere: Mapping[str, Mapping[str, Any]], directory: Path, soon: str = ""
) -> dict[str, str]:
    """The rules a copy of the sample fails, each with what it says; ``soon`` is the one it is to fail."""
    subject = samples.subject(package)
    found = {}
    for rule in RULES.values():
        folder = directory / rule.name
        folder.mkdir()
        known, limits = elsewhere[f"{package}.conformance"], SOON if rule.name == soon else {}
        try:
            await rule.check(Stage(subject, Memory(), folder, known, **limits))
        except Broken as broken:
            found[rule.name] = str(broken)
    return found


async def test_the_sample_keeps_every_rule(elsewhere: Mapping[str, Mapping[str, Any]], tmp_path: Path) -> None:
    assert all(rule.concerns(samples.subject(samples.GOOD)) for rule in RULES.values())
    assert await failed(samples.GOOD, elsewhere, tmp_path) == {}


@pytest.mark.parametrize("sample", BROKEN, ids=lambda sample: sample.name)
async def test_a_broken_copy_fails_its_rule_and_no_other(
    sample: Sample, elsewhere: Mapping[str, Mapping[str, Any]], tmp_path: Path
) -> None:
    found = await failed(sample.package, elsewhere, tmp_path, sample.rule)
    assert set(found) == {sample.rule}, found


def test_every_rule_has_a_broken_copy_and_every_broken_copy_a_rule() -> None:
    assert {sample.rule for sample in BROKEN} == set(RULES)
    assert all(len(sample.written.why.split()) >= 3 for sample in BROKEN)


def test_a_change_that_does_not_fit_fails(tmp_path: Path) -> None:
    change = Change("till/mapper.py", "no such text", "")
    with pytest.raises(ValueError, match="has 0 times"):
        Sample("x", "x", Written("why", [change])).copy(tmp_path)
