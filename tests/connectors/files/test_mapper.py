"""Recorded files in, exact commands, records and complaints out.

Each folder of ``fixtures`` has one file as a customer's program writes it, and ``expected.json``.
"""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.files import connector, mapper, rows, words
from connectors.files.mapper import Complaint, Mapper, Origin, Outcome
from connectors.files.rows import MAX_ROW_BYTES, BadFile, Row
from connectors.files.spec import Spec
from schemas import codec
from schemas.commands import Amend, Submit
from schemas.documents import DocumentRequest, LineRequest
from schemas.intake import MASTER_KINDS
from schemas.visits import Visit
from tests.properties import PROPERTY

FIXTURES = sorted(Path(__file__).with_name("fixtures").iterdir())
NOW = datetime(2024, 3, 21, 8, 30, tzinfo=UTC)
ORIGIN = Origin("branch", "files.branch", datetime(2024, 3, 20, 11, 34, tzinfo=UTC))
SOME = ["source_id,kind,date,product,quantity", "A,quote,1403/01/01,P1,1"]


class Reading(NamedTuple):
    """A file read to its end: every outcome in order, and all the rows."""

    outcomes: list[Outcome]
    rows: list[Row]
    from_row: Callable[[int], list[Outcome]]
    """Reads the file anew, the rows after one."""


def read(name: str, lines: Iterable[bytes], encoding: str = "utf-8", *, size: int = 500) -> Reading:
    content = list(lines)
    form = rows.form_of(name, encoding, content, ignore=("نادیده",))
    apart = rows.scattered(rows.rows(content, form)) if form.grouped else frozenset()

    def from_row(after: int) -> list[Outcome]:
        todo = [row for row in rows.rows(content, form) if row.number > after]
        mapping = Mapper(form, ORIGIN, apart)
        outcomes = [mapping.take(todo[at : at + size], NOW) for at in range(0, len(todo), size)]
        return [*outcomes, mapping.finish(NOW)]

    return Reading(from_row(0), list(rows.rows(content, form)), from_row)


def read_text(*lines: str, name: str = "documents.csv", size: int = 500) -> Reading:
    return read(name, [f"{line}\r\n".encode() for line in lines], size=size)


def read_fixture(folder: Path, *, size: int = 500) -> Reading:
    (file,) = (path for path in folder.iterdir() if path.name != "expected.json")
    encoding = "windows-1256" if "windows-1256" in folder.name else "utf-8"
    return read(file.name, file.read_bytes().splitlines(keepends=True), encoding, size=size)


def messages(outcomes: list[Outcome]) -> list[Any]:
    return [message for outcome in outcomes for message in (*outcome.commands, *outcome.records)]


def complaints(outcomes: list[Outcome]) -> list[Complaint]:
    return [complaint for outcome in outcomes for refused in outcome.refused for complaint in refused.complaints]


def codes(reading: Reading) -> list[tuple[int, str, str]]:
    return [(row, column, reason.code) for row, column, reason in complaints(reading.outcomes)]


def accepted(reading: Reading) -> list[str]:
    return [message.source_id for message in messages(reading.outcomes)]


def told(outcomes: list[Outcome]) -> dict[str, Any]:
    """What ``expected.json`` holds."""
    return {
        "messages": [
            {"is": type(message).__name__, **json.loads(codec.encode(message))} for message in messages(outcomes)
        ],
        "complaints": [
            {"row": row, "column": column, "code": reason.code, "fa": reason.fa, "en": reason.en}
            for row, column, reason in complaints(outcomes)
        ],
    }


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_a_recorded_file_gives_exactly_this(folder: Path) -> None:
    assert told(read_fixture(folder).outcomes) == json.loads((folder / "expected.json").read_text("utf-8"))


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_the_size_of_batches_makes_no_difference(folder: Path) -> None:
    assert told(read_fixture(folder, size=1).outcomes) == told(read_fixture(folder).outcomes)


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_resumed_after_any_batch_nothing_is_lost_or_told_twice(folder: Path) -> None:
    resumes_alike(read_fixture(folder, size=1))


def resumes_alike(reading: Reading) -> None:
    whole = told(reading.outcomes)
    for count, outcome in enumerate(reading.outcomes, 1):
        both = [*reading.outcomes[:count], *reading.from_row(outcome.through)]
        assert told(both) == whole


def test_the_fixtures_show_everything_the_spec_says_it_emits_and_nothing_else() -> None:
    emitted = {type(message) for folder in FIXTURES for message in messages(read_fixture(folder).outcomes)}
    assert emitted == Spec.emits


def test_a_heading_for_every_field_and_every_field_has_a_heading() -> None:
    of_documents = {*DocumentRequest.__struct_fields__, *LineRequest.__struct_fields__} - {"lines"}
    assert set(words.HEADINGS[words.DOCUMENTS]) == of_documents
    of_visits = {*Visit.__struct_fields__} - {"id", "source", "visitor"}
    assert set(words.HEADINGS[words.VISITS]) == of_visits
    for kind, struct in MASTER_KINDS.items():
        assert set(words.HEADINGS[kind]) == set(struct.__struct_fields__)


def test_the_readme_tells_each_heading() -> None:
    readme = Path(connector.__file__).with_name("README.md").read_text("utf-8")
    for kind in (words.DOCUMENTS, *MASTER_KINDS):
        for field, names in words.HEADINGS[kind].items():
            assert f"| {kind} | `{field}` | {'، '.join(names)} |" in readme


@pytest.mark.parametrize("kind", words.HEADINGS)
def test_no_heading_means_two_fields(kind: str) -> None:
    names = [words.spelling(name) for field, names in words.HEADINGS[kind].items() for name in (field, *names)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "kind", "format"),
    [
        ("products.csv", "products", ".csv"),
        ("Product-1403-01.CSV", "products", ".csv"),
        ("documents_17.ndjson", "documents", ".jsonl"),
        ("كالاها.csv", "products", ".csv"),
        ("موجودی انبار کرج.jsonl", "stock", ".jsonl"),
        ("طرف‌حساب‌ها.csv", "accounts", ".csv"),
        ("سند ۱۲.csv", "documents", ".csv"),
    ],
)
def test_a_name_says_what_the_file_holds(name: str, kind: str, format: str) -> None:
    assert rows.kind_and_format(name) == (kind, format)


@pytest.mark.parametrize("name", ["orders.csv", "products.xlsx", "products", "my products.csv", ".csv", ""])
def test_a_name_that_says_nothing_fails_the_file(name: str) -> None:
    with pytest.raises(BadFile) as bad:
        rows.kind_and_format(name)
    assert bad.value.reason.code == "file_unknown"


@pytest.mark.parametrize(
    ("heading", "code", "column"),
    [
        ("", "file_empty", ""),
        ("\r\n", "heading_unreadable", ""),
        ("code,name,colour\r\n", "column_unknown", "colour"),
        ("code,name,نام کالا\r\n", "column_twice", "نام کالا"),
        ("name,price\r\n", "column_missing", ""),
        ('code,"name\r\n', "heading_unreadable", ""),
        ("\ufeff", "file_empty", ""),
        ("code,name" + "," * MAX_ROW_BYTES, "heading_unreadable", ""),
    ],
)
def test_a_heading_that_is_wrong_fails_the_file(heading: str, code: str, column: str) -> None:
    with pytest.raises(BadFile) as bad:
        read("products.csv", heading.encode().splitlines(keepends=True))
    assert (bad.value.reason.code, bad.value.column) == (code, column)


def test_a_heading_that_is_not_text_fails_the_file() -> None:
    with pytest.raises(BadFile) as bad:
        read("products.csv", [b"code,\xff\r\n"])
    assert bad.value.reason.code == "heading_unreadable"


def test_a_column_that_is_to_be_ignored_is_passed_over() -> None:
    reading = read_text("code,name,نادیده,", "1,رم,x,", "2,رم,,y", name="products.csv")
    assert [record.code for record in messages(reading.outcomes)] == ["1", "2"]


def test_an_empty_jsonl_file_fails() -> None:
    with pytest.raises(BadFile) as bad:
        read("documents.jsonl", [])
    assert bad.value.reason.code == "file_empty"


def test_more_documents_than_memory_allows_fail_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_DOCUMENTS", 2)
    with pytest.raises(BadFile) as bad:
        read_text(SOME[0], *(f"{name},quote,1403/01/01,P,1" for name in "ABC"))
    assert bad.value.reason.code == "too_many_documents"


def test_a_row_beside_one_that_cannot_be_read_may_belong_to_either_document() -> None:
    lines = [
        line.encode() for line in ("A,quote,1403/01/01,P1,1", "B,quote,1403/01/01,P1,1", "C,quote,1403/01/01,P1,1")
    ]
    reading = read("documents.csv", [SOME[0].encode() + b"\n", lines[0] + b"\n", b"\xff\n", lines[1] + b"\n", lines[2]])
    assert accepted(reading) == ["C"]
    assert codes(reading) == [
        (2, "", "beside_unreadable"),
        (3, "", "row_not_text"),
        (4, "", "beside_unreadable"),
    ]
    resumes_alike(read("documents.csv", [SOME[0].encode() + b"\n", lines[0] + b"\n", b"\xff\n", lines[1]], size=1))


def test_a_quote_that_is_not_closed_spoils_its_row_only() -> None:
    products = ["code,name", '1,"رم', *(f"{number},x" for number in range(2, 300))]
    reading = read_text(*products, name="products.csv")
    assert [record.code for record in messages(reading.outcomes)] == [str(number) for number in range(2, 300)]
    assert codes(reading) == [(2, "", "row_quotes")]


def test_a_cell_may_hold_line_breaks_and_rows_count_as_in_a_spreadsheet() -> None:
    reading = read_text("code,name", '1,"a', 'b ""c"""', "2", name="products.csv")
    (first,) = messages(reading.outcomes)
    assert first.name == 'a\r\nb "c"'
    assert codes(reading) == [(3, "name", "required")]


def test_an_inch_mark_within_a_cell_is_no_quote() -> None:
    reading = read_text("code,name", '1,لوله 5" فولاد', '2,"لوله 6"""', name="products.csv")
    assert [record.name for record in messages(reading.outcomes)] == ['لوله 5" فولاد', 'لوله 6"']


def test_a_row_that_is_too_long_is_refused_and_the_rest_goes_on() -> None:
    long = b"1," + b"x" * MAX_ROW_BYTES
    reading = read("products.csv", [b"code,name\n", long[: MAX_ROW_BYTES + 1], b"2,y\n"])
    assert [record.code for record in messages(reading.outcomes)] == ["2"]
    assert codes(reading) == [(2, "", "row_too_long")]
    jsonl = read("products.jsonl", [long[: MAX_ROW_BYTES + 1], b'{"code":"2","name":"y"}\n'])
    assert codes(jsonl) == [(1, "", "row_too_long")]


def test_a_document_too_large_for_a_dead_letter_is_refused_and_not_kept_whole() -> None:
    padding = "x" * 10_000
    many = [f"A,quote,1403/01/01,{padding},1" for _ in range(80)]
    reading = read_text(SOME[0], *many, "B,quote,1403/01/01,P,1")
    assert accepted(reading) == ["B"]
    assert {code for _, _, code in codes(reading)} == {"document_too_large"}
    (refused,) = (refused for outcome in reading.outcomes for refused in outcome.refused)
    assert sum(len(row.raw) for row in refused.rows) <= MAX_ROW_BYTES


def test_a_document_too_large_for_kafka_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapper, "MAX_COMMAND_BYTES", 1_000)
    lines = [{"product": "P", "quantity": 1}] * 50
    document = {"source_id": "A", "kind": "quote", "date": "1403/01/01", "lines": lines}
    reading = read_text(json.dumps(document), name="documents.jsonl")
    assert codes(reading) == [(1, "", "document_too_large")]


def test_a_file_of_thousands_of_rows_is_one_document_each() -> None:
    many = [f"{number},quote,1403/01/01,P,{number}" for number in range(1, 2_001)]
    reading = read_text(SOME[0], *many)
    commands = messages(reading.outcomes)
    assert [command.document.lines[0].quantity for command in commands] == [Decimal(n) for n in range(1, 2_001)]


def test_rows_are_read_as_they_are_wanted_so_a_file_may_be_of_any_size() -> None:
    for name, heading, line in (("products.csv", b"code,name\n", b"1,x\n"), ("products.jsonl", b"", b'{"code":"1"}\n')):
        endless = chain([heading] if heading else [], repeat(line))
        form = rows.form_of(name, "utf-8", [heading or line])
        assert len(list(islice(rows.rows(endless, form), 10))) == 10


def test_a_batch_is_bounded_by_its_bytes_too() -> None:
    row = Row(2, b"x" * MAX_ROW_BYTES, {})
    assert len(connector._batch(repeat(row))) == connector.BATCH_BYTES // MAX_ROW_BYTES


def test_the_same_file_gives_the_same_ids_whenever_it_is_read() -> None:
    form = rows.form_of("documents.csv", "utf-8", [f"{SOME[0]}\n".encode()])
    row = Row(2, b"", {"source_id": "A", "kind": "quote", "date": "1403/01/01", "product": "P", "quantity": "1"})

    def ids(now: datetime) -> list[Any]:
        mapping = Mapper(form, ORIGIN)
        mapping.take([row], now)
        return [(command.document_id, command.command_id) for command in mapping.finish(now).commands]

    assert ids(NOW) == ids(datetime(2030, 1, 1, tzinfo=UTC))


def test_a_first_revision_is_submitted_and_a_later_one_amends() -> None:
    reading = read_text(SOME[0] + ",revision", SOME[1] + ",", "B,quote,1403/01/01,P,1,2")
    assert [type(command) for command in messages(reading.outcomes)] == [Submit, Amend]


NAMES = st.sampled_from(["documents.csv", "documents.jsonl", "products.csv", "stock.jsonl", "finance.csv"])
PIECES = st.sampled_from(
    [
        *(b'"', b",", b";", b"\t", b"\r\n", b"\n", b"A", b"B", b"1", b"{", b"}", b"\xff", b"\x00", b"\xef\xbb\xbf"),
        *(b"source_id", b"quote", b"1403/01/01", b"code,name", b'{"code":"1","name":"x"}', "کالا".encode()),
    ]
)


@PROPERTY
@given(NAMES, st.lists(PIECES | st.binary(max_size=5), max_size=40), st.sampled_from(["utf-8", "windows-1256"]))
def test_any_bytes_are_messages_and_complaints_and_resume_alike(name: str, pieces: list[bytes], encoding: str) -> None:
    heading = {"documents.csv": SOME[0], "products.csv": "code,name", "finance.csv": "account,balance"}.get(name, "")
    content = heading.encode() + b"\n" + b"".join(pieces) if heading else b"".join(pieces)
    try:
        reading = read(name, content.splitlines(keepends=True), encoding, size=1)
    except BadFile as bad:
        assert name.endswith(".jsonl") or bad.reason.code == "heading_unreadable"  # noqa: PT017 - which is the point
        return
    for message in messages(reading.outcomes):
        assert codec.decode_as(codec.encode(message), type(message)) == message
    resumes_alike(reading)
