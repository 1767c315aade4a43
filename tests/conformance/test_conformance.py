"""Every connector there is, held to every rule that concerns it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from connectors.base import ConnectorKind
from schemas.secret import Secret
from tests.conformance import kinds, samples
from tests.conformance.harness import Fault, Part, World
from tests.conformance.kinds import Nobody, Subject
from tests.conformance.rules import RULES, Rule
from tests.conformance.stage import Broken, Stage
from tests.conformance.surroundings import Memory, Real
from tests.conformance.waivers import WAIVERS

KINDS = kinds.every()
SUBJECTS = [*kinds.driven(), samples.subject(samples.GOOD)]


def test_there_are_connectors_and_finding_none_fails() -> None:
    assert KINDS
    with pytest.raises(Nobody, match="no connector"):
        kinds.subjects({})


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_how_it_is_driven(kind: str) -> None:
    assert all(subject.adapter.fixtures() for subject in kinds.subjects_of(KINDS[kind]))


def test_a_connector_without_adapter_fails() -> None:
    files = KINDS["files"]
    with pytest.raises(Nobody, match="stranger has no"):
        kinds.subjects_of(ConnectorKind("stranger", files.spec, files.connector, files.readme))


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
async def test_what_it_does_without_is_said_and_true(subject: Subject, tmp_path: Path) -> None:
    without = subject.adapter.without
    assert all(reason.strip() for reason in without.values())
    async with subject.adapter.world(tmp_path) as world:
        values = [getattr(world.spec, name) for name in world.spec.__struct_fields__]
        has_login = any(isinstance(value, Secret) for value in values)
        assert not (has_login and Part.LOGIN in without), "it has a secret, so it has a login"
        assert Part.LOGIN in without or world.wrong is not None, "the world gives no spec with wrong credentials"
        does = type(world)
        assert Part.TAKING not in without or does.produce is World.produce, "it takes in what the world produces"
        assert Part.OUTAGE not in without or does.away is World.away, "it can go away"
        assert set(Fault) - set(without) or does.fault is World.fault, "it can answer faults"
    if Part.TAKING in without and subject.kind.spec.emits:
        assert subject.kind.receiver is not None, "it emits something and neither takes it in nor is called"


@pytest.mark.parametrize(
    ("subject", "rule"),
    [
        pytest.param(subject, rule, id=f"{subject.name}-{rule.name}")
        for subject in SUBJECTS
        for rule in RULES.values()
        if rule.concerns(subject)
    ],
)
async def test_it_keeps_the_rule(
    subject: Subject, rule: Rule, real: Real, elsewhere: Mapping[str, Mapping[str, Any]], tmp_path: Path
) -> None:
    stage = Stage(subject, real, tmp_path, elsewhere.get(type(subject.adapter).__module__, {}))
    await hold(stage, rule, waived=rule.name in WAIVERS.get(subject.name, {}))


async def hold(stage: Stage, rule: Rule, *, waived: bool) -> None:
    """Hold a connector to a rule; one that is waived must not be kept. Raises Broken."""
    if not waived:
        await rule.check(stage)
        return
    try:
        await rule.check(stage)
    except Exception:
        return
    raise Broken(f"waivers.py: {stage.subject.name} keeps {rule.name} by now; take its waiver out")


async def test_a_waiver_of_what_holds_by_now_is_seen(copies: Path, tmp_path: Path) -> None:
    good = Stage(samples.subject(samples.GOOD), Memory(), tmp_path, {})
    with pytest.raises(Broken, match=r"waivers\.py: till keeps mapper_is_pure by now"):
        await hold(good, RULES["mapper_is_pure"], waived=True)
    impure = next(sample for sample in samples.broken() if sample.rule == "mapper_is_pure")
    broken = Stage(samples.subject(impure.package), Memory(), tmp_path, {})
    await hold(broken, RULES["mapper_is_pure"], waived=True)
    with pytest.raises(Broken):
        await hold(broken, RULES["mapper_is_pure"], waived=False)


def stale(waivers: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Waivers of no connector, of no rule, of a rule that isn't asked, or without a reason."""
    concerned = {subject.name: {r.name for r in RULES.values() if r.concerns(subject)} for subject in SUBJECTS}
    return [
        f"{kind}: {rule}"
        for kind, rules in waivers.items()
        for rule, reason in rules.items()
        if rule not in concerned.get(kind, set()) or not reason.strip()
    ]


def test_waivers_are_of_connectors_and_rules_there_are() -> None:
    assert stale(WAIVERS) == []


@pytest.mark.parametrize(
    "waivers",
    [
        {"stranger": {"mapper_is_pure": "why"}},
        {"files": {"no_such_rule": "why"}},
        {"files": {"receiver_survives_anything": "it has no receiver"}},
        {"files": {"mapper_is_pure": " "}},
    ],
)
def test_a_waiver_of_nothing_is_seen(waivers: Mapping[str, Mapping[str, str]]) -> None:
    assert len(stale(waivers)) == 1


def test_every_rule_says_what_it_holds_and_why() -> None:
    for rule in RULES.values():
        assert len((rule.check.__doc__ or "").split()) >= 15, rule.name


def test_every_fault_is_expected_as_something() -> None:
    from tests.conformance.rules.speech import OURS

    assert set(OURS) == set(Fault)
