"""The topics, declared once: the runtime creates and checks them, the AsyncAPI document is generated from them."""

from collections.abc import Iterator

import msgspec

from schemas import deadletters, devices, documents, events, master, messages, pushes, telephony, visits
from schemas.commands import AnyCommand

DAY_MS = 24 * 60 * 60 * 1000


class Topic(msgspec.Struct, frozen=True):
    """One topic. ``retention_days`` None means compacted: the last value of each key is kept for ever.

    Topics with the same ``group`` are co-partitioned: a key lies in the same partition number in each of them.
    """

    name: str
    key: str
    message: object
    summary: str
    retention_days: int | None = None
    partitions: int = 1
    group: str | None = None
    max_bytes: int = 1024 * 1024
    """The largest batch of records, as Kafka counts them."""

    @property
    def compacted(self) -> bool:
        return self.retention_days is None

    def config(self) -> dict[str, str]:
        """Kafka's topic configuration for the policy."""
        size = {"max.message.bytes": str(self.max_bytes)}
        if self.retention_days is None:
            return {"cleanup.policy": "compact"} | size
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_days * DAY_MS)} | size


DOCUMENT_PARTITIONS = 4
DOCUMENT_MAX_BYTES = 8 * 1024 * 1024
"""A document of 2,000 lines, each with a reason in two languages, fits twice over."""
DEAD_LETTER_MAX_BYTES = 12 * 1024 * 1024
"""The largest message there is, in base64."""


def _documents(name: str, message: object, summary: str, retention_days: int | None) -> Topic:
    return Topic(
        name,
        "document id",
        message,
        summary,
        retention_days,
        partitions=DOCUMENT_PARTITIONS,
        group="documents",
        max_bytes=DOCUMENT_MAX_BYTES,
    )


COMMANDS = _documents("documents.commands", AnyCommand, "What is asked of a document", 7)
EVENTS = _documents(
    "documents.events", events.DocumentEvent, "Every change of a document, with the document as it now is", 30
)
LATEST = _documents("documents.latest", documents.Document, "The document as it now is", None)

ACCOUNTS = Topic("master.accounts", "account code", master.Account, "Customers, suppliers and other parties")
PRODUCTS = Topic("master.products", "product code", master.Product, "Goods and services")
WAREHOUSES = Topic("master.warehouses", "warehouse code", master.Warehouse, "Warehouses")
STOCK = Topic("master.stock", "product|warehouse|attribute", master.Stock, "On hand in the books")
FINANCE = Topic("master.finance", "account code", master.Finance, "Customers' standing in the books")
LISTS = Topic(
    "master.lists", "list|code|product", master.ListEntry, "What the codes of attributes, groups, cities … mean"
)

CALL_EVENTS = Topic("calls.events", "linked id", telephony.CallEvent, "Telephony, as it happens", 30)
CALL_RECORDS = Topic("calls.records", "linked id", telephony.CallRecord, "Finished calls", 30)
INBOUND = Topic("messages.inbound", "customer", messages.InboundMessage, "Messages from customers", 30)
OUTBOUND = Topic("messages.outbound", "message id", messages.OutboundMessage, "Messages to customers", 30)
RECEIPTS = Topic("messages.receipts", "message id", messages.Receipt, "What became of messages", 30)
PAYMENT_REQUESTS = Topic("payments.requests", "payment id", devices.PaymentRequest, "Amounts for card terminals", 30)
PAYMENT_RESULTS = Topic("payments.results", "payment id", devices.PaymentResult, "Card terminals' answers", 30)
WEIGHTS = Topic("weights", "scale id", devices.Weight, "Scales' readings", 1)
PUSHES = Topic(
    "connectors.pushes",
    "connector and resource",
    pushes.Push,
    "What outside systems pushed by webhook, as it came",
    7,
    partitions=DOCUMENT_PARTITIONS,
    max_bytes=DOCUMENT_MAX_BYTES,
)
VISITS = Topic("visits", "visitor", visits.Visit, "What visitors did on their routes", 365)
NOTIFICATIONS = Topic("notifications", "recipient", messages.Notification, "For staff: Mattermost and popups", 7)
DEAD_LETTERS = Topic(
    "dead.letters",
    "original key",
    deadletters.DeadLetter,
    "Messages nobody could handle",
    90,
    max_bytes=DEAD_LETTER_MAX_BYTES,
)

MASTER: dict[type, Topic] = {
    master.Account: ACCOUNTS,
    master.Product: PRODUCTS,
    master.Warehouse: WAREHOUSES,
    master.Stock: STOCK,
    master.Finance: FINANCE,
    master.ListEntry: LISTS,
}


def all_topics() -> Iterator[Topic]:
    """Every declared topic, in the order of declaration."""
    return (value for value in globals().values() if isinstance(value, Topic))


def master_key(record: master.Master) -> bytes:
    """The key of a master record: its code; where it is several, they are joined by ``|``, which is escaped in them."""
    match record:
        case master.Stock(product, warehouse, _, _, attribute):
            return _joined(product, warehouse, attribute)
        case master.ListEntry(of, code, _, product):
            return _joined(of, code, product)
        case master.Finance(account):
            return account.encode()
        case _:
            return record.code.encode()


def _joined(*parts: str) -> bytes:
    return "|".join(part.replace("\\", r"\\").replace("|", r"\|") for part in parts).encode()
