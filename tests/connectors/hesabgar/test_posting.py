"""Posting to a simulated Hesabgar: once each, whatever breaks."""

from schemas.documents import State
from tests.connectors.hesabgar.conftest import World


async def test_a_cleared_invoice_ends_as_a_voucher_with_a_number(world: World) -> None:
    async with world.connector():
        await world.has_stock(47)
        identity = await world.send(quantity=5)
        posted = await world.comes_to(identity, State.POSTED)
        assert posted.posting is not None
        assert [(str(identity), posted.posting.number)] == world.outcomes()
        await world.has_stock(42)
