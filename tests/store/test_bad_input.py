"""Bad input is told as bad input: it is decided, kept and told again like anything else, however bad it is."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from hub.rules.settings import Limits, RuleSettings
from hub.store.pool import Store
from schemas import codec
from schemas.commands import Approve, Cancel, Expire, PostingFailed, PostingStarted, PostingSucceeded, Submit
from schemas.documents import DocumentRequest, Kind, LineRequest, Method
from tests.rules.world import START, line, request
from tests.store.company import command, decide, decided, disagreements, submit

EDGE = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
"""Before the first moment Python, or PostgreSQL, can name in UTC."""

LONG = "ک" * 100_000
ODD = "\x1f\u202e\ud7ff\U0010ffff"

REQUESTS: dict[str, DocumentRequest] = {
    "no lines": request(lines=()),
    "10,000 lines": request(lines=(line(),) * 10_000),
    "the same line number twice": request(lines=(line(number=1), line("CPU", number=1))),
    "a given number and a counted one": request(lines=(line(number=2), line("CPU"))),
    "line numbers out of any integer's reach": request(lines=(line(number=2**63), line(number=-1), line(number=0))),
    "an unknown product": request(lines=(line("NOTHING"),)),
    "an inactive product": request(lines=(line("OLD"),)),
    "an unknown warehouse": request(warehouse="NOWHERE"),
    "an inactive warehouse": request(warehouse="SHUT"),
    "an unknown account": request(account="NOBODY"),
    "an inactive account": request(account="LEFT"),
    "no account": request(account=None),
    "no warehouse": request(warehouse=None),
    "odd codes": request(account=ODD, warehouse=ODD, lines=(line(ODD, attribute=ODD),)),
    "endless codes": request(account=LONG, warehouse=LONG, lines=(line(LONG, attribute=LONG),)),
    "an endless note": request(note=LONG),
    "an original without end": request(kind=Kind.SALES_RETURN, original=LONG),
    "a transfer to where it comes from": request(kind=Kind.TRANSFER, to_warehouse="MAIN"),
    "a receipt of nothing": request(kind=Kind.RECEIPT, amount=0, method=Method.CASH),
    "a receipt of more than there is": request(kind=Kind.RECEIPT, amount=10**30, method=Method.CASH),
    "another currency": request(currency="USD"),
    "the first day": request(date=date.min),
    "the last day": request(date=date.max),
    "tax out of reach": request(tax=-(10**30)),
    **{
        f"a quantity of {quantity}": request(lines=(line(quantity=Decimal(quantity)),))
        for quantity in (
            "0", "-0", "-1", "NaN", "sNaN", "Infinity", "-Infinity", "0.000001", "1.000001", "1e-400000", "1e400000",
            "100000000.00001", "1e15", "1e30",
        )
    },
    **{
        f"{field} of {amount:.0e}": request(lines=(line("INSTALL", **{field: amount}),))
        for field in ("unit_price", "discount", "vat", "duty")
        for amount in (-1, -(10**30), 10**18, 2**63, 10**30)
    },
    "a sum beyond 64 bits": request(lines=tuple(line("INSTALL", unit_price=10**18 - 1) for _ in range(20))),
    "incoming goods of an unknown attribute, without end": request(
        kind=Kind.GOODS_RECEIPT, lines=(line("RAM", attribute=LONG),)
    ),
    "incoming goods beyond any store": request(
        kind=Kind.GOODS_RECEIPT, lines=tuple(line("RAM", 100_000_000) for _ in range(900))
    ),
}  # fmt: skip


def content(asked: DocumentRequest) -> Submit:
    return Submit.of(asked, source="shop", actor="tester", now=START)


@pytest.mark.parametrize("name", REQUESTS)
async def test_it_is_decided_and_told_again(company: Store, name: str) -> None:
    sent = codec.decode_command(codec.encode(content(REQUESTS[name])))
    (first,) = await decided(company, [sent])
    event = codec.decode_event(first.event)
    assert event.type in ("document.rejected", "document.cleared", "document.held", "document.command_refused")
    assert event.reasons or event.type == "document.cleared"
    assert await decided(company, [sent]) == [first]
    assert await disagreements(company) == []


async def test_all_of_it_at_once_leaves_good_documents_alone(company: Store) -> None:
    commands = [content(msgspec.structs.replace(asked, source_id=f"N{n}")) for n, asked in enumerate(REQUESTS.values())]
    good = [submit("FIRST"), submit("LAST")]
    events = await decide(company, good[0], *commands, good[1])
    assert [events[0].type, events[-1].type] == ["document.cleared", "document.cleared"]
    assert len(events) == len(REQUESTS) + 2
    assert await disagreements(company) == []


@pytest.mark.parametrize("source_id", ["", "\x1f", LONG, "۱۲۳"], ids=["empty", "control", "endless", "Persian"])
async def test_a_document_by_any_name(company: Store, source_id: str) -> None:
    (event,) = await decide(company, content(request(source_id)))
    assert event.type == ("document.cleared" if source_id == "۱۲۳" else "document.command_refused")
    assert await disagreements(company) == []


@pytest.mark.parametrize(
    "sent",
    [
        command(Approve, "A", note=LONG),
        command(Cancel, "A", note=ODD),
        command(Expire, "A", due=EDGE),
        command(PostingFailed, "A", message=LONG, error_number=2**70),
        command(PostingSucceeded, "A", number=LONG, posted_at=START),
        command(PostingStarted, "A", revision=2**70),
        command(Cancel, "A", revision=-5),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_a_command_with_anything_in_it(company: Store, sent: Any) -> None:
    await decide(company, submit("A"))
    (first,) = await decided(company, [sent])
    assert await decided(company, [sent]) == [first]
    assert await disagreements(company) == []


async def test_a_rule_that_allows_more_lines_gets_them(company: Store) -> None:
    lines = tuple(LineRequest("CABLE", Decimal("0.1"), number=number) for number in range(2_000, 0, -1))
    (event,) = await decide(company, content(request(lines=lines)), settings=RuleSettings(limits=Limits(2_000)))
    assert event.type == "document.cleared"
    assert event.document is not None
    assert len(event.document.lines) == 2_000
    assert await disagreements(company) == []
