"""Log lines: one shape for structlog and stdlib, with the document, in UTC, without secrets."""

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from hub.runtime import redaction
from hub.runtime.config import LogFormat, LogLevel, LogSettings
from hub.runtime.logs import configure_logging
from schemas.secret import Secret

JSON = LogSettings(format=LogFormat.JSON)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where the log goes; logging is as it was afterwards."""
    monkeypatch.setattr(redaction, "_known", set())
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    showwarning = warnings.showwarning
    try:
        yield io.StringIO()
    finally:
        logging.captureWarnings(False)
        warnings.showwarning = showwarning
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_structlog_and_stdlib_come_out_alike(stream: io.StringIO) -> None:
    configure_logging(JSON, stream)
    structlog.get_logger("hub.x").info("decided", document_id="d1", state="held")
    logging.getLogger("hub.y").warning("slow: %s ms", 12, extra={"document_id": "d1", "batch": 3})
    logging.getLogger("hub.z").info("after")
    first, second, third = lines(stream)
    assert (first["event"], first["logger"], first["level"], first["document_id"], first["state"]) == (
        "decided",
        "hub.x",
        "info",
        "d1",
        "held",
    )
    assert (second["event"], second["logger"], second["level"], second["document_id"], second["batch"]) == (
        "slow: 12 ms",
        "hub.y",
        "warning",
        "d1",
        3,
    )
    assert "document_id" not in third
    stamp = datetime.fromisoformat(str(first["timestamp"]))
    assert stamp.utcoffset() == datetime.now(UTC).utcoffset()


@pytest.mark.parametrize("form", list(LogFormat))
def test_no_secret_gets_into_a_line(stream: io.StringIO, form: LogFormat) -> None:
    configure_logging(LogSettings(format=form), stream)
    dsn = Secret("postgresql://peyvand:sw%40rdfish@db/hub")
    redaction.remember(dsn)
    logger = structlog.get_logger("hub")
    logger.info("connecting", dsn=dsn)
    logger.info(f"with {dsn.reveal()}")
    logging.getLogger("asyncpg").error("bad password %s for %r", "sw@rdfish", dsn)
    try:
        raise ValueError("cannot use sw%40rdfish")
    except ValueError:
        logger.exception("failed")
    text = stream.getvalue()
    assert "rdfish" not in text
    assert text.count("***") >= 5
    assert "ValueError" in text


def test_levels_and_noisy_libraries(stream: io.StringIO) -> None:
    configure_logging(LogSettings(level=LogLevel.INFO, format=LogFormat.JSON), stream)
    logging.getLogger("hub").debug("no")
    logging.getLogger("aiokafka.consumer").info("no")
    logging.getLogger("aiokafka.consumer").warning("yes")
    structlog.get_logger("hub").debug("no")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_it_may_be_said_again_and_replaces_other_handlers(stream: io.StringIO) -> None:
    other = io.StringIO()
    logging.getLogger().addHandler(logging.StreamHandler(other))
    configure_logging(JSON, stream)
    configure_logging(JSON, stream)
    logging.getLogger("hub").info("once")
    assert len(lines(stream)) == 1
    assert other.getvalue() == ""


def test_warnings_are_lines_too(stream: io.StringIO) -> None:
    configure_logging(JSON, stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always", DeprecationWarning)  # none that the collector may give meanwhile
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line,) = lines(stream)
    assert line["level"] == "warning"
    assert "DeprecationWarning: old" in str(line["event"])


def test_a_console_line_is_one_line_without_colours_off_a_terminal(stream: io.StringIO) -> None:
    configure_logging(LogSettings(), stream)
    logging.getLogger("hub.x").info("decided", extra={"document_id": "d1"})
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1
    assert "decided" in stream.getvalue()
    assert "document_id=d1" in stream.getvalue()


def test_fausts_own_logging_is_replaced() -> None:
    """In a process of its own, as Faust changes logging for good."""
    program = (
        "import logging\n"
        "from mode.utils.logging import setup_logging\n"
        "early = logging.getLogger('streams.agent'); setup_logging(loglevel='INFO')\n"
        "from hub.runtime.config import LogSettings, LogFormat\n"
        "from hub.runtime.logs import configure_logging\n"
        "configure_logging(LogSettings(format=LogFormat.JSON))\n"
        "early.info('handled')\n"
        "logging.getLogger('faust.app').error('crashed')\n"
        "logging.getLogger('mode').info('quiet')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["handled", "crashed"]
    assert done.stdout == ""
