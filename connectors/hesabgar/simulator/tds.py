"""TDS 7.4 on the wire: packets, login, tokens and values, as MS-TDS lays them down."""

from __future__ import annotations

import asyncio
import datetime as dt
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from connectors.hesabgar.simulator.errors import SqlError
from connectors.hesabgar.simulator.query import OutputColumn
from connectors.hesabgar.simulator.storage import Row
from connectors.hesabgar.simulator.types import (
    BIGINT,
    BIT,
    CODE_PAGE,
    CONTEXT,
    DATE,
    DATETIME,
    FLOAT,
    GUID,
    INT,
    MAX,
    MONEY,
    SMALLINT,
    TINYINT,
    XML,
    Kind,
    SqlType,
    decimal_type,
)

SQL_BATCH: Final = 0x01
RPC: Final = 0x03
REPLY: Final = 0x04
ATTENTION: Final = 0x06
BULK: Final = 0x07
TRANSACTION_MANAGER: Final = 0x0E
LOGIN: Final = 0x10
PRELOGIN: Final = 0x12

HEADER: Final = 8
END_OF_MESSAGE: Final = 0x01
MAX_MESSAGE: Final = 64 * 1024 * 1024

DONE_MORE: Final = 0x01
DONE_ERROR: Final = 0x02
DONE_COUNT: Final = 0x10
DONE_ATTENTION: Final = 0x20

COLLATION: Final = bytes((0x29, 0x04, 0xD0, 0x00, 0x00))
"""LCID 0x0429 (Persian), case-insensitive, accent-, kana- and width-sensitive as Persian_100_CI_AS is."""

NULL_LENGTH: Final = 0xFFFF
NULL_CHUNKS: Final = 0xFFFF_FFFF_FFFF_FFFF


class Malformed(Exception):
    """What came isn't TDS."""


async def read_message(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """A whole message: its type and its packets' content. Raises :class:`Malformed` and IncompleteReadError."""
    parts: list[bytes] = []
    size = 0
    while True:
        kind, status, length, _, _, _ = struct.unpack(">BBHHBB", await reader.readexactly(HEADER))
        if length < HEADER:
            raise Malformed("a packet shorter than its header")
        body = await reader.readexactly(length - HEADER)
        parts.append(body)
        size += len(body)
        if size > MAX_MESSAGE:
            raise Malformed("a message too long")
        if status & END_OF_MESSAGE:
            return kind, b"".join(parts)


class PacketWriter:
    """A message going out in packets of the agreed size."""

    def __init__(self, writer: asyncio.StreamWriter, spid: int, size: int) -> None:
        self._writer = writer
        self._spid = spid
        self.size = size
        self._buffer = bytearray()
        self._number = 1

    async def write(self, data: bytes) -> None:
        """Add to the message; full packets go out, and a slow client is waited for."""
        self._buffer += data
        body = self.size - HEADER
        if len(self._buffer) <= body * 16:
            return
        self._flush(body)
        await self._writer.drain()

    def _flush(self, body: int) -> None:
        buffer, at = self._buffer, 0
        packets = bytearray()
        while len(buffer) - at > body:
            packets += self._header(body, 0)
            packets += buffer[at : at + body]
            at += body
        del buffer[:at]
        self._writer.write(bytes(packets))

    def _header(self, length: int, status: int) -> bytes:
        number, self._number = self._number, (self._number + 1) % 256
        return struct.pack(">BBHHBB", REPLY, status, length + HEADER, self._spid % 65_536, number, 0)

    async def finish(self) -> None:
        """End the message."""
        self._flush(self.size - HEADER)
        self._writer.write(self._header(len(self._buffer), END_OF_MESSAGE) + bytes(self._buffer))
        self._buffer.clear()
        self._number = 1
        await self._writer.drain()

    def forget(self) -> None:
        """Leave out what isn't sent yet."""
        self._buffer.clear()
        self._number = 1


# --- pre-login and login ------------------------------------------------------------------------------------------

_ENCRYPTION_NOT_SUPPORTED: Final = 0x02


def prelogin_answer(version: tuple[int, int, int]) -> bytes:
    """The answer to PRELOGIN: our version, no encryption, the default instance, no MARS."""
    options = [
        (0x00, struct.pack(">BBHH", version[0], version[1], version[2], 0)),
        (0x01, bytes((_ENCRYPTION_NOT_SUPPORTED,))),
        (0x02, b"\0"),
        (0x03, b""),
        (0x04, b"\0"),
    ]
    offset = 5 * len(options) + 1
    table, data = bytearray(), bytearray()
    for token, value in options:
        table += struct.pack(">BHH", token, offset + len(data), len(value))
        data += value
    return bytes(table + b"\xff" + data)


@dataclass(frozen=True, slots=True)
class Login:
    """What LOGIN7 says."""

    version: int
    packet_size: int
    host: str
    user: str
    password: str
    application: str
    database: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, database={self.database!r})"


def parse_login(data: bytes) -> Login:
    """A LOGIN7 message. Raises :class:`Malformed`."""
    try:
        version, packet_size = struct.unpack_from("<II", data, 4)

        def text(at: int) -> bytes:
            offset, characters = struct.unpack_from("<HH", data, at)
            found = data[offset : offset + characters * 2]
            if len(found) != characters * 2:
                raise Malformed("a login whose offsets point outside")
            return found

        secret = bytes(((byte ^ 0xA5) << 4 & 0xF0) | ((byte ^ 0xA5) >> 4) for byte in text(44))
        return Login(
            version,
            packet_size,
            text(36).decode("utf-16-le"),
            text(40).decode("utf-16-le"),
            secret.decode("utf-16-le"),
            text(48).decode("utf-16-le"),
            text(68).decode("utf-16-le"),
        )
    except (struct.error, UnicodeDecodeError) as error:
        raise Malformed("a login that can't be read") from error


# --- tokens -------------------------------------------------------------------------------------------------------


def _b(text: str) -> bytes:
    return bytes((len(text),)) + text.encode("utf-16-le")


def _us(text: str) -> bytes:
    return struct.pack("<H", len(text)) + text.encode("utf-16-le")


def login_ack(version: tuple[int, int, int]) -> bytes:
    """LOGINACK for TDS 7.4."""
    body = b"\x01" + struct.pack(">I", 0x74000004) + _b("Microsoft SQL Server")
    body += struct.pack(">BBH", *version)
    return b"\xad" + struct.pack("<H", len(body)) + body


def environment(kind: int, new: str, old: str) -> bytes:
    """ENVCHANGE: 1 database, 2 language, 4 packet size."""
    body = bytes((kind,)) + _b(new) + _b(old)
    return b"\xe3" + struct.pack("<H", len(body)) + body


def collation_change() -> bytes:
    """ENVCHANGE of the collation."""
    body = b"\x07" + bytes((len(COLLATION),)) + COLLATION + b"\0"
    return b"\xe3" + struct.pack("<H", len(body)) + body


def message(
    token: int, number: int, state: int, severity: int, text: str, server: str, procedure: str, line: int
) -> bytes:
    """ERROR (0xAA) or INFO (0xAB)."""
    body = struct.pack("<iBB", number, min(state, 255), severity)
    body += _us(text[:4_000]) + _b(server) + _b(procedure[:120]) + struct.pack("<i", line)
    return bytes((token,)) + struct.pack("<H", len(body)) + body


def error_token(error: SqlError, server: str) -> bytes:
    """ERROR."""
    return message(
        0xAA, error.number, error.state, error.severity, error.message, server, error.procedure, max(error.line, 1)
    )


def done(status: int, count: int = 0, *, token: int = 0xFD) -> bytes:
    """DONE (0xFD), DONEPROC (0xFE) or DONEINPROC (0xFF)."""
    return struct.pack("<BHHQ", token, status, 0xC1 if status & DONE_COUNT else 0, count)


def return_status(status: int) -> bytes:
    """RETURNSTATUS."""
    return struct.pack("<Bi", 0x79, status)


def return_value(ordinal: int, name: str, kind: SqlType, value: Any) -> bytes:
    """RETURNVALUE of an output parameter."""
    body = struct.pack("<BH", 0xAC, ordinal) + _b(name) + b"\x01" + struct.pack("<IH", 0, 0x01)
    return body + type_info(kind) + encoder(kind)(value)


def column_metadata(columns: list[OutputColumn]) -> bytes:
    """COLMETADATA."""
    body = bytearray(struct.pack("<BH", 0x81, len(columns)))
    for column in columns:
        user_type = 0x50 if column.type.kind is Kind.ROWVERSION else 0
        body += struct.pack("<IH", user_type, 0x09 if column.nullable else 0x08)
        body += type_info(column.type) + _b(column.name[:128])
    return bytes(body)


def type_info(kind: SqlType) -> bytes:
    """TYPE_INFO."""
    match kind.kind:
        case Kind.BIT:
            return b"\x68\x01"
        case Kind.TINYINT:
            return b"\x26\x01"
        case Kind.SMALLINT:
            return b"\x26\x02"
        case Kind.INT:
            return b"\x26\x04"
        case Kind.BIGINT:
            return b"\x26\x08"
        case Kind.DECIMAL:
            return bytes((0x6A, _decimal_size(kind.precision) + 1, kind.precision, kind.scale))
        case Kind.MONEY:
            return b"\x6e\x08"
        case Kind.FLOAT:
            return b"\x6d\x08"
        case Kind.NVARCHAR:
            size = NULL_LENGTH if kind.length == MAX or kind.length > 4_000 else max(kind.length, 1) * 2
            return b"\xe7" + struct.pack("<H", size) + COLLATION
        case Kind.VARCHAR:
            size = NULL_LENGTH if kind.length == MAX else max(kind.length, 1)
            return b"\xa7" + struct.pack("<H", size) + COLLATION
        case Kind.NCHAR:
            return b"\xef" + struct.pack("<H", kind.length * 2) + COLLATION
        case Kind.CHAR:
            return b"\xaf" + struct.pack("<H", kind.length) + COLLATION
        case Kind.VARBINARY:
            return b"\xa5" + struct.pack("<H", NULL_LENGTH if kind.length == MAX else max(kind.length, 1))
        case Kind.BINARY | Kind.ROWVERSION:
            return b"\xad" + struct.pack("<H", kind.length)
        case Kind.DATE:
            return b"\x28"
        case Kind.TIME:
            return bytes((0x29, kind.scale))
        case Kind.DATETIME:
            return b"\x6f\x08"
        case Kind.DATETIME2:
            return bytes((0x2A, kind.scale))
        case Kind.GUID:
            return b"\x24\x10"
        case Kind.XML:
            return b"\xf1\x00"


def _decimal_size(precision: int) -> int:
    return 4 if precision <= 9 else 8 if precision <= 19 else 12 if precision <= 28 else 16


# --- values out ---------------------------------------------------------------------------------------------------

_EPOCH: Final = dt.date(1, 1, 1).toordinal()
_DATETIME_EPOCH: Final = dt.datetime(1900, 1, 1)

Encode = Callable[[Any], bytes]


def _short(encode: Encode) -> Encode:
    """A value with a length of one byte, 0 for NULL."""

    def write(value: Any) -> bytes:
        if value is None:
            return b"\0"
        data = encode(value)
        return bytes((len(data),)) + data

    return write


def _long(encode: Encode) -> Encode:
    """A value with a length of two bytes, 0xFFFF for NULL."""

    def write(value: Any) -> bytes:
        if value is None:
            return b"\xff\xff"
        data = encode(value)
        return len(data).to_bytes(2, "little") + data

    return write


def _chunked(encode: Encode) -> Encode:
    """A value of a (max) type: its length, one chunk, and an empty one."""

    def write(value: Any) -> bytes:
        if value is None:
            return struct.pack("<Q", NULL_CHUNKS)
        data = encode(value)
        if not data:
            return struct.pack("<QI", 0, 0)
        return struct.pack("<QI", len(data), len(data)) + data + b"\0\0\0\0"

    return write


def _integer(size: int, *, signed: bool = True) -> Encode:
    prefix = bytes((size,))

    def write(value: Any) -> bytes:
        return b"\0" if value is None else prefix + value.to_bytes(size, "little", signed=signed)

    return write


def _decimal(kind: SqlType) -> Encode:
    size = _decimal_size(kind.precision)
    prefix, scale = bytes((size + 1,)), kind.scale

    def write(value: Any) -> bytes:
        if value is None:
            return b"\0"
        whole = int(CONTEXT.scaleb(value, scale))
        return prefix + (b"\0" if whole < 0 else b"\1") + abs(whole).to_bytes(size, "little")

    return write


def _money(value: Decimal) -> bytes:
    whole = int(CONTEXT.scaleb(value, 4))
    high, low = whole >> 32, whole & 0xFFFF_FFFF
    return struct.pack("<iI", high, low)


def _utf16(value: str) -> bytes:
    return value.encode("utf-16-le", "surrogatepass")


def _code_page(value: str) -> bytes:
    return value.encode(CODE_PAGE, "replace")


def _date(value: dt.date) -> bytes:
    return (value.toordinal() - _EPOCH).to_bytes(3, "little")


def _time_bytes(value: dt.time | dt.datetime, scale: int) -> bytes:
    micro = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    ticks: int = micro * 10 // 10 ** (7 - scale)
    return ticks.to_bytes(3 if scale <= 2 else 4 if scale <= 4 else 5, "little")


def _datetime(value: dt.datetime) -> bytes:
    since = value - _DATETIME_EPOCH
    ticks = ((value.hour * 60 + value.minute) * 60 + value.second) * 300 + (value.microsecond * 3 + 5_000) // 10_000
    return struct.pack("<iI", since.days, ticks)


def encoder(kind: SqlType) -> Encode:
    """How a value of a type goes out, its length first."""
    match kind.kind:
        case Kind.BIT:
            return _short(lambda value: b"\1" if value else b"\0")
        case Kind.TINYINT:
            return _integer(1, signed=False)
        case Kind.SMALLINT:
            return _integer(2)
        case Kind.INT:
            return _integer(4)
        case Kind.BIGINT:
            return _integer(8)
        case Kind.DECIMAL:
            return _decimal(kind)
        case Kind.MONEY:
            return _short(_money)
        case Kind.FLOAT:
            return _short(lambda value: struct.pack("<d", value))
        case Kind.NVARCHAR:
            return _chunked(_utf16) if kind.length == MAX or kind.length > 4_000 else _long(_utf16)
        case Kind.VARCHAR:
            return _chunked(_code_page) if kind.length == MAX else _long(_code_page)
        case Kind.NCHAR:
            return _long(_utf16)
        case Kind.CHAR:
            return _long(_code_page)
        case Kind.VARBINARY:
            return _chunked(bytes) if kind.length == MAX else _long(bytes)
        case Kind.BINARY | Kind.ROWVERSION:
            return _long(bytes)
        case Kind.DATE:
            return _short(_date)
        case Kind.TIME:
            return _short(lambda value: _time_bytes(value, kind.scale))
        case Kind.DATETIME:
            return _short(_datetime)
        case Kind.DATETIME2:
            return _short(lambda value: _time_bytes(value, kind.scale) + _date(value))
        case Kind.GUID:
            return _short(lambda value: value.bytes_le)
        case Kind.XML:
            return _chunked(_utf16)


def row_writer(columns: list[OutputColumn]) -> Callable[[Row], bytes]:
    """How a row goes out: ROW, or NBCROW when something in it is NULL."""
    encoders = [encoder(column.type) for column in columns]
    size = (len(columns) + 7) // 8

    def write(row: Row) -> bytes:
        if None not in row:
            return b"\xd1" + b"".join([encode(value) for encode, value in zip(encoders, row, strict=True)])
        bits = 0
        parts: list[bytes] = []
        for at, value in enumerate(row):
            if value is None:
                bits |= 1 << at
            else:
                parts.append(encoders[at](value))
        return b"\xd2" + bits.to_bytes(size, "little") + b"".join(parts)

    return write


# --- values in ----------------------------------------------------------------------------------------------------


class Cursor:
    """Bytes read from the front. Raises :class:`Malformed` at their end."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    def take(self, size: int) -> bytes:
        found = self._data[self.at : self.at + size]
        if len(found) != size:
            raise Malformed("a request that ends in the middle")
        self.at += size
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    @property
    def left(self) -> int:
        return len(self._data) - self.at


def skip_headers(data: bytes) -> Cursor:
    """Behind ALL_HEADERS."""
    cursor = Cursor(data)
    total = cursor.number(4)
    cursor.take(total - 4)
    return cursor


@dataclass(frozen=True, slots=True)
class Call:
    """One remote procedure call: (name, type, value, output) for each argument."""

    name: str
    arguments: list[tuple[str, SqlType, Any, bool]]


_SYSTEM_PROCEDURES: Final = {
    10: "sp_executesql",
    11: "sp_prepare",
    12: "sp_execute",
    13: "sp_prepexec",
    15: "sp_unprepare",
}


def parse_call(data: bytes) -> Call:
    """An RPC message. Raises :class:`Malformed`."""
    cursor = skip_headers(data)
    length = cursor.number(2)
    if length == 0xFFFF:
        name = _SYSTEM_PROCEDURES.get(cursor.number(2), "")
    else:
        name = cursor.take(length * 2).decode("utf-16-le")
    cursor.number(2)
    arguments = []
    while cursor.left:
        title = cursor.take(cursor.number(1) * 2).decode("utf-16-le")
        status = cursor.number(1)
        kind, value = _argument(cursor)
        arguments.append((title, kind, value, bool(status & 1)))
    return Call(name, arguments)


def _argument(cursor: Cursor) -> tuple[SqlType, Any]:
    token = cursor.number(1)
    fixed = _FIXED.get(token)
    if fixed is not None:
        kind, size = fixed
        return kind, _fixed_value(kind, cursor.take(size))
    match token:
        case 0x26 | 0x68 | 0x6D | 0x6E | 0x6F | 0x24:
            size = cursor.number(1)
            data = cursor.take(cursor.number(1))
            kind = _NULLABLE[token].get(size) or _NULLABLE[token][0]
            return kind, _fixed_value(_NULLABLE[token].get(len(data), kind), data) if data else None
        case 0x6A | 0x6C:
            cursor.number(1)
            kind = decimal_type(cursor.number(1), cursor.number(1))
            data = cursor.take(cursor.number(1))
            return kind, _read_decimal(data, kind) if data else None
        case 0x28:
            data = cursor.take(cursor.number(1))
            return DATE, dt.date.fromordinal(_EPOCH + int.from_bytes(data, "little")) if data else None
        case 0x29 | 0x2A:
            scale = cursor.number(1)
            kind = SqlType(Kind.TIME if token == 0x29 else Kind.DATETIME2, scale=scale)
            data = cursor.take(cursor.number(1))
            return kind, _read_moment(kind, data) if data else None
        case 0xE7 | 0xEF | 0xA7 | 0xAF | 0xA5 | 0xAD:
            return _read_long(cursor, token)
        case 0x25 | 0x27 | 0x2D | 0x2F:
            cursor.number(1)
            data = cursor.take(cursor.number(1))
            if token in (0x25, 0x2D):
                return SqlType(Kind.VARBINARY, length=8_000), data or None
            return SqlType(Kind.VARCHAR, length=8_000), data.decode(CODE_PAGE) if data else None
        case 0xF1:
            if cursor.number(1):
                raise Malformed("typed xml")
            data_or_none = _read_chunks(cursor)
            return XML, None if data_or_none is None else data_or_none.decode("utf-16-le")
        case _:
            raise Malformed(f"a parameter of type 0x{token:02x}")


_FIXED: Final = {
    0x30: (TINYINT, 1),
    0x32: (BIT, 1),
    0x34: (SMALLINT, 2),
    0x38: (INT, 4),
    0x3B: (FLOAT, 4),
    0x3C: (MONEY, 8),
    0x3D: (DATETIME, 8),
    0x3E: (FLOAT, 8),
    0x7F: (BIGINT, 8),
}
_NULLABLE: Final[dict[int, dict[int, SqlType]]] = {
    0x26: {0: INT, 1: TINYINT, 2: SMALLINT, 4: INT, 8: BIGINT},
    0x68: {0: BIT, 1: BIT},
    0x6D: {0: FLOAT, 4: FLOAT, 8: FLOAT},
    0x6E: {0: MONEY, 8: MONEY},
    0x6F: {0: DATETIME, 8: DATETIME},
    0x24: {0: GUID, 16: GUID},
}


def _fixed_value(kind: SqlType, data: bytes) -> Any:
    match kind.kind:
        case Kind.BIT:
            return data != b"\0"
        case Kind.TINYINT:
            return data[0]
        case Kind.FLOAT:
            return struct.unpack("<f" if len(data) == 4 else "<d", data)[0]
        case Kind.MONEY:
            high, low = struct.unpack("<iI", data)
            return CONTEXT.scaleb(Decimal((high << 32) + low), -4)
        case Kind.DATETIME:
            days, ticks = struct.unpack("<iI", data)
            milliseconds = (ticks * 10 + 1) // 3
            return _DATETIME_EPOCH + dt.timedelta(days=days, milliseconds=milliseconds)
        case Kind.GUID:
            return uuid.UUID(bytes_le=data)
        case _:
            return int.from_bytes(data, "little", signed=True)


def _read_decimal(data: bytes, kind: SqlType) -> Decimal:
    whole = int.from_bytes(data[1:], "little")
    return CONTEXT.scaleb(Decimal(whole if data[0] else -whole), -kind.scale)


def _read_moment(kind: SqlType, data: bytes) -> Any:
    clock = data if kind.kind is Kind.TIME else data[:-3]
    micro = int.from_bytes(clock, "little") * 10 ** (7 - kind.scale) // 10
    since = dt.timedelta(microseconds=micro)
    if kind.kind is Kind.TIME:
        return (dt.datetime(1, 1, 1) + since).time()
    day = dt.date.fromordinal(_EPOCH + int.from_bytes(data[-3:], "little"))
    return dt.datetime.combine(day, dt.time()) + since


def _read_long(cursor: Cursor, token: int) -> tuple[SqlType, Any]:
    size = cursor.number(2)
    text = token not in (0xA5, 0xAD)
    if text:
        cursor.take(5)
    data: bytes | None
    if size == NULL_LENGTH:
        data = _read_chunks(cursor)
    else:
        length = cursor.number(2)
        data = None if length == NULL_LENGTH else cursor.take(length)
    unicode = token in (0xE7, 0xEF)
    kind = Kind.NVARCHAR if unicode else Kind.VARCHAR if text else Kind.VARBINARY
    found = SqlType(kind, length=MAX if size == NULL_LENGTH else max(size // 2 if unicode else size, 1))
    if data is None or not text:
        return found, data
    return found, data.decode("utf-16-le", "surrogatepass") if unicode else data.decode(CODE_PAGE, "replace")


def _read_chunks(cursor: Cursor) -> bytes | None:
    if cursor.number(8) == NULL_CHUNKS:
        return None
    parts: list[bytes] = []
    while True:
        size = cursor.number(4)
        if not size:
            return b"".join(parts)
        parts.append(cursor.take(size))
