"""A course's number of learners as open pages hear of it, from the real process over its socket."""

import asyncio

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
