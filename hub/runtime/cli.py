"""``hub``: the command line. Finds the command, reads the configuration, and tells errors as sentences."""

import contextlib
import difflib
import importlib
import io
import logging
import os
import sys
import tempfile
import traceback
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from hub.runtime.commands import FAMILIES, Command, commands
from hub.runtime.config import load
from hub.runtime.console import margin, screen
from hub.runtime.datadir import data_directory
from hub.runtime.failures import Failure
from hub.runtime.help import UsageError, global_parser, parser, show_command, show_family, show_overview
from hub.runtime.problems import ConfigError
from hub.runtime.program import INTERRUPTED
from hub.runtime.redaction import redact
from schemas.dates import utc_now

DEBUG_VARIABLE = "PEYVAND_DEBUG"

OK = 0
FAILED = 1
WRONG_USE = 2
PIPE_CLOSED = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the process's exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        _show_what_can_be_shown()
        _keep_libraries_quiet()
    language = _language(words)
    try:
        code = _run(words, language)
        sys.stdout.flush()
    except KeyboardInterrupt:
        if arguments is None:
            _hush()
        return INTERRUPTED
    except BrokenPipeError:
        close_pipe()
        return PIPE_CLOSED
    except UsageError as error:
        help_of = f"hub {error.command}".strip()
        return _complain(error.sentence, f"{help_of} --help shows how it is used.", WRONG_USE)
    except ConfigError as error:
        tell_problems(error, language)
        return WRONG_USE
    except Failure as error:
        return _complain(error.sentence, error.remedy, error.code)
    except Exception as error:
        if (failure := _explained(error)) is not None:
            return _complain(failure.sentence, failure.remedy, failure.code)
        return _unexpected(error, words)
    return code


def _show_what_can_be_shown() -> None:
    """On a terminal that knows no Persian letters: question marks, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _keep_libraries_quiet() -> None:
    """What a library logs during a short command is told by the command itself; roles set their own logging up."""
    if not os.environ.get(DEBUG_VARIABLE):
        logging.getLogger().addHandler(logging.NullHandler())


def _hush() -> None:
    """Let the interpreter not complain, as this process ends, of what the interrupt left half made."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None


def close_pipe() -> None:
    """Let nothing more go to standard output: the interpreter would complain about what is buffered as it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell_problems(error: ConfigError, language: str) -> None:
    """Every problem of a configuration with its remedy, on standard error; in Persian as well if that is asked."""
    console = margin()
    for problem in error.problems:
        console.print(problem.sentence(), style="red")
        console.print(f"  {problem.advice()}")
        if language == "fa":
            console.print(problem.sentence("fa"), style="red")
            console.print(f"  {problem.advice('fa')}")


def _run(words: list[str], language: str) -> int:
    options, rest = global_parser().parse_known_args(words)
    if options.version:
        rest = ["version"]
    if not rest:
        show_overview(screen(), language)
        return OK
    command, rest = _find(rest)
    if command is None:
        show_family(screen(), rest[0], language)
        return OK if options.help else WRONG_USE
    if options.help:
        show_command(screen(), command)
        return OK
    args = parser(command).parse_args(rest, Namespace(config=_path(options.config), lang=language))
    function = resolve(command)
    return function(load(args.config), args) if command.configured else function(args)


def resolve(command: Command) -> Callable[..., int]:
    """A command's function, imported."""
    module, _, name = command.call.partition(":")
    function: Callable[..., int] = getattr(importlib.import_module(module), name)
    return function


def _find(words: list[str]) -> tuple[Command | None, list[str]]:
    """The command the words begin with and the words left over; no command if only a family is named."""
    known = commands()
    first = words[0]
    if first.startswith("-"):
        raise UsageError(f"There is no option {first}.")
    if first in known:
        return known[first], words[1:]
    if first in FAMILIES:
        second = next(iter(words[1:]), "")
        if f"{first} {second}" in known:
            return known[f"{first} {second}"], words[2:]
        if not second:
            return None, words
        members = [name.split()[1] for name in known if name.split()[0] == first and " " in name]
        raise UsageError(_no_such(f"{first} {second}", second, members, prefix=f"{first} "), first)
    raise UsageError(_no_such(first, first, [*known, *FAMILIES]))


def _no_such(name: str, word: str, known: Sequence[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"There is no command {name}." + (f" Did you mean {prefix}{close[0]}?" if close else "")


def _language(words: Sequence[str]) -> str:
    """``--lang``, else by the locale; found first, so that even a mistaken command line is answered in it."""
    for index, word in enumerate(words):
        if word == "--lang":
            return "fa" if words[index + 1 : index + 2] == ["fa"] else "en"
        if word.startswith("--lang="):
            return "fa" if word == "--lang=fa" else "en"
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return "fa" if locale.startswith("fa") else "en"


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _complain(sentence: str, remedy: str, code: int) -> int:
    console = margin()
    console.print(sentence, style="red")
    if remedy:
        console.print(f"  {remedy}")
    return code


def _explained(error: Exception) -> Failure | None:
    """What a person is told when a server isn't there. Imported here, as most commands end well."""
    from hub.bus.errors import Unavailable
    from hub.runtime.embedded import EmbeddedError
    from hub.store.errors import StoreError, Unacceptable

    match error:
        case EmbeddedError():
            return Failure(str(error))
        case Unavailable():
            return Failure(f"{redact(str(error))}.", "hub check tells more.")
        case Unacceptable():
            return Failure(f"PostgreSQL: {redact(str(error))}.")
        case StoreError():
            return Failure(
                f"PostgreSQL can't be reached: {redact(str(error))}.", "Is it running? hub check tells more."
            )
        case _:
            return None


def _unexpected(error: Exception, words: Sequence[str]) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        margin().print(redact("".join(traceback.format_exception(error))))
        return FAILED
    kept = _keep_details(error, words)
    where = f"The details are in {kept}." if kept else f"{DEBUG_VARIABLE}=1 shows the details."
    return _complain(redact(f"Something unexpected went wrong: {type(error).__name__}: {error}"), where, FAILED)


def _keep_details(error: Exception, words: Sequence[str]) -> Path | None:
    """Append the traceback to a file only its owner can read: in the data directory, else among temporary files."""
    details = "".join(traceback.format_exception(error))
    text = redact(f"{utc_now():%Y-%m-%dT%H:%M:%SZ} hub {' '.join(words)}\n{details}\n")
    for directory in (data_directory(), Path(tempfile.gettempdir()) / f"peyvand-{os.getuid()}"):
        file = directory / "errors.log"
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as log:
                log.write(text)
            return file
    return None
