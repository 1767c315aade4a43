"""``hub preview FILE``: what would become of a document, without deciding anything."""

import asyncio
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console, RenderableType
from rich.table import Table

from hub.api import bodies
from hub.api.answers import CreditSum, Preview, PreviewStock
from hub.api.preview import look_ahead
from hub.api.problems import Problem
from hub.rules.deciding import quantity_text
from hub.runtime import policies, servers
from hub.runtime.config import DEFAULT_POLICY, Config
from hub.runtime.console import screen, show, styled, table
from hub.runtime.failures import Failure
from hub.runtime.policies import Saying
from hub.runtime.problems import Phrase
from hub.runtime.words import KINDS, STATES, state_style
from hub.store import reading
from schemas.documents import DocumentLine, State
from schemas.text import group

ACTOR: Final = "hub preview"
_WIDE: Final = 100
"""Columns from which a line's every amount has room."""
_REFUSED: Final = Phrase("refused", "پذیرفته نمی‌شود")


class Look(NamedTuple):
    """What is shown: the preview, the names of its products, and the policy's values with where they come from."""

    preview: Preview
    products: dict[str, str]
    policy: list[Saying]


def preview(config: Config, args: Namespace) -> int:
    """Show what the rules would make now of the document in a file (``-``: standard input)."""
    sent = _read(args.file)
    try:
        look = asyncio.run(_look(config, sent, args.source or DEFAULT_POLICY))
    except Problem as problem:
        raise _nonsense(args.file, problem) from problem
    tell(screen(), look)
    return 0


def _read(name: str) -> Mapping[str, object]:
    """The JSON object in a file. Raises Failure."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Failure(f"{name} can't be read: {error.strerror}.") from error
    try:
        return bodies.json_object(bodies.json_value(data))
    except Problem as problem:
        raise _nonsense(name, problem) from problem


def _nonsense(name: str, problem: Problem) -> Failure:
    if not problem.errors:
        return Failure(f"{name}: {problem.en}.\n  {problem.fa}.")
    told = [f"{each.field or 'the document'}: {each.message}\n  {each.message_fa}" for each in problem.errors]
    return Failure(f"{name} isn't a document that could be decided:", "\n  ".join(told))


async def _look(config: Config, sent: Mapping[str, object], source: str) -> Look:
    async with servers.opened_store(config) as store:
        found = await look_ahead(store, config.rule_settings(), sent, source, ACTOR)
        codes = sorted({line.product for line in found.stock})
        names = await reading.names(store, "products", codes)
    return Look(found, names, policies.sayings(config, source, found.policy.kind))


def tell(console: Console, look: Look) -> None:
    """The preview on the screen. Persian stands in cells of its own."""
    found = look.preview
    show(console, _head(look))
    if found.reasons:
        grid = _grid()
        for why in found.reasons:
            line = f"line {why.line}" if why.line is not None else ""
            grid.add_row(styled(why.code, "dim"), line, why.en, why.fa)
        show(console, "", styled("Why", "bold"), grid)
    if found.stock:
        show(console, "", styled("Lines", "bold"), _lines(console, look))
    if found.credit:
        show(console, "", styled("Credit, in rials", "bold"), _credit(found.credit))
    rows = [(each.setting.replace("_", " "), each.value, each.origin, each.meaning.en) for each in look.policy]
    show(console, "", styled("Policy that applies", "bold"), table(console, ("", "", "", ""), rows))
    show(console, "", styled("Nothing was stored, reserved or promised.", "dim"))


def _grid() -> Table:
    return Table.grid(padding=(0, 3, 0, 0))


def _head(look: Look) -> Table:
    found, grid = look.preview, _grid()
    state = next((each for each in State if each.value == found.outcome), None)
    words = STATES[state] if state else _REFUSED
    kind, totals, source = KINDS[found.policy.kind], found.totals, found.policy.source
    grid.add_row(styled("it would be", "dim"), styled(words.en, f"bold {state_style(state)}"), words.fa)
    grid.add_row(styled("kind", "dim"), kind.en, kind.fa)
    grid.add_row(styled("source", "dim"), "any without a policy" if source == DEFAULT_POLICY else source, "")
    if totals.gross:
        less = f" ({group(totals.gross)} less {group(totals.discount)})" if totals.discount else ""
        grid.add_row(styled("net", "dim"), f"{group(totals.net)}{less}", "")
        grid.add_row(styled("tax", "dim"), f"VAT {group(totals.vat)} + duty {group(totals.duty)}", "")
        grid.add_row(styled("payable", "dim"), styled(f"{group(totals.payable)} rials", "bold"), "")
    return grid


def _lines(console: Console, look: Look) -> Table:
    """The lines as asked, what is sellable, and what they would get."""
    priced = {line.number: line for line in look.preview.lines}
    money = ("price", "tax", "payable") if not console.is_terminal or console.width >= _WIDE else ("payable",)
    headings = ("#", "product", "name", "warehouse", "wanted", "sellable", "gets", *money)
    rows = [tuple(_line(each, priced.get(each.line), look.products, money)) for each in look.preview.stock]
    made = table(console, headings, rows)
    for column in made.columns[4:]:
        column.justify = "right"
        column.no_wrap = True
    return made


def _line(
    asked: PreviewStock, priced: DocumentLine | None, names: Mapping[str, str], money: Sequence[str]
) -> Iterator[RenderableType]:
    attribute = f" [{asked.attribute}]" if asked.attribute else ""
    yield str(asked.line)
    yield f"{asked.product}{attribute}"
    yield names.get(asked.product, "")
    yield asked.warehouse or ""
    yield asked.wanted
    yield asked.sellable or ""
    if priced is None:
        yield from [""] * (1 + len(money))
        return
    yield quantity_text(priced.reserved) if priced.reserved else ""
    rials = {"price": priced.unit_price, "tax": priced.vat + priced.duty, "payable": priced.payable}
    yield from (group(rials[each]) for each in money)


def _credit(credit: CreditSum) -> Table:
    grid = _grid()
    for label, amount, persian in (
        ("direct", credit.direct, "اعتبار مستقیم"),
        ("documentary", credit.documentary, "اعتبار اسنادی"),
        ("balance", -credit.balance, "مانده"),
        ("uncleared cheques", -credit.uncleared_cheques, "چک‌های وصول‌نشده"),
        ("held by the hub", -credit.held, "در دست هاب"),
    ):
        if amount:
            grid.add_row(styled(label, "dim"), group(amount), persian)
    grid.add_row(styled("instant", "dim"), styled(group(credit.instant), "bold"), "اعتبار لحظه‌ای")
    grid.columns[1].justify = "right"
    return grid
