"""The live status page in a real browser, with real servers behind it."""

import dataclasses
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import get_args

import msgspec
import pytest
from aiohttp import web
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from playwright.async_api import expect

from hub.bus.topics import create_topics
from hub.runtime.words import KINDS, STATES
from hub.store import keys, master
from hub.store.pool import Store
from schemas import topics
from schemas.commands import AnyCommand
from schemas.dates import utc_now
from schemas.documents import Kind, State, Totals
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.master import Account, Finance
from schemas.reasons import reason
from tests.api.events import event, publish
from tests.api.world import Hub, Shop, open_shop
from tests.browser.conftest import KEPT, Visitor
from tests.browser.visit import NO_ANSWER, Site, Visit, live
from tests.webhooks.world import all_done, event_of, happened, receiving, sending, subscribed, until

NewSite = Callable[..., Awaitable[Site]]

MARKUP = "<img src=x onerror=document.title='taken'>"
WORKS, WORKS_EN = "همه‌چیز کار می‌کند", "Everything works"
HELD = "در انتظار تأیید"


def beyond_credit(shop: Shop, source_id: str) -> dict[str, object]:
    """An order of 1,045,000,000 rials, above the account's credit."""
    return shop.order(source_id, line={"quantity": 950})


async def send(shop: Shop, order: dict[str, object]) -> dict[str, object]:
    answer = await shop.client.post("/v1/documents?wait=decision&timeout=30", order)
    assert answer.status == 200, answer.data
    return answer.body  # type: ignore[no-any-return]


async def overflow(visit: Visit, selector: str = "html") -> int:
    """How many pixels an element is wider within than without."""
    return int(await visit.page.locator(selector).evaluate("each => each.scrollWidth - each.clientWidth"))


# --- language and looks


async def test_it_is_persian_and_right_to_left_at_first(visit: Visit) -> None:
    await expect(visit.page.locator("html")).to_have_attribute("lang", "fa")
    await expect(visit.page.locator("html")).to_have_attribute("dir", "rtl")
    await expect(visit.at("health")).to_have_text(WORKS)
    await expect(visit.at("connection")).to_have_text("زنده")
    await expect(visit.page).to_have_title("پیوند · وضعیت زنده")
    assert visit.complaints == []


async def test_the_language_is_switched_and_remembered(visit: Visit, shop: Shop) -> None:
    await send(shop, beyond_credit(shop, f"{shop.source}-1"))
    await expect(visit.cell(f"{shop.source}-1", "state")).to_have_text(HELD)
    await visit.at("language").click()
    await expect(visit.page.locator("html")).to_have_attribute("dir", "ltr")
    await expect(visit.at("health")).to_have_text(WORKS_EN)
    await expect(visit.cell(f"{shop.source}-1", "state")).to_have_text("held")
    await expect(visit.cell(f"{shop.source}-1", "payable")).to_have_text("1,045,000,000 rials")
    await expect(visit.cell(f"{shop.source}-1", "reasons")).to_have_text(
        "1,045,000,000 is above the instant credit of 1,000,000,000"
    )
    await visit.page.reload()
    await expect(visit.page.locator("html")).to_have_attribute("lang", "en")
    await expect(visit.at("health")).to_have_text(WORKS_EN)
    await visit.at("language").click()
    await expect(visit.at("health")).to_have_text(WORKS)


async def test_kinds_and_states_are_called_as_everywhere_else(quiet: Hub, quiet_visit: Visit) -> None:
    visit = quiet_visit
    kinds = [event(number, kind=kind) for number, kind in enumerate(Kind)]
    states = [event(100 + number, state=state) for number, state in enumerate(State)]
    await publish(quiet, kinds + states)
    for language in (1, 0):
        for number, kind in enumerate(Kind):
            called = re.compile(rf"^{KINDS[kind][language]} · ")
            await expect(visit.cell(f"N-{number}", "document").locator(".kind")).to_have_text(called)
        for number, state in enumerate(State):
            await expect(visit.cell(f"N-{100 + number}", "state")).to_have_text(STATES[state][language])
        await visit.at("language").click()


async def test_every_command_has_a_name(quiet: Hub, quiet_visit: Visit) -> None:
    visit = quiet_visit
    commands = [each.__struct_config__.tag for each in get_args(AnyCommand)]
    await publish(quiet, [refused(number, command) for number, command in enumerate(commands)])
    for number in range(len(commands)):
        why = visit.cell(f"N-{number}", "reasons")
        await expect(why).to_have_text(re.compile(r"^فرمان «[^a-z_»]+» پذیرفته نشد؛ سند لغو شد: بس$"))


def refused(number: int, command: str) -> DocumentEvent:
    """A command refused, for a document nobody knows."""
    return msgspec.structs.replace(
        event(number),
        type=COMMAND_REFUSED,
        command=command,
        step=0,
        document=None,
        reasons=(reason("cancelled", note="بس"),),
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_has_enough_contrast(scheme: str, quiet: Hub, quiet_site: Site, visitor: Visitor) -> None:
    """WCAG 2 AA: 4.5 to 1."""
    visit = await live(await visitor(quiet_site.address, color_scheme=scheme, reduced_motion="reduce"))
    await publish(quiet, [event(number, state=state) for number, state in enumerate(State)])
    await expect(visit.row(f"N-{len(State) - 1}")).to_be_visible()
    found = await visit.page.evaluate(CONTRASTS)
    assert len(found) > 50
    assert [each for each in found if each["ratio"] < 4.5] == []


CONTRASTS = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = color.map((each) => linear(each / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(each).backgroundColor);
      if (a === 1) return [r, g, b];
    }
  };
  const texts = [...document.body.querySelectorAll("*")].filter((each) =>
    each.checkVisibility() && [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return texts.map((each) => {
    const [a, b] = [light(channels(getComputedStyle(each).color)), light(behind(each))];
    return { text: each.textContent, ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) };
  });
}"""


async def test_nothing_moves_for_those_who_want_no_motion(shop: Shop, site: Site, visitor: Visitor) -> None:
    visit = await live(await visitor(site.address, reduced_motion="reduce"))
    await visit.page.evaluate(WATCH_FRESH_ROWS)
    await send(shop, shop.order(shop.source))
    await expect(visit.row(shop.source)).to_be_visible()
    assert set(await visit.page.evaluate("window.freshRows")) == {"none"}


# A row is fresh for some seconds only: a page asked a moment too late has none.
WATCH_FRESH_ROWS = """() => {
  window.freshRows = [];
  new MutationObserver((changes) => {
    for (const row of changes.flatMap((change) => [...change.addedNodes]))
      if (row.classList.contains("fresh")) window.freshRows.push(getComputedStyle(row).animationName);
  }).observe(document.getElementById("rows"), { childList: true });
}"""


@pytest.mark.parametrize("language", ["fa", "en"])
async def test_a_phone_never_scrolls_sideways(
    language: str, hub: Hub, site: Site, shop: Shop, visitor: Visitor
) -> None:
    long = f"{shop.source}-{'W' * 40}"
    await send(shop, beyond_credit(shop, long))
    visit = await visitor(site.address, viewport=(360, 740))
    if language == "en":
        await visit.at("language").click()
    await expect(visit.row(long)).to_be_visible()
    assert await overflow(visit) <= 0
    story = await visit.open(long)
    await expect(story.locator(".history li")).to_have_count(1)
    assert await overflow(visit) <= 0
    assert await overflow(visit, "#story") <= 0


# --- what happens


async def test_a_new_document_appears_and_changes_without_a_reload(visit: Visit, shop: Shop) -> None:
    await expect(visit.tile("held").locator(".count")).not_to_have_text("–")
    await visit.page.evaluate("window.isSameVisit = true")
    id_ = f"{shop.source}-1"
    sent = await send(shop, beyond_credit(shop, id_))
    await expect(visit.rows.first.locator(".open")).to_have_text(id_)
    await expect(visit.cell(id_, "state")).to_have_text(HELD)
    await expect(visit.cell(id_, "document")).to_contain_text(f"سفارش فروش · {shop.source}")
    await expect(visit.cell(id_, "account")).to_have_text(shop.account)
    await expect(visit.cell(id_, "payable")).to_have_text("۱٬۰۴۵٬۰۰۰٬۰۰۰ ریال")
    await expect(visit.cell(id_, "reasons")).to_have_text("مبلغ ۱٬۰۴۵٬۰۰۰٬۰۰۰ از اعتبار لحظه‌ای ۱٬۰۰۰٬۰۰۰٬۰۰۰ بیشتر است")
    await expect(visit.cell(id_, "time")).to_have_text(
        re.compile(r"^[۰-۹]{2}:[۰-۹]{2}:[۰-۹]{2} ۱[۴-۵][۰-۹]{2}/[۰-۹]{2}/[۰-۹]{2}$")
    )
    await expect(visit.at("news")).to_contain_text(HELD)
    answer = await shop.client.post(f"{sent['location']}/approve?wait=decision&timeout=30")
    assert answer.status == 200, answer.data
    await expect(visit.cell(id_, "state")).to_have_text("تأییدشده")
    await expect(visit.row(id_)).to_have_count(1)
    assert await visit.page.evaluate("window.isSameVisit")
    assert visit.complaints == []


async def test_the_counts_follow(visit: Visit, shop: Shop) -> None:
    counts = await shop.hub.session.get(f"{shop.client.address}/v1/documents/counts")
    held = (await counts.json())["states"].get("held", 0)
    await send(shop, beyond_credit(shop, shop.source))
    await visit.at("language").click()
    await expect(visit.tile("held").locator(".count")).to_have_text(str(held + 1))


async def test_a_refused_command_is_told_at_its_document(visit: Visit, shop: Shop) -> None:
    await shop.send(shop.source, revision=2)
    await expect(visit.cell(shop.source, "reasons")).to_be_empty()
    await shop.client.post("/v1/documents", shop.order(shop.source, line={"quantity": 2}, revision=1))
    await expect(visit.cell(shop.source, "reasons")).to_have_text(
        "فرمان «ارسال» پذیرفته نشد؛ ویرایش ۱ از ویرایش موجود ۲ قدیمی‌تر است"
    )
    await expect(visit.cell(shop.source, "state")).to_have_text("تأییدشده")
    story = await visit.open(shop.source)
    await expect(story.locator(".history .badge")).to_have_text(["تأییدشده", "پذیرفته نشد"])


async def test_markup_in_a_document_is_shown_as_text(visit: Visit, shop: Shop) -> None:
    await send(shop, shop.order(MARKUP, note=MARKUP))
    await expect(visit.row(MARKUP)).to_be_visible()
    story = await visit.open(MARKUP)
    await expect(story.get_by_role("heading", name=MARKUP, exact=True)).to_be_visible()
    await expect(story.get_by_text(MARKUP, exact=True)).to_have_count(2)
    await expect(visit.page.locator("img")).to_have_count(1)
    await expect(visit.page).to_have_title("پیوند · وضعیت زنده")
    assert visit.complaints == []


async def test_an_amount_beyond_a_javascript_number_is_exact(quiet: Hub, quiet_visit: Visit) -> None:
    visit = quiet_visit
    one = event(1)
    assert one.document is not None
    document = msgspec.structs.replace(one.document, totals=Totals(payable=999_999_999_999_999_999))
    await publish(quiet, [msgspec.structs.replace(one, document=document)])
    await expect(visit.cell("N-1", "payable")).to_have_text("۹۹۹٬۹۹۹٬۹۹۹٬۹۹۹٬۹۹۹٬۹۹۹ ریال")


async def test_the_rows_are_bounded(quiet: Hub, quiet_visit: Visit) -> None:
    visit = quiet_visit
    await publish(quiet, [event(number) for number in range(260)])
    await expect(visit.rows).to_have_count(200)
    await publish(quiet, [event(1_000)])
    await expect(visit.rows.first.locator(".open")).to_have_text("N-1000")
    await expect(visit.rows).to_have_count(200)


async def test_an_event_of_the_past_changes_nothing(quiet: Hub, quiet_visit: Visit) -> None:
    visit = quiet_visit
    old, held = event(1), event(1, state=State.HELD)
    assert held.document is not None
    newer = msgspec.structs.replace(held, step=2, document=msgspec.structs.replace(held.document, step=2))
    await publish(quiet, [newer, old, event(2)])
    await expect(visit.row("N-2")).to_be_visible()
    await expect(visit.cell("N-1", "state")).to_have_text(HELD)


# --- reading in peace


async def test_columns_stay_where_they_are_when_rows_arrive(visit: Visit, shop: Shop) -> None:
    await send(shop, shop.order(f"{shop.source}-1"))
    await expect(visit.row(f"{shop.source}-1")).to_be_visible()
    await expect(visit.at("health")).to_have_text(WORKS)
    before = await places(visit)
    await send(shop, beyond_credit(shop, f"{shop.source}-a-much-longer-id-than-the-others"))
    await expect(visit.rows.first).to_contain_text("a-much-longer-id")
    assert await places(visit) == before


async def places(visit: Visit) -> object:
    """Where the page's fixed parts stand, to the pixel."""
    return await visit.page.evaluate(
        """() => [...document.querySelectorAll(".masthead, .health, .tile, .toolbar > *, .list th")]
            .filter((each) => each.id !== "shown")
            .map((each) => each.getBoundingClientRect())
            .map(({ x, y, width, height }) => [x, y, width, height].map(Math.round))"""
    )


async def test_rows_wait_while_someone_reads_further_down(
    visit: Visit, shop: Shop, visitor: Visitor, site: Site
) -> None:
    await send(shop, shop.order(f"{shop.source}-1"))
    small = await visitor(site.address, viewport=(800, 300))
    await expect(small.row(f"{shop.source}-1")).to_be_visible()
    await small.page.mouse.wheel(0, 100_000)
    await expect(small.page.locator(".masthead")).not_to_be_in_viewport()
    await send(shop, shop.order(f"{shop.source}-2"))
    await expect(small.at("waiting")).to_have_text("۱ سند تازه")
    await expect(small.row(f"{shop.source}-2")).to_have_count(0)
    await small.at("waiting").click()
    await expect(small.rows.first.locator(".open")).to_have_text(f"{shop.source}-2")
    await expect(small.at("waiting")).to_be_hidden()


async def test_the_list_can_be_paused(visit: Visit, shop: Shop) -> None:
    await visit.at("pause").click()
    await send(shop, shop.order(shop.source))
    await expect(visit.at("pause")).to_have_text("ادامه (۱ سند تازه)")
    await expect(visit.row(shop.source)).to_have_count(0)
    await visit.at("pause").click()
    await expect(visit.row(shop.source)).to_be_visible()


async def test_filters_by_state_and_text(visit: Visit, shop: Shop) -> None:
    await send(shop, shop.order(f"{shop.source}-۱"))
    await send(shop, beyond_credit(shop, f"{shop.source}-2"))
    await expect(visit.row(f"{shop.source}-2")).to_be_visible()
    await visit.at("search").fill(shop.source.upper())
    await expect(visit.rows).to_have_count(2)
    await visit.tile("held").click()
    await expect(visit.tile("held")).to_have_attribute("aria-pressed", "true")
    await expect(visit.rows.locator(".open")).to_have_text([f"{shop.source}-2"])
    await visit.tile("").click()
    await visit.at("search").fill(f"{shop.source}-۱")
    await expect(visit.rows.locator(".open")).to_have_text([f"{shop.source}-1"])
    await visit.at("search").fill(shop.account)
    await expect(visit.rows).to_have_count(2)
    await visit.at("search").fill("nothing like it")
    await expect(visit.at("empty")).to_contain_text("هیچ‌یک از سندهای اخیر با این صافی نمی‌خواند")


async def test_the_filters_find_what_is_older_than_the_latest(
    hub: Hub, shop: Shop, site: Site, visitor: Visitor
) -> None:
    held = f"{shop.source}-Held"
    await send(shop, beyond_credit(shop, held))
    await sold(shop, FIRST_PAGE)
    visit = await live(await visitor(site.address))
    await expect(visit.rows).to_have_count(FIRST_PAGE)
    await expect(visit.row(held)).to_have_count(0)
    await visit.tile("held").click()
    await expect(visit.row(held)).to_be_visible()
    await visit.page.reload()
    for typed in (held, shop.account, f"{shop.source}/{held}"):
        await visit.at("search").fill(typed)
        await expect(visit.row(held)).to_be_visible()
        await visit.page.reload()


async def test_what_a_filter_found_outlives_thousands_of_newer_documents(
    hub: Hub, quiet: Hub, quiet_visit: Visit, site: Site
) -> None:
    visit, shop = quiet_visit, await open_shop(hub, site.address)
    await send(shop, beyond_credit(shop, shop.source))
    await visit.at("search").fill(shop.source)
    await expect(visit.row(shop.source)).to_be_visible()
    await visit.at("language").click()
    for first in range(0, 2_001, 667):
        before = await known(visit)
        await publish(quiet, [event(10_000 + number) for number in range(first, first + 667)])
        await until(lambda before=before: all_known(visit, before))
    assert await known(visit) < 2_001
    await expect(visit.row(shop.source)).to_be_visible()


async def known(visit: Visit) -> int:
    """How many documents the page keeps in mind."""
    [count] = re.findall(r"([\d,]+) documents", await visit.at("shown").inner_text())
    return int(count.replace(",", ""))


async def all_known(visit: Visit, before: int) -> bool:
    """Whether the page has taken in 667 more, or has forgotten the oldest of more than 2,000."""
    return not before <= await known(visit) < before + 667


FIRST_PAGE = 50
"""So many documents the page reads at first."""


async def sold(shop: Shop, count: int) -> None:
    """Many orders of another account, decided."""
    mark = f"{shop.account}x"
    await master.apply(shop.hub.store, [Account(mark, "مشتری دیگر"), Finance(mark, utc_now(), direct=10**12)])
    orders = [shop.order(f"{shop.source}-{number}", account=mark) for number in range(count)]
    answer = await shop.client.post("/v1/documents?wait=decision&timeout=30", orders)
    assert answer.status == 200, answer.data


# --- a document's story


async def test_the_story_opens_by_keyboard(visit: Visit, shop: Shop) -> None:
    await shop.stocked(5, "RAM-1")
    lines = [{"product": shop.product, "quantity": "2.5"}, {"product": "RAM-1", "quantity": 7}]
    await send(shop, shop.order(shop.source, lines=lines))
    await expect(visit.cell(shop.source, "state")).to_have_text("ردشده")
    await visit.button(shop.source).focus()
    await visit.page.keyboard.press("Enter")
    story = visit.at("story")
    await expect(story).to_be_visible()
    await expect(story.get_by_role("heading", name=shop.source)).to_be_visible()
    why = f"ردیف ۲: موجودی قابل فروش RAM-1 در انبار {shop.warehouse}، ۵ است؛ ۷ خواسته شده"
    await expect(story.locator(".why li")).to_have_text([why])
    await expect(story.locator(".history li")).to_have_count(1)
    await expect(story.locator(".history")).to_contain_text("از سوی key-")
    await expect(story.locator("tbody tr")).to_have_count(2)
    await expect(story.locator("tbody tr").first).to_contain_text("۲٫۵")
    await expect(story.locator(".totals")).to_contain_text("۱۰٬۴۵۰٬۰۰۰ ریال")
    await expect(visit.at("story-close")).to_be_focused()
    await visit.page.keyboard.press("Escape")
    await expect(story).to_be_hidden()
    await expect(visit.button(shop.source)).to_be_focused()


async def test_the_story_has_an_address_and_back_closes_it(visit: Visit, shop: Shop) -> None:
    sent = await send(shop, shop.order(shop.source))
    story = await visit.open(shop.source)
    await expect(visit.page).to_have_url(re.compile(f"#{sent['document_id']}$"))
    await visit.page.keyboard.press("Escape")
    await expect(visit.page).to_have_url(re.compile("/$"))
    await visit.page.go_forward()
    await expect(story.get_by_role("heading", name=shop.source)).to_be_visible()
    await visit.page.go_back()
    await expect(story).to_be_hidden()
    await visit.page.go_forward()
    # A reload in the middle of going forward is broken off.
    await expect(story.get_by_role("heading", name=shop.source)).to_be_visible()
    await visit.page.reload()
    await expect(story.get_by_role("heading", name=shop.source)).to_be_visible()
    await visit.at("story-close").click()
    await expect(visit.page).to_have_url(re.compile("/$"))


async def test_an_open_story_goes_on(visit: Visit, shop: Shop) -> None:
    sent = await send(shop, beyond_credit(shop, shop.source))
    story = await visit.open(shop.source)
    await expect(story.locator(".history .badge")).to_have_text([HELD])
    await shop.client.post(f"{sent['location']}/approve", {"note": "با مدیر هماهنگ شد"})
    await expect(story.locator(".history .badge")).to_have_text([HELD, "تأییدشده"])
    await expect(story.locator(".particulars")).to_contain_text("با مدیر هماهنگ شد")
    await visit.page.keyboard.press("Escape")


async def test_arrow_keys_go_from_row_to_row(visit: Visit, shop: Shop) -> None:
    for number in (1, 2):
        await send(shop, shop.order(f"{shop.source}-{number}"))
    await expect(visit.row(f"{shop.source}-2")).to_be_visible()
    await visit.button(f"{shop.source}-2").focus()
    await visit.page.keyboard.press("ArrowDown")
    await expect(visit.button(f"{shop.source}-1")).to_be_focused()
    await visit.page.keyboard.press("ArrowUp")
    await expect(visit.button(f"{shop.source}-2")).to_be_focused()


async def test_the_focus_stays_with_a_row_that_moves(visit: Visit, shop: Shop) -> None:
    held = await send(shop, beyond_credit(shop, f"{shop.source}-1"))
    await send(shop, shop.order(f"{shop.source}-2"))
    await expect(visit.rows.first.locator(".open")).to_have_text(f"{shop.source}-2")
    await visit.button(f"{shop.source}-1").focus()
    await shop.client.post(f"{held['location']}/approve?wait=decision&timeout=30")
    await expect(visit.rows.first.locator(".open")).to_have_text(f"{shop.source}-1")
    await expect(visit.button(f"{shop.source}-1")).to_be_focused()


# --- the key


async def test_a_key_is_asked_for_where_the_page_isnt_public(
    hub: Hub, site: Site, new_site: NewSite, visitor: Visitor
) -> None:
    locked = await new_site(hub)
    shop, other = await open_shop(hub, locked.address), await open_shop(hub, locked.address)
    await send(other, other.order(f"{other.source}-1"))
    await send(shop, shop.order(f"{shop.source}-1"))
    visit = await visitor(locked.address)
    await expect(visit.at("key")).to_be_focused()
    await expect(visit.at("key-problem")).to_be_empty()
    await expect(visit.at("health")).to_have_text(WORKS)
    await expect(visit.at("content")).to_be_hidden()
    await give(visit, "pvd_nobody")
    await expect(visit.at("key-problem")).to_contain_text("این کلید درست نیست یا باطل شده است")
    await give(visit, "کلید")
    await expect(visit.at("key-problem")).to_contain_text("این کلید درست نیست یا باطل شده است")
    writer = await hub.key(locked.address, "documents:write")
    await give(visit, token_of(writer.token))
    await expect(visit.at("key-problem")).to_contain_text("live:read")
    await give(visit, token_of(shop.client.token))
    await expect(visit.rows.locator(".open")).to_have_text([f"{shop.source}-1"])
    await send(shop, beyond_credit(shop, f"{shop.source}-2"))
    await expect(visit.cell(f"{shop.source}-2", "state")).to_have_text(HELD)
    await visit.page.reload()
    await expect(visit.rows).to_have_count(2)
    story = await visit.open(f"{shop.source}-2")
    await expect(story.locator(".history li")).to_have_count(1)
    await visit.page.keyboard.press("Escape")
    await visit.at("forget").click()
    await expect(visit.at("key")).to_be_visible()
    await expect(visit.rows).to_have_count(0)
    await visit.page.reload()
    await expect(visit.at("key")).to_be_visible()
    assert await visit.page.evaluate("[sessionStorage.length, localStorage.length]") == [0, 0]


async def test_a_storys_address_waits_for_the_key(hub: Hub, new_site: NewSite, visitor: Visitor) -> None:
    locked = await new_site(hub)
    shop = await open_shop(hub, locked.address)
    sent = await send(shop, shop.order(shop.source))
    visit = await visitor(locked.address)
    await expect(visit.at("key")).to_be_focused()
    await visit.page.goto(f"{locked.address}/#{sent['document_id']}")
    await expect(visit.at("story")).to_be_hidden()
    await give(visit, token_of(shop.client.token))
    await expect(visit.at("story").get_by_role("heading", name=shop.source)).to_be_visible()


async def give(visit: Visit, key: str) -> None:
    await visit.at("key").fill(key)
    await visit.page.keyboard.press("Enter")


def token_of(token: str | None) -> str:
    assert token is not None
    return token


async def test_a_revoked_key_ends_the_visit(hub: Hub, new_site: NewSite, visitor: Visitor) -> None:
    locked = await new_site(hub, key_seconds=0.05, heartbeat_seconds=0.1)
    shop = await open_shop(hub, locked.address)
    await send(shop, shop.order(shop.source))
    _, token = await keys.create(
        hub.store,
        name=f"watcher-{shop.source}",
        source=shop.source,
        scopes=("documents:read", "live:read"),
        per_minute=600,
    )
    visit = await visitor(locked.address)
    await give(visit, token)
    await expect(visit.row(shop.source)).to_be_visible()
    await keys.revoke(hub.store, f"watcher-{shop.source}")
    await expect(visit.at("key-problem")).to_contain_text("باطل شده است")
    await expect(visit.rows).to_have_count(0)


# --- what is done on the page


async def test_with_a_key_a_held_document_is_approved_in_its_story(site: Site, shop: Shop, visitor: Visitor) -> None:
    await send(shop, beyond_credit(shop, shop.source))
    visit = await live(await visitor(site.address))
    story = await visit.open(shop.source)
    await expect(story.locator(".history .badge")).to_have_text([HELD])
    await expect(visit.at("actions")).to_be_hidden()
    await visit.page.keyboard.press("Escape")
    await visit.at("use-key").click()
    await give(visit, token_of(shop.client.token))
    await visit.open(shop.source)
    await expect(visit.at("actions").get_by_role("button")).to_have_text(["تأیید سند", "رد سند"])
    await visit.at("note").fill("با مدیر هماهنگ شد")
    await visit.at("actions").get_by_role("button", name="تأیید سند").click()
    await expect(story.locator(".history .badge")).to_have_text([HELD, "تأییدشده"])
    await expect(story.locator(".particulars")).to_contain_text("با مدیر هماهنگ شد")
    await expect(visit.at("actions")).to_be_hidden()


async def test_a_document_kept_from_the_books_is_released_in_its_story(
    hub: Hub, new_site: NewSite, visitor: Visitor
) -> None:
    locked = await new_site(hub)
    shop = await open_shop(hub, locked.address, KEPT)
    await send(shop, shop.order(shop.account))
    visit = await visitor(locked.address)
    await give(visit, token_of(shop.client.token))
    await visit.tile("cleared").click()
    story = await visit.open(shop.account)
    await story.get_by_role("button", name="آزادسازی برای ثبت در حسابگر").click()
    await expect(story.locator(".particulars")).to_contain_text("آزادکننده")
    await expect(story.locator(".history > li")).to_have_count(2)
    await expect(visit.at("actions")).to_be_hidden()


async def test_who_may_only_look_is_offered_nothing(hub: Hub, new_site: NewSite, visitor: Visitor) -> None:
    locked = await new_site(hub)
    shop = await open_shop(hub, locked.address)
    await send(shop, beyond_credit(shop, shop.source))
    await subscribed(hub.store, "https://shop.example.com/hook", shop.source)
    watcher = await hub.key(locked.address, "documents:read", "live:read", source=shop.source)
    visit = await visitor(locked.address)
    await give(visit, token_of(watcher.token))
    story = await visit.open(shop.source)
    await expect(story.locator(".history li")).to_have_count(1)
    await expect(visit.at("actions")).to_be_hidden()
    await expect(visit.at("webhooks")).to_be_hidden()


async def test_a_command_that_is_refused_says_why(hub: Hub, new_site: NewSite, visitor: Visitor) -> None:
    locked = await new_site(hub, key_seconds=0.05)
    shop = await open_shop(hub, locked.address)
    await send(shop, beyond_credit(shop, shop.source))
    name = f"boss-{shop.source}"
    scopes = ("documents:read", "documents:approve", "live:read")
    _, token = await keys.create(hub.store, name=name, source=shop.source, scopes=scopes, per_minute=600)
    visit = await visitor(locked.address)
    await give(visit, token)
    story = await visit.open(shop.source)
    await expect(story.get_by_role("button", name="رد سند")).to_be_visible()
    await keys.revoke(hub.store, name)
    await story.get_by_role("button", name="رد سند").click()
    await expect(visit.at("action-problem")).to_contain_text("کلیدی معتبر")


async def test_a_failed_webhook_is_set_active_and_its_delivery_sent_again(
    hub: Hub, new_site: NewSite, visitor: Visitor
) -> None:
    locked = await new_site(hub)
    watcher = await hub.key(locked.address, "documents:read", "live:read", "webhooks:manage")
    source = (await watcher.get("/v1/me")).body["source"]
    async with receiving() as receiver:
        receiver.answer = lambda _: web.Response(status=500)
        await subscribed(hub.store, receiver.url, source)
        await happened(hub.store, event_of(source, "A", 1))
        async with sending(hub.store, retries=()):
            await until(lambda: all_done(hub.store))
        visit = await visitor(locked.address)
        await give(visit, token_of(watcher.token))
        webhooks = visit.at("webhooks")
        await expect(visit.at("webhooks-more")).to_have_text("۱، ۱ با اشکال")
        await webhooks.locator("summary").click()
        await expect(webhooks.locator(".badge")).to_have_text("غیرفعال")
        await webhooks.get_by_role("button", name="ارسال‌ها").click()
        entry = webhooks.locator(".log li")
        await expect(entry.locator(".badge")).to_have_text("بی‌نتیجه")
        await expect(entry).to_contain_text("پاسخ ۵۰۰")
        await expect(entry.get_by_role("button", name="ارسال دوباره")).to_have_count(0)
        await webhooks.get_by_role("button", name="فعال‌سازی دوباره").click()
        receiver.answer = lambda _: web.Response()
        await entry.get_by_role("button", name="ارسال دوباره").click()
        async with sending(hub.store):
            await expect(entry.locator(".badge")).to_have_text("رسیده")
        await expect(visit.at("webhooks-more")).to_have_text("۱، همه درست")
    assert [got.step for got in receiver.got] == [("A", 1), ("A", 1)]


# --- when something is wrong


async def test_a_lost_connection_is_told_and_heals(hub: Hub, site: Site, new_site: NewSite, visitor: Visitor) -> None:
    own = await new_site(hub, public_status=True)
    shop = await open_shop(hub, site.address)
    visit = await live(await visitor(own.address))
    await send(shop, beyond_credit(shop, f"{shop.source}-1"))
    await expect(visit.cell(f"{shop.source}-1", "state")).to_have_text(HELD)
    await own.stop()
    await expect(visit.at("connection")).to_have_text("قطع شده")
    await expect(visit.at("lost")).to_contain_text("ارتباط با سرور قطع شده است")
    await expect(visit.at("health")).to_have_text("سرور پاسخ نمی‌دهد")
    await expect(visit.page).to_have_title(re.compile("^⚠"))
    await expect(visit.row(f"{shop.source}-1")).to_be_visible()
    sent = await send(shop, shop.order(f"{shop.source}-2", revision=2))
    await shop.client.post(
        "/v1/documents?wait=decision&timeout=30", shop.order(f"{shop.source}-2", note="other", revision=1)
    )
    first = await shop.client.get(f"/v1/documents?source_id={shop.source}-1")
    await shop.client.post(f"/v1/documents/{first.body['items'][0]['id']}/approve?wait=decision&timeout=30")
    await own.start()
    await expect(visit.row(f"{shop.source}-2")).to_have_attribute("data-id", str(sent["document_id"]))
    await expect(visit.cell(f"{shop.source}-2", "reasons")).to_contain_text("پذیرفته نشد")  # only the feed tells that
    await expect(visit.cell(f"{shop.source}-1", "state")).to_have_text("تأییدشده")
    await expect(visit.row(f"{shop.source}-1")).to_have_count(1)
    await expect(visit.at("connection")).to_have_text("زنده")
    await expect(visit.at("lost-text")).to_have_text("دوباره وصل شد.")
    await expect(visit.at("health")).to_have_text(WORKS)
    assert any(told.startswith(NO_ANSWER) for told in visit.complaints)


async def test_events_kafka_has_no_more_are_made_up_for(
    quiet: Hub, shop: Shop, new_site: NewSite, visitor: Visitor
) -> None:
    own = await new_site(quiet, public_status=True)
    visit = await live(await visitor(own.address))
    await publish(quiet, [event(number) for number in range(3)])
    await expect(visit.row("N-2")).to_be_visible()
    await own.stop()
    await publish(quiet, [event(number) for number in range(50)])
    await delete_events(quiet)
    await comes_back_with_the_latest(visit, own, shop)
    await expect(visit.row("N-2")).to_have_count(0)


async def delete_events(hub: Hub) -> None:
    """Do what Kafka does to events older than it keeps."""
    admin = AIOKafkaAdminClient(bootstrap_servers=hub.kafka.bootstrap)
    await admin.start()
    try:
        topic = hub.kafka.topic(topics.EVENTS)
        everything = RecordsToDelete(before_offset=-1)
        await admin.delete_records(
            {TopicPartition(topic, partition): everything for partition in range(topics.EVENTS.partitions)}
        )
    finally:
        await admin.close()


async def test_a_feed_made_anew_is_followed_from_its_beginning(
    hub: Hub, quiet: Hub, topic_prefix: str, shop: Shop, new_site: NewSite, visitor: Visitor
) -> None:
    own = await new_site(quiet, public_status=True)
    await publish(quiet, [event(number) for number in range(30)])
    visit = await live(await visitor(own.address))
    await own.stop()
    anew = msgspec.structs.replace(hub.kafka, prefix=topic_prefix)
    await create_topics(anew)
    own.hub = dataclasses.replace(quiet, kafka=anew)
    await comes_back_with_the_latest(visit, own, shop)


async def test_after_long_away_the_latest_are_read_anew(
    quiet: Hub, shop: Shop, new_site: NewSite, visitor: Visitor
) -> None:
    own = await new_site(quiet, public_status=True)
    visit = await live(await visitor(own.address))
    await own.stop()
    await expect(visit.at("connection")).to_have_text("قطع شده")
    await visit.page.clock.set_system_time(utc_now() + timedelta(minutes=11))
    await comes_back_with_the_latest(visit, own, shop)


async def comes_back_with_the_latest(visit: Visit, site: Site, shop: Shop) -> None:
    """The page's server comes back, and shows an order of which its feed tells nothing."""
    await send(shop, shop.order(shop.source))
    await site.start()
    await visit.at("retry").dispatch_event("click")
    await expect(visit.row(shop.source)).to_be_visible()
    await live(visit)


async def test_what_is_wrong_is_told_in_words(
    hub: Hub, quiet: Hub, database: str, new_site: NewSite, visitor: Visitor
) -> None:
    """A database in which no worker has ever reported: nothing decides."""
    store = Store(database)
    await store.open()
    try:
        idle = dataclasses.replace(quiet, store=store)
        visit = await visitor((await new_site(idle, public_status=True)).address)
        await expect(visit.at("health")).to_have_text("چیزی درست کار نمی‌کند")
        await expect(visit.at("troubles")).to_contain_text("هیچ کارگر streams در کار نیست")
        await expect(visit.at("empty")).to_contain_text("هنوز سندی نیامده است")
        await visit.at("language").click()
        await expect(visit.at("troubles")).to_contain_text("no streams worker runs")
        await expect(visit.at("check-list")).to_contain_text("well: Kafka answers")
    finally:
        await store.close()
