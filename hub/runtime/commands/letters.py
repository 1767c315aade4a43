"""``hub dead-letters list|show|replay``."""

import asyncio
import sys
from argparse import Namespace
from collections.abc import Sequence

import msgspec
from rich.console import RenderableType
from rich.table import Table

from hub.bus import letters
from hub.bus.letters import NotReplayable
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.console import margin, screen, show, styled, table
from hub.runtime.failures import Failure
from schemas.dates import jalali_time
from schemas.deadletters import DeadLetter


def list_letters(config: Config, args: Namespace) -> int:
    """The latest dead letters, the newest last."""
    console = screen()
    found = asyncio.run(letters.read(servers.kafka(config), args.limit))
    rows = [
        (
            each.id,
            jalali_time(each.failed_at),
            f"{each.topic} {each.partition}/{each.offset}",
            each.handler,
            str(each.attempts),
            each.reason,
        )
        for each in found.letters
    ]
    show(console, table(console, ("letter", "failed at", "stood on", "handler", "times", "why"), rows))
    if found.strange:
        show(margin(), f"{found.strange} records of the topic are no dead letters and are left out.")
    return 0


def show_letter(config: Config, args: Namespace) -> int:
    """One letter with its message; with ``--raw`` the original bytes alone, to standard output."""
    (letter,) = asyncio.run(_chosen(config, [args.letter]))
    if args.raw:
        sys.stdout.buffer.write(letter.value)
        return 0
    show(screen(), styled(f"Dead letter {letter.id}", "bold"), _facts(letter), "", _message(letter.value))
    return 0


def _facts(letter: DeadLetter) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    rows: list[tuple[str, RenderableType]] = [
        ("why", letter.reason),
        ("failed at", f"{jalali_time(letter.failed_at)} ({letter.failed_at:%Y-%m-%d %H:%M:%S} UTC)"),
        ("stood on", f"{letter.topic}, partition {letter.partition}, offset {letter.offset}"),
        ("handler", letter.handler),
        ("times", str(letter.attempts)),
        ("key", "none" if letter.key is None else _text(letter.key)),
        *((f"header {name}", _text(value)) for name, value in letter.headers),
    ]
    for label, value in rows:
        grid.add_row(styled(label, "dim"), value)
    return grid


def _message(value: bytes) -> str:
    """JSON laid out over lines, any other text as it is, anything else in hexadecimal."""
    try:
        return msgspec.json.format(value, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _text(value)


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex(" ")
    return text if all(each.isprintable() or each in "\n\t" for each in text) else value.hex(" ")


def replay(config: Config, args: Namespace) -> int:
    """Send the named letters' messages again, or all of them."""
    if bool(args.letters) == args.all:
        raise Failure("Name the letters to replay, or say --all.", "hub dead-letters list shows them.", code=2)
    chosen = asyncio.run(_replay(config, args))
    for each in chosen:
        show(screen(), f"{each.id} to {each.topic} {each.partition}")
    show(margin(), f"{len(chosen)} sent again.")
    return 0


async def _replay(config: Config, args: Namespace) -> Sequence[DeadLetter]:
    kafka = servers.kafka(config)
    chosen = await _chosen(config, args.letters)
    if args.all:
        chosen = [each for each in chosen if not each.topic.startswith("connectors.")]
    try:
        await letters.replay(kafka, chosen)
    except NotReplayable as error:
        raise Failure(f"Nothing was sent: {error}.") from error
    return chosen


async def _chosen(config: Config, names: Sequence[str]) -> Sequence[DeadLetter]:
    """The letters whose ids begin as named, each name one letter; all of them without names."""
    found = (await letters.read(servers.kafka(config))).letters
    if not names:
        return found
    chosen = []
    for name in names:
        matching = [each for each in found if each.id.startswith(name)]
        if len(matching) != 1:
            many = f"{len(matching)} dead letters begin" if matching else "No dead letter begins"
            raise Failure(f"{many} with {name}.", "hub dead-letters list shows them.")
        chosen += matching
    return chosen
