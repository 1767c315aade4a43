"""``hub simulate woocommerce`` and ``hub simulate pocket-cyber``: the simulators' own programs, in this process."""

import runpy
import sys
from argparse import Namespace


def woocommerce(args: Namespace) -> int:
    """Play a shop until asked to stop."""
    file = ("--file", str(args.file)) if args.file else ()
    return _run("connectors.woocommerce.simulator", "--port", str(args.port), "--currency", args.currency, *file)


def pocket_cyber(args: Namespace) -> int:
    """Play handhelds until asked to stop."""
    holders = ",".join(args.holders)
    words = ("--address", args.address, "--holders", holders, "--pause", str(args.pause))
    return _run("connectors.pocket_cyber.simulator", *words)


def _run(module: str, *words: str) -> int:
    """Run a module as ``python -m`` does; its exit code."""
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
