"""Dead letters are read, each once, and sent again as they came to where they stood."""

from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from hub.bus import letters
from hub.bus.deadletters import dead_letter
from hub.bus.errors import Unavailable
from hub.bus.letters import ID_HEADER, NotReplayable
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from schemas import topics
from schemas.topics import Topic
from tests.conftest import free_port

HEADERS = (("trace", b"00-1"), ("trace", b"\xff"))


def failed(bus: Kafka, offset: int, *, value: bytes = b"\x00\xfe", topic: str | None = None, **fields: Any) -> Outgoing:
    usual: dict[str, Any] = {
        "topic": topic or bus.topic(topics.COMMANDS), "partition": offset % 4, "offset": offset, "key": b"\xffk",
        "value": value, "headers": HEADERS, "handler": "decide", "reason": "why",
    }  # fmt: skip
    return dead_letter(**{**usual, **fields})


async def records(bus: Kafka, topic: Topic) -> list[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bus.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(bus.topic(topic), number) for number in range(topic.partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found = []
        while [place for place in places if await consumer.position(place) < ends[place]]:
            for each in (await consumer.getmany(timeout_ms=500)).values():
                found += each
        return found
    finally:
        await consumer.stop()


async def test_all_there_are_now_each_once_the_latest_last(bus: Kafka, sender: Producer) -> None:
    assert await letters.read(bus) == letters.Letters([], 0)
    sent = [failed(bus, offset, value=str(offset).encode()) for offset in range(50)]
    await sender.publish([*sent, Outgoing(topics.DEAD_LETTERS, b"k", None), sent[7], sent[7]])
    found = await letters.read(bus)
    assert [int(letter.value) for letter in found.letters] == [*range(7), *range(8, 50), 7]
    assert [letter.attempts for letter in found.letters] == [1] * 49 + [3]
    assert found.strange == 1
    latest = await letters.read(bus, latest=4)
    assert [int(letter.value) for letter in latest.letters] == [49, 7]


async def test_what_is_sent_again_is_what_stood_there(bus: Kafka, sender: Producer) -> None:
    await sender.publish([failed(bus, offset, value=b"%d" % offset) for offset in range(4)])
    found = (await letters.read(bus)).letters
    await letters.replay(bus, found)
    back = await records(bus, topics.COMMANDS)
    assert {(each.partition, each.key, each.value) for each in back} == {(n, b"\xffk", b"%d" % n) for n in range(4)}
    ids = {b"%d" % n: letter.id.encode() for n, letter in enumerate(found)}
    assert all(each.headers == (*HEADERS, (ID_HEADER, ids[each.value])) for each in back)


async def test_what_fails_again_names_its_last_letter_only(bus: Kafka, sender: Producer) -> None:
    await sender.publish([failed(bus, 5, headers=(*HEADERS, (ID_HEADER, b"of the first time")))])
    (letter,) = (await letters.read(bus)).letters
    await letters.replay(bus, [letter])
    (back,) = await records(bus, topics.COMMANDS)
    assert back.headers == (*HEADERS, (ID_HEADER, letter.id.encode()))


async def test_a_message_without_key_or_headers(bus: Kafka, sender: Producer) -> None:
    await sender.publish([failed(bus, 1, key=None, headers=(), value=b"")])
    await letters.replay(bus, (await letters.read(bus)).letters)
    (back,) = await records(bus, topics.COMMANDS)
    assert (back.key, back.value, [name for name, _ in back.headers]) == (None, b"", [ID_HEADER])


@pytest.mark.parametrize("topic", ["connectors.files.main", "of.another.hub"])
async def test_what_stood_on_no_topic_of_ours_holds_all_of_them_back(bus: Kafka, sender: Producer, topic: str) -> None:
    await sender.publish([failed(bus, 1), failed(bus, 2, topic=topic)])
    found = (await letters.read(bus)).letters
    with pytest.raises(NotReplayable, match=found[1].id):
        await letters.replay(bus, found)
    assert await records(bus, topics.COMMANDS) == []


async def test_a_missing_topic_or_cluster_is_told_in_time(bare: Kafka) -> None:
    with pytest.raises(Unavailable, match=r"dead\.letters is missing"):
        await letters.read(bare)
    with pytest.raises(Unavailable, match="127"):
        await letters.read(Kafka(f"127.0.0.1:{free_port()}"))


async def test_a_cluster_that_falls_silent_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        """A consumer's connection that is open, and over which nothing comes."""

        async def topics(self) -> set[str]:
            return {"dead.letters"}

        def assign(self, partitions: Any) -> None:
            self.partitions = partitions

        async def beginning_offsets(self, partitions: Any) -> dict[Any, int]:
            return dict.fromkeys(partitions, 0)

        async def end_offsets(self, partitions: Any) -> dict[Any, int]:
            return dict.fromkeys(partitions, 5)

        def seek(self, *_: Any) -> None:
            pass

        async def position(self, _: Any) -> int:
            return 0

        async def getmany(self, **_: Any) -> dict[Any, Any]:
            return {}

    monkeypatch.setattr(letters, "ANSWER_SECONDS", 3)
    with pytest.raises(TimeoutError, match="no record"):
        async for _ in letters._values(Silent(), "dead.letters", None):
            pass
