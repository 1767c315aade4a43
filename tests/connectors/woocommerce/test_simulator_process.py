"""The simulator as a process of its own, and what can be asked of it from outside."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors.base import Retryable
from connectors.woocommerce.client import Busy, Client
from schemas.secret import Secret

ROOT = Path(__file__).parents[3]


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "connectors.woocommerce.simulator", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("WooCommerce simulator: http://127.0.0.1:"), line
    return line.removeprefix("WooCommerce simulator: ").strip()


def ask(url: str, path: str, body: object = None, method: str = "POST") -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}{path}", data, method=method)) as answer:
        return json.load(answer)


async def goes_away(url: str, seconds: float) -> None:
    """Return once it has gone. What was connected sees that, however short it is and whenever we look."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    assert ask(url, "/sim/away", {"seconds": seconds}) == {"away": seconds}
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()


async def is_back(client: Client) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await client.currency()
            except Retryable:
                await asyncio.sleep(0.01)
            else:
                return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_when_told(number: signal.Signals) -> None:
    with started("--port", "0") as process:
        assert ask(address(process), "/wp-json/", method="GET")["gmt_offset"] == "3.5"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


def test_a_port_in_use_is_told_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, started("--port", str(taken.getsockname()[1])) as process:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert errors.startswith("The simulator can't listen on port")
        assert len(errors.splitlines()) == 1


def test_a_file_that_is_none_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "shop.sqlite3").write_bytes(b"not a database, and longer than a header of one would have to be" * 20)
    with started("--port", "0", "--file", str(tmp_path / "shop.sqlite3")) as process:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert errors.endswith("can't be used: file is not a database.\n")


async def test_what_can_be_asked_of_it(tmp_path: Path) -> None:
    file, listed = tmp_path / "shop.sqlite3", tmp_path / "goods.json"
    listed.write_text('[{"sku": "A-1", "name": "کالا", "price": 1000}]', "utf-8")
    words = ["--port", "0", "--file", str(file), "--goods", str(listed), "--currency", "IRR", "--sends-every", "600"]
    with started(*words) as process:
        url = address(process)
        first, second = ask(url, "/sim/orders", {"count": 2})["orders"]
        (third,) = ask(url, "/sim/orders", {"lines": [["A-1", 3]]})["orders"]
        ask(url, f"/sim/orders/{first}/status", {"status": "completed"})
        ask(url, f"/sim/orders/{second}/trash", {})
        ask(url, f"/sim/orders/{second}/restore", {})
        assert ask(url, f"/sim/orders/{third}/refund", {})["refund"] > third
        assert ask(url, "/sim/deliver", {}) == {"sent": 0}
        with pytest.raises(urllib.error.HTTPError, match="400"):
            ask(url, "/sim/orders/999/trash", {})
        async with Client(url, Secret("ck_simulated"), Secret("cs_simulated")) as client:
            assert (await client.order(third)).total == "3300"
            assert ask(url, "/sim/faults", {"kind": "status", "status": 503, "times": 1}) == {"faults": 1}
            with pytest.raises(Busy):
                await client.order(first)
            assert ask(url, "/sim/faults", method="DELETE") == {"faults": 0}
            assert (await client.order(first)).status == "completed"
            await goes_away(url, 0.2)
            await is_back(client)
        told = ask(url, "/sim/ledger", method="GET")
        assert [each["status"] for each in told["asked"]][:3] == [200, 503, 200]
        process.kill()
        process.wait()
    with started(*words) as process:
        async with Client(address(process), Secret("ck_simulated"), Secret("cs_simulated")) as client:
            assert (await client.order(first)).status == "completed"
            assert (await client.order(third)).status == "refunded"
