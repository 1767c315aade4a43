"""What a rule is, and all there are.

Each is a function of a :class:`~tests.conformance.stage.Stage` that raises ``Broken`` if it isn't kept. :func:`rule`
puts it into :data:`RULES`; the docstring says what the rule holds and why.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.conformance.harness import Part
from tests.conformance.kinds import Subject
from tests.conformance.stage import Stage

Check = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: ``needs`` are the parts a connector must have for it, ``receiving`` whether it is about receivers,
    ``by_text`` whether what it looks at is the same in every variant of a connector."""

    name: str
    check: Check
    needs: tuple[Part, ...]
    receiving: bool
    by_text: bool

    def concerns(self, subject: Subject) -> bool:
        """Whether there is anything of this connector to be held to it."""
        receives = subject.kind.receiver is not None and Part.RECEIVING not in subject.adapter.without
        if (self.receiving and not receives) or (self.by_text and subject.variant):
            return False
        return not any(part in subject.adapter.without for part in self.needs)


RULES: dict[str, Rule] = {}


def rule(*needs: Part, receiving: bool = False, by_text: bool = False) -> Callable[[Check], Check]:
    """Make a function a rule, under its own name."""

    def registered(check: Check) -> Check:
        RULES[check.__name__] = Rule(check.__name__, check, needs, receiving, by_text)
        return check

    return registered
