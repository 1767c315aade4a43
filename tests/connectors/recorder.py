"""A publisher, cursors and events in memory, for tests of a connector's parts; its life is tested on the real ones."""

from collections.abc import Sequence

from schemas.commands import AnyCommand
from schemas.deadletters import DeadLetter
from schemas.master import Master


class Recorder:
    """What was published, in order, and the cursors."""

    def __init__(self) -> None:
        self.published: list[AnyCommand | Master | DeadLetter] = []
        self.values: dict[str, str] = {}

    async def documents(self, commands: Sequence[AnyCommand]) -> None:
        self.published += commands

    async def master(self, records: Sequence[Master]) -> None:
        self.published += records

    async def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self.published += letters

    async def get(self, name: str) -> str | None:
        return self.values.get(name)

    async def set(self, name: str, value: str) -> None:
        self.values[name] = value
