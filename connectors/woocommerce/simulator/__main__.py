"""The simulator as a process: ``python -m connectors.woocommerce.simulator --port 8480``.

Prints one line when it listens, and ends on SIGINT or SIGTERM. What shall happen in the shop is asked for over HTTP, at
``/sim/…`` (:mod:`connectors.woocommerce.simulator.control`).
"""

import argparse
import asyncio
import signal
import sqlite3
import sys
from decimal import Decimal
from pathlib import Path

from connectors.woocommerce.simulator import goods
from connectors.woocommerce.simulator.keys import Key, Permissions
from connectors.woocommerce.simulator.pricing import RIALS
from connectors.woocommerce.simulator.shop import Customs
from connectors.woocommerce.simulator.simulator import WooCommerceSimulator


def main() -> int:
    """Run until told to end."""
    parser = argparse.ArgumentParser(prog="woocommerce-simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=8480, help="port on 127.0.0.1; 0 for any free one")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same orders")
    parser.add_argument("--currency", default="IRT", choices=sorted(RIALS), help="the shop's currency")
    parser.add_argument("--decimals", type=int, default=0, help="decimals of its prices")
    parser.add_argument("--tax", type=Decimal, default=Decimal(10), help="percent")
    parser.add_argument("--prices-include-tax", action="store_true")
    parser.add_argument("--key", default="ck_simulated", help="the consumer key")
    parser.add_argument("--secret", default="cs_simulated", help="its secret")
    parser.add_argument("--permissions", default="read_write", choices=[each.value for each in Permissions])
    parser.add_argument("--sends-every", type=float, default=1.0, help="seconds between rounds of the webhook sender")
    parser.add_argument("--refuse-private", action="store_true", help="send no webhook to private addresses")
    parser.add_argument("--goods", type=Path, help="a JSON file of what is sold, instead of the sample company's")
    parser.add_argument("--file", type=Path, help="the SQLite file that keeps the shop from one start to the next")
    arguments = parser.parse_args()
    try:
        return asyncio.run(_run(arguments))
    except OSError as error:
        sys.stderr.write(f"The simulator can't listen on port {arguments.port}: {error.strerror}.\n")
    except sqlite3.Error as error:
        sys.stderr.write(f"{arguments.file} can't be used: {error}.\n")
    return 1


async def _run(arguments: argparse.Namespace) -> int:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    simulator = WooCommerceSimulator(
        seed=arguments.seed,
        port=arguments.port,
        stocked=goods.read(arguments.goods.read_text("utf-8")) if arguments.goods else None,
        customs=Customs(
            currency=arguments.currency,
            decimals=arguments.decimals,
            tax_percent=arguments.tax,
            prices_include_tax=arguments.prices_include_tax,
        ),
        keys=[Key(arguments.key, arguments.secret, Permissions(arguments.permissions))],
        sends_every=arguments.sends_every,
        refuses_private=arguments.refuse_private,
        file=arguments.file,
    )
    async with simulator:
        sys.stdout.write(f"WooCommerce simulator: {simulator.url}\n")
        sys.stdout.flush()
        await ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
