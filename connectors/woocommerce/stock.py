"""What can be sold, and for how much, goes to the shop: only what changed, a hundred at a time.

What is told is read in the moment before, so nothing older follows something newer. The nightly compare reads what the
shop has, so that what the shop changed by itself is set right.
"""

import asyncio
from collections.abc import Collection
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import msgspec

from connectors.base import Context, Outage, Rejected, Sellable, Unauthorised, UnknownPayload
from connectors.woocommerce import mapper
from connectors.woocommerce.client import PER_PAGE, Client, Refused
from connectors.woocommerce.kept import SKUS, SOLD, Item, Memory, Problem
from connectors.woocommerce.orders import patient, tried
from connectors.woocommerce.payloads import BatchItem, Product, Sold, SoldChange, Variation, decode
from connectors.woocommerce.spec import Spec
from schemas import text
from schemas.master import Product as OurProduct

_STOCK: Final = "sellable"
_PRICES: Final = "prices"
_SCANNED: Final = "scanned"
_SEEN: Final = "seen"
_DOUBLE: Final = "double-"
_STOCK_OF: Final = "stock-"
_WITH_TAX: Final = "prices-with-tax"


class Stock:
    """One shop's."""

    def __init__(self, spec: Spec, context: Context, client: Client, memory: Memory, shop: Outage, hub: Outage) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._memory = memory
        self._shop = shop
        self._hub = hub
        self._telling = Outage("telling the shop of stock and prices", context.logger)
        self._new_at = 0.0
        self._prices: bool | None = None
        """Whether prices are told; None: not looked yet."""
        self.told = 0
        """Products and variations the shop was told of."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look_at_taxes()
                await self._scan_if_due()
                await self._look_for_new()
                await self._tell_changed()
            except (Rejected, Unauthorised, UnknownPayload) as refused:
                # A key that may only read lets orders in all the same.
                self._telling.down(refused)
            else:
                self._telling.up()
            await asyncio.sleep(self._spec.look.total_seconds())

    async def _look_at_taxes(self) -> None:
        """Prices of ours are without tax. A shop that takes them for prices with tax would sell for too little."""
        if self._prices is not None:
            return
        await self._memory.settle(_WITH_TAX)
        self._prices = self._spec.push_price and await self._shop.waited_out(self._takes_prices)

    async def _takes_prices(self) -> bool:
        try:
            if not await self._client.prices_include_tax():
                return True
        except (Rejected, Unauthorised, UnknownPayload) as error:
            en, fa = f"It can't be seen whether the shop's prices include tax ({error})", error.fa
        else:
            en, fa = (
                "The shop's prices include tax, and ours don't",
                "قیمت‌های فروشگاه با مالیات است و قیمت‌های ما بی‌مالیات",
            )
        await self._complain(
            _WITH_TAX,
            f"{en}, so it is told none. Let it take prices without tax (WooCommerce → Settings → Tax) and start the "
            "connector again, or switch push_price off.",
            f"{fa}؛ قیمتی به فروشگاه گفته نمی‌شود. در ووکامرس (تنظیمات مالیات) قیمت‌ها را بی‌مالیات کنید و رابط را "
            "دوباره راه بیندازید، یا push_price را خاموش کنید.",
        )
        return False

    # --- what the shop has

    async def _scan_if_due(self) -> None:
        now = self._context.clock()
        written = await self._memory.cursor(_SCANNED)
        if written and now - datetime.fromisoformat(written) < self._spec.compare:
            return
        await self.scan()
        await self._memory.set_cursor(_SCANNED, now.isoformat())

    async def _look_for_new(self) -> None:
        """What is new in the shop, or has another SKU by now, is told as soon as it is seen, and not at the next scan;
        and what it didn't take is told again.

        Of what is known already the shop may know better for a moment: what somebody is just paying for.
        """
        now = asyncio.get_running_loop().time()
        if now < self._new_at:
            return
        self._new_at = now + self._spec.poll.total_seconds()
        written = await self._memory.cursor(_SEEN)
        since = datetime.fromisoformat(written) if written else self._context.clock()
        sold, begun = await self._read(since - self._spec.poll)
        known = await self._memory.items(set(sold))
        new = {sku: items[0] for sku, items in sold.items() if sku not in known or known[sku].id not in _ids(items)}
        await self._memory.put_items(new)
        problems = await self._memory.problems()
        failed = {each.sku for each in problems if each.sku and each.id == f"{_STOCK_OF}{each.sku}"}
        await self._tell(await self._memory.items(failed | new.keys()))
        await self._memory.set_cursor(_SEEN, begun.isoformat())

    async def _read(self, since: datetime | None = None) -> tuple[dict[str, list[Item]], datetime]:
        """What the shop sells, all of it or what changed since, by its SKU; and when it was asked, by the shop's
        clock."""
        sold: dict[str, list[Item]] = {}
        begun: datetime | None = None
        async for page in self._client.products(modified_after=since, waits=patient(self._shop)):
            begun = begun or page.at or self._context.clock()
            for raw in page.items:
                await self._product(raw, sold)
        return sold, begun or self._context.clock()

    async def scan(self) -> None:
        """Read everything the shop sells, and tell it what it has wrong."""
        sold, _ = await self._read()
        found = {sku: items[0] for sku, items in sold.items()}
        known = dict(await self._memory.all(SOLD))
        for sku in known.keys() - found.keys():
            await self._forget(sku)
        await self._memory.put_items(found)
        await self._tell_doubles({sku: items for sku, items in sold.items() if len(items) > 1})
        await self._tell(found)

    async def _forget(self, sku: str) -> None:
        """The shop sells it no more."""
        await self._memory.put(SOLD, sku, None)
        await self._memory.settle(f"{_STOCK_OF}{sku}")

    async def _tell_doubles(self, doubles: dict[str, list[Item]]) -> None:
        """A person hears of each SKU that several things in the shop have, for as long as they have it."""
        for problem in await self._memory.problems():
            if problem.id.startswith(_DOUBLE) and problem.id.removeprefix(_DOUBLE) not in doubles:
                await self._memory.settle(problem.id)
        for sku, items in doubles.items():
            numbers = ", ".join(str(item.id) for item in items)
            await self._complain(
                f"{_DOUBLE}{sku}",
                f"Several products or variations of the shop have the SKU {sku}: {numbers}. Only {items[0].id} is told "
                "its stock and price; give the others SKUs of their own.",
                f"چند کالا یا گونهٔ فروشگاه شناسهٔ {sku} را دارند: {numbers}. موجودی و قیمت فقط به {items[0].id} گفته "
                "می‌شود؛ به بقیه شناسهٔ جداگانه بدهید.",
                sku,
            )

    async def _product(self, raw: bytes, found: dict[str, list[Item]]) -> None:
        try:
            product = decode(raw, Product)
            if product.type != "variable":
                self._note(product, 0, found)
                return
            async for page in self._client.variations(product.id, waits=patient(self._shop)):
                for each in page.items:
                    self._note(decode(each, Variation), product.id, found)
        except UnknownPayload as error:
            self._context.logger.warning("a product of the shop can't be read: %s", error)

    def _note(self, sold: Sold, parent: int, found: dict[str, list[Item]]) -> None:
        if sku := text.code(sold.sku):
            quantity = sold.stock_quantity
            managed = getattr(sold, "manage_stock", False) is True
            stock = f"{quantity.normalize():f}" if managed and quantity is not None else None
            found.setdefault(sku, []).append(Item(sold.id, parent, stock, sold.regular_price or None))

    # --- what it is told

    async def _tell_changed(self) -> None:
        codes: set[str] = set()
        moved: list[tuple[str, str]] = []
        for name, kind in ((_STOCK, Sellable), (_PRICES, OurProduct)):
            cursor = await self._memory.cursor(name) or ""
            changed, cursor_now = await self._changes(kind, cursor)
            codes |= changed
            if cursor_now != cursor:
                moved.append((name, cursor_now))
        if codes:
            by_code = await self._skus_of(codes)
            await self._tell(await self._memory.items(by_code))
        for name, cursor in moved:
            await self._memory.set_cursor(name, cursor)

    async def _changes(self, kind: type[Sellable] | type[OurProduct], cursor: str) -> tuple[set[str], str]:
        codes: set[str] = set()
        while True:
            found = await self._hub.waited_out(
                lambda cursor=cursor: self._context.lookup.changes(kind, cursor)  # type: ignore[misc,type-var]
            )
            codes |= {row.product if isinstance(row, Sellable) else row.code for row in found.rows}
            cursor = found.cursor
            if not found.more:
                return codes, cursor

    async def _skus_of(self, codes: Collection[str]) -> set[str]:
        """The SKUs under which the shop may know these codes."""
        mapped = {sku for sku, code in await self._memory.all(SKUS) if code.decode() in codes}
        return set(codes) | mapped

    async def _tell(self, items: dict[str, Item]) -> None:
        wanted = await self._wanted(items)
        groups: dict[int, list[str]] = {}
        for sku in wanted:
            groups.setdefault(items[sku].parent, []).append(sku)
        for parent, skus in groups.items():
            for start in range(0, len(skus), PER_PAGE):
                await self._batch(parent, {sku: items[sku] for sku in skus[start : start + PER_PAGE]})

    async def _wanted(self, items: dict[str, Item]) -> dict[str, SoldChange]:
        """What the shop has to be told of these; those of which there is nothing to tell are left out."""
        mapped = await self._memory.mapped(set(items))
        codes = {sku: mapped.get(sku, sku) for sku in items}
        lookup = self._context.lookup
        products = await self._hub.waited_out(lambda: lookup.products(set(codes.values())))
        rows = await self._hub.waited_out(lambda: lookup.sellable(set(codes.values()), self._spec.sells_from))
        sellable: dict[str, Decimal] = {}
        for row in rows:
            sellable[row.product] = sellable.get(row.product, Decimal(0)) + row.quantity
        changes = {sku: self._change(items[sku], products.get(code), sellable.get(code)) for sku, code in codes.items()}
        return {sku: change for sku, change in changes.items() if change is not None}

    def _change(self, item: Item, product: OurProduct | None, sellable: Decimal | None) -> SoldChange | None:
        """What the shop has to be told of one thing; None if nothing.

        Of what no warehouse of ours ever had nothing is told: the books may not have been read yet, and a shop without
        goods sells none.
        """
        if product is None:
            return None
        change = SoldChange(id=item.id)
        if self._spec.push_stock and product.stocked and sellable is not None:
            left = max((sellable - self._spec.stock_reserve).quantize(Decimal(1), ROUND_FLOOR), Decimal(0))
            if not product.active:
                left = Decimal(0)
            if item.stock is None or Decimal(item.stock) != left:
                change = msgspec.structs.replace(change, manage_stock=True, stock_quantity=left)
        if self._prices and product.price is not None:
            price = mapper.price_text(product.price, self._spec)
            if item.price is None or Decimal(item.price) != Decimal(price):
                change = msgspec.structs.replace(change, regular_price=price)
        return change if change != SoldChange(id=item.id) else None

    async def _batch(self, parent: int, items: dict[str, Item]) -> None:
        try:
            await self._send(parent, items)
        except Refused:
            raise
        except Rejected as broken:
            await self._apart(parent, items, broken)

    async def _apart(self, parent: int, items: dict[str, Item], broken: Rejected) -> None:
        """The shop fails at these together: find the one it fails at, so that it keeps no other from being told.

        Raises ``broken`` if it is more than one, for then it is more likely the shop.
        """
        skus = list(items)
        if len(skus) == 1:
            await self._refused(skus[0], str(broken), broken.fa)
            return
        half = len(skus) // 2
        failed: dict[str, Item] = {}
        for part in (skus[:half], skus[half:]):
            some = {sku: items[sku] for sku in part}
            try:
                await self._send(parent, some)
            except Refused:
                raise
            except Rejected:
                if failed:
                    raise broken from None
                failed = some
        if failed:
            await self._apart(parent, failed, broken)

    async def _send(self, parent: int, items: dict[str, Item]) -> None:
        changes, answers = await tried(self._shop, lambda: self._ask(parent, items))
        done: dict[str, Item] = {}
        for (sku, change), answer in zip(changes.items(), answers, strict=True):
            if answer.error is None:
                await self._memory.settle(f"{_STOCK_OF}{sku}")
                done[sku] = _as_told(items[sku], change)
            elif answer.error.says_gone:
                await self._forget(sku)
            else:
                said = f"{answer.error.message} ({answer.error.code})"
                await self._refused(sku, said, said)
        await self._memory.put_items(done)
        self.told += len(done)

    async def _ask(self, parent: int, items: dict[str, Item]) -> tuple[dict[str, SoldChange], tuple[BatchItem, ...]]:
        """What is sellable by now is told, however long the shop was away since it was first to be told."""
        changes = await self._wanted(items)
        wanted = list(changes.values())
        if parent:
            return changes, await self._client.change_variations(parent, wanted)
        return changes, await self._client.change_products(wanted)

    async def _refused(self, sku: str, en: str, fa: str) -> None:
        await self._complain(
            f"{_STOCK_OF}{sku}",
            f"The shop doesn't take the stock or price of {sku}: {en.removesuffix('.')}.",
            f"فروشگاه موجودی یا قیمت {sku} را نمی‌پذیرد: {fa.removesuffix('.')}.",
            sku,
        )

    async def _complain(self, number: str, en: str, fa: str, sku: str | None = None) -> None:
        if await self._memory.complain(Problem(number, en, fa, self._context.clock(), sku=sku)):
            self._context.logger.warning("%s", en)


def _ids(items: list[Item]) -> set[int]:
    return {item.id for item in items}


def _as_told(item: Item, change: SoldChange) -> Item:
    stock, price = item.stock, item.price
    if isinstance(change.stock_quantity, Decimal):
        stock = f"{change.stock_quantity:f}"
    if isinstance(change.regular_price, str):
        price = change.regular_price
    return msgspec.structs.replace(item, stock=stock, price=price)
