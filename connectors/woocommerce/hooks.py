"""Our webhooks in the shop: made if they are missing, and enabled again when the shop gave up on them."""

import asyncio
from typing import Final

from connectors.base import Context, Outage, Rejected, Unauthorised, UnknownPayload
from connectors.woocommerce.client import Client
from connectors.woocommerce.orders import Orders
from connectors.woocommerce.payloads import Webhook
from connectors.woocommerce.spec import Spec

TOPICS: Final = ("order.created", "order.updated", "order.deleted", "order.restored")
_LOOK_FACTOR: Final = 5


class Hooks:
    """One shop's. ``disabled`` counts how often they were found disabled."""

    def __init__(self, spec: Spec, context: Context, client: Client, orders: Orders, shop: Outage) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._orders = orders
        self._shop = shop
        self.disabled = 0
        self._signed: set[int] = set()
        self._failing: set[int] = set()
        self._looking = Outage("looking after the shop's webhooks", context.logger)

    async def run(self) -> None:
        """Look after them until cancelled: every few polls, for what a disabled one lost is found by asking."""
        while True:
            try:
                await self._shop.waited_out(self._look)
            except (Rejected, Unauthorised, UnknownPayload) as refused:
                # A key that may only read lets orders in all the same.
                self._looking.down(refused)
            else:
                self._looking.up()
            await asyncio.sleep(self._spec.poll.total_seconds() * _LOOK_FACTOR)

    async def _look(self) -> None:
        url, secret = self._spec.webhook_url, self._spec.webhook_secret
        assert url is not None
        assert secret is not None
        ours = {hook.topic: hook for hook in await self._client.webhooks() if hook.delivery_url == url}
        for topic in TOPICS:
            hook = ours.get(topic)
            if hook is None:
                await self._client.create_webhook(name=f"Peyvand {topic}", topic=topic, delivery_url=url, secret=secret)
                self._context.logger.info("a webhook for %s was made in the shop", topic)
                continue
            if hook.id not in self._signed:
                # The shop never tells a webhook's secret: it is given ours once, lest it signs with another.
                await self._client.change_webhook(hook.id, secret=secret)
                self._signed.add(hook.id)
            if hook.status == "disabled":
                await self._enable(hook)
            else:
                self._failing.discard(hook.id)

    async def _enable(self, hook: Webhook) -> None:
        self.disabled += 1
        if hook.id not in self._failing:  # told once, however often it is disabled again at once
            self._failing.add(hook.id)
            self._context.logger.warning(
                "the shop had disabled its webhook for %s after failures; it is enabled again, and orders are asked "
                "for",
                hook.topic,
            )
        await self._client.change_webhook(hook.id, status="active")
        self._orders.ask_now()
