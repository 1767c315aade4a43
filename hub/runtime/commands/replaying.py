"""``hub replay``."""

import asyncio
from argparse import Namespace
from datetime import datetime, time

from hub.bus.rewinding import InUse, rewind
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.console import margin, screen, show, table
from hub.runtime.failures import Failure
from schemas import topics
from schemas.dates import TEHRAN, parse_date
from schemas.text import latin_digits
from schemas.topics import Topic

REPLAYABLE: dict[str, Topic] = {topic.name: topic for topic in (topics.COMMANDS, *topics.MASTER.values())}
"""What the streams workers handle."""


def replay(config: Config, args: Namespace) -> int:
    """Have the streams workers handle again what they have handled, from when they are next started."""
    since = _moment(args.since) if args.since else None
    chosen = [_topic(name) for name in args.topic or [topics.COMMANDS.name]]
    kafka = servers.kafka(config)
    try:
        # The name streams/app.py gives its group, without importing Faust for it.
        places = asyncio.run(rewind(kafka, f"{kafka.prefix}streams", chosen, since))
    except InUse as error:
        raise Failure(
            "Streams workers are running, so their place can't be changed.", "Stop them, and say this again."
        ) from error
    console = screen()
    rows = [(each.topic, str(each.partition), f"{each.offset:,}", f"{each.records:,}") for each in places]
    show(console, table(console, ("topic", "partition", "from offset", "records"), rows))
    show(margin(), "The streams workers handle them again when they are started; what was decided stays decided.")
    return 0


def _topic(name: str) -> Topic:
    if name not in REPLAYABLE:
        raise Failure(f"{name} can't be replayed.", f"These can: {', '.join(REPLAYABLE)}.", code=2)
    return REPLAYABLE[name]


def _moment(text: str) -> datetime:
    """A day's beginning in Tehran, or a date-time, in Tehran unless it says its offset."""
    plain = latin_digits(text)
    try:
        moment = (
            datetime.fromisoformat(plain)
            if "T" in plain
            else datetime.combine(parse_date(plain), time(), tzinfo=TEHRAN)
        )
    except ValueError:
        raise Failure(
            f"{text!r} is no date.", "Write 1403/01/31, 2024-04-19 or 2024-04-19T08:00:00+03:30.", code=2
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=TEHRAN)
