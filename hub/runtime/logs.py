"""Log lines: structured, in UTC, with the document they are about, and never with a secret.

A line about a document says so: ``logger.info("...", extra={"document_id": ...})``.

What is logged through :mod:`logging` (our own modules, aiokafka, Faust) comes out the same way as structlog's own.
"""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from hub.runtime.config import LogFormat, LogSettings
from hub.runtime.redaction import redact

QUIET = ("aiokafka", "faust", "mode", "asyncio", "aiohttp.access")
"""Libraries that tell at "info" what only matters when something is wrong."""


def configure_logging(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Write every log line to ``stream`` (standard error by default), as the settings say.

    Replaces whatever handlers there are, and may be called again: a process that makes a Faust app calls it after
    that, as Faust puts its own handlers on the root (FAUST.md 15).
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings.format, colours=handler.stream.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET:
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
        library.setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _renderers(form: LogFormat, *, colours: bool) -> list[Processor]:
    if form is LogFormat.JSON:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False), _masked]
    console = structlog.dev.ConsoleRenderer(
        colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )
    return [console, _masked]


def _masked(_logger: WrappedLogger, _method: str, line: EventDict | str) -> str:
    return redact(str(line))
