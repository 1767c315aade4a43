"""The client through the real pymssql: its errors are ours, and a call that hangs holds up nobody."""

import asyncio
import datetime as dt
import logging
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pymssql
import pytest

from connectors.base import Rejected, Unauthorised
from connectors.hesabgar import client as clients
from connectors.hesabgar.client import Away, Client, Refused, Undone, Unreached
from connectors.hesabgar.contract import Row
from connectors.hesabgar.simulator import FaultKind, HesabgarSimulator
from schemas.secret import Secret
from tests.connectors.conftest import until
from tests.connectors.hesabgar.world import spec_of
from tests.runtime.dev_helpers import environment


@pytest.fixture
def client(sim: HesabgarSimulator) -> Iterator[Client]:
    made = Client(spec_of(sim, threads=2))
    yield made
    made.close()


async def test_persian_comes_and_goes(client: Client) -> None:
    assert await client.query("SELECT %s, N'کالا ''یک''', NULL, CAST(1.5 AS decimal(18,5))", ("سلام ‌چطور؟",)) == [
        ("سلام ‌چطور؟", "کالا 'یک'", None, pytest.approx(1.5))
    ]


async def test_a_deadlocks_victim_is_tried_again_and_told_in_the_end(sim: HesabgarSimulator, client: Client) -> None:
    sim.fault(FaultKind.DEADLOCK, on="42", times=clients.DEADLOCK_TRIES - 1)
    assert await client.query("SELECT 42") == [(42,)]
    sim.fault(FaultKind.DEADLOCK, on="42", times=clients.DEADLOCK_TRIES)
    with pytest.raises(Undone, match="1205"):
        await client.query("SELECT 42")


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.HANG])
async def test_a_broken_or_silent_connection_is_away_and_the_next_call_has_a_new_one(
    sim: HesabgarSimulator, kind: FaultKind
) -> None:
    impatient = Client(spec_of(sim, threads=1, timeout=dt.timedelta(seconds=1)))
    fault = sim.fault(kind, on="42")

    async def answers() -> bool:
        try:
            return await impatient.query("SELECT 42") == [(42,)]
        except Away:
            return False

    assert not await answers()
    await until(answers)
    assert fault.struck == 1
    impatient.close()


async def test_a_session_has_no_implicit_transactions_whatever_the_server_begins_it_with(
    sim: HesabgarSimulator, client: Client
) -> None:
    said = sim.fault(FaultKind.DELAY, on="SET IMPLICIT_TRANSACTIONS OFF")
    assert await client.query("SELECT 42") == [(42,)]
    assert said.struck == 1


async def test_a_refusal_has_the_servers_words_and_number(client: Client) -> None:
    with pytest.raises(Refused) as refused:
        await client.query("THROW 50123, N'سند «۷» تراز نیست', 1")
    assert (refused.value.number, refused.value.words) == (50_123, "سند «۷» تراز نیست")


async def test_one_being_posted_right_now_is_no_refusal(client: Client) -> None:
    with pytest.raises(Undone):
        await client.query("THROW 50002, N'همین سند', 1")


async def test_what_is_not_installed_or_not_allowed_is_told_with_the_remedy(client: Client) -> None:
    with pytest.raises(Rejected, match="is the hub's schema installed there"):
        await client.query("SELECT * FROM hub.no_such_view")
    with pytest.raises(Unauthorised, match="mend the login"):
        await client.query("SELECT * FROM dbo.STK_Kala")


async def test_a_wrong_password_is_told_and_never_shown(
    sim: HesabgarSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = Client(spec_of(sim, password=Secret("correct-horse")))
    with pytest.raises(Unauthorised, match="18456") as refused:
        await wrong.query("SELECT 1")
    wrong.close()
    assert "correct-horse" not in caplog.text + str(refused.value) + repr(wrong.__dict__)


async def test_a_server_that_is_away_is_away(sim: HesabgarSimulator, client: Client) -> None:
    sim.away()
    with pytest.raises(Unreached, match="can't be reached"):
        await client.query("SELECT 1")
    sim.back()
    assert await client.query("SELECT 1") == [(1,)]


async def test_once_a_connection_broke_none_from_before_is_used(sim: HesabgarSimulator, client: Client) -> None:
    both = threading.Barrier(2)

    def meet(link: clients.Link) -> list[Row]:
        both.wait(60)
        return link.query("SELECT 1")

    async def ask_on_both() -> list[list[Row]]:
        return await asyncio.gather(client.call(meet), client.call(meet))

    assert await ask_on_both() == [[(1,)]] * 2
    sim.away()
    with pytest.raises(Away):
        await client.query("SELECT 1")
    sim.back()
    assert await ask_on_both() == [[(1,)]] * 2


async def test_calls_beyond_the_threads_wait_for_one_and_threads_end_with_the_client(client: Client) -> None:
    before = threading.active_count()
    answers = await asyncio.gather(*(client.query("SELECT %d", (number,)) for number in range(20)))
    assert [rows[0][0] for rows in answers] == list(range(20))
    assert threading.active_count() - before <= 2
    client.close()
    await until(lambda: threading.active_count() <= before)


AWAY = b"DB-Lib error message 20009, severity 9:\nUnable to connect: TDS server is unavailable or does not exist\n"
REFUSED = (
    b"DB-Lib error message 20018, severity 14:\nGeneral SQL Server error: Check messages from the SQL Server\n"
    b"DB-Lib error message 20002, severity 9:\nTDS server connection failed\n"
)


@pytest.mark.parametrize(
    ("number", "text", "kind"),
    [
        (18_456, AWAY, Away),  # the number of an older refusal, which pymssql forgets to reset
        (18_456, REFUSED, Unauthorised),
        (18_456, b"Login failed for user 'hub'." + REFUSED, Unauthorised),
        (20_009, AWAY, Away),
        (1_222, b"Lock request time out period exceeded.", Undone),
        (547, b"The INSERT statement conflicted", Refused),
        (0, b"", Away),
    ],
)
@pytest.mark.parametrize("nested", [True, False], ids=["connecting", "asking"])
def test_an_error_is_what_its_words_say(number: int, text: bytes, kind: type[Exception], *, nested: bool) -> None:
    arguments = ((number, text),) if nested else (number, text)
    assert type(clients.our_error(pymssql.OperationalError(*arguments), "s")) is kind


@asynccontextmanager
async def stuck() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """The port of a server that takes connections and says nothing; the event tells that a client speaks to it."""
    reached = asyncio.Event()
    talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def listen(reader: asyncio.StreamReader) -> None:
        await reader.read(1)
        reached.set()
        await reader.read(-1)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks[asyncio.get_running_loop().create_task(listen(reader))] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], reached
    finally:
        server.close()
        for talk, writer in talks.items():
            talk.cancel()
            writer.transport.abort()
        await asyncio.gather(*talks, return_exceptions=True)


async def test_a_call_that_hangs_leaves_the_loop_and_the_others_free(
    sim: HesabgarSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(clients, "LEFT_BEHIND", 2)
    made = Client(spec_of(sim, threads=2, login_timeout=dt.timedelta(seconds=60)))
    release = threading.Event()
    try:
        while len(made._hanging) < 2:  # a thread that was slow to begin hangs in nothing
            with pytest.raises(Away, match="didn't answer within"):
                await made.call(lambda link: release.wait(), seconds=-59.9)
        with pytest.raises(Away, match="2 calls hang"):
            await made.query("SELECT 1")
        release.set()
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await made.query("SELECT 1") == [(1,)]
                    break
                except Away:
                    await asyncio.sleep(0.01)
    finally:
        release.set()
        made.close()


async def test_a_call_nobody_waits_for_any_more_is_left_behind(sim: HesabgarSimulator, client: Client) -> None:
    release = threading.Event()
    begun = threading.Event()

    def hang(link: clients.Link) -> bool:
        begun.set()
        return release.wait()

    waiting = asyncio.create_task(client.call(hang))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await client.query("SELECT 1") == [(1,)]
    release.set()


SCRIPT = """
import asyncio, datetime as dt, sys
from connectors.hesabgar.client import Client
from connectors.hesabgar.spec import Spec
from schemas.secret import Secret

async def main(port):
    long = dt.timedelta(minutes=10)
    client = Client(Spec(server="127.0.0.1", port=port, company="x", login="x", password=Secret("x"), timeout=long,
                         login_timeout=long))
    call = asyncio.create_task(client.query("SELECT 1"))
    await asyncio.to_thread(sys.stdin.readline)
    call.cancel()
    client.close()

asyncio.run(main(int(sys.argv[1])))
print("ended")
"""


async def test_a_hung_call_does_not_keep_the_process_alive() -> None:
    pipe = asyncio.subprocess.PIPE
    async with stuck() as (port, reached):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SCRIPT, str(port), env=environment(), stdin=pipe, stdout=pipe, stderr=pipe
        )
        try:
            async with asyncio.timeout(60):
                await reached.wait()
                output, errors = await process.communicate(b"go on\n")
            assert output == b"ended\n", errors.decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
