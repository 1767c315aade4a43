"""A process that reads a workbook three times, as the connector does, and prints how much memory it took.

Arguments: the workbook, the result. Prints the documents, and the peak's growth over the start in MiB.
"""

import contextlib
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

from connectors.excel import importing, results
from connectors.excel.mapper import Origin
from connectors.excel.results import Verdict
from connectors.excel.spec import MAX_BYTES, MAX_ROWS
from connectors.excel.workbook import opened


def main(path: str, result: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open(path, "rb") as file, contextlib.closing(opened(file, MAX_BYTES)) as workbook:
        surveyed = importing.survey(workbook, MAX_ROWS)
        verdicts: list[list[Verdict]] = [[] for _ in surveyed.read]
        origin = Origin("branch", "excel.branch", datetime.now(UTC))
        for index, outcome in importing.mapped(workbook, surveyed, origin):
            verdicts[index].append(Verdict.of(outcome))
        read = [(*each, found) for each, found in zip(surveyed.read, verdicts, strict=True)]
        results.write(Path(result), workbook, read)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    sys.stdout.write(f"{sum(len(each) for each in verdicts)} {grown}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
