"""Payloads in, events out: recorded ones, spoilt ones, the same one again."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import zip_longest
from typing import Any

import msgspec

from schemas import codec, topics
from schemas.visits import Visit
from tests.conformance.harness import NOW, Fixture, Mapped, Part, told
from tests.conformance.record import come_to
from tests.conformance.rules.registry import rule
from tests.conformance.stage import Broken, Stage, require

LATER = NOW + timedelta(days=40, hours=5)


@rule(by_text=True)
async def fixtures_tell_everything(stage: Stage) -> None:
    """Recorded payloads come to exactly what stands beside them; each type of `Spec.emits` is seen, and no other; of a
    payload that leads to nothing it is said, with the reason. So a change of the mapper is a change one can read."""
    adapter, emits = stage.adapter, stage.subject.kind.spec.emits
    fixtures = adapter.fixtures()
    require(fixtures, "there is no fixture")
    seen: set[type[msgspec.Struct]] = set()
    for fixture in fixtures:
        mapped = come_to(adapter, fixture.name, fixture.payload)
        types = {type(event) for event in mapped.events}
        for undeclared in types - emits:
            raise Broken(f"{fixture.name} comes to a {undeclared.__name__}, which Spec.emits doesn't declare")
        seen |= types
        _compare(fixture, mapped)
    missing = sorted(each.__name__ for each in emits - seen)
    require(not missing, f"no fixture comes to {', '.join(missing)}")
    silent = any("nothing" in fixture.expected for fixture in fixtures)
    require(silent or Part.NOTHING in adapter.without, "no fixture leads to nothing, and `without` doesn't say why")


def _compare(fixture: Fixture, mapped: Mapped) -> None:
    found, expected = told(mapped), fixture.expected
    if "nothing" in expected:
        require(str(expected["nothing"]).strip(), f"{fixture.name} leads to nothing and doesn't say why")
        require(not any(found.values()), f"{fixture.name} is to lead to nothing and comes to {_shown(found)}")
        return
    require(any(found.values()) or any(expected.values()), f'{fixture.name} leads to nothing: say {{"nothing": "why"}}')
    for key in ("events", "refused"):
        for wanted, got in zip_longest(expected[key], found[key]):
            require(wanted == got, f"{fixture.name}: {key} are to have {_shown(wanted)} and have {_shown(got)}")


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:2_000]


@rule(by_text=True)
async def spoilt_payloads_are_refused(stage: Stage) -> None:
    """A payload that is cut, has a field too few, too many or of another type ends as a refusal or as UnknownPayload,
    and what is said all the same can be read again from the topic: whatever comes, the rest goes on."""
    tried = 0
    for fixture, how, payload in _spoilt(stage):
        tried += 1
        try:
            mapped = come_to(stage.adapter, fixture.name, payload)
        except Exception as error:
            raise Broken(f"{fixture.name}, {how}: {error!r}") from error
        for event in mapped.events:
            _is_readable(event, f"{fixture.name}, {how}")
        require(all(sentence.strip() for sentence in mapped.refused), f"{fixture.name}, {how}: refused without a word")
    require(tried >= 20 * len(stage.adapter.fixtures()), f"only {tried} spoilt payloads were tried")


def _spoilt(stage: Stage) -> Iterator[tuple[Fixture, str, bytes]]:
    for fixture in stage.adapter.fixtures():
        for how, payload in stage.adapter.mutations(fixture):
            yield fixture, how, payload


def _is_readable(event: Any, where: str) -> None:
    try:
        value = codec.encode(event)
        codec.decode_command(value) if hasattr(event, "command_id") else codec.decode_as(value, type(event))
    except (codec.Undecodable, UnicodeError, ValueError) as error:
        raise Broken(f"{where}: {event!r} can't be read from the topic: {error}") from error


@rule(by_text=True)
async def no_float_reaches_an_event(stage: Stage) -> None:
    """Money is whole rials and quantities are Decimal, however the other side writes its numbers (DESIGN.md)."""
    payloads = [(fixture, "as recorded", fixture.payload) for fixture in stage.adapter.fixtures()]
    for fixture, how, payload in (*payloads, *_spoilt(stage)):
        try:
            mapped = come_to(stage.adapter, fixture.name, payload)
        except Exception:
            continue
        for event in mapped.events:
            for path, value in _values(event):
                require(
                    not isinstance(value, float | complex),
                    f"{fixture.name}, {how}: {type(event).__name__}{path} is {value!r}",
                )


def _values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    match value:
        case msgspec.Struct():
            for name in value.__struct_fields__:
                yield from _values(getattr(value, name), f"{path}.{name}")
        case Mapping():
            for key, each in value.items():
                yield from _values(each, f"{path}[{key!r}]")
        case list() | tuple() | set() | frozenset():
            for number, each in enumerate(value):
                yield from _values(each, f"{path}[{number}]")
        case _:
            yield path, value


@rule(by_text=True)
async def ids_are_derived(stage: Stage) -> None:
    """The same payload gives the same ids, whenever it is read (DESIGN.md): so a repeat counts once."""
    for fixture in stage.adapter.fixtures():
        first = [_identity(event) for event in come_to(stage.adapter, fixture.name, fixture.payload).events]
        again = [_identity(event) for event in come_to(stage.adapter, fixture.name, fixture.payload, LATER).events]
        require(first == again, f"{fixture.name} has the ids {first} and, read later, {again}")


def _identity(event: Any) -> str:
    return f"{type(event).__name__} {identity(event)}"


def identity(event: Any) -> str:
    """What makes an event the same event: a command's id, a visit's, a master record's key."""
    if hasattr(event, "command_id"):
        return f"{event.document_id}/{event.command_id}"
    return str(event.id) if isinstance(event, Visit) else topics.master_key(event).decode()


@rule(by_text=True)
async def mapper_is_repeatable(stage: Stage) -> None:
    """The same payload at the same time gives the same, also after others, and in another process with another hash
    seed: nothing of it comes from what was before, or from the order of a set."""
    for fixture in stage.adapter.fixtures():
        come_to(stage.adapter, fixture.name, fixture.payload)
        first = told(come_to(stage.adapter, fixture.name, fixture.payload, LATER))
        again = told(come_to(stage.adapter, fixture.name, fixture.payload, LATER))
        require(first == again, f"{fixture.name} comes to {_shown(first)} and then to {_shown(again)}")
        elsewhere = stage.elsewhere[fixture.name]
        require(first == elsewhere, f"{fixture.name} comes to {_shown(first)}, in a new process to {_shown(elsewhere)}")
