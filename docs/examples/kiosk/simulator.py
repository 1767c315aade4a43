"""A kiosk on a port of its own, for the tests and for training: ``python -m kiosk.simulator``."""

import asyncio
import datetime as dt
import json
from typing import Final

HOST: Final = "127.0.0.1"
PAGE: Final = 100


class Kiosk:
    """It answers who knows its key. ``fault`` is what it answers instead: an error line, or None for silence."""

    def __init__(self, key: str, port: int = 0) -> None:
        self.key = key
        self.port = port
        self.orders: list[str] = []
        self.fault: str | None = ""
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def order(self, **changes: object) -> int:
        """Someone orders; the order's number."""
        order = {
            "placed": "2024-03-20T14:05:00+03:30",
            "state": "paid",
            "items": [{"code": "1001", "count": "2", "price": 150_000}],
        }
        self.orders.append(json.dumps(order | changes, ensure_ascii=False))
        return len(self.orders)

    async def start(self) -> None:
        """Listen, where it listened before."""
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close, and break every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        tasks = dict(self._open)
        for task, writer in tasks.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello, after = (await reader.readline()).decode().split(), (await reader.readline()).decode().split()
            if self.fault is None:
                await reader.read()
            writer.write("".join(f"{line}\n" for line in self._answer(hello, after)).encode())
            await writer.drain()
        except (OSError, ValueError):
            pass  # whoever asked is gone, or speaks another protocol
        finally:
            writer.close()

    def _answer(self, hello: list[str], after: list[str]) -> list[str]:
        if self.fault:
            return [self.fault]
        if hello != ["HELLO", self.key]:
            return ["ERROR 401 wrong key"]
        if len(after) != 2 or after[0] != "AFTER" or not after[1].isdigit():
            return ["OK", "ERROR 422 AFTER and a number are wanted"]
        first = int(after[1])
        page = self.orders[first : first + PAGE]
        return ["OK", *(f"ORDER {number} {order}" for number, order in enumerate(page, first + 1)), "END"]


async def _main() -> None:
    kiosk = Kiosk("kiosk-1405", port=7_411)
    await kiosk.start()
    while True:
        # Something the sample company of `make run` sells.
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        kiosk.order(placed=now, items=[{"code": "10000800103", "count": "1", "price": 2_900_000}])
        await asyncio.sleep(5)


if __name__ == "__main__":
    asyncio.run(_main())
