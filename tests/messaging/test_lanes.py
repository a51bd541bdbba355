"""A consumer borrows when somebody can work on it, so that what has gathered meanwhile is done in one transaction."""

import asyncio

import pytest

from banyan.messaging.consumers import lanes
from banyan.messaging.consumers.lanes import Lanes


async def test_there_is_room_at_once_while_a_lane_is_free() -> None:
    some = Lanes(2)
    async with some.one(), asyncio.timeout(0):
        await some.room()


async def test_room_is_waited_for_until_a_lane_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_GATHERING_SECONDS", 60.0)
    some = Lanes(1)
    async with some.one():
        waiting = asyncio.create_task(some.room())
        await asyncio.sleep(0.05)
        assert not waiting.done()
    async with asyncio.timeout(10):
        await waiting


async def test_whoever_stays_in_every_lane_keeps_nobody_from_borrowing_for_others() -> None:
    some = Lanes(1)
    async with some.one(), asyncio.timeout(10):
        await some.room()
