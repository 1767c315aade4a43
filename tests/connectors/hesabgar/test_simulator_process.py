"""The simulator as a process of its own, as ``hub simulate hesabgar`` and a training room start it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pymssql
import pytest

ROOT = Path(__file__).parents[3]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "connectors.hesabgar.simulator", "--products", "20", "--customers", "10", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_when_told(number: signal.Signals) -> None:
    process = start("--port", "0", "--password", "p-1405")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Hesabgar simulator: 127.0.0.1:"), line
        port = line.split(":")[2].split(",")[0]
        connection = pymssql.connect(
            server="127.0.0.1",
            port=port,
            user="hub",
            password="p-1405",
            database="cy140501",
            autocommit=True,
            timeout=60,
        )
        cursor = connection.cursor()
        cursor.execute("SELECT COUNT(*) FROM hub.products")
        assert cursor.fetchall() == [(20,)]
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        connection.close()
    finally:
        process.kill()
        process.wait()


def test_a_port_in_use_is_told_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--port", str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("The simulator can't listen on port")
    assert len(errors.splitlines()) == 1
