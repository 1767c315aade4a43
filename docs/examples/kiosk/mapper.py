"""A kiosk's order as the hub's command. Pure: what it says depends on what it is given."""

import datetime as dt
from typing import Final

import msgspec

from connectors.base import UnknownPayload
from schemas import intake
from schemas.commands import Submit
from schemas.dates import TEHRAN
from schemas.intake import InvalidRequest

PAID: Final = "paid"
ABANDONED: Final = "abandoned"


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """One position. ``count`` is text, so that no number of it ever was a float."""

    code: str
    count: str
    price: int
    """Rials for one."""


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What stands behind ``ORDER <number>``."""

    placed: dt.datetime
    state: str
    items: list[Item]


def command(
    number: int, raw: bytes, *, source: str, actor: str, account: str, warehouse: str, now: dt.datetime
) -> Submit | None:
    """What is asked of the hub; None for an order that was left unpaid. Raises UnknownPayload."""
    order = _order(number, raw)
    if order.state == ABANDONED:
        return None
    if order.state != PAID:
        raise UnknownPayload(f"order {number}: {order.state!r} is no state")
    wanted: dict[str, object] = {
        "source_id": str(number),
        "kind": "sales_order",
        "date": order.placed.astimezone(TEHRAN).date().isoformat(),
        "account": account,
        "warehouse": warehouse,
        "payment": "cash",
        "lines": [{"product": item.code, "quantity": item.count, "unit_price": item.price} for item in order.items],
    }
    try:
        request = intake.request_from(wanted)
    except InvalidRequest as error:
        problems = "; ".join(f"{problem.field}: {problem.en}" for problem in error.problems)
        raise UnknownPayload(f"order {number}: {problems}") from error
    return Submit.of(request, source=source, actor=actor, now=now)


def _order(number: int, raw: bytes) -> Order:
    try:
        order = msgspec.json.decode(raw, type=Order)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnknownPayload(f"order {number}: {error}") from error
    if order.placed.tzinfo is None or not 2000 <= order.placed.year < 2200:
        raise UnknownPayload(f"order {number}: placed {order.placed} is no moment with a time zone")
    return order
