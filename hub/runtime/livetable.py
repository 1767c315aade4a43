"""What happens, as it happens: a live table on a terminal, a line for each event anywhere else."""

import asyncio
import contextlib
import sys
import termios
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import NamedTuple, Self
from uuid import UUID

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hub.runtime.words import KINDS, STATES, state_style
from schemas.dates import jalali_time
from schemas.documents import Document, Kind, State
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.ids import event_id
from schemas.reasons import Reason
from schemas.text import group

_HEADINGS = {
    "en": ("time", "document", "kind", "account", "payable", "state", "why"),
    "fa": ("زمان", "سند", "نوع", "حساب", "قابل پرداخت", "وضعیت", "علت"),
}
_REFUSED = {"en": "refused", "fa": "پذیرفته نشد"}
_NUMBER = {"en": "number {} in the books", "fa": "شمارهٔ {} در دفترها"}
_WAITING = {"en": "Waiting for documents ...", "fa": "در انتظار سند ..."}
_LEFT_BELOW = 6
"""Screen lines the table leaves free, so that it never scrolls."""
_GAP = 2
_DRAW_SECONDS = 0.2
_REMEMBERED = 5_000


class Happening(NamedTuple):
    """One row. ``payable`` is in rials; without ``state``, a command was refused and changed nothing.

    ``id`` is the event's: an event may come twice, and is shown once.
    """

    id: UUID
    at: datetime
    source: str
    source_id: str
    kind: Kind | None
    account: str | None
    payable: int
    state: State | None
    reasons: tuple[Reason, ...]
    number: str | None = None
    """In the books, once it is posted."""

    @classmethod
    def of_event(cls, event: DocumentEvent) -> Self:
        """What an event says."""
        document = event.document
        return cls(
            event.event_id,
            event.recorded_at,
            event.source,
            event.source_id,
            document.kind if document else None,
            document.account if document else None,
            document.totals.payable if document else 0,
            None if event.type == COMMAND_REFUSED or document is None else document.state,
            event.reasons,
            _number(document),
        )

    @classmethod
    def of_document(cls, document: Document) -> Self:
        """The last thing that happened to a document."""
        return cls(
            event_id(document.id, document.revision, document.step),
            document.changed_at,
            document.source,
            document.source_id,
            document.kind,
            document.account,
            document.totals.payable,
            document.state,
            document.reasons,
            _number(document),
        )

    def cells(self, language: str) -> tuple[str, ...]:
        """The row's texts, in the order of the headings."""
        persian = language == "fa"
        return (
            jalali_time(self.at),
            f"{self.source}/{self.source_id}",
            KINDS[self.kind][persian] if self.kind else "",
            self.account or "",
            group(self.payable) if self.payable else "",
            STATES[self.state][persian] if self.state else _REFUSED[language],
            ("؛ " if persian else "; ").join(self._why(language)),
        )

    def _why(self, language: str) -> Iterator[str]:
        if self.state is State.POSTED and self.number:
            yield _NUMBER[language].format(self.number)
        for reason in self.reasons:
            yield reason.fa if language == "fa" else reason.en


def _number(document: Document | None) -> str | None:
    return document.posting.number if document and document.posting else None


class LiveTable:
    """Shows happenings, the newest last, from entering to leaving."""

    def __init__(self, console: Console, language: str) -> None:
        self._console = console
        self._language = language
        self._rows: deque[Happening] = deque(maxlen=max(console.height - _LEFT_BELOW, 5))
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._leaving = contextlib.ExitStack()
        self._news = asyncio.Event()
        self._shown: dict[UUID, None] = {}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._leaving.enter_context(_without_echo_of_control())
            self._leaving.enter_context(self._live)
            self._draw(self._live)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def add(self, happening: Happening) -> None:
        """Show one more, unless it was shown lately."""
        if happening.id in self._shown:
            return
        self._shown[happening.id] = None
        if len(self._shown) > _REMEMBERED:
            del self._shown[next(iter(self._shown))]
        if self._live is None:
            self._write("  ".join(cell for cell in happening.cells(self._language) if cell))
        else:
            self._rows.append(happening)
            self._news.set()

    async def keep_drawn(self) -> None:
        """Draw the table when it has changed, a few times a second at most, until cancelled."""
        while self._live is not None:
            await self._news.wait()
            self._news.clear()
            self._draw(self._live)
            await asyncio.sleep(_DRAW_SECONDS)

    def say(self, sentence: str) -> None:
        """Show a sentence: above the table, or as a line."""
        if self._live is None:
            self._write(sentence)
        else:
            self._console.print(Text(sentence, style="yellow"))

    def _write(self, line: str) -> None:
        self._console.file.write(f"{line}\n")
        self._console.file.flush()

    def _draw(self, live: Live) -> None:
        if not self._rows:
            live.update(Text(_WAITING[self._language], style="dim"), refresh=True)
            return
        cells = [happening.cells(self._language) for happening in self._rows]
        headings = _HEADINGS[self._language]
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
        for heading in headings:
            table.add_column(heading, no_wrap=True)
        table.columns[4].justify = "right"
        # What is longest gives way: the reasons are cut where the line ends, the rest stays whole.
        whole = sum(max(map(cell_len, column)) + _GAP for column in list(zip(headings, *cells, strict=True))[:-1])
        for happening, (*others, state, why) in zip(self._rows, cells, strict=True):
            reasons = Text(why)
            reasons.truncate(max(self._console.width - whole, 1), overflow="ellipsis")
            table.add_row(*others, Text(state, style=state_style(happening.state)), reasons)
        live.update(table, refresh=True)


@contextlib.contextmanager
def _without_echo_of_control() -> Iterator[None]:
    """Ctrl-C leaves no ``^C`` on the terminal meanwhile: it would push what is drawn out of its place."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = [*before]
    quiet[3] &= ~termios.ECHOCTL
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
