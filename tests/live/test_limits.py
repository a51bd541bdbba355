"""What one client, or very many, can take from the others: nothing."""

import asyncio
import time

import pytest

from .conftest import Start
from .living import Process, School, Watcher, path, watching

WATCHERS = 1000


async def _admitted(process: Process, *, seconds: float = 5) -> None:
    """Until there is room for one more."""
    deadline = time.monotonic() + seconds
    while True:
        async with Watcher(process, path("spring")) as watcher:
            if watcher.status == 200:
                return
        assert time.monotonic() < deadline, "no room"
        await asyncio.sleep(0.02)


async def test_who_takes_nothing_is_cut_off_and_the_others_go_on(school: School, start: Start) -> None:
    process = await start(live_watchers="2", live_drain_seconds="0.4")
    async with Watcher(process, path("spring")) as slow, Watcher(process, path("spring")) as quick:
        slow.writer.transport.pause_reading()
        quick.read()
        async with Watcher(process, path("spring")) as third:
            assert third.status == 503

        for _ in range(400):
            await school.enrol()
            await asyncio.sleep(0.001)

        await _admitted(process)
        await quick.read_until(400)
    assert quick.positions == sorted(set(quick.positions))


async def test_the_place_of_who_has_gone_is_free_at_once(start: Start) -> None:
    process = await start(live_watchers="3")
    for _ in range(4):
        async with watching(process, "spring", number=3) as watchers:
            assert [watcher.status for watcher in watchers] == [200] * 3
            async with Watcher(process, path("spring")) as one_more:
                assert one_more.status == 503
        await _admitted(process, seconds=1)
        await asyncio.sleep(0.05)


async def test_more_watchers_than_there_is_room_for_are_told_when_to_come_again(start: Start) -> None:
    process = await start(live_watchers="1")
    async with Watcher(process, path("spring")), Watcher(process, path("autumn")) as refused:
        assert (refused.status, refused.answer["retry-after"]) == (503, "30")
        assert b"/_banyan/problems/too-many-watchers" in refused.body


@pytest.mark.parametrize(("hops", "seen"), [("0", "10.0.0.9, {}"), ("1", "10.0.0.9, {}, 10.0.0.1")])
async def test_one_address_cannot_take_every_place(start: Start, hops: str, seen: str) -> None:
    process = await start(live_per_address="1", trusted_hops=hops)

    def of(address: str) -> Watcher:
        return Watcher(process, path("spring"), {"x-forwarded-for": seen.format(address)})

    async with of("192.0.2.1") as one, of("192.0.2.1") as again, of("192.0.2.2") as other:
        assert (one.status, again.status, other.status) == (200, 503, 200)
        assert b"/_banyan/problems/too-many-from-one-address" in again.body


async def test_a_thousand_watchers_fit_into_little_memory(school: School, start: Start) -> None:
    process = await start(live_per_address=str(WATCHERS))
    await school.enrol()
    async with Watcher(process, path("spring")) as first:
        await first.read_until(1)
        before = process.memory()
        async with watching(process, "spring", number=WATCHERS - 1) as watchers:
            reading = asyncio.gather(*(watcher.read_until(2) for watcher in watchers))
            await school.enrol()
            await reading
            used = process.memory() - before

    assert used < 80_000_000, used


async def test_a_request_with_a_body_without_end_ends(start: Start) -> None:
    process = await start(live_watchers="1", max_body_bytes="1000")
    async with Watcher(process, path("spring"), {"transfer-encoding": "chunked"}) as watcher:
        for _ in range(10):
            watcher.writer.write(b"fff\r\n" + 0xFFF * b"x" + b"\r\n")
        await watcher.read_for(3)

    assert watcher.reader.at_eof() or watcher.ended
    await _admitted(process)
