"""The data directory of ``hub dev``: one hub at a time, what it runs told in ``run.json``, the demo key."""

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from hub.runtime.failures import Failure
from schemas.dates import jalali_time

VARIABLE = "PEYVAND_DATA"
DEFAULT = "var"

_LOCK = "hub.lock"


def data_directory(named: str | None = None) -> Path:
    """Where data and logs are kept: as named on the command line, else by PEYVAND_DATA, else ``var``."""
    return Path(named or os.environ.get(VARIABLE) or DEFAULT)


class DataDirectory:
    """``path`` and what the hub itself keeps in it, secrets readable by their owner only; :meth:`acquire` makes it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.shown = path
        self.logs = self.path / "log"
        self.run_file = self.path / "run.json"
        self._key_file = self.path / "demo.key"
        self._lock: IO[str] | None = None

    def acquire(self, started_at: datetime) -> None:
        """Make the directory and take it for this process; the kernel gives it back however the process ends.

        Raises:
            Failure: another hub has it, or it can't be used.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            lock = (self.path / _LOCK).open("a+", encoding="utf-8")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with lock:
                    raise self._taken(lock) from None
            self._lock = lock
            self.run_file.unlink(missing_ok=True)
            self.tell({"pid": os.getpid(), "started_at": started_at.isoformat()})
        except OSError as problem:
            raise self.unusable(problem) from problem

    def tell(self, about: Mapping[str, object]) -> None:
        """Leave word in the lock for whoever finds it taken: ``pid``, ``started_at`` and, once known, ``address``."""
        assert self._lock is not None, "the directory was not acquired"
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(json.dumps(about))
        self._lock.flush()

    def release(self) -> None:
        """Give the directory back, and take ``run.json`` away; nothing happens if it isn't ours."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self.run_file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._lock.close()
            self._lock = None

    def write_run(self, about: Mapping[str, object]) -> None:
        """Write ``run.json``, whole at once. Raises OSError."""
        self._write_secret(self.run_file, f"{json.dumps(about, ensure_ascii=False, indent=2)}\n")

    def demo_key(self) -> str | None:
        """The demo key's token, if one was kept."""
        with contextlib.suppress(OSError):
            return self._key_file.read_text(encoding="ascii").strip() or None
        return None

    def keep_demo_key(self, token: str) -> None:
        """Keep it for the next start. Raises OSError."""
        self._write_secret(self._key_file, token)

    @staticmethod
    def _write_secret(file: Path, text: str) -> None:
        unfinished = file.with_name(f".{file.name}.new")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as new:
            new.write(text)
        unfinished.replace(file)

    def unusable(self, problem: OSError) -> Failure:
        """What an error of the operating system about something in here means for a person."""
        reason = os.strerror(problem.errno) if problem.errno else str(problem)
        return Failure(
            f"{problem.filename or self.path} can't be used: {reason}.",
            "Correct its owner or permissions, free some space, or name another data directory: --data DIR "
            "(PEYVAND_DATA).",
        )

    def _taken(self, lock: IO[str]) -> Failure:
        lock.seek(0)
        about: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            about = json.loads(lock.read())
        pid, address = about.get("pid", "?"), about.get("address")
        since = ""
        with contextlib.suppress(KeyError, ValueError):
            since = jalali_time(datetime.fromisoformat(about["started_at"]))
        en = f"Peyvand is running in {self.path} already, since {since} (process {pid})"
        fa = f"پیوند در {self.path} در حال اجراست، از {since} (پردازهٔ {pid})"
        at = (f": {address}", f": {address}") if address else (", and is still starting", " و هنوز آماده نشده است")
        return Failure(
            f"{en}{at[0]}.\n{fa}{at[1]}.",
            "Use that one, stop it with Ctrl-C in its window, or start another with --data DIR --port 0.",
        )
