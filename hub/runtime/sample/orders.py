"""Orders of the sample company's customers, sent as any outside system would send them: through the HTTP API."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any, Final, NamedTuple

import aiohttp

from schemas.dates import jalali

_SECONDS = 60.0

_CLEARED: Final = "demo-1001"

ORDERS: Final[tuple[dict[str, Any], ...]] = (
    {
        "source_id": _CLEARED,
        "kind": "sales_invoice",
        "account": "212010002",
        "warehouse": "101",
        "lines": [
            {"product": "10000500102", "quantity": "2"},
            {"product": "10000600103", "quantity": "4"},
            {"product": "10000700102", "quantity": "3", "discount": 7_500_000},
        ],
        "note": "فروش اعتباری در سقف اعتبار",
    },
    {
        "source_id": "demo-1002",
        "kind": "sales_order",
        "account": "212010004",
        "warehouse": "101",
        "lines": [{"product": "10000900102", "quantity": "1"}],
        "note": "بیش از اعتبار لحظه‌ای: در انتظار تأیید می‌ماند",
    },
    {
        "source_id": "demo-1003",
        "kind": "sales_order",
        "account": "212010003",
        "warehouse": "101",
        "lines": [{"product": "10000300101", "quantity": "3"}],
        "note": "بیش از موجودی قابل فروش: رد می‌شود",
    },
    {
        "source_id": "demo-1004",
        "kind": "sales_return",
        "account": "212010002",
        "warehouse": "101",
        "original": _CLEARED,
        "lines": [{"product": "10000700102", "quantity": "1"}],
        "note": "برگشت بخشی از فاکتور نخست، با نرخ همان فاکتور",
    },
)
"""In this order: cleared and posted, held for credit, rejected for stock, and a return of the first, posted after it.
They touch neither the account nor the stock rows of the golden figures."""


class Outcome(NamedTuple):
    """What the hub answered to one order: the document as decided, or why it wasn't taken."""

    source_id: str
    status: int
    answer: dict[str, Any]


async def send(address: str, token: str, today: date) -> AsyncIterator[Outcome]:
    """Send every order, each once the one before is decided.

    Raises:
        aiohttp.ClientError: the API doesn't answer.
    """
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, timeout=timeout) as session:
        for order in ORDERS:
            url = f"{address}/v1/documents?wait=decision&timeout=30"
            async with session.post(url, json={"date": jalali(today), **order}) as response:
                yield Outcome(order["source_id"], response.status, await response.json(content_type=None))


def order_to_try(today: date) -> dict[str, Any]:
    """A small order a person may send: cash, of goods there are plenty of. Sent again, it is the same one all day."""
    return {
        "source_id": f"try-{jalali(today).replace('/', '')}",
        "kind": "sales_order",
        "date": jalali(today),
        "account": "212010010",
        "payment": "cash",
        "warehouse": "101",
        "lines": [{"product": "10000800103", "quantity": 2}],
    }
