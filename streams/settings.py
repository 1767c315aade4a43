"""What a streams process is started with."""

import msgspec

from hub.bus.settings import Kafka
from hub.rules.settings import RuleSettings


class StreamSettings(msgspec.Struct, frozen=True):
    """One streams process. ``within`` is the longest a lone command waits for company, in seconds."""

    kafka: Kafka
    rules: RuleSettings = RuleSettings()
    batch_size: int = 500
    within: float = 0.02
    sweep_seconds: float = 1.0
    report_seconds: float = 2.0
    session_seconds: float = 10.0
    """How long a worker that died silently keeps its partitions from the others."""
