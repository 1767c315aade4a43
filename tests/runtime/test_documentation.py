"""The generated pages: fresh, valid by their own standards, and true to what is really encoded and read."""

import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import msgspec
import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator

from hub.api import openapi
from hub.api.receivers import routes
from hub.rules.settings import DEFAULT_RATES, Policy, RuleSettings, StockPolicy
from hub.runtime import check, documentation
from hub.runtime.config import connector_specs, load, variables
from hub.runtime.receiving import described
from schemas import (
    codec,
    commands,
    deadletters,
    devices,
    documents,
    events,
    master,
    messages,
    pushes,
    telephony,
    topics,
    visits,
)
from schemas.documents import DocumentRequest, Kind, LineRequest, PostingPolicy
from schemas.reasons import SENTENCES, reason

DOCS = Path(__file__).parents[2] / "docs"
PAGES = documentation.generate()
NOW = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
ID = UUID("0f8c2a0e-6a0b-5d51-9a0f-1f6c1e0d2b3c")


# --- freshness


@pytest.mark.parametrize("page", PAGES)
def test_the_committed_page_is_what_the_code_says(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == PAGES[page], "run `make docs`"


def test_no_schema_is_left_of_a_struct_that_is_gone() -> None:
    assert {f"schemas/{file.name}" for file in (DOCS / "schemas").iterdir()} == {
        page for page in PAGES if page.startswith("schemas/")
    }


def test_writing_removes_schemas_of_structs_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "Gone.json").write_text("{}", encoding="utf-8")
    written = documentation.write(tmp_path)
    assert sorted(written) == sorted(file for file in tmp_path.rglob("*") if file.is_file())


# --- JSON Schemas

DOCUMENT = documents.Document(
    id=ID,
    source="shop",
    source_id="INV-1",
    kind=Kind.SALES_INVOICE,
    state=documents.State.HELD,
    revision=1,
    step=1,
    date=date(2024, 3, 20),
    received_at=NOW,
    changed_at=NOW,
    account="212010006",
    lines=(documents.DocumentLine(1, "RAM-1", Decimal("2.5"), 13_920_000, vat_percent=Decimal(6)),),
    reasons=(reason("credit_exceeded", payable=2, instant=1),),
    approval=documents.Approval("manager", NOW, approved=True),
    posting=documents.Posting("24", NOW),
)
REQUEST = DocumentRequest(
    "INV-1", Kind.SALES_INVOICE, date(2024, 3, 20), "212010006", (LineRequest("RAM-1", Decimal(2)),)
)
ENVELOPE: dict[str, Any] = {
    "command_id": ID,
    "document_id": ID,
    "source": "shop",
    "source_id": "INV-1",
    "revision": 1,
    "occurred_at": NOW,
    "recorded_at": NOW,
    "actor": "shop",
}
INSTANCES: dict[type[msgspec.Struct], msgspec.Struct] = {
    type(each): each
    for each in (
        commands.Submit(**ENVELOPE, document=REQUEST),
        commands.Amend(**ENVELOPE, document=REQUEST),
        commands.Approve(**ENVELOPE, note="بله"),
        commands.Refuse(**ENVELOPE),
        commands.Cancel(**ENVELOPE),
        commands.Release(**ENVELOPE, note="بار رفت"),
        commands.Expire(**ENVELOPE, due=NOW),
        commands.Reconsider(**ENVELOPE),
        commands.PostingStarted(**ENVELOPE),
        commands.PostingSucceeded(**ENVELOPE, number="24", posted_at=NOW),
        commands.PostingFailed(**ENVELOPE, message="no"),
        events.DocumentEvent(
            **{name: value for name, value in ENVELOPE.items() if name != "document"},
            event_id=ID,
            type="document.held",
            step=1,
            command="submit",
            reasons=DOCUMENT.reasons,
            document=DOCUMENT,
        ),
        DOCUMENT,
        master.Account("1", "شرکت", phones=("021",)),
        master.Product("RAM-1", "RAM", vat_percent=Decimal("4.5")),
        master.Warehouse("W1", "انبار"),
        master.Stock("RAM-1", "W1", Decimal("2.83333"), NOW),
        master.Finance("1", NOW, direct=540_000_000_000),
        master.ListEntry(master.CodeList.CITY, "26", "کرج", parent="البرز"),
        telephony.CallEvent("1", "ring", "asterisk", NOW),
        telephony.CallRecord(
            "1", "asterisk", next(iter(telephony.Direction)), "021", NOW, NOW, (telephony.CallLeg("101", 5, NOW),)
        ),
        messages.InboundMessage("1", messages.Channel.SMS, "0912", "سلام", NOW),
        messages.OutboundMessage("1", messages.Channel.TELEGRAM, "0912", "سلام", NOW),
        messages.Receipt("1", "delivered", NOW),
        messages.Notification("1", "ali", "تماس", "call", NOW),
        devices.PaymentRequest("1", "t1", 1_000, NOW),
        devices.PaymentResult("1", approved=True, finished_at=NOW),
        devices.Weight("s1", Decimal("1.5"), NOW),
        pushes.Push("1", "woocommerce.shop", "order/1", NOW, b"\x00\xff", {"x-wc-webhook-topic": "order.updated"}),
        visits.Visit(UUID(int=1), "pocket", "7", "ali", "212010006", NOW, visits.VisitOutcome.NO_SALE, NOW, "بسته"),
        deadletters.DeadLetter("1", "t", 0, 1, "why", "h", NOW, b"\x00\xff", b"k", (("h", b"v"),)),
    )
}


@pytest.mark.parametrize("struct", documentation.messages())
def test_each_messages_schema_is_valid_and_takes_what_is_really_encoded(struct: type[msgspec.Struct]) -> None:
    schema = json.loads((DOCS / "schemas" / f"{struct.__name__}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    encoded = json.loads(codec.encode(INSTANCES[struct]))
    validator.validate(encoded)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(dict.fromkeys(encoded, 3.5))


def test_a_schema_carries_the_texts_of_fields_inherited_ones_too() -> None:
    assert documentation.field_texts(LineRequest)["discount"] == "Rials off the whole line."
    definitions = documentation.schema(commands.Submit)["$defs"]
    assert definitions["DocumentRequest"]["properties"]["account"]["description"].startswith("The customer's")
    assert "``" not in json.dumps(definitions)


# --- AsyncAPI


def test_the_asyncapi_document_has_every_topic_as_it_is_made() -> None:
    document = json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8"))
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    assert list(document["channels"]) == [topic.name for topic in topics.all_topics()]
    for topic in topics.all_topics():
        channel = document["channels"][topic.name]
        kafka = channel["bindings"]["kafka"]
        assert channel["address"] == kafka["topic"] == topic.name
        assert kafka["partitions"] == topic.partitions
        settings = {
            key: ",".join(v) if isinstance(v, list) else str(v) for key, v in kafka["topicConfiguration"].items()
        }
        assert settings == topic.config()
        assert channel["messages"]


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8"))
    references = set(_references(document))
    assert references
    for reference in references:
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    payloads = {message["payload"]["$ref"] for message in document["components"]["messages"].values()}
    assert {reference.rsplit("/", 1)[1] for reference in payloads} == {
        each.__name__ for each in documentation.messages()
    }
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")


def test_the_asyncapi_documents_schemas_are_of_draft_7() -> None:
    document = json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8"))
    for struct in documentation.messages():
        schema = {"$ref": f"#/components/schemas/{struct.__name__}", "components": document["components"]}
        jsonschema.Draft7Validator.check_schema(schema)
        jsonschema.Draft7Validator(schema).validate(json.loads(codec.encode(INSTANCES[struct])))
    assert "prefixItems" not in json.dumps(document)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from _references(each)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)


# --- OpenAPI


def test_the_openapi_document_is_valid_and_is_what_the_api_serves() -> None:
    document = json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))
    openapi_spec_validator.validate(document)
    assert document == json.loads(json.dumps(openapi.document(routes(described()))))


# --- pages for people


def test_the_configuration_page_has_every_setting_and_variable() -> None:
    page = documentation.configuration()
    for name, variable in variables().items():
        assert f"| `{variable.path[-1]}` |" in page
        assert f"| `{name}` |" in page
    for kind, spec in check.connector_kinds().items():
        assert f"### `[connectors.{kind}.NAME]`" in page
        assert all(f"| `{field}` |" in page for field in spec.__struct_fields__)


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    for page in ("configuration.md", "reasons.md"):
        lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
        for line, below in itertools.pairwise(lines):
            if line.startswith("|") and below.startswith("|"):
                assert line.count("|") == below.count("|"), line


def test_every_reason_is_told_in_both_languages() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", documentation.reasons(), re.MULTILINE)
    assert {code: (fa, en) for code, fa, en in rows} == SENTENCES


# --- the example


def test_the_example_is_good_and_says_what_its_comments_say(tmp_path: Path) -> None:
    text = (DOCS / "hub.example.toml").read_text(encoding="utf-8")
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    file = tmp_path / "hub.toml"
    file.write_text(re.sub(r"/run/secrets/\w+", "secret", text), encoding="utf-8")
    kinds = check.connector_kinds()
    config = load(file, {}, kinds)
    assert connector_specs(config, kinds)
    assert not config.kafka.embedded
    assert not config.postgres.embedded
    rules = config.rule_settings()
    assert rules.rates == DEFAULT_RATES
    assert rules.limits == RuleSettings().limits
    webshop = rules.policy("webshop", Kind.SALES_INVOICE)
    assert webshop.stock is StockPolicy.PARTIAL
    assert webshop.posting is PostingPolicy.AUTOMATIC
    assert rules.policy("webshop", Kind.SALES_ORDER).posting is PostingPolicy.MANUAL
    assert webshop.tax_tolerance == rules.default.tax_tolerance != Policy().tax_tolerance
