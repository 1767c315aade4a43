"""What the hub asks of the Kafka cluster itself."""

import asyncio

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

_ATTEMPT_SECONDS = 2.0
_PAUSE_SECONDS = 0.05


async def wait_until_ready(bootstrap: str, timeout: float) -> None:  # noqa: ASYNC109 - one bound over many attempts
    """Return when the cluster at `bootstrap` ("host:port", comma-separated) lists a broker in its metadata.

    An open port isn't enough: a client that connects before the broker is registered may wait for ever. So each
    attempt has a client of its own and two seconds.

    Raises:
        TimeoutError: no broker was listed within `timeout` seconds.
    """
    async with asyncio.timeout(timeout):
        while not await _lists_a_broker(bootstrap):  # noqa: ASYNC110 - the broker has no event for this
            await asyncio.sleep(_PAUSE_SECONDS)


async def _lists_a_broker(bootstrap: str) -> bool:
    # aiokafka writes an error to the log for every refused connection, so knock first.
    if not await _any_port_open(bootstrap):
        return False
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
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
