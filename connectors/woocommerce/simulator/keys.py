"""Who may ask what: the shop's keys, by Basic or in the query over HTTPS, by OAuth 1.0a over plain HTTP.

As ``class-wc-rest-authentication.php`` decides it, in its own words. The verification of signatures is written apart
from the client's, so that the two can't be wrong in the same way.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from connectors.woocommerce.simulator.answers import Problem

WINDOW_SECONDS: Final = 15 * 60
"""How far a signature's time may be from the shop's."""
_READS: Final = frozenset({"GET", "HEAD"})
_NEEDED: Final = (
    "oauth_consumer_key",
    "oauth_timestamp",
    "oauth_nonce",
    "oauth_signature",
    "oauth_signature_method",
)


class Permissions(StrEnum):
    """What a key allows."""

    READ = "read"
    WRITE = "write"
    READ_WRITE = "read_write"


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the REST API."""

    key: str
    secret: str
    permissions: Permissions = Permissions.READ_WRITE


@dataclass(frozen=True, slots=True)
class Call:
    """What decides who asks: ``address`` is the URL without query as the shop itself knows it."""

    method: str
    address: str
    query: str
    authorization: str
    encrypted: bool


@dataclass(slots=True)
class Doorkeeper:
    """Lets in who has a key. ``strips_authorization``: the host takes that header away before the shop sees it."""

    keys: Sequence[Key]
    strips_authorization: bool = False
    _nonces: set[tuple[str, str]] = field(default_factory=set)

    def admit(self, call: Call, now: datetime) -> None:
        """Return if the call is one of a key that allows it. Raises Problem."""
        parameters = parse_qsl(call.query, keep_blank_values=True)
        given = dict(parameters)
        key = self._by_basic(call, given) if call.encrypted else self._by_oauth(call, parameters, now)
        if key is None:
            reads = call.method in _READS
            code = "woocommerce_rest_cannot_view" if reads else "woocommerce_rest_cannot_edit"
            what = "you cannot list resources" if reads else "you are not allowed to edit this resource"
            raise Problem(code, f"Sorry, {what}.", 401)
        need = Permissions.READ if call.method in _READS else Permissions.WRITE
        if key.permissions not in (need, Permissions.READ_WRITE):
            raise _refused(f"The API key provided does not have {need} permissions.")

    def _by_basic(self, call: Call, query: Mapping[str, str]) -> Key | None:
        name, secret = query.get("consumer_key", ""), query.get("consumer_secret", "")
        if not (name and secret) and not self.strips_authorization:
            name, secret = _basic(call.authorization)
        key = self._of(name)
        if key and not hmac.compare_digest(key.secret.encode(), secret.encode()):
            raise _refused("Consumer secret is invalid.")
        return key

    def _by_oauth(self, call: Call, parameters: Sequence[tuple[str, str]], now: datetime) -> Key | None:
        query = dict(parameters)
        if "oauth_consumer_key" not in query:
            return None
        if missing := [name for name in _NEEDED if not query.get(name)]:
            raise Problem(
                "woocommerce_rest_authentication_missing_parameter", f"Missing OAuth parameter {missing[0]}", 401
            )
        key = self._of(query["oauth_consumer_key"])
        if key is None:
            raise _refused("Consumer key is invalid.")
        self._check_signature(call, parameters, query, key)
        self._check_nonce(key, query, now)
        return key

    @staticmethod
    def _check_signature(call: Call, parameters: Sequence[tuple[str, str]], query: Mapping[str, str], key: Key) -> None:
        algorithms = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256}
        method = query["oauth_signature_method"]
        if method not in algorithms:
            raise _refused("Invalid signature - signature method is invalid.")
        signed = sorted((_raw(name), _raw(value)) for name, value in parameters if name != "oauth_signature")
        flat = "%26".join(f"{name}%3D{value}" for name, value in signed)
        text = f"{call.method}&{quote(call.address, safe='~')}&{flat}"
        made = base64.b64encode(hmac.new(f"{key.secret}&".encode(), text.encode(), algorithms[method]).digest())
        if not hmac.compare_digest(made, unquote(query["oauth_signature"].replace(" ", "+")).encode()):
            raise _refused("Invalid signature - provided signature does not match.")

    def _check_nonce(self, key: Key, query: Mapping[str, str], now: datetime) -> None:
        stamp = query["oauth_timestamp"]
        if not stamp.isdecimal() or abs(int(stamp) - now.timestamp()) > WINDOW_SECONDS:
            raise _refused("Invalid timestamp.")
        nonce = (key.key, query["oauth_nonce"])
        if nonce in self._nonces:
            raise _refused("Invalid nonce - nonce has already been used.")
        self._nonces.add(nonce)

    def _of(self, name: str) -> Key | None:
        return next((key for key in self.keys if key.key == name), None)


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, rest = authorization.partition(" ")
    try:
        name, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (name, secret) if scheme.lower() == "basic" else ("", "")


def _raw(text: str) -> str:
    """PHP's rawurlencode, twice: as it stands in the string that is signed."""
    return quote(quote(text, safe="~"), safe="~")


def _refused(message: str) -> Problem:
    return Problem("woocommerce_rest_authentication_error", message, 401)
