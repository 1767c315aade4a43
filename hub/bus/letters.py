"""Reading the dead letters, and sending them again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hub.bus.errors import Unavailable
from hub.bus.producer import Outgoing, Producer
from hub.bus.settings import Kafka
from schemas import codec, topics
from schemas.codec import Undecodable
from schemas.deadletters import DeadLetter
from schemas.topics import Topic, all_topics

ID_HEADER = "dead-letter-id"
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0


class Letters(NamedTuple):
    """The dead letters read, each once, oldest first, and how many records of their topic are no letters."""

    letters: list[DeadLetter]
    strange: int


class NotReplayable(Exception):
    """A letter that stood on none of our topics; a sentence says where it came from."""


@contextlib.asynccontextmanager
async def consumer(kafka: Kafka, **options: Any) -> AsyncIterator[Any]:
    """A consumer without automatic commits; Kafka's errors inside come out as Unavailable."""
    client = AIOKafkaConsumer(**kafka.client_options(), enable_auto_commit=False, **options)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.start()
        yield client
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"Kafka at {kafka.bootstrap}: {error!r}") from error
    finally:
        await client.stop()


async def require(client: Any, partitions: Sequence[Any]) -> None:
    """Raises Unavailable if one of these partitions isn't there: asking for its offsets would wait for ever."""
    known = await client.topics()
    for each in partitions:
        if each.topic not in known:
            raise Unavailable(f"topic {each.topic} is missing; `hub topics create` makes it")


async def read(kafka: Kafka, latest: int | None = None) -> Letters:
    """All dead letters there are now, or those among the latest records. Raises Unavailable.

    A letter that was written again (its message came again and failed again) is one letter, counted in ``attempts``.
    """
    found: dict[str, DeadLetter] = {}
    strange = 0
    async with consumer(kafka, group_id=None, auto_offset_reset="earliest") as client:
        async for value in _values(client, kafka.topic(topics.DEAD_LETTERS), latest):
            try:
                letter = codec.decode_as(value, DeadLetter)
            except Undecodable:
                strange += 1
                continue
            before = found.pop(letter.id, None)
            attempts = letter.attempts + (before.attempts if before else 0)
            found[letter.id] = msgspec.structs.replace(letter, attempts=attempts)
    return Letters(list(found.values()), strange)


async def _values(client: Any, topic: str, latest: int | None) -> AsyncIterator[bytes]:
    """Every value from a place to what is the end now."""
    partitions = [TopicPartition(topic, number) for number in range(topics.DEAD_LETTERS.partitions)]
    async with asyncio.timeout(ANSWER_SECONDS):
        await require(client, partitions)
        client.assign(partitions)
        begins = await client.beginning_offsets(partitions)
        ends = await client.end_offsets(partitions)
    for each in partitions:
        client.seek(each, begins[each] if latest is None else max(begins[each], ends[each] - latest))
    silent = 0
    while [each for each in partitions if await client.position(each) < ends[each]]:
        batches = await client.getmany(timeout_ms=1_000)
        silent = 0 if batches else silent + 1
        if silent > ANSWER_SECONDS:
            raise TimeoutError(f"no record of {topic} came for {ANSWER_SECONDS:g} s")
        for records in batches.values():
            for record in records:
                yield record.value or b""


def origin(kafka: Kafka, letter: DeadLetter) -> Topic:
    """The declared topic a letter's message stood on. Raises NotReplayable."""
    for topic in all_topics():
        if kafka.topic(topic) == letter.topic:
            return topic
    if letter.topic.startswith("connectors."):
        raise NotReplayable(
            f"letter {letter.id} came from outside through {letter.handler} and stood on no topic: send it there again"
        )
    raise NotReplayable(f"letter {letter.id} stood on {letter.topic}, which is no topic of this hub")


async def replay(kafka: Kafka, letters: Sequence[DeadLetter]) -> None:
    """Send the original messages again, byte for byte, to the topics and partitions they stood on.

    Their headers are the original ones and :data:`ID_HEADER`, which names the letter. Returns after Kafka's
    acknowledgement. Raises NotReplayable (then nothing was sent) or Unavailable.
    """
    messages = [
        Outgoing(origin(kafka, letter), letter.key, letter.value, _headers(letter), letter.partition)
        for letter in letters
    ]
    producer = Producer(kafka)
    try:
        await producer.publish(messages)
    finally:
        await producer.stop()


def _headers(letter: DeadLetter) -> tuple[tuple[str, bytes], ...]:
    """A message that was sent again before and failed again names the letter of its last failure."""
    original = tuple((name, value) for name, value in letter.headers if name != ID_HEADER)
    return (*original, (ID_HEADER, letter.id.encode()))
