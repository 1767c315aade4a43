"""A shop's orders as documents. Pure: what is known of products and customers is given.

Amounts become whole rials, each half-up from the shop's own currency. A line's price is its subtotal for one unit,
rounded up, and its discount what makes the line's net that of the shop to the rial, coupons included. Shipping and fees
are lines of services; a fee below zero is a discount on the goods. The tax the shop reckoned goes along to be compared.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from connectors.base import Rejected
from connectors.woocommerce.payloads import FeeLine, LineItem, Order, Refund, amount, utc
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
_LEAST_DIGITS: Final = 7
"""Of a number without its area's."""
_LEAST_DIFFERENT: Final = 3
_ID_DIGITS: Final = 20
_NUL: Final = "\0"
_REFUNDED: Final = "_refunded_item_id"
"""The meta-datum of a refund's line that names the order's."""
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
    """What is known when an order is mapped: the products of its SKUs, its customer's account, and the products its
    lines had by their ids when it was last taken in."""

    products: Mapping[str, str]
    account: str
    lines: Mapping[int, str] = field(default_factory=dict)


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
    lines = [_goods(line, known, spec) for line in order.line_items if line.quantity]
    for shipping in order.shipping_lines:
        _service(lines, shipping.total, spec.shipping_product, "shipping", "هزینهٔ ارسال", spec)
    lines = _discounted(lines, _fees(lines, order.fee_lines, spec))
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


def products(order: Order, known: Known) -> dict[int, str]:
    """The product of each of an order's lines, by the line's id."""
    found = {line.id: _product(line, known) for line in order.line_items}
    return {number: product for number, product in found.items() if product is not None}


def content(request: DocumentRequest) -> str:
    """The fingerprint of what a document says, whichever revision says it."""
    return fingerprint(msgspec.structs.replace(request, revision=1))


def refund_request(refund: Refund, sale: str, payment: Payment, known: Known, spec: Spec) -> DocumentRequest:
    """A refund of goods as the return of ``sale``, its order's document by its own id. A return that doesn't come to
    what the shop gave back asks for a person. Raises :exc:`Unmappable`."""
    lines = [_goods(line, known, spec, sign=-1) for line in refund.line_items if line.quantity]
    for shipping in refund.shipping_lines:
        _service(lines, shipping.total, spec.shipping_product, "shipping", "هزینهٔ ارسال", spec, sign=-1)
    less = _fees(lines, refund.fee_lines, spec, sign=-1)
    lines = _discounted(lines, less)
    taxes = [line.total_tax for line in refund.line_items if line.quantity]
    taxes += [line.total_tax for line in refund.shipping_lines] + [line.total_tax for line in refund.fee_lines]
    tax = _whole(-sum(map(amount, taxes), Decimal(0)) * spec.currency.rials)
    return DocumentRequest(
        source_id=return_id(sale, refund.id),
        kind=Kind.SALES_RETURN,
        date=_day(refund.date_created_gmt),
        account=known.account,
        lines=tuple(lines),
        payment=payment,
        warehouse=spec.warehouse,
        original=sale,
        tax=tax,
        note=_words(refund.reason),
        hold=_difference(refund, lines, tax, spec),
    )


def _difference(refund: Refund, lines: Sequence[LineRequest], tax: int, spec: Spec) -> str:
    """What a person has to be told where a return doesn't come to what was given back: some of it was for no goods."""
    theirs, ours = rials(refund.amount, spec), sum(map(_net, lines)) + tax
    if abs(theirs - ours) <= spec.tolerance:
        return ""
    return (
        f"فروشگاه {theirs:,} ریال پس داده و ردیف‌های برگشت {ours:,} ریال می‌شوند / "
        f"the shop gave {theirs:,} rials back, and what it took back comes to {ours:,}"
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
    product = _product(line, known)
    if product is None:
        raise _stranger(line)
    quantity = sign * line.quantity
    if quantity < 0 or quantity != quantity.quantize(_PLACES):
        raise Unmappable(
            f"«{line.name}»: a quantity of {line.quantity} can't be sold.",
            f"«{line.name}»: مقدار {line.quantity} پذیرفتنی نیست.",
        )
    net = _whole(sign * amount(line.total) * spec.currency.rials)
    base = max(_whole(sign * amount(line.subtotal) * spec.currency.rials), net)
    price = int((base / quantity).quantize(Decimal(1), ROUND_CEILING))
    return LineRequest(product, quantity, price, discount=_whole(price * quantity) - net)


def _product(line: LineItem, known: Known) -> str | None:
    """What a line is of. A refund's line is of what its order's line was sold as; a line whose product is no more in
    the shop has no SKU any more, and is what it was."""
    refunded = next((meta.text for meta in line.meta_data if meta.key == _REFUNDED), None)
    if refunded is not None and (sold := known.lines.get(_id(refunded))):
        return sold
    sku = _code(line.sku)
    return known.products.get(sku) if sku else known.lines.get(line.id)


def _id(written: str) -> int:
    """An id as a plugin wrote it; 0 if it is none."""
    return int(written) if written.isdecimal() and len(written) < _ID_DIGITS else 0


def _stranger(line: LineItem) -> Unmappable:
    if line.sku is None:
        return Unmappable(
            f"«{line.name}» is no product of the shop any more, so its code isn't known: enter it in the books by "
            "hand, and dismiss this.",
            f"«{line.name}» دیگر کالای فروشگاه نیست و کدش معلوم نیست؛ آن را در دفاتر دستی ثبت کنید و این مورد را کنار "
            "بگذارید.",
        )
    sku = _code(line.sku)
    if not sku:
        return Unmappable(
            f"«{line.name}» has no SKU: give the product one in the shop, equal to its code in the books.",
            f"«{line.name}» شناسهٔ کالا (SKU) ندارد؛ در فروشگاه کد کالای دفاتر را برایش بنویسید.",
        )
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


def _fees(lines: list[LineRequest], fees: Sequence[FeeLine], spec: Spec, *, sign: int = 1) -> int:
    """Add the fees to the lines; what those below zero take off the whole, in rials."""
    less = 0
    for fee in fees:
        less += max(_whole(-sign * amount(fee.total) * spec.currency.rials), 0)
        _service(lines, fee.total, spec.fee_product, "a fee", "کارمزد", spec, sign=sign)
    return less


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
    """The customer's phone number as it is written, or "": what people type who don't want to give theirs ("0", ten
    noughts) would make strangers one customer."""
    written = text.latin_digits(_words(order.billing.phone))
    digits = _digits(written)
    return written if len(digits) >= _LEAST_DIGITS and len(set(digits)) >= _LEAST_DIFFERENT else ""


def _digits(phone: str) -> str:
    """What counts of a phone number."""
    return "".join(each for each in phone if each.isdecimal())[-_PHONE_DIGITS:]


def email_of(order: Order) -> str:
    """The customer's e-mail in lower case, or ""."""
    return _words(order.billing.email).lower()


def customer_of(order: Order) -> str:
    """What an order's account is found by."""
    return f"{phone_of(order)} {email_of(order)}"


def new_account(order: Order, spec: Spec) -> Account | None:
    """The account of a customer nobody knows, by the phone number; None without one, or if none is to be made."""
    digits = _digits(phone_of(order))
    if not spec.new_accounts or len(digits) < _PHONE_DIGITS:
        return None
    billing = order.billing
    person = _words(f"{billing.first_name} {billing.last_name}")
    return Account(
        code=text.code(f"{spec.new_accounts}{digits}"),
        name=_words(billing.company) or person or phone_of(order),
        phones=(phone_of(order),),
        city=_words(billing.city) or None,
        emails=(email_of(order),) if email_of(order) else (),
    )
