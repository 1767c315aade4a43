"""A sale as the desk writes it, as the hub's command. Pure."""

import datetime as dt

import msgspec

from connectors.base import UnknownPayload
from schemas import ids, intake
from schemas.commands import Cancel, Submit
from schemas.intake import InvalidRequest


def source_id(number: int) -> str:
    """The desk's own id of a sale."""
    return f"T-{number}"


class Sale(msgspec.Struct, forbid_unknown_fields=True):
    """One line of the desk's journal."""

    number: int
    state: str
    product: str
    quantity: str
    price: int
    day: str


def command(raw: bytes, *, source: str, actor: str, now: dt.datetime) -> Submit | Cancel | None:
    """What is asked of the hub; None for a sale that isn't finished. Raises UnknownPayload."""
    sale = _sale(raw)
    if sale.state == "open":
        return None
    if sale.state == "cancelled":
        return _cancel(sale, source, actor, now)
    if sale.state != "done":
        raise UnknownPayload(f"sale {sale.number}: {sale.state!r} is no state")
    return _submit(sale, source, actor, now)


def _sale(raw: bytes) -> Sale:
    try:
        return msgspec.json.decode(raw, type=Sale)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnknownPayload(f"no sale: {error}") from error


def _submit(sale: Sale, source: str, actor: str, now: dt.datetime) -> Submit:
    line: dict[str, object] = {"product": sale.product, "quantity": sale.quantity, "unit_price": sale.price}
    wanted: dict[str, object] = {"source_id": source_id(sale.number), "kind": "sales_invoice", "date": sale.day}
    try:
        request = intake.request_from({**wanted, "payment": "cash", "lines": [line]})
    except InvalidRequest as error:
        raise UnknownPayload("; ".join(problem.en for problem in error.problems)) from error
    return Submit.of(request, source=source, actor=actor, now=now)


def _cancel(sale: Sale, source: str, actor: str, now: dt.datetime) -> Cancel:
    document = ids.document_id(source, source_id(sale.number))
    return Cancel(
        command_id=ids.command_id(document, "cancel", 1),
        document_id=document,
        source=source,
        source_id=source_id(sale.number),
        revision=1,
        occurred_at=now,
        recorded_at=now,
        actor=actor,
    )
