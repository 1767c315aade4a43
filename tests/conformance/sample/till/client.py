"""Talking to the desk: one line of JSON asks, one answers."""

import asyncio
import json
from typing import Any

from connectors.base import Rejected, Retryable, Unauthorised, UnknownPayload

from .spec import Spec

LIMIT = 1024 * 1024


class Client:
    """One desk."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.name = f"the desk at port {spec.port}"

    async def sales(self, after: int) -> list[str]:
        """The sales after a number, each as the desk wrote it. Raises ConnectorError."""
        found = await self._ask({"sales after": after})
        sales = found.get("sales")
        if not isinstance(sales, list):
            raise UnknownPayload(f"{self.name} answers no sales")
        return [str(sale) for sale in sales]

    async def _ask(self, question: dict[str, object]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._spec.timeout.total_seconds()):
                line = await self._exchange({**question, "token": self._spec.token.reveal()})
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            raise Retryable(f"{self.name} can't be reached: {error or 'no answer in time'}") from error
        return self._understood(line)

    async def _exchange(self, question: dict[str, object]) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._spec.port, limit=LIMIT)
        try:
            writer.write(json.dumps(question).encode() + b"\n")
            return await reader.readuntil(b"\n")
        finally:
            writer.close()

    def _understood(self, line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise UnknownPayload(f"{self.name} answers what is no JSON") from error
        status = answer.get("status")
        if status in (401, 403):
            raise Unauthorised(f"{self.name} refuses the token; mend `token`")
        if status == 429 or status >= 500:
            raise Retryable(f"{self.name} is busy or broken ({status})")
        if status >= 400:
            raise Rejected(f"{self.name} refuses ({status})")
        return dict(answer)
