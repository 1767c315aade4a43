"""What things are called, for people: kinds, states and commands in both languages."""

from typing import Final

from hub.runtime.problems import Phrase
from schemas.documents import Kind, State
from schemas.reasons import PERSIAN


def _named(name: str) -> Phrase:
    return Phrase(name.replace("_", " "), PERSIAN[name])


KINDS: Final[dict[Kind, Phrase]] = {kind: _named(kind) for kind in Kind}
STATES: Final[dict[State, Phrase]] = {state: _named(state) for state in State}

_STATE_STYLES: Final[dict[State | None, str]] = {
    State.CLEARED: "green",
    State.POSTED: "green",
    State.HELD: "yellow",
    State.BACKORDERED: "yellow",
    State.POSTING: "cyan",
}
"""The other states are ends no one wished for: red."""


def state_style(state: State | None) -> str:
    """The colour a state is shown in; None is a command that was refused."""
    return _STATE_STYLES.get(state, "red")
