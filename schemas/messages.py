"""Messages to and from people: SMS, Telegram, Mattermost, popups (MODULES.md D15-D17, O5)."""

from enum import StrEnum

import msgspec

from schemas.dates import Moment


class Channel(StrEnum):
    SMS = "sms"
    TELEGRAM = "telegram"


class InboundMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message a customer sent."""

    id: str
    channel: Channel
    sender: str
    text: str
    received_at: Moment
    account: str | None = None


class OutboundMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message to be sent to one recipient."""

    id: str
    channel: Channel
    recipient: str
    text: str
    requested_at: Moment
    account: str | None = None


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an outbound message."""

    message_id: str
    status: str
    reported_at: Moment
    detail: str = ""


class Notification(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something a member of staff should know now, in both languages; ``link`` opens the record."""

    id: str
    recipient: str
    title_fa: str
    title_en: str
    created_at: Moment
    body_fa: str = ""
    body_en: str = ""
    link: str | None = None
