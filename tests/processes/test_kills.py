"""kill -9 of everything in turn, while visitors read pages of the old site."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes.visitors import visiting

CHILDREN = [
    "postgres-front",
    "postgres-core",
    "postgres-aside",
    "gateway",
    "learning",
    "web",
    "old-site",
    "envoy",
]


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo") as door:
        yield door


def child(door: FrontDoor, name: str) -> dict[str, Any]:
    return next(child for child in door.status()["processes"] if child["name"] == name)


def until_ready_again(door: FrontDoor, name: str, restarts: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        now = door.status()
        known = {process["name"]: process for process in now["processes"]}
        if known[name]["restarts"] > restarts and now["ready"]:
            return
        assert time.monotonic() < deadline, now
        time.sleep(0.1)


@pytest.mark.parametrize("name", CHILDREN)
def test_a_killed_process_takes_no_old_page_with_it_and_is_back_by_itself(door: FrontDoor, name: str) -> None:
    before = child(door, name)
    with visiting(door, "/") as old_page:
        time.sleep(0.3)
        os.kill(before["pid"], signal.SIGKILL)
        until_ready_again(door, name, before["restarts"])
        time.sleep(0.3)

    assert old_page.served > 20
    if name == "envoy":  # the front door itself: nobody can answer for it
        assert old_page.failed_for() <= 1.0, old_page.failures
    else:
        assert old_page.failures == []
    assert child(door, name)["pid"] != before["pid"]


@pytest.mark.parametrize("name", ["gateway", "web", "learning"])
def test_new_pages_wait_for_a_killed_process_instead_of_failing(door: FrontDoor, name: str) -> None:
    before = child(door, name)
    with visiting(door, "/courses") as new_page:
        time.sleep(0.3)
        os.kill(before["pid"], signal.SIGKILL)
        until_ready_again(door, name, before["restarts"])
        time.sleep(0.3)

    assert new_page.served > 10
    assert new_page.failures == []
