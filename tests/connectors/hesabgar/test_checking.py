"""What checking a Hesabgar finds, through pymssql, each on a server that is wrong in one way."""

from collections.abc import Callable
from typing import Any

import pytest

from connectors.base import Rejected, Retryable, Unauthorised
from connectors.hesabgar import sql
from connectors.hesabgar.build import build_of
from connectors.hesabgar.checking import Finding, Grade, findings
from connectors.hesabgar.client import Client
from connectors.hesabgar.simulator import HesabgarSimulator, engine, mapping_text
from connectors.hesabgar.spec import Role
from schemas.secret import Secret
from tests.connectors.hesabgar.test_branch import enter
from tests.connectors.hesabgar.world import World, spec_of


async def found(sim: HesabgarSimulator, **changes: Any) -> list[Finding]:
    """Everything that is found with the configuration changed so."""
    spec = spec_of(sim, **changes)
    client = Client(spec)
    try:
        return await findings(client, spec)
    finally:
        client.close()


async def wrong(sim: HesabgarSimulator, **changes: Any) -> list[Finding]:
    return [finding for finding in await found(sim, **changes) if finding.wrong]


async def only_wrong(sim: HesabgarSimulator, **changes: Any) -> Finding:
    """The one thing that is wrong, told in both languages with what to do."""
    [finding] = await wrong(sim, **changes)
    assert all((finding.en, finding.fa, finding.remedy_en, finding.remedy_fa))
    assert finding.en != finding.fa
    return finding


def remap(sim: HesabgarSimulator, change: Callable[[str], str]) -> None:
    """Let the views be filled otherwise."""
    sim.run(sql.views_script(sql.read_mapping(change(mapping_text()))))


def in_place_of(column: str, expression: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert text.count(column) == 1
        return text.replace(column, expression)

    return change


async def test_a_good_site_has_nothing_wrong_and_is_told_piece_by_piece(sim: HesabgarSimulator) -> None:
    every = await found(sim)
    assert not [finding for finding in every if finding.wrong]
    told = {finding.subject: finding.en for finding in every}
    assert told["server"].startswith("SQL Server 12.0")
    assert told["collation"] == "Persian_100_CI_AS"
    assert told["contract"] == "version 1; every column is there, as it must be"
    assert told["rights"] == "what the hub needs and nothing else"
    assert told["product codes"] == "20, each there once"
    assert told["units"] == "10, each there once"
    assert "Cyberacc" in told["build"]
    accounts = [finding.en for finding in every if finding.subject == "account numbers"]
    assert "vat_account: 230101" in accounts


@pytest.mark.parametrize(
    ("collation", "grade", "words"),
    [
        ("Persian_100_CI_AS", Grade.GOOD, ""),
        ("Arabic_CI_AS", Grade.GOOD, ""),
        ("SQL_Latin1_General_CP1_CI_AS", Grade.NOTE, "knows no Persian"),
        ("Persian_100_CS_AS", Grade.NOTE, "tells a from A"),
        ("Arabic_BIN2", Grade.NOTE, "tells a from A"),
    ],
)
async def test_the_collation_is_judged(sim: HesabgarSimulator, collation: str, grade: Grade, words: str) -> None:
    sim.engine.collation = collation
    [finding] = [each for each in await found(sim) if each.subject == "collation"]
    assert finding.grade is grade
    assert words in finding.en


async def test_an_old_server_is_refused_before_anything_else_is_asked(
    sim: HesabgarSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "VERSION", (11, 0, 7001))
    finding = await only_wrong(sim)
    assert "11.0.7001.0" in finding.en
    assert "2014" in finding.remedy_en
    assert "2014" in finding.remedy_fa


async def test_a_site_without_the_contract_is_told_to_install_it() -> None:
    with HesabgarSimulator(products=5, customers=5, contract=False, mapped=False) as bare:
        finding = await only_wrong(bare, login="sa", password=Secret(bare.owner_password))
        assert (finding.subject, finding.remedy_en) == ("contract", "run install.sql as the database's owner")


async def test_a_site_without_a_mapping_is_told_which_views_are_empty() -> None:
    with HesabgarSimulator(products=5, customers=5, mapped=False) as unmapped:
        empty = {finding.en for finding in await wrong(unmapped)}
        assert {"hub.accounts has no row", "hub.products has no row", "hub.build has no row"} <= empty


async def test_another_contract_and_a_column_of_another_type_are_found(sim: HesabgarSimulator) -> None:
    sim.run("GO\nALTER VIEW hub.units AS SELECT N'1' AS code, N'kilo' AS name, CAST(1 AS int) AS row_version")
    told = {finding.en for finding in await wrong(sim)}
    assert "hub.units.row_version is int, it must be bigint" in told
    assert any(sentence.startswith("hub.units.name is nvarchar(") for sentence in told)
    sim.run("GO\nALTER VIEW hub.contract_version AS SELECT CAST(2 AS int) AS version")
    assert (await only_wrong(sim)).en == "version 2 is installed, this hub speaks 1"


async def test_a_view_whose_table_changed_under_it_is_named(sim: HesabgarSimulator) -> None:
    sim.run("ALTER TABLE dbo.BAS_City DROP COLUMN Ostan")
    finding = await only_wrong(sim)
    assert finding.en.startswith("hub.cities can't be read: ")
    assert "mapping" in finding.remedy_en


# --- codes


async def test_duplicate_product_codes_and_units_are_found(sim: HesabgarSimulator) -> None:
    remap(
        sim,
        in_place_of(
            'code = "k.KalaCode"',
            "code = \"CASE k.KalaCode WHEN N'10000300102' THEN N'10000300101' ELSE k.KalaCode END\"",
        ),
    )
    sim.run(
        "ALTER TABLE dbo.STK_Vahed DROP CONSTRAINT UQ_STK_Vahed;"
        "UPDATE dbo.STK_Vahed SET VahedName = N'عدد' WHERE VahedName = N'جفت'"
    )
    told = {finding.subject: finding for finding in await wrong(sim)}
    assert told["product codes"].en == "not unique: 10000300101 (2)"
    assert told["units"].en == "not unique: عدد (2)"
    assert told["units"].remedy_fa == "در حسابگر به هر واحد یکی جداگانه بدهید"


async def test_stock_that_is_there_twice_is_found(sim: HesabgarSimulator) -> None:
    remap(sim, in_place_of("attribute = \"ISNULL(m.MoshCode, N'')\"\non_hand", "on_hand"))
    finding = await only_wrong(sim)
    assert finding.subject == "hub.stock"
    assert "10000300101 / 01 /  (" in finding.en


async def test_a_branchs_documents_have_to_have_row_versions(sim: HesabgarSimulator) -> None:
    enter(sim, "a")
    remap(sim, in_place_of('row_version = ["d.RowVer"]', "row_version = []"))
    assert not await wrong(sim)
    assert (await only_wrong(sim, role=Role.BRANCH)).subject == "hub.documents"


async def test_codes_that_are_one_in_our_spelling_are_found(sim: HesabgarSimulator) -> None:
    sim.run(
        "UPDATE dbo.STK_Anbar SET AnbarCode = N'۰۱' WHERE AnbarCode = N'02';"
        "UPDATE dbo.STK_Vahed SET VahedName = N'كیلو' WHERE VahedName = N'تن';"
        "UPDATE dbo.STK_Vahed SET VahedName = N'کیلو' WHERE VahedName = N'جفت';"
    )
    told = {finding.subject: finding.en for finding in await wrong(sim)}
    assert told["warehouse codes"] == "the same but for ي/ی, ك/ک or digits: 01 = ۰۱; the hub takes them for one"
    assert "کیلو" in told["units"]
    assert "كیلو" in told["units"]


async def test_codes_the_hub_cannot_take_or_spells_otherwise_are_noted(sim: HesabgarSimulator) -> None:
    sim.run(
        "UPDATE dbo.STK_Kala SET KalaCode = N'كالا۷' WHERE KalaCode = N'10000300101';"
        "UPDATE dbo.STK_Kala SET KalaCode = N' ' WHERE KalaCode = N'10000300102';"
    )
    notes = [
        finding.en for finding in await found(sim) if (finding.subject, finding.grade) == ("product codes", Grade.NOTE)
    ]
    assert any("1 can't be codes" in note for note in notes)
    assert any("1 the hub spells otherwise" in note and "كالا۷" in note for note in notes)


# --- the configuration's account numbers


async def test_account_numbers_the_books_have_not_or_locked_are_found(sim: HesabgarSimulator) -> None:
    sim.run("UPDATE dbo.ACC_Account SET IsLocked = 1 WHERE AccCode = N'230201'")
    told = [finding.en for finding in await wrong(sim, freight_account="999", vat_group="91", expense_groups=("92",))]
    assert told == [
        "duty_account: account 230201 is locked in the books",
        "freight_account: the books have no 999",
        "expense_groups: the books have no 92",
    ]


async def test_a_ledger_serves_as_the_account_new_accounts_are_made_under(sim: HesabgarSimulator) -> None:
    assert not await wrong(sim, send_new=True, new_accounts="21201")


# --- rights


async def test_an_owner_may_do_too_much(sim: HesabgarSimulator) -> None:
    finding = await only_wrong(sim, login="sa", password=Secret(sim.owner_password))
    assert finding.subject == "rights"
    assert "UPDATE in the whole database" in finding.en
    assert "db_owner" in finding.remedy_en


async def test_a_right_on_one_of_the_books_own_tables_is_too_much(sim: HesabgarSimulator) -> None:
    sim.run(
        f"GRANT UPDATE ON OBJECT::dbo.ACC_Account TO {sim.login};GRANT SELECT ON OBJECT::hub.document_in TO {sim.login}"
    )
    assert (await only_wrong(sim)).en == "the login may do more than the hub needs: UPDATE on dbo.ACC_Account"


async def test_a_reader_may_not_post_unless_nothing_is_posted(sim: HesabgarSimulator) -> None:
    sim.run(sql.login_script("onlooker", "Look-1405", writer=False))
    reader = {"login": "onlooker", "password": Secret("Look-1405")}
    assert (await only_wrong(sim, **reader)).en == "the login may not EXECUTE hub.post_document"
    assert not await wrong(sim, **reader, post=())
    branch = [finding.en for finding in await wrong(sim, **reader, role=Role.BRANCH)]
    assert "the login may not EXECUTE hub.post_account" in branch


async def test_the_login_we_make_is_enough_for_a_branch_and_for_a_branch_nothing_less(sim: HesabgarSimulator) -> None:
    branch: dict[str, Any] = {"role": Role.BRANCH, "login": "karaj", "password": Secret("Karaj-1405")}
    sim.run(sql.login_script("karaj", "Karaj-1405"))
    told = {finding.subject: finding for finding in await found(sim, **branch)}
    assert not [finding.en for finding in told.values() if finding.wrong]
    assert told["rights"].en == "what the hub needs and nothing else"
    for procedure in ("put_answer", "post_account", "post_product"):
        sim.run(f"DENY EXECUTE ON OBJECT::hub.{procedure} TO karaj")
        assert (await only_wrong(sim, **branch)).en == f"the login may not EXECUTE hub.{procedure}"
        sim.run(f"GRANT EXECUTE ON OBJECT::hub.{procedure} TO karaj")


# --- the build, and the connection


async def test_a_changed_build_is_wrong_until_it_is_the_accepted_one(sim: HesabgarSimulator) -> None:
    spec = spec_of(sim)
    client = Client(spec)
    try:
        before = await build_of(client)
        assert (await findings(client, spec, before))[-1].en.endswith("as accepted")
        sim.change_build("Cyberacc 15.0")
        changed = (await findings(client, spec, before))[-1]
        assert changed.wrong
        assert f"accepted is Cyberacc 14.05.1-C ({before.fingerprint[:12]})" in changed.en
        assert "nothing is posted" in changed.en
        now = await build_of(client)
        assert f"accept-build INSTANCE {now.fingerprint[:12]}" in changed.remedy_en
        assert not (await findings(client, spec, now))[-1].wrong
    finally:
        client.close()


async def test_a_server_that_is_away_or_refuses_the_login_is_an_error(sim: HesabgarSimulator) -> None:
    with pytest.raises(Unauthorised, match="18456"):
        await found(sim, password=Secret("wrong"))
    sim.away()
    with pytest.raises(Retryable):
        await found(sim)
    sim.back()


async def test_checking_writes_nothing_to_the_books(sim: HesabgarSimulator) -> None:
    state = "SELECT MIN_ACTIVE_ROWVERSION()"
    before = sim.query(state)
    await found(sim)
    assert sim.query(state) == before


async def test_the_connectors_own_check_demands_the_same(world: World) -> None:
    await world.by_hand().check()
    with pytest.raises(Rejected, match="freight_account: the books have no 999; correct the number"):
        await world.by_hand(freight_account="999").check()
