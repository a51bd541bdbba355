"""From an operation's commit to who wants to know: subscribers, and pages that are open."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

from banyan.contracts.events import LessonStarted
from banyan.demo import people
from banyan.infra import postgres
from banyan.infra.postgres import Database
from banyan.kit.ids import uuid7
from banyan.learning.domain.courses import PersonId
from banyan.learning.operations.enrolments import Enrolments
from banyan.messaging import outbox
from bench import events_report, learners, machine, servers, site, subscribers
from bench.events_report import Drain, Pushed
from bench.figures import due_times
from bench.report import Plan, Section
from tests.journeys.front_door import FrontDoor
from tests.processes.people import Learner

RATES = (100, 500)
PARTS = ("relay", "postgres-core", "postgres-aside")
WRITERS = 8
WARM_SECONDS = 1.0  # not counted: everybody opens connections first
SETTLE_SECONDS = 2.0
LONGEST_DRAIN = 30.0
ENROLMENTS = 10
PAGES = 20

_FILL = """
WITH told AS (
    INSERT INTO event (id, type, key, data, at)
    SELECT gen_random_uuid(), $2, 'bench-' || n % 500,
        jsonb_build_object('enrolment_id', 'bench-' || n % 500, 'course_id', '', 'lesson_id', n::text,
            'account_id', '', 'at', now()), now()
    FROM generate_series(1, $1::integer) AS n RETURNING id
)
INSERT INTO outbox (event_id) SELECT id FROM told
"""


@dataclass(slots=True)
class Committed:
    """When each operation's commit was known to its caller, and how late it was, in the machine's monotonic clock."""

    at: dict[str, float]
    behind: float = 0.0


def run(plan: Plan, folder: Path) -> Section:
    seconds = 2.0 if plan.quick else 5.0
    rounds = 1 if plan.quick else 2
    with site.demo(folder / "data") as demo:
        pushed = [_pushed(demo, rate, seconds) for _ in range(rounds) for rate in RATES]
        shown, missing = asyncio.run(_shown(demo, 30 if plan.quick else 100))
        drains = [asyncio.run(_drain(demo, 3_000 if plan.quick else 10_000)) for _ in range(rounds)]
    return events_report.report_of(pushed, shown, missing, drains, pages=PAGES, rate=ENROLMENTS)


def _pushed(demo: site.Demo, rate: int, seconds: float) -> Pushed:
    """Operations at this rate, and what the three subscribers heard of them."""
    pids = demo.processes()
    with _subscribers(demo) as said:
        before = {name: machine.cpu_seconds([pids[name]]) for name in PARTS}
        committed, everything = asyncio.run(_operations(demo, rate, seconds))
        asyncio.run(_until_all_is_done(demo))
        used = {name: machine.cpu_seconds([pids[name]]) - before[name] for name in PARTS}
    heard: list[dict[str, float]] = json.loads(said[-1])
    took = [1000 * (times[key] - at) for times in heard for key, at in committed.at.items() if key in times]
    number = len(committed.at)
    lost = number * len(heard) - len(took)
    return Pushed(
        rate, number, took, lost, {name: 1000 * cpu / everything for name, cpu in used.items()}, committed.behind
    )


@contextlib.contextmanager
def _subscribers(demo: site.Demo) -> Iterator[list[str]]:
    """Three of them during the block; afterwards the last of the list is what they have heard."""
    command = [servers.program("setpriv"), "--pdeathsig", "TERM", sys.executable, "-m", "bench.subscribers"]
    process = subprocess.Popen([*command, str(demo.data)], stdout=subprocess.PIPE, text=True, cwd=servers.ROOT)
    said: list[str] = []
    try:
        if process.stdout is None or process.stdout.readline().strip() != subscribers.READY:
            raise RuntimeError("the subscribers do not start")
        yield said
        process.terminate()
        said.append(process.communicate(timeout=30)[0])
    finally:
        process.kill()
        process.communicate()


async def _operations(demo: site.Demo, rate: int, seconds: float) -> tuple[Committed, int]:
    """Each is due at its time, whatever became of the ones before: a transaction that tells of one event.

    Answers those that count, and how many there were with those before.
    """
    database = postgres.database(demo.settings, "learning", size=WRITERS)
    warm, committed = Committed({}), Committed({})
    counting = warm

    async def tell(due: float) -> None:
        lesson, enrolment = str(uuid7()), str(uuid7())
        event = LessonStarted(
            enrolment_id=enrolment, course_id="", lesson_id=lesson, account_id="", at=datetime.now(UTC)
        )
        async with database.transaction() as tx:
            await outbox.add(tx, event)
        counting.at[lesson] = time.monotonic()
        counting.behind = max(counting.behind, counting.at[lesson] - due)

    await _paced(tell, rate=rate, seconds=WARM_SECONDS)
    counting = committed
    await _paced(tell, rate=rate, seconds=seconds)
    await database.close()
    return committed, len(warm.at) + len(committed.at)


async def _until_all_is_done(demo: site.Demo) -> None:
    """Nothing in the outbox, nothing in the subscribers' queues; or it takes so long that the rest counts as lost."""
    told = postgres.database(demo.settings, "learning", size=1)
    bus = postgres.database(demo.settings, "bus", size=1)
    waiting = " UNION ALL ".join(f"SELECT 1 FROM pgmq.q_{each.queue}" for each in subscribers.OURS)
    end = time.monotonic() + LONGEST_DRAIN
    while time.monotonic() < end:
        await asyncio.sleep(0.25)
        if not await told.fetchval("SELECT EXISTS (SELECT FROM outbox)") and not await bus.fetchval(
            f"SELECT EXISTS ({waiting})"
        ):
            break
    await told.close()
    await bus.close()


async def _paced(do: Callable[[float], Awaitable[None]], *, rate: float, seconds: float) -> None:
    """While all writers are busy, what is due stays due."""
    dues = iter(due_times(start=time.monotonic() + 0.05, rate=rate, seconds=seconds))

    async def write() -> None:
        for due in dues:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await do(due)

    await asyncio.gather(*(write() for _ in range(WRITERS)))


async def _shown(demo: site.Demo, number: int) -> tuple[list[float], int]:
    """Milliseconds from the commit of each enrolment to each open page, and how many pages were not told."""
    door = Learner(FrontDoor(demo.url, demo.data))
    slug = (await asyncio.to_thread(learners.free_courses, door, 1))[0]
    database = postgres.database(demo.settings, "learning", size=4)
    open_pages = [asyncio.create_task(_watch(demo.port, slug)) for _ in range(PAGES)]
    await asyncio.sleep(1.0)
    committed = await _enrolments(database, slug, number)
    await asyncio.sleep(SETTLE_SECONDS)
    for page in open_pages:
        page.cancel()
    seen = await asyncio.gather(*open_pages)
    await database.close()
    took: list[float] = []
    for news in seen:
        for count, at in committed.items():  # one that was overtaken is shown with the next
            arrived = [when for shown, when in news if shown >= count]
            took += [1000 * (min(arrived) - at)] if arrived else []
    return took, len(seen) * len(committed) - len(took)


async def _enrolments(database: Database, slug: str, number: int) -> dict[int, float]:
    """The real operation by people who have not enrolled yet; when the commit of which count was known."""
    enrolments = Enrolments(database)
    committed: dict[int, float] = {}
    waiting = (PersonId(UUID(people.account_id(each))) for each in range(people.FIRST_LEARNER, 2000))
    for due in due_times(start=time.monotonic(), rate=ENROLMENTS, seconds=number / ENROLMENTS):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        while not (await enrolments.enrol(slug=slug, person_id=next(waiting), now=datetime.now(UTC))).first:
            continue
        at = time.monotonic()
        committed[await database.fetchval("SELECT learners FROM course WHERE slug = $1", slug)] = at
    return committed


async def _watch(port: int, slug: str) -> list[tuple[int, float]]:
    """An open page until it is cancelled: which counts it was told, and when."""
    news: list[tuple[int, float]] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /_banyan/api/v1/courses/{quote(slug)}/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    with contextlib.suppress(asyncio.CancelledError):
        while line := await reader.readline():
            if line.startswith(b"data: "):
                news.append((int(json.loads(line[6:])["count"]), time.monotonic()))
    writer.close()
    return news


async def _drain(demo: site.Demo, number: int) -> Drain:
    """The relay with a long outbox before it that appears at once."""
    database = postgres.database(demo.settings, "learning", size=2)
    pids = demo.processes()
    begin_cpu = machine.cpu_seconds([pids["relay"]])
    async with database.transaction() as tx:
        await tx.execute(_FILL, number, LessonStarted.TYPE)
    begin = time.monotonic()
    while await database.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
        if time.monotonic() - begin > LONGEST_DRAIN:
            raise RuntimeError(f"the relay needs more than {LONGEST_DRAIN:.0f} s for {number:,} events")
        await asyncio.sleep(0.01)
    took = time.monotonic() - begin
    await database.close()
    return Drain(number, took, machine.cpu_seconds([pids["relay"]]) - begin_cpu)
