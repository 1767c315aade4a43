"""A fleet of handhelds that lives through days: in the morning they pull, all day they sell, at night they push."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import aiohttp

from connectors.pocket_cyber.simulator.handheld import Away, Handheld

_SOLD: Final = ("cleared", "posted")


class Fleet:
    """The handhelds of these holders of one instance at ``address`` (``http://127.0.0.1:8800/connectors/…``).

    ``key`` is a hub key with the scope ``admin``, which makes their enrolment codes.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        key: str,
        holders: Sequence[str],
        *,
        seed: int = 1,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.handhelds = {
            holder: Handheld(session, address, seed=f"{seed}/{holder}", clock=clock) for holder in holders
        }
        self.dice = random.Random(seed)  # noqa: S311 - choices of a simulation
        self._session = session
        self._address = address.rstrip("/")
        self._key = key

    async def code(self, holder: str) -> str:
        """A new enrolment code. Raises :exc:`Away` and :exc:`Refused`."""
        operator = Handheld(self._session, self._address)
        operator.token = self._key
        answer = await operator.ask("POST", "/codes", {"holder": holder})
        return str(answer["code"])

    async def enrol(self) -> None:
        """Give each holder a device, once the hub is there."""
        for holder, handheld in self.handhelds.items():
            await patiently(partial(self._enrol, holder, handheld))

    async def _enrol(self, holder: str, handheld: Handheld) -> None:
        await handheld.enrol(await self.code(holder), f"handheld of {holder}")

    async def day(self, documents: int = 5, *, days_offline: int = 0, again: float = 0.1, breaks: float = 0.2) -> None:
        """One day of every handheld: pull, make documents, perhaps days ago, hand them over however often it takes.

        ``again``: the share of what was answered before that is sent once more; ``breaks``: how likely the connection
        breaks before the answer.
        """
        await asyncio.gather(
            *(self._day(each, documents, days_offline, again, breaks) for each in self.handhelds.values())
        )

    async def _day(self, handheld: Handheld, documents: int, days_offline: int, again: float, breaks: float) -> None:
        await patiently(handheld.pull)
        for _ in range(documents):
            make_something(handheld, timedelta(hours=handheld.dice.randint(0, 24 * days_offline)))
        if handheld.dice.random() < breaks:
            await patiently(lambda: handheld.push_and_break(share=handheld.dice.choice((0.5, 1.0))))
        await patiently(lambda: handheld.push(size=20, again=again))
        await patiently(handheld.read_outcomes)


def make_something(handheld: Handheld, ago: timedelta) -> None:
    """A document or visit such as the handheld's limits let it make, if its copies have anything to sell."""
    kinds = [kind for kind in handheld.me["limits"]["kinds"] if kind in _MAKERS]
    if not handheld.copies["customers"] or not handheld.copies["products"] or not kinds:
        return
    kind = handheld.dice.choice(kinds)
    _MAKERS[kind](handheld, ago)
    if handheld.me["limits"].get("visits"):
        handheld.visit("sale" if kind == "sales_invoice" else "order", ago=ago)


def _give_back(handheld: Handheld, ago: timedelta) -> None:
    sales = [
        id_
        for id_, entry in handheld.ledger.items()
        if entry.item.get("kind") == "sales_invoice" and entry.outcome and entry.outcome["state"] in _SOLD
    ]
    if sales:
        handheld.take_back(handheld.dice.choice(sales), ago=timedelta(0))
    else:
        handheld.sell("sales_invoice", ago=ago)


def _money(handheld: Handheld, ago: timedelta) -> None:
    handheld.take_money(handheld.dice.randint(1, 50) * 100_000, ago=ago)


_MAKERS: Final[dict[str, Callable[[Handheld, timedelta], Any]]] = {
    "sales_order": lambda handheld, ago: handheld.sell("sales_order", ago=ago),
    "sales_invoice": lambda handheld, ago: handheld.sell("sales_invoice", ago=ago),
    "sales_return": _give_back,
    "receipt": _money,
}


async def patiently(action: Callable[[], Any], pause: float = 0.2, longest: float = 10.0) -> None:
    """Try until the hub is there; the pause doubles up to ``longest`` seconds."""
    while True:
        try:
            await action()
        except Away:
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
        else:
            return
