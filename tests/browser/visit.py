"""Someone who looks at the status page, and the servers they look at."""

from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Locator, Page, expect

from hub.api.app import Served, build, serve
from hub.api.settings import ApiSettings
from tests.api.world import PATIENT, Hub
from tests.conftest import free_port

REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
NO_ANSWER = "Failed to load resource"
"""How Chromium itself tells that a request was refused or not answered."""


class Site:
    """An API server that can be stopped, and started again at the same address."""

    def __init__(self, hub: Hub, **settings: Any) -> None:
        self.hub = hub
        self._settings = ApiSettings(port=free_port(), **(PATIENT | settings))
        self._served: Served | None = None

    @property
    def address(self) -> str:
        return f"http://{self._settings.host}:{self._settings.port}"

    async def start(self) -> None:
        hub = self.hub
        self._served = await serve(build(hub.store, hub.producer, hub.kafka, hub.rules, self._settings), self._settings)

    async def stop(self) -> None:
        served, self._served = self._served, None
        if served is not None:
            await served.stop()


@dataclass
class Visit:
    """One browser with the page open. ``complaints``: what its console told as errors, violated policies among it."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    @classmethod
    async def of(cls, context: BrowserContext) -> "Visit":
        await context.add_init_script(REPORT_VIOLATIONS)
        visit = cls(await context.new_page())
        visit.page.on("console", visit._on_console)
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        return visit

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def at(self, id_: str) -> Locator:
        """The element with an id."""
        return self.page.locator(f"#{id_}")

    @property
    def rows(self) -> Locator:
        return self.page.locator("#rows tr")

    def row(self, source_id: str) -> Locator:
        """The row of the document with exactly this id."""
        return self.rows.filter(has=self.page.get_by_role("button", name=source_id, exact=True))

    def button(self, source_id: str) -> Locator:
        """What opens a row's story by keyboard."""
        return self.row(source_id).locator(".open")

    def cell(self, source_id: str, column: str) -> Locator:
        return self.row(source_id).locator(f"td.{column}")

    def tile(self, state: str) -> Locator:
        """The count of a state, which is also its filter; "" is that of all."""
        return self.page.locator(f'.tile[data-state="{state}"]')

    async def open(self, source_id: str) -> Locator:
        """Open a document's story; the dialog."""
        await self.row(source_id).click()
        return self.at("story")


async def live(visit: Visit) -> Visit:
    """The visit, once the page follows what happens and knows how the hub is."""
    body = visit.page.locator("body")
    await expect(body).to_have_attribute("data-connection", "live")
    await expect(body).to_have_attribute("data-health", "ok")
    return visit
