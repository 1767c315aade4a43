"""The command line: what is understood, what is told when something is wrong, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from hub.runtime import cli, commands, redaction
from hub.runtime.commands import Command, argument
from hub.runtime.config import Config
from hub.runtime.failures import Failure
from hub.store.errors import Unavailable


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a hub.toml, and an environment without our variables."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PEYVAND_")]:
        monkeypatch.delenv(name)
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    monkeypatch.setattr(redaction, "_known", set())
    return tmp_path


def hub(*words: str) -> list[str]:
    """The command line of a process that runs a command."""
    return [sys.executable, "-c", "import sys; from hub.runtime.program import main; sys.exit(main())", *words]


# --- help


def test_help_shows_every_command_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    overview = capsys.readouterr().out
    for group in commands.GROUPS:
        assert f"\n{group.title}\n" in overview
        for command in group.commands:
            assert re.search(rf"^  {command.name}\b.* {re.escape(command.summary)}$", overview, re.MULTILINE)
    assert "پیوند" in overview
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out == overview


def test_help_of_one_command_and_of_a_family(capsys: pytest.CaptureFixture[str]) -> None:
    for name, command in commands.commands().items():
        assert cli.main([*name.split(), "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"Usage: hub {name}" in shown
        assert command.persian in shown
    for family in commands.FAMILIES:
        assert cli.main([family]) == 2
        shown = capsys.readouterr().out
        assert all(
            command.summary in shown for name, command in commands.commands().items() if name.split()[0] == family
        )


def test_persian_help_has_a_persian_line_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--lang", "fa"]) == 0
    shown = capsys.readouterr().out
    assert all(command.persian in shown for command in commands.commands().values())


def test_every_command_has_its_function() -> None:
    for command in commands.commands().values():
        assert callable(cli.resolve(command))


# --- mistakes


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["chek"], ["There is no command chek. Did you mean check?", "hub --help shows how it is used."]),
        (["topics", "crate"], ["There is no command topics crate. Did you mean topics create?", "hub topics --help"]),
        (["--frobnicate"], ["There is no option --frobnicate."]),
        (["check", "--ofline"], ["unrecognized arguments: --ofline", "hub check --help"]),
        (["docs"], ["the following arguments are required: DIR", "hub docs --help"]),
        (["check", "--timeout", "soon"], ["argument --timeout: invalid float value: 'soon'"]),
        (["--lang", "de", "version"], ["--lang"]),
        (
            ["key", "create", "x", "--per-minute", "0"],
            ["--per-minute: it must be a whole number of 1 or more; it is '0'"],
        ),
        (["dead-letters", "list", "--limit", "many"], ["--limit: it must be a whole number of 1 or more"]),
        (["--config"], ["argument --config: expected one argument"]),
    ],
)
def test_a_mistaken_command_line_is_answered_in_sentences(
    capsys: pytest.CaptureFixture[str], words: list[str], told: list[str]
) -> None:
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    for sentence in told:
        assert sentence in shown.err
    assert "Traceback" not in shown.err


def test_options_for_all_may_stand_anywhere(capsys: pytest.CaptureFixture[str], somewhere: Path) -> None:
    (somewhere / "my.toml").write_text("[api]\nport = 1\n", encoding="utf-8")
    assert cli.main(["--config", "my.toml", "check", "--offline"]) == 0
    assert cli.main(["check", "--offline", "--config=my.toml"]) == 0
    assert capsys.readouterr().out.count("my.toml") == 2


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A command ``break``, that raises what is put into the list."""
    raised: list[BaseException] = []

    def call(args: Namespace) -> int:
        raise raised[0]

    command = Command("break", "Break", "شکستن", "nowhere:call", (argument("--x", help="x"),), configured=False)
    monkeypatch.setattr(cli, "commands", lambda: {"break": command})
    monkeypatch.setattr(cli, "resolve", lambda _: call)
    return raised


def test_an_unexpected_error_is_a_sentence_with_its_details_kept(
    breaking: list[BaseException], capsys: pytest.CaptureFixture[str], somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (somewhere / "hub.toml").write_text('[postgres]\npassword = "swordfish"\n', encoding="utf-8")
    cli.load(None)
    breaking.append(KeyError("the swordfish key"))
    assert cli.main(["break"]) == 1
    shown = capsys.readouterr().err
    assert shown.splitlines() == [
        "Something unexpected went wrong: KeyError: 'the *** key'",
        "  The details are in var/errors.log.",
    ]
    details = (somewhere / "var" / "errors.log").read_text(encoding="utf-8")
    assert "Traceback" in details
    assert "KeyError: 'the *** key'" in details
    assert "swordfish" not in details
    assert (somewhere / "var" / "errors.log").stat().st_mode & 0o077 == 0
    monkeypatch.setenv("PEYVAND_DEBUG", "1")
    assert cli.main(["break"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "swordfish" not in shown


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Failure("No such thing.", "Look elsewhere."), 1, "No such thing.\n  Look elsewhere.\n"),
        (Failure("Not like this.", code=2), 2, "Not like this.\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (
            Unavailable("ConnectionRefusedError: [Errno 111]"),
            1,
            "PostgreSQL can't be reached: ConnectionRefusedError: [Errno 111].\n"
            "  Is it running? hub check tells more.\n",
        ),
    ],
)
def test_how_a_command_ends(
    breaking: list[BaseException],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    told: str,
) -> None:
    monkeypatch.setattr(cli, "close_pipe", lambda: None)
    breaking.append(error)
    assert cli.main(["break"]) == code
    assert capfd.readouterr().err == told


def test_a_reader_that_leaves_is_no_error(somewhere: Path) -> None:
    """As ``hub topics list | head -1``: the pipe is closed before the first line."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(hub("topics", "list"), stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_terminal_without_persian_letters_is_no_error() -> None:
    done = subprocess.run(
        hub("--help"), capture_output=True, timeout=60, env={**os.environ, "PYTHONIOENCODING": "latin-1"}
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"?????: ??? " in done.stdout


# --- the configuration's errors


def test_configuration_errors_are_told_with_exit_code_2(
    capsys: pytest.CaptureFixture[str], somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (somewhere / "hub.toml").write_text("[api]\nprot = 1\n[log]\nlevel = 3\n", encoding="utf-8")
    expected = [
        "hub.toml:2: api.prot: there is no such setting",
        "  Did you mean port?",
        'hub.toml:4: log.level: it must be one of "debug", "info", "warning", "error"; it is 3',
        '  Write for example: level = "info"',
    ]
    for words in (["check"], ["topics", "list"]):
        assert cli.main(words) == 2
        assert capsys.readouterr().err.splitlines() == expected
    monkeypatch.setenv("LANG", "fa_IR.UTF-8")
    assert cli.main(["check"]) == 2
    shown = capsys.readouterr().err.splitlines()
    assert shown[:4] == [*expected[:2], "hub.toml:2: api.prot: چنین تنظیمی وجود ندارد", "  آیا port منظور بود؟"]
    assert cli.main(["--lang=en", "check"]) == 2
    assert capsys.readouterr().err.splitlines() == expected


def test_commands_that_need_a_server_say_which_setting_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["topics", "check"], ["migrate"], ["key", "list"], ["show", "x"], ["health"]):
        assert cli.main(words) == 1
        shown = capsys.readouterr().err
        assert re.match(r"No \[(kafka\] bootstrap|postgres\] dsn) is configured, and no hub dev runs in ", shown)


# --- hub check


def test_check_tells_policies_with_their_origin_and_rates_in_jalali(
    capsys: pytest.CaptureFixture[str], somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (somewhere / "hub.toml").write_text(
        '[rules]\nclosed_until = "1402/12/29"\n[policies.default]\ncredit = "reject"\n'
        '[policies.shop]\nreservation = "2h30m"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("PEYVAND_API_PORT", "80")
    assert cli.main(["check"]) == 0
    shown = capsys.readouterr().out
    assert "ok    configuration: hub.toml\n" in shown
    assert "ok    environment: sets PEYVAND_API_PORT\n" in shown
    assert "note  Kafka: embedded: hub dev starts it\n" in shown
    own, others = shown.partition("every other source")[::2]
    assert _row(own, "  credit") == [
        "",
        "credit",
        "reject",
        "policies.default",
        "without enough credit: rejected",
        "بدون اعتبار کافی: رد می‌شود",
    ]
    assert _row(own, "  reservation")[1:] == [
        "reservation",
        "2h30m",
        "policies.shop",
        "goods stay reserved for 2h30m",
        "کالا 2 ساعت و 30 دقیقه رزرو می‌ماند",
    ]
    assert _row(others, "  reservation")[2:4] == ["never", "built in"]
    assert _row(shown, "1403/01/01") == ["1403/01/01", "2024-03-20", "6", "4", "10", "in force today"]
    assert "Closed fiscal period: up to 1402/12/29 (2024-03-19)" in shown


def test_check_tells_who_uses_which_policy_and_what_may_not_be_meant(
    capsys: pytest.CaptureFixture[str], somewhere: Path
) -> None:
    (somewhere / "hub.toml").write_text(
        '[policies.shop]\nposting = "manual"\n[policies.shop.kinds.sales_invoice]\nposting = "automatic"\n'
        '[policies.branhc]\nstock = "partial"\n'
        '[connectors.files.shop]\nfolder = "."\n[connectors.files.two]\nfolder = "."\nsource = "branch"\n'
        '[connectors.hesabgar.books]\nserver = "x"\ncompany = "x"\nlogin = "x"\npassword = "x"\n'
        '[connectors.files.again]\nfolder = "."\nsource = "shop"\n',
        encoding="utf-8",
    )
    assert cli.main(["check", "--offline"]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^note  source (.+)\n        (.+)$", shown, re.MULTILINE) == [
        (
            "branhc: [policies.branhc] applies to nothing: no connector (whether an API key has, wasn't asked) has "
            "this source; is branch meant?",
            "[policies.branhc] به هیچ سندی نمی‌رسد: هیچ رابطی (کلیدهای API پرسیده نشد) این مبدأ را ندارد؛ "
            "شاید branch منظور است؟",
        ),
        (
            "shop: connector files.shop, connector files.again share it: of two documents with the same number only "
            "the first is taken in, so give each a source of its own unless their numbers differ",
            "میان connector files.shop, connector files.again مشترک است؛ از دو سند هم‌شماره فقط اولی پذیرفته می‌شود، پس "
            "اگر شماره‌ها یکتا نیست به هر کدام مبدأ جداگانه بدهید",
        ),
        (
            "branch: it has no policy of its own, so [policies.default] applies to what connector files.two brings",
            "سیاست جداگانه ندارد؛ برای سندهای connector files.two همان [policies.default] اعمال می‌شود",
        ),
    ]
    assert "\nshop  connector files.shop, connector files.again\n" in shown
    assert "\nevery other source (مبدأهای دیگر)  branch (connector files.two)\n" in shown
    kind = shown.partition("  but of each sales invoice (فاکتور فروش):\n")[2].splitlines()[0]
    assert re.split(r" {2,}", kind)[1:5] == [
        "posting",
        "automatic",
        "policies.shop.kinds.sales_invoice",
        "goes to the books once cleared",
    ]


def _row(shown: str, first: str) -> list[str]:
    (line,) = (line for line in shown.splitlines() if line.startswith(first))
    return re.split(r" {2,}", line)


def test_check_tells_when_nothing_answers(capsys: pytest.CaptureFixture[str], somewhere: Path) -> None:
    (somewhere / "hub.toml").write_text(
        '[kafka]\nbootstrap = ["127.0.0.1:1"]\n[postgres]\ndsn = "postgresql://u:swordfish@127.0.0.1:1/d"\n',
        encoding="utf-8",
    )
    assert cli.main(["check", "--timeout", "0.2"]) == 1
    shown = capsys.readouterr().out
    assert "error Kafka: 127.0.0.1:1 didn't answer within 0.2 seconds\n" in shown
    assert re.search(r"^error PostgreSQL: it didn't answer", shown, re.MULTILINE)
    assert "swordfish" not in shown


def test_check_asks_every_connector(capsys: pytest.CaptureFixture[str], somewhere: Path) -> None:
    (somewhere / "here").mkdir()
    (somewhere / "hub.toml").write_text(
        "[connectors.files.good]\nfolder = 'here'\n[connectors.files.bad]\nfolder = 'nowhere'\n", encoding="utf-8"
    )
    assert cli.main(["check"]) == 1
    shown = capsys.readouterr().out
    assert "ok    connectors: files.good, files.bad\n" in shown
    assert "ok    connector files.good: its connection works\n" in shown
    assert re.search(r"^error connector files\.bad: .*nowhere", shown, re.MULTILINE)
    assert list((somewhere / "here").iterdir()) == []


def test_version_names_the_hub_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    shown = capsys.readouterr().out
    assert re.match(r"hub \(Peyvand\) \d+\.\d+\.\d+\nPython 3\.", shown)
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == shown


def _heed_the_keyboard() -> None:
    """Whoever runs the tests in a script's background has them ignore Ctrl-C, and so what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_by_the_keyboard_ends_quietly(somewhere: Path) -> None:
    """Ctrl-C while the command waits for a Kafka that doesn't answer."""
    with socket.create_server(("127.0.0.1", 0)) as kafka:
        kafka.settimeout(60)
        (somewhere / "hub.toml").write_text(
            f'[kafka]\nbootstrap = ["127.0.0.1:{kafka.getsockname()[1]}"]\n', encoding="utf-8"
        )
        process = subprocess.Popen(
            hub("check", "--timeout", "300"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_the_keyboard,
        )
        try:
            asked, _ = kafka.accept()
            with asked:
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, errors) == (130, "")


def test_configured_commands_get_what_was_read(capsys: pytest.CaptureFixture[str], somewhere: Path) -> None:
    (somewhere / "hub.toml").write_text('[company]\nprefix = "acme."\n', encoding="utf-8")
    assert cli.main(["topics", "list"]) == 0
    assert _row(capsys.readouterr().out, "acme.documents.commands") == [
        "acme.documents.commands",
        "document id",
        "4",
        "7 days",
        "What is asked of a document",
    ]
    assert Config().company.prefix == ""


LOADING = """
import sys

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "hub.runtime.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Finder())
from hub.runtime.program import main
sys.exit(main())
"""


def test_ctrl_c_while_the_program_is_being_loaded_is_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")
