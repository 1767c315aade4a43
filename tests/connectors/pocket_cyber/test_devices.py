"""Enrolment, tokens and what the operator sees."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.base import Unauthorised
from connectors.pocket_cyber.devices import Admitted, Devices, TooManyTries
from connectors.pocket_cyber.simulator import Handheld, Refused
from connectors.pocket_cyber.spec import Edition, Limits, Spec
from hub.runtime.connect import StoreRecords
from schemas.dates import utc_now
from schemas.master import Account
from tests.api.world import Client
from tests.connectors.pocket_cyber.world import Backdrop, Site, open_site, reopened, visitor


async def test_one_code_raced_by_many_enrols_one(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        code = await site.code("v1")
        devices = [site.device(seed=n) for n in range(8)]
        outcomes = await asyncio.gather(*(device.enrol(code) for device in devices), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes].count(type(None)) == 1
        assert all(outcome is None or _is(outcome, 401) for outcome in outcomes)
        [winner] = [device for device in devices if device.token]
        await winner.pull()
        listed = (await site.operator.get(f"{site.path}/devices")).body["devices"]
        assert [each["state"] for each in listed] == ["live"]


async def test_one_code_raced_from_many_addresses_admits_one(idle: Backdrop) -> None:
    """The same below the counting of tries, which keeps those of one address apart."""
    devices, now = _devices(idle, "addresses", visitor()), utc_now()
    for _ in range(5):
        code, _ = await devices.new_code("v1", "boss", now)
        outcomes = await asyncio.gather(
            *(devices.enrol(code, "x", f"192.0.2.{n}", now) for n in range(8)), return_exceptions=True
        )
        assert sum(isinstance(outcome, Admitted) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, Unauthorised) for outcome in outcomes) == 7


def _is(outcome: Any, status: int) -> bool:
    return isinstance(outcome, Refused) and outcome.status == status


async def test_a_code_is_read_as_people_type_it(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        code = await site.code("v1")
        device = site.device()
        await device.enrol(f" {code.lower().replace('-', ' ')} ".translate(str.maketrans("23456789", "۲۳۴۵۶۷۸۹")))
        assert device.token


async def test_wrong_codes_are_counted_and_then_not_heard(idle: Backdrop, tmp_path: Path) -> None:
    spec = msgspec.structs.replace(visitor(), wrong_codes=3)
    async with open_site(idle, spec, tmp_path, runs=False) as site:
        answers = []
        for attempt in ["AAAA-AAAA"] * 4 + [await site.code("v1")]:
            try:
                await site.device().ask("POST", "/enrol", {"code": attempt, "device": "x"})
            except Exception as error:
                answers.append(str(error))
        assert [answer[:4] for answer in answers] == ["401:"] * 3 + ["it a", "it a"]
        raw = await site.operator.ask("POST", f"{site.path}/enrol", json={"code": "AAAA-AAAA", "device": "x"})
        assert raw.status == 429
        assert int(raw.headers["Retry-After"]) > 0
        assert raw.body["detail_fa"]


async def test_tries_at_the_same_time_cant_slip_under_the_limit(idle: Backdrop) -> None:
    devices = _devices(idle, "race", msgspec.structs.replace(visitor(), wrong_codes=5))
    outcomes = await asyncio.gather(
        *(devices.enrol("AAAA-AAAA", "x", "10.0.0.1", utc_now()) for _ in range(20)), return_exceptions=True
    )
    assert sum(not isinstance(outcome, TooManyTries) for outcome in outcomes) == 5
    with pytest.raises(TooManyTries):
        await devices.enrol("AAAA-AAAA", "x", "10.0.0.1", utc_now())
    code, _ = await devices.new_code("v1", "boss", utc_now())
    await devices.enrol(code, "x", "10.0.0.2", utc_now())


def _devices(backdrop: Backdrop, name: str, spec: Spec) -> Devices:
    return Devices(spec, StoreRecords(backdrop.store, f"pocket_cyber.{name}"))


async def test_codes_and_tokens_end(idle: Backdrop) -> None:
    devices, now = _devices(idle, "ends", visitor()), utc_now()
    code, expires_at = await devices.new_code("v1", "boss", now)
    assert expires_at == now + timedelta(minutes=15)
    with pytest.raises(Exception, match="wrong, used or expired"):
        await devices.enrol(code, "x", "r", expires_at)
    code, _ = await devices.new_code("v1", "boss", now)
    device, token = await devices.enrol(code, "x", "r", now)
    assert await devices.admit(f"Bearer {token}", device.expires_at - timedelta(seconds=1)) == device
    with pytest.raises(Exception, match="isn't good"):
        await devices.admit(f"Bearer {token}", device.expires_at)
    assert [each.state async for each in devices.all(device.expires_at)] == ["expired"]


async def test_what_has_ended_is_forgotten(idle: Backdrop) -> None:
    devices, now = _devices(idle, "sweep", visitor()), utc_now()
    records = StoreRecords(idle.store, "pocket_cyber.sweep")
    old, _ = await devices.new_code("v1", "boss", now - timedelta(minutes=16))
    fresh, _ = await devices.new_code("v1", "boss", now)
    with pytest.raises(Exception, match="wrong"):
        await devices.enrol("AAAA-AAAA", "x", "before", now - timedelta(minutes=15))
    with pytest.raises(Exception, match="wrong"):
        await devices.enrol("AAAA-AAAA", "x", "now", now)
    await devices.sweep(now)
    assert len(await records.page("codes")) == 1
    assert [key for key, _ in await records.page("tries")] == ["now"]
    await devices.enrol(fresh, "x", "now", now)
    with pytest.raises(Exception, match="wrong"):
        await devices.enrol(old, "x", "now", now)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic x", "Bearer pcd_", "Bearer pcd_x_y", "Bearer ا"])
async def test_without_a_good_token_nobody_is_admitted(idle: Backdrop, tmp_path: Path, header: str | None) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        device = await site.enrolled("v1")
        headers = {} if header is None else {"Authorization": header}
        for method, path in (("GET", "/me"), ("GET", "/pull/products"), ("POST", "/push"), ("GET", "/outcomes")):
            async with site.backdrop.session.request(method, site.url + path, headers=headers) as answer:
                assert answer.status == 401, await answer.text()
                assert (await answer.json())["detail_fa"]
        await device.pull()


async def test_a_token_of_another_device_or_with_a_changed_letter_isnt_good(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        device = await site.enrolled("v1")
        for token in (device.token[:-1] + ("A" if device.token[-1] != "A" else "B"), device.token + "A"):
            with pytest.raises(Refused, match="401"):
                await _with(site, token).pull()


def _with(site: Site, token: str) -> Handheld:
    device = site.device()
    device.token = token
    return device


async def test_a_revoked_device_and_a_replaced_one_are_out(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        first = await site.ready("v1")
        second = await site.ready("v1", seed=2)
        with pytest.raises(Refused, match="401"):
            await first.pull()
        first_id, second_id = first.me["device"], second.me["device"]
        answer = await site.operator.ask("DELETE", f"{site.path}/devices/{second_id}")
        assert (answer.status, answer.body["state"]) == (200, "revoked")
        with pytest.raises(Refused, match="401"):
            await second.pull()
        again = await site.operator.ask("DELETE", f"{site.path}/devices/{second_id}")
        assert again.body["revoked_at"] == answer.body["revoked_at"]
        assert (await site.operator.ask("DELETE", f"{site.path}/devices/none")).status == 404
        states = {
            each["device"]: each["state"] for each in (await site.operator.get(f"{site.path}/devices")).body["devices"]
        }
        assert states == {first_id: "replaced", second_id: "revoked"}


async def test_the_operator_sees_when_a_device_last_pulled_and_pushed(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        device = await site.enrolled("v1", skew=timedelta(hours=2))
        path = f"{site.path}/devices/{device.me['device']}"
        shown = (await site.operator.get(path)).body
        assert shown.keys() & {"last_pull_at", "last_push_at", "clock_skew_seconds"} == set()
        await device.pull()
        device.visit(account=site.ali, ago=timedelta(hours=3))
        await device.push()
        shown = (await site.operator.get(path)).body
        assert shown.keys() >= {"last_pull_at", "last_push_at", "last_seen_at"}
        assert 7_100 < shown["clock_skew_seconds"] <= 7_200
        page = (await site.operator.get(f"{site.path}/devices", params={"limit": 1})).body
        assert page["next"] == device.me["device"]
        rest = (await site.operator.get(f"{site.path}/devices", params={"after": page["next"]})).body
        assert rest == {"devices": []}


async def test_only_operators_make_codes_and_only_for_those_who_may(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        device = await site.enrolled("v1")
        for token in (None, device.token):
            client = Client(idle.session, site.url, token)
            assert (await client.post("/codes", {"holder": "v1"})).status == 401
            assert (await client.get("/devices")).status == 401
        answer = await site.operator.post(f"{site.path}/codes", {"holder": "v2"})
        assert answer.status == 422
        assert "v2" in answer.body["detail_fa"]


async def test_a_code_for_a_customer_needs_its_account(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, Spec(edition=Edition.CUSTOMERS, limits=Limits()), tmp_path, runs=False) as site:
        await site.tell(Account(site.reza, "رضا", active=False))
        for holder, status in ((site.ali, 201), (site.reza, 422), (f"X{site.mark}", 422), ("a/b", 422)):
            assert (await site.operator.post(f"{site.path}/codes", {"holder": holder})).status == status


async def test_a_holder_taken_out_of_the_configuration_is_out(idle: Backdrop, tmp_path: Path) -> None:
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        device = await site.enrolled("v1")
        spec = Spec(holders={"v2": Limits()})
        async with reopened(site, spec) as later:
            device.address = later.url
            with pytest.raises(Refused, match="401"):
                await device.pull()


async def test_no_secret_is_kept_or_shown(idle: Backdrop, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with open_site(idle, visitor(), tmp_path, runs=False) as site:
        code = await site.code("v1")
        device = site.device()
        await device.enrol(code)
        await device.pull()
        with pytest.raises(Refused):
            await site.device().enrol(code)
        async with idle.store.connection() as connection:
            kept = await connection.fetch(
                "select bucket || key || convert_from(value, 'utf8') from connector_records where instance = $1",
                f"pocket_cyber.{site.instance.name}",
            )
        secret = device.token.split("_", 2)[2]
        for text in [caplog.text, *(row[0] for row in kept), str(device.me)]:
            assert secret not in text
            assert code not in text
            assert code.replace("-", "") not in text
