"""What is asked of a document. Commands travel on ``documents.commands``, keyed by document id.

A command's id is derived, so the same command sent twice is decided once (DESIGN.md "Decided once").
"""

from datetime import datetime
from typing import Self
from uuid import UUID

import msgspec

from schemas import ids
from schemas.dates import Moment
from schemas.documents import CURRENCY, DocumentRequest

COMMAND_VERSION = 1


class Command(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag=lambda name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_"),
):
    """The envelope every command shares. ``actor`` is the API key's or connector's name, ``trace`` the traceparent."""

    command_id: UUID
    document_id: UUID
    source: str
    source_id: str
    revision: int
    occurred_at: Moment
    recorded_at: Moment
    actor: str
    version: int = COMMAND_VERSION
    trace: str | None = None


class _Content(Command, frozen=True, kw_only=True):
    document: DocumentRequest

    @classmethod
    def of(
        cls,
        request: DocumentRequest,
        *,
        source: str,
        actor: str,
        now: datetime,
        occurred_at: datetime | None = None,
        trace: str | None = None,
    ) -> Self:
        """The command for one revision of one source's document; equal content gets an equal id."""
        document = ids.document_id(source, request.source_id)
        return cls(
            command_id=ids.command_id(document, "content", f"{request.revision}/{fingerprint(request)}"),
            document_id=document,
            source=source,
            source_id=request.source_id,
            revision=request.revision,
            occurred_at=occurred_at or now,
            recorded_at=now,
            actor=actor,
            trace=trace,
            document=request,
        )


class Submit(_Content, frozen=True, kw_only=True):
    """A document's content, first sent (or sent again).

    ``in_books``: the books had it before, under this number. Then it is recorded as it is and stands as posted; it
    neither reserves goods nor takes credit. Only connectors to the books say so.
    """

    in_books: str | None = None


class Amend(_Content, frozen=True, kw_only=True):
    """A document's new content under a higher revision."""


class _OnDocument(Command, frozen=True, kw_only=True):
    note: str = ""


class Approve(_OnDocument, frozen=True, kw_only=True):
    """Let a held document through; the actor answers for it."""


class Refuse(_OnDocument, frozen=True, kw_only=True):
    """Turn a held document down."""


class Cancel(_OnDocument, frozen=True, kw_only=True):
    """Withdraw a document that hasn't been handed to the books."""


class Release(_OnDocument, frozen=True, kw_only=True):
    """Let the books have a cleared document whose policy keeps it until someone says so."""


class Expire(_OnDocument, frozen=True, kw_only=True):
    """The reservation's time is up. ``due`` must still be the document's expiry when it is decided."""

    due: Moment


class Reconsider(_OnDocument, frozen=True, kw_only=True):
    """Stock came in: see whether a backordered document can be completed."""


class PostingStarted(_OnDocument, frozen=True, kw_only=True):
    """The document is being handed to the books; from now it can't be amended or cancelled."""


class PostingSucceeded(_OnDocument, frozen=True, kw_only=True):
    """The books have the document, under ``number``, since ``posted_at`` (the books' own clock, UTC)."""

    number: str
    posted_at: Moment


class PostingFailed(_OnDocument, frozen=True, kw_only=True):
    """The books refused the document, in their words."""

    message: str
    error_number: int = 0


AnyCommand = (
    Submit
    | Amend
    | Approve
    | Refuse
    | Cancel
    | Release
    | Expire
    | Reconsider
    | PostingStarted
    | PostingSucceeded
    | PostingFailed
)
Content = Submit | Amend

_encoder = msgspec.json.Encoder(order="deterministic")


def fingerprint(request: DocumentRequest) -> str:
    """A digest of a request's content: equal content, equal text, whether a default was left out or written."""
    if request.currency == CURRENCY:
        # msgspec leaves out what *is* the default, and a text read from JSON is another object.
        request = msgspec.structs.replace(request, currency=CURRENCY)
    return ids.derive(ids.NAMESPACE, _encoder.encode(request).decode()).hex
