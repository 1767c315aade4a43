"""Examples for the OpenAPI document, with the golden figures: unit price 13,920,000 × 2 at 9 % is 30,345,600."""

from typing import Any, Final

_DOCUMENT_ID = "6d6bd1c4-3f29-5b1c-9f0e-0a53f2a6a0a1"
_COMMAND_ID = "8a4ff0dc-8d7c-5a43-8c43-3f2f4bb0a6de"
_EVENT_ID = "b4a0b0de-6a63-5b0b-8a53-3f6cb8f3e1c9"

ORDER: Final[dict[str, Any]] = {
    "source_id": "SO-1001",
    "kind": "sales_order",
    "date": "1402/12/20",
    "account": "212010006",
    "warehouse": "1",
    "lines": [
        {"product": "RAM-1", "quantity": 2, "unit_price": 13_920_000},
        {"product": "CPU-1", "quantity": "1", "unit_price": 37_120_000, "discount": 1_856_000},
    ],
}
PERSIAN_ORDER: Final[dict[str, Any]] = {
    "source_id": "سفارش ۱۲",
    "kind": "sales_order",
    "date": "۱۴۰۳/۰۱/۳۱",
    "account": "۲۱۲۰۱۰۰۰۶",
    "warehouse": "۱",
    "note": "تحویل فوری",
    "lines": [{"product": "RAM-1", "quantity": "۲٫۵", "unit_price": "۱۳٬۹۲۰٬۰۰۰"}],
}
RETURN: Final[dict[str, Any]] = {
    "source_id": "SR-7",
    "kind": "sales_return",
    "date": "1403/01/10",
    "account": "212010006",
    "warehouse": "1",
    "original": "SO-1001",
    "lines": [{"product": "RAM-1", "quantity": 1}],
}
NDJSON_BODY: Final = (
    '{"source_id": "R-1", "kind": "receipt", "date": "1403/01/10", "account": "212010006", "amount": 5000000, '
    '"method": "cash"}\n'
    '{"source_id": "R-2", "kind": "receipt", "date": "1403/01/10", "account": "212010006", "amount": "۲٬۰۰۰٬۰۰۰", '
    '"method": "cheque"}\n'
)
NOTE: Final = {"note": "با مدیر فروش هماهنگ شد"}

ACCEPTED: Final[dict[str, Any]] = {
    "document_id": _DOCUMENT_ID,
    "source_id": "SO-1001",
    "revision": 1,
    "command_id": _COMMAND_ID,
    "status": "accepted",
    "location": f"/v1/documents/{_DOCUMENT_ID}",
}
_REASON: Final = {
    "code": "credit_exceeded",
    "fa": "مبلغ 30,345,600 از اعتبار لحظه‌ای 10,000,000 بیشتر است",
    "en": "30,345,600 is above the instant credit of 10,000,000",
}
_LINE: Final[dict[str, Any]] = {
    "number": 1,
    "product": "RAM-1",
    "quantity": "2",
    "unit_price": 13_920_000,
    "warehouse": "1",
    "net": 27_840_000,
    "vat": 1_670_400,
    "duty": 835_200,
    "payable": 30_345_600,
    "vat_percent": "6",
    "duty_percent": "3",
    "reserved": "2",
}
_TOTALS: Final[dict[str, int]] = {
    "gross": 27_840_000,
    "discount": 0,
    "net": 27_840_000,
    "vat": 1_670_400,
    "duty": 835_200,
    "payable": 30_345_600,
}
DOCUMENT: Final[dict[str, Any]] = {
    "id": _DOCUMENT_ID,
    "source": "shop",
    "source_id": "SO-1001",
    "kind": "sales_order",
    "state": "held",
    "revision": 1,
    "step": 1,
    "date": "2024-03-10",
    "received_at": "2024-03-10T08:30:00.120000Z",
    "changed_at": "2024-03-10T08:30:00.161000Z",
    "account": "212010006",
    "warehouse": "1",
    "lines": [_LINE],
    "totals": _TOTALS,
    "reasons": [_REASON],
}
DECIDED: Final[dict[str, Any]] = ACCEPTED | {"status": "held", "event_id": _EVENT_ID, "document": DOCUMENT}
BATCH: Final[dict[str, Any]] = {
    "results": [
        {"index": 0, **ACCEPTED},
        {
            "index": 1,
            "status": "failed",
            "line": 2,
            "problem": {
                "type": "urn:peyvand:problem:invalid",
                "title": "Some fields are wrong",
                "title_fa": "برخی فیلدها نادرست است",
                "status": 422,
                "detail": "lines[0].quantity: the quantity must be above zero; it is 0",
                "detail_fa": "lines[0].quantity: مقدار باید بزرگ‌تر از صفر باشد؛ 0 آمده است",
                "errors": [
                    {
                        "field": "lines[0].quantity",
                        "code": "quantity_not_positive",
                        "message": "the quantity must be above zero; it is 0",
                        "message_fa": "مقدار باید بزرگ‌تر از صفر باشد؛ 0 آمده است",
                        "line": 1,
                    }
                ],
            },
        },
    ],
    "accepted": 1,
    "failed": 1,
}
_CREDIT: Final[dict[str, Any]] = {
    "direct": 540_000_000_000,
    "documentary": 350_000_000_000,
    "balance": 87_634_996_000,
    "uncleared_cheques": 45_000_000_000,
    "held": 0,
    "instant": 757_365_004_000,
    "returned_cheques": 23_125_000_000,
    "as_of": "2024-03-10T06:00:00Z",
}
PREVIEWED: Final[dict[str, Any]] = {
    "outcome": "cleared",
    "reasons": [],
    "lines": [_LINE],
    "totals": _TOTALS,
    "stock": [
        {
            "line": 1,
            "product": "RAM-1",
            "warehouse": "1",
            "attribute": "",
            "wanted": "2",
            "sellable": "2.83333",
        }
    ],
    "credit": _CREDIT,
    "policy": {
        "source": "shop",
        "kind": "sales_order",
        "stock": "all_or_nothing",
        "credit": "hold",
        "reservation_seconds": 7200,
        "tax_tolerance": 10,
        "approval": False,
        "posting": "automatic",
    },
}
ACCOUNT: Final[dict[str, Any]] = {
    "code": "212010006",
    "name": "فروشگاه نمونه",
    "active": True,
    "vat_exempt": False,
    "phones": ["02188776655"],
    "city": "تهران",
    "cost_centre": None,
    "group": "21",
    "credit": _CREDIT,
    "emails": [],
    "ledger": "110101",
    "detail_group": None,
}
STOCK: Final[dict[str, Any]] = {
    "items": [
        {
            "product": "RAM-1",
            "product_name": "رم کینگستون مدل ۱",
            "warehouse": "1",
            "attribute": "",
            "attribute_name": None,
            "on_hand": "17",
            "reserved": "14.16667",
            "sellable": "2.83333",
            "in_books": "17",
            "incoming": "0",
            "as_of": "2024-03-10T06:00:00Z",
        }
    ],
    "next": None,
}
LISTS: Final[dict[str, Any]] = {
    "items": [
        {"list": "attribute", "code": "11", "name": "مشکی"},
        {"list": "attribute", "code": "12", "name": "سفید", "product": "RAM-1"},
    ],
    "next": None,
}
EVENT_STREAM: Final = (
    "retry: 2000\nid: 12.0.7.93\n\n"
    f'id: 12.0.8.93\ndata: {{"event_id":"{_EVENT_ID}","type":"document.held","document":{{"state":"held"}}}}\n\n'
    ": heartbeat\nid: 12.0.8.93\n\n"
)
