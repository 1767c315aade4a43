"""The secrets this process has read, so that none of them gets into a log line or an error by another way."""

import contextlib
from urllib.parse import unquote, urlsplit

from schemas.secret import Secret

MASK = "***"

_SHORTEST = 4
"""Shorter secrets aren't looked for in texts: they would mask ordinary words."""

_known: set[str] = set()


def remember(secret: Secret) -> None:
    """Mask this secret in every text from now on; of a connection string, its password as well."""
    value = secret.reveal()
    for part in (value, *_passwords(value)):
        if len(part) >= _SHORTEST:
            _known.add(part)


def redact(text: str) -> str:
    """The text with every secret that was read masked, the longest first."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def _passwords(value: str) -> tuple[str, ...]:
    with contextlib.suppress(ValueError):
        if password := urlsplit(value).password:
            return password, unquote(password)
    return ()
