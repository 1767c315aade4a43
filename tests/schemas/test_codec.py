"""What goes on the wire comes back the same; what isn't ours is refused in words, whatever the bytes."""

import contextlib
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.commands import (
    Amend,
    AnyCommand,
    Approve,
    Cancel,
    Command,
    Expire,
    PostingFailed,
    PostingStarted,
    PostingSucceeded,
    Reconsider,
    Refuse,
    Release,
    Submit,
)
from schemas.deadletters import DeadLetter
from schemas.documents import DocumentRequest, Kind, LineRequest
from schemas.ids import derive, document_id
from schemas.master import Stock
from schemas.topics import all_topics
from tests.properties import PROPERTY
from tests.rules.world import START, World, line

DOCUMENT = document_id("shop", "A")
ENVELOPE: dict[str, Any] = {
    "command_id": derive(DOCUMENT, "x"),
    "document_id": DOCUMENT,
    "source": "shop",
    "source_id": "A",
    "revision": 1,
    "occurred_at": START,
    "recorded_at": START,
    "actor": "فروشگاه",
}
REQUEST = DocumentRequest(
    "A", Kind.SALES_INVOICE, date(2024, 3, 20), "ALI", (LineRequest("RAM", Decimal("2.50000"), unit_price=10**18),)
)
COMMANDS: list[Command] = [
    Submit(**ENVELOPE, document=REQUEST),
    Amend(**ENVELOPE, document=REQUEST),
    Approve(**ENVELOPE, note="باشد"),
    Refuse(**ENVELOPE),
    Cancel(**ENVELOPE, note="\x1f\u2028«»"),
    Release(**ENVELOPE, note="بار رفت"),
    Expire(**ENVELOPE, due=START),
    Reconsider(**ENVELOPE, trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    PostingStarted(**ENVELOPE),
    PostingSucceeded(**ENVELOPE, number="24", posted_at=START),
    PostingFailed(**ENVELOPE, message="دوره بسته است", error_number=50001),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_every_command_comes_back_equal(command: AnyCommand) -> None:
    assert codec.decode_command(codec.encode(command)) == command


def test_every_command_there_is_was_tried() -> None:
    assert {type(command) for command in COMMANDS} == set(AnyCommand.__args__)


def test_events_and_documents_come_back_equal() -> None:
    world = World(approval=True)
    submitted = world.submit(note="یادداشت", lines=(line("RAM", "2.5"), line("BOOK", 1)))
    refused = world.do(Reconsider)
    for event in (submitted, refused, world.do(Approve)):
        assert codec.decode_event(codec.encode(event)) == event
        assert event.document is not None
        assert codec.decode_document(codec.encode(event.document)) == event.document
        whole, document = codec.encode_event(event)
        assert codec.decode_event(whole) == event
        assert document is not None
        assert codec.decode_document(document) == event.document


def test_an_event_without_a_document_has_no_document_to_publish() -> None:
    event = World().do(Approve)
    whole, document = codec.encode_event(event)
    assert document is None
    assert codec.decode_event(whole) == event


def test_quantities_travel_as_text_and_rials_as_whole_numbers() -> None:
    sent = json.loads(codec.encode(COMMANDS[0]))
    assert sent["document"]["lines"] == [{"product": "RAM", "quantity": "2.50000", "unit_price": 10**18}]


def test_bytes_travel_as_base64() -> None:
    letter = DeadLetter(
        "1", "documents.commands", 0, 7, "x", "y", START, value=b"\x00\xff", key=None, headers=(("a", b"\xfe"),)
    )
    assert codec.decode_as(codec.encode(letter), DeadLetter) == letter


def altered(**changes: Any) -> bytes:
    """The first command's JSON with fields of the envelope changed; ``...`` takes one out."""
    sent = json.loads(codec.encode(COMMANDS[0])) | changes
    return json.dumps({name: value for name, value in sent.items() if value is not ...}).encode()


def with_line(**changes: Any) -> bytes:
    sent = json.loads(codec.encode(COMMANDS[0]))
    sent["document"]["lines"][0].update(changes)
    return json.dumps(sent).encode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "truncated"),
        (b"null", "Expected `object`"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `type`"),
        (b"\xff\xfe\x00", "malformed"),
        (b'{"type":"\xff"}', "utf-8"),
        (b'{"type":"\\ud800"}', "truncated"),
        (altered(type="explode"), "Invalid value 'explode'"),
        (altered(source=...), "missing required field `source`"),
        (altered(colour="red"), "unknown field `colour`"),
        (altered(document_id="A"), "Invalid UUID"),
        (altered(revision=1.0), "`int`, got `float`"),
        (altered(revision="1"), "`int`, got `str`"),
        (altered(revision=True), "`int`, got `bool`"),
        (altered(occurred_at="2024-05-01T08:00:00"), "timezone"),
        (altered(occurred_at=1714550400), "`datetime`, got `int`"),
        (altered(source="a\x00b"), "NUL"),
        (with_line(colour="red"), r"unknown field `colour` - at `\$.document.lines\[0\]`"),
        (with_line(unit_price=1000.0), r"`int \| null`, got `float` - at `\$.document.lines\[0\].unit_price`"),
        (with_line(unit_price=0.1), "got `float`"),
        (with_line(unit_price=1e19), "got `float`"),
        (with_line(discount=1.5), "`int`, got `float`"),
        (with_line(vat=0.0), "got `float`"),
        (with_line(unit_price="1000"), "got `str`"),
        (with_line(quantity="two"), "Invalid decimal"),
        (with_line(quantity=None), "got `null`"),
        (with_line(product="a\x00"), "NUL"),
        (b'{"type":' + b"[" * 200_000, "nested too deep"),
        (b'{"a":' + b'{"a":' * 200_000, "nested too deep"),
    ],
)
def test_what_is_no_command_is_refused_in_words(data: bytes, says: str) -> None:
    with pytest.raises(codec.Undecodable, match=says):
        codec.decode_command(data)


def test_an_escaped_backslash_is_no_nul() -> None:
    command = Cancel(**ENVELOPE, note=r"C:\u0000 and \\u0000")
    assert codec.decode_command(codec.encode(command)) == command


@pytest.mark.parametrize(
    "decode", [codec.decode_event, codec.decode_document, lambda data: codec.decode_as(data, Stock)]
)
@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"type":"\xff"}', b'{"a":' + b"[" * 200_000])
def test_what_is_nothing_of_ours_is_refused_by_every_decoder(decode: Any, data: bytes) -> None:
    with pytest.raises(codec.Undecodable):
        decode(data)


@PROPERTY
@given(st.data())
def test_no_damage_to_a_message_does_more_than_make_it_undecodable(data: st.DataObject) -> None:
    whole = bytearray(codec.encode(data.draw(st.sampled_from(COMMANDS))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(codec.Undecodable):
        codec.decode_command(bytes(whole))


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    tehran = codec.decode_command(altered(occurred_at="2024-05-01T11:30:00+03:30"))
    assert tehran.occurred_at == START == datetime(2024, 5, 1, 11, 30, tzinfo=timezone(timedelta(hours=3, minutes=30)))


def test_no_message_on_any_topic_takes_a_moment_without_a_zone() -> None:
    naive = START.replace(tzinfo=None)
    checked = 0
    for struct in {each for topic in all_topics() for each in getattr(topic.message, "__args__", (topic.message,))}:
        for field in msgspec.structs.fields(struct):
            if datetime in (field.type, *getattr(field.type, "__args__", ())) or "tz=True" in repr(field.type):
                with pytest.raises(msgspec.ValidationError):
                    msgspec.convert(naive, field.type)
                assert msgspec.convert(naive.replace(tzinfo=UTC), field.type)
                checked += 1
    assert checked > 20
