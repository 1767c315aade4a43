"""Signatures of the Standard Webhooks specification (standardwebhooks.com), version ``v1``."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from hub.rules.webhooks import secret_key
from schemas.secret import Secret

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


def headers(event: UUID, at: datetime, body: bytes, secrets: Sequence[Secret]) -> dict[str, str]:
    """A request's three headers; a signature by each secret, so that receivers can change theirs in their own time."""
    timestamp = str(int(at.timestamp()))
    signed = f"{event}.{timestamp}.".encode() + body
    signatures = (
        base64.b64encode(hmac.digest(secret_key(secret), signed, hashlib.sha256)).decode() for secret in secrets
    )
    return {ID: str(event), TIMESTAMP: timestamp, SIGNATURE: " ".join(f"v1,{each}" for each in signatures)}
