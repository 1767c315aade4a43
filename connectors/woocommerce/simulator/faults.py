"""What can go wrong on demand."""

import json
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """The ways the shop, its host or what stands in front of it can fail."""

    STATUS = "status"
    """Answers ``status`` with an error in WooCommerce's form; 429 and 503 with ``retry_after`` where it is given."""
    PAGE = "page"
    """Answers ``status`` with a page of HTML that repeats the address, as firewalls and broken plugins do."""
    GARBAGE = "garbage"
    """Answers 200 with JSON that breaks off."""
    SLOW = "slow"
    """Does what was asked, ``seconds`` later."""
    DROP = "drop"
    """Breaks the connection without doing anything."""
    DROP_AFTER = "drop_after"
    """Does what was asked, then breaks the connection instead of answering."""


@dataclass(slots=True)
class Fault:
    """One fault. It strikes the next ``times`` requests (None: all) whose method and path hold ``on``."""

    kind: FaultKind
    on: str = ""
    times: int | None = 1
    status: int = 500
    retry_after: str = ""
    seconds: float = 0.0
    struck: int = 0

    def takes(self, request: str) -> bool:
        """Whether this request ("PUT /wp-json/wc/v3/orders/1") is one to strike; counts it."""
        if (self.times is not None and self.struck >= self.times) or self.on not in request:
            return False
        self.struck += 1
        return True

    @property
    def headers(self) -> dict[str, str]:
        """Those of the answer, beside its type."""
        return {"Retry-After": self.retry_after} if self.retry_after else {}

    @property
    def error(self) -> bytes:
        """The body of a :attr:`FaultKind.STATUS`."""
        said = {"code": "simulated_error", "message": "Asked for by the test.", "data": {"status": self.status}}
        return json.dumps(said).encode()
