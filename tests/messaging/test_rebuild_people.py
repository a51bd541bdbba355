"""Copies of people are made anew from what iam knows, and what it tells meanwhile counts."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from banyan.contracts.events import AccountErased, PersonalData, ProfileChanged
from banyan.contracts.iam import PersonPage
from banyan.contracts.messaging import EventPage, Rebuild, StoredEvent, WorkState
from banyan.iam import queries
from banyan.iam.domain import AccountId
from banyan.infra import repeating
from banyan.infra.migrations import migrate
from banyan.infra.postgres import Database, Row
from banyan.learning.consumers import from_iam
from banyan.learning.operations import persons
from banyan.learning.store import persons as store
from banyan.messaging.consumers import Consumer
from banyan.messaging.rebuilding import schema_of
from banyan.messaging.work.rebuilds import Rebuilds
from banyan.messaging.work.shadows import Shadow
from tests.conftest import Postgres
from tests.messaging.waiting import until

NAME = "learning-from-iam"
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 3


class NoKeys:
    async def keys(self, persons: object) -> dict[str, bytes | None]:
        raise AssertionError("nothing sealed is read")

    def forget(self, person: str) -> None:
        raise AssertionError("nobody's key is known")


class View:
    """iam's own answers, a few people at a time; `go_on` holds all but the first back."""

    def __init__(self, iam: Database) -> None:
        self._iam = iam
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.asked: list[str] = []

    async def page(self, after: str) -> PersonPage:
        self.asked.append(after)
        if after:
            await self.go_on.wait()
        return await queries.people(self._iam, after=AccountId(UUID(after)) if after else None, limit=PAGE)


async def _migrated(postgres: Postgres, context: str) -> AsyncIterator[Database]:
    database = Database(postgres.url(await postgres.make_database()), size=5)
    await migrate(database, context)
    yield database
    await database.close()


@pytest.fixture
async def iam_migrated(postgres: Postgres) -> AsyncIterator[Database]:
    async for database in _migrated(postgres, "iam"):
        yield database


@pytest.fixture
async def school(postgres: Postgres) -> AsyncIterator[Database]:
    async for database in _migrated(postgres, "learning"):
        yield database


@pytest.fixture
def view(iam_migrated: Database) -> View:
    return View(iam_migrated)


@pytest.fixture
def consumer(school: Database, view: View) -> Consumer:
    return from_iam(school, NoKeys(), view=view.page)


@pytest.fixture
async def people(iam_migrated: Database, school: Database) -> list[UUID]:
    """Eight who are known on both sides."""
    ids = sorted(uuid4() for _ in range(8))
    for number, one in enumerate(ids):
        await iam_migrated.fetch(
            "INSERT INTO account (id, email, name, roles, locale, created_at) VALUES ($1, $2, $3, '{}', 'ko', $4)",
            one,
            f"person{number}@banyan.test",
            f"사람 {number}",
            YEAR,
        )
        await school.fetch(
            "INSERT INTO person (id, name, email, told_at) VALUES ($1, $2, $3, $4)",
            one,
            f"사람 {number}",
            f"person{number}@banyan.test",
            YEAR,
        )
    return ids


def rebuilds_of(consumer: Consumer) -> Rebuilds:
    return Rebuilds(consumer.database, [consumer], owner=lambda _: Nobody(), settled=timedelta(seconds=1))


class Nobody:
    """Its store is not asked."""

    async def stream(self, *, types: list[str], after: int = 0, limit: int = 500) -> EventPage:
        raise AssertionError

    async def event(self, event_id: str) -> StoredEvent:
        raise AssertionError


async def at_once() -> None:
    return None


async def over(rebuilds: Rebuilds, begun: Rebuild) -> Rebuild:
    async def is_over() -> bool:
        return (await rebuilds.latest()).items[0].state is not WorkState.RUNNING

    await until(is_over)
    found = (await rebuilds.latest()).items[0]
    assert found.id == begun.id
    return found


async def copies(school: Database) -> dict[UUID, Row]:
    return {row["id"]: row for row in await school.fetch("SELECT * FROM person")}


async def test_damaged_missing_and_invented_people_are_right_again(
    iam_migrated: Database, school: Database, consumer: Consumer, people: list[UUID]
) -> None:
    stranger, author = uuid4(), uuid4()
    await school.fetch("UPDATE person SET name = '?', told_at = now() + interval '1 year' WHERE id = $1", people[0])
    await school.fetch("UPDATE person SET name = '—', email = NULL, erased = true WHERE id = $1", people[1])
    await school.fetch("DELETE FROM person WHERE id = $1", people[2])
    await school.fetch("INSERT INTO person (id, name) VALUES ($1, 'nobody'), ($2, 'author')", stranger, author)
    await school.fetch(_COURSE, uuid4(), author, uuid4(), YEAR)
    await iam_migrated.fetch("UPDATE account SET erased_at = now(), email = NULL, name = '' WHERE id = $1", people[3])
    await school.fetch("INSERT INTO inbox (consumer, event_id) VALUES ($1, $2)", NAME, uuid4())
    rebuilds = rebuilds_of(consumer)

    async with rebuilds.running(after=at_once):
        done = await over(rebuilds, await rebuilds.begin(NAME))

    found = await copies(school)
    assert (done.state, done.done, done.total) == (WorkState.DONE, 8, 8)
    assert found.keys() == {*people, author}
    assert [(found[one]["name"], found[one]["email"]) for one in people[:3]] == [
        (f"사람 {number}", f"person{number}@banyan.test") for number in range(3)
    ]
    assert (found[people[3]]["name"], found[people[3]]["email"], found[people[3]]["erased"]) == ("—", None, True)
    assert await school.fetchval("SELECT count(*) FROM inbox") == 0
    assert await school.fetchval("SELECT to_regnamespace($1)", schema_of(NAME)) is None


async def test_what_iam_tells_while_pages_are_read_is_not_undone(
    school: Database, consumer: Consumer, view: View, people: list[UUID]
) -> None:
    rebuilds = rebuilds_of(consumer)
    view.go_on.clear()
    async with rebuilds.running(after=at_once):
        begun = await rebuilds.begin(NAME)

        async def has_read_the_first_page() -> bool:
            return len(view.asked) > 1

        await until(has_read_the_first_page)
        newcomer = uuid4()
        pii = PersonalData(name="새 이름", email="new@banyan.test")
        async with school.transaction() as tx:
            now = datetime.now(UTC)
            await persons.note(tx, ProfileChanged(account_id=str(people[0]), at=now, pii=pii))
            await persons.note(tx, ProfileChanged(account_id=str(newcomer), at=now, pii=pii))
            await persons.erase(tx, AccountErased(account_id=str(people[1]), at=now))
        view.go_on.set()
        await over(rebuilds, begun)

    found = await copies(school)
    assert found[people[0]]["name"] == found[newcomer]["name"] == "새 이름"
    assert found[people[1]]["erased"]
    assert found[people[7]]["name"] == "사람 7"


async def test_the_newest_event_says_when_a_person_was_told_of(iam_migrated: Database, people: list[UUID]) -> None:
    """Else an event that was told already would undo what the view shows."""
    for day, kind in ((3, "profile-changed"), (2, "account-registered"), (9, "session-revoked")):
        await iam_migrated.fetch(
            "INSERT INTO event (id, type, key, data, at) VALUES ($1, $2, $3, '{}', $4)",
            uuid4(),
            f"banyan.iam.{kind}.v1",
            str(people[0]),
            YEAR + timedelta(days=day),
        )

    page = await queries.people(iam_migrated, after=None, limit=2)

    assert [one.told_at for one in page.items] == [YEAR + timedelta(days=3), YEAR]
    assert (page.next, page.total) == (str(people[1]), 8)


async def test_readers_see_all_people_all_the_while(school: Database, consumer: Consumer, people: list[UUID]) -> None:
    looks: list[int] = []
    rebuilds = rebuilds_of(consumer)

    async def look() -> None:
        while True:
            looks.append(await school.fetchval("SELECT count(*) FROM person WHERE name LIKE '사람%'"))

    async with rebuilds.running(after=at_once):
        reading = asyncio.create_task(look())
        done = await over(rebuilds, await rebuilds.begin(NAME))
        await repeating.end([reading])

    assert done.state is WorkState.DONE
    assert len(looks) > 20
    assert set(looks) == {8}


async def test_a_failure_is_told_without_the_people_it_failed_for(
    school: Database, consumer: Consumer, people: list[UUID], capfd: pytest.CaptureFixture[str]
) -> None:
    """The database repeats the row that it refuses."""
    await school.fetch("ALTER TABLE person ADD CONSTRAINT no_third CHECK (email NOT LIKE 'person3%') NOT VALID")
    await school.fetch("UPDATE person SET name = 'damaged' WHERE email NOT LIKE 'person3%'")
    rebuilds = rebuilds_of(consumer)
    async with rebuilds.running(after=at_once):
        done = await over(rebuilds, await rebuilds.begin(consumer.name))

    assert done.state is WorkState.FAILED
    for told in (done.detail, "".join(capfd.readouterr())):
        assert "CheckViolationError" in told
        assert "person3" not in told
        assert "사람 3" not in told


async def test_every_text_prepares(school: Database, consumer: Consumer) -> None:
    texts = [text for name, text in vars(store).items() if name.isupper() and isinstance(text, str) and " " in text]
    assert len(texts) == 6
    assert consumer.rebuild is not None
    async with school.transaction() as tx:
        await Shadow(NAME).make(tx, consumer.rebuild, uuid4())
        for text in texts:
            await tx.prepare(text)


_COURSE = """
WITH written AS (
    INSERT INTO course_version (id, course_id, number, revision, title, summary, description, outcomes, language, level,
        category, price, lessons, duration_seconds, written_at)
    VALUES ($3, $1, 1, 1, 'A course', '', '', '{}', 'en', 'beginner', 'it', 0, 0, 0, $4)
)
INSERT INTO course (id, slug, instructor_id, draft_version_id, created_at) VALUES ($1, 'a-course', $2, $3, $4)
"""
