"""What things are called, for people: kinds, states and commands in both languages."""

from typing import Final

from hub.runtime.problems import Phrase
from schemas.documents import Kind, State

KINDS: Final[dict[Kind, Phrase]] = {
    Kind.QUOTE: Phrase("quote", "پیش‌فاکتور"),
    Kind.SALES_ORDER: Phrase("sales order", "سفارش فروش"),
    Kind.SALES_INVOICE: Phrase("sales invoice", "فاکتور فروش"),
    Kind.SALES_RETURN: Phrase("sales return", "برگشت از فروش"),
    Kind.PURCHASE_ORDER: Phrase("purchase order", "سفارش خرید"),
    Kind.PURCHASE_INVOICE: Phrase("purchase invoice", "فاکتور خرید"),
    Kind.RECEIPT: Phrase("receipt", "دریافت وجه"),
    Kind.TRANSFER: Phrase("transfer", "انتقال بین انبارها"),
    Kind.GOODS_ISSUE: Phrase("goods issue", "حوالهٔ خروج کالا"),
    Kind.GOODS_RECEIPT: Phrase("goods receipt", "رسید ورود کالا"),
}

STATES: Final[dict[State, Phrase]] = {
    State.HELD: Phrase("held", "در انتظار تأیید"),
    State.CLEARED: Phrase("cleared", "تأییدشده"),
    State.REJECTED: Phrase("rejected", "ردشده"),
    State.BACKORDERED: Phrase("backordered", "در انتظار موجودی"),
    State.POSTING: Phrase("posting", "در حال ثبت در حسابگر"),
    State.POSTED: Phrase("posted", "ثبت‌شده در حسابگر"),
    State.POST_FAILED: Phrase("post failed", "ثبت ناموفق در حسابگر"),
    State.CANCELLED: Phrase("cancelled", "لغوشده"),
    State.EXPIRED: Phrase("expired", "منقضی‌شده"),
}

_STATE_STYLES: Final[dict[State | None, str]] = {
    State.CLEARED: "green",
    State.POSTED: "green",
    State.HELD: "yellow",
    State.BACKORDERED: "yellow",
    State.POSTING: "cyan",
}
"""The other states are ends no one wished for: red."""


def state_style(state: State | None) -> str:
    """The colour a state is shown in; None is a command that was refused."""
    return _STATE_STYLES.get(state, "red")
