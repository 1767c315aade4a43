"""The commands of ``hub``: one row each. The code of a command is imported when it is run.

To add one, write ``def name(config, args) -> int`` in a module of this package and a row here.
"""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any, Final

import msgspec


class Argument(msgspec.Struct, frozen=True):
    """One argument or option, with what :meth:`argparse.ArgumentParser.add_argument` is told about it."""

    names: tuple[str, ...]
    help: str
    options: dict[str, Any] = {}


class Command(msgspec.Struct, frozen=True):
    """One command. ``call`` is where its function is, as "module:function"; it answers the exit code.

    The function gets the configuration and the arguments; only the arguments if ``configured`` is false.
    """

    name: str
    summary: str
    persian: str
    call: str
    arguments: tuple[Argument, ...] = ()
    examples: tuple[str, ...] = ()
    details: str = ""
    configured: bool = True


class Group(msgspec.Struct, frozen=True):
    """Commands that belong together in the help."""

    title: str
    persian: str
    commands: tuple[Command, ...]


def argument(*names: str, help: str, **options: Any) -> Argument:
    """Declare an argument."""
    return Argument(names, help, options)


def positive(text: str) -> int:
    """A whole number of 1 or more, for an argument's ``type``."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"it must be a whole number of 1 or more; it is {text!r}")
    return number


_HERE = "hub.runtime.commands"

_ROLE = (
    "It waits for Kafka and PostgreSQL, and stops in good order on SIGTERM. If it can't within 20 seconds it ends "
    "hard: what it had not finished is handled again, and nothing is decided twice."
)


def port(text: str) -> int:
    """A TCP port as it is typed; 0 stands for any that is free. Raises ValueError."""
    number = int(text)
    if not 0 <= number <= 65_535:
        raise ValueError(f"{number} is no port")
    return number


def watched(text: str) -> tuple[str, Path]:
    """``NAME=DIR``. Raises ValueError."""
    name, equals, directory = text.partition("=")
    if not (name and equals and directory):
        raise ValueError("a name, =, and a folder are wanted")
    return name, Path(directory)


_ALSO: Final = argument(
    "--also",
    help="the connectors of this configuration file as well",
    action="append",
    type=Path,
    metavar="FILE",
)
_DOCUMENT = argument("document", help="its id, or source/own-id, or its own id alone", metavar="DOCUMENT")
_DOCUMENTS = argument("document", help="their ids, or source/own-id, or own ids alone", nargs="*", metavar="DOCUMENT")
_TIMEOUT = argument(
    "--timeout",
    help="seconds the decisions are waited for (default: 30)",
    type=float,
    default=30.0,
    metavar="SECONDS",
)
_DATA = argument("--data", help="the directory for data and logs (default: PEYVAND_DATA, else var)", metavar="DIR")

RUN: Final = Group(
    "Run",
    "اجرا",
    (
        Command(
            "dev",
            "Run a whole hub on this machine, with a Kafka, a PostgreSQL and a sample company's books",
            "اجرای کامل هاب روی همین دستگاه، با کافکا، PostgreSQL و دفترهای یک شرکت نمونه",
            "hub.runtime.dev:dev",
            arguments=(
                _DATA,
                argument(
                    "--port",
                    help="the API's port; 0: any that is free (default: [api] port)",
                    type=port,
                    metavar="PORT",
                ),
                argument("--no-sample", help="load no sample company", action="store_true"),
                argument(
                    "--no-books",
                    help="without the simulated Hesabgar: the sample company comes from files, nothing is posted",
                    action="store_true",
                ),
                argument("--no-outside", help="without the simulated shop and handhelds", action="store_true"),
            ),
            examples=("hub dev", "hub dev --data /tmp/try --port 0"),
            details="A Kafka or PostgreSQL the configuration names is used instead of an embedded one. The sample "
            "company is loaded once, into an empty database only; its books are a simulated Hesabgar. Where the "
            "configuration names a Hesabgar there is no sample company: its orders would be posted there. Ctrl-C "
            "stops everything; the data stay.",
        ),
        Command(
            "run",
            "Run all roles against the configured Kafka and PostgreSQL",
            "اجرای همهٔ نقش‌ها با کافکا و PostgreSQL موجود",
            "hub.runtime.run:run",
            arguments=(_DATA,),
            examples=("hub --config /etc/peyvand/hub.toml run",),
            details="Migrates the database, makes missing topics, and keeps workers, API and connectors running as "
            "processes of their own. To scale, run the roles one by one instead, as many copies as wanted.",
        ),
        Command(
            "streams",
            "Run a worker that decides; as many copies as wanted",
            "اجرای کارگر تصمیم‌گیر",
            "hub.runtime.roles:streams",
            examples=("hub streams",),
            details=_ROLE,
        ),
        Command(
            "api",
            "Run the REST API, the live feed and the status page; as many copies as wanted",
            "اجرای API و صفحهٔ وضعیت",
            "hub.runtime.roles:api",
            arguments=(_ALSO, _DATA),
            examples=("hub api",),
            details=_ROLE,
        ),
        Command(
            "connectors",
            "Run the configured connectors; as many copies as wanted, each connector works in one of them",
            "اجرای رابط‌های سامانه‌های بیرونی",
            "hub.runtime.roles:connectors",
            arguments=(
                argument(
                    "connector",
                    help="only these: files.main, or all of a kind: files (default: all)",
                    nargs="*",
                    metavar="CONNECTOR",
                ),
                argument(
                    "--watch",
                    help="a files connector of this name on this folder as well",
                    action="append",
                    type=watched,
                    metavar="NAME=DIR",
                ),
                _ALSO,
                _DATA,
            ),
            examples=("hub connectors", "hub connectors files.branch-karaj"),
            details=_ROLE,
        ),
        Command(
            "deliver",
            "Send webhooks to the outside systems that subscribed; as many copies as wanted",
            "ارسال وب‌هوک به سامانه‌هایی که مشترک شده‌اند",
            "hub.runtime.roles:deliver",
            examples=("hub deliver",),
            details=_ROLE,
        ),
    ),
)

LOOK: Final = Group(
    "Look",
    "دیدن",
    (
        Command(
            "show",
            "Tell one document's whole story on a screen",
            "همهٔ سرگذشت یک سند در یک صفحه",
            f"{_HERE}.show:document",
            arguments=(_DOCUMENT,),
            examples=("hub show shop/INV-1001", "hub show 0f8c2a0e-6a0b-5d51-9a0f-1f6c1e0d2b3c"),
        ),
        Command(
            "preview",
            "Tell what would become of a document, without deciding anything",
            "پیش‌بینی نتیجهٔ یک سند، بدون ثبت و رزرو",
            f"{_HERE}.preview:preview",
            arguments=(
                argument("file", help="the document as JSON, as the API takes it; - reads standard input"),
                argument(
                    "--source",
                    help="the source it would come from, whose policy applies (default: any without a policy)",
                    metavar="SOURCE",
                ),
            ),
            examples=("hub preview order.json --source shop",),
            details="Lines, tax, sellable stock, credit, the outcome with its reasons, and the policy with the table "
            "each value comes from: what POST /v1/documents/preview answers.",
        ),
        Command(
            "health",
            "Tell whether the work gets on: servers, workers, what waits",
            "وضعیت سرورها و پیشرفت کار",
            f"{_HERE}.health:health",
            arguments=(
                argument("--here", help="only the processes of this machine or container", action="store_true"),
            ),
            examples=("hub health",),
            details="Exit code 0 if everything answers and gets on with its work, else 1.",
        ),
        Command(
            "check",
            "Check the configuration, and what it names",
            "بررسی تنظیمات و هر آنچه در آن نام برده شده",
            f"{_HERE}.checking:check",
            arguments=(
                argument("--offline", help="read the configuration only; ask no server", action="store_true"),
                argument(
                    "--timeout",
                    help="seconds each server is given to answer (default: 10)",
                    type=float,
                    default=10.0,
                    metavar="SECONDS",
                ),
            ),
            examples=("hub check", "hub --config /etc/peyvand/hub.toml check --offline"),
            details="Exit code 0: all is well. 1: the configuration is good, but something it names isn't ready. "
            "2: the configuration has errors; each is shown with file, line, key and remedy.",
            configured=False,
        ),
        Command(
            "version",
            "Tell the versions of the hub and of what it stands on",
            "نسخهٔ هاب و اجزای آن",
            f"{_HERE}.about:version",
            examples=("hub version",),
            configured=False,
        ),
    ),
)

REPAIR: Final = Group(
    "Repair",
    "رفع اشکال",
    (
        Command(
            "dead-letters list",
            "List the messages nobody could handle",
            "فهرست پیام‌هایی که پردازش نشدند",
            f"{_HERE}.letters:list_letters",
            arguments=(
                argument(
                    "--limit", help="how many of the latest (default: 50)", type=positive, default=50, metavar="N"
                ),
            ),
            examples=("hub dead-letters list", "hub dead-letters list --limit 500"),
        ),
        Command(
            "dead-letters show",
            "Show one of them: where it stood, why, and its bytes",
            "نمایش یک پیام پردازش‌نشده",
            f"{_HERE}.letters:show_letter",
            arguments=(
                argument("letter", help="its id, or how that begins", metavar="LETTER"),
                argument("--raw", help="write the original bytes alone, to standard output", action="store_true"),
            ),
            examples=("hub dead-letters show 3f1c", "hub dead-letters show 3f1c --raw > message.json"),
        ),
        Command(
            "dead-letters replay",
            "Send them again, byte for byte, once the cause is mended",
            "ارسال دوبارهٔ پیام‌های پردازش‌نشده",
            f"{_HERE}.letters:replay",
            arguments=(
                argument("letters", help="their ids, or how those begin", metavar="LETTER", nargs="*"),
                argument("--all", help="all that stood on a topic of the hub", action="store_true"),
            ),
            examples=("hub dead-letters replay 3f1c 9ab0", "hub dead-letters replay --all"),
            details="Each goes to the topic and partition it stood on. What was decided in the meantime stays decided.",
        ),
        Command(
            "release",
            "Let the books have documents a policy keeps until someone says so",
            "آزادسازی سندهای منتظر برای ثبت در حسابگر",
            f"{_HERE}.releasing:release",
            arguments=(
                _DOCUMENTS,
                argument("--source", help="instead: all that wait of this source", metavar="SOURCE"),
                argument("--note", help="to be kept with each", default="", metavar="TEXT"),
                _TIMEOUT,
            ),
            examples=("hub release shop/INV-1001", "hub release --source shop --note 'بار رفت'"),
            details='For sources with posting = "manual" in their policy. Exit code 0 if all are released, else 1.',
        ),
        Command(
            "replay",
            "Have the streams workers handle again what they have handled",
            "پردازش دوبارهٔ پیام‌های گذشته",
            f"{_HERE}.replaying:replay",
            arguments=(
                argument(
                    "--topic",
                    help="a topic, without the prefix; may be given several times (default: documents.commands)",
                    action="append",
                    metavar="TOPIC",
                ),
                argument(
                    "--since",
                    help="from this moment on, as 1403/01/31 or 2024-04-19T08:00 (default: all that is kept)",
                    metavar="TIME",
                ),
            ),
            examples=("hub replay", "hub replay --topic master.products --since 1403/01/31"),
            details="The workers must be stopped. Decisions are remembered, so a replay changes none: it publishes "
            "the same events with the same ids, and decides what was never decided.",
        ),
    ),
)

SET_UP: Final = Group(
    "Set up",
    "راه‌اندازی",
    (
        Command(
            "migrate",
            "Bring the database to the present schema",
            "به‌روزکردن پایگاه داده",
            f"{_HERE}.database:migrate",
            arguments=(argument("--dry-run", help="only name what would be applied", action="store_true"),),
            examples=("hub migrate", "hub migrate --dry-run"),
        ),
        Command(
            "topics list",
            "List the declared topics",
            "فهرست موضوع‌های تعریف‌شده",
            f"{_HERE}.topics:list_topics",
            examples=("hub topics list",),
        ),
        Command(
            "topics create",
            "Make the topics that are missing",
            "ساختن موضوع‌هایی که نیستند",
            f"{_HERE}.topics:create",
            examples=("hub topics create",),
        ),
        Command(
            "topics check",
            "Compare the topics with their declaration",
            "مقایسهٔ موضوع‌ها با تعریفشان",
            f"{_HERE}.topics:check",
            examples=("hub topics check",),
            details="Exit code 0 if every topic is as declared, else 1.",
        ),
        Command(
            "key create",
            "Make an API key; its token is shown once",
            "ساختن کلید API",
            f"{_HERE}.keys:create",
            arguments=(
                argument("name", help="the key's name; decisions carry it as the actor", metavar="NAME"),
                argument("--source", help="the source whose documents it sends (default: the name)", metavar="SOURCE"),
                argument(
                    "--scope",
                    help="what it may do; may be given several times (default: all but documents:approve and admin)",
                    action="append",
                    metavar="SCOPE",
                ),
                argument(
                    "--per-minute", help="requests a minute (default: [api] rate_limit)", type=positive, metavar="N"
                ),
            ),
            examples=(
                "hub key create shop",
                "hub key create manager --source shop --scope documents:read --scope documents:approve",
            ),
            details="The token alone is written to standard output, so TOKEN=$(hub key create shop) works.",
        ),
        Command(
            "key list",
            "List the API keys, without their tokens",
            "فهرست کلیدهای API",
            f"{_HERE}.keys:list_keys",
            examples=("hub key list",),
        ),
        Command(
            "key revoke",
            "Revoke an API key",
            "باطل‌کردن کلید API",
            f"{_HERE}.keys:revoke",
            arguments=(argument("name", help="the key's name", metavar="NAME"),),
            examples=("hub key revoke shop",),
        ),
        Command(
            "webhooks list",
            "List who is told of changes by webhook, and how that goes",
            "فهرست مشترکان وب‌هوک و وضعیت ارسال",
            f"{_HERE}.webhooks:list_webhooks",
            examples=("hub webhooks list",),
            details="Outside systems subscribe through the API (docs/webhooks.md), which has the log of each delivery.",
        ),
        Command(
            "docs",
            "Write the reference: configuration, messages, API, reasons, commands",
            "نوشتن مستندات مرجع",
            f"{_HERE}.about:docs",
            arguments=(argument("directory", help="where the pages go", metavar="DIR"),),
            examples=("hub docs docs",),
            details="The pages are made from the declarations in the code, so they never tell anything else than it "
            "does. Equal code writes equal files.",
            configured=False,
        ),
    ),
)

_INSTANCE = argument(
    "--instance", help="which Hesabgar, by its name in the configuration (default: the books)", metavar="NAME"
)

_THE_INSTANCE = argument("instance", help="its name in the configuration: main", metavar="INSTANCE")

HESABGAR: Final = Group(
    "Hesabgar",
    "حسابگر",
    (
        Command(
            "hesabgar check",
            "Check a Hesabgar: server, contract, rights, codes, account numbers, build",
            "بررسی حسابگر: سرور، قرارداد، دسترسی‌ها، کدها، شماره‌حساب‌ها و نسخه",
            f"{_HERE}.hesabgar:check",
            arguments=(
                argument(
                    "instance",
                    help="its name in the configuration (default: every one)",
                    nargs="?",
                    metavar="INSTANCE",
                ),
            ),
            examples=("hub hesabgar check", "hub hesabgar check main"),
            details="Each finding is told in English and Persian, with what to do. Nothing is written to the books. "
            "Exit code 0: nothing has to be mended. 1: something has. 2: the configuration is wrong, or has no such "
            "Hesabgar.",
        ),
        Command(
            "hesabgar discover",
            "Draft a site's mapping from the tables of an unknown database",
            "نوشتن پیش‌نویس نگاشت از روی جدول‌های پایگاه دادهٔ ناشناخته",
            f"{_HERE}.hesabgar:discover",
            arguments=(
                _THE_INSTANCE,
                argument("--login", help="a login that may read the tables (default: the instance's)", metavar="LOGIN"),
                argument("--output", help="the file the draft goes to (default: standard output)", metavar="FILE"),
            ),
            examples=("hub hesabgar discover main --login sa --output site.toml",),
            details="The password of another login is asked for, or read from standard input. Of the rows only their "
            "shape is looked at: no value of the database is in the draft. Columns it isn't sure of are commented out, "
            "with candidates.",
        ),
        Command(
            "hesabgar scripts",
            "Write the T-SQL that sets a site up: contract, views, login",
            "نوشتن اسکریپت‌های نصب در محل: قرارداد، نماها، کاربر",
            f"{_HERE}.hesabgar:scripts",
            arguments=(
                _THE_INSTANCE,
                argument("--mapping", help="the site's mapping file", metavar="FILE", required=True),
                argument("--output", help="the directory they go to", metavar="DIR", required=True),
            ),
            examples=("hub hesabgar scripts main --mapping site.toml --output sql",),
            details="The database's owner runs them in the order of their names. The last one holds the login's "
            "password, so only you may read the files.",
        ),
        Command(
            "hesabgar accept-build",
            "Accept a changed build of Hesabgar, so that posting goes on",
            "پذیرش نسخهٔ تازهٔ حسابگر تا ثبت از سر گرفته شود",
            f"{_HERE}.hesabgar:accept_build",
            arguments=(
                _THE_INSTANCE,
                argument(
                    "build", help="its fingerprint, or how that begins; hub hesabgar check tells it", metavar="BUILD"
                ),
            ),
            examples=("hub hesabgar accept-build main BD6770F85740",),
            details="It is accepted only if it is the build that is there now.",
        ),
        Command(
            "hesabgar post",
            "Show what would be written to Hesabgar for a document",
            "نمایش آنچه برای یک سند در حسابگر نوشته می‌شود",
            f"{_HERE}.hesabgar:post",
            arguments=(
                argument(
                    "--dry-run", help="needed: posting itself is the connector's", action="store_true", required=True
                ),
                argument(
                    "--books",
                    help="ask the books as well which voucher they would make; they undo it at once",
                    action="store_true",
                ),
                _THE_INSTANCE,
                _DOCUMENT,
            ),
            examples=("hub hesabgar post --dry-run main shop/INV-1001",),
            details="Without --books Hesabgar isn't connected to at all.",
        ),
        Command(
            "hesabgar post-again",
            "Ask Hesabgar again for documents it refused, as they are",
            "ثبت دوبارهٔ سندهایی که حسابگر نپذیرفته بود",
            f"{_HERE}.hesabgar:post_again",
            arguments=(
                _THE_INSTANCE,
                _DOCUMENTS,
                argument("--refused", help="instead: all that stand at post_failed", action="store_true"),
                _TIMEOUT,
            ),
            examples=("hub hesabgar post-again main shop/INV-1001", "hub hesabgar post-again main --refused"),
            details="For when what was wrong is mended in Hesabgar or in the configuration, the document being right. "
            "One at posting can be named too: nobody posts it if post or post_sources left it out meanwhile.",
        ),
        Command(
            "hesabgar refresh",
            "Read one customer's account and finance from the books now",
            "تازه‌کردن حساب و وضعیت مالی یک مشتری",
            f"{_HERE}.books:refresh",
            arguments=(argument("account", help="the account's code", metavar="ACCOUNT"), _INSTANCE),
            examples=("hub hesabgar refresh 212010006",),
        ),
        Command(
            "hesabgar import",
            "Bring in the sales invoices or returns the books had before the hub came",
            "ورود یک‌بارهٔ فاکتورهای فروش یا برگشتی‌های دورهٔ پیش",
            f"{_HERE}.books:bring_in",
            arguments=(
                argument(
                    "--kind",
                    help="what to bring in: sales_invoice or sales_return; invoices first",
                    choices=("sales_invoice", "sales_return"),
                    required=True,
                ),
                argument("--from", help="the first day", dest="since", required=True, metavar="DATE"),
                argument("--to", help="the last day", dest="until", required=True, metavar="DATE"),
                argument("--again", help="begin at the beginning; nothing is brought in twice", action="store_true"),
                _INSTANCE,
            ),
            examples=("hub hesabgar import --kind sales_invoice --from 1402/01/01 --to 1402/12/29",),
            details="Interrupted, it goes on where it was. They stand as posted under the books' numbers, and take "
            "neither stock nor credit. Exit code 0 if everything the books have of it came in, else 1.",
        ),
        Command(
            "simulate hesabgar",
            "Run a simulated Hesabgar, for training and trying",
            "اجرای حسابگر شبیه‌سازی‌شده برای آموزش و آزمایش",
            f"{_HERE}.hesabgar:simulate",
            arguments=(
                argument(
                    "--port",
                    help="its port on 127.0.0.1; 0: any that is free (default: 14330)",
                    type=port,
                    default=14_330,
                    metavar="PORT",
                ),
                argument(
                    "--seed",
                    help="the same seed makes the same books (default: 1)",
                    type=positive,
                    default=1,
                    metavar="N",
                ),
                argument(
                    "--products", help="how many products (default: 2000)", type=positive, default=2_000, metavar="N"
                ),
                argument(
                    "--customers", help="how many customers (default: 500)", type=positive, default=500, metavar="N"
                ),
                argument("--empty", help="without the contract: to practise installing it", action="store_true"),
            ),
            examples=("hub simulate hesabgar", "hub simulate hesabgar --port 0 --empty"),
            details="It speaks SQL Server's own protocol and keeps its books in memory: what is posted is gone when it "
            "ends. Ctrl-C ends it. Its tables are guesswork; a real site's are others.",
            configured=False,
        ),
        Command(
            "simulate woocommerce",
            "Run a simulated WooCommerce shop, for training and trying",
            "اجرای فروشگاه ووکامرس شبیه‌سازی‌شده برای آموزش و آزمایش",
            f"{_HERE}.simulating:woocommerce",
            arguments=(
                argument(
                    "--port",
                    help="its port on 127.0.0.1; 0: any that is free (default: 8480)",
                    type=port,
                    default=8_480,
                    metavar="PORT",
                ),
                argument(
                    "--currency",
                    help="what its amounts are in (default: IRT)",
                    choices=("IRR", "IRT", "IRHR", "IRHT"),
                    default="IRT",
                ),
                argument("--file", help="keep the shop in this file", type=Path, metavar="FILE"),
            ),
            examples=("hub simulate woocommerce", "hub simulate woocommerce --currency IRR --file shop.sqlite3"),
            details="It speaks the REST API of WooCommerce and sends its webhooks; key ck_simulated, secret "
            'cs_simulated. What shall happen in it is asked for over HTTP: POST /sim/orders {"count": 5}. Ctrl-C ends '
            "it.",
            configured=False,
        ),
        Command(
            "simulate pocket-cyber",
            "Run simulated handhelds against a hub, for training and trying",
            "اجرای دستگاه‌های پاکت سایبر شبیه‌سازی‌شده",
            f"{_HERE}.simulating:pocket_cyber",
            arguments=(
                argument("address", help="http://127.0.0.1:8800/connectors/pocket_cyber/<instance>", metavar="ADDRESS"),
                argument("holders", help="the codes of who holds one", nargs="+", metavar="HOLDER"),
                argument(
                    "--pause", help="seconds between two days (default: 10)", type=positive, default=10, metavar="N"
                ),
            ),
            examples=("hub simulate pocket-cyber http://127.0.0.1:8800/connectors/pocket_cyber/visitors karimi",),
            details="A hub key with the scope admin, which makes their enrolment codes, is in PEYVAND_KEY. Each day "
            "they pull, sell, some of it offline, and push, some of it twice. Ctrl-C ends them.",
            configured=False,
        ),
    ),
)

GROUPS: Final = (RUN, LOOK, HESABGAR, REPAIR, SET_UP)

FAMILIES: Final[dict[str, str]] = {
    "topics": "the Kafka topics",
    "key": "the keys outside systems use the API with",
    "dead-letters": "messages nobody could handle",
    "webhooks": "who is told of changes",
    "hesabgar": "the books",
    "simulate": "outside systems played on this machine",
}
"""What the commands of two words have in common, by their first word."""


def commands() -> dict[str, Command]:
    """Every command, by name."""
    return {command.name: command for group in GROUPS for command in group.commands}
