"""Calls, as telephony connectors report them (MODULES.md D14)."""

from enum import StrEnum

import msgspec

from schemas.dates import Moment


class Direction(StrEnum):
    INCOMING = "incoming"
    OUTGOING = "outgoing"
    INTERNAL = "internal"


class CallEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened in a call. ``linked_id`` ties the legs of one call together."""

    linked_id: str
    event: str
    source: str
    occurred_at: Moment
    extension: str | None = None
    number: str | None = None
    direction: Direction | None = None


class CallLeg(msgspec.Struct, frozen=True, omit_defaults=True):
    """One extension's part in a call, in whole seconds."""

    extension: str
    talk_seconds: int
    answered_at: Moment | None = None


class CallRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A finished call with every extension that took part."""

    linked_id: str
    source: str
    direction: Direction
    number: str
    started_at: Moment
    ended_at: Moment
    legs: tuple[CallLeg, ...] = ()
    account: str | None = None
