"""Whatever breaks in between: no watcher is told a position twice or out of order, and all end at the last count."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.infra.migrations import migrate
from banyan.infra.postgres import Database
from banyan.kit import ids
from tests.conftest import Postgres

from .living import Process, School, Watcher, path


@dataclass(frozen=True)
class Enrol:
    """So many, as fast as it goes."""

    number: int


@dataclass(frozen=True)
class Break:
    """The connection breaks, after so much of a pause, and the page is away for so many enrolments."""

    pause: float
    away: int


@dataclass(frozen=True)
class Forget:
    """The journal forgets all but so many positions."""

    but: int


STEPS = st.lists(
    st.builds(Enrol, st.integers(1, 12))
    | st.builds(Break, st.sampled_from((0, 0.001, 0.01)), st.integers(0, 8))
    | st.builds(Forget, st.integers(0, 3)),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def lasting(postgres: Postgres) -> Iterator[tuple[Process, str]]:
    async def begin() -> tuple[Process, str]:
        url = postgres.url(await postgres.make_database())
        database = Database(url, size=1)
        await migrate(database, "live")
        await database.close()
        return await Process(url).start(), url

    process, url = asyncio.run(begin())
    yield process, url
    process.end()


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_every_position_comes_at_most_once_in_order_and_the_last_comes(
    lasting: tuple[Process, str], steps: list[Enrol | Break | Forget]
) -> None:
    asyncio.run(_play(*lasting, steps, slug=f"course-{ids.uuid7()}"))


async def _play(process: Process, url: str, steps: list[Enrol | Break | Forget], *, slug: str) -> None:
    database = Database(url, size=2)
    school = School(database)
    told: list[int] = []
    counts: dict[int, int] = {}
    gaps = False
    position = await school.enrol(slug)
    watcher = await Watcher(process, path(slug)).__aenter__()
    watcher.read()

    for step in [*steps, Break(0, 1)]:
        match step:
            case Enrol():
                for _ in range(step.number):
                    position = await school.enrol(slug)
            case Forget():
                gaps = True
                await database.fetch("DELETE FROM journal WHERE position <= $1", position - step.but)
            case Break():
                await asyncio.sleep(step.pause)
                await watcher.__aexit__()
                told += watcher.positions
                counts.update((event.position, event.count) for event in watcher.heard)
                for _ in range(step.away):
                    position = await school.enrol(slug)
                expected = list(range(told[-1] + 1, position + 1)) if told else []
                headers = {"last-event-id": str(told[-1])} if told else {}
                watcher = await Watcher(process, path(slug), headers).__aenter__()
                watcher.read()
                await _until(watcher, position, told)
                if expected and not gaps:
                    assert watcher.positions[: len(expected)] == expected

    await _until(watcher, position, told)
    await watcher.__aexit__()
    told += watcher.positions
    counts.update((event.position, event.count) for event in watcher.heard)
    await database.close()
    assert told == sorted(set(told))
    assert told[-1] == position
    assert all(count == place for place, count in counts.items())


async def _until(watcher: Watcher, position: int, told: list[int]) -> None:
    async with asyncio.timeout(10):
        while max([0, *told[-1:], *watcher.positions[-1:]]) < position:
            await asyncio.sleep(0.001)
