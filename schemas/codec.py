"""Bytes on the wire: JSON, decoded strictly into the structs. Module-level coders, for they are costly to make."""

from typing import TypeVar

import msgspec

from schemas.commands import AnyCommand
from schemas.documents import Document
from schemas.events import DocumentEvent

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()
_command_decoder = msgspec.json.Decoder(AnyCommand)
_event_decoder = msgspec.json.Decoder(DocumentEvent)
_document_decoder = msgspec.json.Decoder(Document)


class Undecodable(ValueError):
    """Bytes that are no message of ours; the text says which field and what was wrong."""


def encode(message: msgspec.Struct) -> bytes:
    """Any of our structs as JSON bytes. Decimals are strings, times RFC 3339 in UTC."""
    return _encoder.encode(message)


def decode_command(data: bytes) -> AnyCommand:
    """A command. Raises :exc:`Undecodable`."""
    try:
        command: AnyCommand = _command_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(str(error)) from None
    return command


def decode_event(data: bytes) -> DocumentEvent:
    """An event. Raises :exc:`Undecodable`."""
    try:
        return _event_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(str(error)) from None


def decode_document(data: bytes) -> Document:
    """A document as it is on ``documents.latest``. Raises :exc:`Undecodable`."""
    try:
        return _document_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(str(error)) from None


def decode_as(data: bytes, struct: type[_Struct]) -> _Struct:
    """Any other of our structs. Raises :exc:`Undecodable`."""
    try:
        return msgspec.json.decode(data, type=struct)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(str(error)) from None
