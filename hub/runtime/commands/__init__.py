"""The commands of ``hub``: one row each. The code of a command is imported when it is run.

To add one, write ``def name(config, args) -> int`` in a module of this package and a row here.
"""

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


_HERE = "hub.runtime.commands"

LOOK: Final = Group(
    "Look",
    "دیدن",
    (
        Command(
            "show",
            "Tell one document's whole story on a screen",
            "همهٔ سرگذشت یک سند در یک صفحه",
            f"{_HERE}.show:document",
            arguments=(argument("document", help="its id, or source/own-id, or its own id alone", metavar="DOCUMENT"),),
            examples=("hub show shop/INV-1001", "hub show 0f8c2a0e-6a0b-5d51-9a0f-1f6c1e0d2b3c"),
        ),
        Command(
            "health",
            "Tell whether the work gets on: servers, workers, what waits",
            "وضعیت سرورها و پیشرفت کار",
            f"{_HERE}.health:health",
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
                argument("--per-minute", help="requests a minute (default: [api] rate_limit)", type=int, metavar="N"),
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

GROUPS: Final = (LOOK, SET_UP)

FAMILIES: Final[dict[str, str]] = {
    "topics": "the Kafka topics",
    "key": "the keys outside systems use the API with",
}
"""What the commands of two words have in common, by their first word."""


def commands() -> dict[str, Command]:
    """Every command, by name."""
    return {command.name: command for group in GROUPS for command in group.commands}
