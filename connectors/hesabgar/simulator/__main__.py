"""The simulator as a process: ``python -m connectors.hesabgar.simulator --port 14330``.

Prints one line when it listens, and ends on SIGINT or SIGTERM. Faults are asked for in T-SQL, as the owner:
``EXEC sim.fault @kind = 'deadlock', @on = 'post_document'`` and ``EXEC sim.away @seconds = 30``.
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

from connectors.hesabgar.simulator import given
from connectors.hesabgar.simulator.simulator import HesabgarSimulator


def main() -> int:
    """Run until told to end."""
    parser = argparse.ArgumentParser(prog="hesabgar-simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=14330, help="port on 127.0.0.1; 0 for any free one")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same books")
    parser.add_argument("--database", default="cy140501", help="the company's database")
    parser.add_argument("--products", type=int, default=2_000)
    parser.add_argument("--customers", type=int, default=500)
    parser.add_argument("--stock-rows", type=int, default=None, help="rows of stock, for benchmarks")
    parser.add_argument("--login", default="hub", help="the hub's login")
    parser.add_argument("--password", default="hub-1405", help="its password")
    parser.add_argument("--empty", action="store_true", help="without the contract, to install it by hand")
    parser.add_argument("--company", type=Path, help="a JSON file of the rows to begin with, instead of the seed's")
    parser.add_argument("--file", type=Path, help="the SQLite file that keeps the books from one start to the next")
    arguments = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    simulator = HesabgarSimulator(
        seed=arguments.seed,
        port=arguments.port,
        database=arguments.database,
        products=arguments.products,
        customers=arguments.customers,
        stock_rows=arguments.stock_rows,
        login=arguments.login,
        password=arguments.password,
        contract=not arguments.empty,
        mapped=not arguments.empty,
        company=given.read(arguments.company.read_text("utf-8")) if arguments.company else None,
        file=arguments.file,
    )
    try:
        simulator.start()
    except OSError as error:
        sys.stderr.write(f"The simulator can't listen on port {arguments.port}: {error.strerror}.\n")
        return 1
    sys.stdout.write(f"Hesabgar simulator: {simulator.host}:{simulator.port}, database {simulator.database}\n")
    sys.stdout.flush()
    ended.wait()
    simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
