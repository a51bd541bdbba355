"""The demo company in `learning`."""

import asyncio
import dataclasses
import time

from banyan.demo import catalogue
from banyan.learning.operations import seed
from banyan.learning.operations.seed import Seeded
from banyan.learning.queries.catalogue import Catalogue, Filter

from .school import School, content

PEOPLE = catalogue.people(300)

EVERYTHING = """
SELECT md5(string_agg(line, '' ORDER BY line)) FROM (
    SELECT person::text AS line FROM person UNION ALL SELECT course::text FROM course
    UNION ALL SELECT course_version::text FROM course_version UNION ALL SELECT section::text FROM section
    UNION ALL SELECT lesson::text FROM lesson UNION ALL SELECT lesson_version::text FROM lesson_version
    UNION ALL SELECT publication::text FROM publication
    UNION ALL SELECT enrolment::text FROM enrolment) AS lines
"""


async def test_a_second_run_changes_nothing(school: School) -> None:
    courses = catalogue.courses(30, people=300)
    learners = sum(course.learners for course in courses)
    assert await seed.fill(school.database, courses=courses, people=PEOPLE) == Seeded(300, 30, learners)
    before = await school.database.fetchval(EVERYTHING)

    assert await seed.fill(school.database, courses=courses, people=PEOPLE) == Seeded(0, 0, 0)

    assert await school.database.fetchval(EVERYTHING) == before


async def test_a_larger_run_adds_what_is_missing(school: School) -> None:
    await seed.fill(school.database, courses=catalogue.courses(5, people=300), people=PEOPLE)

    added = await seed.fill(school.database, courses=catalogue.courses(8, people=300), people=PEOPLE)

    assert (added.people, added.courses) == (0, 3)
    assert (await Catalogue(school.database).courses(Filter(), sort="newest")).total == 8


async def test_two_runs_at_once_do_not_meet(school: School) -> None:
    runs = [seed.fill(school.database, courses=catalogue.courses(20, people=300), people=PEOPLE) for _ in range(3)]

    seeded = await asyncio.gather(*runs)

    assert sum(run.courses for run in seeded) == 20
    assert sum(run.people for run in seeded) == 300


async def test_a_course_that_somebody_wrote_is_left_alone(school: School) -> None:
    made = catalogue.courses(3, people=300)
    await school.publish(made[1].slug, content("Mine"))

    assert (await seed.fill(school.database, courses=made, people=PEOPLE)).courses == 2
    assert (await Catalogue(school.database).course(made[1].slug)).title == "Mine"


async def test_a_seeded_course_obeys_the_rules_of_a_written_one(school: School) -> None:
    made = dataclasses.replace(catalogue.course(1, people=300), slug="a-copy")
    await seed.fill(school.database, courses=[made], people=PEOPLE)
    shown = await Catalogue(school.database).course("a-copy")

    for course in catalogue.courses(300):
        written = seed.content_of(course)
        assert written.checked() == written, course.slug
    assert shown.lessons == sum(len(section.lessons) for section in shown.sections)
    assert shown.duration_seconds == sum(le.duration_seconds for section in shown.sections for le in section.lessons)


async def test_the_demo_is_there_within_two_seconds(school: School) -> None:
    courses, people = catalogue.courses(), catalogue.people()
    started = time.process_time()

    added = await seed.fill(school.database, courses=courses, people=people)

    # Our share; PostgreSQL's is about as much, but this machine may be busy.
    assert time.process_time() - started < 1.0
    assert (added.people, added.courses, added.enrolments) == (2000, 300, sum(course.learners for course in courses))


WRONG_COUNTS = """
SELECT count(*) FROM course c WHERE learners <> (SELECT count(*) FROM enrolment e WHERE e.course_id = c.id)
"""


async def test_every_course_has_as_many_enrolments_as_learners(school: School) -> None:
    courses = catalogue.with_enrolments(catalogue.courses(40, people=300), 1000, people=300)

    added = await seed.fill(school.database, courses=courses, people=PEOPLE)

    assert await school.database.fetchval(WRONG_COUNTS) == 0
    assert added.enrolments == await school.database.fetchval("SELECT count(*) FROM enrolment")
    assert 950 < added.enrolments < 1050


async def test_a_seed_tells_no_events(school: School) -> None:
    await seed.fill(school.database, courses=catalogue.courses(3, people=300), people=PEOPLE)

    assert await school.database.fetchval("SELECT count(*) FROM event") == 0
