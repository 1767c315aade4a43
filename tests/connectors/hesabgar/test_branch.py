"""A branch: documents come in under its own source, answers and master data go out, over a line that comes and goes."""

import dataclasses
import logging
import shutil
from collections.abc import Iterator, Sequence

import pytest

from connectors.base import Outage
from connectors.hesabgar import branch, build, sql
from connectors.hesabgar.client import Client
from connectors.hesabgar.newcomers import Cities, batch_of
from connectors.hesabgar.simulator import HesabgarSimulator
from connectors.hesabgar.spec import Role
from schemas.commands import Amend, Submit
from schemas.documents import Document, Kind, Method, Payment, State
from schemas.ids import document_id
from schemas.master import Account, Product
from tests.connectors.conftest import Running, instance, until
from tests.connectors.hesabgar.world import CUSTOMER, PRODUCT, World, spec_of
from tests.connectors.recorder import Recorder

SOURCE = "branch-karaj"
LOGGER = logging.getLogger("connectors.hesabgar.main")


@pytest.fixture
def karaj() -> Iterator[HesabgarSimulator]:
    """The branch's server."""
    with HesabgarSimulator(products=20, customers=20, database="karaj1405") as simulator:
        yield simulator


def at_the_branch(world: World, karaj: HesabgarSimulator, **changes: object) -> Running:
    spec = spec_of(karaj, role=Role.BRANCH, source=SOURCE, **changes)
    return Running(world.around.connectors(instance(spec, "karaj", "hesabgar")))


def enter(sim: HesabgarSimulator, key: str, kind: Kind = Kind.SALES_INVOICE, quantity: int = 1, **more: str) -> str:
    """A document people enter: made as the hub's are, then no longer the hub's. Its own id there."""
    arguments = {
        "account": f"N'{CUSTOMER}'",
        "warehouse": "N'01'",
        "net": str(quantity * 1_000_000),
        "payable": str(quantity * 1_100_000),
        "vat": str(quantity * 60_000),
        "duty": str(quantity * 40_000),
        "vat_account": "N'230101'",
        "duty_account": "N'230201'",
        **more,
    }
    line = (
        f'<lines><line number="1" product="{PRODUCT}" quantity="{quantity}" unit_price="1000000" '
        f'net="{quantity * 1_000_000}" vat="{quantity * 60_000}" duty="{quantity * 40_000}" '
        f'payable="{quantity * 1_100_000}"/></lines>'
    )
    given = ", ".join(f"@{name} = {value}" for name, value in arguments.items())
    lines = "" if kind is Kind.RECEIPT else f", @lines = N'{line}'"
    [[row], *_] = sim.run(
        f"EXEC hub.post_document @external_id = N'{key}', @kind = '{kind}', @date = '2026-11-24', {given}{lines}"
    )
    sim.run(f"UPDATE dbo.STK_Doc SET HubRef = NULL WHERE HubRef = N'{key}'")
    return f"{row[3]}/{kind}/{row[4]}"


async def came_in(world: World, own_id: str, state: State) -> Document:
    return await world.comes_to(document_id(SOURCE, own_id), state)


async def test_what_is_entered_comes_in_is_posted_to_the_books_and_answered(
    world: World, karaj: HesabgarSimulator
) -> None:
    sold = enter(karaj, "a", quantity=2)
    received = enter(
        karaj, "b", Kind.RECEIPT, method="'cash'", payable="500000", warehouse="NULL", net="500000", vat="0", duty="0"
    )
    async with world.connector():
        await world.has_stock(47)
        async with at_the_branch(world, karaj):
            document = await came_in(world, sold, State.POSTED)
            money = await came_in(world, received, State.POSTED)
            assert document.totals.payable == 2_200_000
            assert (money.totals.payable, money.method) == (500_000, Method.CASH)
            assert document.posting is not None
            number = document.posting.number
            await until(lambda: answers(karaj).get(sold) == ("posted", number))
        await world.has_stock(45)


def answers(karaj: HesabgarSimulator) -> dict[str, tuple[str, str | None]]:
    return {row[0]: (row[1], row[2]) for row in karaj.query("SELECT source_id, state, number FROM hub.answer")}


async def test_what_is_changed_there_comes_in_as_the_next_revision(world: World, karaj: HesabgarSimulator) -> None:
    async with world.connector(post=()):
        await world.has_stock(47)
        async with at_the_branch(world, karaj):
            sold = enter(karaj, "a")
            await came_in(world, sold, State.CLEARED)
            karaj.run("UPDATE dbo.STK_Doc SET Tozih = N'تلفنی' WHERE Kind = 'sales_invoice'")

            async def changed() -> bool:
                document = await world.document(document_id(SOURCE, sold))
                return document is not None and (document.revision, document.note) == (2, "تلفنی")

            await until(changed)
        async with at_the_branch(world, karaj):
            later = enter(karaj, "b")
            await came_in(world, later, State.CLEARED)
        document = await world.document(document_id(SOURCE, sold))
        assert document is not None
        assert document.revision == 2


async def test_a_backlog_comes_in_a_few_at_a_time_and_whole(
    world: World, karaj: HesabgarSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branch, "UNDECIDED", 5)
    most = [0]
    sent = branch.Undecided.sent

    def counted(self: branch.Undecided, identities: list[object]) -> None:
        sent(self, identities)
        most[0] = max(most[0], len(self._open))

    monkeypatch.setattr(branch.Undecided, "sent", counted)
    entered = [enter(karaj, f"k{number}") for number in range(23)]
    async with world.connector(post=()):
        await world.has_stock(47)
        async with at_the_branch(world, karaj):
            for own_id in entered:
                await came_in(world, own_id, State.CLEARED)
    assert 0 < most[0] < 10


async def test_what_is_entered_during_a_backlog_does_not_wait_behind_it(
    world: World, karaj: HesabgarSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branch, "UNDECIDED", 6)
    incoming, recorder = by_hand(world, karaj)
    waiting = [enter(karaj, f"k{number}") for number in range(30)]
    assert not await incoming.look()
    live = enter(karaj, "live")
    karaj.run(
        f"UPDATE dbo.STK_Doc SET Tozih = N'dearer' WHERE Kind = 'sales_invoice' AND DocNo = {number_of(waiting[0])}"
    )
    karaj.run(
        f"UPDATE dbo.STK_Doc SET Tozih = N'late' WHERE Kind = 'sales_invoice' AND DocNo = {number_of(waiting[29])}"
    )
    assert not await incoming.look()
    came = taken(recorder)
    assert (live, 1, "") in came
    assert (waiting[10], 1, "") not in came
    while not await incoming.look():
        pass
    incoming.close()
    came = taken(recorder)
    assert came.index((waiting[0], 1, "")) < came.index((waiting[0], 2, "dearer"))
    assert (waiting[29], 1, "late") in came
    assert sorted(came) == sorted({*came})
    assert len(came) == 30 + 2


def number_of(own_id: str) -> str:
    return own_id.rpartition("/")[2]


class ByHand(branch.Incoming):
    """A branch's documents, read when told; everything sent is decided at once."""

    def close(self) -> None:
        self._client.close()


def by_hand(world: World, karaj: HesabgarSimulator) -> tuple[ByHand, Recorder]:
    recorder = Recorder()
    context = dataclasses.replace(world.context("karaj"), publisher=recorder)
    spec = spec_of(karaj, role=Role.BRANCH, source=SOURCE)
    outage = Outage("it", context.logger)
    return ByHand(spec, context, Client(spec), outage, outage, Decided()), recorder


class Decided(branch.Undecided):
    def sent(self, identities: Sequence[object]) -> None:
        pass


def taken(recorder: Recorder) -> list[tuple[str, int, str]]:
    return [
        (command.source_id, command.revision, command.document.note)
        for command in recorder.published
        if isinstance(command, Submit | Amend)
    ]


async def test_elsewhere_without_its_files_a_branch_goes_on_with_the_next_revision(
    world: World, karaj: HesabgarSimulator
) -> None:
    incoming, recorder = by_hand(world, karaj)
    sold = enter(karaj, "a")
    await incoming.look()
    incoming.close()
    karaj.run("UPDATE dbo.STK_Doc SET Tozih = N'تلفنی' WHERE Kind = 'sales_invoice'")
    elsewhere, again = by_hand(world, karaj)
    shutil.rmtree(world.context("karaj").data, ignore_errors=True)
    await elsewhere.look()
    elsewhere.close()
    assert taken(recorder) + taken(again) == [(sold, 1, ""), (sold, 2, "تلفنی")]


async def test_what_may_have_been_sent_before_a_crash_is_sent_once_more_before_what_it_became(
    world: World, karaj: HesabgarSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    incoming, recorder = by_hand(world, karaj)
    sold = enter(karaj, "a")

    async def crash(_commands: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as crashing:
        crashing.setattr(recorder, "documents", crash)
        with pytest.raises(RuntimeError):
            await incoming.look()
    karaj.run("UPDATE dbo.STK_Doc SET Tozih = N'تلفنی' WHERE Kind = 'sales_invoice'")
    await incoming.look()
    await incoming.look()
    incoming.close()
    assert taken(recorder) == [(sold, 1, ""), (sold, 2, "تلفنی")]


async def test_a_line_that_goes_loses_nothing_either_way(world: World, karaj: HesabgarSimulator) -> None:
    async with world.connector():
        await world.has_stock(47)
        async with at_the_branch(world, karaj):
            first = enter(karaj, "a")
            await until(lambda: answers(karaj).get(first, ("",))[0] == "posted")
            karaj.away()
            second = enter(karaj, "b")
            assert await world.document(document_id(SOURCE, second)) is None
            karaj.back()
            await came_in(world, second, State.POSTED)
            await until(lambda: answers(karaj).get(second, ("",))[0] == "posted")


async def test_accounts_and_products_go_out_to_it(world: World, karaj: HesabgarSimulator) -> None:
    async with at_the_branch(world, karaj):
        publisher = world.context().publisher
        await publisher.master([Account("219990001", "مشتری تازه")])
        await until(lambda: names(karaj, "219990001") == ["مشتری تازه"])
        await publisher.master([Account("219990001", "نام دیگر")])
        await until(lambda: names(karaj, "219990001") == ["نام دیگر"])


async def test_an_account_goes_out_without_its_city_where_the_list_of_cities_cant_be_read(
    world: World, karaj: HesabgarSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    karaj.run("DROP VIEW hub.cities")
    async with at_the_branch(world, karaj):
        await world.context().publisher.master([Account("219990001", "مشتری تازه", city="کرج")])
        await until(lambda: names(karaj, "219990001") == ["مشتری تازه"])
    assert any("hub.cities can't be read" in message for message in caplog.messages)


async def test_what_the_branch_had_under_the_same_code_follows_the_head_office_once_it_is_adopted(
    world: World, karaj: HesabgarSimulator
) -> None:
    for _ in range(2):
        karaj.run(sql.script("adopt"))
    async with at_the_branch(world, karaj):
        await world.context().publisher.master(
            [Account(CUSTOMER, "نام دفتر مرکزی"), Product(PRODUCT, "کالای دفتر مرکزی")]
        )
        await until(lambda: names(karaj, CUSTOMER) == ["نام دفتر مرکزی"])
        await until(
            lambda: bool(karaj.query(f"SELECT 1 FROM hub.products WHERE code = N'{PRODUCT}' AND name LIKE N'%مرکزی'"))
        )


def names(karaj: HesabgarSimulator, code: str) -> list[str]:
    return [
        row[0].replace("ي", "ی").replace("ك", "ک")
        for row in karaj.query(f"SELECT name FROM hub.accounts WHERE code = N'{code}'")
    ]


async def test_a_document_that_makes_no_sense_goes_to_the_dead_letters(world: World, karaj: HesabgarSimulator) -> None:
    async with at_the_branch(world, karaj):
        enter(karaj, "a")
        karaj.run("UPDATE dbo.STK_Doc SET Tasvieh = 'barter'")
        good = enter(karaj, "b")
        await until(lambda: has_letter(world))
        await came_in(world, good, State.REJECTED)


async def has_letter(world: World) -> bool:
    return any("barter" in letter.reason for letter in await world.around.dead_letters())


async def test_a_new_accounts_document_is_posted_whichever_of_the_two_comes_first(world: World) -> None:
    async with world.connector(send_new=True, new_accounts="110101"):
        await world.has_stock(47)
        for turn in range(5):
            fresh = Account(f"21999001{turn}", "مشتری تازه")
            await world.publish_master(fresh)
            await world.knows(fresh.code)
            sold = await world.send(account=fresh.code, payment=Payment.CASH)
            await world.comes_to(sold, State.POSTED)


@pytest.mark.parametrize("role", list(Role))
async def test_nothing_is_made_in_another_build_until_it_is_accepted(
    world: World,
    karaj: HesabgarSimulator,
    role: Role,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(build, "CLOSED_EVERY_SECONDS", 0.1)
    settings: dict[str, object] = {"role": role}
    if role is Role.BOOKS:
        settings |= {"post": (), "send_new": True, "new_accounts": "110101"}
    spec = spec_of(karaj, **settings)
    async with Running(world.around.connectors(instance(spec, "karaj", "hesabgar"))):
        await world.publish_master(Account("219990001", "پیش از آن"))
        await until(lambda: names(karaj, "219990001") == ["پیش از آن"])
        karaj.change_build("Cyberacc 15.0")
        await world.publish_master(Account("219990002", "پس از آن"))
        await until(lambda: any("the build of Hesabgar changed" in message for message in caplog.messages))
        assert names(karaj, "219990002") == []
        context = world.context("karaj")
        client = Client(spec)
        await build.accept(context.cursors, client, (await build.build_of(client)).fingerprint)
        client.close()
        await until(lambda: names(karaj, "219990002") == ["پس از آن"])


async def test_what_the_books_have_in_their_own_spelling_is_not_made_again(world: World) -> None:
    world.sim.run(f"UPDATE dbo.STK_Kala SET KalaCode = N'كالا۷' WHERE KalaCode = N'{PRODUCT}'")
    [(before,)] = world.sim.query("SELECT COUNT(*) FROM hub.products")
    async with world.connector(send_new=True, new_accounts="110101"):
        await world.has_stock(47, product="کالا7")
        await world.comes_to(await world.send(product="کالا7"), State.POST_FAILED)
    assert world.sim.query("SELECT COUNT(*) FROM hub.products") == [(before,)]


async def test_a_city_goes_to_the_books_by_its_code_whether_it_is_known_by_name_or_by_code(world: World) -> None:
    client = Client(spec_of(world.sim))
    cities = Cities(client, LOGGER)
    [(code,)] = world.sim.query("SELECT code FROM hub.cities WHERE name = N'كرج'")
    assert [await cities.code_of(city) for city in ("کرج", " كرج ", code, "۲۲", "شهر نو")] == [*[code] * 3, "22", None]
    world.sim.run("INSERT INTO dbo.BAS_City (CityID, CityName, Ostan) VALUES (999, N'شهر نو', N'تهران')")
    assert await cities.code_of("شهر نو") == "999"
    batch, values = await batch_of(Account("1", "ن", city="قلعه‌ای دور"), spec_of(world.sim), cities)
    client.close()
    assert "@city_code" not in batch
    assert "قلعه‌ای دور" not in values


async def test_a_name_that_several_cities_have_is_no_ones(world: World) -> None:
    for code, province in ((998, "قم"), (999, "اردبیل")):
        world.sim.run(f"INSERT INTO dbo.BAS_City (CityID, CityName, Ostan) VALUES ({code}, N'جعفرآباد', N'{province}')")
    client = Client(spec_of(world.sim))
    cities = Cities(client, LOGGER)
    assert [await cities.code_of(city) for city in ("جعفرآباد", "998", "999")] == [None, "998", "999"]
    client.close()


async def test_new_accounts_of_others_are_made_in_the_books(world: World) -> None:
    async with world.connector(send_new=True, new_accounts="110101"):
        await world.has_stock(47)
        before = world.sim.query("SELECT COUNT(*) FROM hub.accounts")[0][0]
        await world.context().publisher.master([Account("219990002", "از فروشگاه", city="کرج")])
        await until(lambda: len(names(world.sim, "219990002")) == 1)
        assert world.sim.query("SELECT COUNT(*) FROM hub.accounts")[0][0] == before + 1
    [(city,)] = world.sim.query("SELECT city_code FROM hub.accounts WHERE code = N'219990002'")
    assert world.sim.query(f"SELECT code FROM hub.cities WHERE code = N'{city}' AND name = N'كرج'") == [(city,)]


GOODS_ALONE = {"account": "NULL", "net": "0", "vat": "0", "duty": "0", "payable": "0"}
EVERY_KIND: dict[Kind, dict[str, str]] = {
    Kind.QUOTE: {},
    Kind.SALES_ORDER: {},
    Kind.SALES_INVOICE: {},
    Kind.PURCHASE_INVOICE: {"account": "N'310010001'"},
    Kind.TRANSFER: {**GOODS_ALONE, "to_warehouse": "N'02'", "transfer_account": "N'119901'"},
    Kind.GOODS_ISSUE: {**GOODS_ALONE, "expense_account": "N'610001'"},
    Kind.GOODS_RECEIPT: {**GOODS_ALONE, "expense_account": "N'610001'"},
}


async def test_every_kind_that_is_entered_there_comes_in_is_posted_and_answered(
    world: World, karaj: HesabgarSimulator
) -> None:
    entered = {kind: enter(karaj, kind.value, kind, **more) for kind, more in EVERY_KIND.items()}
    sale = entered[Kind.SALES_INVOICE].rpartition("/")[2]
    entered[Kind.SALES_RETURN] = enter(karaj, "back", Kind.SALES_RETURN, original_number=f"N'{sale}'")
    async with world.connector():
        await world.has_stock(47)
        async with at_the_branch(world, karaj):
            for kind, own_id in entered.items():
                assert (await came_in(world, own_id, State.POSTED)).kind is kind
            wanted = dict.fromkeys(entered.values(), "posted")
            await until(lambda: {own_id: state for own_id, (state, _) in answers(karaj).items()} == wanted)
