"""A cash desk on a port of its own."""

import asyncio
import json
from typing import Any

from .mapper import Sale


class Desk:
    """It answers who knows its token; ``fault`` is what it answers instead."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.sales: list[str] = []
        self.fault: str | None = None
        self.port = 0
        self._server: asyncio.Server | None = None

    def sell(self, **changes: object) -> int:
        """One more sale; its number."""
        number = len(self.sales) + 1
        sale = {
            "number": number,
            "state": "done",
            "product": "P",
            "quantity": "1.5",
            "price": 1_000,
            "day": "2024-03-20",
        }
        self.sales.append(json.dumps(sale | changes))
        assert set(sale) == set(Sale.__struct_fields__)
        return number

    async def start(self) -> None:
        """Listen, where it listened before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = json.loads(await reader.readline())
            if self.fault == "timeout":
                await reader.read()
            else:
                writer.write(self._answer(question) + b"\n")
        finally:
            writer.close()

    def _answer(self, question: dict[str, Any]) -> bytes:
        if self.fault == "garbage":
            return b"<html>"
        if self.fault is not None:
            return json.dumps({"status": 503 if self.fault == "5xx" else int(self.fault)}).encode()
        if question["token"] != self.token:
            return b'{"status": 401}'
        return json.dumps({"status": 200, "sales": self.sales[question["sales after"] :]}).encode()
