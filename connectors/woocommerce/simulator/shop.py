"""What the shop holds and does. Every change ends in :attr:`Shop.tell`, from where the webhooks go out."""

import random
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

from connectors.woocommerce.simulator import pricing
from connectors.woocommerce.simulator.goods import Good
from connectors.woocommerce.simulator.keeping import Doc, Keeper
from connectors.woocommerce.simulator.pricing import Purse

STATUSES: Final = ("pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "checkout-draft")
TRASH: Final = "trash"
NEW_SECONDS: Final = 10
"""A product saved on its own page within this of its creation is told as created once more."""
_TAKES_STOCK: Final = frozenset({"processing", "on-hold", "completed"})
_GIVES_STOCK_BACK: Final = frozenset({"cancelled", "pending", "failed"})
_PAID: Final = frozenset({"processing", "completed"})
_TIME: Final = "%Y-%m-%dT%H:%M:%S"
_POSTS: Final = frozenset({"product", "variation", "order", "refund"})
"""WordPress numbers these together."""

CUSTOMERS: Final = (
    ("فروشگاه رایانهٔ", "پارس", "۰۲۱-۶۶۷۰۰۱۰۱", "pars@example.ir", "تهران"),
    ("شرکت داده‌پرداز", "البرز", "026-32500202", "alborz@example.ir", "کرج"),
    ("مریم", "احمدی", "09121234567", "maryam@example.ir", "تهران"),
    ("علي", "كريمي", "+98 912 765 4321", "ali.karimi@example.ir", "مشهد"),
    ("سارا", "نوری", "۰۹۳۵۱۱۱۲۲۳۳", "sara@example.ir", "شیراز"),
    ("رضا", "محمدی", "00989191112233", "", "اصفهان"),
)
"""First name, last name, phone, e-mail and city, as people type them; the first two are the sample company's."""


@dataclass(frozen=True, slots=True)
class Customs:
    """How the shop is set up. ``statuses`` are a plugin's own, beside WooCommerce's.

    ``viewing_bumps_modified``: reading an order makes it modified (WooCommerce's issue #41226).
    ``editing_bumps_modified`` False: changing an order's items doesn't (#34798).
    """

    currency: str = "IRT"
    decimals: int = 0
    tax_percent: Decimal = Decimal(10)
    prices_include_tax: bool = False
    utc_offset: timedelta = timedelta(hours=3, minutes=30)
    statuses: tuple[str, ...] = ()
    viewing_bumps_modified: bool = False
    editing_bumps_modified: bool = True

    @property
    def purse(self) -> Purse:
        """Its currency."""
        return Purse(self.currency, self.decimals)


@dataclass(frozen=True, slots=True)
class Basket:
    """What somebody buys: SKUs and quantities. ``coupon`` is a code and its percentage; money is in rials."""

    lines: Sequence[tuple[str, Decimal | int]]
    customer: int = 0
    coupon: tuple[str, int] | None = None
    shipping: int = 0
    fee: tuple[str, int] | None = None
    status: str = "processing"
    note: str = ""


class Shop:
    """One shop. Ids are as in the API; LookupError if there is no such thing, ValueError for what can't be done."""

    def __init__(
        self,
        goods: Sequence[Good],
        customs: Customs,
        *,
        keeper: Keeper,
        clock: Callable[[], datetime],
        seed: int = 1,
    ) -> None:
        self.customs = customs
        self.clock = clock
        self.tell: Callable[[str, str, int], None] = lambda _resource, _event, _number: None
        """Called with what changed ("order"), how ("updated") and its id."""
        self.tables: dict[str, dict[int, Doc]] = {
            kind: {} for kind in ("product", "variation", "order", "refund", "customer", "webhook", "counter")
        }
        self._keeper = keeper
        self._random = random.Random(seed)  # noqa: S311 (the same seed gives the same orders)
        self._open(goods)

    def _open(self, goods: Sequence[Good]) -> None:
        kept = self._keeper.load()
        for kind, number, doc in kept:
            self.tables[kind][number] = doc
        if not kept:
            self._stock_shelves(goods)
            for index in range(len(CUSTOMERS)):
                self._add_customer(index)

    # --- the beginnings

    def _stock_shelves(self, goods: Sequence[Good]) -> None:
        families: dict[str, int] = {}
        for good in goods:
            if not good.family:
                self._add_sold("product", good, {"type": "simple", "variations": []})
                continue
            if good.family not in families:
                families[good.family] = self._add_family(good)
            parent = families[good.family]
            number = self._add_sold("variation", good, {"parent_id": parent})
            family = self.tables["product"][parent]
            family["variations"].append(number)
            family["attributes"][0]["options"].append(good.option)
            self.tables["variation"][number]["attributes"] = [{"id": 0, "name": "مدل", "option": good.option}]
            self._keep("product", parent)
            self._keep("variation", number)

    def _add_family(self, good: Good) -> int:
        attribute = {"id": 0, "name": "مدل", "position": 0, "visible": True, "variation": True, "options": []}
        number = self._add_sold("product", good, {"type": "variable", "variations": [], "attributes": [attribute]})
        self.tables["product"][number] |= {
            "name": good.family,
            "sku": "",
            "regular_price": "",
            "manage_stock": False,
            "stock_quantity": None,
        }
        self._keep("product", number)
        return number

    def _add_sold(self, kind: str, good: Good, more: Mapping[str, Any]) -> int:
        price = self.customs.purse.text(self.customs.purse.of_rials(good.price))
        return self.add(
            kind,
            {
                "name": good.name,
                "sku": good.sku,
                "regular_price": price,
                "sale_price": "",
                "status": "publish",
                "tax_status": "taxable" if good.taxable else "none",
                "tax_class": "",
                "manage_stock": True,
                "stock_quantity": str(good.stock),
                "stock_status": "instock",
                "backorders": "no",
                "attributes": [],
                "parent_id": 0,
                "meta_data": [],
                **more,
            },
        )

    def _add_customer(self, index: int) -> None:
        first, last, _, email, _ = CUSTOMERS[index]
        address = self._address(index)
        self.add(
            "customer",
            {
                "email": email,
                "first_name": first,
                "last_name": last,
                "role": "customer",
                "username": f"customer{index + 1}",
                "billing": address,
                "shipping": {name: text for name, text in address.items() if name != "email"},
                "is_paying_customer": True,
                "avatar_url": "",
                "meta_data": [],
            },
        )

    def _address(self, index: int) -> dict[str, str]:
        first, last, phone, email, city = CUSTOMERS[index]
        return {
            "first_name": first,
            "last_name": last,
            "company": "",
            "address_1": "خیابان آزادی، پلاک ۱۲",
            "address_2": "",
            "city": city,
            "state": "THR",
            "postcode": "1417935840",
            "country": "IR",
            "email": email,
            "phone": phone,
        }

    # --- objects

    def find(self, kind: str, number: int) -> Doc:
        """An object as the shop keeps it. Raises LookupError."""
        return self.tables[kind][number]

    def add(self, kind: str, doc: Mapping[str, Any]) -> int:
        """A new object, with an id and its times."""
        number = self._next(kind)
        now = self.now()
        self.tables[kind][number] = {
            "id": number,
            **deepcopy(dict(doc)),
            "date_created_gmt": now,
            "date_modified_gmt": now,
        }
        self._keep(kind, number)
        self.tell(_told_as(kind), "created", number)
        return number

    def saved(self, kind: str, number: int, *, bump: bool = True) -> None:
        """Something of it was changed: it is modified now (unless not ``bump``), kept, and told of."""
        if bump:
            self.tables[kind][number]["date_modified_gmt"] = self.now()
        self._keep(kind, number)
        self.tell(_told_as(kind), "updated", number)

    def save_page(self, product: int) -> None:
        """Somebody saved a product on its own page, where a save soon after its creation is told as that as well."""
        age = self._moment() - _moment(self.find("product", product)["date_created_gmt"])
        if age <= timedelta(seconds=NEW_SECONDS):
            self.tell("product", "created", product)
        self.saved("product", product)

    def remove(self, kind: str, number: int) -> None:
        """Delete it for good. WooCommerce tells that of customers alone: of others, that they went to the trash."""
        del self.tables[kind][number]
        self._keeper.forget(kind, number)
        if kind == "customer":
            self.tell(kind, "deleted", number)

    def _keep(self, kind: str, number: int) -> None:
        self._keeper.keep(kind, number, self.tables[kind][number])

    def _next(self, kind: str) -> int:
        counters = self.tables["counter"].setdefault(0, {})
        counter = "post" if kind in _POSTS else kind
        number = int(counters.get(counter, 0)) + 1
        counters[counter] = number
        self._keep("counter", 0)
        return number

    def now(self) -> str:
        """The present as the API writes it in its ``_gmt`` fields."""
        return self._moment().strftime(_TIME)

    def _moment(self) -> datetime:
        return self.clock().astimezone(UTC).replace(microsecond=0)

    def local(self, gmt: str | None) -> str | None:
        """The same moment in the shop's own time."""
        return gmt and _moment(gmt).astimezone(timezone(self.customs.utc_offset)).strftime(_TIME)

    def by_sku(self, sku: str) -> tuple[str, Doc]:
        """The product or variation, and which it is. Raises LookupError."""
        for kind in ("variation", "product"):
            for doc in self.tables[kind].values():
                if doc["sku"] == sku and doc["status"] != TRASH:
                    return kind, doc
        raise LookupError(f"the shop has no SKU {sku}")

    def skus(self) -> list[str]:
        """What can be bought."""
        sold = (*self.tables["product"].values(), *self.tables["variation"].values())
        return [doc["sku"] for doc in sold if doc["sku"] and doc["status"] == "publish"]

    # --- orders

    def place(self, basket: Basket, **fields: Any) -> int:
        """A new order; its id. ``fields`` are set as they are, even wrongly."""
        purse = self.customs.purse
        lines = [self._line(sku, Decimal(quantity)) for sku, quantity in basket.lines]
        if basket.coupon:
            self._discount(lines, basket.coupon[1])
        address = self._address(basket.customer)
        order: Doc = {
            "parent_id": 0,
            "order_key": f"wc_order_{self._random.getrandbits(48):012x}",
            "created_via": "checkout",
            "version": "8.9.1",
            "status": "pending",
            "currency": self.customs.currency,
            "prices_include_tax": self.customs.prices_include_tax,
            "customer_id": basket.customer + 1,
            "customer_ip_address": "192.0.2.7",
            "customer_user_agent": "Mozilla/5.0",
            "customer_note": basket.note,
            "billing": address,
            "shipping": {name: text for name, text in address.items() if name != "email"},
            "payment_method": "zarinpal",
            "payment_method_title": "درگاه پرداخت",
            "transaction_id": "",
            "date_paid_gmt": None,
            "date_completed_gmt": None,
            "cart_hash": "",
            "meta_data": [],
            "line_items": lines,
            "shipping_lines": [self._shipping(purse.of_rials(basket.shipping))] if basket.shipping else [],
            "fee_lines": [self._fee(basket.fee[0], purse.of_rials(basket.fee[1]))] if basket.fee else [],
            "coupon_lines": [self._coupon(*basket.coupon, lines)] if basket.coupon else [],
        }
        self._sum(order)
        number = self.add("order", order | {"number": ""})
        made = self.tables["order"][number]
        made["number"] = str(number)
        self._set_status(made, basket.status)
        made |= fields
        self._keep("order", number)
        return number

    def place_random(self) -> int:
        """An order of one to four things somebody may want, most often paid."""
        draw = self._random
        skus = draw.sample(self.skus(), draw.randint(1, min(4, len(self.skus()))))
        return self.place(
            Basket(
                [(sku, draw.randint(1, 3)) for sku in skus],
                customer=draw.randrange(len(CUSTOMERS)),
                coupon=("NOROOZ", 10) if draw.random() < 0.15 else None,
                shipping=draw.choice((0, 850_000, 1_200_000)),
                fee=("بسته‌بندی", 300_000) if draw.random() < 0.1 else None,
                status=draw.choice(("processing", "processing", "processing", "on-hold", "pending")),
            )
        )

    def set_status(self, number: int, status: str) -> None:
        """Change an order's status, with what comes of it: stock, and when it was paid and completed."""
        order = self._live(number)
        self.known_status(status)
        self._set_status(order, status)
        self.saved("order", number)

    def known_status(self, status: str) -> None:
        """Raises ValueError for a status an order can't be set to."""
        if status not in (*STATUSES, *self.customs.statuses):
            raise ValueError(f"no status {status}")

    def trash(self, number: int, kind: str = "order") -> None:
        """Put an order, or a product, into the trash."""
        doc = self.find(kind, number)
        if doc["status"] == TRASH:
            raise ValueError(f"{kind} {number} is in the trash already")
        doc["_status"] = doc["status"]
        self._move(kind, doc, TRASH, "deleted")

    def restore(self, number: int, kind: str = "order") -> None:
        """Take it out of the trash, as it was."""
        doc = self.find(kind, number)
        self._move(kind, doc, doc.pop("_status"), "restored")

    def _move(self, kind: str, doc: Doc, status: str, event: str) -> None:
        doc["status"] = status
        doc["date_modified_gmt"] = self.now()
        self._keep(kind, doc["id"])
        self.tell(kind, event, doc["id"])

    def edit(self, number: int, quantities: Mapping[int, Decimal | int]) -> None:
        """Change quantities of an order's lines, by their ids; 0 takes a line out."""
        order = self._live(number)
        for line in order["line_items"]:
            if line["id"] in quantities:
                self._resize(line, Decimal(quantities[line["id"]]))
        order["line_items"] = [line for line in order["line_items"] if Decimal(line["quantity"])]
        self._sum(order)
        self.saved("order", number, bump=self.customs.editing_bumps_modified)

    def viewed(self, number: int) -> None:
        """Somebody looked at an order."""
        if self.customs.viewing_bumps_modified:
            self.find("order", number)["date_modified_gmt"] = self.now()
            self._keep("order", number)

    def refund(
        self,
        number: int,
        quantities: Mapping[int, Decimal | int] | None = None,
        *,
        amount: Decimal | None = None,
        reason: str = "",
        restock: bool = True,
    ) -> int:
        """Give money back for some of an order's lines, for an amount, for both (so much for these lines), or (with
        neither) for all that is left, shipping and fees too.

        The refund's id. The order is told as updated; refunded in full it is ``refunded``.
        """
        order = self._live(number)
        left = Decimal(order["total"]) - self._refunded(number)
        whole = quantities is None and amount is None
        if whole:
            quantities = {line["id"]: self._unrefunded(order, line) for line in order["line_items"]}
        lines = [
            self._refund_line(line, Decimal(quantities[line["id"]]))
            for line in order["line_items"]
            if quantities and Decimal(quantities.get(line["id"], 0))
        ]
        value = -pricing.total_of(each for line in lines for each in (line["total"], line["total_tax"]))
        value = left if whole else amount if amount is not None else value
        if not 0 < value <= left:
            raise ValueError("Invalid refund amount.")
        if restock:
            for line in lines:
                self._move_stock(line, -Decimal(line["quantity"]))
        refund = self.add(
            "refund",
            {
                "parent_id": number,
                "amount": self.customs.purse.text(value),
                "reason": reason,
                "refunded_by": 1,
                "refunded_payment": False,
                "meta_data": [],
                "line_items": lines,
                "shipping_lines": [self._given_back(line) for line in order["shipping_lines"] if whole],
                "tax_lines": [],
                "fee_lines": [self._given_back(line) for line in order["fee_lines"] if whole],
            },
        )
        order.setdefault("_refunds", []).append(refund)
        if value == left:
            order["status"] = "refunded"
        self.saved("order", number)
        return refund

    def refunds(self, order: int) -> list[Doc]:
        """Those of an order, the newest first."""
        return [self.tables["refund"][number] for number in reversed(self.find("order", order).get("_refunds", []))]

    def unrefund(self, order: int, refund: int) -> Doc:
        """Delete a refund; the order is told as updated."""
        if refund not in self.find("order", order).get("_refunds", []):
            raise LookupError(f"order {order} has no refund {refund}")
        self.tables["order"][order]["_refunds"].remove(refund)
        doc = self.tables["refund"].pop(refund)
        self._keeper.forget("refund", refund)
        self.saved("order", order)
        return doc

    def _live(self, number: int) -> Doc:
        order = self.find("order", number)
        if order["status"] == TRASH:
            raise ValueError(f"order {number} is in the trash")
        return order

    def _refunded(self, order: int) -> Decimal:
        return pricing.total_of(doc["amount"] for doc in self.refunds(order))

    def _unrefunded(self, order: Doc, line: Doc) -> Decimal:
        given = [
            Decimal(each["quantity"])
            for refund in self.refunds(order["id"])
            for each in refund["line_items"]
            if each["meta_data"][0]["value"] == str(line["id"])
        ]
        return Decimal(line["quantity"]) + sum(given, Decimal(0))

    # --- the parts of an order

    def _set_status(self, order: Doc, status: str) -> None:
        order["status"] = status
        if status in _PAID and not order["date_paid_gmt"]:
            order["date_paid_gmt"] = self.now()
            order["transaction_id"] = f"{self._random.getrandbits(40)}"
        if status == "completed":
            order["date_completed_gmt"] = self.now()
        taken = order.get("_stock_taken", False)
        if (status in _TAKES_STOCK and not taken) or (status in _GIVES_STOCK_BACK and taken):
            for line in order["line_items"]:
                self._move_stock(line, Decimal(line["quantity"]) * (1 if taken else -1))
            order["_stock_taken"] = not taken

    def _move_stock(self, line: Doc, quantity: Decimal) -> None:
        kind, number = ("variation", line["variation_id"]) if line["variation_id"] else ("product", line["product_id"])
        sold = self.tables[kind].get(number)
        if sold and sold["stock_quantity"] is not None:
            self.stock(sold, Decimal(sold["stock_quantity"]) + quantity)
            self._keep(kind, number)

    @staticmethod
    def stock(sold: Doc, quantity: Decimal) -> None:
        """Set a stock; whether it can be bought follows from it."""
        sold["stock_quantity"] = f"{pricing.number(quantity):f}"
        out = "outofstock" if sold["backorders"] == "no" else "onbackorder"
        sold["stock_status"] = "instock" if quantity > 0 else out

    def item(self) -> int:
        """The next id of an order's item."""
        return self._next("item")

    def _line(self, sku: str, quantity: Decimal) -> Doc:
        kind, sold = self.by_sku(sku)
        parent = self.tables["product"][sold["parent_id"]] if kind == "variation" else None
        purse = self.customs.purse
        taxable = sold["tax_status"] == "taxable"
        price = Decimal(sold["sale_price"] or sold["regular_price"])
        if self.customs.prices_include_tax and taxable:
            price = price / (1 + self.customs.tax_percent / 100)
        options = sold["attributes"] if parent else []
        line: Doc = {
            "id": self.item(),
            "name": f"{parent['name']} - {options[0]['option']}" if parent else sold["name"],
            "product_id": parent["id"] if parent else sold["id"],
            "variation_id": sold["id"] if parent else 0,
            "quantity": f"{pricing.number(quantity):f}",
            "tax_class": "",
            "subtotal": purse.text(price * quantity),
            "total": purse.text(price * quantity),
            "sku": sku,
            "global_unique_id": "",
            "image": {"id": "", "src": ""},
            "parent_name": parent["name"] if parent else None,
            "meta_data": [
                {
                    "id": self.item(),
                    "key": "pa_model",
                    "value": each["option"],
                    "display_key": each["name"],
                    "display_value": each["option"],
                }
                for each in options
            ],
            "_taxed": taxable,
        }
        self._tax(line)
        return line

    def _resize(self, line: Doc, quantity: Decimal) -> None:
        purse, before = self.customs.purse, Decimal(line["quantity"])
        for name in ("subtotal", "total"):
            line[name] = purse.text(Decimal(line[name]) / before * quantity)
        line["quantity"] = f"{pricing.number(quantity):f}"
        self._tax(line)

    def _refund_line(self, line: Doc, quantity: Decimal) -> Doc:
        refunded = deepcopy(line)
        self._resize(refunded, -quantity)
        reference = {"id": self.item(), "key": "_refunded_item_id", "value": str(line["id"])}
        return refunded | {"id": self.item(), "meta_data": [reference]}

    def _given_back(self, line: Doc) -> Doc:
        returned = deepcopy(line) | {"total": self.customs.purse.text(-Decimal(line["total"]))}
        self._tax(returned)
        reference = {"id": self.item(), "key": "_refunded_item_id", "value": str(line["id"])}
        return returned | {"id": self.item(), "meta_data": [reference]}

    def _discount(self, lines: Sequence[Doc], percent: int) -> None:
        purse = self.customs.purse
        totals = [Decimal(line["total"]) for line in lines]
        discount = purse.rounded(sum(totals, Decimal(0)) * percent / 100)
        for line, total, share in zip(lines, totals, pricing.shares(discount, totals, purse), strict=True):
            line["total"] = purse.text(total - share)
            self._tax(line)

    def _coupon(self, code: str, percent: int, lines: Sequence[Doc]) -> Doc:
        purse = self.customs.purse
        return {
            "id": self.item(),
            "code": code.lower(),
            "discount": purse.text(_difference(lines, "subtotal", "total")),
            "discount_tax": purse.text(_difference(lines, "subtotal_tax", "total_tax")),
            "meta_data": [],
            "discount_type": "percent",
            "nominal_amount": percent,
            "free_shipping": False,
        }

    def _shipping(self, total: Decimal) -> Doc:
        line = {
            "id": self.item(),
            "method_title": "پیک",
            "method_id": "flat_rate",
            "instance_id": "1",
            "total": self.customs.purse.text(total),
            "tax_status": "taxable",
            "meta_data": [],
            "_taxed": True,
        }
        self._tax(line)
        return line

    def _fee(self, name: str, total: Decimal) -> Doc:
        text = self.customs.purse.text(total)
        line = {
            "id": self.item(),
            "name": name,
            "tax_class": "",
            "tax_status": "taxable",
            "amount": text,
            "total": text,
            "meta_data": [],
            "_taxed": True,
        }
        self._tax(line)
        return line

    def _tax(self, line: Doc) -> None:
        rate = self.customs.tax_percent / 100 if line["_taxed"] else Decimal(0)
        purse = self.customs.purse
        line["total_tax"] = total = purse.text(Decimal(line["total"]) * rate)
        tax = {"id": 1, "total": total, "subtotal": ""}
        if "subtotal" in line:
            line["subtotal_tax"] = tax["subtotal"] = purse.text(Decimal(line["subtotal"]) * rate)
        line["taxes"] = [tax] if rate else []

    def _sum(self, order: Doc) -> None:
        """Its totals and tax lines, from its items."""
        purse = self.customs.purse
        goods, fees, shipping = order["line_items"], order["fee_lines"], order["shipping_lines"]
        cart_tax = pricing.total_of(line["total_tax"] for line in (*goods, *fees))
        shipping_tax = pricing.total_of(line["total_tax"] for line in shipping)
        net = pricing.total_of(line["total"] for line in (*goods, *fees, *shipping))
        taxed = any(line["taxes"] for line in (*goods, *fees, *shipping))
        order |= {
            "discount_total": purse.text(_difference(goods, "subtotal", "total")),
            "discount_tax": purse.text(_difference(goods, "subtotal_tax", "total_tax")),
            "shipping_total": purse.text(pricing.total_of(line["total"] for line in shipping)),
            "shipping_tax": purse.text(shipping_tax),
            "cart_tax": purse.text(cart_tax),
            "total_tax": purse.text(cart_tax + shipping_tax),
            "total": purse.text(net + cart_tax + shipping_tax),
            "tax_lines": [self._tax_line(cart_tax, shipping_tax)] if taxed else [],
        }

    def _tax_line(self, cart: Decimal, shipping: Decimal) -> Doc:
        return {
            "id": self.item(),
            "rate_code": "IR-VAT-1",
            "rate_id": 1,
            "label": "مالیات بر ارزش افزوده",
            "compound": False,
            "tax_total": self.customs.purse.text(cart),
            "shipping_tax_total": self.customs.purse.text(shipping),
            "rate_percent": str(self.customs.tax_percent),
            "meta_data": [],
        }


def _told_as(kind: str) -> str:
    """The resource webhooks tell of: a variation is a product to them."""
    return "product" if kind == "variation" else kind


def _moment(gmt: str) -> datetime:
    return datetime.strptime(gmt, _TIME).replace(tzinfo=UTC)


def _difference(lines: Sequence[Doc], before: str, after: str) -> Decimal:
    return pricing.total_of(line[before] for line in lines) - pricing.total_of(line[after] for line in lines)
