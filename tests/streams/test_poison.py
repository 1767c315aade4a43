"""What nobody can handle lands in the dead letters, as it came, and everything else goes on."""

import logging
from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from hub.bus.deadletters import MAX_ORIGINAL_BYTES
from hub.bus.producer import Outgoing
from hub.bus.rewinding import rewind
from hub.rules import deciding as rules
from schemas import codec, ids, topics
from schemas.commands import Cancel, Submit
from schemas.dates import utc_now
from schemas.master import Account
from tests.rules.world import START, line
from tests.store.company import command, disagreements, on_hand, rows, stock_of, submit, value
from tests.streams.hub import Hub, until

GOOD = submit("GOOD")
WHOLE = codec.encode(GOOD)
KEY = str(GOOD.document_id).encode()
HEADERS = (("traceparent", b"00-1-2-3"), ("empty", b""), ("bytes", b"\x00\xff"), ("twice", b"1"), ("twice", b"2"))


def changed(**fields: Any) -> bytes:
    """The good command with other top-level fields; None leaves one out."""
    raw = msgspec.json.decode(WHOLE)
    raw.update(fields)
    return msgspec.json.encode({name: value for name, value in raw.items() if value is not None})


def in_document(**fields: Any) -> bytes:
    raw = msgspec.json.decode(WHOLE)
    raw["document"].update(fields)
    return msgspec.json.encode(raw)


def in_line(**fields: Any) -> bytes:
    raw = msgspec.json.decode(WHOLE)
    raw["document"]["lines"][0].update(fields)
    return msgspec.json.encode(raw)


POISON: dict[str, tuple[bytes | None, bytes | None, str]] = {
    "no value": (KEY, None, "has no value"),
    "nothing": (KEY, b"", "truncated"),
    "bytes": (KEY, bytes(range(256)), "malformed"),
    "cut off": (KEY, WHOLE[:-10], "truncated"),
    "two values": (KEY, WHOLE + WHOLE, "trailing"),
    "not UTF-8": (KEY, WHOLE.replace(b"RAM", b"\xff\xfe\xfd"), "utf-8"),
    "a list": (KEY, b"[1,2]", "Expected `object`"),
    "an unknown command": (KEY, changed(type="explode"), "Invalid value 'explode'"),
    "no command": (KEY, changed(type=None), "type"),
    "an unknown field": (KEY, changed(surprise=1), "surprise"),
    "a field missing": (KEY, changed(command_id=None), "command_id"),
    "a field of another type": (KEY, changed(revision="1"), "Expected `int`"),
    "a float as an amount": (KEY, in_line(unit_price=1.5), "Expected `int"),
    "no number as a quantity": (KEY, in_line(quantity="many"), "decimal"),
    "an unknown kind": (KEY, in_document(kind="novel"), "novel"),
    "a day of no calendar": (KEY, in_document(date="1403-13-40"), "date"),
    "a moment without an offset": (KEY, changed(occurred_at="2024-05-01T08:00:00"), "timezone"),
    "a NUL": (KEY, in_document(note="\x00"), "NUL"),
    "nested too deep": (KEY, b'{"type":' + b"[" * 100_000, "deep"),
    "another key": (b"GOOD", WHOLE, "key must be the document id"),
    "no key": (None, WHOLE, "key must be the document id"),
    "the id of another document": (
        str(ids.document_id("shop", "OTHER")).encode(),
        changed(document_id=str(ids.document_id("shop", "OTHER"))),
        "is not the id of source",
    ),
    "a revision PostgreSQL can't hold": (KEY, changed(revision=2**40), "value out of int32 range"),
    "a moment before PostgreSQL's": (KEY, changed(recorded_at="0001-01-01T00:00:00+14:00"), "date value out of range"),
}


async def test_each_poison_lands_with_its_bytes_headers_place_and_reason(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "streams.handlers")
    before, after = submit("BEFORE"), submit("AFTER")
    await hub.send(before)
    await hub.producer.publish(
        [Outgoing(topics.COMMANDS, key, value, HEADERS, partition=0) for key, value, _ in POISON.values()]
    )
    await hub.send(after)
    async with hub.worker():
        events = await hub.decided([before, after])
        letters = await hub.dead(len(POISON))
    assert [event.type for event in events] == ["document.cleared", "document.cleared"]
    assert len(letters) == len(POISON)
    letters.sort(key=lambda letter: letter.offset)
    for letter, (name, (key, sent, reason)) in zip(letters, POISON.items(), strict=True):
        assert (letter.key, letter.value, letter.headers) == (key, sent or b"", HEADERS), name
        assert reason.lower() in letter.reason.lower(), name
        assert (letter.topic, letter.partition, letter.handler) == (hub.kafka.topic(topics.COMMANDS), 0, "decide")
        assert letter.attempts == 1
        assert utc_now() - letter.failed_at < timedelta(minutes=5)
    stood = {record.offset: record.value for record in await hub.read(topics.COMMANDS) if record.headers}
    assert {letter.offset: letter.value for letter in letters} == {at: there or b"" for at, there in stood.items()}
    assert len({letter.id for letter in letters}) == len(POISON)
    assert await rows(hub.store, "select source_id from documents order by 1") == [("AFTER",), ("BEFORE",)]
    assert {record.key for record in await hub.read(topics.DEAD_LETTERS)} == {key for key, _, _ in POISON.values()}
    assert logged(caplog, "dead letters") == {(key or b"").decode() for key, _, _ in POISON.values()}
    assert logged(caplog, "decided: Decided") == {str(before.document_id), str(after.document_id)}


def logged(caplog: pytest.LogCaptureFixture, words: str) -> set[str]:
    """The documents that lines with these words are about."""
    return {getattr(record, "document_id", "none") for record in caplog.records if words in record.getMessage()}


async def test_a_burst_of_400_among_good_ones(hub: Hub) -> None:
    """With Faust's own decoding this would block the good ones for half an hour (FAUST.md 7)."""
    good = [submit(f"G{number}") for number in range(100)]
    for number, each in enumerate(good):
        await hub.send(each)
        await hub.producer.publish(
            [Outgoing(topics.COMMANDS, b"k", f"poison {number}.{nth}".encode(), partition=nth) for nth in range(4)]
        )
    async with hub.worker() as streams:
        await hub.handled(streams, at_least=500)
        await hub.decided(good)
        letters = await hub.dead(400)
        assert streams.counters()["decide_dead"] == 400
        assert streams.counters()["decide_retries"] == 0
    assert {letter.value.decode() for letter in letters} == {
        f"poison {n}.{nth}" for n in range(100) for nth in range(4)
    }
    assert await hub.committed(topics.COMMANDS) == await hub.ends(topics.COMMANDS)
    async with hub.worker() as streams:
        last = submit("LAST")
        await hub.send(last)
        assert await hub.handled(streams, at_least=1) == 1


async def test_a_defect_in_a_rule_costs_the_record_that_hits_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    decide = rules.decide

    def broken(command: Any, *given: Any) -> Any:
        if command.source_id == "CURSED":
            raise ZeroDivisionError("what nobody thought of")
        return decide(command, *given)

    monkeypatch.setattr(rules, "decide", broken)
    commands = [submit(name, lines=(line("RAM", 1),)) for name in ("A", "CURSED", "B")]
    await hub.send(*commands)
    async with hub.worker():
        await hub.decided([commands[0], commands[2]])
        (letter,) = await hub.dead(1)
    assert letter.reason == "ZeroDivisionError: what nobody thought of"
    assert codec.decode_command(letter.value) == commands[1]
    assert await stock_of(hub.store, "RAM") == (1_000, 0, 2)
    assert await disagreements(hub.store) == []


async def test_what_postgresql_refuses_costs_the_record_it_is_in(hub: Hub) -> None:
    good = [submit(f"G{number}") for number in range(20)]
    refused = msgspec.structs.replace(submit("BAD"), revision=0)
    await hub.send(*good[:10], refused, *good[10:])
    async with hub.worker():
        await hub.decided(good)
        (letter,) = await hub.dead(1)
    assert "CheckViolationError" in letter.reason
    assert await value(hub.store, "select count(*) from documents") == 20
    assert await disagreements(hub.store) == []


async def test_a_decision_that_could_not_be_told_is_not_made(hub: Hub) -> None:
    """Its note stands four times in the event: in two languages, for the command and in the document."""
    sold = submit("A")
    endless = command(Cancel, "A", note="ن" * 1_500_000)
    later = command(Cancel, "A", nth=1, note="کوتاه")
    await hub.send(sold, endless, later)
    async with hub.worker():
        events = await hub.decided([sold, later])
        (letter,) = await hub.dead(1)
    assert [event.type for event in events] == ["document.cleared", "document.cancelled"]
    assert "too many for its topic" in letter.reason
    assert codec.decode_command(letter.value) == endless


async def test_what_is_too_large_for_a_letter_leaves_its_place(hub: Hub) -> None:
    """Kafka counts a compressed batch as it is; only so can a record be larger than its topic's limit."""
    size = MAX_ORIGINAL_BYTES + 1
    packed = AIOKafkaProducer(bootstrap_servers=hub.kafka.bootstrap, compression_type="gzip", max_request_size=2 * size)
    await packed.start()
    place = await packed.send_and_wait(hub.kafka.topic(topics.COMMANDS), b"0" * size, key=b"k", partition=0)
    await packed.stop()
    after = submit("AFTER")
    await hub.send(after)
    async with hub.worker():
        await hub.decided([after])
        (letter,) = await hub.dead(1)
    assert (letter.offset, letter.value, letter.key) == (place.offset, b"", None)
    assert f"{size + 1:,} bytes" in letter.reason


async def test_poison_among_master_data(hub: Hub) -> None:
    def master(topic: topics.Topic, value: bytes | None) -> Outgoing:
        return Outgoing(topic, b"k", value, (("from", b"books"),))

    poison = [
        master(topics.PRODUCTS, b"{"),
        master(topics.PRODUCTS, None),
        master(topics.ACCOUNTS, b'{"code": 1, "name": "x"}'),
        master(topics.WAREHOUSES, b'{"code": "W", "name": "x", "colour": "red"}'),
        master(topics.FINANCE, b'{"account": "ALI", "as_of": "2024-05-01T08:00:00Z", "direct": 9223372036854775808}'),
        master(topics.STOCK, codec.encode(on_hand("RAM", "NaN", START))),
        master(topics.STOCK, codec.encode(on_hand("RAM", "1e15", START))),
    ]
    await hub.producer.publish(poison)
    # Of another product: within a batch the last figure of a row counts, and the one before is never looked at.
    await hub.send_master(Account("AFTER", "پس از آن"), on_hand("CPU", 7, START))
    async with hub.worker():
        letters = await hub.dead(len(poison))
        await until(lambda: value(hub.store, "select count(*) from accounts where code = 'AFTER'"))
        await until(lambda: value(hub.store, "select count(*) from stock where in_books = 7"))
    kept: defaultdict[str, list[bytes]] = defaultdict(list)
    for letter in letters:
        assert (letter.handler, letter.headers) == ("master", (("from", b"books"),))
        kept[letter.topic].append(letter.value)
    sent: defaultdict[str, list[bytes]] = defaultdict(list)
    for each in poison:
        sent[hub.kafka.topic(each.topic)].append(each.value or b"")
    assert kept == sent


async def test_the_same_failure_twice_is_one_letter_twice(hub: Hub) -> None:
    """A worker that died between burying and acking buries the same record again."""
    await hub.producer.publish([Outgoing(topics.COMMANDS, b"k", b"poison", partition=1)])
    async with hub.worker():
        first = await hub.dead(1)
    await rewind(hub.kafka, hub.group, [topics.COMMANDS], None)
    async with hub.worker():
        await until(lambda: was_buried(hub, times=2))
    (letter,) = await hub.letters()
    assert letter.id == first[0].id


async def was_buried(hub: Hub, times: int) -> bool:
    return [letter.attempts for letter in await hub.letters()] == [times]


def test_the_good_command_is_good() -> None:
    assert codec.decode_command(WHOLE) == GOOD
    assert isinstance(codec.decode_command(changed(command_id=str(uuid4()))), Submit)
    assert UUID(KEY.decode()) == GOOD.document_id
