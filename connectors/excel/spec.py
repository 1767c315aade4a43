"""The Excel connector's configuration."""

import datetime as dt
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from connectors.base import ConnectorSpec
from schemas.commands import Amend, Submit

MAX_BYTES = 16 * 1024 * 1024
MAX_ROWS = 50_000


class Spec(ConnectorSpec, frozen=True, kw_only=True):
    """Sales invoices, returns, transfers, receipts and issues of goods from Excel workbooks, by API and by folder."""

    libraries: ClassVar[frozenset[str]] = frozenset({"xlsxwriter", "connectors.files"})
    emits: ClassVar[frozenset[type[msgspec.Struct]]] = frozenset({Submit, Amend})

    folder: Annotated[
        Path | None,
        Meta(
            description="The folder that holds `inbox`, `done`, `failed` and `results`. It must exist; the four are "
            "made in it. Without it, workbooks come by the API alone.",
            examples=["excel"],
        ),
    ] = None
    source: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(
            description="The source whose documents those of the folder are; policies go by it. Without it, the "
            "instance's name. What comes by the API is of the hub key's source.",
            examples=["branch-karaj"],
        ),
    ] = None
    warehouses: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
        Meta(description="Codes of warehouses the templates offer in their lists.", examples=[("11", "12")]),
    ] = ()
    poll: Annotated[
        dt.timedelta,
        Meta(
            description="The time between two looks into `inbox` and at what came by the API. A file is taken when two "
            "looks in a row found the same size and time of change.",
            examples=["2s"],
        ),
    ] = dt.timedelta(seconds=2)
    patience: Annotated[
        dt.timedelta,
        Meta(
            description="How long the result workbook waits for the next decision on its documents. What isn't decided "
            "by then is told as such, and is decided all the same.",
            examples=["1m"],
        ),
    ] = dt.timedelta(minutes=1)
    keep: Annotated[
        dt.timedelta,
        Meta(
            description="How long the state and the result of a workbook that came by the API can be asked for.",
            examples=["30d"],
        ),
    ] = dt.timedelta(days=30)
    max_rows: Annotated[
        int,
        Meta(description="A workbook with more rows is refused.", ge=1, le=MAX_ROWS, examples=[MAX_ROWS]),
    ] = MAX_ROWS
    max_bytes: Annotated[
        int,
        Meta(description="A larger workbook is refused, in bytes.", ge=1, le=MAX_BYTES, examples=[MAX_BYTES]),
    ] = MAX_BYTES
