"""Which counts are believed, kept and given again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banyan.infra.postgres import Database
from banyan.kit import ids
from banyan.live import domain, operations, queries, store
from banyan.live.consumers import from_learning
from banyan.live.domain import Count, Ending, Hub, Limits, TooManyFromOneAddress, TooManyWatchers, Watcher
from banyan.messaging.work.shadows import Shadow

from .living import School

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEXTS = [
    text
    for module in (store, queries)
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str) and " " in text
]


async def test_every_text_prepares(database: Database) -> None:
    assert len(TEXTS) == 7
    consumer = from_learning(database)
    assert consumer.rebuild is not None
    async with database.transaction() as tx:
        await Shadow(consumer.name).make(tx, consumer.rebuild, ids.uuid7())
    async with database.connection() as connection:
        for text in TEXTS:
            await connection.prepare(text)


async def test_an_event_that_comes_late_changes_nothing(school: School, database: Database) -> None:
    await school.enrol(learners=5, at=NOON)
    await school.enrol(learners=4, at=NOON - timedelta(seconds=1))
    await school.enrol(learners=5, at=NOON + timedelta(seconds=1))
    await school.enrol(learners=3, at=NOON + timedelta(seconds=59))

    assert await queries.latest_of(database, "spring") == Count(1, 5)


async def test_two_enrolments_in_one_instant_may_be_told_with_their_times_crossed(
    school: School, database: Database
) -> None:
    await school.enrol(learners=5, at=NOON)
    await school.enrol(learners=6, at=NOON - timedelta(seconds=1))

    assert await queries.latest_of(database, "spring") == Count(2, 6)


async def test_a_lower_count_is_believed_when_time_has_passed(school: School, database: Database) -> None:
    await school.enrol(learners=5, at=NOON)
    await school.enrol(learners=4, at=NOON + timedelta(minutes=2))

    assert await queries.latest_of(database, "spring") == Count(2, 4)


async def test_the_journal_keeps_no_more_than_can_be_given_again(
    school: School, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "LONGEST_REPLAY", 3)
    for _ in range(5):
        await school.enrol()

    assert [row["position"] for row in await database.fetch("SELECT position FROM journal ORDER BY 1")] == [3, 4, 5]
    assert (await queries.missed(database, "spring", after=2))[1] == [Count(3, 3), Count(4, 4), Count(5, 5)]
    assert (await queries.missed(database, "spring", after=1))[1] == (Count(5, 5),)


async def test_the_journal_forgets_what_is_old(school: School, database: Database) -> None:
    await school.enrol()
    kept = datetime.now(UTC)

    assert await operations.prune(database, older_than=timedelta(days=1), now=kept) == 0
    assert await operations.prune(database, older_than=timedelta(days=1), now=kept + timedelta(days=2)) == 1
    assert (await queries.missed(database, "spring", after=0))[1] == (Count(1, 1),)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_what_was_missed_is_whole_or_the_last_alone(after: int, oldest: int, last: int) -> None:
    latest = Count(last, last) if last else None

    told = domain.missed(after, latest, [Count(place, place) for place in range(max(1, oldest), last + 1)])

    positions = [count.position for count in told]
    assert positions in ([], [last], list(range(after + 1, last + 1)))
    assert (positions == []) == (last in (0, after))
    assert len(positions) < 2 or oldest <= after + 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12"), st.booleans()), max_size=30))
def test_places_are_counted_exactly(steps: list[tuple[str, str, bool]]) -> None:
    hub = Hub(Limits(watchers=5, per_address=3, unknown=2), ring=lambda: None)
    inside: list[Watcher] = []
    for slug, address, join in steps:
        if not join:
            if inside:
                hub.leave(inside.pop(0))
            continue
        full = len(inside) >= 5 or len({w.course.slug for w in inside} - {slug}) >= 2
        too_many = sum(w.address == address for w in inside) >= 3
        try:
            inside.append(hub.join(slug, address=address, wake=_nothing, cut=_nothing, now=0))
            assert not full
            assert not too_many
        except (TooManyWatchers, TooManyFromOneAddress):
            assert full or too_many
    assert set(hub.watchers) == set(inside)
    assert set(hub.slugs) == {w.course.slug for w in inside}


def test_nobody_is_let_in_while_it_ends() -> None:
    hub = Hub(Limits(watchers=5, per_address=3, unknown=2), ring=lambda: None)
    watcher = hub.join("a", address="", wake=_nothing, cut=_nothing, now=0)

    hub.end()

    assert watcher.over
    with pytest.raises(Ending):
        hub.join("a", address="", wake=_nothing, cut=_nothing, now=0)


def test_the_number_of_courses_nobody_knows_is_bounded_and_that_of_known_ones_is_not() -> None:
    hub = Hub(Limits(watchers=50, per_address=50, unknown=2), ring=lambda: None)
    for slug in ("a", "b"):
        hub.join(slug, address="", wake=_nothing, cut=_nothing, now=0)
    with pytest.raises(TooManyWatchers):
        hub.join("c", address="", wake=_nothing, cut=_nothing, now=0)

    hub.tell("a", Count(1, 1))

    hub.join("c", address="", wake=_nothing, cut=_nothing, now=0)


def _nothing() -> None:
    pass
