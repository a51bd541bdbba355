"""What an operator types about events works on a whole running Banyan: look, replay, steer, rebuild."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from banyan.cli import app
from banyan.infra import databases
from banyan.infra.settings import Settings
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes.people import Learner

PEOPLE = 4
COURSES = 3
ENROLLED = "banyan.learning.student-enrolled"


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo") as door:
        courses = Learner(door).call("GET", "/_banyan/api/v1/courses?price=free&limit=3")[1]["items"]
        for number in range(PEOPLE):
            learner = Learner(door)
            assert learner.sign_up(f"operator{number}@banyan.test", "사람") == 201
            for course in courses[:COURSES]:
                learner.enrol_until_told(course["slug"])
        yield door


def typed(door: FrontDoor, *arguments: str, data: Path | None = None) -> Result:
    """As in a script: no terminal, nobody to answer. In this process, because a hundred programs take a while."""
    return CliRunner().invoke(app, arguments, env={"BANYAN_DATA": str(data or door.data), "COLUMNS": "80"})


def answered(door: FrontDoor, *arguments: str) -> Any:
    done = typed(door, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def newest_replay(door: FrontDoor) -> dict[str, Any]:
    """Nothing while its process is away."""
    items = json.loads(typed(door, "event", "replays", "--json").stdout)["items"]
    return dict(items[0]) if items else {}


def lag(door: FrontDoor) -> dict[str, Any]:
    return {one["name"]: one for context in answered(door, "event", "lag")["items"] for one in context["consumers"]}


def counts(door: FrontDoor) -> dict[str, int]:
    """As `live` has them; changed by hand in the same way."""
    return {row["slug"]: row["learners"] for row in sql(door, "SELECT slug, learners FROM course")}


def sql(door: FrontDoor, text: str) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        url = databases.url(Settings.read({"BANYAN_DATA": str(door.data)}), "live")
        connection = await asyncpg.connect(url)
        try:
            return [dict(row) for row in await connection.fetch(text)]
        finally:
            await connection.close()

    return asyncio.run(run())


def kill(door: FrontDoor, name: str) -> None:
    pid = next(child["pid"] for child in door.status()["processes"] if child["name"] == name)
    os.kill(pid, signal.SIGKILL)


def test_events_of_all_contexts_are_listed_newest_first_and_shown_with_nothing_personal(door: FrontDoor) -> None:
    listed = answered(door, "event", "ls", "--limit", "100")["items"]
    registered = next(one for one in listed if one["source"] == "iam")
    shown = typed(door, "event", "show", registered["id"])
    read = typed(door, "event", "ls").stdout

    assert [one["id"] for one in listed] == sorted((one["id"] for one in listed), reverse=True)
    assert {one["source"] for one in listed} == {"iam", "learning"}
    assert len([one for one in listed if one["type"] == f"{ENROLLED}.v1"]) == PEOPLE * COURSES
    assert "사람" not in shown.stdout
    assert registered["request_id"] in shown.stdout
    assert all(one["id"] in read for one in listed[:5]), "ids are whole, to be copied"
    assert [one["key"] for one in answered(door, "event", "ls", "--key", registered["key"])["items"]] == [
        registered["key"]
    ]


def test_a_replay_for_one_consumer_goes_on_after_a_kill_and_changes_nothing(door: FrontDoor) -> None:
    before = counts(door)
    wanted = ("event", "replay", "--type", ENROLLED, "--since", "1h", "--consumer", "live-from-learning")

    counted = answered(door, *wanted, "--dry-run")["items"]
    begun = answered(door, *wanted, "--rate", "4", "--no-wait")["items"]
    kill(door, "learning")
    until(lambda: newest_replay(door).get("state") == "done")

    last = newest_replay(door)
    assert counted[0]["total"] == last["total"] == last["done"] == PEOPLE * COURSES
    assert last["id"] == begun[0]["id"]
    until(lambda: lag(door)["live-from-learning"]["waiting"] == 0)
    assert counts(door) == before


def test_a_paused_consumer_lets_its_events_wait(door: FrontDoor) -> None:
    assert typed(door, "event", "pause", "live-from-learning").exit_code == 0
    until(lambda: lag(door)["live-from-learning"]["paused_at"] is not None)

    told = typed(door, "event", "replay", "--all", "--consumer", "live-from-learning")
    assert (told.exit_code, "done, 12 of 12" in told.stdout) == (0, True), told
    until(lambda: lag(door)["live-from-learning"]["waiting"] == PEOPLE * COURSES)

    assert typed(door, "event", "resume", "live-from-learning").exit_code == 0
    until(lambda: lag(door)["live-from-learning"]["waiting"] == 0)


def test_rebuilds_make_right_what_was_damaged(door: FrontDoor) -> None:
    before = counts(door)
    sql(door, "UPDATE course SET learners = learners + 1000")

    rebuilt = answered(door, "live", "rebuild")
    people = answered(door, "learning", "rebuild")

    assert counts(door) == before
    assert (rebuilt["state"], people["state"]) == ("done", "done")
    assert people["done"] == people["total"] > PEOPLE
    assert answered(door, "live", "rebuild", "ls")["items"][0]["id"] == rebuilt["id"]


LATER = "2999-01-01"
BAD = {
    "an empty filter": (("event", "replay"), 1, "tell everything again"),
    "no rate": (("event", "replay", "--all", "--rate", "0"), 1, "1 to 20,000"),
    "the future": (("event", "replay", "--since", LATER), 1, "in the future"),
    "no time": (("event", "ls", "--since", "yesterdayish"), 2, "is no time"),
    "nobody's consumer": (("event", "replay", "--all", "--consumer", "nobody"), 1, "There is no consumer 'nobody'"),
    "nobody's type": (("event", "replay", "--type", f"{ENROLLED}s"), 1, f"Did you mean '{ENROLLED}'"),
    "no source": (("event", "ls", "--source", "web"), 1, "tells of no events"),
    "no event": (("event", "show", "01a20e33-6a80-7d76-93c2-005f3bf677f7"), 1, "There is no event"),
    "no id": (("event", "show", "../now"), 1, "There is no event"),
    "no letter": (("event", "dead", "show", "live:99"), 1, "There is no dead letter live:99"),
    "no letter's id": (("event", "dead", "discard", "99"), 1, "look like learning:12"),
    "nothing to redrive": (("event", "dead", "redrive"), 2, "Say what to try again"),
    "a letter of nobody's": (("event", "dead", "redrive", "live:99"), 1, "There is no dead letter"),
    "no replay": (("event", "cancel", "99"), 1, "There is no replay 99"),
    "nothing to pause": (("event", "pause", "nobody"), 1, "There are learning-from-iam"),
    "nothing to rebuild": (("live", "rebuild", "nobody"), 1, "live has no consumer 'nobody'"),
    "no rebuild to cancel": (("live", "rebuild", "cancel"), 1, "is not being rebuilt"),
    "nothing at AWS": (("event", "provision", "--plan"), 1, "BANYAN_BROKER"),
}


@pytest.mark.parametrize("wrong", BAD)
def test_bad_input_gets_one_clear_line(door: FrontDoor, wrong: str) -> None:
    arguments, code, says = BAD[wrong]

    done = typed(door, *arguments)

    assert done.exit_code == code
    assert says in " ".join(done.stderr.replace("│", "").split())
    assert isinstance(done.exception, SystemExit)


def test_where_nothing_runs_it_says_who_is_away(door: FrontDoor, tmp_path: Path) -> None:
    done = typed(door, "event", "lag", data=tmp_path)

    assert done.exit_code == 1
    assert "iam, learning and live do not answer here" in done.stderr
