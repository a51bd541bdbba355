"""From an operation's commit to who wants to know: subscribers, and pages that are open."""

import asyncio
import contextlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

from banyan.contracts.events import LessonStarted
from banyan.demo import people
from banyan.infra import postgres
from banyan.infra.postgres import Database
from banyan.learning.domain.courses import PersonId
from banyan.learning.operations.enrolments import Enrolments
from bench import (
    celery_peer,
    consumers,
    events_killed,
    events_report,
    learners,
    machine,
    outbox_cost,
    pgbench,
    servers,
    site,
    subscribers,
    telling,
)
from bench.events_report import Drain, Ours, Pushed, Theirs
from bench.figures import due_times
from bench.report import Plan, Section
from tests.journeys.front_door import FrontDoor
from tests.processes.people import Learner

RATES = (100, 500)
PARTS = ("relay", "postgres-core", "postgres-aside")
SETTLE_SECONDS = 2.0
ENROLMENTS = 10
PAGES = 20

_FILL = """
WITH told AS (
    INSERT INTO event (id, type, key, data, at)
    SELECT uuidv7(), $2, 'bench-' || n % 500,
        jsonb_build_object('enrolment_id', 'bench-' || n % 500, 'course_id', '', 'lesson_id', n::text,
            'account_id', '', 'at', now()), now()
    FROM generate_series(1, $1::integer) AS n RETURNING id
)
INSERT INTO outbox (event_id) SELECT id FROM told
"""


def run(plan: Plan, folder: Path) -> Section:
    seconds = 2.0 if plan.quick else 5.0
    rounds = 1 if plan.quick else 3
    with site.demo(folder / "data") as demo:
        pushed = [_pushed(demo, rate, seconds) for _ in range(rounds) for rate in RATES]
        shown, missing = asyncio.run(_shown(demo, 30 if plan.quick else 100))
        drains = [_drained(demo, 3_000 if plan.quick else 10_000) for _ in range(rounds)]
        left_out: list[str] = []
        try:
            peer = celery_peer.measure(demo, plan, folder, RATES)
        except (servers.Missing, OSError, RuntimeError) as absent:  # whatever ails the peer, ours are measured
            peer = celery_peer.Measured()
            left_out.append(f"Celery with Redis, because {absent}")
        section = events_report.report_of(
            Ours(pushed, drains, shown, missing),
            Theirs(peer.pushed, peer.drained, celery_peer.ABOUT),
            pages=PAGES,
            rate=ENROLMENTS,
        )
        section.left_out = left_out
        pgbench.measure(demo, plan, section, folder)
        outbox_cost.measure(demo, plan, section)
        consumers.measure(demo, plan, section)
    events_killed.measure(plan, folder, section)
    return section


def _pushed(demo: site.Demo, rate: int, seconds: float) -> Pushed:
    """Operations at this rate, and what the three subscribers heard of them."""
    pids = demo.processes()
    with telling.subscribers_of(demo) as heard:
        parts = {**{name: pids[name] for name in PARTS}, "subscribers": heard.pid, "writer": os.getpid()}
        before = {name: _cpu(pid) for name, pid in parts.items()}
        committed = asyncio.run(telling.operations(demo, rate, seconds))
        asyncio.run(telling.until_all_is_done(demo))
        used = {name: _cpu(pid) - before[name] for name, pid in parts.items()}
    took = [1000 * (times[key] - at) for times in heard.by for key, at in committed.at.items() if key in times]
    number = len(committed.at)
    lost = number * len(heard.by) - len(took)
    everything = number + committed.warm
    return Pushed(
        rate, number, took, lost, {name: 1000 * cpu / everything for name, cpu in used.items()}, committed.behind
    )


def _cpu(pid: int) -> float:
    return time.process_time() if pid == os.getpid() else machine.cpu_seconds([pid])


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


def _drained(demo: site.Demo, number: int) -> Drain:
    """The relay with a long outbox before it that appears at once; then three subscribers with their long queues."""
    asyncio.run(subscribers.declare(demo.settings))
    seconds, cpu = asyncio.run(_relayed(demo, number))
    with telling.subscribers_of(demo) as heard:
        asyncio.run(telling.until_all_is_done(demo))
    times = [at for one in heard.by for at in one.values()]
    if len(times) < number * len(heard.by):
        raise RuntimeError(f"{number * len(heard.by) - len(times):,} of a backlog have not been handled")
    return Drain(number, seconds, cpu, max(times) - min(times))


async def _relayed(demo: site.Demo, number: int) -> tuple[float, float]:
    """Seconds until the outbox is empty, and the relay's CPU seconds."""
    database = postgres.database(demo.settings, "learning", size=2)
    relay = [demo.processes()["relay"]]
    begin_cpu = machine.cpu_seconds(relay)
    async with database.transaction() as tx:
        await tx.execute(_FILL, number, LessonStarted.TYPE)
    begin = time.monotonic()
    while await database.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
        if time.monotonic() - begin > telling.LONGEST_DRAIN:
            raise RuntimeError(f"the relay needs more than {telling.LONGEST_DRAIN:.0f} s for {number:,} events")
        await asyncio.sleep(0.01)
    took = time.monotonic() - begin
    await database.close()
    return took, machine.cpu_seconds(relay) - begin_cpu
