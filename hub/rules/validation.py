"""Whether a request makes sense by itself, before anything is looked up. The API and the deciding agent both ask."""

from collections.abc import Iterator
from decimal import Decimal

from hub.rules.kinds import KINDS
from hub.rules.settings import MAX_AMOUNT, MAX_CODE, Limits
from schemas.documents import CURRENCY, DocumentRequest, Kind, LineRequest
from schemas.reasons import Reason, reason
from schemas.text import is_code

SMALLEST = Decimal("0.00001")
"""The step of a quantity: five places, as on the vendor's screens (golden figure 3)."""

MAX_NOTE = 2_000
MAX_REVISION = 2**31 - 1


def problems(request: DocumentRequest, limits: Limits) -> tuple[Reason, ...]:
    """Everything wrong with a request, each with the field's path; empty if it makes sense."""
    return (*_header(request), *_lines(request, limits))


def line_numbers(lines: tuple[LineRequest, ...]) -> list[int]:
    """Each line's number: its own, or its position from 1."""
    return [index if line.number is None else line.number for index, line in enumerate(lines, 1)]


def _code(value: str, field: str) -> Iterator[Reason]:
    if not is_code(value, MAX_CODE):
        yield reason("invalid_code", at=field, field=field, limit=MAX_CODE)


def _header(request: DocumentRequest) -> Iterator[Reason]:
    rule = KINDS[request.kind]
    yield from _code(request.source_id, "source_id")
    if not 1 <= request.revision <= MAX_REVISION:
        yield reason("revision", at="revision")
    if request.currency != CURRENCY:
        yield reason("currency", at="currency", value=request.currency[:20])
    if len(request.note) > MAX_NOTE or "\x00" in request.note:
        yield reason("invalid_code", at="note", field="note", limit=MAX_NOTE)
    if rule.account and request.account is None:
        yield reason("field_missing", at="account", field="account")
    for field in ("account", "warehouse", "to_warehouse", "original"):
        value = getattr(request, field)
        if value is not None:
            yield from _code(value, field)
    if request.tax is not None:
        yield from _amount(request.tax, "tax")
    yield from _only_for(request)


def _only_for(request: DocumentRequest) -> Iterator[Reason]:
    kind = request.kind
    for field, owner in (
        ("to_warehouse", Kind.TRANSFER),
        ("original", Kind.SALES_RETURN),
        ("original_date", Kind.SALES_RETURN),
        ("amount", Kind.RECEIPT),
        ("method", Kind.RECEIPT),
    ):
        if kind is not owner and getattr(request, field) is not None:
            yield reason("field_not_wanted", at=field, field=field)
    match kind:
        case Kind.TRANSFER:
            if request.to_warehouse is None:
                yield reason("field_missing", at="to_warehouse", field="to_warehouse")
            elif any((line.warehouse or request.warehouse) == request.to_warehouse for line in request.lines):
                yield reason("same_warehouse", at="to_warehouse")
        case Kind.SALES_RETURN:
            if request.original is None and request.original_date is None:
                yield reason("field_missing", at="original", field="original")
        case Kind.RECEIPT:
            if request.amount is None or request.amount == 0:
                yield reason("amount_missing", at="amount")
            else:
                yield from _amount(request.amount, "amount")
            if request.method is None:
                yield reason("field_missing", at="method", field="method")


def _amount(value: int, field: str, line: int | None = None) -> Iterator[Reason]:
    if value < 0:
        yield reason("amount_negative", at=field, line=line, value=value)
    elif value > MAX_AMOUNT:
        yield reason("amount_too_large", at=field, line=line, limit=MAX_AMOUNT)


def _lines(request: DocumentRequest, limits: Limits) -> Iterator[Reason]:
    lines = request.lines
    if not KINDS[request.kind].lines:
        if lines:
            yield reason("field_not_wanted", at="lines", field="lines")
        return
    if not lines:
        yield reason("lines_missing", at="lines")
    if len(lines) > limits.max_lines:
        yield reason("too_many_lines", at="lines", count=len(lines), limit=limits.max_lines)
        return
    seen: set[int] = set()
    for index, (number, line) in enumerate(zip(line_numbers(lines), lines, strict=True)):
        if not 1 <= number <= MAX_REVISION:
            yield reason("line_number", at=f"lines[{index}].number", line=None)
        elif number in seen:
            yield reason("duplicate_line", at=f"lines[{index}].number", line=number, number=number)
        seen.add(number)
        yield from _line(line, number, f"lines[{index}]", limits)


def _line(line: LineRequest, number: int, path: str, limits: Limits) -> Iterator[Reason]:
    quantity = line.quantity
    if not quantity.is_finite() or quantity <= 0:
        yield reason("quantity_not_positive", at=f"{path}.quantity", line=number, value=_shown(quantity))
    elif quantity > limits.max_quantity:
        yield reason(
            "quantity_absurd",
            at=f"{path}.quantity",
            line=number,
            value=_shown(quantity),
            limit=f"{limits.max_quantity:,}",
        )
    elif quantity != quantity.quantize(SMALLEST):
        yield reason("quantity_decimals", at=f"{path}.quantity", line=number, value=_shown(quantity))
    for field in ("product", "warehouse"):
        value = getattr(line, field)
        if value is not None:
            yield from _code(value, f"{path}.{field}")
    if line.attribute:
        yield from _code(line.attribute, f"{path}.attribute")
    for field in ("unit_price", "discount", "vat", "duty"):
        value = getattr(line, field)
        if value:
            yield from _amount(value, f"{path}.{field}", number)


def _shown(quantity: object) -> str:
    text = str(quantity)
    return text if len(text) <= 40 else f"{text[:40]}..."
