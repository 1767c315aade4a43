"""The HTTP side: devices are enrolled, pull, push and read outcomes; operators make codes and revoke devices.

Devices are admitted by their own token (:mod:`connectors.pocket_cyber.devices`), operators by a key of the hub with the
scope ``admin``. The exchange is described for app developers in the README.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from connectors import base
from connectors.base import Context, Unauthorised, UnknownPayload
from connectors.pocket_cyber import feeds, limits, mapper
from connectors.pocket_cyber.desk import DOCUMENTS, Desk
from connectors.pocket_cyber.devices import Device, Devices, TooManyTries, refused
from connectors.pocket_cyber.exchange import (
    LOCAL_ID,
    MAX_ITEMS,
    MAX_PUSH_BYTES,
    CodeRequest,
    CreditChanges,
    CustomerChanges,
    DeviceInfo,
    DevicePage,
    DeviceShown,
    Enrolled,
    EnrolmentCode,
    EnrolRequest,
    ListChanges,
    Outcome,
    OutcomePage,
    ProductChanges,
    PushAnswer,
    PushRequest,
    StockChanges,
)
from connectors.pocket_cyber.limits import Rights
from connectors.pocket_cyber.outcomes import MAX_OUTCOMES, Reading
from connectors.pocket_cyber.push import Push, letter
from connectors.pocket_cyber.spec import Edition, Spec
from connectors.pocket_cyber.words import sentence
from schemas import text
from schemas.exchange import Endpoint, Request, Response, problem

_LOCAL_ID = re.compile(LOCAL_ID)
_SMALL: Final = 16 * 1024
_CURSOR: Final = {"cursor": "As answered last; without it everything is told anew."}
_PAGED: Final = {**_CURSOR, "limit": f"Rows a page is made of, at most {feeds.MAX_ROWS:,}; {feeds.ROWS} when absent."}

_Body = TypeVar("_Body", bound=msgspec.Struct)


def _pulled(what: str, summary: str, gives: type[msgspec.Struct]) -> Endpoint:
    return Endpoint(f"pull_{what}", "GET", f"/pull/{what}", summary, gives=gives, query=_PAGED)


class Receiver(base.Receiver[Spec]):
    """What handhelds and operators ask for."""

    endpoints = (
        Endpoint(
            "make_code",
            "POST",
            "/codes",
            "Make a code that enrols one device.",
            scope="admin",
            takes=CodeRequest,
            gives=EnrolmentCode,
            max_bytes=_SMALL,
            status=201,
        ),
        Endpoint(
            "devices",
            "GET",
            "/devices",
            "The devices, and when each last pulled and pushed.",
            scope="admin",
            gives=DevicePage,
            query={"after": "The `next` of the page before.", "limit": "Devices on a page, at most 1,000."},
        ),
        Endpoint("device", "GET", "/devices/{device}", "One device.", scope="admin", gives=DeviceShown),
        Endpoint("revoke", "DELETE", "/devices/{device}", "Admit a device no more.", scope="admin", gives=DeviceShown),
        Endpoint(
            "enrol",
            "POST",
            "/enrol",
            "Enrol a device with its code; the holder's earlier device is replaced.",
            takes=EnrolRequest,
            gives=Enrolled,
            max_bytes=_SMALL,
            status=201,
        ),
        Endpoint("me", "GET", "/me", "Who the device is, its limits and the hub's clock.", gives=DeviceInfo),
        _pulled("products", "Products of the holder's groups, with prices and units.", ProductChanges),
        _pulled("customers", "Customers of the route.", CustomerChanges),
        _pulled("stock", "Sellable stock of the holder's warehouses.", StockChanges),
        _pulled("credit", "Credit of the customers of the route.", CreditChanges),
        _pulled("lists", "What the codes of attributes, groups and cities are called.", ListChanges),
        Endpoint(
            "push",
            "POST",
            "/push",
            "Hand over documents and visits, in any order, as often as it takes.",
            takes=PushRequest,
            gives=PushAnswer,
            max_bytes=MAX_PUSH_BYTES,
        ),
        Endpoint(
            "outcomes",
            "GET",
            "/outcomes",
            "What became of the holder's documents since the cursor.",
            gives=OutcomePage,
            query={**_CURSOR, "limit": f"Changes a page is made of, at most {MAX_OUTCOMES}."},
        ),
        Endpoint("outcome", "GET", "/outcomes/{document}", "What became of one document.", gives=Outcome),
    )

    def __init__(self, spec: Spec, context: Context) -> None:
        super().__init__(spec, context)
        self.desk = Desk(spec, context)
        self.devices = Devices(spec, context.records)
        self._operators: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
            "make_code": self._make_code,
            "devices": self._list,
            "device": self._show,
            "revoke": self._revoke,
        }
        self._handhelds: Mapping[str, Callable[[Request, Device, Rights], Awaitable[Response]]] = {
            "me": self._me,
            "push": self._push,
            "outcomes": self._outcomes,
            "outcome": self._outcome,
            **{f"pull_{what}": self._pull for what in feeds.FEEDS},
        }

    async def receive(self, request: Request) -> Response:
        if request.endpoint == "enrol":
            return await self._enrol(request)
        if (operator := self._operators.get(request.endpoint)) is not None:
            return await operator(request)
        now = self.context.clock()
        device = await self.devices.admit(request.headers.get("authorization", ""), now)
        holder = limits.rights(self.spec, device.holder)
        if holder is None:
            raise refused("bad_token")
        return await self._handhelds[request.endpoint](request, device, holder)

    # --- operators

    async def _make_code(self, request: Request) -> Response:
        wanted = _body(request, CodeRequest)
        holder = text.code(wanted.holder)
        if limits.rights(self.spec, holder) is None:
            return problem(422, "invalid", sentence("no_holder", holder=holder))
        if self.spec.edition is Edition.CUSTOMERS:
            account = (await self.context.lookup.accounts([holder])).get(holder)
            if account is None or not account.active:
                return problem(422, "invalid", sentence("no_account", holder=holder))
        code, expires_at = await self.devices.new_code(holder, request.key, self.context.clock())
        self.context.logger.info("%s made an enrolment code for %s", request.key, holder)
        return _json(EnrolmentCode(code=code, holder=holder, expires_at=expires_at), 201)

    async def _list(self, request: Request) -> Response:
        limit = _limit(request, 1_000, 200)
        if isinstance(limit, Response):
            return limit
        devices, after = await self.devices.page(request.query.get("after", ""), limit, self.context.clock())
        return _json(DevicePage(devices=tuple(devices), next=after))

    async def _show(self, request: Request) -> Response:
        device = await self.devices.one(request.segments["device"], self.context.clock())
        return problem(404, "not-found", sentence("no_device")) if device is None else _json(device)

    async def _revoke(self, request: Request) -> Response:
        id_, now = request.segments["device"], self.context.clock()
        if await self.devices.revoke(id_, now) is None:
            return problem(404, "not-found", sentence("no_device"))
        self.context.logger.info("%s revoked device %s", request.key, id_)
        return await self._show(request)

    # --- handhelds

    async def _enrol(self, request: Request) -> Response:
        wanted = _body(request, EnrolRequest)
        now = self.context.clock()
        try:
            admitted = await self.devices.enrol(wanted.code, wanted.device, request.remote, now)
        except TooManyTries as tries:
            answer = problem(429, "too-many-requests", sentence("too_many_tries", seconds=tries.seconds))
            return replace(answer, headers={"Retry-After": str(tries.seconds)})
        except Unauthorised:
            self.context.logger.warning("a wrong enrolment code came from %s", request.remote)
            raise
        device = admitted.device
        holder = limits.rights(self.spec, device.holder)
        if holder is None:
            raise refused("bad_code")
        self.context.logger.info("device %s of %s is enrolled", device.id, device.holder)
        return _json(Enrolled(token=admitted.token, me=self._told(device, holder, now)), 201)

    def _told(self, device: Device, holder: Rights, now: datetime) -> DeviceInfo:
        return DeviceInfo(
            device=device.id,
            holder=device.holder,
            edition=self.spec.edition,
            source=self.desk.source,
            limits=holder.granted(),
            server_time=now,
            token_expires_at=device.expires_at,
        )

    async def _me(self, _: Request, device: Device, holder: Rights) -> Response:
        now = self.context.clock()
        await self.devices.saw(device, any_at=now)
        return _json(self._told(device, holder, now))

    async def _pull(self, request: Request, device: Device, holder: Rights) -> Response:
        rows = _limit(request, feeds.MAX_ROWS, feeds.ROWS)
        if isinstance(rows, Response):
            return rows
        feed = request.endpoint.removeprefix("pull_")
        page = await feeds.page(self.context.lookup, holder, feed, request.query.get("cursor", ""), rows)
        now = self.context.clock()
        await self.devices.saw(device, pull_at=now, any_at=now)
        return _tagged(request, page)

    async def _push(self, request: Request, device: Device, holder: Rights) -> Response:
        now = self.context.clock()
        try:
            batch = mapper.batch(request.body)
        except UnknownPayload as error:
            # Whoever sent it is known, so it is kept for a person to look at; the handheld keeps it too.
            kept = letter(self.context, holder.holder, device.id, request.body, str(error), "push")
            await self.context.publisher.dead_letters([kept])
            raise
        if (count := len(batch.documents) + len(batch.visits)) > MAX_ITEMS:
            return problem(413, "too-large", sentence("too_many_items", count=count, limit=MAX_ITEMS))
        push = Push(self.context, self.desk, holder, device.id, now)
        answer = PushAnswer(
            documents=await push.documents([bytes(each) for each in batch.documents]),
            visits=await push.visits([bytes(each) for each in batch.visits]),
            server_time=now,
            clock_skew_seconds=_seconds(batch.sent_at, now),
        )
        await self.devices.saw(device, push_at=now, any_at=now, skew_seconds=answer.clock_skew_seconds)
        return _json(answer)

    async def _outcomes(self, request: Request, device: Device, holder: Rights) -> Response:
        limit = _limit(request, MAX_OUTCOMES, MAX_OUTCOMES)
        if isinstance(limit, Response):
            return limit
        page = await self._reading(holder).page(request.query.get("cursor", ""), limit)
        await self.devices.saw(device, any_at=self.context.clock())
        return _tagged(request, page)

    async def _outcome(self, request: Request, _: Device, holder: Rights) -> Response:
        local_id = request.segments["document"]
        if not _LOCAL_ID.fullmatch(local_id):
            return problem(404, "not-found", sentence("no_document"))
        found = await self._reading(holder).one(local_id)
        if found is None:
            key = mapper.source_id(holder.holder, local_id)
            if key not in await self.context.records.get(DOCUMENTS, [key]):
                return problem(404, "not-found", sentence("no_document"))
            found = mapper.outcome(local_id, self.desk.source, holder.holder, None)
        return _json(found)

    def _reading(self, holder: Rights) -> Reading:
        return Reading(self.desk.source, holder.holder, self.context.records, self.context.lookup)


def _body(request: Request, struct: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(request.body, type=struct)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise mapper.unreadable(str(error)) from None


def _limit(request: Request, most: int, usual: int) -> int | Response:
    """The query's ``limit``, or the answer to a wrong one."""
    written = text.latin_digits(request.query.get("limit", str(usual)))
    if written.isdecimal() and len(written) <= 6 and 1 <= int(written) <= most:
        return int(written)
    return problem(400, "bad-request", sentence("limit", limit=most))


def _seconds(theirs: datetime, ours: datetime) -> int:
    return round((theirs - ours).total_seconds())


def _json(struct: msgspec.Struct, status: int = 200) -> Response:
    return Response(status, msgspec.json.encode(struct))


def _tagged(request: Request, struct: msgspec.Struct) -> Response:
    """The answer with an ETag of what it says; 304 to who has it already."""
    body = msgspec.json.encode(struct)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    theirs = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    return Response(304, headers=headers) if tag in theirs else Response(200, body, headers=headers)
