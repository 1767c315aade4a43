"""One customer is refreshed by whoever asks over HTTP."""

import json

import msgspec
import pytest

from connectors.base import Rejected, Retryable
from connectors.hesabgar import client as clients
from connectors.hesabgar.receiver import Receiver
from connectors.hesabgar.simulator import FaultKind
from connectors.hesabgar.spec import Role
from schemas.exchange import Request, Response
from schemas.master import Account, Finance
from schemas.secret import Secret
from tests.connectors.conftest import until
from tests.connectors.hesabgar.world import CUSTOMER, World, spec_of


async def asked(world: World, code: str, **settings: object) -> Response:
    spec = spec_of(world.sim, **settings)
    return await Receiver(spec, world.context()).receive(Request("refresh_account", {"code": code}, {}, {}, b""))


async def test_the_answer_is_what_the_books_say_and_the_hub_is_told_the_same(world: World) -> None:
    answer = await asked(world, "۲۱۲۰۱۰۰۰۶")
    found = json.loads(answer.body)
    assert answer.status == 200
    assert (found["account"]["name"], found["finance"]["balance"]) == ("شرکت امین گستر", 132_634_996)
    records = {type(record): record for record in await world.around.master()}
    assert records == {
        Account: msgspec.convert(found["account"], Account),
        Finance: msgspec.convert(found["finance"], Finance),
    }


@pytest.mark.parametrize("code", ["999", "x" * 65, "a\x00b", ""])
async def test_an_account_the_books_dont_have_is_not_found(world: World, code: str) -> None:
    answer = await asked(world, code)
    assert (answer.status, answer.content_type) == (404, "application/problem+json")
    assert {"detail", "detail_fa"} <= json.loads(answer.body).keys()
    assert await world.around.master() == []


async def test_what_isnt_the_callers_fault_is_to_be_asked_again(world: World) -> None:
    world.sim.set_password("another-1405")
    with pytest.raises(Retryable, match="login"):
        await asked(world, CUSTOMER)
    world.sim.away()
    with pytest.raises(Retryable):
        await asked(world, CUSTOMER, password=Secret("another-1405"))


@pytest.mark.parametrize(
    "trouble",
    ["DROP VIEW hub.cities", "UPDATE dbo.ACC_Account SET AccName = N'' WHERE AccCode = N'{customer}'"],
    ids=["a view is broken", "its row makes no sense"],
)
async def test_what_is_wrong_in_the_books_is_no_fault_of_the_request(world: World, trouble: str) -> None:
    world.sim.run(trouble.format(customer=CUSTOMER))
    with pytest.raises(Retryable, match=r"hub\.(cities|accounts)"):
        await asked(world, CUSTOMER)


async def test_calls_that_hang_are_counted_over_all_who_ask(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "LEFT_BEHIND", 2)
    monkeypatch.setattr(clients, "GRACE_SECONDS", -119.5)
    world.sim.fault(FaultKind.HANG, on="horizon", times=100)
    receiver = Receiver(spec_of(world.sim), world.context())

    async def nothing_more_is_asked() -> bool:
        with pytest.raises(Retryable) as refused:
            await receiver.receive(Request("refresh_account", {"code": CUSTOMER}, {}, {}, b""))
        return "2 calls hang" in str(refused.value)

    await until(nothing_more_is_asked)


async def test_a_branchs_accounts_are_not_read(world: World) -> None:
    with pytest.raises(Rejected, match="branch"):
        await asked(world, CUSTOMER, role=Role.BRANCH)
