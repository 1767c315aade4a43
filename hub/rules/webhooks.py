"""What an outbound webhook may be: where it may point, what signs it, when it is tried again.

Secrets and signatures are those of the Standard Webhooks specification (standardwebhooks.com).
"""

import base64
import binascii
from collections.abc import Collection, Sequence
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from schemas.documents import State
from schemas.events import COMMAND_REFUSED
from schemas.reasons import Reason
from schemas.secret import Secret

MAX_PER_SOURCE = 20
MAX_URL = 2_000
EVENT_TYPES = (*(f"document.{state}" for state in State), COMMAND_REFUSED)
"""What a subscription may choose from."""

SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins
SECRET_BYTES = 32
_SECRET_BYTES = range(24, 65)

LONGEST_PAUSE = timedelta(minutes=1)
"""How long a receiver that can't be reached at all is left in peace, at most."""
LONGEST_RETRY_AFTER = timedelta(days=1)
"""What a receiver that asks to be left in peace for longer gets."""


def url_problem(url: str, trusted: Collection[str]) -> Reason | None:
    """What is wrong with a receiver's address. ``trusted`` hosts may be private, and be called without TLS."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return _wrong("url", "نشانی خوانا نیست", "isn't a URL that can be read")
    if not host or parts.scheme not in ("http", "https") or not url.isascii() or not url.isprintable() or " " in url:
        return _wrong("url", "باید نشانی کامل https باشد", "must be a whole https URL, in ASCII")
    if parts.username is not None or parts.password is not None or "#" in url:
        return _wrong(
            "url",
            "نباید نام کاربری، گذرواژه یا # داشته باشد",
            "may not have a user, a password or a fragment; requests are signed, that is how they are known",
        )
    if host in trusted:
        return None
    if parts.scheme != "https":
        return _wrong(
            "url_not_https",
            "باید https باشد؛ میزبان‌های بدون TLS در [webhooks] trusted_hosts نام برده می‌شوند",
            "must be https; hosts without TLS are named in the hub's configuration, [webhooks] trusted_hosts",
        )
    if host == "localhost" or host.endswith(".localhost") or (_is_numeric(host) and not is_public(host)):
        return _wrong(
            "url_private",
            "باید نشانی عمومی باشد؛ میزبان‌های داخلی در [webhooks] trusted_hosts نام برده می‌شوند",
            "must be public; private hosts are named in the hub's configuration, [webhooks] trusted_hosts",
        )
    return None


def _is_numeric(host: str) -> bool:
    """Whether a host is written as an address, in whatever old form the C library takes."""
    last = host.rstrip(".").rpartition(".")[2]
    return ":" in host or last.isdigit() or last.startswith("0x")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the Internet's: neither private, loopback, link-local, multicast nor reserved,
    nor an IPv6 form of an IPv4 address that is. What is no address in its usual form isn't."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local or ip.teredo is not None or ip.scope_id is not None:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def secret_key(secret: Secret) -> bytes:
    """The bytes a secret stands for, ``whsec_`` and their base64. Raises ValueError with a sentence."""
    text = secret.reveal()
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) not in _SECRET_BYTES:
        raise ValueError("it must be whsec_ and the base64 of 24 to 64 random bytes")
    return key


def secret_of(key: bytes) -> Secret:
    """The secret that stands for these bytes."""
    return Secret(SECRET_PREFIX + base64.b64encode(key).decode())


def next_attempt(failures: int, schedule: Sequence[timedelta], asked: timedelta | None) -> timedelta | None:
    """How long after its latest failure a delivery is tried again; None: it is given up.

    ``failures`` is how often it had failed before. ``asked`` is what the receiver's Retry-After wants, at least.
    """
    if failures >= len(schedule):
        return None
    return max(schedule[failures], asked or timedelta())


def _wrong(code: str, fa: str, en: str) -> Reason:
    return Reason(code, fa, en, field="url")
