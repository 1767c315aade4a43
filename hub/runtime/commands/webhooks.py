"""``hub webhooks list``."""

import asyncio
from argparse import Namespace
from uuid import UUID

from hub.api.vitals import speaking
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.console import margin, screen, show, table
from hub.store import progress, webhooks
from hub.store.webhooks import Backlog, Webhook
from schemas.dates import jalali_time


def list_webhooks(config: Config, _args: Namespace) -> int:
    """Every webhook, without its secret; and a word if nothing sends them."""
    console = screen()
    found, backlogs, is_sent = asyncio.run(_every(config))
    rows = []
    for webhook in found:
        backlog = backlogs.get(webhook.id, Backlog(0, 0))
        rows.append(
            (
                webhook.source,
                webhook.url,
                _status(webhook),
                f"{backlog.waiting:,}",
                f"{backlog.given_up:,}",
                jalali_time(webhook.succeeded_at) if webhook.succeeded_at else "never",
                str(webhook.id),
            )
        )
    show(console, table(console, ("source", "url", "status", "waiting", "given up", "last delivered", "id"), rows))
    if found and not is_sent:
        show(
            margin(),
            "No process sends webhooks, nor notes what is to be sent; it is caught up with, as far as Kafka still has "
            "it, once one runs: start hub deliver.",
        )
    return 0


def _status(webhook: Webhook) -> str:
    if not webhook.active:
        return f"inactive: {webhook.disabled_for}" if webhook.disabled_for else "inactive"
    return f"failing since {jalali_time(webhook.failing_since)}" if webhook.failing_since else "well"


async def _every(config: Config) -> tuple[list[Webhook], dict[UUID, Backlog], bool]:
    """The webhooks, what waits for them, and whether a process is there that sends."""
    async with servers.opened_store(config) as store:
        is_sent = any(worker.role == "deliver" for worker in speaking(await progress.workers(store)))
        return await webhooks.every(store), await webhooks.backlogs(store), is_sent
