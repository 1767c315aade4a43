"""The files connector's configuration."""

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from connectors.base import ConnectorSpec
from schemas.commands import Amend, Submit
from schemas.master import Account, Finance, ListEntry, Product, Stock, Warehouse


class Encoding(StrEnum):
    """How a file's bytes are text."""

    AUTO = "auto"
    UTF_8 = "utf-8"
    WINDOWS_1256 = "windows-1256"


class Spec(ConnectorSpec, frozen=True, kw_only=True):
    """Master data and documents from CSV and JSON Lines files in a watched folder."""

    emits: ClassVar[frozenset[type[msgspec.Struct]]] = frozenset(
        {Submit, Amend, Account, Product, Warehouse, Stock, Finance, ListEntry}
    )

    folder: Annotated[
        Path,
        Meta(
            description="The folder that holds `inbox`, `done`, `failed` and `results`. It must exist; the four are "
            "made in it.",
            examples=["files"],
        ),
    ]
    source: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(
            description="The source whose documents these are; policies go by it. Without it, the instance's name.",
            examples=["branch-karaj"],
        ),
    ] = None
    poll: Annotated[
        dt.timedelta,
        Meta(
            description="The time between two looks into `inbox`. A file is taken when two looks in a row found the "
            "same size and time of change.",
            examples=["2s"],
        ),
    ] = dt.timedelta(seconds=2)
    encoding: Annotated[
        Encoding,
        Meta(
            description="`auto`: UTF-8 where the file is, else Windows-1256; or `utf-8`, `windows-1256` for all files.",
            examples=["auto"],
        ),
    ] = Encoding.AUTO
    ignore_columns: Annotated[
        tuple[str, ...],
        Meta(description="CSV columns, by their headings, that are passed over.", examples=[("ملاحظات داخلی",)]),
    ] = ()
    warn_bytes: Annotated[
        int,
        Meta(
            description="A larger file is taken all the same, with a warning in the log, in bytes.",
            ge=1,
            examples=[104_857_600],
        ),
    ] = 104_857_600
