"""A thousand enrolments while everything is killed: what was confirmed is there, once, and everybody counts alike."""

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest

from banyan.infra import databases, embedded
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes.people import Learner

CLIENTS = 8
COURSES = 125
KILLS = 30
VICTIMS = (
    "iam",
    "learning",
    "relay",
    "live",
    "web",
    "gateway",
    "envoy",
    "postgres-front",
    "postgres-core",
    "postgres-aside",
)


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo", environ={"BANYAN_BACKOFF_SECONDS": "0.5"}) as door:
        yield door


def test_a_thousand_enrolments_survive_thirty_kills(door: FrontDoor) -> None:
    settings = Settings.read({"BANYAN_DATA": str(door.data)})
    slugs = free_courses(door)
    before = asyncio.run(counts(settings))
    learners = [new_learner(door, number) for number in range(CLIENTS)]
    over = threading.Event()
    killed: list[str] = []
    killer = threading.Thread(target=kill_at_random, args=(settings, over, killed))

    killer.start()
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            told = list(pool.map(lambda learner: [learner.enrol_until_told(slug) for slug in slugs], learners))
    finally:
        over.set()
        killer.join()

    assert len(killed) == KILLS, f"the clients were done after {len(killed)} kills"
    assert sum(len(statuses) for statuses in told) == CLIENTS * COURSES
    for learner in learners:
        assert Counter(everything(learner, "/_banyan/api/v1/enrolments")) == Counter(slugs)
    asyncio.run(until_consumed(settings))
    after = asyncio.run(counts(settings))
    for slug in slugs:
        assert after[slug].learners == before[slug].learners + CLIENTS
        assert after[slug].rows == before[slug].rows + CLIENTS
        # One event for each enrolment, each with the count after it: nothing lost, doubled, or of an aborted try.
        first = before[slug].learners + 1
        assert after[slug].told == list(range(first, first + CLIENTS)), slug
    heard = asyncio.run(live_journal(settings))
    for slug in slugs:
        first = before[slug].learners + 1
        # live keeps no count that is lower than one before it, so another order would show as a gap.
        assert heard[slug] == list(range(first, first + CLIENTS)), slug


def free_courses(door: FrontDoor) -> list[str]:
    visitor = Learner(door)
    slugs: list[str] = []
    after = ""
    while len(slugs) < COURSES:
        path = f"/_banyan/api/v1/courses?price=free&limit=100{after}"
        page = visitor.call("GET", path)[1]
        slugs += [course["slug"] for course in page["items"]]
        after = f"&after={page['next']}"
    return slugs[:COURSES]


def new_learner(door: FrontDoor, number: int) -> Learner:
    learner = Learner(door)
    assert learner.sign_up(f"chaos-{number}@banyan.test", f"학습자 {number}") == 201
    return learner


def everything(learner: Learner, path: str) -> list[str]:
    found: list[str] = []
    after = ""
    while True:
        status, page = learner.call("GET", f"{path}?limit=100{after}")
        assert status == 200, page
        found += [item["course"] for item in page["items"]]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


def kill_at_random(settings: Settings, over: threading.Event, killed: list[str]) -> None:
    """Thirty kills with -9 while the clients are at work; then the dead have time to come back."""
    dice = random.Random(20261124)
    while len(killed) < KILLS and not over.wait(dice.uniform(0.1, 0.5)):
        victim = dice.choice(VICTIMS)
        known = state.read_living(settings)
        assert known is not None
        pid = next((child.pid for child in known.processes if child.name == victim), None)
        if pid is not None and state.is_alive(pid, 0):
            os.kill(pid, signal.SIGKILL)
            killed.append(victim)


class Count:
    """A course's counter, its rows, and the counts that its events told, in the order in which they happened."""

    def __init__(self, learners: int, rows: int, told: list[int]) -> None:
        self.learners = learners
        self.rows = rows
        self.told = told


async def counts(settings: Settings) -> dict[str, Count]:
    rows = await ask(
        settings,
        "learning",
        """SELECT slug, learners,
                  (SELECT count(*) FROM enrolment WHERE course_id = course.id) AS rows,
                  (SELECT coalesce(array_agg((data->>'learners')::int ORDER BY (data->>'learners')::int), '{}')
                     FROM event WHERE type LIKE '%student-enrolled%' AND key = course.id::text) AS told
             FROM course""",
    )
    return {row["slug"]: Count(row["learners"], row["rows"], list(row["told"])) for row in rows}


async def live_journal(settings: Settings) -> dict[str, list[int]]:
    heard: dict[str, list[int]] = {}
    sql = "SELECT slug, journal.learners FROM journal JOIN course ON course.id = course_id ORDER BY journal.position"
    for row in await ask(settings, "live", sql):
        heard.setdefault(row["slug"], []).append(row["learners"])
    return heard


async def until_consumed(settings: Settings, *, patience: float = 60) -> None:
    """Wait until the relay has published everything and live has handled it."""
    deadline = time.monotonic() + patience
    while True:
        try:
            waiting = (await ask(settings, "learning", "SELECT count(*) AS n FROM outbox"))[0]["n"]
            events = "SELECT count(*) AS n FROM event WHERE type LIKE '%student-enrolled%'"
            happened = (await ask(settings, "learning", events))[0]["n"]
            heard = (await ask(settings, "live", "SELECT count(*) AS n FROM inbox"))[0]["n"]
            if waiting == 0 and heard >= happened:
                return
        except (OSError, asyncpg.PostgresError):
            waiting = happened = heard = -1  # a server is still getting up
        assert time.monotonic() < deadline, f"{waiting} unpublished, {heard} of {happened} heard"
        await asyncio.sleep(0.2)


async def ask(settings: Settings, context: str, sql: str) -> list[Any]:
    server = databases.server_of(context)
    password = secret(settings.secrets, f"postgres-{server.name}-superuser")
    url = databases.embedded_url(settings, server, context, embedded.SUPERUSER, password)
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()
