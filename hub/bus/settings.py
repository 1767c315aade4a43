"""How to reach the Kafka cluster, for everything in this package."""

import ssl
from typing import Any

import msgspec

from schemas.topics import Topic


class Kafka(msgspec.Struct, frozen=True):
    """A cluster and our corner of it: every topic's and group's name begins with ``prefix``."""

    bootstrap: str
    prefix: str = ""
    replication: int = 1
    min_isr: int = 1
    user: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: str | None = None

    def __repr__(self) -> str:
        return f"Kafka({self.bootstrap!r}, prefix={self.prefix!r})"

    def topic(self, topic: Topic) -> str:
        """A declared topic's name on this cluster."""
        return self.prefix + topic.name

    def client_options(self) -> dict[str, Any]:
        """What every aiokafka client is made with."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap}
        security = ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT")
        options["security_protocol"] = security
        if self.tls:
            options["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.user:
            options |= {
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return options
