"""``hub hesabgar …`` and ``hub simulate hesabgar``."""

import asyncio
import getpass
import os
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from rich.console import Console

from connectors.base import ConnectorError, Rejected, Retryable
from connectors.hesabgar import build, discovery, mapper, sql
from connectors.hesabgar.build import Build
from connectors.hesabgar.checking import Finding, Grade, findings
from connectors.hesabgar.client import Client
from connectors.hesabgar.spec import Role, Spec
from hub.runtime import servers
from hub.runtime.commands.books import KIND, chosen
from hub.runtime.commands.releasing import by_name, command, decided_in_time, every, opened_producer, show_decided
from hub.runtime.commands.show import find
from hub.runtime.config import Config
from hub.runtime.connect import Instance, StoreCursors, configured
from hub.runtime.console import margin, screen, show, styled, table
from hub.runtime.failures import Failure
from hub.runtime.redaction import redact
from hub.store import reading
from hub.store.errors import StoreError
from hub.store.reading import DocumentFilter
from schemas.commands import PostingStarted
from schemas.documents import Document, State
from schemas.events import DocumentEvent
from schemas.secret import Secret
from schemas.text import group

ENOUGH: Final = 8
"""Characters of a fingerprint that name a build."""
_STYLES: Final = {Grade.GOOD: "green", Grade.WRONG: "bold red", Grade.NOTE: "yellow"}
_RIALS: Final = frozenset({"unit_price", "discount", "net", "vat", "duty", "payable", "debit", "credit"})
_VOUCHER: Final = ("line", "account", "debit", "credit", "description")


def _instances(config: Config, name: str | None) -> list[Instance]:
    """The Hesabgar of a name, ``main`` or ``hesabgar.main``; every one without."""
    if name is None and KIND in config.connectors:
        return configured(config, [KIND])
    return [chosen(config, name)]


def _instance(config: Config, name: str) -> tuple[Instance, Spec]:
    found = chosen(config, name)
    assert isinstance(found.spec, Spec)
    return found, found.spec


@contextmanager
def _told() -> Iterator[None]:
    """What Hesabgar or the bus refuses, as a sentence."""
    try:
        yield
    except Retryable as error:
        raise Failure(redact(str(error)), "Is it running, and does the configuration name the right server?") from error
    except ConnectorError as error:
        raise Failure(redact(str(error)), "hub hesabgar check tells more.") from error


@asynccontextmanager
async def _client(spec: Spec) -> AsyncIterator[Client]:
    client = Client(spec)
    try:
        yield client
    finally:
        client.close()


# --- check


def check(config: Config, args: Namespace) -> int:
    """Show what was found. 0: nothing has to be mended; 1: something has."""
    console = screen()
    well = True
    for instance in _instances(config, args.instance):
        show(console, styled(instance.full_name, "bold"))
        for finding in asyncio.run(_found(config, instance)):
            _show_finding(console, finding, instance.name)
            well &= not finding.wrong
    return 0 if well else 1


async def _found(config: Config, instance: Instance) -> list[Finding]:
    assert isinstance(instance.spec, Spec)
    async with _client(instance.spec) as client:
        try:
            return await findings(client, instance.spec, await _accepted(config, instance))
        except ConnectorError as error:
            words = redact(str(error))
            return [
                Finding(
                    "connection",
                    Grade.WRONG,
                    words,
                    f"اتصال برقرار نشد: {words}",
                    f"see to server, port, login and password in [connectors.{instance.full_name}]",
                    f"نشانی سرور، درگاه، کاربر و گذرواژه را در [connectors.{instance.full_name}] ببینید",
                )
            ]


async def _accepted(config: Config, instance: Instance) -> Build | None:
    """The build posting goes on with; None if none is kept, or nobody can tell now."""
    with suppress(StoreError, ConnectorError, Failure):
        async with servers.opened_store(config) as store:
            kept = await StoreCursors(store, instance.full_name).get(build.CURSOR)
            return msgspec.json.decode(kept, type=Build) if kept else None
    return None


def _show_finding(console: Console, finding: Finding, instance: str) -> None:
    mark = styled(f"{finding.grade:<5}", _STYLES[finding.grade])
    console.print(mark, f"{finding.subject}: {finding.en}")
    if finding.fa != finding.en:
        console.print(f"        {finding.fa}")
    for remedy in (finding.remedy_en, finding.remedy_fa):
        if remedy:
            console.print(f"      → {remedy.replace('INSTANCE', instance)}")


# --- discover, scripts


def discover(config: Config, args: Namespace) -> int:
    """Write the draft of a mapping."""
    _, spec = _instance(config, args.instance)
    if args.login:
        spec = msgspec.structs.replace(spec, login=args.login, password=Secret(_password(args.login)))
    with _told():
        made = asyncio.run(_drafted(spec))
    text = made.toml()
    if args.output:
        _write(Path(args.output), text)
    else:
        show(screen(), text.rstrip())
    mapped = [view.name for view in made.mapped]
    unsure = [view.name for view in made.views if view.name not in mapped]
    show(
        margin(),
        f"Mapped: {', '.join(mapped) or 'nothing'}.",
        f"For a person to decide: {', '.join(unsure) or 'none'}.",
    )
    return 0


async def _drafted(spec: Spec) -> discovery.Draft:
    async with _client(spec) as client:
        return discovery.draft(await discovery.survey(client))


def _password(login: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {login}: ")
    return sys.stdin.readline().rstrip("\r\n")


def scripts(config: Config, args: Namespace) -> int:
    """Write the scripts the database's owner runs."""
    _, spec = _instance(config, args.instance)
    try:
        mapping = sql.read_mapping(Path(args.mapping).read_text(encoding="utf-8"))
        login = sql.login_script(spec.login, spec.password.reveal())
    except OSError as error:
        raise Failure(f"{args.mapping} can't be read: {error.strerror}.", code=2) from error
    except sql.Problem as error:
        raise Failure(f"{args.mapping}: {error}.", "Mend it and try again.", code=2) from error
    directory = Path(args.output)
    scripts = {
        "1-install.sql": sql.script("install"),
        "2-views.sql": sql.views_script(mapping),
        "3-login.sql": login,
    }
    if spec.role is Role.BRANCH:
        scripts["adopt.sql"] = sql.script("adopt")
    for name, text in scripts.items():
        _write(directory / name, text)
        show(screen(), str(directory / name))
    own = directory / "site_template.sql"
    if own.exists():
        show(screen(), f"{own} is left as it is")
    else:
        _write(own, sql.script("site_template"))
        show(screen(), str(own))
    return 0


def _write(file: Path, text: str) -> None:
    """A file only its owner can read. A byte-order mark lets SQL Server's tools see that T-SQL is UTF-8."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(("\ufeff" if file.suffix == ".sql" else "") + text)
    except OSError as error:
        raise Failure(f"{file} can't be written: {error.strerror}.") from error


# --- accept-build


def accept_build(config: Config, args: Namespace) -> int:
    """Accept the build that is there, if it is the one that is named."""
    instance, spec = _instance(config, args.instance)
    if len(args.build) < ENOUGH:
        raise Failure(
            f"{args.build!r} is too little to name a build.",
            f"{ENOUGH} characters of its fingerprint or more are wanted.",
            code=2,
        )
    with _told():
        accepted = asyncio.run(_accept(config, instance, spec, args.build))
    show(margin(), f"{accepted.build} ({accepted.fingerprint[:12]}) is accepted; posting goes on by itself.")
    return 0


async def _accept(config: Config, instance: Instance, spec: Spec, fingerprint: str) -> Build:
    async with servers.opened_store(config) as store, _client(spec) as client:
        return await build.accept(StoreCursors(store, instance.full_name), client, fingerprint)


# --- post


def post(config: Config, args: Namespace) -> int:
    """Show what would be written for a document."""
    _, spec = _instance(config, args.instance)
    document, original = asyncio.run(_document(config, args.document))
    console = screen()
    if not spec.posts(document.kind, document.source):
        show(margin(), f"The configuration doesn't post a {document.kind} of {document.source} here; if it did:")
    head = [(name, _shown(name, value)) for name, value in mapper.document_values(document, spec, original).items()]
    show(console, table(console, ("hub.document_in", "value"), head))
    lines = mapper.line_values(document)
    if lines:
        columns = list(dict.fromkeys(name for line in lines for name in line))
        rows = [[_shown(name, line.get(name)) for name in columns] for line in lines]
        show(console, "", styled("hub.document_line_in", "bold"), table(console, columns, rows))
    if args.books:
        with _told():
            vouchers = asyncio.run(_vouchers(document, spec, original))
        rows = [[_shown(name, value) for name, value in zip(_VOUCHER, row, strict=False)] for row in vouchers]
        show(console, "", styled("The voucher the books would make", "bold"), table(console, _VOUCHER, rows))
    return 0


async def _document(config: Config, name: str) -> tuple[Document, Document | None]:
    """A document, and the sale it takes back if it is a return of one."""
    async with servers.opened_store(config) as store:
        found = await find(store, name)
        if found is not None:
            return found, await reading.document(store, found.original_id) if found.original_id else None
    raise Failure(f"There is no document {name}.", "Name it by its id or as source/own-id.")


async def _vouchers(document: Document, spec: Spec, original: Document | None) -> Sequence[Sequence[Any]]:
    """The rows of the voucher that a dry run in the books shows."""
    text, parameters = mapper.posting(document, spec, original, dry_run=True)
    async with _client(spec) as client:
        results = await client.call(lambda link: link.results(text, parameters))
    if len(results) < 2:
        raise Rejected("the books have this document already: a dry run shows no voucher")
    return results[1]


def _shown(name: str, value: object) -> str:
    if value is None:
        return ""
    return group(int(value)) if name in _RIALS and isinstance(value, int) else str(value)


# --- post-again


def post_again(config: Config, args: Namespace) -> int:
    """0 if every document is handed to the books again, 1 if the rules refuse any or no worker decides in time."""
    _, spec = _instance(config, args.instance)
    if bool(args.document) == args.refused:
        raise Failure("Name documents, or say --refused for all that the books refused.", code=2)
    documents, decided = asyncio.run(_post_again(config, spec, args))
    if not documents:
        show(screen(), "There is no document that these books refused.")
        return 0
    return show_decided(documents, decided)


async def _post_again(
    config: Config, spec: Spec, args: Namespace
) -> tuple[list[Document], Mapping[UUID, DocumentEvent]]:
    async with servers.opened_store(config) as store, opened_producer(config) as producer:
        if args.refused:
            found = await every(store, DocumentFilter(state=State.POST_FAILED))
            documents = [each for each in found if spec.posts(each.kind, each.source)]
        else:
            documents = await by_name(store, args.document)
        for each in documents:
            if each.state not in (State.POST_FAILED, State.POSTING) or not spec.posts(each.kind, each.source):
                name = f"{each.source}/{each.source_id}"
                raise Failure(f"{name} isn't to be posted here; nothing was done.", f"hub show {name} tells more.")
        commands = [await command(PostingStarted, "hub hesabgar post-again", store, each) for each in documents]
        return documents, await decided_in_time(store, producer, commands, args.timeout)


# --- simulate


def simulate(args: Namespace) -> int:
    """Play a Hesabgar until asked to stop."""
    from connectors.hesabgar.simulator import HesabgarSimulator

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    simulator = HesabgarSimulator(
        seed=args.seed,
        port=args.port,
        products=args.products,
        customers=args.customers,
        contract=not args.empty,
        mapped=not args.empty,
    )
    try:
        simulator.start()
    except OSError as error:
        raise Failure(
            f"The simulator can't listen on port {args.port}: {error.strerror}.", "--port 0 takes any that is free."
        ) from error
    try:
        _tell_how(simulator.host, simulator.port, simulator.database, simulator.login, simulator.password)
        show(screen(), f'The owner, for SQL tools: sa, "{simulator.owner_password}". Ctrl-C ends it; nothing is kept.')
        ended.wait()
    finally:
        simulator.stop()
    return 0


def _tell_how(host: str, port: int, database: str, login: str, password: str) -> None:
    show(
        screen(),
        f"Hesabgar is played on {host}:{port}, database {database}. / حسابگر شبیه‌سازی‌شده آماده است.",
        "In hub.toml:",
        "",
        "[connectors.hesabgar.training]",
        f'server = "{host}"',
        f"port = {port}",
        f'company = "{database}"',
        f'login = "{login}"',
        f'password = "{password}"',
        'vat_account = "230101"',
        'duty_account = "230201"',
        'transfer_account = "119901"',
        'expense_account = "610001"',
        'freight_account = "610002"',
        'receivable_account = "190001"',
        "",
    )
