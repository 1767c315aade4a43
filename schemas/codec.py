"""Bytes on the wire: JSON, decoded strictly into the structs. Module-level coders, for they are costly to make."""

import re
from typing import Any, TypeVar

import msgspec

from schemas.commands import AnyCommand
from schemas.documents import Document
from schemas.events import DocumentEvent

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()
_command_decoder = msgspec.json.Decoder(AnyCommand)
_event_decoder = msgspec.json.Decoder(DocumentEvent)
_document_decoder = msgspec.json.Decoder(Document)

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""An escaped NUL, and not an escaped backslash before ``u0000``. (A raw one is no JSON.)"""


class Undecodable(ValueError):
    """Bytes that are no message of ours; the text says which field and what was wrong."""


def encode(message: msgspec.Struct) -> bytes:
    """Any of our structs as JSON bytes. Decimals are strings, times RFC 3339 in UTC."""
    return _encoder.encode(message)


def encode_event(event: DocumentEvent) -> tuple[bytes, bytes | None]:
    """An event's JSON and, within it word for word, its document's."""
    if event.document is None:
        return _encoder.encode(event), None
    document = _encoder.encode(event.document)
    whole = msgspec.structs.replace(event, document=msgspec.Raw(document))
    return _encoder.encode(whole), document


def decode_command(data: bytes) -> AnyCommand:
    """A command. Raises :exc:`Undecodable`, also for a text with a NUL: PostgreSQL keeps none, so no code has one."""
    if b"\\" in data and _NUL.search(data):
        raise Undecodable("a text contains a NUL character")
    command: AnyCommand = _decode(_command_decoder, data)
    return command


def decode_event(data: bytes) -> DocumentEvent:
    """An event. Raises :exc:`Undecodable`."""
    event: DocumentEvent = _decode(_event_decoder, data)
    return event


def decode_document(data: bytes) -> Document:
    """A document as it is on ``documents.latest``. Raises :exc:`Undecodable`."""
    document: Document = _decode(_document_decoder, data)
    return document


def decode_as(data: bytes, struct: type[_Struct]) -> _Struct:
    """Any other of our structs. Raises :exc:`Undecodable`."""
    message: _Struct = _decode(msgspec.json.Decoder(struct), data)
    return message


def _decode(decoder: msgspec.json.Decoder[Any], data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(str(error)) from None
    except RecursionError:
        raise Undecodable("JSON is nested too deep") from None
