"""A command's id says what it asks: the same asked twice is one command, anything else is another."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas import ids
from schemas.commands import Amend, AnyCommand, Submit, fingerprint
from schemas.documents import DocumentRequest
from tests.rules.world import START, request

CONTENT: dict[str, Any] = {
    "source_id": "1024",
    "kind": "sales_invoice",
    "date": "2024-03-20",
    "account": "ALI",
    "warehouse": "MAIN",
    "lines": [{"product": "RAM", "quantity": "2", "unit_price": 13920000, "discount": 5}],
}


def read(content: dict[str, Any]) -> DocumentRequest:
    return msgspec.json.decode(json.dumps(content), type=DocumentRequest)


def command_id(content: dict[str, Any], command: type[Submit] | type[Amend] = Submit) -> str:
    return str(command.of(read(content), source="shop", actor="x", now=START).command_id)


def test_the_same_content_is_the_same_command_in_whatever_order_its_fields_come() -> None:
    turned = dict(reversed(CONTENT.items())) | {"lines": [dict(reversed(CONTENT["lines"][0].items()))]}
    assert command_id(turned) == command_id(CONTENT)


def test_a_default_written_out_is_the_same_content() -> None:
    defaults = {
        field.name: msgspec.to_builtins(field.default)
        for field in msgspec.structs.fields(DocumentRequest)
        if not field.required and field.name not in CONTENT
    }
    line_defaults = {"number": None, "warehouse": None, "attribute": "", "vat": None, "duty": None}
    spelled = CONTENT | defaults | {"lines": [CONTENT["lines"][0] | line_defaults]}
    assert len(spelled) == len(DocumentRequest.__struct_fields__)
    assert command_id(spelled) == command_id(CONTENT)


def test_sent_or_amended_the_same_content_is_one_command() -> None:
    assert command_id(CONTENT, Amend) == command_id(CONTENT, Submit)


@pytest.mark.parametrize(
    "change",
    [
        {"revision": 2},
        {"date": "2024-03-21"},
        {"account": "SARA"},
        {"note": "x"},
        {"payment": "cash"},
        {"currency": "USD"},
        {"kind": "quote"},
        {"lines": [CONTENT["lines"][0] | {"unit_price": 13920001}]},
        {"lines": [CONTENT["lines"][0] | {"quantity": "3"}]},
        {"lines": [CONTENT["lines"][0], CONTENT["lines"][0]]},
        {"lines": []},
    ],
)
def test_other_content_is_another_command(change: dict[str, Any]) -> None:
    assert command_id(CONTENT | change) != command_id(CONTENT)


def test_an_id_once_given_stays_what_it_was() -> None:
    assert command_id(CONTENT) == "628e2495-b695-57bf-b5ba-99ee989b563c"


def test_a_fingerprint_leaves_the_request_as_it_was() -> None:
    content = request(currency="".join(["IR", "R"]))
    fingerprint(content)
    assert content == request()


def test_the_envelope_names_the_document_and_its_source() -> None:
    content = request("1024", revision=3)
    command = Submit.of(content, source="shop", actor="key-1", now=START, trace="00-1")
    assert command.document_id == ids.document_id("shop", "1024")
    assert (command.source, command.source_id, command.revision) == ("shop", "1024", 3)
    assert (command.occurred_at, command.recorded_at, command.actor, command.trace) == (START, START, "key-1", "00-1")
    earlier = START.replace(hour=1)
    assert Submit.of(content, source="shop", actor="x", now=START, occurred_at=earlier).occurred_at == earlier


def test_command_types_are_told_apart_by_their_snake_case_names() -> None:
    tags = {each.__name__: each.__struct_config__.tag for each in AnyCommand.__args__}
    assert tags == {
        "Submit": "submit",
        "Amend": "amend",
        "Approve": "approve",
        "Refuse": "refuse",
        "Cancel": "cancel",
        "Release": "release",
        "Expire": "expire",
        "Reconsider": "reconsider",
        "PostingStarted": "posting_started",
        "PostingSucceeded": "posting_succeeded",
        "PostingFailed": "posting_failed",
    }


def test_requests_cannot_be_changed_once_made() -> None:
    with pytest.raises(AttributeError):
        request().lines[0].quantity = Decimal(5)  # type: ignore[misc]
