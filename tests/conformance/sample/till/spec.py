"""The till connector's configuration."""

import datetime as dt
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from connectors.base import ConnectorSpec
from schemas.commands import Cancel, Submit
from schemas.secret import Secret


class Spec(ConnectorSpec, frozen=True, kw_only=True):
    """Sales and cancellations from a cash desk that is asked for them, and that calls."""

    emits: ClassVar[frozenset[type[msgspec.Struct]]] = frozenset({Submit, Cancel})

    port: Annotated[int, Meta(description="Where the desk listens, on this machine.", ge=1, le=65_535)]
    token: Annotated[Secret, Meta(description="What the desk knows the hub by, and the hub the desk.")]
    poll: Annotated[dt.timedelta, Meta(description="The time between two looks.")] = dt.timedelta(seconds=2)
    timeout: Annotated[dt.timedelta, Meta(description="How long an answer may take.")] = dt.timedelta(seconds=10)
