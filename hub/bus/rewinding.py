"""Letting a consumer group handle again what it has handled: its offsets are set back while nobody is in it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError

from hub.bus.letters import ANSWER_SECONDS, consumer, require
from hub.bus.settings import Kafka
from schemas.topics import Topic

_IN_USE = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


class InUse(Exception):
    """Somebody is in the group; Kafka lets its offsets be set only when nobody is."""


class Place(NamedTuple):
    """From where a partition is handled again, and how many records that are."""

    topic: str
    partition: int
    offset: int
    records: int


async def rewind(kafka: Kafka, group: str, topics: Sequence[Topic], since: datetime | None) -> list[Place]:
    """Set a group's offsets to the first record kept, or to the first since an aware moment.

    Raises InUse, or Unavailable.
    """
    partitions = [TopicPartition(kafka.topic(topic), n) for topic in topics for n in range(topic.partitions)]
    async with consumer(kafka, group_id=group) as client:
        async with asyncio.timeout(ANSWER_SECONDS):
            await require(client, partitions)
            client.assign(partitions)
            places = await client.beginning_offsets(partitions)
            ends = await client.end_offsets(partitions)
            if since is not None:
                milliseconds = int(since.timestamp() * 1_000)
                found = await client.offsets_for_times(dict.fromkeys(partitions, milliseconds))
                places = {each: found[each].offset if found[each] else ends[each] for each in partitions}
            try:
                await client.commit(places)
            except _IN_USE as error:
                raise InUse(f"the group {group} has members at work") from error
    return [Place(each.topic, each.partition, places[each], ends[each] - places[each]) for each in partitions]
