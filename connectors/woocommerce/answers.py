"""What became of an order goes back to it: its number in the books, its state, and why.

Written as meta-data, which is no part of what is compared; so what we wrote doesn't come back as a change.
"""

from typing import Final

import msgspec

from connectors.base import Context, Outage, Unauthorised, UnknownPayload
from connectors.woocommerce import mapper
from connectors.woocommerce.client import Client, Refused
from connectors.woocommerce.kept import Memory, Problem
from connectors.woocommerce.orders import Orders
from connectors.woocommerce.payloads import MetaChange, OrderChange
from connectors.woocommerce.spec import Spec
from schemas.documents import Document, State
from schemas.events import COMMAND_REFUSED, DocumentEvent

READ_SECONDS: Final = 0.5
NUMBER, STATE, REASON = "_peyvand_number", "_peyvand_state", "_peyvand_reason"
_TOLD: Final = frozenset(
    {State.HELD, State.REJECTED, State.BACKORDERED, State.POSTED, State.POST_FAILED, State.EXPIRED}
)


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

    async def run(self) -> None:
        """Until cancelled."""

        def wanted(_type: str, source: str, _kind: str) -> bool:
            return source == self._orders.source

        async with self._context.events.documents("answers", wanted) as reader:
            while True:
                for event in (events := await self._bus.waited_out(lambda: reader.read(READ_SECONDS))):
                    await self._answer(event)
                await reader.ack(events)

    async def _answer(self, event: DocumentEvent) -> None:
        number = mapper.order_of(event.source_id)
        if event.type == COMMAND_REFUSED:
            await self._refused(event)
        elif event.document is not None and number is not None and event.document.state in _TOLD:
            await self._tell(number, event.document)

    async def _refused(self, event: DocumentEvent) -> None:
        """A change of the shop's that came too late, such as a cancellation of what is in the books already."""
        if event.command not in ("cancel", "amend") or event.actor != self._context.name:
            return
        why = event.reasons[0]
        problem = Problem(
            f"refused-{event.source_id.replace('/', '-')}",
            f"The shop's change ({event.command}) came too late: {why.en}. Mend it in the books by hand.",
            f"تغییر فروشگاه ({event.command}) دیر رسید: {why.fa}. آن را در دفاتر دستی اصلاح کنید.",
            event.recorded_at,
            None,
            event.source_id,
        )
        if await self._memory.complain(problem):
            self._context.logger.warning("%s: %s", event.source_id, problem.en)

    async def _tell(self, number: int, document: Document) -> None:
        posting = document.posting
        reasons = " - ".join(reason.fa for reason in document.reasons)
        values = {STATE: document.state.value, REASON: reasons}
        if posting is not None and posting.number:
            values[NUMBER] = posting.number
        posted = document.state is State.POSTED
        status = self._spec.posted_status if posted and self._spec.posted_status else msgspec.UNSET
        change = OrderChange(status=status, meta_data=tuple(MetaChange(key=key, value=values[key]) for key in values))
        try:
            await self._shop.waited_out(lambda: self._client.change_order(number, change))
        except (Refused, Unauthorised, UnknownPayload) as error:
            self._context.logger.warning("order %d isn't told that it is %s: %s", number, document.state, error)
        if posted:
            await self._orders.settle(number)
