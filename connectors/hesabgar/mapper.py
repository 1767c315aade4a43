"""The books' rows as what the hub says, and the hub's documents as what the books take. Pure."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import quoteattr

import msgspec

from connectors.base import UnknownPayload
from connectors.hesabgar import contract
from connectors.hesabgar.contract import Row, View
from connectors.hesabgar.spec import Spec
from schemas import codec, intake, text
from schemas.commands import Amend, PostingFailed, PostingStarted, PostingSucceeded, Submit
from schemas.dates import TEHRAN
from schemas.documents import Document, DocumentRequest, Kind, Method
from schemas.events import DocumentEvent
from schemas.ids import command_id
from schemas.intake import InvalidRequest
from schemas.master import Account, Finance, ListEntry, Master, Product, Stock, Warehouse

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MAX_WORDS = 2_000
MAX_NOTE = 1_000


# --- master data


def record(view: View, row: Row, as_of: dt.datetime, cities: Mapping[str, str] | None = None) -> Master:
    """A view's row as a master record; ``as_of`` is the books' own time, ``cities`` the names of cities by code.

    Raises UnknownPayload.
    """
    values: dict[str, object] = {
        field: _plain(value)
        for field, value in zip(view.fields.values(), row, strict=False)
        if value is not None and value != ""
    }
    if isinstance(values.get("phones"), str):
        values["phones"] = [part.strip() for part in str(values["phones"]).split(";") if part.strip()]
    if view is contract.ACCOUNTS and "city" in values and cities:
        values["city"] = cities.get(text.code(str(values["city"])), values["city"])
    if view.list:
        values["list"] = view.list.format(values.get("list"))
    if view.counted:
        values["as_of"] = as_of
    try:
        return intake.master_from(view.record, values)
    except InvalidRequest as error:
        raise UnknownPayload(f"hub.{view.name}: {_problems(error)}") from error


def _problems(error: InvalidRequest) -> str:
    return "; ".join(f"{problem.field}: {problem.en}" if problem.field else problem.en for problem in error.problems)


def _plain(value: object) -> object:
    """A trailing zero is no decimal place: the books keep five of them always."""
    if isinstance(value, Decimal):
        return value.normalize() if value == value.to_integral_value() and value.as_tuple().exponent != 0 else value
    return value


def raw(columns: Sequence[str], row: Row) -> bytes:
    """A row as it stood, for the dead letters."""
    named = {
        name: value.isoformat() if isinstance(value, dt.date) else value
        for name, value in zip(columns, row, strict=False)
    }
    return json.dumps(named, ensure_ascii=False, default=str).encode()


def body(item: Master) -> bytes:
    """What of a record is compared: all but the moment it was read."""
    timeless = msgspec.structs.replace(item, as_of=EPOCH) if isinstance(item, Stock | Finance) else item
    return codec.encode(timeless)


def key(view: View, row: Row) -> str:
    """A row's key as it is remembered, in the hub's spelling of its codes: ``212010006``, ``["1001","101",""]``."""
    parts = [text.code(str(row[at] or "")) for at in view.key_columns]
    return parts[0] if len(parts) == 1 else msgspec.json.encode(parts).decode()


def gone(view: View, of: str, last: bytes, as_of: dt.datetime) -> Master:
    """What is told of a row the books no longer have, by its key and what was last told of it, which for stock and
    finance doesn't matter: switched off, or nothing on hand and no credit."""
    if view.record is Stock:
        product, warehouse, attribute = json.loads(of)
        return Stock(product, warehouse, Decimal(0), as_of, attribute)
    if view.record is Finance:
        return Finance(of, as_of)
    before = codec.decode_as(last, view.record)
    assert isinstance(before, Account | Product | Warehouse | ListEntry)
    return msgspec.structs.replace(before, active=False)


def as_utc(moment: Any) -> dt.datetime:
    """The books' datetime2, which is UTC without saying so, as an aware one."""
    aware: dt.datetime = moment.replace(tzinfo=dt.UTC)
    return aware


# --- documents to the books


def posting(
    document: Document, spec: Spec, original: Document | None = None, *, dry_run: bool = False
) -> tuple[str, tuple[Any, ...]]:
    """The batch that posts a document, and its parameters; ``original`` is the sale that a return takes back."""
    arguments = document_values(document, spec, original)
    if document.lines:
        arguments["lines"] = lines_xml(document)
    if dry_run:
        arguments["dry_run"] = 1
    return contract.call("post_document", arguments)


def document_values(document: Document, spec: Spec, original: Document | None = None) -> dict[str, Any]:
    """What the inbox gets of a document's head, by the procedure's names; nothing that is None."""
    totals = document.totals
    values: dict[str, Any] = {
        "external_id": str(document.id),
        "kind": str(document.kind),
        "date": document.date.isoformat(),
        "revision": document.revision,
        "account": document.account,
        "payment": str(document.payment),
        "warehouse": document.warehouse,
        "to_warehouse": document.to_warehouse,
        **_sale(document, original),
        "method": str(document.method) if document.method else None,
        "net": totals.net,
        "vat": totals.vat,
        "duty": totals.duty,
        "payable": totals.payable,
        "vat_account": spec.vat_account,
        "duty_account": spec.duty_account,
        "freight_account": spec.freight_account,
        "expense_account": spec.expense_account,
        "transfer_account": spec.transfer_account,
        "receivable_account": spec.receivable_account,
        "note": document.note[:MAX_NOTE] or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _sale(document: Document, original: Document | None) -> dict[str, Any]:
    """How the books know the sale that a return takes back: by the hub's id, or by their own number if they had it
    before the hub came (:func:`history`)."""
    if document.kind is not Kind.SALES_RETURN or document.original_id is None:
        return {}
    if original is None or original.posting is None or original.step > 1:
        return {"original_external_id": str(document.original_id)}
    year, _, _ = original.source_id.partition("/")
    return {
        "original_fiscal_year": int(year) if year.isdecimal() else None,
        "original_number": original.posting.number,
    }


def line_values(document: Document) -> list[dict[str, Any]]:
    """What the inbox gets of each line; one that got nothing (a partial acceptance) is left out."""
    every: list[dict[str, Any]] = [
        {
            "number": line.number,
            "product": line.product,
            "warehouse": line.warehouse or document.warehouse,
            "attribute": line.attribute or None,
            "quantity": f"{line.quantity:f}",
            "unit_price": line.unit_price,
            "discount": line.discount,
            "net": line.net,
            "vat": line.vat,
            "duty": line.duty,
            "payable": line.payable,
        }
        for line in document.lines
        if line.quantity
    ]
    return [{name: value for name, value in line.items() if value is not None} for line in every]


def lines_xml(document: Document) -> str:
    """The lines as the procedure takes them."""
    lines = [
        " ".join(f"{name}={quoteattr(str(value))}" for name, value in line.items()) for line in line_values(document)
    ]
    return "<lines>" + "".join(f"<line {attributes}/>" for attributes in lines) + "</lines>"


def started(event: DocumentEvent, actor: str, now: dt.datetime, note: str = "") -> PostingStarted:
    """The command that says a cleared document is being handed to the books."""
    return PostingStarted(
        command_id=command_id(event.document_id, "posting_started", event.step),
        document_id=event.document_id,
        source=event.source,
        source_id=event.source_id,
        revision=event.revision,
        occurred_at=now,
        recorded_at=now,
        actor=actor,
        note=note,
    )


def succeeded(
    event: DocumentEvent, number: str, posted_at: dt.datetime, actor: str, now: dt.datetime
) -> PostingSucceeded:
    """The command that says the books have the document, under their number."""
    return PostingSucceeded(
        command_id=command_id(event.document_id, "posting_succeeded", event.step),
        document_id=event.document_id,
        source=event.source,
        source_id=event.source_id,
        revision=event.revision,
        occurred_at=posted_at,
        recorded_at=now,
        actor=actor,
        number=number,
        posted_at=posted_at,
    )


def failed(event: DocumentEvent, words: str, number: int, actor: str, now: dt.datetime) -> PostingFailed:
    """The command that says the books refused the document, in their words."""
    return PostingFailed(
        command_id=command_id(event.document_id, "posting_failed", event.step),
        document_id=event.document_id,
        source=event.source,
        source_id=event.source_id,
        revision=event.revision,
        occurred_at=now,
        recorded_at=now,
        actor=actor,
        message=words[:MAX_WORDS],
        error_number=number,
    )


# --- new accounts and products to the books


def city_codes(rows: Sequence[Row]) -> dict[str, str]:
    """The codes of cities by their names, and by themselves, from the rows (code, name) of the books' list; a name that
    several have is no one's."""
    named = [(text.normalise(str(name)), str(code)) for code, name in rows if code and name]
    times = Counter(name for name, _ in named)
    return {text.code(code): code for _, code in named} | {name: code for name, code in named if times[name] == 1}


def send_account(
    account: Account, spec: Spec, city: str | None = None, revision: int = 1
) -> tuple[str, tuple[Any, ...]]:
    """The batch that makes an account, or changes what an earlier revision made; ``city`` is the code of its city."""
    arguments: dict[str, Any] = {
        "external_id": account.code,
        "revision": revision,
        "name": account.name,
        "code": account.code,
        "group_code": account.group,
        "ledger_code": account.ledger or spec.new_accounts,
        "detail_group": account.detail_group or spec.new_account_group,
        "vat_exempt": int(account.vat_exempt),
        "phones": ";".join(account.phones) or None,
        "city_code": city,
        "cost_centre": account.cost_centre,
        "active": int(account.active),
    }
    return contract.call("post_account", {name: value for name, value in arguments.items() if value is not None})


def send_product(product: Product, revision: int = 1) -> tuple[str, tuple[Any, ...]]:
    """The batch that makes a product, or changes what an earlier revision made."""
    arguments: dict[str, Any] = {
        "external_id": product.code,
        "revision": revision,
        "name": product.name,
        "unit": product.unit,
        "code": product.code,
        "second_unit": product.second_unit,
        "price": product.price,
        "group_code": product.group,
        "vat_exempt": int(product.vat_exempt),
        "vat_percent": product.vat_percent,
        "duty_percent": product.duty_percent,
        "stocked": int(product.stocked),
        "barcode": product.barcode,
        "active": int(product.active),
    }
    return contract.call("post_product", {name: value for name, value in arguments.items() if value is not None})


# --- documents from the books


def own_id(document: Mapping[str, Any]) -> str:
    """A document's id at its Hesabgar: numbers begin anew with each year and kind."""
    return f"{document['fiscal_year']}/{document['kind']}/{document['number']}"


def request(document: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], revision: int = 1) -> DocumentRequest:
    """A document entered in Hesabgar, as its source sends it. Raises UnknownPayload."""
    nameless = [name for name in _IDENTITY if document[name] in (None, "")]
    if nameless:
        raise UnknownPayload(f"document {own_id(document)}: {nameless[0]} is empty")
    kind = str(document["kind"])
    values: dict[str, object] = {
        "source_id": own_id(document),
        "kind": kind,
        "date": _day(document),
        "account": document.get("account"),
        "warehouse": document.get("warehouse"),
        "to_warehouse": document.get("to_warehouse") if kind == Kind.TRANSFER else None,
        "payment": document.get("payment") if kind in _PAID else None,
        "note": document.get("note"),
        "lines": [_line(line, taxed=kind in _TAXED) for line in lines],
    }
    if revision > 1:
        values["revision"] = revision
    if kind == Kind.RECEIPT:
        values |= {"amount": document["payable"], "method": document.get("method") or str(Method.CASH)}
        del values["lines"]
    if kind == Kind.SALES_RETURN:
        original = document.get("original_number")
        if original:
            values["original"] = f"{document['fiscal_year']}/{Kind.SALES_INVOICE}/{original}"
        values["original_date"] = values["date"]
    if kind in _TAXED:
        values["tax"] = _rials(document, "vat") + _rials(document, "duty")
    try:
        return intake.request_from({name: value for name, value in values.items() if value not in (None, "")})
    except InvalidRequest as error:
        raise UnknownPayload(f"document {own_id(document)}: {_problems(error)}") from error


_IDENTITY = ("fiscal_year", "kind", "number")
_TAXED = frozenset({Kind.QUOTE, Kind.SALES_ORDER, Kind.SALES_INVOICE, Kind.SALES_RETURN, Kind.PURCHASE_INVOICE})
_PAID = frozenset({Kind.SALES_ORDER, Kind.SALES_INVOICE, Kind.SALES_RETURN})


def _line(line: Mapping[str, Any], *, taxed: bool) -> dict[str, object]:
    values: dict[str, object] = {
        "number": line["line"],
        "product": line["product"],
        "quantity": line["quantity"],
        "unit_price": line["unit_price"],
        "discount": line["discount"] or 0,
        "warehouse": line["warehouse"],
        "attribute": line["attribute"],
        "vat": line["vat"] if taxed else None,
        "duty": line["duty"] if taxed else None,
    }
    return {name: value for name, value in values.items() if value not in (None, "")}


def _day(document: Mapping[str, Any]) -> str:
    day = document["date"]
    if not isinstance(day, dt.date):
        raise UnknownPayload(f"document {own_id(document)}: date is no date but {day!r}")
    return day.isoformat()[:10]


def _rials(document: Mapping[str, Any], name: str) -> int | Decimal:
    """An amount the site's views may leave empty."""
    amount = document.get(name) or 0
    if not isinstance(amount, int | Decimal):
        raise UnknownPayload(f"document {own_id(document)}: {name} is no amount but {amount!r}")
    return amount


def content(wanted: DocumentRequest, source: str, actor: str, now: dt.datetime) -> Submit | Amend:
    """The command that brings a document of a Hesabgar in, or its change."""
    if wanted.revision > 1:
        return Amend.of(wanted, source=source, actor=actor, now=now)
    return Submit.of(wanted, source=source, actor=actor, now=now)


def history(document: Mapping[str, Any], wanted: DocumentRequest, source: str, actor: str, now: dt.datetime) -> Submit:
    """The command that records a document the books had before the hub came."""
    day = dt.datetime.combine(wanted.date, dt.time(), tzinfo=TEHRAN)
    command = Submit.of(wanted, source=source, actor=actor, now=now, occurred_at=day)
    return msgspec.structs.replace(command, in_books=str(document["number"]))


# --- answers and master data to a branch


def answer(event: DocumentEvent) -> tuple[str, tuple[Any, ...]]:
    """The batch that tells a branch what became of its document."""
    document = event.document
    posting = document.posting if document else None
    reasons = " ".join(why.fa for why in event.reasons)[:MAX_WORDS]
    arguments: dict[str, Any] = {
        "source_id": event.source_id,
        "state": str(document.state) if document else "refused",
        "number": posting.number if posting else None,
        "reasons": reasons or None,
        "revision": event.revision,
        "step": event.step,
    }
    return contract.call("put_answer", {name: value for name, value in arguments.items() if value is not None})
