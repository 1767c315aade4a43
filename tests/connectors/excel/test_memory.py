"""50,000 rows within the memory the README states."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from tests.connectors.excel import books

STATED_MIB = 150
ROWS = 50_000


def _right(number: int) -> list[Any]:
    return books.row(str(number), product=f"کالای {number}", account=f"21{number}")


def _wrong(number: int) -> list[Any]:
    """A row with nothing right but its number."""
    wrong = f"غلط {number}"
    return books.row(
        str(number), date=wrong, account="=1", warehouse="=1", product="=1", quantity=wrong, unit_price=wrong
    )


async def test_fifty_thousand_rows_stay_within_the_stated_memory(tmp_path: Path) -> None:
    rows = [_wrong(number) if number % 9 else _right(number) for number in range(ROWS)]
    workbook, result = tmp_path / "workbook.xlsx", tmp_path / "result.xlsx"
    workbook.write_bytes(books.invoices(*rows))
    del rows
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.connectors.excel.memory", workbook, result, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    documents, grown = output.split()
    assert int(documents) == ROWS
    assert int(grown) < STATED_MIB
