"""What can go wrong with the embedded servers, as sentences for the person who typed the command."""

import errno
import os
import re
from pathlib import Path

_JAVA_FRAME = re.compile(r"\s+(at \S+\(|\.\.\. \d+ more)")


class EmbeddedError(RuntimeError):
    """An embedded server can't be had, started or reached; the message says what is wrong, where, and what to do."""


def explain_death(server: str, log: Path, since: int) -> EmbeddedError:
    """Why `server` ended while starting, told by what it wrote to `log` after the first `since` bytes."""
    lines = _lines_after(log, since)
    if any("No space left on device" in line for line in lines):
        return _disk_full(server, log.parent)
    if any("Address already in use" in line for line in lines):
        return EmbeddedError(
            f"{server} could not start because another program took its port in the meantime. Try again."
        )
    said = [line for line in lines if not _JAVA_FRAME.match(line)]
    last = "\n".join(f"    {line}" for line in said[-6:]) or "    (nothing)"
    return EmbeddedError(f"{server} ended while it was starting. The last lines of {log} say:\n{last}")


def _lines_after(log: Path, since: int) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def explain_silence(server: str, address: str, seconds: float, log: Path) -> EmbeddedError:
    """That `server` at `address` did start, but served nobody within `seconds`."""
    return EmbeddedError(
        f"{server} on {address} didn't serve clients within {seconds:.0f} seconds. "
        f"Is the machine overloaded? {log} tells what it was doing."
    )


def explain_os_error(server: str, directory: Path, problem: OSError) -> EmbeddedError:
    """Why `server` could not use `directory`, or the file that `problem` names."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(server, directory)
    reason = os.strerror(problem.errno) if problem.errno else str(problem)
    return EmbeddedError(
        f"{server} could not start because {problem.filename or directory} could not be used: {reason}. "
        "Correct its owner or permissions, or use another data directory."
    )


def _disk_full(server: str, directory: Path) -> EmbeddedError:
    return EmbeddedError(
        f"{server} could not start because the disk that holds {directory} is full. Free some space and try again."
    )
