"""What became of an order goes back to it: its number in the books, its state, and why.

Written as meta-data, which is no part of what is compared; so what we wrote doesn't come back as a change.
"""

import asyncio
from typing import Final

import msgspec

from connectors.base import Context, Outage, Rejected, Unauthorised, UnknownPayload
from connectors.woocommerce import mapper
from connectors.woocommerce.client import Client, Refused
from connectors.woocommerce.kept import UNTOLD, Memory, Problem
from connectors.woocommerce.orders import ENDED, REFUNDED, Orders, tried
from connectors.woocommerce.payloads import MetaChange, OrderChange
from connectors.woocommerce.spec import Spec
from schemas.documents import Document, State
from schemas.events import COMMAND_REFUSED, DocumentEvent

READ_SECONDS: Final = 0.5
_AGAIN_FACTOR: Final = 5
_AGAIN: Final = 100
NUMBER, STATE, REASON = "_peyvand_number", "_peyvand_state", "_peyvand_reason"
_TOLD: Final = frozenset(
    {State.HELD, State.REJECTED, State.BACKORDERED, State.POSTED, State.POST_FAILED, State.EXPIRED}
)
_TAKEN_BACK: Final = frozenset({State.CLEARED, State.CANCELLED})
"""States that are told only to an order that was told another: most orders clear at once, and are told their number."""
_UNDECIDED: Final = frozenset({State.HELD, State.BACKORDERED, State.POSTING})
"""States in which nothing that waits for an order's document can go on."""


class Answers:
    """One shop's."""

    def __init__(
        self, orders: Orders, spec: Spec, context: Context, client: Client, memory: Memory, shop: Outage, bus: Outage
    ) -> None:
        self._orders = orders
        self._spec = spec
        self._context = context
        self._client = client
        self._memory = memory
        self._shop = shop
        self._bus = bus
        self._telling = Outage("telling the shop how its orders stand", context.logger)
        self._again_at, self._again_after = 0.0, ""

    async def run(self) -> None:
        """Until cancelled."""

        def wanted(_type: str, source: str, _kind: str) -> bool:
            return source == self._orders.source

        async with self._context.events.documents("answers", wanted) as reader:
            while True:
                for event in (events := await self._bus.waited_out(lambda: reader.read(READ_SECONDS))):
                    await self._answer(event)
                await reader.ack(events)
                await self._tell_again_if_due()

    async def _answer(self, event: DocumentEvent) -> None:
        number, document = mapper.order_of(event.source_id), event.document
        if event.type == COMMAND_REFUSED:
            await self._refused(event)
        elif document is None:
            return
        elif number is None:
            if document.state is State.REJECTED and event.actor == self._context.name:
                await self._return_rejected(event, document)
        else:
            if await self._is_news(number, document):
                await self._tell(number, document)
            if document.state not in _UNDECIDED:
                await self._orders.decided(number)

    async def _is_news(self, number: int, document: Document) -> bool:
        if document.state in _TAKEN_BACK:
            kept = await self._memory.order(number)
            return kept is not None and kept.told not in ("", *_TAKEN_BACK)
        return document.state in _TOLD

    async def _refused(self, event: DocumentEvent) -> None:
        """What the hub didn't take in, or a change of the shop's that came too late, such as a cancellation of what is
        in the books already."""
        if event.command not in ("submit", "cancel", "amend") or event.actor != self._context.name:
            return
        if event.command == "cancel" and (event.document is None or event.document.state in ENDED):
            return  # there was nothing any more, or yet, to withdraw
        why = event.reasons[0]
        if event.command == "submit":
            await self._complain(
                event,
                "refused",
                f"The hub didn't take it in: {why.en}. Enter it in the books by hand.",
                f"هاب آن را نپذیرفت: {why.fa}. آن را در دفاتر دستی ثبت کنید.",
            )
            return
        await self._complain(
            event,
            "refused",
            f"The shop's change ({event.command}) came too late: {why.en}. Mend it in the books by hand.",
            f"تغییر فروشگاه ({event.command}) دیر رسید: {why.fa}. آن را در دفاتر دستی اصلاح کنید.",
        )

    async def _return_rejected(self, event: DocumentEvent, document: Document) -> None:
        """The shop has no place to be told that of a refund."""
        en, fa = (" - ".join(words) for words in zip(*((why.en, why.fa) for why in document.reasons), strict=True))
        await self._complain(
            event,
            "rejected",
            f"The return was rejected: {en}. Enter it in the books by hand.",
            f"برگشت پذیرفته نشد: {fa}. آن را در دفاتر دستی ثبت کنید.",
        )

    async def _complain(self, event: DocumentEvent, what: str, en: str, fa: str) -> None:
        own_id = event.source_id
        problem = Problem(f"{what}-{own_id.replace('/', '-')}", en, fa, event.recorded_at, None, own_id)
        if await self._memory.complain(problem):
            self._context.logger.warning("%s: %s", own_id, en)

    async def _tell_again_if_due(self) -> None:
        """Orders that couldn't be told are told how they stand by now: some of them, now and then."""
        now = asyncio.get_running_loop().time()
        if now < self._again_at:
            return
        self._again_at = now + self._spec.poll.total_seconds() * _AGAIN_FACTOR
        untold = await self._memory.page(UNTOLD, self._again_after, _AGAIN)
        self._again_after = untold[-1][0] if len(untold) == _AGAIN else ""
        for key, own_id in untold:
            document = await self._orders.document(own_id.decode())
            if document is not None and not await self._tell(int(key), document):
                return

    async def _tell(self, number: int, document: Document) -> bool:
        """Tell an order how its document stands, now or later; False: the shop lets us tell none."""
        lets, before = True, await self._memory.get(UNTOLD, str(number))
        try:
            await tried(self._shop, lambda: self._change(number, document))
        except Unauthorised as error:
            lets = told = False
            self._telling.down(error)
        except (Rejected, UnknownPayload) as error:
            told = isinstance(error, Refused) and error.says_gone
            if before is None:
                self._context.logger.warning("order %d isn't told that it is %s: %s", number, document.state, error)
        else:
            told = True
            self._telling.up()
        await self._memory.put(UNTOLD, str(number), None if told else document.source_id.encode())
        await self._orders.was_told(number, document.state)
        return lets

    async def _change(self, number: int, document: Document) -> None:
        posting = document.posting
        values = {STATE: document.state.value, REASON: " - ".join(reason.fa for reason in document.reasons)}
        if posting is not None and posting.number:
            values[NUMBER] = posting.number
        meta = tuple(MetaChange(key=key, value=values[key]) for key in values)
        status = await self._status(number, document)
        await self._client.change_order(number, OrderChange(status=status, meta_data=meta))

    async def _status(self, number: int, document: Document) -> str | msgspec.UnsetType:
        """The status an order in the books gets; none if it was cancelled, given back or set to another by then: that
        stands."""
        if document.state is not State.POSTED or self._spec.posted_status is None:
            return msgspec.UNSET
        order = await self._client.order(number)
        waits = order.status in self._spec.take and order.status != REFUNDED
        return self._spec.posted_status if waits else msgspec.UNSET
