"""A thousand enrolments while everything is killed: what was confirmed is there, once, and everybody counts alike."""

import asyncio
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes import counting
from tests.processes.people import Learner

CLIENTS = 8
KILLS = 30
VICTIMS = (
    "iam",
    "learning",
    "relay",
    "live",
    "web",
    "gateway",
    "envoy",
    "postgres-front",
    "postgres-core",
    "postgres-aside",
)


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo", environ={"BANYAN_BACKOFF_SECONDS": "0.5"}) as door:
        yield door


def test_a_thousand_enrolments_survive_thirty_kills(door: FrontDoor) -> None:
    settings = Settings.read({"BANYAN_DATA": str(door.data)})
    slugs = counting.free_courses(door)
    before = asyncio.run(counting.counts(settings))
    learners = [new_learner(door, number) for number in range(CLIENTS)]
    over = threading.Event()
    killed: list[str] = []
    killer = threading.Thread(target=kill_at_random, args=(settings, over, killed))

    killer.start()
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            told = list(pool.map(lambda learner: [learner.enrol_until_told(slug) for slug in slugs], learners))
    finally:
        over.set()
        killer.join()

    assert len(killed) == KILLS, f"the clients were done after {len(killed)} kills"
    assert sum(len(statuses) for statuses in told) == CLIENTS * counting.COURSES
    for learner in learners:
        assert Counter(everything(learner, "/_banyan/api/v1/enrolments")) == Counter(slugs)
    asyncio.run(counting.until_consumed(settings))
    after = asyncio.run(counting.counts(settings))
    for slug in slugs:
        assert after[slug].learners == before[slug].learners + CLIENTS
        assert after[slug].rows == before[slug].rows + CLIENTS
        # One event for each enrolment, each with the count after it: nothing lost, doubled, or of an aborted try.
        first = before[slug].learners + 1
        assert after[slug].told == list(range(first, first + CLIENTS)), slug
    heard = asyncio.run(counting.live_journal(settings))
    for slug in slugs:
        first = before[slug].learners + 1
        # live keeps no count that is lower than one before it, so another order would show as a gap.
        assert heard[slug] == list(range(first, first + CLIENTS)), slug


def new_learner(door: FrontDoor, number: int) -> Learner:
    learner = Learner(door)
    assert learner.sign_up(f"chaos-{number}@banyan.test", f"학습자 {number}") == 201
    return learner


def everything(learner: Learner, path: str) -> list[str]:
    found: list[str] = []
    after = ""
    while True:
        status, page = learner.call("GET", f"{path}?limit=100{after}")
        assert status == 200, page
        found += [item["course"] for item in page["items"]]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


def kill_at_random(settings: Settings, over: threading.Event, killed: list[str]) -> None:
    """Thirty kills with -9 while the clients are at work; then the dead have time to come back."""
    dice = random.Random(20261124)
    while len(killed) < KILLS and not over.wait(dice.uniform(0.1, 0.5)):
        victim = dice.choice(VICTIMS)
        known = state.read_living(settings)
        assert known is not None
        pid = next((child.pid for child in known.processes if child.name == victim), None)
        if pid is not None and state.is_alive(pid, 0):
            os.kill(pid, signal.SIGKILL)
            killed.append(victim)
