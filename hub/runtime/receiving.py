"""The receivers of configured connectors, as the API serves them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from connectors.base import ConnectorError, ConnectorKind, Receiver, Retryable, Unauthorised, UnknownPayload, discover
from hub.api.problems import Problem
from hub.api.receivers import Receive, Served
from hub.bus.producer import Producer
from hub.bus.settings import Kafka
from hub.runtime.connect import Instance, KafkaPublisher, context
from hub.runtime.redaction import redact
from hub.store.pool import Store
from schemas.exchange import Request, Response

_KINDS: tuple[tuple[type[ConnectorError], str], ...] = (
    (Retryable, "unavailable"),
    (Unauthorised, "not-admitted"),
    (UnknownPayload, "bad-request"),
    (ConnectorError, "invalid"),
)
_RETRY_SECONDS = "5"


def receivers(
    instances: Iterable[Instance], producer: Producer, kafka: Kafka, store: Store, data: Path
) -> list[Served]:
    """Every kind of connector the other side may call, with those of the instances that are configured."""
    publisher = KafkaPublisher(producer)
    found: dict[str, dict[str, Receive]] = {}
    for instance in instances:
        kind = instance.kind
        if kind.receiver is not None:
            receiver = kind.receiver(instance.spec, context(instance, publisher, kafka, store, data))
            found.setdefault(kind.name, {})[instance.name] = _answering(receiver)
    return [
        Served(kind.name, receiver.mount, receiver.endpoints, found.get(kind.name, {})) for kind, receiver in _known()
    ]


def described() -> Sequence[Served]:
    """Every kind of connector the other side may call, with no instance: for the documents generated of the API."""
    return [Served(kind.name, receiver.mount, receiver.endpoints, {}) for kind, receiver in _known()]


def _known() -> list[tuple[ConnectorKind, type[Receiver[Any]]]]:
    return [(kind, kind.receiver) for kind in discover().values() if kind.receiver is not None]


def _answering(receiver: Receiver[Any]) -> Receive:
    async def receive(request: Request) -> Response:
        try:
            return await receiver.receive(request)
        except ConnectorError as error:
            raise _problem(error) from error

    return receive


def _problem(error: ConnectorError) -> Problem:
    kind = next(kind for each, kind in _KINDS if isinstance(error, each))
    headers = {"Retry-After": _RETRY_SECONDS} if kind == "unavailable" else {}
    return Problem(kind, redact(str(error)), redact(error.fa), headers=headers)
