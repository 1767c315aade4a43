"""A real Kafka and a real PostgreSQL inside one command, for `hub dev` and for the tests.

Both listen on 127.0.0.1 only, keep data and port in their own directory, and end with the process that started them.
"""

from hub.runtime.embedded.errors import EmbeddedError
from hub.runtime.embedded.kafka import EmbeddedKafka
from hub.runtime.embedded.postgres import EmbeddedPostgres

__all__ = ["EmbeddedError", "EmbeddedKafka", "EmbeddedPostgres"]
