"""``python -m bench``: every scenario on servers of its own, a table, and ``bench/results/latest.json``."""

import argparse
import asyncio
import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from bench import dev, results
from bench.plan import QUICK, SCENARIOS, Plan, run
from bench.programs import Failed
from bench.results import Results
from bench.servers import embedded
from hub.bus.errors import Unavailable
from hub.runtime.console import margin, screen, show
from hub.runtime.embedded.errors import EmbeddedError
from hub.store.errors import StoreError

JARS = Path(os.environ.get("PEYVAND_CACHE") or Path(__file__).parents[1] / "var" / "kafka" / "jars").absolute()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", help=f"some of: {','.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="a fast look, with less certain figures")
    parser.add_argument("--documents", type=int, help=f"documents for each loop (default {Plan().documents})")
    parser.add_argument("--rounds", type=int, help=f"how often each loop is measured (default {Plan().rounds})")
    parser.add_argument(
        "--output", type=Path, help=f"the file for the results (default, for a whole run: {results.LATEST.name})"
    )
    arguments = parser.parse_args()
    if unknown := set((arguments.only or "bare").split(",")) - set(SCENARIOS):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    return arguments


def _plan(arguments: argparse.Namespace) -> Plan:
    plan = QUICK if arguments.quick else Plan()
    asked = {
        "only": tuple(arguments.only.split(",")) if arguments.only else None,
        "documents": arguments.documents,
        "rounds": arguments.rounds,
    }
    return msgspec.structs.replace(plan, **{name: value for name, value in asked.items() if value is not None})


async def _measure(plan: Plan) -> Results:
    began = time.monotonic()
    console = screen()

    def report(what: str) -> None:
        show(console, f"{time.monotonic() - began:5.0f} s  {what}")

    directory = Path(tempfile.mkdtemp(prefix="peyvand-bench-"))
    try:
        async with embedded(directory, JARS, report) as servers:
            found = await run(plan, servers, report)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if "dev" in plan.only:
        report("hub dev: a first start and a second, each to its first decided order")
        found.take_starts(await dev.measure(JARS))
    report("done")
    return found


def main() -> int:
    """Run the benchmark; its exit code."""
    arguments = _arguments()
    plan = _plan(arguments)
    # A part of the figures must not take the place of a whole run's.
    output = arguments.output or (results.LATEST if plan == Plan() else None)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it can't mend itself, it raises
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(_measure(plan))
    except (Failed, EmbeddedError, StoreError, Unavailable) as error:
        show(margin(), f"The benchmark stopped: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    console = screen()
    results.tell(found, console)
    if output is not None:
        results.write(found, output)
        show(console, "", f"Written to {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
