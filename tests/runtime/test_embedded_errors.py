"""What goes wrong is said in a sentence that tells what, where and what to do."""

import errno
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from hub.runtime.embedded import EmbeddedError, EmbeddedPostgres
from hub.runtime.embedded.child import open_log, require_space
from hub.runtime.embedded.errors import explain_death, explain_os_error
from hub.runtime.embedded.ports import choose_port, free_port, is_free
from tests.runtime.embedded_helpers import listener


def test_too_little_space_is_told_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 5_000_000, 5_000_000))
    with pytest.raises(EmbeddedError) as problem:
        require_space(tmp_path, 300, server="Kafka")
    assert str(problem.value) == (
        f"Kafka needs 300 MB of free disk space in {tmp_path}, but only 5 MB are left. "
        "Free some space, or use a data directory on another disk."
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("java.io.IOException: No space left on device", "is full. Free some space and try again."),
        ("java.net.BindException: Address already in use", "another program took its port"),
        ("FATAL: something unheard of", "FATAL: something unheard of"),
    ],
)
def test_a_servers_own_last_words_are_understood(tmp_path: Path, line: str, told: str) -> None:
    log = tmp_path / "server.log"
    log.write_text("of an earlier run: No space left on device, Address already in use\n")
    since = log.stat().st_size
    with log.open("a") as file:
        file.write(f"INFO starting\n{line}\n")
    assert told in str(explain_death("Kafka", log, since))
    assert "earlier run" not in str(explain_death("Kafka", log, since))


def test_a_server_that_said_nothing_is_not_a_traceback(tmp_path: Path) -> None:
    assert "(nothing)" in str(explain_death("Kafka", tmp_path / "absent.log", 0))


def test_a_full_disk_and_a_forbidden_file_are_told_apart(tmp_path: Path) -> None:
    assert "is full" in str(explain_os_error("Kafka", tmp_path, OSError(errno.ENOSPC, "x", "/a/file")))
    forbidden = str(explain_os_error("Kafka", tmp_path, PermissionError(errno.EACCES, "x", "/a/file")))
    assert "/a/file could not be used: Permission denied. Correct its owner" in forbidden


async def test_a_file_in_the_place_of_the_directory_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "postgres").write_text("")
    with pytest.raises(EmbeddedError, match=r"PostgreSQL could not start because .*postgres could not be used"):
        await EmbeddedPostgres(tmp_path / "postgres", report=print).start()


def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("wb") as file:
        file.truncate(11_000_000)
    file, size = open_log(log)
    file.close()
    assert size == log.stat().st_size == 0
    assert (tmp_path / "server.log.1").stat().st_size == 11_000_000


def test_yesterdays_port_is_taken_again_while_it_is_free(tmp_path: Path) -> None:
    port = choose_port(0, tmp_path / "port", server="Kafka")
    assert is_free(port)
    assert choose_port(0, tmp_path / "port", server="Kafka") == port
    with listener() as taken:
        (tmp_path / "port").write_text(f"{taken}\n")
        assert choose_port(0, tmp_path / "port", server="Kafka") != taken


def test_a_port_that_is_about_to_be_used_is_not_given_twice(tmp_path: Path) -> None:
    port = choose_port(free_port(), tmp_path / "port", server="Kafka")
    assert choose_port(0, tmp_path / "port", server="its controller", other_than=port) != port


def test_a_port_file_with_nonsense_in_it_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("۹۰۹۲؟")
    assert is_free(choose_port(0, tmp_path / "port", server="Kafka"))
