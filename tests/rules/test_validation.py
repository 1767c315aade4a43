"""What is wrong with a request by itself, and where: the table of cases/validation.yml."""

import ast
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.rules import validation
from hub.rules.settings import Limits
from hub.rules.validation import problems
from schemas.documents import DocumentRequest, Kind
from schemas.reasons import SENTENCES
from tests.rules.tables import Case, cases
from tests.rules.world import company, line, request


class ValidationCase(Case, forbid_unknown_fields=True, kw_only=True):
    kind: Kind = Kind.SALES_INVOICE
    set: dict[str, Any] = msgspec.field(default_factory=dict)
    repeat_first_line: int | None = None
    repeat_note: int | None = None
    wrong: dict[str, str]


CASES = cases("validation", ValidationCase)


def altered(case: ValidationCase) -> DocumentRequest:
    lines = {} if case.kind is Kind.RECEIPT else {"lines": (line("RAM", 2, unit_price=1_000), line("CPU", 1))}
    sent = msgspec.to_builtins(request("A", case.kind, **lines))
    for path, value in case.set.items():
        place, name = sent, path
        if in_line := re.fullmatch(r"lines\[(\d+)\]\.(\w+)", path):
            place, name = sent["lines"][int(in_line[1])], in_line[2]
        place[name] = None if value == "none" else value
    if case.repeat_first_line:
        sent["lines"] = sent["lines"][:1] * case.repeat_first_line
    if case.repeat_note:
        sent["note"] = "ن\n" * (case.repeat_note // 2) + "x" * (case.repeat_note % 2)
    return msgspec.convert(sent, DocumentRequest)


@pytest.mark.parametrize("case", CASES)
def test_validation(case: ValidationCase) -> None:
    found = problems(altered(case), Limits())
    assert [(why.field, why.code) for why in found] == list(case.wrong.items())
    for why in found:
        numbered = re.fullmatch(r"lines\[(\d+)\]\.(\w+)", why.field or "")
        if numbered and numbered[2] != "number":
            assert why.line == int(numbered[1]) + 1


def test_every_code_of_validation_has_a_case() -> None:
    tree = ast.parse(Path(validation.__file__).read_text("utf-8"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    codes = strings & SENTENCES.keys()
    assert codes == {code for case in CASES for code in case.values[0].wrong.values()}


@pytest.mark.parametrize("kind", Kind)
def test_a_good_document_of_every_kind_is_fine(kind: Kind) -> None:
    assert problems(request("A", kind), Limits()) == ()


def test_what_is_quoted_of_a_monstrous_value_stays_short() -> None:
    sent = request(
        currency="X" * 1_000,
        lines=(line("RAM", "-" + "9" * 5_000), line("RAM", "9" * 5_000), line("RAM", "1." + "9" * 5_000)),
    )
    found = problems(sent, Limits())
    assert [why.code for why in found] == [
        "currency",
        "quantity_not_positive",
        "quantity_absurd",
        "quantity_decimals",
    ]
    assert all(len(why.en) < 200 and len(why.fa) < 200 for why in found)


def test_an_amount_of_any_size_is_told_short() -> None:
    found = problems(request(tax=-(10**4_000), lines=(line(unit_price=-(10**4_000)),)), Limits())
    assert [why.code for why in found] == ["amount_negative", "amount_negative"]
    assert all(len(why.en) < 200 for why in found)


def test_limits_are_those_given() -> None:
    limits = Limits(max_lines=1, max_quantity=company().stock["RAM", "MAIN", ""].in_books)
    assert [why.code for why in problems(request(lines=(line("RAM", 1_001),)), limits)] == ["quantity_absurd"]
    assert [why.code for why in problems(request(lines=(line(), line())), limits)] == ["too_many_lines"]


def test_all_that_is_wrong_is_told_at_once() -> None:
    sent = request(currency="USD", account=None, lines=(line("", 0), line("RAM", "0.000001", unit_price=-1)))
    assert [why.field for why in problems(sent, Limits())] == [
        "currency",
        "account",
        "lines[0].quantity",
        "lines[0].product",
        "lines[1].quantity",
        "lines[1].unit_price",
    ]
