"""`hub hesabgar refresh` and `import` as a person says them."""

import asyncio
from pathlib import Path

import pytest

from connectors.hesabgar.simulator import FaultKind
from schemas.documents import State
from schemas.ids import document_id
from schemas.master import Account, Finance
from tests.connectors.hesabgar.test_branch import enter
from tests.connectors.hesabgar.world import World
from tests.runtime.dev_helpers import run_hub

CONFIG = """
[company]
prefix = "{prefix}"
[kafka]
bootstrap = ["{kafka}"]
replication = 1
min_isr = 1
[postgres]
dsn = "{dsn}"
[connectors.hesabgar.books]
server = "{sim.host}"
port = {sim.port}
company = "{sim.database}"
login = "{sim.login}"
password = "{sim.password}"
"""


@pytest.fixture
def variables(world: World, tmp_path: Path) -> dict[str, str]:
    """The environment in which `hub` means this test's hub."""
    file = tmp_path / "hub.toml"
    kafka = world.around.kafka
    file.write_text(
        CONFIG.format(prefix=kafka.prefix, kafka=kafka.bootstrap, dsn=world.around.dsn, sim=world.sim), encoding="utf-8"
    )
    return {"PEYVAND_CONFIG": str(file), "PEYVAND_DATA": str(tmp_path / "var")}


async def test_one_customer_is_refreshed(world: World, variables: dict[str, str]) -> None:
    done = await asyncio.to_thread(run_hub, "hesabgar", "refresh", "۲۱۲۰۱۰۰۰۶", **variables)
    assert done.returncode == 0, done.stderr
    assert "شرکت امین گستر" in done.stdout
    assert {type(record) for record in await world.around.master()} == {Account, Finance}


async def test_an_account_the_books_do_not_have_is_told(variables: dict[str, str]) -> None:
    done = await asyncio.to_thread(run_hub, "hesabgar", "refresh", "999", **variables)
    assert done.returncode == 1
    assert "no account 999" in done.stderr


async def test_last_periods_invoices_are_brought_in_and_counted(world: World, variables: dict[str, str]) -> None:
    sales = [enter(world.sim, f"s{number}") for number in range(3)]
    words = ("hesabgar", "import", "--kind", "sales_invoice", "--from", "1405/08/01", "--to", "1405/09/30")
    done = await asyncio.to_thread(run_hub, *words, **variables)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "3,300,000" in done.stdout
    for own_id in sales:
        await world.comes_to(document_id("books-history", own_id), State.POSTED)
    again = await asyncio.to_thread(run_hub, *words, **variables)
    assert again.returncode == 0
    assert "3 posted" in again.stdout


async def test_what_was_refused_is_posted_again_once_the_books_are_mended(
    world: World, variables: dict[str, str]
) -> None:
    post_again = ("hesabgar", "post-again", "books")
    async with world.connector("books"):
        await world.has_stock(47)
        world.sim.fault(FaultKind.ERROR, on="post_document", number=50_105, message="The period is closed", times=2)
        identities = [await world.send() for _ in range(2)]
        for identity in identities:
            await world.comes_to(identity, State.POST_FAILED)
        done = await asyncio.to_thread(run_hub, *post_again, "--refused", **variables)
        assert (done.returncode, done.stdout.count("ok")) == (0, 2), done.stderr
        for identity in identities:
            await world.comes_to(identity, State.POSTED)
    assert len(world.outcomes()) == 2
    done = await asyncio.to_thread(run_hub, *post_again, str(identities[0]), **variables)
    assert (done.returncode, "shop/D-1 isn't to be posted here" in done.stderr) == (1, True)
    done = await asyncio.to_thread(run_hub, *post_again, "--refused", **variables)
    assert (done.returncode, done.stdout) == (0, "There is no document that these books refused.\n")


async def test_what_stands_at_posting_can_be_handed_to_the_books_once_more(
    world: World, variables: dict[str, str]
) -> None:
    async with world.connector("books"):
        await world.has_stock(47)
        world.sim.away()
        identity = await world.send()
        await world.comes_to(identity, State.POSTING)
        done = await asyncio.to_thread(run_hub, "hesabgar", "post-again", "books", str(identity), **variables)
        assert done.returncode == 0, done.stderr
        world.sim.back()
        await world.comes_to(identity, State.POSTED)
    assert len(world.outcomes()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--from", "1405/13/01", "--to", "1405/09/30"), "not a day of the calendar"),
        (("--from", "1405/09/30", "--to", "1405/09/01"), "lies after"),
        (("--from", "1405/09/01", "--to", "1405/09/30", "--instance", "karaj"), "no Hesabgar karaj"),
    ],
)
async def test_what_cannot_be_meant_is_told(variables: dict[str, str], words: tuple[str, ...], says: str) -> None:
    done = await asyncio.to_thread(run_hub, "hesabgar", "import", "--kind", "sales_invoice", *words, **variables)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
