"""A dead letter holds the message as it came, and is the same letter however often it is written."""

from datetime import timedelta
from typing import Any

import pytest

from hub.bus.deadletters import MAX_ORIGINAL_BYTES, MAX_REASON, dead_letter
from schemas import codec, topics
from schemas.dates import utc_now
from schemas.deadletters import DeadLetter

HEADERS = (("trace", b"\x00\xff"), ("trace", b""), ("نام", b"x"))


def letter(**fields: Any) -> DeadLetter:
    usual: dict[str, Any] = {
        "topic": "t.documents.commands", "partition": 2, "offset": 2**40, "key": b"\xffk", "value": b"\x00 no json",
        "headers": HEADERS, "handler": "decide", "reason": "JSON is malformed",
    }  # fmt: skip
    outgoing = dead_letter(**{**usual, **fields})
    assert outgoing.topic is topics.DEAD_LETTERS
    made = codec.decode_as(outgoing.value or b"", DeadLetter)
    assert outgoing.key == made.key
    return made


def test_it_holds_the_message_as_it_came() -> None:
    made = letter()
    assert (made.topic, made.partition, made.offset) == ("t.documents.commands", 2, 2**40)
    assert (made.key, made.value, made.headers) == (b"\xffk", b"\x00 no json", HEADERS)
    assert (made.handler, made.reason, made.attempts) == ("decide", "JSON is malformed", 1)
    assert timedelta(0) <= utc_now() - made.failed_at < timedelta(minutes=1)


def test_its_id_is_that_of_the_messages_place() -> None:
    assert letter().id == letter(value=b"other", reason="other").id
    others = [letter(topic="t.other"), letter(partition=3), letter(offset=1)]
    assert len({each.id for each in [letter(), *others]}) == 4
    assert len(letter().id) == 16


@pytest.mark.parametrize("headers", [None, (), []])
def test_a_message_may_have_nothing(headers: Any) -> None:
    made = letter(key=None, value=None, headers=headers)
    assert (made.key, made.value, made.headers) == (None, b"", ())


def test_an_endless_reason_is_cut() -> None:
    assert letter(reason="x" * 10_000).reason == "x" * MAX_REASON


def test_the_largest_message_fits_its_topic_and_a_larger_one_leaves_its_place() -> None:
    fits = {"key": b"k" * 100, "headers": (("h", b"v" * 99),)}
    whole = dead_letter(
        topic="t",
        partition=0,
        offset=1,
        value=b"x" * (MAX_ORIGINAL_BYTES - 200),
        handler="h",
        reason="r" * 9_999,
        **fits,
    )
    assert len(whole.value or b"") < topics.DEAD_LETTERS.max_bytes - 1_024
    made = letter(value=b"x" * (MAX_ORIGINAL_BYTES - 199), reason="r" * 9_999, **fits)
    assert (made.value, made.key, made.headers) == (b"", None, ())
    assert (made.topic, made.partition, made.offset) == ("t.documents.commands", 2, 2**40)
    assert f"{MAX_ORIGINAL_BYTES + 1:,} bytes" in made.reason
    assert len(made.reason) <= MAX_REASON


def test_whatever_a_topic_takes_fits_a_letter() -> None:
    assert (
        max(topic.max_bytes for topic in topics.all_topics() if topic is not topics.DEAD_LETTERS) < MAX_ORIGINAL_BYTES
    )
