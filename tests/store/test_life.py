"""Documents live through commands, postings and refreshes in any order, on a real PostgreSQL; what must hold does.

After every step, by SQL: reserved and incoming are at least zero and the sums of the movements, held is the sum of the
holds, each document is in one state with one decision at its step, event ids are unique. After every decision: what was
taken was there, credit was enough or somebody approved, a refusal changed nothing, a replay answers the same bytes. And
against books that are honest: the hub never thinks that there is more to promise than there truly is.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import cycle
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hub.rules.deciding import AMENDABLE, CANCELLABLE, EXPIRABLE, POSTABLE, VALID_ORIGINAL
from hub.rules.kinds import KINDS
from hub.rules.settings import CreditPolicy, Policy, RuleSettings, StockPolicy
from hub.store import master
from hub.store.pool import Store
from schemas import codec, ids
from schemas.commands import (
    Amend,
    AnyCommand,
    Approve,
    Cancel,
    Command,
    Expire,
    PostingFailed,
    PostingStarted,
    PostingSucceeded,
    Reconsider,
    Refuse,
    Release,
    Submit,
)
from schemas.documents import Document, DocumentRequest, Kind, LineRequest, Method, Payment, PostingPolicy, State
from schemas.events import COMMAND_REFUSED, DocumentEvent
from schemas.ledger import StockKey
from schemas.master import Account, Master, Product, Warehouse
from streams.deciding import decide_batch
from tests.properties import PROPERTY
from tests.rules.world import START
from tests.store.books import CLEARED, Books, credit_promised, moves, promises
from tests.store.company import TABLES, disagreements, dump, execute, rows
from tests.store.runner import LoopThread

LIFE = settings(PROPERTY, max_examples=40, stateful_step_count=40)
BATCHES = settings(PROPERTY, max_examples=40)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
LIMIT = 40_000_000
SETTINGS = RuleSettings(
    by_source={
        "all": Policy(reservation=HOUR),
        "partial": Policy(stock=StockPolicy.PARTIAL, credit=CreditPolicy.REJECT),
        "back": Policy(stock=StockPolicy.BACKORDER, reservation=HOUR),
        "careful": Policy(approval=True, tax_tolerance=1, posting=PostingPolicy.MANUAL),
    }
)
SOURCES = tuple(SETTINGS.by_source)
PRODUCTS = (
    Product("RAM", "رم", price=1_000_000),
    Product("CPU", "پردازنده", price=5_000_000),
    Product("CLOTH", "پارچه", price=100_000),
    Product("INSTALL", "نصب", price=500_000, stocked=False),
)
ACCOUNTS = ("ALI", "SARA")
STOCK = {
    StockKey(product, warehouse, attribute): Decimal(20)
    for product, attribute in (("RAM", ""), ("CPU", ""), ("CLOTH", ""), ("CLOTH", "قرمز"))
    for warehouse in ("MAIN", "SHOP")
}


class Content(NamedTuple):
    """What a document is made from; ``original`` picks the sale of a return."""

    source: str
    kind: Kind
    account: str
    warehouse: str
    lines: tuple[LineRequest, ...]
    payment: Payment
    method: Method
    tax: int | None
    original: int


class Intent(NamedTuple):
    """A command to be, on a document to be picked."""

    command: type[Command]
    pick: int
    content: Content
    revision: int
    """Added to the document's own."""


QUANTITIES = (*("1", "1", "1", "2", "2", "3", "3", "5", "0.5", "7.00001") * 2, "40", "0")
lines = st.builds(
    LineRequest,
    product=st.sampled_from((*("RAM", "RAM", "CPU", "CLOTH", "INSTALL") * 4, "NOTHING")),
    quantity=st.sampled_from(QUANTITIES).map(Decimal),
    attribute=st.sampled_from(("", "", "قرمز")),
    warehouse=st.sampled_from((None, None, "SHOP")),
    discount=st.sampled_from((0, 0, 1)),
)
picks = st.integers(0, 99)
moments = st.sampled_from((0, 0, 1))
contents = st.builds(
    Content,
    source=st.sampled_from(SOURCES),
    kind=st.sampled_from((*Kind, Kind.SALES_INVOICE, Kind.SALES_INVOICE, Kind.SALES_ORDER, Kind.SALES_RETURN)),
    account=st.sampled_from(ACCOUNTS),
    warehouse=st.sampled_from(("MAIN", "MAIN", "SHOP")),
    lines=st.lists(lines, min_size=1, max_size=3).map(tuple),
    payment=st.sampled_from((Payment.CREDIT, Payment.CREDIT, Payment.CASH)),
    method=st.sampled_from(Method),
    tax=st.sampled_from((None, None, None, None, 1)),
    original=picks,
)
COMMANDS = (
    *(Submit, Submit, Submit, Submit, Amend, Amend, Approve, Approve, Refuse, Cancel, Release, Expire, Reconsider),
    *(PostingStarted, PostingStarted, PostingFailed),
)
intents = st.builds(
    Intent,
    command=st.sampled_from(COMMANDS),
    pick=picks,
    content=contents,
    revision=st.sampled_from((1, 1, 1, 2, 0, -1)),
)

SUITED: dict[type[Command], Collection[State]] = {
    Amend: AMENDABLE,
    Approve: (State.HELD,),
    Refuse: (State.HELD,),
    Cancel: CANCELLABLE,
    Release: (State.CLEARED,),
    Expire: EXPIRABLE,
    Reconsider: (State.BACKORDERED,),
    PostingStarted: POSTABLE,
    PostingFailed: (State.POSTING,),
}


class Author:
    """Writes commands for documents it knows, so that most of them make sense."""

    def __init__(self) -> None:
        self.now = START
        self.documents: dict[UUID, Document] = {}
        self.names: list[tuple[str, str]] = []
        self._commands = 0

    def write(self, intent: Intent) -> AnyCommand:
        """The command an intent comes to."""
        self._commands += 1
        if intent.command is Submit or not self.names:
            source, name = intent.content.source, f"{self._commands}"
            self.names.append((source, name))
            return self._content(Submit, source, intent.content, name, intent.content.kind, 1)
        source, name = self._picked(intent)
        document = self.documents.get(ids.document_id(source, name))
        if intent.command is Amend:
            kind = document.kind if document else intent.content.kind
            revision = max((document.revision if document else 1) + intent.revision, 1)
            return self._content(Amend, source, intent.content, name, kind, revision)
        return self.on_document(intent.command, source, name, document)

    def write_on(self, document: Document, command: type[Command], content: Content | None) -> AnyCommand:
        """A command on this very document."""
        if command is Amend and content is not None:
            revision = document.revision + 1
            return self._content(Amend, document.source, content, document.source_id, document.kind, revision)
        return self.on_document(command, document.source, document.source_id, document)

    def _picked(self, intent: Intent) -> tuple[str, str]:
        """Mostly a document the command suits."""
        suited = [
            (each.source, each.source_id)
            for each in self.documents.values()
            if each.state in SUITED[intent.command] and (each.expires_at or intent.command is not Expire)
        ]
        found = suited if suited and intent.pick % 5 else self.names
        return found[intent.pick % len(found)]

    def on_document(
        self, command: type[Command], source: str, name: str, document: Document | None, **fields: Any
    ) -> AnyCommand:
        if command is Expire:
            fields["due"] = (document and document.expires_at) or self.now
        elif command is PostingFailed:
            fields["message"] = "دوره بسته است"
        identity = ids.document_id(source, name)
        self._commands += 1
        made: AnyCommand = command(  # type: ignore[assignment]
            command_id=ids.command_id(identity, command.__name__, self._commands),
            document_id=identity,
            source=source,
            source_id=name,
            revision=document.revision if document else 1,
            occurred_at=self.now,
            recorded_at=self.now,
            actor="someone",
            **fields,
        )
        return made

    def _sold(self, source: str, content: Content) -> Document | None:
        """Mostly a sale that can be returned."""
        sold = [
            each
            for each in self.documents.values()
            if each.source == source and each.state in VALID_ORIGINAL and KINDS[each.kind].sale and each.lines
        ]
        return sold[content.original % len(sold)] if sold and content.original % 5 else None

    def _ordered(self, source: str, content: Content) -> Document | None:
        """Mostly an order an invoice can be made from."""
        orders = [each for each in self.documents.values() if each.source == source and each.kind is Kind.SALES_ORDER]
        fitting = [each for each in orders if each.state in VALID_ORIGINAL]
        found = fitting if fitting and content.original % 5 else orders
        return found[content.original % len(found)] if found else None

    def submit(self, source: str, kind: Kind, **fields: Any) -> Submit:
        """A document of a purpose."""
        self._commands += 1
        name = f"{self._commands}"
        self.names.append((source, name))
        request = DocumentRequest(name, kind, START.date(), **fields)
        return Submit.of(request, source=source, actor="someone", now=self.now)

    def _content(
        self, command: type[Submit] | type[Amend], source: str, content: Content, name: str, kind: Kind, revision: int
    ) -> AnyCommand:
        goods_only = kind in (Kind.TRANSFER, Kind.GOODS_ISSUE, Kind.GOODS_RECEIPT)
        receipt = kind is Kind.RECEIPT
        sales = [each for origin, each in self.names if origin == source]
        if kind is Kind.SALES_RETURN and (sold := self._sold(source, content)):
            line = sold.lines[0]
            back = LineRequest(line.product, min(line.quantity, Decimal(1)), attribute=line.attribute)
            content = content._replace(account=sold.account or "", lines=(back,))
            sales = [sold.source_id]
        original = sales[content.original % len(sales)] if kind is Kind.SALES_RETURN and sales else None
        if kind is Kind.SALES_INVOICE and content.original % 3 == 0 and (order := self._ordered(source, content)):
            content = content._replace(account=order.account or "", lines=(*content.lines, part_of(order)))
            original = order.source_id
        request = DocumentRequest(
            source_id=name,
            kind=kind,
            date=START.date(),
            account=None if goods_only else content.account,
            lines=() if receipt else content.lines,
            revision=revision,
            payment=content.payment,
            warehouse=None if receipt else content.warehouse,
            to_warehouse="SHOP" if kind is Kind.TRANSFER else None,
            original=original,
            original_date=START.date() if kind is Kind.SALES_RETURN and not sales else None,
            amount=3_000_000 if receipt else None,
            method=content.method if receipt else None,
            tax=content.tax,
        )
        return command.of(request, source=source, actor="someone", now=self.now)


def part_of(order: Document) -> LineRequest:
    """A line that takes over the first of an order's, or a part of it."""
    line = order.lines[0] if order.lines else None
    if line is None:
        return LineRequest("RAM", Decimal(1))
    quantity = min(line.quantity, Decimal(2)) or Decimal(1)
    return LineRequest(line.product, quantity, attribute=line.attribute, warehouse=line.warehouse)


def master_data() -> list[Master]:
    warehouses = (Warehouse("MAIN", "مرکزی"), Warehouse("SHOP", "فروشگاه"))
    return [*PRODUCTS, *warehouses, *(Account(code, code) for code in ACCOUNTS)]


async def begin(store: Store, books: Books) -> None:
    """Empty the tables and put the company in its first state."""
    await execute(store, f"truncate {', '.join(TABLES)}")
    await master.apply(store, [*master_data(), *books.told])


class Life(RuleBasedStateMachine):
    """One company, from its first document on."""

    def __init__(self, run: LoopThread, store: Store) -> None:
        super().__init__()
        self.run, self.store = run, store
        self.author = Author()
        self.events: dict[UUID, bytes] = {}
        self.commands: list[AnyCommand] = []

    @property
    def documents(self) -> dict[UUID, Document]:
        return self.author.documents

    @property
    def now(self) -> datetime:
        return self.author.now

    @initialize()
    def the_company_opens(self) -> None:
        self.books = Books(STOCK, ACCOUNTS, LIMIT, START)
        self.run(begin(self.store, self.books))

    # --- what happens

    @rule(intent=intents)
    def a_command(self, intent: Intent) -> None:
        self.decide([self.author.write(intent)])

    @rule(batch=st.lists(intents, min_size=2, max_size=5), again=st.lists(picks, max_size=2))
    def a_batch(self, batch: list[Intent], again: list[int]) -> None:
        repeated = [self.commands[pick % len(self.commands)] for pick in again if self.commands]
        self.decide([*repeated[:1], *map(self.author.write, batch), *repeated])

    @precondition(lambda self: self.commands)
    @rule(chosen=st.lists(picks, min_size=1, max_size=8))
    def a_replay(self, chosen: list[int]) -> None:
        before = self.run(dump(self.store))
        self.decide([self.commands[pick % len(self.commands)] for pick in chosen])
        assert self.run(dump(self.store)) == before

    @precondition(lambda self: self.documents)
    @rule(pick=picks, started=st.booleans())
    def the_books_take_a_document_in(self, pick: int, started: bool) -> None:
        """Hesabgar may have it long before the hub is told so."""
        found = [each for each in self.documents.values() if each.state in CLEARED and each.id not in self.books.posted]
        if not found:
            return
        document = found[pick % len(found)]
        if document.state is not State.POSTING and started:
            self.hand_over(document)
        self.books.post(self.documents[document.id], self.now)
        if not started and document.state is not State.POSTING:
            self.tell(PostingSucceeded, document, number="1", posted_at=self.now)

    @precondition(lambda self: self.documents)
    @rule(pick=picks)
    def the_hub_is_told_of_a_posting(self, pick: int) -> None:
        waiting = [each for each in self.documents.values() if each.state is State.POSTING]
        found = waiting if waiting and pick % 5 else list(self.documents.values())
        document = found[pick % len(found)]
        posted_at = self.books.posted.get(document.id)
        if posted_at is None and document.state in CLEARED:
            return
        event = self.tell(PostingSucceeded, document, number="1", posted_at=posted_at or self.now)
        assert (event.type == "document.posted") == (document.state is State.POSTING)

    @rule()
    def the_books_are_read(self) -> None:
        self.run(master.apply(self.store, self.books.look(self.now)))

    @rule(pick=picks, count=st.integers(1, 5))
    def an_older_reading_comes_late(self, pick: int, count: int) -> None:
        start = pick % len(self.books.told)
        self.run(master.apply(self.store, self.books.told[start : start + count]))

    @rule(pick=picks, quantity=st.sampled_from((-5, -1, 1, 5)))
    def goods_move_behind_our_back(self, pick: int, quantity: int) -> None:
        self.time_passes(1)
        self.books.stock[list(STOCK)[pick % len(STOCK)]] += quantity
        self.run(master.apply(self.store, self.books.look(self.now)))

    @precondition(lambda self: self.standing((State.BACKORDERED,)))
    @rule(pick=picks, quantity=st.sampled_from((1, 5)))
    def goods_come_in_for_a_backorder(self, pick: int, quantity: int) -> None:
        document = self.one(self.standing((State.BACKORDERED,)), pick)
        self.time_passes(1)
        for line in document.lines:
            if line.short and line.warehouse:
                self.books.stock[StockKey(line.product, line.warehouse, line.attribute)] += quantity
        self.run(master.apply(self.store, self.books.look(self.now)))
        self.tell(Reconsider, document)

    @precondition(lambda self: self.standing(CLEARED))
    @rule(
        pick=picks, read=st.sampled_from(("before", "between", "never")), seconds=st.tuples(moments, moments, moments)
    )
    def a_document_goes_all_the_way(self, pick: int, read: str, seconds: tuple[int, int, int]) -> None:
        """Cleared, taken in by the books, told so, and read from them, all within one moment or not."""
        document = self.one(self.standing(CLEARED), pick)
        self.time_passes(seconds[0])
        if document.state is not State.POSTING:
            self.hand_over(document)
        if read == "before":
            self.the_books_are_read()
        if document.id not in self.books.posted:
            self.books.post(self.documents[document.id], self.now)
        self.time_passes(seconds[1])
        if read == "between":
            self.the_books_are_read()
        self.tell(PostingSucceeded, document, number="1", posted_at=self.books.posted[document.id])
        self.no_more_is_promised_than_there_truly_is()
        self.time_passes(seconds[2])
        self.the_books_are_read()

    @precondition(lambda self: self.bringing())
    @rule(pick=picks, command=st.sampled_from((Cancel, Amend)), together=st.booleans())
    def what_a_document_brought_is_sold_before_it_is_taken_back(
        self, pick: int, command: type[Command], together: bool
    ) -> None:
        document = self.one(self.bringing(), pick)
        key, _ = next((key, moved) for key, moved in moves(document) if moved > 0)
        sellable = self.run(self.sellable())[key]
        if sellable <= 0:
            return
        line = LineRequest(key.product, sellable, warehouse=key.warehouse, attribute=key.attribute)
        sale = self.author.submit("all", Kind.SALES_INVOICE, account="ALI", payment=Payment.CASH, lines=(line,))
        content = Content("all", document.kind, "SARA", "SHOP", (line,), Payment.CASH, Method.CASH, None, 0)
        back = self.author.write_on(document, command, content)
        if together:
            self.decide([sale, back])
        else:
            self.decide([sale])
            self.decide([back])
        assert self.run(self.sellable())[key] >= 0

    @rule(pick=picks, command=st.sampled_from((Cancel, Amend)))
    def credit_a_payment_gave_is_used_before_it_is_taken_back(self, pick: int, command: type[Command]) -> None:
        account = ACCOUNTS[pick % len(ACCOUNTS)]
        paid = self.author.submit("all", Kind.RECEIPT, account=account, amount=2_000_000, method=Method.CASH)
        self.decide([paid])
        instant = self.run(self.credit())[account]
        if instant <= 0:
            return
        line = LineRequest("INSTALL", Decimal(1), unit_price=instant * 10 // 11)
        self.decide([self.author.submit("partial", Kind.SALES_INVOICE, account=account, lines=(line,))])
        document = self.documents[paid.document_id]
        content = Content("all", Kind.RECEIPT, account, "MAIN", (), Payment.CREDIT, Method.CHEQUE, None, 0)
        self.decide([self.author.write_on(document, command, content)])

    @precondition(lambda self: self.sales())
    @rule(pick=picks, together=st.booleans(), cancelled=st.booleans())
    def a_sale_is_returned_twice(self, pick: int, together: bool, cancelled: bool) -> None:
        sale = self.one(self.sales(), pick)
        lines = tuple(LineRequest(each.product, each.quantity, attribute=each.attribute) for each in sale.lines[:1])
        fields = {"account": sale.account, "warehouse": "MAIN", "original": str(sale.id), "lines": lines}
        returns: list[AnyCommand] = [self.author.submit(sale.source, Kind.SALES_RETURN, **fields) for _ in range(2)]
        if cancelled:
            returns.insert(1, self.author.write_on(sale, Cancel, None))
        for batch in [returns] if together else [[command] for command in returns]:
            self.decide(batch)

    @precondition(lambda self: self.orders())
    @rule(
        pick=picks,
        shares=st.lists(st.sampled_from(("0.5", "1", "1.5")), min_size=1, max_size=3),
        together=st.booleans(),
        posted=st.booleans(),
        otherwise=st.sampled_from((None, "elsewhere", "cash")),
        undone=st.sampled_from((None, "order", "invoice")),
    )
    def an_order_is_invoiced(
        self, pick: int, shares: list[str], together: bool, posted: bool, otherwise: str | None, undone: str | None
    ) -> None:
        """In parts, or more than all of it, before or after it is in the books, as it was ordered or otherwise; and one
        of them is called off."""
        order = self.one(self.orders(), pick)
        if posted and order.state is not State.POSTED:
            if order.state is not State.POSTING:
                self.hand_over(order)
            self.books.post(self.documents[order.id], self.now)
            self.tell(PostingSucceeded, order, number="1", posted_at=self.now)
        invoices: list[AnyCommand] = []
        for share in shares:
            lines = tuple(
                LineRequest(
                    line.product,
                    (line.quantity * Decimal(share)).quantize(Decimal("0.00001")),
                    attribute=line.attribute,
                    warehouse=other(line.warehouse) if otherwise == "elsewhere" else line.warehouse,
                )
                for line in order.lines
            )
            payment = Payment.CASH if otherwise == "cash" else order.payment
            fields = {"account": order.account, "payment": payment, "original": str(order.id), "lines": lines}
            invoices.append(self.author.submit(order.source, Kind.SALES_INVOICE, **fields))
        for batch in [invoices] if together else [[command] for command in invoices]:
            self.decide(batch)
        if undone == "order":
            self.tell(Cancel, self.documents[order.id])
        elif undone == "invoice":
            self.tell(Cancel, self.documents[invoices[0].document_id])
        self.the_books_are_read()

    def orders(self) -> list[Document]:
        """Orders an invoice can be made from."""
        return [
            each
            for each in self.standing(VALID_ORIGINAL)
            if each.kind is Kind.SALES_ORDER and any(line.quantity for line in each.lines)
        ]

    def one(self, documents: list[Document], pick: int) -> Document:
        return documents[pick % len(documents)]

    def standing(self, states: Collection[str]) -> list[Document]:
        return [document for document in self.documents.values() if document.state in states]

    def bringing(self) -> list[Document]:
        """Documents that brought goods and aren't in the books."""
        return [
            document
            for document in self.standing((State.CLEARED, State.POST_FAILED))
            if document.id not in self.books.posted and any(moved > 0 for _, moved in moves(document))
        ]

    def sales(self) -> list[Document]:
        """Sales that can be returned."""
        kinds = (Kind.SALES_INVOICE, Kind.SALES_ORDER)
        return [each for each in self.standing(VALID_ORIGINAL) if each.kind in kinds and each.lines]

    @rule(seconds=st.sampled_from((0, 1, 3_600)))
    def time_passes(self, seconds: int) -> None:
        self.author.now += seconds * SECOND

    # --- deciding

    def hand_over(self, document: Document) -> None:
        """Posting begins; after a release, where the policy keeps the document from the books."""
        if not document.may_be_posted:
            document = self.tell(Release, document).document or document
        self.tell(PostingStarted, document)

    def tell(self, command: type[Command], document: Document, **fields: Any) -> DocumentEvent:
        (event,) = self.decide(
            [self.author.on_document(command, document.source, document.source_id, document, **fields)]
        )
        return event

    def decide(self, commands: list[AnyCommand]) -> list[DocumentEvent]:
        """Decide one batch, and judge what was answered."""
        commands = [self.possible(command) for command in commands]
        before, known = self.run(self.figures()), dict(self.documents)
        answers = self.run(decide_batch(self.store, commands, SETTINGS, lambda: self.now))
        events = [codec.decode_event(answer.event) for answer in answers]
        fresh = []
        for command, answer, event in zip(commands, answers, events, strict=True):
            note(f"{type(command).__name__} {command.source}/{command.source_id}: {event.type} {event.reasons}")
            if command.command_id not in self.events:
                self.events[command.command_id] = answer.event
                self.commands.append(command)
                fresh.append(event)
                if event.type != COMMAND_REFUSED and event.document:
                    self.documents[event.document_id] = event.document
            assert answer.event == self.events[command.command_id]
        last = {
            event.document_id: answer.latest for answer, event in zip(answers, events, strict=True) if answer.latest
        }
        for document_id, latest in last.items():
            assert codec.decode_document(latest) == self.documents[document_id]
        if all(event.type == COMMAND_REFUSED for event in fresh):
            assert self.run(self.figures()) == before
        elif len(commands) == 1:
            self.judge(events[0], known.get(events[0].document_id))
        return events

    def possible(self, command: AnyCommand) -> AnyCommand:
        """Books that have taken a document in don't say that they refused it."""
        untrue = isinstance(command, PostingFailed) and command.document_id in self.books.posted
        if untrue and command.command_id not in self.events:
            document = self.documents[command.document_id]
            return self.author.on_document(PostingStarted, document.source, document.source_id, document)
        return command

    def judge(self, event: DocumentEvent, before: Document | None) -> None:
        """Whether what a document took by this decision was there, and was allowed."""
        after = event.document
        assert after is not None
        if event.command in ("posting_started", "posting_succeeded", "posting_failed"):
            return
        now = list(self.documents.values())
        then = [before if each.id == after.id else each for each in now]
        change, taken = difference(after, then, now)
        for key, moved in change.items():
            if moved < 0:
                assert self.run(self.sellable())[key] >= 0, f"{key} was oversold"
        if taken > 0 and not after.approval:
            assert self.run(self.credit())[after.account or ""] >= 0, f"{after.account} has no such credit"

    # --- what must hold

    @invariant()
    def the_sums_add_up(self) -> None:
        assert self.run(disagreements(self.store)) == []

    @invariant()
    def each_document_is_as_it_was_told(self) -> None:
        found = self.run(rows(self.store, "select id, state, step, revision from documents"))
        told = [(each.id, each.state, each.step, each.revision) for each in self.documents.values()]
        assert sorted(found) == sorted(told)

    @invariant()
    def no_more_is_promised_than_there_truly_is(self) -> None:
        documents = list(self.documents.values())
        for key, sellable in self.run(self.sellable()).items():
            assert sellable <= self.books.sellable(key, documents), f"{key} is counted twice"
        for account, instant in self.run(self.credit()).items():
            assert instant <= self.books.credit(account, documents), f"{account}'s credit is counted twice"

    # --- by SQL

    async def sellable(self) -> dict[StockKey, Decimal]:
        query = "select product, warehouse, attribute, in_books + incoming - reserved from stock"
        return {StockKey(*row[:3]): row[3] for row in await rows(self.store, query)}

    async def credit(self) -> dict[str, int]:
        query = "select code, direct + documentary - balance - uncleared_cheques - held from accounts"
        return dict(await rows(self.store, query))

    async def figures(self) -> dict[str, list[str]]:
        """Everything but decisions and stock rows nothing was ever in."""
        tables = await dump(self.store, [table for table in TABLES if table not in ("decisions", "stock")])
        query = "select s::text from stock s where as_of is not null or incoming <> 0 or reserved <> 0 order by 1"
        return tables | {"stock": [row[0] for row in await rows(self.store, query)]}


def other(warehouse: str | None) -> str:
    return "MAIN" if warehouse == "SHOP" else "SHOP"


def difference(
    decided: Document, before: Sequence[Document | None], after: Sequence[Document | None]
) -> tuple[dict[StockKey, Decimal], int]:
    """What a decision changed for others, with what the document's order let go: by stock row what can be sold, and
    how much more of its account's credit is taken."""
    change: dict[StockKey, Decimal] = {}
    taken = 0
    for sign, documents in ((-1, [each for each in before if each]), (1, [each for each in after if each])):
        for document in documents:
            if document.id not in (decided.id, decided.original_id):
                continue
            for key, moved in promises(document, documents):
                change[key] = change.get(key, Decimal(0)) + sign * moved
            if document.account == decided.account:
                taken += sign * credit_promised(document, documents)
    return change, taken


@contextmanager
def opened(*dsns: str) -> Iterator[tuple[LoopThread, list[Store]]]:
    """Stores on these databases, and the loop they live in."""
    with ExitStack() as stack:
        run = stack.enter_context(LoopThread())
        stores = [Store(dsn, size=2) for dsn in dsns]
        for store in stores:
            run(store.open())
            stack.callback(lambda store=store: run(store.close()))
        yield run, stores


def test_whatever_happens_in_whatever_order(database: str) -> None:
    with opened(database) as (run, (store,)):
        run_state_machine_as_test(lambda: Life(run, store), settings=LIFE)


def batches_are_their_commands(
    run: LoopThread, one: Store, other: Store, intents: list[Intent], sizes: list[int]
) -> None:
    """Decide the same commands in two databases: one at a time, and in batches of these sizes."""
    author = Author()
    for store in (one, other):
        run(begin(store, Books(STOCK, ACCOUNTS, LIMIT, START)))
    commands = []
    alone = []
    for intent in intents:
        commands.append(author.write(intent))
        (answer,) = run(decide_batch(one, commands[-1:], SETTINGS, at_start))
        alone.append(answer.event)
        if answer.latest:
            document = codec.decode_document(answer.latest)
            author.documents[document.id] = document
    together = []
    for size in cycle(sizes):
        batch = commands[len(together) : len(together) + size]
        if not batch:
            break
        together += [each.event for each in run(decide_batch(other, batch, SETTINGS, at_start))]
    assert together == alone
    assert run(dump(other)) == run(dump(one))


def at_start() -> datetime:
    return START


def test_a_batch_is_its_commands_one_by_one(database: str, second_database: str) -> None:
    with opened(database, second_database) as (run, (one, other)):

        @BATCHES
        @given(intents=st.lists(intents, min_size=2, max_size=25), sizes=st.lists(st.integers(1, 9), min_size=1))
        def check(intents: list[Intent], sizes: list[int]) -> None:
            batches_are_their_commands(run, one, other, intents, sizes)

        check()
