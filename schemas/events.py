"""What happened. Events travel on ``documents.events``, keyed by document id, with the whole document as it now is."""

from uuid import UUID

import msgspec

from schemas.dates import Moment
from schemas.documents import Document
from schemas.reasons import Reason

EVENT_VERSION = 1
COMMAND_REFUSED = "document.command_refused"


class DocumentEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One decision. ``type`` is ``document.<state>`` of the new state, or ``document.command_refused``.

    Consumers drop an ``event_id`` they have seen, and a ``step`` below the one they hold. A refused command changes
    nothing: its ``step`` is the document's present one (0 if there is no such document) and ``document`` is unchanged.
    """

    event_id: UUID
    type: str
    source: str
    source_id: str
    document_id: UUID
    revision: int
    step: int
    occurred_at: Moment
    recorded_at: Moment
    command_id: UUID
    command: str
    actor: str
    version: int = EVENT_VERSION
    reasons: tuple[Reason, ...] = ()
    document: Document | None = None
    trace: str | None = None
