"""A system that leaves CSV files in a folder."""

import csv
import io
from collections.abc import Sequence

from connectors.files.spec import Spec
from tests.soak.folder import HEADINGS, Folder


class Files(Folder):
    """Malformed orders are told in the result file, by row."""

    name = "soak-files"
    kind = "files"
    suffix = ".csv"
    spec = Spec
    mark = "F"

    def made(self, rows: Sequence[Sequence[object]]) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerows([HEADINGS, *rows])
        return text.getvalue().encode()

    async def told_malformed(self) -> int:
        told = 0
        for result in (self.root / "results").glob("*.result.csv"):
            rows = csv.DictReader(result.read_text("utf-8-sig").splitlines())
            told += sum(row.get("row", "0") not in ("", "0") for row in rows)
        return told
