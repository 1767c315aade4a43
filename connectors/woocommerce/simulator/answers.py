"""What the API's answers look like: objects as JSON, errors as WordPress writes them."""

import re
from collections.abc import Mapping, Sequence
from copy import copy
from decimal import Decimal
from typing import Any, Final

import msgspec

from connectors.woocommerce.simulator import pricing
from connectors.woocommerce.simulator.keeping import Doc
from connectors.woocommerce.simulator.shop import Shop

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_ESCAPED: Final = re.compile(r"[^\x00-\x7f]|/")
_DATES: Final = ("created", "modified", "paid", "completed", "on_sale_from", "on_sale_to")
_SYMBOLS: Final = {"IRR": "﷼", "IRT": "تومان", "IRHR": "هزار ریال", "IRHT": "هزار تومان"}
_POST_TYPES: Final = {
    "order": "shop_order",
    "refund": "shop_order_refund",
    "product": "product",
    "variation": "product_variation",
    "customer": "customer",
    "webhook": "shop_webhook",
}
_UNPAID: Final = frozenset({"pending", "failed", "checkout-draft"})


class Problem(Exception):
    """An error, as the API answers it."""

    def __init__(self, code: str, message: str, status: int, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.data = data

    @property
    def body(self) -> Doc:
        """Its JSON."""
        return {"code": self.code, "message": self.message, "data": {"status": self.status, **self.data}}


def invalid_parameter(name: str, why: str) -> Problem:
    """WordPress's own, for a parameter that isn't as its schema wants it."""
    return Problem("rest_invalid_param", f"Invalid parameter(s): {name}", 400, params={name: why})


def invalid_id(kind: str, status: int) -> Problem:
    """There is no such object."""
    return Problem(f"woocommerce_rest_{_POST_TYPES[kind]}_invalid_id", "Invalid ID.", status)


def encoded(value: object) -> bytes:
    """JSON as PHP writes it: Decimals as numbers, everything but ASCII escaped, and slashes too."""
    return _ESCAPED.sub(_escape, _ENCODER.encode(value).decode()).encode("ascii")


def _escape(found: re.Match[str]) -> str:
    if found[0] == "/":
        return "\\/"
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def order(shop: Shop, doc: Doc) -> Doc:
    """An order."""
    unpaid = doc["status"] in _UNPAID
    return _shown(shop, doc, "orders") | {
        "currency_symbol": _SYMBOLS.get(doc["currency"], doc["currency"]),
        "line_items": [_line(line) for line in doc["line_items"]],
        "tax_lines": [line | {"rate_percent": _number(line["rate_percent"])} for line in doc["tax_lines"]],
        "shipping_lines": [_public(line) for line in doc["shipping_lines"]],
        "fee_lines": [_public(line) for line in doc["fee_lines"]],
        "refunds": [
            {"id": each["id"], "reason": each["reason"], "total": f"-{each['amount']}"}
            for each in shop.refunds(doc["id"])
        ],
        "is_editable": doc["status"] in ("pending", "on-hold"),
        "needs_payment": unpaid and doc["total"] != "0",
        "needs_processing": True,
        "payment_url": f"/checkout/order-pay/{doc['id']}/" if unpaid else "",
    }


def refund(shop: Shop, doc: Doc) -> Doc:
    """A refund."""
    path = f"orders/{doc['parent_id']}/refunds"
    return _shown(shop, doc, path) | {
        "line_items": [_line(line) for line in doc["line_items"]],
        "shipping_lines": [_public(line) for line in doc["shipping_lines"]],
        "fee_lines": [_public(line) for line in doc["fee_lines"]],
    }


def product(shop: Shop, doc: Doc) -> Doc:
    """A product."""
    prices = [_price(shop.tables["variation"][each]) for each in doc["variations"]]
    cheapest = min(filter(None, prices), key=Decimal, default="")
    return {
        **_blank_product(),
        **_sold(shop, doc, "products"),
        "price": cheapest or _price(doc),
        "slug": f"product-{doc['id']}",
        "purchasable": bool(cheapest or _price(doc)) and doc["status"] == "publish",
        "has_options": doc["type"] == "variable",
    }


def variation(shop: Shop, doc: Doc) -> Doc:
    """A variation."""
    shown = _sold(shop, doc, f"products/{doc['parent_id']}/variations")
    return {"description": "", "image": None, "menu_order": 0, **shown, "type": "variation", "price": _price(doc)}


def customer(shop: Shop, doc: Doc) -> Doc:
    """A customer."""
    return _shown(shop, doc, "customers")


def webhook(shop: Shop, doc: Doc) -> Doc:
    """A webhook, without its secret."""
    resource, _, event = doc["topic"].partition(".")
    return _shown(shop, doc, "webhooks") | {"resource": resource, "event": event, "hooks": [f"woocommerce_{event}"]}


SHOWN: Final = {"order": order, "refund": refund, "product": product, "variation": variation, "customer": customer} | {
    "webhook": webhook
}
"""How each kind is shown."""


def only(doc: Doc, fields: Sequence[str]) -> Doc:
    """The top-level fields that were asked for, all without."""
    return {name: value for name, value in doc.items() if name in fields} if fields else doc


def _shown(shop: Shop, doc: Doc, path: str) -> Doc:
    shown = _public(doc)
    for name in _DATES:
        if f"date_{name}_gmt" in shown:
            shown[f"date_{name}"] = shop.local(shown[f"date_{name}_gmt"])
    return shown | {"_links": {"self": [{"href": f"/wp-json/wc/v3/{path}/{doc['id']}"}]}}


def _public(doc: Mapping[str, Any]) -> Doc:
    return {name: value for name, value in doc.items() if not name.startswith("_")}


def _sold(shop: Shop, doc: Doc, path: str) -> Doc:
    stock = doc["stock_quantity"]
    return {
        "permalink": f"/?p={doc['id']}",
        "global_unique_id": "",
        **_shown(shop, {"date_on_sale_from_gmt": None, "date_on_sale_to_gmt": None, **doc}, path),
        "on_sale": bool(doc["sale_price"]),
        "stock_quantity": None if stock is None else _number(stock),
        "backorders_allowed": doc["backorders"] != "no",
        "backordered": doc["stock_status"] == "onbackorder",
        "purchasable": True,
        "virtual": False,
        "downloadable": False,
        "downloads": [],
        "download_limit": -1,
        "download_expiry": -1,
        "low_stock_amount": None,
        "weight": "",
        "dimensions": {"length": "", "width": "", "height": ""},
        "shipping_class": "",
        "shipping_class_id": 0,
    }


def _blank_product() -> Doc:
    return {
        "featured": False,
        "catalog_visibility": "visible",
        "description": "",
        "short_description": "",
        "price_html": "",
        "total_sales": 0,
        "external_url": "",
        "button_text": "",
        "sold_individually": False,
        "shipping_required": True,
        "shipping_taxable": True,
        "reviews_allowed": True,
        "average_rating": "0.00",
        "rating_count": 0,
        "related_ids": [],
        "upsell_ids": [],
        "cross_sell_ids": [],
        "purchase_note": "",
        "categories": [{"id": 15, "name": "کالا", "slug": "goods"}],
        "tags": [],
        "brands": [],
        "images": [],
        "default_attributes": [],
        "grouped_products": [],
        "menu_order": 0,
        "post_password": "",
    }


def _price(doc: Doc) -> str:
    price: str = doc["sale_price"] or doc["regular_price"]
    return price


def _line(line: Doc) -> Doc:
    shown = copy(_public(line))
    total, quantity = Decimal(line["total"]), Decimal(line["quantity"])
    return shown | {"quantity": _number(line["quantity"]), "price": pricing.unit_price(total, quantity)}


def _number(text: str) -> Decimal:
    return pricing.number(Decimal(text))
