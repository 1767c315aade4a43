"""Visits: what a visitor did at a customer's, as the handheld tells it."""

from enum import StrEnum
from uuid import UUID

import msgspec

from schemas.dates import Moment


class VisitOutcome(StrEnum):
    """What a visit ended with."""

    SALE = "sale"
    ORDER = "order"
    RECEIPT = "receipt"
    NO_SALE = "no_sale"
    CLOSED = "closed"


class Visit(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One visit. ``id`` is derived from the source and the handheld's own id. Times are UTC.

    ``latitude`` and ``longitude`` are degrees as written (WGS 84), kept as text: nothing is counted with them.
    """

    id: UUID
    source: str
    source_id: str
    visitor: str
    account: str
    began_at: Moment
    outcome: VisitOutcome
    ended_at: Moment | None = None
    reason: str = ""
    """Why nothing was sold, in the visitor's words."""
    latitude: str | None = None
    longitude: str | None = None
    note: str = ""
