"""The table of topics: what the runtime makes and checks, and what the documentation is made from."""

import re
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import msgspec
import pytest

from schemas import commands, master, topics
from schemas.master import Account, Finance, Product, Stock, Warehouse
from schemas.topics import Topic, all_topics

TOPICS = list(all_topics())
AS_OF = datetime(2024, 5, 1, tzinfo=UTC)


def test_the_topics_are_those_of_the_design() -> None:
    assert {topic.name: topic.retention_days for topic in TOPICS} == {
        "documents.commands": 7,
        "documents.events": 30,
        "documents.latest": None,
        "master.accounts": None,
        "master.products": None,
        "master.warehouses": None,
        "master.stock": None,
        "master.finance": None,
        "master.lists": None,
        "calls.events": 30,
        "calls.records": 30,
        "messages.inbound": 30,
        "messages.outbound": 30,
        "messages.receipts": 30,
        "payments.requests": 30,
        "payments.results": 30,
        "weights": 1,
        "connectors.pushes": 7,
        "visits": 365,
        "notifications": 7,
        "dead.letters": 90,
    }


def test_each_topic_is_declared_once() -> None:
    names = [topic.name for topic in TOPICS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_says_what_it_carries(topic: Topic) -> None:
    assert re.fullmatch(r"[a-z]+(\.[a-z]+)*", topic.name)
    structs = get_args(topic.message) or (topic.message,)
    assert all(isinstance(struct, type) and issubclass(struct, msgspec.Struct) for struct in structs)
    assert topic.summary
    assert topic.key
    assert topic.partitions >= 1


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_is_compacted_or_kept_for_days(topic: Topic) -> None:
    size = {"max.message.bytes": str(topic.max_bytes)}
    if topic.compacted:
        assert topic.config() == {"cleanup.policy": "compact"} | size
    else:
        assert topic.retention_days is not None
        kept = str(topic.retention_days * 86_400_000)
        assert topic.config() == {"cleanup.policy": "delete", "retention.ms": kept} | size


def test_the_largest_message_of_any_topic_fits_into_a_dead_letter_in_base64() -> None:
    largest = max(topic.max_bytes for topic in TOPICS if topic is not topics.DEAD_LETTERS)
    assert topics.DEAD_LETTERS.max_bytes > largest * 4 // 3 + 64 * 1024


def test_topics_of_a_group_have_the_same_partitions_and_key() -> None:
    groups: dict[str, list[Topic]] = defaultdict(list)
    for topic in TOPICS:
        if topic.group:
            groups[topic.group].append(topic)
    assert groups.keys() == {"documents"}
    for members in groups.values():
        assert len(members) > 1
        assert len({(topic.partitions, topic.key, topic.max_bytes) for topic in members}) == 1


def test_every_command_travels_on_the_commands_topic() -> None:
    assert set(get_args(topics.COMMANDS.message)) == set(get_args(commands.AnyCommand))


def test_every_kind_of_master_record_has_its_topic() -> None:
    assert set(topics.MASTER) == set(get_args(master.Master))
    for struct, topic in topics.MASTER.items():
        assert topic.message is struct


@pytest.mark.parametrize(
    ("record", "key"),
    [
        (Account("212010006", "شرکت امین گستر"), "212010006"),
        (Product("کالا1", "x"), "کالا1"),
        (Warehouse("MAIN", "x"), "MAIN"),
        (Finance("212010006", AS_OF), "212010006"),
        (Stock("RAM", "MAIN", Decimal(1), AS_OF), "RAM|MAIN|"),
        (Stock("RAM", "MAIN", Decimal(1), AS_OF, "red"), "RAM|MAIN|red"),
    ],
)
def test_a_master_record_is_keyed_by_its_code(record: master.Master, key: str) -> None:
    assert topics.master_key(record) == key.encode()


def test_two_rows_of_stock_never_share_a_key_whatever_their_codes() -> None:
    parts = ["", "|", "a", "a|", "|a", "\\", "\\|", "a\\"]
    keys = {
        topics.master_key(Stock(product, warehouse, Decimal(1), AS_OF, attribute))
        for product in parts
        for warehouse in parts
        for attribute in parts
    }
    assert len(keys) == len(parts) ** 3
