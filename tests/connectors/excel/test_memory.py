"""50,000 rows within the memory the README states."""

import asyncio
import sys
from pathlib import Path

from tests.connectors.excel import books

STATED_MIB = 150
ROWS = 50_000


async def test_fifty_thousand_rows_stay_within_the_stated_memory(tmp_path: Path) -> None:
    rows = [
        books.row(
            str(number), product=f"کالای {number}", account=f"21{number}", quantity="=1" if number % 9 == 0 else 2
        )
        for number in range(ROWS)
    ]
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
