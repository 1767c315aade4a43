"""``hub key create|list|revoke``."""

import asyncio
from argparse import Namespace

from hub.api.settings import ApiSettings
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.console import margin, screen, show, table
from hub.runtime.failures import Failure
from hub.store import keys
from hub.store.keys import Key
from schemas.dates import jalali_time

SCOPES_BY_DEFAULT = tuple(scope for scope in keys.SCOPES if scope not in ("documents:approve", "admin"))
"""What an outside system needs to send documents and follow them."""


def create(config: Config, args: Namespace) -> int:
    """Make a key; the token alone goes to standard output."""
    key, token = asyncio.run(_create(config, args))
    show(screen(), token)
    show(
        margin(),
        f"Key {key.name} for source {key.source}, {key.per_minute:,} requests a minute, may: "
        f"{', '.join(sorted(key.scopes))}.",
        "Keep the token now: it is not shown again. Clients send it as Authorization: Bearer TOKEN.",
    )
    return 0


async def _create(config: Config, args: Namespace) -> tuple[Key, str]:
    async with servers.opened_store(config) as store:
        return await keys.create(
            store,
            name=args.name,
            source=args.source or args.name,
            scopes=args.scope or SCOPES_BY_DEFAULT,
            per_minute=args.per_minute or config.api.rate_limit,
        )


def list_keys(config: Config, _args: Namespace) -> int:
    """Every key, revoked ones too, without its token."""
    console = screen()
    found = asyncio.run(_every(config))
    rows = [
        (
            key.name,
            key.source,
            ", ".join(sorted(key.scopes)),
            f"{key.per_minute:,}",
            jalali_time(key.created_at),
            jalali_time(key.revoked_at) if key.revoked_at else "",
        )
        for key in found
    ]
    show(console, table(console, ("name", "source", "may", "a minute", "made", "revoked"), rows))
    return 0


async def _every(config: Config) -> list[Key]:
    async with servers.opened_store(config) as store:
        return await keys.every(store)


def revoke(config: Config, args: Namespace) -> int:
    """Revoke a key by its name."""
    if not asyncio.run(_revoke(config, args.name)):
        raise Failure(f"There is no live key named {args.name}.", "hub key list shows the keys.")
    show(
        margin(),
        f"Key {args.name} is revoked; requests with it are refused within {ApiSettings().key_seconds:g} seconds.",
    )
    return 0


async def _revoke(config: Config, name: str) -> bool:
    async with servers.opened_store(config) as store:
        return await keys.revoke(store, name)
