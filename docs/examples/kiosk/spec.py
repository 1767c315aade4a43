"""The kiosk connector's configuration."""

import datetime as dt
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from connectors.base import ConnectorSpec
from schemas.commands import Submit
from schemas.secret import Secret


class Spec(ConnectorSpec, frozen=True, kw_only=True):
    """Orders that customers leave at a kiosk, read from it over its line protocol."""

    emits: ClassVar[frozenset[type[msgspec.Struct]]] = frozenset({Submit})

    host: Annotated[str, Meta(description="The kiosk's name or address.", examples=["192.168.1.40"])]
    port: Annotated[int, Meta(description="Its port.", ge=1, le=65_535, examples=[7_411])] = 7_411
    key: Annotated[Secret, Meta(description="The key shown on the kiosk's service page.")]
    account: Annotated[
        str, Meta(description="The account of customers who come and go.", min_length=1, examples=["212010001"])
    ]
    warehouse: Annotated[str, Meta(description="The warehouse the kiosk sells from.", min_length=1, examples=["01"])]
    poll: Annotated[dt.timedelta, Meta(description="The time between two looks.", examples=["2s"])] = dt.timedelta(
        seconds=2
    )
    timeout: Annotated[dt.timedelta, Meta(description="How long an answer may take.", examples=["5s"])] = dt.timedelta(
        seconds=5
    )
