"""What a document may look like when it is written to us: more forms than the one we answer with.

schemas/intake.py reads whole numbers as numbers or text, with Persian digits and thousands marks, and dates as Jalali
or ISO. These JSON Schemas say so; the fields are those of the structs, and a field without a form here fails.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hub.rules.settings import Limits
from hub.rules.validation import MAX_NOTE, MAX_REVISION
from schemas.documents import CURRENCY, DocumentRequest, Kind, LineRequest, Method, Payment
from schemas.text import MAX_CODE

Schema = dict[str, Any]


def _whole(what: str, *, minimum: int = 0) -> Schema:
    return {
        "description": f"{what} A whole number, or its text: Persian digits and thousands marks are read too.",
        "anyOf": [{"type": "integer", "minimum": minimum}, {"type": "string"}],
    }


def _rials(what: str) -> Schema:
    return _whole(f"{what} Whole rials.")


def _code(what: str, *, minimum: int = 1) -> Schema:
    return {"description": what, "type": "string", "minLength": minimum, "maxLength": MAX_CODE}


def _day(what: str) -> Schema:
    return {
        "description": f"{what} Jalali (1403/01/31) or ISO (2024-04-19), Persian digits too.",
        "type": "string",
        "minLength": 1,
        "examples": ["1403/01/31", "2024-04-19"],
    }


def _words(what: str, choices: Any) -> Schema:
    return {"description": what, "type": "string", "enum": [word.value for word in choices]}


_LINE: Final[dict[str, Schema]] = {
    "product": _code("The product's code."),
    "quantity": {
        "description": "Above zero, at most five decimal places; a number, or its text.",
        "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "minLength": 1}],
        "examples": [2, "2.83333", "۲٫۵"],
    },
    "unit_price": _rials(
        "For one unit. When absent: that of the document's original, with its share of the discount given there; else "
        "the product's own price."
    ),
    "discount": _rials("Off the whole line."),
    "number": _whole("The line's number; its position, from 1, when absent.", minimum=1),
    "warehouse": _code("The document's warehouse when absent."),
    "attribute": _code("The product attribute (moshakhase) that is part of the stock key.", minimum=0),
    "vat": _rials("VAT as the source computed it, compared with ours."),
    "duty": _rials("Municipal duty as the source computed it, compared with ours."),
}

_DOCUMENT: Final[dict[str, Schema]] = {
    "source_id": _code("The source's own id of the document; with the key's source it is the identity."),
    "kind": _words("What it is.", Kind),
    "date": _day("The document's date."),
    "account": _code("The customer's, supplier's or party's account code."),
    "lines": {
        "description": f"Its lines, at most {Limits().max_lines:,}; none for a receipt.",
        "type": "array",
        "items": {"$ref": "#/components/schemas/LineRequest"},
    },
    "revision": _whole("Above the last one to amend the document.", minimum=1),
    "currency": {"description": "Amounts are rials.", "type": "string", "enum": [CURRENCY]},
    "payment": _words("How a sale is paid: cash and card pass the credit check.", Payment),
    "warehouse": _code("For the lines that name none."),
    "to_warehouse": _code("The receiving warehouse of a transfer."),
    "original": _code(
        "For a return: the sale's own id at the same source, or its document id. For an invoice: the order's."
    ),
    "original_date": _day("For a return of a sale the hub never saw: the sale's date, whose rates apply."),
    "amount": _rials("For a receipt of money: what was received."),
    "method": _words("How a receipt was paid; a cheque frees no credit until it clears.", Method),
    "tax": _rials("VAT and duty of the whole document as the source computed it."),
    "note": {"description": "Free text.", "type": "string", "maxLength": MAX_NOTE},
    "hold": {
        "description": "Why a person has to look at the document before it clears; then it is held.",
        "type": "string",
        "maxLength": MAX_NOTE,
    },
}


def _object(struct: type[msgspec.Struct], forms: Mapping[str, Schema]) -> Schema:
    """The schema of a struct's written form: its fields, required as in the struct, null where that means absent."""
    properties = {}
    required = []
    for field in msgspec.structs.fields(struct):
        form = forms[field.name]
        if field.default is None:
            form = {"description": form.get("description", ""), "anyOf": [_bare(form), {"type": "null"}]}
        properties[field.name] = form
        if field.required:
            required.append(field.name)
    return {
        "title": struct.__name__,
        "description": (struct.__doc__ or "").strip(),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _bare(form: Schema) -> Schema:
    return {key: value for key, value in form.items() if key != "description"}


def _without(schema: Schema, title: str, description: str, *optional: str) -> Schema:
    required = [name for name in schema["required"] if name not in optional]
    return schema | {"title": title, "description": description, "required": required}


LINE_REQUEST: Final = _object(LineRequest, _LINE)
DOCUMENT_REQUEST: Final = _object(DocumentRequest, _DOCUMENT)

SCHEMAS: Final[dict[str, Schema]] = {
    "LineRequest": LINE_REQUEST,
    "DocumentRequest": DOCUMENT_REQUEST,
    "AmendmentRequest": _without(
        DOCUMENT_REQUEST,
        "AmendmentRequest",
        "The whole document as it is to be. ``source_id`` and ``revision`` may be left out.",
        "source_id",
    ),
    "PreviewRequest": _without(
        DOCUMENT_REQUEST,
        "PreviewRequest",
        "A document being written. ``source_id`` may be left out.",
        "source_id",
    ),
    "Note": {
        "title": "Note",
        "type": "object",
        "properties": {
            "note": {"description": "To be kept with the command.", "type": "string", "maxLength": MAX_NOTE},
            "revision": {
                "description": "The revision that was looked at: an approval or refusal of one that was amended since "
                "is refused. The present one when absent.",
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_REVISION,
            },
        },
        "additionalProperties": False,
    },
}
"""By name, as the OpenAPI document's components have them."""


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


AMENDMENT: Final = _ref("AmendmentRequest")
PREVIEW: Final = _ref("PreviewRequest")
NOTE_SCHEMA: Final = _ref("Note")
BATCH_OR_ONE: Final[Schema] = {
    "anyOf": [
        _ref("DocumentRequest"),
        {
            "type": "array",
            "minItems": 1,
            "description": "A batch. What isn't a document is answered as failed, in its place.",
            "items": {"anyOf": [_ref("DocumentRequest"), {}]},
        },
    ]
}
