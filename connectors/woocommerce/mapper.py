"""A shop's orders as documents. Pure: what is known of products and customers is given.

Amounts become whole rials, each half-up from the shop's own currency. A line's price is its subtotal for one unit,
rounded up, and its discount what makes the line's net that of the shop to the rial, coupons included. Shipping and fees
are lines of services; a fee below zero is a discount on the goods. The tax the shop reckoned goes along to be compared.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from connectors.base import Rejected
from connectors.woocommerce.payloads import LineItem, Order, Refund, amount, utc
from connectors.woocommerce.spec import Spec
from schemas import ids, text
from schemas.commands import Cancel, fingerprint
from schemas.documents import DocumentRequest, Kind, LineRequest, Payment
from schemas.master import Account

GONE: Final = frozenset({"cancelled", "failed", "trash", "deleted"})
"""Statuses in which an order came to nothing; "deleted" is ours, for what the shop has no more."""

_TEHRAN: Final = ZoneInfo("Asia/Tehran")
_PLACES: Final = Decimal("0.00001")
_PHONE_DIGITS: Final = 10
_NUL: Final = "\0"
MAX_NOTE: Final = 500
MAX_AMOUNT: Final = 10**18 - 1
"""Rials; the hub takes no more."""


class Unmappable(Rejected):
    """An order that needs a person; ``sku`` is the one nobody knows, if that is it."""

    def __init__(self, en: str, fa: str, *, sku: str | None = None) -> None:
        super().__init__(en, fa=fa)
        self.sku = sku


@dataclass(frozen=True, slots=True)
class Known:
    """What is known when an order is mapped: the products of its SKUs, and its customer's account."""

    products: Mapping[str, str]
    account: str


def skus(order: Order | Refund) -> set[str]:
    """The SKUs an order or refund speaks of, as they are compared."""
    return {sku for line in order.line_items if (sku := _code(line.sku))}


def rials(money: str, spec: Spec) -> int:
    """An amount in rials, half-up."""
    return _whole(amount(money) * spec.currency.rials)


def price_text(price: int, spec: Spec) -> str:
    """A price in rials as the shop writes it."""
    return f"{(Decimal(price) / spec.currency.rials).normalize():f}"


def _whole(value: Decimal) -> int:
    if abs(value) > MAX_AMOUNT:
        raise Unmappable(
            f"{value:,} rials is more than any document may come to.", f"{value:,} ریال بیش از سقف هر سند است."
        )
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


def source_id(order: int, generation: int) -> str:
    """A document's id at the source: the order's, and which of its lives it is after it was restored."""
    return str(order) if generation == 1 else f"{order}/{generation}"


def return_id(document: str, refund: int) -> str:
    """A return's id at the source."""
    return f"{document}/R{refund}"


def order_of(own_id: str) -> int | None:
    """The order a document is of; None for a return."""
    head, _, tail = own_id.partition("/")
    return int(head) if head.isdecimal() and (not tail or tail.isdecimal()) else None


def request(order: Order, known: Known, spec: Spec, *, generation: int, revision: int) -> DocumentRequest:
    """An order as a document. Raises :exc:`Unmappable` with what a person has to mend."""
    if order.currency != spec.currency:
        raise Unmappable(
            f"The order is in {order.currency or 'no currency'}, and the shop is configured for {spec.currency}.",
            f"سفارش به {order.currency or 'واحد نامعلوم'} است و فروشگاه با {spec.currency} پیکربندی شده است.",
        )
    lines = [_goods(line, known, spec) for line in order.line_items]
    less = 0
    for shipping in order.shipping_lines:
        _service(lines, shipping.total, spec.shipping_product, "shipping", "هزینهٔ ارسال", spec)
    for fee in order.fee_lines:
        if amount(fee.total) < 0:
            less -= rials(fee.total, spec)
        else:
            _service(lines, fee.total, spec.fee_product, "a fee", "کارمزد", spec)
    lines = _discounted(lines, less)
    if not lines:
        raise Unmappable("The order has no lines.", "سفارش ردیفی ندارد.")
    _compare(order, lines, spec)
    return DocumentRequest(
        source_id=source_id(order.id, generation),
        kind=spec.kind,
        date=_day(order.date_created_gmt),
        account=known.account,
        lines=tuple(lines),
        revision=revision,
        payment=Payment.CREDIT if order.payment_method in spec.credit_methods else Payment.CASH,
        warehouse=spec.warehouse,
        tax=rials(order.total_tax, spec),
        note=_note(order),
    )


def content(request: DocumentRequest) -> str:
    """The fingerprint of what a document says, whichever revision says it."""
    return fingerprint(msgspec.structs.replace(request, revision=1))


def refund_request(refund: Refund, document: DocumentRequest, known: Mapping[str, str], spec: Spec) -> DocumentRequest:
    """A refund of goods as the return of its order's document. Raises :exc:`Unmappable`."""
    lines = [_goods(line, Known(known, document.account or ""), spec, sign=-1) for line in refund.line_items]
    lines = [line for line in lines if line.quantity > 0]
    for shipping in refund.shipping_lines:
        _service(lines, shipping.total, spec.shipping_product, "shipping", "هزینهٔ ارسال", spec, sign=-1)
    return DocumentRequest(
        source_id=return_id(document.source_id, refund.id),
        kind=Kind.SALES_RETURN,
        date=_day(refund.date_created_gmt),
        account=document.account,
        lines=tuple(lines),
        payment=document.payment,
        warehouse=spec.warehouse,
        original=document.source_id,
        note=_words(refund.reason),
    )


def cancel_id(document: UUID, note: str) -> UUID:
    """The id of a cancellation."""
    return ids.command_id(document, "cancel", note)


def cancel(own_id: str, note: str, *, source: str, actor: str, now: dt.datetime) -> Cancel:
    """The end of a document that came to nothing in the shop; the same one, however often it is told."""
    document = ids.document_id(source, own_id)
    return Cancel(
        command_id=cancel_id(document, note),
        document_id=document,
        source=source,
        source_id=own_id,
        revision=1,
        occurred_at=now,
        recorded_at=now,
        actor=actor,
        note=note,
    )


def _goods(line: LineItem, known: Known, spec: Spec, *, sign: int = 1) -> LineRequest:
    sku = _code(line.sku)
    product = known.products.get(sku)
    if product is None:
        raise _nameless(line) if not sku else _stranger(line, sku)
    quantity = sign * line.quantity
    if quantity < 0 or quantity != quantity.quantize(_PLACES):
        raise Unmappable(
            f"«{line.name}»: a quantity of {line.quantity} can't be sold.",
            f"«{line.name}»: مقدار {line.quantity} پذیرفتنی نیست.",
        )
    if not quantity:
        return LineRequest(product, quantity, 0)
    net = _whole(sign * amount(line.total) * spec.currency.rials)
    base = max(_whole(sign * amount(line.subtotal) * spec.currency.rials), net)
    price = int((base / quantity).quantize(Decimal(1), ROUND_CEILING))
    return LineRequest(product, quantity, price, discount=_whole(price * quantity) - net)


def _nameless(line: LineItem) -> Unmappable:
    return Unmappable(
        f"«{line.name}» has no SKU: give the product one in the shop, equal to its code in the books.",
        f"«{line.name}» شناسهٔ کالا (SKU) ندارد؛ در فروشگاه کد کالای دفاتر را برایش بنویسید.",
    )


def _stranger(line: LineItem, sku: str) -> Unmappable:
    return Unmappable(
        f"«{line.name}»: no product has the code {sku}. Map the SKU to a code, or correct it in the shop.",
        f"«{line.name}»: کالایی با کد {sku} نیست؛ SKU را به کد کالا نگاشت یا در فروشگاه اصلاح کنید.",
        sku=sku,
    )


def _service(
    lines: list[LineRequest], money: str, product: str | None, en: str, fa: str, spec: Spec, *, sign: int = 1
) -> None:
    price = _whole(sign * amount(money) * spec.currency.rials)
    if price <= 0:
        return
    if product is None:
        raise Unmappable(
            f"The order has {en}, and the configuration names no service it is billed as.",
            f"سفارش {fa} دارد و در پیکربندی خدمتی برای آن نام برده نشده است.",
        )
    lines.append(LineRequest(product, Decimal(1), price))


def _discounted(lines: Sequence[LineRequest], less: int) -> list[LineRequest]:
    """The lines with a discount on the whole, taken off the first that can bear it."""
    found = []
    for line in lines:
        net = _net(line)
        part = min(less, net)
        less -= part
        found.append(LineRequest(line.product, line.quantity, line.unit_price, discount=line.discount + part))
    if less:
        raise Unmappable("The order's discounts exceed its goods.", "تخفیف‌های سفارش از بهای کالاها بیشتر است.")
    return found


def _net(line: LineRequest) -> int:
    return _whole((line.unit_price or 0) * line.quantity) - line.discount


def _compare(order: Order, lines: Sequence[LineRequest], spec: Spec) -> None:
    theirs = rials(order.total, spec) - rials(order.total_tax, spec)
    ours = sum(map(_net, lines))
    if abs(theirs - ours) > spec.tolerance:
        raise Unmappable(
            f"The shop's total without tax is {theirs:,} rials, and its lines come to {ours:,}.",
            f"جمع بدون مالیات در فروشگاه {theirs:,} ریال است و ردیف‌ها {ours:,} ریال می‌شوند.",
        )


def _day(moment: dt.datetime | None) -> dt.date:
    if moment is None:
        raise Unmappable("The order has no date.", "سفارش تاریخ ندارد.")
    return day(utc(moment))


def day(moment: dt.datetime) -> dt.date:
    """The day it is in Tehran at an (aware) moment."""
    return moment.astimezone(_TEHRAN).date()


def beginning(of: dt.date) -> dt.datetime:
    """The first moment of a day in Tehran, in UTC."""
    return dt.datetime.combine(of, dt.time(), _TEHRAN).astimezone(dt.UTC)


def _note(order: Order) -> str:
    words = (f"ووکامرس {order.number}", order.customer_note)
    return _words(" - ".join(word for word in words if word))


def _code(sku: str | None) -> str:
    """A SKU as codes are compared."""
    return text.code((sku or "").replace(_NUL, ""))


def _words(written: str | None) -> str:
    """What somebody typed, in one spelling, at most :data:`MAX_NOTE` long and without NULs, which no topic takes."""
    return text.normalise((written or "").replace(_NUL, " "))[:MAX_NOTE]


# --- customers


def phone_of(order: Order) -> str:
    """The customer's phone number as it is written, or ""."""
    return text.latin_digits(_words(order.billing.phone))


def email_of(order: Order) -> str:
    """The customer's e-mail in lower case, or ""."""
    return _words(order.billing.email).lower()


def new_account(order: Order, spec: Spec) -> Account | None:
    """The account of a customer nobody knows, by the phone number; None without one, or if none is to be made."""
    digits = "".join(each for each in phone_of(order) if each.isdecimal())
    if not spec.new_accounts or len(digits) < _PHONE_DIGITS:
        return None
    billing = order.billing
    person = _words(f"{billing.first_name} {billing.last_name}")
    return Account(
        code=text.code(f"{spec.new_accounts}{digits[-_PHONE_DIGITS:]}"),
        name=_words(billing.company) or person or digits,
        phones=(phone_of(order),),
        city=_words(billing.city) or None,
        emails=(email_of(order),) if email_of(order) else (),
    )
