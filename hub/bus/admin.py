"""What the hub asks of the Kafka cluster itself."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from hub.bus.settings import Kafka

_ATTEMPT_SECONDS = 2.0
_PAUSE_SECONDS = 0.05


async def wait_until_ready(kafka: Kafka | str, timeout: float) -> None:  # noqa: ASYNC109 - one bound over many attempts
    """Return when the cluster lists a broker in its metadata. A text is plain bootstrap servers, "host:port,host:port".

    An open port isn't enough: a client that connects before the broker is registered may wait for ever. So each
    attempt has a client of its own and two seconds.

    Raises:
        TimeoutError: no broker was listed within `timeout` seconds.
    """
    options = (Kafka(kafka) if isinstance(kafka, str) else kafka).client_options()
    cancellations = _cancellations()
    async with asyncio.timeout(timeout):
        while not await _lists_a_broker(options):
            if _cancellations() > cancellations:
                # Such as Ctrl-C's: aiokafka suppresses one that comes while it closes.
                raise asyncio.CancelledError
            await asyncio.sleep(_PAUSE_SECONDS)


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


async def _lists_a_broker(options: Mapping[str, Any]) -> bool:
    # aiokafka writes an error to the log for every refused connection, so knock first.
    if not await _any_port_open(options["bootstrap_servers"]):
        return False
    client = AIOKafkaClient(**options)
    try:
        async with asyncio.timeout(_ATTEMPT_SECONDS):
            await client.bootstrap()
        return bool(client.cluster.brokers())
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await client.close()


async def _any_port_open(bootstrap: str) -> bool:
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError):
            continue
        writer.close()
        return True
    return False
