"""Documents the books had before the hub came: recorded as they are there, not decided (MODULES.md O6, O7).

Basis: the books already show their goods and money, so they neither reserve nor take credit, and no rule of ours may
change an amount. The rates of a line are those its tax was taken with, for returns go by them; they are found from the
amounts, to two decimals. Example: net 27,840,000 with VAT 1,670,400 was taxed at 6.00 %.
"""

from decimal import Decimal

from hub.rules import tax
from hub.rules.validation import line_number
from schemas.documents import DocumentLine, DocumentRequest


def lines(request: DocumentRequest) -> tuple[DocumentLine, ...]:
    """The lines as the books have them; a tax that isn't told is none."""
    return tuple(
        _line(line_number(index, line), line.warehouse or request.warehouse, request, index)
        for index, line in enumerate(request.lines)
    )


def _line(number: int, warehouse: str | None, request: DocumentRequest, index: int) -> DocumentLine:
    line = request.lines[index]
    price = line.unit_price or 0
    net = tax.half_up(price, line.quantity) - line.discount
    vat, duty = line.vat or 0, line.duty or 0
    return DocumentLine(
        number=number,
        product=line.product,
        quantity=line.quantity,
        unit_price=price,
        discount=line.discount,
        warehouse=warehouse,
        attribute=line.attribute,
        net=net,
        vat=vat,
        duty=duty,
        payable=net + vat + duty,
        vat_percent=percent(vat, net),
        duty_percent=percent(duty, net),
    )


def percent(part: int, whole: int) -> Decimal:
    """The rate a tax was taken with, in percent to two decimals, halves up; 0 of nothing."""
    if whole <= 0:
        return tax.ZERO
    return Decimal((2 * part * 10_000 + whole) // (2 * whole)).scaleb(-2)
