"""The sources of orders that ``hub dev`` plays beside the books: a WooCommerce shop and handhelds of both editions.

They buy what no golden figure speaks of, and begin once the hub is up, so that nobody waits for them.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp

from hub.runtime.embedded.ports import choose_port
from hub.runtime.simulated import Simulated
from hub.runtime.supervisor import Program, python_module

SHOP: Final = "woocommerce.shop"
VISITORS: Final = "pocket_cyber.visitors"
CUSTOMERS: Final = "pocket_cyber.customers"
OFFICE: Final = "excel.office"

_WAREHOUSE, _SHIPPING, _GROUP = "101", "10001300102", "100008"
_KEY, _SECRET, _SIGNED = "ck_simulated", "cs_simulated", "whs_simulated"
_HOLDERS: Final = ("karimi", "sadeghi")
_CUSTOMER: Final = "212010005"
_ROUTE: Final = ["212010001", "212010007", "212010008"]
_BASKETS: Final = ([["10000800103", 2], ["10000800106", 1]], [["10000800104", 1]])
"""What the shop has sold before anyone looks."""
_DAY_SECONDS: Final = 3_600
"""How long a day of the handhelds is."""


class Outside:
    """``directory`` keeps the shop from one start to the next, ``address`` is the API's."""

    def __init__(self, directory: Path, logs: Path, address: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self.workbooks = directory / "excel"
        """Where workbooks are left, in its ``inbox``."""
        (self.workbooks / "inbox").mkdir(parents=True, exist_ok=True)
        self._address = address
        port = choose_port(0, directory / "port", server="The shop's simulator")
        self.shop = Simulated(
            "The shop's simulator",
            "connectors.woocommerce.simulator",
            port,
            ("--key", _KEY, "--secret", _SECRET, "--currency", "IRT", "--file", str(directory / "shop.sqlite3")),
            logs / "woocommerce-shop.log",
        )

    def connectors(self) -> dict[str, dict[str, object]]:
        """The connectors that speak to them, by ``<kind>.<name>``."""
        limits: dict[str, object] = {
            "groups": [_GROUP],
            "accounts": _ROUTE,
            "warehouses": [_WAREHOUSE],
            "discount_percent": 5,
        }
        return {
            SHOP: {
                "url": f"http://127.0.0.1:{self.shop.port}",
                "key": _KEY,
                "secret": _SECRET,
                "currency": "IRT",
                "warehouse": _WAREHOUSE,
                "shipping_product": _SHIPPING,
                "fee_product": _SHIPPING,
                "webhook_url": f"{self._address}/webhooks/woocommerce/shop",
                "webhook_secret": _SIGNED,
                "poll": "10s",
            },
            OFFICE: {"folder": str(self.workbooks.absolute()), "warehouses": [_WAREHOUSE, "102"]},
            VISITORS: {"edition": "visitors", "holders": dict.fromkeys(_HOLDERS, limits)},
            CUSTOMERS: {
                "edition": "customers",
                "holders": {_CUSTOMER: {"groups": [_GROUP], "warehouses": [_WAREHOUSE]}},
            },
        }

    def handhelds(self, key: str) -> Iterator[tuple[str, Program]]:
        """The processes that play them, by name; ``key`` makes their enrolment codes."""
        for instance, holders in ((VISITORS, _HOLDERS), (CUSTOMERS, (_CUSTOMER,))):
            kind, name = instance.split(".")
            words = [
                *("--address", f"{self._address}/connectors/{kind}/{name}", "--holders", ",".join(holders)),
                *("--seed", str(int(time.time())), "--documents", "2", "--pause", str(_DAY_SECONDS)),
            ]
            program = Program(
                python_module("connectors.pocket_cyber.simulator", *words),
                {"PEYVAND_KEY": key},
                self._logs / f"{kind}-{name}.log",
            )
            yield instance.replace(".", "-"), program

    async def sell(self) -> None:
        """Let the shop sell its first orders. Raises aiohttp.ClientError."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            for lines in _BASKETS:
                body: dict[str, Any] = {"lines": lines}
                async with session.post(f"http://127.0.0.1:{self.shop.port}/sim/orders", json=body) as answer:
                    answer.raise_for_status()
