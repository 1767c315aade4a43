"""Handhelds as a process: ``python -m connectors.pocket_cyber.simulator --address http://… --holders v1,v2``.

The hub key that makes their enrolment codes (scope ``admin``) is in the environment variable PEYVAND_KEY. Every
``--pause`` seconds is a day. Ends after ``--days``, or on SIGINT or SIGTERM; prints one line a day.
"""

import argparse
import asyncio
import os
import signal
import sys

import aiohttp

from connectors.pocket_cyber.simulator.fleet import Fleet
from connectors.pocket_cyber.simulator.handheld import Refused


def main() -> int:
    """Run until told to end."""
    parser = argparse.ArgumentParser(prog="pocket-cyber-simulator", description=__doc__)
    parser.add_argument("--address", required=True, help="http://127.0.0.1:8800/connectors/pocket_cyber/<instance>")
    parser.add_argument("--holders", required=True, help="the holders' codes, with commas between")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same choices")
    parser.add_argument("--days", type=int, default=0, help="how many days; 0: until it is ended")
    parser.add_argument("--documents", type=int, default=5, help="documents a day of each handheld")
    parser.add_argument("--offline", type=int, default=2, help="how many days ago they may have been made")
    parser.add_argument("--pause", type=float, default=10.0, help="seconds between two days")
    arguments = parser.parse_args()
    key = os.environ.get("PEYVAND_KEY", "")
    if not key:
        sys.stderr.write("Set PEYVAND_KEY to a hub key with the scope admin (`hub key create`).\n")
        return 2
    try:
        asyncio.run(_run(arguments, key))
    except Refused as refused:
        sys.stderr.write(f"The hub refused the handhelds: {refused}.\n")
        return 1
    return 0


async def _run(arguments: argparse.Namespace, key: str) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    living = asyncio.create_task(_live(arguments, key))
    stopped = asyncio.create_task(ended.wait())
    await asyncio.wait([living, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not living.done():
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
        return
    living.result()


async def _live(arguments: argparse.Namespace, key: str) -> None:
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        fleet = Fleet(session, arguments.address, key, arguments.holders.split(","), seed=arguments.seed)
        await fleet.enrol()
        day = 0
        while not arguments.days or day < arguments.days:
            day += 1
            await fleet.day(arguments.documents, days_offline=arguments.offline)
            made = [entry for each in fleet.handhelds.values() for entry in each.ledger.values()]
            taken = sum(entry.taken for entry in made)
            sys.stdout.write(f"day {day}: {len(made)} made, {taken} taken, {len(made) - taken} refused or waiting\n")
            sys.stdout.flush()
            if day != arguments.days:
                await asyncio.sleep(arguments.pause)


if __name__ == "__main__":
    sys.exit(main())
