"""Card terminals and scales (MODULES.md I17, I18)."""

from decimal import Decimal

import msgspec

from schemas.dates import Moment


class PaymentRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """An amount, in rials, to be shown on a card terminal."""

    payment_id: str
    terminal: str
    amount: int
    requested_at: Moment
    document_id: str | None = None


class PaymentResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the terminal answered; the numbers are kept on the receipt."""

    payment_id: str
    approved: bool
    finished_at: Moment
    transaction_number: str | None = None
    trace_number: str | None = None
    code: str = ""
    message: str = ""


class Weight(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stable reading, in kilograms."""

    scale: str
    kilograms: Decimal
    read_at: Moment
    stable: bool = True
