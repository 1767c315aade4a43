"""What the commands write on the screen: rich on a terminal, plain lines anywhere else."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 10_000
"""Columns of what isn't a terminal: nothing is cut or wrapped in a file or a pipe."""


def screen() -> Console:
    """Standard output."""
    return _console(stderr=False)


def margin() -> Console:
    """Standard error: what isn't the command's answer."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream.isatty()
    return Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
        width=None if terminal else _UNBOUNDED,
    )


def show(console: Console, *renderables: RenderableType) -> None:
    """Print, one below the other; off a terminal without the blanks that fill lines."""
    if console.is_terminal:
        for each in renderables:
            console.print(each, soft_wrap=not isinstance(each, Table))
        return
    for each in renderables:
        with console.capture() as capture:
            console.print(each)
        for line in capture.get().splitlines():
            console.file.write(f"{line.rstrip()}\n")
    console.file.flush()


def table(
    console: Console, headings: Sequence[str], rows: Iterable[Sequence[RenderableType]], title: str = ""
) -> Table:
    """A table with a line under its headings on a terminal, and of bare columns elsewhere."""
    made = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=None,
        header_style="bold" if console.is_terminal else "",
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_header=any(headings),
    )
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def styled(text: str, style: str) -> Text:
    """Text in a style."""
    return Text(text, style=style)
