"""A process that reads a workbook three times, as the connector does, and prints how much memory it took.

Arguments: the workbook, the result. Prints the documents, and the peak's growth over the start in MiB.
"""

import contextlib
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from connectors.excel import importing, results
from connectors.excel.mapper import Origin
from connectors.excel.results import Verdict
from connectors.excel.spec import MAX_BYTES, MAX_ROWS
from connectors.excel.workbook import opened


def peak() -> int:
    """The most memory this process ever had, in KiB. (``ru_maxrss`` begins with what its parent had.)"""
    [peak] = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(peak)


def main(path: str, result: str) -> None:
    before = peak()
    with open(path, "rb") as file, contextlib.closing(opened(file, MAX_BYTES)) as workbook:
        surveyed = importing.survey(workbook, MAX_ROWS)
        verdicts: list[list[Verdict]] = [[] for _ in surveyed.read]
        origin = Origin("branch", "excel.branch", datetime.now(UTC))
        room = results.MAX_TOLD
        for index, outcome in importing.mapped(workbook, surveyed, origin):
            verdicts[index].append(Verdict.of(outcome, room))
            room -= len(verdicts[index][-1].complaints)
        read = [(*each, found) for each, found in zip(surveyed.read, verdicts, strict=True)]
        results.write(Path(result), workbook, read)
    grown = (peak() - before) // 1024
    sys.stdout.write(f"{sum(len(each) for each in verdicts)} {grown}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
