"""What can go wrong on demand."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """The ways the simulated server can fail."""

    DEADLOCK = "deadlock"
    """Error 1205: this batch's transaction is undone, as a deadlock victim's is."""
    DELAY = "delay"
    """The statement takes ``seconds`` longer."""
    HANG = "hang"
    """The statement doesn't end until the client cancels, goes away, or the server stops."""
    ERROR = "error"
    """Error ``number`` with ``message``."""
    DROP = "drop"
    """The connection breaks before the statement has done anything."""
    DROP_BEFORE_COMMIT = "drop_before_commit"
    """The connection breaks when everything is done but the commit; it is undone."""
    DROP_AFTER_COMMIT = "drop_after_commit"
    """The connection breaks after the commit, before the reply."""


@dataclass(slots=True)
class Fault:
    """One fault. It happens to batches and calls whose text (or procedure's name) holds ``on``, whatever the case.

    Of those it lets ``skip`` pass and strikes the next ``times``, at the ``statement``-th statement that runs (those
    of procedures count too). The drops at a commit strike at the first commit of something that was written.
    """

    kind: FaultKind
    on: str = ""
    statement: int = 1
    skip: int = 0
    times: int = 1
    seconds: float = 0.0
    number: int = 50_000
    message: str = ""
    struck: int = 0

    def takes(self, text: str) -> bool:
        """Whether this batch is one to strike; counts it."""
        if self.times <= 0 or self.on.lower() not in text.lower():
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Dropped(Exception):
    """The connection is to be broken, without another word."""
