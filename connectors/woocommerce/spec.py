"""The WooCommerce connector's configuration."""

import datetime as dt
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from connectors.base import ConnectorSpec
from schemas.commands import Amend, Cancel, Submit
from schemas.documents import Kind
from schemas.master import Account
from schemas.secret import Secret

Code = Annotated[str, Meta(min_length=1, max_length=64)]


class ShopCurrency(StrEnum):
    """What the shop's amounts are in. The codes are those of the Persian plugins (PROTOCOLS.md 5)."""

    RIAL = "IRR"
    TOMAN = "IRT"
    THOUSAND_RIALS = "IRHR"
    THOUSAND_TOMANS = "IRHT"

    @property
    def rials(self) -> int:
        """How many rials one of it is."""
        return {"IRR": 1, "IRT": 10, "IRHR": 1_000, "IRHT": 10_000}[self.value]


class Spec(ConnectorSpec, frozen=True, kw_only=True):
    """Orders, refunds, stock and prices of a WooCommerce shop, by its REST API and its webhooks."""

    libraries: ClassVar[frozenset[str]] = frozenset({"aiohttp", "yarl"})
    emits: ClassVar[frozenset[type[msgspec.Struct]]] = frozenset({Submit, Amend, Cancel, Account})

    url: Annotated[str, Meta(description="The shop's address as WordPress has it.", examples=["https://shop.example"])]
    key: Annotated[Secret, Meta(description="The consumer key of the REST API (`ck_…`), with read and write rights.")]
    secret: Annotated[Secret, Meta(description="Its consumer secret (`cs_…`).")]
    currency: Annotated[
        ShopCurrency,
        Meta(
            description="What the shop's amounts are in: `IRR` rial, `IRT` toman, `IRHR` and `IRHT` thousands of them. "
            "It must be the shop's own setting; an order in anything else is left on the exception list.",
            examples=["IRT"],
        ),
    ]
    warehouse: Annotated[Code, Meta(description="The warehouse the goods are taken from.", examples=["101"])]
    source: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(
            description="The source whose documents these are; policies go by it. Without it, the instance's name.",
            examples=["shop"],
        ),
    ] = None
    kind: Annotated[
        Kind, Meta(description="What an order becomes: `sales_invoice` or `sales_order`.", examples=["sales_invoice"])
    ] = Kind.SALES_INVOICE
    take: Annotated[
        tuple[str, ...],
        Meta(
            description="The statuses in which an order is taken in. In others it waits, unless it was taken in "
            "before; cancelled, failed, trashed or deleted it is cancelled here too.",
            examples=[("processing", "completed")],
        ),
    ] = ("processing", "completed", "refunded")
    credit_methods: Annotated[
        tuple[str, ...],
        Meta(
            description="Payment methods, by WooCommerce's ids, of orders sold on credit; all others count as paid.",
            examples=[("cheque",)],
        ),
    ] = ()
    shipping_product: Annotated[
        Code | None,
        Meta(description="The service that shipping is billed as. Without it, orders with shipping wait for a person."),
    ] = None
    fee_product: Annotated[
        Code | None,
        Meta(description="The service that fees are billed as. Without it, orders with fees wait for a person."),
    ] = None
    new_accounts: Annotated[
        str,
        Meta(
            description="How codes of customers nobody knows begin; the phone number's last ten digits follow. Empty: "
            "no account is made.",
            max_length=20,
            examples=["WC"],
        ),
    ] = "WC"
    guest_account: Annotated[
        Code | None,
        Meta(description="The account of customers who can't be told apart, or where no account is made."),
    ] = None
    tolerance: Annotated[
        int,
        Meta(description="Rials the shop's total may differ from the sum of its own lines.", ge=0, examples=[100]),
    ] = 100
    webhook_url: Annotated[
        str | None,
        Meta(
            description="Where the shop reaches this hub: `https://…/webhooks/woocommerce/<name>`. Without it the shop "
            "is only asked, which is enough.",
            examples=["https://hub.example/webhooks/woocommerce/shop"],
        ),
    ] = None
    webhook_secret: Annotated[Secret | None, Meta(description="What the shop signs its webhooks with.")] = None
    begin: Annotated[
        dt.date | None,
        Meta(
            description="Orders made before this day are left alone. Without it, those made before the day this "
            "connector first started. Put back, it lets in what was left alone until then.",
            examples=["2026-11-22"],
        ),
    ] = None
    poll: Annotated[
        dt.timedelta, Meta(description="The time between two questions for changed orders.", examples=["60s"])
    ] = dt.timedelta(seconds=60)
    overlap: Annotated[
        dt.timedelta,
        Meta(
            description="How far before the last question the next one begins, for changes the shop dated late.",
            examples=["10m"],
        ),
    ] = dt.timedelta(minutes=10)
    compare: Annotated[
        dt.timedelta,
        Meta(
            description="The time between two full compares of open orders (those something was done to within 90 "
            "days), products and stock.",
            examples=["24h"],
        ),
    ] = dt.timedelta(hours=24)
    look: Annotated[
        dt.timedelta,
        Meta(description="The time between two looks for changed stock and for a person's decisions.", examples=["5s"]),
    ] = dt.timedelta(seconds=5)
    push_stock: Annotated[bool, Meta(description="What is sellable here is told to the shop.")] = True
    push_price: Annotated[
        bool, Meta(description="The products' prices, which are without tax, are told to the shop.")
    ] = False
    stock_warehouses: Annotated[
        tuple[Code, ...],
        Meta(description="The warehouses whose goods the shop sells; without it the one above.", examples=[("101",)]),
    ] = ()
    stock_reserve: Annotated[
        Decimal,
        Meta(description="Units of each product the shop isn't told of.", extra={"ge": Decimal(0)}, examples=[2]),
    ] = Decimal(0)
    posted_status: Annotated[
        str | None,
        Meta(
            description="The status an order gets once it is in the books; without it none. One refunded by then, or "
            "in a status beside those of `take`, keeps its own.",
            examples=["completed"],
        ),
    ] = None
    keys_in_query: Annotated[
        bool, Meta(description="For hosts that strip the Authorization header: the keys go in the address.")
    ] = False
    timeout: Annotated[dt.timedelta, Meta(description="How long the shop may take to answer.", examples=["30s"])] = (
        dt.timedelta(seconds=30)
    )

    def __post_init__(self) -> None:
        if self.kind not in (Kind.SALES_INVOICE, Kind.SALES_ORDER):
            raise ValueError("kind must be sales_invoice or sales_order")
        if self.webhook_url and self.webhook_secret is None:
            raise ValueError("with a webhook_url there must be a webhook_secret, or anyone could send orders")
        if not self.new_accounts and self.guest_account is None:
            raise ValueError("without new_accounts there must be a guest_account")
        if self.stock_reserve < 0:
            raise ValueError("stock_reserve can't be below zero")

    @property
    def tells(self) -> bool:
        """Whether the shop is to be told something, for which a key has to have the right to write."""
        return self.push_stock or self.push_price or bool(self.posted_status or self.webhook_url)

    @property
    def sells_from(self) -> tuple[str, ...]:
        """The warehouses whose goods the shop is told of."""
        return self.stock_warehouses or (self.warehouse,)
