"""What each kind of document needs and what it does to stock and credit: one row a kind, read by every rule."""

import msgspec

from schemas.documents import Document, DocumentRequest, Kind, Method, Payment


class KindRule(msgspec.Struct, frozen=True):
    """One kind. ``credit`` is +1 if the document uses the account's credit, -1 if it gives some back, 0 if neither."""

    account: bool = True
    lines: bool = True
    taxed: bool = True
    sale: bool = False
    """The other party's exemption counts (we are the seller)."""
    takes_stock: bool = False
    brings_stock: bool = False
    credit: int = 0


KINDS: dict[Kind, KindRule] = {
    Kind.QUOTE: KindRule(sale=True),
    Kind.SALES_ORDER: KindRule(sale=True, takes_stock=True, credit=1),
    Kind.SALES_INVOICE: KindRule(sale=True, takes_stock=True, credit=1),
    Kind.SALES_RETURN: KindRule(sale=True, brings_stock=True, credit=-1),
    Kind.PURCHASE_ORDER: KindRule(),
    Kind.PURCHASE_INVOICE: KindRule(brings_stock=True),
    Kind.RECEIPT: KindRule(lines=False, taxed=False, credit=-1),
    Kind.TRANSFER: KindRule(account=False, taxed=False, takes_stock=True, brings_stock=True),
    Kind.GOODS_ISSUE: KindRule(account=False, taxed=False, takes_stock=True),
    Kind.GOODS_RECEIPT: KindRule(account=False, taxed=False, brings_stock=True),
}


def credit_effect(document: DocumentRequest | Document) -> int:
    """+1, 0 or -1: a cash sale or return moves no credit, nor does a cheque until it clears."""
    effect = KINDS[document.kind].credit
    if document.kind is Kind.RECEIPT:
        return 0 if document.method is Method.CHEQUE else effect
    return 0 if document.payment is Payment.CASH else effect
