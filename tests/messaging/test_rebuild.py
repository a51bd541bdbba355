"""A consumer's state is built anew from all that its owner has, and nobody notices but by what is right again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from banyan.contracts.events import StudentEnrolled
from banyan.contracts.messaging import WorkState
from banyan.infra.migrations import migrate
from banyan.infra.postgres import Connection, Database
from banyan.kit.errors import Refusal
from banyan.live import queries
from banyan.live.consumers import from_learning
from banyan.messaging import outbox
from banyan.messaging.consumers import Consumer, consuming
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.rebuilding import FromStore, schema_of
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from banyan.messaging.work import building, rebuilds, shadows
from tests.conftest import Postgres
from tests.messaging.rebuilding import (
    NAME,
    SETTLED,
    School,
    counts,
    heard,
    over,
    rebuilds_of,
    remembered,
    shown,
    told_of,
)
from tests.messaging.waiting import until

_SLOW = """
CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END';
CREATE TRIGGER slow BEFORE DELETE ON inbox FOR EACH STATEMENT EXECUTE FUNCTION take_time();
"""


@pytest.fixture
async def live(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.url(await postgres.make_database()), size=8)
    await migrate(database, "live")
    yield database
    await database.close()


@pytest.fixture
async def school(learning: Database) -> School:
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    return School(learning, broker)


@pytest.fixture
def consumer(live: Database) -> Consumer:
    return from_learning(live)


async def at_once() -> None:
    return None


@asynccontextmanager
async def hearing(school: School, consumer: Consumer) -> AsyncIterator[None]:
    async with consuming(school.broker, [consumer]):
        yield


async def test_what_was_damaged_is_right_again_and_readers_never_miss_anything(
    school: School, live: Database, consumer: Consumer
) -> None:
    slugs = [f"course-{number}" for number in range(5)]
    rebuilds = rebuilds_of(school, consumer)
    looks: list[bool] = []

    async def look() -> None:
        while True:
            looks.append(set(await queries.latest(live_reader, slugs)) == set(slugs))
            await asyncio.sleep(0.001)

    async with hearing(school, consumer), rebuilds.running(after=at_once), live.connection() as live_reader:
        for number in range(100):
            await school.enrol(slugs[number % 5])
        await heard(school, live)
        await live.fetch("UPDATE course SET learners = learners * 7 WHERE slug <> 'course-3'")
        before = await queries.latest(live_reader, slugs)
        reading = asyncio.create_task(look())

        begun = await rebuilds.begin(NAME)
        while (await shown(rebuilds, begun)).state is WorkState.RUNNING:
            await school.enrol(slugs[len(looks) % 5])
        done = await over(rebuilds, begun)
        await heard(school, live)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        after = await queries.latest(live_reader, slugs)

    assert done.state is WorkState.DONE
    assert len(looks) > 50
    assert all(looks)
    wrong = [slug for slug in slugs if slug != "course-3"]
    assert all(after[slug].position > before[slug].position for slug in wrong), "watchers believe higher positions only"
    assert await remembered(live) == await told_of(school)
    assert await live.fetchval("SELECT to_regnamespace($1)", schema_of(NAME)) is None


async def test_what_still_waits_in_the_queue_has_its_effect_once(
    school: School, live: Database, consumer: Consumer
) -> None:
    rebuilds = rebuilds_of(school, consumer)
    for _ in range(10):
        await school.enrol("spring")
    await asyncio.sleep(SETTLED.total_seconds() + 0.1)
    fresh = await school.enrol("spring")

    async with rebuilds.running(after=at_once):
        done = await over(rebuilds, await rebuilds.begin(NAME))
        assert (done.state, done.done) == (WorkState.DONE, 10)
        assert await counts(live) == {"spring": 10}
        assert await remembered(live) == await told_of(school) - {fresh}

    async with hearing(school, consumer):
        await heard(school, live)
    assert await live.fetchval("SELECT position FROM course") == 11


async def test_an_event_that_is_committed_late_is_not_left_out(
    school: School, live: Database, consumer: Consumer
) -> None:
    """Its position is lower than one that was told already."""
    rebuilds = rebuilds_of(school, consumer)
    async with hearing(school, consumer), rebuilds.running(after=at_once):
        async with school.database.transaction() as slow:
            late = await outbox.add(slow, _enrolment("late", 1))
            school.learners["late"] = 1
            for _ in range(30):
                await school.enrol("spring")
            await heard_of(live, "spring", 30)
            begun = await rebuilds.begin(NAME)
            await asyncio.sleep(0.1)
        await school.publish(late)
        done = await over(rebuilds, begun)
        await heard(school, live)

    assert done.state is WorkState.DONE
    assert await remembered(live) == await told_of(school)


def _enrolment(slug: str, learners: int) -> StudentEnrolled:
    return StudentEnrolled(
        enrolment_id=str(uuid4()),
        course_id=str(uuid4()),
        slug=slug,
        account_id=str(uuid4()),
        learners=learners,
        at=datetime.now(UTC),
    )


async def heard_of(live: Database, slug: str, learners: int) -> None:
    async def all_of_it() -> bool:
        return (await counts(live)).get(slug) == learners

    await until(all_of_it)


async def test_a_clock_that_was_ahead_for_a_while_hides_nothing(
    school: School, live: Database, consumer: Consumer
) -> None:
    async with hearing(school, consumer):
        for number in range(60):
            ahead = timedelta(days=1) if 15 <= number < 50 else timedelta()  # more than one answer holds
            await school.enrol("spring" if number % 2 else "autumn", ahead=ahead)
        await heard(school, live)
    await asyncio.sleep(SETTLED.total_seconds())
    await live.fetch("UPDATE course SET learners = 4")
    rebuilds = rebuilds_of(school, consumer)

    async with rebuilds.running(after=at_once):
        done = await over(rebuilds, await rebuilds.begin(NAME))

    assert (done.state, done.done) == (WorkState.DONE, 60)
    assert await counts(live) == school.learners
    assert await remembered(live) == await told_of(school)


async def test_who_takes_over_in_the_middle_goes_on_and_the_old_state_serves(
    school: School, live: Database, consumer: Consumer
) -> None:
    async with hearing(school, consumer):
        for _ in range(100):
            await school.enrol("spring")
        await heard(school, live)
    await asyncio.sleep(SETTLED.total_seconds())
    await live.fetch("UPDATE course SET learners = 4")
    begun = await rebuilds_of(school, consumer).begin(NAME)

    for _ in range(3):  # each is cut off wherever it is, as by a kill
        async with rebuilds_of(school, consumer).running(after=at_once):
            await asyncio.sleep(0.06)
        if (await shown(rebuilds_of(school, consumer), begun)).state is WorkState.RUNNING:
            assert await counts(live) == {"spring": 4}
    last = rebuilds_of(school, consumer)
    async with last.running(after=at_once):
        done = await over(last, begun)

    assert (done.state, done.done) == (WorkState.DONE, 100)
    assert await counts(live) == {"spring": 100}


async def test_it_waits_for_its_owner_and_can_be_cancelled_meanwhile(
    school: School, live: Database, consumer: Consumer
) -> None:
    rebuilds = rebuilds_of(school, consumer)
    school.away_after = 0
    async with rebuilds.running(after=at_once):
        begun = await rebuilds.begin(NAME)

        async def says_why() -> bool:
            return (await shown(rebuilds, begun)).detail == "waits: learning does not answer on this machine"

        await until(says_why)
        with pytest.raises(Refusal, match="being rebuilt already"):
            await rebuilds.begin(NAME)
        await rebuilds.cancel(UUID(begun.id))

        async def is_clear() -> bool:
            return bool(await live.fetchval("SELECT to_regnamespace($1) IS NULL", schema_of(NAME)))

        await until(is_clear)
        with pytest.raises(Refusal, match="cancelled already"):
            await rebuilds.cancel(UUID(begun.id))
        with pytest.raises(Refusal, match="no such rebuild"):
            await rebuilds.cancel(uuid4())
        with pytest.raises(Refusal, match="There are live-from-learning"):
            await rebuilds.begin("live-from-nobody")


async def test_an_event_that_cannot_be_handled_ends_it_and_the_old_state_stays(
    school: School, live: Database, consumer: Consumer
) -> None:
    async def refuse(_: Connection, event: StudentEnrolled) -> None:
        if event.learners == 3:
            raise ValueError("not this one")

    way = consumer.rebuild
    assert isinstance(way, FromStore)
    broken = replace(consumer, rebuild=replace(way, handlers={StudentEnrolled: refuse}))
    ids = [await school.enrol("spring") for _ in range(4)]
    async with hearing(school, consumer):
        await heard(school, live)
    await asyncio.sleep(SETTLED.total_seconds())
    rebuilds = rebuilds_of(school, broken)

    async with rebuilds.running(after=at_once):
        done = await over(rebuilds, await rebuilds.begin(NAME))

    assert done.state is WorkState.FAILED
    assert f"{ids[2]} cannot be handled (ValueError: not this one)" in done.detail
    assert await counts(live) == {"spring": 4}
    assert await remembered(live) == set(ids)


async def test_dead_letters_stay_what_they_are_and_what_was_discarded_never_comes(
    school: School, live: Database, consumer: Consumer
) -> None:
    dead, behind, gone = [await school.enrol(slug) for slug in ("autumn", "autumn", "winter")]
    await school.enrol("spring")
    await asyncio.sleep(SETTLED.total_seconds())
    await live.fetch("INSERT INTO stuck_key (consumer, key) VALUES ($1, 'autumn')", NAME)
    for event_id, state in ((dead, "failed"), (behind, "parked")):
        await live.fetch(_DEAD, NAME, event_id, state)
    await live.fetch("INSERT INTO inbox (consumer, event_id, at) VALUES ($1, $2, 'infinity')", NAME, gone)
    rebuilds = rebuilds_of(school, consumer)

    async with rebuilds.running(after=at_once):
        done = await over(rebuilds, await rebuilds.begin(NAME))

    assert done.state is WorkState.DONE
    assert await counts(live) == {"spring": 1}
    assert await live.fetchval("SELECT count(*) FROM dead_letter") == 2
    assert await remembered(live) & {dead, behind, gone} == {gone}


async def test_what_was_redriven_meanwhile_comes_before_what_follows_it(
    school: School, live: Database, consumer: Consumer
) -> None:
    first = await school.enrol("spring")
    for _ in range(25):  # more than one answer holds
        await school.enrol("summer")
    await asyncio.sleep(SETTLED.total_seconds())
    await live.fetch("INSERT INTO stuck_key (consumer, key) VALUES ($1, 'autumn')", NAME)
    await live.fetch(_DEAD, NAME, first, "failed")
    order: list[int] = []

    async def note(_: Connection, event: StudentEnrolled) -> None:
        if event.slug == "spring":
            order.append(event.learners)

    way = consumer.rebuild
    assert isinstance(way, FromStore)
    noting = replace(consumer, rebuild=replace(way, handlers={StudentEnrolled: note}))
    school.away_after = 1
    rebuilds = rebuilds_of(school, noting)
    async with rebuilds.running(after=at_once):
        begun = await rebuilds.begin(NAME)

        async def is_away() -> bool:
            return (await shown(rebuilds, begun)).detail != ""

        await until(is_away)
        async with live.transaction() as tx:  # as the redriver does
            await tx.execute("DELETE FROM dead_letter")
            await tx.execute("INSERT INTO inbox (consumer, event_id) VALUES ($1, $2)", NAME, first)
        second = await school.enrol("spring")
        await asyncio.sleep(SETTLED.total_seconds())
        school.away_after = None
        done = await over(rebuilds, begun)

    assert done.state is WorkState.DONE
    assert order == [1, 2]
    assert {first, second} <= await remembered(live)


_DEAD = """
INSERT INTO dead_letter (consumer, key, event_id, type, body, state, attempts, error, traceback)
VALUES ($1, 'autumn', $2, 'banyan.learning.student-enrolled.v1', '', $3, 5, 'ValueError', '')
"""


async def test_an_inbox_so_long_that_it_takes_its_time_takes_its_place_all_the_same(
    school: School, live: Database, consumer: Consumer, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hearing(school, consumer):
        await school.enrol("spring")
        await heard(school, live)
    async with live.connection() as connection:
        await connection.execute(_SLOW)
    monkeypatch.setattr("banyan.infra.postgres.STATEMENT_TIMEOUT", 1.0)
    impatient = Database(postgres.url(await live.fetchval("SELECT current_database()")), size=4)
    rebuilds = rebuilds_of(school, from_learning(impatient))
    async with rebuilds.running(after=at_once):
        assert (await over(rebuilds, await rebuilds.begin(NAME))).state is WorkState.DONE
    assert await remembered(live) == await told_of(school)
    await impatient.close()


async def test_every_text_prepares(live: Database, consumer: Consumer) -> None:
    texts = [
        text
        for module in (building, rebuilds, shadows)
        for name, text in vars(module).items()
        if name.isupper() and isinstance(text, str) and text.count(";") == 0
    ]
    assert len(texts) > 25
    assert consumer.rebuild is not None
    async with live.transaction() as tx:
        await shadows.Shadow(NAME).make(tx, consumer.rebuild, uuid4())
        for text in texts:
            await tx.prepare(text.format(schema=schema_of(NAME), table="course"))
