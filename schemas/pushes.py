"""What an outside system pushed by webhook, kept as it came until its connector has made sense of it."""

import msgspec

from schemas.dates import Moment


class Push(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One webhook call. ``id`` is derived from the connector, the resource and the body, so a repeat is the same push.

    ``connector`` is the instance (``woocommerce.shop``), ``resource`` what it speaks of at the other side
    (``order/727``; pushes of one resource keep their order), ``body`` the raw bytes (base64 in JSON). Of the headers
    only those are kept that the connector needs; none of them is a secret.
    """

    id: str
    connector: str
    resource: str
    received_at: Moment
    body: bytes
    headers: dict[str, str] = {}
