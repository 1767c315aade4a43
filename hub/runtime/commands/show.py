"""``hub show DOCUMENT``: one document's whole story on a screen."""

import asyncio
from argparse import Namespace
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from rich.console import Console, RenderableType
from rich.table import Table

from hub.rules.deciding import quantity_text
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.console import screen, show, styled, table
from hub.runtime.failures import Failure
from hub.runtime.words import KINDS, STATES, state_style
from hub.store import lookup, reading
from hub.store.pool import Store
from schemas.dates import jalali, jalali_time
from schemas.documents import Document, DocumentLine, Kind, State
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.ids import document_id
from schemas.reasons import Reason
from schemas.text import group

_WIDE = 120
"""Columns from which a line's every amount has room."""


class Story(NamedTuple):
    """All there is to tell about one document; ``document`` is None when every command on it was refused."""

    document: Document | None
    history: Sequence[DocumentEvent]
    account: str
    products: dict[str, str]


def document(config: Config, args: Namespace) -> int:
    """Show the document of an id, of ``source/its own id``, or of its own id alone where one source has it."""
    tell(screen(), asyncio.run(_read(config, args.document)))
    return 0


async def _read(config: Config, name: str) -> Story:
    async with servers.opened_store(config) as store:
        for each in await candidates(store, name):
            history = await reading.history(store, each)
            if history:
                return await _story(store, await reading.document(store, each), history)
    raise Failure(
        f"There is no document {name}.",
        "Name it by its id or as source/own-id. What still waits in Kafka isn't here yet.",
    )


async def find(store: Store, name: str) -> Document | None:
    """The document that is named, if there is one. Raises Failure if several sources have one of that name."""
    for each in await candidates(store, name):
        if (found := await reading.document(store, each)) is not None:
            return found
    return None


async def candidates(store: Store, name: str) -> list[UUID]:
    """The ids a document's name may stand for: its id, ``source/its own id``, or its own id alone."""
    try:
        return [UUID(name)]
    except ValueError:
        pass
    source, slash, own = name.partition("/")
    named = [document_id(source, own)] if slash else []
    found = await reading.find_document(store, None, name)
    if len(found) > 1:
        raise Failure(f"Several sources have a document {name}: {', '.join(map(str, found))}.", "Name one by its id.")
    return [*named, *found]


async def _story(store: Store, document: Document | None, history: Sequence[DocumentEvent]) -> Story:
    if document is None:
        return Story(None, history, "", {})
    known = await lookup.accounts(store, [document.account]) if document.account else {}
    account = known.get(document.account or "")
    codes = sorted({line.product for line in document.lines})
    return Story(document, history, account.name if account else "", await reading.names(store, "products", codes))


def tell(console: Console, story: Story) -> None:
    """The story on the screen: header, lines, reasons, history. Persian stands in cells of its own."""
    document = story.document
    first = story.history[0]
    if document is None:
        show(console, styled(f"{first.source}/{first.source_id}  {first.document_id}", "bold"))
        show(console, "There is no such document: every command on it was refused.")
    else:
        style = state_style(document.state)
        show(console, styled(f"{document.source}/{document.source_id}  {document.id}", "bold"))
        show(console, _header(document, story.account, style))
        if document.lines:
            show(console, "", styled("Lines", "bold"), _lines(console, document, story.products))
        if document.reasons:
            show(console, "", styled("Why", "bold"), _reasons(document.reasons))
    show(console, "", styled("History", "bold"), _history(console, story.history))


def _header(document: Document, account: str, style: str) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    for label, value, persian in _header_rows(document, account, style):
        grid.add_row(styled(label, "dim"), value, persian)
    return grid


def _header_rows(document: Document, account: str, style: str) -> Iterator[tuple[str, RenderableType, RenderableType]]:
    kind, state = KINDS[document.kind], STATES[document.state]
    yield "state", styled(state.en, style), styled(state.fa, style)
    yield "kind", kind.en, kind.fa
    yield "revision", f"{document.revision}, step {document.step}", ""
    yield "date", f"{jalali(document.date)} ({document.date})", ""
    if document.account:
        yield "account", document.account, account
    yield "payment", document.payment, ""
    if document.warehouse:
        to = f" to {document.to_warehouse}" if document.to_warehouse else ""
        yield "warehouse", f"{document.warehouse}{to}", ""
    if document.original_id:
        yield "returns" if document.kind is Kind.SALES_RETURN else "invoices", str(document.original_id), ""
    totals = document.totals
    tax = f"VAT {group(totals.vat)} + duty {group(totals.duty)}"
    yield "net", f"{group(totals.net)} ({group(totals.gross)} less {group(totals.discount)})", ""
    yield "tax", tax, ""
    yield "payable", styled(f"{group(totals.payable)} rials", "bold"), ""
    yield "received", _moment(document.received_at), ""
    yield "changed", _moment(document.changed_at), ""
    if document.expires_at:
        yield "reserved until", _moment(document.expires_at), ""
    if approval := document.approval:
        verdict = "approved" if approval.approved else "refused"
        yield verdict, f"by {approval.by}, {_moment(approval.at)}", approval.note
    if released := document.released:
        yield "released", f"by {released.by}, {_moment(released.at)}", released.note
    if posting := document.posting:
        number = posting.number or "none"
        yield "posting", f"number {number}{f', {_moment(posting.posted_at)}' if posting.posted_at else ''}", ""
        if posting.error:
            yield "posting error", f"{posting.error_number or ''} {posting.error}".strip(), ""
    if document.note:
        yield "note", "", document.note


def _lines(console: Console, document: Document, names: dict[str, str]) -> Table:
    """The lines; where the screen is narrow without what the header sums up."""
    wide = not console.is_terminal or console.width >= _WIDE
    money = ("price", "net", "tax", "payable") if wide else ("price", "payable")
    headings = ("#", "product", "name", "warehouse", "quantity", "reserved", "short", *money)
    made = table(console, headings, [_line(line, document, names, money) for line in document.lines])
    for column in made.columns[4:]:
        column.justify = "right"
        column.no_wrap = True
    return made


def _line(
    line: DocumentLine, document: Document, names: dict[str, str], money: Sequence[str]
) -> tuple[RenderableType, ...]:
    attribute = f" [{line.attribute}]" if line.attribute else ""
    rials = {"price": line.unit_price, "net": line.net, "tax": line.vat + line.duty, "payable": line.payable}
    return (
        str(line.number),
        f"{line.product}{attribute}",
        names.get(line.product, ""),
        line.warehouse or document.warehouse or "",
        quantity_text(line.quantity),
        _amount(line.reserved),
        styled(_amount(line.short), "yellow"),
        *(group(rials[column]) for column in money),
    )


def _amount(quantity: Decimal) -> str:
    return quantity_text(quantity) if quantity else ""


def _reasons(reasons: Sequence[Reason]) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    for reason in reasons:
        line = f"line {reason.line}" if reason.line is not None else ""
        grid.add_row(styled(reason.code, "dim"), line, reason.en, reason.fa)
    return grid


def _history(console: Console, history: Sequence[DocumentEvent]) -> Table:
    rows = [
        (
            "" if event.type == COMMAND_REFUSED else str(event.step),
            event.command.replace("_", " "),
            _became(event),
            event.actor,
            _moment(event.recorded_at, "\n" if console.is_terminal else " "),
            "; ".join(reason.en for reason in event.reasons),
            "؛ ".join(reason.fa for reason in event.reasons),
        )
        for event in history
    ]
    return table(console, ("step", "command", "became", "by", "when", "why", "علت"), rows)


def _became(event: DocumentEvent) -> RenderableType:
    if event.type == COMMAND_REFUSED:
        return styled("refused", "red")
    state = State(event.type.removeprefix("document."))
    return styled(STATES[state].en, state_style(state))


def _moment(moment: datetime, between: str = " ") -> str:
    """In Tehran by the Jalali calendar, and in UTC."""
    return f"{jalali_time(moment)}{between}({moment:%Y-%m-%d %H:%M:%S} UTC)"
