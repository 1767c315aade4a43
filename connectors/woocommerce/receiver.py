"""What the shop and people ask: webhooks, and the exception list.

A webhook is only kept here, as it came and once Kafka has it; the connector makes sense of it. WooCommerce signs the
raw body (base64 of HMAC-SHA256 with the webhook's secret); its ping, a form with the webhook's id, is not signed and
must be answered 200 (PROTOCOLS.md 5).
"""

import base64
import hashlib
import hmac
import re
from typing import ClassVar, Final

import msgspec

from connectors import base
from connectors.base import Rejected, Unauthorised, UnknownPayload
from connectors.woocommerce import kept
from connectors.woocommerce.kept import Problem
from connectors.woocommerce.payloads import Deleted, decode
from connectors.woocommerce.spec import Spec
from schemas import text
from schemas.exchange import Endpoint, Request, Response
from schemas.text import is_code

_PING: Final = re.compile(rb"webhook_id=[0-9]{1,20}")
_KEPT: Final = ("x-wc-webhook-topic", "x-wc-webhook-id", "x-wc-webhook-delivery-id")
MAX_PAGE: Final = 1_000


class Exceptions(msgspec.Struct, frozen=True):
    """What waits for a person, the oldest ids first; ``next`` is where the following page begins."""

    items: tuple[Problem, ...]
    next: str | None = None


class ProductCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The product a SKU is."""

    code: str


class Receiver(base.Receiver[Spec]):
    """One shop's."""

    mount: ClassVar[str] = "webhooks"
    endpoints: ClassVar[tuple[Endpoint, ...]] = (
        Endpoint(
            "push",
            "POST",
            "",
            "A shop's webhook, signed by it; answered once Kafka has it.",
            takes="application/json",
        ),
        Endpoint(
            "exceptions",
            "GET",
            "/exceptions",
            "Orders that wait for a person, each with what is wrong and what to do.",
            scope="admin",
            gives=Exceptions,
            query={"after": "The id of the last one seen."},
        ),
        Endpoint("retry", "POST", "/exceptions/{id}/retry", "Take an order in again; `all` for all.", scope="admin"),
        Endpoint("dismiss", "POST", "/exceptions/{id}/dismiss", "Leave an order out as it now is.", scope="admin"),
        Endpoint("map", "PUT", "/products/{sku}", "Say which product a SKU is.", scope="admin", takes=ProductCode),
    )

    async def receive(self, request: Request) -> Response:
        match request.endpoint:
            case "push":
                return await self._push(request)
            case "exceptions":
                return await self._exceptions(request.query.get("after", ""))
            case "map":
                return await self._map(request)
            case wish:
                return await self._wish(request.segments["id"], kept.RETRY if wish == "retry" else kept.DISMISS)

    async def _push(self, request: Request) -> Response:
        if _PING.fullmatch(request.body.strip()):
            return Response()
        self._admit(request)
        topic = request.headers.get("x-wc-webhook-topic", "")
        if not topic.startswith("order."):
            return Response()  # what isn't about orders is nothing to us, and no reason for the shop to give up on it
        resource = f"order/{_number(request.body)}"
        headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
        await self.context.publisher.pushes([self.context.push(resource, request.body, headers)])
        return Response()

    def _admit(self, request: Request) -> None:
        secret = self.spec.webhook_secret
        if secret is None:
            raise Unauthorised(
                "This shop isn't configured to push: set webhook_url and webhook_secret.",
                fa="این فروشگاه برای ارسال وب‌هوک پیکربندی نشده است: webhook_url و webhook_secret را بنویسید.",
            )
        signed = base64.b64encode(hmac.new(secret.reveal().encode(), request.body, hashlib.sha256).digest())
        given = request.headers.get("x-wc-webhook-signature", "").encode()
        if not hmac.compare_digest(signed, given):
            raise Unauthorised(
                "The signature isn't that of the shop's webhook secret.", fa="امضا با رمز وب‌هوک فروشگاه نمی‌خواند."
            )

    async def _exceptions(self, after: str) -> Response:
        page = await self.context.records.page(kept.EXCEPTIONS, after, MAX_PAGE)
        items = tuple(msgspec.json.decode(value, type=Problem) for _, value in page)
        more = page[-1][0] if len(page) == MAX_PAGE else None
        return Response(body=msgspec.json.encode(Exceptions(items, more)))

    async def _wish(self, problem: str, wish: bytes) -> Response:
        if problem != "all":
            await self._check_wish(problem, wish)
        await self.context.records.put(kept.WISHES, {problem: kept.wish(wish, self.context.clock())})
        return Response()

    async def _check_wish(self, problem: str, wish: bytes) -> None:
        found = (await self.context.records.get(kept.EXCEPTIONS, [problem])).get(problem)
        if found is None:
            raise Rejected(
                f"There is no exception {problem}; it may be settled already.",
                fa=f"موردی با شناسهٔ {problem} نیست؛ شاید حل شده باشد.",
            )
        if wish == kept.RETRY and msgspec.json.decode(found, type=Problem).order is None:
            raise Rejected(
                f"Nothing of {problem} can be tried again: see to what it says, then dismiss it.",
                fa=f"{problem} با تلاش دوباره حل نمی‌شود؛ آنچه گفته شده را انجام دهید و سپس آن را کنار بگذارید.",
            )

    async def _map(self, request: Request) -> Response:
        sku, code = text.code(request.segments["sku"]), text.code(_code(request.body).code)
        if not is_code(sku) or not is_code(code):
            raise Rejected("SKU and code have 1 to 64 characters.", fa="SKU و کد ۱ تا ۶۴ نویسه دارند.")
        if not await self.context.lookup.products([code]):
            raise Rejected(f"There is no product {code}.", fa=f"کالایی با کد {code} نیست.")
        await self.context.records.put(kept.SKUS, {sku: code.encode()})
        return Response()


def _number(body: bytes) -> int:
    """The order a signed body speaks of; 0 if it can't be read: the connector tells what is wrong with it."""
    try:
        return decode(body, Deleted).id
    except UnknownPayload:
        return 0


def _code(body: bytes) -> ProductCode:
    try:
        return msgspec.json.decode(body, type=ProductCode)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownPayload(f'Send {{"code": "…"}}: {error}.', fa='متن {"code": "…"} بفرستید.') from error
