"""``hub run``: all roles of one hub against a Kafka and a PostgreSQL that exist, kept running by one process."""

import asyncio
import logging
from argparse import Namespace

from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.settings import Kafka
from hub.bus.topics import check_topics, create_topics
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.connect import configured
from hub.runtime.datadir import data_directory
from hub.runtime.failures import Failure
from hub.runtime.logs import configure_logging
from hub.runtime.redaction import redact
from hub.runtime.stack import role_programs
from hub.runtime.supervisor import Supervisor
from hub.runtime.waiting import on_signals, unless_stopped, until_kafka, until_postgres
from hub.store.migrate import migrate

logger = logging.getLogger(__name__)


def run(config: Config, args: Namespace) -> int:
    """Run until asked to stop; 0 then. The processes log where we do.

    Raises:
        ConfigError: a connector's table is wrong.
        Failure: no server is configured, or one can't be used.
    """
    configured(config)
    configure_logging(config.log)
    kafka, dsn = servers.kafka(config), servers.postgres(config)
    asyncio.run(_run(config, kafka, dsn, str(data_directory(args.data).absolute())))
    return 0


async def _run(config: Config, kafka: Kafka, dsn: str, data: str) -> None:
    stop = asyncio.Event()
    on_signals(stop.set)
    # The supervisor logs what happens to its parts by itself.
    supervisor = Supervisor(report=lambda _sentence: None)
    try:
        if await unless_stopped(stop, _start(config, kafka, dsn, data, supervisor)):
            logger.info("all roles are started")
            await stop.wait()
    except (BusUnavailable, OSError) as error:
        raise Failure(f"The hub can't be started: {redact(str(error))}.", "hub check tells more.") from error
    finally:
        logger.info("stopping")
        await supervisor.stop()


async def _start(config: Config, kafka: Kafka, dsn: str, data: str, supervisor: Supervisor) -> None:
    for name in await until_postgres(lambda: migrate(dsn), logger.warning):
        logger.info("migration %s is applied", name)
    await until_kafka(kafka, logger.warning)
    await create_topics(kafka)
    for problem in await check_topics(kafka):
        logger.warning("%s", problem)
    for name, program in role_programs(config, {"PEYVAND_DATA": data}):
        await supervisor.start(name, program)
