"""The fixtures on which every other test of streams, store and recovery stands."""

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.conftest import KafkaServer
from tests.runtime.embedded_helpers import eventually


async def test_a_test_has_a_database_of_its_own_in_utf8_and_utc(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("CREATE TABLE کالا (نام text)")
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        assert await connection.fetchval("SHOW timezone") == "UTC"
        assert await connection.fetchval("SELECT upper('é') || lower('İ'::text) <> ''")
    finally:
        await connection.close()


async def test_another_test_does_not_see_it(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT to_regclass('کالا')") is None
    finally:
        await connection.close()


async def test_topics_under_the_prefix_can_be_made(kafka: KafkaServer, topic_prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(f"{topic_prefix}a", num_partitions=2, replication_factor=1)])

        async def is_listed() -> bool:
            return f"{topic_prefix}a" in await admin.list_topics()

        await eventually(is_listed)  # Kafka answers before it has told its own broker
    finally:
        await admin.close()
