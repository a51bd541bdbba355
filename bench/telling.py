"""Operations that tell of events at an even pace, and who hears of them."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from banyan.contracts.events import LessonStarted
from banyan.infra import postgres
from banyan.kit.ids import uuid7
from banyan.messaging import outbox
from bench import servers, site, subscribers
from bench.figures import due_times

WRITERS = 8
WARM_SECONDS = 1.0  # not counted: everybody opens connections first
LONGEST_DRAIN = 30.0


@dataclass(slots=True)
class Committed:
    """When each operation's commit was known to its caller, and how late it was, in the machine's monotonic clock.
    `keys` has the key of each; `warm` is how many there were before those that count."""

    at: dict[str, float] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    behind: float = 0.0
    warm: int = 0


@dataclass(slots=True)
class Heard:
    """When each of the subscribers was told of which lesson; known when they have ended."""

    by: list[dict[str, float]] = field(default_factory=list)
    pid: int = 0


@contextlib.contextmanager
def subscribers_of(demo: site.Demo, *names: str) -> Iterator[Heard]:
    """Three of them, or those named, during the block."""
    command = [servers.program("setpriv"), "--pdeathsig", "TERM", sys.executable, "-m", "bench.subscribers"]
    command += [str(demo.data), *names]
    said = subprocess.DEVNULL if any(name.startswith(subscribers.ILL) for name in names) else None
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, cwd=servers.ROOT)
    try:
        if process.stdout is None or process.stdout.readline().strip() != subscribers.READY:
            raise RuntimeError("the subscribers do not start")
        heard = Heard(pid=process.pid)
        yield heard
        process.terminate()
        heard.by = json.loads(process.communicate(timeout=30)[0])
    finally:
        process.kill()
        process.communicate()


async def operations(
    demo: site.Demo, rate: float, seconds: float, *, key: Callable[[int], str] = lambda _: str(uuid7())
) -> Committed:
    """Each is due at its time, whatever became of the ones before: a transaction that tells of one event."""
    database = postgres.database(demo.settings, "learning", size=WRITERS)
    warm, committed = Committed(), Committed()
    counting = warm
    number = 0

    async def tell(due: float) -> None:
        nonlocal number
        number += 1
        lesson, enrolment = str(uuid7()), key(number)
        event = LessonStarted(
            enrolment_id=enrolment, course_id="", lesson_id=lesson, account_id="", at=datetime.now(UTC)
        )
        counted = counting
        async with database.transaction() as tx:
            await outbox.add(tx, event)
        counted.at[lesson] = time.monotonic()
        counted.keys[lesson] = enrolment
        counted.behind = max(counted.behind, counted.at[lesson] - due)

    await paced(tell, rate=rate, seconds=WARM_SECONDS)
    counting = committed
    await paced(tell, rate=rate, seconds=seconds)
    await database.close()
    committed.warm = len(warm.at)
    return committed


async def paced(do: Callable[[float], Awaitable[None]], *, rate: float, seconds: float) -> None:
    """While all writers are busy, what is due stays due."""
    dues = iter(due_times(start=time.monotonic() + 0.05, rate=rate, seconds=seconds))

    async def write() -> None:
        for due in dues:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await do(due)

    await asyncio.gather(*(write() for _ in range(WRITERS)))


async def until_all_is_done(demo: site.Demo, *, consumers: str = "", longest: float = LONGEST_DRAIN) -> float:
    """Nothing in the outbox, nothing in the subscribers' queues; or it takes so long that the rest counts as lost.

    With `consumers`, only in the queues whose names have that in them. Answers when that was.
    """
    told = postgres.database(demo.settings, "learning", size=1)
    bus = postgres.database(demo.settings, "bus", size=1)
    queues = [each.queue for each in subscribers.OURS if consumers in each.queue]
    waiting = " UNION ALL ".join(f"SELECT 1 FROM pgmq.q_{queue}" for queue in queues)
    end = time.monotonic() + longest
    while time.monotonic() < end:
        if not await told.fetchval("SELECT EXISTS (SELECT FROM outbox)") and not await bus.fetchval(
            f"SELECT EXISTS ({waiting})"
        ):
            break
        await asyncio.sleep(0.1)
    done = time.monotonic()
    await told.close()
    await bus.close()
    return done
