"""Fleets of simulated handhelds, both editions: what their ledgers say is what the hub has."""

import asyncio
import os
import sys
from decimal import Decimal
from pathlib import Path

from connectors.pocket_cyber.simulator import Fleet, Handheld
from connectors.pocket_cyber.spec import Edition, Limits, PriceChanged, Spec
from hub.store.reading import DocumentFilter, documents
from schemas.documents import Document
from tests.connectors.conftest import until
from tests.connectors.pocket_cyber.world import Backdrop, Site, open_site, reopened


async def test_days_of_visitors(backdrop: Backdrop, tmp_path: Path) -> None:
    spec = Spec(limits=Limits(), price_changed=PriceChanged.ACCEPT)
    async with open_site(backdrop, spec, tmp_path) as site:
        limited = Spec(
            limits=Limits(
                groups=(f"drinks{site.mark}", f"foods{site.mark}"),
                accounts=(site.ali, site.reza),
                warehouses=(site.van,),
                discount_percent=Decimal(5),
            ),
            price_changed=PriceChanged.ACCEPT,
        )
        async with reopened(site, limited) as narrow:
            fleet = Fleet(backdrop.session, narrow.url, narrow.operator.token or "", ["v1", "v2", "v3"], seed=7)
            await fleet.enrol()
            for _ in range(3):
                await fleet.day(6, days_offline=3, again=0.3, breaks=0.7)
                for handheld in fleet.handhelds.values():  # so that there is something to take back the next day
                    await until(lambda handheld=handheld: _all_told(handheld, _sent(handheld)))
            await _agree(site, fleet)
            made = [entry for each in fleet.handhelds.values() for entry in each.ledger.values()]
            assert {entry.what for entry in made} == {"document", "visit"}
            assert {entry.item["kind"] for entry in made if entry.what == "document"} == {
                "sales_order",
                "sales_invoice",
                "sales_return",
                "receipt",
            }


async def test_days_of_special_customers(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, Spec(edition=Edition.CUSTOMERS, limits=Limits()), tmp_path) as site:
        fleet = Fleet(backdrop.session, site.url, site.operator.token or "", [site.ali, site.reza])
        await fleet.enrol()
        for _ in range(2):
            await fleet.day(3, days_offline=2, breaks=0.5)
        await _agree(site, fleet)
        for holder, handheld in fleet.handhelds.items():
            assert {entry.item["account"] for entry in handheld.ledger.values()} == {holder}


async def _agree(site: Site, fleet: Fleet) -> None:
    """Everything was taken, everything taken is there once, and each handheld learns what became of it."""
    for holder, handheld in fleet.handhelds.items():
        assert not handheld.waiting
        refused = [(entry.item, entry.reasons) for entry in handheld.ledger.values() if not entry.taken]
        assert refused == []
        sent = _sent(handheld)
        await site.decided(holder, *sent)
        await until(lambda handheld=handheld, sent=sent: _all_told(handheld, sent))
        found = {each.source_id.partition("/")[2]: each for each in await _documents(site, holder)}
        assert found.keys() == sent
        for id_, document in found.items():
            outcome = handheld.ledger[id_].outcome or {}
            assert (outcome["state"], outcome.get("payable", 0)) == (document.state, document.totals.payable)


def _sent(handheld: Handheld) -> set[str]:
    return {id_ for id_, entry in handheld.ledger.items() if entry.what == "document" and entry.taken}


async def _all_told(handheld: Handheld, sent: set[str]) -> bool:
    await handheld.read_outcomes()
    return all(handheld.ledger[id_].outcome for id_ in sent)


async def _documents(site: Site, holder: str) -> list[Document]:
    page = await documents(site.backdrop.store, DocumentFilter(source=site.source), 1_000)
    return [document for document in page if document.source_id.startswith(f"{holder}/")]


async def test_the_simulator_as_a_process(backdrop: Backdrop, tmp_path: Path) -> None:
    async with open_site(backdrop, Spec(limits=Limits(), price_changed=PriceChanged.ACCEPT), tmp_path) as site:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "connectors.pocket_cyber.simulator", "--address", site.url),
            *("--holders", "v1,v2", "--days", "2", "--pause", "0.1", "--documents", "3"),
            env={**os.environ, "PEYVAND_KEY": site.operator.token or ""},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            told, complaints = await asyncio.wait_for(process.communicate(), 120)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert (process.returncode, complaints) == (0, b""), complaints
        assert told.decode().splitlines()[-1].startswith("day 2: ")
        listed = (await site.operator.get(f"{site.path}/devices")).body["devices"]
        assert {each["holder"] for each in listed} == {"v1", "v2"}
        assert all("last_push_at" in each for each in listed)


async def test_the_simulator_without_a_key_says_what_to_do() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "connectors.pocket_cyber.simulator", "--address", "http://127.0.0.1:1"),
        *("--holders", "v1"),
        env={key: value for key, value in os.environ.items() if key != "PEYVAND_KEY"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaints = await process.communicate()
    assert process.returncode == 2
    assert b"hub key create" in complaints
