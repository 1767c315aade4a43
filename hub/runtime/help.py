"""What ``hub --help`` and ``hub COMMAND --help`` say, and docs/cli.md with them."""

import argparse
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from hub.runtime.commands import FAMILIES, GROUPS, Argument, Command, Group, commands
from hub.runtime.console import show

EXAMPLES = (
    "hub dev                           a whole hub on this machine, to try it",
    "hub check                         is everything ready?",
    "hub key create shop               a key for a system that sends documents",
    "hub show shop/INV-1001            what became of a document, and why",
)

TITLE = "hub: Peyvand, the integration hub for companies that keep their books in Hesabgar"
TITLE_FA = "پیوند: هاب یکپارچه‌سازی برای شرکت‌هایی که دفترشان در حسابگر است"

GLOBAL: tuple[Argument, ...] = (
    Argument(
        ("--config",),
        "the configuration file (default: PEYVAND_CONFIG, else hub.toml if there is one)",
        {"metavar": "FILE"},
    ),
    Argument(
        ("--lang",),
        "with fa, errors are told in Persian as well (default: by LANG)",
        {"choices": ("en", "fa"), "metavar": "en|fa"},
    ),
    Argument(("-h", "--help"), "show this help, or that of the command", {"action": "store_true"}),
    Argument(("--version",), "tell the version", {"action": "store_true"}),
)


class UsageError(Exception):
    """A command line that can't be understood; ``command`` is what was meant, as far as it is known."""

    def __init__(self, sentence: str, command: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.command = command


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong to us instead of ending the process."""

    def __init__(self, command: str) -> None:
        super().__init__(prog=f"hub {command}".strip(), add_help=False, allow_abbrev=False)
        self._command = command

    def error(self, message: str) -> None:  # type: ignore[override]  # it raises, as the original ends the process
        """Raise the message as :exc:`UsageError`."""
        raise UsageError(message, self._command)


def parser(command: Command) -> Parser:
    """The parser of one command's own arguments."""
    return _with_arguments(Parser(command.name), command.arguments)


def global_parser() -> Parser:
    """The parser of what may stand before or after any command."""
    return _with_arguments(Parser(""), GLOBAL)


def _with_arguments(made: Parser, arguments: tuple[Argument, ...]) -> Parser:
    for each in arguments:
        made.add_argument(*each.names, help=each.help, **each.options)
    return made


def show_overview(console: Console, language: str) -> None:
    """All commands, grouped, a line each."""
    parts: list[RenderableType] = [
        Text(TITLE, style="bold"),
        Text(TITLE_FA),
        "",
        Text("Usage: hub [--config FILE] [--lang en|fa] COMMAND ..."),
    ]
    sections = [(_heading(group, language), list(_rows(group.commands, language))) for group in GROUPS]
    sections.append(("Everywhere", [(shown(each), each.help) for each in GLOBAL]))
    width = max(len(name) for _, rows in sections for name, *_ in rows)
    for heading, rows in sections:
        parts += ["", Text(heading, style="bold"), _grid(rows, width)]
    parts += ["", Text("Examples", style="bold"), *(Text(f"  {example}") for example in EXAMPLES)]
    parts += ["", Text("hub COMMAND --help tells more. The settings are told in docs/configuration.md.")]
    show(console, *parts)


def show_family(console: Console, family: str, language: str) -> None:
    """The commands that begin with one word."""
    members = tuple(command for name, command in commands().items() if name.split()[0] == family)
    show(
        console,
        Text(f"hub {family}: {FAMILIES[family]}", style="bold"),
        "",
        _grid(list(_rows(members, language))),
        "",
        Text(f"hub {members[0].name} --help tells more."),
    )


def show_command(console: Console, command: Command) -> None:
    """One command with its arguments and examples."""
    parts: list[RenderableType] = [
        Text(f"{command.summary}.", style="bold"),
        Text(command.persian),
        "",
        Text(f"Usage: {usage(command)}"),
    ]
    if command.details:
        parts += ["", Text(command.details)]
    if command.arguments:
        parts += ["", Text("Arguments", style="bold"), _grid([(shown(each), each.help) for each in command.arguments])]
    if command.examples:
        parts += ["", Text("Examples", style="bold"), *(Text(f"  {example}") for example in command.examples)]
    show(console, *parts)


def usage(command: Command) -> str:
    """``hub show DOCUMENT [--lines N]``."""
    return " ".join([f"hub {command.name}", *(_usage(each) for each in command.arguments)])


def _usage(each: Argument) -> str:
    if not each.names[0].startswith("-"):
        return f"[{shown(each)} ...]" if each.options.get("nargs") == "*" else shown(each)
    return shown(each) if each.options.get("required") else f"[{shown(each)}]"


def shown(each: Argument) -> str:
    """An argument's name with the placeholder of its value: ``--limit N``, ``DOCUMENT``."""
    options = each.options
    placeholder = options.get("metavar") or "|".join(options.get("choices", ())) or each.names[-1].lstrip("-").upper()
    if not each.names[0].startswith("-"):
        return str(placeholder)
    names = ", ".join(each.names)
    return names if str(options.get("action", "")).startswith("store_") else f"{names} {placeholder}"


def _rows(members: tuple[Command, ...], language: str) -> Iterator[tuple[str, ...]]:
    for command in members:
        positional = " ".join(_usage(each) for each in command.arguments if not each.names[0].startswith("-"))
        name = f"{command.name} {positional}".strip()
        yield (name, command.summary, command.persian) if language == "fa" else (name, command.summary)


def _heading(group: Group, language: str) -> str:
    return f"{group.title}  {group.persian}" if language == "fa" else group.title


def _grid(rows: Sequence[tuple[str, ...]], width: int = 0) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    for name, *rest in rows:
        grid.add_row(Text(f"  {name:<{width}}", style="cyan"), *rest)
    return grid
