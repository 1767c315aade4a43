"""The HTTP side: one customer is read from the books at once (MODULES.md D5: refreshed at one click)."""

import asyncio
from typing import ClassVar, Final

import msgspec

from connectors import base
from connectors.base import ConnectorError, Context, Rejected, Retryable
from connectors.hesabgar.client import Client
from connectors.hesabgar.reading import refresh_account
from connectors.hesabgar.spec import Role, Spec
from schemas import text
from schemas.exchange import Endpoint, Request, Response, problem
from schemas.master import Account, Finance, Master
from schemas.reasons import reason

AT_ONCE: Final = 4
"""Connections to the books that one process of the API makes at most."""


class AccountRefreshed(msgspec.Struct, frozen=True):
    """What the books say of an account now. The hub is told the same; ``finance`` is null where they say nothing."""

    account: Account
    finance: Finance | None


class Receiver(base.Receiver[Spec]):
    """Reads a customer for whoever asks."""

    endpoints: ClassVar[tuple[Endpoint, ...]] = (
        Endpoint(
            "refresh_account",
            "POST",
            "/accounts/{code}/refresh",
            "Read an account and its standing from the books now, instead of with the next look.",
            scope="accounts:read",
            gives=AccountRefreshed,
        ),
    )

    def __init__(self, spec: Spec, context: Context) -> None:
        super().__init__(spec, context)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._client = Client(spec)

    async def receive(self, request: Request) -> Response:
        if self.spec.role is Role.BRANCH:
            raise Rejected(
                "this Hesabgar is a branch's; accounts come from the books",
                fa="این حسابگرِ شعبه است؛ حساب‌ها از دفتر اصلی می‌آید",
            )
        code = text.code(request.segments.get("code", ""))
        if not text.is_code(code):
            return problem(404, "not-found", reason("unknown_account", code="؟"))
        told = await self._refreshed(code)
        accounts = [record for record in told if isinstance(record, Account)]
        standings = [record for record in told if isinstance(record, Finance)]
        if not accounts:
            return problem(404, "not-found", reason("unknown_account", code=code))
        return Response(body=msgspec.json.encode(AccountRefreshed(accounts[0], next(iter(standings), None))))

    async def _refreshed(self, code: str) -> list[Master]:
        async with self._places, self._client.alone() as client:
            try:
                return await refresh_account(client, self.context.publisher, code)
            except ConnectorError as error:
                # Whatever it is, the login or a row that makes no sense: who asks can't mend it by asking otherwise.
                raise Retryable(str(error), fa=error.fa) from error
