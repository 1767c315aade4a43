"""One handheld: its copy of what it may see, what it made and hasn't handed over, and a ledger of what it was told."""

import asyncio
import json
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

Item = dict[str, Any]

FEEDS: Final = {"products": "code", "customers": "code", "stock": "product", "credit": "account", "lists": "key"}
"""What is pulled, and the key of each."""

_PASSES: Final = frozenset({429, 500, 502, 503, 504})
_OWN_IDS: Final = uuid.UUID("6a1f6f0e-6f43-5a39-9a8e-3f2d0f6c7a55")


class Away(Exception):
    """The hub can't be reached, or asks to come again."""


class Refused(Exception):
    """The hub refused the request, whatever is tried."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {problem.get('detail', '')}")
        self.status = status
        self.problem = problem


@dataclass
class Entry:
    """One document or visit in the ledger: what was made, the last answer to pushing it, and what became of it."""

    what: str
    item: Item
    results: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    document_id: str = ""
    outcome: Item | None = None

    @property
    def taken(self) -> bool:
        """Whether the hub said that it has it."""
        return bool({"accepted", "repeated", "superseded"} & set(self.results))


class Handheld:
    """A device of one holder at ``address`` (the instance's URL). Without :meth:`push` it is offline.

    ``seed`` makes its choices and its ids repeatable; ``skew`` is how far its clock is ahead.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        *,
        seed: int | str = 1,
        skew: timedelta = timedelta(0),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.address = address.rstrip("/")
        self.dice = random.Random(str(seed))  # noqa: S311 - choices of a simulation
        self.token = ""
        self.me: Item = {}
        self.copies: dict[str, dict[str, Item]] = {feed: {} for feed in FEEDS}
        self.ledger: dict[str, Entry] = {}
        self._session = session
        self._skew = skew
        self._clock = clock
        self._cursors = dict.fromkeys((*FEEDS, "outcomes"), "")
        self._waiting: list[str] = []
        self._drawn = 0

    @property
    def now(self) -> datetime:
        """By the handheld's own clock."""
        return self._clock() + self._skew

    @property
    def waiting(self) -> Sequence[str]:
        """The ids of what the hub hasn't answered for yet."""
        return tuple(self._waiting)

    # --- asking

    async def ask(self, method: str, path: str, body: Item | None = None, **query: str) -> Item:
        """The JSON answer of the hub. Raises :exc:`Away` and :exc:`Refused`."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        params = {name: value for name, value in query.items() if value}
        try:
            async with self._session.request(
                method, self.address + path, json=body, params=params, headers=headers
            ) as response:
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Away(str(error)) from error
        if response.status in _PASSES:
            raise Away(f"it answers {response.status}")
        answer: Item = json.loads(data) if data else {}
        if response.status >= 400:
            raise Refused(response.status, answer)
        return answer

    async def enrol(self, code: str, name: str = "handheld") -> None:
        """Get a token of its own, with the operator's code; what it knew stays."""
        answer = await self.ask("POST", "/enrol", {"code": code, "device": name})
        self.token, self.me = answer["token"], answer["me"]

    async def pull(self, *feeds: str, limit: int | None = None) -> None:
        """Bring its copy of these feeds, or of all, up to date."""
        self.me = await self.ask("GET", "/me")
        for feed in feeds or FEEDS:
            while await self.pull_page(feed, limit):
                pass

    async def pull_page(self, feed: str, limit: int | None = None) -> bool:
        """One page; whether there are more."""
        page = await self.ask(
            "GET", f"/pull/{feed}", cursor=self._cursors[feed], limit=str(limit) if limit is not None else ""
        )
        copy = self.copies[feed]
        if page["reset"]:
            copy.clear()
        for key in page.get("gone", ()):
            copy.pop(key, None)
        copy.update({item[FEEDS[feed]]: item for item in page["items"]})
        self._cursors[feed] = page["cursor"]
        return bool(page["more"])

    async def read_outcomes(self) -> None:
        """Note in the ledger what became of its documents."""
        more = True
        while more:
            page = await self.ask("GET", "/outcomes", cursor=self._cursors["outcomes"])
            for outcome in page["items"]:
                if (entry := self.ledger.get(outcome["id"])) is not None:
                    entry.outcome = outcome
            self._cursors["outcomes"], more = page["cursor"], page["more"]

    # --- what is made offline

    def new_id(self) -> str:
        """An id of its holder's own, which no other device draws again."""
        self._drawn += 1
        return str(uuid.uuid5(_OWN_IDS, f"{self.me.get('device', '')}/{self._drawn}/{self.dice.random()}"))

    def keep(self, document: Item, what: str = "document") -> str:
        """Put a document or visit, just made, to those that wait; its id."""
        id_ = str(document["id"])
        self.ledger[id_] = Entry(what, document)
        self._waiting.append(id_)
        return id_

    def sell(self, kind: str = "sales_invoice", *, ago: timedelta = timedelta(0), **fields: Any) -> str:
        """Make a sale ``ago`` of what its copies say, or of what ``fields`` say instead; its id."""
        document = {
            "id": self.new_id(),
            "at": (self.now - ago).isoformat(),
            "kind": kind,
            "account": self.customer(),
            "payment": "credit" if self.me["limits"]["credit"] and self.dice.random() < 0.3 else "cash",
            **fields,
        }
        document.setdefault("lines", [self.line() for _ in range(self.dice.randint(1, 3))])
        return self.keep(document)

    def line(self, product: str | None = None, quantity: str | None = None) -> Item:
        """A line at the price of its copy, perhaps discounted as far as its limits let it."""
        on_hand = sorted(code for code, item in self.copies["stock"].items() if item["stock"])
        code = product or self.dice.choice(on_hand or sorted(self.copies["products"]))
        price = int(self.copies["products"][code].get("price") or 0)
        count = Decimal(quantity or self.dice.randint(1, 3))
        ceiling = int(price * count * Decimal(self.me["limits"]["discount_percent"]) / 100)
        line: Item = {"product": code, "quantity": str(count), "unit_price": price}
        if rows := self.copies["stock"].get(code, {}).get("stock"):
            line["warehouse"] = max(rows, key=lambda row: Decimal(row["quantity"]))["warehouse"]
        if ceiling and self.dice.random() < 0.5:
            line["discount"] = self.dice.randint(0, ceiling)
        return line

    def customer(self) -> str:
        """One of its customers; in CE the holder."""
        return self.dice.choice(sorted(self.copies["customers"]))

    def take_money(self, amount: int, *, ago: timedelta = timedelta(0), method: str = "cash", **fields: Any) -> str:
        """Make a receipt of money; its id."""
        made = {"id": self.new_id(), "at": (self.now - ago).isoformat(), "kind": "receipt", "account": self.customer()}
        return self.keep({**made, "amount": amount, "method": method, **fields})

    def take_back(self, sale: str, *, ago: timedelta = timedelta(0)) -> str:
        """Make a return of one unit of a sale's first line; its id."""
        sold = self.ledger[sale].item
        made = {"id": self.new_id(), "at": (self.now - ago).isoformat(), "kind": "sales_return", "original": sale}
        first = sold["lines"][0]
        line = {"product": first["product"], "quantity": "1", "warehouse": first.get("warehouse")}
        return self.keep({**made, "account": sold["account"], "payment": sold["payment"], "lines": [line]})

    def visit(self, outcome: str = "no_sale", *, ago: timedelta = timedelta(0), **fields: Any) -> str:
        """Make a visit; its id."""
        began = (self.now - ago).isoformat()
        made = {"id": self.new_id(), "account": self.customer(), "began_at": began, "outcome": outcome}
        return self.keep({**made, **fields}, "visit")

    # --- handing over

    def batch(self, ids: Sequence[str]) -> Item:
        """The body of a push of these, as they stand in the ledger."""
        entries = [self.ledger[id_] for id_ in ids]
        return {
            "sent_at": self.now.isoformat(),
            "documents": [entry.item for entry in entries if entry.what == "document"],
            "visits": [entry.item for entry in entries if entry.what == "visit"],
        }

    async def push(self, *, size: int = 50, again: float = 0.0) -> None:
        """Hand over what waits, in any order, in batches; of what was answered before, a share is sent ``again``.

        Raises :exc:`Away`: what isn't answered for waits on.
        """
        answered = [id_ for id_ in self.ledger if id_ not in set(self._waiting)]
        todo = [*self._waiting, *(id_ for id_ in answered if self.dice.random() < again)]
        self.dice.shuffle(todo)
        for start in range(0, len(todo), size):
            batch = self.batch(todo[start : start + size])
            self._note(batch, await self.ask("POST", "/push", batch))

    def _note(self, batch: Item, answer: Item) -> None:
        for what in ("documents", "visits"):
            for item, result in zip(batch[what], answer[what], strict=True):
                entry = self.ledger[item["id"]]
                entry.results.append(result["result"])
                entry.reasons = [why["code"] for why in result.get("reasons", ())]
                entry.notes = [why["code"] for why in result.get("notes", ())]
                entry.document_id = result.get("document_id", entry.document_id)
                if item["id"] in self._waiting:
                    self._waiting.remove(item["id"])

    async def push_and_break(self, *, share: float = 1.0) -> None:
        """Push everything that waits over a connection that breaks after a share of the request was sent, so that the
        handheld never hears the answer; whether the hub took it, it can't know."""
        if not self._waiting:
            return
        url = urlsplit(self.address)
        body = json.dumps(self.batch(self._waiting)).encode()
        head = (
            f"POST {url.path}/push HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        request = head.encode() + body
        try:
            _, writer = await asyncio.open_connection(url.hostname, url.port)
            writer.write(request[: max(1, int(len(request) * share))])
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError as error:
            raise Away(str(error)) from error
