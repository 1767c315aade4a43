"""The Hesabgar connector's configuration: one table a server, `[connectors.hesabgar.main]`,
`[connectors.hesabgar.karaj]`."""

import datetime as dt
from enum import StrEnum
from typing import Annotated, ClassVar, Self

import msgspec
from msgspec import Meta

from connectors.base import ConnectorSpec
from schemas.commands import Amend, PostingFailed, PostingStarted, PostingSucceeded, Submit
from schemas.documents import Kind
from schemas.master import Account, Finance, ListEntry, Product, Stock, Warehouse
from schemas.secret import Secret

Code = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Role(StrEnum):
    """What a server is to the hub."""

    BOOKS = "books"
    BRANCH = "branch"


class Encryption(StrEnum):
    """Whether the connection to the server is encrypted."""

    REQUIRE = "require"
    REQUEST = "request"
    OFF = "off"


POSTABLE = tuple(kind for kind in Kind if kind is not Kind.PURCHASE_ORDER)
"""What Hesabgar takes (MODULES.md D3); it has no purchase orders."""


class Spec(ConnectorSpec, frozen=True, kw_only=True):
    """The accounts, goods, stock and balances of Hesabgar on SQL Server, and every cleared document posted to it
    once."""

    libraries: ClassVar[frozenset[str]] = frozenset({"pymssql"})
    emits: ClassVar[frozenset[type[msgspec.Struct]]] = frozenset(
        {
            Account,
            Product,
            Warehouse,
            Stock,
            Finance,
            ListEntry,
            Submit,
            Amend,
            PostingStarted,
            PostingSucceeded,
            PostingFailed,
        }
    )

    server: Annotated[Name, Meta(description="The database server's name or address.", examples=["192.168.1.10"])]
    port: Annotated[int, Meta(description="Its port.", ge=1, le=65_535, examples=[1433])] = 1433
    company: Annotated[Name, Meta(description="The company's short name (نام کوتاه شرکت).", examples=["Nemoone"])]
    fiscal_period: Annotated[
        Annotated[str, Meta(max_length=64)],
        Meta(
            description="The fiscal period (دوره مالی); the database's name is the short name and this.",
            examples=["1403"],
        ),
    ] = ""
    database: Annotated[
        Name | None,
        Meta(description="The database's name, where it isn't the two put together.", examples=["Nemoone1403"]),
    ] = None
    login: Annotated[Name, Meta(description="The login made for the hub.", examples=["peyvand"])]
    password: Annotated[Secret, Meta(description="Its password.")]
    encryption: Annotated[
        Encryption,
        Meta(
            description="`require`: encrypted or not at all; `request`: encrypted if the server can; `off`: only the "
            "login.",
            examples=["request"],
        ),
    ] = Encryption.REQUEST
    role: Annotated[
        Role,
        Meta(
            description="`books`: master data come from it and documents are posted to it. `branch`: a branch's own "
            "Hesabgar; its documents come in, master data and answers go out.",
            examples=["books"],
        ),
    ] = Role.BOOKS
    source: Annotated[
        Name | None,
        Meta(
            description="For a branch: the source its documents come under; policies go by it. Without it, the "
            "instance's name.",
            examples=["branch-karaj"],
        ),
    ] = None
    post: Annotated[
        tuple[Kind, ...],
        Meta(
            description="The kinds of document that are posted; empty: nothing is.",
            examples=[("sales_invoice", "sales_return")],
        ),
    ] = POSTABLE
    post_sources: Annotated[
        tuple[Name, ...],
        Meta(description="Only these sources' documents are posted; empty: every source's.", examples=[("shop",)]),
    ] = ()
    skip_sources: Annotated[
        tuple[Name, ...],
        Meta(description="These sources' documents are not posted.", examples=[("history",)]),
    ] = ()
    send_new: Annotated[
        bool,
        Meta(
            description="Accounts and products that other systems made, and Hesabgar doesn't have, are sent to it.",
            examples=[False],
        ),
    ] = False
    expense_account: Annotated[
        Code | None, Meta(description="Account number for expenses (هزینه‌ها).", examples=["6110001"])
    ] = None
    receivable_account: Annotated[
        Code | None, Meta(description="Account number for receivables from others (بستانکاران/بدهکاران).")
    ] = None
    new_accounts: Annotated[
        Code | None,
        Meta(description="Account number under which the hub makes new accounts; needed for `send_new`."),
    ] = None
    vat_account: Annotated[
        Code | None, Meta(description="Account number for VAT (مالیات ارزش افزوده).", examples=["2150001"])
    ] = None
    duty_account: Annotated[
        Code | None, Meta(description="Account number for municipal duty (عوارض).", examples=["2150002"])
    ] = None
    transfer_account: Annotated[
        Code | None, Meta(description="Account number for transfers between warehouses.", examples=["1190001"])
    ] = None
    freight_account: Annotated[Code | None, Meta(description="Account number for freight (کرایه حمل).")] = None
    receivable_group: Annotated[Code | None, Meta(description="Detail (tafsili) group for receivables.")] = None
    new_account_group: Annotated[Code | None, Meta(description="Detail group for new accounts.")] = None
    vat_group: Annotated[Code | None, Meta(description="Detail group for VAT.")] = None
    duty_group: Annotated[Code | None, Meta(description="Detail group for municipal duty.")] = None
    freight_group: Annotated[Code | None, Meta(description="Detail group for freight.")] = None
    expense_groups: Annotated[tuple[Code, ...], Meta(description="Detail groups for expenses.")] = ()
    poll: Annotated[dt.timedelta, Meta(description="The time between two looks for what changed.", examples=["2s"])] = (
        dt.timedelta(seconds=2)
    )
    nightly_hour: Annotated[
        int,
        Meta(
            description="The hour in Tehran at which everything is compared and customers' finance refreshed.",
            ge=0,
            le=23,
            examples=[2],
        ),
    ] = 2
    page_rows: Annotated[int, Meta(description="Rows read at a time.", ge=10, le=100_000, examples=[20_000])] = 20_000
    threads: Annotated[int, Meta(description="Connections to the server at most.", ge=2, le=32, examples=[4])] = 4
    login_timeout: Annotated[dt.timedelta, Meta(description="How long connecting may take.", examples=["10s"])] = (
        dt.timedelta(seconds=10)
    )
    timeout: Annotated[dt.timedelta, Meta(description="How long an answer may take.", examples=["30s"])] = dt.timedelta(
        seconds=30
    )
    most_per_second: Annotated[
        int,
        Meta(description="Documents posted in a second at most, however many wait.", ge=1, le=10_000, examples=[100]),
    ] = 100
    tries: Annotated[
        int,
        Meta(
            description="A document on which a server that answers fails this often is failed, so that people see it.",
            ge=1,
            le=100,
            examples=[5],
        ),
    ] = 5
    retry_pause: Annotated[
        dt.timedelta, Meta(description="Before such a document is tried again; doubles each time.", examples=["2s"])
    ] = dt.timedelta(seconds=2)

    def __post_init__(self) -> None:
        if self.role is Role.BRANCH and self.send_new:
            raise ValueError("send_new is for the books: a branch gets all master data in any case")
        if self.send_new and not self.new_accounts:
            raise ValueError("send_new needs new_accounts: the account number under which new accounts are made")
        wrong = [kind for kind in self.post if kind not in POSTABLE]
        if wrong:
            raise ValueError(f"Hesabgar takes no {wrong[0]}; post can name {', '.join(POSTABLE)}")
        if self.poll <= dt.timedelta(0) or self.timeout < dt.timedelta(seconds=1):
            raise ValueError("poll must be above zero and timeout one second or more")

    @property
    def database_name(self) -> str:
        """The database: the company's short name and the fiscal period, unless it is named."""
        return self.database or f"{self.company}{self.fiscal_period}"

    @property
    def account_numbers(self) -> dict[str, str]:
        """The account numbers and detail groups that are set, by the setting's name."""
        names = (
            "expense_account",
            "receivable_account",
            "new_accounts",
            "vat_account",
            "duty_account",
            "transfer_account",
            "freight_account",
        )
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def documents_source(self, instance: str) -> str | None:
        """Only a branch's documents are decided; what the books had before is recorded as it is."""
        return super().documents_source(instance) if self.role is Role.BRANCH else None

    def clash(self, other: Self) -> str:
        """Two that post the same documents: each would be in both books."""
        kinds = [kind for kind in self.post if kind in other.post]
        if self.role is Role.BRANCH or other.role is Role.BRANCH or not kinds or not self._shares_sources(other):
            return ""
        return (
            f"both post every {kinds[0]} of a source, so it would be in both books; "
            'give one role = "branch", or each its own post_sources'
        )

    def _shares_sources(self, other: Self) -> bool:
        ours, theirs = set(self.post_sources), set(other.post_sources)
        if not ours and not theirs:
            return True
        named = ours & theirs if ours and theirs else ours | theirs
        return not named <= {*self.skip_sources, *other.skip_sources}

    def posts(self, kind: str, source: str) -> bool:
        """Whether documents of a kind from a source are posted here."""
        if self.role is not Role.BOOKS or source in self.skip_sources:
            return False
        return kind in self.post and (not self.post_sources or source in self.post_sources)
