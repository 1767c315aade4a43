"""``hub topics list|create|check``."""

import asyncio
from argparse import Namespace

from hub.bus.topics import check_topics, create_topics
from hub.runtime import servers
from hub.runtime.config import Config
from hub.runtime.console import margin, screen, show, table
from schemas.topics import all_topics


def list_topics(config: Config, _args: Namespace) -> int:
    """The declared topics as this deployment names them. Asks no server."""
    console = screen()
    rows = [
        (
            config.company.prefix + topic.name,
            topic.key,
            str(topic.partitions),
            "compacted" if topic.compacted else f"{topic.retention_days} days",
            topic.summary,
        )
        for topic in all_topics()
    ]
    show(console, table(console, ("topic", "key", "partitions", "kept", "what it carries"), rows))
    return 0


def create(config: Config, _args: Namespace) -> int:
    """Make the topics that are missing, and name them."""
    made = asyncio.run(create_topics(servers.kafka(config)))
    for name in made:
        show(screen(), name)
    show(margin(), f"{len(made)} made." if made else "All topics are there.")
    return 0


def check(config: Config, _args: Namespace) -> int:
    """0 if every topic is as declared, else 1 with what isn't."""
    problems = asyncio.run(check_topics(servers.kafka(config)))
    for problem in problems:
        show(screen(), problem)
    if not problems:
        show(margin(), "All topics are there, as declared.")
    return 1 if problems else 0
