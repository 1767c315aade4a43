"""What `hub dev` shows: the live table, and the feed it follows."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from aiohttp import web
from rich.cells import cell_len
from rich.console import Console

from hub.runtime.livefeed import follow
from hub.runtime.livetable import Happening, LiveTable
from schemas import codec
from schemas.documents import Document, Kind, State, Totals
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.ids import document_id, event_id
from schemas.reasons import reason

AT = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)


def document(source_id: str, state: State = State.CLEARED) -> Document:
    return Document(
        id=document_id("shop", source_id),
        source="shop",
        source_id=source_id,
        kind=Kind.SALES_INVOICE,
        state=state,
        revision=1,
        step=1,
        date=date(2026, 11, 24),
        received_at=AT,
        changed_at=AT,
        account="212010006",
        totals=Totals(payable=193_958_960),
        reasons=(reason("credit_exceeded", payable=193_958_960, instant=1_000),) if state is State.HELD else (),
    )


def event(source_id: str, state: State = State.CLEARED, kind: str = "") -> DocumentEvent:
    about = document(source_id, state)
    return DocumentEvent(
        event_id=event_id(about.id, 1, 1),
        type=kind or f"document.{state}",
        source=about.source,
        source_id=source_id,
        document_id=about.id,
        revision=1,
        step=1,
        occurred_at=AT,
        recorded_at=AT,
        command_id=UUID(int=1),
        command="submit",
        actor="shop",
        reasons=about.reasons,
        document=about,
    )


def plain() -> tuple[LiveTable, io.StringIO]:
    written = io.StringIO()
    return LiveTable(Console(file=written, force_terminal=False), "en"), written


def test_without_a_terminal_each_event_is_one_plain_line() -> None:
    table, written = plain()
    with table:
        table.add(Happening.of_event(event("INV-1", State.HELD)))
        table.say("api was ended by SIGKILL.")
    assert written.getvalue().splitlines() == [
        "1405/09/03 11:00:00  shop/INV-1  sales invoice  212010006  193,958,960  held  "
        "193,958,960 is above the instant credit of 1,000",
        "api was ended by SIGKILL.",
    ]


def test_an_event_that_comes_twice_or_was_read_as_its_document_is_shown_once() -> None:
    table, written = plain()
    with table:
        table.add(Happening.of_document(document("INV-1")))
        table.add(Happening.of_event(event("INV-1")))
        table.add(Happening.of_event(event("INV-2")))
        table.add(Happening.of_event(event("INV-2")))
    assert len(written.getvalue().splitlines()) == 2


def test_a_refused_command_is_told_as_that() -> None:
    table, written = plain()
    with table:
        table.add(Happening.of_event(event("INV-1", kind=COMMAND_REFUSED)))
    assert "refused" in written.getvalue()


@pytest.mark.parametrize(("language", "shown"), [("en", "cleared"), ("fa", "تأییدشده")])
async def test_a_terminal_gets_a_table_that_fits(language: str, shown: str) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=110, height=20, color_system=None)
    with LiveTable(console, language) as table:
        drawing = asyncio.create_task(table.keep_drawn())
        for number in range(40):
            table.add(Happening.of_event(event(f"INV-{number}", State.HELD if number == 38 else State.CLEARED)))
        async with asyncio.timeout(60):
            while "INV-39" not in written.getvalue():
                await asyncio.sleep(0.01)
        drawing.cancel()
        drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())
    rows = [line for line in drawn.splitlines() if "INV-" in line]
    assert re.findall(r"INV-(\d+)", "".join(rows)) == [str(number) for number in range(26, 40)]
    assert all("1405/09/03 11:00:00" in row and "193,958,960" in row for row in rows)
    assert shown in rows[-1]
    assert rows[-2].rstrip().endswith("…")
    assert max(map(cell_len, rows)) <= 110


@asynccontextmanager
async def feed(answers: list[bytes], asked: list[str | None]) -> AsyncIterator[str]:
    """A live feed that gives one answer after the other, cutting each off; notes from where each was asked for."""

    async def live(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Last-Event-ID"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if answers:
            await response.write(answers.pop(0))
        return response

    app = web.Application()
    app.router.add_get("/v1/live", live)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_feed_is_resumed_after_the_last_whole_event() -> None:
    first, second = (codec.encode(event(source_id)) for source_id in ("INV-1", "INV-2"))
    begin = b"retry: 2000\nid: 0.0\n\n"
    whole = b"id: 0.1\ndata: " + first + b"\n\n: heartbeat\n\n"
    cut_off = b"id: 0.2\ndata: " + second + b"\n"
    lost = b'event: lost\ndata: {"events": 3}\n\n'
    asked: list[str | None] = []
    async with feed([begin + whole + cut_off, lost + cut_off + b"\n"], asked) as address, asyncio.timeout(60):
        found = []
        async for each in follow(address, "key"):
            found.append(each.source_id if each else None)
            if len(found) == 3:
                break
    assert found == [None, "INV-1", "INV-2"]
    assert asked[:2] == [None, "0.1"]
