"""Whether a request makes sense by itself, before anything is looked up. The API and the deciding agent both ask."""

from decimal import Decimal

from hub.rules.kinds import KINDS
from hub.rules.settings import MAX_AMOUNT, Limits
from schemas.documents import CURRENCY, DocumentRequest, Kind, LineRequest
from schemas.reasons import Reason, reason
from schemas.text import MAX_CODE, is_code

SMALLEST = Decimal("0.00001")
"""The step of a quantity: five places, as on the vendor's screens (golden figure 3)."""

MAX_NOTE = 2_000
MAX_REVISION = 2**31 - 1


def problems(request: DocumentRequest, limits: Limits) -> tuple[Reason, ...]:
    """Everything wrong with a request, each with the field's path; empty if it makes sense."""
    found: list[Reason] = []
    _check_header(request, found)
    _check_lines(request, limits, found)
    return tuple(found)


def line_number(index: int, line: LineRequest) -> int:
    """A line's number: its own, or its position from 1. ``index`` counts from 0."""
    return index + 1 if line.number is None else line.number


def line_numbers(lines: tuple[LineRequest, ...]) -> list[int]:
    """Each line's number: its own, or its position from 1."""
    return [line_number(index, line) for index, line in enumerate(lines)]


def _check_header(request: DocumentRequest, found: list[Reason]) -> None:
    _check_code(request.source_id, "source_id", found)
    if not 1 <= request.revision <= MAX_REVISION:
        found.append(reason("revision", at="revision"))
    if request.currency != CURRENCY:
        found.append(reason("currency", at="currency", value=request.currency[:20]))
    for field in ("note", "hold"):
        written = getattr(request, field)
        if len(written) > MAX_NOTE or "\x00" in written:
            found.append(reason("invalid_code", at=field, field=field, limit=MAX_NOTE))
    if request.account is None:
        if KINDS[request.kind].account:
            found.append(reason("field_missing", at="account", field="account"))
    else:
        _check_code(request.account, "account", found)
    if request.warehouse is not None:
        _check_code(request.warehouse, "warehouse", found)
    if request.to_warehouse is not None:
        _check_code(request.to_warehouse, "to_warehouse", found)
    if request.original is not None:
        _check_code(request.original, "original", found)
    if request.tax is not None:
        _check_amount(request.tax, "tax", found)
    _check_own_fields(request, found)


_OWNERS = (
    ("to_warehouse", {Kind.TRANSFER}),
    ("original", {Kind.SALES_RETURN, Kind.SALES_INVOICE}),
    ("original_date", {Kind.SALES_RETURN}),
    ("amount", {Kind.RECEIPT}),
    ("method", {Kind.RECEIPT}),
)
"""Fields only some kinds have."""


def _check_own_fields(request: DocumentRequest, found: list[Reason]) -> None:
    for field, owners in _OWNERS:
        if getattr(request, field) is not None and request.kind not in owners:
            found.append(reason("field_not_wanted", at=field, field=field))
    check = _OWN_CHECKS.get(request.kind)
    if check is not None:
        check(request, found)


def _check_transfer(request: DocumentRequest, found: list[Reason]) -> None:
    if request.to_warehouse is None:
        found.append(reason("field_missing", at="to_warehouse", field="to_warehouse"))
    elif any((line.warehouse or request.warehouse) == request.to_warehouse for line in request.lines):
        found.append(reason("same_warehouse", at="to_warehouse"))


def _check_return(request: DocumentRequest, found: list[Reason]) -> None:
    if request.original is None and request.original_date is None:
        found.append(reason("field_missing", at="original", field="original"))


def _check_receipt(request: DocumentRequest, found: list[Reason]) -> None:
    if not request.amount:
        found.append(reason("amount_missing", at="amount"))
    else:
        _check_amount(request.amount, "amount", found)
    if request.method is None:
        found.append(reason("field_missing", at="method", field="method"))


_OWN_CHECKS = {Kind.TRANSFER: _check_transfer, Kind.SALES_RETURN: _check_return, Kind.RECEIPT: _check_receipt}


def _check_lines(request: DocumentRequest, limits: Limits, found: list[Reason]) -> None:
    lines = request.lines
    if not KINDS[request.kind].lines:
        if lines:
            found.append(reason("field_not_wanted", at="lines", field="lines"))
        return
    if not lines:
        found.append(reason("lines_missing", at="lines"))
    if len(lines) > limits.max_lines:
        found.append(reason("too_many_lines", at="lines", count=len(lines), limit=limits.max_lines))
        return
    seen: set[int] = set()
    for index, line in enumerate(lines):
        number = line_number(index, line)
        if number in seen:
            found.append(reason("duplicate_line", at=f"lines[{index}].number", line=number, number=number))
        elif not 1 <= number <= MAX_REVISION:
            found.append(reason("line_number", at=f"lines[{index}].number"))
        seen.add(number)
        _check_line(line, number, index, limits, found)


def _check_line(line: LineRequest, number: int, index: int, limits: Limits, found: list[Reason]) -> None:
    quantity = line.quantity
    if not quantity.is_finite() or quantity <= 0:
        found.append(_bad_quantity("quantity_not_positive", index, number, quantity))
    elif quantity > limits.max_quantity:
        most = f"{limits.max_quantity:,}"
        found.append(_bad_quantity("quantity_absurd", index, number, quantity, limit=most))
    elif quantity != quantity.quantize(SMALLEST):
        found.append(_bad_quantity("quantity_decimals", index, number, quantity))
    if not is_code(line.product):
        found.append(_bad_code("product", index, number))
    if line.warehouse is not None and not is_code(line.warehouse):
        found.append(_bad_code("warehouse", index, number))
    if line.attribute and not is_code(line.attribute):
        found.append(_bad_code("attribute", index, number))
    for field in ("unit_price", "discount", "vat", "duty"):
        amount = getattr(line, field)
        if amount and not 0 < amount <= MAX_AMOUNT:
            _check_amount(amount, f"lines[{index}].{field}", found, number)


def _bad_quantity(code: str, index: int, number: int, quantity: Decimal, **data: object) -> Reason:
    return reason(code, at=f"lines[{index}].quantity", line=number, value=_shown(quantity), **data)


def _bad_code(field: str, index: int, number: int) -> Reason:
    path = f"lines[{index}].{field}"
    return reason("invalid_code", at=path, line=number, field=path, limit=MAX_CODE)


def _check_code(value: str, field: str, found: list[Reason]) -> None:
    if not is_code(value):
        found.append(reason("invalid_code", at=field, field=field, limit=MAX_CODE))


def _check_amount(value: int, field: str, found: list[Reason], line: int | None = None) -> None:
    if value < 0:
        found.append(reason("amount_negative", at=field, line=line, value=_shown(f"{value:,}")))
    elif value > MAX_AMOUNT:
        found.append(reason("amount_too_large", at=field, line=line, limit=MAX_AMOUNT))


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
