"""Health, judged by progress: are documents taken, and are they decided?"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence

from hub.api.answers import Check, Health
from hub.bus.errors import Unavailable as BusUnavailable
from hub.bus.feed import Feed
from hub.store import progress
from hub.store.errors import StoreError
from hub.store.pool import Store
from hub.store.progress import Worker

SILENT_SECONDS = 15
STUCK_SECONDS = 30
FRESH_SECONDS = 1.0
"""How long an answer is good for, so that asking often costs nothing."""
DECIDING_ROLE = "streams"


class Doctor:
    """Judges health, at most once a second."""

    def __init__(self, store: Store, feed: Feed, seconds: float) -> None:
        self._store = store
        self._feed = feed
        self._seconds = seconds
        self._last: tuple[float, Health] | None = None
        self._examining = asyncio.Lock()

    async def examine(self) -> Health:
        """The present health."""
        async with self._examining:
            now = time.monotonic()
            if self._last is None or now - self._last[0] > FRESH_SECONDS:
                self._last = (now, await self._examine())
            return self._last[1]

    async def _examine(self) -> Health:
        kafka, (postgres, workers) = await asyncio.gather(self._kafka(), self._postgres())
        checks = (kafka, postgres, *(judge(workers) if workers is not None else ()))
        return Health("ok" if all(check.ok for check in checks) else "failing", checks)

    async def _kafka(self) -> Check:
        try:
            behind = await self._feed.check()
        except BusUnavailable:
            return Check(
                "kafka",
                False,
                "Kafka doesn't answer: documents aren't taken; check the cluster and [kafka] in the configuration",
                "کافکا پاسخ نمی‌دهد و سندی پذیرفته نمی‌شود؛ خوشه و بخش kafka پیکربندی را ببینید",
            )
        return Check("kafka", True, f"Kafka answers; the live feed is {behind} events behind", "کافکا پاسخ می‌دهد")

    async def _postgres(self) -> tuple[Check, list[Worker] | None]:
        try:
            async with asyncio.timeout(self._seconds):
                workers = await progress.workers(self._store)
        except (StoreError, TimeoutError):
            wrong = Check(
                "postgresql",
                False,
                "PostgreSQL doesn't answer: documents aren't taken; check the server and [postgres] in the "
                "configuration",
                "PostgreSQL پاسخ نمی‌دهد و سندی پذیرفته نمی‌شود؛ سرور و بخش postgres پیکربندی را ببینید",
            )
            return wrong, None
        return Check("postgresql", True, "PostgreSQL answers", "PostgreSQL پاسخ می‌دهد"), workers


def speaking(workers: Iterable[Worker]) -> list[Worker]:
    """Those that have been heard of lately."""
    return [worker for worker in workers if worker.seconds_silent <= SILENT_SECONDS]


def judge(workers: Sequence[Worker]) -> Iterator[Check]:
    """A check for every worker that speaks, or fell silent and wasn't replaced; and one if nothing decides."""
    now_speaking = speaking(workers)
    if not any(worker.role == DECIDING_ROLE for worker in now_speaking):
        yield Check(
            DECIDING_ROLE,
            False,
            "no streams worker runs: documents are taken and wait to be decided; start `hub streams`",
            "هیچ کارگر streams در کار نیست؛ سندها پذیرفته می‌شوند و در انتظار تصمیم می‌مانند؛ `hub streams` را اجرا کنید",
        )
    for worker in workers:
        if worker in now_speaking:
            yield _speaking(worker)
        elif not _replaced(worker, now_speaking):
            seconds = worker.seconds_silent
            yield Check(
                worker.id,
                False,
                f"{worker.id} has said nothing for {seconds} s: it was killed, hangs, or can't reach PostgreSQL",
                f"{worker.id} از {seconds} ثانیه پیش خبری نداده است؛ یا از کار افتاده یا به PostgreSQL نمی‌رسد",
            )


def _speaking(worker: Worker) -> Check:
    if worker.lag > 0 and worker.seconds_stuck > STUCK_SECONDS:
        seconds, lag = worker.seconds_stuck, worker.lag
        return Check(
            worker.id,
            False,
            f"{worker.id} hasn't got on for {seconds} s and is {lag} records behind; its log says why",
            f"{worker.id} از {seconds} ثانیه پیش جلو نرفته و {lag} رکورد عقب است؛ گزارش آن علت را می‌گوید",
        )
    return Check(
        worker.id,
        True,
        f"{worker.id} works, {worker.lag} records behind",
        f"{worker.id} کار می‌کند و {worker.lag} رکورد عقب است",
    )


def _replaced(silent: Worker, others: Iterable[Worker]) -> bool:
    """Whether another worker of the role was started since: a killed process comes back under another name."""
    return any(worker.role == silent.role and worker.started_at > silent.seen_at for worker in others)
