"""What came to the shop and went out of it, for tests and the soak to compare with the hub's own account."""

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the REST API, and the status it was answered with (0: it was dropped)."""

    method: str
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class Pushed:
    """Stock or prices that were set from outside; None: as it was. ``variation`` 0: the product itself."""

    product: int
    variation: int
    sku: str
    quantity: Decimal | None
    regular_price: str | None
    sale_price: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """What was written to an order from outside: its new status ("" if none) and meta-data."""

    order: int
    status: str
    meta: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery: the webhook, what it told of, and the answer (0: none came). A ping has no topic."""

    webhook: int
    topic: str
    resource: int
    status: int
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class Ledger:
    """Everything, in order."""

    asked: list[Asked] = field(default_factory=list)
    pushed: list[Pushed] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    def stock(self) -> dict[str, Decimal]:
        """The stock last pushed, by SKU."""
        return {push.sku: push.quantity for push in self.pushed if push.quantity is not None}

    def numbers(self, key: str) -> dict[int, str]:
        """What was last written under a meta-datum's key, by order."""
        return {write.order: write.meta[key] for write in self.written if key in write.meta}

    def delivered(self, topic: str = "") -> list[Sent]:
        """The deliveries that were answered 2xx, pings left out."""
        return [sent for sent in self.sent if sent.topic and topic in ("", sent.topic) and 200 <= sent.status < 300]

    def told(self) -> dict[str, Any]:
        """All of it but bodies and headers, for JSON."""
        return {
            "asked": [asdict(each) for each in self.asked],
            "pushed": [asdict(each) for each in self.pushed],
            "written": [asdict(each) for each in self.written],
            "sent": [
                {"webhook": each.webhook, "topic": each.topic, "resource": each.resource, "status": each.status}
                for each in self.sent
            ],
        }
