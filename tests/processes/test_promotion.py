"""`banyan db promote core` while learners enrol: how long nobody can write, and that nothing confirmed is lost."""

import asyncio
import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from banyan.cli import app
from banyan.infra import databases, embedded
from banyan.infra.databases import Server
from banyan.infra.replicas import folders, promotion
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes import counting
from tests.processes.people import Learner
from tests.processes.test_chaos import everything
from tests.processes.visitors import visiting

CORE = databases.server_of("learning")
CLIENTS = 4
COURSES = 60
BEFORE = 40  # enrolments before the server is lost
LONGEST = 10.0


@dataclass
class Enrolling:
    """Learners who enrol side by side. `moments` are those at which somebody was told that it is done."""

    learners: list[Learner]
    slugs: list[str]
    moments: list[float] = field(default_factory=list)

    def run(self) -> None:
        with ThreadPoolExecutor(len(self.learners)) as pool:
            list(pool.map(self._all, self.learners))

    def _all(self, learner: Learner) -> None:
        for slug in self.slugs:
            learner.enrol_until_told(slug)
            self.moments.append(time.monotonic())

    def longest_pause(self) -> float:
        moments = sorted(self.moments)
        return max(after - before for before, after in itertools.pairwise(moments))


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo") as door:
        yield door


def nothing(_: FrontDoor) -> None:
    """The server runs; it is switched because somebody wants to."""


def kill(door: FrontDoor, server: Server = CORE) -> None:
    known = state.read(settings_of(door))
    assert known is not None
    name = f"postgres-{server.name}"
    os.kill(next(child.pid or 0 for child in known.processes if child.name == name), signal.SIGKILL)


def lose(door: FrontDoor, server: Server = CORE) -> None:
    folder = embedded.data_folder(settings_of(door), server)
    folder.rename(folder.with_name(f"{server.name}.gone-{time.monotonic_ns()}"))
    kill(door, server)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        pytest.param("--synchronous", lose, id="disk lost, synchronous"),
        pytest.param("--asynchronous", kill, id="killed"),
        pytest.param("--asynchronous", nothing, id="planned"),
    ],
)
def test_nothing_confirmed_is_lost_and_writes_go_on_within_seconds(
    door: FrontDoor, how: str, what: Callable[[FrontDoor], None], record_property: Callable[[str, object], None]
) -> None:
    settings = settings_of(door)
    assert "has a replica" in door.banyan("db", "replicate", "core", how)
    slugs = counting.free_courses(door)[:COURSES]
    before = asyncio.run(counting.counts(settings))
    enrolling = Enrolling([new_learner(door, f"{what.__name__}-{n}") for n in range(CLIENTS)], slugs)
    work = threading.Thread(target=enrolling.run)

    with visiting(door, "/", pause=0.05) as old_page:
        work.start()
        while len(enrolling.moments) < BEFORE:
            time.sleep(0.01)
        what(door)
        lost = time.monotonic()
        door.banyan("db", "ls")
        command = time.monotonic() - lost
        said = door.banyan("db", "promote", "core")
        work.join(120)

    assert not work.is_alive()
    assert old_page.failures == []
    pause = enrolling.longest_pause()
    record_property("seconds without writes", pause)
    print(f"{pause:.2f} s without writes, {command:.2f} s for a command\n{said}")
    # It begins with the command. What starting one costs on this machine just now is known: `ls` was one.
    assert pause - 2 * command <= LONGEST
    assert ("Nothing that was confirmed is lost" if what is lose else "Nothing was lost") in said
    for learner in enrolling.learners:
        assert Counter(everything(learner, "/_banyan/api/v1/enrolments")) == Counter(slugs)
    asyncio.run(counting.until_consumed(settings))
    after, heard = asyncio.run(counting.counts(settings)), asyncio.run(counting.live_journal(settings))
    for slug in slugs:
        first = before[slug].learners + 1
        assert after[slug].rows == before[slug].rows + CLIENTS
        # One event for each enrolment with the count after it, told once and heard once.
        assert after[slug].told[-CLIENTS:] == list(range(first, first + CLIENTS)), slug
        assert heard[slug][-CLIENTS:] == list(range(first, first + CLIENTS)), slug


def test_events_that_the_lost_bus_had_and_its_replica_had_not_are_published_again(door: FrontDoor) -> None:
    settings = settings_of(door)
    aside = databases.server_of("bus")
    door.banyan("db", "replicate", "aside")
    slugs = counting.free_courses(door)[-5:]
    before = asyncio.run(counting.counts(settings))
    learner = new_learner(door, "aside")
    for pid in promotion.working_in(folders.of(settings, aside)):
        if b"walreceiver" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGSTOP)
    for slug in slugs:
        learner.enrol_until_told(slug)
    asyncio.run(counting.until_consumed(settings))
    time.sleep(1.0)  # the supervisor looks twice a second
    lose(door, aside)

    said = door.banyan("db", "promote", "aside")

    assert "bytes of the log at the last look" in said
    assert "recent events were published again" in said
    asyncio.run(counting.until_consumed(settings))
    heard = asyncio.run(counting.live_journal(settings))
    for slug in slugs:
        assert heard[slug][-1] == before[slug].learners + 1


def test_commands_say_what_is_wrong(door: FrontDoor) -> None:
    assert "There is no server 'nonsense'" in refused(door, "promote", "nonsense")
    assert "front has no replica. Make one: banyan db replicate front" in refused(door, "promote", "front")
    assert "front has no replica" in refused(door, "unreplicate", "front")
    door.banyan("db", "replicate", "front")
    assert "has a replica of that kind already" in refused(door, "replicate", "front")
    assert "asynchronous" in door.banyan("db", "ls")
    assert '"replica": "ready"' in door.banyan("db", "ls", "--json")
    assert "asynchronous, nothing behind" in door.banyan("status", "--json")
    door.banyan("db", "unreplicate", "front")
    elsewhere = FrontDoor(door.url, door.data / "elsewhere")
    assert "No supervisor runs" in refused(elsewhere, "promote", "front")
    assert "stopped" in elsewhere.banyan("db", "ls")


def refused(door: FrontDoor, *arguments: str) -> str:
    """In this process, because a program takes a while to start."""
    done = CliRunner().invoke(app, ["db", *arguments, "--data", str(door.data)])
    assert done.exit_code == 1, done.stdout
    assert done.stderr.startswith("banyan: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def new_learner(door: FrontDoor, name: str) -> Learner:
    learner = Learner(door)
    assert learner.sign_up(f"promotion-{name}@banyan.test", "학습자") == 201
    return learner


def settings_of(door: FrontDoor) -> Settings:
    return Settings.read({"BANYAN_DATA": str(door.data)})
