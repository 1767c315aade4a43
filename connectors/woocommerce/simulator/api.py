"""The REST API v3 over HTTP."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final

from aiohttp import web

from connectors.woocommerce.simulator import answers, lists, pricing
from connectors.woocommerce.simulator.answers import Problem, invalid_parameter
from connectors.woocommerce.simulator.faults import Fault, FaultKind
from connectors.woocommerce.simulator.keeping import Doc
from connectors.woocommerce.simulator.keys import Call, Doorkeeper
from connectors.woocommerce.simulator.ledger import Asked, Ledger, Pushed, Written
from connectors.woocommerce.simulator.sender import Sender
from connectors.woocommerce.simulator.shop import STATUSES, TRASH, Basket, Shop

PREFIX: Final = "/wp-json/wc/v3"
MOST_IN_BATCH: Final = 100
_MAX_BODY: Final = 16 * 1024 * 1024
_SOLD_FIELDS: Final = (
    *("name", "sku", "regular_price", "sale_price", "status", "manage_stock", "stock_status", "backorders"),
    *("description", "short_description", "tax_status", "tax_class", "attributes"),
)
_ORDER_FIELDS: Final = ("customer_note", "transaction_id", "payment_method", "payment_method_title", "customer_id")
_PRODUCT_STATUSES: Final = ("draft", "pending", "private", "publish", "future", "auto-draft")
_WEBHOOK_STATUSES: Final = ("active", "paused", "disabled")
_RESOURCES: Final = ("coupon", "customer", "order", "product")
_EVENTS: Final = ("created", "updated", "deleted", "restored")
_STOCK_STATUSES: Final = ("instock", "outofstock", "onbackorder")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Change = Callable[[Doc], Doc]


class Api:
    """The shop's REST API as an aiohttp application."""

    def __init__(
        self, shop: Shop, sender: Sender, doorkeeper: Doorkeeper, ledger: Ledger, faults: list[Fault], name: str
    ) -> None:
        self._shop = shop
        self._sender = sender
        self._doorkeeper = doorkeeper
        self._ledger = ledger
        self._faults = faults
        self._name = name
        self.home = ""
        """The shop's own address, as signatures must name it."""

    def application(self, more: Sequence[web.RouteDef] = ()) -> web.Application:
        """The routes, behind the faults and the doorkeeper; ``more`` under ``/sim/`` are behind neither."""
        app = web.Application(middlewares=[self._front], client_max_size=_MAX_BODY)
        app.router.add_routes(more)
        app.router.add_get("/wp-json/", self._index)
        for path, kind in (
            ("/orders", "order"),
            ("/products", "product"),
            ("/products/{parent:\\d+}/variations", "variation"),
            ("/customers", "customer"),
            ("/webhooks", "webhook"),
        ):
            self._routes(app, PREFIX + path, kind)
        refunds = PREFIX + "/orders/{parent:\\d+}/refunds"
        app.router.add_get(refunds, self._lister("refund"))
        app.router.add_post(refunds, self._create_refund)
        app.router.add_get(refunds + "/{id:\\d+}", self._getter("refund"))
        app.router.add_delete(refunds + "/{id:\\d+}", self._delete_refund)
        app.router.add_get(PREFIX + "/data/currencies/current", self._currency)
        app.router.add_get(PREFIX + "/settings/general/woocommerce_currency", self._currency_setting)
        app.router.add_get(PREFIX + "/settings/tax/woocommerce_prices_include_tax", self._tax_setting)
        app.router.add_route("*", "/{rest:.*}", self._no_route)
        return app

    def _routes(self, app: web.Application, path: str, kind: str) -> None:
        create = {
            "order": self._create_order,
            "product": self._create_product,
            "variation": self._create_variation,
            "customer": self._create_customer,
            "webhook": self._create_webhook,
        }[kind]
        change = {
            "order": self._change_order,
            "product": self._change_sold,
            "variation": self._change_sold,
            "customer": self._change_customer,
            "webhook": self._change_webhook,
        }[kind]
        app.router.add_get(path, self._lister(kind))
        app.router.add_post(path, self._creator(kind, create))
        app.router.add_post(path + "/batch", self._batcher(kind, create, change))
        app.router.add_get(path + "/{id:\\d+}", self._getter(kind))
        for method in ("PUT", "POST", "PATCH"):
            app.router.add_route(method, path + "/{id:\\d+}", self._changer(kind, change))
        app.router.add_delete(path + "/{id:\\d+}", self._deleter(kind))

    # --- in front of everything

    @web.middleware
    async def _front(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/sim/"):
            return await handler(request)
        named = f"{request.method} {request.path}"
        fault = next((each for each in self._faults if each.takes(named)), None)
        response = await self._struck(request, handler, fault) if fault else await self._answered(request, handler)
        self._ledger.asked.append(Asked(request.method, request.path, response.status if response else 0))
        if response is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return response

    async def _struck(self, request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse | None:
        match fault.kind:
            case FaultKind.STATUS:
                return web.Response(
                    status=fault.status, body=fault.error, headers=fault.headers, content_type="application/json"
                )
            case FaultKind.PAGE:
                page = f"<!DOCTYPE html><html><body><h1>{fault.status}</h1><p>{request.path_qs}</p></body></html>"
                return web.Response(status=fault.status, text=page, headers=fault.headers, content_type="text/html")
            case FaultKind.GARBAGE:
                return web.Response(body=b'[{"id": 1, "number": "1', content_type="application/json")
            case FaultKind.SLOW:
                await asyncio.sleep(fault.seconds)
                return await self._answered(request, handler)
            case FaultKind.DROP:
                return None
            case FaultKind.DROP_AFTER:
                await self._answered(request, handler)
                return None

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path.startswith(PREFIX):
                self._doorkeeper.admit(self._call(request), self._shop.clock())
            return await handler(request)
        except Problem as problem:
            return _json(problem.body, problem.status)

    def _call(self, request: web.Request) -> Call:
        return Call(
            request.method,
            f"{self.home}{request.path}",
            request.rel_url.raw_query_string,
            request.headers.get("Authorization", ""),
            request.secure,
        )

    # --- reading

    async def _index(self, request: web.Request) -> web.StreamResponse:
        hours = self._shop.customs.utc_offset.total_seconds() / 3600
        return _json(
            {
                "name": self._name,
                "url": self.home,
                "home": self.home,
                "gmt_offset": str(hours),
                "namespaces": ["wc/v3", "wp/v2"],
            }
        )

    async def _no_route(self, request: web.Request) -> web.StreamResponse:
        raise Problem("rest_no_route", "No route was found matching the URL and request method.", 404)

    async def _currency(self, request: web.Request) -> web.StreamResponse:
        code = self._shop.customs.currency
        return _json({"code": code, "name": code, "symbol": code})

    async def _tax_setting(self, request: web.Request) -> web.StreamResponse:
        value = "yes" if self._shop.customs.prices_include_tax else "no"
        return _json({"id": "woocommerce_prices_include_tax", "label": "Prices", "type": "radio", "value": value})

    async def _currency_setting(self, request: web.Request) -> web.StreamResponse:
        code = self._shop.customs.currency
        return _json({"id": "woocommerce_currency", "label": "Currency", "type": "select", "value": code})

    def _lister(self, kind: str) -> Handler:
        async def listing(request: web.Request) -> web.StreamResponse:
            page = lists.listed(self._listable(kind, request), request.query, self._shop.customs.utc_offset)
            shown = [self._shown(kind, doc, request) for doc in page.docs]
            return _json(shown, headers=page.headers)

        return listing

    def _listable(self, kind: str, request: web.Request) -> list[Doc]:
        query, shop = request.query, self._shop
        match kind:
            case "refund":
                return shop.refunds(self._parent("order", request)["id"])
            case "variation":
                parent = self._parent("product", request)
                return [shop.tables["variation"][number] for number in parent["variations"]]
            case "order":
                known = (*STATUSES, *shop.customs.statuses)
                return lists.of_status(shop.tables["order"].values(), query, known)
            case "product":
                skus = lists.values(query, "sku")
                docs = [doc for doc in shop.tables["product"].values() if not skus or doc["sku"] in skus]
                return lists.of_status(docs, query, _PRODUCT_STATUSES)
            case "webhook":
                return lists.of_status(shop.tables["webhook"].values(), query, _WEBHOOK_STATUSES)
            case _:
                return list(shop.tables[kind].values())

    def _getter(self, kind: str) -> Handler:
        async def getting(request: web.Request) -> web.StreamResponse:
            doc = self._found(kind, request)
            if kind == "order":
                self._shop.viewed(doc["id"])
            return _json(self._shown(kind, doc, request))

        return getting

    def _shown(self, kind: str, doc: Doc, request: web.Request) -> Doc:
        return answers.only(answers.SHOWN[kind](self._shop, doc), lists.values(request.query, "_fields"))

    def _parent(self, kind: str, request: web.Request) -> Doc:
        return self._of(kind, int(request.match_info["parent"]), 404)

    def _found(self, kind: str, request: web.Request, status: int = 404) -> Doc:
        doc = self._of(kind, int(request.match_info["id"]), status)
        if kind in ("variation", "refund") and doc["parent_id"] != int(request.match_info["parent"]):
            raise answers.invalid_id(kind, status)
        return doc

    def _of(self, kind: str, number: int, status: int) -> Doc:
        try:
            return self._shop.find(kind, number)
        except LookupError:
            raise answers.invalid_id(kind, status) from None

    # --- writing

    def _creator(self, kind: str, create: Callable[[Doc, web.Request], Awaitable[Doc]]) -> Handler:
        async def creating(request: web.Request) -> web.StreamResponse:
            doc = await create(await _body(request), request)
            return _json(self._shown(kind, doc, request), 201)

        return creating

    def _changer(self, kind: str, change: Callable[[Doc, Doc], Awaitable[None]]) -> Handler:
        async def changing(request: web.Request) -> web.StreamResponse:
            doc = self._found(kind, request, 400)
            await change(doc, await _body(request))
            return _json(self._shown(kind, doc, request))

        return changing

    def _deleter(self, kind: str) -> Handler:
        async def deleting(request: web.Request) -> web.StreamResponse:
            doc = self._found(kind, request)
            shown = self._shown(kind, doc, request)
            self._delete(kind, doc, force=request.query.get("force", "false") in ("true", "1"))
            return _json(shown)

        return deleting

    def _delete(self, kind: str, doc: Doc, *, force: bool) -> None:
        if force:
            self._shop.remove(kind, doc["id"])
        elif kind in ("customer", "webhook"):
            raise Problem("woocommerce_rest_trash_not_supported", f"{kind.title()}s do not support trashing.", 501)
        elif doc["status"] == TRASH:
            raise Problem("woocommerce_rest_already_trashed", f"The {kind} has already been deleted.", 410)
        else:
            self._shop.trash(doc["id"], kind)

    def _batcher(
        self,
        kind: str,
        create: Callable[[Doc, web.Request], Awaitable[Doc]],
        change: Callable[[Doc, Doc], Awaitable[None]],
    ) -> Handler:
        async def one(work: Callable[[], Awaitable[Doc]], number: object) -> Doc:
            try:
                return answers.SHOWN[kind](self._shop, await work())
            except Problem as problem:
                return {"id": number, "error": problem.body}

        async def batching(request: web.Request) -> web.StreamResponse:
            asked = await _body(request)
            if sum(len(asked.get(each, ())) for each in ("create", "update", "delete")) > MOST_IN_BATCH:
                raise Problem(
                    "woocommerce_rest_request_entity_too_large",
                    f"Unable to accept more than {MOST_IN_BATCH} items for this request.",
                    413,
                )

            async def changed(given: Doc) -> Doc:
                doc = self._of(kind, int(given.get("id", 0)), 400)
                if kind == "variation" and doc["parent_id"] != int(request.match_info["parent"]):
                    raise answers.invalid_id(kind, 400)
                await change(doc, given)
                return doc

            async def deleted(number: int) -> Doc:
                doc = self._of(kind, number, 400)
                self._delete(kind, doc, force=True)
                return doc

            works: dict[str, list[tuple[object, Callable[[], Awaitable[Doc]]]]] = {
                "create": [(0, partial(create, given, request)) for given in asked.get("create", ())],
                "update": [(given.get("id", 0), partial(changed, given)) for given in asked.get("update", ())],
                "delete": [(number, partial(deleted, number)) for number in asked.get("delete", ())],
            }
            done = {
                name: [await one(work, number) for number, work in listed] for name, listed in works.items() if listed
            }
            return _json(done or [])  # PHP writes an empty array so

        return batching

    # --- orders

    async def _create_order(self, given: Doc, request: web.Request) -> Doc:
        lines = [(self._sku_of(line), _number(line.get("quantity", 1), "quantity")) for line in given["line_items"]]
        number = self._shop.place(Basket(lines, status=given.get("status", "pending")))
        return self._shop.find("order", number)

    def _sku_of(self, line: Mapping[str, Any]) -> str:
        kind, number = "variation", line.get("variation_id")
        if not number:
            kind, number = "product", line.get("product_id", 0)
        return str(self._of(kind, int(number), 400)["sku"])

    async def _change_order(self, doc: Doc, given: Doc) -> None:
        status = given.get("status", "")
        if status:
            try:
                self._shop.known_status(status)
            except ValueError:
                raise invalid_parameter("status", f"status is not one of {', '.join(STATUSES)}.") from None
        for name in _ORDER_FIELDS:
            if name in given:
                doc[name] = given[name]
        for name in ("billing", "shipping"):
            doc[name] |= given.get(name, {})
        self._set_meta(doc, given.get("meta_data", ()))
        if "line_items" in given:
            self._shop.edit(
                doc["id"], {line["id"]: _number(line["quantity"], "quantity") for line in given["line_items"]}
            )
        self._ledger.written.append(
            Written(doc["id"], status, {each["key"]: str(each["value"]) for each in given.get("meta_data", ())})
        )
        if status:
            self._shop.set_status(doc["id"], status)
        elif set(given) - {"id", "line_items"}:
            self._shop.saved("order", doc["id"])

    def _set_meta(self, doc: Doc, given: Any) -> None:
        """One with the same key is replaced, as ``update_meta_data`` without an id does."""
        for meta in given:
            known = next((each for each in doc["meta_data"] if each["key"] == meta["key"]), None)
            if known:
                known["value"] = meta["value"]
            else:
                doc["meta_data"].append({"id": self._shop.item(), "key": meta["key"], "value": meta["value"]})

    async def _create_refund(self, request: web.Request) -> web.StreamResponse:
        order, given = self._parent("order", request), await _body(request)
        lines = {int(line["id"]): _number(line["quantity"], "quantity") for line in given.get("line_items", ())}
        amount = _number(given["amount"], "amount") if given.get("amount") else None
        try:
            number = self._shop.refund(
                order["id"], lines or None, amount=amount, reason=given.get("reason", ""), restock=bool(lines)
            )
        except ValueError as error:
            raise Problem("woocommerce_rest_cannot_create_order_refund", str(error), 500) from None
        return _json(self._shown("refund", self._shop.find("refund", number), request), 201)

    async def _delete_refund(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("force") not in ("true", "1"):
            raise Problem("woocommerce_rest_trash_not_supported", "Refunds do not support trashing.", 501)
        doc = self._found("refund", request)
        return _json(answers.refund(self._shop, self._shop.unrefund(doc["parent_id"], doc["id"])))

    # --- what is sold

    async def _create_product(self, given: Doc, request: web.Request) -> Doc:
        return await self._create_sold("product", given, {"type": given.get("type", "simple"), "variations": []})

    async def _create_variation(self, given: Doc, request: web.Request) -> Doc:
        parent = self._parent("product", request)
        doc = await self._create_sold("variation", given, {"parent_id": parent["id"]})
        parent["variations"].append(doc["id"])
        self._shop.saved("product", parent["id"])
        return doc

    async def _create_sold(self, kind: str, given: Doc, more: Mapping[str, Any]) -> Doc:
        self._free_sku(given.get("sku", ""), None)
        blank: Doc = {
            **dict.fromkeys(("name", "sku", "regular_price", "sale_price", "tax_class"), ""),
            "status": "publish",
            "tax_status": "taxable",
            "manage_stock": False,
            "stock_quantity": None,
            "stock_status": "instock",
            "backorders": "no",
            "attributes": [],
            "parent_id": 0,
            "meta_data": [],
        }
        doc = self._shop.find(kind, self._shop.add(kind, {**blank, **more}))
        await self._change_sold(doc, given)
        return doc

    async def _change_sold(self, doc: Doc, given: Doc) -> None:
        if doc.get("_broken"):
            raise web.HTTPInternalServerError(text="There has been a critical error on this website.")
        kind = "product" if "variations" in doc else "variation"
        _check_sold(given)
        if given.get("sku"):
            self._free_sku(given["sku"], doc["id"])
        doc |= {name: given[name] for name in _SOLD_FIELDS if name in given}
        self._set_meta(doc, given.get("meta_data", ()))
        quantity = given.get("stock_quantity")
        if not doc["manage_stock"]:
            doc["stock_quantity"] = None
        elif quantity is not None:
            self._shop.stock(doc, Decimal(str(quantity)))
        self._shop.saved(kind, doc["id"])
        if {"stock_quantity", "regular_price", "sale_price"} & set(given):
            self._ledger.pushed.append(_push(kind, doc, given))

    def _free_sku(self, sku: str, mine: int | None) -> None:
        try:
            _, doc = self._shop.by_sku(sku)
        except LookupError:
            return
        if sku and doc["id"] != mine:
            raise Problem(
                "product_invalid_sku", "Invalid or duplicated SKU.", 400, resource_id=doc["id"], unique_sku=f"{sku}-1"
            )

    # --- customers and webhooks

    async def _create_customer(self, given: Doc, request: web.Request) -> Doc:
        if not given.get("email"):
            raise Problem("rest_missing_callback_param", "Missing parameter(s): email", 400, params=["email"])
        blank: Doc = {"first_name": "", "last_name": "", "role": "customer", "username": given["email"]}
        more = {"billing": {}, "shipping": {}, "is_paying_customer": False, "avatar_url": "", "meta_data": []}
        return self._shop.find("customer", self._shop.add("customer", {**blank, **more, **given}))

    async def _change_customer(self, doc: Doc, given: Doc) -> None:
        for name in ("billing", "shipping"):
            doc[name] |= given.get(name, {})
        doc |= {name: given[name] for name in ("email", "first_name", "last_name") if name in given}
        self._shop.saved("customer", doc["id"])

    async def _create_webhook(self, given: Doc, request: web.Request) -> Doc:
        """Whatever status is asked for: it is active, as in WooCommerce."""
        _check_topic(given.get("topic", ""), "Webhook topic is required and must be valid.")
        _check_delivery_url(given.get("delivery_url", ""))
        number = self._shop.add(
            "webhook",
            {
                "name": given.get("name") or f"Webhook created on {self._shop.now()}",
                "status": "active",
                "topic": given["topic"],
                "delivery_url": given["delivery_url"],
                "_secret": given.get("secret") or secrets.token_urlsafe(37),
                "_failures": 0,
                "_pending": True,
            },
        )
        doc = self._shop.find("webhook", number)
        await self._sender.ping(doc)
        return doc

    async def _change_webhook(self, doc: Doc, given: Doc) -> None:
        if given.get("topic"):
            _check_topic(given["topic"], "Webhook topic must be valid.")
        if given.get("delivery_url"):
            _check_delivery_url(given["delivery_url"])
        if given.get("status") and given["status"] not in _WEBHOOK_STATUSES:
            raise Problem("woocommerce_rest_shop_webhook_invalid_status", "Webhook status must be valid.", 400)
        before = doc["delivery_url"]
        doc |= {name: given[name] for name in ("name", "status", "topic", "delivery_url") if given.get(name)}
        doc["_secret"] = given.get("secret") or doc["_secret"]
        await self._sender.saved(doc, moved=doc["delivery_url"] != before)


def _check_sold(given: Mapping[str, Any]) -> None:
    quantity = given.get("stock_quantity")
    if quantity is not None and (isinstance(quantity, bool) or not _is_whole(quantity)):
        raise invalid_parameter("stock_quantity", "stock_quantity is not of type integer.")
    for name in ("regular_price", "sale_price", "sku"):
        if name in given and not isinstance(given[name], str):
            raise invalid_parameter(name, f"{name} is not of type string.")
    for name, known in (("stock_status", _STOCK_STATUSES), ("backorders", ("no", "notify", "yes"))):
        if name in given and given[name] not in known:
            raise invalid_parameter(name, f"{name} is not one of {', '.join(known)}.")


def _is_whole(value: object) -> bool:
    """As WordPress decides it: "2", 2 and 2.0 are integers."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return False
    return number.is_finite() and number == number.to_integral_value()


def _push(kind: str, doc: Doc, given: Mapping[str, Any]) -> Pushed:
    quantity = given.get("stock_quantity")
    return Pushed(
        product=doc["id"] if kind == "product" else doc["parent_id"],
        variation=doc["id"] if kind == "variation" else 0,
        sku=doc["sku"],
        quantity=None if quantity is None else pricing.number(Decimal(str(quantity))),
        regular_price=given.get("regular_price"),
        sale_price=given.get("sale_price"),
    )


def _check_topic(topic: str, sentence: str) -> None:
    resource, _, event = topic.lower().partition(".")
    if resource not in _RESOURCES or event not in _EVENTS:
        raise Problem("woocommerce_rest_shop_webhook_invalid_topic", sentence, 400)


def _check_delivery_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise Problem(
            "woocommerce_rest_shop_webhook_invalid_delivery_url",
            "Webhook delivery URL must be a valid URL starting with http:// or https://.",
            400,
        )


def _number(value: object, name: str) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise invalid_parameter(name, f"{name} is not of type number.") from None


async def _body(request: web.Request) -> Doc:
    try:
        given = json.loads(await request.read() or b"{}", parse_float=Decimal)
    except ValueError:
        raise Problem("rest_invalid_json", "Invalid JSON body passed.", 400, json_error_code=4) from None
    if not isinstance(given, dict):
        raise Problem("rest_invalid_json", "Invalid JSON body passed.", 400, json_error_code=4)
    return given


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=answers.encoded(value), headers=headers, content_type="application/json", charset="UTF-8"
    )
