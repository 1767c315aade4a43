"""Derived ids: standard UUIDv5, never another value for the same fact, in this version or the next."""

from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from tests.properties import PROPERTY

DOCUMENT = UUID("6bd5e2cd-b63f-5cd0-9d81-7d2f4cbc55a3")


@PROPERTY
@given(st.uuids(), st.text(st.characters(exclude_categories=["Cs"])))
def test_it_is_the_standards_uuid5(namespace: UUID, name: str) -> None:
    assert ids.derive(namespace, name) == uuid5(namespace, name)


def test_the_values_stay_what_they_were_when_the_first_document_came() -> None:
    assert uuid5(NAMESPACE_URL, "https://peyvand.invalid/ids/v1") == ids.NAMESPACE
    assert [
        str(each)
        for each in (
            ids.NAMESPACE,
            ids.document_id("woocommerce", "1024"),
            ids.document_id("woocommerce", "سفارش ۱"),
            ids.command_id(DOCUMENT, "approve", 3),
            ids.event_id(DOCUMENT, 2, 5),
            ids.refusal_id(DOCUMENT, DOCUMENT),
        )
    ] == [
        "ef108965-23a1-59c8-8f2a-16d1b0497036",
        "7c4e11e3-8eef-5668-8e67-d45bd3f1cbaf",
        "f1738476-4835-5804-9bba-89246f1ef53e",
        "87d5fc1a-54c2-5b27-bce5-1eb32cb2de5d",
        "887ff8a8-5e44-5dc9-bf06-918e9eedbe45",
        "2b5ac488-d7e8-5db5-b7b9-9801e5494e35",
    ]


def test_every_fact_of_a_document_has_an_id_of_its_own() -> None:
    facts = [
        ids.event_id(DOCUMENT, 1, 12),
        ids.event_id(DOCUMENT, 11, 2),
        ids.event_id(DOCUMENT, 1, 1),
        ids.command_id(DOCUMENT, "approve", 1),
        ids.command_id(DOCUMENT, "refuse", 1),
        ids.command_id(DOCUMENT, "approve", 2),
        ids.refusal_id(DOCUMENT, ids.command_id(DOCUMENT, "approve", 1)),
        ids.document_id("a", "bc"),
        ids.document_id("ab", "c"),
    ]
    assert len(set(facts)) == len(facts)


def test_an_original_is_the_sources_own_id_or_our_document_id() -> None:
    ours = ids.document_id("shop", "1024")
    assert ids.original_id("shop", "1024") == ours
    assert ids.original_id("other", str(ours)) == ours
    assert ids.original_id("other", str(ours).upper()) == ours


@pytest.mark.parametrize(
    "own",
    [
        "6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "12345678123456781234567812345678",
        "{6bd5e2cd-b63f-5cd0-9d81-7d2f4cbc55a3}",
        "6bd5e2cdb63f5cd09d817d2f4cbc55a3",
    ],
)
def test_a_sources_own_guid_or_long_number_is_not_taken_for_our_id(own: str) -> None:
    assert ids.original_id("dynamics", own) == ids.document_id("dynamics", own)
