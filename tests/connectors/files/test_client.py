"""The watched folder: what is seen, how bytes are text, where files go, and whose fault is whose."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from connectors.base import Rejected, Retryable
from connectors.files.client import Folder, Result, Seen, in_thread
from connectors.files.mapper import Complaint
from connectors.files.rows import MAX_ROW_BYTES
from connectors.files.spec import Encoding
from connectors.files.words import sentence

DIGEST = "d" * 64


@pytest.fixture
async def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    await folder.prepare()
    return folder


def put(folder: Folder, name: str, content: bytes = b"x") -> Seen:
    path = folder.inbox / name
    path.write_bytes(content)
    return Seen(name, len(content), path.stat().st_mtime_ns)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_look_finds_finished_files_only(folder: Folder) -> None:
    seen = {put(folder, "products.csv"), put(folder, "x")}
    for unfinished in (
        ".products.csv",
        "~$products.csv",
        "a.csv.part",
        "a.csv.PART",
        "a.tmp",
        "a.crdownload",
        "Thumbs.db",
    ):
        put(folder, unfinished)
    (folder.inbox / "folder").mkdir()
    (folder.inbox / "link.csv").symlink_to(folder.inbox / "products.csv")
    assert await folder.look() == seen


async def test_a_file_written_to_between_two_looks_is_not_the_same(folder: Folder) -> None:
    put(folder, "products.csv")
    before = await folder.look()
    with (folder.inbox / "products.csv").open("ab") as file:
        file.write(b"more")
    assert not before & await folder.look()


async def test_a_folder_that_is_not_there_is_away_and_is_not_made(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "share")
    with pytest.raises(Retryable):
        await folder.prepare()
    with pytest.raises(Retryable):
        await folder.look()
    with pytest.raises(Rejected, match="isn't there"):
        await folder.check()
    assert names(tmp_path) == set()


async def test_a_check_writes_nothing(tmp_path: Path) -> None:
    await Folder(tmp_path).check()
    assert names(tmp_path) == set()


async def test_a_check_finds_a_file_in_the_way(folder: Folder) -> None:
    await folder.check()
    folder.done.rmdir()
    folder.done.write_text("")
    with pytest.raises(Rejected, match="not a folder"):
        await folder.check()


async def test_a_file_that_went_away_is_its_own_fault(folder: Folder) -> None:
    with pytest.raises(Rejected):
        await folder.survey("gone.csv", Encoding.AUTO)
    with pytest.raises(Rejected):
        async with folder.reading("gone.csv"):
            raise AssertionError("it was opened")


PERSIAN = "کالا;انبار\n"
ARABIC = "كالا;انبار\n".encode("windows-1256")


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"", "utf-8"),
        (b"code,name\n", "utf-8"),
        (PERSIAN.encode(), "utf-8"),
        (b"\xef\xbb\xbf" + PERSIAN.encode(), "utf-8"),
        (ARABIC, "windows-1256"),
        (b"code,name\n" + ARABIC * 3, "windows-1256"),
        (PERSIAN.encode() * 3 + ARABIC, "utf-8"),
        (PERSIAN.encode("utf-16"), None),
        (b"PK\x03\x04\x00\x00", None),
    ],
)
async def test_how_bytes_are_text_is_seen_from_them(folder: Folder, content: bytes, encoding: str | None) -> None:
    put(folder, "a.csv", content)
    assert (await folder.survey("a.csv", Encoding.AUTO)).encoding == encoding


async def test_the_configuration_can_say_it(folder: Folder) -> None:
    put(folder, "a.csv", PERSIAN.encode())
    survey = await folder.survey("a.csv", Encoding.WINDOWS_1256)
    assert survey.encoding == "windows-1256"
    assert survey.digest == (await folder.survey("a.csv", Encoding.AUTO)).digest


async def test_a_long_line_is_cut_and_the_next_begins_where_it_ends(folder: Folder) -> None:
    lines = [b"a\n", b"x" * (MAX_ROW_BYTES * 3) + b"\n", b"y" * MAX_ROW_BYTES + b"\n", b"z" * (MAX_ROW_BYTES + 1), b""]
    put(folder, "a.csv", b"".join(lines))
    async with folder.reading("a.csv") as read:
        assert [len(line) for line in read] == [2, MAX_ROW_BYTES + 1, MAX_ROW_BYTES + 1, MAX_ROW_BYTES + 1]


async def finished(folder: Folder, seen: Seen, *, taken: bool = True, digest: str = DIGEST) -> None:
    result = Result(folder, digest)
    await result.write(0, [])
    await folder.put_away(seen, result, taken=taken)


async def test_files_are_moved_with_their_results(folder: Folder) -> None:
    await finished(folder, put(folder, "products.csv"))
    await finished(folder, put(folder, "stock.csv"), taken=False)
    assert (names(folder.inbox), names(folder.done), names(folder.failed)) == (set(), {"products.csv"}, {"stock.csv"})
    assert names(folder.results) == {"products.csv.result.csv", "stock.csv.result.csv"}


async def test_an_earlier_file_of_the_same_name_is_not_overwritten(folder: Folder) -> None:
    await finished(folder, put(folder, "products.csv", b"1"))
    await finished(folder, put(folder, "products.csv", b"2"), digest="e" * 64)
    assert names(folder.done) == {"products.csv", "products.eeeeeeeeeeee.csv"}
    assert names(folder.results) == {"products.csv.result.csv", "products.eeeeeeeeeeee.csv.result.csv"}


async def test_a_result_of_an_earlier_file_of_the_same_name_is_not_overwritten(folder: Folder) -> None:
    await finished(folder, put(folder, "products.csv", b"1"), taken=False)
    await finished(folder, put(folder, "products.csv", b"2"), digest="e" * 64)
    assert (names(folder.failed), names(folder.done)) == ({"products.csv"}, {"products.eeeeeeeeeeee.csv"})
    assert names(folder.results) == {"products.csv.result.csv", "products.eeeeeeeeeeee.csv.result.csv"}


async def test_a_file_that_came_under_the_name_meanwhile_stays_to_be_read(folder: Folder) -> None:
    seen = put(folder, "products.csv", b"1")
    put(folder, "products.csv", b"later")
    await finished(folder, seen)
    assert (names(folder.inbox), names(folder.done)) == ({"products.csv"}, set())
    await finished(folder, put(folder, "products.csv", b"later"), digest="e" * 64)
    assert names(folder.done) == {"products.csv"}
    assert names(folder.results) == {f"products.{DIGEST[:12]}.csv.result.csv", "products.csv.result.csv"}


async def test_a_name_that_is_no_text_or_very_long_is_moved_all_the_same(folder: Folder) -> None:
    odd, long = os.fsdecode(b"products\xff.csv"), "products-" + "ا" * 118 + ".csv"
    for name in (odd, long):
        await finished(folder, put(folder, name))
        await finished(folder, put(folder, name))
    assert names(folder.inbox) == set()
    assert {odd, long} < names(folder.done)
    assert len(names(folder.done)) == 4
    assert "\ufffd" in Seen(odd, 0, 0).shown


def complaint(row: int, column: str = "name") -> Complaint:
    return Complaint(row, column, sentence("row_too_long", limit=1_000))


async def test_a_result_is_written_over_from_where_the_cursor_stands(folder: Folder) -> None:
    result = Result(folder, DIGEST)
    assert await result.length() == 0
    first = await result.write(0, [complaint(2)])
    await result.write(first, [complaint(3), complaint(4)])
    again = await Result(folder, DIGEST).write(first, [complaint(3)])
    assert again == await result.length()
    lines = result.path.read_text("utf-8-sig").splitlines()
    assert lines == [
        "row,column,code,fa,en",
        '2,name,row_too_long,"ردیف بیش از 1,000 بایت دارد","the row has more than 1,000 bytes"',
        '3,name,row_too_long,"ردیف بیش از 1,000 بایت دارد","the row has more than 1,000 bytes"',
    ]


async def test_a_result_holds_no_formula(folder: Folder) -> None:
    result = Result(folder, DIGEST)
    await result.write(0, [complaint(2, "=HYPERLINK(1)"), complaint(3, "@x")])
    assert "2,'=HYPERLINK(1)," in result.path.read_text("utf-8-sig")
    assert "3,'@x," in result.path.read_text("utf-8-sig")


async def test_a_full_or_missing_results_folder_is_a_fault_that_passes(folder: Folder) -> None:
    folder.results.rmdir()
    with pytest.raises(Retryable):
        await Result(folder, DIGEST).write(0, [])


async def test_who_is_cancelled_still_waits_for_the_thread() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(60)
        ended.set()

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
