"""What the databases say of enrolments: rows, counters, events, and what live has heard."""

import asyncio
import time
from typing import Any

import asyncpg

from banyan.infra import databases, embedded
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from tests.journeys.front_door import FrontDoor
from tests.processes.people import Learner

COURSES = 125


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
