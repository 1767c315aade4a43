"""Making the declared topics, and checking that they are as declared."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidReplicationFactorError, KafkaError, TopicAlreadyExistsError, for_code

from hub.bus.errors import Unavailable
from hub.bus.settings import Kafka
from schemas.topics import Topic, all_topics

_BROKERS_SECONDS = 5.0
_BROKERS_PAUSE_SECONDS = 0.1
_LEADER_SECONDS = 15.0
_LEADER_PAUSE_SECONDS = 0.02


@contextlib.asynccontextmanager
async def admin(kafka: Kafka) -> AsyncIterator[Any]:
    """An admin client; Kafka's errors inside come out as Unavailable."""
    client = AIOKafkaAdminClient(**kafka.client_options(), request_timeout_ms=10_000)
    try:
        await client.start()
        yield client
    except (KafkaError, OSError) as error:
        raise Unavailable(f"Kafka at {kafka.bootstrap}: {error!r}") from error
    finally:
        await client.close()


async def create_topics(kafka: Kafka) -> list[str]:
    """Make the declared topics that are missing; answers the names made. Raises Unavailable."""
    async with admin(kafka) as client:
        existing = set(await client.list_topics())
        missing = [topic for topic in all_topics() if kafka.topic(topic) not in existing]
        if not missing:
            return []
        await _make(
            client,
            [
                NewTopic(kafka.topic(topic), topic.partitions, kafka.replication, topic_configs=_config(topic, kafka))
                for topic in missing
            ],
        )
        made = [kafka.topic(topic) for topic in missing]
        await _until_led(client, made)
        return made


async def _make(client: Any, wanted: list[NewTopic]) -> None:
    """Make topics. A broker that was held up for some seconds is fenced, and counts for none until it has been heard of
    again: so too few brokers are an error only if they stay too few. Raises Unavailable."""
    deadline = time.monotonic() + _BROKERS_SECONDS
    while (refused := _refused(await client.create_topics(wanted))) is not None:
        error, sentence = refused
        if error is not InvalidReplicationFactorError or time.monotonic() >= deadline:
            raise Unavailable(sentence)
        await asyncio.sleep(_BROKERS_PAUSE_SECONDS)


def _refused(answer: Any) -> tuple[type[Exception], str] | None:
    """The first topic that wasn't made, if any: Kafka's error, and a sentence."""
    for name, code, *rest in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            return error, f"topic {name} can't be made: {error.__name__} {rest[0] if rest else ''}".strip()
    return None


async def _until_led(client: Any, names: list[str]) -> None:
    """Wait until every partition has a leader: Kafka answers before it has told its own brokers. Raises Unavailable."""
    try:
        async with asyncio.timeout(_LEADER_SECONDS):
            while not all(_is_led(topic) for topic in await client.describe_topics(names)):  # noqa: ASYNC110 - no event
                await asyncio.sleep(_LEADER_PAUSE_SECONDS)
    except TimeoutError:
        raise Unavailable(f"the new topics have no leaders after {_LEADER_SECONDS:g} s; is a broker missing?") from None


def _is_led(described: Any) -> bool:
    partitions = described["partitions"]
    return bool(partitions) and not described["error_code"] and all(each["leader"] >= 0 for each in partitions)


def _config(topic: Topic, kafka: Kafka) -> dict[str, str]:
    """A record counts as accepted when ``min_isr`` copies have it; on a single node that is the cluster's default."""
    return topic.config() | ({"min.insync.replicas": str(kafka.min_isr)} if kafka.min_isr > 1 else {})


async def check_topics(kafka: Kafka) -> list[str]:
    """What is not as declared, a sentence each; empty if all is well. Changes nothing. Raises Unavailable."""
    problems: list[str] = []
    async with admin(kafka) as client:
        existing = set(await client.list_topics())
        for topic in all_topics():
            if kafka.topic(topic) not in existing:
                problems.append(f"topic {kafka.topic(topic)} is missing; `hub topics create` makes it")
        present = [topic for topic in all_topics() if kafka.topic(topic) in existing]
        described = {row["topic"]: row for row in await client.describe_topics([kafka.topic(t) for t in present])}
        configs = await _configs(client, [kafka.topic(topic) for topic in present])
        for topic in present:
            name = kafka.topic(topic)
            partitions = len(described[name]["partitions"])
            if partitions != topic.partitions:
                problems.append(
                    f"topic {name} has {partitions} partitions, declared are {topic.partitions}; a key's records "
                    "would change partition: recreate it, or restore the declared number"
                )
            for setting, wanted in _config(topic, kafka).items():
                found = configs[name].get(setting)
                if found != wanted:
                    problems.append(
                        f"topic {name}: {setting} is {found}, declared is {wanted}; set it with kafka-configs"
                    )
    return problems


async def _configs(client: Any, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }
