"""Faults on purpose: they really happen, they end by themselves, and nothing of them exists outside the demo."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from banyan.infra.faults import agent, kinds
from banyan.infra.faults.kinds import Ailment
from banyan.infra.harm import freezer
from banyan.infra.settings import Settings
from banyan.infra.supervisor import control, state
from banyan.infra.supervisor.state import ChildState, SupervisorState
from banyan.infra.supervisor.supervisor import Supervisor
from banyan.processes import faults
from tests.infra.watching import is_stopped, until
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes.people import Learner

COURSES = "/_banyan/api/v1/courses?limit=1"

SERVERS = ("postgres-front", "postgres-core", "postgres-aside")

LOADED = """
import os, signal, sys, threading, time
from banyan.infra.settings import Settings
from banyan.processes import run
settings = Settings.read(os.environ)
def tell():
    while not settings.socket("web").exists():
        time.sleep(0.02)
    time.sleep(0.2)
    print([name for name in sys.modules if name.startswith(("banyan.infra.faults.", "banyan.infra.harm"))], flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=tell, daemon=True).start()
run.run("web", settings)
"""


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo", environ={"BANYAN_MEMORY_BYTES": "250000000"}) as door:
        yield door
        # Nobody stays stopped: the exit status is 0, and nothing is left of what was started.
        for part in (*SERVERS, "envoy", "web"):
            add(door, part, "hang", 60)


def ask(door: FrontDoor, wish: str, **details: Any) -> dict[str, Any]:
    return asyncio.run(control.ask(settings_of(door), wish, **details))


def add(door: FrontDoor, part: str, kind: str, seconds: float, **details: Any) -> None:
    ask(door, "fault-add", process=part, kind=kind, seconds=seconds, **details)


def settings_of(door: FrontDoor) -> Settings:
    return Settings.read({"BANYAN_DATA": str(door.data)})


def part_of(door: FrontDoor, name: str) -> ChildState:
    known = state.read_living(settings_of(door))
    assert known is not None
    return next(child for child in known.processes if child.name == name)


def pid_of(door: FrontDoor, name: str) -> int:
    until(lambda: part_of(door, name).state == "ready")
    return part_of(door, name).pid or 0


def file_limit(pid: int) -> str:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max file size")).split()[3]


@pytest.mark.parametrize(("demo", "loaded"), [("0", False), ("1", True)])
def test_only_a_process_of_the_demo_loads_what_makes_faults(tmp_path: Path, demo: str, loaded: bool) -> None:
    environ = {**os.environ, "BANYAN_DATA": str(tmp_path), "BANYAN_DEMO": demo}

    done = subprocess.run(
        [sys.executable, "-c", LOADED], env=environ, capture_output=True, text=True, timeout=60, check=True
    )

    assert ("banyan.infra.faults.agent" in done.stdout) == loaded, done.stdout
    assert done.stdout.strip() != "[]" if loaded else done.stdout.strip().endswith("[]")


async def test_outside_the_demo_nobody_makes_a_fault(tmp_path: Path) -> None:
    settings = Settings.read({"BANYAN_DATA": str(tmp_path), "BANYAN_NO_LEGACY": "1"})
    settings.make_folders()
    wishes = faults.handlers(settings, Supervisor(settings, None))  # type: ignore[arg-type] # nothing to tell anybody

    for name in ("fault-add", "fault-list", "fault-end"):
        with pytest.raises(kinds.FaultsForbidden):
            await wishes[name]({"process": "web", "kind": "crash", "seconds": 0})
    with pytest.raises(kinds.FaultsForbidden), agent.listening(settings, "web"):
        pass


def test_the_command_refuses_outside_the_demo(tmp_path: Path) -> None:
    settings = Settings.read({"BANYAN_DATA": str(tmp_path)})
    settings.make_folders()
    ours = SupervisorState(os.getpid(), state.start_ticks(os.getpid()), "", "", datetime.now(UTC), True, demo=False)
    state.write(settings, ours)

    command = [sys.executable, "-m", "banyan", "fault", "add", "web", "crash", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert "banyan up --demo" in done.stderr


@pytest.mark.parametrize(
    ("part", "kind", "why"),
    [
        ("web", "db-hang", "has no database"),
        ("envoy", "errors", "another listener"),
        ("envoy", "memory", "from outside"),
        ("relay", "errors", "no requests"),
        ("learning", "hang --for 2h", "a number with"),
        ("learning", "hang --for 20m", "at most 600"),
        ("learning", "errors --percent 0", "more than 0"),
        ("nobody", "hang", "no process 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(door: FrontDoor, part: str, kind: str, why: str) -> None:
    command = [sys.executable, "-m", "banyan", "fault", "add", part, *kind.split(), "--data", str(door.data)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode != 0
    assert why in done.stderr


def test_a_fault_is_listed_and_ended_by_the_command(door: FrontDoor) -> None:
    assert "relay:slow" in door.banyan("fault", "add", "relay", "slow", "--for", "1m", "--delay", "5ms")

    assert [each["name"] for each in json.loads(door.banyan("fault", "ls", "--json"))["items"]] == ["relay:slow"]
    assert "relay:slow" in door.banyan("fault", "rm", "relay")
    assert json.loads(door.banyan("fault", "ls", "--json"))["items"] == []


@pytest.mark.parametrize("part", ["learning", "postgres-core", "envoy"])
def test_a_hung_part_answers_when_the_fault_is_over(door: FrontDoor, part: str) -> None:
    pid_of(door, part)
    add(door, part, "hang", 1.0)

    begin = time.monotonic()
    assert Learner(door).call("GET", COURSES)[0] == 200

    assert 0.6 < time.monotonic() - begin < 8
    until(lambda: not ask(door, "fault-list")["items"])


def test_a_hang_ends_when_it_is_removed(door: FrontDoor) -> None:
    for part in ("learning", "postgres-core"):
        add(door, part, "hang", 60)
        begin = time.monotonic()
        ask(door, "fault-end", name=part)

        assert Learner(door).call("GET", COURSES)[0] == 200
        assert time.monotonic() - begin < 5


def test_a_slow_process_delays_each_request_and_no_probe(door: FrontDoor) -> None:
    add(door, "learning", "slow", 60, delay=0.4)
    try:
        begin = time.monotonic()
        assert Learner(door).call("GET", COURSES)[0] == 200
        assert time.monotonic() - begin > 0.4
        time.sleep(1.2)
        assert part_of(door, "learning").state == "ready"
    finally:
        ask(door, "fault-end")


def test_so_many_requests_fail_as_were_asked_for(door: FrontDoor) -> None:
    for part, path in (("learning", COURSES), ("old-site", "/")):
        add(door, part, "errors", 60, percent=100)
        answers = [Learner(door).call("GET", path) for _ in range(5)]
        ask(door, "fault-end")

        assert [status for status, _ in answers] == [500] * 5
        assert Learner(door).call("GET", path)[0] == 200


@pytest.mark.parametrize("part", ["learning", "postgres-core", "envoy"])
def test_a_crashed_part_is_another_process_afterwards(door: FrontDoor, part: str) -> None:
    before = pid_of(door, part)

    add(door, part, "crash", 0)

    until(lambda: part_of(door, part).pid not in (before, None))
    assert part_of(door, part).ended == "ended by SIGKILL"
    assert pid_of(door, part) != before


def test_a_crash_that_lasts_comes_again(door: FrontDoor) -> None:
    before = part_of(door, "relay").restarts

    add(door, "relay", "crash", 12)

    until(lambda: part_of(door, "relay").restarts >= before + 2, patience=12)
    ask(door, "fault-end")
    pid_of(door, "relay")


def test_a_busy_process_burns_what_it_gets(door: FrontDoor) -> None:
    pid = pid_of(door, "learning")
    before = cpu_seconds(pid)

    add(door, "learning", "cpu", 60)

    until(lambda: cpu_seconds(pid) > before + 0.5, patience=20)
    ask(door, "fault-end")


def test_a_greedy_process_is_restarted_by_its_limit(door: FrontDoor) -> None:
    before = pid_of(door, "learning")

    add(door, "learning", "memory", 30)

    until(lambda: part_of(door, "learning").pid not in (before, None), patience=20)
    assert "more than its limit of 250 MB" in part_of(door, "learning").ended
    until(lambda: Learner(door).call("GET", COURSES)[0] == 200)


def test_a_greedy_session_is_ended_and_its_server_stays(door: FrontDoor) -> None:
    before = pid_of(door, "postgres-core")

    add(door, "postgres-core", "memory", 30)

    until(lambda: "a session used" in part_of(door, "postgres-core").ended, patience=20)
    assert part_of(door, "postgres-core").pid == before
    until(lambda: not ask(door, "fault-list")["items"])


@pytest.mark.parametrize("part", ["learning", "envoy"])
def test_a_full_disk_takes_no_file_and_then_does_again(door: FrontDoor, part: str) -> None:
    pid = pid_of(door, part)
    before = file_limit(pid)

    add(door, part, "disk-full", 1)

    assert file_limit(pid) == "0"
    until(lambda: file_limit(pid) == before)
    assert pid_of(door, part) == pid


def test_a_server_on_a_full_disk_is_back_when_there_is_room(door: FrontDoor) -> None:
    learner = Learner(door)
    assert learner.sign_up("full-disk@banyan.test", "디스크") == 201
    course = learner.call("GET", "/_banyan/api/v1/courses?price=free&limit=1")[1]["items"][0]["slug"]

    add(door, "postgres-core", "disk-full", 1.5)

    # 503 once the server has panicked; before that, a table that cannot grow for a limit has no error code of its own,
    # as it has (53100) for a disk that is really full.
    assert learner.call("POST", "/_banyan/api/v1/enrolments", {"course": course})[0] in (500, 503)
    assert learner.enrol_until_told(course, patience=30) in (200, 201)


def test_a_process_whose_database_hangs_shares_its_server_with_nobody_else(door: FrontDoor) -> None:
    servers = {name: pid_of(door, name) for name in SERVERS}

    add(door, "live", "db-hang", 60)

    assert {name for name, pid in servers.items() if is_stopped(pid)} == {"postgres-aside"}
    ask(door, "fault-end")
    assert not any(map(is_stopped, servers.values()))


def test_every_fault_is_explained() -> None:
    assert set(kinds.MEANS) == set(Ailment)


def cpu_seconds(pid: int) -> float:
    fields = freezer.stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
