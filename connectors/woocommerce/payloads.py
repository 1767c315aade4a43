"""What WooCommerce sends, by its REST API v3 and in its webhooks alike, and what is asked of it. Pure.

The fields are those of WooCommerce's own documentation (woocommerce-rest-api-docs, wp-api-v3); plugins add more, which
are passed over. Money is text in the shop's currency ("139200", "10.50", "" for none), never a float; the numbers that
WooCommerce sends as JSON numbers (a quantity, a line's ``price``, a rate) are read as Decimal from their own digits.
Times come without a zone: those ending in ``_gmt`` are UTC (:func:`utc`), the others the shop's own time.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from connectors.base import UnknownPayload

MAX_NUMBER: Final = Decimal(10) ** 15
"""A number sent as such is smaller than this; nobody orders that many of anything."""

Money = Annotated[str, Meta(pattern=r"^(-?[0-9]{1,18}(\.[0-9]{1,18})?)?\Z")]
"""An amount in the shop's currency, as WooCommerce writes it; ``""`` where there is none."""

Moment = Annotated[datetime, Meta(tz=False)]
"""A time without a zone."""

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Reference = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An id of something else; 0: there is none."""

NO_SUCH: Final = "_invalid_id"
"""How WooCommerce's codes end by which it says that there is no such thing."""

_PLAIN_NUMBER: Final = re.compile(rb"-?[0-9]+(\.[0-9]+)?")


def amount(money: str) -> Decimal:
    """Money as a number, in the shop's currency; 0 where there is none."""
    return Decimal(money or 0)


def utc(moment: datetime) -> datetime:
    """One of the ``_gmt`` times, aware."""
    return moment.replace(tzinfo=UTC)


def _number(value: Decimal | None, name: str) -> None:
    """Raises ValueError for what can be written as a number but is none: NaN, or one too large to be meant."""
    if value is not None and not (value.is_finite() and abs(value) < MAX_NUMBER):
        raise ValueError(f"{name} isn't a number that can be meant")


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is sent."""


class MetaData(Payload, frozen=True, kw_only=True):
    """What a plugin noted about something; ``value`` is JSON of any kind, as it stood in the payload."""

    id: Reference = 0
    key: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")
    display_key: str | None = None
    display_value: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def text(self) -> str | None:
        """The value, if it is text or a plain number; else None."""
        raw = bytes(self.value)
        if _PLAIN_NUMBER.fullmatch(raw):
            return raw.decode()
        try:
            return msgspec.json.decode(raw, type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


class Address(Payload, frozen=True, kw_only=True):
    """A billing or shipping address. ``state`` is a code or a name; ``email`` is the billing address's alone."""

    first_name: str = ""
    last_name: str = ""
    company: str = ""
    address_1: str = ""
    address_2: str = ""
    city: str = ""
    state: str = ""
    postcode: str = ""
    country: str = ""
    email: str | None = ""
    phone: str | None = ""


class Tax(Payload, frozen=True, kw_only=True):
    """What of a tax rate (:attr:`TaxLine.rate_id`) falls on an item."""

    id: Reference = 0
    total: Money = ""
    subtotal: Money = ""


class Image(Payload, frozen=True, kw_only=True):
    """A picture; ``id`` is "" where there is none."""

    id: int | str | None = 0
    src: str | bool | None = ""
    name: str | None = ""
    alt: str | None = ""


class LineItem(Payload, frozen=True, kw_only=True):
    """A line of goods. ``subtotal`` is before coupons, ``total`` after; both without tax.

    ``price`` is ``total`` divided by the quantity. ``sku`` is None, and ``product_id`` perhaps 0, when the product is
    no more. In a refund the quantity and the amounts are below zero, and the meta-datum ``_refunded_item_id`` names
    the order's line.
    """

    id: Id
    name: str
    product_id: Reference
    variation_id: Reference
    quantity: Decimal
    tax_class: str | int | None = ""
    subtotal: Money
    subtotal_tax: Money
    total: Money
    total_tax: Money
    taxes: tuple[Tax, ...] = ()
    meta_data: tuple[MetaData, ...] = ()
    sku: str | None = None
    price: Decimal | None = None
    global_unique_id: str | None = None
    image: Image | None = None
    parent_name: str | None = None

    def __post_init__(self) -> None:
        _number(self.quantity, "quantity")
        _number(self.price, "price")


class TaxLine(Payload, frozen=True, kw_only=True):
    """The sum of one tax rate over the order; ``rate_percent`` is e.g. 10."""

    id: Id
    rate_code: str = ""
    rate_id: Reference = 0
    label: str = ""
    compound: bool = False
    tax_total: Money
    shipping_tax_total: Money
    rate_percent: Decimal | None = None
    meta_data: tuple[MetaData, ...] = ()

    def __post_init__(self) -> None:
        _number(self.rate_percent, "rate_percent")


class ShippingLine(Payload, frozen=True, kw_only=True):
    """What sending costs, without tax. ``method_id`` is None once the line was removed by its own API."""

    id: Id
    method_title: str | None = ""
    method_id: str | None = ""
    instance_id: str | int | None = ""
    total: Money
    total_tax: Money
    taxes: tuple[Tax, ...] = ()
    tax_status: str = ""
    meta_data: tuple[MetaData, ...] = ()


class FeeLine(Payload, frozen=True, kw_only=True):
    """A fee, or with a negative total a discount that isn't a coupon's; without tax."""

    id: Id
    name: str | None = ""
    tax_class: str | int | None = ""
    tax_status: str = ""
    amount: Money = ""
    total: Money
    total_tax: Money
    taxes: tuple[Tax, ...] = ()
    meta_data: tuple[MetaData, ...] = ()


class CouponLine(Payload, frozen=True, kw_only=True):
    """A coupon that was used. Its ``discount`` is in the goods' totals already."""

    id: Id
    code: str
    discount: Money
    discount_tax: Money
    discount_type: str = ""
    nominal_amount: Decimal | None = None
    free_shipping: bool = False
    meta_data: tuple[MetaData, ...] = ()

    def __post_init__(self) -> None:
        _number(self.nominal_amount, "nominal_amount")


class RefundSummary(Payload, frozen=True, kw_only=True):
    """A refund as its order names it; ``total`` is below zero. :class:`Refund` has the rest."""

    id: Id
    reason: str | None = ""
    total: Money


class Order(Payload, frozen=True, kw_only=True):
    """An order. ``total`` has everything in it: goods after coupons, shipping, fees and all taxes.

    ``status`` is one of WooCommerce's (pending, processing, on-hold, completed, cancelled, refunded, failed, trash,
    checkout-draft) or a plugin's own.
    """

    id: Id
    parent_id: Reference = 0
    number: str
    order_key: str = ""
    created_via: str = ""
    version: str = ""
    status: str
    currency: str
    currency_symbol: str = ""
    date_created: Moment | None = None
    date_created_gmt: Moment | None
    date_modified: Moment | None = None
    date_modified_gmt: Moment | None
    discount_total: Money
    discount_tax: Money
    shipping_total: Money
    shipping_tax: Money
    cart_tax: Money
    total: Money
    total_tax: Money
    prices_include_tax: bool
    customer_id: Reference
    customer_ip_address: str = ""
    customer_user_agent: str = ""
    customer_note: str = ""
    billing: Address
    shipping: Address
    payment_method: str = ""
    payment_method_title: str = ""
    payment_url: str = ""
    transaction_id: str = ""
    is_editable: bool = False
    needs_payment: bool = False
    needs_processing: bool = False
    date_paid: Moment | None = None
    date_paid_gmt: Moment | None = None
    date_completed: Moment | None = None
    date_completed_gmt: Moment | None = None
    cart_hash: str = ""
    meta_data: tuple[MetaData, ...] = ()
    line_items: tuple[LineItem, ...]
    tax_lines: tuple[TaxLine, ...]
    shipping_lines: tuple[ShippingLine, ...]
    fee_lines: tuple[FeeLine, ...]
    coupon_lines: tuple[CouponLine, ...]
    refunds: tuple[RefundSummary, ...]


class Refund(Payload, frozen=True, kw_only=True):
    """A refund: ``amount`` is above zero, its lines are below. One without lines gave money back and no goods."""

    id: Id
    parent_id: Reference = 0
    date_created: Moment | None = None
    date_created_gmt: Moment | None
    amount: Money
    reason: str | None = ""
    refunded_by: Reference = 0
    refunded_payment: bool = False
    meta_data: tuple[MetaData, ...] = ()
    line_items: tuple[LineItem, ...]
    shipping_lines: tuple[ShippingLine, ...] = ()
    tax_lines: tuple[TaxLine, ...] = ()
    fee_lines: tuple[FeeLine, ...] = ()


class Download(Payload, frozen=True, kw_only=True):
    """A file that is sold."""

    id: str = ""
    name: str = ""
    file: str = ""


class Dimensions(Payload, frozen=True, kw_only=True):
    """Of a parcel, in the shop's unit."""

    length: str = ""
    width: str = ""
    height: str = ""


class Term(Payload, frozen=True, kw_only=True):
    """A category, a tag or a brand."""

    id: Reference
    name: str = ""
    slug: str = ""


class Attribute(Payload, frozen=True, kw_only=True):
    """What products differ by: a product has ``options``, a variation (or a product's default) one ``option``."""

    id: Reference = 0
    name: str = ""
    slug: str = ""
    position: int = 0
    visible: bool = False
    variation: bool = False
    options: tuple[str, ...] = ()
    option: str = ""


class Sold(Payload, frozen=True, kw_only=True):
    """What products and variations have in common. ``stock_quantity`` is None where stock isn't managed."""

    id: Id
    name: str = ""
    permalink: str = ""
    date_created: Moment | None = None
    date_created_gmt: Moment | None = None
    date_modified: Moment | None = None
    date_modified_gmt: Moment | None = None
    description: str = ""
    sku: str
    global_unique_id: str = ""
    price: Money
    regular_price: Money
    sale_price: Money
    date_on_sale_from: Moment | None = None
    date_on_sale_from_gmt: Moment | None = None
    date_on_sale_to: Moment | None = None
    date_on_sale_to_gmt: Moment | None = None
    on_sale: bool = False
    status: str | bool = ""
    purchasable: bool = False
    virtual: bool = False
    downloadable: bool = False
    downloads: tuple[Download, ...] = ()
    download_limit: int = -1
    download_expiry: int = -1
    tax_status: str = ""
    tax_class: str = ""
    stock_quantity: Decimal | None = None
    stock_status: str = ""
    backorders: str = ""
    backorders_allowed: bool = False
    backordered: bool = False
    low_stock_amount: Decimal | None = None
    weight: str = ""
    dimensions: Dimensions | None = None
    shipping_class: str = ""
    shipping_class_id: int | str = 0
    attributes: tuple[Attribute, ...] = ()
    menu_order: int = 0
    meta_data: tuple[MetaData, ...] = ()
    parent_id: Reference = 0

    def __post_init__(self) -> None:
        _number(self.stock_quantity, "stock_quantity")
        _number(self.low_stock_amount, "low_stock_amount")


class Product(Sold, frozen=True, kw_only=True):
    """A product. Of a "variable" one the ``variations`` are sold, not itself.

    Webhooks tell of variations as of products of the type "variation", with their product's ``parent_id``; such a
    one's ``manage_stock`` may be "parent".
    """

    type: str
    slug: str = ""
    featured: bool = False
    catalog_visibility: str = ""
    short_description: str = ""
    price_html: str = ""
    total_sales: int | str = 0
    external_url: str = ""
    button_text: str = ""
    manage_stock: bool | str = False
    sold_individually: bool = False
    shipping_required: bool = False
    shipping_taxable: bool = False
    reviews_allowed: bool = False
    average_rating: str = ""
    rating_count: int = 0
    related_ids: tuple[int, ...] = ()
    upsell_ids: tuple[int, ...] = ()
    cross_sell_ids: tuple[int, ...] = ()
    purchase_note: str = ""
    categories: tuple[Term, ...] = ()
    tags: tuple[Term, ...] = ()
    brands: tuple[Term, ...] = ()
    images: tuple[Image, ...] = ()
    default_attributes: tuple[Attribute, ...] = ()
    variations: tuple[int, ...] = ()
    grouped_products: tuple[int, ...] = ()
    has_options: bool = False
    post_password: str = ""


class Variation(Sold, frozen=True, kw_only=True):
    """A variation. ``manage_stock`` is "parent" where the product's stock is the variation's."""

    manage_stock: bool | str = False
    image: Image | None = None


class Customer(Payload, frozen=True, kw_only=True):
    """Somebody with an account at the shop."""

    id: Id
    date_created: Moment | None = None
    date_created_gmt: Moment | None = None
    date_modified: Moment | None = None
    date_modified_gmt: Moment | None = None
    email: str
    first_name: str
    last_name: str
    role: str = ""
    username: str = ""
    billing: Address
    shipping: Address
    is_paying_customer: bool = False
    avatar_url: str = ""
    meta_data: tuple[MetaData, ...] = ()


class Deleted(Payload, frozen=True, kw_only=True):
    """All that a webhook tells of what was deleted."""

    id: Id


class Webhook(Payload, frozen=True, kw_only=True):
    """A webhook: ``status`` is active, paused (by a person) or disabled (after too many failed deliveries).

    The secret is never sent.
    """

    id: Id
    name: str = ""
    status: str
    topic: str
    resource: str = ""
    event: str = ""
    hooks: tuple[str, ...] = ()
    delivery_url: str
    date_created: Moment | None = None
    date_created_gmt: Moment | None = None
    date_modified: Moment | None = None
    date_modified_gmt: Moment | None = None


class Currency(Payload, frozen=True, kw_only=True):
    """The shop's currency (``/data/currencies/current``)."""

    code: str
    name: str = ""
    symbol: str = ""


class Setting(Payload, frozen=True, kw_only=True):
    """One of the shop's own settings (``/settings/<group>/<id>``), where its value is text."""

    id: str
    value: str


class ApiError(Payload, frozen=True, kw_only=True):
    """Why WooCommerce didn't do something, in its own words, e.g. ``woocommerce_rest_product_invalid_id``."""

    code: str
    message: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def says_gone(self) -> bool:
        """Whether WooCommerce says that it has no such thing."""
        return self.code.endswith(NO_SUCH)


class BatchItem(Payload, frozen=True, kw_only=True):
    """What became of one object of a batch: with an ``error`` nothing was changed, and ``id`` is as it was asked."""

    id: Reference = 0
    error: ApiError | None = None


class BatchAnswer(Payload, frozen=True, kw_only=True):
    """The answer to a batch; each list is in the order of what was asked."""

    create: tuple[BatchItem, ...] = ()
    update: tuple[BatchItem, ...] = ()
    delete: tuple[BatchItem, ...] = ()


class SoldChange(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of a product or a variation: what isn't set stays as it is. ``stock_quantity`` is sent as a number.

    ``stock_status`` is instock, outofstock or onbackorder; WooCommerce derives it itself where it manages the stock.
    """

    id: int
    manage_stock: bool | msgspec.UnsetType = msgspec.UNSET
    stock_quantity: Decimal | msgspec.UnsetType = msgspec.UNSET
    stock_status: str | msgspec.UnsetType = msgspec.UNSET
    backorders: str | msgspec.UnsetType = msgspec.UNSET
    regular_price: Money | msgspec.UnsetType = msgspec.UNSET
    sale_price: Money | msgspec.UnsetType = msgspec.UNSET


class MetaChange(Payload, frozen=True, kw_only=True):
    """A meta-datum to be set; one with the same key is replaced."""

    key: str
    value: str


class OrderChange(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of an order: what isn't set stays as it is."""

    status: str | msgspec.UnsetType = msgspec.UNSET
    meta_data: tuple[MetaChange, ...] | msgspec.UnsetType = msgspec.UNSET


_T = TypeVar("_T")
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def encode(change: object) -> bytes:
    """What is asked of WooCommerce, as its JSON."""
    return _ENCODER.encode(change)


def decode(body: bytes, kind: type[_T]) -> _T:
    """The body as one of these structs, or a tuple of them. Raises UnknownPayload, which says where it is wrong."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownPayload(
            f"WooCommerce sent what can't be understood: {error}.",
            fa=f"آنچه ووکامرس فرستاد خوانا نیست: {error}.",
        ) from error
    except RecursionError as error:
        raise UnknownPayload(
            "WooCommerce sent what can't be understood: it is nested too deeply.",
            fa="آنچه ووکامرس فرستاد خوانا نیست: تودرتو و بی‌پایان است.",
        ) from error
