"""What learning hears of people, what it tells of views, and its SQL."""

import random
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from banyan.contracts.events import AccountErased, AccountRegistered, PersonalData, ProfileChanged
from banyan.infra.postgres import Database, DatabaseAway
from banyan.learning import consumers
from banyan.learning.operations import persons
from banyan.learning.operations.views import MOST_WAITING, Views
from banyan.learning.queries import taking
from banyan.learning.store import enrolments, progress
from banyan.learning.store import persons as store
from tests.messaging.persons import Persons

from .classroom import Classroom, Person
from .school import START, School
from .test_enrolments import told

PERSON = "SELECT name, email, erased FROM person WHERE id = $1"


async def heard(school: School, *events: AccountRegistered | ProfileChanged | AccountErased) -> tuple[object, ...]:
    for event in events:
        async with school.database.transaction() as tx:
            if isinstance(event, AccountErased):
                await persons.erase(tx, event)
            else:
                await persons.note(tx, event)
    row = await school.database.fetchrow(PERSON, uuid.UUID(events[0].account_id))
    assert row is not None
    return tuple(row)


def life(account_id: str) -> tuple[AccountRegistered, ProfileChanged, AccountErased]:
    first, second = PersonalData(name="하늘", email="a@b.test"), PersonalData(name="하늘이", email="c@d.test")
    return (
        AccountRegistered(account_id=account_id, at=START, pii=first),
        ProfileChanged(account_id=account_id, at=START + timedelta(seconds=1), pii=second),
        AccountErased(account_id=account_id, at=START + timedelta(seconds=2)),
    )


@pytest.mark.parametrize("seed", range(6))
async def test_the_newest_that_was_told_of_a_person_counts_in_any_order(school: School, seed: int) -> None:
    registered, changed, erased = life(str(uuid.uuid4()))
    order = [registered, changed, registered]
    random.Random(seed).shuffle(order)

    assert await heard(school, *order) == ("하늘이", "c@d.test", False)
    assert await heard(school, erased, *order) == ("—", None, True)


async def test_a_person_may_be_erased_before_anything_is_known_of_them(school: School) -> None:
    registered, _, erased = life(str(uuid.uuid4()))

    assert await heard(school, erased, registered) == ("—", None, True)


def test_the_consumer_handles_what_it_has_subscribed_to() -> None:
    assert consumers.from_iam(Database("postgresql:///"), Persons()).source == "iam"


@pytest.mark.parametrize("known_before", [True, False])
async def test_nothing_is_kept_of_a_person_whose_data_come_blank(school: School, known_before: bool) -> None:
    registered, changed, erased = life(str(uuid.uuid4()))
    blank = replace(changed, pii=PersonalData(name="", email=""))
    before = [registered] if known_before else []

    assert await heard(school, *before, blank) == ("—", None, True)
    assert await heard(school, blank, registered, changed) == ("—", None, True), "what comes late resurrects nobody"
    assert await heard(school, erased, registered) == ("—", None, True)


async def test_views_are_told_together_and_with_who_looked(school: School, classroom: Classroom) -> None:
    course = await school.publish("spring-boot")
    learner = Person()
    await classroom.get("/api/v1/courses/spring-boot", learner)
    await classroom.get("/api/v1/courses/spring-boot")
    await classroom.http.head("/api/v1/courses/spring-boot")
    await classroom.get("/api/v1/courses/no-such")

    assert await classroom.views.tell() == 2
    assert await classroom.views.tell() == 0

    events = await told(school.database, "banyan.learning.course-viewed.v1")
    assert [(event["course_id"], event["account_id"]) for event in events] == [
        (str(course.id), str(learner.id)),
        (str(course.id), None),
    ]


async def test_views_are_kept_while_the_database_is_away_but_never_more_than_so_many() -> None:
    views = Views(Database("postgresql:///nothing?host=/nowhere"))
    for _ in range(MOST_WAITING + 5):
        views.note(str(uuid.uuid4()), None, now=START)

    for _ in range(2):
        with pytest.raises(DatabaseAway):
            await views.tell()
    assert views.waiting == MOST_WAITING


async def test_publishing_is_told(school: School) -> None:
    course = await school.publish("spring-boot")

    [event] = await told(school.database, "banyan.learning.course-published.v1")
    assert (event["course_id"], event["slug"], event["version"]) == (str(course.id), "spring-boot", 1)


# Where copies are built anew, as banyan.messaging.work does it.
BUILT_ANEW = "CREATE SCHEMA anew_learning_from_iam CREATE TABLE person (LIKE public.person)"
STATEMENTS = [
    (module.__name__.rsplit(".", 1)[-1], name)
    for module in (taking, enrolments, progress, store)
    for name, text in sorted(vars(module).items())
    if name.isupper() and not name.startswith("_") and isinstance(text, str) and " " in text
]


@pytest.mark.parametrize(("module", "name"), STATEMENTS)
async def test_every_statement_is_understood(school: School, module: str, name: str) -> None:
    found = {"taking": taking, "enrolments": enrolments, "progress": progress, "persons": store}[module]

    async with school.database.connection() as connection, connection.transaction():
        await connection.execute(BUILT_ANEW)
        await connection.prepare(getattr(found, name))


async def test_progress_cannot_go_backwards_in_the_database_either(school: School, classroom: Classroom) -> None:
    course = await school.publish("spring-boot")
    learner = Person()
    await classroom.enrol("spring-boot", learner)
    lesson_id = await school.database.fetchval("SELECT lesson_id FROM lesson_version")
    await classroom.hear(lesson_id, learner, watched=[[0, 30]])
    assert course.published_version_id is not None

    with pytest.raises(Exception, match="never goes backwards"):
        await school.database.fetch("UPDATE lesson_progress SET percent = 3")
