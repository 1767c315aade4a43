"""Orders come in: pushed by webhook, or found by asking for what changed; each is taken in by the same steps.

One order at a time, by one process: so pushes and polls of the same thing are one thing, and what the shop dated
earlier never overwrites what it dated later. What is remembered of an order is written after Kafka has what it says.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from connectors.base import Context, Outage, Rejected, Retryable, UnknownPayload
from connectors.woocommerce import kept as keeping
from connectors.woocommerce import mapper
from connectors.woocommerce.client import PER_PAGE, Broken, Client, Page, Refused, Waiting
from connectors.woocommerce.kept import Kept, Memory, Problem
from connectors.woocommerce.mapper import GONE, Known, Unmappable
from connectors.woocommerce.payloads import Deleted, Order, Refund, decode, utc
from connectors.woocommerce.spec import Spec
from schemas import ids
from schemas.commands import Amend, Submit
from schemas.deadletters import DeadLetter
from schemas.documents import Document, DocumentRequest, State
from schemas.events import COMMAND_REFUSED
from schemas.pushes import Push

READ_SECONDS: Final = 0.5
TRIES: Final = 4
DECISION_SECONDS: Final = 30.0
"""How long the hub may take with what everything else waits for."""
_LOOK_SECONDS: Final = 0.05
_CHANGED: Final = "orders"
_COMPARED: Final = "compared"
_BEGIN: Final = "begin"
WITHDRAWN: Final = "cancelled in the shop"
ENDED: Final = frozenset({State.REJECTED, State.CANCELLED, State.EXPIRED})
_OPEN: Final = "pending,on-hold,processing"
REFUNDED: Final = "refunded"
_COMPARED_FOR: Final = timedelta(days=90)
"""What nothing was done to for so long isn't compared: orders whose documents never go to the books pile up."""
_DRAFT: Final = "checkout-draft"
"""Of somebody who looked at the till; the shop throws most of these away after a day."""
_RETURNABLE: Final = frozenset({State.CLEARED, State.POSTING, State.POSTED, State.POST_FAILED})


_T = TypeVar("_T")


def patient(shop: Outage) -> Waiting:
    """Each page of a list is waited for while the shop is away; what can't be read as a whole (a firewall's page, say)
    is a fault that passes."""

    async def wait(ask: Callable[[], Awaitable[Page]]) -> Page:
        async def once() -> Page:
            try:
                return await ask()
            except UnknownPayload as error:
                raise Retryable(str(error), fa=error.fa) from error

        return await shop.waited_out(once)

    return wait


async def tried(shop: Outage, ask: Callable[[], Awaitable[_T]]) -> _T:
    """What the shop answers about one thing, waited for while the shop is away. Raises :exc:`Rejected` if it fails at
    it (HTTP 500) :data:`TRIES` times: then it may be this alone, and the others mustn't wait for it."""
    left = TRIES

    async def once() -> _T:
        nonlocal left
        try:
            return await ask()
        except Broken as error:
            left -= 1
            if left:
                raise
            raise Rejected(str(error), fa=error.fa) from error

    return await shop.waited_out(once)


class Orders:
    """One shop's orders."""

    def __init__(self, spec: Spec, context: Context, client: Client, memory: Memory, shop: Outage, bus: Outage) -> None:
        self._spec = spec
        self._context = context
        self._client = client
        self._memory = memory
        self._shop = shop
        self._bus = bus
        self._one = asyncio.Lock()
        self._asked = asyncio.Event()
        self._begin: datetime | None = None
        self.source = spec.source or context.instance
        self.polled_at: datetime | None = None
        self.waiting = 0
        """Pushes not yet taken in."""

    def ask_now(self) -> None:
        """Something may have been missed: don't wait for the next question's time."""
        self._asked.set()

    # --- pushed

    async def run_pushes(self) -> None:
        """Take in what webhooks bring, until cancelled."""
        async with self._context.events.pushes("orders") as reader:
            while True:
                pushes = await self._bus.waited_out(lambda: reader.read(READ_SECONDS))
                self.waiting = reader.lag()
                for push in pushes:
                    await self._pushed(push)
                await reader.ack(pushes)

    async def _pushed(self, push: Push) -> None:
        try:
            if push.headers.get("x-wc-webhook-topic", "").endswith(".deleted"):
                # It says no more than the id, and may come late: the shop tells how the order is.
                await self._take_each([decode(push.body, Deleted).id])
            else:
                await self.take(decode(push.body, Order))
        except UnknownPayload as error:
            await self._letter(push.body, str(error), push.resource)

    # --- asked for

    async def run_polls(self) -> None:
        """Ask for changes, and now and then for everything open, until cancelled."""
        while True:
            self._asked.clear()
            await self._changed()
            await self._compare_if_due()
            try:
                async with asyncio.timeout(self._spec.poll.total_seconds()):
                    await self._asked.wait()
            except TimeoutError:
                pass

    async def _changed(self) -> None:
        async with self._one:
            begin = await self._beginning()
        written = await self._memory.cursor(_CHANGED)
        since = (datetime.fromisoformat(written) if written else begin) - self._spec.overlap
        begun = await self._shop.waited_out(self._client.server_time) or self._context.clock()
        for status in ("any", "trash"):
            await self._take_all(modified_after=since, status=status)
        await self._memory.set_cursor(_CHANGED, begun.isoformat())
        self.polled_at = self._context.clock()

    async def _compare_if_due(self) -> None:
        now = self._context.clock()
        written = await self._memory.cursor(_COMPARED)
        if written and now - datetime.fromisoformat(written) < self._spec.compare:
            return
        await self.compare()
        await self._memory.set_cursor(_COMPARED, now.isoformat())

    async def compare(self) -> None:
        """Ask for every order that is open there or here, whenever it was changed; one that is no more is gone."""
        seen = await self._take_all(status=_OPEN)
        left = {number async for number in self._open_here()}
        left |= {problem.order for problem in await self._memory.problems() if problem.order is not None}
        numbers = sorted(left - seen)
        for start in range(0, len(numbers), PER_PAGE):
            some = numbers[start : start + PER_PAGE]
            there = await self._take_all(include=some)
            await self._take_each(number for number in some if number not in there)

    async def _open_here(self) -> AsyncIterator[int]:
        since = self._context.clock() - _COMPARED_FOR
        async for key, value in self._memory.each(keeping.ORDERS):
            kept = msgspec.json.decode(value, type=Kept)
            if not kept.settled and (kept.modified is None or kept.modified > since):
                yield int(key)

    async def _take_each(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            try:
                if (order := await self._fetched(number)) is not None:
                    await self.take(order)
            except (Rejected, UnknownPayload) as error:
                self._context.logger.error("order %d can't be read: %s", number, error)

    async def _fetched(self, number: int) -> Order | None:
        """An order as the shop has it; None if the shop has it no more, and then it is gone here too."""
        try:
            return await tried(self._shop, partial(self._client.order, number))
        except Refused as refused:
            if not refused.says_gone:
                raise
        async with self._one:
            await self._gone(number, await self._memory.order(number), None)
        return None

    async def _take_all(self, **of: Any) -> set[int]:
        """Take in every order of a list (:meth:`Client.orders`); the ids that were there."""
        seen: set[int] = set()
        async for page in self._client.orders(**of, waits=patient(self._shop)):
            for item in page.items:
                try:
                    order = decode(item, Order)
                except UnknownPayload as error:
                    await self._letter_once(item, str(error))
                    continue
                seen.add(order.id)
                await self.take(order)
        return seen

    # --- taken in

    async def take(self, order: Order) -> None:
        """Take in an order as it now is; nothing happens if it was known like that, or later."""
        async with self._one:
            kept = await self._memory.order(order.id)
            if kept is None and order.date_created_gmt and utc(order.date_created_gmt) < await self._beginning():
                return
            modified = utc(order.date_modified_gmt) if order.date_modified_gmt else None
            if kept and kept.modified and modified and modified < kept.modified:
                return
            if kept and kept.dismissed is not None and kept.dismissed == modified:
                return
            if order.status in GONE:
                await self._gone(order.id, kept, modified)
            elif order.status in self._spec.take or (kept and kept.revision and not kept.gone):
                await self._take(order, kept or Kept(), modified)
            elif kept is not None or order.status != _DRAFT:
                await self._left_waiting(order, kept or Kept(settled=True), modified)

    async def _left_waiting(self, order: Order, kept: Kept, modified: datetime | None) -> None:
        """Nothing of it is taken in now, nor may anything older be; and a person has nothing to see to."""
        await self._memory.settle(keeping.order_problem(order.id))
        if kept.modified != modified:
            await self._memory.keep(order.id, msgspec.structs.replace(kept, modified=modified))

    async def _beginning(self) -> datetime:
        """What was made before it is nobody's business: a day's beginning in Tehran."""
        if self._begin is None:
            written = await self._memory.cursor(_BEGIN)
            day = self._spec.begin or (date.fromisoformat(written) if written else mapper.day(self._context.clock()))
            begin = mapper.beginning(day)
            if written is not None and day < date.fromisoformat(written):
                # A person put the beginning back: what was left alone until now is asked for.
                await self._memory.set_cursor(_CHANGED, begin.isoformat())
            if written is None or day < date.fromisoformat(written):
                await self._memory.set_cursor(_BEGIN, day.isoformat())
            self._begin = begin
        return self._begin

    async def _take(self, order: Order, kept: Kept, modified: datetime | None) -> None:
        try:
            kept = await self._content(order, kept, modified)
            kept = await self._refunds(order, kept)
            await self._note_given_back(order, kept)
        except (Rejected, UnknownPayload) as problem:
            await self._complain(order, problem)
            # Even what can't be taken in is the latest there is: nothing older may follow it.
            kept = await self._memory.order(order.id) or kept
            await self._memory.keep(order.id, msgspec.structs.replace(kept, modified=modified, settled=False))
        else:
            await self._memory.settle(keeping.order_problem(order.id))

    async def _content(self, order: Order, kept: Kept, modified: datetime | None) -> Kept:
        if kept.pending is not None:
            kept = await self._told(order.id, kept, kept.pending, modified)
        if kept.gone and kept.revision and await self._stands(mapper.source_id(order.id, kept.generation)):
            kept = msgspec.structs.replace(kept, gone=False)
        fresh = kept.gone or not kept.revision
        generation = kept.generation + 1 if kept.gone and kept.revision else kept.generation
        known = Known(await self._products(order), "", kept.products)
        request = mapper.request(
            order, known, self._spec, generation=generation, revision=1 if fresh else kept.revision + 1
        )
        # Only now: of an order that can't be taken in no account is made.
        request = msgspec.structs.replace(request, account=await self._account(order, kept))
        if fresh or mapper.content(request) != kept.content:
            kept = msgspec.structs.replace(
                kept,
                generation=generation,
                gone=False,
                settled=False,
                refunds=() if fresh else kept.refunds,
                pending=request,
                products=mapper.products(order, known),
            )
            await self._memory.keep(order.id, kept)
            kept = await self._told(order.id, kept, request, modified)
        kept = msgspec.structs.replace(
            kept,
            modified=modified,
            dismissed=None,
            products=kept.products or mapper.products(order, known),
            customer=mapper.customer_of(order),
            account=request.account or "",
        )
        await self._memory.keep(order.id, kept)
        return kept

    async def _told(self, order: int, kept: Kept, request: DocumentRequest, modified: datetime | None) -> Kept:
        """Tell what is pending. Killed after that it is told again as it was, and not the next content under its
        revision, which the hub would refuse."""
        await self._publish(Submit if request.revision == 1 else Amend, request, modified)
        kept = msgspec.structs.replace(kept, content=mapper.content(request), revision=request.revision, pending=None)
        await self._memory.keep(order, kept)
        return kept

    async def _refunds(self, order: Order, kept: Kept) -> Kept:
        """Refunds that are new become returns, those that are no more are cancelled."""
        there = {refund.id for refund in order.refunds}
        own_id = mapper.source_id(order.id, kept.generation)
        for number in sorted(set(kept.refunds) - there):
            await self._cancel(mapper.return_id(own_id, number), "the shop took the refund back")
            await self._memory.settle(f"refund-{order.id}-{number}")
            kept = await self._noted(order.id, kept, [each for each in kept.refunds if each != number])
        fresh = there - set(kept.refunds)
        if not fresh:
            return kept
        sale = await self.document(own_id)
        if sale is not None and sale.state in ENDED and order.status == REFUNDED:
            return kept  # what was never sold here, and is wholly given back there, is nothing to take back
        if sale is None or sale.state not in _RETURNABLE:
            state = sale.state if sale else "undecided"
            numbers = ", ".join(map(str, sorted(fresh)))
            raise Unmappable(
                f"Refund {numbers} waits: its order is {state}, and is taken back once it is cleared.",
                f"استرداد {numbers} منتظر است؛ سند سفارش هنوز تأیید نشده است ({state}).",
            )
        for refund in await tried(self._shop, partial(self._client.refunds, order.id)):
            if refund.id not in fresh:
                continue
            if not any(line.quantity for line in refund.line_items):
                await self._money_only(order, refund)
            else:
                await self._return(refund, sale, kept)
            kept = await self._noted(order.id, kept, [*kept.refunds, refund.id])
        return kept

    async def _note_given_back(self, order: Order, kept: Kept) -> None:
        there = {refund.id for refund in order.refunds}
        given_back = order.status == REFUNDED and bool(there) and there <= set(kept.refunds)
        if given_back != kept.given_back:
            await self._memory.keep(order.id, msgspec.structs.replace(kept, given_back=given_back))

    async def _money_only(self, order: Order, refund: Refund) -> None:
        amount = f"{refund.amount} {order.currency}"
        problem = Problem(
            f"refund-{order.id}-{refund.id}",
            f"Refund {refund.id} gave {amount} back and no goods: enter it in the books by hand.",
            f"استرداد {refund.id} مبلغ {amount} را بی‌برگشت کالا پس داده است؛ آن را در دفاتر دستی ثبت کنید.",
            self._context.clock(),
            number=order.number,
        )
        if await self._memory.complain(problem):
            self._context.logger.warning("order %s: %s", order.number, problem.en)

    async def _return(self, refund: Refund, sale: Document, kept: Kept) -> None:
        known = Known(await self._products(refund), sale.account or "", kept.products)
        request = mapper.refund_request(refund, sale.source_id, sale.payment, known, self._spec)
        await self._publish(Submit, request, utc(refund.date_created_gmt) if refund.date_created_gmt else None)

    async def document(self, own_id: str) -> Document | None:
        """One of this shop's documents, by its own id, as it now is."""
        document_id = ids.document_id(self.source, own_id)
        found = await self._bus.waited_out(lambda: self._context.lookup.documents([document_id]))
        return found.get(document_id)

    async def _noted(self, order: int, kept: Kept, refunds: Iterable[int]) -> Kept:
        kept = msgspec.structs.replace(kept, refunds=tuple(sorted(refunds)))
        await self._memory.keep(order, kept)
        return kept

    async def _gone(self, number: int, kept: Kept | None, modified: datetime | None) -> None:
        """The order came to nothing in the shop."""
        await self._memory.settle(keeping.order_problem(number))
        kept = kept or Kept()
        if kept.gone:
            return
        if kept.given_back:
            await self._memory.keep(
                number, msgspec.structs.replace(kept, modified=modified or kept.modified, settled=True)
            )
            return
        if kept.pending is not None:
            kept = await self._told(number, kept, kept.pending, modified)
        if kept.revision:
            await self._cancel(mapper.source_id(number, kept.generation), WITHDRAWN)
        await self._memory.keep(
            number, msgspec.structs.replace(kept, modified=modified or kept.modified, gone=True, settled=True)
        )

    async def _stands(self, own_id: str) -> bool:
        """Whether a document the shop withdrew is there all the same, for it was in the books by then: an order that
        comes back is that one, and not sold a second time."""
        document_id, lookup = ids.document_id(self.source, own_id), self._context.lookup
        cancel = mapper.cancel_id(document_id, WITHDRAWN)

        async def standing() -> bool | None:
            document = (await lookup.documents([document_id])).get(document_id)
            if document is not None and document.state in ENDED:
                return False
            decision = (await lookup.decisions([cancel])).get(cancel)
            return True if decision is not None and decision.type == COMMAND_REFUSED else None

        deadline = asyncio.get_running_loop().time() + DECISION_SECONDS
        while (stands := await self._bus.waited_out(standing)) is None:
            if asyncio.get_running_loop().time() > deadline:
                raise Unmappable(
                    f"The order came back, and the hub hasn't decided yet that {own_id} was withdrawn: retry it.",
                    f"سفارش برگشته و هاب هنوز دربارهٔ لغو {own_id} تصمیم نگرفته است؛ دوباره تلاش کنید.",
                )
            await asyncio.sleep(_LOOK_SECONDS)
        return stands

    # --- decided here

    async def decided(self, number: int) -> None:
        """The hub decided about an order: if it waits, perhaps for that, it is tried again."""
        async with self._one:
            waits = await self._memory.get(keeping.EXCEPTIONS, keeping.order_problem(number)) is not None
        if waits:
            await self._take_each([number])

    async def was_told(self, number: int, state: State) -> None:
        """The shop was told how an order stands. One in the books isn't compared every night any more."""
        async with self._one:
            if (kept := await self._memory.order(number)) is not None:
                settled = kept.settled or state is State.POSTED
                await self._memory.keep(number, msgspec.structs.replace(kept, settled=settled, told=state))

    # --- what is known

    async def _products(self, order: Order | Refund) -> dict[str, str]:
        return await self._known(mapper.skus(order))

    async def _known(self, wanted: set[str]) -> dict[str, str]:
        """The products of those of these SKUs that are known."""
        if not wanted:
            return {}
        mapped = await self._memory.mapped(wanted)
        codes = {mapped.get(sku, sku) for sku in wanted}
        known = await self._bus.waited_out(lambda: self._context.lookup.products(codes))
        return {sku: code for sku in wanted if (code := mapped.get(sku, sku)) in known}

    async def _account(self, order: Order, kept: Kept) -> str:
        phone, email = mapper.phone_of(order), mapper.email_of(order)
        lookup = self._context.lookup
        if kept.account and kept.customer == mapper.customer_of(order):
            before = await self._bus.waited_out(lambda: lookup.accounts([kept.account]))
            if kept.account in before and before[kept.account].active:
                return kept.account  # whoever else has this phone by now
        found = await self._bus.waited_out(
            lambda: lookup.accounts_of(phones=[phone] if phone else [], emails=[email] if email else [])
        )
        made = mapper.new_account(order, self._spec)
        if not found and made is not None:  # one that was made before, and whose phone the books don't have
            found = list((await self._bus.waited_out(lambda: lookup.accounts([made.code]))).values())
        active = [account for account in found if account.active]
        if len(active) == 1:
            return active[0].code
        if active:
            codes = ", ".join(account.code for account in active)
            raise Unmappable(
                f"Several accounts have the phone {phone} or the e-mail {email}: {codes}. Leave one of them active.",
                f"چند حساب با تلفن {phone} یا ایمیل {email} هست: {codes}. یکی را فعال نگه دارید.",
            )
        if found:
            raise Unmappable(
                f"The customer's account {found[0].code} is inactive: activate it, or give another this phone.",
                f"حساب مشتری ({found[0].code}) غیرفعال است؛ آن را فعال کنید یا این تلفن را به حساب دیگری بدهید.",
            )
        if made is None:
            if self._spec.guest_account is not None:
                return self._spec.guest_account
            raise Unmappable(
                "The customer left no phone number, and no guest_account is configured.",
                "مشتری شمارهٔ تلفن نداده و حساب مشتری متفرقه (guest_account) پیکربندی نشده است.",
            )
        await self._bus.waited_out(lambda: self._context.publisher.master([made]))
        await self._bus.waited_out(partial(self._there, made.code))
        return made.code

    async def _there(self, code: str) -> None:
        """Wait until the hub has an account that was just told."""
        deadline = asyncio.get_running_loop().time() + DECISION_SECONDS
        while not await self._context.lookup.accounts([code]):
            if asyncio.get_running_loop().time() > deadline:
                raise Retryable(f"the hub hasn't taken in account {code} yet")
            await asyncio.sleep(_LOOK_SECONDS)

    # --- told

    async def _publish(
        self, command: type[Submit] | type[Amend], request: DocumentRequest, modified: datetime | None
    ) -> None:
        made = command.of(
            request, source=self.source, actor=self._context.name, now=self._context.clock(), occurred_at=modified
        )
        await self._bus.waited_out(lambda: self._context.publisher.documents([made]))

    async def _cancel(self, own_id: str, note: str) -> None:
        made = mapper.cancel(own_id, note, source=self.source, actor=self._context.name, now=self._context.clock())
        await self._bus.waited_out(lambda: self._context.publisher.documents([made]))

    async def _complain(self, order: Order, problem: Rejected | UnknownPayload) -> None:
        told = Problem(
            keeping.order_problem(order.id),
            str(problem),
            problem.fa,
            self._context.clock(),
            order.id,
            order.number,
            problem.sku if isinstance(problem, Unmappable) else None,
        )
        if await self._memory.complain(told):
            self._context.logger.warning("order %s waits for a person: %s", order.number, problem)

    async def _letter(self, body: bytes, why: str, place: str) -> None:
        letter: DeadLetter = self._context.dead_letter(body, why, place=place, position=0)
        await self._bus.waited_out(lambda: self._context.publisher.dead_letters([letter]))
        self._context.logger.warning("%s: %s", place, why)

    async def _letter_once(self, body: bytes, why: str) -> None:
        """The same bytes come with every question; they are one letter."""
        digest = hashlib.sha256(body).hexdigest()
        if await self._memory.get(keeping.BAD, digest) is None:
            await self._letter(body, why, "orders")
            await self._memory.put(keeping.BAD, digest, b"1")

    # --- what people decided

    async def run_wishes(self) -> None:
        """Do what people asked for at the exception list, or did in the books, until cancelled."""
        while True:
            for problem_id, wish in await self._memory.all(keeping.WISHES):
                await self._wish(problem_id, wish)
                await self._memory.granted(problem_id, wish)
            await self._try_known()
            await asyncio.sleep(self._spec.look.total_seconds())

    async def _try_known(self) -> None:
        """Try again what waited for a product the hub knows by now."""
        problems = await self._memory.problems()
        waiting = [(each.order, each.sku) for each in problems if each.order is not None and each.sku]
        known = await self._known({sku for _, sku in waiting})
        await self._take_each(number for number, sku in waiting if sku in known)

    async def _wish(self, problem_id: str, wish: bytes) -> None:
        for problem in await self._memory.problems():
            if problem_id not in (problem.id, "all"):
                continue
            if keeping.is_wish(wish, keeping.DISMISS):
                try:
                    await self._dismiss(problem)
                except (Rejected, UnknownPayload) as error:
                    self._context.logger.error("%s can't be dismissed: %s", problem.id, error)
            elif problem.order is not None:
                await self._take_each([problem.order])

    async def _dismiss(self, problem: Problem) -> None:
        if problem.order is None:
            await self._memory.settle(problem.id)
            return
        if (order := await self._fetched(problem.order)) is None:
            return
        async with self._one:
            kept = await self._memory.order(order.id) or Kept()
            modified = utc(order.date_modified_gmt) if order.date_modified_gmt else None
            await self._memory.keep(order.id, msgspec.structs.replace(kept, dismissed=modified, settled=True))
            await self._memory.settle(problem.id)
