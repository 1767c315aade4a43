"""The watched folder: the only place of this connector that touches files. Blocking work runs in threads.

A fault of one file (gone again, not ours to read) is :exc:`~connectors.base.Rejected`; a fault of the folder (share
away, disk full) is :exc:`~connectors.base.Retryable`.
"""

import asyncio
import contextlib
import csv
import hashlib
import io
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from connectors.base import Rejected, Retryable
from connectors.files.mapper import Complaint
from connectors.files.rows import MAX_ROW_BYTES
from connectors.files.spec import Encoding

_SUBFOLDERS = ("inbox", "done", "failed", "results")
_UNFINISHED_BEGIN = (".", "~")
_UNFINISHED_END = (".part", ".tmp", ".crdownload")
_NOBODYS = ("thumbs.db", "desktop.ini")
"""What Windows puts into folders that people look into."""
_MAX_NAME_BYTES = 255
_PIECE = 256 * 1024
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_T = TypeVar("_T")


class Seen(NamedTuple):
    """A file as one look found it; equal in two looks means nobody wrote to it between them."""

    name: str
    size: int
    changed_ns: int

    @property
    def shown(self) -> str:
        """The name as it may be printed: file systems hold names that are no text."""
        return os.fsencode(self.name).decode("utf-8", "replace")


class Survey(NamedTuple):
    """What reading a file once through told: SHA-256 of its content, and how its bytes are text (None: they aren't)."""

    digest: str
    encoding: str | None


class Folder:
    """``inbox``, ``done``, ``failed`` and ``results`` in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inbox, self.done, self.failed, self.results = (root / name for name in _SUBFOLDERS)

    async def prepare(self) -> None:
        """Make the four in the folder, which must exist: one that doesn't may be a share that isn't mounted."""
        await in_thread(self._prepare)

    def _prepare(self) -> None:
        with _faults_of_folder(self.root):
            for name in _SUBFOLDERS:
                (self.root / name).mkdir(exist_ok=True)

    async def check(self) -> None:
        """Return if the connector can work here. Raises :exc:`Rejected` with what is wrong; writes nothing."""
        await in_thread(self._check)

    def _check(self) -> None:
        if not self.root.is_dir():
            raise Rejected(f"the folder {self.root} isn't there; make it, or mend `folder` in the configuration")
        present = [path for name in _SUBFOLDERS if (path := self.root / name).exists()]
        for path in present if len(present) == len(_SUBFOLDERS) else [self.root, *present]:
            if not path.is_dir():
                raise Rejected(f"{path} is not a folder; move it away")
            if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                raise Rejected(f"the folder {path} isn't ours to read and write; permit it to the hub's user")

    async def look(self) -> set[Seen]:
        """The files in ``inbox``, but for links and those whose name says they are being written, or nobody's."""
        return await in_thread(self._look)

    def _look(self) -> set[Seen]:
        found = set()
        with _faults_of_folder(self.root), os.scandir(self.inbox) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and _finished(entry.name):
                        found.add(Seen(entry.name, status.st_size, status.st_mtime_ns))
        return found

    async def holds(self, seen: Seen) -> bool:
        """Whether a file is still as that look found it."""
        return await in_thread(lambda: self._holds(seen))

    def _holds(self, seen: Seen) -> bool:
        with _faults_of_folder(self.root):
            try:
                status = (self.inbox / seen.name).lstat()
            except FileNotFoundError:
                if self.inbox.is_dir():
                    return False
                raise
        return (status.st_size, status.st_mtime_ns) == (seen.size, seen.changed_ns)

    async def survey(self, name: str, encoding: Encoding) -> Survey:
        """Read a file once through; ``encoding`` is what the configuration says of it."""
        return await in_thread(lambda: self._survey(name, encoding))

    def _survey(self, name: str, told: Encoding) -> Survey:
        digest = hashlib.sha256()
        good = bad = 0
        is_text = True
        with _faults_of_file(self.root), (self.inbox / name).open("rb") as file:
            while piece := file.readline(MAX_ROW_BYTES):
                digest.update(piece)
                is_text = is_text and b"\x00" not in piece
                if not piece.isascii():
                    valid = _is_utf8(piece)
                    good, bad = good + valid, bad + (not valid)
        if not is_text:
            return Survey(digest.hexdigest(), None)
        if told is Encoding.AUTO:
            # A good UTF-8 file with a spoilt row must not have its other rows read as Windows-1256.
            told = Encoding.UTF_8 if good >= bad else Encoding.WINDOWS_1256
        return Survey(digest.hexdigest(), told.value)

    @contextlib.asynccontextmanager
    async def reading(self, name: str) -> AsyncIterator[Iterator[bytes]]:
        """The lines of a file in ``inbox``, each cut to one byte more than :data:`~rows.MAX_ROW_BYTES`; reading them
        blocks (:func:`in_thread`)."""
        with _faults_of_file(self.root):
            file = await in_thread(lambda: (self.inbox / name).open("rb"))
            try:
                yield _lines(file)
            finally:
                file.close()

    async def fetch(self, name: str, to: Path, limit: int) -> str:
        """Copy a file of ``inbox``, cut to one byte more than ``limit``; answers the SHA-256 of the copy."""
        return await in_thread(lambda: self._fetch(name, to, limit))

    def _fetch(self, name: str, to: Path, limit: int) -> str:
        digest = hashlib.sha256()
        with _faults_of_file(self.root), (self.inbox / name).open("rb") as file, to.open("wb") as copy:
            left = limit + 1
            while left and (piece := file.read(min(_PIECE, left))):
                digest.update(piece)
                copy.write(piece)
                left -= len(piece)
        return digest.hexdigest()

    async def put_away(self, seen: Seen, result: "Result", *, taken: bool) -> None:
        """Give out the result, then move the file from ``inbox`` to ``done``, or to ``failed`` if nothing of it was
        taken. Where a file of that name lies in either already, or another one in ``inbox`` by now (it stays there, to
        be read next), a part of the content's digest is put into both names."""
        await in_thread(lambda: self._put_away(seen, result, self.done if taken else self.failed))

    def _put_away(self, seen: Seen, result: "Result", to: Path) -> None:
        target = to / seen.name
        replaced = not self._holds(seen)
        if replaced or any((folder / seen.name).exists() for folder in (self.done, self.failed)):
            marked = f"{target.stem}.{result.digest[:12]}{target.suffix}"
            target = to / _short_enough(marked, f"{result.digest}{result.suffix}")
        told = f"{target.name}.result{result.suffix}"
        told = _short_enough(told, f"{result.digest}.result{result.suffix}")
        with _faults_of_folder(self.root):
            result.path.replace(self.results / told)
        if not replaced:
            with _faults_of_file(self.root):
                (self.inbox / seen.name).replace(target)


class Result:
    """The result file of one input file while it is written, hidden under the digest of the input's content.

    One line a complaint, in both languages, UTF-8 with a byte-order mark so that spreadsheet programs see it.
    """

    def __init__(self, folder: Folder, digest: str, suffix: str = ".csv") -> None:
        self.digest = digest
        self.suffix = suffix
        self.path = folder.results / f".{digest}.part"
        self._root = folder.root

    async def length(self) -> int:
        """Bytes written so far, of this run or an earlier one."""
        return await in_thread(self._length)

    def _length(self) -> int:
        with _faults_of_folder(self._root):
            return self.path.stat().st_size if self.path.exists() else 0

    async def write(self, at: int, complaints: Sequence[Complaint]) -> int:
        """Write lines at a byte position, over anything that stood there; on disk when it answers the new length."""
        return await in_thread(lambda: self._write(at, complaints))

    def _write(self, at: int, complaints: Sequence[Complaint]) -> int:
        with _faults_of_folder(self._root):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            with open(descriptor, "r+b") as file:
                file.truncate(at)
                file.seek(at)
                file.write(_result_text(complaints, heading=at == 0))
                file.flush()
                os.fsync(descriptor)
                return file.tell()

    async def discard(self) -> None:
        """Forget it: the input changed."""
        await in_thread(self._discard)

    def _discard(self) -> None:
        with _faults_of_folder(self._root):
            self.path.unlink(missing_ok=True)


@contextlib.contextmanager
def _faults_of_folder(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Retryable(f"{root}: {error.strerror or error}") from error


@contextlib.contextmanager
def _faults_of_file(root: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        if not root.is_dir():
            raise Retryable(f"{root}: {error.strerror}") from error
        raise Rejected(f"it can't be read or moved: {error.strerror}") from error
    except OSError as error:
        raise Retryable(f"{root}: {error.strerror or error}") from error


def _result_text(complaints: Sequence[Complaint], *, heading: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    if heading:
        text.write("\ufeff")
        writer.writerow(("row", "column", "code", "fa", "en"))
    for row, column, reason in complaints:
        writer.writerow((row or "", inert(column), reason.code, inert(reason.fa), inert(reason.en)))
    return text.getvalue().encode("utf-8", "replace")


def inert(cell: str) -> str:
    """A cell no spreadsheet program takes for a formula: it may quote what a stranger wrote."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _finished(name: str) -> bool:
    plain = name.casefold()
    return not plain.startswith(_UNFINISHED_BEGIN) and not plain.endswith(_UNFINISHED_END) and plain not in _NOBODYS


def _short_enough(name: str, instead: str) -> str:
    """The name, if a file system takes one that long."""
    return name if len(os.fsencode(name)) <= _MAX_NAME_BYTES else instead


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_ROW_BYTES + 1):
        yield line
        while len(line) > MAX_ROW_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_ROW_BYTES + 1)


async def in_thread(work: Callable[[], _T]) -> _T:
    """The result of blocking work. Whoever is cancelled meanwhile still waits for it, so no file is in two hands."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
