"""``hub migrate``."""

import asyncio
from argparse import Namespace

from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.console import margin, screen, show
from hub.store import migrate as migrations


def migrate(config: Config, args: Namespace) -> int:
    """Apply what is missing and name it; with ``--dry-run`` only name it."""
    dsn = servers.postgres(config)
    names = asyncio.run(migrations.pending(dsn) if args.dry_run else migrations.migrate(dsn))
    for name in names:
        show(screen(), name)
    done = "to apply" if args.dry_run else "applied"
    show(margin(), f"{len(names)} {done}." if names else "The database is up to date.")
    return 0
