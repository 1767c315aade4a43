"""The WooCommerce connector's life: orders in, stock and prices out, answers back, webhooks looked after."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from connectors import base
from connectors.base import Context, Outage, Rejected, Unauthorised
from connectors.woocommerce.answers import Answers
from connectors.woocommerce.client import Client, Refused
from connectors.woocommerce.hooks import Hooks
from connectors.woocommerce.kept import Memory
from connectors.woocommerce.orders import Orders
from connectors.woocommerce.spec import Spec
from connectors.woocommerce.stock import Stock


class Connector(base.Connector[Spec]):
    """One shop."""

    def __init__(self, spec: Spec, context: Context) -> None:
        super().__init__(spec, context)
        self.client = Client(
            spec.url, spec.key, spec.secret, keys_in_query=spec.keys_in_query, timeout=spec.timeout, clock=context.clock
        )
        shop = self._shop = Outage(f"the shop {self.client.url}", context.logger)
        hub = Outage("Kafka", context.logger)
        self._memory = Memory(context)
        self.orders = Orders(spec, context, self.client, self._memory, shop, hub)
        self.stock = Stock(spec, context, self.client, self._memory, shop, hub)
        self._hooks = Hooks(spec, context, self.client, self.orders, shop)
        self._answers = Answers(self.orders, spec, context, self.client, self._memory, shop, hub)
        self._exceptions = 0

    async def check(self) -> None:
        async with self.client:
            await self._check_currency()
            looks = [self._check_statuses()]
            if self.spec.webhook_url:
                looks.append(self._check_webhooks())
            if self.spec.push_price:
                looks.append(self._check_prices())
            if self.spec.tells:
                looks.append(self._check_writing())
            # Together, for a slow shop would take too long over one after the other.
            for wrong in await asyncio.gather(*looks, return_exceptions=True):
                if wrong is not None:
                    raise wrong

    async def _check_webhooks(self) -> None:
        await self.client.webhooks()

    async def _check_prices(self) -> None:
        if await self.client.prices_include_tax():
            raise Rejected(
                f"The prices of {self.client.url} include tax, and ours don't: switch push_price off, or let the "
                "shop take prices without tax (WooCommerce → Settings → Tax).",
                fa=f"قیمت‌های {self.client.url} با مالیات است و قیمت‌های ما بی‌مالیات؛ push_price را خاموش کنید "
                "یا در ووکامرس (تنظیمات مالیات) قیمت‌ها را بی‌مالیات کنید.",
            )

    async def _check_currency(self) -> None:
        currency = await self.client.currency()
        if currency != self.spec.currency:
            raise Rejected(
                f"The shop {self.client.url} sells in {currency}, and the configuration says {self.spec.currency}: "
                "set currency to what the shop's amounts really are in.",
                fa=f"واحد پول فروشگاه {self.client.url} برابر {currency} است و در پیکربندی {self.spec.currency} آمده؛ "
                "currency را درست کنید.",
            )

    async def _check_statuses(self) -> None:
        statuses = ",".join(dict.fromkeys([*self.spec.take, *filter(None, [self.spec.posted_status])]))
        try:
            async for _ in self.client.orders(order="desc", status=statuses):
                break
        except Refused as error:
            if error.code != "rest_invalid_param":
                raise
            raise Rejected(
                f"The shop doesn't know one of the statuses {statuses}: mend take or posted_status. {error}",
                fa=f"فروشگاه یکی از وضعیت‌های {statuses} را نمی‌شناسد؛ take یا posted_status را درست کنید. {error.fa}",
            ) from error

    async def _check_writing(self) -> None:
        try:
            await self.client.try_writing()
        except Unauthorised as error:
            raise Unauthorised(
                f"The key reads and may not write, so orders come in and the shop is told nothing: {error} Give the "
                "key Read/Write, or switch off push_stock, push_price, posted_status and webhook_url.",
                fa=f"کلید فقط اجازهٔ خواندن دارد؛ سفارش‌ها می‌آیند ولی به فروشگاه چیزی گفته نمی‌شود: {error.fa} به "
                "کلید دسترسی Read/Write بدهید، یا push_stock و push_price و posted_status و webhook_url را خاموش کنید.",
            ) from error

    async def run(self) -> None:
        try:
            await self._shop.waited_out(self._check_currency)
            await self._work()
        finally:
            await self.client.close()

    async def _work(self) -> None:
        work: list[Coroutine[Any, Any, None]] = [
            self.orders.run_pushes(),
            self.orders.run_polls(),
            self.orders.run_wishes(),
            self._answers.run(),
            self._count(),
        ]
        if self.spec.push_stock or self.spec.push_price:
            work.append(self.stock.run())
        if self.spec.webhook_url:
            work.append(self._hooks.run())
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)

    async def _count(self) -> None:
        while True:
            self._exceptions = len(await self._memory.problems())
            await asyncio.sleep(self.spec.look.total_seconds())

    def vitals(self) -> Mapping[str, int]:
        polled = self.orders.polled_at
        return {
            "away": int(self._shop.reason is not None),
            "exceptions": self._exceptions,
            "pushes_wait": self.orders.waiting,
            "lag_seconds": int((self.context.clock() - polled).total_seconds()) if polled else -1,
            "stock_told": self.stock.told,
            "webhooks_disabled": self._hooks.disabled,
        }
