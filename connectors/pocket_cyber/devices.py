"""Devices: enrolled with a code that works once, admitted by a token that is kept hashed, one live device per holder.

A code has 40 random bits and lives for minutes, with few tries per address; a token has 256, so no slow hash is needed
for either. Everything is in Records, so any process of the API may answer.
"""

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from connectors.base import Records, Retryable, Unauthorised
from connectors.pocket_cyber.exchange import DeviceShown, DeviceState
from connectors.pocket_cyber.spec import Spec
from connectors.pocket_cyber.words import sentence
from schemas import text
from schemas.dates import Moment

_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without 0, 1, I and O: codes are read out over the telephone."""
_CODE_LENGTH: Final = 8
_MARK: Final = "pcd"
_WRITES: Final = 50
"""How often a write is tried against others writing the same."""
_PAGE: Final = 1_000

CODES: Final = "codes"
TRIES: Final = "tries"
DEVICES: Final = "devices"
HOLDERS: Final = "holders"
SEEN: Final = "seen"


class _Code(msgspec.Struct, frozen=True):
    holder: str
    expires_at: Moment
    made_by: str


class _Tries(msgspec.Struct, frozen=True):
    count: int
    since: Moment


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One enrolled device; the token itself is kept nowhere."""

    id: str
    holder: str
    name: str
    token_sha256: str
    enrolled_at: Moment
    expires_at: Moment
    code_by: str
    """The hub key that made its code."""
    revoked_at: Moment | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a device last did what."""

    pull_at: Moment | None = None
    push_at: Moment | None = None
    any_at: Moment | None = None
    skew_seconds: int | None = None


class Admitted(NamedTuple):
    """A new device and its token, which is told once."""

    device: Device
    token: str


class TooManyTries(Exception):
    """Enrolment isn't heard from this address for ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Devices:
    """The devices of one instance. Every method raises :exc:`Retryable` while Records are away."""

    def __init__(self, spec: Spec, records: Records) -> None:
        self._spec = spec
        self._records = records

    async def new_code(self, holder: str, by: str, now: datetime) -> tuple[str, datetime]:
        """A code that enrols one device of the holder, and when it ends; ``by`` is who asks for it."""
        expires_at = now + self._spec.code_lifetime
        value = msgspec.json.encode(_Code(holder, expires_at, by))
        while True:
            code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
            if await self._records.put_new(CODES, _digest(code), value):
                return f"{code[:4]}-{code[4:]}", expires_at

    async def enrol(self, code: str, name: str, remote: str, now: datetime) -> Admitted:
        """Admit a device for a code, which is used up by it; the holder's earlier device is not admitted any more.

        Raises :exc:`TooManyTries` and :exc:`Unauthorised`.
        """
        await self._count_try(remote, now)
        holder, by = await self._use(code, now)
        await self._records.put(TRIES, {remote: None})
        id_, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        token = f"{_MARK}_{id_}_{secret}"
        device = Device(
            id=id_,
            holder=holder,
            name=text.normalise(name),
            token_sha256=_digest(token),
            enrolled_at=now,
            expires_at=now + self._spec.token_lifetime,
            code_by=by,
        )
        await self._records.put(DEVICES, {id_: msgspec.json.encode(device)})
        await self._records.put(HOLDERS, {holder: id_.encode()})
        return Admitted(device, token)

    async def _count_try(self, remote: str, now: datetime) -> None:
        """Count a try before it is judged, so that tries at the same time can't slip under the limit."""
        for _ in range(_WRITES):
            raw = (await self._records.get(TRIES, [remote])).get(remote)
            tries = msgspec.json.decode(raw, type=_Tries) if raw else _Tries(0, now)
            ends = tries.since + self._spec.code_lifetime
            if now >= ends:
                tries, ends = _Tries(0, now), now + self._spec.code_lifetime
            if tries.count >= self._spec.wrong_codes:
                raise TooManyTries(max(1, int((ends - now).total_seconds())))
            counted = msgspec.json.encode(_Tries(tries.count + 1, tries.since))
            if await self._written(TRIES, remote, raw, counted):
                return
        raise busy()

    async def _written(self, bucket: str, key: str, old: bytes | None, new: bytes) -> bool:
        if old is None:
            return await self._records.put_new(bucket, key, new)
        return await self._records.replace(bucket, key, old, new)

    async def _use(self, code: str, now: datetime) -> tuple[str, str]:
        """The holder a code is for, and who made it; of all that bring it at once, one gets it."""
        plain = text.latin_digits(code).upper().replace("-", "").replace(" ", "")
        key = _digest(plain)
        raw = (await self._records.get(CODES, [key])).get(key)
        if raw is None or not await self._records.replace(CODES, key, raw, None):
            raise refused("bad_code")
        kept = msgspec.json.decode(raw, type=_Code)
        if now >= kept.expires_at:
            raise refused("bad_code")
        return kept.holder, kept.made_by

    async def admit(self, authorization: str, now: datetime) -> Device:
        """The device whose token this header brings. Raises :exc:`Unauthorised`."""
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise refused("no_token")
        token = token.strip()
        mark, _, rest = token.partition("_")
        id_ = rest.partition("_")[0] if mark == _MARK else ""
        raw = (await self._records.get(DEVICES, [id_])).get(id_) if id_.isalnum() else None
        device = msgspec.json.decode(raw, type=Device) if raw else None
        known = device.token_sha256 if device else _digest("")
        if not hmac.compare_digest(_digest(token), known) or device is None:
            raise refused("bad_token")
        if await self._state(device, now) is not DeviceState.LIVE:
            raise refused("bad_token")
        return device

    async def _state(self, device: Device, now: datetime) -> DeviceState:
        present = await self._records.get(HOLDERS, [device.holder])
        return _state(device, present.get(device.holder), now)

    async def revoke(self, id_: str, now: datetime) -> Device | None:
        """Admit a device no more; None if there is none of that id. Doing it again changes nothing."""
        for _ in range(_WRITES):
            raw = (await self._records.get(DEVICES, [id_])).get(id_)
            if raw is None:
                return None
            device = msgspec.json.decode(raw, type=Device)
            if device.revoked_at is not None:
                return device
            device = msgspec.structs.replace(device, revoked_at=now)
            if await self._records.replace(DEVICES, id_, raw, msgspec.json.encode(device)):
                return device
        raise busy()

    async def saw(self, device: Device, **what: object) -> None:
        """Note what a device did: ``pull_at``, ``push_at``, ``any_at``, ``skew_seconds``."""
        raw = (await self._records.get(SEEN, [device.id])).get(device.id)
        seen = msgspec.json.decode(raw, type=Seen) if raw else Seen()
        await self._records.put(SEEN, {device.id: msgspec.json.encode(msgspec.structs.replace(seen, **what))})

    async def page(self, after: str, limit: int, now: datetime) -> tuple[list[DeviceShown], str | None]:
        """Devices with ids above ``after``, and the id to go on from (None: that was all)."""
        rows = await self._records.page(DEVICES, after, limit)
        devices = [msgspec.json.decode(raw, type=Device) for _, raw in rows]
        return await self._shown(devices, now), devices[-1].id if len(rows) == limit else None

    async def one(self, id_: str, now: datetime) -> DeviceShown | None:
        """One device, as the operator sees it."""
        raw = (await self._records.get(DEVICES, [id_])).get(id_)
        return (await self._shown([msgspec.json.decode(raw, type=Device)], now))[0] if raw else None

    async def all(self, now: datetime) -> AsyncIterator[DeviceShown]:
        """Every device."""
        after: str | None = ""
        while after is not None:
            devices, after = await self.page(after, _PAGE, now)
            for device in devices:
                yield device

    async def _shown(self, devices: list[Device], now: datetime) -> list[DeviceShown]:
        present = await self._records.get(HOLDERS, {device.holder for device in devices})
        seen = await self._records.get(SEEN, [device.id for device in devices])
        return [_shown(device, present.get(device.holder), seen.get(device.id), now) for device in devices]

    async def sweep(self, now: datetime) -> None:
        """Forget codes that ended, and tries of windows that are over."""
        await self._forget(CODES, lambda raw: now >= msgspec.json.decode(raw, type=_Code).expires_at)
        over = now - self._spec.code_lifetime
        await self._forget(TRIES, lambda raw: msgspec.json.decode(raw, type=_Tries).since <= over)

    async def _forget(self, bucket: str, ended: Callable[[bytes], bool]) -> None:
        after = ""
        while rows := await self._records.page(bucket, after, _PAGE):
            after = rows[-1][0]
            for key, raw in rows:
                if ended(raw):
                    await self._records.replace(bucket, key, raw, None)


def _state(device: Device, present: bytes | None, now: datetime) -> DeviceState:
    if device.revoked_at is not None:
        return DeviceState.REVOKED
    if present != device.id.encode():
        return DeviceState.REPLACED
    return DeviceState.EXPIRED if now >= device.expires_at else DeviceState.LIVE


def _shown(device: Device, present: bytes | None, seen_raw: bytes | None, now: datetime) -> DeviceShown:
    seen = msgspec.json.decode(seen_raw, type=Seen) if seen_raw else Seen()
    return DeviceShown(
        device=device.id,
        holder=device.holder,
        name=device.name,
        state=_state(device, present, now),
        enrolled_at=device.enrolled_at,
        expires_at=device.expires_at,
        revoked_at=device.revoked_at,
        last_pull_at=seen.pull_at,
        last_push_at=seen.push_at,
        last_seen_at=seen.any_at,
        clock_skew_seconds=seen.skew_seconds,
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def refused(code: str) -> Unauthorised:
    """The 401 of a sentence."""
    why = sentence(code)
    return Unauthorised(why.en, fa=why.fa)


def busy() -> Retryable:
    """The 503 of whoever lost every race."""
    why = sentence("busy")
    return Retryable(why.en, fa=why.fa)
