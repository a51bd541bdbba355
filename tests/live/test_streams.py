"""A course's number of learners as open pages hear of it, from the real process over its socket."""

import asyncio
import unicodedata
from urllib.parse import quote

import pytest

from banyan.infra.postgres import Database

from .conftest import Start
from .living import School, Watcher, path, watching


async def test_the_count_reaches_every_open_page(school: School, start: Start) -> None:
    process = await start()
    await school.enrol()
    async with watching(process, "spring", number=200) as watchers:
        reading = asyncio.gather(*(watcher.read_until(2) for watcher in watchers))

        await school.enrol()
        await reading

    assert all(watcher.heard[-1].count == 2 for watcher in watchers)
    assert all(watcher.positions in ([1, 2], [2]) for watcher in watchers)


async def test_the_first_event_is_the_count_as_it_stands(school: School, start: Start) -> None:
    process = await start()
    for _ in range(3):
        await school.enrol()

    async with Watcher(process, path("spring")) as watcher:
        await watcher.read_until(3)

    assert [(event.position, event.count) for event in watcher.heard] == [(3, 3)]
    assert watcher.answer["content-type"] == "text/event-stream"
    assert watcher.answer["cache-control"] == "no-store"
    assert watcher.answer["x-accel-buffering"] == "no"
    assert 200 <= watcher.retries[0] < 400


async def test_a_course_that_nobody_has_taken_is_silent_until_somebody_does(school: School, start: Start) -> None:
    process = await start(live_heartbeat_seconds="0.2")
    async with Watcher(process, path("한글-강의")) as watcher:
        await watcher.read_for(0.6)
        assert watcher.heard == []
        assert watcher.beats >= 1

        await school.enrol("한글-강의")

        await watcher.read_until(1)
    assert watcher.heard[0].count == 1


async def test_watchers_of_other_courses_hear_nothing(school: School, start: Start) -> None:
    process = await start()
    async with Watcher(process, path("spring")) as spring, Watcher(process, path("autumn")) as autumn:
        await school.enrol("autumn")

        await autumn.read_until(1)
        await spring.read_for(0.1)

    assert spring.heard == []


async def test_every_live_process_tells_its_watchers_whoever_recorded_the_count(school: School, start: Start) -> None:
    one, other = await start(), await start()
    async with Watcher(one, path("spring")) as here, Watcher(other, path("spring")) as there:
        await school.enrol()

        await asyncio.gather(here.read_until(1), there.read_until(1))


async def test_the_next_course_of_an_address_goes_on_where_the_last_one_was(school: School, start: Start) -> None:
    process = await start()
    async with Watcher(process, path("spring")) as watcher:
        await school.enrol(learners=7)
        await watcher.read_until(1)
        school.replace("spring")
        await school.enrol()
        await watcher.read_until(2)

    assert [event.count for event in watcher.heard] == [7, 1]


@pytest.mark.parametrize("how", ["header", "query"])
async def test_who_was_away_is_told_every_count_since(school: School, start: Start, how: str) -> None:
    process = await start()
    for _ in range(6):
        await school.enrol()
    target = path("spring") + ("?last-event-id=2" if how == "query" else "")
    headers = {"last-event-id": "2"} if how == "header" else {}

    async with Watcher(process, target, headers) as watcher:
        await watcher.read_until(6)
        await school.enrol()
        await watcher.read_until(7)

    assert watcher.positions == [3, 4, 5, 6, 7]
    assert [event.count for event in watcher.heard] == [3, 4, 5, 6, 7]


async def test_who_has_missed_nothing_is_told_nothing(school: School, start: Start) -> None:
    process = await start()
    await school.enrol()

    async with Watcher(process, path("spring"), {"last-event-id": "1"}) as watcher:
        await watcher.read_for(0.3)

        assert watcher.heard == []


async def test_who_was_away_for_too_long_is_told_the_last_count(
    school: School, start: Start, database: Database
) -> None:
    process = await start()
    for _ in range(5):
        await school.enrol()
    await database.fetch("DELETE FROM journal WHERE position <= 3")

    async with Watcher(process, path("spring"), {"last-event-id": "1"}) as watcher:
        await watcher.read_until(5)

    assert watcher.positions == [5]


async def test_a_last_event_id_that_is_none_is_as_good_as_nothing(school: School, start: Start) -> None:
    process = await start()
    await school.enrol()

    for last in ("-1", "0x2", "1.5", "nan", "two", "9" * 19, "1,2", "²", " ", "'--", "1" * 5000):
        for headers, target in (({"last-event-id": last}, ""), ({}, f"?last-event-id={quote(last)}")):
            async with Watcher(process, path("spring") + target, headers) as watcher:
                await watcher.read_until(1)


async def test_a_position_from_before_the_database_was_made_anew_begins_again(school: School, start: Start) -> None:
    process = await start()
    await school.enrol()

    async with Watcher(process, path("spring"), {"last-event-id": "57"}) as watcher:
        await watcher.read_until(1)
        await school.enrol()
        await watcher.read_until(2)

    assert watcher.positions == [1, 2]


async def test_an_address_that_no_course_can_have_is_not_watched(start: Start) -> None:
    process = await start()

    for slug in ("Spring", "a--b", "-a", "a" * 101, "a" * 5000, "%00", "%FF", "a;b", "%E2%80%AE", "..", "a%20b"):
        async with Watcher(process, f"/api/v1/courses/{slug}/live") as watcher:
            assert (slug, watcher.status) == (slug, 404)
            assert b'"status":404' in watcher.body


async def test_an_address_is_the_same_in_both_normal_forms(school: School, start: Start) -> None:
    process = await start()
    await school.enrol("스프링")

    async with Watcher(process, path(unicodedata.normalize("NFD", "스프링"))) as watcher:
        await watcher.read_until(1)


async def test_after_its_time_a_stream_ends_in_order_and_says_when_to_come_again(school: School, start: Start) -> None:
    process = await start(live_longest_seconds="0.3", live_heartbeat_seconds="0.2")
    await school.enrol()

    async with Watcher(process, path("spring")) as watcher:
        await watcher.read_for(5)

    assert watcher.ended
    assert len(watcher.retries) == 2


async def test_pages_come_again_at_different_times(start: Start) -> None:
    process = await start()
    async with watching(process, "spring", number=10) as watchers:
        await asyncio.gather(*(watcher.read_for(0.2) for watcher in watchers))

    assert len({watcher.retries[0] for watcher in watchers}) > 3
