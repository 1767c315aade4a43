"""Talking to a shop's REST API v3: the only I/O of the connector, where the shop's errors become ours.

Over HTTPS the key goes in a Basic ``Authorization`` header, or in the query (``keys_in_query``) at hosts that strip
that header. Over plain HTTP WooCommerce takes neither: there each request is signed by OAuth 1.0a (RFC 5849,
one-legged, HMAC-SHA256), so that the secret isn't on the wire.

Neither key nor secret is in any error: what is told of an address is its host and path alone, and the shop's own words
are masked.
"""

import asyncio
import base64
import hashlib
import hmac
import math
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from yarl import URL

from connectors.base import ConnectorError, Rejected, Retryable, Unauthorised, UnknownPayload
from connectors.woocommerce.payloads import (
    NO_SUCH,
    ApiError,
    BatchAnswer,
    BatchItem,
    Currency,
    Order,
    OrderChange,
    Product,
    Refund,
    Setting,
    SoldChange,
    Webhook,
    decode,
    encode,
)
from schemas.secret import Secret

PER_PAGE: Final = 100
"""The most WooCommerce gives at once, and the most it takes in a batch."""
MAX_BYTES: Final = 32 * 1024 * 1024
"""Of one answer."""
LONGEST_PAUSE: Final = 600.0
"""Seconds; a shop that asks for a longer pause is asked again after this."""
_MAX_WORDS: Final = 300

_API: Final = "/wp-json/wc/v3"
_UNREACHABLE: Final = (aiohttp.ClientError, OSError, ssl.SSLError)


class Refused(Rejected):
    """The shop refused: ``status`` of HTTP, and WooCommerce's own ``code`` ("" if it gave none)."""

    def __init__(self, text: str, *, fa: str, status: int, code: str) -> None:
        super().__init__(text, fa=fa)
        self.status = status
        self.code = code

    @property
    def says_gone(self) -> bool:
        """Whether WooCommerce itself said that it has no such thing. Other 404s don't say that: WordPress answers so
        while WooCommerce is being updated, and so does whatever stands in front of a shop that is away."""
        return self.code.endswith(NO_SUCH)


class Busy(Retryable):
    """The shop has too much to do or is being mended; ``seconds``: how long it asked to be left alone, if it did."""

    def __init__(self, text: str, *, fa: str, seconds: float | None) -> None:
        super().__init__(text, fa=fa)
        self.seconds = seconds


class Broken(Busy):
    """The shop failed at what it was asked (HTTP 500): it may be all of it, or just the one thing."""


class Answer(NamedTuple):
    """An answer that is well: its bytes, and its headers in lower case."""

    body: bytes
    headers: Mapping[str, str]

    @property
    def at(self) -> datetime | None:
        """What the shop's clock said; None if it didn't say."""
        return _http_date(self.headers.get("date", ""))


class Page(NamedTuple):
    """One page of a list: each item's own JSON, to be decoded one by one, so that a bad one spoils no other.

    ``total`` items on ``pages`` pages are what the shop counted as it made this page; ``at`` is the shop's clock.
    """

    items: tuple[bytes, ...]
    number: int
    total: int
    pages: int
    at: datetime | None


Waiting = Callable[[Callable[[], Awaitable[Page]]], Awaitable[Page]]
"""How one page of a list is asked for, perhaps again and again."""


class Client:
    """One shop. Making it does nothing; :meth:`close` when done with it.

    Every method raises ConnectorError: :exc:`Unauthorised`, :class:`Refused`, :exc:`Retryable` (perhaps as
    :class:`Busy`) or :exc:`UnknownPayload`. After a :class:`Busy` that says how long, the next request waits that long.
    """

    def __init__(
        self,
        url: str,
        key: Secret,
        secret: Secret,
        *,
        keys_in_query: bool = False,
        timeout: timedelta = timedelta(seconds=30),
        tls: ssl.SSLContext | None = None,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``url`` is the shop's address as WordPress has it ("https://shop.ir"); ``timeout`` is that of one request,
        answer included. ``tls``: what certificates are trusted, if not those the system trusts."""
        self.url = url.rstrip("/")
        self._key = key
        self._secret = secret
        self._encrypted = urlsplit(self.url).scheme == "https"
        self._keys_in_query = keys_in_query
        self._timeout = timeout.total_seconds()
        self._tls: ssl.SSLContext | bool = tls or True
        self._max_bytes = max_bytes
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._not_before = 0.0

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- orders

    def orders(
        self,
        *,
        modified_after: datetime | None = None,
        modified_before: datetime | None = None,
        status: str = "any",
        include: Sequence[int] = (),
        orderby: str = "id",
        order: str = "asc",
        waits: Waiting | None = None,
    ) -> AsyncIterator[Page]:
        """The orders modified after a moment (aware), page by page.

        ``status`` "any" leaves out those in the trash: ask for "trash" as well. By ascending id, what changes while
        pages are read comes twice at worst; where the list gets shorter meanwhile, some pages come again.
        """
        query = {
            "status": status,
            "orderby": orderby,
            "order": order,
            "dates_are_gmt": "true",
            "modified_after": _gmt(modified_after),
            "modified_before": _gmt(modified_before),
            "include": ",".join(map(str, include)),
        }
        return self._pages("/orders", query, waits)

    async def order(self, number: int) -> Order:
        """One order by its id, wherever it is but deleted for good (:class:`Refused` with status 404)."""
        return decode((await self._ask("GET", f"/orders/{number}")).body, Order)

    async def refunds(self, order: int) -> tuple[Refund, ...]:
        """All refunds of an order, with their lines."""
        pages = self._pages(f"/orders/{order}/refunds", {"orderby": "id", "order": "asc"})
        return tuple([decode(item, Refund) async for page in pages for item in page.items])

    async def change_order(self, number: int, change: OrderChange) -> Order:
        """Change an order; answers it as it then is."""
        return decode((await self._ask("PUT", f"/orders/{number}", body=encode(change))).body, Order)

    # --- what is sold

    def products(
        self,
        *,
        modified_after: datetime | None = None,
        skus: Sequence[str] = (),
        include: Sequence[int] = (),
        waits: Waiting | None = None,
    ) -> AsyncIterator[Page]:
        """Products by id, whatever their status; of variable ones ask for :meth:`variations` as well."""
        query = {
            "orderby": "id",
            "order": "asc",
            "dates_are_gmt": "true",
            "modified_after": _gmt(modified_after),
            "sku": ",".join(skus),
            "include": ",".join(map(str, include)),
        }
        return self._pages("/products", query, waits)

    async def product(self, number: int) -> Product:
        """One product by its id."""
        return decode((await self._ask("GET", f"/products/{number}")).body, Product)

    def variations(self, product: int, *, waits: Waiting | None = None) -> AsyncIterator[Page]:
        """The variations of a variable product, by id."""
        return self._pages(f"/products/{product}/variations", {"orderby": "id", "order": "asc"}, waits)

    async def change_products(self, changes: Sequence[SoldChange]) -> tuple[BatchItem, ...]:
        """Change up to 100 products; answers what became of each, in the same order. Some may have failed."""
        return await self._batch("/products/batch", changes)

    async def change_variations(self, product: int, changes: Sequence[SoldChange]) -> tuple[BatchItem, ...]:
        """Change up to 100 variations of one product, likewise."""
        return await self._batch(f"/products/{product}/variations/batch", changes)

    async def _batch(self, path: str, changes: Sequence[SoldChange]) -> tuple[BatchItem, ...]:
        if not changes:
            return ()
        answer = await self._ask("POST", path, body=encode({"update": changes}))
        items = decode(answer.body, BatchAnswer).update
        if len(items) != len(changes):
            raise UnknownPayload(
                f"{self.url} answered {len(items)} of the {len(changes)} changes it was asked for.",
                fa=f"{self.url} به {len(items)} تغییر از {len(changes)} تغییر خواسته‌شده پاسخ داد.",
            )
        return items

    # --- the shop

    async def currency(self) -> str:
        """The code of the shop's currency, e.g. IRT."""
        return decode((await self._ask("GET", "/data/currencies/current")).body, Currency).code

    async def prices_include_tax(self) -> bool:
        """Whether the prices the shop is given are those with tax."""
        answer = await self._ask("GET", "/settings/tax/woocommerce_prices_include_tax")
        return decode(answer.body, Setting).value == "yes"

    async def server_time(self) -> datetime | None:
        """What the shop's clock says now, in whole seconds; None if the shop doesn't tell."""
        return (await self._ask("GET", "/data/currencies/current")).at

    async def try_writing(self) -> None:
        """Ask for a batch of no changes, of products and of orders: WooCommerce looks whether the key may, and does
        nothing. Raises :exc:`Unauthorised` if it may not."""
        for path in ("/products/batch", "/orders/batch"):
            await self._ask("POST", path, body=b"{}")

    # --- webhooks

    async def webhooks(self) -> tuple[Webhook, ...]:
        """All of the shop's, ours and others'."""
        pages = self._pages("/webhooks", {"status": "all", "orderby": "id", "order": "asc"})
        return tuple([decode(item, Webhook) async for page in pages for item in page.items])

    async def create_webhook(self, *, name: str, topic: str, delivery_url: str, secret: Secret) -> Webhook:
        """Create one, which is active and pinged at once. ``topic`` is e.g. ``order.updated``."""
        wanted = {"name": name, "topic": topic, "delivery_url": delivery_url}
        answer = await self._ask("POST", "/webhooks", body=encode({**wanted, "secret": secret.reveal()}))
        return decode(answer.body, Webhook)

    async def change_webhook(
        self, number: int, *, status: str = "", delivery_url: str = "", secret: Secret | None = None
    ) -> Webhook:
        """Change what is given. Status "active" enables it again; until a delivery is answered well, its next failure
        disables it once more. Another ``delivery_url`` is pinged."""
        wanted = {"status": status, "delivery_url": delivery_url, "secret": secret.reveal() if secret else ""}
        given = {name: value for name, value in wanted.items() if value}
        return decode((await self._ask("PUT", f"/webhooks/{number}", body=encode(given))).body, Webhook)

    # --- requests

    async def _pages(self, path: str, query: Mapping[str, str], waits: Waiting | None = None) -> AsyncIterator[Page]:
        number, last, total = 1, 1, 0
        while number <= last:
            ask = partial(self._page, path, query, number)
            page = await (waits(ask) if waits else ask())
            yield page
            # What left the list moved its successors up, onto pages that were read already.
            back = math.ceil((total - page.total) / PER_PAGE)
            number = max(number - back, 1) if back > 0 else number + 1
            last, total = page.pages, page.total

    async def _page(self, path: str, query: Mapping[str, str], number: int) -> Page:
        answer = await self._ask("GET", path, {**query, "page": str(number), "per_page": str(PER_PAGE)})
        items = tuple(bytes(item) for item in decode(answer.body, tuple[msgspec.Raw, ...]))
        pages, total = self._count(answer, "x-wp-totalpages"), self._count(answer, "x-wp-total")
        return Page(items, number, total, pages, answer.at)

    def _count(self, answer: Answer, header: str) -> int:
        text = answer.headers.get(header, "")
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise UnknownPayload(
                f"{self.url} gave a list without the header {header}: a proxy in front of it takes it away.",
                fa=f"{self.url} فهرستی بی سرآیند {header} داد: پروکسی‌ای آن را برمی‌دارد.",
            )
        return int(text)

    async def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One request; its answer if that is well, else the error it stands for."""
        await self._left_alone()
        given = {name: value for name, value in (query or {}).items() if value}
        address = f"{self.url}{_API}{path}"
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body is not None else {})
        if not self._encrypted:
            given |= self._signature(method, address, given)
        elif self._keys_in_query:
            given |= {"consumer_key": self._key.reveal(), "consumer_secret": self._secret.reveal()}
        else:
            headers["Authorization"] = aiohttp.encode_basic_auth(self._key.reveal(), self._secret.reveal())
        url = f"{address}?{_query(given)}" if given else address
        try:
            async with self._opened().request(
                method, URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = Answer(
                    await self._read(response), {name.lower(): value for name, value in response.headers.items()}
                )
        except TimeoutError:
            raise Retryable(
                f"{self.url} didn't answer within {self._timeout:g} seconds.",
                fa=f"{self.url} در {self._timeout:g} ثانیه پاسخ نداد.",
            ) from None
        except _UNREACHABLE as error:
            raise self._unreachable(error) from None
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._error(response.status, answer)
        if _is_page(answer.body):
            raise UnknownPayload(
                f"{self.url} answered with a page of HTML where its REST API should: is the address right?",
                fa=f"{self.url} به‌جای پاسخ API صفحهٔ HTML داد: آیا نشانی درست است؟",
            )
        return answer

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connections = aiohttp.TCPConnector(ssl=self._tls, limit=4, force_close=not self._encrypted)
            self._session = aiohttp.ClientSession(
                connector=connections,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                headers={"User-Agent": "Peyvand"},
                middlewares=() if self._encrypted else (_once,),
            )
        return self._session

    async def _left_alone(self) -> None:
        pause = self._not_before - asyncio.get_running_loop().time()
        if pause > 0:
            await asyncio.sleep(pause)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in response.content.iter_chunked(256 * 1024):
            body += part
            if len(body) > self._max_bytes:
                response.close()
                raise UnknownPayload(
                    f"{self.url} answered more than {self._max_bytes:,} bytes at once.",
                    fa=f"{self.url} یکجا بیش از {self._max_bytes:,} بایت پاسخ داد.",
                )
        return bytes(body)

    def _signature(self, method: str, address: str, query: Mapping[str, str]) -> dict[str, str]:
        """The parameters that sign a request."""
        signed = {
            "oauth_consumer_key": self._key.reveal(),
            "oauth_nonce": secrets.token_hex(16),
            "oauth_signature_method": "HMAC-SHA256",
            "oauth_timestamp": str(int(self._clock().timestamp())),
        }
        signature = oauth_signature(method, address, {**query, **signed}, self._secret)
        return {**signed, "oauth_signature": signature}

    # --- errors

    def _unreachable(self, error: Exception) -> Retryable:
        """Why the shop wasn't reached: nothing of it is quoted but the system's own words, which hold no address."""
        match error:
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError() | ssl.SSLError():
                en, fa = "its certificate isn't accepted", "گواهی امنیتی آن پذیرفته نشد"
            case aiohttp.ClientConnectorDNSError():
                en, fa = "its name can't be found", "نام آن پیدا نشد"
            case aiohttp.ClientConnectorError():
                reason = error.os_error.strerror or type(error.os_error).__name__
                en, fa = f"the connection failed ({reason})", f"اتصال برقرار نشد ({reason})"
            case _:
                en, fa = f"the connection broke ({type(error).__name__})", f"اتصال قطع شد ({type(error).__name__})"
        return Retryable(f"{self.url} can't be reached: {en}.", fa=f"{self.url} در دسترس نیست: {fa}.")

    def _error(self, status: int, answer: Answer) -> ConnectorError:
        """The error an answer stands for. All of the shop's are made ours here."""
        told = _told(answer.body)
        code = self._masked(told.code) if told else ""
        words = (
            f"{self._masked(told.message).rstrip('.')} ({status} {code})"
            if told
            else f"HTTP {status}, {_look(answer.body)}"
        )
        match status:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                return Unauthorised(
                    f"{self.url} doesn't let us in: {words}. Look at the key, its secret and its rights"
                    f"{'' if told else ', and at firewalls in front of the shop'}.",
                    fa=f"{self.url} راه نمی‌دهد: {words}. کلید، رمز کلید و دسترسی آن را بررسی کنید.",
                )
            case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.TOO_EARLY:
                return self._busy(
                    f"{self.url} asks for a pause: {words}.", f"{self.url} درنگ می‌خواهد: {words}.", answer
                )
            case HTTPStatus.INTERNAL_SERVER_ERROR:
                return self._busy(f"{self.url} fails: {words}.", f"{self.url} خطا دارد: {words}.", answer, Broken)
            case _ if status > HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED:
                return self._busy(f"{self.url} fails: {words}.", f"{self.url} خطا دارد: {words}.", answer)
            case _ if status < HTTPStatus.BAD_REQUEST:
                place = _place(answer.headers.get("location", ""))
                return Refused(
                    f"{self.url} sends us elsewhere, to {place}: write the address the shop itself goes by.",
                    fa=f"{self.url} به {place} می‌فرستد: همان نشانی‌ای را بنویسید که خود فروشگاه دارد.",
                    status=status,
                    code="",
                )
            case _:
                return Refused(
                    f"{self.url} refuses: {words}.", fa=f"{self.url} نپذیرفت: {words}.", status=status, code=code
                )

    def _busy(self, en: str, fa: str, answer: Answer, kind: type[Busy] = Busy) -> Busy:
        seconds = self._pause(answer.headers.get("retry-after", ""))
        if seconds is not None:
            self._not_before = asyncio.get_running_loop().time() + seconds
        return kind(en, fa=fa, seconds=seconds)

    def _pause(self, retry_after: str) -> float | None:
        """Seconds of a Retry-After, which is a number or a date; None if it is neither."""
        if retry_after.isascii() and retry_after.isdigit():
            return min(float(retry_after[:6]), LONGEST_PAUSE)
        until = _http_date(retry_after)
        return min(max((until - self._clock()).total_seconds(), 0.0), LONGEST_PAUSE) if until else None

    def _masked(self, words: str) -> str:
        for each in (self._key, self._secret):
            words = words.replace(each.reveal(), "***") if each.reveal() else words
        return " ".join(words.split())[:_MAX_WORDS]


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp sends what can be repeated a second time, by itself, when the connection breaks. A signature holds but
    once, and a shop that has seen it would call the second one forged."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(type(error).__name__) from error


def oauth_signature(method: str, address: str, parameters: Mapping[str, str], secret: Secret) -> str:
    """The OAuth 1.0a signature of a request without a token (RFC 5849 §3.4), by HMAC-SHA256.

    ``address`` has no query; ``parameters`` are all of the query's but the signature. The body isn't signed.
    """
    pairs = sorted((_escaped(name), _escaped(value)) for name, value in parameters.items())
    flat = "&".join(f"{name}={value}" for name, value in pairs)
    base = "&".join([method.upper(), _escaped(address), _escaped(flat)])
    digest = hmac.new(f"{_escaped(secret.reveal())}&".encode(), base.encode(), hashlib.sha256)
    return base64.b64encode(digest.digest()).decode()


def _escaped(text: str) -> str:
    return quote(text, safe="-._~")


def _query(parameters: Mapping[str, str]) -> str:
    return urlencode(parameters, safe="-._~", quote_via=quote)


def _gmt(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") if moment else ""


def _http_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


def _told(body: bytes) -> ApiError | None:
    try:
        return decode(body, ApiError)
    except UnknownPayload:
        return None


def _is_page(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


def _look(body: bytes) -> str:
    """What a body looks like; nothing of it is shown, for pages repeat the address that was asked for."""
    return "with a page of HTML" if _is_page(body) else "unreadable" if body else "without a reason"


def _place(location: str) -> str:
    """An address without its query, login and fragment."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "?"
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else "?"
