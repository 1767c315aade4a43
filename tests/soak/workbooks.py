"""People who leave workbooks in a folder."""

from collections.abc import Sequence

from connectors.excel.spec import Spec
from schemas.deadletters import DeadLetter
from tests.connectors.excel.books import made
from tests.soak.folder import HEADINGS, Folder


class Workbooks(Folder):
    """Malformed orders are told as dead letters."""

    name = "soak-excel"
    kind = "excel"
    suffix = ".xlsx"
    spec = Spec
    mark = "E"

    def made(self, rows: Sequence[Sequence[object]]) -> bytes:
        return made({"documents": [HEADINGS, *rows]})

    async def told_malformed(self) -> int:
        letters: list[DeadLetter] = await self.around.dead_letters()
        return len({letter.id for letter in letters if letter.handler == "excel.soak" and "three" in letter.reason})
