"""The HTTP side: workbooks come in, their state and results go out, templates are given.

Everything asks for a key of the hub. Documents are of the key's source, and a key sees the workbooks of its own source
only. A workbook is looked through before it is accepted; what is left to do then survives a crash.
"""

import contextlib
import hashlib
import io
from functools import partial
from typing import ClassVar, Final

import msgspec

from connectors import base
from connectors.base import Context, Rejected, UnknownPayload
from connectors.excel import keeping, templates
from connectors.excel.importing import survey
from connectors.excel.keeping import Import, Keeping, import_id
from connectors.excel.mapper import BadWorkbook, Complaint
from connectors.excel.spec import MAX_BYTES, Spec
from connectors.excel.words import sentence
from connectors.excel.workbook import opened
from connectors.files.client import in_thread
from schemas.exchange import Endpoint, Request, Response, problem

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class CellProblem(msgspec.Struct, frozen=True):
    """What is wrong, in which sheet and cell (or column or row; empty for the whole), in both languages."""

    sheet: str
    cell: str
    code: str
    fa: str
    en: str

    @classmethod
    def of(cls, complaint: Complaint) -> "CellProblem":
        """A complaint as it is told."""
        sheet, cell, reason = complaint.sheet, complaint.cell, complaint.reason
        return cls(sheet, cell, reason.code, reason.fa, reason.en)


class WorkbookState(msgspec.Struct, frozen=True):
    """How far a workbook is: ``accepted``, ``reading``, ``deciding``, ``done`` or ``failed`` (nothing was taken).

    ``known``: the same bytes came before, and this is that import. ``documents`` were handed over, ``repeated`` of them
    had come before with the same content, ``refused`` groups of rows are no document, ``decided`` have their decision.
    ``states`` counts what became of them, once it is done. ``problems`` are the first hundred; the result tells all.
    """

    id: str
    phase: str
    known: bool
    rows: int
    documents: int
    repeated: int
    refused: int
    decided: int
    states: dict[str, int]
    problems: tuple[CellProblem, ...]
    state_url: str
    result_url: str | None


class Receiver(base.Receiver[Spec]):
    """Takes workbooks by HTTP."""

    endpoints: ClassVar[tuple[Endpoint, ...]] = (
        Endpoint(
            "submit_workbook",
            "POST",
            "/workbooks",
            "Submit a workbook (.xlsx). It is looked through, kept and worked off; ask its state_url how far it is. "
            "The same bytes again are the same import.",
            scope="documents:write",
            takes=XLSX,
            gives=WorkbookState,
            max_bytes=MAX_BYTES,
            status=202,
        ),
        Endpoint(
            "workbook_state",
            "GET",
            "/workbooks/{id}",
            "How far a workbook is, and what is wrong with it.",
            scope="documents:read",
            gives=WorkbookState,
        ),
        Endpoint(
            "workbook_result",
            "GET",
            "/workbooks/{id}/result",
            "The workbook as it came, with what became of each row and the errors at their cells.",
            scope="documents:read",
            gives=XLSX,
        ),
        Endpoint(
            "workbook_template",
            "GET",
            "/templates/{kind}",
            f"An empty workbook to fill in; kind is one of {', '.join(templates.NAMES)}.",
            scope="documents:read",
            gives=XLSX,
        ),
    )

    def __init__(self, spec: Spec, context: Context) -> None:
        super().__init__(spec, context)
        self._keeping = Keeping(context.records)

    async def receive(self, request: Request) -> Response:
        match request.endpoint:
            case "submit_workbook":
                return await self._submit(request)
            case "workbook_state":
                return await self._state(request)
            case "workbook_result":
                return await self._result(request)
            case _:
                return await self._template(request)

    async def _submit(self, request: Request) -> Response:
        if len(request.body) > self.spec.max_bytes:
            raise Rejected(
                f"a workbook may have {self.spec.max_bytes:,} bytes; make it several",
                fa=f"کارپوشه حداکثر {self.spec.max_bytes:,} بایت است؛ آن را چند کارپوشه کنید",
            )
        try:
            await in_thread(partial(self._look_through, request.body))
        except BadWorkbook as bad:
            raise UnknownPayload(_sentences(bad, "en"), fa=_sentences(bad, "fa")) from bad
        id_ = import_id(request.source, hashlib.sha256(request.body).hexdigest())
        fresh = Import(id_, request.source, self.context.clock())
        entry, known = await self._keeping.accept(fresh, request.body)
        return self._told(entry, status=202, known=known)

    def _look_through(self, body: bytes) -> None:
        with contextlib.closing(opened(io.BytesIO(body), self.spec.max_bytes)) as workbook:
            survey(workbook, self.spec.max_rows)

    async def _state(self, request: Request) -> Response:
        entry = await self._entry(request)
        return self._told(entry) if entry is not None else _unknown()

    async def _result(self, request: Request) -> Response:
        entry = await self._entry(request)
        if entry is None:
            return _unknown()
        if not entry.is_over:
            return problem(409, "not-ready", sentence("workbook_not_ready"))
        body = await self._keeping.read(keeping.RESULTS, entry.id, entry.pieces)
        return Response(200, body, XLSX, _named(f"result-{entry.id[:12]}.xlsx"))

    async def _template(self, request: Request) -> Response:
        kind = request.segments.get("kind", "")
        if kind not in templates.NAMES:
            return problem(404, "not-found", sentence("template_unknown", known=", ".join(templates.NAMES)))
        body = await in_thread(partial(templates.template, kind, self.spec.warehouses))
        return Response(200, body, XLSX, _named(f"{kind}.xlsx"))

    async def _entry(self, request: Request) -> Import | None:
        """The import that was asked for, if it is of the caller's source."""
        entry = await self._keeping.find(request.segments.get("id", ""))
        return entry if entry is not None and entry.source == request.source else None

    def _told(self, entry: Import, *, status: int = 200, known: bool = False) -> Response:
        at = f"/{self.mount}/{self.context.kind}/{self.context.instance}/workbooks/{entry.id}"
        state = WorkbookState(
            id=entry.id,
            phase=entry.phase,
            known=known,
            rows=entry.rows,
            documents=entry.documents,
            repeated=entry.repeated,
            refused=entry.refused,
            decided=entry.decided,
            states=entry.states,
            problems=tuple(CellProblem.of(each) for each in entry.problems),
            state_url=at,
            result_url=f"{at}/result" if entry.is_over else None,
        )
        return Response(status, msgspec.json.encode(state), headers={"Location": at} if status == 202 else {})


def _sentences(bad: BadWorkbook, language: str) -> str:
    return "; ".join(
        f"{each.sheet}!{each.cell}: {text}" if each.cell else text
        for each in bad.problems[:10]
        for text in [each.reason.fa if language == "fa" else each.reason.en]
    )


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _unknown() -> Response:
    return problem(404, "not-found", sentence("workbook_unknown"))
