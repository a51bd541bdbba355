"""Routes moved under load, with the control plane killed meanwhile."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from banyan.clients.gateway import GatewayClient
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from tests.conftest import need
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes.visitors import under_load

FLIPS = 100
KILLS = 20


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo", environ={"BANYAN_BACKOFF_SECONDS": "0.1"}) as door:
        yield door


async def flip(settings: Settings) -> int:
    """Move `courses` back and forth, killing the control plane before every fifth move; the number of kills."""
    gateway = GatewayClient(settings)
    killed: set[int] = set()
    try:
        for number in range(FLIPS):
            if number % (FLIPS // KILLS) == 2:
                killed.add(await kill_control_plane(settings, killed))
            side = "old" if number % 2 == 0 else "new"
            await gateway.move("courses", side=side)
            rows = {row.name: row.side for row in await gateway.routes()}
            assert rows["courses"] == side
    finally:
        await gateway.close()
    return len(killed)


async def kill_control_plane(settings: Settings, killed: set[int]) -> int:
    while True:
        known = state.read_living(settings)
        assert known is not None
        pid = next(child.pid for child in known.processes if child.name == "gateway")
        if pid is not None and pid not in killed:
            os.kill(pid, signal.SIGKILL)
            return pid
        await asyncio.sleep(0.05)


def test_a_hundred_flips_and_twenty_kills_of_the_control_plane_fail_no_request(door: FrontDoor) -> None:
    settings = Settings.read({"BANYAN_DATA": str(door.data)})
    with under_load(need("wrk"), f"{door.url}/courses") as loads:
        kills = asyncio.run(flip(settings))
    (load,) = loads

    assert kills == KILLS
    assert load.requests > 500
    assert load.failed == 0, load.report
