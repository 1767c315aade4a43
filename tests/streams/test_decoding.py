"""Whatever bytes come, decoding answers a command or says why not; it never raises anything else."""

from types import SimpleNamespace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from hub.bus.settings import Kafka
from hub.rules.settings import RuleSettings
from hub.store.pool import Store
from schemas import codec, topics
from streams.agent import Decoded
from streams.handlers import DecideCommands, StoreMaster
from tests.properties import PROPERTY
from tests.rules.world import START
from tests.store.company import on_hand, submit

PREFIX = "t."
COMMAND = codec.encode(submit("A", note="یادداشت"))
STOCK = codec.encode(on_hand("RAM", "2.5", START, attribute="قرمز"))
KEY = str(submit("A").document_id).encode()

decide: Any = DecideCommands(Store("postgresql://nowhere"), None, RuleSettings())  # type: ignore[arg-type]
master: Any = StoreMaster(Store("postgresql://nowhere"), PREFIX)


def message(value: bytes | None, key: bytes | None = KEY, topic: topics.Topic = topics.COMMANDS) -> SimpleNamespace:
    return SimpleNamespace(value=value, key=key, topic=Kafka("", prefix=PREFIX).topic(topic))


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with something cut out, put in or overwritten, up to four times."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(whole)))
        end = draw(st.integers(start, min(start + 30, len(whole))))
        whole = whole[:start] + draw(st.binary(max_size=8) | st.sampled_from(INSERTS)) + whole[end:]
    return whole


INSERTS = (b"null", b"-1", b"1e999", b"NaN", b"\\u0000", b"\\ud800", b'"', b"{}", b"[[", b"0001-01-01T00:00:00+14:00")


def count(decoded: Decoded) -> tuple[int, int]:
    return len(decoded.records), len(decoded.failures)


@PROPERTY
@given(value=damaged(COMMAND) | st.binary() | st.none(), key=st.just(KEY) | st.none() | st.binary(max_size=40))
@example(value=COMMAND, key=KEY)
def test_a_command_or_a_reason(value: bytes | None, key: bytes | None) -> None:
    decoded = decide.decode([message(COMMAND), message(value, key), message(COMMAND)])
    assert count(decoded) in ((3, 0), (2, 1))
    assert [decoded.places[0], decoded.places[-1]] == [0, 2]
    assert all(failure.index == 1 and failure.reason for failure in decoded.failures)


@PROPERTY
@given(value=damaged(STOCK) | st.binary() | st.none(), topic=st.sampled_from(list(topics.MASTER.values())))
def test_a_master_record_or_a_reason(value: bytes | None, topic: topics.Topic) -> None:
    decoded = master.decode([message(value, topic=topic), message(STOCK, topic=topics.STOCK)])
    assert count(decoded) in ((2, 0), (1, 1))
    assert decoded.places[-1] == 1
